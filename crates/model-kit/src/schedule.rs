//! Learning rates over the course of a training.

use serde::{Deserialize, Serialize};

use crate::Error;
use crate::trainer::Criterion;

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
    /// Up from `1 / div_factor` to 1 and down to `1 / (div_factor · final_div_factor)`, as PyTorch's `OneCycleLR`
    /// (Smith & Topin 2018), whose names and defaults these are.
    OneCycle {
        /// The share of all steps that the rise takes, above 0 and below 1. Default 0.3.
        #[serde(default = "defaults::pct_start")]
        pct_start: f64,
        /// How many times smaller than the peak the first rate is, from 1. Default 25.
        #[serde(default = "defaults::div_factor")]
        div_factor: f64,
        /// How many times smaller than the first rate the last one is, from 1. Default 1e4.
        #[serde(default = "defaults::final_div_factor")]
        final_div_factor: f64,
        /// The shape of the way. Default cosine.
        #[serde(default)]
        anneal: Anneal,
        /// Down to the first rate in as many steps as up, and from there to the last one. Default false: down in one go.
        #[serde(default)]
        three_phase: bool,
        /// `[base, max]`: the momentum (of SGD; the first beta of Adam and AdamW) goes down from `max` to `base` while the
        /// rate rises, and up again while it falls; both 0 to below 1. PyTorch's values are `[0.85, 0.95]`. Default none:
        /// the momentum stays what the optimiser's settings say.
        #[serde(default)]
        momentum: Option<[f64; 2]>,
    },
    /// Keras' `ReduceLROnPlateau`: the rate is multiplied by `factor` whenever the validation set's `metric` has not become
    /// better by more than `min_delta` for `patience` epochs, but not below `least`.
    Plateau {
        /// 0..1. Keras' default is 0.1.
        factor: f64,
        /// Epochs, at least 1. Keras' default is 10.
        patience: usize,
        /// The smallest learning rate (not a factor of the peak), at least 0. Keras calls it `min_lr`; its default is 0.
        least: f64,
        /// By how much a figure must be better to count, at least 0. Default 1e-4.
        #[serde(default = "defaults::min_delta")]
        min_delta: f64,
        /// Epochs after a reduction in which nothing is counted. Default 0.
        #[serde(default)]
        cooldown: usize,
        /// The figure of the network itself (not of its averaged weights) that is watched. Default the loss, which without a
        /// validation set is the training loss.
        #[serde(default = "defaults::metric")]
        metric: Criterion,
    },
}

/// The shape of a one-cycle schedule's ways up and down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Anneal {
    /// Half a cosine.
    #[default]
    Cos,
    /// A straight line.
    Linear,
}

impl Anneal {
    /// The value at the share `progress` of the way.
    fn between(self, [start, end]: [f64; 2], progress: f64) -> f64 {
        match self {
            Self::Cos => end + (start - end) / 2.0 * (1.0 + (std::f64::consts::PI * progress).cos()),
            Self::Linear => (end - start) * progress + start,
        }
    }
}

/// What a written schedule means where it is silent.
mod defaults {
    use crate::trainer::Criterion;

    pub(super) fn pct_start() -> f64 {
        0.3
    }
    pub(super) fn div_factor() -> f64 {
        25.0
    }
    pub(super) fn final_div_factor() -> f64 {
        1e4
    }
    pub(super) fn min_delta() -> f64 {
        1e-4
    }
    pub(super) fn metric() -> Criterion {
        Criterion::Loss
    }
}

impl Default for Schedule {
    /// Cosine to 0 after one epoch of warm-up.
    fn default() -> Self {
        Self::Cosine { warmup: 1.0, end: 0.0 }
    }
}

impl Schedule {
    /// A one-cycle schedule with PyTorch's defaults, momentum left alone.
    pub fn one_cycle() -> Self {
        Self::OneCycle {
            pct_start: defaults::pct_start(),
            div_factor: defaults::div_factor(),
            final_div_factor: defaults::final_div_factor(),
            anneal: Anneal::default(),
            three_phase: false,
            momentum: None,
        }
    }

    /// Reductions on plateaus of the validation loss (of the training loss where nothing is validated), with Keras'
    /// `min_delta` and no cooldown.
    pub fn plateau(factor: f64, patience: usize, least: f64) -> Self {
        let (min_delta, metric) = (defaults::min_delta(), defaults::metric());
        Self::Plateau { factor, patience, least, min_delta, cooldown: 0, metric }
    }

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
            Self::OneCycle { pct_start, div_factor, final_div_factor, momentum, .. } => {
                if !(pct_start > 0.0 && pct_start < 1.0) {
                    return Err(Error::config("pct_start", "above 0 and below 1", pct_start));
                }
                for (field, value) in [("div_factor", div_factor), ("final_div_factor", final_div_factor)] {
                    if !(value.is_finite() && value >= 1.0) {
                        return Err(Error::config(field, "at least 1", value));
                    }
                }
                if let Some([base, max]) = momentum
                    && !(0.0 <= base && base <= max && max < 1.0)
                {
                    let got = format!("[{base}, {max}]");
                    return Err(Error::config("momentum", "[base, max] with 0 ≤ base ≤ max < 1", got));
                }
            }
            Self::Plateau { factor, patience, least, min_delta, .. } => {
                if !(factor > 0.0 && factor < 1.0) {
                    return Err(Error::config("factor", "above 0 and below 1", factor));
                }
                if patience == 0 {
                    return Err(Error::config("patience", "at least 1 epoch", patience));
                }
                if !(least.is_finite() && least >= 0.0) {
                    return Err(Error::config("least", "a learning rate of at least 0", least));
                }
                if !(min_delta.is_finite() && min_delta >= 0.0) {
                    return Err(Error::config("min_delta", "at least 0", min_delta));
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
            Self::OneCycle { div_factor, final_div_factor, anneal, .. } => {
                let (first, last) = (1.0 / div_factor, 1.0 / (div_factor * final_div_factor));
                let (phase, progress) = self.phase(step, total);
                let way = match phase {
                    Phase::Rise => [first, 1.0],
                    Phase::Return => [1.0, first],
                    Phase::Fall => [1.0, last],
                    Phase::End => [first, last],
                };
                anneal.between(way, progress)
            }
        }
    }

