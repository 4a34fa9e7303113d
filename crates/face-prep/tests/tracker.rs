//! The tracker on made-up detectors, whatever they do.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::collections::HashMap;

use face_prep::{BoundingBox, Detection, Error, FaceDetector, Tracker, TrackerConfig};
use image::RgbImage;
use proptest::prelude::*;

/// Says what it is told, and counts how often the whole frame was searched.
#[derive(Default)]
struct Told {
    faces: Vec<Detection>,
    searches: usize,
}

impl FaceDetector for Told {
    fn detect(&mut self, _: &RgbImage) -> Result<Vec<Detection>, Error> {
        self.searches += 1;
        Ok(self.faces.clone())
    }

    fn detect_near(&mut self, _: &RgbImage, region: &BoundingBox, sides: [f32; 2]) -> Result<Vec<Detection>, Error> {
        let near = |face: &&Detection| {
            region.contains(face.bbox.center()) && (sides[0]..=sides[1]).contains(&face.bbox.longer_side())
        };
        Ok(self.faces.iter().filter(near).copied().collect())
    }

    fn name(&self) -> &str {
        "told"
    }
}

fn face(x: f32, y: f32, side: f32) -> Detection {
    Detection { bbox: BoundingBox::new(x, y, side, side), score: 0.9, landmarks: None }
}

fn frame() -> RgbImage {
    RgbImage::new(640, 480)
}

#[test]
fn two_people_who_pass_each_other_keep_their_numbers() {
    let (mut tracker, mut detector) = (Tracker::new(TrackerConfig::default()).unwrap(), Told::default());
    for index in 0..100u64 {
        let way = 4.0 * index as f32;
        detector.faces = vec![face(20.0 + way, 100.0, 80.0), face(480.0 - way, 210.0, 90.0)];
        let faces = tracker.step(&frame(), index, index as f64 / 25.0, &mut detector).unwrap();
        if index > 0 {
            assert_eq!(faces.iter().map(|face| face.track).collect::<Vec<_>>(), [1, 2], "frame {index}");
            assert!(
                faces[0].bbox.iou(&detector.faces[0].bbox) > 0.7 && faces[1].bbox.iou(&detector.faces[1].bbox) > 0.7
            );
        }
    }
    assert!(detector.searches <= 21, "{}", detector.searches);
}

#[test]
fn a_lost_face_coasts_and_gets_its_number_back() {
    let (mut tracker, mut detector) = (Tracker::new(TrackerConfig::default()).unwrap(), Told::default());
    let mut seen = Vec::new();
    for index in 0..75u64 {
        // Away for a second.
        detector.faces = if (25..50).contains(&index) { vec![] } else { vec![face(200.0, 100.0, 100.0)] };
        let faces = tracker.step(&frame(), index, index as f64 / 25.0, &mut detector).unwrap();
        seen.push(faces.first().map(|face| (face.track, face.detected)));
    }
    assert_eq!(seen[24], Some((1, true)));
    assert_eq!(seen[27], Some((1, false)));
    assert_eq!(seen[45], None);
    assert_eq!(seen[50], Some((1, true)));
}

#[test]
fn a_single_weak_hit_is_no_face() {
    let (mut tracker, mut detector) = (Tracker::new(TrackerConfig::default()).unwrap(), Told::default());
    for index in 0..50u64 {
        let weak = Detection { score: 0.4, ..face(200.0, 100.0, 60.0) };
        detector.faces = if index % 10 == 0 { vec![weak] } else { vec![] };
        assert!(tracker.step(&frame(), index, index as f64 / 25.0, &mut detector).unwrap().is_empty());
    }
}

#[test]
fn a_still_face_does_not_jitter() {
    let (mut tracker, mut detector) = (Tracker::new(TrackerConfig::default()).unwrap(), Told::default());
    let mut centers = Vec::new();
    for index in 0..200u64 {
        // A detector whose boxes jump by up to 3 % of the face.
        let jump = |factor: u64| ((index * factor) % 13) as f32 / 2.0 - 3.0;
        detector.faces = vec![face(200.0 + jump(5), 100.0 + jump(7), 200.0 + jump(11))];
        let faces = tracker.step(&frame(), index, index as f64 / 25.0, &mut detector).unwrap();
        centers.extend(faces.iter().map(|face| face.bbox.center().x));
    }
    let moves: Vec<f32> = centers.windows(2).skip(25).map(|pair| pair[1] - pair[0]).collect();
    let deviation = (moves.iter().map(|step| step * step).sum::<f32>() / moves.len() as f32).sqrt();
    assert!(deviation < 0.01 * 200.0, "{deviation}");
}

#[test]
fn frames_must_come_in_order() {
    let (mut tracker, mut detector) = (Tracker::new(TrackerConfig::default()).unwrap(), Told::default());
    tracker.step(&frame(), 5, 0.2, &mut detector).unwrap();
    assert!(matches!(tracker.step(&frame(), 5, 0.3, &mut detector), Err(Error::InvalidInput { .. })));
    assert!(matches!(tracker.step(&frame(), 6, 0.2, &mut detector), Err(Error::InvalidInput { .. })));
    assert!(matches!(tracker.step(&frame(), 6, f64::NAN, &mut detector), Err(Error::InvalidInput { .. })));
    assert!(tracker.step(&frame(), 6, 0.3, &mut detector).is_ok());
    assert!(Tracker::new(TrackerConfig { detect_every: 0, ..TrackerConfig::default() }).is_err());
    assert!(Tracker::new(TrackerConfig { remember: 0.1, ..TrackerConfig::default() }).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever is detected: no number twice in a frame, finite boxes, never more faces than allowed, numbers that never return
    /// to another place than theirs after they were forgotten.
    #[test]
    fn any_detections_give_sound_tracks(
        frames in prop::collection::vec(prop::collection::vec((0f32..600.0, 0f32..440.0, 10f32..300.0, 0f32..1.0), 0..12), 1..60),
        skip in 1u64..4,
    ) {
        let config = TrackerConfig { max_faces: 8, ..TrackerConfig::default() };
        let (mut tracker, mut detector) = (Tracker::new(config).unwrap(), Told::default());
        let mut last_seen: HashMap<u64, f64> = HashMap::new();
        for (number, faces) in frames.iter().enumerate() {
            detector.faces = faces.iter().map(|&(x, y, side, score)| Detection { score, ..face(x, y, side) }).collect();
            let (index, time) = (number as u64 * skip, (number as u64 * skip) as f64 / 25.0);
            let tracked = tracker.step(&frame(), index, time, &mut detector).unwrap();
            prop_assert!(tracked.len() <= 8);
            prop_assert!(tracked.windows(2).all(|pair| pair[0].track < pair[1].track));
            for face in &tracked {
                prop_assert!(face.bbox.check().is_ok());
                if let Some(before) = last_seen.insert(face.track, time) {
                    prop_assert!(time - before <= 2.0 + 0.25 + 1e-9);
                }
            }
        }
    }
}
