//! The shape of a spectrum in a few numbers.
//!
//! All of these take a **magnitude** spectrogram, `[n_bins, n_frames]`, as
//! [`Stft::spectrogram`](crate::Stft::spectrogram) makes it with a power of 1, so that one transform serves them all.

use ndarray::{Array2, ArrayView2};

use crate::decibel::{DbConfig, power_to_db};
use crate::error::{Error, Result};
use crate::linalg::polynomial_fit;
use crate::normalize::Norm;
use crate::sample::{Sample, check_finite};

/// Checks a spectrogram as librosa does: its values are finite and not negative, and there is a frequency for each bin.
fn check<T: Sample>(magnitude: ArrayView2<'_, T>, freq: Option<&[f64]>) -> Result<()> {
    if let Some(value) = magnitude.iter().find(|value| **value < T::zero()) {
        return Err(Error::input("the spectrogram", "at least 0 everywhere", value.widen()));
    }
    for row in magnitude.rows() {
        match row.as_slice() {
            Some(row) => check_finite(row)?,
            None => check_finite(&row.to_vec())?,
        }
    }
    match freq {
        Some(freq) if freq.len() != magnitude.nrows() => {
            Err(Error::shape("the frequencies", &[magnitude.nrows()], &[freq.len()]))
        }
        _ => Ok(()),
    }
}

/// Calls `write(t, frame)` with every frame in one piece of memory.
fn each_frame<T: Sample>(magnitude: ArrayView2<'_, T>, mut write: impl FnMut(usize, &mut [T])) {
    let mut frame = vec![T::zero(); magnitude.nrows()];
    for (t, column) in magnitude.columns().into_iter().enumerate() {
        frame.iter_mut().zip(column).for_each(|(slot, &value)| *slot = value);
        write(t, &mut frame);
    }
}

/// What is computed of one frame of a magnitude spectrogram, whether the frames lie in an array or are still coming.
#[derive(Debug, Clone)]
pub(crate) enum Shape {
    Centroid,
    Bandwidth(BandwidthConfig),
    Rolloff { roll_percent: f64 },
    Flatness { amin: f64, power: f64 },
    Polynomial { fit: Vec<Vec<f64>> },
}

impl Shape {
    pub(crate) fn bandwidth(config: &BandwidthConfig) -> Result<Self> {
        if config.p == 0.0 || !config.p.is_finite() {
            return Err(Error::config("p", "a finite number that is not 0", config.p));
        }
        Ok(Self::Bandwidth(config.clone()))
    }

    pub(crate) fn rolloff(roll_percent: f64) -> Result<Self> {
        if !(roll_percent > 0.0 && roll_percent < 1.0) {
            return Err(Error::config("roll_percent", "above 0 and below 1", roll_percent));
        }
        Ok(Self::Rolloff { roll_percent })
    }

    pub(crate) fn flatness(amin: f64, power: f64) -> Result<Self> {
        if !(amin > 0.0 && amin.is_finite()) {
            return Err(Error::config("amin", "a finite number above 0", amin));
        }
        if !power.is_finite() {
            return Err(Error::config("power", "a finite number", power));
        }
        Ok(Self::Flatness { amin, power })
    }

    pub(crate) fn polynomial(freq: &[f64], order: usize) -> Result<Self> {
        if order >= freq.len() {
            return Err(Error::config("order", format!("below the {} bins", freq.len()), order));
        }
        // Fitted on frequencies from 0 to 1, so that powers of them stay comparable; scaled back afterwards.
        let scale = freq.iter().fold(f64::MIN_POSITIVE, |most, f| most.max(f.abs()));
        let points: Vec<f64> = freq.iter().map(|f| f / scale).collect();
        let mut fit = polynomial_fit(&points, order);
        for (power, weights) in fit.iter_mut().enumerate() {
            weights.iter_mut().for_each(|weight| *weight /= scale.powi(power as i32));
        }
        Ok(Self::Polynomial { fit })
    }

