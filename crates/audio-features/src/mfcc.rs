//! Mel-frequency cepstral coefficients, and how features change over time.

use std::f64::consts::PI;
use std::ops::Range;

use ndarray::{Array, Array2, ArrayBase, ArrayView2, ArrayViewMut2, Axis, Data, Dimension};

use crate::decibel::{self, DbConfig, Reference};
use crate::error::{Error, Result};
use crate::lanes::{LANES, Lanes, Largest, blocks_of, store, vectorized};
use crate::linalg::{multiply_above, polynomial_fit};
use crate::mel::{MelConfig, MelSpectrogram};
use crate::sample::{Sample, Table, dot};
use crate::scratch::{Lent, Pool};
use crate::stft::Framed;

/// How the cosine transform is scaled (scipy's `norm`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum DctNorm {
    /// The transform is a rotation (`'ortho'`), the default.
    #[default]
    Ortho,
    /// As the bare formula gives it (`None`).
    None,
}

/// Settings of the MFCCs, by librosa's names and with its defaults.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(default))]
pub struct MfccConfig {
    /// The mel spectrogram that they come from.
    pub mel: MelConfig,
    /// Its decibels. Default: over a power of 1, cut off 80 dB below the loudest value of the signal.
    pub db: DbConfig,
    /// Number of coefficients. Default 20. No more than `n_mels` come out.
    pub n_mfcc: usize,
    /// Type of the cosine transform, 1 to 4. Default 2.
    pub dct_type: u8,
    /// Scale of the cosine transform. Default: orthogonal.
    pub norm: DctNorm,
    /// Sinusoidal liftering: coefficient n is scaled by `1 + lifter/2·sin(π(n + 1)/lifter)`. Default 0: none.
    pub lifter: f64,
}

impl Default for MfccConfig {
    fn default() -> Self {
        Self {
            mel: MelConfig::default(),
            db: DbConfig::default(),
            n_mfcc: 20,
            dct_type: 2,
            norm: DctNorm::Ortho,
            lifter: 0.0,
        }
    }
}

/// Planned MFCCs (librosa: `feature.mfcc`).
///
/// ```
/// use audio_features::{MelConfig, Mfcc, MfccConfig};
///
/// let mfcc = Mfcc::new(&MfccConfig {
///     n_mfcc: 13,
///     mel: MelConfig { sr: 16_000.0, ..MelConfig::default() },
///     ..MfccConfig::default()
/// })?;
/// let coefficients = mfcc.process(&vec![0.1_f32; 16_000])?; // [n_mfcc, n_frames]
/// assert_eq!(coefficients.dim(), (13, 32));
/// # Ok::<(), audio_features::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Mfcc {
    config: MfccConfig,
    mel: MelSpectrogram,
    /// The cosine transform with the liftering folded in, `[n_mfcc, n_mels]` row by row.
    matrix: Table,
    n_out: usize,
    pool: Pool,
}

impl Mfcc {
    /// Plans the mel spectrogram and draws the cosine transform.
    ///
    /// # Errors
    /// [`Error::InvalidConfig`] as [`MelSpectrogram::new`], for a `dct_type` that is not 1 to 4 (type 1 needs two mel bands),
    /// for a negative `lifter`, for a `lifter` with more coefficients than mel bands, and for bad [`DbConfig`]s.
    pub fn new(config: &MfccConfig) -> Result<Self> {
        let mel = MelSpectrogram::new(&config.mel)?;
        config.db.check()?;
        let n_mels = config.mel.n_mels;
        if !(config.lifter >= 0.0 && config.lifter.is_finite()) {
            return Err(Error::config("lifter", "a finite number, at least 0", config.lifter));
        }
        if config.lifter > 0.0 && config.n_mfcc > n_mels {
            return Err(Error::config("n_mfcc", format!("at most n_mels = {n_mels} with a lifter"), config.n_mfcc));
        }
        let n_out = config.n_mfcc.min(n_mels);
        let mut matrix = cosine_transform(config.dct_type, config.norm, n_out, n_mels)?;
        if config.lifter > 0.0 {
            for (n, row) in matrix.chunks_exact_mut(n_mels).enumerate() {
                let lift = 1.0 + config.lifter / 2.0 * (PI * (n as f64 + 1.0) / config.lifter).sin();
                row.iter_mut().for_each(|weight| *weight *= lift);
            }
        }
        let matrix = matrix.into_iter().collect();
        Ok(Self { config: config.clone(), mel, matrix, n_out, pool: Pool::default() })
    }

