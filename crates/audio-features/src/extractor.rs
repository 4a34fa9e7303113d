//! Many features of one signal, from one transform.

use ndarray::{Array2, ArrayView2, Axis, concatenate};

use crate::chroma::{Chroma, ChromaConfig};
use crate::convert::fft_frequencies;
use crate::error::{Error, Result};
use crate::mel::MelConfig;
use crate::mfcc::{Mfcc, MfccConfig};
use crate::sample::Sample;
use crate::spectral::{
    ContrastConfig, spectral_bandwidth, spectral_centroid, spectral_contrast, spectral_flatness, spectral_rolloff,
};
use crate::stft::{Stft, StftConfig};
use crate::temporal::{RmsConfig, ZcrConfig, rms, zero_crossing_rate};
use crate::{DbConfig, power_to_db};

/// A feature that [`FeatureExtractor`] computes, with librosa's defaults for everything that [`ExtractorConfig`] does not name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum Feature {
    /// Share of sign changes, 1 row.
    ZeroCrossingRate,
    /// Loudness, 1 row.
    Rms,
    /// Pitch classes, `n_chroma` rows.
    Chroma,
    /// Cepstral coefficients, `n_mfcc` rows.
    Mfcc,
    /// Mel power, `n_mels` rows.
    Mel,
    /// Mel power in decibels, `n_mels` rows.
    LogMel,
    /// Mean frequency in Hz, 1 row.
    Centroid,
    /// Spread around the mean frequency in Hz, 1 row.
    Bandwidth,
    /// Frequency in Hz that 85 % of the magnitude lie below, 1 row.
    Rolloff,
    /// Noise (1) or tone (0), 1 row.
    Flatness,
    /// Peaks over valleys in dB, 7 rows.
    Contrast,
}

impl Feature {
    /// All of them, in the order of the enum.
    pub const ALL: [Self; 11] = [
        Self::ZeroCrossingRate,
        Self::Rms,
        Self::Chroma,
        Self::Mfcc,
        Self::Mel,
        Self::LogMel,
        Self::Centroid,
        Self::Bandwidth,
        Self::Rolloff,
        Self::Flatness,
        Self::Contrast,
    ];

    /// Its short name: `zcr`, `rms`, `chroma`, `mfcc`, `mel`, `log_mel`, `centroid`, `bandwidth`, `rolloff`, `flatness`, `contrast`.
    pub fn name(self) -> &'static str {
        match self {
            Self::ZeroCrossingRate => "zcr",
            Self::Rms => "rms",
            Self::Chroma => "chroma",
            Self::Mfcc => "mfcc",
            Self::Mel => "mel",
            Self::LogMel => "log_mel",
            Self::Centroid => "centroid",
            Self::Bandwidth => "bandwidth",
            Self::Rolloff => "rolloff",
            Self::Flatness => "flatness",
            Self::Contrast => "contrast",
        }
    }
}

impl std::str::FromStr for Feature {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|feature| feature.name() == name).ok_or_else(|| {
            let names: Vec<&str> = Self::ALL.iter().map(|feature| feature.name()).collect();
            Error::config("the feature", format!("one of {}", names.join(", ")), name)
        })
    }
}

/// Settings of a [`FeatureExtractor`].
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(default))]
pub struct ExtractorConfig {
    /// Sampling rate, in Hz. Default 22,050.
    pub sr: f64,
    /// The transform that all share. Its frames are also those of the zero-crossing rate and the RMS, so that all features
    /// have the same number of frames.
    pub stft: StftConfig,
    /// What is computed, in this order. Default: the five of the 162-vector.
    pub features: Vec<Feature>,
    /// Number of mel bands. Default 128.
    pub n_mels: usize,
    /// Number of cepstral coefficients. Default 20.
    pub n_mfcc: usize,
    /// Number of pitch classes. Default 12.
    pub n_chroma: usize,
    /// Tuning of the pitch classes; `None` estimates it from the signal. Default `None`.
    pub tuning: Option<f64>,
}

