//! The short-time Fourier transform, which everything spectral in this crate starts from.

use std::marker::PhantomData;
use std::ops::Range;

use ndarray::{Array2, ArrayViewMut2, ShapeBuilder};
use realfft::num_complex::Complex;

use crate::error::{Error, Result};
use crate::fft::{Bin, BinMap, BlockFft, FftWork};
use crate::frame::{PadMode, check_hop, check_length, frame_count, pad_into};
use crate::lanes::{Block, Kernel, LANES, Lanes, vectorized};
use crate::sample::{Sample, check_finite};
use crate::scratch::{Lent, Pool};
use crate::window::Window;

/// How exactly the Fourier transform is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Precision {
    /// In `f64` and rounded to the samples' type afterwards, as librosa does it (its window is `f64`). The default.
    #[default]
    Parity,
    /// In `f32`: nearly twice as fast, within 1e-5 of the largest value. Features that librosa itself answers differently
    /// at another precision may differ more: chroma with estimated tuning, contrast and bandwidth of pure tones, and what
    /// takes roots or logarithms of bins that hold nothing but rounding (spectrograms to a power below 1, flatness).
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

/// Values of a spectrogram that are kept for a second look at them: a million, 23 seconds at the default settings.
const KEPT_VALUES: usize = 1 << 20;

/// Blocks of a spectrogram.
#[derive(Default)]
struct Kept<T>(Vec<Lanes<T>>);

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
    Parity(BlockFft<f64>),
    Fast(BlockFft<f32>),
}

impl std::fmt::Debug for Transform {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Parity(_) => "Parity",
            Self::Fast(_) => "Fast",
        })
    }
}

/// The working memory of one call: the samples of a block of frames, and what the FFT needs.
#[derive(Default)]
struct Work<F> {
    samples: Vec<F>,
    fft: FftWork<F>,
}

/// What is kept of a complex bin, whatever precision the transform ran in.
trait AnyMap<O>: BinMap<f32, Out = O> + BinMap<f64, Out = O> + Copy {}

impl<O, M: BinMap<f32, Out = O> + BinMap<f64, Out = O> + Copy> AnyMap<O> for M {}

/// The bin itself, in the type `T`.
#[derive(Clone, Copy)]
struct Whole<T>(PhantomData<T>);

impl<F: Sample, T: Sample> BinMap<F> for Whole<T> {
    type Out = Bin<T>;

    #[inline(always)]
    fn map(self, bin: Bin<F>) -> Bin<T> {
        Bin { re: bin.re.map(|x| T::narrow(x.widen())), im: bin.im.map(|x| T::narrow(x.widen())) }
    }
}

/// |bin|², in the type `T`.
#[derive(Clone, Copy)]
struct Power<T>(PhantomData<T>);

impl<F: Sample, T: Sample> BinMap<F> for Power<T> {
    type Out = Lanes<T>;

    #[inline(always)]
    fn map(self, bin: Bin<F>) -> Lanes<T> {
        (bin.re * bin.re + bin.im * bin.im).map(|x| T::narrow(x.widen()))
    }
}

/// How many frames a signal has, and which of its samples stand, mirrored or repeated, beyond its ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Layout {
    /// Number of frames.
    frames: usize,
    /// How many samples of the signal the padding before it is made from; `None` when no frame reaches there.
    head: Option<usize>,
    /// The sample from which on the padding after it is made; `None` when no frame reaches there.
    tail: Option<usize>,
}

/// A signal that is ready to be cut into frames: checked, and with what stands beyond its ends.
pub(crate) struct Framed<'a, T: Sample> {
    samples: &'a [T],
    ends: Lent<'a, Ends<T>>,
    frames: usize,
}

/// What stands before the first sample, and after the last.
#[derive(Default)]
struct Ends<T> {
    before: Vec<T>,
    after: Vec<T>,
}

