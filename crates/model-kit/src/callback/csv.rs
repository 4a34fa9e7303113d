//! A training's history as a table.

use std::path::PathBuf;

use emotion_core::BoxError;

use super::{Callback, Flow};
use crate::trainer::EpochRecord;
use crate::weights::write_atomically;

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
