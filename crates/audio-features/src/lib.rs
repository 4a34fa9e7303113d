#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod audio;
pub mod augment;
mod channels;
mod chroma;
mod convert;
mod decibel;
mod emphasis;
mod error;
mod extractor;
mod fft;
mod fftpack;
mod floored;
mod frame;
mod istft;
mod lanes;
mod linalg;
mod mel;
mod mfcc;
mod normalize;
#[cfg(feature = "rayon")]
mod parallel;
mod pitch;
mod resample;
mod sample;
mod scratch;
mod silence;
mod spectral;
mod stft;
mod stream;
pub mod summary;
mod temporal;
mod tuning;
mod voice;
#[cfg(feature = "wav")]
mod wav;
mod window;

pub use audio::{Audio, load, to_mono};
pub use channels::{each_channel, each_spectrogram};
pub use chroma::{Chroma, ChromaConfig, ChromaFilterConfig, chroma_filters, tonnetz};
pub use convert::{
    fft_frequencies, hz_to_mel, hz_to_midi, hz_to_note, hz_to_octs, mel_frequencies, mel_to_hz, midi_to_hz,
    midi_to_note, note_to_hz, note_to_midi, octs_to_hz,
};
pub use decibel::{DbConfig, Reference, amplitude_to_db, db_to_amplitude, db_to_power, power_to_db};
pub use emphasis::{deemphasis, preemphasis};
pub use error::{Error, Result};
pub use extractor::{ExtractorConfig, Feature, FeatureExtractor, FeatureSet};
pub use frame::{PadMode, frame_time};
pub use istft::{Istft, magphase};
pub use mel::{MelConfig, MelNorm, MelSpectrogram, mel_filters};
pub use mfcc::{DctNorm, DeltaConfig, DeltaMode, Mfcc, MfccConfig, delta};
pub use normalize::Norm;
#[cfg(feature = "rayon")]
pub use parallel::process_clips;
pub use pitch::{Pyin, PyinConfig, PyinTrack, YinConfig, pyin, yin};
pub use resample::{Resampler, ResamplerConfig, resample, resample_fourier, resample_polyphase, resample_with};
pub use sample::Sample;
pub use silence::{Aggregate, SilenceConfig, split, split_nd, trim, trim_nd};
pub use spectral::{
    BandwidthConfig, ContrastConfig, poly_features, spectral_bandwidth, spectral_centroid, spectral_contrast,
    spectral_flatness, spectral_rolloff,
};
pub use stft::{Precision, Stft, StftConfig};
pub use stream::{FeatureStream, TUNING_FRAMES};
pub use temporal::{
    CrossingConfig, RmsConfig, ZcrConfig, rms, rms_from_spectrogram, rms_into, zero_crossing_rate,
    zero_crossing_rate_into, zero_crossings,
};
pub use tuning::{PiptrackConfig, a4_to_tuning, estimate_tuning, piptrack, pitch_tuning};
pub use voice::{HnrConfig, NO_HARMONICS, harmonics_to_noise, teager_energy};
pub use window::Window;
