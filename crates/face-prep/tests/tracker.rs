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

    /// People who keep apart keep their numbers, however they move, whichever frames are left out, and whoever is not found for a moment.
    #[test]
    fn people_who_keep_apart_keep_their_numbers(
        people in prop::collection::vec((40f32..110.0, 0f32..1.0, 0.02f32..0.4, 0f32..6.3), 1..7),
        steps in prop::collection::vec((1u64..4, prop::bits::u8::ANY, -0.03f32..0.03), 30..120),
        detect_every in 1u64..8,
    ) {
        // A lost face is looked for in full searches alone, and chance may hide it in many of them.
        let config = TrackerConfig { detect_every, remember: 20.0, ..TrackerConfig::default() };
        let (mut tracker, mut detector) = (Tracker::new(config).unwrap(), Told::default());
        let mut numbers: Vec<Option<u64>> = vec![None; people.len()];
        let mut index = 0;
        let mut unseen = vec![0; people.len()];
        for (skip, hidden, noise) in steps {
            index += skip;
            let time = index as f64 / 25.0;
            // Each in a field of the frame, on an ellipse no wider than a lost face may move.
            let place = |person: usize| {
                let (side, share, frequency, phase) = people[person];
                let angle = frequency * time as f32 * std::f32::consts::TAU + phase;
                let (x, y) = (0.35 * side * angle.cos(), 0.35 * side * share * angle.sin());
                face(106.0 + 213.0 * (person % 3) as f32 + x - side / 2.0, 120.0 + 240.0 * (person / 3) as f32 + y - side / 2.0, side)
            };
            detector.faces.clear();
            for (person, unseen) in unseen.iter_mut().enumerate() {
                // Nobody is missed three times in a row.
                let missed = hidden >> person & 1 == 1 && *unseen < 2;
                *unseen = if missed { *unseen + 1 } else { 0 };
                if !missed {
                    let mut found = place(person);
                    found.bbox.x += noise * found.bbox.width;
                    found.bbox = found.bbox.scaled(1.0 + noise);
                    detector.faces.push(found);
                }
            }
            for tracked in tracker.step(&frame(), index, time, &mut detector).unwrap() {
                let center = tracked.bbox.center();
                let person = (center.x / 213.4) as usize + 3 * (center.y / 240.0) as usize;
                prop_assert!(person < people.len(), "{tracked:?}");
                let number = *numbers[person].get_or_insert(tracked.track);
                prop_assert_eq!(number, tracked.track, "person {} at frame {}", person, index);
            }
        }
        let mut known: Vec<u64> = numbers.iter().flatten().copied().collect();
        known.sort_unstable();
        known.dedup();
        prop_assert_eq!(known.len(), people.len());
    }

    /// Two faces that pass each other, the farther one hidden while they overlap, keep their numbers.
    #[test]
    fn faces_that_cross_keep_their_numbers(
        near in 70f32..110.0, share in 0.6f32..0.95, speeds in (2f32..9.0, 2f32..9.0), offset in -0.6f32..0.6, detect_every in 1u64..8,
    ) {
        let config = TrackerConfig { detect_every, ..TrackerConfig::default() };
        let (mut tracker, mut detector) = (Tracker::new(config).unwrap(), Told::default());
        let far = near * share;
        // They meet in the middle after 25 frames.
        for index in 0..50u64 {
            let way = index as f32 - 25.0;
            let first = face(320.0 + speeds.0 * way - near / 2.0, 200.0, near);
            let second = face(320.0 - speeds.1 * way - far / 2.0, 200.0 + offset * near, far);
            let hidden = first.bbox.iou(&second.bbox) > 0.2;
            detector.faces = if hidden { vec![first] } else { vec![first, second] };
            let faces = tracker.step(&frame(), index, index as f64 / 25.0, &mut detector).unwrap();
            for tracked in faces.iter().filter(|tracked| tracked.detected && !hidden) {
                let [own, other] = if tracked.track % 2 == 1 { [first, second] } else { [second, first] };
                let distance = |face: &Detection| face.bbox.center().distance(tracked.bbox.center());
                prop_assert!(distance(&own) < distance(&other), "frame {}: {:?}, {:?}, {:?}", index, faces, first, second);
                prop_assert!(tracked.track <= 2);
            }
        }
    }

    /// A face that goes away keeps its number for as long as it is remembered, and no longer.
    #[test]
    fn a_face_is_remembered_as_long_as_said(away in 1u64..100, coast in 0f64..0.5, remember in 0.6f64..3.0, drift in -20f32..20.0) {
        let config = TrackerConfig { coast, remember, ..TrackerConfig::default() };
        let (mut tracker, mut detector) = (Tracker::new(config).unwrap(), Told::default());
        let mut last = Vec::new();
        for index in 0..20 + away + 20 {
            let here = !(20..20 + away).contains(&index);
            let x = 200.0 + if index < 20 { 0.0 } else { drift };
            detector.faces = if here { vec![face(x, 100.0, 100.0)] } else { vec![] };
            last = tracker.step(&frame(), index, index as f64 / 25.0, &mut detector).unwrap();
        }
        // From the last frame with the face to the next one with it.
        let gap = (away + 1) as f64 / 25.0;
        if (gap - remember).abs() > 0.05 {
            prop_assert_eq!(last[0].track, if gap < remember { 1 } else { 2 });
        }
        prop_assert_eq!(last.len(), 1);
    }

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