impl Default for ExtractorConfig {
    fn default() -> Self {
        Self {
            sr: 22_050.0,
            stft: StftConfig::default(),
            features: vec![Feature::ZeroCrossingRate, Feature::Chroma, Feature::Mfcc, Feature::Rms, Feature::Mel],
            n_mels: 128,
            n_mfcc: 20,
            n_chroma: 12,
            tuning: None,
        }
    }
}

/// Features of one signal, in the order they were asked for; all have the same number of frames.
#[derive(Debug, Clone, PartialEq)]
pub struct FeatureSet<T> {
    features: Vec<(Feature, Array2<T>)>,
}

impl<T: Sample> FeatureSet<T> {
    /// One feature, `[n_rows, n_frames]`; `None` when it was not asked for.
    pub fn get(&self, feature: Feature) -> Option<ArrayView2<'_, T>> {
        self.iter().find(|(name, _)| *name == feature).map(|(_, values)| values)
    }

    /// Every feature with its values.
    pub fn iter(&self) -> impl Iterator<Item = (Feature, ArrayView2<'_, T>)> {
        self.features.iter().map(|(feature, values)| (*feature, values.view()))
    }

    /// A name for every row of [`FeatureSet::stack`]: `rms`, `mfcc_0`, `mfcc_1`, …
    pub fn row_names(&self) -> Vec<String> {
        let names = |(feature, values): (Feature, ArrayView2<'_, T>)| match values.nrows() {
            1 => vec![feature.name().to_owned()],
            rows => (0..rows).map(|row| format!("{}_{row}", feature.name())).collect(),
        };
        self.iter().flat_map(names).collect()
    }

    /// All features on top of each other, `[n_rows, n_frames]`.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] when no feature was asked for.
    pub fn stack(&self) -> Result<Array2<T>> {
        let views: Vec<ArrayView2<'_, T>> = self.iter().map(|(_, values)| values).collect();
        concatenate(Axis(0), &views).map_err(|error| Error::input("the features", "one or more, equally long", error))
    }
}

/// Planned features that share one transform (in librosa every feature transforms the signal anew).
///
/// ```
/// use audio_features::{ExtractorConfig, Feature, FeatureExtractor};
///
/// let extractor = FeatureExtractor::new(&ExtractorConfig {
///     sr: 16_000.0,
///     features: vec![Feature::Mfcc, Feature::Centroid],
///     ..ExtractorConfig::default()
/// })?;
/// let features = extractor.process(&vec![0.1_f32; 16_000])?;
/// assert_eq!(features.get(Feature::Mfcc).map(|mfcc| mfcc.dim()), Some((20, 32)));
/// assert_eq!(features.stack()?.dim(), (21, 32));
/// # Ok::<(), audio_features::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct FeatureExtractor {
    config: ExtractorConfig,
    stft: Stft,
    mfcc: Mfcc,
    chroma: Chroma,
    freq: Vec<f64>,
}

impl FeatureExtractor {
    /// Plans the transform and the filter banks.
    ///
    /// # Errors
    /// [`Error::InvalidConfig`] as [`Mfcc::new`] and [`Chroma::new`].
    pub fn new(config: &ExtractorConfig) -> Result<Self> {
        let ExtractorConfig { sr, n_mels, n_mfcc, n_chroma, tuning, .. } = *config;
        let stft = config.stft.clone();
        let mel = MelConfig { sr, stft: stft.clone(), n_mels, ..MelConfig::default() };
        Ok(Self {
            stft: Stft::new(&stft)?,
            mfcc: Mfcc::new(&MfccConfig { mel, n_mfcc, ..MfccConfig::default() })?,
            freq: fft_frequencies(sr, stft.n_fft),
            chroma: Chroma::new(&ChromaConfig { sr, stft, n_chroma, tuning, ..ChromaConfig::default() })?,
            config: config.clone(),
        })
    }

    /// The settings it was planned with.
    pub fn config(&self) -> &ExtractorConfig {
        &self.config
    }

