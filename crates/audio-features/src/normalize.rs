//! librosa's `util.normalize`.

use crate::error::{Error, Result};
use crate::sample::Sample;

/// A vector norm, by the number that librosa calls it.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Norm {
    /// No normalisation (`None`).
    None,
    /// The largest magnitude (`np.inf`).
    Max,
    /// The smallest magnitude (`-np.inf`).
    Min,
    /// The number of values that are not zero (`0`).
    Count,
    /// (Σ|x|^p)^(1/p), p above 0: `P(1.0)` is the sum of magnitudes, `P(2.0)` the Euclidean length.
    P(f64),
}

impl Norm {
    pub(crate) fn check(self) -> Result<()> {
        match self {
            Self::P(p) if !(p > 0.0 && p.is_finite()) => Err(Error::config("norm", "a finite p above 0", p)),
            _ => Ok(()),
        }
    }

    /// Divides the values by their norm, or leaves them as they are when it is below the smallest normal number.
    pub(crate) fn apply<T: Sample>(self, values: &mut [T]) {
        let magnitudes = || values.iter().map(|x| x.abs());
        let length = match self {
            Self::None => return,
            Self::Max => magnitudes().fold(T::zero(), T::max).widen(),
            Self::Min => magnitudes().fold(T::infinity(), T::min).widen(),
            Self::Count => magnitudes().filter(|&x| x > T::zero()).count() as f64,
            Self::P(1.0) => magnitudes().map(T::widen).sum(),
            Self::P(2.0) => magnitudes().map(|x| x.widen() * x.widen()).sum::<f64>().sqrt(),
            Self::P(p) => magnitudes().map(|x| x.widen().powf(p)).sum::<f64>().powf(1.0 / p),
        };
        if length >= T::min_positive_value().widen() {
            for x in values {
                *x = T::narrow(x.widen() / length);
            }
        }
    }
}
