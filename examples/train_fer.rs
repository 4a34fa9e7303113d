//! Trains a face network on FER-2013: learns from Training, chooses the best epoch on PublicTest.
//!
//! ```text
//! cargo run --release --example train_fer -- --data fer2013.csv --out runs/fer
//! cargo run --release --example train_fer -- --data fer2013.csv --out runs/fer --resume
//! ```
//!
//! The folder gets `metrics.csv`, `curves.png`, `last.safetensors` (everything that `--resume` needs), `best.safetensors`
//! (the best epoch's weights) and, at the end, `model.safetensors`: the same in half precision and calibrated, as
//! `FerModel::load` reads it.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "it talks to the one who runs it")]

use std::io::IsTerminal;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::Parser;
use emotion_core::BoxError;
use fer_model::arch::Arch;
use fer_model::dataset::{FaceSet, Fer2013, Split};
use fer_model::train::{Recipe, Run, export, train};
use indicatif::{ProgressBar, ProgressStyle};
use model_kit::callback::{Callback, CsvLog, Flow, StepInfo};
use model_kit::device::{Device, set_threads};
use model_kit::plots::{TrainingLog, training_curves};
use model_kit::trainer::EpochRecord;

#[derive(Parser)]
#[command(about = "Trains a face network on FER-2013", version)]
struct Options {
    /// fer2013.csv, with the columns emotion, pixels and Usage.
    #[arg(long)]
    data: PathBuf,
    /// Where checkpoints, metrics and the final model go.
    #[arg(long, default_value = "runs/fer")]
    out: PathBuf,
    /// What the model is called in reports; the network's name if none is given.
    #[arg(long)]
    name: Option<String>,
    /// The network, trained by the recipe published with it: compact (our own), attention_cnn, mini_genie_cnn,
    /// realtime_cnn, five_conv_cnn, mlp, rnn or lstm.
    #[arg(long, default_value = "compact")]
    arch: Arch,
    /// A recipe as TOML (arch, augment, train) instead; the options below override it.
    #[arg(long, conflicts_with = "arch")]
    config: Option<PathBuf>,
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
    /// Threads of the network; as many as there are idle cores.
    #[arg(long, default_value_t = 2)]
    threads: usize,
    /// Threads that prepare pictures ahead of the network; 0 prepares them in turn with it.
    #[arg(long, default_value_t = 1)]
    loaders: usize,
    /// cpu, cuda or cuda:N.
    #[arg(long)]
    device: Option<Device>,
    /// Go on where a training in the same folder stopped.
    #[arg(long)]
    resume: bool,
}

fn main() -> Result<()> {
    let options = Options::parse();
    set_threads(options.threads)?;
    ensure!(
        options.resume || !options.out.join("last.safetensors").exists(),
        "{} already holds a training: go on with it by --resume, or choose another --out",
        options.out.display()
    );
    let data = Fer2013::load(&options.data)?;
    let (training, public) = (data.split(Split::Training), data.split(Split::Public));
    ensure!(!training.is_empty(), "{} has no Training rows", options.data.display());
    ensure!(!public.is_empty(), "{} has no PublicTest rows", options.data.display());
    let recipe = recipe(&options, &training)?;
    eprintln!("{} training pictures, {} to choose by", training.len(), public.len());

    std::fs::create_dir_all(&options.out).with_context(|| format!("cannot create {}", options.out.display()))?;
    let run = Run {
        device: options.device.unwrap_or_else(Device::best),
        loader_threads: options.loaders,
        folder: Some(options.out.clone()),
        resume: options.resume,
    };
    let mut log = CsvLog::new(options.out.join("metrics.csv"));
    let mut console = Console::new(recipe.train.epochs);
    let report = train(&recipe, &run, &training, &public, &mut [&mut log, &mut console])?;
    let history = TrainingLog::load(&options.out.join("metrics.csv"))?;
    training_curves(&history, "Training on FER-2013").save(&options.out.join("curves.png"))?;

    let model = options.out.join("model.safetensors");
    let best = report.best.context("no epoch was finished")?;
    let weights = options.out.join("best.safetensors");
    let name = options.name.unwrap_or_else(|| recipe.arch.to_string());
    let config = export(&recipe, &report, [&training, &public], &weights, &name, &model)?;
    println!(
        "best epoch {}: {:.2} % of PublicTest right, mean recall {:.2} %, temperature {:.3}; written to {}",
        best.epoch,
        100.0 * best.score.accuracy,
        100.0 * best.score.uar,
        config.temperature,
        model.display()
    );
    Ok(())
}

fn recipe(options: &Options, training: &FaceSet) -> Result<Recipe> {
    let mut recipe = match &options.config {
        None => Recipe::published(options.arch.clone(), &training.class_counts()),
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
    Ok(recipe)
}

/// A bar within each epoch on a terminal, and one line after each epoch anywhere.
struct Console {
    bar: Option<ProgressBar>,
    epochs: usize,
    started: Instant,
    first_epoch: Option<usize>,
}

impl Console {
    fn new(epochs: usize) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let style = ProgressStyle::with_template("{prefix} {bar:30} {pos}/{len} {msg}");
            ProgressBar::new(0).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
        });
        Self { bar, epochs, started: Instant::now(), first_epoch: None }
    }
}

impl Callback for Console {
    fn on_step(&mut self, step: &StepInfo) -> Result<Flow, BoxError> {
        self.first_epoch.get_or_insert(step.epoch);
        if let Some(bar) = &self.bar {
            bar.set_prefix(format!("epoch {}/{}", step.epoch, step.epochs));
            bar.set_length(step.steps_per_epoch);
            bar.set_position(step.step);
            bar.set_message(format!("loss {:.3}, {:.0} pictures/s", step.loss, step.samples_per_second));
        } else if step.epoch == 1 && step.step == 50 {
            eprintln!("after 50 steps: loss {:.3}, {:.0} pictures/s", step.loss, step.samples_per_second);
        }
        Ok(Flow::Continue)
    }

    fn on_epoch(&mut self, history: &[EpochRecord]) -> Result<Flow, BoxError> {
        let Some(record) = history.last() else { return Ok(Flow::Continue) };
        let finished = record.epoch + 1 - self.first_epoch.unwrap_or(record.epoch);
        let left = self.started.elapsed().as_secs_f64() / finished as f64 * (self.epochs - record.epoch) as f64;
        let percent = |score: &Option<_>| {
            score
                .as_ref()
                .map_or("-".into(), |score: &model_kit::trainer::Score| format!("{:.2} %", 100.0 * score.accuracy))
        };
        let line = format!(
            "epoch {:>3}/{}: training loss {:.4}, PublicTest {} (averaged weights {}), {:.0} pictures/s, {} left",
            record.epoch,
            self.epochs,
            record.train_loss,
            percent(&record.validation),
            percent(&record.averaged),
            record.samples_per_second,
            clock(Duration::from_secs_f64(left))
        );
        match &self.bar {
            Some(bar) => bar.println(line),
            None => eprintln!("{line}"),
        }
        Ok(Flow::Continue)
    }
}

fn clock(time: Duration) -> String {
    let minutes = time.as_secs() / 60;
    if minutes < 60 { format!("{minutes} min") } else { format!("{} h {:02} min", minutes / 60, minutes % 60) }
}
