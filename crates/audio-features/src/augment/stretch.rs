use ndarray::{Array2, ArrayView2, ShapeBuilder};
use realfft::num_complex::Complex;

use crate::error::{Error, Result};
use crate::istft::Istft;
use crate::resample::{ResamplerConfig, resample_with};
use crate::sample::Sample;
use crate::stft::{Stft, StftConfig};

/// A planned change of tempo or pitch (librosa 1.0: `effects.time_stretch`, `effects.pitch_shift`).
#[derive(Debug, Clone)]
pub struct TimeStretch {
    stft: Stft,
    istft: Istft,
}

impl Default for TimeStretch {
    /// With librosa's default transform.
    fn default() -> Self {
        Self::new(&StftConfig::default()).unwrap_or_else(|_| unreachable!("the default transform can be planned"))
    }
}

impl TimeStretch {
    /// Plans the transform and its inverse.
    ///
    /// # Errors
    /// As [`Stft::new`].
    pub fn new(config: &StftConfig) -> Result<Self> {
        Ok(Self { stft: Stft::new(config)?, istft: Istft::new(config)? })
    }

    /// The signal `rate` times as fast at the same pitch: `round(n / rate)` samples.
    ///
    /// # Errors
    /// [`Error::InvalidConfig`] when `rate` is not above 0, and as [`Stft::process`].
    pub fn time_stretch<T: Sample>(&self, samples: &[T], rate: f64) -> Result<Vec<T>> {
        check_rate(rate)?;
        if samples.len() as f64 / rate > LONGEST_RESULT {
            return Err(Error::config("rate", format!("such that at most {LONGEST_RESULT} samples come out"), rate));
        }
        let vocoder = Vocoder::new(self.stft.process(samples)?);
        let mut position = vocoder.start();
        let length = (samples.len() as f64 / rate).round_ties_even() as usize;
        self.istft.overlap_add(vocoder.n_frames(rate), Some(length), |t, spectrum| {
            vocoder.frame(t as f64 * rate, &mut position, spectrum);
        })
    }

    /// The signal `n_steps` semitones higher (lower when negative) at the same tempo and length. `sr` is its rate, in Hz.
    ///
    /// Stretched, then resampled: librosa resamples by soxr and this crate by its own filter, so the two agree to about
    /// 1e-3 of the signal, not to the last digit.
    ///
    /// # Errors
    /// [`Error::InvalidConfig`] when `sr` is not above 0 or `n_steps` is not finite or beyond ±120, and as [`Stft::process`].
    pub fn pitch_shift<T: Sample>(&self, samples: &[T], sr: f64, n_steps: f64) -> Result<Vec<T>> {
        if n_steps.is_nan() || n_steps.abs() > 120.0 {
            return Err(Error::config("n_steps", "from -120 to 120 semitones", n_steps));
        }
        crate::mel::check_rate(sr)?;
        let rate = (-n_steps / 12.0).exp2();
        let stretched = self.time_stretch(samples, rate)?;
        let config = ResamplerConfig { from_rate: sr / rate, to_rate: sr, ..ResamplerConfig::default() };
        let mut shifted = resample_with(&stretched, &config)?;
        shifted.resize(samples.len(), T::zero());
        Ok(shifted)
    }
}

/// [`TimeStretch::time_stretch`] with librosa's default transform, planned for this one call.
///
/// # Errors
/// As [`TimeStretch::time_stretch`].
pub fn time_stretch<T: Sample>(samples: &[T], rate: f64) -> Result<Vec<T>> {
    TimeStretch::default().time_stretch(samples, rate)
}

/// [`TimeStretch::pitch_shift`] with librosa's default transform, planned for this one call.
///
/// # Errors
/// As [`TimeStretch::pitch_shift`].
pub fn pitch_shift<T: Sample>(samples: &[T], sr: f64, n_steps: f64) -> Result<Vec<T>> {
    TimeStretch::default().pitch_shift(samples, sr, n_steps)
}

