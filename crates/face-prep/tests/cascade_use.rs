//! How a cascade detector is used: shared, from several threads, over and over, on pictures of every size.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::path::Path;
use std::sync::Arc;

use face_prep::{Cascade, CascadeConfig, CascadeDetector, CascadeHit, Error, Filter, resize};
use image::GrayImage;

fn portrait(width: u32, height: u32) -> GrayImage {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/opencv-4.14.0/astronaut.png");
    resize(&image::open(path).unwrap().into_luma8(), width, height, Filter::Linear).unwrap()
}

fn detector(cascade: Arc<Cascade>, threads: usize) -> CascadeDetector {
    let config = CascadeConfig { threads, min_neighbors: 0, ..CascadeConfig::opencv() };
    CascadeDetector::new(cascade, config).unwrap()
}

fn hits(detector: &mut CascadeDetector, image: &GrayImage) -> Vec<CascadeHit> {
    detector.detect_multi_scale(image).unwrap()
}

#[test]
fn the_number_of_threads_changes_nothing() {
    let cascade = Arc::new(Cascade::frontal_default());
    for (width, height) in [(640, 480), (1301, 333), (30, 25)] {
        let image = portrait(width, height);
        let alone = hits(&mut detector(cascade.clone(), 1), &image);
        for threads in [2, 3, 64] {
            assert_eq!(hits(&mut detector(cascade.clone(), threads), &image), alone, "{threads} at {width}x{height}");
        }
    }
    let none = CascadeDetector::new(cascade, CascadeConfig { threads: 0, ..CascadeConfig::default() });
    assert!(matches!(none, Err(Error::InvalidConfig { name: "threads", .. })));
}

#[test]
fn one_cascade_serves_many_threads() {
    fn shared<T: Send + Sync>(value: T) -> Arc<T> {
        Arc::new(value)
    }
    let cascade = shared(Cascade::frontal_default());
    let image = portrait(300, 300);
    let alone = hits(&mut detector(cascade.clone(), 1), &image);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| assert_eq!(hits(&mut detector(cascade.clone(), 1), &image), alone));
        }
    });
    // A detector that travels takes its scratch with it.
    let mut moved = detector(cascade, 2);
    let (alone, image) = (alone.as_slice(), &image);
    std::thread::scope(|scope| scope.spawn(move || assert_eq!(hits(&mut moved, image), alone)).join().unwrap());
}

#[test]
fn what_was_seen_before_leaves_no_trace() {
    let cascade = Arc::new(Cascade::frontal_default());
    let mut old = detector(cascade.clone(), 1);
    for (width, height) in [(700, 500), (64, 700), (200, 200), (24, 24), (700, 500), (23, 900)] {
        let image = portrait(width, height);
        assert_eq!(hits(&mut old, &image), hits(&mut detector(cascade.clone(), 1), &image), "{width}x{height}");
    }
}
