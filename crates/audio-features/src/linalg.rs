//! The few matrix products that features are made of.

use crate::lanes::{Kernel, Lanes, vectorized};
use crate::sample::Sample;

/// `matrix · max(data, floor)` of a block of frames: a small matrix, row by row, times a value of every frame for each of its
/// columns, where no value counts as less than `floor`.
///
/// Partial sums over 16 products keep the rounding error of a long sum small.
pub(crate) fn multiply_above<T: Sample>(matrix: &[T], data: &[Lanes<T>], floor: T, out: &mut [Lanes<T>]) {
    vectorized(Multiply { matrix, data, floor, out });
}

struct Multiply<'a, T> {
    matrix: &'a [T],
    data: &'a [Lanes<T>],
    floor: T,
    out: &'a mut [Lanes<T>],
}

impl<T: Sample> Kernel for Multiply<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self { matrix, data, floor, out } = self;
        /// Rows that are summed at once.
        const ROWS: usize = 4;
        const STRETCH: usize = 16;

        let rows = out.len();
        for (index, out) in out.chunks_mut(ROWS).enumerate() {
            // A matrix that ends early repeats its last row; the result of the repetition is not kept.
            let mut weights = [matrix; ROWS];
            for (r, weights) in weights.iter_mut().enumerate() {
                *weights = &matrix[(index * ROWS + r).min(rows - 1) * data.len()..][..data.len()];
            }
            let mut sums = [Lanes::default(); ROWS];
            for (stretch, data) in data.chunks(STRETCH).enumerate() {
                let mut parts = [Lanes::default(); ROWS];
                for (m, value) in data.iter().enumerate() {
                    let value = value.map(|x| if x < floor { floor } else { x });
                    for r in 0..ROWS {
                        parts[r] = parts[r] + value * weights[r][stretch * STRETCH + m];
                    }
                }
                for r in 0..ROWS {
                    sums[r] = sums[r] + parts[r];
                }
            }
            out.copy_from_slice(&sums[..out.len()]);
        }
    }
}

/// Rows of a wide matrix that are handled together by [`multiply_bins`].
pub(crate) const GROUP: usize = 12;

/// `bank · bins` of a block of frames: `bank` holds for every bin a group of [`GROUP`] weights.
///
/// Partial sums over 128 bins keep the rounding error of a long sum small.
pub(crate) fn multiply_bins<T: Sample>(bank: &[[T; GROUP]], bins: &[Lanes<T>]) -> [Lanes<T>; GROUP] {
    vectorized(MultiplyBins { bank, bins })
}

struct MultiplyBins<'a, T> {
    bank: &'a [[T; GROUP]],
    bins: &'a [Lanes<T>],
}

impl<T: Sample> Kernel for MultiplyBins<'_, T> {
    type Output = [Lanes<T>; GROUP];

    #[inline(always)]
    fn run(self) -> [Lanes<T>; GROUP] {
        let Self { bank, bins } = self;
        const STRETCH: usize = 128;

        let mut sums = [Lanes::default(); GROUP];
        for (bank, bins) in bank.chunks(STRETCH).zip(bins.chunks(STRETCH)) {
            let mut parts = [Lanes::default(); GROUP];
            for (weights, &bin) in bank.iter().zip(bins) {
                for row in 0..GROUP {
                    parts[row] = parts[row] + bin * weights[row];
                }
            }
            for row in 0..GROUP {
                sums[row] = sums[row] + parts[row];
            }
        }
        sums
    }
}

/// The matrix that fits a polynomial of `order` to values at `points` by least squares: row k gives, times the values,
/// the coefficient of x^k. Points should lie about within −1 to 1.
pub(crate) fn polynomial_fit(points: &[f64], order: usize) -> Vec<Vec<f64>> {
    // Gram–Schmidt, twice for accuracy, on the columns x^0 … x^order; their combinations are carried along.
    let mut basis: Vec<Vec<f64>> = Vec::with_capacity(order + 1);
    let mut combinations: Vec<Vec<f64>> = Vec::with_capacity(order + 1);
    for k in 0..=order {
        let mut column: Vec<f64> = points.iter().map(|x| x.powi(k as i32)).collect();
        let mut combination = vec![0.0; order + 1];
        combination[k] = 1.0;
        for _ in 0..2 {
            for (other, parts) in basis.iter().zip(&combinations) {
                let overlap: f64 = column.iter().zip(other).map(|(a, b)| a * b).sum();
                column.iter_mut().zip(other).for_each(|(a, b)| *a -= overlap * b);
                combination.iter_mut().zip(parts).for_each(|(a, b)| *a -= overlap * b);
            }
        }
        let length = column.iter().map(|x| x * x).sum::<f64>().sqrt();
        column.iter_mut().for_each(|x| *x /= length);
        combination.iter_mut().for_each(|x| *x /= length);
        basis.push(column);
        combinations.push(combination);
    }
    (0..=order)
        .map(|k| {
            (0..points.len())
                .map(|n| basis.iter().zip(&combinations).map(|(column, parts)| column[n] * parts[k]).sum())
                .collect()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lanes::LANES;

    fn block(inner: usize) -> Vec<Lanes<f64>> {
        (0..inner).map(|m| Lanes(std::array::from_fn(|lane| ((m * LANES + lane) as f64 * 0.7).cos()))).collect()
    }

    #[test]
    fn products_equal_the_definition() {
        for (rows, inner) in [(1, 1), (3, 5), (4, 8), (20, 128), (5, 33)] {
            let matrix: Vec<f64> = (0..rows * inner).map(|i| (i as f64).sin()).collect();
            let data = block(inner);
            let mut got = vec![Lanes::default(); rows];
            multiply_above(&matrix, &data, f64::NEG_INFINITY, &mut got);
            for (r, got) in got.iter().enumerate() {
                for lane in 0..LANES {
                    let want: f64 = (0..inner).map(|m| matrix[r * inner + m] * data[m].0[lane]).sum();
                    assert!((got.0[lane] - want).abs() < 1e-12);
                }
            }
        }
    }

    #[test]
    fn bin_products_equal_the_definition() {
        let bank: Vec<[f64; GROUP]> =
            (0..300).map(|k| std::array::from_fn(|c| ((k * GROUP + c) as f64).sin())).collect();
        let bins = block(300);
        for (c, sums) in multiply_bins(&bank, &bins).iter().enumerate() {
            for lane in 0..LANES {
                let want: f64 = bank.iter().zip(&bins).map(|(weights, bin)| weights[c] * bin.0[lane]).sum();
                assert!((sums.0[lane] - want).abs() < 1e-11);
            }
        }
    }

    #[test]
    fn a_fit_returns_the_polynomial_it_was_given() {
        let points: Vec<f64> = (0..9).map(|i| f64::from(i) / 4.0 - 1.0).collect();
        let values: Vec<f64> = points.iter().map(|x| 2.0 - 3.0 * x + 0.5 * x * x).collect();
        let got: Vec<f64> =
            polynomial_fit(&points, 3).iter().map(|row| row.iter().zip(&values).map(|(a, b)| a * b).sum()).collect();
        for (got, want) in got.iter().zip([2.0, -3.0, 0.5, 0.0]) {
            assert!((got - want).abs() < 1e-12);
        }
    }
}
