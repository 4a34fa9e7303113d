//! Trains a speech network on the corpora that lie below a folder, and measures it on speakers it never heard.
//!
//! ```text
//! # Watched, and calibrated, on four actors; the test actors stay untouched.
//! cargo run --release --example train_ser -- --data DATA --out runs/ser --validation-actors 13-16
//! # The same number of steps with the validation actors among the training clips, then one look at the test actors.
//! cargo run --release --example train_ser -- --data DATA --out runs/ser-final --temperature 1.2
//! # The first of the five published folds of actors, and another network.
//! cargo run --release --example train_ser -- --data DATA --out runs/ser-mlp --fold 1 --arch Mlp
//! ```
//!
//! DATA holds `ravdess/`, `tess/`, `savee/`, `cremad/` and `emodb/` as published, whichever are there. The folder of the
//! run gets `metrics.csv`, `curves.png`, `last.safetensors` (everything that `--resume` needs) and `model.safetensors`,
//! as `SerModel::load` reads it.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "it talks to the one who runs it")]

use std::io::IsTerminal;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use clap::Parser;
use emotion_core::BoxError;
use indicatif::{ProgressBar, ProgressStyle};
use model_kit::callback::{Callback, CsvLog, Flow, StepInfo};
use model_kit::device::{Device, set_threads};
use model_kit::metrics::{Confusion, Reliability};
use model_kit::plots::{TrainingLog, training_curves};
use model_kit::trainer::EpochRecord;
use ser_model::SerModel;
use ser_model::arch::Architecture;
use ser_model::cache::Cache;
use ser_model::corpus::{Clip, Corpus, RAVDESS_FOLDS, held_out};
use ser_model::dataset::{Sound, decode};
use ser_model::train::{Recipe, Run, answers, answers_by_speaker, train};

#[derive(Parser)]
#[command(about = "Trains a speech network", version)]
struct Options {
    /// The folder with the corpora.
    #[arg(long)]
    data: PathBuf,
    /// Where checkpoints, metrics and the final model go.
    #[arg(long, default_value = "runs/ser")]
    out: PathBuf,
    /// What the model is called in reports.
    #[arg(long, default_value = "ser-log-mel-1")]
    name: String,
    /// Which corpora to learn from; those whose folder is missing are passed over.
    #[arg(long, value_delimiter = ',', default_value = "ravdess,tess,savee,cremad,emodb")]
    corpora: Vec<Corpus>,
    /// RAVDESS actors that are measured once at the end and never learnt from, such as 17-20 or 3,6,7.
    #[arg(long, default_value = "17-20")]
    test_actors: String,
    /// One of RAVDESS's five published folds, 1 to 5, as the test actors.
    #[arg(long, conflicts_with = "test_actors")]
    fold: Option<usize>,
    /// RAVDESS actors that the training is watched and the temperature fitted on; without them nothing is watched.
    #[arg(long, default_value = "")]
    validation_actors: String,
    /// The temperature of the result where there are no validation actors.
    #[arg(long, default_value_t = 1.0)]
    temperature: f32,
    /// The network: LogMelCnn, DeepCnn1d, FourConvCnn, CnnLstm or Mlp.
    #[arg(long)]
    arch: Option<Architecture>,
    /// A recipe as JSON; the options below override it.
    #[arg(long)]
    config: Option<PathBuf>,
    /// Epochs: of 100 steps for LogMelCnn (`steps_per_epoch` of the recipe), of every clip and copy for the others.
    #[arg(long)]
    epochs: Option<usize>,
    /// Clips per step.
    #[arg(long)]
    batch: Option<usize>,
    /// The peak learning rate.
    #[arg(long)]
    lr: Option<f64>,
    /// What every random choice is drawn from.
    #[arg(long)]
    seed: Option<u64>,
    /// Threads of the network; as many as there are idle cores.
    #[arg(long, default_value_t = 1)]
    threads: usize,
    /// Threads that prepare clips ahead of the network; 0 prepares them in turn with it.
    #[arg(long, default_value_t = 1)]
    loaders: usize,
    /// cpu, cuda or cuda:N.
    #[arg(long)]
    device: Option<Device>,
    /// Where decoded sound is kept between runs; nowhere by default.
    #[arg(long)]
    cache: Option<PathBuf>,
    /// Go on where a training in the same folder stopped.
    #[arg(long)]
    resume: bool,
}

