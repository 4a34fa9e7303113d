//! The training loop, for any network and any data set.
//!
//! Everything random in a step (dropout, mixup, augmentation, order) is drawn from the seed and the step's number, and a
//! checkpoint holds everything else. A training on the processor that is cut anywhere and resumed therefore gives the
//! same bits as one that was never cut, on the same machine with the same number of threads.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use tch::nn::{self, VarStore};
use tch::{Kind, Tensor, no_grad};

use crate::Error;
use crate::callback::{Callback, Flow, StepInfo};
use crate::data::{Dataset, evaluation_plan, for_each_batch, mix_seed, training_plan};
use crate::device::Device;
use crate::generator::seeded;
use crate::layers::{Network, Result as TorchResult};
use crate::loss;
use crate::optim::{Optimizer, OptimizerConfig};
use crate::schedule::{Plateau, Schedule};
use crate::weights::Weights;

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
    fn side(&self, epoch: usize) -> Option<i64> {
        self.small_pictures.iter().find(|stage| epoch <= stage.until).map(|stage| stage.side)
    }
}

/// How well a network does on a data set.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Score {
    /// Mean cross-entropy, without label smoothing.
    pub loss: f64,
    /// Share of samples whose most probable class is right, 0..1.
    pub accuracy: f64,
    /// Mean over the classes that occur of the share found, 0..1.
    pub uar: f64,
}

impl Score {
    fn value(&self, criterion: Criterion) -> f64 {
        match criterion {
            Criterion::Accuracy => self.accuracy,
            Criterion::Uar => self.uar,
            Criterion::Loss => -self.loss,
        }
    }
}

/// One epoch of a training.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EpochRecord {
    /// From 1.
    pub epoch: usize,
    /// The learning rate of the epoch's last step.
    pub learning_rate: f64,
    /// Mean training loss, with label smoothing and mixup.
    pub train_loss: f64,
    /// The network on the validation set.
    pub validation: Option<Score>,
    /// The network with averaged weights on the validation set.
    pub averaged: Option<Score>,
    /// Training samples a second.
    pub samples_per_second: f64,
    /// Wall time of the epoch with its validation, in seconds (since the last resume).
    pub seconds: f64,
}

/// What a training came to.
#[derive(Debug, Clone)]
pub struct Report {
    /// Every epoch.
    pub history: Vec<EpochRecord>,
    /// The epoch of the best checkpoint, if there was a validation set.
    pub best: Option<Best>,
    /// Whether the training came to its end; a callback may have stopped it before.
    pub complete: bool,
}

/// The best epoch so far.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Best {
    /// From 1.
    pub epoch: usize,
    /// Its figures, of the averaged weights where averaging is on.
    pub score: Score,
}

/// What a checkpoint holds beside tensors.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
struct State {
    config: TrainConfig,
    /// Finished epochs.
    epoch: usize,
    /// Steps taken in the unfinished epoch.
    step: u64,
    /// Sum of the losses of those steps.
    loss_sum: f64,
    best: Option<Best>,
    plateau: Plateau,
    history: Vec<EpochRecord>,
}

/// Trains one network.
///
/// ```no_run
/// use model_kit::device::Device;
/// use model_kit::trainer::{TrainConfig, Trainer};
/// # fn run<D: model_kit::data::Dataset>(train: D, valid: D) -> Result<(), model_kit::Error> {
/// # #[derive(Debug)] struct MyNetwork;
/// # impl MyNetwork { fn new(_: &tch::nn::Path) -> Result<Self, tch::TchError> { Ok(Self) } }
/// # impl model_kit::layers::Network for MyNetwork {
/// #     fn forward(&self, input: &tch::Tensor, _: bool) -> Result<tch::Tensor, tch::TchError> { input.f_relu() }
/// # }
/// let mut trainer = Trainer::new(TrainConfig::default(), Device::best(), MyNetwork::new)?.save_to("runs/mine")?;
/// trainer.resume_if_there()?;
/// let report = trainer.fit(&train, Some(&valid), &mut [])?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Trainer<N> {
    state: State,
    network: N,
    store: VarStore,
    averaged: Option<(N, VarStore)>,
    optimizer: Optimizer,
    penalised: Vec<Tensor>,
    folder: Option<PathBuf>,
    metadata: BTreeMap<String, String>,
    loader_threads: usize,
    checkpoint_steps: Option<u64>,
    last_checkpoint: Option<PathBuf>,
}

