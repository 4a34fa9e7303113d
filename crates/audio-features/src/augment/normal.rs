//! Normally distributed numbers, many at once.

use std::f64::consts::{FRAC_PI_2, LN_2};

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use crate::lanes::{Kernel, vectorized};
use crate::sample::TWO_52;

/// Pairs of numbers that are made together.
const PAIRS: usize = 64;

/// Normally distributed values, by the method of G. E. P. Box and M. E. Muller, 1958.
///
/// Logarithm, sine and cosine are computed here, by the same few additions and multiplications on every machine, so the
/// values depend on no system's library of functions, and a loop over them is vector code.
pub(super) fn normal(n: usize, random: &mut ChaCha8Rng) -> Vec<f64> {
    let mut values = vec![0.0; n.next_multiple_of(2)];
    let mut bits = [[0; 2]; PAIRS];
    for pairs in values.as_chunks_mut::<2>().0.chunks_mut(PAIRS) {
        let bits = &mut bits[..pairs.len()];
        random.fill(bits.as_flattened_mut());
        vectorized(BoxMuller { bits, pairs });
    }
    values.truncate(n);
    values
}

/// From pairs of random bits to pairs of normally distributed numbers.
struct BoxMuller<'a> {
    bits: &'a [[u64; 2]],
    pairs: &'a mut [[f64; 2]],
}

impl Kernel for BoxMuller<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        for (&[u, v], pair) in self.bits.iter().zip(self.pairs) {
            // 1 − u lies in (0, 1], whose logarithm exists.
            let radius = (-2.0 * ln(1.0 - share(u))).sqrt();
            let [sin, cos] = sin_cos_of_turn(share(v));
            *pair = [radius * cos, radius * sin];
        }
    }
}

/// The whole number that these bits, 52 at most, are.
#[inline(always)]
fn whole(bits: u64) -> f64 {
    f64::from_bits(bits | TWO_52.to_bits()) - TWO_52
}

/// The upper 53 bits as a number from 0 to below 1, exactly.
#[inline(always)]
fn share(bits: u64) -> f64 {
    const LOW_BITS: u64 = (1 << 21) - 1;
    const HIGH_UNIT: f64 = 1.0 / (1_u64 << 32) as f64;
    const LOW_UNIT: f64 = 1.0 / (1_u64 << 53) as f64;
    whole(bits >> 32) * HIGH_UNIT + whole((bits >> 11) & LOW_BITS) * LOW_UNIT
}

/// The polynomial with these coefficients, from the constant on.
#[inline(always)]
fn polynomial<const N: usize>(x: f64, coefficients: &[f64; N]) -> f64 {
    let mut sum = coefficients[N - 1];
    let mut n = N - 1;
    while n > 0 {
        n -= 1;
        sum = sum * x + coefficients[n];
    }
    sum
}

/// The natural logarithm of a normal number above 0.
///
/// x = m·2^e with m in [1/√2, √2); ln m = 2·artanh(s) with s = (m − 1)/(m + 1), |s| ≤ 0.172, whose series to s²¹ leaves
/// less than rounding does.
#[inline(always)]
fn ln(x: f64) -> f64 {
    const SERIES: [f64; 11] = {
        let mut series = [0.0; 11];
        let mut k = 0;
        while k < series.len() {
            series[k] = 2.0 / (2 * k + 1) as f64;
            k += 1;
        }
        series
    };
    const SQRT_HALF_BITS: u64 = 0x3fe6_a09e_667f_3bcd;
    const MANTISSA: u64 = (1 << 52) - 1;
    let bits = x.to_bits() + (1.0_f64.to_bits() - SQRT_HALF_BITS);
    let exponent = whole(bits >> 52) - 1023.0;
    let m = f64::from_bits((bits & MANTISSA) + SQRT_HALF_BITS);
    let s = (m - 1.0) / (m + 1.0);
    exponent * LN_2 + s * polynomial(s * s, &SERIES)
}

/// Sine and cosine of so many whole turns, 0 to 1.
///
/// The turn is brought to within an eighth around the nearest quarter, where the series to x¹⁷ leave less than rounding does.
#[inline(always)]
fn sin_cos_of_turn(turn: f64) -> [f64; 2] {
    /// The series of the cosine (from 0!) or of the sine, divided by its argument (from 1!), in x².
    const fn series(first: usize) -> [f64; 9] {
        let mut series = [1.0; 9];
        let mut k = 1;
        while k < series.len() {
            let n = 2 * k + first;
            series[k] = -series[k - 1] / (n * (n - 1)) as f64;
            k += 1;
        }
        series
    }
    const COS: [f64; 9] = series(0);
    const SIN: [f64; 9] = series(1);
    let quarters = turn * 4.0;
    // Rounds to the nearest whole number, which then stands in the lowest bits.
    let rounded = quarters + TWO_52;
    let quarter = rounded.to_bits();
    let angle = (quarters - (rounded - TWO_52)) * FRAC_PI_2;
    let square = angle * angle;
    let (sin, cos) = ((angle * polynomial(square, &SIN)).to_bits(), polynomial(square, &COS).to_bits());
    // An odd quarter exchanges the two; the sine is negative in the second and third, the cosine in the first and second.
    let exchange = (sin ^ cos) & 0_u64.wrapping_sub(quarter & 1);
    let sign = |quarter: u64| (quarter & 2) << 62;
    [f64::from_bits(sin ^ exchange ^ sign(quarter)), f64::from_bits(cos ^ exchange ^ sign(quarter + 1))]
}

#[cfg(test)]
mod tests {
    use std::f64::consts::TAU;

    use rand::SeedableRng;

    use super::*;

    #[test]
    fn values_are_those_of_the_definition() {
        for n in [0, 1, 2, 127, 128, 129, 10_001] {
            let got = normal(n, &mut ChaCha8Rng::seed_from_u64(7));
            assert_eq!(got.len(), n);
            let mut random = ChaCha8Rng::seed_from_u64(7);
            for pair in got.chunks(2) {
                let (u, v): (f64, f64) = (random.random(), random.random());
                let radius = (-2.0 * (1.0 - u).ln()).sqrt();
                let (sin, cos) = (TAU * v).sin_cos();
                for (got, want) in pair.iter().zip([radius * cos, radius * sin]) {
                    assert!((got - want).abs() < 1e-14, "{u}, {v}: {got}, not {want}");
                }
            }
        }
    }

    #[test]
    fn the_functions_are_right_at_the_ends() {
        assert_eq!(ln(1.0), 0.0);
        let smallest = 2.0_f64.powi(-53);
        for x in [smallest, 0.5, std::f64::consts::FRAC_1_SQRT_2, 1.0 - smallest] {
            assert!((ln(x) / x.ln() - 1.0).abs() < 1e-15, "ln {x}: {}", ln(x));
        }
        for (turn, want) in [(0.0, [0.0, 1.0]), (0.25, [1.0, 0.0]), (0.5, [0.0, -1.0]), (0.75, [-1.0, 0.0])] {
            assert_eq!(sin_cos_of_turn(turn), want);
        }
        for turn in [0.125 - smallest, 0.125, 0.375, 0.625, 0.875, 1.0 - smallest] {
            let (sin, cos) = (TAU * turn).sin_cos();
            let [got_sin, got_cos] = sin_cos_of_turn(turn);
            assert!((got_sin - sin).abs() < 1e-15 && (got_cos - cos).abs() < 1e-15, "{turn}: {got_sin}, {got_cos}");
        }
        assert_eq!((share(0), share(u64::MAX)), (0.0, 1.0 - smallest));
    }
}
