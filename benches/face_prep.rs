//! What the face front end costs: finding faces, resizing, cropping, augmenting.
//!
//! ```text
//! cargo bench --bench face_prep
//! ```

use std::hint::black_box;
use std::path::Path;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use face_prep::augment::{AugmentConfig, Augmenter};
use face_prep::{BoundingBox, Cascade, CascadeConfig, CascadeDetector, Filter, face_gray48, resize};
use image::{DynamicImage, GrayImage};

/// The public-domain portrait of the tests, enlarged into a frame of the given size.
fn scene(width: u32, height: u32) -> GrayImage {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/opencv-4.14.0/astronaut.png");
    let portrait = image::open(path).expect("the picture stands in the repository").into_luma8();
    resize(&portrait, width, height, Filter::Linear).expect("the sizes are not 0")
}

fn detection(c: &mut Criterion) {
    let mut group = c.benchmark_group("cascade");
    group.sample_size(20);
    for (width, height) in [(512, 512), (640, 480), (1280, 720)] {
        let image = scene(width, height);
        let two_threads = CascadeConfig { threads: 2, ..CascadeConfig::opencv() };
        let configs = [
            ("default", CascadeConfig::default()),
            ("every size", CascadeConfig::opencv()),
            ("every size, two threads", two_threads),
        ];
        for (name, config) in configs {
            let mut detector = CascadeDetector::new(Cascade::frontal_default(), config).expect("the config is fine");
            group.bench_with_input(BenchmarkId::new(name, format!("{width}x{height}")), &image, |b, image| {
                b.iter(|| detector.detect_multi_scale(black_box(image)));
            });
        }
    }
    group.finish();
}

fn pictures(c: &mut Criterion) {
    let image = scene(640, 480);
    let color = DynamicImage::ImageLuma8(image.clone()).into_rgb8();
    let mut group = c.benchmark_group("pictures");
    for filter in [Filter::Linear, Filter::LinearExact, Filter::Area, Filter::PillowBilinear] {
        group.bench_function(format!("resize 640x480 to 224x224, {filter:?}"), |b| {
            b.iter(|| resize(black_box(&image), 224, 224, filter));
        });
    }
    let face = BoundingBox::new(200.0, 60.0, 260.0, 260.0);
    group.bench_function("face_gray48", |b| b.iter(|| face_gray48(black_box(&color), &face, None)));
    group.finish();
}

fn augmentation(c: &mut Criterion) {
    let face = scene(48, 48);
    let mut group = c.benchmark_group("augment 48x48");
    group.throughput(Throughput::Elements(1));
    let compressed = AugmentConfig { low_resolution: 0.3, jpeg: 0.3, ..AugmentConfig::harsh() };
    for (name, config) in
        [("default", AugmentConfig::default()), ("harsh", AugmentConfig::harsh()), ("harsh and JPEG", compressed)]
    {
        let augmenter = Augmenter::new(config).expect("the config is fine");
        let mut changed = vec![0; 48 * 48];
        let mut seed = 0;
        group.bench_function(name, |b| {
            b.iter(|| {
                seed += 1;
                augmenter.apply_raw(black_box(face.as_raw()), 48, seed, &mut changed)
            });
        });
    }
    group.finish();
}

criterion_group!(benches, detection, pictures, augmentation);
criterion_main!(benches);