impl<N: Network> Trainer<N> {
    /// Builds the network from the seed. `build` is called twice when weights are averaged, and must create the same
    /// tensors each time.
    ///
    /// # Errors
    /// [`Error::InvalidConfig`], [`Error::NoDevice`], [`Error::Backend`].
    pub fn new(
        config: TrainConfig,
        device: Device,
        build: impl Fn(&nn::Path) -> TorchResult<N>,
    ) -> Result<Self, Error> {
        config.validate()?;
        let device = device.open()?;
        let make = || -> TorchResult<(VarStore, N)> {
            let store = VarStore::new(device);
            let network = build(&store.root())?;
            Ok((store, network))
        };
        let (store, network) = seeded(config.seed, make)?;
        let averaged = if config.ema_decay > 0.0 {
            let (mut store_averaged, network) = seeded(config.seed, make)?;
            store_averaged.copy(&store)?;
            store_averaged.freeze();
            Some((network, store_averaged))
        } else {
            None
        };
        let optimizer = Optimizer::new(config.optimizer, &store)?;
        let mut penalised = Vec::new();
        for layer in &config.penalised {
            let weights = store.variables().into_iter();
            let found: Vec<_> =
                weights.filter(|(name, _)| name.starts_with(layer) && name.ends_with("weight")).collect();
            if found.is_empty() {
                return Err(Error::config("penalised", "the beginning of a layer's name", layer));
            }
            penalised.extend(found);
        }
        // A map's order changes from run to run, and so would the rounding of the sum.
        penalised.sort_by(|first, second| first.0.cmp(&second.0));
        Ok(Self {
            penalised: penalised.into_iter().map(|(_, tensor)| tensor).collect(),
            state: State { config, ..State::default() },
            network,
            store,
            averaged,
            optimizer,
            folder: None,
            metadata: BTreeMap::new(),
            loader_threads: 1,
            checkpoint_steps: None,
            last_checkpoint: None,
        })
    }

