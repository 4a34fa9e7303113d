//! From sound to what the networks see: mono 16 kHz, trimmed, as a log-mel image or as the 162 classic numbers.
//!
//! Every model of this crate works on mono 16 kHz, the narrowest band among the corpora, so that no model can tell a
//! corpus by its bandwidth. The mel bands end well below 8 kHz, where resampling filters differ, so that a 48 kHz
//! recording and its 16 kHz copy give nearly the same answer.

use std::fs::File;
use std::io::Read;
use std::ops::Range;
use std::path::Path;

use audio_features::{MelConfig, MelSpectrogram, Precision, StftConfig};
use ndarray::{Array2, Axis};
use serde::{Deserialize, Serialize};

use crate::Error;

/// The sampling rate of every network, in Hz.
pub const SAMPLE_RATE: u32 = 16_000;

/// The shortest sound that is classified, in seconds.
pub const MIN_SECONDS: f64 = 0.25;

/// The sampling rates that are taken, in Hz: telephone-grade sound to studio equipment.
pub const RATES: std::ops::RangeInclusive<u32> = 4_000..=384_000;

/// Makes mono sound of any rate into sound at [`SAMPLE_RATE`].
///
/// # Errors
/// [`Error::EmptySound`], [`Error::SampleRate`] outside [`RATES`], [`Error::NotFinite`].
pub fn to_model_rate(samples: &[f32], sample_rate: u32) -> Result<Vec<f32>, Error> {
    check(samples)?;
    if !RATES.contains(&sample_rate) {
        return Err(Error::SampleRate { least: *RATES.start(), most: *RATES.end(), got: sample_rate });
    }
    if sample_rate == SAMPLE_RATE {
        return Ok(samples.to_vec());
    }
    Ok(audio_features::resample(samples, sample_rate, SAMPLE_RATE)?)
}

/// Reads a WAV or FLAC file of any rate and channel count as mono sound at [`SAMPLE_RATE`]; channels are averaged.
///
/// # Errors
/// [`Error::Decode`] with the path when the file cannot be read, and as [`to_model_rate`].
pub fn load(path: &Path) -> Result<Vec<f32>, Error> {
    let audio = audio_features::load(path).map_err(|source| Error::Decode { path: path.into(), source })?;
    to_model_rate(&audio.to_mono(), audio.sample_rate)
}

/// How many bytes a WAV file lacks of what its header promises: it was cut off, and [`load`] reads it as far as it goes. 0
/// for whole files, for headers that promise nothing (a writer that could not come back to them leaves 0 or the largest
/// number), and for what is no WAV file.
///
/// # Errors
/// [`Error::Io`] when the file cannot be read.
pub fn missing_bytes(path: &Path) -> Result<u64, Error> {
    let on_io = |source| Error::Io { path: path.into(), source };
    let mut file = File::open(path).map_err(on_io)?;
    let length = file.metadata().map_err(on_io)?.len();
    let mut header = Vec::with_capacity(12);
    file.by_ref().take(12).read_to_end(&mut header).map_err(on_io)?;
    Ok(match header.as_slice() {
        [b'R', b'I', b'F', b'F', size @ .., b'W', b'A', b'V', b'E'] => {
            let size = size.try_into().map_or(0, u32::from_le_bytes);
            if size == u32::MAX { 0 } else { (u64::from(size) + 8).saturating_sub(length) }
        }
        _ => 0,
    })
}

/// Refuses empty sound and samples that are not finite.
pub(crate) fn check(samples: &[f32]) -> Result<(), Error> {
    if samples.is_empty() {
        return Err(Error::EmptySound);
    }
    match samples.iter().position(|sample| !sample.is_finite()) {
        Some(index) => Err(Error::NotFinite { index, value: samples[index] }),
        None => Ok(()),
    }
}

