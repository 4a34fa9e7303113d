//! The 162 classic numbers.

use audio_features::Precision;
use audio_features::summary::Vector162;

use crate::Error;
use crate::input::SAMPLE_RATE;

/// The published procedure hears 2.5 s from 0.6 s on.
const OFFSET: usize = SAMPLE_RATE as usize * 6 / 10;
const LENGTH: usize = SAMPLE_RATE as usize * 5 / 2;

/// A planned extraction of raw vectors: planned once, then used for any number of clips from any number of threads.
///
/// ```
/// let plan = ser_model::VectorPlan::new()?;
/// let samples: Vec<f32> = (0..48_000).map(|n| (n as f32 * 0.05).sin() * 0.1).collect();
/// assert_eq!(plan.vector(&samples)?.len(), 162);
/// # Ok::<(), ser_model::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct VectorPlan(Vector162);

impl VectorPlan {
    /// Plans for [`SAMPLE_RATE`].
    ///
    /// # Errors
    /// [`Error::Features`] when the transform cannot be planned.
    pub fn new() -> Result<Self, Error> {
        Ok(Self(Vector162::new(f64::from(SAMPLE_RATE), Precision::Parity)?))
    }

    /// The raw vector of mono sound at [`SAMPLE_RATE`]: of 2.5 s from 0.6 s on, or of the first 2.5 s when that would leave
    /// less than half a second.
    ///
    /// # Errors
    /// [`Error::Features`] for empty sound and samples that are not finite.
    pub fn vector(&self, samples: &[f32]) -> Result<Vec<f32>, Error> {
        let start = if samples.len() >= OFFSET + SAMPLE_RATE as usize / 2 { OFFSET } else { 0 };
        let piece = &samples[start..samples.len().min(start + LENGTH)];
        Ok(self.0.process(piece)?.to_vec())
    }
}

/// The raw vector of one clip, planned for this one call; see [`VectorPlan`].
///
/// # Errors
/// As [`VectorPlan::vector`].
pub fn vector(samples: &[f32]) -> Result<Vec<f32>, Error> {
    VectorPlan::new()?.vector(samples)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_plan_serves_clips_of_any_length() {
        let plan = VectorPlan::new().unwrap();
        let samples: Vec<f32> = (0..64_000).map(|i| (i as f32 * 0.03).sin() * 0.2).collect();
        for length in [1, 800, 12_000, 17_600, 64_000] {
            assert_eq!(plan.vector(&samples[..length]).unwrap(), vector(&samples[..length]).unwrap());
        }
        assert!(plan.vector(&[]).is_err());
    }
}
