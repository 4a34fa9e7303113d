//! Features of the waveform itself: zero crossings and loudness.

use ndarray::{Array2, ArrayView2, ArrayViewMut2};

use crate::decibel::{Reference, reference_value};
use crate::error::{Error, Result};
use crate::frame::{PadMode, check_hop, check_length, frame_count, pad_into};
use crate::lanes::{Kernel, vectorized};
use crate::sample::{Sample, check_finite, dot};

/// Settings of [`zero_crossing_rate`], by librosa's names and with its defaults.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(default))]
pub struct ZcrConfig {
    /// Length of a frame, in samples. Default 2048.
    pub frame_length: usize,
    /// Samples from one frame to the next. Default 512.
    pub hop_length: usize,
    /// Whether frame t is centred on sample t·`hop_length`; the signal's ends are repeated then. Default true.
    pub center: bool,
    /// Values of at most this magnitude count as +0; at least 0. Default 1e-10.
    pub threshold: f64,
    /// Whether 0 counts as positive, or as a sign of its own. Default true.
    pub zero_pos: bool,
    /// Whether the first sample of every frame counts as a crossing. Default false.
    pub pad: bool,
}

impl Default for ZcrConfig {
    fn default() -> Self {
        Self { frame_length: 2048, hop_length: 512, center: true, threshold: 1e-10, zero_pos: true, pad: false }
    }
}

/// Settings of [`zero_crossings`], by librosa's names and with its defaults.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(default))]
pub struct CrossingConfig {
    /// Values of at most this magnitude count as +0; at least 0. Default 1e-10.
    pub threshold: f64,
    /// What `threshold` is a share of: a number, or that of the samples' magnitudes. Default `None`: of 1.
    pub ref_magnitude: Option<Reference>,
    /// Whether 0 counts as positive, or as a sign of its own. Default true.
    pub zero_pos: bool,
    /// Whether the first sample counts as a crossing. Default true.
    pub pad: bool,
}

impl Default for CrossingConfig {
    fn default() -> Self {
        Self { threshold: 1e-10, ref_magnitude: None, zero_pos: true, pad: true }
    }
}

/// Of every sample, whether its sign is another than that of the sample before it (librosa: `zero_crossings`).
///
/// ```
/// use audio_features::{CrossingConfig, Reference, zero_crossings};
///
/// let samples = [0.5_f32, -0.5, -0.01, 0.01, 0.5];
/// let crossings = zero_crossings(&samples, &CrossingConfig::default())?;
/// assert_eq!(crossings, [true, true, false, true, false]);
/// // What is below a tenth of the largest is no sign at all.
/// let config = CrossingConfig { threshold: 0.1, ref_magnitude: Some(Reference::Max), ..CrossingConfig::default() };
/// assert_eq!(zero_crossings(&samples, &config)?, [true, true, true, false, false]);
/// # Ok::<(), audio_features::Error>(())
/// ```
///
/// # Errors
/// [`Error::InvalidInput`] for no samples at all, [`Error::NotFinite`] for NaN or infinite ones, [`Error::InvalidConfig`] when
/// the threshold or a number that it is a share of is negative or not finite.
pub fn zero_crossings<T: Sample>(samples: &[T], config: &CrossingConfig) -> Result<Vec<bool>> {
    let CrossingConfig { threshold, ref_magnitude, zero_pos, pad } = *config;
    ZcrConfig { threshold, ..ZcrConfig::default() }.check()?;
    check_finite(samples)?;
    if samples.is_empty() {
        return Err(Error::input("the signal", "non-empty", "0 samples"));
    }
    let threshold = match ref_magnitude {
        None => threshold,
        Some(Reference::Value(value)) if value >= 0.0 && value.is_finite() => threshold * value,
        Some(Reference::Value(value)) => {
            return Err(Error::config("ref_magnitude", "a finite number, at least 0", value));
        }
        Some(reference) => {
            // In the samples' precision, as numpy multiplies a number with one of its own.
            let magnitude = reference_value(|| samples.iter().map(|x| x.abs()), reference)?;
            (T::narrow(threshold) * T::narrow(magnitude)).widen()
        }
    };
    let crossings = Crossings::new(samples, threshold, zero_pos);
    let between = |here: usize| crossings.between(here, here + 1)[0] > 0;
    Ok((0..samples.len()).map(|n| if n == 0 { pad } else { between(n) }).collect())
}

