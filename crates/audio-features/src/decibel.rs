//! Decibels.

use ndarray::{Array, ArrayBase, ArrayViewMutD, Axis, Data, Dimension};

use crate::error::{Error, Result};
use crate::lanes::{Kernel, LANES, Lanes, vectorized};
use crate::sample::Sample;

/// The value that counts as 0 dB (librosa's `ref`).
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Reference {
    /// A number; its magnitude is used.
    Value(f64),
    /// The largest value (`np.max`).
    Max,
    /// The smallest value (`np.min`).
    Min,
    /// The mean (`np.mean`).
    Mean,
    /// The median (`np.median`).
    Median,
}

/// Settings of [`power_to_db`] and [`amplitude_to_db`].
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(default))]
pub struct DbConfig {
    /// What counts as 0 dB (`ref`). Default: 1.
    pub reference: Reference,
    /// Smaller values count as this; above 0. Default: 1e-10 for power (librosa's default for amplitudes is 1e-5).
    pub amin: f64,
    /// How far below the largest value, in dB, the result is cut off; at least 0. Default: 80. `None` cuts nothing off.
    ///
    /// The largest value is that of the whole input, so with a `top_db` the decibels of a frame depend on all others.
    pub top_db: Option<f64>,
}

impl Default for DbConfig {
    /// The defaults of `librosa.power_to_db`.
    fn default() -> Self {
        Self { reference: Reference::Value(1.0), amin: 1e-10, top_db: Some(80.0) }
    }
}

impl DbConfig {
    /// The defaults of `librosa.amplitude_to_db`: those of power with an `amin` of 1e-5.
    pub fn amplitude() -> Self {
        Self { amin: 1e-5, ..Self::default() }
    }

    pub(crate) fn check(&self) -> Result<()> {
        if !(self.amin > 0.0 && self.amin.is_finite()) {
            return Err(Error::config("amin", "a finite number above 0", self.amin));
        }
        if let Some(top_db) = self.top_db
            && (top_db.is_nan() || top_db < 0.0)
        {
            return Err(Error::config("top_db", "at least 0", top_db));
        }
        if let Reference::Value(value) = self.reference
            && !value.is_finite()
        {
            return Err(Error::config("ref", "a finite number", value));
        }
        Ok(())
    }
}

/// Decibels of a power spectrogram: `10·log10(S / ref)` (librosa 1.0: `power_to_db`).
///
/// Reference and `top_db` are taken over the last two axes, that is for every channel by itself, as librosa does since 1.0.
///
/// ```
/// use audio_features::{DbConfig, power_to_db};
/// use ndarray::array;
///
/// let db = power_to_db(&array![1.0_f32, 0.1, 0.0], &DbConfig::default())?;
/// assert_eq!(db, array![0.0, -10.0, -80.0]);
/// # Ok::<(), audio_features::Error>(())
/// ```
///
/// # Errors
/// [`Error::InvalidConfig`] when `amin` is not above 0, `top_db` is negative or the reference is not finite;
/// [`Error::InvalidInput`] when there is nothing to take a maximum of.
pub fn power_to_db<T, S, D>(power: &ArrayBase<S, D>, config: &DbConfig) -> Result<Array<T, D>>
where
    T: Sample,
    S: Data<Elem = T>,
    D: Dimension,
{
    let mut db = power.to_owned();
    in_place(db.view_mut().into_dyn(), config)?;
    Ok(db)
}

/// Decibels of a magnitude spectrogram: `20·log10(|S| / ref)` (librosa 1.0: `amplitude_to_db`).
///
/// librosa's default `amin` for amplitudes is 1e-5: [`DbConfig::amplitude`].
///
/// # Errors
/// As [`power_to_db`].
pub fn amplitude_to_db<T, S, D>(amplitude: &ArrayBase<S, D>, config: &DbConfig) -> Result<Array<T, D>>
where
    T: Sample,
    S: Data<Elem = T>,
    D: Dimension,
{
    config.check()?;
    let mut magnitude = amplitude.mapv(|x| x.abs());
    per_channel(magnitude.view_mut().into_dyn(), &mut |values| {
        let reference = reference_value(|| values.iter().copied(), config.reference)?;
        for value in values.iter_mut() {
            *value = *value * *value;
        }
        convert(values, reference * reference, config.amin * config.amin, config.top_db);
        Ok(())
    })?;
    Ok(magnitude)
}

/// The power of decibels: `ref·10^(db/10)` (librosa: `db_to_power`).
pub fn db_to_power<T, S, D>(db: &ArrayBase<S, D>, reference: f64) -> Array<T, D>
where
    T: Sample,
    S: Data<Elem = T>,
    D: Dimension,
{
    db.mapv(|x| T::narrow(reference * 10.0_f64.powf(x.widen() * 0.1)))
}

