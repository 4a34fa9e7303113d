//! Trains a speech network on the corpora that lie below a folder, and measures it on speakers it never heard.
//!
//! ```text
//! # Watched, and calibrated, on four actors; the test actors stay untouched.
//! cargo run --release --example train_ser -- --data DATA --out runs/ser --validation-actors 13-16
//! # The same number of steps with the validation actors among the training clips, then one look at the test actors.
//! cargo run --release --example train_ser -- --data DATA --out runs/ser-final --temperature 1.2
//! # The parts of a file; every run leaves such a file, with a hash, in its folder.
//! cargo run --release --example train_ser -- --data DATA --out runs/again --split runs/ser/split.json
//! # Every one of RAVDESS's five published folds in turn, and a classic network by its own recipe.
//! cargo run --release --example train_ser -- --data DATA --corpora ravdess --arch DeepCnn1d --cross-validate ravdess-folds
//! # A stranger of each of three corpora held out at once; learn from one corpus and measure on the others.
//! cargo run --release --example train_ser -- --data DATA --corpora ravdess,tess,savee --seven --cross-validate strangers
//! cargo run --release --example train_ser -- --data DATA --corpora ravdess,tess,savee --seven --cross-validate corpora
//! # (Every cross-validation ends with the temperature of its held-out answers, for the --temperature of a last training.)
//! # The papers' procedure, which leaks: its figure stands for nothing but itself.
//! cargo run --release --example train_ser -- --data DATA --corpora ravdess --arch DeepCnn1d --leaky
//! ```
//!
//! DATA holds `ravdess/`, `tess/`, `savee/`, `cremad/` and `emodb/` as published, whichever are there. The folder of the
//! run gets `recipe.json`, `split.json`, `metrics.csv`, `curves.png`, `last.safetensors` (everything that `--resume` needs)
//! and `model.safetensors`, as `SerModel::load` reads it; with `--cross-validate`, a folder of these for each fold, and
//! `evaluation.json` and `confusion.png` over all of them.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "it talks to the one who runs it")]

#[path = "common/ser_console.rs"]
mod ser_console;
#[path = "common/ser_parts.rs"]
mod ser_parts;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use clap::Parser;
use emotion_core::LabelSet;
use indicatif::ProgressBar;
use model_kit::callback::CsvLog;
use model_kit::device::{Device, set_threads};
use model_kit::metrics::{Confusion, Evaluation, EvaluationContext, fit_temperature};
use model_kit::plots::{TrainingLog, confusion_matrix, training_curves};
use model_kit::split::SavedSplit;
use model_kit::trainer::Precision;
use ser_console::Console;
use ser_model::SerModel;
use ser_model::arch::Architecture;
use ser_model::cache::Cache;
use ser_model::corpus::split::{NamedFold, Protocol};
use ser_model::corpus::{Clip, Corpus, RAVDESS_FOLDS};
use ser_model::dataset::{Sound, decode};
use ser_model::evaluate::{Answers, Table};
use ser_model::input::missing_bytes;
use ser_model::prepared::Progress;
use ser_model::train::{Recipe, Run, train, train_leaky};
use ser_parts::{Parts, actors, without_calm};
use serde_json::json;

