//! Measures of a voice that librosa does not have: how much of it is noise, and how much energy it takes to make.

use realfft::RealFftPlanner;
use realfft::num_complex::Complex;

use crate::error::{Error, Result};
use crate::frame::frame_count;
use crate::mel::check_rate;
use crate::sample::{Sample, check_finite};

/// Settings of [`harmonics_to_noise`], with Praat's defaults ("To Harmonicity (ac)").
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(default))]
pub struct HnrConfig {
    /// Sampling rate, in Hz. Default 22,050.
    pub sr: f64,
    /// Lowest pitch, in Hz; it sets the length of a frame. Default 75.
    pub fmin: f64,
    /// Highest pitch, in Hz, at most half of `sr`. Default: that.
    pub fmax: Option<f64>,
    /// How many periods of the lowest pitch a frame sees, 1 to 16. Default 4.5. The bell curve that it sees them through is
    /// twice as long, as in Praat.
    pub periods_per_window: f64,
    /// Samples from one frame to the next. Default: 10 ms.
    pub hop_length: Option<usize>,
    /// A frame whose largest magnitude is below this share of the signal's is silent. Default 0.1.
    pub silence_threshold: f64,
}

impl Default for HnrConfig {
    fn default() -> Self {
        Self { sr: 22_050.0, fmin: 75.0, fmax: None, periods_per_window: 4.5, hop_length: None, silence_threshold: 0.1 }
    }
}

impl HnrConfig {
    /// Length of a frame, in samples.
    pub fn frame_length(&self) -> usize {
        (2.0 * self.periods_per_window * self.sr / self.fmin).ceil() as usize
    }

    /// Samples from one frame to the next.
    pub fn hop_length(&self) -> usize {
        self.hop_length.unwrap_or(((0.01 * self.sr).round() as usize).max(1))
    }

    fn check(&self) -> Result<()> {
        check_rate(self.sr)?;
        let fmax = self.fmax.unwrap_or(self.sr / 2.0);
        if !(fmax > 0.0 && fmax <= self.sr / 2.0) {
            return Err(Error::config("fmax", format!("above 0 and at most {} Hz", self.sr / 2.0), fmax));
        }
        // A period of more than 2²⁰ samples is none of a voice; it would only exhaust memory.
        if !(self.fmin > 0.0 && self.fmin < fmax && self.sr / self.fmin <= 1_048_576.0) {
            return Err(Error::config("fmin", format!("above 0 and below fmax = {fmax} Hz"), self.fmin));
        }
        if !(1.0..=16.0).contains(&self.periods_per_window) {
            return Err(Error::config("periods_per_window", "1 to 16", self.periods_per_window));
        }
        if self.hop_length == Some(0) {
            return Err(Error::config("hop_length", "a positive integer", 0));
        }
        if !(0.0..=1.0).contains(&self.silence_threshold) {
            return Err(Error::config("silence_threshold", "0 to 1", self.silence_threshold));
        }
        Ok(())
    }
}

/// What [`harmonics_to_noise`] says of frames that are silent or have no period at all, in dB; Praat's value.
pub const NO_HARMONICS: f64 = -200.0;

