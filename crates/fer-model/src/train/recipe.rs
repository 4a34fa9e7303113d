//! What is trained, and how.

use face_prep::augment::AugmentConfig;
use model_kit::optim::OptimizerConfig;
use model_kit::schedule::Schedule;
use model_kit::trainer::TrainConfig;
use serde::{Deserialize, Serialize};

use crate::arch::Arch;
use crate::error::{Error, Result};

/// A network and everything that decides how it is trained.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Recipe {
    /// The network.
    pub arch: Arch,
    /// How pictures are changed each time they are seen.
    pub augment: AugmentConfig,
    /// The optimiser's course.
    pub train: TrainConfig,
}

impl Default for Recipe {
    /// For our own network in its middle size: 40 epochs of 128 pictures a step, SGD with Nesterov momentum, peak
    /// rate 0.1, mixup 0.2 and label smoothing 0.1.
    fn default() -> Self {
        Self {
            arch: Arch::default(),
            augment: AugmentConfig {
                rotation: 10.0,
                shift: 0.08,
                zoom: [0.9, 1.1],
                brightness: 0.15,
                contrast: 0.15,
                erasing: 0.25,
                erasing_area: [0.02, 0.15],
                ..AugmentConfig::default()
            },
            train: TrainConfig {
                epochs: 40,
                batch_size: 128,
                learning_rate: 0.1,
                optimizer: OptimizerConfig::Sgd { momentum: 0.9, weight_decay: 5e-4 },
                schedule: Schedule::Cosine { warmup: 1.5, end: 0.0 },
                label_smoothing: 0.1,
                mixup: 0.2,
                ema_decay: 0.999,
                ..TrainConfig::default()
            },
        }
    }
}

/// Short names of recipes and the networks they are for.
const SHORT: [(&str, &str); 7] = [
    ("tiny", "compact_tiny"),
    ("wide", "compact_wide"),
    ("large", "compact_large"),
    ("minigenie", "mini_genie_cnn"),
    ("realtime", "realtime_cnn"),
    ("five_conv", "five_conv_cnn"),
    ("attention", "attention_cnn"),
];

impl Recipe {
    /// The recipe of this name, as [`published`](Self::published): `compact`, `tiny`, `wide`, `large`, `minigenie`,
    /// `realtime`, `five-conv`, `attention`, `mlp`, `rnn`, `lstm`, or any network's own name, such as `resnet18` or
    /// `vgg16-bn-frozen`.
    ///
    /// # Errors
    /// [`Error::InvalidConfig`] for another name.
    pub fn named(name: &str, classes: &[usize]) -> Result<Self> {
        let plain = name.replace('-', "_");
        let full = SHORT.iter().find(|(short, _)| *short == plain).map_or(plain.as_str(), |(_, full)| full);
        let arch: Arch = full.parse().map_err(|error| match error {
            Error::InvalidConfig { expected, .. } => {
                let short = SHORT.map(|(short, _)| short.replace('_', "-")).join(", ");
                Error::InvalidConfig { field: "recipe", expected: format!("{short}, {expected}"), got: name.to_owned() }
            }
            other => other,
        })?;
        Ok(Self::published(arch, classes))
    }

    /// The recipe published with a network, as far as it is stated; for [`Arch::Compact`] the default.
    ///
    /// - [`Arch::AttentionCnn`]: Adam, with the penalty λ‖w‖² on its last two dense layers; λ is tuned there without a
    ///   figure. λ 1e-4, the rate 1e-3, batch 128 and at most 300 epochs, stopped after 30 without a better one, are ours.
    /// - [`Arch::MiniGenieCnn`]: RMSprop at Keras' rate 1e-3, batch 64, at most 50 epochs, stopped after 10 without a better
    ///   one (that number is ours). No augmentation is stated.
    /// - [`Arch::RealtimeCnn`]: Adam at 1e-3, batch 128, at most 100 epochs, the rate lowered on plateaus, stopped after 15
    ///   without a better one; small rotations, shifts and zooms (their sizes are ours).
    /// - [`Arch::FiveConvCnn`]: Adam at 1e-3, batch 64 (ours), at most 200 epochs, class weights, the rate lowered on
    ///   plateaus, stopped after 20 without a better one; an L2 penalty on its dense layers, of 1e-4 (ours).
    /// - [`Arch::Mlp`], [`Arch::Rnn`], [`Arch::Lstm`]: nothing is stated; Adam at 1e-3, batch 128, at most 100 epochs, the rate
    ///   lowered on plateaus, stopped after 15 without a better one.
    /// - [`Arch::InceptionV3`], [`Arch::ResNet`], [`Arch::Vgg`]: transfer learning is all that is stated; Adam at 1e-4, batch 32, at most 30 epochs, the rate
    ///   lowered on plateaus, stopped after 10 without a better one; small rotations, shifts and zooms.
    ///
    /// `classes` are the sizes of the training set's classes, for class weights.
    pub fn published(arch: Arch, classes: &[usize]) -> Self {
        let keras = TrainConfig {
            learning_rate: 1e-3,
            optimizer: OptimizerConfig::adam(0.0),
            schedule: Schedule::plateau(0.2, 5, 1e-6),
            ema_decay: 0.0,
            ..TrainConfig::default()
        };
        let moved = AugmentConfig { flip: 0.5, rotation: 10.0, shift: 0.1, zoom: [0.9, 1.1], ..AugmentConfig::none() };
        let (augment, train) = match arch {
            Arch::Compact(_) | Arch::TorchScript(_) => return Self { arch, ..Self::default() },
            Arch::AttentionCnn(_) => (
                AugmentConfig::none(),
                TrainConfig {
                    epochs: 300,
                    batch_size: 128,
                    schedule: Schedule::Constant,
                    penalty: 1e-4,
                    penalised: vec!["dense.".into(), "head.".into()],
                    patience: 30,
                    ..keras
                },
            ),
            Arch::InceptionV3(_) | Arch::ResNet(_) | Arch::Vgg(_) => {
                (moved, TrainConfig { epochs: 30, batch_size: 32, learning_rate: 1e-4, patience: 10, ..keras })
            }
            Arch::Mlp | Arch::Rnn | Arch::Lstm => {
                (AugmentConfig::none(), TrainConfig { epochs: 100, batch_size: 128, patience: 15, ..keras })
            }
            Arch::MiniGenieCnn => (
                AugmentConfig::none(),
                TrainConfig {
                    epochs: 50,
                    batch_size: 64,
                    optimizer: OptimizerConfig::rms_prop(),
                    schedule: Schedule::Constant,
                    patience: 10,
                    ..keras
                },
            ),
            Arch::RealtimeCnn => (moved, TrainConfig { epochs: 100, batch_size: 128, patience: 15, ..keras }),
            Arch::FiveConvCnn => (
                moved,
                TrainConfig {
                    epochs: 200,
                    batch_size: 64,
                    penalty: 1e-4,
                    penalised: vec!["dense".into()],
                    class_weights: balanced_weights(classes),
                    patience: 20,
                    ..keras
                },
            ),
        };
        Self { arch, augment, train }
    }
}

/// Weights that make every class count the same: `samples / (classes × samples of the class)`, scikit-learn's "balanced".
/// A class without samples weighs 1.
pub fn balanced_weights(classes: &[usize]) -> Vec<f32> {
    let samples: usize = classes.iter().sum();
    let weight = |&count: &usize| if count == 0 { 1.0 } else { samples as f32 / (classes.len() * count) as f32 };
    classes.iter().map(weight).collect()
}
