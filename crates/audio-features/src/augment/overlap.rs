//! Adding frames up to a signal while they come.

use std::sync::Arc;

use rustfft::num_complex::Complex;
use rustfft::{Fft, FftPlanner};

use crate::error::Result;
use crate::lanes::{Kernel, vectorized};
use crate::sample::Sample;
use crate::scratch::{Lent, Pool};
use crate::stft::{Precision, StftConfig};

/// The inverse short-time Fourier transform, as [`Istft`](crate::Istft), of frames that come one by one.
#[derive(Debug, Clone)]
pub(super) struct OverlapAdd {
    hop: usize,
    /// Samples that the first frame reaches before the start of the signal.
    left: usize,
    single: Plan<f32>,
    /// For `f64` samples in parity mode.
    double: Option<Plan<f64>>,
    pool: Pool,
}

#[derive(Clone)]
pub(super) struct Plan<F> {
    fft: Arc<dyn Fft<F>>,
    /// The window, divided by the transform's length.
    window: Vec<F>,
    squares: Vec<F>,
}

impl<F> std::fmt::Debug for Plan<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Plan").field("n_fft", &self.window.len()).finish_non_exhaustive()
    }
}

impl<F: Sample> Plan<F> {
    fn new(window: &[f64]) -> Self {
        Self {
            fft: FftPlanner::new().plan_fft_inverse(window.len()),
            window: window.iter().map(|&w| F::narrow(w / window.len() as f64)).collect(),
            squares: window.iter().map(|&w| F::narrow(w * w)).collect(),
        }
    }
}

impl OverlapAdd {
    pub(super) fn new(config: &StftConfig) -> Result<Self> {
        let window = config.padded_window()?;
        Ok(Self {
            hop: config.hop_length(),
            left: if config.center { config.n_fft / 2 } else { 0 },
            single: Plan::new(&window),
            double: (config.precision == Precision::Parity).then(|| Plan::new(&window)),
            pool: Pool::default(),
        })
    }

    /// Begins a signal of `length` samples from so many frames, at least one, in the memory of `signal`.
    pub(super) fn begin<T: Sample>(&self, n_frames: usize, length: usize, signal: Vec<T>) -> Adding<'_, T> {
        let Self { hop, left, ref single, ref double, ref pool } = *self;
        // librosa's `length=0` means no length at all: the signal then ends with the last frame.
        let whole = (single.window.len() + hop * (n_frames - 1)).saturating_sub(2 * left);
        let length = if length == 0 { whole } else { length };
        let frames = n_frames.min((length + 2 * left).div_ceil(hop));
        let place = Place { hop, left, frames, length, next: 0 };
        match double {
            Some(double) if size_of::<T>() > size_of::<f32>() => Adding::Double(Sum::new(double, pool, place, signal)),
            _ => Adding::Single(Sum::new(single, pool, place, signal)),
        }
    }
}

/// The working memory of one call.
#[derive(Default)]
struct Work<F> {
    /// The spectra of two frames, which are transformed together.
    pair: [Vec<Complex<F>>; 2],
    /// What is transformed; then the first frame, as real parts, and the second, as imaginary ones.
    points: Vec<Complex<F>>,
    scratch: Vec<Complex<F>>,
    /// The sum of the frames so far, from the start of the next frame on.
    sums: Vec<F>,
    /// What the samples that are complete are to be divided by; and the same wherever all frames are there.
    divisors: Vec<F>,
    steady: Vec<F>,
}

/// Frames that are being added up to a signal. Beyond the signal it takes the memory of a few frames.
pub(super) enum Adding<'a, T> {
    Double(Sum<'a, T, f64>),
    Single(Sum<'a, T, f32>),
}

impl<T: Sample> Adding<'_, T> {
    /// How many frames reach into the signal.
    pub(super) fn frames(&self) -> usize {
        match self {
            Self::Double(sum) => sum.place.frames,
            Self::Single(sum) => sum.place.frames,
        }
    }

    /// Adds the next frame; those that cannot reach into the signal are ignored.
    pub(super) fn push(&mut self, spectrum: &[Complex<T>]) {
        match self {
            Self::Double(sum) => sum.push(spectrum),
            Self::Single(sum) => sum.push(spectrum),
        }
    }

    /// The signal, once all frames were added.
    pub(super) fn finish(self) -> Vec<T> {
        match self {
            Self::Double(sum) => sum.finish(),
            Self::Single(sum) => sum.finish(),
        }
    }
}

/// Where frames and signal lie.
struct Place {
    hop: usize,
    /// Samples that the first frame reaches before the start of the signal.
    left: usize,
    frames: usize,
    /// Of the signal, in samples.
    length: usize,
    /// The stretch of `hop` samples that is completed next: the one that frame `next` starts with.
    next: usize,
}

pub(super) struct Sum<'a, T, F: Send + 'static> {
    plan: &'a Plan<F>,
    work: Lent<'a, Work<F>>,
    place: Place,
    /// How many frames wait to be transformed: 1 at most.
    waiting: usize,
    signal: Vec<T>,
}