impl ZcrConfig {
    pub(crate) fn check(&self) -> Result<()> {
        if self.threshold >= 0.0 && self.threshold.is_finite() {
            Ok(())
        } else {
            Err(Error::config("threshold", "a finite number, at least 0", self.threshold))
        }
    }
}

/// Settings of [`rms`], by librosa's names and with its defaults.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(default))]
pub struct RmsConfig {
    /// Length of a frame, in samples. Default 2048.
    pub frame_length: usize,
    /// Samples from one frame to the next. Default 512.
    pub hop_length: usize,
    /// Whether frame t is centred on sample t·`hop_length` (the signal is padded), or starts there. Default true.
    pub center: bool,
    /// How the signal is padded when `center` is set. Default: zeros.
    pub pad_mode: PadMode,
}

impl Default for RmsConfig {
    fn default() -> Self {
        Self { frame_length: 2048, hop_length: 512, center: true, pad_mode: PadMode::Constant }
    }
}

/// Number of frames of a signal of `n` samples, after a check of the lengths.
fn frames_of(n: usize, frame_length: usize, hop_length: usize, center: bool) -> Result<usize> {
    check_length("frame_length", frame_length)?;
    check_hop(hop_length)?;
    let padding = if center { frame_length / 2 * 2 } else { 0 };
    match frame_count(n + padding, frame_length, hop_length) {
        0 => Err(Error::TooShort { expected: frame_length - padding, got: n }),
        frames => Ok(frames),
    }
}

/// The share of samples of each frame at which the signal changes its sign, 0 to 1, shape `[1, n_frames]`
/// (librosa: `feature.zero_crossing_rate`, which is `float64` too).
///
/// ```
/// use audio_features::{ZcrConfig, zero_crossing_rate};
///
/// let buzz: Vec<f32> = (0..4096).map(|n| if n % 8 < 4 { 0.5 } else { -0.5 }).collect();
/// let rate = zero_crossing_rate(&buzz, &ZcrConfig::default())?;
/// assert!((rate[[0, 4]] - 0.25).abs() < 1e-3); // two crossings in eight samples
/// # Ok::<(), audio_features::Error>(())
/// ```
///
/// # Errors
/// [`Error::InvalidConfig`] when a length is 0 or the threshold negative, [`Error::NotFinite`] for NaN or infinite samples,
/// [`Error::TooShort`] for a signal shorter than a frame that is not centred, [`Error::InvalidInput`] for an empty signal.
pub fn zero_crossing_rate<T: Sample>(samples: &[T], config: &ZcrConfig) -> Result<Array2<f64>> {
    let frames = frames_of(samples.len(), config.frame_length, config.hop_length, config.center)?;
    let mut out = Array2::zeros((1, frames));
    zero_crossing_rate_into(samples, config, out.view_mut())?;
    Ok(out)
}

/// Like [`zero_crossing_rate`], into memory of the caller; nothing is allocated.
///
/// # Errors
/// As [`zero_crossing_rate`], and [`Error::WrongShape`] when `out` is not `[1, n_frames]`.
pub fn zero_crossing_rate_into<T: Sample>(
    samples: &[T],
    config: &ZcrConfig,
    mut out: ArrayViewMut2<'_, f64>,
) -> Result<()> {
    let ZcrConfig { frame_length, hop_length, center, threshold, zero_pos, pad } = *config;
    let n = samples.len();
    let frames = frames_of(n, frame_length, hop_length, center)?;
    if out.shape() != [1, frames] {
        return Err(Error::shape("the output", &[1, frames], out.shape()));
    }
    config.check()?;
    if n == 0 {
        return Err(Error::input("the signal", "non-empty", "0 samples"));
    }

    let crossings = Crossings::new(samples, threshold, zero_pos);
    let left = if center { frame_length / 2 } else { 0 };
    // Where frame t starts, as an index into the signal. Beyond the ends nothing crosses.
    let start = |t: usize| (t * hop_length).saturating_sub(left).min(n);
    let rate = |count: usize| (count + usize::from(pad)) as f64 / frame_length as f64;
    let per_frame = frame_length / hop_length;
    if frame_length.is_multiple_of(hop_length) && per_frame <= MOST_HOPS {
        // Samples are read once: whether they are finite is counted beside the crossings.
        let mut odd = 0;
        let mut between = |from: usize, to: usize| {
            let [changes, not_finite] = crossings.between(from, to);
            odd += not_finite;
            changes
        };
        let mut hops = [0; MOST_HOPS];
        for (hop, slot) in hops.iter_mut().enumerate().take(per_frame).skip(1) {
            *slot = between(start(hop - 1), start(hop));
        }
        for (t, slot) in out.iter_mut().enumerate() {
            let last = t + per_frame;
            hops[last % per_frame] = between(start(last - 1), start(last));
            // A frame does not look at the sample before its own.
            let [first, _] = crossings.between(start(t), (start(t) + 1).min(n));
            *slot = rate(hops[..per_frame].iter().sum::<usize>() - first);
        }
        check_finite(&samples[..1])?;
        check_finite(&samples[start(frames - 1 + per_frame)..])?;
        if odd > 0 { check_finite(samples) } else { Ok(()) }
    } else {
        check_finite(samples)?;
        for (t, slot) in out.iter_mut().enumerate() {
            let end = (t * hop_length + frame_length).saturating_sub(left).min(n);
            let from = if t * hop_length >= left { start(t) + 1 } else { 0 };
            let [changes, _] = crossings.between(from, end);
            *slot = rate(changes);
        }
        Ok(())
    }
}

