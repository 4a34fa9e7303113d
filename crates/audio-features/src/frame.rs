//! Cutting a signal into frames, and what stands beyond its ends.

use crate::decibel::{maximum, median};
use crate::error::{Error, Result};
use crate::sample::Sample;

/// What a centred frame sees beyond the ends of the signal: numpy's padding modes.
///
/// As in librosa, transforms take the first five only; [`rms`](crate::rms), [`yin`](crate::yin) and [`pyin`](crate::pyin) take all.
/// There is no `empty`: numpy leaves the padding as its memory was, so a result would be another in every call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum PadMode {
    /// Zeros (`constant`), librosa's default.
    #[default]
    Constant,
    /// The outermost sample, repeated (`edge`).
    Edge,
    /// A mirror image without the outermost sample (`reflect`).
    Reflect,
    /// A mirror image with the outermost sample (`symmetric`).
    Symmetric,
    /// A straight line from the outermost sample down to zero (`linear_ramp`).
    LinearRamp,
    /// The other end of the signal (`wrap`).
    Wrap,
    /// The largest sample of the signal (`maximum`).
    Maximum,
    /// The smallest sample of the signal (`minimum`).
    Minimum,
    /// The mean of the signal (`mean`).
    Mean,
    /// The median of the signal (`median`).
    Median,
}

impl PadMode {
    /// Whether the padding is made of what lies near the ends, so that a transform can pad each end by itself.
    pub(crate) fn is_local(self) -> bool {
        matches!(self, Self::Constant | Self::Edge | Self::Reflect | Self::Symmetric | Self::LinearRamp)
    }
}

impl std::str::FromStr for PadMode {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        Ok(match name {
            "constant" => Self::Constant,
            "edge" => Self::Edge,
            "reflect" => Self::Reflect,
            "symmetric" => Self::Symmetric,
            "linear_ramp" => Self::LinearRamp,
            "wrap" => Self::Wrap,
            "maximum" => Self::Maximum,
            "minimum" => Self::Minimum,
            "mean" => Self::Mean,
            "median" => Self::Median,
            _ => {
                let expected =
                    "constant, edge, reflect, symmetric, linear_ramp, wrap, maximum, minimum, mean or median";
                return Err(Error::config("pad_mode", expected, name));
            }
        })
    }
}

/// `samples` with `left` and `right` more values at its ends, written to `padded` (numpy: `np.pad`).
pub(crate) fn pad_into<T: Sample, P: Sample>(
    samples: &[T],
    left: usize,
    right: usize,
    mode: PadMode,
    padded: &mut Vec<P>,
) -> Result<()> {
    let n = samples.len();
    if n == 0 && mode != PadMode::Constant && left + right > 0 {
        return Err(Error::input("the signal", "non-empty to be padded with its own values", "0 samples"));
    }
    padded.clear();
    let at = |index: usize| P::narrow(samples[index].widen());
    let mirrored = |distance: usize, with_edge: bool| {
        // `distance` ≥ 1 is how far beyond the first sample we look; the mirror image repeats with this period.
        if n == 1 {
            return 0;
        }
        let period = if with_edge { 2 * n } else { 2 * (n - 1) };
        let step = (if with_edge { distance - 1 } else { distance }) % period;
        if step < n { step } else { period - step - usize::from(with_edge) }
    };
    // One value for all of the padding, where the mode is a statistic.
    let level = match mode {
        PadMode::Maximum => P::narrow(maximum(samples).widen()),
        PadMode::Minimum => P::narrow(samples.iter().copied().fold(T::infinity(), T::min).widen()),
        // Rounded to the samples' type, as numpy does.
        PadMode::Mean => P::narrow(T::narrow(samples.iter().map(|x| x.widen()).sum::<f64>() / n as f64).widen()),
        PadMode::Median if n > 0 => P::narrow(median(&mut samples.to_vec())),
        _ => P::zero(),
    };
    let beyond = |distance: usize, width: usize, from_start: bool| {
        let from = |index: usize| at(if from_start { index } else { n - 1 - index });
        match mode {
            PadMode::Constant => P::zero(),
            PadMode::Edge => from(0),
            PadMode::Reflect => from(mirrored(distance, false)),
            PadMode::Symmetric => from(mirrored(distance, true)),
            PadMode::Wrap => from(n - 1 - (distance - 1) % n),
            PadMode::Maximum | PadMode::Minimum | PadMode::Mean | PadMode::Median => level,
            PadMode::LinearRamp => {
                let outermost = samples[if from_start { 0 } else { n - 1 }].widen();
                // Rounded to the samples' type, as numpy does.
                P::narrow(T::narrow(outermost * (width - distance) as f64 / width as f64).widen())
            }
        }
    };
    padded.extend((1..=left).rev().map(|distance| beyond(distance, left, true)));
    padded.extend(samples.iter().map(|x| P::narrow(x.widen())));
    padded.extend((1..=right).map(|distance| beyond(distance, right, false)));
    Ok(())
}