/// A complex spectrum `[n_bins, n_frames]` made `rate` times as fast, `ceil(n_frames / rate)` frames (librosa 1.0:
/// `phase_vocoder`; librosa 0.11 handled the last frame differently).
///
/// # Errors
/// [`Error::InvalidConfig`] when `rate` is not above 0, [`Error::InvalidInput`] when there are no frames.
pub fn phase_vocoder<T: Sample>(spectrum: ArrayView2<'_, Complex<T>>, rate: f64) -> Result<Array2<Complex<T>>> {
    check_rate(rate)?;
    if spectrum.is_empty() {
        return Err(Error::input("the spectrum", "non-empty", format!("{:?}", spectrum.shape())));
    }
    if spectrum.len() as f64 / rate > LONGEST_RESULT {
        return Err(Error::config("rate", format!("such that at most {LONGEST_RESULT} values come out"), rate));
    }
    let vocoder = Vocoder::new(spectrum.to_owned());
    let mut position = vocoder.start();
    let mut out = Array2::zeros((spectrum.nrows(), vocoder.n_frames(rate)).f());
    let mut frame = vec![Complex::default(); spectrum.nrows()];
    for (t, mut column) in out.columns_mut().into_iter().enumerate() {
        vocoder.frame(t as f64 * rate, &mut position, &mut frame);
        column.iter_mut().zip(&frame).for_each(|(slot, &bin)| *slot = bin);
    }
    Ok(out)
}

/// More samples than these, two days of sound, are a mistake that would only exhaust memory.
const LONGEST_RESULT: f64 = 4_294_967_296.0;

fn check_rate(rate: f64) -> Result<()> {
    if rate > 0.0 && rate.is_finite() { Ok(()) } else { Err(Error::config("rate", "a finite number above 0", rate)) }
}

/// The phase vocoder (J. L. Flanagan, R. M. Golden, 1966): magnitudes are interpolated between frames, and every bin's phase
/// turns from one new frame to the next as it turned between the two old frames there.
///
/// Phases are kept as complex numbers of length 1, and turning is multiplication: no angle is ever computed.
struct Vocoder<T> {
    /// Phase of every bin, frame by frame.
    phases: Vec<Complex<T>>,
    /// Magnitude of every bin, frame by frame.
    magnitudes: Vec<T>,
    n_bins: usize,
    frames: usize,
}

/// The phases reached so far.
struct Position<T> {
    phases: Vec<Complex<T>>,
}

impl<T: Sample> Vocoder<T> {
    fn new(spectrum: Array2<Complex<T>>) -> Self {
        let (n_bins, frames) = spectrum.dim();
        let mut phases: Vec<Complex<T>> = spectrum.t().iter().copied().collect();
        let magnitudes = phases
            .iter_mut()
            .map(|bin| {
                let length = (bin.re * bin.re + bin.im * bin.im).sqrt();
                *bin = if length > T::zero() {
                    Complex::new(bin.re / length, bin.im / length)
                } else {
                    // The angle of −0 is π.
                    Complex::new(T::one().copysign(bin.re), T::zero())
                };
                length
            })
            .collect();
        Self { phases, magnitudes, n_bins, frames }
    }

    /// How many frames there are at another tempo.
    fn n_frames(&self, rate: f64) -> usize {
        (self.frames as f64 / rate).ceil() as usize
    }

    fn start(&self) -> Position<T> {
        Position { phases: self.phases[..self.n_bins].to_vec() }
    }

