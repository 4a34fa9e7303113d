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
}

impl Default for Schedule {
    /// Cosine to 0 after one epoch of warm-up.
    fn default() -> Self {
        Self::Cosine { warmup: 1.0, end: 0.0 }
    }
}

impl Schedule {
    /// # Errors
    /// [`Error::InvalidConfig`] for a negative warm-up or an end outside 0..1.
    pub fn validate(&self) -> Result<(), Error> {
        if let Self::Cosine { warmup, end } = *self {
            if !(warmup.is_finite() && warmup >= 0.0) {
                return Err(Error::config("warmup", "at least 0 epochs", warmup));
            }
            if !(0.0..=1.0).contains(&end) {
                return Err(Error::config("end", "a factor from 0 to 1", end));
            }
        }
        Ok(())
    }

    /// The factor of the peak rate at `step` (from 0) of `total`, with `steps_per_epoch`.
    pub fn factor(&self, step: u64, total: u64, steps_per_epoch: u64) -> f64 {
        match *self {
            Self::Constant => 1.0,
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
}
