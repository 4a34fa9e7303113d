//! A whole clip, from the file to the timeline, without and with the annotated video.
//!
//! With the environment variable `EMOTION_DATA` the clip is `video/talking_head.mp4` below it (8 s, 512×512, speech); else
//! one is made by arithmetic, two seconds long, with a stub detector that sees a face in the middle of it.

use std::path::PathBuf;

use criterion::{Criterion, criterion_group, criterion_main};
use emotion::Analyzer;
use emotion::face_prep::{BoundingBox, Detection, Error, FaceDetector};
use emotion::video_io::synthetic;
use image::RgbImage;

/// Sees a face in the middle of every picture: the made clip holds none.
struct Middle;

impl FaceDetector for Middle {
    fn detect(&mut self, image: &RgbImage) -> Result<Vec<Detection>, Error> {
        let (width, height) = (image.width() as f32, image.height() as f32);
        let bbox = BoundingBox::new(width / 4.0, height / 4.0, height / 2.0, height / 2.0);
        Ok(vec![Detection { bbox, score: 1.0, landmarks: None }])
    }

    fn name(&self) -> &str {
        "middle"
    }
}

fn whole_clip(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let real = std::env::var_os("EMOTION_DATA").map(|data| PathBuf::from(data).join("video/talking_head.mp4"));
    let clip = real.clone().unwrap_or_else(|| {
        let path = folder.path().join("made.mp4");
        synthetic::write_clip(&path, 512, 512, 25.0, 2.0).expect("an encoder");
        path
    });
    let name = if real.is_some() { "talking-head-8s" } else { "made-2s" };
    let analyzer = |stride| {
        let builder = Analyzer::builder().stride(stride).threads(1);
        let builder = if real.is_some() { builder } else { builder.detector(Middle) };
        builder.build().expect("embedded models")
    };

    let mut group = criterion.benchmark_group("clip");
    group.sample_size(10);
    for stride in [1, 10] {
        let mut analyzer = analyzer(stride);
        group.bench_function(format!("{name}/stride-{stride}"), |bencher| {
            bencher.iter(|| analyzer.analyze(&clip).expect("a face"));
        });
    }
    let mut analyzer = analyzer(10);
    group.bench_function(format!("{name}/stride-10-annotated"), |bencher| {
        bencher.iter(|| analyzer.analyze_to(&clip, folder.path().join("out")).expect("a face"));
    });
    group.finish();
}

criterion_group!(benches, whole_clip);
criterion_main!(benches);