    /// The settings it was planned with.
    pub fn config(&self) -> &MfccConfig {
        &self.config
    }

    /// The mel spectrogram it starts from.
    pub fn mel(&self) -> &MelSpectrogram {
        &self.mel
    }

    /// Number of coefficients that come out: `n_mfcc`, but at most `n_mels`.
    pub fn n_mfcc(&self) -> usize {
        self.n_out
    }

    /// The coefficients of every frame, shape `[n_mfcc, n_frames]`.
    ///
    /// # Errors
    /// As [`Stft::process`](crate::Stft::process).
    pub fn process<T: Sample>(&self, samples: &[T]) -> Result<Array2<T>> {
        let mut out = Array2::zeros((self.n_out, self.mel.stft().n_frames(samples.len())?));
        self.process_into(samples, out.view_mut())?;
        Ok(out)
    }

    /// Like [`Mfcc::process`], into memory of the caller; nothing is allocated after the first call with the longest signal.
    ///
    /// # Errors
    /// As [`Mfcc::process`], and [`Error::WrongShape`] when `out` is not `[n_mfcc, n_frames]`.
    pub fn process_into<T: Sample>(&self, samples: &[T], out: ArrayViewMut2<'_, T>) -> Result<()> {
        self.mel.stft().check_out(samples.len(), self.n_out, out.shape())?;
        let signal = self.mel.stft().framed(samples)?;
        let n_mels = self.config.mel.n_mels;
        let mut work = self.work::<T>();
        let Work { bands, coefficients } = &mut *work;
        bands.clear();
        bands.reserve(n_mels * signal.frames().div_ceil(LANES));
        self.energies(&signal, 0..signal.frames(), |_, block| bands.extend_from_slice(block))?;
        let floor = self.floor(bands, signal.frames(), |values| vectorized(Largest { values }))?;
        self.transform(bands, floor, coefficients, out);
        Ok(())
    }

    /// The coefficients of a mel spectrogram in decibels, shape `[n_mels, n_frames]` (librosa: `mfcc(S=...)`).
    ///
    /// # Errors
    /// [`Error::WrongShape`] when the spectrogram has another number of bands than the config's `n_mels`.
    pub fn from_log_mel<T: Sample>(&self, log_mel: ArrayView2<'_, T>) -> Result<Array2<T>> {
        let mut out = Array2::zeros((self.n_out, log_mel.ncols()));
        self.from_log_mel_into(log_mel, out.view_mut())?;
        Ok(out)
    }

    /// Like [`Mfcc::from_log_mel`], into memory of the caller; nothing is allocated after the first call with the longest signal.
    ///
    /// # Errors
    /// As [`Mfcc::from_log_mel`], and [`Error::WrongShape`] when `out` is not `[n_mfcc, n_frames]`.
    pub fn from_log_mel_into<T: Sample>(
        &self,
        log_mel: ArrayView2<'_, T>,
        mut out: ArrayViewMut2<'_, T>,
    ) -> Result<()> {
        let n_mels = self.config.mel.n_mels;
        if log_mel.nrows() != n_mels {
            return Err(Error::shape("the mel spectrogram", &[n_mels, log_mel.ncols()], log_mel.shape()));
        }
        if out.dim() != (self.n_out, log_mel.ncols()) {
            return Err(Error::shape("the output", &[self.n_out, log_mel.ncols()], out.shape()));
        }
        let mut work = self.work::<T>();
        let Work { bands, coefficients } = &mut *work;
        coefficients.resize(self.n_out, Lanes::default());
        blocks_of(log_mel, bands, |block| {
            multiply_above(self.matrix.get(), block.bins, T::neg_infinity(), coefficients);
            store(coefficients, block.frames, block.first, &mut out);
        });
        Ok(())
    }

