//! When a training ends before its last epoch.

use serde::{Deserialize, Serialize};

use super::config::Criterion;
use crate::Error;

/// Keras' `EarlyStopping`, looking at the validation set once an epoch, at the averaged weights where averaging is on.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EarlyStop {
    /// The figure that is watched. Default the loss.
    pub metric: Criterion,
    /// Epochs without a better figure after which the training ends, at least 1. Default 10 (Keras' is 0, which is the same
    /// as 1).
    pub patience: usize,
    /// By how much a figure must be better to count, at least 0. Default 0.
    pub min_delta: f64,
    /// Epochs at the start that are not looked at. Default 0.
    pub start_from: usize,
    /// A figure that must be passed too before waiting starts anew. Default none.
    pub baseline: Option<f64>,
}

impl Default for EarlyStop {
    fn default() -> Self {
        Self { metric: Criterion::Loss, patience: 10, min_delta: 0.0, start_from: 0, baseline: None }
    }
}

impl EarlyStop {
    /// # Errors
    /// [`Error::InvalidConfig`] for a value outside its range.
    pub fn validate(&self) -> Result<(), Error> {
        if self.patience == 0 {
            return Err(Error::config("early_stop.patience", "at least 1 epoch", self.patience));
        }
        if !(self.min_delta.is_finite() && self.min_delta >= 0.0) {
            return Err(Error::config("early_stop.min_delta", "at least 0", self.min_delta));
        }
        if self.baseline.is_some_and(|baseline| !baseline.is_finite()) {
            return Err(Error::config("early_stop.baseline", "a finite number", "another"));
        }
        Ok(())
    }
}

/// What [`EarlyStop`] remembers from epoch to epoch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Waiting {
    best: Option<f64>,
    waited: usize,
    over: bool,
}

impl Waiting {
    /// Takes note of the figure of an epoch (from 1); tells whether the training is over.
    pub fn observe(&mut self, rule: &EarlyStop, epoch: usize, value: f64) -> bool {
        if epoch <= rule.start_from {
            return self.over;
        }
        let better = |than: f64| rule.metric.better(value, than, rule.min_delta);
        self.waited += 1;
        if self.best.is_none_or(better) {
            self.best = Some(value);
            if rule.baseline.is_none_or(better) {
                self.waited = 0;
            }
        } else if self.waited >= rule.patience {
            self.over = true;
        }
        self.over
    }

    /// Whether the training is over.
    pub fn is_over(&self) -> bool {
        self.over
    }
}
