//! How long every feature takes on a short and on a long clip, in both precisions, beside the bare Fourier transforms.
//!
//! ```text
//! cargo bench --bench audio_features                # everything
//! cargo bench --bench audio_features -- 3s/mel      # what matches
//! ```

use std::hint::black_box;

use audio_features::augment::TimeStretch;
use audio_features::summary::Vector162;
use audio_features::{
    Chroma, ChromaConfig, MelConfig, MelSpectrogram, Mfcc, MfccConfig, Precision, RmsConfig, Stft, StftConfig, Window,
    ZcrConfig, resample, rms, zero_crossing_rate,
};
use criterion::{Bencher, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use realfft::RealFftPlanner;

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

/// Nothing but the transforms: copy a frame, multiply it by the window, transform it.
fn floor(bencher: &mut Bencher<'_>, samples: &[f32]) {
    let window: Vec<f32> =
        Window::Hann.samples(2048, true).expect("a window can be drawn").into_iter().map(|w| w as f32).collect();
    let fft = RealFftPlanner::<f32>::new().plan_fft_forward(2048);
    let (mut input, mut output, mut scratch) = (fft.make_input_vec(), fft.make_output_vec(), fft.make_scratch_vec());
    bencher.iter(|| {
        for frame in samples.windows(2048).step_by(512) {
            for ((slot, x), w) in input.iter_mut().zip(frame).zip(&window) {
                *slot = x * w;
            }
            fft.process_with_scratch(&mut input, &mut output, &mut scratch).expect("lengths agree");
            black_box(&output);
        }
    });
}

fn features(criterion: &mut Criterion) {
    for (length, seconds) in [("3s", 3), ("600s", 600)] {
        let samples = clip(seconds);
        let mut group = criterion.benchmark_group(length);
        group.throughput(Throughput::Elements(samples.len() as u64));
        group.sample_size(if seconds > 100 { 10 } else { 50 });
        group.bench_function("floor/fast", |bencher| floor(bencher, &samples));

        for (mode, precision) in [("parity", Precision::Parity), ("fast", Precision::Fast)] {
            let stft = StftConfig { precision, ..StftConfig::default() };
            let plan = Stft::new(&stft).expect("defaults can be planned");
            group.bench_function(BenchmarkId::new("stft", mode), |b| b.iter(|| plan.process(black_box(&samples))));

            let mel_config = MelConfig { stft: stft.clone(), ..MelConfig::default() };
            let plan = MelSpectrogram::new(&mel_config).expect("defaults can be planned");
            group.bench_function(BenchmarkId::new("mel", mode), |b| b.iter(|| plan.process(black_box(&samples))));

            let config = MfccConfig { mel: mel_config, ..MfccConfig::default() };
            let plan = Mfcc::new(&config).expect("defaults can be planned");
            group.bench_function(BenchmarkId::new("mfcc", mode), |b| b.iter(|| plan.process(black_box(&samples))));

            for (name, tuning) in [("chroma", None), ("chroma_tuned", Some(0.0))] {
                let config = ChromaConfig { stft: stft.clone(), tuning, ..ChromaConfig::default() };
                let plan = Chroma::new(&config).expect("defaults can be planned");
                group.bench_function(BenchmarkId::new(name, mode), |b| b.iter(|| plan.process(black_box(&samples))));
            }

            let plan = Vector162::new(SR as f64, precision).expect("defaults can be planned");
            group
                .bench_function(BenchmarkId::new("vector_162", mode), |b| b.iter(|| plan.process(black_box(&samples))));

            let plan = TimeStretch::new(&stft).expect("defaults can be planned");
            group.bench_function(BenchmarkId::new("time_stretch", mode), |b| {
                b.iter(|| plan.time_stretch(black_box(&samples), 0.8));
            });
        }
        group.bench_function("zcr", |b| b.iter(|| zero_crossing_rate(black_box(&samples), &ZcrConfig::default())));
        group.bench_function("rms", |b| b.iter(|| rms(black_box(&samples), &RmsConfig::default())));
        group.bench_function("resample", |b| b.iter(|| resample(black_box(&samples), 22_050, 16_000)));
        group.finish();
    }
}

criterion_group!(benches, features);
criterion_main!(benches);
