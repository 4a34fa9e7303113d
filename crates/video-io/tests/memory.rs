//! Memory does not grow with the length of a clip. Alone in its file, because the peak is that of the process.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)] // in helpers too

mod common;

use std::fs;

use video_io::{AudioReader, AudioSource, FrameSource, VideoReader, VideoWriter, VideoWriterConfig};

/// The most memory that this process has held so far, in KiB.
fn peak() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// Reads a clip and writes it again with its sound, as an annotated video is made.
fn read_and_write(seconds: f64, folder: &std::path::Path) {
    let (sound, clip, copy) = (folder.join("a.wav"), folder.join("a.mp4"), folder.join("b.mp4"));
    common::wav(&sound, 44_100, seconds, &[(440.0, 0.5), (880.0, 0.5)]);
    let config = VideoWriterConfig { width: 96, height: 64, preset: "ultrafast".to_owned(), ..Default::default() };
    common::write_pattern(&clip, VideoWriterConfig { audio_from: Some(sound), ..config.clone() }, seconds);
    let mut video = VideoReader::open(&clip).unwrap();
    let mut writer =
        VideoWriter::create(&copy, VideoWriterConfig { audio_from: Some(clip.clone()), ..config }).unwrap();
    while let Some(frame) = video.next_frame().unwrap() {
        writer.write(&frame.image, frame.time).unwrap();
    }
    writer.finish().unwrap();
    let mut audio = AudioReader::open(&copy, 16_000).unwrap();
    let mut samples = Vec::new();
    while audio.read(&mut samples).unwrap() > 0 {
        samples.clear();
    }
}

#[test]
fn a_clip_fifteen_times_as_long_needs_no_more_memory() {
    let folder = tempfile::tempdir().unwrap();
    read_and_write(4.0, folder.path());
    let short = peak();
    read_and_write(60.0, folder.path());
    let long = peak();
    // The index of an MP4 grows by some bytes a frame.
    assert!(long < short + 4_000, "{short} KiB for 4 s, {long} KiB for 60 s");
}
