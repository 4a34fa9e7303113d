//! What a trainer tells while it works.

use std::path::PathBuf;

use emotion_core::BoxError;

use crate::trainer::EpochRecord;
use crate::weights::write_atomically;

/// Whether a training goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    /// Go on.
    Continue,
    /// Write a checkpoint and stop; the training can be resumed.
    Stop,
}

/// Where a training stands after a step.
#[derive(Debug, Clone, Copy)]
pub struct StepInfo {
    /// The epoch, from 1.
    pub epoch: usize,
    /// All epochs of the training.
    pub epochs: usize,
    /// Steps taken in this epoch.
    pub step: u64,
    /// Steps in each epoch.
    pub steps_per_epoch: u64,
    /// The mean training loss of the epoch so far.
    pub loss: f64,
    /// The share of the epoch's training samples so far, changed and mixed as they were, that were right, 0..1.
    pub accuracy: f64,
    /// The learning rate of the step.
    pub learning_rate: f64,
    /// Samples a second of the epoch so far.
    pub samples_per_second: f64,
}

/// Something that watches a training: a progress bar, a log, an early stop.
pub trait Callback {
    /// After every step.
    ///
    /// # Errors
    /// Any error ends the training with [`Error::Callback`](crate::Error::Callback).
    fn on_step(&mut self, _step: &StepInfo) -> Result<Flow, BoxError> {
        Ok(Flow::Continue)
    }

    /// After every epoch, with all epochs so far; the last one is new.
    ///
    /// # Errors
    /// Any error ends the training with [`Error::Callback`](crate::Error::Callback).
    fn on_epoch(&mut self, _history: &[EpochRecord]) -> Result<Flow, BoxError> {
        Ok(Flow::Continue)
    }
}

/// Writes the history of a training as a CSV file after every epoch, one row each, whole and atomically: a resumed
/// training continues its own file.
///
/// Columns: epoch, learning_rate, train_loss, samples_per_second, seconds, then loss, accuracy and uar of the validation
/// set for the network itself, the same with `ema_` before for its averaged weights, and train_accuracy.
#[derive(Debug)]
pub struct CsvLog {
    path: PathBuf,
}

impl CsvLog {
    /// A log in this file.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }
}

impl Callback for CsvLog {
    fn on_epoch(&mut self, history: &[EpochRecord]) -> Result<Flow, BoxError> {
        let mut text = String::from(
            "epoch,learning_rate,train_loss,samples_per_second,seconds,loss,accuracy,uar,ema_loss,ema_accuracy,ema_uar,train_accuracy\n",
        );
        for record in history {
            text += &format!(
                "{},{:.6},{:.5},{:.1},{:.1}",
                record.epoch, record.learning_rate, record.train_loss, record.samples_per_second, record.seconds
            );
            for score in [&record.validation, &record.averaged] {
                match score {
                    Some(score) => text += &format!(",{:.5},{:.5},{:.5}", score.loss, score.accuracy, score.uar),
                    None => text += ",,,",
                }
            }
            match record.train_accuracy {
                Some(accuracy) => text += &format!(",{accuracy:.5}\n"),
                None => text += ",\n",
            }
        }
        write_atomically(&self.path, text.as_bytes())?;
        Ok(Flow::Continue)
    }
}
