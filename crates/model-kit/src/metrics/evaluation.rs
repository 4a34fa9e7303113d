//! The figures of one model on one set of samples.

use std::fmt;

use emotion_core::{Emotion, LabelSet, Scores};
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

use super::{Averages, ClassMetrics, Confusion, Reliability, bootstrap_uar, brier, log_loss, wilson_interval};
use crate::Result;

/// How often the samples are drawn again for the interval of the unweighted average recall, and from which seed.
const BOOTSTRAP: (usize, u64) = (1000, 0);

/// What was evaluated: words for the head of the report.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EvaluationContext {
    /// The model's name.
    pub model: String,
    /// Where the samples come from.
    pub data: String,
    /// Which part of them was used.
    pub split: String,
    /// Whether each answer is the mean over several views of its sample (test-time augmentation).
    pub tta: bool,
}

/// The figures of one model on one set of samples.
///
/// Serialised as an object of the schema `emotion.evaluation/1`; [`fmt::Display`] prints a table for people. Shares are
/// from 0 to 1.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Evaluation {
    /// [`Evaluation::SCHEMA`].
    pub schema: &'static str,
    /// The model's name.
    pub model: String,
    /// Where the samples come from.
    pub data: String,
    /// Which part of them was used.
    pub split: String,
    /// The number of samples.
    pub samples: u64,
    /// Whether each answer is the mean over several views of its sample.
    pub tta: bool,
    /// The labels of rows and columns, in order.
    pub labels: LabelSet,
    /// The share of samples whose most probable label is the true one.
    pub accuracy: f64,
    /// The mean recall over the classes that occur.
    pub uar: f64,
    /// Expected calibration error over 15 ranges of equal width of the most probable label's probability.
    pub ece: f64,
    /// The mean negative logarithm of the true label's probability, in nats.
    pub log_loss: f64,
    /// Brier's score for several classes, 0 to 2.
    pub brier: f64,
    /// Each class by itself, in label order.
    pub per_class: PerClass,
    /// The plain mean over the classes that occur.
    #[serde(rename = "macro")]
    pub macro_average: Averages,
    /// The mean over the classes, weighted by their samples.
    #[serde(rename = "weighted")]
    pub weighted_average: Averages,
    /// What was taken for what: `confusion[true][predicted]`.
    pub confusion: Confusion,
    /// How far chance reaches.
    pub confidence_interval: ConfidenceIntervals,
    /// Confidence against accuracy: what the calibration error is made of.
    pub reliability: Reliability,
    /// What else there is to say about these samples, such as how many were left out and why. Written beside the rest.
    #[serde(flatten)]
    pub notes: Map<String, Value>,
}

/// 95 % intervals, `[low, high]`. They take the samples as independent, which pictures of one person or clips of one
/// speaker are not, and say nothing of other data.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct ConfidenceIntervals {
    /// Of the accuracy, by Wilson's formula.
    pub accuracy: [f64; 2],
    /// Of the unweighted average recall, by bootstrap (1,000 resamples, seed 0).
    pub uar: [f64; 2],
}

impl Evaluation {
    /// The name and version of the file format.
    pub const SCHEMA: &str = "emotion.evaluation/1";

    /// Measures scores against the truth; sample `i` has label `truth[i]` and was given `scores[i]`.
    ///
    /// # Errors
    /// As [`Confusion::from_scores`].
    pub fn new(context: &EvaluationContext, truth: &[Emotion], scores: &[Scores]) -> Result<Self> {
        let EvaluationContext { model, data, split, tta } = context.clone();
        let confusion = Confusion::from_scores(truth, scores)?;
        let reliability = Reliability::new(truth, scores, Reliability::DEFAULT_BINS)?;
        Ok(Self {
            schema: Self::SCHEMA,
            model,
            data,
            split,
            samples: confusion.samples(),
            tta,
            labels: confusion.labels().clone(),
            accuracy: confusion.accuracy(),
            uar: confusion.uar(),
            ece: reliability.ece(),
            log_loss: log_loss(truth, scores)?,
            brier: brier(truth, scores)?,
            per_class: PerClass(confusion.labels().iter().zip(confusion.per_class()).collect()),
            macro_average: confusion.macro_average(),
            weighted_average: confusion.weighted_average(),
            confidence_interval: ConfidenceIntervals {
                accuracy: wilson_interval(confusion.correct(), confusion.samples()),
                uar: bootstrap_uar(&confusion, BOOTSTRAP.0, BOOTSTRAP.1),
            },
            confusion,
            reliability,
            notes: Map::new(),
        })
    }
}

