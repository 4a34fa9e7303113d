//! What a training computes: its settings.

use serde::{Deserialize, Serialize};

use crate::Error;
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
    /// The share of each target that is spread over all classes, 0..1. Default 0.
    pub label_smoothing: f64,
    /// α of mixup, 0 (off) to 2. Default 0.
    pub mixup: f64,
    /// How much each class counts, one positive number per class; empty for all the same. Default empty.
    pub class_weights: Vec<f32>,
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
    /// Stop after this many epochs without a better one; 0 for never. Default 0.
    pub patience: usize,
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

impl Default for TrainConfig {
    fn default() -> Self {
        Self {
            epochs: 30,
            batch_size: 128,
            seed: 0,
            learning_rate: 0.05,
            optimizer: OptimizerConfig::default(),
            schedule: Schedule::default(),
            label_smoothing: 0.0,
            mixup: 0.0,
            class_weights: Vec::new(),
            ema_decay: 0.999,
            penalty: 0.0,
            penalised: Vec::new(),
            clip_norm: 0.0,
            small_pictures: Vec::new(),
            select_by: Criterion::default(),
            patience: 0,
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
        if !(0.0..1.0).contains(&self.label_smoothing) {
            return Err(Error::config("label_smoothing", "from 0 to below 1", self.label_smoothing));
        }
        if !(0.0..=2.0).contains(&self.mixup) {
            return Err(Error::config("mixup", "0 to 2", self.mixup));
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
        if let Some(weight) = self.class_weights.iter().find(|weight| !(weight.is_finite() && **weight > 0.0)) {
            return Err(Error::config("class_weights", "positive numbers", weight));
        }
        let stages = &self.small_pictures;
        if stages.iter().any(|stage| stage.side < 1) || !stages.is_sorted_by(|one, next| one.until < next.until) {
            let got = stages.iter().map(|stage| format!("{} until {}", stage.side, stage.until)).collect::<Vec<_>>();
            return Err(Error::config("small_pictures", "sides from 1, in the order of their epochs", got.join(", ")));
        }
        self.optimizer.validate()?;
        self.schedule.validate()
    }

    /// The side that pictures have in this epoch (from 1), if it is not their own.
    pub(super) fn side(&self, epoch: usize) -> Option<i64> {
        self.small_pictures.iter().find(|stage| epoch <= stage.until).map(|stage| stage.side)
    }
}
