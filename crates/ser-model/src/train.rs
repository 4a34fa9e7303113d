//! Training speech networks.

use std::collections::BTreeMap;
use std::path::PathBuf;

use emotion_core::{Emotion, LabelSet, Scores};
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

use crate::Error;
use crate::arch::Architecture;
use crate::augment::AugmentConfig;
use crate::config::{Features, ModelConfig};
use crate::corpus::Corpus;
use crate::dataset::{ImageEvaluation, ImageTraining, Share, Sound, Vectors};
use crate::input::{LogMel, LogMelConfig};
use crate::model::SerModel;
#[cfg(doc)]
use crate::vector::VectorConfig;

/// A network and everything that decides how it is trained.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Recipe {
    /// The network.
    pub architecture: Architecture,
    /// What it learns to tell apart.
    pub labels: LabelSet,
    /// What it listens to.
    pub log_mel: LogMelConfig,
    /// How clips are changed each time they are heard.
    pub augment: AugmentConfig,
    /// Changed copies of each training clip for the networks on the 162-vector, whose features are computed before the
    /// training. The log-mel network needs none.
    pub copies: usize,
    /// Whether the 162-vectors are standardised speaker by speaker, see [`VectorConfig::standardize_by_speaker`] for what
    /// that costs in honesty; such a model wants [`SerModel::adapt_to`] before it answers. Default false.
    pub per_speaker: bool,
    /// How often each corpus is heard. A corpus without a share is not heard at all.
    pub shares: Vec<Share>,
    /// How much of a clip is heard at a time, in seconds.
    pub seconds: f64,
    /// Steps in an epoch of the log-mel network, which is only the time between two looks at the validation clips: clips
    /// are drawn by their shares. For the classic networks an epoch is every clip and copy once.
    pub steps_per_epoch: usize,
    /// The optimiser's course.
    pub train: TrainConfig,
}

impl Default for Recipe {
    /// What the shipped weights were trained with, but for noise, whose level was then measured on the whole clip.
    fn default() -> Self {
        let share = |corpus, weight| Share { corpus, weight };
        Self {
            architecture: Architecture::LogMelCnn,
            labels: LabelSet::speech8(),
            log_mel: LogMelConfig::default(),
            augment: AugmentConfig::default(),
            copies: 2,
            per_speaker: false,
            // Two thirds for the corpus with the most speakers; TESS has the most clips, but two speakers.
            shares: vec![
                share(Corpus::Ravdess, 0.7),
                share(Corpus::Tess, 0.15),
                share(Corpus::Savee, 0.15),
                share(Corpus::CremaD, 0.7),
                share(Corpus::EmoDb, 0.15),
                share(Corpus::Folders, 0.7),
            ],
            seconds: 2.0,
            steps_per_epoch: 100,
            train: TrainConfig {
                epochs: 15,
                batch_size: 32,
                learning_rate: 1e-3,
                optimizer: OptimizerConfig::adam_w(1e-2),
                schedule: Schedule::Cosine { warmup: 1.0, end: 0.0 },
                label_smoothing: 0.1,
                mixup: 0.2,
                ema_decay: 0.995,
                clip_norm: 5.0,
                ..TrainConfig::default()
            },
        }
    }
}

impl Recipe {
    /// The recipe of a network: the default for [`LogMelCnn`](crate::arch::LogMelCnn); Adam at 1e-3, 64 clips a step and
    /// 50 epochs of every clip and two changed copies for the classic ones. Where the papers lower the learning rate on
    /// plateaus of the validation loss, it follows a cosine here, which needs no validation clips.
    pub fn of(architecture: Architecture) -> Self {
        let recipe = Self { architecture, ..Self::default() };
        if architecture.reads_log_mel() {
            return recipe;
        }
        // The paper with three dense layers has an L2 penalty on them, of a size that it does not tell.
        let (penalty, penalised) =
            if architecture == Architecture::FourConvCnn { (1e-4, vec!["dense".into()]) } else { (0.0, Vec::new()) };
        Self {
            train: TrainConfig {
                epochs: 50,
                batch_size: 64,
                optimizer: OptimizerConfig::adam_w(0.0),
                penalty,
                penalised,
                label_smoothing: 0.0,
                mixup: 0.0,
                ema_decay: 0.0,
                clip_norm: 0.0,
                ..recipe.train
            },
            // The classic procedure knows noise, speed and level, but no other voices.
            augment: AugmentConfig { babble_share: 0.0, ..recipe.augment },
            ..recipe
        }
    }

