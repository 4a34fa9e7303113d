//! Training face networks.

mod recipe;
mod resident;
mod samples;
mod teacher;

pub use recipe::{Recipe, balanced_weights};
pub use resident::ResidentFaces;
pub use samples::FaceSamples;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use face_prep::augment::Augmenter;
use model_kit::callback::Callback;
use model_kit::cross_validation::{Outcome, Round, train_round};
use model_kit::device::Device;
use model_kit::layers::Network;
use model_kit::metrics::fit_temperature;
#[cfg(doc)]
use model_kit::trainer::TrainConfig;
use model_kit::trainer::{Report, Trainer};
use model_kit::weights::Weights;
use tch::Kind;

use crate::arch::load_backbone;
use crate::config::{ModelConfig, Normalisation, TrainingFacts};
use crate::dataset::FaceSet;
use crate::error::{Error, Result};
use crate::model::FerModel;
use teacher::Teacher;

/// Where a training runs and where its files are: nothing of this but the backbone, the teacher and `resident` changes what
/// it computes.
#[derive(Debug, Clone, Default)]
pub struct Run {
    /// The device. Default the processor.
    pub device: Device,
    /// Threads that prepare pictures ahead of the network; 0 prepares them in turn with it. Default 0.
    pub loader_threads: usize,
    /// Whether all pictures lie on the device and are changed there ([`ResidentFaces`]), for a GPU that would wait for loader
    /// threads. The recipe may not ask for blur, low resolution or JPEG then. Roundings of pixels differ, so this changes
    /// the result a little. Default no.
    pub resident: bool,
    /// The folder of `last.safetensors` (everything, to resume from) and `best.safetensors` (the best weights). Nothing
    /// is written without one. Default none.
    pub folder: Option<PathBuf>,
    /// Go on from `last.safetensors` if it is there. Default no.
    pub resume: bool,
    /// Weights to start from, as [`load_backbone`] reads them: torchvision's for Inception-v3, ResNet and VGG, or an own model's, all but the
    /// last layer. Default none: everything is drawn from the seed.
    pub backbone: Option<PathBuf>,
    /// A model file, such as [`export`] writes, whose answers the network learns beside the labels, as the recipe's
    /// [`distillation`](TrainConfig::distillation) says. It sees what the network sees, standardised as it was itself.
    /// Default none.
    pub teacher: Option<PathBuf>,
}

/// Trains a network on `train` and chooses the best epoch on `valid`.
///
/// Pixels are standardised by the mean and deviation of `train`.
///
/// # Errors
/// [`Error::InvalidInput`] for a set without pictures or a teacher with other labels, [`Error::Picture`]
/// for bad augmentation settings, [`Error::InvalidConfig`] for those that [`ResidentFaces`] lacks, [`Error::Model`] for what the
/// trainer reports, [`Error::NoModel`] for a teacher's file that
/// is no model.
pub fn train(
    recipe: &Recipe,
    run: &Run,
    train: &FaceSet,
    valid: &FaceSet,
    callbacks: &mut [&mut dyn Callback],
) -> Result<Report> {
    let (mut trainer, normalisation) = prepare(recipe, run, train)?;
    let augmenter = Augmenter::new(recipe.augment.clone())?;
    if run.resident {
        let samples = ResidentFaces::new(train, normalisation, run.device)?.augmented(augmenter)?;
        let held_out = ResidentFaces::new(valid, normalisation, run.device)?;
        return Ok(trainer.fit(&samples, Some(&held_out), callbacks)?);
    }
    let samples = FaceSamples::new(train, normalisation).augmented(augmenter);
    let held_out = FaceSamples::new(valid, normalisation);
    Ok(trainer.fit(&samples, Some(&held_out), callbacks)?)
}

/// Trains one fold of a cross-validation over `faces` and measures it on the fold's test pictures: the best epoch's weights
/// where the round has pictures to choose by, else the last one's. Files go into `fold-N` in the run's folder.
///
/// Each fold draws from a seed of its own and standardises pixels by its own training pictures.
///
/// # Errors
/// As [`train`]; [`Error::Model`] also for a round of pictures that `faces` lacks, or a training that a callback stopped.
pub fn train_fold(
    recipe: &Recipe,
    run: &Run,
    faces: &FaceSet,
    (number, round): (usize, &Round),
    callbacks: &mut [&mut dyn Callback],
) -> Result<Outcome> {
    let mut recipe = recipe.clone();
    recipe.train.restore_best = true;
    recipe.train.seed = recipe.train.seed.wrapping_add(number as u64);
    let folder = run.folder.as_ref().map(|folder| folder.join(format!("fold-{number}")));
    let run = Run { folder, ..run.clone() };
    let own: BTreeSet<usize> = round.train.iter().copied().collect();
    let (mut trainer, normalisation) = prepare(&recipe, &run, &faces.filter(|picture| own.contains(&picture)))?;
    let augmenter = Augmenter::new(recipe.augment.clone())?;
    if run.resident {
        let plain = ResidentFaces::new(faces, normalisation, run.device)?;
        let augmented = plain.share().augmented(augmenter)?;
        return Ok(train_round(&mut trainer, round, (&augmented, &plain), callbacks)?);
    }
    let augmented = FaceSamples::new(faces, normalisation).augmented(augmenter);
    let plain = FaceSamples::new(faces, normalisation);
    Ok(train_round(&mut trainer, round, (&augmented, &plain), callbacks)?)
}

/// A trainer for a network that learns from these pictures, and how their pixels are standardised.
fn prepare(recipe: &Recipe, run: &Run, train: &FaceSet) -> Result<(Trainer<Box<dyn Network>>, Normalisation)> {
    let (mean, deviation) = train.statistics()?;
    let config = ModelConfig {
        arch: recipe.arch.clone(),
        labels: train.labels().clone(),
        normalisation: Normalisation { mean, deviation },
        temperature: 1.0,
        name: String::new(),
        training: None,
    };
    let classes = train.labels().len();
    let mut trainer = Trainer::new(recipe.train.clone(), run.device, |path| recipe.arch.build(path, classes))?
        .metadata(BTreeMap::from([config.to_metadata()]))
        .loader_threads(run.loader_threads);
    if let Some(path) = &run.backbone {
        trainer = trainer.start_from(|store| load_backbone(&Weights::open(path)?, store))?;
    }
    if let Some(path) = &run.teacher {
        let teacher = Teacher::load(path, run.device, &config)?;
        trainer = trainer.teacher(move |inputs| teacher.logits(inputs));
    }
    if let Some(folder) = &run.folder {
        trainer = trainer.save_to(folder)?;
    }
    if run.resume {
        trainer.resume_if_there()?;
    }
    Ok((trainer, config.normalisation))
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