    /// Number of values of a frame.
    pub(crate) fn rows(&self) -> usize {
        if let Self::Polynomial { fit } = self { fit.len() } else { 1 }
    }

    /// Writes the values of a frame to `out`; `freq` is the frequency of every bin. What is in `frame` afterwards means nothing.
    pub(crate) fn of<T: Sample>(&self, frame: &mut [T], freq: &[f64], out: &mut [f64]) {
        match self {
            Self::Centroid => {
                Norm::P(1.0).apply(frame);
                out[0] = centroid(frame, freq);
            }
            Self::Bandwidth(BandwidthConfig { p, norm }) => {
                let total = if *norm { 1.0 } else { frame.iter().map(|x| x.widen()).sum() };
                Norm::P(1.0).apply(frame);
                let middle = centroid(frame, freq);
                let power = |x: f64| if *p == 2.0 { x * x } else { x.powf(*p) };
                let spread: f64 = frame.iter().zip(freq).map(|(x, f)| x.widen() * power((f - middle).abs())).sum();
                out[0] = (total * spread).powf(1.0 / p);
            }
            Self::Rolloff { roll_percent } => {
                // Summed one after another in the samples' precision, as numpy does: the bin depends on it.
                let mut sum = T::zero();
                for value in frame.iter_mut() {
                    sum += *value;
                    *value = sum;
                }
                let threshold = T::narrow(*roll_percent) * sum;
                let reached = frame.iter().zip(freq).filter(|&(&value, _)| value >= threshold).map(|(_, &f)| f);
                out[0] = reached.fold(f64::NAN, f64::min);
            }
            Self::Flatness { amin, power } => {
                let (mut logs, mut sum) = (0.0, 0.0);
                for &value in frame.iter() {
                    let raised = if *power == 2.0 { value * value } else { value.powf(T::narrow(*power)) };
                    let raised = raised.max(T::narrow(*amin)).widen();
                    logs += raised.ln();
                    sum += raised;
                }
                let n = frame.len() as f64;
                out[0] = (logs / n).exp() / (sum / n);
            }
            Self::Polynomial { fit } => {
                for (slot, weights) in out.iter_mut().rev().zip(fit) {
                    *slot = weights.iter().zip(frame.iter()).map(|(w, x)| w * x.widen()).sum();
                }
            }
        }
    }

    fn of_all<T: Sample>(&self, magnitude: ArrayView2<'_, T>, freq: &[f64]) -> Array2<f64> {
        let mut out = Array2::zeros((self.rows(), magnitude.ncols()));
        let mut values = vec![0.0; self.rows()];
        each_frame(magnitude, |t, frame| {
            self.of(frame, freq, &mut values);
            out.column_mut(t).iter_mut().zip(&values).for_each(|(slot, &value)| *slot = value);
        });
        out
    }
}

/// The mean frequency of a frame whose values sum to 1.
fn centroid<T: Sample>(frame: &[T], freq: &[f64]) -> f64 {
    frame.iter().zip(freq).map(|(x, f)| x.widen() * f).sum()
}

/// The mean frequency of each frame, weighted by magnitude, in Hz, `[1, n_frames]` (librosa: `feature.spectral_centroid`,
/// which is `float64` too). `freq` is the frequency of every bin: [`fft_frequencies`](crate::fft_frequencies).
///
/// # Errors
/// [`Error::InvalidInput`] for negative values, [`Error::NotFinite`] for NaN or infinite ones, [`Error::WrongShape`] for
/// another number of frequencies than bins.
pub fn spectral_centroid<T: Sample>(magnitude: ArrayView2<'_, T>, freq: &[f64]) -> Result<Array2<f64>> {
    check(magnitude, Some(freq))?;
    Ok(Shape::Centroid.of_all(magnitude, freq))
}

/// Settings of [`spectral_bandwidth`], by librosa's names and with its defaults.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(default))]
pub struct BandwidthConfig {
    /// The power that distances from the centroid are raised to, not 0. Default 2: a standard deviation.
    pub p: f64,
    /// Whether each frame is scaled to a sum of 1 first, so that loudness does not matter. Default true.
    pub norm: bool,
}