/// A frame of at most so many hops is put together from what was found of each hop.
const MOST_HOPS: usize = 64;

/// Counts sign changes.
struct Crossings<'a, T> {
    samples: &'a [T],
    threshold: T,
    zero_pos: bool,
}

impl<'a, T: Sample> Crossings<'a, T> {
    fn new(samples: &'a [T], threshold: f64, zero_pos: bool) -> Self {
        // The samples are compared with an f64; the largest T that is not above it draws the same line.
        let mut limit = T::narrow(threshold);
        if limit.widen() > threshold {
            limit = T::narrow(threshold * (1.0 - f64::from(f32::EPSILON)));
        }
        Self { samples, threshold: limit, zero_pos }
    }

    /// How many of the samples `from..to` differ in sign from the one before them, and how many are not finite. The first
    /// sample of all is not looked at.
    fn between(&self, from: usize, to: usize) -> [usize; 2] {
        let from = from.max(1);
        if from >= to {
            return [0; 2];
        }
        let (before, here, threshold) = (&self.samples[from - 1..to - 1], &self.samples[from..to], self.threshold);
        let counts = if self.zero_pos {
            vectorized(Changes::<T, true> { before, here, threshold })
        } else {
            vectorized(Changes::<T, false> { before, here, threshold })
        };
        counts.map(|count| count as usize)
    }
}

/// Counts the samples that are not of the same sign as the one before them, and those that are not finite.
struct Changes<'a, T, const ZERO_POS: bool> {
    before: &'a [T],
    here: &'a [T],
    threshold: T,
}

impl<T: Sample, const ZERO_POS: bool> Kernel for Changes<'_, T, ZERO_POS> {
    type Output = [u32; 2];

    #[inline(always)]
    fn run(self) -> [u32; 2] {
        let (mut count, mut not_finite) = (0, 0);
        for (&a, &b) in self.before.iter().zip(self.here) {
            let mut changes = (a < -self.threshold) != (b < -self.threshold);
            if !ZERO_POS {
                changes |= (a > self.threshold) != (b > self.threshold);
            }
            count += u32::from(changes);
            // NaN and infinity times 0 are NaN.
            not_finite += u32::from(b * T::zero() != T::zero());
        }
        [count, not_finite]
    }
}

/// The root mean square of each frame, shape `[1, n_frames]` (librosa: `feature.rms(y=...)`, which is `float32` for all input).
///
/// # Errors
/// [`Error::InvalidConfig`] when a length is 0, [`Error::NotFinite`] for NaN or infinite samples, [`Error::TooShort`] for a
/// signal shorter than a frame that is not centred, [`Error::InvalidInput`] for an empty signal with a padding mode that
/// needs samples.
pub fn rms<T: Sample>(samples: &[T], config: &RmsConfig) -> Result<Array2<f32>> {
    let frames = frames_of(samples.len(), config.frame_length, config.hop_length, config.center)?;
    let mut out = Array2::zeros((1, frames));
    rms_into(samples, config, out.view_mut())?;
    Ok(out)
}

