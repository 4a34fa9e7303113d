//! Media that the tests make for themselves.
#![allow(dead_code, clippy::unwrap_used)] // each test file uses its own part

use std::f64::consts::TAU;
use std::path::{Path, PathBuf};

use hound::{SampleFormat, WavSpec, WavWriter};
use video_io::synthetic::TestPattern;
use video_io::{FrameSource, VideoWriter, VideoWriterConfig};

/// A folder with a `clip.mp4` of 50 frames in 2 seconds, 64 x 48 pixels, and the sound given.
pub(crate) struct Clip {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) path: PathBuf,
}

pub(crate) fn clip(sound: Option<&[Channel]>) -> Clip {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("clip.mp4");
    let audio_from = sound.map(|channels| {
        let path = folder.path().join("sound.wav");
        wav(&path, 16_000, 2.0, channels);
        path
    });
    let config =
        VideoWriterConfig { width: 64, height: 48, frame_rate: 25.0, audio_from, ..VideoWriterConfig::default() };
    write_pattern(&path, config, 2.0);
    Clip { folder, path }
}

/// Writes the test pattern.
pub(crate) fn write_pattern(path: &Path, config: VideoWriterConfig, seconds: f64) {
    let mut pattern = TestPattern::new(config.width, config.height, config.frame_rate, seconds);
    let mut writer = VideoWriter::create(path, config).unwrap();
    while let Some(frame) = pattern.next_frame().unwrap() {
        writer.write(&frame.image, frame.time).unwrap();
    }
    writer.finish().unwrap();
}

/// One channel of a recording: a tone of this frequency in Hz and amplitude.
pub(crate) type Channel = (f64, f64);

/// Writes a WAV of 16 bits.
pub(crate) fn wav(path: &Path, sample_rate: u32, seconds: f64, channels: &[Channel]) {
    let spec =
        WavSpec { channels: channels.len() as u16, sample_rate, bits_per_sample: 16, sample_format: SampleFormat::Int };
    let mut writer = WavWriter::create(path, spec).unwrap();
    for n in 0..(f64::from(sample_rate) * seconds).round() as u32 {
        for channel in channels {
            writer.write_sample((tone(*channel, sample_rate, n) * 32_767.0).round() as i16).unwrap();
        }
    }
    writer.finalize().unwrap();
}

pub(crate) fn tone((frequency, amplitude): Channel, sample_rate: u32, n: u32) -> f64 {
    amplitude * (TAU * frequency * f64::from(n) / f64::from(sample_rate)).sin()
}

/// The mean difference of two pictures, in steps of 255.
pub(crate) fn difference(a: &image::RgbImage, b: &image::RgbImage) -> f64 {
    assert_eq!(a.dimensions(), b.dimensions());
    let sum: u64 = a.as_raw().iter().zip(b.as_raw()).map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
    sum as f64 / a.as_raw().len() as f64
}

/// The files in a folder, hidden ones too, sorted.
pub(crate) fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
    let mut names: Vec<String> = entries.map(|name| name.to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// Where the boxes of a kind begin in an MP4 (the position of their four letters).
pub(crate) fn boxes(bytes: &[u8], kind: &[u8; 4]) -> Vec<usize> {
    bytes.windows(4).enumerate().filter(|(_, window)| window == kind).map(|(position, _)| position).collect()
}
