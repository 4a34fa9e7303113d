//! Real clips: one face, one number. Needs the folder that `EMOTION_DATA` names and the `ffmpeg` program; says "skipped" without them.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test")]

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use face_prep::{Cascade, CascadeConfig, CascadeDetector, Tracker, TrackerConfig};
use image::RgbImage;

fn clip(name: &str) -> Option<PathBuf> {
    let path = PathBuf::from(std::env::var_os("EMOTION_DATA")?).join("video").join(name);
    path.exists().then_some(path)
}

/// Frames, frames with a face, frames in which it was found (not predicted), and how many frames each number was in.
fn follow(path: &Path, (width, height): (u32, u32), rate: f64) -> (u64, u64, u64, BTreeMap<u64, u64>) {
    let mut ffmpeg = Command::new("ffmpeg")
        .args(["-v", "error", "-i"])
        .arg(path)
        .args(["-f", "rawvideo", "-pix_fmt", "rgb24", "-"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stream = ffmpeg.stdout.take().unwrap();
    let mut detector = CascadeDetector::new(Cascade::frontal_default(), CascadeConfig::default()).unwrap();
    let mut tracker = Tracker::new(TrackerConfig::default()).unwrap();
    let mut frame = RgbImage::new(width, height);
    let (mut frames, mut with_face, mut found, mut tracks) = (0, 0, 0, BTreeMap::new());
    while stream.read_exact(&mut frame).is_ok() {
        let faces = tracker.step(&frame, frames, frames as f64 / rate, &mut detector).unwrap();
        frames += 1;
        with_face += u64::from(!faces.is_empty());
        found += u64::from(faces.iter().any(|face| face.detected));
        faces.iter().for_each(|face| *tracks.entry(face.track).or_default() += 1);
    }
    ffmpeg.wait().unwrap();
    println!("{}: {frames} frames, {with_face} with a face, {found} found, tracks {tracks:?}", path.display());
    (frames, with_face, found, tracks)
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
        let (frames, with_face, _, tracks) = follow(&path, size, rate);
        assert!(with_face as f64 >= share * frames as f64, "{name}: {with_face} of {frames}");
        assert_eq!(tracks.len(), usize::from(share > 0.0), "{name}: {tracks:?}");
    }
}