    /// Writes checkpoints into this folder, which is made if it is missing: `last.safetensors` after every epoch, from
    /// which a training resumes, and `best.safetensors`, the weights alone (averaged where averaging is on), whenever the
    /// validation set says so.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn save_to(mut self, folder: impl Into<PathBuf>) -> Result<Self, Error> {
        let folder = folder.into();
        fs::create_dir_all(&folder).map_err(Error::io(&folder))?;
        self.folder = Some(folder);
        Ok(self)
    }

    /// Texts for the metadata of every file written, such as the network's configuration.
    #[must_use]
    pub fn metadata(mut self, metadata: BTreeMap<String, String>) -> Self {
        self.metadata = metadata;
        self
    }

    /// How many threads prepare batches ahead of the network; 0 prepares them in turn with it. Default 1. The results
    /// do not depend on it.
    #[must_use]
    pub fn loader_threads(mut self, threads: usize) -> Self {
        self.loader_threads = threads;
        self
    }

    /// Writes `last.safetensors` also after every so many steps within an epoch, for long epochs.
    #[must_use]
    pub fn checkpoint_every(mut self, steps: u64) -> Self {
        self.checkpoint_steps = Some(steps.max(1));
        self
    }

    /// The tensors of the network that is trained.
    pub fn store(&self) -> &VarStore {
        &self.store
    }

    /// The network to use: with averaged weights where averaging is on.
    pub fn network(&self) -> &N {
        self.averaged.as_ref().map_or(&self.network, |(network, _)| network)
    }

    /// Goes on from `last.safetensors` in the folder of [`save_to`](Self::save_to); tells whether there was one.
    ///
    /// # Errors
    /// As [`resume`](Self::resume).
    pub fn resume_if_there(&mut self) -> Result<bool, Error> {
        match self.folder.as_ref().map(|folder| folder.join("last.safetensors")) {
            Some(path) if path.exists() => self.resume(&path).map(|()| true),
            _ => Ok(false),
        }
    }

    /// Goes on from a checkpoint.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Decode`], [`Error::Weights`] for another network, [`Error::InvalidConfig`] for other
    /// settings than the checkpoint's.
    pub fn resume(&mut self, path: &Path) -> Result<(), Error> {
        let weights = Weights::open(path)?;
        let undecodable =
            |source| Error::Decode { path: path.to_owned(), expected: "a training checkpoint".into(), source };
        let text = weights.metadata.get("training").ok_or_else(|| undecodable("it has no training state".into()))?;
        let state: State = serde_json::from_str(text).map_err(|error| undecodable(error.into()))?;
        if state.config != self.state.config {
            let show = |config| serde_json::to_string(config).unwrap_or_default();
            return Err(Error::config("resumed training", show(&state.config), show(&self.state.config)));
        }
        weights.strip_prefix("model.").load_into(&self.store)?;
        if let Some((_, store)) = &self.averaged {
            weights.strip_prefix("average.").load_into(store)?;
        }
        self.optimizer.load(&weights)?;
        self.state = state;
        self.last_checkpoint = Some(path.to_owned());
        Ok(())
    }

    /// Trains to the end, or until a callback stops it. `valid` chooses the best epoch.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] for sets that are empty or do not fit each other, [`Error::NonFiniteLoss`],
    /// [`Error::Sample`], [`Error::Callback`], [`Error::Io`] for a checkpoint, [`Error::Backend`].
    pub fn fit<D: Dataset, V: Dataset>(
        &mut self,
        train: &D,
        valid: Option<&V>,
        callbacks: &mut [&mut dyn Callback],
    ) -> Result<Report, Error> {
        self.check(train, valid)?;
        while !self.finished() {
            let flow = self.epoch(train, valid, callbacks)?;
            if flow == Flow::Stop {
                break;
            }
        }
        Ok(Report { history: self.state.history.clone(), best: self.state.best, complete: self.finished() })
    }

    /// Whether all epochs are done, or the patience is over.
    fn finished(&self) -> bool {
        let State { config, epoch, step, best, .. } = &self.state;
        let waited = best.map_or(0, |best| epoch - best.epoch);
        *step == 0 && (*epoch >= config.epochs || (config.patience > 0 && waited >= config.patience))
    }

    fn check<D: Dataset, V: Dataset>(&self, train: &D, valid: Option<&V>) -> Result<(), Error> {
        if train.len() < 2 {
            return Err(Error::input("training set", "at least 2 samples", train.len()));
        }
        let weights = self.state.config.class_weights.len();
        if weights != 0 && weights != train.classes() {
            return Err(Error::config("class_weights", format!("{} numbers", train.classes()), weights));
        }
        if valid.is_none() && matches!(self.state.config.schedule, Schedule::Plateau { .. }) {
            return Err(Error::config("schedule", "one without plateaus where no validation set is given", "plateau"));
        }
        if let Some(valid) = valid {
            if valid.is_empty() {
                return Err(Error::input("validation set", "at least 1 sample", 0));
            }
            let (want, got) = ((train.input_shape(), train.classes()), (valid.input_shape(), valid.classes()));
            if want != got {
                return Err(Error::input("validation set", format!("{want:?} (shape, classes)"), format!("{got:?}")));
            }
        }
        Ok(())
    }

    /// Runs what is left of the current epoch. Leaves `state.step` above 0 when a callback stopped it in the middle.
    fn epoch<D: Dataset, V: Dataset>(
        &mut self,
        train: &D,
        valid: Option<&V>,
        callbacks: &mut [&mut dyn Callback],
    ) -> Result<Flow, Error> {
        let started = Instant::now();
        let config = self.state.config.clone();
        let epoch = self.state.epoch + 1;
        let plan = training_plan(train.len(), config.batch_size, config.seed, epoch);
        let steps = plan.len() as u64;
        let first = self.state.step;
        let mut flow = Flow::Continue;
        let mut samples = 0;
        let mut learning_rate = 0.0;
        let threads = self.loader_threads;
        for_each_batch(train, &plan[first as usize..], threads, |_, batch| {
            let (inputs, targets) = batch.to_tensors(train.input_shape(), train.classes(), self.store.device())?;
            let global = (epoch as u64 - 1) * steps + self.state.step;
            learning_rate = self.state.plateau.rate(config.learning_rate)
                * config.schedule.factor(global, steps * config.epochs as u64, steps);
            self.step(&inputs, &targets, global, learning_rate)?;
            samples += inputs.size()[0];
            let info = StepInfo {
                epoch,
                epochs: config.epochs,
                step: self.state.step,
                steps_per_epoch: steps,
                loss: self.state.loss_sum / self.state.step as f64,
                learning_rate,
                samples_per_second: samples as f64 / started.elapsed().as_secs_f64(),
            };
            for callback in callbacks.iter_mut() {
                if callback.on_step(&info).map_err(|source| Error::Callback { source })? == Flow::Stop {
                    flow = Flow::Stop;
                }
            }
            let due = self.checkpoint_steps.is_some_and(|every| self.state.step.is_multiple_of(every));
            if self.state.step < steps && (due || flow == Flow::Stop) {
                self.checkpoint()?;
            }
            Ok(flow == Flow::Continue)
        })?;
        if self.state.step < steps {
            return Ok(Flow::Stop);
        }
        let training_seconds = started.elapsed().as_secs_f64();

        let score = |network: &N| {
            valid.map(|valid| evaluate(network, valid, config.batch_size, self.store.device(), threads)).transpose()
        };
        let validation = score(&self.network)?;
        let averaged = match &self.averaged {
            Some((network, _)) => score(network)?,
            None => None,
        };
        self.state.history.push(EpochRecord {
            epoch,
            learning_rate,
            train_loss: self.state.loss_sum / steps as f64,
            validation,
            averaged,
            samples_per_second: samples as f64 / training_seconds,
            seconds: started.elapsed().as_secs_f64(),
        });
        (self.state.epoch, self.state.step, self.state.loss_sum) = (epoch, 0, 0.0);
        if let Some(score) = validation {
            self.state.plateau.observe(&config.schedule, config.learning_rate, score.loss);
        }
        if let Some(score) = averaged.or(validation) {
            let value = score.value(config.select_by);
            if self.state.best.is_none_or(|best| value > best.score.value(config.select_by)) {
                self.state.best = Some(Best { epoch, score });
                self.save_best()?;
            }
        }
        self.checkpoint()?;
        for callback in callbacks.iter_mut() {
            if callback.on_epoch(&self.state.history).map_err(|source| Error::Callback { source })? == Flow::Stop {
                flow = Flow::Stop;
            }
        }
        Ok(flow)
    }

    /// One step of the optimiser on one batch.
    fn step(&mut self, inputs: &Tensor, targets: &Tensor, global: u64, learning_rate: f64) -> Result<(), Error> {
        let config = &self.state.config;
        // LibTorch's generator cannot be saved, so it starts anew at every step.
        let seed = mix_seed(config.seed, &[3, global]);
        let mut targets = targets.shallow_clone();
        let mut inputs = match config.side(self.state.epoch + 1) {
            Some(side) => inputs.f_adaptive_avg_pool2d([side, side])?,
            None => inputs.shallow_clone(),
        };
        if config.mixup > 0.0 {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            (inputs, targets) = loss::mixup(&inputs, &targets, config.mixup, &mut rng)?;
        }
        if config.label_smoothing > 0.0 {
            targets = loss::smooth(&targets, config.label_smoothing)?;
        }
        let class_weights = if config.class_weights.is_empty() {
            None
        } else {
            Some(Tensor::f_from_slice(&config.class_weights)?.f_to_device(inputs.device())?)
        };

        self.optimizer.zero_grad();
        let logits = seeded(seed, || self.network.forward(&inputs, true))?;
        let mut loss = loss::cross_entropy(&logits, &targets, class_weights.as_ref())?;
        if config.penalty > 0.0 {
            for weight in &self.penalised {
                loss = loss.f_add(&weight.f_square()?.f_sum(Kind::Float)?.f_mul_scalar(config.penalty)?)?;
            }
        }
        let value = loss.f_double_value(&[])?;
        if !value.is_finite() {
            return Err(Error::NonFiniteLoss {
                loss: value,
                step: global,
                epoch: self.state.epoch + 1,
                learning_rate,
                checkpoint: self.last_checkpoint.clone(),
            });
        }
        loss.f_backward()?;
        if config.clip_norm > 0.0 {
            self.optimizer.clip(config.clip_norm)?;
        }
        self.optimizer.step(learning_rate)?;
        if let Some((_, store)) = &self.averaged {
            // Early on the average follows quickly, or it would remember the random start for many epochs.
            let decay = config.ema_decay.min((1.0 + global as f64) / (10.0 + global as f64));
            average(store, &self.store, decay)?;
        }
        self.state.step += 1;
        self.state.loss_sum += value;
        Ok(())
    }

    fn checkpoint(&mut self) -> Result<(), Error> {
        let Some(folder) = &self.folder else { return Ok(()) };
        let mut weights = Weights::default();
        weights.metadata = self.metadata.clone();
        weights.extend("model.", &self.store)?;
        if let Some((_, store)) = &self.averaged {
            weights.extend("average.", store)?;
        }
        self.optimizer.save(&mut weights)?;
        weights.metadata.insert("training".into(), self.state_text()?);
        let path = folder.join("last.safetensors");
        weights.save(&path)?;
        self.last_checkpoint = Some(path);
        Ok(())
    }

    fn save_best(&self) -> Result<(), Error> {
        let Some(folder) = &self.folder else { return Ok(()) };
        let store = self.averaged.as_ref().map_or(&self.store, |(_, store)| store);
        let mut weights = Weights::from_store(store)?;
        weights.metadata = self.metadata.clone();
        weights.metadata.insert("training".into(), self.state_text()?);
        weights.save(&folder.join("best.safetensors"))
    }

    fn state_text(&self) -> Result<String, Error> {
        let unwritable = |error: serde_json::Error| Error::Decode {
            path: "last.safetensors".into(),
            expected: "a training state".into(),
            source: error.into(),
        };
        serde_json::to_string(&self.state).map_err(unwritable)
    }
}