    /// How the network's clips are trimmed: those of the classic networks are not.
    pub fn trim_db(&self) -> f32 {
        if self.architecture.reads_log_mel() { self.log_mel.trim_db } else { 0.0 }
    }
}

/// Where a training runs and where its files go: nothing of this changes what it computes.
#[derive(Debug, Clone)]
pub struct Run {
    /// The name that goes into the weights file.
    pub name: String,
    /// The device.
    pub device: Device,
    /// Threads that prepare clips ahead of the network; 0 prepares them in turn with it.
    pub loader_threads: usize,
    /// The folder of `last.safetensors` (everything, to resume from) and `model.safetensors` (the result).
    pub folder: PathBuf,
    /// Go on from `last.safetensors` if it is there.
    pub resume: bool,
    /// The temperature of the result where there are no validation clips to fit it on.
    pub temperature: f32,
}

/// What a training came to.
#[derive(Debug)]
pub struct Trained {
    /// The course of the training.
    pub report: Report,
    /// The network with averaged weights after the last step, calibrated.
    pub model: SerModel,
}

/// Trains for the recipe's number of steps and keeps the averaged weights of the last one: the validation clips are
/// watched, and the temperature is fitted on them, but no checkpoint is picked by them. Writes `model.safetensors` in
/// half precision. A training that a callback stopped early gives the weights it had then.
///
/// # Errors
/// [`Error::InvalidConfig`] for settings that cannot work, [`Error::Model`] for what the trainer reports.
pub fn train(
    recipe: &Recipe,
    run: &Run,
    train: &[Sound],
    valid: &[Sound],
    callbacks: &mut [&mut dyn Callback],
) -> Result<Trained, Error> {
    if !recipe.architecture.reads_log_mel() {
        return train_on_vectors(recipe, run, train, valid, callbacks);
    }
    let log_mel = LogMel::new(recipe.log_mel.clone())?;
    let frames = log_mel.frames((recipe.seconds * f64::from(crate::SAMPLE_RATE)) as usize);
    let per_epoch = recipe.steps_per_epoch * recipe.train.batch_size;
    let labels = &recipe.labels;
    let held_out = ImageEvaluation::new(valid, labels, &log_mel, frames)?;
    let samples = ImageTraining::new(train, labels, log_mel, recipe.augment, &recipe.shares, frames, per_epoch)?;
    let held_out = (!valid.is_empty()).then_some(&held_out);
    let features = Features::LogMel(recipe.log_mel.clone());
    fit(recipe, run, features, &samples, held_out, valid, callbacks)
}

fn train_on_vectors(
    recipe: &Recipe,
    run: &Run,
    train: &[Sound],
    valid: &[Sound],
    callbacks: &mut [&mut dyn Callback],
) -> Result<Trained, Error> {
    let labels = &recipe.labels;
    let mut samples = Vectors::extract(train, labels, &recipe.augment, recipe.copies, recipe.train.seed)?;
    let statistics = samples.statistics();
    let mut held_out = Vectors::extract(valid, labels, &AugmentConfig::none(), 0, 0)?;
    for vectors in [&mut samples, &mut held_out] {
        if recipe.per_speaker { vectors.standardize_by_speaker() } else { vectors.standardize(&statistics) }
    }
    let held_out = (!valid.is_empty()).then_some(&held_out);
    fit(recipe, run, Features::Vector(statistics), &samples, held_out, valid, callbacks)
}

