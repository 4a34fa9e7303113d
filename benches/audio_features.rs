//! How long every feature takes on a short and on a long clip, in both precisions, beside the bare Fourier transforms.
//!
//! ```text
//! cargo bench --bench audio_features                # everything
//! cargo bench --bench audio_features -- 3s/mel      # what matches
//! ```
//!
//! `cargo xtask bench-librosa` compares with librosa.

use std::hint::black_box;

use audio_features::augment::{Noise, TimeStretch, add_noise};
use audio_features::summary::Vector162;
use audio_features::{
    Chroma, ChromaConfig, ContrastConfig, DbConfig, DeltaConfig, FeatureStream, Istft, MelConfig, MelSpectrogram, Mfcc,
    MfccConfig, Precision, PyinConfig, RmsConfig, Sample, SilenceConfig, Stft, StftConfig, Window, YinConfig,
    ZcrConfig,
};
use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use realfft::{FftNum, RealFftPlanner};

const SR: usize = 22_050;

/// A gliding voice with noise, different in every frame.
fn clip(seconds: usize) -> Vec<f32> {
    let mut state = 1_u32;
    let mut phase = 0.0_f32;
    (0..seconds * SR)
        .map(|n| {
            let t = n as f32 / SR as f32;
            phase = (phase + (140.0 + 40.0 * (5.0 * t).sin()) / SR as f32).fract();
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let noise = (state >> 8) as f32 / 16_777_216.0 - 0.5;
            let voice: f32 = (1..6).map(|k| (std::f32::consts::TAU * phase * k as f32).sin() / k as f32).sum();
            (0.2 * voice + 0.05 * noise) * (0.6 + 0.4 * (2.0 * t).sin())
        })
        .collect()
}

/// Measures `call` under a name, and in a mode where there are two.
fn run<T>(group: &mut BenchmarkGroup<'_, WallTime>, name: &str, mode: &str, mut call: impl FnMut() -> T) {
    let id = if mode.is_empty() { BenchmarkId::from_parameter(name) } else { BenchmarkId::new(name, mode) };
    group.bench_function(id, |bencher| bencher.iter(|| black_box(call())));
}

/// Nothing but the transforms: copy a frame, multiply it by the window, transform it.
fn floor<T: Sample + FftNum>(group: &mut BenchmarkGroup<'_, WallTime>, mode: &str, samples: &[f32]) {
    let mut padded = vec![T::zero(); samples.len() + 2048];
    for (slot, &x) in padded[1024..].iter_mut().zip(samples) {
        *slot = T::narrow(f64::from(x));
    }
    let window = Window::Hann.samples(2048, true).expect("a Hann window");
    let window: Vec<T> = window.into_iter().map(T::narrow).collect();
    let fft = RealFftPlanner::<T>::new().plan_fft_forward(2048);
    let (mut input, mut output, mut scratch) = (fft.make_input_vec(), fft.make_output_vec(), fft.make_scratch_vec());
    run(group, "floor", mode, || {
        for frame in padded.windows(2048).step_by(512) {
            for ((slot, &x), &w) in input.iter_mut().zip(frame).zip(&window) {
                *slot = x * w;
            }
            fft.process_with_scratch(&mut input, &mut output, &mut scratch).expect("lengths agree");
            black_box(&output);
        }
    });
}

/// What begins with a transform, and so comes in two precisions.
fn spectral(group: &mut BenchmarkGroup<'_, WallTime>, mode: &str, precision: Precision, samples: &[f32]) {
    let config = StftConfig { precision, ..StftConfig::default() };
    let mel_config = MelConfig { stft: config.clone(), ..MelConfig::default() };
    let mfcc_config = MfccConfig { mel: mel_config.clone(), ..MfccConfig::default() };

    let stft = Stft::new(&config).expect("defaults can be planned");
    run(group, "stft", mode, || stft.process(black_box(samples)));
    let spectrum = stft.process(samples).expect("the clip is sound");
    let istft = Istft::new(&config).expect("defaults can be planned");
    run(group, "istft", mode, || istft.process(black_box(spectrum.view()), None));
    drop(spectrum);

    let mel = MelSpectrogram::new(&mel_config).expect("defaults can be planned");
    run(group, "mel", mode, || mel.process(black_box(samples)));
    let mfcc = Mfcc::new(&mfcc_config).expect("defaults can be planned");
    run(group, "mfcc", mode, || mfcc.process(black_box(samples)));
    for (name, tuning) in [("chroma_0", Some(0.0)), ("chroma", None)] {
        let config = ChromaConfig { stft: config.clone(), tuning, ..ChromaConfig::default() };
        let chroma = Chroma::new(&config).expect("defaults can be planned");
        run(group, name, mode, || chroma.process(black_box(samples)));
    }
    let vector = Vector162::new(SR as f64, precision).expect("defaults can be planned");
    run(group, "vector_162", mode, || vector.process(black_box(samples)));
    // Many short clips through one plan.
    run(group, "vector_162_of_clips", mode, || {
        samples.chunks(3 * SR).map(|clip| vector.process(black_box(clip))).collect::<Vec<_>>()
    });
    // Sound that arrives in pieces.
    run(group, "mfcc_stream", mode, || {
        let mut frames = 0;
        let mfcc_config = MfccConfig { db: DbConfig { top_db: None, ..DbConfig::default() }, ..mfcc_config.clone() };
        let mfcc = Mfcc::new(&mfcc_config).expect("defaults can be planned");
        let mut stream = FeatureStream::mfcc(&mfcc).expect("no top_db");
        for piece in samples.chunks(512) {
            stream.push(black_box(piece), |_| frames += 1).expect("the clip is sound");
        }
        stream.finish(|_| frames += 1).expect("the clip is sound");
        frames
    });
    let stretch = TimeStretch::new(&config).expect("defaults can be planned");
    run(group, "time_stretch", mode, || stretch.time_stretch(black_box(samples), 0.8));
    run(group, "pitch_shift", mode, || stretch.pitch_shift(black_box(samples), SR as f64, 0.7));
}

