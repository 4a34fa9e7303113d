//! Values of a signal between its samples.

use std::f64::consts::PI;

use super::kernel::Kernel;
use crate::sample::{Sample, TWO_52};

/// Reads a signal, of which nothing lies above half its Nyquist frequency, at any place between its samples.
///
/// So much room lets a short filter do. The way from one sample to the next is cut into [`PIECES`], and along each of them
/// every tap is a cubic of its own (C. W. Farrow, "A continuously variable digital delay element", 1988).
#[derive(Debug)]
pub(super) struct Between<T> {
    /// `PIECES + 1` times `2·half` cubics, rounded up to `chunks` whole chunks; those of piece p are for places around p/PIECES.
    cubics: Vec<Cubics<T>>,
    chunks: usize,
    half: usize,
}

/// With so many pieces the cubics are within 1e-9 of the taps that should stand there; those in `f32` fit into the fastest cache.
const PIECES: usize = 64;
pub(super) const LANES: usize = 8;

/// The coefficients of a chunk of taps, from the constant to the cube.
type Cubics<T> = [[T; LANES]; 4];

impl<T: Sample> Between<T> {
    /// A filter with this `attenuation` of everything beyond three quarters of the sampling rate, the lowest frequency that
    /// anything below one quarter can be mistaken for.
    pub(super) fn new(attenuation: f64) -> Self {
        // Another tap or two, so that the two filters' errors do not add up.
        let kernel = Kernel::new(0.75, 0.5, attenuation + 10.0);
        let half = kernel.half();
        let chunks = (2 * half).div_ceil(LANES);
        // Chebyshev's places: cubics through these four stay close in between.
        let nodes: [f64; 4] = std::array::from_fn(|n| -0.5 * ((2 * n + 1) as f64 * PI / 8.0).cos());
        let mut cubics = vec![[[T::zero(); LANES]; 4]; (PIECES + 1) * chunks];
        for (piece, cubics) in cubics.chunks_exact_mut(chunks).enumerate() {
            let drawn = nodes.map(|node| Self::draw(&kernel, (piece as f64 + node) / PIECES as f64));
            for tap in 0..2 * half {
                let coefficients = cubic_through(nodes, [0, 1, 2, 3].map(|n| drawn[n][tap]));
                for (slot, coefficient) in cubics[tap / LANES].iter_mut().zip(coefficients) {
                    slot[tap % LANES] = T::narrow(coefficient);
                }
            }
        }
        Self { cubics, chunks, half }
    }

    /// The taps for a place. They pass a constant unchanged, so silence with an offset gains no tone.
    fn draw(kernel: &Kernel, place: f64) -> Vec<f64> {
        let half = kernel.half();
        let mut taps: Vec<f64> = (0..2 * half).map(|k| kernel.at(k as f64 + 1.0 - half as f64 - place)).collect();
        let sum: f64 = taps.iter().sum();
        taps.iter_mut().for_each(|tap| *tap /= sum);
        taps
    }

    /// How many samples up to its place, and how many after it, a value takes.
    pub(super) fn half(&self) -> usize {
        self.half
    }

    /// How many samples [`Between::parts`] is given.
    #[inline(always)]
    pub(super) fn width(&self) -> usize {
        self.chunks * LANES
    }

    /// Where a `place` (0 to 1) after sample `half − 1` lies: on which piece of the way, and how far from its middle.
    #[inline(always)]
    pub(super) fn spot(place: f64) -> (usize, T) {
        let place = place * PIECES as f64;
        let rounded = place + TWO_52;
        ((rounded.to_bits() - TWO_52.to_bits()) as usize, T::narrow(place - (rounded - TWO_52)))
    }

    /// The value there, from the samples around, in parts that are yet to be added up.
    #[inline(always)]
    pub(super) fn parts(&self, piece: usize, offset: T, samples: &[T]) -> [T; LANES] {
        let cubics = &self.cubics[piece * self.chunks..][..self.chunks];
        let mut parts = [T::zero(); LANES];
        for ([a, b, c, d], x) in cubics.iter().zip(samples.as_chunks::<LANES>().0) {
            for lane in 0..LANES {
                let tap = ((d[lane] * offset + c[lane]) * offset + b[lane]) * offset + a[lane];
                parts[lane] += tap * x[lane];
            }
        }
        parts
    }
}

/// The coefficients, from the constant on, of the cubic that has these values at these nodes: by Newton's divided differences.
fn cubic_through(nodes: [f64; 4], mut values: [f64; 4]) -> [f64; 4] {
    for order in 1..4 {
        for n in (order..4).rev() {
            values[n] = (values[n] - values[n - 1]) / (nodes[n] - nodes[n - order]);
        }
    }
    let mut coefficients = [0.0; 4];
    for (node, value) in nodes.into_iter().zip(values).rev() {
        // Times x − node, plus the value.
        let [a, b, c, _] = coefficients;
        coefficients = [value - node * a, a - node * b, b - node * c, c];
    }
    coefficients
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cubic_goes_through_its_four_values() {
        let cubic = |x: f64| 1.0 - 2.0 * x + 3.0 * x * x + 0.5 * x * x * x;
        let nodes = [-1.0, 0.25, 0.5, 2.0];
        let got = cubic_through(nodes, nodes.map(cubic));
        assert!(got.iter().zip([1.0, -2.0, 3.0, 0.5]).all(|(got, want)| (got - want).abs() < 1e-12), "{got:?}");
    }

    #[test]
    fn the_cubics_are_close_to_the_taps() {
        for attenuation in [60.0, 130.0, 180.0] {
            let between = Between::<f64>::new(attenuation);
            let kernel = Kernel::new(0.75, 0.5, attenuation + 10.0);
            for step in 0..1000 {
                let place = f64::from(step) / 999.0;
                for (tap, want) in Between::<f64>::draw(&kernel, place).into_iter().enumerate() {
                    // What is read from a signal that is 1 at one sample, and 0 elsewhere.
                    let mut samples = vec![0.0; between.width()];
                    samples[tap] = 1.0;
                    let (piece, offset) = Between::spot(place);
                    let got: f64 = between.parts(piece, offset, &samples).iter().sum();
                    assert!((got - want).abs() < 1e-9, "{attenuation} dB, {place}, tap {tap}: {got}, not {want}");
                }
            }
        }
    }
}