/// The amplitude of decibels: `ref·10^(db/20)` (librosa: `db_to_amplitude`).
pub fn db_to_amplitude<T, S, D>(db: &ArrayBase<S, D>, reference: f64) -> Array<T, D>
where
    T: Sample,
    S: Data<Elem = T>,
    D: Dimension,
{
    db.mapv(|x| T::narrow((reference * reference * 10.0_f64.powf(x.widen() * 0.1)).sqrt()))
}

/// [`power_to_db`] without a copy.
pub(crate) fn in_place<T: Sample>(power: ArrayViewMutD<'_, T>, config: &DbConfig) -> Result<()> {
    config.check()?;
    per_channel(power, &mut |values| {
        let reference = reference_value(|| values.iter().copied(), config.reference)?;
        convert(values, reference, config.amin, config.top_db);
        Ok(())
    })
}

/// Calls `f` with the values of each channel (all but the last two axes name channels), in place where they are contiguous.
fn per_channel<T: Sample>(mut array: ArrayViewMutD<'_, T>, f: &mut dyn FnMut(&mut [T]) -> Result<()>) -> Result<()> {
    if array.ndim() > 2 {
        for channel in array.axis_iter_mut(Axis(0)) {
            per_channel(channel, f)?;
        }
        return Ok(());
    }
    if let Some(values) = array.as_slice_memory_order_mut() {
        return f(values);
    }
    let mut values: Vec<T> = array.iter().copied().collect();
    f(&mut values)?;
    array.iter_mut().zip(values).for_each(|(slot, value)| *slot = value);
    Ok(())
}

/// Decibels of a block of frames over `reference`, in place.
pub(crate) fn log_lanes<T: Sample>(bands: &mut [Lanes<T>], amin: f64, reference: f64) {
    vectorized(LogLanes { bands, scale: Scale::new(amin, reference) });
}

/// [`power_to_db`] of the bands of `frames` frames, block by block, in place, but for the cut: the result is what lies below
/// it is to be raised to. Over a [`Reference::Value`] the bands are in decibels already. `largest` finds the largest value of
/// every lane.
pub(crate) fn floor_of_blocks<T: Sample>(
    bands: &mut [Lanes<T>],
    n_bands: usize,
    frames: usize,
    config: &DbConfig,
    largest: impl FnOnce(&[Lanes<T>]) -> Lanes<T>,
) -> Result<T> {
    // The last block may have lanes without a frame. They repeat the last frame, so as not to count as anything new.
    let last = (frames - 1) % LANES;
    let start = bands.len() - n_bands;
    for band in &mut bands[start..] {
        let value = band.0[last];
        band.0[last..].fill(value);
    }
    if !matches!(config.reference, Reference::Value(_)) {
        let valid = |index: usize| if index < start { LANES } else { last + 1 };
        let values = || bands.iter().enumerate().flat_map(|(index, band)| band.0[..valid(index)].iter().copied());
        let reference = reference_value(values, config.reference)?;
        log_lanes(bands, config.amin, reference);
    }
    let Some(top_db) = config.top_db else { return Ok(T::neg_infinity()) };
    Ok(maximum(&largest(bands).0) - T::narrow(top_db))
}

/// What counts as 0 dB.
pub(crate) fn reference_value<T: Sample, I: Iterator<Item = T>>(
    values: impl Fn() -> I,
    reference: Reference,
) -> Result<f64> {
    if values().next().is_none() {
        return Err(Error::input("the spectrogram", "non-empty", "no values"));
    }
    Ok(match reference {
        Reference::Value(value) => value.abs(),
        Reference::Max => values().fold(T::neg_infinity(), larger).widen(),
        Reference::Min => values().fold(T::infinity(), |low, x| if x >= low { low } else { x }).widen(),
        Reference::Mean => values().map(|x| x.widen()).sum::<f64>() / values().count() as f64,
        Reference::Median => median(&mut values().collect::<Vec<T>>()),
    })
}

/// The larger of two values; NaN when one of them is, as in numpy.
#[inline(always)]
fn larger<T: Sample>(a: T, b: T) -> T {
    if b <= a || a.is_nan() { a } else { b }
}

/// The largest value; NaN when there is one, as in numpy.
pub(crate) fn maximum<T: Sample>(values: &[T]) -> T {
    values.iter().copied().fold(T::neg_infinity(), larger)
}

/// The median of a non-empty slice, in the slice's precision (numpy: the mean of the two middle values when even).
pub(crate) fn median<T: Sample>(values: &mut [T]) -> f64 {
    let order = |a: &T, b: &T| a.partial_cmp(b).unwrap_or(std::cmp::Ordering::Equal);
    let half = values.len() / 2;
    let is_odd = values.len() % 2 == 1;
    let (low, &mut upper, _) = values.select_nth_unstable_by(half, order);
    if is_odd {
        return upper.widen();
    }
    let lower = low.iter().copied().fold(T::neg_infinity(), T::max);
    ((lower + upper) / T::narrow(2.0)).widen()
}

