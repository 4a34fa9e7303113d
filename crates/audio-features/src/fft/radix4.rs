//! A real Fourier transform of a power of two of samples, for all frames of a block at once.
//!
//! The samples of a frame, taken two by two, are the points of a complex transform of half the length (H. V. Sorensen et
//! al., "Real-valued fast Fourier transform algorithms", 1987). That one is decimated in frequency by fours, in place;
//! its last step may be by two. Its results lie in digit-reversed order, which costs nothing here: a bin of all frames is
//! a cache line of its own, so the last step simply picks them up where they are.

use std::f64::consts::TAU;

use super::{Bin, BinMap};
use crate::lanes::{Kernel, LANES, Lanes};
use crate::sample::Sample;

/// The shortest transform that is planned here.
pub(super) const SHORTEST: usize = 16;

/// Parts of this many points are finished one after another, so that they stay in the fastest cache.
const CACHED: usize = 256;

#[derive(Clone)]
pub(crate) struct Radix4<F> {
    hop: usize,
    /// The window, halved: what takes the real transform out of the complex one halves its sums.
    window: Vec<F>,
    /// Where sample n of the first frame lies in the table of columns.
    cells: Vec<u32>,
    n_columns: usize,
    /// Steps by four but for the last, the first over all points, each next over a quarter of the points.
    steps: Vec<Step<F>>,
    /// Whether the last step, which needs no factors, is one by two instead of four.
    ends_with_pairs: bool,
    /// Where the complex transform leaves frequency k.
    places: Vec<u32>,
    /// e^(−2πik/n_fft) for the first half of the frequencies.
    turns: Vec<Turn<F>>,
}

/// A factor on the unit circle: its cosine and its sine.
type Turn<F> = [F; 2];

/// The factors of the second, third and fourth quarter of the points.
#[derive(Clone)]
struct Step<F>(Vec<[Turn<F>; 3]>);

impl<F> Step<F> {
    fn n_points(&self) -> usize {
        4 * self.0.len()
    }
}

fn turn<F: Sample>(part: usize, whole: usize) -> Turn<F> {
    let (sin, cos) = (-TAU * (part % whole) as f64 / whole as f64).sin_cos();
    [F::narrow(cos), F::narrow(sin)]
}

/// Where the transform of `n` points leaves frequency `k`.
fn place(k: usize, n: usize) -> usize {
    match n {
        1 => 0,
        2 => k,
        _ => k % 4 * (n / 4) + place(k / 4, n / 4),
    }
}

impl<F: Sample> Radix4<F> {
    pub(super) fn new(window: &[f64], hop: usize) -> Self {
        let n_fft = window.len();
        let n_points = n_fft / 2;
        let n_columns = LANES + (n_fft - 1) / hop;
        let lengths = std::iter::successors(Some(n_points), |n| Some(n / 4)).take_while(|&n| n > 4);
        let step = |n: usize| Step((0..n / 4).map(|j| [1, 2, 3].map(|quarter| turn(j * quarter, n))).collect());
        Self {
            hop,
            window: window.iter().map(|&w| F::narrow(0.5 * w)).collect(),
            cells: (0..n_fft).map(|n| (n % hop * n_columns + n / hop) as u32).collect(),
            n_columns,
            steps: lengths.map(step).collect(),
            ends_with_pairs: n_points.trailing_zeros() % 2 == 1,
            places: (0..n_points).map(|k| place(k, n_points) as u32).collect(),
            turns: (0..=n_points / 2).map(|k| turn(k, n_fft)).collect(),
        }
    }

    pub(super) fn n_points(&self) -> usize {
        self.window.len() / 2
    }

    /// Number of values in the table of columns.
    pub(super) fn n_cells(&self) -> usize {
        self.hop * self.n_columns
    }

    /// Lays the samples out hop by hop in columns. Sample n of all frames then lies side by side: the next frame's is that
    /// of the next column.
    #[inline(always)]
    fn tabulate(&self, samples: &[F], columns: &mut [F]) {
        for (row, columns) in columns.chunks_exact_mut(self.n_columns).enumerate() {
            // The last column may end early; nothing of its rest is seen.
            for (slot, &x) in columns.iter_mut().zip(samples[row..].iter().step_by(self.hop)) {
                *slot = x;
            }
        }
    }

