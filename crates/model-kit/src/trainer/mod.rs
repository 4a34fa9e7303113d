//! The training loop, for any network and any data set.
//!
//! Everything random in a step (dropout, mixup, augmentation, order) is drawn from the seed and the step's number, and a
//! checkpoint holds everything else. A training on the processor that is cut anywhere and resumed therefore gives the
//! same bits as one that was never cut, on the same machine with the same number of threads.
//!
#![doc = include_str!("settings.md")]

mod checkpoint;
mod config;
mod evaluate;
mod precision;
mod report;
mod step;
mod stopping;

pub use config::{Criterion, SmallPictures, TrainConfig};
pub use evaluate::evaluate;
pub use precision::Precision;
pub use report::{Best, EpochRecord, Report, Score};
pub use stopping::{EarlyStop, Waiting};

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::PathBuf;
use std::time::Instant;

use checkpoint::State;
use precision::Half;
use step::Place;
use tch::Tensor;
use tch::nn::{self, VarStore};

use crate::Error;
use crate::callback::{Callback, Flow, StepInfo};
use crate::data::{Dataset, Request, for_each_batch, training_plan, weighted_plan};
use crate::device::Device;
use crate::generator::seeded;
use crate::layers::{Network, Result as TorchResult};
use crate::optim::Optimizer;
use crate::schedule::Schedule;
use crate::weights::Weights;

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
    /// The copy that passes are computed with where they are in half precision.
    half: Option<Half<N>>,
    teacher: Option<Teacher>,
    optimizer: Optimizer,
    penalised: Vec<Tensor>,
    /// The tensors that a pass in training changes: statistics of batch norms.
    statistics: Vec<Tensor>,
    /// The best epoch's weights, where they are to be restored.
    best_weights: Option<Weights>,
    folder: Option<PathBuf>,
    metadata: BTreeMap<String, String>,
    loader_threads: usize,
    checkpoint_steps: Option<u64>,
    last_checkpoint: Option<PathBuf>,
}

/// What gives the logits to learn from.
struct Teacher(Box<Logits>);

type Logits = dyn Fn(&Tensor) -> TorchResult<Tensor> + Send;

impl fmt::Debug for Teacher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Teacher")
    }
}