/// How the level of a log-mel image is treated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Normalization {
    /// The level of the loud frames (that which a twentieth of the frames exceed) is subtracted, and what lies more than
    /// 70 dB below it counts as that: the loudness of a recording says as much about the microphone as about the voice, so
    /// the network never sees it. Noise fills the valleys but hardly moves the peaks, so speech in noise stays where it was. The default.
    #[default]
    Peak,
    /// The mean of the whole image is subtracted. Pauses lower it and noise raises it.
    Level,
    /// The mean of each band over time is subtracted: also removes the colour of microphone and room, and of the voice.
    Band,
    /// Nothing is subtracted but a constant: the network hears loudness.
    Fixed,
}

/// Settings of the log-mel image and of the trimming before it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogMelConfig {
    /// Length of the transform, in samples. Default 1024 (64 ms), long enough to tell the harmonics of most voices apart.
    pub n_fft: usize,
    /// Length of the Hann window, in samples; at most `n_fft`. Default 1024 (64 ms).
    pub win_length: usize,
    /// Samples from frame to frame. Default 256 (16 ms).
    pub hop_length: usize,
    /// Number of mel bands, a multiple of 16. Default 64.
    pub n_mels: usize,
    /// Lowest frequency, in Hz. Default 50.
    pub fmin: f64,
    /// Highest frequency, in Hz, at most 8000. Default 7000, within the pass-band of resampling.
    pub fmax: f64,
    /// How the level is treated.
    pub normalization: Normalization,
    /// Leading and trailing sound this many dB below the loudest frame is cut off; 0 keeps all. Default 35.
    pub trim_db: f32,
}

impl Default for LogMelConfig {
    fn default() -> Self {
        Self {
            n_fft: 1024,
            win_length: 1024,
            hop_length: 256,
            n_mels: 64,
            fmin: 50.0,
            fmax: 7000.0,
            normalization: Normalization::default(),
            trim_db: 35.0,
        }
    }
}

/// Energies below this count as this: about −90 dB against a full-scale tone, below the noise of 16-bit sound.
pub(crate) const FLOOR: f32 = 1e-9;

/// The level that [`Normalization::Fixed`] subtracts, in dB, about the mean over the corpora.
pub(crate) const FIXED_LEVEL: f32 = -45.0;

/// [`Normalization::Peak`]: the share of the frames below the reference, how far below it the middle of the network's input
/// lies, and how far its least, both in dB.
pub(crate) const PEAK_QUANTILE: f32 = 0.95;
pub(crate) const PEAK_MIDDLE: f32 = 40.0;
pub(crate) const PEAK_RANGE: f32 = 70.0;

/// What decibels are divided by, so that the network's input varies by about 1.
pub(crate) const SCALE: f32 = 18.0;

/// A planned log-mel image. Cheap to clone and to use from several threads.
#[derive(Debug, Clone)]
pub struct LogMel {
    config: LogMelConfig,
    mel: MelSpectrogram,
}

impl LogMel {
    /// Plans the transform.
    ///
    /// # Errors
    /// [`Error::InvalidConfig`], or [`Error::Features`] for settings that the transform refuses.
    pub fn new(config: LogMelConfig) -> Result<Self, Error> {
        if config.n_mels == 0 || !config.n_mels.is_multiple_of(16) {
            let got = config.n_mels.to_string();
            return Err(Error::InvalidConfig { name: "n_mels", expected: "a multiple of 16 above 0", got });
        }
        if !(config.trim_db.is_finite() && config.trim_db >= 0.0) {
            let got = config.trim_db.to_string();
            return Err(Error::InvalidConfig { name: "trim_db", expected: "at least 0", got });
        }
        if config.hop_length == 0 {
            return Err(Error::InvalidConfig { name: "hop_length", expected: "above 0", got: "0".into() });
        }
        let mel = MelSpectrogram::new(&MelConfig {
            sr: f64::from(SAMPLE_RATE),
            stft: StftConfig {
                n_fft: config.n_fft,
                hop_length: Some(config.hop_length),
                win_length: Some(config.win_length),
                precision: Precision::Fast,
                ..StftConfig::default()
            },
            n_mels: config.n_mels,
            fmin: config.fmin,
            fmax: Some(config.fmax),
            htk: true,
            ..MelConfig::default()
        })?;
        Ok(Self { config, mel })
    }