fn main() -> Result<()> {
    let options = Options::parse();
    set_threads(options.threads)?;
    let recipe = recipe(&options)?;
    let clips = clips(&options)?;
    let test_actors = match options.fold {
        None => actors(&options.test_actors)?,
        Some(fold) => {
            let fold = fold.checked_sub(1).and_then(|index| RAVDESS_FOLDS.get(index)).context("folds are 1 to 5")?;
            fold.iter().map(u8::to_string).collect()
        }
    };
    let (clips, test) = held_out(clips, Corpus::Ravdess, &test_actors);
    let (training, validation) = held_out(clips, Corpus::Ravdess, &actors(&options.validation_actors)?);
    ensure!(!training.is_empty(), "no clip is left to learn from");
    let cache = match &options.cache {
        Some(folder) => Cache::in_folder(folder)?,
        None => Cache::in_memory(),
    };
    let training = sounds("to learn from", &training, &recipe, &cache);
    let validation = sounds("to watch", &validation, &recipe, &cache);

    std::fs::create_dir_all(&options.out).with_context(|| format!("cannot create {}", options.out.display()))?;
    let run = Run {
        name: options.name.clone(),
        device: options.device.unwrap_or_else(Device::best),
        loader_threads: options.loaders,
        folder: options.out.clone(),
        resume: options.resume,
        temperature: options.temperature,
    };
    std::fs::write(options.out.join("recipe.json"), serde_json::to_string_pretty(&recipe)?)?;
    let mut log = CsvLog::new(options.out.join("metrics.csv"));
    let mut console = Console::new();
    let trained = train(&recipe, &run, &training, &validation, &mut [&mut log, &mut console])?;
    let history = TrainingLog::load(&options.out.join("metrics.csv"))?;
    training_curves(&history, &format!("Training of {}", options.name)).save(&options.out.join("curves.png"))?;
    println!(
        "temperature {:.3}; written to {}",
        trained.model.config().temperature,
        options.out.join("model.safetensors").display()
    );
    let mut model = trained.model;
    measure("validation", &mut model, &recipe, &validation)?;
    // With validation actors this run still chooses something: the test actors are not looked at.
    if validation.is_empty() {
        measure("test", &mut model, &recipe, &sounds("to test on", &test, &recipe, &cache))?;
    }
    Ok(())
}

fn recipe(options: &Options) -> Result<Recipe> {
    let mut recipe = match &options.config {
        None => Recipe::of(options.arch.unwrap_or_default()),
        Some(path) => {
            let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
            serde_json::from_str(&text).with_context(|| format!("{} is no recipe", path.display()))?
        }
    };
    recipe.architecture = options.arch.unwrap_or(recipe.architecture);
    let train = &mut recipe.train;
    train.epochs = options.epochs.unwrap_or(train.epochs);
    train.batch_size = options.batch.unwrap_or(train.batch_size);
    train.learning_rate = options.lr.unwrap_or(train.learning_rate);
    train.seed = options.seed.unwrap_or(train.seed);
    Ok(recipe)
}

/// Numbers and ranges of numbers, separated by commas: `1-4,9` is 1, 2, 3, 4, 9.
fn actors(list: &str) -> Result<Vec<String>> {
    let mut actors = Vec::new();
    for part in list.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let number = |text: &str| text.parse::<u32>().with_context(|| format!("{text:?} is no number of an actor"));
        actors.extend((number(first)?..=number(last)?).map(|actor| actor.to_string()));
    }
    Ok(actors)
}

