//! What a training computes: its settings.

use serde::{Deserialize, Serialize};

use super::precision::Precision;
use super::stopping::EarlyStop;
use crate::Error;
use crate::loss::{Distillation, Loss};
use crate::optim::OptimizerConfig;
use crate::schedule::Schedule;

/// Everything that decides what a training computes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TrainConfig {
    /// How often the training set is seen, from 1. Default 30.
    pub epochs: usize,
    /// Samples per step, from 2. Default 128.
    pub batch_size: usize,
    /// What every random choice is drawn from. Default 0.
    pub seed: u64,
    /// The peak learning rate, above 0. Default 0.05.
    pub learning_rate: f64,
    /// The optimiser. Default SGD with Nesterov momentum.
    pub optimizer: OptimizerConfig,
    /// The course of the learning rate. Default one epoch of warm-up, then cosine to 0.
    pub schedule: Schedule,
    /// What is made small. Default cross-entropy.
    pub loss: Loss,
    /// How much is learned from the answers of the teacher that [`Trainer::teacher`](super::Trainer::teacher) names.
    /// Default none.
    pub distillation: Option<Distillation>,
    /// How much each [auxiliary](crate::data::Dataset::auxiliary) task counts beside the classes, where the training set has any;
    /// at least 0. Default 1.
    pub auxiliary: f64,
    /// The share of each target that is spread over all classes, 0..1. Default 0.
    pub label_smoothing: f64,
    /// α of mixup, 0 (off) to 2. Default 0.
    pub mixup: f64,
    /// α of CutMix, for pictures `[channels, height, width]`, 0 (off) to 2. With mixup also on, each batch is changed by one
    /// of the two, drawn evenly. Default 0.
    pub cutmix: f64,
    /// How much each class counts, one positive number per class; empty for all the same. Default empty.
    pub class_weights: Vec<f32>,
    /// How often samples of each class are drawn, relative to each other: an epoch then draws as many samples as there are,
    /// with replacement, as PyTorch's `WeightedRandomSampler`. One positive number per class, for data sets that know their
    /// samples' [`class`](crate::data::Dataset::class); empty for every sample once an epoch. Default empty.
    pub sampling_weights: Vec<f32>,
    /// The radius ρ of sharpness-aware minimisation (Foret et al. 2021), 0 (off) to 1: the step is taken by the gradient at
    /// the worst place about that far away, which costs a second pass. Batch norms take note of the first pass only. The
    /// paper's ρ is 0.05. Default 0.
    pub sam: f64,
    /// What numbers forward and backward passes are computed in; weights, statistics and optimiser stay in single
    /// precision. Default single.
    pub precision: Precision,
    /// Whether pictures are laid out with their channels side by side (see
    /// [`channels_last`](crate::layers::channels_last)); nothing changes for inputs of another rank. Default false.
    pub channels_last: bool,
    /// Decay of the running average of the weights, 0 (off) to below 1. Default 0.999.
    pub ema_decay: f64,
    /// λ of a penalty λ·Σ‖w‖² that is added to the loss, over the weights of the layers named in `penalised`; at least 0.
    /// Default 0.
    pub penalty: f64,
    /// Beginnings of the names of the penalised layers. Default none.
    pub penalised: Vec<String>,
    /// Largest joint L2 norm of the gradients; 0 for no limit. Default 0.
    pub clip_norm: f64,
    /// Smaller pictures for the early epochs, which then take less time (progressive resizing): stages in the order of their
    /// epochs, each for a network that takes pictures `[batch, channels, height, width]` of any size. Validation sees
    /// whole pictures throughout. Default none.
    pub small_pictures: Vec<SmallPictures>,
    /// What the best checkpoint is chosen by, on the validation set. Default accuracy.
    pub select_by: Criterion,
    /// Stop after this many epochs without a better one by `select_by`; 0 for never. Default 0.
    pub patience: usize,
    /// Keras' early stopping, which may watch another figure than `select_by`. Default none.
    pub early_stop: Option<EarlyStop>,
    /// Whether [`Trainer::network`](super::Trainer::network) has the best epoch's weights when the training is over (Keras'
    /// `restore_best_weights`), and not the last one's. Default false.
    pub restore_best: bool,
}

/// A stage of the training that sees smaller pictures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SmallPictures {
    /// The last epoch of the stage, from 1.
    pub until: usize,
    /// The height and width that pictures are brought to by averaging (`adaptive_avg_pool2d`), in pixels, at least 1.
    pub side: i64,
}

/// A figure of the validation set by which epochs are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Criterion {
    /// The share of right answers.
    #[default]
    Accuracy,
    /// The mean over the classes of the share of right answers (unweighted average recall).
    Uar,
    /// The cross-entropy; smaller is better.
    Loss,
}