#[derive(Parser)]
#[command(about = "Trains a speech network", version)]
struct Options {
    /// The folder with the corpora.
    #[arg(long)]
    data: PathBuf,
    /// Where checkpoints, metrics and the final model go.
    #[arg(long, default_value = "runs/ser")]
    out: PathBuf,
    /// What the model is called in reports; by default, its network.
    #[arg(long)]
    name: Option<String>,
    /// Which corpora to learn from; those whose folder is missing are passed over.
    #[arg(long, value_delimiter = ',', default_value = "ravdess,tess,savee,cremad,emodb")]
    corpora: Vec<Corpus>,
    /// Seven labels, those that most corpora share: calm clips count as neutral.
    #[arg(long)]
    seven: bool,
    /// RAVDESS actors that are measured once at the end and never learnt from, such as 17-20 or 3,6,7. With --cross-validate,
    /// which holds out every speaker in turn, those to whose clips no temperature is fitted.
    #[arg(long, default_value = "17-20")]
    test_actors: String,
    /// One of RAVDESS's five published folds, 1 to 5, as the test actors.
    #[arg(long, conflicts_with = "test_actors")]
    fold: Option<usize>,
    /// RAVDESS actors that the training is watched and the temperature fitted on; without them nothing is watched.
    #[arg(long, default_value = "")]
    validation_actors: String,
    /// A file with the parts `train`, `test` and, if wanted, `validation`: an `emotion.split/1`.
    #[arg(long, conflicts_with_all = ["test_actors", "fold", "validation_actors"])]
    split: Option<PathBuf>,
    /// Train and measure in every fold of a protocol: ravdess-folds, loso (leave one speaker out), speakers-K, clips-K (by
    /// clip: known voices), strangers (a RAVDESS fold and a speaker of every other corpus held out), corpora (learn from
    /// one, measure on the others).
    #[arg(long, conflicts_with_all = ["fold", "validation_actors", "split"])]
    cross_validate: Option<Protocol>,
    /// Only these folds of the protocol, from 1, with commas between.
    #[arg(long, value_delimiter = ',', requires = "cross_validate")]
    only: Vec<usize>,
    /// The papers' procedure, WHICH LEAKS: makes changed copies of all clips first and then draws a fifth of all copies as
    /// the held-out part. For the classic networks, to show the inflated figure beside an honest one.
    #[arg(long, conflicts_with_all = ["test_actors", "fold", "validation_actors", "split", "cross_validate"])]
    leaky: bool,
    /// The temperature of the result where there are no validation clips.
    #[arg(long, default_value_t = 1.0)]
    temperature: f32,
    /// The network: MaskedCnn, LogMelCnn, DeepCnn1d, FourConvCnn, CnnLstm, Mlp, Rnn, Lstm or MfccCnn.
    #[arg(long)]
    arch: Option<Architecture>,
    /// A recipe as JSON; the options below override it.
    #[arg(long)]
    config: Option<PathBuf>,
    /// Epochs: of 100 steps for MaskedCnn and LogMelCnn (`steps_per_epoch` of the recipe), of every clip and copy for the others.
    #[arg(long)]
    epochs: Option<usize>,
    /// Clips per step.
    #[arg(long)]
    batch: Option<usize>,
    /// The peak learning rate.
    #[arg(long)]
    lr: Option<f64>,
    /// What forward and backward passes are computed in: f32, bf16 (faster on processors with AMX, and on GPUs) or f16.
    #[arg(long)]
    precision: Option<Precision>,
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
    /// Where decoded sound and features are kept between runs; nowhere by default.
    #[arg(long)]
    cache: Option<PathBuf>,
    /// A model file whose weights to start from, instead of drawn ones; where it has other labels, all but the last layer.
    /// What it has heard must not be measured on: with --cross-validate this is the folder of an earlier one, by the same
    /// protocol and data, and each fold starts from its own model there.
    #[arg(long, conflicts_with = "leaky")]
    start_from: Option<PathBuf>,
    /// Go on where a training in the same folder stopped.
    #[arg(long)]
    resume: bool,
}

fn main() -> Result<()> {
    let options = Options::parse();
    set_threads(options.threads)?;
    let session = Session::new(&options)?;
    match (&options.cross_validate, options.leaky) {
        (Some(protocol), _) => session.cross_validate(*protocol),
        (None, true) => session.leaky(),
        (None, false) => session.one(),
    }
}

/// A recipe, the clips, and where things go.
struct Session<'a> {
    options: &'a Options,
    recipe: Recipe,
    name: String,
    sounds: Vec<Sound>,
    clips: Vec<Clip>,
    cache: Arc<Cache>,
}