    /// The settings it was planned with.
    pub fn config(&self) -> &LogMelConfig {
        &self.config
    }

    /// The number of frames of that many samples.
    pub fn frames(&self, samples: usize) -> usize {
        samples / self.config.hop_length + 1
    }

    /// The image in dB, before [`normalize`](Self::normalize), shape `[n_mels, frames]`.
    ///
    /// # Errors
    /// [`Error::EmptySound`], [`Error::NotFinite`].
    pub fn decibels(&self, samples: &[f32]) -> Result<Array2<f32>, Error> {
        check(samples)?;
        let mut image = self.mel.process(samples)?;
        image.mapv_inplace(|energy| 10.0 * energy.max(FLOOR).log10());
        Ok(image)
    }

    /// Subtracts the level as [`Normalization`] says and scales to a deviation of about 1.
    pub fn normalize(&self, image: &mut Array2<f32>) {
        match self.config.normalization {
            Normalization::Peak => {
                let loud = loud_level(image);
                image.mapv_inplace(|value| ((value - loud).max(-PEAK_RANGE) + PEAK_MIDDLE) / SCALE);
            }
            Normalization::Level => {
                let mean = image.mean().unwrap_or(0.0);
                image.mapv_inplace(|value| (value - mean) / SCALE);
            }
            Normalization::Band => {
                for mut band in image.axis_iter_mut(Axis(0)) {
                    let mean = band.mean().unwrap_or(0.0);
                    band.mapv_inplace(|value| (value - mean) / SCALE);
                }
            }
            Normalization::Fixed => image.mapv_inplace(|value| (value - FIXED_LEVEL) / SCALE),
        }
    }

    /// The network's input: trimmed, in dB, normalised, shape `[n_mels, frames]`.
    ///
    /// # Errors
    /// [`Error::EmptySound`], [`Error::NotFinite`].
    pub fn image(&self, samples: &[f32]) -> Result<Array2<f32>, Error> {
        let mut image = self.decibels(trim(samples, self.config.trim_db))?;
        self.normalize(&mut image);
        Ok(image)
    }
}

/// The level of the frames, all bands together, that a twentieth of them exceed, in dB.
fn loud_level(image: &Array2<f32>) -> f32 {
    let mut levels: Vec<f32> = image
        .axis_iter(Axis(1))
        .map(|frame| 10.0 * frame.iter().map(|value| 10f32.powf(value / 10.0)).sum::<f32>().log10())
        .collect();
    levels.sort_by(f32::total_cmp);
    levels.get((PEAK_QUANTILE * levels.len() as f32) as usize).copied().unwrap_or(0.0)
}

/// The frames that trimming measures: 25 ms every 10 ms at [`SAMPLE_RATE`].
const TRIM_FRAME: usize = 400;
const TRIM_HOP: usize = 160;

/// What trimming leaves before the first and after the last loud frame: 50 ms.
const TRIM_MARGIN: usize = 800;

/// Cuts off leading and trailing sound whose level stays `trim_db` below the loudest frame of 25 ms; 50 ms on either
/// side are kept. Silence throughout is returned whole, as is everything with `trim_db` 0.
pub fn trim(samples: &[f32], trim_db: f32) -> &[f32] {
    &samples[speech_range(samples, trim_db)]
}

