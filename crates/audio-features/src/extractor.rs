//! Many features of one signal, from one transform.

use ndarray::{Array2, ArrayView2, ArrayViewMut2, Axis, concatenate};

use crate::chroma::{Chroma, ChromaConfig, ChromaWork};
use crate::convert::fft_frequencies;
use crate::decibel::{self, DbConfig};
use crate::error::{Error, Result};
use crate::lanes::{Block, Lanes};
use crate::mel::MelConfig;
use crate::mfcc::{Mfcc, MfccConfig};
use crate::sample::Sample;
use crate::scratch::Pool;
use crate::spectral::{Bands, BandwidthConfig, ContrastConfig, Shape};
use crate::stft::{Stft, StftConfig};
use crate::temporal::{RmsConfig, ZcrConfig, rms_with, zero_crossing_rate_into};

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
    /// Those that start from a spectrogram.
    const SPECTRAL: [Self; 9] = [
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

    /// Those that are read off the magnitudes of all bins.
    const OF_MAGNITUDE: [Self; 5] = [Self::Centroid, Self::Bandwidth, Self::Rolloff, Self::Flatness, Self::Contrast];

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
    /// The octaves of [`Feature::Contrast`]; `None` when it was not asked for.
    bands: Option<Bands>,
    pool: Pool,
}

impl FeatureExtractor {
    /// Plans the transform and the filter banks.
    ///
    /// # Errors
    /// [`Error::InvalidConfig`] as [`Mfcc::new`] and [`Chroma::new`], and as [`spectral_contrast`](crate::spectral_contrast) when
    /// the contrast is asked for.
    pub fn new(config: &ExtractorConfig) -> Result<Self> {
        let ExtractorConfig { sr, n_mels, n_mfcc, n_chroma, tuning, .. } = *config;
        let stft = config.stft.clone();
        let transform = Stft::new(&stft)?;
        let mel = MelConfig { sr, stft: stft.clone(), n_mels, ..MelConfig::default() };
        let freq = fft_frequencies(sr, stft.n_fft);
        let bands = if config.features.contains(&Feature::Contrast) {
            Some(Bands::new(&ContrastConfig { sr, ..ContrastConfig::default() }, &freq)?)
        } else {
            None
        };
        Ok(Self {
            stft: transform,
            mfcc: Mfcc::new(&MfccConfig { mel, n_mfcc, ..MfccConfig::default() })?,
            freq,
            bands,
            pool: Pool::default(),
            chroma: Chroma::new(&ChromaConfig { sr, stft, n_chroma, tuning, ..ChromaConfig::default() })?,
            config: config.clone(),
        })
    }

    /// The settings it was planned with.
    pub fn config(&self) -> &ExtractorConfig {
        &self.config
    }

    /// Number of rows of a feature.
    pub fn rows(&self, feature: Feature) -> usize {
        match feature {
            Feature::Chroma => self.config.n_chroma,
            Feature::Mfcc => self.mfcc.n_mfcc(),
            Feature::Mel | Feature::LogMel => self.config.n_mels,
            Feature::Contrast => ContrastConfig::default().n_bands + 1,
            _ => 1,
        }
    }

    /// The features of a signal.
    ///
    /// # Errors
    /// As [`Stft::process`], and as the single features.
    pub fn process<T: Sample>(&self, samples: &[T]) -> Result<FeatureSet<T>> {
        let mut features = FeatureSet { features: Vec::new() };
        self.process_into(samples, &mut features)?;
        Ok(features)
    }

    /// Like [`FeatureExtractor::process`], into the arrays of an earlier result; they are made anew only where the number of
    /// frames is another. Nothing is allocated after the first call with signals of one length.
    ///
    /// # Errors
    /// As [`FeatureExtractor::process`]; what `features` holds then means nothing.
    pub fn process_into<T: Sample>(&self, samples: &[T], features: &mut FeatureSet<T>) -> Result<()> {
        let frames = self.stft.n_frames(samples.len())?;
        features.features.truncate(self.config.features.len());
        for (index, &feature) in self.config.features.iter().enumerate() {
            let shape = (self.rows(feature), frames);
            match features.features.get_mut(index) {
                Some(slot) if slot.0 == feature && slot.1.dim() == shape => {}
                Some(slot) => *slot = (feature, Array2::zeros(shape)),
                None => features.features.push((feature, Array2::zeros(shape))),
            }
        }

        let wants = |features: &[Feature]| self.config.features.iter().any(|feature| features.contains(feature));
        let mut work = self.pool.take::<Work<T>>();
        let work = &mut *work;
        // Of what features share only what is needed is computed, and each once.
        if wants(&Feature::SPECTRAL) {
            self.transform(samples, wants, work)?;
        }
        if wants(&[Feature::LogMel, Feature::Mfcc]) {
            work.log_mel.clear();
            work.log_mel.extend_from_slice(&work.mel);
            let log_mel = matrix(&mut work.log_mel, self.config.n_mels, frames)?;
            decibel::in_place(log_mel.into_dyn(), &DbConfig::default())?;
        }
        for (feature, out) in &mut features.features {
            self.fill(*feature, samples, work, out.view_mut())?;
        }
        Ok(())
    }

