//! The short-time Fourier transform, which everything spectral in this crate starts from.

use std::sync::Arc;

use ndarray::{Array2, ArrayViewMut2, ShapeBuilder};
use realfft::num_complex::Complex;
use realfft::{RealFftPlanner, RealToComplex};

use crate::error::{Error, Result};
use crate::frame::{PadMode, check_hop, check_length, frame_count, pad_into};
use crate::sample::{Sample, check_finite};
use crate::scratch::Pool;
use crate::window::Window;

/// How exactly the Fourier transform is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Precision {
    /// In `f64` and rounded to the samples' type afterwards, as librosa does it (its window is `f64`). The default.
    #[default]
    Parity,
    /// In `f32`: about a fifth faster, within 1e-5 of the largest value. Features that librosa itself answers differently
    /// at another precision (chroma with estimated tuning, contrast and bandwidth of pure tones) may differ more.
    Fast,
}

/// Settings of the short-time Fourier transform, by librosa's names and with the defaults of `librosa.stft`.
///
/// librosa's *features* have a default `hop_length` of 512 whatever `n_fft` is; here `None` means a quarter of
/// `win_length` everywhere, which is the same 512 at the default `n_fft`.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(default))]
pub struct StftConfig {
    /// Length of a frame and of the transform, in samples. Default 2048.
    pub n_fft: usize,
    /// Samples from one frame to the next. Default: a quarter of `win_length`.
    pub hop_length: Option<usize>,
    /// Length of the window, centred in the frame between zeros; at most `n_fft`. Default: `n_fft`.
    pub win_length: Option<usize>,
    /// The window function. Default: Hann.
    pub window: Window,
    /// Whether frame t is centred on sample t·`hop_length` (the signal is padded), or starts there. Default: true.
    pub center: bool,
    /// How the signal is padded when `center` is set. Default: zeros.
    pub pad_mode: PadMode,
    /// Whether the transform runs in `f64` (the default) or in `f32`.
    pub precision: Precision,
}

impl Default for StftConfig {
    fn default() -> Self {
        Self {
            n_fft: 2048,
            hop_length: None,
            win_length: None,
            window: Window::Hann,
            center: true,
            pad_mode: PadMode::Constant,
            precision: Precision::Parity,
        }
    }
}

impl StftConfig {
    /// The hop length that this config means, in samples.
    pub fn hop_length(&self) -> usize {
        self.hop_length.unwrap_or(self.win_length() / 4)
    }

    /// The window length that this config means, in samples.
    pub fn win_length(&self) -> usize {
        self.win_length.unwrap_or(self.n_fft)
    }

    /// Number of frequencies of a frame: `1 + n_fft / 2`.
    pub fn n_bins(&self) -> usize {
        1 + self.n_fft / 2
    }

    /// The window as long as the frame, padded with zeros on both sides.
    pub(crate) fn padded_window(&self) -> Result<Vec<f64>> {
        let (n_fft, win_length) = (self.n_fft, self.win_length());
        check_length("n_fft", n_fft)?;
        if win_length > n_fft {
            return Err(Error::config("win_length", format!("at most n_fft = {n_fft}"), win_length));
        }
        check_hop(self.hop_length())?;
        let mut padded = vec![0.0; n_fft];
        let left = (n_fft - win_length) / 2;
        padded[left..left + win_length].copy_from_slice(&self.window.samples(win_length, true)?);
        Ok(padded)
    }
}

/// Frames handed on at once: enough to make the work on them vector code, few enough to stay in the L1 cache.
pub(crate) const BLOCK: usize = 8;

/// Values of a spectrogram that are kept for a second look at them: 4 million, 93 seconds at the default settings.
const KEPT_VALUES: usize = 1 << 22;

/// A whole spectrogram, frame by frame.
#[derive(Default)]
struct Kept<T>(Vec<T>);