    /// Sample n of every frame, windowed.
    #[inline(always)]
    fn sample(&self, columns: &[F], n: usize) -> Lanes<F> {
        let cell = self.cells[n] as usize;
        let mut values = Lanes::default();
        values.0.copy_from_slice(&columns[cell..cell + LANES]);
        values * self.window[n]
    }

    #[inline(always)]
    fn point(&self, columns: &[F], index: usize) -> Bin<F> {
        Bin { re: self.sample(columns, 2 * index), im: self.sample(columns, 2 * index + 1) }
    }

    /// From the samples to the points after the first step.
    #[inline(always)]
    fn first_step(&self, columns: &[F], points: &mut [Bin<F>]) {
        let quarter = points.len() / 4;
        let (a, rest) = points.split_at_mut(quarter);
        let (b, rest) = rest.split_at_mut(quarter);
        let (c, d) = rest.split_at_mut(quarter);
        let slots = a.iter_mut().zip(b).zip(c).zip(d);
        for (j, ((((a, b), c), d), turns)) in slots.zip(&self.steps[0].0).enumerate() {
            let first = self.point(columns, j);
            let second = self.point(columns, j + quarter);
            let third = self.point(columns, j + 2 * quarter);
            let fourth = self.point(columns, j + 3 * quarter);
            [*a, *b, *c, *d] = butterfly([first, second, third, fourth], turns);
        }
    }

    /// The steps after the first.
    #[inline(always)]
    fn other_steps(&self, points: &mut [Bin<F>]) {
        let steps = &self.steps[1..];
        let (large, cached) = steps.split_at(steps.partition_point(|step| step.n_points() > CACHED));
        for step in large {
            step.run(points);
        }
        for part in points.chunks_mut(CACHED) {
            for step in cached {
                step.run(part);
            }
            if self.ends_with_pairs {
                for pair in part.chunks_exact_mut(2) {
                    (pair[0], pair[1]) = (pair[0] + pair[1], pair[0] - pair[1]);
                }
            } else {
                for four in part.chunks_exact_mut(4) {
                    let [a, b, c, d] = fourth_roots([four[0], four[1], four[2], four[3]]);
                    (four[0], four[1], four[2], four[3]) = (a, b, c, d);
                }
            }
        }
    }

    /// The result of the complex transform at frequency `k`.
    #[inline(always)]
    fn at(&self, points: &[Bin<F>], k: usize) -> Bin<F> {
        points[self.places[k] as usize]
    }

    /// Takes the real transform out of the complex one.
    #[inline(always)]
    fn finish<M: BinMap<F>>(&self, points: &[Bin<F>], map: M, out: &mut [M::Out]) {
        let n = points.len();
        let two = F::one() + F::one();
        let (constant, middle) = (self.at(points, 0), self.at(points, n / 2));
        let none = Lanes::default();
        out[0] = map.map(Bin { re: (constant.re + constant.im) * two, im: none });
        out[n] = map.map(Bin { re: (constant.re - constant.im) * two, im: none });
        out[n / 2] = map.map(Bin { re: middle.re * two, im: (none - middle.im) * two });
        for k in 1..n / 2 {
            let (a, b) = (self.at(points, k), self.at(points, n - k));
            let even = Bin { re: a.re + b.re, im: a.im - b.im };
            let odd = Bin { re: a.im + b.im, im: b.re - a.re }.turned(self.turns[k]);
            out[k] = map.map(even + odd);
            out[n - k] = map.map(Bin { re: even.re - odd.re, im: odd.im - even.im });
        }
    }
}

/// [`super::BlockFft::run`] for a power of two.
pub(super) struct Run<'a, F, M: BinMap<F>> {
    pub(super) plan: &'a Radix4<F>,
    pub(super) samples: &'a [F],
    pub(super) map: M,
    pub(super) columns: &'a mut [F],
    pub(super) points: &'a mut [Bin<F>],
    pub(super) out: &'a mut [M::Out],
}

impl<F: Sample, M: BinMap<F>> Kernel for Run<'_, F, M> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self { plan, samples, map, columns, points, out } = self;
        plan.tabulate(samples, columns);
        plan.first_step(columns, points);
        plan.other_steps(points);
        plan.finish(points, map, out);
    }
}

