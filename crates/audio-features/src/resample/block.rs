//! Resampling by a small fraction: blocks of the signal are filtered, and stretched or cut, as spectra.

use std::sync::Arc;

use realfft::num_complex::Complex;
use realfft::{ComplexToReal, RealFftPlanner, RealToComplex};

use super::kernel::Kernel;
use crate::sample::Sample;

/// Filters a block of samples and gives it `up` samples for every `down`, by overlap and save: the spectrum of the
/// block, times that of the filter, cut or extended to the other length. The ends of the block run into each other, so of
/// its result only what lies half a filter from them is kept, and the next block begins that much earlier.
pub(super) struct Blocks<T> {
    /// Half the filter's length, in input samples.
    half: usize,
    /// Input and output samples from one block to the next.
    hop_in: usize,
    hop_out: usize,
    /// The filter's spectrum, as far as both lengths have it. It is real: the filter is symmetric about time 0.
    response: Vec<T>,
    forward: Arc<dyn RealToComplex<T>>,
    inverse: Arc<dyn ComplexToReal<T>>,
}

impl<T> std::fmt::Debug for Blocks<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Blocks").field("half", &self.half).field("hop_in", &self.hop_in).finish_non_exhaustive()
    }
}

/// Working memory for one block.
#[derive(Debug, Clone, Default)]
pub(super) struct Work<T> {
    input: Vec<T>,
    spectrum: Vec<Complex<T>>,
    resized: Vec<Complex<T>>,
    output: Vec<T>,
    scratch: Vec<Complex<T>>,
}

/// A block is at least this many halves of a filter long. A quarter of it is then computed for nothing at most; longer blocks
/// gain little, and make a stream wait.
const HALVES_IN_A_BLOCK: usize = 8;

impl<T: Sample> Blocks<T> {
    /// The kernel's unit of time is an input sample; it must let nothing pass that the slower rate cannot hold.
    pub(super) fn new(kernel: &Kernel, up: usize, down: usize) -> Self {
        let half = kernel.half();
        // A multiple of `down`, of many small factors, for a fast transform at both rates.
        let mut units = 2;
        while down * units < HALVES_IN_A_BLOCK * half {
            units *= 2;
        }
        if units % 8 == 0 && down * units / 4 * 3 >= HALVES_IN_A_BLOCK * half {
            units = units / 4 * 3;
        }
        let (n_in, n_out) = (down * units, up * units);
        let hop_units = (n_in - 2 * half) / down;

        let mut taps = vec![0.0; n_in];
        for t in 0..=half {
            let tap = kernel.at(t as f64);
            taps[t] = tap;
            taps[(n_in - t) % n_in] = tap;
        }
        let mut planner = RealFftPlanner::<f64>::new();
        let design = planner.plan_fft_forward(n_in);
        let mut spectrum = design.make_output_vec();
        // The lengths are the transform's own.
        let _ = design.process(&mut taps, &mut spectrum);
        // A constant passes unchanged, and the inverse transform does not divide by the length.
        let scale = 1.0 / (spectrum[0].re * n_in as f64);
        // Without the last bin: it stands at the very Nyquist frequency, where nothing passes.
        let response = spectrum[..n_in.min(n_out) / 2].iter().map(|bin| T::narrow(bin.re * scale)).collect();

        let mut planner = RealFftPlanner::<T>::new();
        Self {
            half,
            hop_in: hop_units * down,
            hop_out: hop_units * up,
            response,
            forward: planner.plan_fft_forward(n_in),
            inverse: planner.plan_fft_inverse(n_out),
        }
    }

    /// Half the filter's length, in input samples: how far before and after itself an output sees.
    pub(super) fn half(&self) -> usize {
        self.half
    }

    /// Input samples from one block to the next.
    pub(super) fn hop_in(&self) -> usize {
        self.hop_in
    }

    /// Input samples that [`Blocks::run`] takes: a hop, and half a filter on both sides.
    pub(super) fn window(&self) -> usize {
        self.hop_in + 2 * self.half
    }

    /// The outputs of one hop, from the input samples of that hop and half a filter around them.
    pub(super) fn run<'a>(&self, samples: &[T], work: &'a mut Work<T>) -> &'a [T] {
        let Work { input, spectrum, resized, output, scratch } = work;
        let kept = self.response.len();
        input.resize(self.forward.len(), T::zero());
        spectrum.resize(self.forward.len() / 2 + 1, Complex::default());
        resized.resize(self.inverse.len() / 2 + 1, Complex::default());
        output.resize(self.inverse.len(), T::zero());
        scratch.resize(self.forward.get_scratch_len().max(self.inverse.get_scratch_len()), Complex::default());

        // Time 0 of the transform is the first sample of the hop; what lies before it goes to the end of the circle.
        let (before, rest) = samples.split_at(self.half);
        let end = input.len() - before.len();
        input[..rest.len()].copy_from_slice(rest);
        input[rest.len()..end].fill(T::zero());
        input[end..].copy_from_slice(before);
        // Neither can fail: every length was taken from the transform.
        let _ = self.forward.process_with_scratch(input, spectrum, scratch);
        for ((slot, &bin), &gain) in resized.iter_mut().zip(spectrum.iter()).zip(&self.response) {
            *slot = Complex::new(bin.re * gain, bin.im * gain);
        }
        resized[0].im = T::zero();
        resized[kept..].fill(Complex::default());
        let _ = self.inverse.process_with_scratch(resized, output, scratch);
        &output[..self.hop_out]
    }
}
