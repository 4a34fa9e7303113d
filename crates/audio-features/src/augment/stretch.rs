use ndarray::{Array2, ArrayView2, ShapeBuilder};
use realfft::num_complex::Complex;

use super::overlap::OverlapAdd;
use crate::error::{Error, Result};
use crate::resample::{ResamplerConfig, resample_with};
use crate::sample::Sample;
use crate::scratch::Pool;
use crate::stft::{Stft, StftConfig};

/// A planned change of tempo or pitch (librosa 1.0: `effects.time_stretch`, `effects.pitch_shift`).
///
/// It works through the frames as they come, so beyond its result it takes the memory of a few of them however long the
/// signal is. Frames of `f32` samples are transformed back in `f32`, as librosa does, in either precision.
#[derive(Debug, Clone)]
pub struct TimeStretch {
    stft: Stft,
    overlap: OverlapAdd,
    pool: Pool,
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
        Ok(Self { stft: Stft::new(config)?, overlap: OverlapAdd::new(config)?, pool: Pool::default() })
    }

    /// The signal `rate` times as fast at the same pitch: `round(n / rate)` samples.
    ///
    /// # Errors
    /// [`Error::InvalidConfig`] when `rate` is not above 0, and as [`Stft::process`].
    pub fn time_stretch<T: Sample>(&self, samples: &[T], rate: f64) -> Result<Vec<T>> {
        let mut out = Vec::new();
        self.time_stretch_into(samples, rate, &mut out)?;
        Ok(out)
    }

    /// Like [`TimeStretch::time_stretch`], into memory of the caller, whatever `out` held before; nothing is allocated after
    /// the first call when it has room for the result.
    ///
    /// # Errors
    /// As [`TimeStretch::time_stretch`]; `out` is empty then, or as it was.
    pub fn time_stretch_into<T: Sample>(&self, samples: &[T], rate: f64, out: &mut Vec<T>) -> Result<()> {
        check_rate(rate)?;
        // Of an empty signal librosa makes a hop of silence for every new frame.
        if samples.len().max(self.stft.hop_length()) as f64 / rate > LONGEST_RESULT {
            return Err(Error::config("rate", format!("such that at most {LONGEST_RESULT} samples come out"), rate));
        }
        let length = (samples.len() as f64 / rate).round_ties_even() as usize;
        let mut vocoder = self.pool.take::<Vocoder<T>>();
        vocoder.start(self.stft.n_bins(), self.stft.n_frames(samples.len())?, rate);
        let mut sum = self.overlap.begin(vocoder.total, length, std::mem::take(out));
        vocoder.total = sum.frames();
        self.stft.frames(samples, |frame| vocoder.push(frame, |frame| sum.push(frame)))?;
        *out = sum.finish();
        Ok(())
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
    let (n_bins, n_frames) = spectrum.dim();
    let mut vocoder = Vocoder::default();
    vocoder.start(n_bins, n_frames, rate);
    let mut out = Array2::zeros((n_bins, vocoder.total).f());
    let mut columns = out.columns_mut().into_iter();
    let mut frame = vec![Complex::default(); n_bins];
    for column in spectrum.columns() {
        frame.iter_mut().zip(column).for_each(|(slot, &bin)| *slot = bin);
        vocoder.push(&frame, |frame| {
            if let Some(mut column) = columns.next() {
                column.iter_mut().zip(frame).for_each(|(slot, &bin)| *slot = bin);
            }
        });
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
#[derive(Default)]
struct Vocoder<T> {
    rate: f64,
    /// Frames that come, and that have come.
    frames: usize,
    seen: usize,
    /// Frames that go, and that have gone.
    total: usize,
    produced: usize,
    /// The last two frames that came.
    before: Polar<T>,
    after: Polar<T>,
    /// The phases reached so far.
    re: Vec<T>,
    im: Vec<T>,
    frame: Vec<Complex<T>>,
}

/// A frame as magnitudes and phases.
#[derive(Default)]
struct Polar<T> {
    magnitude: Vec<T>,
    re: Vec<T>,
    im: Vec<T>,
}

impl<T: Sample> Vocoder<T> {
    /// Makes ready for so many frames.
    fn start(&mut self, n_bins: usize, frames: usize, rate: f64) {
        (self.rate, self.frames, self.seen, self.produced) = (rate, frames, 0, 0);
        self.total = (frames as f64 / rate).ceil() as usize;
        for Polar { magnitude, re, im } in [&mut self.before, &mut self.after] {
            for values in [magnitude, re, im] {
                values.resize(n_bins, T::zero());
            }
        }
        self.frame.resize(n_bins, Complex::default());
    }

    /// Takes the next frame, and hands on the new frames that it completes.
    fn push(&mut self, bins: &[Complex<T>], mut emit: impl FnMut(&[Complex<T>])) {
        std::mem::swap(&mut self.before, &mut self.after);
        pulp::Arch::new().dispatch(Split { bins, polar: &mut self.after });
        self.seen += 1;
        if self.seen == 1 {
            self.re.clone_from(&self.after.re);
            self.im.clone_from(&self.after.im);
            self.before.magnitude.clone_from(&self.after.magnitude);
        }
        // Beyond the last frame no phase turns, and magnitudes go on in a straight line, as librosa extrapolates them.
        let is_last = self.seen == self.frames;
        while self.produced < self.total {
            let time = self.produced as f64 * self.rate;
            let turns = time < (self.seen - 1) as f64;
            if !turns && !is_last {
                break;
            }
            let share = T::narrow(time - self.seen.saturating_sub(2) as f64);
            let Self { before, after, re, im, frame, .. } = self;
            pulp::Arch::new().dispatch(Step { before, after, share, turns, re, im, frame });
            emit(&self.frame);
            self.produced += 1;
        }
    }
}

/// Splits the bins of a frame into magnitude and phase.
struct Split<'a, T> {
    bins: &'a [Complex<T>],
    polar: &'a mut Polar<T>,
}

impl<T: Sample> pulp::NullaryFnOnce for Split<'_, T> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Polar { magnitude, re, im } = self.polar;
        let phases = re.iter_mut().zip(im.iter_mut());
        for ((bin, length), (re, im)) in self.bins.iter().zip(magnitude.iter_mut()).zip(phases) {
            *length = (bin.re * bin.re + bin.im * bin.im).sqrt();
            // The root of the smallest square is far from the smallest number, so this is infinite for 0 only.
            let scale = T::one() / *length;
            let there = *length > T::zero();
            // The angle of 0 is 0, and that of −0 is π.
            *re = if there { bin.re * scale } else { T::one().copysign(bin.re) };
            *im = if there { bin.im * scale } else { T::zero() };
        }
    }
}