impl<T: Sample> Framed<'_, T> {
    /// Number of frames.
    pub(crate) fn frames(&self) -> usize {
        self.frames
    }

    /// The samples from `start` on, counted with the padding; zeros beyond its end.
    fn copy<F: Sample>(&self, start: usize, out: &mut [F]) {
        let mut position = 0;
        let mut filled = 0;
        for part in [&self.ends.before[..], self.samples, &self.ends.after] {
            let from = (start + filled).saturating_sub(position).min(part.len());
            let part = &part[from..part.len().min(from + out.len() - filled)];
            vectorized(Convert { from: part, to: &mut out[filled..filled + part.len()] });
            filled += part.len();
            position += from + part.len();
            if filled == out.len() {
                return;
            }
        }
        out[filled..].fill(F::zero());
    }
}

/// Copies samples to another type of sample.
struct Convert<'a, T, F> {
    from: &'a [T],
    to: &'a mut [F],
}

impl<T: Sample, F: Sample> Kernel for Convert<'_, T, F> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self { from, to } = self;
        for (slot, x) in to.iter_mut().zip(from) {
            *slot = F::narrow(x.widen());
        }
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
        let hop_length = config.hop_length();
        let transform = match config.precision {
            Precision::Parity => Transform::Parity(BlockFft::new(&window, hop_length.min(window.len()))),
            Precision::Fast => Transform::Fast(BlockFft::new(&window, hop_length.min(window.len()))),
        };
        Ok(Self { config: config.clone(), hop_length, transform, pool: Pool::default() })
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
        self.layout(n).map(|layout| layout.frames)
    }

    fn layout(&self, n: usize) -> Result<Layout> {
        let layout = self.layout_of(n)?;
        if layout.frames == 0 {
            return Err(Error::TooShort { expected: self.config.n_fft % 2, got: n });
        }
        Ok(layout)
    }

    /// librosa pads the two ends of a long signal by themselves. Where the hop exceeds half a frame, a mirrored tail
    /// then mirrors only what the last frames see; we cut exactly as it does.
    fn layout_of(&self, n: usize) -> Result<Layout> {
        let (n_fft, hop) = (self.config.n_fft, self.hop_length);
        if !self.config.center {
            if n < n_fft {
                return Err(Error::TooShort { expected: n_fft, got: n });
            }
            return Ok(Layout { frames: frame_count(n, n_fft, hop), head: None, tail: None });
        }
        let half = n_fft / 2;
        // The first frame that does not reach before the start, and the first that reaches beyond the end; the latter is 0
        // or less when the signal is shorter than half a frame.
        let start = half.div_ceil(hop);
        let end = if n + half >= n_fft { (n + half - n_fft) / hop + 1 } else { 0 };
        if end <= start {
            // Every frame touches an end: the whole signal is padded.
            return Ok(Layout { frames: frame_count(n + 2 * half, n_fft, hop), head: Some(n), tail: Some(0) });
        }
        let head = (start > 0).then(|| ((start - 1) * hop + n_fft + 1 - half).min(n));
        let inside = frame_count(n - (start * hop - half), n_fft, hop);
        let tail = (end * hop + n_fft <= n + 2 * half).then(|| end * hop - half);
        let beyond = tail.map_or(0, |tail| frame_count(n - tail + half, n_fft, hop));
        Ok(Layout { frames: start + inside + beyond, head, tail })
    }

    /// Checks a signal and pads it.
    pub(crate) fn framed<'a, T: Sample>(&'a self, samples: &'a [T]) -> Result<Framed<'a, T>> {
        check_finite(samples)?;
        self.framed_unchecked(samples)
    }

    /// Pads a signal whose samples are known to be finite.
    pub(crate) fn framed_unchecked<'a, T: Sample>(&'a self, samples: &'a [T]) -> Result<Framed<'a, T>> {
        let Layout { frames, head, tail } = self.layout(samples.len())?;
        let (half, mode) = (self.config.n_fft / 2, self.config.pad_mode);
        let mut ends = self.pool.take::<Ends<T>>();
        ends.before.clear();
        ends.after.clear();
        if let Some(head) = head {
            pad_into(&samples[..head], half, 0, mode, &mut ends.before)?;
            ends.before.truncate(half);
        }
        if let Some(tail) = tail {
            pad_into(&samples[tail..], 0, half, mode, &mut ends.after)?;
            ends.after.drain(..samples.len() - tail);
        }
        Ok(Framed { samples, ends, frames })
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
        let signal = self.framed(samples)?;
        self.blocks(&signal, 0..signal.frames, LANES, Whole(PhantomData), |block: Block<'_, Bin<T>>| {
            for frame in 0..block.frames {
                for (slot, bin) in out.column_mut(block.first + frame).iter_mut().zip(&*block.bins) {
                    *slot = Complex::new(bin.re.0[frame], bin.im.0[frame]);
                }
            }
        })
    }

    /// Calls `sink` with the complex spectrum of every frame, one after another.
    pub(crate) fn frames<T: Sample>(&self, samples: &[T], mut sink: impl FnMut(&[Complex<T>])) -> Result<()> {
        let signal = self.framed(samples)?;
        let mut spectrum = self.pool.take::<Vec<Complex<T>>>();
        spectrum.resize(self.n_bins(), Complex::default());
        self.blocks(&signal, 0..signal.frames, LANES, Whole(PhantomData), |block: Block<'_, Bin<T>>| {
            for frame in 0..block.frames {
                for (slot, bin) in spectrum.iter_mut().zip(&*block.bins) {
                    *slot = Complex::new(bin.re.0[frame], bin.im.0[frame]);
                }
                sink(&spectrum);
            }
        })
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
        let signal = self.framed(samples)?;
        self.spectrogram_blocks(&signal, 0..signal.frames, power, |block| {
            for frame in 0..block.frames {
                for (slot, bin) in out.column_mut(block.first + frame).iter_mut().zip(&*block.bins) {
                    *slot = bin.0[frame];
                }
            }
        })
    }

    pub(crate) fn check_out(&self, n: usize, n_features: usize, got: &[usize]) -> Result<()> {
        let expected = [n_features, self.n_frames(n)?];
        if got == expected { Ok(()) } else { Err(Error::shape("the output", &expected, got)) }
    }

    /// Calls `sink` with |STFT|^`power` of some frames of a signal, block by block.
    pub(crate) fn spectrogram_blocks<T: Sample>(
        &self,
        signal: &Framed<'_, T>,
        frames: Range<usize>,
        power: f64,
        sink: impl FnMut(Block<'_, Lanes<T>>),
    ) -> Result<()> {
        self.spectrogram_every(signal, frames, LANES, power, sink)
    }

    /// Like [`Stft::spectrogram_blocks`], of one block in every `step` frames.
    pub(crate) fn spectrogram_every<T: Sample>(
        &self,
        signal: &Framed<'_, T>,
        frames: Range<usize>,
        step: usize,
        power: f64,
        mut sink: impl FnMut(Block<'_, Lanes<T>>),
    ) -> Result<()> {
        self.blocks(signal, frames, step, Power(PhantomData), |block: Block<'_, Lanes<T>>| {
            vectorized(Raise { bins: block.bins, power });
            sink(block);
        })
    }

    /// How many frames lie from one block of the sample of a signal to the next: see [`Stft::spectrogram_twice`].
    pub(crate) fn sample_step(&self, frames: usize) -> usize {
        let room = (KEPT_VALUES / LANES / self.n_bins()).max(1);
        LANES * frames.div_ceil(LANES * room).next_power_of_two()
    }

    /// Like [`Stft::spectrogram_blocks`], with two looks at every frame: `between` learns something from all that `first`
    /// saw, and `second` goes by it. The three steps share a `state`; `second` is called anew for frames that it was given
    /// before when it went by something else then. Blocks come in no order.
    ///
    /// A spectrogram of at most [`KEPT_VALUES`] is kept for the second look. Of a longer one a sample of that size is kept:
    /// blocks spread evenly over the signal. What is learned from them is taken for the blocks half-way between, and
    /// learned again; then for those half-way between all these, and so on. Only when it changes are the blocks before the
    /// change transformed again, and since a sample tells of the whole, that is early, when they are few. So memory does
    /// not grow with the signal, and most signals are transformed little more than once.
    ///
    /// `between` is told whether frames are still to come. It may find that what it was given is not enough, by `None`:
    /// the result is then false, and what `second` did means nothing.
    pub(crate) fn spectrogram_twice<T: Sample, W, K: PartialEq>(
        &self,
        signal: &Framed<'_, T>,
        power: f64,
        state: &mut W,
        mut first: impl FnMut(&mut W, Block<'_, Lanes<T>>),
        mut between: impl FnMut(&mut W, bool) -> Result<Option<K>>,
        mut second: impl FnMut(&mut W, Block<'_, Lanes<T>>),
    ) -> Result<bool> {
        let (frames, n_bins) = (signal.frames, self.n_bins());
        let sample = self.sample_step(frames);
        let mut kept = self.pool.take::<Kept<T>>();
        kept.0.resize(frames.div_ceil(sample) * n_bins, Lanes::default());
        let mut room = kept.0.chunks_exact_mut(n_bins);
        self.spectrogram_every(signal, 0..frames, sample, power, |block| {
            if let Some(room) = room.next() {
                room.copy_from_slice(block.bins);
            }
            first(state, block);
        })?;
        // Blocks at multiples of `step` are done. Those at multiples of `stale` went by something else than what is known
        // now, but for the sample, which waits for the end.
        let (mut step, mut stale) = (sample, sample);
        let Some(mut learned) = between(state, step > LANES)? else { return Ok(false) };
        while step > LANES {
            let half = step / 2;
            self.spectrogram_every(signal, half..frames, step, power, |block| {
                // In this order, since `first` may change the bins.
                second(state, Block { first: block.first, frames: block.frames, bins: &mut *block.bins });
                first(state, block);
            })?;
            step = half;
            let Some(now) = between(state, step > LANES)? else { return Ok(false) };
            if now != learned {
                (learned, stale) = (now, step);
            }
        }
        for (index, bins) in kept.0.chunks_exact_mut(n_bins).enumerate() {
            let first = index * sample;
            second(state, Block { first, frames: LANES.min(frames - first), bins });
        }
        step = sample;
        while step > stale {
            self.spectrogram_every(signal, step / 2..frames, step, power, |block| second(state, block))?;
            step /= 2;
        }
        Ok(true)
    }

    fn blocks<T: Sample, M: AnyMap<O>, O: Copy + Default + Send + 'static>(
        &self,
        signal: &Framed<'_, T>,
        frames: Range<usize>,
        step: usize,
        map: M,
        sink: impl FnMut(Block<'_, O>),
    ) -> Result<()> {
        match &self.transform {
            Transform::Parity(fft) => self.transform_blocks(fft, signal, frames, step, map, sink),
            Transform::Fast(fft) => self.transform_blocks(fft, signal, frames, step, map, sink),
        }
    }

    fn transform_blocks<T: Sample, F: Sample, M: BinMap<F>>(
        &self,
        fft: &BlockFft<F>,
        signal: &Framed<'_, T>,
        frames: Range<usize>,
        step: usize,
        map: M,
        mut sink: impl FnMut(Block<'_, M::Out>),
    ) -> Result<()> {
        let (hop, n_fft) = (self.hop_length, self.config.n_fft);
        let mut work = self.pool.take::<Work<F>>();
        let Work { samples, fft: fft_work } = &mut *work;
        samples.resize((LANES - 1) * hop.min(n_fft) + n_fft, F::zero());
        let mut bins = self.pool.take::<Vec<M::Out>>();
        bins.resize(self.n_bins(), M::Out::default());
        for first in frames.clone().step_by(step) {
            if hop <= n_fft {
                signal.copy(first * hop, samples);
            } else {
                // What lies between frames is left out.
                for (lane, frame) in samples.chunks_exact_mut(n_fft).enumerate() {
                    signal.copy((first + lane) * hop, frame);
                }
            }
            fft.run(samples, map, fft_work, &mut bins)?;
            sink(Block { first, frames: LANES.min(frames.end - first), bins: &mut bins });
        }
        Ok(())
    }
}

/// From |bin|² to |bin|^`power`, in place.
struct Raise<'a, T> {
    bins: &'a mut [Lanes<T>],
    power: f64,
}

impl<T: Sample> Kernel for Raise<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self { bins, power } = self;
        if power == 1.0 {
            for bin in bins {
                *bin = bin.map(|x| x.sqrt());
            }
        } else if power != 2.0 {
            let half = T::narrow(power / 2.0);
            for bin in bins {
                *bin = bin.map(|x| x.powf(half));
            }
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