impl Criterion {
    /// Whether a figure is better than the best so far by more than `min_delta`.
    pub(crate) fn better(self, value: f64, best: f64, min_delta: f64) -> bool {
        match self {
            Self::Accuracy | Self::Uar => value > best + min_delta,
            Self::Loss => value < best - min_delta,
        }
    }
}

impl Default for TrainConfig {
    fn default() -> Self {
        Self {
            epochs: 30,
            batch_size: 128,
            seed: 0,
            learning_rate: 0.05,
            optimizer: OptimizerConfig::default(),
            schedule: Schedule::default(),
            loss: Loss::default(),
            distillation: None,
            auxiliary: 1.0,
            label_smoothing: 0.0,
            mixup: 0.0,
            cutmix: 0.0,
            class_weights: Vec::new(),
            sampling_weights: Vec::new(),
            sam: 0.0,
            precision: Precision::default(),
            channels_last: false,
            ema_decay: 0.999,
            penalty: 0.0,
            penalised: Vec::new(),
            clip_norm: 0.0,
            small_pictures: Vec::new(),
            select_by: Criterion::default(),
            patience: 0,
            early_stop: None,
            restore_best: false,
        }
    }
}

impl TrainConfig {
    /// # Errors
    /// [`Error::InvalidConfig`] for the first value outside its range.
    pub fn validate(&self) -> Result<(), Error> {
        if self.epochs == 0 {
            return Err(Error::config("epochs", "at least 1", self.epochs));
        }
        if self.batch_size < 2 {
            return Err(Error::config("batch_size", "at least 2", self.batch_size));
        }
        if !(self.learning_rate.is_finite() && self.learning_rate > 0.0) {
            return Err(Error::config("learning_rate", "above 0", self.learning_rate));
        }
        if !(self.auxiliary.is_finite() && self.auxiliary >= 0.0) {
            return Err(Error::config("auxiliary", "at least 0", self.auxiliary));
        }
        if !(0.0..1.0).contains(&self.label_smoothing) {
            return Err(Error::config("label_smoothing", "from 0 to below 1", self.label_smoothing));
        }
        if !(0.0..=2.0).contains(&self.mixup) {
            return Err(Error::config("mixup", "0 to 2", self.mixup));
        }
        if !(0.0..=2.0).contains(&self.cutmix) {
            return Err(Error::config("cutmix", "0 to 2", self.cutmix));
        }
        if !(0.0..=1.0).contains(&self.sam) {
            return Err(Error::config("sam", "0 to 1", self.sam));
        }
        if !(0.0..1.0).contains(&self.ema_decay) {
            return Err(Error::config("ema_decay", "from 0 to below 1", self.ema_decay));
        }
        if !(self.clip_norm.is_finite() && self.clip_norm >= 0.0) {
            return Err(Error::config("clip_norm", "at least 0", self.clip_norm));
        }
        if !(self.penalty.is_finite() && self.penalty >= 0.0) {
            return Err(Error::config("penalty", "at least 0", self.penalty));
        }
        for (field, weights) in [("class_weights", &self.class_weights), ("sampling_weights", &self.sampling_weights)] {
            if let Some(weight) = weights.iter().find(|weight| !(weight.is_finite() && **weight > 0.0)) {
                return Err(Error::config(field, "positive numbers", weight));
            }
        }
        let stages = &self.small_pictures;
        if stages.iter().any(|stage| stage.side < 1) || !stages.is_sorted_by(|one, next| one.until < next.until) {
            let got = stages.iter().map(|stage| format!("{} until {}", stage.side, stage.until)).collect::<Vec<_>>();
            return Err(Error::config("small_pictures", "sides from 1, in the order of their epochs", got.join(", ")));
        }
        let cycles = matches!(self.schedule, Schedule::OneCycle { momentum: Some(_), .. });
        if cycles && !self.optimizer.has_momentum() {
            return Err(Error::config("momentum", "none where the optimiser has no momentum", "one to move"));
        }
        self.loss.validate()?;
        self.distillation.map_or(Ok(()), |distillation| distillation.validate())?;
        self.early_stop.map_or(Ok(()), |early_stop| early_stop.validate())?;
        self.optimizer.validate()?;
        self.schedule.validate()
    }

    /// The side that pictures have in this epoch (from 1), if it is not their own.
    pub(super) fn side(&self, epoch: usize) -> Option<i64> {
        self.small_pictures.iter().find(|stage| epoch <= stage.until).map(|stage| stage.side)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_in_the_docs_has_every_setting() {
        let table = include_str!("settings.md");
        let written = serde_json::to_value(TrainConfig::default()).unwrap();
        for name in written.as_object().unwrap().keys() {
            assert!(table.contains(&format!("\n| `{name}` |")), "{name} is not in the table");
        }
    }
}
