//! `video-io`: frames and sound from any file FFmpeg reads.
mod audio;
mod demux;
mod error;
mod info;
mod picture;
mod resample;
mod source;
mod video;

pub use audio::AudioReader;
pub use error::{Cause, Error};
pub use info::{MediaInfo, probe};
pub use resample::Resampling;
pub use source::{AudioInfo, AudioSource, Frame, FrameSource, ReadReport, VideoInfo};
pub use video::VideoReader;