/// A planned short-time Fourier transform (librosa: `stft`).
///
/// Planning draws the window and prepares the FFT; every call after that reuses both, and its working memory. It is
/// `Send + Sync`: share one between threads.
///
/// ```
/// use audio_features::{Stft, StftConfig};
///
/// let stft = Stft::new(&StftConfig { n_fft: 512, ..StftConfig::default() })?;
/// let samples = vec![0.0_f32; 16_000];
/// let spectrum = stft.process(&samples)?; // complex, [n_bins, n_frames]
/// assert_eq!(spectrum.dim(), (257, 126));
/// # Ok::<(), audio_features::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Stft {
    config: StftConfig,
    hop_length: usize,
    transform: Transform,
    pool: Pool,
}

#[derive(Clone)]
enum Transform {
    Parity(Plan<f64>),
    Fast(Plan<f32>),
}

impl std::fmt::Debug for Transform {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Parity(_) => "Parity",
            Self::Fast(_) => "Fast",
        })
    }
}

#[derive(Clone)]
struct Plan<F> {
    fft: Arc<dyn RealToComplex<F>>,
    window: Vec<F>,
}

impl<F: Sample> Plan<F> {
    fn new(window: &[f64]) -> Self {
        Self {
            fft: RealFftPlanner::new().plan_fft_forward(window.len()),
            window: window.iter().map(|&w| F::narrow(w)).collect(),
        }
    }

    /// Windows and transforms `frame`, and writes `map` of every bin to `out`.
    #[inline]
    fn run<T: Sample, O, M: BinMap<O>>(&self, frame: &[T], out: &mut [O], map: M, work: &mut Work<F>) -> Result<()> {
        let Work { frame: windowed, spectrum, scratch, .. } = work;
        for ((slot, &x), &w) in windowed.iter_mut().zip(frame).zip(&self.window) {
            *slot = F::narrow(x.widen()) * w;
        }
        self.fft
            .process_with_scratch(windowed, spectrum, scratch)
            .map_err(|error| Error::input("a frame", "as long as the transform", error))?;
        for (slot, &z) in out.iter_mut().zip(spectrum.iter()) {
            *slot = map.map(z);
        }
        Ok(())
    }
}

/// The working memory of one call: the padded ends of the signal, and what the FFT needs.
#[derive(Default)]
struct Work<F> {
    head: Vec<F>,
    tail: Vec<F>,
    frame: Vec<F>,
    spectrum: Vec<Complex<F>>,
    scratch: Vec<Complex<F>>,
}

impl<F: Sample> Work<F> {
    fn fit(&mut self, plan: &Plan<F>) {
        self.frame.resize(plan.window.len(), F::zero());
        self.spectrum.resize(1 + plan.window.len() / 2, Complex::default());
        self.scratch.resize(plan.fft.get_scratch_len(), Complex::default());
    }
}

/// What is kept of a complex bin; generic over the precision that the transform ran in.
pub(crate) trait BinMap<O>: Copy {
    fn map<F: Sample>(self, bin: Complex<F>) -> O;
}

/// The bin itself.
#[derive(Clone, Copy)]
struct Whole;

impl<T: Sample> BinMap<Complex<T>> for Whole {
    #[inline(always)]
    fn map<F: Sample>(self, bin: Complex<F>) -> Complex<T> {
        Complex::new(T::narrow(bin.re.widen()), T::narrow(bin.im.widen()))
    }
}

/// |bin|².
#[derive(Clone, Copy)]
struct Power;

impl<T: Sample> BinMap<T> for Power {
    #[inline(always)]
    fn map<F: Sample>(self, bin: Complex<F>) -> T {
        T::narrow((bin.re * bin.re + bin.im * bin.im).widen())
    }
}

/// Where the frames of a signal lie: some reach before its start, most lie inside, some reach beyond its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Layout {
    /// Frames cut from the padded head, and how many samples of the signal the head holds.
    head: (usize, usize),
    /// Frames cut from the signal itself, and where the first starts.
    middle: (usize, usize),
    /// Frames cut from the padded tail, and the sample that the tail starts with.
    tail: (usize, usize),
}

impl Layout {
    fn total(&self) -> usize {
        self.head.0 + self.middle.0 + self.tail.0
    }
}

