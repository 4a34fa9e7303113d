//! Measures a face model on FER-2013, on FER+ labels, or on class folders.
//!
//! ```text
//! cargo run --release --example evaluate_fer -- --data fer2013.csv --split public --weights pretrained
//! cargo run --release --example evaluate_fer -- --data fer2013.csv --split public --weights pretrained --tta --json
//! cargo run --release --example evaluate_fer -- --data fer2013 --split public --weights runs/fer/model.safetensors \
//!     --labels ferplus --votes fer2013new.csv
//! # Two models side by side, by McNemar's test and under bad light, noise, compression and the like:
//! cargo run --release --example evaluate_fer -- --data fer2013.csv --weights runs/harsh/model.safetensors \
//!     --versus pretrained --robustness
//! ```
//!
//! Prints a table, or with `--json` one `emotion.evaluation/1` object, and nothing else on stdout. Where the data hold a
//! training part, the figures of those pictures that do not also stand there, pixel by pixel, come beside the others.
//!
//! `--split private` measures on PrivateTest, where the user's file has it: once, after everything was chosen by PublicTest. A
//! model may speak of other labels than the data: its answers are mapped, and the report says how.

#![allow(clippy::print_stderr, reason = "it talks to the one who runs it")]

#[path = "common/face_source.rs"]
mod face_source;
#[path = "common/face_weights.rs"]
mod face_weights;
#[path = "common/report.rs"]
mod report;

use std::collections::BTreeSet;
use std::path::PathBuf;

use anyhow::Result;
use clap::{Parser, ValueEnum};
use emotion_core::{Emotion, LabelSet, Scores};
use face_source::Source;
use fer_model::dataset::{FaceSet, SIDE, VotesAs};
use fer_model::robustness::Disturbance;
use fer_model::{FerModel, VIEWS, predict_ten_crop, predict_views};
use image::GrayImage;
use model_kit::audit::ContentHash;
use model_kit::device::{Device, set_threads};
use model_kit::metrics::{Confusion, CrossFit, Evaluation, EvaluationContext, McNemar, RiskCoverage};
use model_kit::plots;
use serde_json::{Value, json};

