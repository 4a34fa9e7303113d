//! Measures a speech model: on a corpus or several, by sex and by speaker, and in noise.
//!
//! ```text
//! # Actors whom the shipped model has not heard; then the same in noise, with the voices of the other actors as babble.
//! evaluate_ser --corpus ravdess --data ravdess --speakers 17,18,19,20
//! evaluate_ser --corpus ravdess --data ravdess --speakers 17,18,19,20 --snr 20,10,5,0 --noise white,babble
//! # Two models on three corpora: DATA holds ravdess/, tess/ and savee/. In the seven labels that these share.
//! evaluate_ser --corpus ravdess,tess,savee --data DATA --seven --weights runs/a/model.safetensors,runs/b/model.safetensors
//! ```
//!
//! Start it with `cargo run --release --example`. Prints tables, or with `--json` one `emotion.evaluation/1` object, and
//! nothing else on stdout. Each clip is answered as a whole. The head and the object's figures are over the clips that were
//! answered; in the tables a clip without an answer counts as wrong. The figure that counts is the one on speakers whom the
//! model was not trained on: name them.

#![allow(clippy::print_stderr, reason = "it talks to the one who runs it")]

#[path = "common/report.rs"]
mod report;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail, ensure};
use clap::{Parser, ValueEnum};
use emotion_core::LabelSet;
use model_kit::device::set_threads;
use model_kit::metrics::{Evaluation, EvaluationContext};
use model_kit::split::SavedSplit;
use ser_model::SerModel;
use ser_model::augment::{Babble, NoiseKind};
use ser_model::cache::Cache;
use ser_model::corpus::crowd::label_by_crowd;
use ser_model::corpus::split::from_saved;
use ser_model::corpus::{Clip, Corpus};
use ser_model::dataset::{Sound, decode};
use ser_model::evaluate::{Answers, Condition, Row, Table, in_noise};
use ser_model::input::missing_bytes;
use serde_json::{Value, json};

