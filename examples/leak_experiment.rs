//! How a test set that also stands in the training set makes a network look good.
//!
//! Some published figures for FER-2013 lie above 90 %, where people agree on seven pictures in ten. One way there is to merge the
//! set with another packaging of the same pictures and to split the whole at random: four fifths of the test pictures
//! then have a twin among those that the network learned by heart. This trains one network both ways, for the same number of
//! steps, and prints the two figures side by side, with what the leak audit says about each split. Beside the network stands
//! what learns by heart and does nothing else: the label of the training picture that correlates most with the one asked for.
//!
//! ```text
//! cargo run --release --example leak_experiment -- --data fer2013.csv --out runs/leak
//! cargo run --release --example leak_experiment -- --data fer2013.csv --nearest-only   # a minute or two
//! ```
//!
//! A run that is cut goes on where it stopped when it is started again.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "it talks to the one who runs it")]

use std::collections::BTreeSet;
use std::ops::Range;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use clap::Parser;
use emotion_core::{BoxError, Emotion};
use face_prep::augment::AugmentConfig;
use fer_model::FerModel;
use fer_model::arch::{Arch, CompactConfig};
use fer_model::dataset::{FaceSet, Fer2013, PIXELS, SIDE, Split};
use fer_model::train::{Recipe, Run, train};
use model_kit::audit::{AuditConfig, ContentHash, Item, audit};
use model_kit::callback::{Callback, Flow};
use model_kit::device::{Device, set_threads};
use model_kit::metrics::wilson_interval;
use model_kit::schedule::Schedule;
use model_kit::split::stratified;
use model_kit::trainer::{EpochRecord, TrainConfig};
use tch::{Kind, Tensor};

#[derive(Parser)]
#[command(about = "Trains one network with and without a leak between training and test pictures", version)]
struct Options {
    /// fer2013.csv, with the columns emotion, pixels and Usage.
    #[arg(long)]
    data: PathBuf,
    /// Where checkpoints go.
    #[arg(long, default_value = "runs/leak")]
    out: PathBuf,
    /// Leave the network out.
    #[arg(long)]
    nearest_only: bool,
    /// How often the merged training pictures are seen; the honest training takes as many steps.
    #[arg(long, default_value_t = 10)]
    epochs: usize,
    /// Take only one picture in so many of either part, for a quicker run.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    every: u64,
    /// What the weights, the order of the pictures and the random split are drawn from.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Threads of the network.
    #[arg(long, default_value_t = 1)]
    threads: usize,
    /// cpu, cuda or cuda:N.
    #[arg(long, default_value = "cpu")]
    device: Device,
}

/// What is learned from and what is measured on.
struct Protocol {
    name: &'static str,
    training: FaceSet,
    test: FaceSet,
}

/// What one training came to.
struct Outcome {
    name: String,
    training_pictures: usize,
    test_pictures: usize,
    /// How many of the test pictures also stand in the training part, pixel by pixel.
    twins: usize,
    /// Of the last epoch, on the training part: how much was learned by heart.
    remembered: Option<f64>,
    /// Right answers and pictures: of all test pictures, of those with a twin and of those without.
    right: [(u64, u64); 3],
    epoch: Option<usize>,
}

fn main() -> Result<()> {
    let options = Options::parse();
    set_threads(options.threads)?;
    let table = Fer2013::load(&options.data)?;
    let thinned = |set: &FaceSet| set.filter(|index| (index as u64).is_multiple_of(options.every));
    let honest = Protocol {
        name: "as published: Training, PublicTest",
        training: thinned(&table.split(Split::Training)),
        test: thinned(&table.split(Split::Public)),
    };
    ensure!(!honest.training.is_empty() && !honest.test.is_empty(), "Training and PublicTest rows are needed");
    let merged = merged(&thinned(table.all()), options.seed)?;
    let steps = options.epochs * merged.training.len();
    let honest_epochs = (steps as f64 / honest.training.len() as f64).round() as usize;

    for protocol in [&honest, &merged] {
        println!("{}\n\n{}", protocol.name, audited(protocol)?);
    }
    let mut outcomes = vec![nearest(&honest, options.device)?, nearest(&merged, options.device)?];
    if !options.nearest_only {
        outcomes.push(trained(&honest, honest_epochs, &options, "honest")?);
        outcomes.push(trained(&merged, options.epochs, &options, "merged")?);
    }
    print_table(&outcomes);
    Ok(())
}

