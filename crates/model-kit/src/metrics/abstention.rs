//! What is gained when a model may leave its least sure answers out.

use emotion_core::{Emotion, Scores};
use serde::{Deserialize, Serialize};

use super::matched;
use crate::Result;

/// Accuracy against coverage: the share of right answers among the samples whose most probable label has at least some
/// probability, for every probability that occurs.
///
/// R. El-Yaniv and Y. Wiener, "On the Foundations of Noise-free Selective Classification", JMLR 11 (2010); the area is that
/// of Y. Geifman and R. El-Yaniv, "Selective Classification for Deep Neural Networks", NeurIPS 2017.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RiskCoverage {
    /// From the surest answers alone to all of them.
    pub points: Vec<CoveragePoint>,
    /// The area under the curve of risk (1 - accuracy) over coverage: its mean over the samples taken one by one from the
    /// surest. 0 is perfect; a model whose confidence says nothing has its error rate here.
    pub area: f64,
}

/// What is left when answers below a threshold are left out.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct CoveragePoint {
    /// The least probability of the most probable label that still counts as an answer.
    pub threshold: f32,
    /// The share of samples that are answered, above 0 to 1.
    pub coverage: f64,
    /// The share of right ones among them.
    pub accuracy: f64,
}

impl RiskCoverage {
    /// Sorts the samples by the probability of their most probable label.
    ///
    /// # Errors
    /// As [`Confusion::from_scores`](super::Confusion::from_scores).
    pub fn new(truth: &[Emotion], scores: &[Scores]) -> Result<Self> {
        matched(truth, scores)?;
        let mut answers: Vec<(f32, bool)> = truth
            .iter()
            .zip(scores)
            .map(|(&truth, scores)| {
                let (label, confidence) = scores.top();
                (confidence, label == truth)
            })
            .collect();
        answers.sort_by(|one, other| other.0.total_cmp(&one.0));

        let all = answers.len() as f64;
        let (mut points, mut risks) = (Vec::new(), 0.0);
        let (mut answered, mut right) = (0usize, 0usize);
        // Equally sure answers come and go together: their order says nothing.
        for equals in answers.chunk_by(|one, other| one.0 == other.0) {
            answered += equals.len();
            right += equals.iter().filter(|(_, right)| *right).count();
            let accuracy = right as f64 / answered as f64;
            risks += equals.len() as f64 * (1.0 - accuracy);
            points.push(CoveragePoint { threshold: equals[0].0, coverage: answered as f64 / all, accuracy });
        }
        Ok(Self { points, area: risks / all })
    }

    /// The first point that answers at least this share of the samples; all of them for 1 and above.
    pub fn at_coverage(&self, coverage: f64) -> CoveragePoint {
        let place = self.points.partition_point(|point| point.coverage < coverage);
        self.points[place.min(self.points.len() - 1)]
    }
}

#[cfg(test)]
mod tests {
    use emotion_core::LabelSet;

    use super::*;

    #[test]
    fn the_surest_answers_come_first_and_equals_together() {
        let labels = LabelSet::new(&[Emotion::Happy, Emotion::Sad]).unwrap();
        let scores: Vec<Scores> = [0.9f32, 0.8, 0.8, 0.6, 0.55]
            .iter()
            .map(|&happy| Scores::new(&labels, &[happy, 1.0 - happy]).unwrap())
            .collect();
        let truth = [Emotion::Happy, Emotion::Happy, Emotion::Sad, Emotion::Happy, Emotion::Sad];
        let curve = RiskCoverage::new(&truth, &scores).unwrap();
        let points: Vec<_> = curve.points.iter().map(|point| (point.coverage, point.accuracy)).collect();
        assert_eq!(points, [(0.2, 1.0), (0.6, 2.0 / 3.0), (0.8, 0.75), (1.0, 0.6)]);
        assert!((curve.area - (2.0 / 3.0 + 0.25 + 0.4) / 5.0).abs() < 1e-12);
        assert_eq!((curve.at_coverage(0.5).coverage, curve.at_coverage(2.0).coverage), (0.6, 1.0));
        assert_eq!(curve.at_coverage(0.0).threshold, 0.9);
        assert!(RiskCoverage::new(&[], &[]).is_err());
    }
}
