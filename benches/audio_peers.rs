//! This crate's side of the comparison with librosa: `cargo xtask bench-librosa` builds it and asks it.
//!
//! ```text
//! audio_peers CLIP [--threads N]      answers "FEATURE/MODE REPEATS" with seconds (see peers/serve.rs); of several threads
//!                                     also "FEATURE/MODE@1 REPEATS", those of one
//! audio_peers CLIP --memory FEATURE   prints the bytes that FEATURE needs at most beyond its output, and the output's
//! ```
//!
//! CLIP holds bare little-endian f32 samples at 22,050 Hz.

#[path = "peers/serve.rs"]
mod serve;

use std::hint::black_box;
use std::path::Path;

use anyhow::{Context, Result, bail};
use audio_features::augment::{Noise, TimeStretch, add_noise};
use audio_features::summary::Vector162;
use audio_features::{
    Chroma, ChromaConfig, MelConfig, MelSpectrogram, Mfcc, MfccConfig, Precision, RmsConfig, Sample, Stft, StftConfig,
    Window, ZcrConfig, resample, rms, zero_crossing_rate,
};
use realfft::{FftNum, RealFftPlanner};
use serve::Contestant;

const SR: f64 = 22_050.0;
const FEATURES: [&str; 12] = [
    "stft",
    "mel",
    "mfcc",
    "chroma_0",
    "chroma",
    "zcr",
    "rms",
    "vector_162",
    "time_stretch",
    "pitch_shift",
    "resample",
    "notebook",
];

#[expect(clippy::print_stdout, clippy::print_stderr, reason = "a program speaks on its terminal")]
fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Some(clip) = arguments.first().filter(|clip| !clip.starts_with('-')) else {
        eprintln!("this bench is run by cargo xtask bench-librosa");
        return Ok(());
    };
    let samples = read(Path::new(clip))?;
    if let [_, option, feature] = &arguments[..]
        && option == "--memory"
    {
        let (extra, output) = memory(feature, &samples)?;
        println!("{extra} {output}");
        return Ok(());
    }
    let threads = match &arguments[..] {
        [_, option, threads] if option == "--threads" => threads.parse()?,
        _ => 1,
    };
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build()?;
    let mut contestants = vec![
        Contestant::new("floor/f32", floor::<f32>(&samples)),
        Contestant::new("floor/f64", floor::<f64>(&samples)),
    ];
    for feature in FEATURES {
        for (mode, precision) in [("parity", Precision::Parity), ("fast", Precision::Fast)] {
            let (samples, pool) = (&samples, &pool);
            let mut one = feature_call(feature, precision)?;
            let mut several = if threads > 1 { parallel_call(feature, precision)? } else { None };
            let name = format!("{feature}/{mode}");
            if threads > 1 {
                let mut one = feature_call(feature, precision)?;
                contestants.push(Contestant::new(format!("{name}@1"), move || {
                    black_box(one(black_box(samples)));
                }));
            }
            contestants.push(Contestant::new(name, move || match &mut several {
                Some(call) => {
                    pool.install(|| call(black_box(samples)));
                }
                None => {
                    black_box(one(black_box(samples)));
                }
            }));
        }
    }
    Ok(serve::serve(contestants)?)
}

fn read(path: &Path) -> Result<Vec<f32>> {
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(bytes.chunks_exact(4).map(|four| f32::from_le_bytes([four[0], four[1], four[2], four[3]])).collect())
}

/// What a call returns, kept until the caller drops it, with the bytes that it takes.
type Output = (Box<dyn std::any::Any>, usize);
type Call = Box<dyn FnMut(&[f32]) -> Output>;
/// The same, called within a pool of threads.
type ParallelCall = Box<dyn FnMut(&[f32]) -> usize + Send>;

fn output<T: 'static>(value: T, elements: usize, size: usize) -> Output {
    (Box::new(value), elements * size)
}

/// A planned feature with librosa's defaults.
fn feature_call(feature: &str, precision: Precision) -> Result<Call> {
    let stft = StftConfig { precision, ..StftConfig::default() };
    let mel = MelConfig { stft: stft.clone(), ..MelConfig::default() };
    /// A call that returns an array.
    macro_rules! array {
        ($samples:ident => $call:expr) => {
            Box::new(move |$samples: &[f32]| {
                let array = $call.expect("the clip is sound");
                let (n, size) = (array.len(), array.iter().next().map_or(0, std::mem::size_of_val));
                output(array, n, size)
            })
        };
    }
    Ok(match feature {
        "stft" => {
            let plan = Stft::new(&stft)?;
            array!(y => plan.process(y))
        }
        "mel" => {
            let plan = MelSpectrogram::new(&mel)?;
            array!(y => plan.process(y))
        }
        "mfcc" => {
            let plan = Mfcc::new(&MfccConfig { mel, ..MfccConfig::default() })?;
            array!(y => plan.process(y))
        }
        "chroma_0" | "chroma" => {
            let tuning = (feature == "chroma_0").then_some(0.0);
            let plan = Chroma::new(&ChromaConfig { stft, tuning, ..ChromaConfig::default() })?;
            array!(y => plan.process(y))
        }
        "zcr" => array!(y => zero_crossing_rate(y, &ZcrConfig::default())),
        "rms" => array!(y => rms(y, &RmsConfig::default())),
        "vector_162" => {
            let plan = Vector162::new(SR, precision)?;
            array!(y => plan.process(y))
        }
        "time_stretch" => {
            let plan = TimeStretch::new(&stft)?;
            array!(y => plan.time_stretch(y, 0.8))
        }
        "pitch_shift" => {
            let plan = TimeStretch::new(&stft)?;
            array!(y => plan.pitch_shift(y, SR, 0.7))
        }
        "resample" => array!(y => resample(y, 22_050, 16_000)),
        "notebook" => {
            let (plan, vector) = (TimeStretch::new(&stft)?, Vector162::new(SR, precision)?);
            array!(y => notebook(y, &plan, &vector))
        }
        _ => bail!("there is no feature {feature}"),
    })
}

