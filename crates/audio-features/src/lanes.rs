//! Eight frames at once.
//!
//! Everything that happens to the spectrum of one frame happens in the same way to the next. So frames are worked on in
//! blocks of [`LANES`], and a block holds the values of its frames side by side: bin 0 of all of them, then bin 1, and so
//! on. Plain loops over the lanes then become vector instructions without any shuffling, and what a frame's values are
//! does not depend on the frames beside it.

use std::ops::{Add, Mul, Sub};

use ndarray::{ArrayView2, ArrayViewMut2};

use crate::sample::Sample;

/// Frames in a block.
pub(crate) const LANES: usize = 8;

/// One value of every frame of a block.
#[derive(Debug, Clone, Copy, Default)]
#[repr(align(32))]
pub(crate) struct Lanes<T>(pub(crate) [T; LANES]);

impl<T: Sample> Lanes<T> {
    #[inline(always)]
    pub(crate) fn map<U: Sample>(self, f: impl Fn(T) -> U) -> Lanes<U> {
        let mut out = Lanes::default();
        for lane in 0..LANES {
            out.0[lane] = f(self.0[lane]);
        }
        out
    }

    #[inline(always)]
    fn with(self, other: Self, f: impl Fn(T, T) -> T) -> Self {
        let mut out = self;
        for lane in 0..LANES {
            out.0[lane] = f(self.0[lane], other.0[lane]);
        }
        out
    }

    /// The larger value of each lane; NaN where one of the two is NaN, as in numpy.
    #[inline(always)]
    pub(crate) fn max(self, other: Self) -> Self {
        self.with(other, |a, b| if b <= a || a.is_nan() { a } else { b })
    }
}

/// Writes a block of features to the columns of `out` from `first` on: the first `frames` frames, a row for each value.
pub(crate) fn store<T: Sample>(values: &[Lanes<T>], frames: usize, first: usize, out: &mut ArrayViewMut2<'_, T>) {
    for (mut row, value) in out.rows_mut().into_iter().zip(values) {
        match row.as_slice_mut() {
            // A copy of known length is a single instruction.
            Some(row) if frames == LANES => row[first..first + LANES].copy_from_slice(&value.0),
            Some(row) => row[first..first + frames].copy_from_slice(&value.0[..frames]),
            None => row.iter_mut().skip(first).zip(&value.0[..frames]).for_each(|(slot, &x)| *slot = x),
        }
    }
}

/// Some frames that follow each other, side by side: a value of each for every bin.
#[derive(Debug)]
pub(crate) struct Block<'a, O> {
    /// Number of the first frame.
    pub(crate) first: usize,
    /// How many frames there are, at most [`LANES`]; what stands in lanes beyond that means nothing.
    pub(crate) frames: usize,
    /// The bins, from low to high.
    pub(crate) bins: &'a mut [O],
}

/// Calls `sink` with the frames of a spectrogram `[n_bins, n_frames]`, block by block. `bins` is working memory.
pub(crate) fn blocks_of<T: Sample>(
    spectrogram: ArrayView2<'_, T>,
    bins: &mut Vec<Lanes<T>>,
    mut sink: impl FnMut(Block<'_, Lanes<T>>),
) {
    bins.resize(spectrogram.nrows(), Lanes::default());
    for first in (0..spectrogram.ncols()).step_by(LANES) {
        let frames = LANES.min(spectrogram.ncols() - first);
        for frame in 0..frames {
            for (bin, &x) in bins.iter_mut().zip(spectrogram.column(first + frame)) {
                bin.0[frame] = x;
            }
        }
        sink(Block { first, frames, bins });
    }
}

impl<T: Sample> Add for Lanes<T> {
    type Output = Self;

    #[inline(always)]
    fn add(self, other: Self) -> Self {
        self.with(other, |a, b| a + b)
    }
}

impl<T: Sample> Sub for Lanes<T> {
    type Output = Self;

    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        self.with(other, |a, b| a - b)
    }
}

impl<T: Sample> Mul for Lanes<T> {
    type Output = Self;

    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        self.with(other, |a, b| a * b)
    }
}

impl<T: Sample> Mul<T> for Lanes<T> {
    type Output = Self;

    #[inline(always)]
    fn mul(self, factor: T) -> Self {
        self.map(|x| x * factor)
    }
}

/// A loop over lanes that is worth compiling for the vectors of the machine it runs on: its arguments.
pub(crate) trait Kernel {
    /// What the loop gives.
    type Output;

    /// The loop. It and all that it calls must be `#[inline(always)]` or tiny: only what is inlined is compiled anew.
    fn run(self) -> Self::Output;
}

/// Runs a kernel compiled for the widest vectors that this machine has. Nothing is fused or reordered, so the result is
/// the same on every machine.
pub(crate) fn vectorized<K: Kernel>(kernel: K) -> K::Output {
    pulp::Arch::new().dispatch(Dispatched(kernel))
}

struct Dispatched<K>(K);

impl<K: Kernel> pulp::NullaryFnOnce for Dispatched<K> {
    type Output = K::Output;

    #[inline(always)]
    fn call(self) -> K::Output {
        self.0.run()
    }
}

/// The largest value of every lane.
pub(crate) struct Largest<'a, T> {
    pub(crate) values: &'a [Lanes<T>],
}

impl<T: Sample> Kernel for Largest<'_, T> {
    type Output = Lanes<T>;

    #[inline(always)]
    fn run(self) -> Lanes<T> {
        // Several at once, since each comparison waits for the one before it.
        let mut largest = [Lanes([T::neg_infinity(); LANES]); 4];
        let fours = self.values.chunks_exact(4);
        for (largest, &value) in largest.iter_mut().zip(fours.remainder()) {
            *largest = largest.max(value);
        }
        for four in fours {
            for (largest, &value) in largest.iter_mut().zip(four) {
                *largest = largest.max(value);
            }
        }
        let [a, b, c, d] = largest;
        a.max(b).max(c.max(d))
    }
}