    /// Transforms the signal once, and computes of every block of frames what the features need while it is in the cache.
    fn transform<T: Sample>(
        &self,
        samples: &[T],
        wants: impl Fn(&[Feature]) -> bool,
        work: &mut Work<T>,
    ) -> Result<()> {
        let wants_power = wants(&Feature::OF_MAGNITUDE);
        let wants_mel = wants(&[Feature::Mel, Feature::LogMel, Feature::Mfcc]);
        let wants_chroma = wants(&[Feature::Chroma]);
        let signal = self.stft.framed(samples)?;
        let (frames, n_bins) = (signal.frames(), self.stft.n_bins());
        let ExtractorConfig { n_mels, n_chroma, tuning, .. } = self.config;
        let size_if = |wanted: bool, rows: usize| if wanted { rows * frames } else { 0 };
        work.power.resize(size_if(wants_power, n_bins), T::zero());
        work.mel.resize(size_if(wants_mel, n_mels), T::zero());
        work.chroma.resize(size_if(wants_chroma, n_chroma), T::zero());
        work.bands.resize(n_mels, Lanes::default());
        work.for_chroma.forget_peaks();

        let frame_by_frame = |work: &mut Work<T>, block: &Block<'_, Lanes<T>>| {
            if wants_mel {
                self.mfcc.mel().apply(block.bins, &mut work.bands);
                store_rows(&work.bands, block, frames, &mut work.mel);
            }
            if wants_power {
                let power = work.power[block.first * n_bins..].chunks_exact_mut(n_bins).take(block.frames);
                for (frame, power) in power.enumerate() {
                    power.iter_mut().zip(&*block.bins).for_each(|(slot, bin)| *slot = bin.0[frame]);
                }
            }
        };
        let chroma = |work: &mut Work<T>, block: &Block<'_, Lanes<T>>| {
            store_rows(self.chroma.classes(block, &mut work.for_chroma), block, frames, &mut work.chroma);
        };
        match tuning {
            None if wants_chroma => {
                let first = |work: &mut Work<T>, block: Block<'_, Lanes<T>>| {
                    self.chroma.collect_peaks(&block, &mut work.for_chroma);
                    frame_by_frame(work, &block);
                };
                let tune = |work: &mut Work<T>, more| self.chroma.tune_to_peaks(&mut work.for_chroma, more);
                let second = |work: &mut Work<T>, block: Block<'_, Lanes<T>>| chroma(work, &block);
                while !self.stft.spectrogram_twice(&signal, 2.0, work, first, tune, second)? {
                    work.for_chroma.forget_peaks_and_keep_all();
                }
                Ok(())
            }
            _ => {
                self.chroma.tune(&mut work.for_chroma, tuning.unwrap_or(0.0))?;
                self.stft.spectrogram_blocks(&signal, 0..frames, 2.0, |block| {
                    frame_by_frame(work, &block);
                    if wants_chroma {
                        chroma(work, &block);
                    }
                })
            }
        }
    }

    /// Computes one feature from what stands in `work`.
    fn fill<T: Sample>(
        &self,
        feature: Feature,
        samples: &[T],
        work: &mut Work<T>,
        mut out: ArrayViewMut2<'_, T>,
    ) -> Result<()> {
        let (n_fft, hop_length, center) = (self.config.stft.n_fft, self.stft.hop_length(), self.config.stft.center);
        let (frames, n_bins, n_mels) = (out.ncols(), self.stft.n_bins(), self.config.n_mels);
        match feature {
            Feature::ZeroCrossingRate => {
                let config = ZcrConfig { frame_length: n_fft, hop_length, center, ..ZcrConfig::default() };
                work.values.resize(frames, 0.0);
                zero_crossing_rate_into(samples, &config, matrix(&mut work.values, 1, frames)?)?;
                out.iter_mut().zip(&work.values).for_each(|(slot, &x)| *slot = T::narrow(x));
            }
            Feature::Rms => {
                let pad_mode = self.config.stft.pad_mode;
                let config = RmsConfig { frame_length: n_fft, hop_length, center, pad_mode };
                work.loudness.resize(frames, 0.0);
                rms_with(samples, &config, &mut work.padded, matrix(&mut work.loudness, 1, frames)?)?;
                out.iter_mut().zip(&work.loudness).for_each(|(slot, &x)| *slot = T::narrow(f64::from(x)));
            }
            Feature::Chroma => out.assign(&matrix(&mut work.chroma, self.config.n_chroma, frames)?),
            Feature::Mfcc => self.mfcc.from_log_mel_into(matrix(&mut work.log_mel, n_mels, frames)?.view(), out)?,
            Feature::Mel => out.assign(&matrix(&mut work.mel, n_mels, frames)?),
            Feature::LogMel => out.assign(&matrix(&mut work.log_mel, n_mels, frames)?),
            Feature::Centroid | Feature::Bandwidth | Feature::Rolloff | Feature::Flatness => {
                let shape = match feature {
                    Feature::Centroid => Shape::Centroid,
                    Feature::Bandwidth => Shape::bandwidth(&BandwidthConfig::default())?,
                    Feature::Rolloff => Shape::rolloff(0.85)?,
                    _ => Shape::flatness(1e-10, 2.0)?,
                };
                for (power, slot) in work.power.chunks_exact(n_bins).zip(out.iter_mut()) {
                    magnitude(power, &mut work.frame);
                    let mut value = [0.0];
                    shape.of(&mut work.frame, &self.freq, &mut value);
                    *slot = T::narrow(value[0]);
                }
            }
            Feature::Contrast => {
                let Some(bands) = &self.bands else { return Ok(()) };
                let rows = bands.rows();
                // Peaks and valleys, frame by frame.
                work.values.resize(2 * rows * frames, 0.0);
                let (peaks, valleys) = work.values.split_at_mut(rows * frames);
                let places = peaks.chunks_exact_mut(rows).zip(valleys.chunks_exact_mut(rows));
                for (power, (peak, valley)) in work.power.chunks_exact(n_bins).zip(places) {
                    magnitude(power, &mut work.frame);
                    bands.of(&work.frame, &mut work.sorted, peak, valley);
                }
                for values in [&mut *peaks, &mut *valleys] {
                    decibel::in_place(matrix(values, frames, rows)?.into_dyn(), &DbConfig::default())?;
                }
                let values = peaks.chunks_exact(rows).zip(valleys.chunks_exact(rows));
                for (mut column, (peak, valley)) in out.columns_mut().into_iter().zip(values) {
                    for ((slot, peak), valley) in column.iter_mut().zip(peak).zip(valley) {
                        *slot = T::narrow(peak - valley);
                    }
                }
            }
        }
        Ok(())
    }
}

