//! Real recordings, where the folder that `EMOTION_DATA` names holds them in `video/`.
#![allow(clippy::unwrap_used, clippy::print_stderr)]

use std::path::PathBuf;

use video_io::{AudioReader, AudioSource, FrameSource, VideoReader, probe};

/// The clip's path; says so and returns `None` when it is not there.
fn clip(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("EMOTION_DATA").map(|data| PathBuf::from(data).join("video").join(name));
    let path = path.filter(|path| path.is_file());
    if path.is_none() {
        eprintln!("skipped: EMOTION_DATA holds no video/{name}");
    }
    path
}

/// Frames, width, height, the time of the last frame, samples at 16 kHz, the start of the sound.
fn check(name: &str, want: (u64, u32, u32, f64, usize, f64)) {
    let Some(path) = clip(name) else { return };
    let (frames, width, height, last, samples, start) = want;
    let mut video = VideoReader::open(&path).unwrap();
    let (mut count, mut time) = (0, f64::NEG_INFINITY);
    while let Some(frame) = video.next_frame_if(&mut |_, _| true).unwrap() {
        assert_eq!(frame.image.dimensions(), (width, height));
        assert!(frame.time > time);
        (count, time) = (count + 1, frame.time);
    }
    assert_eq!(count, frames);
    assert!((time - last).abs() < 1e-3, "the last frame at {time} s");
    assert_eq!(video.report(), Default::default());

    let mut audio = AudioReader::open(&path, 16_000).unwrap();
    assert!((audio.start_time() - start).abs() < 1e-3, "sound from {} s", audio.start_time());
    let read = audio.read_to_end().unwrap().len();
    assert!(read.abs_diff(samples) <= 2, "{read} samples");
    let info = probe(&path).unwrap();
    assert_eq!((info.video.as_ref(), info.audio.as_ref()), (Some(video.info()), Some(audio.info())));
}

#[test]
fn a_talking_head() {
    check("talking_head.mp4", (200, 512, 512, 7.96, 128_000, 0.0));
}

#[test]
fn acted_expressions() {
    check("expressive_25fps.mp4", (183, 512, 512, 7.28, 117_005, 0.0));
    check("expressive_30fps.mp4", (448, 512, 512, 14.9, 239_607, 0.0));
}

#[test]
fn uneven_frames_and_sound_that_begins_later() {
    check("face_noface.mov", (169, 960, 540, 6.3604, 63_449, 2.4300));
}

#[test]
fn a_file_that_cuts_off_its_first_frames() {
    check("no_face.mp4", (95, 960, 540, 3.9167, 63_449, 0.0));
}
