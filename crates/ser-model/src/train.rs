//! Training speech networks.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use emotion_core::{Emotion, LabelSet, Scores};
use model_kit::audit::{AuditConfig, AuditReport, audit};
use model_kit::callback::Callback;
use model_kit::data::Dataset;
use model_kit::device::Device;
use model_kit::metrics::{Confusion, fit_temperature};
use model_kit::optim::OptimizerConfig;
use model_kit::schedule::Schedule;
use model_kit::trainer::{Report, TrainConfig, Trainer};
use model_kit::weights::Weights;
use serde::{Deserialize, Serialize};
use tch::Kind;
use tch::nn::VarStore;

use crate::Error;
use crate::arch::{Architecture, is_last_layer};
use crate::augment::AugmentConfig;
use crate::cache::Cache;
use crate::config::{Features, ModelConfig, SequenceConfig};
use crate::corpus::Corpus;
use crate::dataset::{ImageEvaluation, ImageTraining, Share, Sound};
use crate::features::{Extractor, FeatureConfig, TrackConfig};
use crate::input::{LogMel, LogMelConfig};
use crate::model::SerModel;
use crate::prepared::{Copies, Prepared, Progress};
use crate::statistics::Statistics;

/// A network and everything that decides how it is trained.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Recipe {
    /// The network.
    pub architecture: Architecture,
    /// What it learns to tell apart.
    pub labels: LabelSet,
    /// What the log-mel network listens to.
    pub log_mel: LogMelConfig,
    /// What the networks on MFCCs listen to. Default 40 MFCCs over 64 ms every 16 ms.
    pub tracks: TrackConfig,
    /// How clips are changed each time they are heard.
    pub augment: AugmentConfig,
    /// Changed copies of each training clip for the networks on the 162-vector and on MFCCs, whose features are computed
    /// before the training. The log-mel network needs none.
    pub copies: usize,
    /// Whether 162-vectors and MFCCs are standardised speaker by speaker, see [`Statistics::standardize_by_speaker`] for
    /// what that costs in honesty; such a model wants [`SerModel::adapt_to`] before it answers. Default false.
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
    /// What the shipped weights were trained with, but for [`Precision::Bf16`](model_kit::trainer::Precision), which is slow on processors
    /// without units for it.
    fn default() -> Self {
        let share = |corpus, weight| Share { corpus, weight };
        Self {
            architecture: Architecture::MaskedCnn,
            labels: LabelSet::speech8(),
            log_mel: LogMelConfig::default(),
            tracks: TrackConfig { n_fft: 1024, pitch: false, energy: false, ..TrackConfig::default() },
            // Most of it hard: what is learnt in babble serves in quiet too, the other way round not.
            augment: AugmentConfig {
                noise_share: 0.9,
                babble_share: 0.8,
                snr: [-6.0, 8.0],
                // Half of it as the second hearing gets it: without what stands before and after.
                margin_share: 0.5,
                ..AugmentConfig::default()
            },
            copies: 2,
            per_speaker: false,
            // Most for the corpus with the most speakers; TESS has the most clips, but two speakers.
            shares: vec![
                share(Corpus::Ravdess, 0.8),
                share(Corpus::Tess, 0.05),
                share(Corpus::Savee, 0.15),
                share(Corpus::CremaD, 0.8),
                share(Corpus::EmoDb, 0.15),
                share(Corpus::Folders, 0.8),
            ],
            seconds: 2.5,
            steps_per_epoch: 100,
            train: TrainConfig {
                epochs: 80,
                batch_size: 32,
                learning_rate: 1e-3,
                optimizer: OptimizerConfig::adam_w(1e-2),
                schedule: Schedule::Cosine { warmup: 1.0, end: 0.0 },
                label_smoothing: 0.1,
                ema_decay: 0.995,
                clip_norm: 5.0,
                ..TrainConfig::default()
            },
        }
    }
}

