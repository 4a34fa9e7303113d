//! Many faces at once, on a picture of the data folder that `EMOTION_DATA` names; says "skipped" without it.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test")]

use std::collections::BTreeMap;
use std::path::PathBuf;

use face_prep::{Affine, Border, Cascade, CascadeConfig, CascadeDetector, Point, Tracker, TrackerConfig, warp_affine};

/// The camera pans and zooms over a still group: whoever has a number keeps it, and nobody else gets it.
#[test]
fn everybody_in_a_crowd_keeps_their_number() {
    let folder = std::env::var_os("EMOTION_DATA").map(PathBuf::from);
    let Some(path) = folder.map(|folder| folder.join("faces/multi_face.jpg")).filter(|path| path.exists()) else {
        println!("skipped: EMOTION_DATA with faces/multi_face.jpg is needed");
        return;
    };
    let picture = image::open(path).unwrap().into_rgb8();
    let (width, height) = picture.dimensions();
    for detect_every in [1, 5] {
        let mut detector = CascadeDetector::new(Cascade::frontal_default(), CascadeConfig::default()).unwrap();
        let mut tracker = Tracker::new(TrackerConfig { detect_every, ..TrackerConfig::default() }).unwrap();
        // The place in the still picture where each number was first and how often it was seen.
        let mut people: BTreeMap<u64, (Point, u32)> = BTreeMap::new();
        let frames = 75;
        for index in 0..frames {
            let turn = index as f32 / 25.0 * 2.0;
            let zoom = 1.0 / (1.0 + 0.1 * (0.5 * turn).sin().abs());
            let (x, y) = (0.02 * width as f32 * turn.sin(), 0.015 * height as f32 * (1.3 * turn).sin());
            let center = (width as f32 / 2.0, height as f32 / 2.0);
            let camera = Affine::translation(-center.0, -center.1)
                .then(&Affine::scaling(zoom, zoom))
                .then(&Affine::translation(center.0 + x, center.1 + y));
            let frame = warp_affine(&picture, &camera, width, height, Border::Replicate).unwrap();
            for face in tracker.step(&frame, index, index as f64 / 25.0, &mut detector).unwrap() {
                let place = camera.apply(face.bbox.center());
                let (first, count) = people.entry(face.track).or_insert((place, 0));
                *count += 1;
                let moved = first.distance(place) / (zoom * face.bbox.width);
                assert!(moved < 0.5, "frame {index}: number {} went {moved} face widths", face.track);
            }
        }
        let counts: Vec<u32> = people.values().map(|&(_, count)| count).collect();
        println!("full search every {detect_every} frames: {} numbers, in {counts:?} of {frames} frames", people.len());
        // No two numbers on one person.
        let firsts: Vec<Point> = people.values().map(|&(first, _)| first).collect();
        for (number, first) in firsts.iter().enumerate() {
            assert!(firsts[..number].iter().all(|other| other.distance(*first) > 0.02 * width as f32), "{people:?}");
        }
        assert!(people.len() > 3);
    }
}
