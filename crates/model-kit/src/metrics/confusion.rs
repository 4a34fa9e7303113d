//! Counts of what was taken for what, and the shares that follow from them.

use emotion_core::{Emotion, LabelSet, Scores};
use serde::{Deserialize, Serialize};

use super::{matched, unknown_label};
use crate::{Error, Result};

/// A confusion matrix: how often each true label was given each predicted one.
///
/// Serialised as rows of counts, `confusion[true][predicted]`, both in label order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Confusion {
    labels: LabelSet,
    /// Row after row, a row for each true label.
    counts: Vec<u64>,
}

impl Confusion {
    /// A matrix of zeros.
    pub fn new(labels: &LabelSet) -> Self {
        Self { labels: labels.clone(), counts: vec![0; labels.len() * labels.len()] }
    }

    /// The matrix of each sample's true label against the most probable one.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] without samples, for lists of different lengths and for a true label that the scores do
    /// not name; [`Error::Scores`] for scores over different labels.
    pub fn from_scores(truth: &[Emotion], scores: &[Scores]) -> Result<Self> {
        let mut confusion = Self::new(matched(truth, scores)?);
        for (&truth, scores) in truth.iter().zip(scores) {
            confusion.add(truth, scores.top().0)?;
        }
        Ok(confusion)
    }

    /// The matrix with these rows of counts, `rows[true][predicted]`.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] when there are not as many rows, and as many counts in each, as labels.
    pub fn from_rows(labels: &LabelSet, rows: &[Vec<u64>]) -> Result<Self> {
        let wrong = rows.iter().map(Vec::len).find(|&len| len != labels.len());
        if rows.len() != labels.len() || wrong.is_some() {
            return Err(Error::InvalidInput {
                what: "confusion matrix",
                expected: format!("{0} rows of {0} counts", labels.len()),
                got: format!("{} rows of {}", rows.len(), wrong.unwrap_or(labels.len())),
            });
        }
        Ok(Self { labels: labels.clone(), counts: rows.concat() })
    }

    /// Counts one more sample.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] for an emotion that the labels do not name.
    pub fn add(&mut self, truth: Emotion, predicted: Emotion) -> Result<()> {
        let place = |emotion| self.labels.index_of(emotion).ok_or_else(|| unknown_label(&self.labels, emotion));
        let cell = place(truth)? * self.labels.len() + place(predicted)?;
        self.counts[cell] += 1;
        Ok(())
    }

    /// The labels of rows and columns.
    pub fn labels(&self) -> &LabelSet {
        &self.labels
    }

    /// The rows in label order: row `i` counts what samples of label `i` were taken for.
    pub fn rows(&self) -> impl ExactSizeIterator<Item = &[u64]> {
        self.counts.chunks_exact(self.labels.len())
    }

    /// The number of samples counted.
    pub fn samples(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// The number of samples whose predicted label is the true one.
    pub fn correct(&self) -> u64 {
        self.counts.iter().step_by(self.labels.len() + 1).sum()
    }

    /// The share of correct samples; 0 without samples.
    pub fn accuracy(&self) -> f64 {
        share(self.correct(), self.samples())
    }

    /// Unweighted average recall: the mean recall over the classes that occur, also called balanced accuracy; 0 without
    /// samples. A guess at random has 1 / (number of classes), however unequal the classes are.
    pub fn uar(&self) -> f64 {
        self.macro_average().recall
    }

    /// Precision, recall, F1 and support of each label, in label order.
    pub fn per_class(&self) -> Vec<ClassMetrics> {
        let size = self.labels.len();
        (0..size)
            .map(|class| {
                let hits = self.counts[class * size + class];
                let support: u64 = self.counts[class * size..(class + 1) * size].iter().sum();
                let predicted: u64 = self.counts.iter().skip(class).step_by(size).sum();
                ClassMetrics {
                    precision: share(hits, predicted),
                    recall: share(hits, support),
                    // The harmonic mean of precision and recall, from the counts.
                    f1: share(2 * hits, support + predicted),
                    support,
                }
            })
            .collect()
    }

    /// The plain mean over the classes that occur: each counts the same, however rare.
    pub fn macro_average(&self) -> Averages {
        self.average(|class| if class.support > 0 { 1.0 } else { 0.0 })
    }

    /// The mean over the classes, each weighted by its share of the samples.
    pub fn weighted_average(&self) -> Averages {
        self.average(|class| class.support as f64)
    }

    fn average(&self, weight: impl Fn(&ClassMetrics) -> f64) -> Averages {
        let classes = self.per_class();
        let total: f64 = classes.iter().map(&weight).sum();
        let mean = |value: fn(&ClassMetrics) -> f64| {
            let sum: f64 = classes.iter().map(|class| weight(class) * value(class)).sum();
            if total > 0.0 { sum / total } else { 0.0 }
        };
        Averages {
            precision: mean(|class| class.precision),
            recall: mean(|class| class.recall),
            f1: mean(|class| class.f1),
        }
    }
}

impl Serialize for Confusion {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.rows())
    }
}

/// How one class fares. A share without anything to divide by (a class that is never predicted or never occurs) is 0.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ClassMetrics {
    /// The share of samples given this label that truly have it.
    pub precision: f64,
    /// The share of samples with this label that were given it.
    pub recall: f64,
    /// The harmonic mean of precision and recall.
    pub f1: f64,
    /// The number of samples with this label.
    pub support: u64,
}

/// Means over classes.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Averages {
    /// Mean precision.
    pub precision: f64,
    /// Mean recall.
    pub recall: f64,
    /// Mean F1 (of the classes' F1, not of the two means above).
    pub f1: f64,
}

fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels() -> LabelSet {
        LabelSet::new(&[Emotion::Happy, Emotion::Sad, Emotion::Fear]).unwrap()
    }

    #[test]
    fn classes_that_do_not_occur_leave_the_means_alone() {
        let confusion = Confusion::from_rows(&labels(), &[vec![3, 1, 0], vec![0, 2, 2], vec![0, 0, 0]]).unwrap();
        assert_eq!(confusion.accuracy(), 5.0 / 8.0);
        assert_eq!(confusion.uar(), (0.75 + 0.5) / 2.0);
        let fear = confusion.per_class()[2];
        assert_eq!(fear, ClassMetrics { precision: 0.0, recall: 0.0, f1: 0.0, support: 0 });
    }

    #[test]
    fn nothing_counted_gives_zeros() {
        let empty = Confusion::new(&labels());
        assert_eq!((empty.accuracy(), empty.uar(), empty.weighted_average().f1), (0.0, 0.0, 0.0));
    }

    #[test]
    fn labels_and_shapes_are_checked() {
        let error = Confusion::new(&labels()).add(Emotion::Calm, Emotion::Sad).unwrap_err();
        assert_eq!(error.to_string(), "invalid label: expected one of happy, sad, fear, got calm");
        let error = Confusion::from_rows(&labels(), &[vec![1, 2]]).unwrap_err();
        assert_eq!(error.to_string(), "invalid confusion matrix: expected 3 rows of 3 counts, got 1 rows of 2");
    }
}
