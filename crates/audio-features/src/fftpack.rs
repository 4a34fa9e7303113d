//! The inverse real transform in single precision, operation for operation as librosa's library computes it.
//!
//! librosa inverts a single-precision spectrum in single precision, and two ways of adding the same numbers up differ by
//! some 1e-7 of the largest value: as much as a faint sample itself. Only the same additions in the same order give the
//! same samples. They are those of FFTPACK (Swarztrauber, "Vectorizing the FFTs", 1982), which `scipy.fft` and `numpy.fft`
//! follow: passes of radix 4, at most one of radix 2, which comes first, and one for every odd prime factor.

use realfft::num_complex::Complex;

type Bin = Complex<f32>;

/// A plan for one length.
#[derive(Debug, Clone)]
pub(crate) struct InverseReal {
    n: usize,
    passes: Vec<Pass>,
}

/// Combines `radix` transforms of the rest of the length into one; `before` is the product of the earlier radices.
#[derive(Debug, Clone)]
struct Pass {
    radix: usize,
    before: usize,
    rest: usize,
    /// exp(2πi·j·before·m/n) at `[(m − 1)·(radix − 1) + j − 1]`.
    twiddles: Vec<Bin>,
    /// exp(2πi·j/radix).
    roots: Vec<Bin>,
}

impl InverseReal {
    /// A plan, unless the reference, too, leaves FFTPACK's way: for large prime factors it turns to other algorithms.
    pub(crate) fn new(n: usize) -> Option<Self> {
        let factors = factors(n);
        let largest = factors.iter().copied().max().unwrap_or(1);
        if n > 10_000 || largest >= 135 || (n > 1000 && n.is_multiple_of(2) && largest > 5) {
            return None;
        }
        let mut before = 1;
        let passes = factors.into_iter().map(|radix| {
            let pass = Pass::new(n, radix, before);
            before *= radix;
            pass
        });
        Some(Self { n, passes: passes.collect() })
    }

    /// Transforms a half spectrum of `1 + n / 2` bins. The samples replace what was in `out`, which has room for `n`, as
    /// `work` has.
    pub(crate) fn process(&self, spectrum: &[Bin], out: &mut [f32], work: &mut [f32]) {
        let (mut from, mut to) = (&mut *out, &mut *work);
        // Real and imaginary parts in turn, without those that are 0.
        from[0] = spectrum[0].re;
        for (pair, bin) in from[1..].chunks_mut(2).zip(&spectrum[1..]) {
            pair[0] = bin.re;
            if let Some(im) = pair.get_mut(1) {
                *im = bin.im;
            }
        }
        for pass in &self.passes {
            pass.run(from, to);
            std::mem::swap(&mut from, &mut to);
        }
        let scale = (1.0 / self.n as f64) as f32;
        if self.passes.len().is_multiple_of(2) {
            out.iter_mut().for_each(|x| *x *= scale);
        } else {
            out.iter_mut().zip(work.iter()).for_each(|(x, &y)| *x = y * scale);
        }
    }
}

/// The radices in the order of their passes.
fn factors(n: usize) -> Vec<usize> {
    let mut rest = n;
    let mut factors = Vec::new();
    while rest > 0 && rest.is_multiple_of(4) {
        factors.push(4);
        rest /= 4;
    }
    if rest > 0 && rest.is_multiple_of(2) {
        rest /= 2;
        factors.push(2);
        let last = factors.len() - 1;
        factors.swap(0, last);
    }
    let mut prime = 3;
    while prime * prime <= rest {
        while rest.is_multiple_of(prime) {
            factors.push(prime);
            rest /= prime;
        }
        prime += 2;
    }
    if rest > 1 {
        factors.push(rest);
    }
    factors
}

/// exp(2πi·k/n), from the first octant, where sines and cosines are at their most exact.
fn root(k: usize, n: usize) -> Bin {
    let eighths = 8 * (k % n);
    let angle = |k: usize| std::f64::consts::TAU * k as f64 / (8 * n) as f64;
    let (octant, within) = (eighths / n, eighths % n);
    let (sin, cos) = if octant.is_multiple_of(2) { angle(within) } else { angle(n - within) }.sin_cos();
    let (re, im) = match octant {
        0 => (cos, sin),
        1 => (sin, cos),
        2 => (-sin, cos),
        3 => (-cos, sin),
        4 => (-cos, -sin),
        5 => (-sin, -cos),
        6 => (sin, -cos),
        _ => (cos, -sin),
    };
    Bin::new(re as f32, im as f32)
}