#[derive(Parser)]
#[command(about = "Measures a speech model on corpora", version)]
struct Options {
    /// ravdess, tess, savee, cremad, emodb or folders (EMOTION/clip.wav or EMOTION/SPEAKER/clip.wav); several with commas.
    #[arg(long, value_delimiter = ',', required = true)]
    corpus: Vec<Corpus>,
    /// The corpus's folder; with several corpora, the folder that holds one for each, by its name.
    #[arg(long)]
    data: PathBuf,
    /// Only the clips of these speakers, with commas between, such as 21,22 or DC,JE or, of several corpora, ravdess/21.
    #[arg(long, value_delimiter = ',')]
    speakers: Vec<String>,
    /// Only the clips of a part of this file, an `emotion.split/1`.
    #[arg(long, conflicts_with = "speakers")]
    split: Option<PathBuf>,
    /// The part of the file.
    #[arg(long, default_value = "test")]
    part: String,
    /// A model file, or `pretrained` for the one that comes with the crate. The tables by corpus hold a row for each of
    /// several, with commas between; everything else is about the first.
    #[arg(long, value_delimiter = ',', default_value = "pretrained")]
    weights: Vec<String>,
    /// Judge in the seven labels that most corpora share, calm counted as neutral.
    #[arg(long)]
    seven: bool,
    /// What counts as true: what the actor meant, or what the crowd heard (CREMA-D; clips with tied votes are left out).
    #[arg(long, value_enum, default_value_t = Truth::Meant)]
    truth: Truth,
    /// Also measure in noise so many dB below the speech, with commas between.
    #[arg(long, value_delimiter = ',', allow_hyphen_values = true)]
    snr: Vec<f32>,
    /// The noises: white, pink, babble (four other speakers of these corpora, of none of the clips that are measured).
    #[arg(long, value_delimiter = ',', default_value = "white,babble")]
    noise: Vec<NoiseKind>,
    /// What noise is drawn from.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// How often each noise is drawn: from this seed and the next ones. The tables are about the first draw; the mean recalls of
    /// all stand below them. Few clips in babble differ by some points from draw to draw.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    draws: u64,
    /// Print one JSON object instead of tables.
    #[arg(long)]
    json: bool,
    /// Also save the confusion matrix and the reliability diagram, as PNG and SVG, in this folder.
    #[arg(long)]
    plots: Option<PathBuf>,
    /// Threads of the network: it is small, and more than one only help on idle cores.
    #[arg(long, default_value_t = 1)]
    threads: usize,
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum Truth {
    Meant,
    Crowd,
}

/// How many clips were not asked about, by reason.
#[derive(Default)]
struct LeftOut {
    unknown_name: usize,
    tied_votes: usize,
    unreadable: usize,
    other_emotion: usize,
    /// Not left out, but read only as far as they go.
    cut_off: Vec<String>,
}

/// One model's answers in quiet, and in each draw of each noise.
struct Heard {
    quiet: Answers,
    noisy: Vec<(Condition, Vec<Answers>)>,
}

fn main() -> Result<()> {
    let options = Options::parse();
    set_threads(options.threads)?;
    let models = options.weights.iter().map(|file| load(file)).collect::<Result<Vec<_>>>()?;
    let mut left_out = LeftOut::default();
    let clips = clips(&options, &mut left_out)?;
    let (clips, others) = chosen(clips, &options)?;
    eprintln!("{} clips of {}", clips.len(), names(&options.corpus));
    let voices = voices(&options, &others, &clips);

    let conditions: Vec<Condition> = if options.snr.is_empty() { &[][..] } else { &options.noise[..] }
        .iter()
        .flat_map(|&noise| options.snr.iter().map(move |&snr| Condition { noise, snr }))
        .collect();
    let heard = ask(&models, &clips, &conditions, &Babble::new(&voices), &options, &mut left_out)?;
    let Some(Heard { quiet, noisy }) = heard.first() else { bail!("--weights names no model") };
    let (truth, scores) = quiet.answered();
    ensure!(!truth.is_empty(), "no clip could be answered: {}", left_out.json(quiet.unanswered()));

    let context = EvaluationContext {
        model: models[0].config().name.clone(),
        data: names(&options.corpus),
        split: split_name(&options)?,
        tta: false,
    };
    let mut evaluation = Evaluation::new(&context, &truth, &scores)?;
    let mut remarks = Vec::new();
    if left_out.any() || quiet.unanswered() > 0 {
        let left_out = left_out.json(quiet.unanswered());
        remarks.push(format!("left out: {left_out}\n"));
        evaluation.notes.insert("left_out".to_owned(), left_out);
    }
    if !left_out.cut_off.is_empty() {
        let files = &left_out.cut_off;
        remarks.push(format!("cut off, and read as far as they go: {} files: {}\n", files.len(), files.join(", ")));
        evaluation.notes.insert("cut_off".to_owned(), json!(files));
    }

    let speakers = quiet.by("by speaker", |clip| {
        Some(if options.corpus.len() == 1 { clip.speaker.clone() } else { clip.speaker_key() })
    });
    if let Some([worst, best]) = speakers.spread() {
        let [low, high] = quiet.interval_by_speaker().map(|share| 100.0 * share);
        remarks.push(format!(
            "mean recall by speaker ({} of them): {:.1} to {:.1} %; for speakers drawn anew, 95 % within {low:.1} to {high:.1}\n",
            speakers.rows.len(),
            100.0 * worst,
            100.0 * best
        ));
    }
    evaluation.notes.insert("uar_interval_by_speaker".to_owned(), json!(quiet.interval_by_speaker()));
    evaluation.notes.insert("per_speaker".to_owned(), serde_json::to_value(&speakers)?);
    let sexes = quiet.by("by sex", |clip| clip.sex.map(|sex| sex.to_string()));
    evaluation.notes.insert("per_sex".to_owned(), serde_json::to_value(&sexes)?);
    remarks.extend([&speakers, &sexes].into_iter().filter(|table| table.rows.len() > 1).map(Table::to_string));

    if options.corpus.len() > 1 || models.len() > 1 {
        let (tables, figures) = by_corpus(&models, &heard);
        remarks.extend(tables.iter().map(Table::to_string));
        evaluation.notes.insert("per_corpus".to_owned(), figures);
    }
    if !noisy.is_empty() {
        let rows = noisy.iter().map(|(condition, draws)| draws[0].row(condition.to_string()));
        let rows: Vec<Row> = [quiet.row("quiet")].into_iter().chain(rows).collect();
        evaluation.notes.insert("noise".to_owned(), noise_figures(noisy)?);
        remarks.push(Table { title: "in noise".to_owned(), rows }.to_string());
        if options.draws > 1 {
            remarks.push(noisy.iter().map(|(condition, draws)| over_draws(*condition, draws)).collect());
        }
    }

    if let Some(folder) = &options.plots {
        report::save_plots(&evaluation, folder)?;
    }
    report::print(&evaluation, &remarks, options.json)
}

fn load(file: &str) -> Result<SerModel> {
    Ok(match file {
        "pretrained" => SerModel::pretrained()?,
        file => SerModel::load(file)?,
    })
}

fn names(corpora: &[Corpus]) -> String {
    corpora.iter().map(|corpus| corpus.name()).collect::<Vec<_>>().join(",")
}

/// The clips of all corpora, by what counts as true.
fn clips(options: &Options, left_out: &mut LeftOut) -> Result<Vec<Clip>> {
    let mut clips = Vec::new();
    for corpus in &options.corpus {
        let folder: &Path = &options.data;
        let folder = if options.corpus.len() > 1 { folder.join(corpus.name()) } else { folder.to_owned() };
        let scan = corpus.scan(&folder)?;
        for skipped in &scan.skipped {
            eprintln!("left out {}: {}", skipped.path.display(), skipped.reason);
        }
        left_out.unknown_name += scan.skipped.len();
        clips.extend(scan.clips);
    }
    if options.truth == Truth::Crowd {
        let (heard, tied) = label_by_crowd(clips);
        left_out.tied_votes = tied.len();
        ensure!(
            !heard.is_empty(),
            "no clip has a majority of votes: CREMA-D's summaryTable.csv must lie beside its clips"
        );
        return Ok(heard);
    }
    Ok(clips)
}

/// The clips to measure on, and all others.
fn chosen(clips: Vec<Clip>, options: &Options) -> Result<(Vec<Clip>, Vec<Clip>)> {
    if let Some(path) = &options.split {
        let parts = from_saved(&SavedSplit::load(path)?, &clips)?;
        let Some((_, places)) = parts.iter().find(|(name, _)| *name == options.part) else {
            let there: Vec<&str> = parts.iter().map(|(name, _)| name.as_str()).collect();
            bail!("{} has no part {:?}; its parts are: {}", path.display(), options.part, there.join(", "));
        };
        let (chosen, others): (Vec<_>, Vec<_>) =
            clips.into_iter().enumerate().partition(|(place, _)| places.binary_search(place).is_ok());
        let plain = |clips: Vec<(usize, Clip)>| clips.into_iter().map(|(_, clip)| clip).collect();
        return Ok((plain(chosen), plain(others)));
    }
    if options.speakers.is_empty() {
        return Ok((clips, Vec::new()));
    }
    let is_by =
        |clip: &Clip, speaker: &str| clip.is_by(speaker) || clip.speaker_key().eq_ignore_ascii_case(speaker.trim());
    for speaker in &options.speakers {
        let there: BTreeSet<&str> = clips.iter().map(|clip| clip.speaker.as_str()).collect();
        let there = there.into_iter().collect::<Vec<_>>().join(", ");
        let found = clips.iter().any(|clip| is_by(clip, speaker));
        ensure!(found, "no clips of speaker {speaker} in {}; the speakers there are: {there}", options.data.display());
    }
    Ok(clips.into_iter().partition(|clip| options.speakers.iter().any(|speaker| is_by(clip, speaker))))
}

fn split_name(options: &Options) -> Result<String> {
    Ok(match (&options.split, options.speakers.as_slice()) {
        (Some(path), _) => format!("{} of split {}", options.part, &SavedSplit::load(path)?.hash()[..12]),
        (None, []) => "all".to_owned(),
        (None, speakers) => format!("speakers {}", speakers.join(",")),
    })
}

/// How many clips babble is mixed from: enough for many voices, few enough to lie in memory.
const VOICES: usize = 200;

/// Clips to mix babble from: spread evenly over those that are not measured or, where all are, over these.
fn voices(options: &Options, others: &[Clip], measured: &[Clip]) -> Vec<Sound> {
    if options.snr.is_empty() || !options.noise.contains(&NoiseKind::Babble) {
        return Vec::new();
    }
    let source = if others.is_empty() { measured } else { others };
    if others.is_empty() {
        eprintln!("every clip is measured, so the babble is of other speakers among them");
    }
    let some: Vec<Clip> = source.iter().step_by(source.len().div_ceil(VOICES).max(1)).cloned().collect();
    decode(&some, 35.0, &Cache::in_memory(), &|| ()).0
}

/// Decodes on all cores, a hundred clips at a time, so that a large corpus never lies in memory as a whole.
fn ask(
    models: &[SerModel],
    clips: &[Clip],
    conditions: &[Condition],
    babble: &Babble<'_>,
    options: &Options,
    left_out: &mut LeftOut,
) -> Result<Vec<Heard>> {
    let bar = report::progress(clips.len(), "clips");
    let none = |model: &SerModel| Answers::new(&if options.seven { LabelSet::face7() } else { model.labels().clone() });
    let mut heard: Vec<Heard> = models
        .iter()
        .map(|model| Heard {
            quiet: none(model),
            noisy: conditions
                .iter()
                .map(|&condition| (condition, (0..options.draws).map(|_| none(model)).collect()))
                .collect(),
        })
        .collect();
    for clips in clips.chunks(100) {
        let (sounds, unreadable) = decode(clips, 0.0, &Cache::in_memory(), &|| ());
        left_out.unreadable += unreadable.len();
        for file in unreadable {
            eprintln!("left out {}: {}", file.path.display(), file.reason);
        }
        for sound in sounds {
            if missing_bytes(&sound.clip.path)? > 0 {
                left_out.cut_off.push(sound.clip.key());
            }
            for (number, (model, heard)) in models.iter().zip(&mut heard).enumerate() {
                let known = heard.quiet.ask(model, &sound)?;
                // The tables by corpus are the other models' only ones.
                left_out.other_emotion += usize::from(number == 0 && !known);
                for (condition, draws) in heard.noisy.iter_mut().filter(|_| number == 0) {
                    for (answers, draw) in draws.iter_mut().zip(0..) {
                        let seed = options.seed.wrapping_add(draw);
                        in_noise(answers, model, &sound, *condition, babble, seed)?;
                    }
                }
            }
        }
        bar.inc(clips.len() as u64);
    }
    bar.finish_and_clear();
    Ok(heard)
}

/// A table for each model, and the same figures by model and corpus.
fn by_corpus(models: &[SerModel], heard: &[Heard]) -> (Vec<Table>, Value) {
    let tables: Vec<Table> = models
        .iter()
        .zip(heard)
        .map(|(model, heard)| heard.quiet.by(&model.config().name, |clip| Some(clip.corpus.to_string())))
        .collect();
    let figures = tables.iter().map(|table| json!({"model": table.title, "corpora": table})).collect();
    (tables, figures)
}

fn recalls(draws: &[Answers]) -> Vec<f64> {
    draws.iter().map(|answers| answers.row("").uar).collect()
}

/// The mean recall over all draws of a noise, and the least and the greatest.
fn over_draws(condition: Condition, draws: &[Answers]) -> String {
    let recalls: Vec<f64> = recalls(draws).into_iter().map(|recall| 100.0 * recall).collect();
    let mean = recalls.iter().sum::<f64>() / recalls.len() as f64;
    let least = recalls.iter().copied().fold(f64::INFINITY, f64::min);
    let greatest = recalls.iter().copied().fold(0.0, f64::max);
    format!("{condition}, {} draws: mean recall {mean:.1} % ({least:.1} to {greatest:.1})\n", recalls.len())
}

/// What was measured in each noise: the first draw's row, and the mean recall of every draw.
fn noise_figures(noisy: &[(Condition, Vec<Answers>)]) -> Result<Value> {
    let figures = noisy.iter().map(|(condition, draws)| {
        let mut figures = serde_json::to_value(condition)?;
        if let (Some(all), Value::Object(row)) = (figures.as_object_mut(), serde_json::to_value(draws[0].row(""))?) {
            all.extend(row);
            all.insert("uar_by_draw".to_owned(), json!(recalls(draws)));
        }
        Ok(figures)
    });
    figures.collect()
}

impl LeftOut {
    fn any(&self) -> bool {
        self.unknown_name + self.tied_votes + self.unreadable + self.other_emotion > 0
    }

    fn json(&self, no_speech: usize) -> Value {
        let Self { unknown_name, tied_votes, unreadable, other_emotion, .. } = self;
        json!({
            "unknown_name": unknown_name,
            "tied_votes": tied_votes,
            "unreadable": unreadable,
            "no_speech": no_speech,
            "emotion_unknown_to_the_model": other_emotion,
        })
    }
}