impl<'a> Session<'a> {
    fn new(options: &'a Options) -> Result<Self> {
        let recipe = recipe(options)?;
        let clips = clips(options)?;
        let cache = Arc::new(match &options.cache {
            Some(folder) => Cache::in_folder(folder)?,
            None => Cache::in_memory(),
        });
        let bar = ProgressBar::new(clips.len() as u64);
        let (sounds, skipped) = decode(&clips, recipe.trim_db(), &cache, &|| bar.inc(1));
        bar.finish_and_clear();
        for file in &skipped {
            eprintln!("left out {}: {}", file.path.display(), file.reason);
        }
        let mut cut_off = 0;
        for sound in &sounds {
            if missing_bytes(&sound.clip.path)? > 0 {
                eprintln!("cut off, and read as far as it goes: {}", sound.clip.path.display());
                cut_off += 1;
            }
        }
        let left_out = skipped.len();
        eprintln!("{} clips, {cut_off} of them cut off; {left_out} left out because they cannot be read", sounds.len());
        std::fs::create_dir_all(&options.out).with_context(|| format!("cannot create {}", options.out.display()))?;
        std::fs::write(options.out.join("recipe.json"), serde_json::to_string_pretty(&recipe)?)?;
        let clips = sounds.iter().map(|sound| sound.clip.clone()).collect();
        let name = options.name.clone().unwrap_or_else(|| recipe.architecture.to_string());
        Ok(Self { options, recipe, name, sounds, clips, cache })
    }

    fn part(&self, places: &[usize]) -> Vec<Sound> {
        places.iter().map(|&place| self.sounds[place].clone()).collect()
    }

    fn run(&self, folder: &Path, start_from: Option<PathBuf>) -> Run {
        let bar = ProgressBar::new(0);
        let progress = Progress::new(move |done, of| {
            if done == 1 {
                bar.reset();
                bar.set_length(of as u64);
            }
            bar.set_position(done as u64);
            if done == of {
                bar.finish_and_clear();
                eprintln!("features of {of} samples in {:.1} s", bar.elapsed().as_secs_f64());
            }
        });
        Run {
            name: self.name.clone(),
            device: self.options.device.unwrap_or_else(Device::best),
            loader_threads: self.options.loaders,
            folder: folder.to_owned(),
            resume: self.options.resume,
            start_from,
            temperature: self.options.temperature,
            cache: self.cache.clone(),
            progress,
        }
    }

    /// Trains in one folder, leaving the split, the course and the curves beside the model.
    fn train(&self, parts: &Parts, description: &str, folder: &Path) -> Result<SerModel> {
        ensure!(!parts.train.is_empty(), "no clip is left to learn from");
        std::fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
        let hash = parts.save(&folder.join("split.json"), description, &self.clips)?;
        let Parts { train: learnt, validation, test } = parts;
        println!(
            "{description}: {} clips to learn from, {} to watch, {} to test on; split {}; audit: {}",
            learnt.len(),
            validation.len(),
            test.len(),
            &hash[..12],
            parts.audit(&self.sounds)?
        );
        let start_from = self.start_from(folder, &hash)?;
        let mut log = CsvLog::new(folder.join("metrics.csv"));
        let (learnt, validation) = (self.part(learnt), self.part(validation));
        let callbacks: &mut [&mut dyn model_kit::callback::Callback] = &mut [&mut log, &mut Console::new()];
        let trained = train(&self.recipe, &self.run(folder, start_from), &learnt, &validation, callbacks)?;
        self.curves(folder)?;
        Ok(trained.model)
    }

    /// The model to start from; in a cross-validation, that of the same fold, which must have held out the same clips.
    fn start_from(&self, folder: &Path, split: &str) -> Result<Option<PathBuf>> {
        let Some(start) = &self.options.start_from else { return Ok(None) };
        if self.options.cross_validate.is_none() {
            return Ok(Some(start.clone()));
        }
        let there = start.join(folder.file_name().context("the folder of a fold has a name")?);
        let learnt = SavedSplit::load(&there.join("split.json"))?;
        ensure!(learnt.hash() == split, "{} has heard other clips than this fold's to learn from", there.display());
        Ok(Some(there.join("model.safetensors")))
    }

    fn curves(&self, folder: &Path) -> Result<()> {
        let history = TrainingLog::load(&folder.join("metrics.csv"))?;
        training_curves(&history, &format!("Training of {}", self.name)).save(&folder.join("curves.png"))?;
        Ok(())
    }

