//! Training face networks.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use emotion_core::BoxError;
use face_prep::augment::{AugmentConfig, Augmenter};
use model_kit::callback::Callback;
use model_kit::data::Dataset;
use model_kit::device::Device;
use model_kit::metrics::fit_temperature;
use model_kit::optim::OptimizerConfig;
use model_kit::schedule::Schedule;
use model_kit::trainer::{Report, TrainConfig, Trainer};
use model_kit::weights::Weights;
use serde::{Deserialize, Serialize};
use tch::Kind;

use crate::arch::Arch;
use crate::config::{ModelConfig, Normalisation, TrainingFacts};
use crate::dataset::{FaceSet, SIDE};
use crate::error::{Error, Result};
use crate::model::FerModel;

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
    /// What the shipped weights were trained with: 40 epochs of 128 pictures a step, SGD with Nesterov momentum, peak
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

impl Recipe {
    /// The recipe published with a network, as far as it is stated; for [`Arch::Compact`] the default.
    ///
    /// - [`Arch::AttentionCnn`]: Adam, with the penalty λ‖w‖² on its last two dense layers; λ is tuned there without a
    ///   figure. λ 1e-4, the rate 1e-3, batch 128 and at most 300 epochs, stopped after 30 without a better one, are ours.
    /// - [`Arch::MiniGenieCnn`]: RMSprop at Keras' rate 1e-3, batch 64, at most 50 epochs, stopped after 10 without a better
    ///   one (that number is ours). No augmentation is stated.
    /// - [`Arch::RealtimeCnn`]: Adam at 1e-3, batch 128, at most 100 epochs, the rate lowered on plateaus, stopped after 15
    ///   without a better one; small rotations, shifts and zooms (their sizes are ours).
    /// - [`Arch::FiveConvCnn`]: Adam at 1e-3, batch 64 (ours), at most 200 epochs, class weights, the rate lowered on
    ///   plateaus, stopped after 20 without a better one. Its L2 penalty on dense layers is a weight decay of 1e-4 here.
    /// - [`Arch::InceptionV3`]: transfer learning is all that is stated; Adam at 1e-4, batch 32, at most 30 epochs, the rate
    ///   lowered on plateaus, stopped after 10 without a better one; small rotations, shifts and zooms.
    /// - [`Arch::Mlp`], [`Arch::Rnn`], [`Arch::Lstm`]: nothing is stated; Adam at 1e-3, batch 128, at most 100 epochs, the rate
    ///   lowered on plateaus, stopped after 15 without a better one.
    ///
    /// `classes` are the sizes of the training set's classes, for class weights.
    pub fn published(arch: Arch, classes: &[usize]) -> Self {
        let keras = TrainConfig {
            learning_rate: 1e-3,
            optimizer: OptimizerConfig::adam_w(0.0),
            schedule: Schedule::plateau(0.2, 5, 1e-6),
            ema_decay: 0.0,
            ..TrainConfig::default()
        };
        let moved = AugmentConfig { flip: 0.5, rotation: 10.0, shift: 0.1, zoom: [0.9, 1.1], ..AugmentConfig::none() };
        let (augment, train) = match arch {
            Arch::Compact(_) => return Self { arch, ..Self::default() },
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
            Arch::InceptionV3(_) => {
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
                    optimizer: OptimizerConfig::adam_w(1e-4),
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

/// Where a training runs and where its files go: nothing of this changes what it computes.
#[derive(Debug, Clone, Default)]
pub struct Run {
    /// The device. Default the processor.
    pub device: Device,
    /// Threads that prepare pictures ahead of the network; 0 prepares them in turn with it. Default 0.
    pub loader_threads: usize,
    /// The folder of `last.safetensors` (everything, to resume from) and `best.safetensors` (the best weights). Nothing
    /// is written without one. Default none.
    pub folder: Option<PathBuf>,
    /// Go on from `last.safetensors` if it is there. Default no.
    pub resume: bool,
}

/// Trains a network on `train` and chooses the best epoch on `valid`.
///
/// Pixels are standardised by the mean and deviation of `train`.
///
/// # Errors
/// [`Error::InvalidInput`] for a set without pictures, [`Error::Picture`]
/// for bad augmentation settings, [`Error::Model`] for what the trainer reports.
pub fn train(
    recipe: &Recipe,
    run: &Run,
    train: &FaceSet,
    valid: &FaceSet,
    callbacks: &mut [&mut dyn Callback],
) -> Result<Report> {
    let (mean, deviation) = train.statistics()?;
    let config = ModelConfig {
        arch: recipe.arch.clone(),
        labels: train.labels().clone(),
        normalisation: Normalisation { mean, deviation },
        temperature: 1.0,
        name: String::new(),
        training: None,
    };
    let samples = FaceSamples::new(train, config.normalisation).augmented(Augmenter::new(recipe.augment.clone())?);
    let held_out = FaceSamples::new(valid, config.normalisation);
    let classes = train.labels().len();
    let mut trainer = Trainer::new(recipe.train.clone(), run.device, |path| recipe.arch.build(path, classes))?
        .metadata(BTreeMap::from([config.to_metadata()]))
        .loader_threads(run.loader_threads);
    if let Some(folder) = &run.folder {
        trainer = trainer.save_to(folder)?;
    }
    if run.resume {
        trainer.resume_if_there()?;
    }
    Ok(trainer.fit(&samples, Some(&held_out), callbacks)?)
}

/// Turns the best weights of a training into a model file for [`FerModel::load`]: half precision, with `name`, the
/// training's facts, and the temperature (Guo et al. 2017) that makes the answers on `valid` as likely as can be.
///
/// # Errors
/// [`Error::InvalidInput`] for a training without a best epoch, and what reading the best
/// weights and writing the file can give.
pub fn export(
    recipe: &Recipe,
    report: &Report,
    sets: [&FaceSet; 2],
    best: &Path,
    name: &str,
    target: &Path,
) -> Result<ModelConfig> {
    let [train, valid] = sets;
    let chosen = report.best.ok_or_else(|| Error::input("training", "a best epoch", "none"))?;
    let mut weights = Weights::open(best)?.to_kind(Kind::Half)?;
    let model = FerModel::from_weights(&weights, Device::Cpu)?;
    let faces: Vec<_> = (0..valid.len()).map(|index| valid.image(index)).collect();
    let truth: Vec<_> = (0..valid.len()).map(|index| valid.emotion(index)).collect();
    let scores = model.predict_batch(&faces)?;
    let config = ModelConfig {
        name: name.to_owned(),
        temperature: model.config().temperature * fit_temperature(&truth, &scores)?,
        training: Some(TrainingFacts {
            training_pictures: train.len(),
            selection_pictures: valid.len(),
            epoch: chosen.epoch,
            selection: chosen.score,
            recipe: recipe.clone(),
        }),
        ..model.config().clone()
    };
    weights.metadata = BTreeMap::from([config.to_metadata()]);
    weights.save(target)?;
    Ok(config)
}

/// A [`FaceSet`] as the trainer wants it: standardised `[1, 48, 48]` inputs, changed at random if asked to.
#[derive(Debug)]
pub struct FaceSamples<'a> {
    faces: &'a FaceSet,
    normalisation: Normalisation,
    augmenter: Option<Augmenter>,
}

impl<'a> FaceSamples<'a> {
    /// The pictures as they are.
    pub fn new(faces: &'a FaceSet, normalisation: Normalisation) -> Self {
        Self { faces, normalisation, augmenter: None }
    }

    /// The pictures changed at random each time, for training.
    #[must_use]
    pub fn augmented(mut self, augmenter: Augmenter) -> Self {
        self.augmenter = Some(augmenter);
        self
    }
}

impl Dataset for FaceSamples<'_> {
    fn len(&self) -> usize {
        self.faces.len()
    }

    fn input_shape(&self) -> &[i64] {
        &[1, SIDE as i64, SIDE as i64]
    }

    fn classes(&self) -> usize {
        self.faces.labels().len()
    }

    fn sample(&self, index: usize, seed: u64, input: &mut [f32], target: &mut [f32]) -> Result<(), BoxError> {
        let pixels = self.faces.pixels(index);
        match &self.augmenter {
            None => self.normalisation.apply(pixels, input),
            Some(augmenter) => {
                let mut changed = [0u8; crate::dataset::PIXELS];
                augmenter.apply_raw(pixels, SIDE as u32, seed, &mut changed)?;
                self.normalisation.apply(&changed, input);
            }
        }
        target.copy_from_slice(self.faces.target(index));
        Ok(())
    }
}