    /// The features of a signal.
    ///
    /// # Errors
    /// As [`Stft::process`], and as the single features.
    pub fn process<T: Sample>(&self, samples: &[T]) -> Result<FeatureSet<T>> {
        let (n_fft, hop_length, center) = (self.config.stft.n_fft, self.stft.hop_length(), self.config.stft.center);
        let wants = |features: &[Feature]| self.config.features.iter().any(|feature| features.contains(feature));
        // Of the shared spectrograms only what is needed is computed, and each once.
        let power = self.stft.spectrogram(samples, 2.0)?;
        let magnitude = if wants(&[
            Feature::Centroid,
            Feature::Bandwidth,
            Feature::Rolloff,
            Feature::Flatness,
            Feature::Contrast,
        ]) {
            power.mapv(|x| x.sqrt())
        } else {
            Array2::default((self.stft.n_bins(), 0))
        };
        let mel = if wants(&[Feature::Mel, Feature::LogMel, Feature::Mfcc]) {
            self.mfcc.mel().from_spectrogram(power.view())?
        } else {
            Array2::default((self.config.n_mels, 0))
        };
        let log_mel = if wants(&[Feature::LogMel, Feature::Mfcc]) {
            power_to_db(&mel, &DbConfig::default())?
        } else {
            Array2::default((self.config.n_mels, 0))
        };

        let compute = |feature: Feature| -> Result<Array2<T>> {
            let narrow = |values: Array2<f64>| values.mapv(T::narrow);
            Ok(match feature {
                Feature::ZeroCrossingRate => {
                    let config = ZcrConfig { frame_length: n_fft, hop_length, center, ..ZcrConfig::default() };
                    narrow(zero_crossing_rate(samples, &config)?)
                }
                Feature::Rms => {
                    let pad_mode = self.config.stft.pad_mode;
                    let config = RmsConfig { frame_length: n_fft, hop_length, center, pad_mode };
                    rms(samples, &config)?.mapv(|x| T::narrow(f64::from(x)))
                }
                Feature::Chroma => self.chroma.from_spectrogram(power.view())?,
                Feature::Mfcc => self.mfcc.from_log_mel(log_mel.view())?,
                Feature::Mel => mel.clone(),
                Feature::LogMel => log_mel.clone(),
                Feature::Centroid => narrow(spectral_centroid(magnitude.view(), &self.freq)?),
                Feature::Bandwidth => narrow(spectral_bandwidth(magnitude.view(), &self.freq, 2.0)?),
                Feature::Rolloff => narrow(spectral_rolloff(magnitude.view(), &self.freq, 0.85)?),
                Feature::Flatness => spectral_flatness(magnitude.view(), 1e-10, 2.0)?,
                Feature::Contrast => {
                    let config = ContrastConfig { sr: self.config.sr, ..ContrastConfig::default() };
                    narrow(spectral_contrast(magnitude.view(), &self.freq, &config)?)
                }
            })
        };
        let features =
            self.config.features.iter().map(|&feature| Ok((feature, compute(feature)?))).collect::<Result<_>>()?;
        Ok(FeatureSet { features })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MelSpectrogram;

    #[test]
    fn every_feature_is_there_and_equals_itself_alone() {
        let config = ExtractorConfig { features: Feature::ALL.to_vec(), ..ExtractorConfig::default() };
        let extractor = FeatureExtractor::new(&config).unwrap();
        let samples: Vec<f32> = (0..9000).map(|n| (n as f32 * 0.07).sin() * 0.4).collect();
        let features = extractor.process(&samples).unwrap();
        let frames = extractor.stft.n_frames(samples.len()).unwrap();
        assert!(features.iter().all(|(_, values)| values.ncols() == frames));
        assert_eq!(features.stack().unwrap().nrows(), features.row_names().len());
        let alone = MelSpectrogram::new(&MelConfig::default()).unwrap().process(&samples).unwrap();
        assert_eq!(features.get(Feature::Mel).unwrap(), alone);
        let alone = Mfcc::new(&MfccConfig::default()).unwrap().process(&samples).unwrap();
        assert_eq!(features.get(Feature::Mfcc).unwrap(), alone);
        let alone = Chroma::new(&ChromaConfig::default()).unwrap().process(&samples).unwrap();
        assert_eq!(features.get(Feature::Chroma).unwrap(), alone);
    }

    #[test]
    fn names_are_read_back() {
        for feature in Feature::ALL {
            assert_eq!(feature.name().parse::<Feature>().unwrap(), feature);
        }
        assert!("loudness".parse::<Feature>().is_err());
    }
}