/// The set merged with a copy of itself and split at random, four fifths to one.
fn merged(all: &FaceSet, seed: u64) -> Result<Protocol> {
    let classes: Vec<usize> = (0..2 * all.len()).map(|index| all.class(index % all.len())).collect();
    let parts = stratified(&classes, &[0.8, 0.2], seed)?;
    let part = |indices: &[usize]| -> Result<FaceSet> {
        let mut set = FaceSet::new(all.labels().clone());
        for index in indices {
            set.push_soft(all.pixels(index % all.len()), all.target(index % all.len()))?;
        }
        Ok(set)
    };
    Ok(Protocol {
        name: "merged with its copy, split again at random",
        training: part(&parts[0])?,
        test: part(&parts[1])?,
    })
}

/// The network, trained on a protocol's training part and measured on its test part.
fn trained(protocol: &Protocol, epochs: usize, options: &Options, folder: &str) -> Result<Outcome> {
    let Protocol { name, training, test } = protocol;
    let folder = options.out.join(folder);
    let run =
        Run { device: options.device, loader_threads: 0, folder: Some(folder.clone()), resume: true, ..Run::default() };
    eprintln!("{name}: {} training pictures, {} test pictures, {epochs} epochs", training.len(), test.len());
    let report = train(&recipe(epochs, options.seed), &run, training, test, &mut [&mut Lines])?;
    let best = report.best.context("no epoch was finished")?;
    let model = FerModel::load_on(folder.join("best.safetensors"), options.device)?;
    // A sample is enough to tell how much of the training part was learned by heart.
    let sample = training.filter(|index| index % 10 == 0);
    let remembered = hits(&model, &sample)?.iter().filter(|&&hit| hit).count();
    Ok(Outcome {
        remembered: Some(remembered as f64 / sample.len() as f64),
        epoch: Some(best.epoch),
        ..outcome(format!("network, {name}"), protocol, &hits(&model, test)?)
    })
}

/// Each test picture by the label of the training picture that it correlates with most.
fn nearest(protocol: &Protocol, device: Device) -> Result<Outcome> {
    let device = device.open()?;
    let looks = |set: &FaceSet, indices: Range<usize>| -> Result<Tensor> {
        let pixels: Vec<u8> = indices.clone().flat_map(|index| set.pixels(index)).copied().collect();
        let pixels = Tensor::f_from_slice(&pixels)?.f_view([indices.len() as i64, PIXELS as i64])?;
        let pixels = pixels.f_to_device(device)?.f_to_kind(Kind::Float)?;
        let centred = pixels.f_sub(&pixels.f_mean_dim(1, true, Kind::Float)?)?;
        Ok(centred.f_div(&centred.f_square()?.f_sum_dim_intlist(1, true, Kind::Float)?.f_sqrt()?.f_clamp_min(1e-6)?)?)
    };
    let Protocol { name, training, test } = protocol;
    let known = looks(training, 0..training.len())?.f_tr()?;
    let mut hits = Vec::with_capacity(test.len());
    for start in (0..test.len()).step_by(256) {
        let indices = start..(start + 256).min(test.len());
        let best = looks(test, indices.clone())?.f_matmul(&known)?.f_argmax(1, false)?.f_to_device(tch::Device::Cpu)?;
        let best = Vec::<i64>::try_from(best)?;
        hits.extend(indices.zip(best).map(|(index, best)| training.class(best as usize) == test.class(index)));
    }
    Ok(outcome(format!("nearest picture, {name}"), protocol, &hits))
}

/// Counts right answers on all test pictures, on those with a twin in the training part, and on those without.
fn outcome(name: String, protocol: &Protocol, hits: &[bool]) -> Outcome {
    let Protocol { training, test, .. } = protocol;
    let known: BTreeSet<ContentHash> = (0..training.len()).map(|index| content(training, index)).collect();
    let has_twin: Vec<bool> = (0..test.len()).map(|index| known.contains(&content(test, index))).collect();
    let count = |keep: &dyn Fn(bool) -> bool| {
        let kept = hits.iter().zip(&has_twin).filter(|(_, twin)| keep(**twin)).map(|(&hit, _)| u64::from(hit));
        kept.fold((0, 0), |(right, all), hit| (right + hit, all + 1))
    };
    Outcome {
        name,
        training_pictures: training.len(),
        test_pictures: test.len(),
        twins: has_twin.iter().filter(|&&twin| twin).count(),
        remembered: None,
        right: [count(&|_| true), count(&|twin| twin), count(&|twin| !twin)],
        epoch: None,
    }
}

