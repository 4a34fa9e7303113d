//! Smoothing over time that looks only backwards.

use emotion_core::Scores;

use crate::Error;

/// A causal exponential moving average with a time constant, for moments at any distance from each other.
///
/// The weight of the past falls to 1/e after `time_constant` seconds, whatever the frame rate or stride: a moment that
/// comes `dt` seconds after the last counts `1 − exp(−dt / time_constant)`. The first moment passes unchanged.
///
/// ```
/// use emotion_core::{LabelSet, Scores};
/// use fusion::Smoother;
///
/// let happy = Scores::new(&LabelSet::face7(), &[0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0])?;
/// let sad = Scores::new(&LabelSet::face7(), &[0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0])?;
/// let mut smoother = Smoother::new(1.0)?;
/// assert_eq!(smoother.push(0.0, &happy)?, happy);
/// let after_one_second = smoother.push(1.0, &sad)?;
/// assert!((after_one_second.values()[3] - (-1.0f32).exp()).abs() < 1e-6);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Smoother {
    time_constant: f64,
    last: Option<(f64, Scores)>,
}

impl Smoother {
    /// A smoother with a time constant in seconds; 0 smooths nothing.
    ///
    /// # Errors
    /// [`Error::InvalidConfig`] when it is not finite or below 0.
    pub fn new(time_constant: f64) -> Result<Self, Error> {
        if !time_constant.is_finite() || time_constant < 0.0 {
            return Err(Error::InvalidConfig {
                field: "time_constant",
                expected: "finite and at least 0 seconds",
                got: time_constant.to_string(),
            });
        }
        Ok(Self { time_constant, last: None })
    }

    /// The smoothed scores at `time` (in seconds), over the labels of the first scores pushed.
    ///
    /// # Errors
    /// [`Error::TimeReversed`] when `time` lies before the last moment or is not a number; [`Error::Scores`] when the
    /// scores cannot be projected onto the labels of the first.
    pub fn push(&mut self, time: f64, scores: &Scores) -> Result<Scores, Error> {
        let smoothed = match &self.last {
            None if time.is_nan() => return Err(Error::TimeReversed { last: f64::NEG_INFINITY, got: time }),
            None => scores.clone(),
            Some((last, _)) if time.is_nan() || time < *last => {
                return Err(Error::TimeReversed { last: *last, got: time });
            }
            Some((last, past)) => {
                let keep =
                    if self.time_constant > 0.0 { (-(time - last) / self.time_constant).exp() as f32 } else { 0.0 };
                let scores = scores.project(past.labels())?;
                let mixed: Vec<f32> = past
                    .values()
                    .iter()
                    .zip(scores.values())
                    .map(|(past, now)| keep * past + (1.0 - keep) * now)
                    .collect();
                Scores::from_weights(past.labels(), &mixed)?
            }
        };
        self.last = Some((time, smoothed.clone()));
        Ok(smoothed)
    }

    /// Forgets the past, as after a cut or when a face is lost.
    pub fn reset(&mut self) {
        self.last = None;
    }
}

#[cfg(test)]
mod tests {
    use emotion_core::LabelSet;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn bad_settings_and_reversed_time_are_refused() {
        assert!(Smoother::new(-1.0).is_err());
        assert!(Smoother::new(f64::NAN).is_err());
        let flat = Scores::uniform(&LabelSet::face7());
        let mut smoother = Smoother::new(0.5).unwrap();
        smoother.push(1.0, &flat).unwrap();
        assert_eq!(smoother.push(0.5, &flat).unwrap_err(), Error::TimeReversed { last: 1.0, got: 0.5 });
        smoother.reset();
        assert!(smoother.push(0.5, &flat).is_ok());
    }

    proptest! {
        /// One step of two seconds forgets as much as two steps of one second towards the same scores.
        #[test]
        fn the_result_does_not_depend_on_the_sampling(
            first in prop::collection::vec(0.01f32..1.0, 7),
            then in prop::collection::vec(0.01f32..1.0, 7),
            constant in 0.1f64..5.0,
        ) {
            let labels = LabelSet::face7();
            let first = Scores::from_weights(&labels, &first).unwrap();
            let then = Scores::from_weights(&labels, &then).unwrap();
            let mut coarse = Smoother::new(constant).unwrap();
            let mut fine = Smoother::new(constant).unwrap();
            coarse.push(0.0, &first).unwrap();
            fine.push(0.0, &first).unwrap();
            fine.push(1.0, &then).unwrap();
            let (coarse, fine) = (coarse.push(2.0, &then).unwrap(), fine.push(2.0, &then).unwrap());
            for (coarse, fine) in coarse.values().iter().zip(fine.values()) {
                prop_assert!((coarse - fine).abs() < 1e-5, "{} and {}", coarse, fine);
            }
        }
    }
}
