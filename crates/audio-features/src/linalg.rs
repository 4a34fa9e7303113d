//! The few matrix products that features are made of.

use ndarray::ArrayViewMut2;

use crate::sample::Sample;

/// `matrix · data`: a small matrix of `rows × inner` times `inner × columns` values, both row by row in memory.
///
/// Partial sums over 16 products keep the rounding error of a long sum small.
pub(crate) fn multiply<T: Sample>(matrix: &[T], data: &[T], inner: usize, mut out: ArrayViewMut2<'_, T>) {
    /// Rows and columns that are summed at once: what fits into the vector registers of every 64-bit machine.
    const ROWS: usize = 4;
    const COLUMNS: usize = 8;
    const STRETCH: usize = 16;

    let (rows, columns) = out.dim();
    for first in (0..rows).step_by(ROWS) {
        // A matrix that ends early repeats its last row; the result of the repetition is not kept.
        let row = |r: usize| &matrix[(first + r).min(rows - 1) * inner..][..inner];
        let weights: [&[T]; ROWS] = std::array::from_fn(row);
        for column in (0..columns).step_by(COLUMNS) {
            let width = COLUMNS.min(columns - column);
            let mut sums = [[T::zero(); COLUMNS]; ROWS];
            for stretch in (0..inner).step_by(STRETCH) {
                let mut parts = [[T::zero(); COLUMNS]; ROWS];
                for m in stretch..inner.min(stretch + STRETCH) {
                    let mut values = [T::zero(); COLUMNS];
                    let source = &data[m * columns + column..][..width];
                    if width == COLUMNS {
                        // A copy of known length stays in registers.
                        values.copy_from_slice(&source[..COLUMNS]);
                    } else {
                        values[..width].copy_from_slice(source);
                    }
                    for (parts, weights) in parts.iter_mut().zip(weights) {
                        for (part, value) in parts.iter_mut().zip(values) {
                            *part += weights[m] * value;
                        }
                    }
                }
                for (sums, parts) in sums.iter_mut().zip(parts) {
                    for (sum, part) in sums.iter_mut().zip(parts) {
                        *sum += part;
                    }
                }
            }
            for (r, sums) in sums.iter().enumerate().take(rows - first) {
                for (offset, &sum) in sums[..width].iter().enumerate() {
                    out[[first + r, column + offset]] = sum;
                }
            }
        }
    }
}

/// Columns of a tall matrix that are handled together by [`multiply_frames`].
pub(crate) const GROUP: usize = 12;

/// `bankᵀ · frame` for a few frames that lie one after another: `bank` holds for every bin a group of [`GROUP`] weights.
///
/// Partial sums over 128 bins keep the rounding error of a long sum small.
pub(crate) fn multiply_frames<T: Sample>(bank: &[[T; GROUP]], frames: &[T], sums: &mut [[T; GROUP]]) {
    const TOGETHER: usize = 2;
    const STRETCH: usize = 128;

    let n_bins = bank.len();
    for (frames, sums) in frames.chunks(TOGETHER * n_bins).zip(sums.chunks_mut(TOGETHER)) {
        for sum in sums.iter_mut() {
            *sum = [T::zero(); GROUP];
        }
        let (first, second) = frames.split_at(n_bins);
        for (stretch, bank) in bank.chunks(STRETCH).enumerate() {
            let first = &first[stretch * STRETCH..][..bank.len()];
            if second.is_empty() {
                let mut part = [T::zero(); GROUP];
                for (weights, &x) in bank.iter().zip(first) {
                    for lane in 0..GROUP {
                        part[lane] += weights[lane] * x;
                    }
                }
                for lane in 0..GROUP {
                    sums[0][lane] += part[lane];
                }
            } else {
                let second = &second[stretch * STRETCH..][..bank.len()];
                let mut parts = [[T::zero(); GROUP]; TOGETHER];
                for ((weights, &x), &y) in bank.iter().zip(first).zip(second) {
                    for lane in 0..GROUP {
                        parts[0][lane] += weights[lane] * x;
                        parts[1][lane] += weights[lane] * y;
                    }
                }
                for lane in 0..GROUP {
                    sums[0][lane] += parts[0][lane];
                    sums[1][lane] += parts[1][lane];
                }
            }
        }
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
    use ndarray::Array2;

    use super::*;

    #[test]
    fn products_equal_the_definition() {
        for (rows, inner, columns) in [(1, 1, 1), (3, 5, 7), (4, 8, 16), (20, 128, 131), (5, 3, 9)] {
            let matrix: Vec<f64> = (0..rows * inner).map(|i| (i as f64).sin()).collect();
            let data: Vec<f64> = (0..inner * columns).map(|i| (i as f64 * 0.7).cos()).collect();
            let mut got = Array2::zeros((rows, columns));
            multiply(&matrix, &data, inner, got.view_mut());
            let want = Array2::from_shape_vec((rows, inner), matrix)
                .unwrap()
                .dot(&Array2::from_shape_vec((inner, columns), data).unwrap());
            assert!((&got - &want).iter().all(|d| d.abs() < 1e-12));
        }
    }

    #[test]
    fn frame_products_equal_the_definition() {
        let bank: Vec<[f64; GROUP]> =
            (0..300).map(|k| std::array::from_fn(|c| ((k * GROUP + c) as f64).sin())).collect();
        for n in [1, 2, 3, 8] {
            let frames: Vec<f64> = (0..300 * n).map(|i| (i as f64 * 0.3).cos()).collect();
            let mut sums = vec![[0.0; GROUP]; n];
            multiply_frames(&bank, &frames, &mut sums);
            for t in 0..n {
                for c in 0..GROUP {
                    let want: f64 = (0..300).map(|k| bank[k][c] * frames[t * 300 + k]).sum();
                    assert!((sums[t][c] - want).abs() < 1e-11);
                }
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
