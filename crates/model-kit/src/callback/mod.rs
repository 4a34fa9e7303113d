//! What a trainer tells while it works.

mod csv;
mod tensorboard;

pub use csv::CsvLog;
pub use tensorboard::TensorBoard;

use emotion_core::BoxError;

use crate::trainer::EpochRecord;

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
    /// The training loss of the step alone.
    pub step_loss: f64,
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