impl Default for BandwidthConfig {
    fn default() -> Self {
        Self { p: 2.0, norm: true }
    }
}

/// How far the frequencies of each frame spread around its centroid, `(Σ S·|f − centroid|^p)^(1/p)`, in Hz, `[1, n_frames]`
/// (librosa: `feature.spectral_bandwidth`, which is `float64` too).
///
/// # Errors
/// As [`spectral_centroid`], and [`Error::InvalidConfig`] when `p` is 0 or not finite.
pub fn spectral_bandwidth<T: Sample>(
    magnitude: ArrayView2<'_, T>,
    freq: &[f64],
    config: &BandwidthConfig,
) -> Result<Array2<f64>> {
    let shape = Shape::bandwidth(config)?;
    check(magnitude, Some(freq))?;
    Ok(shape.of_all(magnitude, freq))
}

/// The frequency below which `roll_percent` of each frame's magnitude lies, in Hz, `[1, n_frames]` (librosa:
/// `feature.spectral_rolloff`, which is `float64` too; its default is 0.85).
///
/// # Errors
/// As [`spectral_centroid`], and [`Error::InvalidConfig`] when `roll_percent` is not between 0 and 1.
pub fn spectral_rolloff<T: Sample>(
    magnitude: ArrayView2<'_, T>,
    freq: &[f64],
    roll_percent: f64,
) -> Result<Array2<f64>> {
    let shape = Shape::rolloff(roll_percent)?;
    check(magnitude, Some(freq))?;
    Ok(shape.of_all(magnitude, freq))
}

/// How much each frame is like noise (1) or like a tone (0): the geometric mean of `max(amin, S^power)` over the arithmetic
/// one, `[1, n_frames]` (librosa: `feature.spectral_flatness`; its defaults are an `amin` of 1e-10 and a power of 2).
///
/// # Errors
/// As [`spectral_centroid`], and [`Error::InvalidConfig`] when `amin` is not above 0 or `power` is not finite.
pub fn spectral_flatness<T: Sample>(magnitude: ArrayView2<'_, T>, amin: f64, power: f64) -> Result<Array2<T>> {
    let shape = Shape::flatness(amin, power)?;
    check(magnitude, None)?;
    Ok(shape.of_all(magnitude, &[]).mapv(T::narrow))
}

/// Settings of [`spectral_contrast`], by librosa's names and with its defaults.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(default))]
pub struct ContrastConfig {
    /// Sampling rate, in Hz. Default 22,050.
    pub sr: f64,
    /// End of the lowest band, in Hz; every further band is an octave. Default 200.
    pub fmin: f64,
    /// Number of octave bands. Default 6.
    pub n_bands: usize,
    /// The share of a band's bins that count as its peak, and as its valley; above 0, below 1. Default 0.02.
    pub quantile: f64,
    /// Peak minus valley, instead of their distance in dB. Default false.
    pub linear: bool,
}

impl Default for ContrastConfig {
    fn default() -> Self {
        Self { sr: 22_050.0, fmin: 200.0, n_bands: 6, quantile: 0.02, linear: false }
    }
}

/// The octave bands of [`spectral_contrast`].
#[derive(Debug, Clone)]
pub(crate) struct Bands {
    /// First bin, bin after the last, and how many bins count as peak and as valley.
    bands: Vec<(usize, usize, usize)>,
}