/// The working memory of one call.
#[derive(Default)]
struct Work<T> {
    for_chroma: ChromaWork<T>,
    /// The bands of a block of frames.
    bands: Vec<Lanes<T>>,
    /// Pitch classes, class by class.
    chroma: Vec<T>,
    /// The power spectrogram, frame by frame.
    power: Vec<T>,
    /// Mel bands, band by band, as power and in decibels.
    mel: Vec<T>,
    log_mel: Vec<T>,
    frame: Vec<T>,
    sorted: Vec<T>,
    padded: Vec<T>,
    values: Vec<f64>,
    loudness: Vec<f32>,
}

/// The square roots of a frame's powers.
fn magnitude<T: Sample>(power: &[T], frame: &mut Vec<T>) {
    frame.clear();
    frame.extend(power.iter().map(|x| x.sqrt()));
}

/// Writes a block of features to rows of `frames` values.
fn store_rows<T: Sample>(values: &[Lanes<T>], block: &Block<'_, Lanes<T>>, frames: usize, out: &mut [T]) {
    for (row, value) in out.chunks_exact_mut(frames).zip(values) {
        row[block.first..block.first + block.frames].copy_from_slice(&value.0[..block.frames]);
    }
}

/// Values that lie row by row.
fn matrix<T>(values: &mut [T], rows: usize, columns: usize) -> Result<ArrayViewMut2<'_, T>> {
    ArrayViewMut2::from_shape((rows, columns), values)
        .map_err(|error| Error::input("the feature", format!("of shape [{rows}, {columns}]"), error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        MelSpectrogram, rms, spectral_bandwidth, spectral_centroid, spectral_contrast, spectral_flatness,
        spectral_rolloff, zero_crossing_rate,
    };

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
        let magnitude = extractor.stft.spectrogram(&samples, 1.0).unwrap();
        let freq = fft_frequencies(22_050.0, 2048);
        for (feature, alone) in [
            (Feature::Centroid, spectral_centroid(magnitude.view(), &freq).unwrap()),
            (Feature::Bandwidth, spectral_bandwidth(magnitude.view(), &freq, &BandwidthConfig::default()).unwrap()),
            (Feature::Rolloff, spectral_rolloff(magnitude.view(), &freq, 0.85).unwrap()),
            (Feature::Contrast, spectral_contrast(magnitude.view(), &freq, &ContrastConfig::default()).unwrap()),
            (Feature::ZeroCrossingRate, zero_crossing_rate(&samples, &ZcrConfig::default()).unwrap()),
            (Feature::Rms, rms(&samples, &RmsConfig::default()).unwrap().mapv(f64::from)),
        ] {
            assert_eq!(features.get(feature).unwrap(), alone.mapv(|x| x as f32), "{feature:?}");
        }
        let alone = spectral_flatness(magnitude.view(), 1e-10, 2.0).unwrap();
        assert_eq!(features.get(Feature::Flatness).unwrap(), alone);

        // Into the arrays of another signal, longer or of the same length.
        for n in [9000, 20_000] {
            let mut again = extractor.process(&vec![0.5_f32; n]).unwrap();
            extractor.process_into(&samples, &mut again).unwrap();
            assert_eq!(again, features);
        }
    }

    #[test]
    fn names_are_read_back() {
        for feature in Feature::ALL {
            assert_eq!(feature.name().parse::<Feature>().unwrap(), feature);
        }
        assert!("loudness".parse::<Feature>().is_err());
    }
}