impl Stft {
    /// Plans the transform.
    ///
    /// # Errors
    /// [`Error::InvalidConfig`] when `n_fft` or the hop length is 0, `win_length` exceeds `n_fft`, the window is not drawable, or
    /// the padding mode is none of the five that librosa allows.
    pub fn new(config: &StftConfig) -> Result<Self> {
        let window = config.padded_window()?;
        if config.center && !config.pad_mode.is_local() {
            let expected = "constant, edge, reflect, symmetric or linear_ramp for a transform";
            return Err(Error::config("pad_mode", expected, format!("{:?}", config.pad_mode)));
        }
        let transform = match config.precision {
            Precision::Parity => Transform::Parity(Plan::new(&window)),
            Precision::Fast => Transform::Fast(Plan::new(&window)),
        };
        Ok(Self { config: config.clone(), hop_length: config.hop_length(), transform, pool: Pool::default() })
    }

    /// The settings it was planned with.
    pub fn config(&self) -> &StftConfig {
        &self.config
    }

    /// Samples from one frame to the next.
    pub fn hop_length(&self) -> usize {
        self.hop_length
    }

    /// Number of frequencies of a frame: `1 + n_fft / 2`.
    pub fn n_bins(&self) -> usize {
        self.config.n_bins()
    }

    /// Number of frames of a signal of `n` samples: `1 + n / hop_length` when centred (`n_fft` even).
    ///
    /// # Errors
    /// [`Error::TooShort`] when frames are not centred and `n` is less than `n_fft`, or `n` is 0 and `n_fft` odd.
    pub fn n_frames(&self, n: usize) -> Result<usize> {
        self.layout(n).map(|layout| layout.total())
    }

    /// librosa pads the two ends of a long signal by themselves. Where the hop exceeds half a frame, a mirrored tail
    /// then mirrors only what the last frames see; we cut exactly as it does.
    fn layout(&self, n: usize) -> Result<Layout> {
        let layout = self.layout_of(n)?;
        if layout.total() == 0 {
            return Err(Error::TooShort { expected: self.config.n_fft % 2, got: n });
        }
        Ok(layout)
    }

    fn layout_of(&self, n: usize) -> Result<Layout> {
        let (n_fft, hop) = (self.config.n_fft, self.hop_length);
        if !self.config.center {
            if n < n_fft {
                return Err(Error::TooShort { expected: n_fft, got: n });
            }
            return Ok(Layout { head: (0, 0), middle: (frame_count(n, n_fft, hop), 0), tail: (0, n) });
        }
        let half = n_fft / 2;
        let start = half.div_ceil(hop);
        // The first frame that reaches beyond the end; 0 or less when the signal is shorter than half a frame.
        let tail = if n + half >= n_fft { (n + half - n_fft) / hop + 1 } else { 0 };
        if tail <= start {
            // Every frame touches an end: pad the whole signal.
            return Ok(Layout { head: (frame_count(n + 2 * half, n_fft, hop), n), middle: (0, 0), tail: (0, n) });
        }
        let head_samples = if start > 0 { ((start - 1) * hop + n_fft + 1 - half).min(n) } else { 0 };
        let middle_start = start * hop - half;
        let middle = frame_count(n - middle_start, n_fft, hop);
        let tail_start = tail * hop - half;
        let tail_frames =
            if tail * hop + n_fft <= n + 2 * half { frame_count(n - tail_start + half, n_fft, hop) } else { 0 };
        Ok(Layout { head: (start, head_samples), middle: (middle, middle_start), tail: (tail_frames, tail_start) })
    }

    /// The complex spectrum of every frame, shape `[n_bins, n_frames]` (frames are contiguous in memory, as in librosa).
    ///
    /// # Errors
    /// [`Error::NotFinite`] for NaN or infinite samples; [`Error::TooShort`] as [`Stft::n_frames`]; [`Error::InvalidInput`]
    /// for an empty signal with a padding mode that needs samples.
    pub fn process<T: Sample>(&self, samples: &[T]) -> Result<Array2<Complex<T>>> {
        let mut spectrum = Array2::zeros((self.n_bins(), self.n_frames(samples.len())?).f());
        self.process_into(samples, spectrum.view_mut())?;
        Ok(spectrum)
    }

