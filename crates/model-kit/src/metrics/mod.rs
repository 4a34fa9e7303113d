//! How good a model is, from true labels and its [`Scores`]: plain Rust, no LibTorch.
//!
//! [`Evaluation`] holds the usual figures of one model on one set of samples, prints them as a table and is what
//! `emotion.evaluation/1` files hold. The parts stand alone too: [`Confusion`] for accuracy, recall and the like,
//! [`Reliability`] for calibration, [`wilson_interval`], [`bootstrap_uar`] and [`bootstrap_uar_by_group`] for how far chance
//! reaches, [`McNemar`] to compare two models, [`fit_temperature`] to make probabilities honest
//! and [`CrossFit`] to see whether they are, [`RiskCoverage`] for what is gained by leaving unsure answers out.
//!
//! Shares are from 0 to 1, never per cent. The figures agree with scikit-learn's and SciPy's (`tests/parity_sklearn.rs`).

mod abstention;
mod calibration;
mod compare;
mod confusion;
mod evaluation;
mod interval;

pub use abstention::{CoveragePoint, RiskCoverage};
pub use calibration::{CrossFit, Reliability, ReliabilityBin, apply_temperature, brier, fit_temperature, log_loss};
pub use compare::McNemar;
pub use confusion::{Averages, ClassMetrics, Confusion};
pub use evaluation::{ConfidenceIntervals, Evaluation, EvaluationContext, PerClass};
pub use interval::{bootstrap_uar, bootstrap_uar_by_group, wilson_interval};

use emotion_core::{Emotion, LabelSet, Scores};

use crate::{Error, Result};

/// Checks that there is a label for each vector of scores, at least one, and that all speak of the same labels.
fn matched<'a>(truth: &[Emotion], scores: &'a [Scores]) -> Result<&'a LabelSet> {
    let Some(first) = scores.first() else {
        return Err(Error::InvalidInput {
            what: "scores",
            expected: "those of at least one sample".to_owned(),
            got: "none".to_owned(),
        });
    };
    if truth.len() != scores.len() {
        return Err(Error::InvalidInput {
            what: "number of true labels",
            expected: format!("{}, one for each vector of scores", scores.len()),
            got: truth.len().to_string(),
        });
    }
    let labels = first.labels();
    if let Some(other) = scores.iter().find(|other| other.labels() != labels) {
        return Err(emotion_core::Error::LabelMismatch {
            expected: labels.to_string(),
            got: other.labels().to_string(),
        }
        .into());
    }
    if let Some(&emotion) = truth.iter().find(|&&emotion| !labels.contains(emotion)) {
        return Err(unknown_label(labels, emotion));
    }
    Ok(labels)
}

/// The error for a true or predicted label that the label set does not name.
fn unknown_label(labels: &LabelSet, emotion: Emotion) -> Error {
    Error::InvalidInput { what: "label", expected: format!("one of {labels}"), got: emotion.to_string() }
}