impl Recipe {
    /// The recipe of a network: the default for [`MaskedCnn`](crate::arch::MaskedCnn); for
    /// [`LogMelCnn`](crate::arch::LogMelCnn) the same with less noise, mixup, and 2,000 steps; for the classic ones that of the
    /// published notebooks: Adam at 1e-3, 64 clips a step, 50 epochs of every clip and two changed copies, the learning rate
    /// times 0.4 after two epochs without a lower loss, but at least 1e-7. The loss is that of the validation clips or,
    /// without any, of the training clips. The recurrent networks on MFCCs have their gradients clipped at norm 1.
    pub fn of(architecture: Architecture) -> Self {
        let recipe = Self { architecture, ..Self::default() };
        if architecture == Architecture::MaskedCnn {
            return recipe;
        }
        if architecture == Architecture::LogMelCnn {
            let train = TrainConfig { epochs: 20, mixup: 0.2, ..recipe.train };
            return Self { augment: AugmentConfig::default(), train, ..recipe };
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
                ema_decay: 0.0,
                clip_norm: if architecture.reads_mfcc() { 1.0 } else { 0.0 },
                schedule: Schedule::plateau(0.4, 2, 1e-7),
                ..recipe.train
            },
            // The classic procedure knows noise, speed and level, but no other voices.
            augment: AugmentConfig {
                noise_share: 0.5,
                babble_share: 0.0,
                snr: [5.0, 35.0],
                ..AugmentConfig::default()
            },
            ..recipe
        }
    }

    /// How clips are trimmed when they are decoded: those of the networks on MFCCs alone. The log-mel network's are trimmed
    /// each time they are heard, after noise has been added, as [`SerModel`] does with what it is asked about.
    pub fn trim_db(&self) -> f32 {
        if self.architecture.reads_mfcc() { self.tracks.trim_db } else { 0.0 }
    }

    /// The changed copies of the training clips, where features are computed before the training.
    fn changed_copies(&self) -> Copies {
        Copies { augment: self.augment, count: self.copies, seed: self.train.seed }
    }

    /// The features that are computed before the training of a network that is not on log-mel images.
    fn prepared(&self) -> FeatureConfig {
        if self.architecture.reads_mfcc() { FeatureConfig::Tracks(self.tracks.clone()) } else { FeatureConfig::Vector }
    }

    /// What the weights file says of these features.
    fn standardized(&self, statistics: Statistics) -> Features {
        if self.architecture.reads_mfcc() {
            Features::Mfcc(SequenceConfig { tracks: self.tracks.clone(), statistics })
        } else {
            Features::Vector(statistics)
        }
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
    /// The file of a model of the same network whose weights the training starts from, instead of drawn ones: all of them,
    /// or, where its labels are others, all but those of the last layer. Everything it has heard counts as heard.
    pub start_from: Option<PathBuf>,
    /// The temperature of the result where there are no validation clips to fit it on.
    pub temperature: f32,
    /// Where the features of the classic networks are kept, so that the next training finds them.
    pub cache: Arc<Cache>,
    /// Is told how far these features are.
    pub progress: Progress,
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
        return train_on_prepared(recipe, run, train, valid, callbacks);
    }
    let log_mel = LogMel::new(recipe.log_mel.clone())?;
    let frames = log_mel.frames((recipe.seconds * f64::from(crate::SAMPLE_RATE)) as usize);
    let per_epoch = recipe.steps_per_epoch * recipe.train.batch_size;
    let labels = &recipe.labels;
    let held_out = ImageEvaluation::new(valid, labels, &log_mel, frames)?;
    let mut samples = ImageTraining::new(train, labels, log_mel, recipe.augment, &recipe.shares, frames, per_epoch)?;
    if recipe.architecture == Architecture::MaskedCnn {
        samples = samples.telling_speech();
    }
    let held_out = (!valid.is_empty()).then_some(&held_out);
    let features = Features::LogMel(recipe.log_mel.clone());
    fit(recipe, run, features, &samples, held_out, valid, callbacks)
}

fn train_on_prepared(
    recipe: &Recipe,
    run: &Run,
    train: &[Sound],
    valid: &[Sound],
    callbacks: &mut [&mut dyn Callback],
) -> Result<Trained, Error> {
    let extractor = Extractor::new(&recipe.prepared())?;
    let extract = |sounds: &[Sound], copies: &Copies| {
        Prepared::extract(sounds, &recipe.labels, &extractor, copies, &run.cache, &run.progress)
    };
    let mut samples = extract(train, &recipe.changed_copies())?;
    let statistics = samples.statistics();
    let mut held_out = extract(valid, &Copies::default())?;
    for set in [&mut samples, &mut held_out] {
        if recipe.per_speaker { set.standardize_by_speaker() } else { set.standardize(&statistics) }
    }
    let held_out = (!valid.is_empty()).then_some(&held_out);
    fit(recipe, run, recipe.standardized(statistics), &samples, held_out, valid, callbacks)
}