/// The harmonics-to-noise ratio of each frame, in dB: 0 means as much noise as voice, 20 a hundredth of it. Frame t begins at
/// sample t·`hop_length`; there are `1 + (n − frame_length) / hop_length` of them.
///
/// The autocorrelation method of P. Boersma, "Accurate short-term analysis of the fundamental frequency and the
/// harmonics-to-noise ratio of a sampled sound", Proceedings of the Institute of Phonetic Sciences 17, 1993, with the Gaussian
/// window of its postscript, as Praat has it: the autocorrelation of the windowed frame is divided by that of the window, and
/// the height r of its highest peak between the periods of `fmax` and `fmin` is the periodic share of the power:
/// `10·log10(r / (1 − r))`. Peaks are found between samples, on a correlation interpolated by four, so that a voice without any
/// noise reads about 75 dB. Frames that are silent are [`NO_HARMONICS`].
///
/// ```
/// use audio_features::{HnrConfig, harmonics_to_noise};
///
/// let hum: Vec<f32> = (0..22_050).map(|n| (n as f32 * 150.0 / 22_050.0 * 6.283_185).sin()).collect();
/// let ratios = harmonics_to_noise(&hum, &HnrConfig::default())?;
/// assert!(ratios.iter().all(|&ratio| ratio > 40.0));
/// # Ok::<(), audio_features::Error>(())
/// ```
///
/// # Errors
/// [`Error::InvalidConfig`] when the range of pitch is empty or above half of `sr`, `periods_per_window` is out of its range, or the
/// hop is 0; [`Error::NotFinite`] for NaN or infinite samples; [`Error::TooShort`] for a signal shorter than a frame.
pub fn harmonics_to_noise<T: Sample>(samples: &[T], config: &HnrConfig) -> Result<Vec<f64>> {
    /// Values of the correlation for every sample of lag.
    const STEPS: usize = 4;

    config.check()?;
    check_finite(samples)?;
    let (length, hop) = (config.frame_length(), config.hop_length());
    let frames = frame_count(samples.len(), length, hop);
    if frames == 0 {
        return Err(Error::TooShort { expected: length, got: samples.len() });
    }
    let shortest = config.sr / config.fmax.unwrap_or(config.sr / 2.0);
    let longest = (config.sr / config.fmin).min(length as f64 - 1.0);
    // So long that a frame and its shifted copy do not run around the ends.
    let size = (length + longest.ceil() as usize + 2).next_power_of_two();
    let mut planner = RealFftPlanner::<f64>::new();
    let (forward, inverse) = (planner.plan_fft_forward(size), planner.plan_fft_inverse(STEPS * size));
    let (mut buffer, mut spectrum) = (forward.make_input_vec(), forward.make_output_vec());
    let (mut powers, mut correlation) = (inverse.make_input_vec(), inverse.make_output_vec());
    let edge = (-12.0_f64).exp();
    let bell = |n: usize| {
        let place = (n as f64 + 1.0) / (length as f64 + 1.0) - 0.5;
        ((-48.0 * place * place).exp() - edge) / (1.0 - edge)
    };
    let window: Vec<f64> = (0..length).map(bell).collect();
    let weight: f64 = window.iter().sum();
    // The autocorrelation of what stands at the start of `buffer`, in steps of a fraction of a sample.
    let mut correlate = |buffer: &mut [f64], correlation: &mut [f64]| -> Result<()> {
        let failed = |error| Error::input("a frame", "as long as the transform", error);
        forward.process(buffer, &mut spectrum).map_err(failed)?;
        powers.fill(Complex::default());
        for (slot, bin) in powers.iter_mut().zip(&spectrum) {
            slot.re = bin.norm_sqr();
        }
        // The highest bin stands for two of the longer transform.
        powers[size / 2].re /= 2.0;
        inverse.process(&mut powers, correlation).map_err(failed)
    };
    buffer[..length].copy_from_slice(&window);
    buffer[length..].fill(0.0);
    correlate(&mut buffer, &mut correlation)?;
    let of_window = correlation.clone();
    let largest = samples.iter().fold(0.0_f64, |most, x| most.max(x.widen().abs()));

    let mut ratios = Vec::with_capacity(frames);
    for t in 0..frames {
        let frame = &samples[t * hop..][..length];
        // The mean by the window's weights, in which less is left of harmonics that do not fit the frame.
        let mean = frame.iter().zip(&window).map(|(x, w)| x.widen() * w).sum::<f64>() / weight;
        let peak = frame.iter().fold(0.0_f64, |most, x| most.max((x.widen() - mean).abs()));
        if peak == 0.0 || peak < config.silence_threshold * largest {
            ratios.push(NO_HARMONICS);
            continue;
        }
        // Scaled to 1, so that neither faint nor loud signals leave the range of the squares.
        for ((slot, x), w) in buffer.iter_mut().zip(frame).zip(&window) {
            *slot = (x.widen() - mean) / peak * w;
        }
        buffer[length..].fill(0.0);
        correlate(&mut buffer, &mut correlation)?;
        let at = |step: usize| correlation[step] / correlation[0] / (of_window[step] / of_window[0]);

        let first = ((shortest * STEPS as f64).floor() as usize).max(2);
        let last = (longest * STEPS as f64).ceil() as usize;
        let mut height = 0.0_f64;
        for step in first..=last {
            let (before, here, after) = (at(step - 1), at(step), at(step + 1));
            if here > before && here >= after {
                // The top of the parabola through the three.
                let curvature = before + after - 2.0 * here;
                let top = if curvature < 0.0 { here - (after - before).powi(2) / (8.0 * curvature) } else { here };
                height = height.max(top);
            }
        }
        // A height above 1 is an error of interpolation; Praat takes its inverse, too.
        let height = if height > 1.0 { 1.0 / height } else { height };
        let ratio = if height > 0.0 { 10.0 * (height / (1.0 - height)).log10() } else { NO_HARMONICS };
        ratios.push(ratio.clamp(NO_HARMONICS, -NO_HARMONICS));
    }
    Ok(ratios)
}