    /// Like [`Stft::process`], into memory of the caller; nothing is allocated after the first call.
    ///
    /// # Errors
    /// As [`Stft::process`], and [`Error::WrongShape`] when `out` is not `[n_bins, n_frames]`.
    pub fn process_into<T: Sample>(&self, samples: &[T], mut out: ArrayViewMut2<'_, Complex<T>>) -> Result<()> {
        self.check_out(samples.len(), self.n_bins(), out.shape())?;
        self.blocks(samples, Whole, |first, block: &[Complex<T>]| {
            for (frame, bins) in block.chunks_exact(self.n_bins()).enumerate() {
                for (slot, &bin) in out.column_mut(first + frame).iter_mut().zip(bins) {
                    *slot = bin;
                }
            }
        })
    }

    /// Calls `sink` with the complex spectrum of every frame, one after another.
    pub(crate) fn frames<T: Sample>(
        &self,
        samples: &[T],
        mut sink: impl FnMut(&[Complex<T>]) -> Result<()>,
    ) -> Result<()> {
        let mut result = Ok(());
        self.blocks(samples, Whole, |_, block: &[Complex<T>]| {
            if result.is_ok() {
                result = block.chunks_exact(self.n_bins()).try_for_each(&mut sink);
            }
        })?;
        result
    }

    /// The spectrogram |STFT|^`power`, shape `[n_bins, n_frames]`: 1 is the magnitude, 2 the power.
    ///
    /// # Errors
    /// As [`Stft::process`].
    pub fn spectrogram<T: Sample>(&self, samples: &[T], power: f64) -> Result<Array2<T>> {
        let mut out = Array2::zeros((self.n_bins(), self.n_frames(samples.len())?).f());
        self.spectrogram_into(samples, power, out.view_mut())?;
        Ok(out)
    }

    /// Like [`Stft::spectrogram`], into memory of the caller; nothing is allocated after the first call.
    ///
    /// # Errors
    /// As [`Stft::process`], and [`Error::WrongShape`] when `out` is not `[n_bins, n_frames]`.
    pub fn spectrogram_into<T: Sample>(&self, samples: &[T], power: f64, mut out: ArrayViewMut2<'_, T>) -> Result<()> {
        self.check_out(samples.len(), self.n_bins(), out.shape())?;
        self.spectrogram_blocks(samples, power, |first, block| {
            for (frame, bins) in block.chunks_exact(self.n_bins()).enumerate() {
                for (slot, &bin) in out.column_mut(first + frame).iter_mut().zip(bins) {
                    *slot = bin;
                }
            }
        })
    }

    pub(crate) fn check_out(&self, n: usize, n_features: usize, got: &[usize]) -> Result<()> {
        let expected = [n_features, self.n_frames(n)?];
        if got == expected { Ok(()) } else { Err(Error::shape("the output", &expected, got)) }
    }

    /// Calls `sink(first_frame, spectrogram)` for blocks of at most [`BLOCK`] frames, frame by frame in memory.
    pub(crate) fn spectrogram_blocks<T: Sample>(
        &self,
        samples: &[T],
        power: f64,
        mut sink: impl FnMut(usize, &mut [T]),
    ) -> Result<()> {
        self.blocks_mut(samples, Power, |first, block: &mut [T]| {
            raise(block, power);
            sink(first, block);
        })
    }

    /// Like [`Stft::spectrogram_blocks`], twice over the same signal, with something done in between: for what can only be
    /// computed once all frames were seen. A spectrogram of at most [`KEPT_VALUES`] is kept; a longer one is computed
    /// again, so that memory does not grow with the signal. The three steps share a `state`.
    pub(crate) fn spectrogram_twice<T: Sample, W>(
        &self,
        samples: &[T],
        power: f64,
        state: &mut W,
        mut first: impl FnMut(&mut W, &[T]),
        between: impl FnOnce(&mut W) -> Result<()>,
        mut second: impl FnMut(&mut W, usize, &[T]),
    ) -> Result<()> {
        let total = self.n_frames(samples.len())? * self.n_bins();
        if total > KEPT_VALUES {
            self.spectrogram_blocks(samples, power, |_, block| first(state, block))?;
            between(state)?;
            return self.spectrogram_blocks(samples, power, |frame, block| second(state, frame, block));
        }
        let mut kept = self.pool.take::<Kept<T>>();
        kept.0.resize(total, T::zero());
        self.spectrogram_blocks(samples, power, |frame, block| {
            kept.0[frame * self.n_bins()..][..block.len()].copy_from_slice(block);
            first(state, block);
        })?;
        between(state)?;
        for (index, block) in kept.0.chunks(BLOCK * self.n_bins()).enumerate() {
            second(state, index * BLOCK, block);
        }
        Ok(())
    }

