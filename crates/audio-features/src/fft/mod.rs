//! The Fourier transform of a block of frames.
//!
//! A transform whose length is a power of two runs on all frames of the block at once ([`radix4`]); one of any other
//! length runs frame by frame through realfft.

mod radix4;

use std::sync::Arc;

use realfft::num_complex::Complex;
use realfft::{RealFftPlanner, RealToComplex};

use crate::error::{Error, Result};
use crate::lanes::{LANES, Lanes, vectorized};
use crate::sample::Sample;
use radix4::Radix4;

/// A complex number of every frame of a block.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Bin<F> {
    pub(crate) re: Lanes<F>,
    pub(crate) im: Lanes<F>,
}

/// What is kept of a bin.
pub(crate) trait BinMap<F>: Copy {
    /// What a bin becomes.
    type Out: Copy + Default + Send + 'static;

    /// Turns a bin of every frame into what is kept of it.
    fn map(self, bin: Bin<F>) -> Self::Out;
}

/// A planned transform of blocks of windowed frames, one every `hop` samples; `hop` is at most the length of a frame.
#[derive(Clone)]
pub(crate) enum BlockFft<F> {
    PowerOfTwo(Radix4<F>),
    Any { fft: Arc<dyn RealToComplex<F>>, window: Vec<F>, hop: usize },
}

/// The working memory of a transform.
#[derive(Default)]
pub(crate) struct FftWork<F> {
    bins: Vec<Bin<F>>,
    columns: Vec<F>,
    spectrum: Vec<Complex<F>>,
    scratch: Vec<Complex<F>>,
}

impl<F: Sample> BlockFft<F> {
    pub(crate) fn new(window: &[f64], hop: usize) -> Self {
        let n_fft = window.len();
        if n_fft.is_power_of_two() && n_fft >= radix4::SHORTEST {
            return Self::PowerOfTwo(Radix4::new(window, hop));
        }
        let window = window.iter().map(|&w| F::narrow(w)).collect();
        Self::Any { fft: RealFftPlanner::new().plan_fft_forward(n_fft), window, hop }
    }

    /// Windows and transforms the frames of `samples`, and writes `map` of every bin to `out`.
    ///
    /// `samples` are all samples that a full block sees, `(LANES − 1)·hop + n_fft`; `out` has `1 + n_fft / 2` bins.
    pub(crate) fn run<M: BinMap<F>>(
        &self,
        samples: &[F],
        map: M,
        work: &mut FftWork<F>,
        out: &mut [M::Out],
    ) -> Result<()> {
        match self {
            Self::PowerOfTwo(plan) => {
                work.bins.resize(plan.n_points(), Bin::default());
                work.columns.resize(plan.n_cells(), F::zero());
                let (columns, points) = (&mut work.columns[..], &mut work.bins[..]);
                vectorized(radix4::Run { plan, samples, map, columns, points, out });
            }
            Self::Any { fft, window, hop } => {
                work.columns.resize(window.len(), F::zero());
                work.bins.resize(out.len(), Bin::default());
                work.spectrum.resize(out.len(), Complex::default());
                work.scratch.resize(fft.get_scratch_len(), Complex::default());
                for lane in 0..LANES {
                    for ((slot, &x), &w) in work.columns.iter_mut().zip(&samples[lane * hop..]).zip(window) {
                        *slot = x * w;
                    }
                    fft.process_with_scratch(&mut work.columns, &mut work.spectrum, &mut work.scratch)
                        .map_err(|error| Error::input("a frame", "as long as the transform", error))?;
                    for (bin, z) in work.bins.iter_mut().zip(&work.spectrum) {
                        bin.re.0[lane] = z.re;
                        bin.im.0[lane] = z.im;
                    }
                }
                for (slot, &bin) in out.iter_mut().zip(&work.bins) {
                    *slot = map.map(bin);
                }
            }
        }
        Ok(())
    }
}