/// Moves the averaged tensors a step towards the network's. Batch norm statistics are averaged too.
fn average(averaged: &VarStore, current: &VarStore, decay: f64) -> Result<(), Error> {
    let current = current.variables();
    no_grad(|| {
        for (name, mut tensor) in averaged.variables() {
            let _ = tensor.f_lerp_(&current[&name], 1.0 - decay)?;
        }
        Ok(())
    })
}

/// The figures of a network on a data set.
///
/// # Errors
/// [`Error::InvalidInput`] for an empty set, [`Error::Sample`], [`Error::Backend`].
pub fn evaluate<N: Network + ?Sized, D: Dataset + ?Sized>(
    network: &N,
    dataset: &D,
    batch_size: usize,
    device: tch::Device,
    loader_threads: usize,
) -> Result<Score, Error> {
    if dataset.is_empty() {
        return Err(Error::input("data set", "at least 1 sample", 0));
    }
    let classes = dataset.classes();
    let mut loss_sum = 0.0;
    // Of each true class: how many there are, how many are found.
    let mut counts = vec![(0u64, 0u64); classes];
    let plan = evaluation_plan(dataset.len(), batch_size.max(1));
    for_each_batch(dataset, &plan, loader_threads, |_, batch| {
        let (inputs, targets) = batch.to_tensors(dataset.input_shape(), classes, device)?;
        let logits = no_grad(|| network.forward(&inputs, false))?;
        loss_sum += loss::cross_entropy(&logits, &targets, None)?.f_double_value(&[])? * inputs.size()[0] as f64;
        let list = |tensor: &Tensor| -> Result<Vec<i64>, Error> {
            Ok(Vec::try_from(tensor.f_argmax(-1, false)?.f_to_kind(Kind::Int64)?.f_to_device(tch::Device::Cpu)?)?)
        };
        for (predicted, class) in list(&logits)?.into_iter().zip(list(&targets)?) {
            let count = &mut counts[class as usize];
            count.0 += 1;
            count.1 += u64::from(predicted == class);
        }
        Ok(true)
    })?;
    let (all, found) = counts.iter().fold((0, 0), |sum, count| (sum.0 + count.0, sum.1 + count.1));
    let recalls: Vec<f64> =
        counts.iter().filter(|count| count.0 > 0).map(|count| count.1 as f64 / count.0 as f64).collect();
    Ok(Score {
        loss: loss_sum / all as f64,
        accuracy: found as f64 / all as f64,
        uar: recalls.iter().sum::<f64>() / recalls.len() as f64,
    })
}
