//! How much the box of a face trembles that does not move: the portrait as a camera would see it again and again, with noise, a shake
//! below a pixel and flickering light.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test")]

mod common;

use common::Jitter;
use face_prep::{
    Affine, Border, BoundingBox, Cascade, CascadeConfig, CascadeDetector, FaceDetector, Filter, Tracker, TrackerConfig,
    resize, warp_affine,
};
use image::RgbImage;

/// Numbers that look random, between -1 and 1.
struct Random(u32);

impl Random {
    fn next(&mut self) -> f32 {
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (self.0 >> 8) as f32 / (1 << 23) as f32 - 1.0
    }
}

/// A portrait that does not move, 512×512.
fn still_clip(frames: usize) -> Vec<RgbImage> {
    let picture = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/opencv-4.14.0/astronaut.png");
    let portrait = resize(&image::open(picture).unwrap().into_rgb8(), 512, 512, Filter::Linear).unwrap();
    let mut random = Random(7);
    let mut frame = || {
        let shake = Affine::translation(0.5 * random.next(), 0.5 * random.next());
        let light = 1.0 + 0.04 * random.next();
        let mut frame = warp_affine(&portrait, &shake, 512, 512, Border::Replicate).unwrap();
        for value in frame.iter_mut() {
            // The sum of three even distributions is close to a normal one, here of deviation 4.
            let noise = 4.0 * (random.next() + random.next() + random.next());
            *value = (f32::from(*value) * light + noise).round().clamp(0.0, 255.0) as u8;
        }
        frame
    };
    (0..frames).map(|_| frame()).collect()
}

fn largest(boxes: impl Iterator<Item = BoundingBox>) -> Option<BoundingBox> {
    boxes.max_by(|first, second| first.area().total_cmp(&second.area()))
}

#[test]
fn a_still_face_trembles_less_than_a_hundredth_of_its_width() {
    let mut detector = CascadeDetector::new(Cascade::frontal_default(), CascadeConfig::default()).unwrap();
    let clip = still_clip(60);
    let found = clip.iter().filter_map(|frame| largest(detector.detect(frame).unwrap().iter().map(|face| face.bbox)));
    let found: Vec<BoundingBox> = found.collect();
    // The filter has a second to settle.
    let raw = Jitter::of(&found[25..]);
    for detect_every in [1, 3, 5, 10] {
        let mut tracker = Tracker::new(TrackerConfig { detect_every, ..TrackerConfig::default() }).unwrap();
        let mut boxes = Vec::new();
        for (index, frame) in clip.iter().enumerate() {
            let faces = tracker.step(frame, index as u64, index as f64 / 25.0, &mut detector).unwrap();
            boxes.extend(largest(faces.iter().map(|face| face.bbox)));
        }
        assert!(boxes.len() >= 58, "{}", boxes.len());
        let smooth = Jitter::of(&boxes[25..]);
        println!("full search every {detect_every} frames: detector {raw}; tracker {smooth}");
        assert!(smooth.place.into_iter().all(|share| share <= 0.01) && smooth.worst_step() <= 0.01);
        assert!(smooth.worst_step() < raw.worst_step(), "{smooth}");
    }
}