    fn blocks<T: Sample, O: Copy + Default + Send + 'static>(
        &self,
        samples: &[T],
        map: impl BinMap<O>,
        mut sink: impl FnMut(usize, &[O]),
    ) -> Result<()> {
        self.blocks_mut(samples, map, |first, block: &mut [O]| sink(first, block))
    }

    fn blocks_mut<T: Sample, O: Copy + Default + Send + 'static>(
        &self,
        samples: &[T],
        map: impl BinMap<O>,
        sink: impl FnMut(usize, &mut [O]),
    ) -> Result<()> {
        check_finite(samples)?;
        match &self.transform {
            Transform::Parity(plan) => self.run_plan(plan, samples, map, sink),
            Transform::Fast(plan) => self.run_plan(plan, samples, map, sink),
        }
    }

    fn run_plan<T: Sample, F: Sample, O: Copy + Default + Send + 'static>(
        &self,
        plan: &Plan<F>,
        samples: &[T],
        map: impl BinMap<O>,
        mut sink: impl FnMut(usize, &mut [O]),
    ) -> Result<()> {
        let (n_fft, n_bins, hop) = (self.config.n_fft, self.n_bins(), self.hop_length);
        let layout = self.layout(samples.len())?;
        let mut work = self.pool.take::<Work<F>>();
        work.fit(plan);
        let (mut head, mut tail) = (std::mem::take(&mut work.head), std::mem::take(&mut work.tail));
        let ends_are_joined = layout.middle.0 == 0 && layout.tail.0 == 0;
        if layout.head.0 > 0 {
            let right = if ends_are_joined { n_fft / 2 } else { 0 };
            pad_into(&samples[..layout.head.1], n_fft / 2, right, self.config.pad_mode, &mut head)?;
        }
        if layout.tail.0 > 0 {
            pad_into(&samples[layout.tail.1..], 0, n_fft / 2, self.config.pad_mode, &mut tail)?;
        }

        let mut block = self.pool.take::<Vec<O>>();
        block.resize(BLOCK * n_bins, O::default());
        let total = layout.total();
        for first in (0..total).step_by(BLOCK) {
            let frames = BLOCK.min(total - first);
            for (t, out) in (first..first + frames).zip(block.chunks_exact_mut(n_bins)) {
                if t < layout.head.0 {
                    plan.run(&head[t * hop..t * hop + n_fft], out, map, &mut work)?;
                } else if t < layout.head.0 + layout.middle.0 {
                    let start = layout.middle.1 + (t - layout.head.0) * hop;
                    plan.run(&samples[start..start + n_fft], out, map, &mut work)?;
                } else {
                    let start = (t - layout.head.0 - layout.middle.0) * hop;
                    plan.run(&tail[start..start + n_fft], out, map, &mut work)?;
                }
            }
            sink(first, &mut block[..frames * n_bins]);
        }
        (work.head, work.tail) = (head, tail);
        Ok(())
    }
}

