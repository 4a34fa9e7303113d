//! From a spectrum back to sound.

use std::ops::Range;
use std::sync::Arc;

use ndarray::{Array2, ArrayView2};
use realfft::num_complex::Complex;
use realfft::{ComplexToReal, RealFftPlanner};

use crate::error::{Error, Result};
use crate::fftpack::InverseReal;
use crate::sample::Sample;
use crate::scratch::Pool;
use crate::stft::{Precision, StftConfig};

/// A planned inverse short-time Fourier transform (librosa: `istft`): it returns the signal whose [`Stft`](crate::Stft)
/// with the same config is closest to the given spectrum.
///
/// ```
/// use audio_features::{Istft, Stft, StftConfig};
///
/// let samples: Vec<f32> = (0..10_000).map(|n| (n as f32 * 0.03).sin()).collect();
/// let config = StftConfig::default();
/// let spectrum = Stft::new(&config)?.process(&samples)?;
/// let back = Istft::new(&config)?.process(spectrum.view(), Some(samples.len()))?;
/// assert!(samples.iter().zip(&back).all(|(a, b)| (a - b).abs() < 1e-5));
/// # Ok::<(), audio_features::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Istft {
    config: StftConfig,
    inverse: Inverse,
    pool: Pool,
}

#[derive(Clone)]
enum Inverse {
    Parity(Plan<f64>, Option<Exact>),
    Fast(Plan<f32>),
}

/// What librosa inverts a single-precision spectrum with, bit for bit: a transform in single precision, times a window in
/// double precision, added up in single precision.
#[derive(Clone)]
struct Exact {
    fft: InverseReal,
    window: Vec<f64>,
}

impl std::fmt::Debug for Inverse {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Parity(..) => "Parity",
            Self::Fast(_) => "Fast",
        })
    }
}

#[derive(Clone)]
struct Plan<F> {
    fft: Arc<dyn ComplexToReal<F>>,
    /// The window, divided by the transform's length.
    window: Vec<F>,
    squares: Vec<F>,
}

impl<F: Sample> Plan<F> {
    fn new(window: &[f64]) -> Self {
        Self {
            fft: RealFftPlanner::new().plan_fft_inverse(window.len()),
            window: window.iter().map(|&w| F::narrow(w / window.len() as f64)).collect(),
            squares: window.iter().map(|&w| F::narrow(w * w)).collect(),
        }
    }
}

/// One frame, as it was given.
#[derive(Default)]
struct Bins<T>(Vec<Complex<T>>);

/// The working memory of one call.
#[derive(Default)]
struct Work<F> {
    spectrum: Vec<Complex<F>>,
    frame: Vec<F>,
    scratch: Vec<Complex<F>>,
    /// Half-finished frames, for [`Exact`].
    half: Vec<F>,
    signal: Vec<F>,
    weights: Vec<F>,
}

impl Istft {
    /// Plans the transform. `pad_mode` has no part in it.
    ///
    /// # Errors
    /// As [`Stft::new`](crate::Stft::new).
    pub fn new(config: &StftConfig) -> Result<Self> {
        let window = config.padded_window()?;
        let inverse = match config.precision {
            Precision::Parity => {
                let exact = InverseReal::new(window.len()).map(|fft| Exact { fft, window: window.clone() });
                Inverse::Parity(Plan::new(&window), exact)
            }
            Precision::Fast => Inverse::Fast(Plan::new(&window)),
        };
        Ok(Self { config: config.clone(), inverse, pool: Pool::default() })
    }

    /// The settings it was planned with.
    pub fn config(&self) -> &StftConfig {
        &self.config
    }

    /// The signal of a complex spectrum `[n_bins, n_frames]`. Without a `length` it ends with the last frame (centred: in its
    /// middle); a `length` cuts it, or fills it up with zeros.
    ///
    /// # Errors
    /// [`Error::WrongShape`] when the spectrum does not have `1 + n_fft / 2` bins, [`Error::InvalidInput`] when it has no frames.
    pub fn process<T: Sample>(&self, spectrum: ArrayView2<'_, Complex<T>>, length: Option<usize>) -> Result<Vec<T>> {
        let mut signal = vec![T::zero(); self.length(spectrum.ncols(), length)];
        self.process_into(spectrum, &mut signal)?;
        Ok(signal)
    }