/// The longest frame, 50 minutes at 22,050 Hz: anything longer is a mistake that would only exhaust memory.
pub(crate) const LONGEST_FRAME: usize = 1 << 26;

/// The longest hop, so that no place in a signal overflows.
const LONGEST_HOP: usize = 1 << 40;

/// That the length of a frame is one.
pub(crate) fn check_length(parameter: &'static str, length: usize) -> Result<()> {
    if (1..=LONGEST_FRAME).contains(&length) {
        Ok(())
    } else {
        Err(Error::config(parameter, format!("1 to {LONGEST_FRAME} samples"), length))
    }
}

/// That there is a step from one frame to the next.
pub(crate) fn check_hop(hop_length: usize) -> Result<()> {
    if (1..=LONGEST_HOP).contains(&hop_length) {
        Ok(())
    } else {
        Err(Error::config("hop_length", format!("1 to {LONGEST_HOP} samples"), hop_length))
    }
}

/// How many whole frames of `frame_length` fit into `n` samples, one every `hop_length`; 0 when not even one does.
pub(crate) fn frame_count(n: usize, frame_length: usize, hop_length: usize) -> usize {
    if n < frame_length { 0 } else { 1 + (n - frame_length) / hop_length }
}

/// The start of a frame, in seconds (librosa: `frames_to_time`). With centred frames this is the frame's middle.
pub fn frame_time(frame: usize, hop_length: usize, sr: f64) -> f64 {
    (frame * hop_length) as f64 / sr
}

#[cfg(test)]
mod tests {
    use super::*;

    fn padded(samples: &[f64], left: usize, right: usize, mode: PadMode) -> Vec<f64> {
        let mut out = Vec::new();
        pad_into(samples, left, right, mode, &mut out).unwrap();
        out
    }

    #[test]
    fn pads_as_numpy_does() {
        let x = [1.0, 2.0, 3.0];
        assert_eq!(padded(&x, 2, 1, PadMode::Constant), [0.0, 0.0, 1.0, 2.0, 3.0, 0.0]);
        assert_eq!(padded(&x, 2, 1, PadMode::Edge), [1.0, 1.0, 1.0, 2.0, 3.0, 3.0]);
        assert_eq!(padded(&x, 5, 3, PadMode::Reflect), [2.0, 1.0, 2.0, 3.0, 2.0, 1.0, 2.0, 3.0, 2.0, 1.0, 2.0]);
        assert_eq!(padded(&x, 4, 4, PadMode::Symmetric), [3.0, 3.0, 2.0, 1.0, 1.0, 2.0, 3.0, 3.0, 2.0, 1.0, 1.0]);
        assert_eq!(padded(&x, 2, 2, PadMode::LinearRamp), [0.0, 0.5, 1.0, 2.0, 3.0, 1.5, 0.0]);
        assert_eq!(padded(&[7.0], 2, 2, PadMode::Reflect), [7.0; 5]);
        assert_eq!(padded(&x, 4, 5, PadMode::Wrap), [3.0, 1.0, 2.0, 3.0, 1.0, 2.0, 3.0, 1.0, 2.0, 3.0, 1.0, 2.0]);
        let y = [1.0, 5.0, 3.0, 4.0];
        for (mode, value) in
            [(PadMode::Maximum, 5.0), (PadMode::Minimum, 1.0), (PadMode::Mean, 3.25), (PadMode::Median, 3.5)]
        {
            assert_eq!(padded(&y, 1, 2, mode), [value, 1.0, 5.0, 3.0, 4.0, value, value]);
        }
    }

    #[test]
    fn nothing_cannot_be_mirrored() {
        let mut out = Vec::<f64>::new();
        assert!(pad_into::<f64, f64>(&[], 1, 1, PadMode::Reflect, &mut out).is_err());
        assert!(pad_into::<f64, f64>(&[], 1, 1, PadMode::Constant, &mut out).is_ok());
    }
}