fn fit<D: Dataset, V: Dataset>(
    recipe: &Recipe,
    run: &Run,
    features: Features,
    samples: &D,
    held_out: Option<&V>,
    valid: &[Sound],
    callbacks: &mut [&mut dyn Callback],
) -> Result<Trained, Error> {
    let mut config = ModelConfig {
        name: run.name.clone(),
        architecture: recipe.architecture,
        labels: recipe.labels.clone(),
        features,
        temperature: 1.0,
    };
    let classes = recipe.labels.len() as i64;
    let n_mels = recipe.log_mel.n_mels as i64;
    let mut trainer =
        Trainer::new(recipe.train.clone(), run.device, |path| recipe.architecture.build(path, n_mels, classes))?
            .metadata(BTreeMap::from([config.to_metadata()]))
            .loader_threads(run.loader_threads)
            .save_to(&run.folder)?;
    if run.resume {
        trainer.resume_if_there()?;
    }
    let report = trainer.fit(samples, held_out, callbacks)?;

    let checkpoint = Weights::open(&run.folder.join("last.safetensors"))?;
    let prefix = if recipe.train.ema_decay > 0.0 { "average." } else { "model." };
    let mut weights = checkpoint.strip_prefix(prefix).to_kind(Kind::Half)?;
    config.temperature = if valid.is_empty() {
        run.temperature
    } else {
        weights.metadata = BTreeMap::from([config.to_metadata()]);
        let mut model = SerModel::from_weights(&weights, run.device)?;
        if recipe.per_speaker {
            let (truth, scores) = answers_by_speaker(&mut model, valid)?;
            fit_temperature(&truth, &scores)?
        } else {
            temperature(&model, valid)?
        }
    };
    weights.metadata = BTreeMap::from([config.to_metadata()]);
    weights.save(&run.folder.join("model.safetensors"))?;
    Ok(Trained { report, model: SerModel::from_weights(&weights, run.device)? })
}

/// The temperature that fits a model's probabilities to clips that it was not trained on (Guo et al. 2017), relative to
/// the model's own. Clips without speech, and clips too short, do not count.
///
/// # Errors
/// [`Error::Model`] when LibTorch fails or no clip is left.
pub fn temperature(model: &SerModel, sounds: &[Sound]) -> Result<f32, Error> {
    let (truth, scores) = answers(model, sounds)?;
    Ok(fit_temperature(&truth, &scores)?)
}

/// As [`answers`], after the model was [adapted](SerModel::adapt_to) to each speaker by all of that speaker's clips, these
/// very ones. The answers come speaker by speaker; the clips of a speaker with fewer than two are left out.
///
/// # Errors
/// As [`answers`].
pub fn answers_by_speaker(model: &mut SerModel, sounds: &[Sound]) -> Result<(Vec<Emotion>, Vec<Scores>), Error> {
    let mut speakers: BTreeMap<String, Vec<Sound>> = BTreeMap::new();
    for sound in sounds.iter().filter(|sound| !sound.samples.is_empty()) {
        speakers.entry(sound.clip.speaker_key()).or_default().push(sound.clone());
    }
    let (mut truth, mut scores) = (Vec::new(), Vec::new());
    for own in speakers.into_values().filter(|own| own.len() > 1) {
        model.adapt_to(&own.iter().map(|sound| &*sound.samples).collect::<Vec<_>>())?;
        let (labels, answered) = answers(model, &own)?;
        truth.extend(labels);
        scores.extend(answered);
    }
    Ok((truth, scores))
}

/// What a model says of clips, beside what they are. Clips without speech, clips too short, and clips whose emotion the
/// model does not know are left out.
///
/// # Errors
/// [`Error::Model`] when LibTorch fails.
pub fn answers(model: &SerModel, sounds: &[Sound]) -> Result<(Vec<Emotion>, Vec<Scores>), Error> {
    let (mut truth, mut scores) = (Vec::new(), Vec::new());
    for sound in sounds.iter().filter(|sound| model.labels().contains(sound.clip.emotion)) {
        match model.predict(&sound.samples, crate::SAMPLE_RATE) {
            Ok(Some(answer)) => {
                truth.push(sound.clip.emotion);
                scores.push(answer);
            }
            Ok(None) | Err(Error::TooShort { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok((truth, scores))
}