impl Pass {
    fn new(n: usize, radix: usize, before: usize) -> Self {
        let rest = n / (radix * before);
        let twiddles = (1..=(rest - 1) / 2).flat_map(|m| (1..radix).map(move |j| root(j * before * m, n)));
        Self { radix, before, rest, twiddles: twiddles.collect(), roots: (0..radix).map(|j| root(j, radix)).collect() }
    }

    /// From `before` groups of `radix` half-complex rows of `rest` values to `radix` groups of `before` such rows.
    fn run(&self, from: &[f32], to: &mut [f32]) {
        match self.radix {
            2 => self.run_with::<2>(from, to, radix_2),
            3 => self.run_with::<3>(from, to, radix_3),
            4 => self.run_with::<4>(from, to, radix_4),
            5 => self.run_with::<5>(from, to, radix_5),
            _ => self.run_with::<{ Self::MOST }>(from, to, |z| radix_any(z, &self.roots)),
        }
    }

    /// No radix is larger.
    const MOST: usize = 135;

    fn run_with<const N: usize>(&self, from: &[f32], to: &mut [f32], butterfly: impl Fn(&mut [Bin; N])) {
        let (radix, rest, before) = (self.radix, self.rest, self.before);
        let place = |i: usize, j: usize, k: usize| i + rest * (k + before * j);
        let mut z = [Bin::default(); N];
        for (k, group) in from.chunks_exact(radix * rest).enumerate() {
            let row = |i: usize, j: usize| group[i + rest * j];
            // The lowest bin of each row is real; so is the result.
            z[0] = Bin::new(row(0, 0), 0.0);
            for j in 1..radix.div_ceil(2) {
                z[j] = Bin::new(row(rest - 1, 2 * j - 1), row(0, 2 * j));
                z[radix - j] = z[j].conj();
            }
            if radix.is_multiple_of(2) {
                z[radix / 2] = Bin::new(row(rest - 1, radix - 1), 0.0);
            }
            butterfly(&mut z);
            for (j, z) in z.iter().take(radix).enumerate() {
                to[place(0, j, k)] = z.re;
            }
            // The others come with their mirror images, which the rows hold from the other end.
            for (m, twiddles) in self.twiddles.chunks_exact(radix - 1).enumerate() {
                let (i, mirror) = (2 * m + 1, rest - 2 * m - 3);
                z[0] = Bin::new(row(i, 0), row(i + 1, 0));
                for j in 1..=radix / 2 {
                    if 2 * j < radix {
                        z[j] = Bin::new(row(i, 2 * j), row(i + 1, 2 * j));
                    }
                    z[radix - j] = Bin::new(row(mirror, 2 * j - 1), -row(mirror + 1, 2 * j - 1));
                }
                butterfly(&mut z);
                (to[place(i, 0, k)], to[place(i + 1, 0, k)]) = (z[0].re, z[0].im);
                for (j, (z, w)) in z[1..radix].iter().zip(twiddles).enumerate() {
                    to[place(i, j + 1, k)] = w.re * z.re - w.im * z.im;
                    to[place(i + 1, j + 1, k)] = w.re * z.im + w.im * z.re;
                }
            }
            // In an even row the highest bin is its own mirror image.
            if rest.is_multiple_of(2) {
                let last = rest - 1;
                if radix == 2 {
                    to[place(last, 0, k)] = 2.0 * row(last, 0);
                    to[place(last, 1, k)] = -2.0 * row(0, 1);
                } else {
                    let half = std::f32::consts::SQRT_2;
                    let (re, im) = (row(last, 0) - row(last, 2), row(0, 3) + row(0, 1));
                    let (sum, difference) = (row(last, 0) + row(last, 2), row(0, 3) - row(0, 1));
                    to[place(last, 0, k)] = sum + sum;
                    to[place(last, 1, k)] = half * (re - im);
                    to[place(last, 2, k)] = difference + difference;
                    to[place(last, 3, k)] = -half * (re + im);
                }
            }
        }
    }
}

/// z + i·w and z − i·w.
fn turned(z: Bin, w: Bin) -> (Bin, Bin) {
    (Bin::new(z.re - w.im, z.im + w.re), Bin::new(z.re + w.im, z.im - w.re))
}

fn radix_2(z: &mut [Bin; 2]) {
    *z = [z[0] + z[1], z[0] - z[1]];
}