impl Bands {
    pub(crate) fn new(config: &ContrastConfig, freq: &[f64]) -> Result<Self> {
        let ContrastConfig { sr, fmin, n_bands, quantile, .. } = *config;
        crate::mel::check_rate(sr)?;
        if n_bands == 0 {
            return Err(Error::config("n_bands", "a positive integer", 0));
        }
        if !(quantile > 0.0 && quantile < 1.0) {
            return Err(Error::config("quantile", "above 0 and below 1", quantile));
        }
        if !(fmin > 0.0 && fmin.is_finite()) {
            return Err(Error::config("fmin", "a finite frequency above 0 Hz", fmin));
        }
        let top = fmin * (n_bands as f64 - 1.0).exp2();
        if top >= sr / 2.0 {
            return Err(Error::config("fmin·2^(n_bands − 1)", format!("below {} Hz", sr / 2.0), top));
        }
        let edges: Vec<f64> =
            std::iter::once(0.0).chain((0..=n_bands).map(|band| fmin * (band as f64).exp2())).collect();
        let band = |(band, edge): (usize, &[f64])| {
            let inside = |f: &f64| edge[0] <= *f && *f <= edge[1];
            let (Some(mut first), Some(mut last)) = (freq.iter().position(inside), freq.iter().rposition(inside))
            else {
                return Err(Error::config("fmin", "such that every band holds a bin", fmin));
            };
            // A band takes the bin below it along; the last one takes everything above; the others leave their top bin out.
            if band > 0 {
                first = first.saturating_sub(1);
            }
            if band == n_bands {
                last = freq.len() - 1;
            }
            let count = ((quantile * (last + 1 - first) as f64).round_ties_even() as usize).max(1);
            let end = if band < n_bands { last } else { last + 1 };
            if first >= end {
                return Err(Error::config("fmin", "such that every band holds two bins", fmin));
            }
            Ok((first, end, count.min(end - first)))
        };
        Ok(Self { bands: edges.windows(2).enumerate().map(band).collect::<Result<_>>()? })
    }

    /// Number of values of a frame.
    pub(crate) fn rows(&self) -> usize {
        self.bands.len()
    }

    /// Writes the peak and the valley of every band of a frame.
    pub(crate) fn of<T: Sample>(&self, frame: &[T], sorted: &mut Vec<T>, peaks: &mut [f64], valleys: &mut [f64]) {
        let mean =
            |values: &[T]| T::narrow(values.iter().map(|x| x.widen()).sum::<f64>() / values.len() as f64).widen();
        for ((&(first, end, count), peak), valley) in self.bands.iter().zip(peaks).zip(valleys) {
            sorted.clear();
            sorted.extend_from_slice(&frame[first..end]);
            sorted.sort_unstable_by(|a, b| a.partial_cmp(b).unwrap_or(std::cmp::Ordering::Equal));
            *valley = mean(&sorted[..count]);
            *peak = mean(&sorted[sorted.len() - count..]);
        }
    }
}

/// How far peaks stand above valleys in every octave of each frame, `[n_bands + 1, n_frames]`, in dB (librosa:
/// `feature.spectral_contrast`, which is `float64` too; D.-N. Jiang et al., "Music type classification by spectral
/// contrast feature", 2002).
///
/// The decibels of peaks and of valleys are cut off 80 dB below the largest of the signal, so a frame depends on all others;
/// not so with `linear`.
///
/// # Errors
/// As [`spectral_centroid`], and [`Error::InvalidConfig`] when there are no bands, a band starts at the Nyquist frequency or
/// holds no bin, or `quantile` or `fmin` is out of its range.
pub fn spectral_contrast<T: Sample>(
    magnitude: ArrayView2<'_, T>,
    freq: &[f64],
    config: &ContrastConfig,
) -> Result<Array2<f64>> {
    check(magnitude, Some(freq))?;
    let bands = Bands::new(config, freq)?;
    let shape = (bands.rows(), magnitude.ncols());
    let (mut peaks, mut valleys) = (Array2::zeros(shape), Array2::zeros(shape));
    let (mut peak, mut valley, mut sorted) = (vec![0.0; shape.0], vec![0.0; shape.0], Vec::new());
    each_frame(magnitude, |t, frame| {
        bands.of(frame, &mut sorted, &mut peak, &mut valley);
        peaks.column_mut(t).iter_mut().zip(&peak).for_each(|(slot, &value)| *slot = value);
        valleys.column_mut(t).iter_mut().zip(&valley).for_each(|(slot, &value)| *slot = value);
    });
    if config.linear || magnitude.ncols() == 0 {
        return Ok(peaks - valleys);
    }
    Ok(power_to_db(&peaks, &DbConfig::default())? - power_to_db(&valleys, &DbConfig::default())?)
}