/// What comes in one precision: features of a spectrogram that is there, and of the waveform.
fn others(group: &mut BenchmarkGroup<'_, WallTime>, samples: &[f32]) {
    use audio_features as af;
    let stft = Stft::new(&StftConfig::default()).expect("defaults can be planned");
    let magnitude = stft.spectrogram(samples, 1.0).expect("the clip is sound");
    let (s, freq) = (magnitude.view(), af::fft_frequencies(SR as f64, 2048));
    run(group, "power_to_db", "", || af::power_to_db(black_box(&magnitude), &DbConfig::default()));
    run(group, "delta", "", || af::delta(&black_box(s).slice_move(ndarray::s![..20, ..]), &DeltaConfig::default()));
    run(group, "spectral_centroid", "", || af::spectral_centroid(black_box(s), &freq));
    run(group, "spectral_bandwidth", "", || {
        af::spectral_bandwidth(black_box(s), &freq, &af::BandwidthConfig::default())
    });
    run(group, "spectral_rolloff", "", || af::spectral_rolloff(black_box(s), &freq, 0.85));
    run(group, "spectral_flatness", "", || af::spectral_flatness(black_box(s), 1e-10, 2.0));
    run(group, "spectral_contrast", "", || af::spectral_contrast(black_box(s), &freq, &ContrastConfig::default()));
    run(group, "poly_features", "", || af::poly_features(black_box(s), &freq, 1));
    let peaks = af::PiptrackConfig { sr: SR as f64, ..af::PiptrackConfig::default() };
    run(group, "piptrack", "", || af::piptrack(black_box(s), &peaks));
    run(group, "estimate_tuning", "", || af::estimate_tuning(black_box(s), &peaks, 0.01, 12));
    let classes = s.slice_move(ndarray::s![..12, ..]);
    run(group, "tonnetz", "", || af::tonnetz(black_box(classes)));
    drop(magnitude);

    run(group, "zcr", "", || af::zero_crossing_rate(black_box(samples), &ZcrConfig::default()));
    run(group, "rms", "", || af::rms(black_box(samples), &RmsConfig::default()));
    run(group, "resample", "", || af::resample(black_box(samples), SR as u32, 16_000));
    run(group, "preemphasis", "", || af::preemphasis(black_box(samples), 0.97));
    run(group, "zero_crossings", "", || af::zero_crossings(black_box(samples), &af::CrossingConfig::default()));
    run(group, "trim", "", || af::trim(black_box(samples), &SilenceConfig::default()));
    run(group, "split", "", || af::split(black_box(samples), &SilenceConfig::default()));
    run(group, "add_noise", "", || add_noise(black_box(samples), 20.0, Noise::White, 7));
    let yin = YinConfig { sr: SR as f64, fmin: 65.0, fmax: 500.0, ..YinConfig::default() };
    run(group, "yin", "", || af::yin(black_box(samples), &yin));
    // Minutes of hidden Markov states are for the patient.
    if samples.len() < 100 * SR {
        let pyin = PyinConfig { yin, ..PyinConfig::default() };
        run(group, "pyin", "", || af::pyin(black_box(samples), &pyin));
    }
}

fn features(criterion: &mut Criterion) {
    for (length, seconds) in [("3s", 3), ("600s", 600)] {
        let samples = clip(seconds);
        let mut group = criterion.benchmark_group(length);
        group.throughput(Throughput::Elements(samples.len() as u64));
        group.sample_size(if seconds > 100 { 10 } else { 50 });
        floor::<f64>(&mut group, "parity", &samples);
        floor::<f32>(&mut group, "fast", &samples);
        for (mode, precision) in [("parity", Precision::Parity), ("fast", Precision::Fast)] {
            spectral(&mut group, mode, precision, &samples);
        }
        others(&mut group, &samples);
        group.finish();
    }
}

criterion_group!(benches, features);
criterion_main!(benches);