/// From |bin|² to |bin|^`power`, in place.
fn raise<T: Sample>(power_spectrogram: &mut [T], power: f64) {
    if power == 2.0 {
        return;
    }
    if power == 1.0 {
        for value in power_spectrogram {
            *value = value.sqrt();
        }
    } else {
        let half = T::narrow(power / 2.0);
        for value in power_spectrogram {
            *value = value.powf(half);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::f64::consts::TAU;

    use super::*;

    fn noise(n: usize) -> Vec<f64> {
        // A linear congruential generator is noise enough to test a transform with.
        let mut state = 1_u32;
        (0..n)
            .map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                f64::from(state) / f64::from(u32::MAX) - 0.5
            })
            .collect()
    }

    /// Every frame by the definition: pad everything, window, sum.
    fn naive(samples: &[f64], config: &StftConfig) -> Vec<Vec<Complex<f64>>> {
        let half = if config.center { config.n_fft / 2 } else { 0 };
        let mut padded = Vec::<f64>::new();
        pad_into(samples, half, half, config.pad_mode, &mut padded).unwrap();
        let window = config.padded_window().unwrap();
        (0..frame_count(padded.len(), config.n_fft, config.hop_length()))
            .map(|t| {
                let frame = &padded[t * config.hop_length()..][..config.n_fft];
                (0..config.n_bins())
                    .map(|k| {
                        let terms = frame.iter().zip(&window).enumerate().map(|(n, (x, w))| {
                            Complex::from_polar(x * w, -TAU * (k * n % config.n_fft) as f64 / config.n_fft as f64)
                        });
                        terms.sum()
                    })
                    .collect()
            })
            .collect()
    }

    #[test]
    fn equals_the_definition() {
        let modes = [PadMode::Constant, PadMode::Edge, PadMode::Reflect, PadMode::Symmetric, PadMode::LinearRamp];
        for (index, &n) in [0, 1, 5, 31, 32, 63, 64, 65, 100, 257].iter().enumerate() {
            for n_fft in [1, 2, 16, 31, 64] {
                for hop in [1, 7, 16, 31] {
                    for center in [true, false] {
                        let pad_mode = if n == 0 { PadMode::Constant } else { modes[(index + n_fft + hop) % 5] };
                        let config = StftConfig {
                            n_fft,
                            hop_length: Some(hop),
                            win_length: Some(n_fft - n_fft / 4),
                            center,
                            pad_mode,
                            ..StftConfig::default()
                        };
                        let samples = noise(n);
                        if !center && n < n_fft || n == 0 && n_fft % 2 == 1 {
                            assert!(Stft::new(&config).unwrap().process(&samples).is_err(), "{n} {config:?}");
                            continue;
                        }
                        // A hop of half a frame or more makes librosa mirror a shorter tail: only zeros are the same there.
                        if center && hop + n_fft / 2 >= n_fft && pad_mode != PadMode::Constant {
                            continue;
                        }
                        let got = Stft::new(&config).unwrap().process(&samples).unwrap();
                        let want = naive(&samples, &config);
                        assert_eq!(got.dim(), (config.n_bins(), want.len()), "{n} {config:?}");
                        for (t, frame) in want.iter().enumerate() {
                            for (k, bin) in frame.iter().enumerate() {
                                let error = (got[[k, t]] - bin).norm();
                                assert!(error < 1e-12 * n_fft as f64, "{n} {config:?} [{k}, {t}]: {error}");
                            }
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn fast_mode_is_close_and_parity_mode_is_closer() {
        let samples: Vec<f32> = noise(5000).into_iter().map(|x| x as f32).collect();
        let widened: Vec<f64> = samples.iter().map(|&x| f64::from(x)).collect();
        let exact = Stft::new(&StftConfig::default()).unwrap().process(&widened).unwrap();
        let largest = exact.iter().map(|z| z.norm()).fold(0.0, f64::max);
        for (precision, tolerance) in [(Precision::Parity, 6e-8), (Precision::Fast, 1e-6)] {
            let config = StftConfig { precision, ..StftConfig::default() };
            let got = Stft::new(&config).unwrap().process(&samples).unwrap();
            for (got, want) in got.iter().zip(&exact) {
                let got = Complex::new(f64::from(got.re), f64::from(got.im));
                assert!((got - want).norm() <= tolerance * largest);
            }
        }
    }

    #[test]
    fn impossible_settings_are_errors() {
        for config in [
            StftConfig { n_fft: 0, ..StftConfig::default() },
            StftConfig { hop_length: Some(0), ..StftConfig::default() },
            StftConfig { win_length: Some(4096), ..StftConfig::default() },
            StftConfig { win_length: Some(0), ..StftConfig::default() },
        ] {
            assert!(matches!(Stft::new(&config), Err(Error::InvalidConfig { .. })), "{config:?}");
        }
        let stft = Stft::new(&StftConfig::default()).unwrap();
        assert!(matches!(stft.process(&[0.0, f32::NAN]), Err(Error::NotFinite { index: 1, .. })));
    }
}