#[derive(Parser)]
#[command(about = "Measures a face model on FER-2013, on FER+ labels, or on class folders", version)]
struct Options {
    /// fer2013.csv, a folder that holds it, or a folder of class folders (with or without a folder for each split above).
    #[arg(long)]
    data: PathBuf,
    /// training, public, private or all; for class folders also the name of a split's folder.
    #[arg(long, default_value = "public")]
    split: String,
    /// A model file, or one that comes with the crate: pretrained, pretrained-ferplus or pretrained-tiny.
    #[arg(long, default_value = "pretrained")]
    weights: String,
    /// Further models to compare it with, as for `weights`, with commas between: McNemar's test on the same pictures.
    #[arg(long, value_delimiter = ',')]
    versus: Vec<String>,
    /// Also measure on the pictures blurred, noisy, dark, compressed, partly hidden and of low resolution, in three
    /// strengths each: eighteen more looks at every picture, for each model.
    #[arg(long)]
    robustness: bool,
    /// Average the answers for ten looks at each face: `ten-crop`, what `--tta` alone means, cuts its corners and centre out
    /// and mirrors them, `views` moves the whole face by two pixels and mirrors it.
    #[arg(long, value_enum, num_args = 0..=1, default_missing_value = "ten-crop")]
    tta: Option<Tta>,
    /// Width and height of the crops of `ten-crop`, in pixels of the 48×48 face, from 24.
    #[arg(long, default_value_t = 44)]
    crop: u32,
    #[command(flatten)]
    source: Source,
    /// Print one JSON object instead of a table.
    #[arg(long)]
    json: bool,
    /// Also save the confusion matrix, the figures of each class, the reliability diagram and accuracy against coverage, as
    /// PNG and SVG, in this folder.
    #[arg(long)]
    plots: Option<PathBuf>,
    /// cpu, cuda or cuda:N.
    #[arg(long, default_value = "cpu")]
    device: Device,
    /// Threads of the network; as many as there are cores unless given.
    #[arg(long)]
    threads: Option<usize>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Tta {
    Views,
    TenCrop,
}

/// How a model looks at a face.
#[derive(Clone, Copy)]
enum Looks {
    Once,
    Views,
    TenCrop(u32),
}

impl Options {
    fn looks(&self) -> Looks {
        match self.tta {
            None => Looks::Once,
            Some(Tta::Views) => Looks::Views,
            Some(Tta::TenCrop) => Looks::TenCrop(self.crop),
        }
    }
}

/// The pictures to measure on, and what is known about them.
struct Data {
    name: String,
    faces: FaceSet,
    /// The pictures of the training part, where the data have one that is not measured on itself.
    training: Option<FaceSet>,
    /// How many pictures have no label, by reason.
    left_out: Option<Value>,
}

fn main() -> Result<()> {
    let options = Options::parse();
    if let Some(threads) = options.threads {
        set_threads(threads)?;
    }
    let mut models = vec![open(&options.weights, &options)?];
    for other in &options.versus {
        models.push(open(other, &options)?);
    }
    let data = load(&options)?;
    eprintln!("{} pictures of {}, split {}", data.faces.len(), data.name, options.split);

    let truth: Vec<Emotion> = (0..data.faces.len()).map(|index| data.faces.emotion(index)).collect();
    let looks = options.looks();
    let as_they_are = |index: usize| Ok(data.faces.image(index));
    let mut answers = Vec::new();
    for Named { name, model } in &models {
        answers.push(Answers { name: name.clone(), scores: predict(model, &data.faces, looks, &as_they_are)? });
    }
    let scores = &answers[0].scores;
    let context = EvaluationContext {
        model: answers[0].name.clone(),
        data: data.name.clone(),
        split: options.split.clone(),
        tta: options.tta.is_some(),
    };
    let mut evaluation = Evaluation::new(&context, &truth, scores)?;
    let mut remarks = Vec::new();
    if let Looks::TenCrop(side) = looks {
        evaluation.notes.insert("ten_crop".to_owned(), json!({"side": side}));
        remarks.push(format!("the mean over ten crops of {side}×{side} pixels"));
    }
    if options.split == "private" {
        remarks.push("PrivateTest: a figure to be taken once, after everything was chosen by PublicTest".to_owned());
    }
    if let Some((note, remark)) = mapped(&models[0].model.config().labels, data.faces.labels()) {
        evaluation.notes.insert("mapped_labels".to_owned(), note);
        remarks.push(remark);
    }
    if let Some(left_out) = data.left_out {
        remarks.push(format!("left out for want of a label: {left_out}"));
        evaluation.notes.insert("left_out".to_owned(), left_out);
    }
    let mut note = |name: &str, (note, remark): (Value, String)| {
        evaluation.notes.insert(name.to_owned(), note);
        remarks.push(remark);
    };
    if let Some(training) = &data.training {
        note("without_training_duplicates", without_training_duplicates(&data.faces, training, &truth, scores)?);
    }
    if scores.len() > 1 {
        note("cross_fit", cross_fit(&truth, scores)?);
    }
    note("abstention", abstention(&truth, scores)?);
    if answers.len() > 1 {
        note("versus", versus(&truth, &answers)?);
    }
    if options.robustness {
        note("robustness", robustness(&models, &data.faces, &truth, &answers, looks)?);
    }
    if let Some(folder) = &options.plots {
        report::save_plots(&evaluation, folder)?;
        let curve = |answers: &Answers| Ok((answers.name.clone(), RiskCoverage::new(&truth, &answers.scores)?));
        let curves = answers.iter().map(curve).collect::<Result<Vec<_>>>()?;
        let title = format!("{}, {}", data.name, options.split);
        report::save(&plots::risk_coverage(&curves, &title), folder, "coverage")?;
    }
    report::print(&evaluation, &remarks, options.json)
}

/// A model and what it is called in this report.
struct Named {
    name: String,
    model: FerModel,
}

/// What a model says of every picture.
struct Answers {
    name: String,
    scores: Vec<Scores>,
}

fn open(weights: &str, options: &Options) -> Result<Named> {
    let model = face_weights::open(weights, options.device)?;
    let name = model.config().name.clone();
    Ok(Named { name: if name.is_empty() { weights.to_owned() } else { name }, model })
}

/// Reads the part that is measured on, and the training part beside it where that is another.
fn load(options: &Options) -> Result<Data> {
    let data = options.source.open(&options.data)?;
    let split = options.split.as_str();
    let part = data.part(split, VotesAs::Majority)?;
    // Whatever the votes say of them, the training part's pictures may have been learned from.
    let beside = data.has("training") && split != "training" && split != "all";
    let training = beside.then(|| data.part("training", VotesAs::Ignored)).transpose()?;
    Ok(Data {
        name: data.name(),
        faces: part.faces,
        training: training.map(|part| part.faces),
        left_out: part.left_out.map(serde_json::to_value).transpose()?,
    })
}

/// How the answers of a model reach the labels of the data, where those are others.
fn mapped(model: &LabelSet, data: &LabelSet) -> Option<(Value, String)> {
    let lacking: Vec<&str> = data.iter().filter(|&label| !model.contains(label)).map(Emotion::name).collect();
    let dropped: Vec<&str> = model.iter().filter(|&label| !data.contains(label)).map(Emotion::name).collect();
    if lacking.is_empty() && dropped.is_empty() {
        return None;
    }
    let mut words = Vec::new();
    if !lacking.is_empty() {
        words.push(format!("the model knows no {} and never answers so", lacking.join(", ")));
    }
    if !dropped.is_empty() {
        words.push(format!("its {} is taken out and the rest made to sum to 1", dropped.join(", ")));
    }
    let note = json!({"unknown_to_the_model": lacking, "taken_out": dropped});
    Some((note, format!("labels mapped: {}", words.join("; "))))
}

/// The calibration error by temperatures fitted on other pictures than it is measured on.
fn cross_fit(truth: &[Emotion], scores: &[Scores]) -> Result<(Value, String)> {
    let fit = CrossFit::new(truth, scores, 0)?;
    let ([first, second], [one, other]) = (fit.temperatures, fit.ece_of_halves.map(|ece| 100.0 * ece));
    let remark = format!(
        "temperature fitted on one half and measured on the other, both ways: calibration error {:.2} % (halves {one:.2} \
         and {other:.2} %), log loss {:.4}; factors {first:.3} and {second:.3} to the model's own",
        100.0 * fit.ece,
        fit.log_loss
    );
    Ok((serde_json::to_value(&fit)?, remark))
}

/// How right the model is where it may leave its least sure answers out.
fn abstention(truth: &[Emotion], scores: &[Scores]) -> Result<(Value, String)> {
    let curve = RiskCoverage::new(truth, scores)?;
    let points = [1.0, 0.9, 0.8, 0.7, 0.5, 0.3].map(|coverage| curve.at_coverage(coverage));
    let words = points.map(|point| format!("{:.1} % of {:.0} %", 100.0 * point.accuracy, 100.0 * point.coverage));
    let remark = format!("right among the surest answers: {}; area of risk {:.4}", words.join(", "), curve.area);
    Ok((json!({"area": curve.area, "points": points}), remark))
}

/// McNemar's test of the first model against each of the others.
fn versus(truth: &[Emotion], answers: &[Answers]) -> Result<(Value, String)> {
    let (mut notes, mut lines) = (Vec::new(), Vec::new());
    for other in &answers[1..] {
        let test = McNemar::from_scores(truth, &answers[0].scores, &other.scores)?;
        let accuracy = Confusion::from_scores(truth, &other.scores)?.accuracy();
        notes.push(json!({"model": other.name, "accuracy": accuracy, "mcnemar": test}));
        lines.push(format!(
            "versus {} ({:.2} %): {} pictures only {} has right, {} only the other; McNemar p = {:.2e}",
            other.name,
            100.0 * accuracy,
            test.only_first,
            answers[0].name,
            test.only_second,
            test.p_value
        ));
    }
    Ok((Value::from(notes), lines.join("\n")))
}

/// Every model on the pictures disturbed in every way, as a Markdown table.
fn robustness(
    models: &[Named],
    faces: &FaceSet,
    truth: &[Emotion],
    answers: &[Answers],
    looks: Looks,
) -> Result<(Value, String)> {
    let figures = |scores: &[Scores]| -> Result<[f64; 2]> {
        let confusion = Confusion::from_scores(truth, scores)?;
        Ok([confusion.accuracy(), confusion.uar()])
    };
    let clean = answers.iter().map(|answers| figures(&answers.scores)).collect::<Result<Vec<_>>>()?;
    let mut rows = vec![("as they are".to_owned(), clean)];
    for way in Disturbance::TABLE.as_flattened() {
        let disturbed = |index: usize| {
            let mut picture = faces.image(index);
            way.apply(&mut picture, index as u64)?;
            Ok(picture)
        };
        let row = models.iter().map(|named| figures(&predict(&named.model, faces, looks, &disturbed)?));
        rows.push((way.to_string(), row.collect::<Result<Vec<_>>>()?));
    }
    let names: Vec<&str> = answers.iter().map(|answers| answers.name.as_str()).collect();
    let mut table = format!("| pictures | {} |\n|---{}|", names.join(" | "), "|---".repeat(names.len()));
    for (name, row) in &rows {
        let cells = row.iter().map(|[accuracy, uar]| format!(" {:.1} % ({:.1} %) |", 100.0 * accuracy, 100.0 * uar));
        table += &format!("\n| {name} |{}", cells.collect::<String>());
    }
    let note = rows.iter().map(|(name, row)| {
        let of_models = names
            .iter()
            .zip(row)
            .map(|(model, [accuracy, uar])| json!({"model": model, "accuracy": accuracy, "uar": uar}));
        json!({"pictures": name, "models": of_models.collect::<Vec<_>>()})
    });
    Ok((note.collect(), format!("accuracy and, in brackets, mean recall on the pictures disturbed:\n{table}")))
}

/// The model's answers over the labels of the pictures, which `picture` gives by their index.
fn predict(
    model: &FerModel,
    faces: &FaceSet,
    looks: Looks,
    picture: &dyn Fn(usize) -> Result<GrayImage>,
) -> Result<Vec<Scores>> {
    let together = if matches!(looks, Looks::Once) { 640 } else { 640 / VIEWS };
    let bar = report::progress(faces.len(), "pictures");
    let mut scores = Vec::with_capacity(faces.len());
    for start in (0..faces.len()).step_by(together) {
        let images = (start..(start + together).min(faces.len())).map(picture).collect::<Result<Vec<_>>>()?;
        let answers = match looks {
            Looks::Once => model.predict_batch(&images)?,
            Looks::Views => predict_views(model, &images).map_err(anyhow::Error::from_boxed)?,
            Looks::TenCrop(side) => predict_ten_crop(model, &images, side).map_err(anyhow::Error::from_boxed)?,
        };
        for answer in answers {
            scores.push(answer.project(faces.labels())?);
        }
        bar.inc(images.len() as u64);
    }
    bar.finish_and_clear();
    Ok(scores)
}

/// The figures without the pictures whose very pixels the training part holds too: a model may remember those.
fn without_training_duplicates(
    faces: &FaceSet,
    training: &FaceSet,
    truth: &[Emotion],
    scores: &[Scores],
) -> Result<(Value, String)> {
    let hash = |set: &FaceSet, index: usize| ContentHash::of_gray(SIDE as u32, set.pixels(index));
    let known: BTreeSet<ContentHash> = (0..training.len()).map(|index| hash(training, index)).collect();
    let mut confusion = Confusion::new(faces.labels());
    for index in (0..faces.len()).filter(|&index| !known.contains(&hash(faces, index))) {
        confusion.add(truth[index], scores[index].top().0)?;
    }
    let (samples, accuracy, uar) = (confusion.samples(), confusion.accuracy(), confusion.uar());
    let left_out = faces.len() as u64 - samples;
    let note = json!({"samples": samples, "left_out": left_out, "accuracy": accuracy, "uar": uar});
    let remark = format!(
        "without the {left_out} pictures that also stand in the training part: accuracy {:.2} %, mean recall {:.2} %",
        100.0 * accuracy,
        100.0 * uar
    );
    Ok((note, remark))
}