/// Like [`rms`], into memory of the caller; nothing is allocated when the padding is zeros, or there is none.
///
/// # Errors
/// As [`rms`], and [`Error::WrongShape`] when `out` is not `[1, n_frames]`.
pub fn rms_into<T: Sample>(samples: &[T], config: &RmsConfig, out: ArrayViewMut2<'_, f32>) -> Result<()> {
    rms_with(samples, config, &mut Vec::new(), out)
}

/// [`rms_into`] with working memory for a padded signal.
pub(crate) fn rms_with<T: Sample>(
    samples: &[T],
    config: &RmsConfig,
    padded: &mut Vec<T>,
    mut out: ArrayViewMut2<'_, f32>,
) -> Result<()> {
    let RmsConfig { frame_length, hop_length, center, pad_mode } = *config;
    let frames = frames_of(samples.len(), frame_length, hop_length, center)?;
    if out.shape() != [1, frames] {
        return Err(Error::shape("the output", &[1, frames], out.shape()));
    }
    let mut left = if center { frame_length / 2 } else { 0 };
    let mut signal = samples;
    if center && pad_mode != PadMode::Constant {
        check_finite(samples)?;
        pad_into(samples, left, left, pad_mode, padded)?;
        (signal, left) = (padded, 0);
    }

    // The energy of a stretch of the padded signal; what lies beyond the ends is silent.
    let between = |from: usize, to: usize| {
        let silent = left.saturating_sub(from).min(to - from);
        let (from, to) = (from.saturating_sub(left).min(signal.len()), to.saturating_sub(left).min(signal.len()));
        energy(silent, &signal[from..to])
    };
    let mean = |energy: f64| (energy / frame_length as f64).sqrt() as f32;
    if !frame_length.is_multiple_of(hop_length) || frame_length / hop_length > MOST_HOPS {
        check_finite(samples)?;
        for (t, slot) in out.iter_mut().enumerate() {
            *slot = mean(between(t * hop_length, t * hop_length + frame_length));
        }
        return Ok(());
    }
    // Frames are made of whole hops, each of which is summed once and kept while frames still need it.
    let per_frame = frame_length / hop_length;
    let mut hops = [0.0; MOST_HOPS];
    let hops = &mut hops[..per_frame];
    for (hop, slot) in hops.iter_mut().enumerate().skip(1) {
        *slot = between((hop - 1) * hop_length, hop * hop_length);
    }
    for (t, slot) in out.iter_mut().enumerate() {
        let (newest, last) = (t % per_frame, t + per_frame);
        hops[newest] = between((last - 1) * hop_length, last * hop_length);
        // From the oldest to the newest, so that a frame's sum does not depend on where the frame stands.
        *slot = mean(hops[newest + 1..].iter().chain(&hops[..=newest]).sum());
    }
    // Samples are read once: one that is not finite shows in the result of its frame. So does one whose square overflows.
    let seen = ((frames - 1) * hop_length + frame_length).saturating_sub(left).min(signal.len());
    check_finite(&signal[seen..])?;
    if out.iter().all(|x| x.is_finite()) { Ok(()) } else { check_finite(samples) }
}

/// The sum of squares of `silent` zeros and the samples after them: in the samples' precision over short stretches, in `f64`
/// over those. Stretches are counted from the first zero, so that the sum is the same as if the zeros were in memory.
fn energy<T: Sample>(silent: usize, samples: &[T]) -> f64 {
    let into = silent % STRETCH;
    let (first, rest) = samples.split_at(if into > 0 { samples.len().min(STRETCH - into) } else { 0 });
    let mut sum = 0.0;
    if !first.is_empty() {
        let mut stretch = [T::zero(); STRETCH];
        stretch[into..into + first.len()].copy_from_slice(first);
        sum = vectorized(Energy { sum, samples: &stretch });
    }
    vectorized(Energy { sum, samples: rest })
}

/// Samples whose squares are added up in their own precision.
const STRETCH: usize = 1024;

/// A sum, and the squares of samples added to it.
struct Energy<'a, T> {
    sum: f64,
    samples: &'a [T],
}

impl<T: Sample> Kernel for Energy<'_, T> {
    type Output = f64;

    #[inline(always)]
    fn run(self) -> f64 {
        let mut sum = self.sum;
        for stretch in self.samples.chunks(STRETCH) {
            sum += dot(stretch, stretch).widen();
        }
        sum
    }
}