/// The Teager energy of every sample but the first and the last, `x[n]² − x[n−1]·x[n+1]`: value i is that of sample i + 1.
/// Of a tone of amplitude A and Ω radians a sample it is A²·sin²Ω, so it grows with loudness and with pitch
/// (J. F. Kaiser, "On a simple algorithm to calculate the 'energy' of a signal", ICASSP 1990).
///
/// ```
/// use audio_features::teager_energy;
///
/// let tone: Vec<f64> = (0..100).map(|n| 0.5 * (f64::from(n) * 0.3).cos()).collect();
/// let energy = teager_energy(&tone)?;
/// assert_eq!(energy.len(), 98);
/// assert!(energy.iter().all(|&e| (e - 0.25 * 0.3_f64.sin().powi(2)).abs() < 1e-12));
/// # Ok::<(), audio_features::Error>(())
/// ```
///
/// # Errors
/// [`Error::TooShort`] for fewer than 3 samples, [`Error::NotFinite`] for NaN or infinite ones.
pub fn teager_energy<T: Sample>(samples: &[T]) -> Result<Vec<T>> {
    if samples.len() < 3 {
        return Err(Error::TooShort { expected: 3, got: samples.len() });
    }
    check_finite(samples)?;
    Ok(samples.windows(3).map(|x| x[1] * x[1] - x[0] * x[2]).collect())
}

#[cfg(test)]
mod tests {
    use std::f64::consts::TAU;

    use super::*;
    use crate::augment::{Noise, add_noise};

    /// A voice of sorts: harmonics of 147.3 Hz, weaker the higher they are.
    fn voice(n: usize) -> Vec<f64> {
        (0..n)
            .map(|n| (1..=12).map(|k| (TAU * 147.3 * f64::from(k) * n as f64 / 22_050.0).sin() / f64::from(k)).sum())
            .collect()
    }

    fn mean(values: &[f64]) -> f64 {
        values.iter().sum::<f64>() / values.len() as f64
    }

    #[test]
    fn the_ratio_is_that_of_the_noise_that_was_added() {
        for snr in [0.0_f64, 5.0, 10.0, 20.0, 30.0] {
            let noisy = add_noise(&voice(44_100), snr, Noise::White, 11).unwrap();
            let ratios = harmonics_to_noise(&noisy, &HnrConfig::default()).unwrap();
            let got = mean(&ratios);
            // Praat reads 0.7 dB at 0 dB of such noise, too.
            assert!((got - snr).abs() < if snr == 0.0 { 1.0 } else { 0.5 }, "{got} dB instead of {snr}");
        }
    }

    #[test]
    fn a_clean_voice_has_next_to_no_noise_and_noise_no_voice() {
        let clean = harmonics_to_noise(&voice(22_050), &HnrConfig::default()).unwrap();
        assert!(clean.iter().all(|&ratio| ratio > 70.0), "{clean:?}");
        let noise = add_noise(&vec![1e-9_f64; 22_050], -120.0, Noise::White, 3).unwrap();
        let noise = harmonics_to_noise(&noise, &HnrConfig { fmax: Some(600.0), ..HnrConfig::default() }).unwrap();
        assert!(mean(&noise) < 0.0, "{}", mean(&noise));
    }

    #[test]
    fn loudness_does_not_matter_and_silence_is_none() {
        let samples = voice(8000);
        let ratios = harmonics_to_noise(&samples, &HnrConfig::default()).unwrap();
        for scale in [1e-150, 1e150] {
            let scaled: Vec<f64> = samples.iter().map(|x| x * scale).collect();
            for (a, b) in harmonics_to_noise(&scaled, &HnrConfig::default()).unwrap().iter().zip(&ratios) {
                assert!((a - b).abs() < 1e-3, "{a} {b}");
            }
        }
        let silence = harmonics_to_noise(&[0.0_f32; 5000], &HnrConfig::default()).unwrap();
        assert!(silence.iter().all(|&ratio| ratio == NO_HARMONICS));
    }

    #[test]
    fn impossible_settings_and_signals_are_errors() {
        let defaults = HnrConfig::default;
        for config in [
            HnrConfig { fmin: 0.0, ..defaults() },
            HnrConfig { fmin: 1e-9, ..defaults() },
            HnrConfig { fmax: Some(12_000.0), ..defaults() },
            HnrConfig { fmin: 600.0, fmax: Some(500.0), ..defaults() },
            HnrConfig { hop_length: Some(0), ..defaults() },
            HnrConfig { periods_per_window: 0.5, ..defaults() },
            HnrConfig { silence_threshold: f64::NAN, ..defaults() },
            HnrConfig { sr: f64::NAN, ..defaults() },
        ] {
            assert!(harmonics_to_noise(&[0.1_f32; 5000], &config).is_err(), "{config:?}");
        }
        assert!(matches!(harmonics_to_noise(&[0.1_f32; 100], &defaults()), Err(Error::TooShort { .. })));
        assert!(harmonics_to_noise(&[f32::NAN; 5000], &defaults()).is_err());
        assert!(teager_energy(&[1.0_f32, 2.0]).is_err() && teager_energy(&[1.0_f32, f32::INFINITY, 0.0]).is_err());
    }
}
