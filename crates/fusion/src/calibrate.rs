//! Calibration: making a model's probabilities mean what they say.

use emotion_core::{Emotion, Scores};
use serde::{Deserialize, Serialize};

use crate::Error;

/// Temperature scaling of scores: every logit divided by one temperature (Guo et al., "On Calibration of Modern Neural
/// Networks", 2017).
///
/// Above 1 the scores become softer, below 1 sharper; the most probable emotion stays. It works on probabilities, whose
/// logarithms are logits up to a constant.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "f32", into = "f32")]
pub struct Temperature(f32);

/// Probabilities count as at least this much before their logarithm is taken; f32 softmax rarely resolves less.
const FLOOR: f32 = 1e-7;

/// The range of temperatures that [`Temperature::fit`] searches.
const RANGE: (f64, f64) = (0.05, 20.0);

impl Temperature {
    /// A temperature above 0.
    ///
    /// # Errors
    /// [`Error::InvalidConfig`] when it is not finite or not above 0.
    pub fn new(temperature: f32) -> Result<Self, Error> {
        if temperature.is_finite() && temperature > 0.0 {
            Ok(Self(temperature))
        } else {
            Err(Error::InvalidConfig {
                field: "temperature",
                expected: "finite and above 0",
                got: temperature.to_string(),
            })
        }
    }

    /// The temperature itself; 1 changes nothing.
    pub fn value(self) -> f32 {
        self.0
    }

    /// The scores at this temperature, over the same labels.
    ///
    /// # Errors
    /// [`Error::Scores`] when the temperature is so low that a logit overflows.
    pub fn apply(self, scores: &Scores) -> Result<Scores, Error> {
        let logits: Vec<f32> = scores.values().iter().map(|value| value.max(FLOOR).ln() / self.0).collect();
        Ok(Scores::from_logits(scores.labels(), &logits)?)
    }

    /// The temperature from 0.05 to 20 under which the true emotions of these examples are most likely.
    ///
    /// The log-loss is convex in the inverse of the temperature, so a golden-section search finds its one minimum. Use
    /// validation data. Examples whose truth the scores do not name are left out.
    ///
    /// # Errors
    /// [`Error::NoExamples`] without a usable example.
    pub fn fit(examples: &[(Scores, Emotion)]) -> Result<Self, Error> {
        let usable: Vec<(Vec<f64>, usize)> = examples
            .iter()
            .filter_map(|(scores, truth)| {
                let truth = scores.labels().index_of(*truth)?;
                let logits = scores.values().iter().map(|&value| f64::from(value.max(FLOOR)).ln()).collect();
                Some((logits, truth))
            })
            .collect();
        if usable.is_empty() {
            return Err(Error::NoExamples { what: "a temperature", given: examples.len() });
        }
        let log_loss = |log_temperature: f64| -> f64 {
            let inverse = (-log_temperature).exp();
            usable.iter().map(|(logits, truth)| log_sum_exp(logits, inverse) - logits[*truth] * inverse).sum()
        };
        let best = golden_section(log_loss, RANGE.0.ln(), RANGE.1.ln());
        Self::new(best.exp() as f32)
    }
}

impl Default for Temperature {
    /// 1: nothing changes.
    fn default() -> Self {
        Self(1.0)
    }
}

impl TryFrom<f32> for Temperature {
    type Error = Error;

    fn try_from(temperature: f32) -> Result<Self, Error> {
        Self::new(temperature)
    }
}

impl From<Temperature> for f32 {
    fn from(temperature: Temperature) -> Self {
        temperature.0
    }
}

/// `ln Σ exp(scale · logit)` without overflow.
fn log_sum_exp(logits: &[f64], scale: f64) -> f64 {
    let largest = logits.iter().fold(f64::NEG_INFINITY, |largest, logit| largest.max(scale * logit));
    largest + logits.iter().map(|logit| (scale * logit - largest).exp()).sum::<f64>().ln()
}

/// The place of the minimum of a function with one valley between `low` and `high`.
fn golden_section(function: impl Fn(f64) -> f64, mut low: f64, mut high: f64) -> f64 {
    // Kiefer, "Sequential minimax search for a maximum" (1953): each step keeps 1/φ of the range.
    let ratio = (5f64.sqrt() - 1.0) / 2.0;
    let (mut left, mut right) = (high - ratio * (high - low), low + ratio * (high - low));
    let (mut at_left, mut at_right) = (function(left), function(right));
    while high - low > 1e-5 {
        if at_left <= at_right {
            (high, right, at_right) = (right, left, at_left);
            left = high - ratio * (high - low);
            at_left = function(left);
        } else {
            (low, left, at_left) = (left, right, at_right);
            right = low + ratio * (high - low);
            at_right = function(right);
        }
    }
    (low + high) / 2.0
}

#[cfg(test)]
mod tests {
    use approx::assert_abs_diff_eq;
    use emotion_core::LabelSet;

    use super::*;

    #[test]
    fn one_changes_nothing_and_zero_is_refused() {
        let scores = Scores::from_logits(&LabelSet::face7(), &[0.3, -1.0, 0.0, 2.0, 0.1, 0.2, 1.0]).unwrap();
        let same = Temperature::default().apply(&scores).unwrap();
        for (same, value) in same.values().iter().zip(scores.values()) {
            assert_abs_diff_eq!(same, value, epsilon = 1e-6);
        }
        assert!(Temperature::new(0.0).is_err());
        assert!(Temperature::new(f32::NAN).is_err());
    }

    #[test]
    fn the_fit_finds_how_overconfident_a_model_is() {
        // A model that is right in 3 of 4 cases but says 99 %: two labels, logits ±ln 99 / 2, so T = ln 99 / ln 3.
        let labels = LabelSet::new(&[Emotion::Happy, Emotion::Sad]).unwrap();
        let scores = Scores::new(&labels, &[0.99, 0.01]).unwrap();
        let truths = [Emotion::Happy, Emotion::Happy, Emotion::Happy, Emotion::Sad];
        let examples: Vec<_> = truths.iter().map(|&truth| (scores.clone(), truth)).collect();
        let fitted = Temperature::fit(&examples).unwrap();
        assert_abs_diff_eq!(fitted.value(), 99f32.ln() / 3f32.ln(), epsilon = 1e-3);
        assert_abs_diff_eq!(fitted.apply(&scores).unwrap().get(Emotion::Happy), 0.75, epsilon = 1e-3);
        let unusable = [(scores, Emotion::Contempt)];
        assert!(matches!(Temperature::fit(&unusable), Err(Error::NoExamples { given: 1, .. })));
    }
}