    /// Writes the frame at old time `time` (in frames), and moves on by what lies between the old frames there.
    fn frame(&self, time: f64, position: &mut Position<T>, out: &mut [Complex<T>]) {
        let bins = |frame: usize| frame * self.n_bins..(frame + 1) * self.n_bins;
        let here = (time as usize).min(self.frames - 1);
        let next = (here + 1).min(self.frames - 1);
        // Beyond the last frame magnitudes go on in a straight line, as librosa extrapolates them.
        let from = here.min(self.frames.saturating_sub(2));
        let to = (from + 1).min(self.frames - 1);
        let share = T::narrow(time - from as f64);
        let magnitudes = self.magnitudes[bins(from)].iter().zip(&self.magnitudes[bins(to)]);
        for ((slot, phase), (&low, &high)) in out.iter_mut().zip(&position.phases).zip(magnitudes) {
            let magnitude = low + (high - low) * share;
            *slot = Complex::new(phase.re * magnitude, phase.im * magnitude);
        }
        let turns = self.phases[bins(here)].iter().zip(&self.phases[bins(next)]);
        let (half, three_halves) = (T::narrow(0.5), T::narrow(1.5));
        for (phase, (before, after)) in position.phases.iter_mut().zip(turns) {
            let turn =
                Complex::new(after.re * before.re + after.im * before.im, after.im * before.re - after.re * before.im);
            let re = phase.re * turn.re - phase.im * turn.im;
            let im = phase.re * turn.im + phase.im * turn.re;
            // One step of Newton's method keeps the length at 1 however many turns there are.
            let correction = three_halves - half * (re * re + im * im);
            *phase = Complex::new(re * correction, im * correction);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::f64::consts::TAU;

    use super::*;

    fn tone(frequency: f64, n: usize) -> Vec<f64> {
        (0..n).map(|n| (TAU * frequency * n as f64 / 22_050.0).sin()).collect()
    }

    /// The strongest frequency, by counting zero crossings in the middle.
    fn pitch(samples: &[f64]) -> f64 {
        let middle = &samples[samples.len() / 4..samples.len() * 3 / 4];
        let crossings = middle.windows(2).filter(|pair| (pair[0] < 0.0) != (pair[1] < 0.0)).count();
        crossings as f64 / 2.0 / middle.len() as f64 * 22_050.0
    }

    #[test]
    fn stretching_keeps_the_pitch_and_shifting_keeps_the_length() {
        let samples = tone(440.0, 44_100);
        let stretch = TimeStretch::default();
        for rate in [0.5, 0.8, 1.0, 1.3, 2.0] {
            let got = stretch.time_stretch(&samples, rate).unwrap();
            assert_eq!(got.len(), (44_100.0 / rate).round() as usize);
            assert!((pitch(&got) - 440.0).abs() < 3.0, "rate {rate}: {} Hz", pitch(&got));
        }
        for n_steps in [-5.0, 0.0, 0.7, 12.0] {
            let got = stretch.pitch_shift(&samples, 22_050.0, n_steps).unwrap();
            assert_eq!(got.len(), samples.len());
            let want = 440.0 * (n_steps / 12.0_f64).exp2();
            assert!((pitch(&got) / want - 1.0).abs() < 0.01, "{n_steps} semitones: {} Hz", pitch(&got));
        }
    }

    #[test]
    fn at_the_same_tempo_nothing_changes() {
        let samples = tone(500.0, 10_000);
        let got = time_stretch(&samples, 1.0).unwrap();
        assert!(samples.iter().zip(&got).all(|(a, b)| (a - b).abs() < 1e-9));
    }

    #[test]
    fn short_signals_survive_and_impossible_rates_are_errors() {
        for n in [1, 2, 511, 2048] {
            assert!(time_stretch(&vec![0.5_f32; n], 0.7).unwrap().iter().all(|x| x.is_finite()), "{n} samples");
        }
        for rate in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert!(time_stretch(&[0.5_f32; 100], rate).is_err());
        }
        assert!(pitch_shift(&[0.5_f32; 100], 22_050.0, f64::NAN).is_err());
        assert!(phase_vocoder(Array2::<Complex<f32>>::zeros((5, 0)).view(), 1.0).is_err());
    }
}