impl fmt::Display for Evaluation {
    /// A table for people, in per cent.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let percent = |value: f64| format!("{:.2} %", 100.0 * value);
        let interval = |[low, high]: [f64; 2]| format!("95 % within {:.1} to {:.1}", 100.0 * low, 100.0 * high);
        let views = if self.tta { ", mean over several views" } else { "" };
        writeln!(f, "{} on {}, split {}: {} samples{views}\n", self.model, self.data, self.split, self.samples)?;
        writeln!(
            f,
            "accuracy           {:>8}   {}",
            percent(self.accuracy),
            interval(self.confidence_interval.accuracy)
        )?;
        writeln!(f, "mean recall (UAR)  {:>8}   {}", percent(self.uar), interval(self.confidence_interval.uar))?;
        writeln!(f, "calibration error  {:>8}", percent(self.ece))?;
        writeln!(f, "log loss           {:>8.4}", self.log_loss)?;
        writeln!(f, "Brier score        {:>8.4}\n", self.brier)?;

        writeln!(f, "{:<10} {:>9} {:>9} {:>9} {:>9}", "", "precision", "recall", "F1", "support")?;
        let row = |f: &mut fmt::Formatter<'_>, name: &str, shares: [f64; 3], support: u64| {
            let [precision, recall, f1] = shares.map(|share| format!("{:.2}", 100.0 * share));
            writeln!(f, "{name:<10} {precision:>9} {recall:>9} {f1:>9} {support:>9}")
        };
        for (label, class) in &self.per_class.0 {
            row(f, label.name(), [class.precision, class.recall, class.f1], class.support)?;
        }
        for (name, mean) in [("macro", self.macro_average), ("weighted", self.weighted_average)] {
            row(f, name, [mean.precision, mean.recall, mean.f1], self.samples)?;
        }

        write!(f, "\n{:<10}", "true \\ as")?;
        for label in self.labels.iter() {
            write!(f, " {:>8}", label.name())?;
        }
        for (label, counts) in self.labels.iter().zip(self.confusion.rows()) {
            write!(f, "\n{:<10}", label.name())?;
            for count in counts {
                write!(f, " {count:>8}")?;
            }
        }
        writeln!(f)
    }
}

/// Figures for each class in label order, serialised as a map from label to figures.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PerClass(pub Vec<(Emotion, ClassMetrics)>);

impl PerClass {
    /// The figures of a class; `None` when it is not among the labels.
    pub fn get(&self, emotion: Emotion) -> Option<&ClassMetrics> {
        self.0.iter().find(|(label, _)| *label == emotion).map(|(_, metrics)| metrics)
    }
}

impl Serialize for PerClass {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (label, metrics) in &self.0 {
            map.serialize_entry(label, metrics)?;
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn evaluation() -> Evaluation {
        let labels = LabelSet::new(&[Emotion::Happy, Emotion::Sad]).unwrap();
        let scores = [[0.75, 0.25], [0.25, 0.75], [0.75, 0.25]].map(|values| Scores::new(&labels, &values).unwrap());
        let context = EvaluationContext {
            model: "net".to_owned(),
            data: "faces".to_owned(),
            split: "public".to_owned(),
            tta: true,
        };
        let mut evaluation = Evaluation::new(&context, &[Emotion::Happy, Emotion::Sad, Emotion::Sad], &scores).unwrap();
        evaluation.notes.insert("left_out".to_owned(), 3.into());
        evaluation
    }

    #[test]
    fn serialises_to_the_documented_object() {
        let json = serde_json::to_value(evaluation()).unwrap();
        let keys: Vec<&str> = json.as_object().unwrap().keys().map(String::as_str).collect();
        let wanted = [
            "schema",
            "model",
            "data",
            "split",
            "samples",
            "tta",
            "labels",
            "accuracy",
            "uar",
            "ece",
            "log_loss",
            "brier",
            "per_class",
            "macro",
            "weighted",
            "confusion",
            "confidence_interval",
            "reliability",
            "left_out",
        ];
        assert_eq!(keys, wanted);
        assert_eq!(json["schema"], "emotion.evaluation/1");
        assert_eq!(json["labels"], serde_json::json!(["happy", "sad"]));
        assert_eq!(json["confusion"], serde_json::json!([[1, 0], [1, 1]]));
        assert_eq!(json["uar"], 0.75);
        let sad = serde_json::json!({"precision": 1.0, "recall": 0.5, "f1": 2.0 / 3.0, "support": 2});
        assert_eq!(json["per_class"]["sad"], sad);
        assert_eq!(json["confidence_interval"]["accuracy"].as_array().unwrap().len(), 2);
    }

    #[test]
    fn prints_a_table_that_lines_up() {
        let text = evaluation().to_string();
        assert!(text.starts_with("net on faces, split public: 3 samples, mean over several views\n"), "{text}");
        let rows: Vec<&str> = text.lines().skip_while(|line| !line.contains("precision")).take(5).collect();
        assert!(rows.iter().all(|row| row.len() == rows[0].len()), "{text}");
        assert!(text.contains("accuracy            66.67 %"), "{text}");
    }
}
