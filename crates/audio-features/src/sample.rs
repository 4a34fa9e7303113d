//! The two kinds of sample, and small things every feature needs from them.

use std::iter::Sum;
use std::ops::{AddAssign, DivAssign, MulAssign, SubAssign};

use realfft::FftNum;
use realfft::num_traits::Float;

use crate::error::{Error, Result};
use crate::lanes::{Kernel, vectorized};

/// 2^52: the last bit of numbers from here to twice as much counts ones. What is added to it is rounded to a whole number,
/// and a whole number below it is put in as bits.
pub(crate) const TWO_52: f64 = 4_503_599_627_370_496.0;

/// A sample of sound: `f32` or `f64`.
///
/// As in librosa, features of `f32` samples are `f32` and features of `f64` samples are `f64` wherever the docs do not
/// say otherwise. The trait is sealed: there are no other samples.
pub trait Sample:
    Float + FftNum + Default + Sum + AddAssign + SubAssign + MulAssign + DivAssign + private::Sealed
{
    /// The value, rounded to this type.
    fn narrow(value: f64) -> Self;
    /// The value as `f64`, exactly.
    fn widen(self) -> f64;
    /// The base-10 logarithm, without a call where this type can. The value must be normal and above 0; NaN and infinity
    /// pass through.
    fn quick_log10(self) -> Self;
    /// Of a table that is kept in both types, the copy in this type.
    fn pick<'a>(single: &'a [f32], double: &'a [f64]) -> &'a [Self];
}

impl Sample for f32 {
    #[inline(always)]
    fn narrow(value: f64) -> Self {
        value as f32
    }

    #[inline(always)]
    fn widen(self) -> f64 {
        f64::from(self)
    }

    #[inline(always)]
    fn quick_log10(self) -> Self {
        log10_f32(self)
    }

    #[inline(always)]
    fn pick<'a>(single: &'a [f32], _: &'a [f64]) -> &'a [Self] {
        single
    }
}

impl Sample for f64 {
    #[inline(always)]
    fn narrow(value: f64) -> Self {
        value
    }

    #[inline(always)]
    fn widen(self) -> f64 {
        self
    }

    #[inline(always)]
    fn quick_log10(self) -> Self {
        self.log10()
    }

    #[inline(always)]
    fn pick<'a>(_: &'a [f32], double: &'a [f64]) -> &'a [Self] {
        double
    }
}

mod private {
    pub trait Sealed {}
    impl Sealed for f32 {}
    impl Sealed for f64 {}
}

/// `log10` without a call or a branch, so that the compiler makes vector code of a loop over it.
///
/// x = m·2^e with m in [1/√2, √2); ln m = 2·artanh(s) with s = (m − 1)/(m + 1), |s| ≤ 0.172, whose series to s⁹ leaves
/// 2e-9. The result is within two units in the last place.
#[inline(always)]
fn log10_f32(x: f32) -> f32 {
    const SQRT_HALF_BITS: u32 = 0x3f35_04f3;
    let bits = x.to_bits().wrapping_sub(SQRT_HALF_BITS);
    let exponent = (bits as i32) >> 23;
    let mantissa = f32::from_bits((bits & 0x007f_ffff) + SQRT_HALF_BITS);
    let s = (mantissa - 1.0) / (mantissa + 1.0);
    let z = s * s;
    let ln = 2.0 * s * (1.0 + z * (1.0 / 3.0 + z * (1.0 / 5.0 + z * (1.0 / 7.0 + z * (1.0 / 9.0)))));
    let log10 = exponent as f32 * std::f32::consts::LOG10_2 + ln * std::f32::consts::LOG10_E;
    if x <= f32::MAX { log10 } else { x }
}

/// A table of constants in both types of sample.
#[derive(Debug, Clone, Default)]
pub(crate) struct Table {
    single: Vec<f32>,
    double: Vec<f64>,
}

impl Table {
    pub(crate) fn get<T: Sample>(&self) -> &[T] {
        T::pick(&self.single, &self.double)
    }
}

impl FromIterator<f64> for Table {
    fn from_iter<I: IntoIterator<Item = f64>>(values: I) -> Self {
        let double: Vec<f64> = values.into_iter().collect();
        Self { single: double.iter().map(|&x| x as f32).collect(), double }
    }
}

/// Partial sums of a long sum: enough of them to keep every adder of the machine busy.
const PARTS: usize = 32;

/// The sum of `a[i]·b[i]`, in interleaved partial sums: vector code, and a smaller rounding error than one sum.
#[inline(always)]
pub(crate) fn dot<T: Sample>(a: &[T], b: &[T]) -> T {
    let mut sums = [T::zero(); PARTS];
    let (a_chunks, b_chunks) = (a.chunks_exact(PARTS), b.chunks_exact(PARTS));
    let (a_rest, b_rest) = (a_chunks.remainder(), b_chunks.remainder());
    for (x, y) in a_chunks.zip(b_chunks) {
        for part in 0..PARTS {
            sums[part] += x[part] * y[part];
        }
    }
    for (part, (&x, &y)) in a_rest.iter().zip(b_rest).enumerate() {
        sums[part] += x * y;
    }
    total(sums)
}

/// The sum of partial sums, first to last. (In pairs it would be a little more exact, but the compiler then takes the
/// vectors of the loop that fills them apart.)
#[inline(always)]
fn total<T: Sample>(sums: [T; PARTS]) -> T {
    sums.into_iter().fold(T::zero(), |sum, x| sum + x)
}

/// librosa's `valid_audio`: every sample is finite.
pub(crate) fn check_finite<T: Sample>(samples: &[T]) -> Result<()> {
    if vectorized(AllFinite { samples }) {
        return Ok(());
    }
    // The index is looked up only on failure.
    let bad = samples.iter().enumerate().find(|(_, x)| !x.is_finite());
    let (index, value) = bad.map_or((0, f64::NAN), |(index, x)| (index, x.widen()));
    Err(Error::NotFinite { index, value })
}

/// Whether every sample is finite: a pass without a branch, since x·0 is NaN for NaN and infinity.
struct AllFinite<'a, T> {
    samples: &'a [T],
}

impl<T: Sample> Kernel for AllFinite<'_, T> {
    type Output = bool;

    #[inline(always)]
    fn run(self) -> bool {
        let mut sums = [T::zero(); PARTS];
        let chunks = self.samples.chunks_exact(PARTS);
        for (part, &x) in chunks.remainder().iter().enumerate() {
            sums[part] += x * T::zero();
        }
        for chunk in chunks {
            for part in 0..PARTS {
                sums[part] += chunk[part] * T::zero();
            }
        }
        !total(sums).is_nan()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn log10_is_within_two_units_in_the_last_place() {
        let mut x = 1.2e-38_f32;
        while x < 3e38 {
            let (got, want) = (f64::from(log10_f32(x)), f64::from(x).log10());
            assert!((got - want).abs() <= 2.4e-7 * want.abs().max(0.5), "log10({x}): got {got}, want {want}");
            x *= 1.003;
        }
        assert_eq!(log10_f32(1.0), 0.0);
        assert_eq!(log10_f32(f32::INFINITY), f32::INFINITY);
        assert!(log10_f32(f32::NAN).is_nan());
    }

    #[test]
    fn check_finite_names_the_first_bad_sample() {
        let mut samples = vec![0.5_f32; 1000];
        assert!(check_finite(&samples).is_ok());
        samples[997] = f32::INFINITY;
        samples[998] = f32::NAN;
        assert!(matches!(check_finite(&samples), Err(Error::NotFinite { index: 997, .. })));
    }
}