/// What [`trim`] leaves.
pub(crate) fn speech_range(samples: &[f32], trim_db: f32) -> Range<usize> {
    let energies: Vec<f32> = (0..samples.len())
        .step_by(TRIM_HOP)
        .map(|start| samples[start..(start + TRIM_FRAME).min(samples.len())].iter().map(|x| x * x).sum())
        .collect();
    let loudest = energies.iter().copied().fold(0.0, f32::max);
    let least = loudest * 10f32.powf(-trim_db / 10.0);
    if trim_db == 0.0 || loudest == 0.0 {
        return 0..samples.len();
    }
    let first = energies.iter().position(|&energy| energy >= least).unwrap_or(0);
    let last = energies.iter().rposition(|&energy| energy >= least).unwrap_or(energies.len());
    let start = (first * TRIM_HOP).saturating_sub(TRIM_MARGIN);
    let end = (last * TRIM_HOP + TRIM_FRAME + TRIM_MARGIN).min(samples.len());
    start..end
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tone(seconds: f64, rate: u32) -> Vec<f32> {
        let count = (seconds * f64::from(rate)) as usize;
        (0..count).map(|i| (0.3 * (i as f64 * 440.0 * std::f64::consts::TAU / f64::from(rate)).sin()) as f32).collect()
    }

    #[test]
    fn silence_is_trimmed_on_both_sides_but_a_margin_stays() {
        let mut samples = vec![0.0; 16_000];
        samples.extend(tone(1.0, SAMPLE_RATE));
        samples.extend(vec![0.0; 16_000]);
        let trimmed = trim(&samples, 35.0);
        assert!((17_000..18_500).contains(&trimmed.len()), "{}", trimmed.len());
        assert_eq!(trim(&samples, 0.0).len(), samples.len());
        assert_eq!(trim(&[0.0; 500], 35.0).len(), 500);
    }

    /// Numbers from −1 to 1.
    fn noise() -> impl FnMut() -> f32 {
        let mut state = 1u32;
        move || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / (1 << 23) as f32 - 1.0
        }
    }

    #[test]
    fn normalisation_forgets_the_gain() {
        let mut noise = noise();
        let loud: Vec<f32> = tone(1.0, SAMPLE_RATE).iter().map(|x| x + 0.05 * noise()).collect();
        let quiet: Vec<f32> = loud.iter().map(|x| x * 0.1).collect();
        for normalization in [Normalization::Peak, Normalization::Level, Normalization::Band] {
            let log_mel = LogMel::new(LogMelConfig { normalization, ..LogMelConfig::default() }).unwrap();
            let (loud, quiet) = (log_mel.image(&loud).unwrap(), log_mel.image(&quiet).unwrap());
            let worst = loud.iter().zip(&quiet).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(worst < 1e-3, "{normalization:?}: {worst}");
        }
    }

    #[test]
    fn noise_does_not_move_the_peaks_and_pauses_have_a_floor() {
        let mut noise = noise();
        let mut clean = tone(1.0, SAMPLE_RATE);
        clean.extend([0.0; 16_000]);
        let noisy: Vec<f32> = clean.iter().map(|x| x + 0.05 * noise()).collect();
        let loudest = |samples: &[f32], normalization| {
            let config = LogMelConfig { normalization, trim_db: 0.0, ..LogMelConfig::default() };
            let image = LogMel::new(config).unwrap().image(samples).unwrap();
            (image.iter().copied().fold(f32::MIN, f32::max), image.iter().copied().fold(f32::MAX, f32::min))
        };
        let (clean_peak, floor) = loudest(&clean, Normalization::Peak);
        let (noisy_peak, _) = loudest(&noisy, Normalization::Peak);
        assert!((clean_peak - noisy_peak).abs() < 0.02, "{clean_peak} {noisy_peak}");
        assert!((floor - (PEAK_MIDDLE - PEAK_RANGE) / SCALE).abs() < 1e-5, "{floor}");
        // The mean level, in contrast, rises with the noise, and takes the peak down with it.
        let lower = loudest(&clean, Normalization::Level).0 - loudest(&noisy, Normalization::Level).0;
        assert!(lower > 1.0, "{lower}");
    }

    #[test]
    fn bad_sound_and_bad_settings_are_refused() {
        assert!(matches!(to_model_rate(&[], 16_000), Err(Error::EmptySound)));
        assert!(matches!(to_model_rate(&[0.0], 100), Err(Error::SampleRate { got: 100, .. })));
        assert!(matches!(to_model_rate(&[0.0, f32::NAN], 8_000), Err(Error::NotFinite { index: 1, .. })));
        assert!(LogMel::new(LogMelConfig { n_mels: 20, ..LogMelConfig::default() }).is_err());
        assert!(LogMel::new(LogMelConfig { fmax: f64::NAN, ..LogMelConfig::default() }).is_err());
        assert!(matches!(load(Path::new("/none.wav")), Err(Error::Decode { .. })));
    }
}
