//! Where a signal is silent.

use std::ops::Range;

use ndarray::{ArrayD, ArrayView, ArrayView1, Axis, Dimension};

use crate::channels::each_channel;
use crate::decibel::{DbConfig, Reference, amplitude_to_db, median};
use crate::error::Result;
use crate::sample::Sample;
use crate::temporal::{RmsConfig, rms};

/// What the loudness of several channels together is, in dB (librosa's `aggregate`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Aggregate {
    /// That of the loudest channel, so silence is where every channel is silent (`np.max`). The default.
    #[default]
    Max,
    /// The mean (`np.mean`).
    Mean,
    /// The median (`np.median`).
    Median,
    /// That of the faintest channel, so silence is where any channel is silent (`np.min`).
    Min,
}

impl Aggregate {
    /// One loudness for several, at least one. Rounds to `f32` where numpy does.
    fn of(self, channels: ArrayView1<'_, f32>) -> f32 {
        match self {
            Self::Max => channels.iter().copied().fold(f32::NEG_INFINITY, f32::max),
            Self::Mean => channels.iter().sum::<f32>() / channels.len() as f32,
            Self::Median => median(&mut channels.to_vec()) as f32,
            Self::Min => channels.iter().copied().fold(f32::INFINITY, f32::min),
        }
    }
}

/// Settings of [`trim`] and [`split`], by librosa's names and with its defaults.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(default))]
pub struct SilenceConfig {
    /// A frame this far below the reference, in dB, or farther, is silent. Default 60.
    pub top_db: f64,
    /// The loudness that counts as 0 dB (`ref`). Default: that of the loudest frame.
    pub reference: Reference,
    /// What several channels come to together; axis by axis, from the first, where there are several of those. Default: the
    /// loudest.
    pub aggregate: Aggregate,
    /// Length of a frame, in samples. Default 2048.
    pub frame_length: usize,
    /// Samples from one frame to the next. Default 512.
    pub hop_length: usize,
}

impl Default for SilenceConfig {
    fn default() -> Self {
        Self { top_db: 60.0, reference: Reference::Max, aggregate: Aggregate::Max, frame_length: 2048, hop_length: 512 }
    }
}

/// The part of a signal without the silence at its ends, as a range of samples (librosa: `effects.trim`, which returns the
/// samples too). Empty when everything is silent by a fixed reference; by its own loudest frame, pure silence is not silent.
///
/// ```
/// use audio_features::{SilenceConfig, trim};
///
/// let mut samples = vec![0.0_f32; 30_000];
/// samples[10_000..20_000].fill(0.5);
/// let range = trim(&samples, &SilenceConfig::default())?;
/// assert_eq!(range, 9_216..21_504);
/// let trimmed = &samples[range];
/// # Ok::<(), audio_features::Error>(())
/// ```
///
/// # Errors
/// As [`rms`].
pub fn trim<T: Sample>(samples: &[T], config: &SilenceConfig) -> Result<Range<usize>> {
    trim_nd(ArrayView1::from(samples), config)
}

/// [`trim`] of several channels, `[channels…, n]`, heard together as [`SilenceConfig::aggregate`] says.
///
/// # Errors
/// As [`trim`] and [`each_channel`].
pub fn trim_nd<T: Sample, D: Dimension>(signals: ArrayView<'_, T, D>, config: &SilenceConfig) -> Result<Range<usize>> {
    let length = signals.shape().last().copied().unwrap_or(0);
    let loud = loud_frames(signals, config)?;
    let first = loud.iter().position(|&loud| loud);
    let last = loud.iter().rposition(|&loud| loud);
    Ok(match (first, last) {
        (Some(first), Some(last)) => {
            let end = length.min((last + 1) * config.hop_length);
            (first * config.hop_length).min(end)..end
        }
        _ => 0..0,
    })
}

/// The parts of a signal between silences, as ranges of samples (librosa: `effects.split`).
///
/// # Errors
/// As [`rms`].
pub fn split<T: Sample>(samples: &[T], config: &SilenceConfig) -> Result<Vec<Range<usize>>> {
    split_nd(ArrayView1::from(samples), config)
}

