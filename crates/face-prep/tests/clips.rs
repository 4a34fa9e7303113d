//! Real clips: one face, one number. Needs the folder that `EMOTION_DATA` names and the `ffmpeg` program; says "skipped" without them.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test")]

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

mod common;

use common::Jitter;
use face_prep::{BoundingBox, Cascade, CascadeConfig, CascadeDetector, FaceDetector, Tracker, TrackerConfig};
use image::RgbImage;

fn clip(name: &str) -> Option<PathBuf> {
    let path = PathBuf::from(std::env::var_os("EMOTION_DATA")?).join("video").join(name);
    path.exists().then_some(path)
}

/// What came of following the faces of a clip.
#[derive(Default)]
struct Followed {
    frames: u64,
    /// Frames with a face, and those in which one was found, not predicted.
    with_face: u64,
    found: u64,
    /// How many frames each number was in.
    tracks: BTreeMap<u64, u64>,
    /// The first face of each frame, as it is followed, and as a detector alone finds it.
    boxes: Vec<Option<BoundingBox>>,
    detected: Vec<Option<BoundingBox>>,
    seconds: f64,
}

fn follow(path: &Path, (width, height): (u32, u32), rate: f64, detect_every: u64) -> Followed {
    let mut ffmpeg = Command::new("ffmpeg")
        .args(["-v", "error", "-i"])
        .arg(path)
        .args(["-f", "rawvideo", "-pix_fmt", "rgb24", "-"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stream = ffmpeg.stdout.take().unwrap();
    let mut detector = CascadeDetector::new(Cascade::frontal_default(), CascadeConfig::default()).unwrap();
    let mut tracker = Tracker::new(TrackerConfig { detect_every, ..TrackerConfig::default() }).unwrap();
    let mut frame = RgbImage::new(width, height);
    let mut all = Followed::default();
    while stream.read_exact(&mut frame).is_ok() {
        let start = Instant::now();
        let faces = tracker.step(&frame, all.frames, all.frames as f64 / rate, &mut detector).unwrap();
        all.seconds += start.elapsed().as_secs_f64();
        all.frames += 1;
        all.with_face += u64::from(!faces.is_empty());
        all.found += u64::from(faces.iter().any(|face| face.detected));
        faces.iter().for_each(|face| *all.tracks.entry(face.track).or_default() += 1);
        all.boxes.push(faces.first().map(|face| face.bbox));
        if detect_every == 1 {
            let faces = detector.detect(&frame).unwrap();
            all.detected
                .push(faces.iter().map(|face| face.bbox).max_by(|one, other| one.area().total_cmp(&other.area())));
        }
    }
    ffmpeg.wait().unwrap();
    let Followed { frames, with_face, found, ref tracks, .. } = all;
    let each = 1e3 * all.seconds / frames as f64;
    println!(
        "{}, full search every {detect_every} frames: {frames} frames of {each:.2} ms, {with_face} with a face, {found} found, \
         tracks {tracks:?}",
        path.display()
    );
    all
}

/// The tracker's jitter over the two seconds in which the detector's boxes lie closest together, with the detector's beside.
fn stillest(all: &Followed, frames: usize) -> [Jitter; 2] {
    let both: Vec<(BoundingBox, BoundingBox)> =
        all.boxes.iter().zip(&all.detected).filter_map(|(&tracked, &detected)| Some((tracked?, detected?))).collect();
    let (tracked, detected): (Vec<_>, Vec<_>) = both.into_iter().unzip();
    let windows = tracked.windows(frames).zip(detected.windows(frames));
    let jitters = windows.map(|(tracked, detected)| [Jitter::of(tracked), Jitter::of(detected)]);
    jitters.min_by(|first, second| first[1].place[0].total_cmp(&second[1].place[0])).unwrap()
}

#[test]
fn one_face_keeps_one_number() {
    let has_ffmpeg = Command::new("ffmpeg").arg("-version").stdout(Stdio::null()).status().is_ok();
    let clips = [
        ("talking_head.mp4", (512, 512), 25.0, 0.99),
        ("expressive_25fps.mp4", (512, 512), 25.0, 0.95),
        ("expressive_30fps.mp4", (512, 512), 30.0, 0.99),
        ("face_noface.mov", (960, 540), 30.0, 0.35),
        ("no_face.mp4", (960, 540), 24.0, 0.0),
    ];
    for (name, size, rate, share) in clips {
        let Some(path) = clip(name).filter(|_| has_ffmpeg) else {
            println!("skipped: EMOTION_DATA with video/{name} and the program ffmpeg are needed");
            continue;
        };
        let mut detected = Vec::new();
        // Searching every frame takes its time: one clip tells.
        let every: &[u64] = if name == "talking_head.mp4" { &[1, 5, 10] } else { &[5, 10] };
        for &detect_every in every {
            let mut all = follow(&path, size, rate, detect_every);
            let Followed { frames, with_face, ref tracks, .. } = all;
            assert!(with_face as f64 >= share * frames as f64, "{name}: {with_face} of {frames}");
            assert_eq!(tracks.len(), usize::from(share > 0.0), "{name}: {tracks:?}");
            if detect_every == 1 {
                detected = std::mem::take(&mut all.detected);
            }
            if name == "talking_head.mp4" {
                // Even the stillest speaker moves: what must be small is the change from frame to frame.
                all.detected.clone_from(&detected);
                let [tracked, detected] = stillest(&all, 50);
                println!("the stillest two seconds: detector {detected}; tracker {tracked}");
                assert!(tracked.worst_step() <= 0.01 && tracked.worst_step() < detected.worst_step(), "{tracked}");
            }
        }
    }
}