    /// Calls `sink(first frame, bands)` with the mel energies of some frames, block by block: in decibels already when what
    /// counts as 0 dB is known.
    pub(crate) fn energies<T: Sample>(
        &self,
        signal: &Framed<'_, T>,
        frames: Range<usize>,
        mut sink: impl FnMut(usize, &[Lanes<T>]),
    ) -> Result<()> {
        self.mel.blocks(signal, frames, |first, _, bands| {
            if let Reference::Value(value) = self.config.db.reference {
                decibel::log_lanes(bands, self.config.db.amin, value.abs());
            }
            sink(first, bands);
        })
    }

    /// Turns what [`Mfcc::energies`] gave for all frames to decibels where it is not yet, and returns what they are cut off
    /// at. `largest` finds the largest value of every lane.
    pub(crate) fn floor<T: Sample>(
        &self,
        bands: &mut [Lanes<T>],
        frames: usize,
        largest: impl FnOnce(&[Lanes<T>]) -> Lanes<T>,
    ) -> Result<T> {
        decibel::floor_of_blocks(bands, self.config.mel.n_mels, frames, &self.config.db, largest)
    }

    /// The working memory of one call.
    pub(crate) fn work<T: Sample>(&self) -> Lent<'_, Work<T>> {
        self.pool.take()
    }

    /// From the decibels of some frames, block by block, to their coefficients.
    pub(crate) fn transform<T: Sample>(
        &self,
        bands: &[Lanes<T>],
        floor: T,
        coefficients: &mut Vec<Lanes<T>>,
        mut out: ArrayViewMut2<'_, T>,
    ) {
        coefficients.resize(self.n_out, Lanes::default());
        for (index, block) in bands.chunks_exact(self.config.mel.n_mels).enumerate() {
            multiply_above(self.matrix.get(), block, floor, coefficients);
            let first = index * LANES;
            store(coefficients, LANES.min(out.ncols() - first), first, &mut out);
        }
    }

    /// The coefficients of one column of decibels.
    pub(crate) fn of_column<T: Sample>(&self, log_mel: &[T], out: &mut [T]) {
        for (slot, weights) in out.iter_mut().zip(self.matrix.get::<T>().chunks_exact(log_mel.len())) {
            *slot = dot(weights, log_mel);
        }
    }
}

/// The working memory of one call: the bands of all frames, block by block, and the coefficients of a block.
#[derive(Default)]
pub(crate) struct Work<T> {
    pub(crate) bands: Vec<Lanes<T>>,
    coefficients: Vec<Lanes<T>>,
}