impl<'a, T: Sample, F: Sample> Sum<'a, T, F> {
    fn new(plan: &'a Plan<F>, pool: &'a Pool, place: Place, mut signal: Vec<T>) -> Self {
        let mut work = pool.take::<Work<F>>();
        let n_fft = plan.window.len();
        work.pair.iter_mut().for_each(|spectrum| spectrum.resize(1 + n_fft / 2, Complex::default()));
        work.points.resize(n_fft, Complex::default());
        work.scratch.resize(plan.fft.get_inplace_scratch_len(), Complex::default());
        work.sums.clear();
        work.sums.resize(n_fft.max(place.hop), F::zero());
        work.steady.clear();
        signal.clear();
        signal.reserve_exact(place.length);
        Self { plan, work, place, waiting: 0, signal }
    }

    fn push(&mut self, spectrum: &[Complex<T>]) {
        if self.place.next + self.waiting == self.place.frames {
            return;
        }
        for (slot, bin) in self.work.pair[self.waiting].iter_mut().zip(spectrum) {
            *slot = Complex::new(F::narrow(bin.re.widen()), F::narrow(bin.im.widen()));
        }
        self.waiting += 1;
        if self.waiting == 2 {
            self.add_waiting();
        }
    }

    /// Transforms the frames that wait, and adds them to the sums.
    fn add_waiting(&mut self) {
        let Work { pair: [first, second], points, scratch, .. } = &mut *self.work;
        if self.waiting == 1 {
            second.fill(Complex::default());
        }
        vectorized(Join { first, second, points });
        self.plan.fft.process_with_scratch(points, scratch);
        for part in [Part::Real, Part::Imaginary].into_iter().take(std::mem::take(&mut self.waiting)) {
            let Work { points, sums, .. } = &mut *self.work;
            vectorized(Add { points, part, window: &self.plan.window, sums });
            self.complete();
        }
    }

    fn finish(mut self) -> Vec<T> {
        if self.waiting > 0 {
            self.add_waiting();
        }
        let Place { hop, frames, length, .. } = self.place;
        let end = (frames - 1) * hop + self.plan.window.len();
        while self.place.next * hop < end && self.signal.len() < length {
            self.complete();
        }
        self.signal.resize(length, T::zero());
        self.signal
    }

    /// Hands over the stretch of samples that no later frame touches.
    fn complete(&mut self) {
        let Place { hop, left, frames, length, next } = self.place;
        let (squares, work) = (&self.plan.squares, &mut *self.work);
        let before = (squares.len() - 1) / hop;
        let steady = next >= before && next < frames;
        if !steady || work.steady.is_empty() {
            work.divisors.clear();
            work.divisors.resize(hop, F::zero());
            for back in 0..=before.min(next) {
                if next - back < frames {
                    for (sum, &square) in work.divisors.iter_mut().zip(&squares[back * hop..]) {
                        *sum += square;
                    }
                }
            }
            // Where no window reaches there is nothing to divide by.
            let tiny = T::min_positive_value().widen();
            work.divisors.iter_mut().filter(|sum| sum.widen() <= tiny).for_each(|sum| *sum = F::one());
            if steady {
                work.steady.clone_from(&work.divisors);
            }
        }
        let divisors = if steady { &work.steady } else { &work.divisors };
        let from = left.saturating_sub(next * hop).min(hop);
        let to = hop.min(from + length - self.signal.len());
        let stretch = work.sums[from..to].iter().zip(&divisors[from..to]);
        self.signal.extend(stretch.map(|(&sum, &divisor)| T::narrow((sum / divisor).widen())));
        work.sums.copy_within(hop.., 0);
        let kept = work.sums.len() - hop;
        work.sums[kept..].fill(F::zero());
        self.place.next += 1;
    }
}

/// Makes of the spectra of two real frames that of the complex frame whose real and imaginary parts they are: the first plus
/// i times the second, each continued by its mirror image. One transform then does for both.
struct Join<'a, F> {
    first: &'a [Complex<F>],
    second: &'a [Complex<F>],
    points: &'a mut [Complex<F>],
}

impl<F: Sample> Kernel for Join<'_, F> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self { first, second, points } = self;
        let n_fft = points.len();
        let (low, high) = points.split_at_mut(1 + n_fft / 2);
        for ((slot, a), b) in low.iter_mut().zip(first).zip(second) {
            *slot = Complex::new(a.re - b.im, a.im + b.re);
        }
        for ((slot, a), b) in high.iter_mut().rev().zip(&first[1..]).zip(&second[1..]) {
            *slot = Complex::new(a.re + b.im, b.re - a.im);
        }
        // A real signal has real first (and, of an even length, last) bins; what else they hold is ignored.
        low[0] = Complex::new(first[0].re, second[0].re);
        if n_fft.is_multiple_of(2) {
            low[n_fft / 2] = Complex::new(first[n_fft / 2].re, second[n_fft / 2].re);
        }
    }
}

#[derive(Clone, Copy)]
enum Part {
    Real,
    Imaginary,
}

/// Adds one part of a complex frame, windowed, to the sums.
struct Add<'a, F> {
    points: &'a [Complex<F>],
    part: Part,
    window: &'a [F],
    sums: &'a mut [F],
}

impl<F: Sample> Kernel for Add<'_, F> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self { points, part, window, sums } = self;
        let terms = sums.iter_mut().zip(points).zip(window);
        match part {
            Part::Real => {
                for ((sum, point), &w) in terms {
                    *sum += point.re * w;
                }
            }
            Part::Imaginary => {
                for ((sum, point), &w) in terms {
                    *sum += point.im * w;
                }
            }
        }
    }
}