    /// The momentum at `step` (from 0) of `total`, where the schedule moves it.
    pub fn momentum(&self, step: u64, total: u64) -> Option<f64> {
        let Self::OneCycle { momentum: Some([base, max]), anneal, .. } = *self else { return None };
        let (phase, progress) = self.phase(step, total);
        let way = match phase {
            Phase::Rise => [max, base],
            Phase::Return | Phase::Fall => [base, max],
            Phase::End => [max, max],
        };
        Some(anneal.between(way, progress))
    }

    /// Where a one-cycle schedule stands, and the share of that phase that is over.
    fn phase(&self, step: u64, total: u64) -> (Phase, f64) {
        let Self::OneCycle { pct_start, three_phase, .. } = *self else { return (Phase::Rise, 0.0) };
        let (step, total) = (step as f64, total as f64);
        let top = pct_start * total - 1.0;
        let phases: &[(Phase, f64)] = if three_phase {
            &[(Phase::Rise, top), (Phase::Return, 2.0 * pct_start * total - 2.0), (Phase::End, total - 1.0)]
        } else {
            &[(Phase::Rise, top), (Phase::Fall, total - 1.0)]
        };
        let mut start = 0.0;
        for &(phase, end) in phases {
            if step <= end {
                // A phase of no length is over at once.
                return (phase, if end > start { (step - start) / (end - start) } else { 1.0 });
            }
            start = end;
        }
        (if three_phase { Phase::End } else { Phase::Fall }, 1.0)
    }
}

/// The ways of a one-cycle schedule.
#[derive(Debug, Clone, Copy)]
enum Phase {
    /// From the first rate to the peak.
    Rise,
    /// From the peak back to the first rate, where there are three phases.
    Return,
    /// From the peak to the last rate, where there are two.
    Fall,
    /// From the first rate to the last one, where there are three phases.
    End,
}

/// What [`Schedule::Plateau`] remembers from epoch to epoch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Plateau {
    rate: Option<f64>,
    best: Option<f64>,
    waited: usize,
    #[serde(default)]
    resting: usize,
}

impl Plateau {
    /// The learning rate now, given the first one.
    pub fn rate(&self, first: f64) -> f64 {
        self.rate.unwrap_or(first)
    }

    /// Takes note of an epoch's figure, the one that the schedule watches. Does nothing for other schedules.
    pub fn observe(&mut self, schedule: &Schedule, first: f64, value: f64) {
        let Schedule::Plateau { factor, patience, least, min_delta, cooldown, metric } = *schedule else { return };
        if self.resting > 0 {
            (self.resting, self.waited) = (self.resting - 1, 0);
        }
        if self.best.is_none_or(|best| metric.better(value, best, min_delta)) {
            (self.best, self.waited) = (Some(value), 0);
        } else if self.resting == 0 {
            self.waited += 1;
            let rate = self.rate(first);
            if self.waited >= patience && rate > least {
                self.rate = Some((rate * factor).max(least));
                (self.resting, self.waited) = (cooldown, 0);
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

    #[test]
    fn one_cycle_survives_trainings_of_a_few_steps() {
        for total in 1..12 {
            for three_phase in [false, true] {
                let Schedule::OneCycle { pct_start, div_factor, final_div_factor, anneal, .. } = Schedule::one_cycle()
                else {
                    unreachable!("it is one")
                };
                let momentum = Some([0.85, 0.95]);
                let schedule =
                    Schedule::OneCycle { pct_start, div_factor, final_div_factor, anneal, three_phase, momentum };
                for step in 0..total {
                    let factor = schedule.factor(step, total, 1);
                    assert!(factor > 0.0 && factor <= 1.0, "{factor} at {step} of {total}");
                    let momentum = schedule.momentum(step, total).unwrap();
                    assert!((0.85 - 1e-12..=0.95 + 1e-12).contains(&momentum));
                }
            }
        }
    }

    #[test]
    fn written_schedules_need_only_what_differs() {
        let read = |text: &str| serde_json::from_str::<Schedule>(text).unwrap();
        assert_eq!(read("{\"kind\": \"one_cycle\"}"), Schedule::one_cycle());
        let old = "{\"kind\": \"plateau\", \"factor\": 0.5, \"patience\": 3, \"least\": 0.001}";
        assert_eq!(read(old), Schedule::plateau(0.5, 3, 0.001));
    }

    #[test]
    fn a_plateau_lowers_the_rate_as_keras_does() {
        let schedule = Schedule::plateau(0.1, 2, 5e-4);
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
