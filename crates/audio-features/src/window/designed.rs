//! Windows that are the solution of an optimisation, not a formula.

use std::f64::consts::PI;

/// The symmetric window of `m` ≥ 2 points whose side lobes all lie `attenuation` dB below the main lobe (C. L. Dolph, "A
/// current distribution for broadside arrays which optimizes the relationship between beam width and side-lobe level",
/// 1946): the inverse transform of a Chebyshev polynomial sampled around the unit circle.
pub(super) fn chebyshev(m: usize, attenuation: f64) -> Vec<f64> {
    let order = (m - 1) as f64;
    let beta = (10.0_f64.powf(attenuation.abs() / 20.0).acosh() / order).cosh();
    let spectrum: Vec<f64> = (0..m)
        .map(|k| {
            let x = beta * (PI * k as f64 / m as f64).cos();
            if x > 1.0 {
                (order * x.acosh()).cosh()
            } else if x < -1.0 {
                let sign = if m.is_multiple_of(2) { -1.0 } else { 1.0 };
                sign * (order * (-x).acosh()).cosh()
            } else {
                (order * x.acos()).cos()
            }
        })
        .collect();
    // The transform of a symmetric spectrum is a cosine series; all its angles are multiples of π/m.
    let cosines: Vec<f64> = (0..2 * m).map(|j| (PI * j as f64 / m as f64).cos()).collect();
    let value =
        |twice: usize| -> f64 { spectrum.iter().enumerate().map(|(k, p)| p * cosines[k * twice % (2 * m)]).sum() };
    // `twice` counts half samples from the middle.
    let from_middle: Vec<f64> = (0..m.div_ceil(2)).map(|n| value(2 * n + usize::from(m.is_multiple_of(2)))).collect();
    let largest = from_middle.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let distance = |n: usize| if n < m / 2 { (m - 1) / 2 - n } else { n - m / 2 };
    (0..m).map(|n| from_middle[distance(n)] / largest).collect()
}

/// Taylor's window of `m` points (T. T. Taylor, "Design of line-source antennas for narrow beamwidth and low side lobes",
/// 1955; W. G. Carrara, R. M. Majewski, R. S. Goodman, "Spotlight synthetic aperture radar", 1995, appendix D.2).
pub(super) fn taylor(m: usize, nbar: usize, sll: f64, norm: bool) -> Vec<f64> {
    let a = 10.0_f64.powf(sll / 20.0).acosh() / PI;
    let bar = nbar as f64;
    let s2 = bar * bar / (a * a + (bar - 0.5).powi(2));
    let weights: Vec<f64> = (1..nbar)
        .map(|i| {
            let square = (i * i) as f64;
            let sign = if i % 2 == 1 { 1.0 } else { -1.0 };
            let numerator: f64 = (1..nbar).map(|j| 1.0 - square / s2 / (a * a + (j as f64 - 0.5).powi(2))).product();
            let denominator: f64 = (1..nbar).filter(|&j| j != i).map(|j| 1.0 - square / (j * j) as f64).product();
            sign * numerator / (2.0 * denominator)
        })
        .collect();
    let size = m as f64;
    let value = |n: f64| {
        let angle = 2.0 * PI * (n - size / 2.0 + 0.5) / size;
        1.0 + 2.0 * weights.iter().zip(1..).map(|(weight, i)| weight * (f64::from(i) * angle).cos()).sum::<f64>()
    };
    let scale = if norm { 1.0 / value((size - 1.0) / 2.0) } else { 1.0 };
    (0..m).map(|n| value(n as f64) * scale).collect()
}

/// The sequence of `m` points with the largest share of its energy within ±`nw` bins (D. Slepian, "Prolate spheroidal wave
/// functions, Fourier analysis, and uncertainty V", 1978), as the eigenvector of a tridiagonal matrix that commutes with the
/// problem's own (D. B. Percival, A. T. Walden, "Spectral analysis for physical applications", 1993, section 8.3). Scaled as
/// scipy does it: the largest value is 1, or a little less for an even number of points.
pub(super) fn dpss(m: usize, nw: f64) -> Vec<f64> {
    let size = m as f64;
    let cosine = (2.0 * PI * nw / size).cos();
    let diagonal: Vec<f64> = (0..m).map(|n| ((size - 1.0 - 2.0 * n as f64) / 2.0).powi(2) * cosine).collect();
    let beside: Vec<f64> = (1..m).map(|n| n as f64 * (size - n as f64) / 2.0).collect();
    let mut window = top_eigenvector(&diagonal, &beside);
    let largest = window.iter().fold(0.0_f64, |most, x| if x.abs() > most.abs() { *x } else { most });
    let correction = if m.is_multiple_of(2) { size * size / (size * size + nw) } else { 1.0 };
    window.iter_mut().for_each(|x| *x *= correction / largest);
    window
}

