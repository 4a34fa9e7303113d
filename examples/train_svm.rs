//! Fits a linear SVM on faces: on their pixels, on gradient histograms, or on what a face network sees.
//!
//! ```text
//! cargo run --release --example train_svm -- --data fer2013.csv --features hog --out runs/svm-hog.safetensors
//! cargo run --release --example train_svm -- --data fer2013.csv --features cnn --weights runs/fer/model.safetensors
//! cargo run --release --example train_svm -- --data my-faces --out runs/svm-mine.safetensors   # happy/1.png, …
//! ```
//!
//! It learns from Training with each C in turn, and keeps the machine that is right most often on PublicTest; where nothing is
//! set apart for that, a tenth is drawn.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "it talks to the one who runs it")]

#[path = "common/face_course.rs"]
mod face_course;
#[path = "common/face_source.rs"]
mod face_source;
#[path = "common/face_weights.rs"]
mod face_weights;

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result};
use clap::{Parser, ValueEnum};
use emotion_core::EmotionModel;
use fer_model::dataset::{FaceSet, VotesAs};
use fer_model::{FaceFeatures, Hog, SvmBaseline, SvmData};
use model_kit::device::{Device, set_threads};
use model_kit::metrics::{Confusion, fit_temperature};
use model_kit::svm::SvmConfig;

#[derive(Parser)]
#[command(about = "Fits a linear SVM on faces", version)]
struct Options {
    /// fer2013.csv, a folder that holds it, or a folder of class folders, alone or below training/ and validation/.
    #[arg(long)]
    data: PathBuf,
    #[command(flatten)]
    source: face_source::Source,
    /// What the machine looks at.
    #[arg(long, value_enum, default_value_t = Kind::Hog)]
    features: Kind,
    /// The network of `--features cnn`: a model file, or one that comes with the crate: pretrained, pretrained-ferplus or
    /// pretrained-tiny.
    #[arg(long, default_value = "pretrained")]
    weights: String,
    /// The values of C that are tried, from small to large.
    #[arg(long, value_delimiter = ',', default_values_t = [1e-5, 1e-4, 1e-3, 1e-2, 1e-1])]
    c: Vec<f64>,
    /// Where the best machine goes; nowhere if it is not said.
    #[arg(long)]
    out: Option<PathBuf>,
    /// What the pictures to choose C by are drawn from, where none are set apart.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Threads of LibTorch; as many as there are idle cores.
    #[arg(long, default_value_t = 2)]
    threads: usize,
}

#[derive(Clone, Copy, ValueEnum)]
enum Kind {
    Pixels,
    Hog,
    Cnn,
}

fn main() -> Result<()> {
    let options = Options::parse();
    set_threads(options.threads)?;
    let course = options.source.open(&options.data)?.course(VotesAs::Majority, face_course::CHOOSING, options.seed)?;
    let (training, choosing) = (&course.training.faces, &course.choosing.faces);
    let chosen_by = &course.names[1];
    face_course::announce(&course);
    let features = match options.features {
        Kind::Pixels => FaceFeatures::Pixels,
        Kind::Hog => FaceFeatures::Hog(Hog::default()),
        Kind::Cnn => FaceFeatures::Cnn(Box::new(face_weights::open(&options.weights, Device::Cpu)?)),
    };
    let started = Instant::now();
    let prepared = SvmData::new(&features, training)?;
    eprintln!("features of {} pictures in {:.1} s", training.len(), started.elapsed().as_secs_f64());

    let images: Vec<_> = (0..choosing.len()).map(|index| choosing.image(index)).collect();
    let rows = features.compute(&images)?;
    let truth: Vec<_> = (0..choosing.len()).map(|index| choosing.emotion(index)).collect();
    let mut fits: Vec<(f64, f64, SvmBaseline)> = Vec::new();
    for &c in &options.c {
        let started = Instant::now();
        let config = SvmConfig { c, ..SvmConfig::default() };
        let (svm, fit) = SvmBaseline::fit(&features, &prepared, &config, fits.last().map(|(_, _, svm)| svm))?;
        let seconds = started.elapsed().as_secs_f64();
        let confusion = measure(&svm, choosing, &rows)?;
        let state = if fit.converged { "" } else { ", not converged" };
        println!(
            "C {c:e}: {:.2} % of {chosen_by} right, mean recall {:.2} % ({} steps, {seconds:.1} s{state})",
            100.0 * confusion.accuracy(),
            100.0 * confusion.uar(),
            fit.steps
        );
        fits.push((confusion.accuracy(), c, svm));
    }
    let best = fits.into_iter().max_by(|first, second| first.0.total_cmp(&second.0));
    let (accuracy, c, svm) = best.context("no value of C was given")?;
    let temperature = fit_temperature(&truth, &svm.predict_features(&rows)?)?;
    println!("{}: C {c:e}, {:.2} %, temperature {temperature:.3}", svm.name(), 100.0 * accuracy);
    if let Some(path) = &options.out {
        svm.with_temperature(temperature)?.save(path)?;
        println!("written to {}", path.display());
    }
    Ok(())
}

fn measure(svm: &SvmBaseline, faces: &FaceSet, rows: &tch::Tensor) -> Result<Confusion> {
    let mut confusion = Confusion::new(faces.labels());
    for (index, scores) in svm.predict_features(rows)?.iter().enumerate() {
        confusion.add(faces.emotion(index), scores.top().0)?;
    }
    Ok(confusion)
}
