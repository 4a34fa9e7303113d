//! Trains a face network: on FER-2013 it learns from Training and chooses the best epoch on PublicTest.
//!
//! ```text
//! cargo run --release --example train_fer -- --data fer2013.csv --out runs/fer
//! cargo run --release --example train_fer -- --data fer2013.csv --out runs/fer --resume    # or --finish, to leave it there
//! cargo run --release --example train_fer -- --data fer2013.csv --recipe minigenie --out runs/minigenie --tensorboard
//! cargo run --release --example train_fer -- --data fer2013.csv --recipe tiny --teacher large.safetensors --out runs/taught
//! cargo run --release --example train_fer -- --data fer2013.csv --recipe mlp --folds 5 --out runs/mlp-folds
//! cargo run --release --example train_fer -- --data fer2013.csv --labels ferplus --votes fer2013new.csv --out runs/ferplus
//! cargo run --release --example train_fer -- --data my-faces --backbone runs/fer/model.safetensors --out runs/mine
//! cargo run --release --example train_fer -- --data ck48 --pattern '{label}/{subject}_*' --folds 10 --out runs/ck
//! cargo run --release --example train_fer -- --recipe realtime --print-config > realtime.toml
//! ```
//!
//! `--data` is fer2013.csv, a folder of class folders (`happy/1.png`), a folder of such folders for training and validation, or
//! with `--pattern` any tree of pictures, whose people then never stand on two sides. Where nothing is set apart to choose
//! the epoch by, a tenth of the pictures is. FER+'s votes are learned as probabilities, or with `--votes-as majority` as the
//! one class that most people saw; either way the majority on PublicTest chooses.
//!
//! The folder gets `recipe.toml` (all that was set), `metrics.csv`, `last.safetensors` (everything that `--resume` needs),
//! `best.safetensors` (the best epoch's weights) and, at the end, `model.safetensors` (the same in half precision and
//! calibrated, as `FerModel::load` reads it) and the pictures `curves`, `confusion` and `classes`, each as PNG and SVG. With
//! `--folds` every fold has a folder of its own, and `folds.csv` the figures.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "it talks to the one who runs it")]

#[path = "common/face_course.rs"]
mod face_course;
#[path = "common/face_source.rs"]
mod face_source;

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::{Parser, ValueEnum};
use emotion_core::{BoxError, Emotion};
use face_source::Source;
use fer_model::FerModel;
use fer_model::dataset::{Course, FaceData, FaceSet, Part, VotesAs};
use fer_model::train::{Recipe, Run, export, train, train_fold};
use indicatif::{ProgressBar, ProgressStyle};
use model_kit::callback::{Callback, CsvLog, Flow, StepInfo, TensorBoard};
use model_kit::cross_validation::CrossValidation;
use model_kit::device::{Device, set_threads};
use model_kit::loss::Distillation;
use model_kit::metrics::Confusion;
use model_kit::plots::{Chart, TrainingLog, class_distribution, confusion_matrix, training_curves};
use model_kit::trainer::{Criterion, EpochRecord, Score};