    /// Like [`Istft::process`] with a `length`, that of `out`; nothing is allocated after the first call with the longest signal.
    ///
    /// # Errors
    /// As [`Istft::process`].
    pub fn process_into<T: Sample>(&self, spectrum: ArrayView2<'_, Complex<T>>, out: &mut [T]) -> Result<()> {
        let n_bins = self.config.n_bins();
        if spectrum.nrows() != n_bins {
            return Err(Error::shape("the spectrum", &[n_bins, spectrum.ncols()], spectrum.shape()));
        }
        match &self.inverse {
            Inverse::Parity(_, Some(exact)) if size_of::<T>() == size_of::<f32>() => {
                self.run_exact(exact, spectrum, out)
            }
            _ => self.overlap_add_into(spectrum.ncols(), out, |t, frame| {
                frame.iter_mut().zip(spectrum.column(t)).for_each(|(slot, &bin)| *slot = bin);
            }),
        }
    }

    /// Adds up the frames that `fill(t, spectrum)` computes in order.
    fn overlap_add_into<T: Sample>(
        &self,
        n_frames: usize,
        out: &mut [T],
        fill: impl FnMut(usize, &mut [Complex<T>]),
    ) -> Result<()> {
        match &self.inverse {
            Inverse::Parity(plan, _) => self.run_plan(plan, n_frames, out, fill),
            Inverse::Fast(plan) => self.run_plan(plan, n_frames, out, fill),
        }
    }

    fn run_plan<T: Sample, F: Sample>(
        &self,
        plan: &Plan<F>,
        n_frames: usize,
        out: &mut [T],
        mut fill: impl FnMut(usize, &mut [Complex<T>]),
    ) -> Result<()> {
        let (n_fft, n_bins, length) = (self.config.n_fft, self.config.n_bins(), out.len());
        let frames = self.frames_within(n_frames, length)?;
        let mut work = self.pool.take::<Work<F>>();
        let Work { spectrum, frame, scratch, signal, weights, .. } = &mut *work;
        spectrum.resize(n_bins, Complex::default());
        frame.resize(n_fft, F::zero());
        scratch.resize(plan.fft.get_scratch_len(), Complex::default());
        for buffer in [&mut *signal, &mut *weights] {
            buffer.clear();
            buffer.resize(length, F::zero());
        }
        let mut bins = self.pool.take::<Bins<T>>();
        bins.0.resize(n_bins, Complex::default());
        for t in 0..frames {
            fill(t, &mut bins.0);
            for (slot, bin) in spectrum.iter_mut().zip(&bins.0) {
                *slot = Complex::new(F::narrow(bin.re.widen()), F::narrow(bin.im.widen()));
            }
            // A real signal has real first (and, of an even length, last) bins; what else they hold is ignored.
            spectrum[0].im = F::zero();
            if n_fft.is_multiple_of(2) {
                spectrum[n_bins - 1].im = F::zero();
            }
            plan.fft
                .process_with_scratch(spectrum, frame, scratch)
                .map_err(|error| Error::input("a frame", "as long as the transform", error))?;
            let (part, start) = self.inside(t, length);
            let parts = frame[part.clone()].iter().zip(&plan.window[part.clone()]).zip(&plan.squares[part]);
            let sums = signal[start..].iter_mut().zip(&mut weights[start..]);
            for ((sum, weight), ((&x, &w), &square)) in sums.zip(parts) {
                *sum += x * w;
                *weight += square;
            }
        }
        let tiny = T::min_positive_value().widen();
        for (slot, (&sum, &weight)) in out.iter_mut().zip(signal.iter().zip(weights.iter())) {
            *slot = T::narrow(if weight.widen() > tiny { (sum / weight).widen() } else { sum.widen() });
        }
        Ok(())
    }

    /// Like [`Istft::run_plan`] for single-precision spectra, rounding where librosa rounds.
    fn run_exact<T: Sample>(&self, exact: &Exact, spectrum: ArrayView2<'_, Complex<T>>, out: &mut [T]) -> Result<()> {
        let length = out.len();
        let frames = self.frames_within(spectrum.ncols(), length)?;
        let mut work = self.pool.take::<Work<f32>>();
        let Work { spectrum: bins, frame, half, signal, weights, .. } = &mut *work;
        for buffer in [&mut *frame, &mut *half] {
            buffer.resize(self.config.n_fft, 0.0);
        }
        for buffer in [&mut *signal, &mut *weights] {
            buffer.clear();
            buffer.resize(length, 0.0);
        }
        for t in 0..frames {
            bins.clear();
            bins.extend(spectrum.column(t).iter().map(|z| Complex::new(z.re.widen() as f32, z.im.widen() as f32)));
            exact.fft.process(bins, frame, half);
            let (part, start) = self.inside(t, length);
            let sums = signal[start..].iter_mut().zip(&mut weights[start..]);
            for ((sum, weight), (&x, &w)) in sums.zip(frame[part.clone()].iter().zip(&exact.window[part])) {
                *sum = (f64::from(*sum) + f64::from(x) * w) as f32;
                *weight = (f64::from(*weight) + w * w) as f32;
            }
        }
        for (slot, (&sum, &weight)) in out.iter_mut().zip(signal.iter().zip(weights.iter())) {
            *slot = T::narrow(f64::from(if weight > f32::MIN_POSITIVE { sum / weight } else { sum }));
        }
        Ok(())
    }