/// scipy's `dct` of `n` values as a matrix of its first `rows` rows, row by row.
fn cosine_transform(dct_type: u8, norm: DctNorm, rows: usize, n: usize) -> Result<Vec<f64>> {
    if !(1..=4).contains(&dct_type) {
        return Err(Error::config("dct_type", "1, 2, 3 or 4", dct_type));
    }
    if dct_type == 1 && n < 2 {
        return Err(Error::config("n_mels", "at least 2 for a cosine transform of type 1", n));
    }
    let size = n as f64;
    let is_end = |i: usize| i == 0 || i == n - 1;
    let ortho = norm == DctNorm::Ortho;
    let weight = |k: usize, i: usize| {
        let (row, column) = (k as f64, i as f64);
        match dct_type {
            1 => {
                // scipy makes type 1 orthogonal by scaling the two end values of input and output.
                let cosine = (PI * row * column / (size - 1.0)).cos() * if is_end(i) { 1.0 } else { 2.0 };
                if !ortho {
                    return cosine;
                }
                let input = if is_end(i) { 2.0_f64.sqrt() } else { 1.0 };
                let output = if is_end(k) { 1.0 } else { 2.0_f64.sqrt() };
                cosine * input * output * 0.5 / (size - 1.0).sqrt()
            }
            2 => {
                let cosine = 2.0 * (PI * row * (2.0 * column + 1.0) / (2.0 * size)).cos();
                let scale = if k == 0 { 0.25 / size } else { 0.5 / size };
                if ortho { cosine * scale.sqrt() } else { cosine }
            }
            3 => {
                let cosine = (PI * (2.0 * row + 1.0) * column / (2.0 * size)).cos();
                match (ortho, i == 0) {
                    (true, true) => (1.0 / size).sqrt(),
                    (true, false) => cosine * (2.0 / size).sqrt(),
                    (false, true) => 1.0,
                    (false, false) => cosine * 2.0,
                }
            }
            _ => {
                let cosine = 2.0 * (PI * (2.0 * row + 1.0) * (2.0 * column + 1.0) / (4.0 * size)).cos();
                if ortho { cosine / (2.0 * size).sqrt() } else { cosine }
            }
        }
    };
    Ok((0..rows).flat_map(|k| (0..n).map(move |i| (k, i))).map(|(k, i)| weight(k, i)).collect())
}

/// What [`delta`] sees beyond the ends (scipy's `savgol_filter` modes).
#[derive(Debug, Clone, Copy, PartialEq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum DeltaMode {
    /// The polynomial fitted to the outermost window goes on (`interp`), the default.
    #[default]
    Interp,
    /// The outermost value, repeated (`nearest`).
    Nearest,
    /// A mirror image without the outermost value (`mirror`).
    Mirror,
    /// Zeros (`constant`).
    Constant,
    /// The other end (`wrap`).
    Wrap,
}

/// Settings of [`delta`], by librosa's names and with its defaults.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(default))]
pub struct DeltaConfig {
    /// Number of frames a slope is fitted to; odd, at least 3. Default 9.
    pub width: usize,
    /// Order of the derivative, and of the polynomial; at least 1, below `width`. Default 1.
    pub order: usize,
    /// What stands beyond the ends. Default: the fitted polynomial goes on.
    pub mode: DeltaMode,
}

impl Default for DeltaConfig {
    fn default() -> Self {
        Self { width: 9, order: 1, mode: DeltaMode::Interp }
    }
}

