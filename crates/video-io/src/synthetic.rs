//! Pictures and sound made by arithmetic: two sources to test with, and a clip made of them.

use std::f64::consts::TAU;
use std::path::Path;

use image::{Rgb, RgbImage};

use crate::source::{AudioSource, Frame, FrameSource, VideoInfo};
use crate::{Error, VideoWriter, VideoWriterConfig};

/// A source of smooth coloured pictures in which a bright square wanders from left to right.
#[derive(Debug, Clone)]
pub struct TestPattern {
    info: VideoInfo,
    next: u64,
    frames: u64,
}

impl TestPattern {
    /// A pattern of `seconds` at a constant `frame_rate`, `width` x `height` pixels.
    pub fn new(width: u32, height: u32, frame_rate: f64, seconds: f64) -> Self {
        let frames = (seconds * frame_rate).round().max(0.0) as u64;
        let info = VideoInfo {
            width,
            height,
            frame_rate,
            frames: Some(frames),
            duration: Some(frames as f64 / frame_rate),
            start_time: 0.0,
            codec: "synthetic".to_owned(),
            still: false,
        };
        TestPattern { info, next: 0, frames }
    }

    /// The picture with the number `index`: a function of its arguments alone.
    pub fn picture(width: u32, height: u32, index: u64) -> RgbImage {
        let side = (width.min(height) / 4).max(1);
        let left = (index * 2 % u64::from(width.max(1))) as u32;
        let ramp = |value: u32, of: u32| (200 * value / of.max(1)) as u8;
        RgbImage::from_fn(width, height, |x, y| {
            let inside = x.wrapping_sub(left) < side && y.wrapping_sub(height / 3) < side;
            Rgb(if inside { [235, 235, 200] } else { [ramp(x, width), ramp(y, height), 80] })
        })
    }
}

impl FrameSource for TestPattern {
    fn info(&self) -> &VideoInfo {
        &self.info
    }

    fn next_frame(&mut self) -> Result<Option<Frame>, Error> {
        if self.next == self.frames {
            return Ok(None);
        }
        let index = self.next;
        self.next += 1;
        let image = Self::picture(self.info.width, self.info.height, index);
        Ok(Some(Frame { index, time: index as f64 / self.info.frame_rate, image }))
    }
}

/// A source of a pure tone with an amplitude of one half.
#[derive(Debug, Clone)]
pub struct Tone {
    sample_rate: u32,
    frequency: f64,
    next: u64,
    samples: u64,
}

impl Tone {
    /// A tone of `frequency` Hz that lasts `seconds`.
    pub fn new(sample_rate: u32, frequency: f64, seconds: f64) -> Self {
        let samples = (seconds * f64::from(sample_rate)).round().max(0.0) as u64;
        Tone { sample_rate, frequency, next: 0, samples }
    }
}

impl AudioSource for Tone {
    fn sample_rate(&self) -> u32 {
        self.sample_rate
    }

    fn read(&mut self, out: &mut Vec<f32>) -> Result<usize, Error> {
        let end = self.samples.min(self.next + 1_024);
        let step = TAU * self.frequency / f64::from(self.sample_rate);
        out.extend((self.next..end).map(|n| (0.5 * (step * n as f64).sin()) as f32));
        let count = end - self.next;
        self.next = end;
        Ok(count as usize)
    }
}

/// Writes a [`TestPattern`] as a video file without sound.
///
/// # Errors
///
/// As [`VideoWriter`].
pub fn write_clip(path: impl AsRef<Path>, width: u32, height: u32, frame_rate: f64, seconds: f64) -> Result<(), Error> {
    let config = VideoWriterConfig { width, height, frame_rate, ..VideoWriterConfig::default() };
    let mut writer = VideoWriter::create(path, config)?;
    let mut pattern = TestPattern::new(width, height, frame_rate, seconds);
    while let Some(frame) = pattern.next_frame()? {
        writer.write(&frame.image, frame.time)?;
    }
    writer.finish()
}