/// The root mean square of each frame of a magnitude spectrogram, `[n_bins, n_frames]` → `[1, n_frames]`
/// (librosa: `feature.rms(S=...)`).
///
/// # Errors
/// [`Error::WrongShape`] when the spectrogram does not have `1 + frame_length / 2` bins.
pub fn rms_from_spectrogram<T: Sample>(magnitude: ArrayView2<'_, T>, frame_length: usize) -> Result<Array2<f32>> {
    let n_bins = 1 + frame_length / 2;
    if frame_length == 0 || magnitude.nrows() != n_bins {
        return Err(Error::shape("the spectrogram", &[n_bins, magnitude.ncols()], magnitude.shape()));
    }
    let mut out = Array2::zeros((1, magnitude.ncols()));
    for (frame, slot) in magnitude.columns().into_iter().zip(&mut out) {
        let square = |x: &T| x.widen() * x.widen();
        let mut sum: f64 = frame.iter().map(square).sum();
        // The first bin, and the last of an even transform, have no mirror image.
        sum -= 0.5 * square(&frame[0]);
        if frame_length.is_multiple_of(2) && n_bins > 1 {
            sum -= 0.5 * square(&frame[n_bins - 1]);
        }
        *slot = (2.0 * sum / (frame_length as f64).powi(2)).sqrt() as f32;
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zero_crossings_equal_the_definition() {
        let samples: Vec<f32> =
            (0..997).map(|n| [0.5, -1e-11, 0.0, -0.0, -0.25, 1e-10, 2e-10, -2e-10][n * n % 8]).collect();
        for (frame_length, hop_length) in [(64, 16), (65, 7), (1, 1), (10, 30), (2048, 512)] {
            for center in [true, false] {
                for zero_pos in [true, false] {
                    let config = ZcrConfig { frame_length, hop_length, center, zero_pos, ..ZcrConfig::default() };
                    let Ok(got) = zero_crossing_rate(&samples, &config) else {
                        assert!(!center && frame_length > samples.len());
                        continue;
                    };
                    let mut padded = Vec::<f64>::new();
                    let left = if center { frame_length / 2 } else { 0 };
                    pad_into(&samples, left, left, PadMode::Edge, &mut padded).unwrap();
                    let sign = |x: f64| match (x.abs() <= 1e-10, zero_pos) {
                        (true, true) => 1.0,
                        (true, false) => 0.0,
                        (false, _) => x.signum(),
                    };
                    for (t, &got) in got.iter().enumerate() {
                        let frame = &padded[t * hop_length..][..frame_length];
                        let want = frame.windows(2).filter(|pair| sign(pair[0]) != sign(pair[1])).count();
                        assert_eq!(got, want as f64 / frame_length as f64, "{config:?} frame {t}");
                    }
                }
            }
        }
    }

    #[test]
    fn rms_equals_the_definition_even_after_something_loud() {
        let samples: Vec<f64> = (0..4001).map(|n| f64::from(n).sin() * if n < 2000 { 1.0 } else { 1e-6 }).collect();
        for (frame_length, hop_length) in [(64, 16), (65, 7), (16, 64), (10, 30), (2048, 512)] {
            for pad_mode in [PadMode::Constant, PadMode::Reflect] {
                let config = RmsConfig { frame_length, hop_length, pad_mode, ..RmsConfig::default() };
                let got = rms(&samples, &config).unwrap();
                let mut padded = Vec::<f64>::new();
                pad_into(&samples, frame_length / 2, frame_length / 2, pad_mode, &mut padded).unwrap();
                for (t, &got) in got.iter().enumerate() {
                    let frame = &padded[t * hop_length..][..frame_length];
                    let want = (frame.iter().map(|x| x * x).sum::<f64>() / frame_length as f64).sqrt();
                    assert!((f64::from(got) - want).abs() <= 1e-6 * want, "{config:?} frame {t}: {got} {want}");
                }
            }
        }
    }

    #[test]
    fn what_cannot_be_framed_is_an_error() {
        assert!(zero_crossing_rate::<f32>(&[], &ZcrConfig::default()).is_err());
        assert!(zero_crossing_rate(&[1.0_f32], &ZcrConfig { hop_length: 0, ..ZcrConfig::default() }).is_err());
        assert!(rms(&[1.0_f32], &RmsConfig { center: false, ..RmsConfig::default() }).is_err());
        assert!(rms(&[f32::NAN], &RmsConfig::default()).is_err());
        assert_eq!(rms::<f32>(&[], &RmsConfig::default()).unwrap().dim(), (1, 1));
    }
}