/// The local derivative along the last axis, by fitting a polynomial to `width` frames (librosa: `feature.delta`, which is
/// a Savitzky–Golay filter). The result has the shape of the data.
///
/// # Errors
/// [`Error::InvalidConfig`] when `width` is even or below 3 or `order` is 0 or not below `width`; [`Error::InvalidInput`] when
/// the data is shorter than `width` and the mode is [`DeltaMode::Interp`], or empty.
pub fn delta<T, S, D>(data: &ArrayBase<S, D>, config: &DeltaConfig) -> Result<Array<T, D>>
where
    T: Sample,
    S: Data<Elem = T>,
    D: Dimension,
{
    let DeltaConfig { width, order, mode } = *config;
    if !(3..=65_535).contains(&width) || width.is_multiple_of(2) {
        return Err(Error::config("width", "an odd integer, 3 to 65535", width));
    }
    if order == 0 || order >= width {
        return Err(Error::config("order", format!("1 to {}", width - 1), order));
    }
    let frames = data.shape().last().copied().unwrap_or(0);
    if frames == 0 || (mode == DeltaMode::Interp && frames < width) {
        let least = if mode == DeltaMode::Interp { width } else { 1 };
        return Err(Error::input("the data", format!("at least {least} frames long"), frames));
    }

    // The polynomial has the derivative's order, so its derivative is the same everywhere in the window: `order!` times its
    // highest coefficient. Places run from −1 to 1, hence the scale.
    let (half, frames_to_place) = (width / 2, (width / 2) as f64);
    let places: Vec<f64> = (0..width).map(|n| n as f64 / frames_to_place - 1.0).collect();
    let factor: f64 = (1..=order).map(|k| k as f64 / frames_to_place).product();
    let weights: Vec<f64> = polynomial_fit(&places, order)[order].iter().map(|weight| weight * factor).collect();

    let mut out = data.to_owned();
    let last_axis = Axis(data.ndim() - 1);
    for (row, mut target) in data.lanes(last_axis).into_iter().zip(out.lanes_mut(last_axis)) {
        let value = |index: isize| -> f64 {
            let n = frames as isize;
            let inside = match mode {
                DeltaMode::Interp | DeltaMode::Nearest => index.clamp(0, n - 1),
                DeltaMode::Mirror if n == 1 => 0,
                DeltaMode::Mirror => {
                    let step = index.rem_euclid(2 * (n - 1));
                    step.min(2 * (n - 1) - step)
                }
                DeltaMode::Constant if !(0..n).contains(&index) => return 0.0,
                DeltaMode::Constant => index,
                DeltaMode::Wrap => index.rem_euclid(n),
            };
            row[inside as usize].widen()
        };
        for (t, slot) in target.iter_mut().enumerate() {
            // In `Interp` mode the first and last frames belong to the outermost window that lies inside.
            let middle = if mode == DeltaMode::Interp { t.clamp(half, frames - 1 - half) } else { t };
            let start = middle as isize - half as isize;
            *slot = T::narrow(weights.iter().enumerate().map(|(n, w)| w * value(start + n as isize)).sum());
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use approx::assert_abs_diff_eq;
    use ndarray::{Array1, array};

    use super::*;

    #[test]
    fn orthogonal_transforms_are_rotations() {
        for dct_type in 1..=4 {
            let matrix = cosine_transform(dct_type, DctNorm::Ortho, 8, 8).unwrap();
            let matrix = Array2::from_shape_vec((8, 8), matrix).unwrap();
            let product = matrix.dot(&matrix.t());
            for ((i, j), &value) in product.indexed_iter() {
                assert_abs_diff_eq!(value, f64::from(u8::from(i == j)), epsilon = 1e-14);
            }
        }
    }

    #[test]
    fn delta_of_a_line_is_its_slope_everywhere() {
        let line: Array1<f64> = (0..20).map(|t| 3.0 - 0.25 * f64::from(t)).collect();
        for slope in delta(&line, &DeltaConfig::default()).unwrap() {
            assert_abs_diff_eq!(slope, -0.25, epsilon = 1e-12);
        }
        let parabola: Array1<f64> = (0..20).map(|t| f64::from(t * t)).collect();
        for curvature in delta(&parabola, &DeltaConfig { order: 2, ..DeltaConfig::default() }).unwrap() {
            assert_abs_diff_eq!(curvature, 2.0, epsilon = 1e-9);
        }
    }

    #[test]
    fn impossible_settings_are_errors() {
        let data = array![1.0, 2.0, 3.0, 4.0];
        assert!(delta(&data, &DeltaConfig::default()).is_err());
        assert!(delta(&data, &DeltaConfig { width: 4, ..DeltaConfig::default() }).is_err());
        assert!(delta(&data, &DeltaConfig { width: 3, order: 3, ..DeltaConfig::default() }).is_err());
        assert!(delta(&data, &DeltaConfig { mode: DeltaMode::Wrap, ..DeltaConfig::default() }).is_ok());
        for config in [
            MfccConfig { dct_type: 5, ..MfccConfig::default() },
            MfccConfig { lifter: -1.0, ..MfccConfig::default() },
            MfccConfig { lifter: 22.0, n_mfcc: 200, ..MfccConfig::default() },
        ] {
            assert!(matches!(Mfcc::new(&config), Err(Error::InvalidConfig { .. })), "{config:?}");
        }
    }
}