/// The eigenvector of the largest eigenvalue of a symmetric tridiagonal matrix: the eigenvalue by bisection, then inverse
/// iteration.
fn top_eigenvector(diagonal: &[f64], beside: &[f64]) -> Vec<f64> {
    let m = diagonal.len();
    let reach = |n: usize| if n > 0 { beside[n - 1] } else { 0.0 } + beside.get(n).copied().unwrap_or(0.0);
    // Gershgorin's circles hold every eigenvalue.
    let mut high = (0..m).map(|n| diagonal[n] + reach(n)).fold(f64::NEG_INFINITY, f64::max);
    let mut low = (0..m).map(|n| diagonal[n] - reach(n)).fold(f64::INFINITY, f64::min);
    // Sylvester's law: as many pivots of A − x are above 0 as eigenvalues are above x.
    let any_above = |x: f64| {
        let mut pivot = diagonal[0] - x;
        for n in 1..m {
            if pivot > 0.0 {
                return true;
            }
            let divisor = if pivot == 0.0 { -f64::MIN_POSITIVE } else { pivot };
            pivot = diagonal[n] - x - beside[n - 1] * beside[n - 1] / divisor;
        }
        pivot > 0.0
    };
    while high - low > 4.0 * f64::EPSILON * high.abs().max(low.abs()) {
        let middle = low + (high - low) / 2.0;
        if middle <= low || middle >= high {
            break;
        }
        if any_above(middle) { low = middle } else { high = middle }
    }

    // At `high` no eigenvalue lies above, so every pivot is negative and elimination needs no exchange of rows.
    let mut pivots = vec![0.0; m];
    for n in 0..m {
        let carried = if n > 0 { beside[n - 1] * beside[n - 1] / pivots[n - 1] } else { 0.0 };
        let pivot: f64 = diagonal[n] - high - carried;
        pivots[n] = pivot.min(-f64::EPSILON * high.abs().max(1.0));
    }
    let mut vector = vec![1.0; m];
    for _ in 0..4 {
        for n in 1..m {
            vector[n] -= beside[n - 1] / pivots[n - 1] * vector[n - 1];
        }
        vector[m - 1] /= pivots[m - 1];
        for n in (0..m - 1).rev() {
            vector[n] = (vector[n] - beside[n] * vector[n + 1]) / pivots[n];
        }
        let largest = vector.iter().fold(0.0_f64, |most, x: &f64| most.max(x.abs()));
        vector.iter_mut().for_each(|x| *x /= largest);
    }
    vector
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The magnitude of a window's spectrum at a frequency in bins, over that at 0.
    fn response(window: &[f64], bin: f64) -> f64 {
        let step = 2.0 * PI * bin / window.len() as f64;
        let (mut re, mut im) = (0.0, 0.0);
        for (n, w) in window.iter().enumerate() {
            re += w * (step * n as f64).cos();
            im += w * (step * n as f64).sin();
        }
        re.hypot(im) / window.iter().sum::<f64>()
    }

    #[test]
    fn side_lobes_are_as_low_as_promised() {
        for m in [64, 65] {
            for (window, lobe, decibels) in [
                (chebyshev(m, 60.0), 4.0, 60.0),
                (chebyshev(m, 100.0), 6.0, 100.0),
                (taylor(m, 4, 30.0, true), 2.0, 29.0),
            ] {
                let mut bin = lobe;
                while bin < m as f64 / 2.0 {
                    assert!(20.0 * response(&window, bin).log10() < -decibels + 1e-6, "{decibels} dB at {bin}");
                    bin += 0.01;
                }
            }
        }
    }

    #[test]
    fn dpss_is_an_eigenvector_of_the_concentration_problem() {
        // The problem's own matrix: sin(2πW(i − j)) / (π(i − j)).
        let (m, nw) = (40, 2.5);
        let window = dpss(m, nw);
        let w = nw / m as f64;
        let kernel = |d: f64| if d == 0.0 { 2.0 * w } else { (2.0 * PI * w * d).sin() / (PI * d) };
        let image: Vec<f64> = (0..m).map(|i| (0..m).map(|j| kernel(i as f64 - j as f64) * window[j]).sum()).collect();
        let ratio = image[m / 2] / window[m / 2];
        assert!(ratio > 0.999 && ratio < 1.0, "{ratio}");
        for (a, b) in image.iter().zip(&window) {
            assert!((a - ratio * b).abs() < 1e-12);
        }
    }
}