    fn answers(&self, model: &mut SerModel, places: &[usize]) -> Result<Answers> {
        let mut answers = Answers::new(&self.recipe.labels);
        answers.ask_all(model, &self.part(places), self.recipe.per_speaker)?;
        Ok(answers)
    }

    /// One training, by actors or by a file.
    fn one(&self) -> Result<()> {
        let options = self.options;
        let parts = match (&options.split, options.fold) {
            (Some(file), _) => Parts::load(file, &self.clips)?,
            (None, fold) => {
                let test = match fold {
                    None => actors(&options.test_actors)?,
                    Some(fold) => published_fold(fold)?,
                };
                Parts::by_actors(&self.clips, &test, &actors(&options.validation_actors)?)
            }
        };
        let description = match &options.split {
            Some(file) => file.display().to_string(),
            None => "by RAVDESS actors".to_owned(),
        };
        let mut model = self.train(&parts, &description, &options.out)?;
        println!(
            "temperature {:.3}; written to {}",
            model.config().temperature,
            options.out.join("model.safetensors").display()
        );
        if !parts.validation.is_empty() {
            // With validation clips this run still chooses something: the test clips are not looked at.
            return self.report("validation", &self.answers(&mut model, &parts.validation)?);
        }
        self.report("test", &self.answers(&mut model, &parts.test)?)
    }

    /// The figures of one part, and its confusions.
    fn report(&self, part: &str, answers: &Answers) -> Result<()> {
        if answers.is_empty() {
            return Ok(());
        }
        if self.recipe.per_speaker {
            println!("each speaker's own clips told the model that speaker's mean and deviation beforehand");
        }
        let (truth, scores) = answers.answered();
        let context = EvaluationContext {
            model: self.name.clone(),
            data: names(&self.options.corpora),
            split: part.to_owned(),
            tta: false,
        };
        let mut evaluation = Evaluation::new(&context, &truth, &scores)?;
        let confusion = Confusion::from_scores(&truth, &scores)?;
        println!("\n{}\n{}", confusions(&confusion), Table { title: part.to_owned(), rows: vec![answers.row("all")] });
        let tables = [
            answers.by("by corpus", |clip| Some(clip.corpus.to_string())),
            answers.by("by sex", |clip| clip.sex.map(|sex| sex.to_string())),
            answers.by("by speaker", |clip| Some(clip.speaker_key())),
        ];
        for table in tables.iter().filter(|table| table.rows.len() > 1) {
            println!("{table}");
            evaluation.notes.insert(table.title.replace(' ', "_"), serde_json::to_value(table)?);
        }
        evaluation.notes.insert("unanswered".to_owned(), json!(answers.unanswered()));
        std::fs::write(self.options.out.join("evaluation.json"), serde_json::to_string_pretty(&evaluation)?)?;
        let title = format!("{}, {part}", self.name);
        confusion_matrix(&confusion, &title).save(&self.options.out.join("confusion.png"))?;
        Ok(())
    }

    fn cross_validate(&self, protocol: Protocol) -> Result<()> {
        let folds = protocol.folds(&self.clips, self.recipe.train.seed)?;
        let wrong = self.options.only.iter().find(|number| !(1..=folds.len()).contains(*number));
        ensure!(wrong.is_none(), "--only: {protocol} has folds 1 to {}", folds.len());
        let wanted = |number: usize| self.options.only.is_empty() || self.options.only.contains(&(number + 1));
        let mut all = Answers::new(&self.recipe.labels);
        let mut table = Table { title: protocol.to_string(), rows: Vec::new() };
        let mut within = Vec::new();
        for (number, NamedFold { name, fold }) in folds.into_iter().enumerate().filter(|(number, _)| wanted(*number)) {
            let parts = Parts { train: fold.train, validation: Vec::new(), test: fold.test };
            let folder = self.options.out.join(format!("fold-{}", number + 1));
            let mut model = self.train(&parts, &name, &folder)?;
            let answers = self.answers(&mut model, &parts.test)?;
            let row = answers.row(name);
            println!("{}: mean recall {:.1} %, accuracy {:.1} %", row.name, 100.0 * row.uar, 100.0 * row.accuracy);
            let by_corpus = answers.by(&row.name, |clip| Some(clip.corpus.to_string()));
            table.rows.push(row);
            within.extend((by_corpus.rows.len() > 1).then_some(by_corpus));
            all.append(answers)?;
        }
        println!("\n{table}");
        within.iter().for_each(|table| println!("{table}"));
        if let Some([uar, accuracy]) = table.means() {
            println!("mean and deviation over {} folds: mean recall {uar}, accuracy {accuracy}", table.rows.len());
        }
        self.suggest_temperature(&all)?;
        self.report(&format!("all folds of {protocol}"), &all)
    }

