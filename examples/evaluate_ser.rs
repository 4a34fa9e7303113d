//! Measures a speech model on a corpus: on all its clips, or on those of some speakers.
//!
//! ```text
//! cargo run --release --example evaluate_ser -- --corpus ravdess --data ravdess --speakers 17,18,19,20 --weights pretrained
//! cargo run --release --example evaluate_ser -- --corpus savee --data savee --weights runs/ser/model.safetensors --json
//! ```
//!
//! Prints a table, or with `--json` one `emotion.evaluation/1` object, and nothing else on stdout. Each clip is answered as
//! a whole. The figure that counts is the one on speakers whom the model was not trained on: name them.

#![allow(clippy::print_stderr, reason = "it talks to the one who runs it")]

#[path = "common/report.rs"]
mod report;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use anyhow::{Result, ensure};
use clap::Parser;
use emotion_core::{Emotion, Scores};
use model_kit::device::set_threads;
use model_kit::metrics::{Confusion, Evaluation, EvaluationContext};
use rayon::prelude::*;
use ser_model::corpus::{Clip, Corpus};
use ser_model::{SAMPLE_RATE, SerModel, input};
use serde_json::json;

#[derive(Parser)]
#[command(about = "Measures a speech model on a corpus", version)]
struct Options {
    /// ravdess, tess, savee, cremad, emodb or folders (EMOTION/clip.wav or EMOTION/SPEAKER/clip.wav).
    #[arg(long)]
    corpus: Corpus,
    /// The corpus's folder.
    #[arg(long)]
    data: PathBuf,
    /// Only the clips of these speakers, with commas between, such as 21,22 or DC,JE.
    #[arg(long, value_delimiter = ',')]
    speakers: Vec<String>,
    /// A model file, or `pretrained` for the one that comes with the crate.
    #[arg(long, default_value = "pretrained")]
    weights: String,
    /// Print one JSON object instead of a table.
    #[arg(long)]
    json: bool,
    /// Also save the confusion matrix and the reliability diagram, as PNG and SVG, in this folder.
    #[arg(long)]
    plots: Option<PathBuf>,
    /// Threads of the network; as many as there are cores unless given.
    #[arg(long)]
    threads: Option<usize>,
}

/// The clips that were answered, and how many were not, by reason.
#[derive(Default)]
struct Answers {
    clips: Vec<Clip>,
    scores: Vec<Scores>,
    unreadable: usize,
    no_speech: usize,
    other_emotion: usize,
}

fn main() -> Result<()> {
    let options = Options::parse();
    if let Some(threads) = options.threads {
        set_threads(threads)?;
    }
    let model = match options.weights.as_str() {
        "pretrained" => SerModel::pretrained()?,
        file => SerModel::load(file)?,
    };
    let scan = options.corpus.scan(&options.data)?;
    for skipped in &scan.skipped {
        eprintln!("left out {}: {}", skipped.path.display(), skipped.reason);
    }
    let clips = by_speakers(scan.clips, &options)?;
    eprintln!("{} clips of {}", clips.len(), options.corpus);

    let answers = answer(&model, clips)?;
    ensure!(!answers.clips.is_empty(), "no clip could be answered: {}", answers.left_out());
    let truth: Vec<Emotion> = answers.clips.iter().map(|clip| clip.emotion).collect();
    let context = EvaluationContext {
        model: model.config().name.clone(),
        data: options.corpus.to_string(),
        split: match options.speakers.as_slice() {
            [] => "all".to_owned(),
            speakers => format!("speakers {}", speakers.join(",")),
        },
        tta: false,
    };
    let mut evaluation = Evaluation::new(&context, &truth, &answers.scores)?;
    let mut remarks = Vec::new();
    if answers.unreadable + answers.no_speech + answers.other_emotion > 0 {
        let left_out = answers.left_out();
        remarks.push(format!("left out: {left_out}"));
        evaluation.notes.insert("left_out".to_owned(), left_out);
    }
    let speakers = per_speaker(&answers)?;
    if let Some((worst, best)) = speakers.values().map(Confusion::uar).fold(None, spread) {
        remarks.push(format!(
            "mean recall by speaker ({} of them): {:.1} to {:.1} %",
            speakers.len(),
            100.0 * worst,
            100.0 * best
        ));
    }
    let figures = |of: &Confusion| json!({"samples": of.samples(), "accuracy": of.accuracy(), "uar": of.uar()});
    let speakers: serde_json::Map<_, _> = speakers.iter().map(|(speaker, of)| (speaker.clone(), figures(of))).collect();
    evaluation.notes.insert("per_speaker".to_owned(), speakers.into());

    if let Some(folder) = &options.plots {
        report::save_plots(&evaluation, folder)?;
    }
    report::print(&evaluation, &remarks, options.json)
}

fn by_speakers(clips: Vec<Clip>, options: &Options) -> Result<Vec<Clip>> {
    if options.speakers.is_empty() {
        return Ok(clips);
    }
    let there: BTreeSet<String> = clips.iter().map(|clip| clip.speaker.clone()).collect();
    let there = there.into_iter().collect::<Vec<_>>().join(", ");
    for speaker in &options.speakers {
        let found = clips.iter().any(|clip| clip.is_by(speaker));
        ensure!(found, "no clips of speaker {speaker} in {}; the speakers there are: {there}", options.data.display());
    }
    Ok(clips.into_iter().filter(|clip| options.speakers.iter().any(|speaker| clip.is_by(speaker))).collect())
}

/// Decodes on all cores, a hundred clips at a time, so that a large corpus never lies in memory as a whole.
fn answer(model: &SerModel, clips: Vec<Clip>) -> Result<Answers> {
    let bar = report::progress(clips.len(), "clips");
    let mut answers = Answers::default();
    for clips in clips.chunks(100) {
        let sounds: Vec<_> = clips.par_iter().map(|clip| input::load(&clip.path)).collect();
        for (clip, sound) in clips.iter().zip(sounds) {
            bar.inc(1);
            if !model.labels().contains(clip.emotion) {
                answers.other_emotion += 1;
                continue;
            }
            match sound.and_then(|sound| model.predict(&sound, SAMPLE_RATE)) {
                Ok(Some(scores)) => {
                    answers.clips.push(clip.clone());
                    answers.scores.push(scores);
                }
                Ok(None) => answers.no_speech += 1,
                Err(error @ ser_model::Error::Model { .. }) => return Err(error.into()),
                Err(error) => {
                    eprintln!("left out {}: {:#}", clip.path.display(), anyhow::Error::from(error));
                    answers.unreadable += 1;
                }
            }
        }
    }
    bar.finish_and_clear();
    Ok(answers)
}

impl Answers {
    fn left_out(&self) -> serde_json::Value {
        let Self { unreadable, no_speech, other_emotion, .. } = self;
        json!({"unreadable": unreadable, "no_speech": no_speech, "emotion_unknown_to_the_model": other_emotion})
    }
}

fn per_speaker(answers: &Answers) -> Result<BTreeMap<String, Confusion>> {
    let mut speakers: BTreeMap<String, Confusion> = BTreeMap::new();
    for (clip, scores) in answers.clips.iter().zip(&answers.scores) {
        let confusion = speakers.entry(clip.speaker.clone()).or_insert_with(|| Confusion::new(scores.labels()));
        confusion.add(clip.emotion, scores.top().0)?;
    }
    Ok(speakers)
}

/// The least and the largest value so far.
fn spread(so_far: Option<(f64, f64)>, value: f64) -> Option<(f64, f64)> {
    let (least, largest) = so_far.unwrap_or((value, value));
    Some((least.min(value), largest.max(value)))
}
