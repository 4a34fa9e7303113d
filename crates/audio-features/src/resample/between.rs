//! Values of a signal between its samples.

use super::kernel::Kernel;
use crate::sample::Sample;

/// Reads a signal, of which nothing lies above half its Nyquist frequency, at any place between its samples.
///
/// So much room lets a short filter do. Its taps are drawn at [`ROWS`] places between two samples, and what stands
/// between two of those is a cubic through the four nearest.
#[derive(Debug)]
pub(super) struct Between<T> {
    /// `ROWS + 3` rows of `2·half` taps, rounded up to `chunks` whole chunks; row r is for place (r − 1)/ROWS.
    taps: Vec<[T; LANES]>,
    chunks: usize,
    half: usize,
}

/// With so many rows the cubic is within 2e-9 of the tap that should stand there.
const ROWS: usize = 128;
pub(super) const LANES: usize = 8;

impl<T: Sample> Between<T> {
    /// A filter with this `attenuation` of everything beyond three quarters of the sampling rate, the lowest frequency that
    /// anything below one quarter can be mistaken for.
    pub(super) fn new(attenuation: f64) -> Self {
        // Another tap or two, so that the two filters' errors do not add up.
        let kernel = Kernel::new(0.75, 0.5, attenuation + 10.0);
        let half = kernel.half();
        let chunks = (2 * half).div_ceil(LANES);
        let mut taps = vec![[T::zero(); LANES]; (ROWS + 3) * chunks];
        for (row, taps) in taps.chunks_exact_mut(chunks).enumerate() {
            let place = (row as f64 - 1.0) / ROWS as f64;
            let drawn: Vec<f64> = (0..2 * half).map(|k| kernel.at(k as f64 + 1.0 - half as f64 - place)).collect();
            // Every row passes a constant unchanged, so silence with an offset gains no tone.
            let sum: f64 = drawn.iter().sum();
            taps.as_flattened_mut().iter_mut().zip(&drawn).for_each(|(slot, &tap)| *slot = T::narrow(tap / sum));
        }
        Self { taps, chunks, half }
    }

    /// How many samples up to its place, and how many after it, a value takes.
    pub(super) fn half(&self) -> usize {
        self.half
    }

    /// How many samples [`Between::value`] is given.
    #[inline(always)]
    pub(super) fn width(&self) -> usize {
        self.chunks * LANES
    }

    /// The taps for a `place` (0 to 1) after sample `half − 1`.
    #[inline(always)]
    pub(super) fn taps(&self, place: f64) -> Taps<T> {
        const SIXTH: f64 = 1.0 / 6.0;
        let place = place * ROWS as f64;
        // A whole number of so few digits fits every integer; the smallest is converted fastest.
        let row = (place as i32).clamp(0, ROWS as i32 - 1);
        let f = place - f64::from(row);
        // Lagrange's polynomials through −1, 0, 1 and 2.
        let (before, after) = (f * (f + 1.0), (f - 1.0) * (f - 2.0));
        let weights =
            [-f * after * SIXTH, (f + 1.0) * after * 0.5, before * (2.0 - f) * 0.5, before * (f - 1.0) * SIXTH];
        Taps { row: row as usize, weights: weights.map(T::narrow) }
    }

    /// The value that the taps take from `samples`, in parts that are yet to be added up.
    #[inline(always)]
    pub(super) fn parts(&self, taps: &Taps<T>, samples: &[T]) -> [T; LANES] {
        let rows = &self.taps[taps.row * self.chunks..][..4 * self.chunks];
        let (first, second) = rows.split_at(2 * self.chunks);
        let ((a, b), (c, d)) = (first.split_at(self.chunks), second.split_at(self.chunks));
        let weights = taps.weights;
        let mut parts = [T::zero(); LANES];
        for ((((a, b), c), d), x) in a.iter().zip(b).zip(c).zip(d).zip(samples.as_chunks::<LANES>().0) {
            for lane in 0..LANES {
                let tap = (a[lane] * weights[0] + b[lane] * weights[1]) + (c[lane] * weights[2] + d[lane] * weights[3]);
                parts[lane] += tap * x[lane];
            }
        }
        parts
    }
}

/// Which four rows of taps to mix, and how.
#[derive(Clone, Copy)]
pub(super) struct Taps<T> {
    row: usize,
    weights: [T; 4],
}