fn clips(options: &Options) -> Result<Vec<Clip>> {
    let mut clips = Vec::new();
    for corpus in &options.corpora {
        let folder = options.data.join(corpus.name());
        if !folder.is_dir() {
            continue;
        }
        let scan = corpus.scan(&folder)?;
        eprintln!("{corpus}: {} clips, {} files set aside", scan.clips.len(), scan.skipped.len());
        for skipped in &scan.skipped {
            eprintln!("  {}", skipped.reason);
        }
        clips.extend(scan.clips);
    }
    ensure!(!clips.is_empty(), "{} holds none of the corpora", options.data.display());
    Ok(clips)
}

fn sounds(purpose: &str, clips: &[Clip], recipe: &Recipe, cache: &Cache) -> Vec<Sound> {
    let bar = ProgressBar::new(clips.len() as u64);
    let (sounds, skipped) = decode(clips, recipe.trim_db(), cache, &|| bar.inc(1));
    bar.finish_and_clear();
    eprintln!("{} clips {purpose}", sounds.len());
    for file in skipped {
        eprintln!("  left out: {}", file.reason);
    }
    sounds
}

fn measure(part: &str, model: &mut SerModel, recipe: &Recipe, sounds: &[Sound]) -> Result<()> {
    if sounds.is_empty() {
        return Ok(());
    }
    let (truth, scores) = if recipe.per_speaker {
        println!("{part}: each speaker's own clips told the model that speaker's mean and deviation beforehand");
        answers_by_speaker(model, sounds)?
    } else {
        answers(model, sounds)?
    };
    let confusion = Confusion::from_scores(&truth, &scores)?;
    println!(
        "{part}: {} of {} clips answered, mean recall {:.2} %, accuracy {:.2} %, calibration error {:.2} %",
        truth.len(),
        sounds.len(),
        100.0 * confusion.uar(),
        100.0 * confusion.accuracy(),
        100.0 * Reliability::new(&truth, &scores, 15)?.ece()
    );
    for (label, row) in confusion.labels().iter().zip(confusion.rows()) {
        println!("  {label:<9}{}", row.iter().map(|count| format!("{count:>5}")).collect::<String>());
    }
    Ok(())
}

/// A bar within each epoch on a terminal, and one line after each epoch anywhere.
struct Console {
    bar: Option<ProgressBar>,
}

impl Console {
    fn new() -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let style = ProgressStyle::with_template("{prefix} {bar:30} {pos}/{len} {msg}");
            ProgressBar::new(0).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
        });
        Self { bar }
    }
}

impl Callback for Console {
    fn on_step(&mut self, step: &StepInfo) -> Result<Flow, BoxError> {
        if let Some(bar) = &self.bar {
            bar.set_prefix(format!("{}/{}", step.epoch, step.epochs));
            bar.set_length(step.steps_per_epoch);
            bar.set_position(step.step);
            bar.set_message(format!("loss {:.3}, {:.0} clips/s", step.loss, step.samples_per_second));
        }
        Ok(Flow::Continue)
    }

    fn on_epoch(&mut self, history: &[EpochRecord]) -> Result<Flow, BoxError> {
        let Some(record) = history.last() else { return Ok(Flow::Continue) };
        let watched =
            [("validation", &record.validation), ("averaged weights", &record.averaged)].map(|(name, score)| {
                score.map_or_else(String::new, |score| {
                    format!(", {name}: mean recall {:.1} %, loss {:.3}", 100.0 * score.uar, score.loss)
                })
            });
        let line = format!(
            "{:>3}: training loss {:.3}{}{}, {:.0} clips/s",
            record.epoch, record.train_loss, watched[0], watched[1], record.samples_per_second
        );
        match &self.bar {
            Some(bar) => bar.println(line),
            None => eprintln!("{line}"),
        }
        Ok(Flow::Continue)
    }
}