    /// The signal's length, where the caller wants none in particular. librosa's `length=0`, too, means none.
    fn length(&self, n_frames: usize, wanted: Option<usize>) -> usize {
        wanted.filter(|&length| length > 0).unwrap_or_else(|| {
            let last = self.config.hop_length() * n_frames.saturating_sub(1);
            (self.config.n_fft + last).saturating_sub(2 * self.left())
        })
    }

    /// How many of the frames begin before the end of a signal of this length: the others are not looked at.
    fn frames_within(&self, n_frames: usize, length: usize) -> Result<usize> {
        if n_frames == 0 {
            return Err(Error::input("the spectrum", "at least one frame long", 0));
        }
        Ok(n_frames.min((length + 2 * self.left()).div_ceil(self.config.hop_length())))
    }

    /// How much of the first frame lies before the signal.
    fn left(&self) -> usize {
        if self.config.center { self.config.n_fft / 2 } else { 0 }
    }

    /// The part of frame `t` that lies inside the signal, and where in the signal it starts.
    fn inside(&self, t: usize, length: usize) -> (Range<usize>, usize) {
        let (n_fft, at, left) = (self.config.n_fft, t * self.config.hop_length(), self.left());
        let from = left.saturating_sub(at).min(n_fft);
        let start = (at + from).saturating_sub(left).min(length);
        (from..n_fft.min(from + (length - start)), start)
    }
}

/// Splits a spectrum into |S|^`power` and phase, a complex number of length 1 (librosa: `magphase`). The phase of 0 is 1.
pub fn magphase<T: Sample>(spectrum: ArrayView2<'_, Complex<T>>, power: f64) -> (Array2<T>, Array2<Complex<T>>) {
    let length = |bin: &Complex<T>| bin.re.hypot(bin.im);
    let phase = spectrum.mapv(|bin| {
        let length = length(&bin);
        if length == T::zero() { Complex::new(T::one(), T::zero()) } else { bin / length }
    });
    let magnitude = spectrum.map(|bin| {
        let length = length(bin);
        if power == 1.0 { length } else { length.powf(T::narrow(power)) }
    });
    (magnitude, phase)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Stft, Window};

    #[test]
    fn undoes_the_transform() {
        let samples: Vec<f64> = (0..3000).map(|n| f64::from(n * n % 101) / 101.0 - 0.5).collect();
        for (n_fft, hop, win_length) in [(256, 64, 256), (255, 60, 255), (256, 50, 200), (64, 64, 64)] {
            for center in [true, false] {
                let window = if hop == win_length { Window::Boxcar } else { Window::Hann };
                let config = StftConfig {
                    n_fft,
                    hop_length: Some(hop),
                    win_length: Some(win_length),
                    window,
                    center,
                    ..StftConfig::default()
                };
                let spectrum = Stft::new(&config).unwrap().process(&samples).unwrap();
                let istft = Istft::new(&config).unwrap();
                let back = istft.process(spectrum.view(), None).unwrap();
                // Where no window reaches there is nothing to recover: the last samples, and an uncentred first one.
                let reach = (spectrum.ncols() - 1) * hop;
                for n in n_fft..reach.min(samples.len()) {
                    assert!((samples[n] - back[n]).abs() < 1e-12, "{config:?} at {n}");
                }
                assert_eq!(istft.process(spectrum.view(), Some(100)).unwrap().len(), 100);
                assert_eq!(istft.process(spectrum.view(), Some(9000)).unwrap().len(), 9000);
            }
        }
    }

    #[test]
    fn magnitude_times_phase_is_the_spectrum() {
        let spectrum = ndarray::array![[Complex::new(3.0, -4.0), Complex::new(0.0, 0.0)]];
        let (magnitude, phase) = magphase(spectrum.view(), 1.0);
        assert_eq!(magnitude[[0, 0]], 5.0);
        assert_eq!(phase[[0, 1]], Complex::new(1.0, 0.0));
        assert!((phase[[0, 0]] * magnitude[[0, 0]] - spectrum[[0, 0]]).norm() < 1e-15);
    }

    #[test]
    fn wrong_shapes_are_errors() {
        let istft = Istft::new(&StftConfig::default()).unwrap();
        assert!(istft.process(Array2::<Complex<f32>>::zeros((1024, 3)).view(), None).is_err());
        assert!(istft.process(Array2::<Complex<f32>>::zeros((1025, 0)).view(), None).is_err());
    }
}
