//! How long the shipped models take: one face, a batch of faces, a window of speech. LibTorch on one thread.

use std::f32::consts::TAU;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use emotion::fer_model::FerModel;
use emotion::model_kit::device::set_threads;
use emotion::ser_model::SerModel;
use image::{GrayImage, Luma};

fn faces(criterion: &mut Criterion) {
    set_threads(1).expect("one thread is in range");
    let model = FerModel::pretrained().expect("the weights are embedded");
    let face = GrayImage::from_fn(48, 48, |x, y| Luma([(x * 5 + y * 3) as u8]));
    let mut group = criterion.benchmark_group("face");
    for batch in [1, 32] {
        let faces = vec![face.clone(); batch];
        group.throughput(Throughput::Elements(batch as u64));
        group.bench_function(format!("batch-{batch}"), |bencher| {
            bencher.iter(|| model.predict_batch(&faces).expect("48×48 pictures"));
        });
    }
    group.finish();
}

fn speech(criterion: &mut Criterion) {
    set_threads(1).expect("one thread is in range");
    let model = SerModel::pretrained().expect("the weights are embedded");
    // Two seconds of a buzz with the pitch and the syllables of speech, so that the gate lets it through.
    let sound: Vec<f32> = (0..32_000)
        .map(|n| {
            let time = n as f32 / 16_000.0;
            let wave: f32 = (1..8).map(|k| (time * 150.0 * k as f32 * TAU).sin() / k as f32).sum();
            0.15 * wave * (time * 2.0 * TAU).sin().powi(2)
        })
        .collect();
    let mut group = criterion.benchmark_group("speech");
    group.throughput(Throughput::Elements(1));
    group.bench_function("window-2s", |bencher| {
        bencher.iter(|| model.predict(&sound, 16_000).expect("two seconds of finite samples"));
    });
    group.finish();
}

criterion_group!(benches, faces, speech);
criterion_main!(benches);
