#![doc = include_str!("../README.md")]

mod audio;
#[cfg(feature = "camera")]
pub mod camera;
mod demux;
mod encode;
mod error;
mod ffi;
mod info;
mod picture;
mod resample;
mod sound;
mod source;
pub mod synthetic;
mod video;
mod watched;

pub use audio::AudioReader;
pub use encode::{VideoWriter, VideoWriterConfig};
pub use error::{Cause, Error};
pub use info::{MediaInfo, probe};
pub use resample::Resampling;
pub use sound::SoundTrack;
pub use source::{AudioInfo, AudioSource, Frame, FrameSource, ReadReport, VideoInfo};
pub use video::VideoReader;
