#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod audio;
mod convert;
mod decibel;
mod error;
mod frame;
mod mel;
mod normalize;
mod resample;
mod sample;
mod scratch;
mod stft;
mod window;

pub use audio::{Audio, load, to_mono};
pub use convert::{fft_frequencies, hz_to_mel, hz_to_octs, mel_frequencies, mel_to_hz, octs_to_hz};
pub use decibel::{DbConfig, Reference, amplitude_to_db, db_to_amplitude, db_to_power, power_to_db};
pub use error::{Error, Result};
pub use frame::{PadMode, frame_time};
pub use mel::{MelConfig, MelNorm, MelSpectrogram, mel_filters};
pub use normalize::Norm;
pub use resample::{Resampler, ResamplerConfig, resample, resample_with};
pub use sample::Sample;
pub use stft::{Precision, Stft, StftConfig};
pub use window::Window;
