//! Whether one model is better than another, or was luckier.

use emotion_core::{Emotion, Scores};
use serde::{Deserialize, Serialize};

use super::matched;
use crate::Result;

/// McNemar's test of two models on the same samples: only the samples on which exactly one of them is right tell which is
/// better.
///
/// Q. McNemar, "Note on the sampling error of the difference between correlated proportions", Psychometrika 12 (1947),
/// in the exact binomial form, which holds for few samples too.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct McNemar {
    /// The number of samples that only the first model got right.
    pub only_first: u64,
    /// The number of samples that only the second model got right.
    pub only_second: u64,
    /// How probable a difference at least this large would be, in either direction, if both were equally good.
    pub p_value: f64,
}

impl McNemar {
    /// Compares the most probable labels of two models. They may speak of different labels.
    ///
    /// # Errors
    /// As [`Confusion::from_scores`](super::Confusion::from_scores) for either model, and [`Error::InvalidInput`](crate::Error::InvalidInput) when
    /// they answer for different numbers of samples.
    pub fn from_scores(truth: &[Emotion], first: &[Scores], second: &[Scores]) -> Result<Self> {
        matched(truth, first)?;
        matched(truth, second)?;
        let right = |scores: &Scores, truth: Emotion| scores.top().0 == truth;
        let (mut only_first, mut only_second) = (0, 0);
        for ((&truth, first), second) in truth.iter().zip(first).zip(second) {
            match (right(first, truth), right(second, truth)) {
                (true, false) => only_first += 1,
                (false, true) => only_second += 1,
                _ => {}
            }
        }
        Ok(Self::from_counts(only_first, only_second))
    }

    /// The test from the two counts.
    pub fn from_counts(only_first: u64, only_second: u64) -> Self {
        Self { only_first, only_second, p_value: sign_test(only_first, only_second) }
    }
}

/// The two-sided probability that a fair coin thrown `first + second` times splits at least this unequally.
fn sign_test(first: u64, second: u64) -> f64 {
    let throws = first + second;
    if first == second {
        return 1.0;
    }
    // Binomial terms from the outermost inwards, in logarithms, which do not underflow.
    let mut term = -(throws as f64) * std::f64::consts::LN_2;
    let mut tail = 0.0;
    for heads in 0..=first.min(second) {
        tail += term.exp();
        term += ((throws - heads) as f64).ln() - ((heads + 1) as f64).ln();
    }
    (2.0 * tail).min(1.0)
}

#[cfg(test)]
mod tests {
    use emotion_core::LabelSet;

    use super::*;

    #[test]
    fn only_the_samples_that_part_the_models_count() {
        let labels = LabelSet::new(&[Emotion::Happy, Emotion::Sad]).unwrap();
        let happy = Scores::new(&labels, &[0.9, 0.1]).unwrap();
        let sad = Scores::new(&labels, &[0.1, 0.9]).unwrap();
        let truth = [Emotion::Happy; 4];
        let first = [&happy, &happy, &sad, &happy].map(Clone::clone);
        let second = [&happy, &sad, &sad, &sad].map(Clone::clone);
        let test = McNemar::from_scores(&truth, &first, &second).unwrap();
        assert_eq!((test.only_first, test.only_second, test.p_value), (2, 0, 0.5));
        assert!(McNemar::from_scores(&truth, &first, &second[..3]).is_err());
    }
}