impl<N: Network> Trainer<N> {
    /// Builds the network from the seed. `build` is called once more when weights are averaged and once more for half
    /// precision, and must create the same tensors each time.
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
        let half = if config.precision == Precision::F32 {
            None
        } else {
            let (copy, network) = seeded(config.seed, make)?;
            Some(Half::new(config.precision, network, &copy, &store)?)
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
            statistics: store.variables().into_values().filter(|tensor| !tensor.requires_grad()).collect(),
            half,
            teacher: None,
            best_weights: None,
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

    /// Starts from other weights than those drawn from the seed: `load` writes them into the network's tensors. Do this before
    /// resuming.
    ///
    /// # Errors
    /// Whatever `load` says, and [`Error::Backend`].
    pub fn start_from<E: From<Error>>(mut self, load: impl FnOnce(&VarStore) -> Result<(), E>) -> Result<Self, E> {
        load(&self.store)?;
        if let Some((_, averaged)) = &mut self.averaged {
            averaged.copy(&self.store).map_err(Error::from)?;
        }
        Ok(self)
    }

    /// Whom the network learns from beside the labels, as [`TrainConfig::distillation`] says: a function that gives logits
    /// `[batch, classes]` for the very batch of inputs `[batch, …]` that the network is about to see, changed and mixed. A
    /// network is one by `|inputs| network.forward(inputs, false)`. With small pictures on, it sees whole ones. Checkpoints
    /// do not hold it: give it again before resuming.
    #[must_use]
    pub fn teacher(mut self, logits: impl Fn(&Tensor) -> TorchResult<Tensor> + Send + 'static) -> Self {
        self.teacher = Some(Teacher(Box::new(logits)));
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

    /// The figures of [`network`](Self::network) on a data set.
    ///
    /// # Errors
    /// As [`evaluate`].
    pub fn measure<D: Dataset>(&self, dataset: &D) -> Result<Score, Error> {
        let config = &self.state.config;
        evaluate(self.network(), dataset, config.batch_size, self.store.device(), self.loader_threads)
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
        let complete = self.finished();
        if complete {
            self.restore_best()?;
        }
        Ok(Report { history: self.state.history.clone(), best: self.state.best, complete })
    }

    /// Whether all epochs are done, or the patience is over.
    fn finished(&self) -> bool {
        let State { config, epoch, step, best, waiting, .. } = &self.state;
        let waited = best.map_or(0, |best| epoch - best.epoch);
        let stopped = waiting.is_over() || (config.patience > 0 && waited >= config.patience);
        *step == 0 && (*epoch >= config.epochs || stopped)
    }

    fn check<D: Dataset, V: Dataset>(&self, train: &D, valid: Option<&V>) -> Result<(), Error> {
        if train.len() < 2 {
            return Err(Error::input("training set", "at least 2 samples", train.len()));
        }
        let config = &self.state.config;
        for (field, weights) in
            [("class_weights", &config.class_weights), ("sampling_weights", &config.sampling_weights)]
        {
            if !weights.is_empty() && weights.len() != train.classes() {
                return Err(Error::config(field, format!("{} numbers", train.classes()), weights.len()));
            }
        }
        if valid.is_none() && matches!(config.schedule, Schedule::Plateau { metric, .. } if metric != Criterion::Loss) {
            let expected = "without a validation set, no plateaus but those of the loss";
            return Err(Error::config("schedule", expected, "plateau"));
        }
        if valid.is_none() && config.early_stop.is_some() {
            return Err(Error::config("early_stop", "none where no validation set is given", "one"));
        }
        if config.cutmix > 0.0 && train.input_shape().len() != 3 {
            let got = format!("inputs of shape {:?}", train.input_shape());
            return Err(Error::config("cutmix", "0 for what is no picture [channels, height, width]", got));
        }
        if !train.auxiliary().is_empty() && (config.mixup > 0.0 || config.cutmix > 0.0) {
            return Err(Error::config("mixup, cutmix", "0 where samples tell more than their class", "one above 0"));
        }
        match (&config.distillation, &self.teacher) {
            (Some(_), None) => return Err(Error::config("distillation", "none without a teacher", "one")),
            (None, Some(_)) => return Err(Error::config("distillation", "settings for the teacher", "none")),
            _ => {}
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

    /// The batches of an epoch.
    fn plan<D: Dataset>(&self, train: &D, epoch: usize) -> Result<Vec<Vec<Request>>, Error> {
        let config = &self.state.config;
        if config.sampling_weights.is_empty() {
            return Ok(training_plan(train.len(), config.batch_size, config.seed, epoch));
        }
        let mut classes = Vec::with_capacity(train.len());
        for index in 0..train.len() {
            let class = train.class(index).filter(|&class| class < train.classes());
            classes.push(class.ok_or_else(|| Error::input("training set", "a class for every sample", "none"))?);
        }
        Ok(weighted_plan(&classes, &config.sampling_weights, config.batch_size, config.seed, epoch))
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
        let plan = self.plan(train, epoch)?;
        let steps = plan.len() as u64;
        let first = self.state.step;
        let mut flow = Flow::Continue;
        let mut samples = 0;
        let mut learning_rate = 0.0;
        let threads = self.loader_threads;
        for_each_batch(train, &plan[first as usize..], threads, |_, batch| {
            let (inputs, targets) = batch.to_tensors(train, self.store.device())?;
            let global = (epoch as u64 - 1) * steps + self.state.step;
            let total = steps * config.epochs as u64;
            learning_rate =
                self.state.plateau.rate(config.learning_rate) * config.schedule.factor(global, total, steps);
            if let Some(momentum) = config.schedule.momentum(global, total) {
                self.optimizer.set_momentum(momentum);
            }
            let step_loss = self.step(&inputs, &targets, train.auxiliary(), Place { step: global, learning_rate })?;
            samples += inputs.size()[0];
            let info = StepInfo {
                epoch,
                epochs: config.epochs,
                step: self.state.step,
                steps_per_epoch: steps,
                loss: self.state.loss_sum / self.state.step as f64,
                step_loss,
                accuracy: self.state.right as f64 / self.state.seen as f64,
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
        let train_loss = self.state.loss_sum / steps as f64;
        self.state.history.push(EpochRecord {
            epoch,
            learning_rate,
            train_loss,
            train_accuracy: Some(self.state.right as f64 / self.state.seen as f64),
            validation,
            averaged,
            samples_per_second: samples as f64 / training_seconds,
            seconds: started.elapsed().as_secs_f64(),
        });
        (self.state.epoch, self.state.step, self.state.loss_sum) = (epoch, 0, 0.0);
        (self.state.seen, self.state.right) = (0, 0);
        if let Schedule::Plateau { metric, .. } = config.schedule {
            let watched = validation.map_or(train_loss, |score| score.value(metric));
            self.state.plateau.observe(&config.schedule, config.learning_rate, watched);
        }
        if let Some(score) = averaged.or(validation) {
            let by = config.select_by;
            let value = score.value(by);
            if self.state.best.is_none_or(|best| by.better(value, best.score.value(by), 0.0)) {
                self.state.best = Some(Best { epoch, score });
                self.keep_best()?;
            }
            if let Some(rule) = config.early_stop {
                self.state.waiting.observe(&rule, epoch, score.value(rule.metric));
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
}