#[expect(clippy::excessive_precision, reason = "constants keep their digits")]
fn radix_3(z: &mut [Bin; 3]) {
    const SIN: f32 = 0.866_025_403_784_438_6;
    let (sum, difference) = (z[1] + z[2], z[1] - z[2]);
    let (a, b) = turned(z[0] + sum * -0.5, difference * SIN);
    *z = [z[0] + sum, a, b];
}

fn radix_4(z: &mut [Bin; 4]) {
    let (even, odd) = (z[0] + z[2], z[1] + z[3]);
    let (a, b) = turned(z[0] - z[2], z[1] - z[3]);
    *z = [even + odd, a, even - odd, b];
}

#[expect(clippy::excessive_precision, reason = "constants keep their digits")]
fn radix_5(z: &mut [Bin; 5]) {
    const COS: [f32; 2] = [0.309_016_994_374_947_45, -0.809_016_994_374_947_5];
    const SIN: [f32; 2] = [0.951_056_516_295_153_5, 0.587_785_252_292_473_1];
    let (sums, differences) = ([z[1] + z[4], z[2] + z[3]], [z[1] - z[4], z[2] - z[3]]);
    let first = z[0] + sums[0] * COS[0] + sums[1] * COS[1];
    let second = z[0] + sums[0] * COS[1] + sums[1] * COS[0];
    let (a, d) = turned(first, differences[0] * SIN[0] + differences[1] * SIN[1]);
    let (b, c) = turned(second, differences[0] * SIN[1] - differences[1] * SIN[0]);
    *z = [z[0] + sums[0] + sums[1], a, b, c, d];
}

/// Of the first `roots.len()` values, an odd prime number.
fn radix_any(z: &mut [Bin; Pass::MOST], roots: &[Bin]) {
    let radix = roots.len();
    let half = radix / 2;
    let (mut sums, mut differences) = ([Bin::default(); Pass::MOST / 2 + 1], [Bin::default(); Pass::MOST / 2 + 1]);
    for j in 1..=half {
        (sums[j], differences[j]) = (z[j] + z[radix - j], z[j] - z[radix - j]);
    }
    let first = z[0];
    for l in 1..=half {
        let at = |j: usize| roots[l * j % radix];
        let cosines = |j: usize| sums[j] * at(j).re;
        let sines = |j: usize| differences[j] * at(j).im;
        // The reference adds two terms, then four at a time, then two, then one.
        let (mut a, mut b) = (first + cosines(1) + cosines(2), sines(1) + sines(2));
        let mut j = 3;
        while j + 3 <= half {
            a += cosines(j) + cosines(j + 1) + cosines(j + 2) + cosines(j + 3);
            b += sines(j) + sines(j + 1) + sines(j + 2) + sines(j + 3);
            j += 4;
        }
        while j < half {
            a += cosines(j) + cosines(j + 1);
            b += sines(j) + sines(j + 1);
            j += 2;
        }
        if j == half {
            a += cosines(j);
            b += sines(j);
        }
        (z[l], z[radix - l]) = turned(a, b);
    }
    z[0] = sums[1..=half].iter().fold(first, |sum, &next| sum + next);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn undoes_the_transform() {
        for n in [1_usize, 2, 3, 4, 5, 6, 7, 8, 12, 24, 60, 64, 77, 101, 255, 256, 400, 882, 1001, 1023, 2048] {
            let plan = InverseReal::new(n).unwrap();
            let samples: Vec<f64> = (0..n).map(|t| ((t * t * 7 + 3) % 101) as f64 / 50.0 - 1.0).collect();
            let bin = |k: usize| {
                samples.iter().enumerate().fold(Complex::<f64>::default(), |sum, (t, &x)| {
                    sum + Complex::from_polar(x, -std::f64::consts::TAU * ((k * t) % n) as f64 / n as f64)
                })
            };
            let spectrum: Vec<Bin> = (0..=n / 2).map(bin).map(|z| Bin::new(z.re as f32, z.im as f32)).collect();
            let (mut out, mut work) = (vec![0.0; n], vec![0.0; n]);
            plan.process(&spectrum, &mut out, &mut work);
            for (got, want) in out.iter().zip(&samples) {
                assert!((f64::from(*got) - want).abs() < 2e-6, "{n}: {got} {want}");
            }
        }
    }

    #[test]
    fn lengths_of_other_algorithms_are_left_alone() {
        assert!([137, 274, 1022, 2018].iter().all(|&n| InverseReal::new(n).is_none()));
    }
}