/// Writes the frame that lies `share` of the way from one frame to the next, and turns the phases on as they turn there.
struct Step<'a, T> {
    before: &'a Polar<T>,
    after: &'a Polar<T>,
    share: T,
    turns: bool,
    re: &'a mut [T],
    im: &'a mut [T],
    frame: &'a mut [Complex<T>],
}

impl<T: Sample> pulp::NullaryFnOnce for Step<'_, T> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Self { before, after, share, turns, re, im, frame } = self;
        let magnitudes = before.magnitude.iter().zip(&after.magnitude);
        for ((slot, (&low, &high)), (&re, &im)) in frame.iter_mut().zip(magnitudes).zip(re.iter().zip(im.iter())) {
            let magnitude = low + (high - low) * share;
            *slot = Complex::new(re * magnitude, im * magnitude);
        }
        if !turns {
            return;
        }
        let (half, three_halves) = (T::narrow(0.5), T::narrow(1.5));
        let phases = before.re.iter().zip(&before.im).zip(after.re.iter().zip(&after.im));
        for ((re, im), ((&from_re, &from_im), (&to_re, &to_im))) in re.iter_mut().zip(im).zip(phases) {
            let (turn_re, turn_im) = (to_re * from_re + to_im * from_im, to_im * from_re - to_re * from_im);
            let turned = (*re * turn_re - *im * turn_im, *re * turn_im + *im * turn_re);
            // One step of Newton's method keeps the length at 1 however many turns there are.
            let correction = three_halves - half * (turned.0 * turned.0 + turned.1 * turned.1);
            (*re, *im) = (turned.0 * correction, turned.1 * correction);
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