/// Coefficients of the polynomial of `order` in frequency (Hz) that fits each frame best, highest power first,
/// `[order + 1, n_frames]` (librosa: `feature.poly_features`, which is `float64` too; its default order is 1).
///
/// # Errors
/// As [`spectral_centroid`], except that negative values are fine; [`Error::InvalidConfig`] when there are not more bins
/// than `order`.
pub fn poly_features<T: Sample>(magnitude: ArrayView2<'_, T>, freq: &[f64], order: usize) -> Result<Array2<f64>> {
    check(magnitude.mapv(|x| x.abs()).view(), Some(freq))?;
    Ok(Shape::polynomial(freq, order)?.of_all(magnitude, freq))
}

#[cfg(test)]
mod tests {
    use approx::assert_abs_diff_eq;
    use ndarray::array;

    use super::*;

    #[test]
    fn centroid_bandwidth_and_rolloff_of_two_lines() {
        let magnitude = array![[0.0_f64], [1.0], [0.0], [3.0], [0.0]];
        let freq = [0.0, 100.0, 200.0, 300.0, 400.0];
        assert_abs_diff_eq!(spectral_centroid(magnitude.view(), &freq).unwrap()[[0, 0]], 250.0, epsilon = 1e-9);
        let spread = spectral_bandwidth(magnitude.view(), &freq, &BandwidthConfig::default()).unwrap()[[0, 0]];
        let variance = 0.25 * 150.0_f64.powi(2) + 0.75 * 50.0_f64.powi(2);
        assert_abs_diff_eq!(spread, variance.sqrt(), epsilon = 1e-9);
        let config = BandwidthConfig { norm: false, ..BandwidthConfig::default() };
        let spread = spectral_bandwidth(magnitude.view(), &freq, &config).unwrap()[[0, 0]];
        assert_abs_diff_eq!(spread, (4.0 * variance).sqrt(), epsilon = 1e-9);
        assert_eq!(spectral_rolloff(magnitude.view(), &freq, 0.2).unwrap()[[0, 0]], 100.0);
        assert_eq!(spectral_rolloff(magnitude.view(), &freq, 0.3).unwrap()[[0, 0]], 300.0);
    }

    #[test]
    fn flat_is_flat() {
        let flat = spectral_flatness(Array2::from_elem((9, 2), 0.3_f32).view(), 1e-10, 2.0).unwrap();
        assert_abs_diff_eq!(flat[[0, 1]], 1.0, epsilon = 1e-6);
    }

    #[test]
    fn a_line_is_fitted_by_a_line() {
        let freq: Vec<f64> = (0..100).map(|k| f64::from(k) * 110.0).collect();
        let line = Array2::from_shape_fn((100, 1), |(k, _)| 0.5 + 2e-4 * freq[k]);
        let got = poly_features(line.view(), &freq, 1).unwrap();
        assert_abs_diff_eq!(got[[0, 0]], 2e-4, epsilon = 1e-15);
        assert_abs_diff_eq!(got[[1, 0]], 0.5, epsilon = 1e-12);
    }

    #[test]
    fn impossible_input_is_an_error() {
        let freq = [0.0, 1.0];
        assert!(spectral_centroid(array![[1.0_f32], [-1.0]].view(), &freq).is_err());
        assert!(spectral_centroid(array![[1.0_f32], [f32::NAN]].view(), &freq).is_err());
        assert!(spectral_centroid(array![[1.0_f32]].view(), &freq).is_err());
        assert!(spectral_rolloff(array![[1.0_f32], [1.0]].view(), &freq, 1.0).is_err());
        let config = ContrastConfig { n_bands: 20, ..ContrastConfig::default() };
        assert!(spectral_contrast(array![[1.0_f32], [1.0]].view(), &freq, &config).is_err());
    }
}
