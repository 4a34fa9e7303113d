//! Learning rates over the course of a training.

use serde::{Deserialize, Serialize};

use crate::Error;

/// How the learning rate moves: a factor of the peak rate for each step.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Schedule {
    /// The peak rate throughout.
    Constant,
    /// Straight up from near 0 to the peak over `warmup` epochs, then down a half cosine to `end` × peak at the last
    /// step (Loshchilov & Hutter 2017, without restarts).
    Cosine {
        /// Length of the rise, in epochs (fractions allowed).
        warmup: f64,
        /// The last factor, 0..1.
        end: f64,
    },
    /// Keras' `ReduceLROnPlateau` on the validation loss: the rate is multiplied by `factor` whenever the loss has not
    /// fallen by more than 1e-4 for `patience` epochs, but not below `least`.
    Plateau {
        /// 0..1. Keras' default is 0.1.
        factor: f64,
        /// Epochs, at least 1. Keras' default is 10.
        patience: usize,
        /// The smallest learning rate (not a factor of the peak), at least 0. Keras' default is 0.
        least: f64,
    },
}

impl Default for Schedule {
    /// Cosine to 0 after one epoch of warm-up.
    fn default() -> Self {
        Self::Cosine { warmup: 1.0, end: 0.0 }
    }
}

impl Schedule {
    /// # Errors
    /// [`Error::InvalidConfig`] for a value outside its range.
    pub fn validate(&self) -> Result<(), Error> {
        match *self {
            Self::Constant => {}
            Self::Cosine { warmup, end } => {
                if !(warmup.is_finite() && warmup >= 0.0) {
                    return Err(Error::config("warmup", "at least 0 epochs", warmup));
                }
                if !(0.0..=1.0).contains(&end) {
                    return Err(Error::config("end", "a factor from 0 to 1", end));
                }
            }
            Self::Plateau { factor, patience, least } => {
                if !(factor > 0.0 && factor < 1.0) {
                    return Err(Error::config("factor", "above 0 and below 1", factor));
                }
                if patience == 0 {
                    return Err(Error::config("patience", "at least 1 epoch", patience));
                }
                if !(least.is_finite() && least >= 0.0) {
                    return Err(Error::config("least", "a learning rate of at least 0", least));
                }
            }
        }
        Ok(())
    }

    /// The factor of the peak rate at `step` (from 0) of `total`, with `steps_per_epoch`. For [`Plateau`](Self::Plateau)
    /// it is 1: what the losses do to the rate is kept in a [`Plateau`].
    pub fn factor(&self, step: u64, total: u64, steps_per_epoch: u64) -> f64 {
        match *self {
            Self::Constant | Self::Plateau { .. } => 1.0,
            Self::Cosine { warmup, end } => {
                let rise = (warmup * steps_per_epoch as f64).min(total as f64);
                let step = step as f64;
                if step < rise {
                    return (step + 1.0) / rise.max(1.0);
                }
                let progress = ((step - rise) / (total as f64 - rise).max(1.0)).min(1.0);
                end + (1.0 - end) * 0.5 * (1.0 + (std::f64::consts::PI * progress).cos())
            }
        }
    }
}

/// By how much the loss must fall to count as better (Keras' `min_delta`).
const MIN_DELTA: f64 = 1e-4;

/// What [`Schedule::Plateau`] remembers from epoch to epoch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Plateau {
    rate: Option<f64>,
    best: Option<f64>,
    waited: usize,
}

impl Plateau {
    /// The learning rate now, given the first one.
    pub fn rate(&self, first: f64) -> f64 {
        self.rate.unwrap_or(first)
    }

    /// Takes note of an epoch's validation loss. Does nothing for other schedules.
    pub fn observe(&mut self, schedule: &Schedule, first: f64, loss: f64) {
        let Schedule::Plateau { factor, patience, least } = *schedule else { return };
        if self.best.is_none_or(|best| loss < best - MIN_DELTA) {
            (self.best, self.waited) = (Some(loss), 0);
            return;
        }
        self.waited += 1;
        if self.waited >= patience {
            let rate = self.rate(first);
            if rate > least {
                self.rate = Some((rate * factor).max(least));
            }
            self.waited = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rises_then_falls_to_the_end() {
        let schedule = Schedule::Cosine { warmup: 2.0, end: 0.1 };
        let factors: Vec<f64> = (0..100).map(|step| schedule.factor(step, 100, 10)).collect();
        assert!((factors[0] - 1.0 / 20.0).abs() < 1e-12);
        assert!((factors[19] - 1.0).abs() < 1e-12);
        assert!(factors[..20].windows(2).all(|pair| pair[0] < pair[1]));
        assert!(factors[20..].windows(2).all(|pair| pair[0] > pair[1]));
        assert!((schedule.factor(100, 100, 10) - 0.1).abs() < 1e-12);
        assert!(Schedule::Cosine { warmup: -1.0, end: 0.0 }.validate().is_err());
    }

    #[test]
    fn a_plateau_lowers_the_rate_as_keras_does() {
        let schedule = Schedule::Plateau { factor: 0.1, patience: 2, least: 5e-4 };
        let mut plateau = Plateau::default();
        let losses = [1.0, 0.9, 0.89995, 0.9, 0.8, 0.8, 0.8, 0.8, 0.8];
        let rates = losses.map(|loss| {
            plateau.observe(&schedule, 0.1, loss);
            plateau.rate(0.1)
        });
        let want = [0.1, 0.1, 0.1, 0.01, 0.01, 0.01, 0.001, 0.001, 5e-4];
        for (got, want) in rates.iter().zip(want) {
            assert!((got - want).abs() < 1e-12, "got {rates:?}");
        }
    }
}
