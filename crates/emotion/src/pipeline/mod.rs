//! The two passes over a clip, and what they amount to together.
//!
//! The sound comes first, so that the voice is known when the frames are drawn; then the frames, one by one. Neither pass
//! holds more of the clip than a window of sound or a small batch of frames.

mod assemble;
mod face;
mod voice;

pub(crate) use assemble::{Found, assemble};
pub(crate) use face::{Eyes, Seen, look};
pub(crate) use voice::{Ears, Heard, listen};

/// How far an analysis has come.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Progress {
    /// What is being done.
    pub stage: Stage,
    /// Seconds of the clip that are done in this stage.
    pub seconds: f64,
    /// The clip's length in seconds, where the file says it.
    pub duration: Option<f64>,
    /// Frames that are done; 0 in the sound stage.
    pub frames: u64,
}

/// The stages of an analysis, in order. A clip without sound or without pictures skips one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stage {
    /// Listening to the sound.
    Sound,
    /// Looking at the frames, drawing and encoding them when an annotated video is written.
    Video,
}

/// Rounded to a microsecond, so that files do not spell out the noise of floating-point sums.
pub(crate) fn microseconds(seconds: f64) -> f64 {
    (seconds * 1e6).round() / 1e6
}