impl<F: Sample> Step<F> {
    /// Runs over every part of `points` that is as long as this step.
    #[inline(always)]
    fn run(&self, points: &mut [Bin<F>]) {
        for part in points.chunks_exact_mut(self.n_points()) {
            let (a, rest) = part.split_at_mut(self.0.len());
            let (b, rest) = rest.split_at_mut(self.0.len());
            let (c, d) = rest.split_at_mut(self.0.len());
            for ((((a, b), c), d), turns) in a.iter_mut().zip(b).zip(c).zip(d).zip(&self.0) {
                [*a, *b, *c, *d] = butterfly([*a, *b, *c, *d], turns);
            }
        }
    }
}

/// The transform of four points, times the factors of the step.
#[inline(always)]
fn butterfly<F: Sample>(points: [Bin<F>; 4], turns: &[Turn<F>; 3]) -> [Bin<F>; 4] {
    let [a, b, c, d] = fourth_roots(points);
    [a, b.turned(turns[0]), c.turned(turns[1]), d.turned(turns[2])]
}

/// The transform of four points.
#[inline(always)]
fn fourth_roots<F: Sample>([a, b, c, d]: [Bin<F>; 4]) -> [Bin<F>; 4] {
    let (sum_ac, sum_bd) = (a + c, b + d);
    let (dif_ac, dif_bd) = (a - c, b - d);
    [
        sum_ac + sum_bd,
        Bin { re: dif_ac.re + dif_bd.im, im: dif_ac.im - dif_bd.re },
        sum_ac - sum_bd,
        Bin { re: dif_ac.re - dif_bd.im, im: dif_ac.im + dif_bd.re },
    ]
}

impl<F: Sample> Bin<F> {
    /// The product with a factor on the unit circle.
    #[inline(always)]
    fn turned(self, [cos, sin]: Turn<F>) -> Self {
        Self { re: self.re * cos - self.im * sin, im: self.re * sin + self.im * cos }
    }
}

impl<F: Sample> std::ops::Add for Bin<F> {
    type Output = Self;

    #[inline(always)]
    fn add(self, other: Self) -> Self {
        Self { re: self.re + other.re, im: self.im + other.im }
    }
}

impl<F: Sample> std::ops::Sub for Bin<F> {
    type Output = Self;

    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        Self { re: self.re - other.re, im: self.im - other.im }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{BlockFft, FftWork};
    use super::*;

    #[derive(Clone, Copy)]
    struct Whole;

    impl BinMap<f64> for Whole {
        type Out = Bin<f64>;

        fn map(self, bin: Bin<f64>) -> Bin<f64> {
            bin
        }
    }

    #[test]
    fn equals_the_definition_at_every_power_and_hop() {
        for n_fft in [16, 32, 64, 128, 256, 512, 1024, 2048] {
            for hop in [1, 3, n_fft / 4, n_fft] {
                let window: Vec<f64> = (0..n_fft).map(|n| 1.0 + (n as f64).sin()).collect();
                let samples: Vec<f64> = (0..(LANES - 1) * hop + n_fft).map(|n| (n as f64).sqrt().cos()).collect();
                let mut got = vec![Bin::default(); n_fft / 2 + 1];
                BlockFft::new(&window, hop).run(&samples, Whole, &mut FftWork::default(), &mut got).unwrap();
                for lane in [0, LANES - 1] {
                    for k in [0, 1, 2, n_fft / 4 - 1, n_fft / 4, n_fft / 2 - 1, n_fft / 2] {
                        let (mut re, mut im) = (0.0, 0.0);
                        for n in 0..n_fft {
                            let x = samples[lane * hop + n] * window[n];
                            let [cos, sin] = turn::<f64>(k * n, n_fft);
                            (re, im) = (re + x * cos, im + x * sin);
                        }
                        let error = (got[k].re.0[lane] - re).hypot(got[k].im.0[lane] - im);
                        assert!(error < 1e-12 * n_fft as f64, "{n_fft} {hop} [{k}, {lane}]: {error}");
                    }
                }
            }
        }
    }
}