/// What the leaky procedure came to.
#[derive(Debug)]
pub struct Leaky {
    /// The course of the training, which sees nothing of the held-out samples.
    pub report: Report,
    /// The network's answers on the held-out samples after the last step: the figure that the papers print.
    pub confusion: Confusion,
    /// What stands on both sides. All versions of a clip count as copies of each other: so many of the held-out samples had
    /// been heard in training.
    pub audit: AuditReport,
}

/// **The papers' procedure, which leaks, so that its figure can stand beside the honest one**: the changed copies are made
/// first, then `share` of all samples is drawn as the held-out part ([`Prepared::part_by_sample`]). Most held-out samples are
/// versions of clips that were heard in training, by the same voices. The figure says nothing about other clips or voices,
/// and the model is not meant for use.
///
/// # Errors
/// [`Error::InvalidConfig`] for a network on log-mel images, whose copies are made on the fly and cannot leak so;
/// else as [`train`].
pub fn train_leaky(
    recipe: &Recipe,
    run: &Run,
    sounds: &[Sound],
    share: f64,
    callbacks: &mut [&mut dyn Callback],
) -> Result<Leaky, Error> {
    if recipe.architecture.reads_log_mel() {
        let got = recipe.architecture.to_string();
        return Err(Error::InvalidConfig { name: "the leaky procedure's network", expected: "a classic one", got });
    }
    let (extractor, copies) = (Extractor::new(&recipe.prepared())?, recipe.changed_copies());
    let all = Prepared::extract(sounds, &recipe.labels, &extractor, &copies, &run.cache, &run.progress)?;
    let (mut samples, mut held_out) = all.part_by_sample(share, copies.seed);
    let items = [samples.items("train"), held_out.items("test")].concat();
    let audit = audit(&items, &AuditConfig::default())?;
    let statistics = samples.statistics();
    samples.standardize(&statistics);
    held_out.standardize(&statistics);
    // The learning rate follows the training loss, as in the honest protocols.
    let unwatched = None::<&Prepared>;
    let trained = fit(recipe, run, recipe.standardized(statistics), &samples, unwatched, &[], callbacks)?;
    let mut confusion = Confusion::new(&recipe.labels);
    for (features, emotion) in held_out.iter().map(|(features, class)| (features, recipe.labels.iter().nth(class))) {
        let emotion = emotion.unwrap_or_else(|| unreachable!("the targets are made of these labels"));
        confusion.add(emotion, trained.model.scores_of(features)?.top().0)?;
    }
    Ok(Leaky { report: trained.report, confusion, audit })
}

/// Copies a model file's weights into the network of `config`.
fn start_from(path: &Path, config: &ModelConfig, store: &VarStore) -> Result<(), Error> {
    let weights = Weights::open(path)?;
    let there = ModelConfig::from_weights(&weights)?;
    if there.architecture != config.architecture {
        return Err(Error::InvalidConfig {
            name: "the model to start from",
            expected: "of the network that is trained",
            got: format!("{} instead of {}", there.architecture, config.architecture),
        });
    }
    let new_labels = there.labels != config.labels;
    Ok(weights.load_all_but(|name| new_labels && is_last_layer(name), store)?)
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
    let rows = match recipe.architecture.reads_mfcc() {
        true => Extractor::new(&recipe.prepared())?.names().len(),
        false => recipe.log_mel.n_mels,
    };
    let mut trainer =
        Trainer::new(recipe.train.clone(), run.device, |path| recipe.architecture.build(path, rows as i64, classes))?
            .metadata(BTreeMap::from([config.to_metadata()]))
            .loader_threads(run.loader_threads)
            .save_to(&run.folder)?;
    if let Some(path) = &run.start_from {
        trainer = trainer.start_from(|store| start_from(path, &config, store))?;
    }
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
