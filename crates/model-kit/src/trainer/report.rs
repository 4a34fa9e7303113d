//! What a training came to.

use serde::{Deserialize, Serialize};

use super::config::Criterion;

/// How well a network does on a data set.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Score {
    /// Mean cross-entropy, without label smoothing.
    pub loss: f64,
    /// Share of samples whose most probable class is right, 0..1.
    pub accuracy: f64,
    /// Mean over the classes that occur of the share found, 0..1.
    pub uar: f64,
}

impl Score {
    /// The figure that a criterion looks at.
    pub fn value(&self, criterion: Criterion) -> f64 {
        match criterion {
            Criterion::Accuracy => self.accuracy,
            Criterion::Uar => self.uar,
            Criterion::Loss => self.loss,
        }
    }
}

/// One epoch of a training.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EpochRecord {
    /// From 1.
    pub epoch: usize,
    /// The learning rate of the epoch's last step.
    pub learning_rate: f64,
    /// Mean training loss, with everything that the recipe adds to it.
    pub train_loss: f64,
    /// Share of the training samples, changed and mixed as they were, whose most probable class was right, 0..1. Not known
    /// for epochs of trainings by older versions.
    #[serde(default)]
    pub train_accuracy: Option<f64>,
    /// The network on the validation set.
    pub validation: Option<Score>,
    /// The network with averaged weights on the validation set.
    pub averaged: Option<Score>,
    /// Training samples a second.
    pub samples_per_second: f64,
    /// Wall time of the epoch with its validation, in seconds (since the last resume).
    pub seconds: f64,
}

/// What a training came to.
#[derive(Debug, Clone)]
pub struct Report {
    /// Every epoch.
    pub history: Vec<EpochRecord>,
    /// The epoch of the best checkpoint, if there was a validation set.
    pub best: Option<Best>,
    /// Whether the training came to its end; a callback may have stopped it before.
    pub complete: bool,
}

/// The best epoch so far.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Best {
    /// From 1.
    pub epoch: usize,
    /// Its figures, of the averaged weights where averaging is on.
    pub score: Score,
}