/// [`split`] of several channels, `[channels…, n]`, heard together as [`SilenceConfig::aggregate`] says.
///
/// # Errors
/// As [`split`] and [`each_channel`].
pub fn split_nd<T: Sample, D: Dimension>(
    signals: ArrayView<'_, T, D>,
    config: &SilenceConfig,
) -> Result<Vec<Range<usize>>> {
    let length = signals.shape().last().copied().unwrap_or(0);
    let loud = loud_frames(signals, config)?;
    let sample = |frame: usize| length.min(frame * config.hop_length);
    let mut parts = Vec::new();
    let mut start = None;
    for (frame, &loud) in loud.iter().chain([&false]).enumerate() {
        match (loud, start) {
            (true, None) => start = Some(frame),
            (false, Some(first)) => {
                parts.push(sample(first)..sample(frame));
                start = None;
            }
            _ => {}
        }
    }
    Ok(parts)
}

/// Which frames are loud.
fn loud_frames<T: Sample, D: Dimension>(signals: ArrayView<'_, T, D>, config: &SilenceConfig) -> Result<Vec<bool>> {
    let SilenceConfig { top_db, reference, aggregate, frame_length, hop_length } = *config;
    let rms_config = RmsConfig { frame_length, hop_length, ..RmsConfig::default() };
    // `[channels…, 1, n_frames]`; a reference such as the loudest frame is that of two channels together, since librosa takes
    // the last two axes for one spectrogram.
    let loudness: ArrayD<f32> = each_channel(signals, |samples| rms(samples, &rms_config))?;
    let loudness = loudness.index_axis(Axis(loudness.ndim() - 2), 0);
    let db_config = DbConfig { reference, top_db: None, ..DbConfig::amplitude() };
    let mut db = amplitude_to_db(&loudness, &db_config)?;
    while db.ndim() > 1 {
        db = db.map_axis(Axis(0), |channels| aggregate.of(channels));
    }
    Ok(db.iter().map(|&db| f64::from(db) > -top_db).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bursts() -> Vec<f32> {
        let mut samples = vec![0.0_f32; 60_000];
        samples[10_000..20_000].fill(0.5);
        samples[40_000..45_000].fill(-0.25);
        samples
    }

    #[test]
    fn parts_cover_what_is_loud() {
        let parts = split(&bursts(), &SilenceConfig::default()).unwrap();
        assert_eq!(parts.len(), 2);
        assert!(parts[0].start <= 10_000 && parts[0].end >= 20_000 && parts[1].start >= parts[0].end);
        assert_eq!(trim(&bursts(), &SilenceConfig::default()).unwrap(), parts[0].start..parts[1].end);
    }

    #[test]
    fn channels_are_heard_together_as_told() {
        // Three channels, loud in turn with pauses, and then all at once.
        let channels = ndarray::Array2::from_shape_fn((3, 40_000), |(channel, n)| {
            if n / 8000 == channel && n % 8000 < 4000 || n >= 32_000 { 0.5_f32 } else { 0.0 }
        });
        let start = |aggregate, top_db| {
            let config = SilenceConfig { aggregate, top_db, ..SilenceConfig::default() };
            split_nd(channels.view(), &config).unwrap()[0].start
        };
        assert_eq!(start(Aggregate::Max, 60.0), 0);
        // One of three is silent by 100 dB or so: that much is a third of the mean's way down.
        assert_eq!(start(Aggregate::Mean, 80.0), 0);
        assert!(start(Aggregate::Mean, 20.0) > 30_000);
        for aggregate in [Aggregate::Median, Aggregate::Min] {
            assert!((30_000..32_000).contains(&start(aggregate, 60.0)), "{aggregate:?}");
        }
    }

    #[test]
    fn silence_by_its_own_measure_is_kept_and_by_a_fixed_one_dropped() {
        let silence = vec![0.0_f32; 5000];
        assert_eq!(trim(&silence, &SilenceConfig::default()).unwrap(), 0..5000);
        let fixed = SilenceConfig { reference: Reference::Value(1.0), ..SilenceConfig::default() };
        assert_eq!(trim(&silence, &fixed).unwrap(), 0..0);
        assert!(split(&silence, &fixed).unwrap().is_empty());
        assert!(trim::<f32>(&[], &SilenceConfig { hop_length: 0, ..SilenceConfig::default() }).is_err());
    }
}