/// A planned feature that works on the frames of a long clip with several threads; `None` for the others.
fn parallel_call(feature: &str, precision: Precision) -> Result<Option<ParallelCall>> {
    let stft = StftConfig { precision, ..StftConfig::default() };
    let mel = MelConfig { stft: stft.clone(), ..MelConfig::default() };
    Ok(Some(match feature {
        "mel" => {
            let plan = MelSpectrogram::new(&mel)?;
            Box::new(move |y| black_box(plan.par_process(y).expect("the clip is sound")).len())
        }
        "mfcc" => {
            let plan = Mfcc::new(&MfccConfig { mel, ..MfccConfig::default() })?;
            Box::new(move |y| black_box(plan.par_process(y).expect("the clip is sound")).len())
        }
        "chroma_0" | "chroma" => {
            let tuning = (feature == "chroma_0").then_some(0.0);
            let plan = Chroma::new(&ChromaConfig { stft, tuning, ..ChromaConfig::default() })?;
            Box::new(move |y| black_box(plan.par_process(y).expect("the clip is sound")).len())
        }
        _ => return Ok(None),
    }))
}

/// The 162-vectors of the clip, of a noisy copy, and of a copy that is stretched and shifted, one after the other.
fn notebook(clip: &[f32], plan: &TimeStretch, vector: &Vector162) -> audio_features::Result<Vec<f32>> {
    let noisy = add_noise(clip, 20.0, Noise::White, 7)?;
    let changed = plan.pitch_shift(&plan.time_stretch(clip, 0.8)?, SR, 0.7)?;
    let mut out = Vec::with_capacity(3 * 162);
    for samples in [clip, &noisy, &changed] {
        out.extend(vector.process(samples)?);
    }
    Ok(out)
}

/// Nothing but the transforms of all frames: copy, multiply by the window, transform, forget.
fn floor<T: Sample + FftNum>(samples: &[f32]) -> impl FnMut() + use<T> {
    let mut padded = vec![T::zero(); samples.len() + 2048];
    for (slot, &x) in padded[1024..].iter_mut().zip(samples) {
        *slot = T::from_f32(x).expect("a float");
    }
    let window: Vec<T> =
        Window::Hann.samples(2048, true).expect("a Hann window").into_iter().filter_map(T::from_f64).collect();
    let fft = RealFftPlanner::<T>::new().plan_fft_forward(2048);
    let (mut input, mut output, mut scratch) = (fft.make_input_vec(), fft.make_output_vec(), fft.make_scratch_vec());
    move || {
        for frame in padded.windows(2048).step_by(512) {
            for ((slot, &x), &w) in input.iter_mut().zip(frame).zip(&window) {
                *slot = x * w;
            }
            fft.process_with_scratch(&mut input, &mut output, &mut scratch).expect("lengths agree");
            black_box(&output);
        }
    }
}

/// The most memory that planning and computing a feature takes beyond its output, and the output's size, in bytes.
fn memory(feature: &str, samples: &[f32]) -> Result<(usize, usize)> {
    // From here on the kernel's high-water mark counts from what is in use now.
    std::fs::write("/proc/self/clear_refs", "5").context("cannot reset the peak memory: this needs Linux")?;
    let before = status("VmRSS")?;
    let (name, mode) = feature.split_once('/').unwrap_or((feature, "parity"));
    let precision = if mode == "fast" { Precision::Fast } else { Precision::Parity };
    let (result, bytes) = feature_call(name, precision)?(samples);
    let extra = status("VmHWM")?.saturating_sub(before).saturating_sub(bytes);
    drop(result);
    Ok((extra, bytes))
}

/// A line of what the kernel says of this process, in bytes.
fn status(name: &str) -> Result<usize> {
    let text = std::fs::read_to_string("/proc/self/status")?;
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    let kilobytes = line.and_then(|rest| rest.split_whitespace().next()).with_context(|| format!("no {name}"))?;
    Ok(1024 * kilobytes.parse::<usize>()?)
}