    /// The temperature for a model of the same recipe that learns from every fold: that of the held-out answers, each from a
    /// model that had not heard the speaker. The test actors' own answers have no say in it.
    fn suggest_temperature(&self, answers: &Answers) -> Result<()> {
        let test = actors(&self.options.test_actors)?;
        let is_test = |clip: &Clip| clip.corpus == Corpus::Ravdess && test.iter().any(|actor| clip.is_by(actor));
        let (truth, scores) = answers.only(|clip| !is_test(clip)).answered();
        if !truth.is_empty() {
            // The answers already stand at the temperature of the run.
            let temperature = self.options.temperature * fit_temperature(&truth, &scores)?;
            println!(
                "temperature of {} held-out answers, none of RAVDESS actors {}: {temperature:.4}",
                truth.len(),
                self.options.test_actors
            );
        }
        Ok(())
    }

    fn leaky(&self) -> Result<()> {
        eprintln!(
            "WARNING: --leaky makes changed copies first and splits by copy, as the papers do: most held-out samples are \
             versions of clips that were heard. Its figure is not a measure of the model."
        );
        let folder = &self.options.out;
        let mut log = CsvLog::new(folder.join("metrics.csv"));
        let callbacks: &mut [&mut dyn model_kit::callback::Callback] = &mut [&mut log, &mut Console::new()];
        let leaky = train_leaky(&self.recipe, &self.run(folder, None), &self.sounds, 0.2, callbacks)?;
        self.curves(folder)?;
        let held_out = leaky.confusion.samples();
        let copies =
            leaky.audit.exact.across.iter().find(|found| found.split == "test").map_or(0, |found| found.samples);
        println!("{}", confusions(&leaky.confusion));
        println!(
            "LEAKY: mean recall {:.1} %, accuracy {:.1} % on {held_out} held-out samples, of which {copies} ({:.1} %) are \
             versions of clips that the training heard",
            100.0 * leaky.confusion.uar(),
            100.0 * leaky.confusion.accuracy(),
            100.0 * copies as f64 / held_out.max(1) as f64
        );
        let title = format!("{}, leaky", self.name);
        confusion_matrix(&leaky.confusion, &title).save(&folder.join("confusion.png"))?;
        Ok(())
    }
}

fn published_fold(fold: usize) -> Result<Vec<String>> {
    let fold = fold.checked_sub(1).and_then(|index| RAVDESS_FOLDS.get(index)).context("folds are 1 to 5")?;
    Ok(fold.iter().map(u8::to_string).collect())
}

fn names(corpora: &[Corpus]) -> String {
    corpora.iter().map(|corpus| corpus.name()).collect::<Vec<_>>().join(",")
}

/// Rows: what was acted; columns, in the same order: what was heard.
fn confusions(confusion: &Confusion) -> String {
    let line = |(label, row): (_, &[u64])| {
        let counts: String = row.iter().map(|count| format!("{count:>5}")).collect();
        format!("  {label:<9}{counts}\n")
    };
    confusion.labels().iter().zip(confusion.rows()).map(line).collect()
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
    if options.seven {
        recipe.labels = LabelSet::face7();
    }
    let train = &mut recipe.train;
    train.epochs = options.epochs.unwrap_or(train.epochs);
    train.batch_size = options.batch.unwrap_or(train.batch_size);
    train.learning_rate = options.lr.unwrap_or(train.learning_rate);
    train.precision = options.precision.unwrap_or(train.precision);
    train.seed = options.seed.unwrap_or(train.seed);
    Ok(recipe)
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
    if options.seven {
        clips = clips.into_iter().map(without_calm).collect();
    }
    Ok(clips)
}