#[derive(Parser)]
#[command(about = "Trains a face network on FER-2013, FER+ votes or pictures of your own", version)]
struct Options {
    /// fer2013.csv, a folder that holds it, a folder of class folders (with or without folders for training and validation
    /// above), or with --pattern a tree of pictures.
    #[arg(long, required_unless_present = "print_config")]
    data: Option<PathBuf>,
    #[command(flatten)]
    source: Source,
    /// What FER+'s votes on a picture are learned as: the share of each class, or the one class of the majority.
    #[arg(long, value_enum, default_value_t = Learned::Soft)]
    votes_as: Learned,
    /// Where checkpoints, metrics and the final model go.
    #[arg(long, default_value = "runs/fer")]
    out: PathBuf,
    /// What the model is called in reports; the network's name if none is given.
    #[arg(long)]
    name: Option<String>,
    /// The recipe: compact (our own network; tiny, wide, large in other sizes), or a published network by the recipe
    /// published with it: minigenie, realtime, five-conv, attention, mlp, rnn, lstm, or another network's full name, such as
    /// resnet18, vgg16-bn or inception-v3-frozen.
    #[arg(long, default_value = "compact", alias = "arch")]
    recipe: String,
    /// A recipe as TOML (arch, augment, train) instead; the options below override it.
    #[arg(long, conflicts_with = "recipe")]
    config: Option<PathBuf>,
    /// Print the whole recipe as TOML, as `--config` reads it, and do nothing else. Class weights need `--data`.
    #[arg(long)]
    print_config: bool,
    /// How often the training pictures are seen.
    #[arg(long)]
    epochs: Option<usize>,
    /// Pictures per step.
    #[arg(long)]
    batch: Option<usize>,
    /// The peak learning rate.
    #[arg(long)]
    lr: Option<f64>,
    /// What every random choice is drawn from.
    #[arg(long)]
    seed: Option<u64>,
    /// Weights to start from, all but the last layer: torchvision's for inception-v3, resnet and vgg, or a model file of the
    /// same network.
    #[arg(long)]
    backbone: Option<PathBuf>,
    /// A model file whose answers the network learns beside the labels (distillation; the recipe says how much).
    #[arg(long)]
    teacher: Option<PathBuf>,
    /// Cross-validate in this many folds of the training pictures, from 2, instead of training one model.
    #[arg(long)]
    folds: Option<usize>,
    /// Also write TensorBoard event files, into the folder's `tensorboard`.
    #[arg(long)]
    tensorboard: bool,
    /// Threads of the network; as many as there are idle cores.
    #[arg(long, default_value_t = 2)]
    threads: usize,
    /// Threads that prepare pictures ahead of the network; 0 prepares them in turn with it.
    #[arg(long, default_value_t = 1)]
    loaders: usize,
    /// cpu, cuda or cuda:N.
    #[arg(long)]
    device: Option<Device>,
    /// Keep all pictures on the device and change them there, where a GPU would wait for --loaders. Not for recipes with blur,
    /// low resolution or JPEG.
    #[arg(long)]
    resident: bool,
    /// Go on where a training in the same folder stopped.
    #[arg(long)]
    resume: bool,
    /// End a training in the same folder that was cut: make the model of its best epoch so far.
    #[arg(long, conflicts_with = "folds")]
    finish: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Learned {
    Soft,
    Majority,
}

fn main() -> Result<()> {
    let options = Options::parse();
    set_threads(options.threads)?;
    let votes_as = match options.votes_as {
        Learned::Soft => VotesAs::Soft,
        Learned::Majority => VotesAs::Majority,
    };
    let data = options.data.as_ref().map(|path| options.source.open(path)).transpose()?;
    if options.print_config {
        let training = data.map(|data| data.part(data.training()?, votes_as)).transpose()?;
        print!("{}", toml::to_string(&recipe(&options, training.map(|part| part.faces).as_ref())?)?);
        return Ok(());
    }
    let data = data.context("--data is missing")?;

    let out = &options.out;
    let marker = if options.folds.is_some() { out.join("fold-0") } else { out.clone() };
    ensure!(
        options.resume || options.finish || !marker.join("last.safetensors").exists(),
        "{} already holds a training: go on with it by --resume, or choose another --out",
        out.display()
    );
    let run = Run {
        device: options.device.unwrap_or_else(Device::best),
        loader_threads: options.loaders,
        resident: options.resident,
        folder: Some(out.clone()),
        resume: options.resume || options.finish,
        backbone: options.backbone.clone(),
        teacher: options.teacher.clone(),
    };
    match options.folds {
        Some(folds) => {
            let training = data.part(data.training()?, votes_as)?;
            let recipe = written(&options, &training.faces)?;
            cross_validate(&options, &recipe, &run, &training, folds)
        }
        None => {
            // The pictures to choose by are drawn from the same seed as everything else.
            let course = data.course(votes_as, face_course::CHOOSING, recipe(&options, None)?.train.seed)?;
            let recipe = written(&options, &course.training.faces)?;
            train_one(&options, &recipe, &run, &data, &course)
        }
    }
}

/// The recipe, which also goes into the folder.
fn written(options: &Options, training: &FaceSet) -> Result<Recipe> {
    let recipe = recipe(options, Some(training))?;
    let out = &options.out;
    std::fs::create_dir_all(out).with_context(|| format!("cannot create {}", out.display()))?;
    let path = out.join("recipe.toml");
    std::fs::write(&path, toml::to_string(&recipe)?).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(recipe)
}

fn recipe(options: &Options, training: Option<&FaceSet>) -> Result<Recipe> {
    let mut recipe = match &options.config {
        None => Recipe::named(&options.recipe, &training.map(FaceSet::class_counts).unwrap_or_default())?,
        Some(path) => {
            let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
            toml::from_str(&text).with_context(|| format!("{} is no recipe", path.display()))?
        }
    };
    let train = &mut recipe.train;
    train.epochs = options.epochs.unwrap_or(train.epochs);
    train.batch_size = options.batch.unwrap_or(train.batch_size);
    train.learning_rate = options.lr.unwrap_or(train.learning_rate);
    train.seed = options.seed.unwrap_or(train.seed);
    if options.teacher.is_some() {
        train.distillation.get_or_insert_with(Distillation::default);
    }
    train.validate()?;
    Ok(recipe)
}

fn train_one(options: &Options, recipe: &Recipe, run: &Run, data: &FaceData, course: &Course) -> Result<()> {
    let [training, choosing] = [&course.training.faces, &course.choosing.faces];
    let [learned_from, chosen_by] = &course.names;
    face_course::announce(course);
    let out = &options.out;
    let report = watched(options, out, chosen_by, recipe.train.epochs, |callbacks| {
        Ok(train(recipe, run, training, choosing, callbacks)?)
    })?;
    let set = data.name();
    draw(
        out,
        "curves",
        &training_curves(&TrainingLog::load(&out.join("metrics.csv"))?, &format!("Training on {set}")),
    )?;
    let counts = |faces: &FaceSet| -> Vec<(Emotion, u64)> {
        faces.labels().iter().zip(faces.class_counts()).map(|(emotion, count)| (emotion, count as u64)).collect()
    };
    let parts = [(learned_from.clone(), counts(training)), (chosen_by.clone(), counts(choosing))];
    draw(out, "classes", &class_distribution(&parts, &format!("The classes of {set}")))?;

    let model = out.join("model.safetensors");
    let best = report.best.context("no epoch has been finished yet")?;
    let weights = out.join("best.safetensors");
    let name = options.name.clone().unwrap_or_else(|| recipe.arch.to_string());
    let config = export(recipe, &report, [training, choosing], &weights, &name, &model)?;
    let (truth, faces): (Vec<_>, Vec<_>) =
        (0..choosing.len()).map(|index| (choosing.emotion(index), choosing.image(index))).unzip();
    let confusion = Confusion::from_scores(&truth, &FerModel::load(&model)?.predict_batch(&faces)?)?;
    draw(out, "confusion", &confusion_matrix(&confusion, &format!("{name} on {chosen_by}")))?;
    println!(
        "best epoch {}: {:.2} % right on {chosen_by}, mean recall {:.2} %, temperature {:.3}; written to {}",
        best.epoch,
        100.0 * best.score.accuracy,
        100.0 * best.score.uar,
        config.temperature,
        model.display()
    );
    Ok(())
}

/// Trains on each fold's pictures but a tenth, chooses the epoch by that tenth, and measures on the pictures left out. Where
/// people are known, nobody stands on two sides.
fn cross_validate(options: &Options, recipe: &Recipe, run: &Run, part: &Part, folds: usize) -> Result<()> {
    let faces = &part.faces;
    let mut outcomes = Vec::new();
    let mut table = String::from("fold,epoch,accuracy,uar,loss\n");
    for (number, round) in part.rounds(folds, face_course::CHOOSING, recipe.train.seed)?.into_iter().enumerate() {
        eprintln!(
            "fold {} of {folds}: {} training pictures, {} to choose by, {} to measure on",
            number + 1,
            round.train.len(),
            round.select.len(),
            round.test.len()
        );
        let folder = options.out.join(format!("fold-{number}"));
        let outcome = watched(options, &folder, "choosing", recipe.train.epochs, |callbacks| {
            Ok(train_fold(recipe, run, faces, (number, &round), callbacks)?)
        })?;
        let Score { loss, accuracy, uar } = outcome.score;
        let epoch = outcome.report.best.map_or(0, |best| best.epoch);
        println!("fold {}: {:.2} % right, mean recall {:.2} %", number + 1, 100.0 * accuracy, 100.0 * uar);
        table += &format!("{number},{epoch},{accuracy:.5},{uar:.5},{loss:.5}\n");
        outcomes.push(outcome);
        let path = options.out.join("folds.csv");
        std::fs::write(&path, &table).with_context(|| format!("cannot write {}", path.display()))?;
    }
    let result = CrossValidation { outcomes };
    for (name, criterion) in [("right", Criterion::Accuracy), ("mean recall", Criterion::Uar)] {
        let spread = result.spread(criterion);
        println!("{name}: {:.2} % ± {:.2} over {folds} folds", 100.0 * spread.mean, 100.0 * spread.deviation);
    }
    Ok(())
}

/// Runs a training with a log, a progress bar and, if asked for, TensorBoard's files.
fn watched<T>(
    options: &Options,
    folder: &Path,
    chosen_by: &str,
    epochs: usize,
    training: impl FnOnce(&mut [&mut dyn Callback]) -> Result<T>,
) -> Result<T> {
    std::fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let mut log = CsvLog::new(folder.join("metrics.csv"));
    let mut console = Console::new(epochs, chosen_by.to_owned());
    let mut board = options.tensorboard.then(|| TensorBoard::new(folder.join("tensorboard"))).transpose()?;
    let mut callbacks: Vec<&mut dyn Callback> = vec![&mut log, &mut console];
    callbacks.extend(board.as_mut().map(|board| board as &mut dyn Callback));
    let mut end = End;
    if options.finish {
        callbacks.push(&mut end);
    }
    training(&mut callbacks)
}

fn draw(folder: &Path, name: &str, chart: &Chart) -> Result<()> {
    for ending in ["png", "svg"] {
        chart.save(&folder.join(format!("{name}.{ending}")))?;
    }
    Ok(())
}

/// Stops a training after its next step.
struct End;

impl Callback for End {
    fn on_step(&mut self, _: &StepInfo) -> Result<Flow, BoxError> {
        Ok(Flow::Stop)
    }
}

/// A bar within each epoch on a terminal, and one line after each epoch anywhere.
struct Console {
    bar: Option<ProgressBar>,
    epochs: usize,
    chosen_by: String,
    started: Instant,
    /// Steps that were taken before this run.
    before: Option<u64>,
}

impl Console {
    fn new(epochs: usize, chosen_by: String) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let style = ProgressStyle::with_template("{prefix} {bar:30} {pos}/{len} {msg}");
            ProgressBar::new(0).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
        });
        Self { bar, epochs, chosen_by, started: Instant::now(), before: None }
    }

    /// How long the rest takes if it goes on as it did.
    fn left(&self, taken: u64, all: u64) -> String {
        let own = taken - self.before.unwrap_or(0).min(taken);
        let left = self.started.elapsed().as_secs_f64() / own.max(1) as f64 * all.saturating_sub(taken) as f64;
        let minutes = Duration::from_secs_f64(left).as_secs() / 60;
        if minutes < 60 { format!("{minutes} min") } else { format!("{} h {:02} min", minutes / 60, minutes % 60) }
    }
}