/// A small network, and nothing that keeps it from learning by heart: no augmentation, no dropout, no label smoothing.
fn recipe(epochs: usize, seed: u64) -> Recipe {
    let network = CompactConfig { widths: [8, 16, 48, 128], dropout: 0.0, ..CompactConfig::default() };
    Recipe {
        arch: Arch::Compact(network),
        augment: AugmentConfig::none(),
        train: TrainConfig {
            epochs,
            batch_size: 128,
            seed,
            learning_rate: 0.05,
            schedule: Schedule::Cosine { warmup: 0.5, end: 0.0 },
            ema_decay: 0.0,
            ..TrainConfig::default()
        },
    }
}

fn content(set: &FaceSet, index: usize) -> ContentHash {
    ContentHash::of_gray(SIDE as u32, set.pixels(index))
}

/// Whether the model is right, picture by picture.
fn hits(model: &FerModel, set: &FaceSet) -> Result<Vec<bool>> {
    let mut hits = Vec::with_capacity(set.len());
    for start in (0..set.len()).step_by(640) {
        let indices = start..(start + 640).min(set.len());
        let pictures: Vec<_> = indices.clone().map(|index| set.image(index)).collect();
        let answers = model.predict_batch(&pictures)?;
        hits.extend(indices.zip(answers).map(|(index, scores)| scores.top().0 == set.emotion(index)));
    }
    Ok(hits)
}

/// What the leak audit says about exact copies.
fn audited(protocol: &Protocol) -> Result<String> {
    let parts = [("training", &protocol.training), ("test", &protocol.test)];
    let items: Vec<Item> = parts
        .iter()
        .flat_map(|(split, set)| (0..set.len()).map(move |index| (split, *set, index)))
        .map(|(split, set, index)| Item {
            name: format!("{split} {index}"),
            split: (*split).to_owned(),
            label: Some(Emotion::to_string(&set.emotion(index))),
            group: None,
            content: content(set, index),
            look: None,
            changed: Vec::new(),
            sound: None,
        })
        .collect();
    Ok(audit(&items, &AuditConfig::default())?.to_string())
}

/// One line for each epoch.
struct Lines;

impl Callback for Lines {
    fn on_epoch(&mut self, history: &[EpochRecord]) -> Result<Flow, BoxError> {
        if let Some(EpochRecord { epoch, train_loss, validation, samples_per_second, .. }) = history.last() {
            let accuracy = validation.map_or(f64::NAN, |score| 100.0 * score.accuracy);
            eprintln!("epoch {epoch}: loss {train_loss:.3}, test {accuracy:.2} %, {samples_per_second:.0} pictures/s");
        }
        Ok(Flow::Continue)
    }
}

fn print_table(outcomes: &[Outcome]) {
    println!(
        "| split | training pictures | test pictures | of these also in training | \"accuracy\" (95 % interval) | on the copies | on pictures never seen | on training pictures | best epoch |"
    );
    println!("|---|---|---|---|---|---|---|---|---|");
    for outcome in outcomes {
        let share = |(right, all): (u64, u64)| {
            if all == 0 {
                return "–".to_owned();
            }
            let [low, high] = wilson_interval(right, all).map(|bound| 100.0 * bound);
            format!("{:.1} % ({low:.1}–{high:.1})", 100.0 * right as f64 / all as f64)
        };
        let [all, copies, unseen] = outcome.right.map(share);
        println!(
            "| {} | {} | {} | {} ({:.0} %) | **{all}** | {copies} | {unseen} | {} | {} |",
            outcome.name,
            outcome.training_pictures,
            outcome.test_pictures,
            outcome.twins,
            100.0 * outcome.twins as f64 / outcome.test_pictures as f64,
            outcome.remembered.map_or_else(|| "–".to_owned(), |share| format!("{:.1} %", 100.0 * share)),
            outcome.epoch.map_or_else(|| "–".to_owned(), |epoch| epoch.to_string())
        );
    }
}