fn convert<T: Sample>(values: &mut [T], reference: f64, amin: f64, top_db: Option<f64>) {
    log_power(values, amin, reference);
    if let Some(top_db) = top_db {
        let floor = maximum(values) - T::narrow(top_db);
        values.iter_mut().for_each(|value| *value = cut_off(*value, floor));
    }
}

/// Decibels over `reference`, in place.
pub(crate) fn log_power<T: Sample>(values: &mut [T], amin: f64, reference: f64) {
    vectorized(LogSlice { values, scale: Scale::new(amin, reference) });
}

/// `10·log10(max(amin, S) / max(amin, ref))`.
#[derive(Clone, Copy)]
struct Scale<T> {
    smallest: T,
    offset: T,
}

impl<T: Sample> Scale<T> {
    fn new(amin: f64, reference: f64) -> Self {
        // Below the smallest normal number the quick logarithm does not hold; librosa's own `amin` is far above it.
        let smallest = T::narrow(amin).max(T::min_positive_value());
        // By the same logarithm, so that what equals the reference comes to 0 exactly.
        let offset = T::narrow(10.0) * T::narrow(reference.max(amin)).max(smallest).quick_log10();
        Self { smallest, offset }
    }

    #[inline(always)]
    fn apply(self, value: T) -> T {
        let ten = T::narrow(10.0);
        ten * cut_off(value, self.smallest).quick_log10() - self.offset
    }
}

#[inline(always)]
fn cut_off<T: Sample>(value: T, floor: T) -> T {
    if value < floor { floor } else { value }
}

struct LogSlice<'a, T> {
    values: &'a mut [T],
    scale: Scale<T>,
}

impl<T: Sample> Kernel for LogSlice<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self { values, scale } = self;
        values.iter_mut().for_each(|value| *value = scale.apply(*value));
    }
}

struct LogLanes<'a, T> {
    bands: &'a mut [Lanes<T>],
    scale: Scale<T>,
}

impl<T: Sample> Kernel for LogLanes<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self { bands, scale } = self;
        // A closure for all of the loop might be compiled by itself, and not anew.
        for band in bands {
            *band = band.map(|value| scale.apply(value));
        }
    }
}

#[cfg(test)]
mod tests {
    use approx::assert_abs_diff_eq;
    use ndarray::{Array3, array};

    use super::*;

    #[test]
    fn references() {
        let power = array![[1.0_f64, 10.0], [100.0, 1000.0]];
        let db = |reference| {
            let config = DbConfig { reference, ..DbConfig::default() };
            power_to_db(&power, &config).unwrap()[[0, 0]]
        };
        assert_abs_diff_eq!(db(Reference::Value(-10.0)), -10.0, epsilon = 1e-12);
        assert_abs_diff_eq!(db(Reference::Max), -30.0, epsilon = 1e-12);
        assert_abs_diff_eq!(db(Reference::Min), 0.0, epsilon = 1e-12);
        assert_abs_diff_eq!(db(Reference::Median), -10.0 * 55.0_f64.log10(), epsilon = 1e-12);
        assert_abs_diff_eq!(db(Reference::Mean), -10.0 * 277.75_f64.log10(), epsilon = 1e-12);
    }

    #[test]
    fn channels_have_their_own_ceiling() {
        let mut power = Array3::from_elem((2, 1, 2), 1e-12_f32);
        power[[0, 0, 0]] = 1.0;
        power[[1, 0, 0]] = 1e-4;
        let config = DbConfig { amin: 1e-20, top_db: Some(20.0), ..DbConfig::default() };
        let db = power_to_db(&power, &config).unwrap();
        assert_abs_diff_eq!(db[[0, 0, 1]], -20.0, epsilon = 1e-5);
        assert_abs_diff_eq!(db[[1, 0, 1]], -60.0, epsilon = 1e-5);
    }

    #[test]
    fn amplitudes_and_powers_agree_and_return() {
        let amplitude = array![0.5_f64, 2.0, 1e-3];
        let db = amplitude_to_db(&amplitude, &DbConfig::amplitude()).unwrap();
        assert_abs_diff_eq!(db[1], 20.0 * 2.0_f64.log10(), epsilon = 1e-12);
        assert_abs_diff_eq!(db_to_amplitude(&db, 1.0)[2], 1e-3, epsilon = 1e-12);
        assert_abs_diff_eq!(db_to_power(&db, 1.0)[1], 4.0, epsilon = 1e-12);
    }

    #[test]
    fn impossible_settings_are_errors() {
        let power = array![1.0_f32];
        for config in [
            DbConfig { amin: 0.0, ..DbConfig::default() },
            DbConfig { top_db: Some(-1.0), ..DbConfig::default() },
            DbConfig { reference: Reference::Value(f64::NAN), ..DbConfig::default() },
        ] {
            assert!(power_to_db(&power, &config).is_err(), "{config:?}");
        }
        assert!(power_to_db(&ndarray::Array1::<f32>::zeros(0), &DbConfig::default()).is_err());
    }
}