impl Callback for Console {
    fn on_step(&mut self, step: &StepInfo) -> Result<Flow, BoxError> {
        let taken = (step.epoch as u64 - 1) * step.steps_per_epoch + step.step;
        self.before.get_or_insert(taken - 1);
        let line = || {
            format!(
                "loss {:.3}, {:.1} % right, {:.0} pictures/s, {} left",
                step.loss,
                100.0 * step.accuracy,
                step.samples_per_second,
                self.left(taken, step.steps_per_epoch * step.epochs as u64)
            )
        };
        if let Some(bar) = &self.bar {
            bar.set_prefix(format!("epoch {}/{}", step.epoch, step.epochs));
            bar.set_length(step.steps_per_epoch);
            bar.set_position(step.step);
            bar.set_message(line());
        } else if step.epoch == 1 && step.step == 50 {
            eprintln!("after 50 steps: {}", line());
        }
        Ok(Flow::Continue)
    }

    fn on_epoch(&mut self, history: &[EpochRecord]) -> Result<Flow, BoxError> {
        let Some(record) = history.last() else { return Ok(Flow::Continue) };
        let percent = |share: Option<f64>| share.map_or("-".into(), |share| format!("{:.2} %", 100.0 * share));
        let accuracy = |score: &Option<Score>| percent(score.as_ref().map(|score| score.accuracy));
        let line = format!(
            "epoch {:>3}/{}: training loss {:.4}, {} right; {} {} (averaged weights {}); {:.0} pictures/s in {:.0} s",
            record.epoch,
            self.epochs,
            record.train_loss,
            percent(record.train_accuracy),
            self.chosen_by,
            accuracy(&record.validation),
            accuracy(&record.averaged),
            record.samples_per_second,
            record.seconds
        );
        match &self.bar {
            Some(bar) => bar.println(line),
            None => eprintln!("{line}"),
        }
        Ok(Flow::Continue)
    }
}
