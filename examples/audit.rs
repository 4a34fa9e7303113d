//! Looks for what makes a figure too good to be true: the same picture or recording, a near copy of a picture, or the same
//! speaker on several sides of a split.
//!
//! ```text
//! cargo run --release --example audit -- faces fer2013.csv
//! cargo run --release --example audit -- faces my-pictures --json
//! cargo run --release --example audit -- speech ravdess ravdess/ --hold-out 17,18,19,20
//! cargo run --release --example audit -- speech savee savee/ --random 0.2 --seed 1
//! ```
//!
//! Prints a summary, or with `--json` one `emotion.audit/1` object with every copy by name. With `--check` it fails when
//! something stands on two sides.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "it talks to the one who runs it")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use clap::{Parser, Subcommand};
use emotion_core::Emotion;
use fer_model::dataset::{Fer2013, SIDE};
use model_kit::audit::{AuditConfig, ContentHash, ImageHash, Item, audit};
use model_kit::split::{SavedSplit, stratified};
use ser_model::corpus::split::from_saved;
use ser_model::corpus::{Clip, Corpus};

#[derive(Parser)]
#[command(about = "Looks for leaks between the parts of a data set", version)]
struct Options {
    #[command(subcommand)]
    data: Data,
    /// Near copies differ in at most this many of 256 hash bits, 0 to 31.
    #[arg(long, global = true, default_value_t = AuditConfig::default().max_distance)]
    max_distance: u32,
    /// Near copies' thumbnails correlate at least so much, -1 to 1.
    #[arg(long, global = true, default_value_t = AuditConfig::default().min_correlation)]
    min_correlation: f32,
    /// Print one JSON object instead of a summary.
    #[arg(long, global = true)]
    json: bool,
    /// Exit with 1 when something stands on two sides.
    #[arg(long, global = true)]
    check: bool,
}

#[derive(Subcommand)]
enum Data {
    /// Pictures: fer2013.csv, a folder that holds it, or a folder of splits, each with a folder for each class.
    Faces {
        /// The file or folder.
        path: PathBuf,
    },
    /// Recordings of a speech corpus, in the parts that an option below makes; all in one part without one.
    Speech {
        /// ravdess, tess, savee, cremad, emodb or folders.
        corpus: Corpus,
        /// The corpus's folder.
        path: PathBuf,
        /// The clips of these speakers are the test part, with commas between.
        #[arg(long, value_delimiter = ',', group = "parts")]
        hold_out: Vec<String>,
        /// This share of the clips, drawn at random, is the test part.
        #[arg(long, group = "parts")]
        random: Option<f64>,
        /// What the random share is drawn from.
        #[arg(long, default_value_t = 0)]
        seed: u64,
        /// The parts stand in this file, an `emotion.split/1` of paths below the corpus's folder, or below `CORPUS/`.
        #[arg(long, group = "parts")]
        split: Option<PathBuf>,
    },
}

fn main() -> Result<ExitCode> {
    let options = Options::parse();
    let config = AuditConfig {
        max_distance: options.max_distance,
        min_correlation: options.min_correlation,
        ..AuditConfig::default()
    };
    let start = Instant::now();
    let items = match &options.data {
        Data::Faces { path } => {
            let table = if path.is_dir() { path.join("fer2013.csv") } else { path.clone() };
            if table.is_file() { table_items(&table)? } else { picture_items(path)? }
        }
        Data::Speech { corpus, path, hold_out, random, seed, split } => {
            let clips = corpus.scan(path)?.clips;
            let parts = parts(path, &clips, hold_out, *random, *seed, split.as_deref())?;
            sound_items(path, &clips, &parts)?
        }
    };
    let read = start.elapsed();
    let report = audit(&items, &config)?;
    let (read, all) = (read.as_secs_f64(), start.elapsed().as_secs_f64());
    eprintln!("{} samples read and hashed in {read:.1} s, compared in {:.1} s", items.len(), all - read);
    if options.json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        print!("{report}");
    }
    Ok(if options.check && !report.is_clean() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// The rows of FER-2013, named by their number in the file, from 0.
fn table_items(path: &Path) -> Result<Vec<Item>> {
    let table = Fer2013::load(path)?;
    let side = SIDE as u32;
    let items = table.splits().iter().enumerate().map(|(row, split)| {
        let pixels = table.all().pixels(row);
        Ok(Item {
            name: format!("row {row}"),
            split: format!("{split:?}").to_lowercase(),
            label: Some(table.all().emotion(row).to_string()),
            group: None,
            content: ContentHash::of_gray(side, pixels),
            look: Some(ImageHash::of_gray(side, side, pixels)?),
        })
    });
    items.collect()
}

/// The pictures below a folder. The first folder is the split, unless it names an emotion; the innermost is the label.
fn picture_items(root: &Path) -> Result<Vec<Item>> {
    let mut paths = Vec::new();
    files(root, &mut paths)?;
    let ending =
        |path: &Path| path.extension().and_then(|ending| ending.to_str()).unwrap_or_default().to_ascii_lowercase();
    paths.retain(|path| ["png", "jpg", "jpeg"].contains(&ending(path).as_str()));
    ensure!(!paths.is_empty(), "no fer2013.csv and no PNG or JPEG picture in {}", root.display());

    let items = paths.iter().map(|path| {
        let image = image::open(path).with_context(|| format!("cannot read {}", path.display()))?.into_luma8();
        let name = path.strip_prefix(root).unwrap_or(path).to_string_lossy().into_owned();
        let folders: Vec<&str> = name.split(['/', '\\']).rev().skip(1).collect();
        let split = folders.last().filter(|folder| folder.parse::<Emotion>().is_err());
        Ok(Item {
            split: split.map_or_else(|| "all".to_owned(), |split| (*split).to_owned()),
            label: folders.first().map(|folder| (*folder).to_owned()),
            group: None,
            content: ContentHash::of_gray(image.width(), image.as_raw()),
            look: Some(ImageHash::of_gray(image.width(), image.height(), image.as_raw())?),
            name,
        })
    });
    items.collect()
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) -> Result<()> {
    let context = || format!("cannot list {}", folder.display());
    for entry in std::fs::read_dir(folder).with_context(context)? {
        let path = entry.with_context(context)?.path();
        if path.is_dir() { files(&path, found)? } else { found.push(path) }
    }
    found.sort();
    Ok(())
}

/// The part of each clip, by its path below the corpus's folder; clips that a saved split does not name are in none.
fn parts(
    root: &Path,
    clips: &[Clip],
    hold_out: &[String],
    random: Option<f64>,
    seed: u64,
    split: Option<&Path>,
) -> Result<BTreeMap<String, String>> {
    let names: Vec<String> = clips.iter().map(|clip| name(root, &clip.path)).collect();
    let test_of = |test: &dyn Fn(usize) -> bool| {
        let part = |clip: usize| if test(clip) { "test" } else { "train" };
        names.iter().enumerate().map(|(clip, name)| (name.clone(), part(clip).to_owned())).collect()
    };
    if let Some(path) = split {
        let parts = from_saved(&SavedSplit::load(path)?, clips)?;
        let named = parts.into_iter().flat_map(|(part, clips)| clips.into_iter().map(move |clip| (clip, part.clone())));
        return Ok(named.map(|(clip, part)| (names[clip].clone(), part)).collect());
    }
    if let Some(share) = random {
        let emotions: Vec<Emotion> = clips.iter().map(|clip| clip.emotion).collect();
        let test = &stratified(&emotions, &[1.0 - share, share], seed)?[1];
        return Ok(test_of(&|clip| test.binary_search(&clip).is_ok()));
    }
    for speaker in hold_out {
        let there = clips.iter().any(|clip| clip.is_by(speaker));
        ensure!(there, "no clips of speaker {speaker} in {}", root.display());
    }
    if hold_out.is_empty() {
        return Ok(names.into_iter().map(|name| (name, "all".to_owned())).collect());
    }
    Ok(test_of(&|clip| hold_out.iter().any(|speaker| clips[clip].is_by(speaker))))
}

fn sound_items(root: &Path, clips: &[Clip], parts: &BTreeMap<String, String>) -> Result<Vec<Item>> {
    let mut items = Vec::new();
    for clip in clips {
        let name = name(root, &clip.path);
        let Some(split) = parts.get(&name) else { continue };
        let audio = audio_features::load(&clip.path)?;
        items.push(Item {
            split: split.clone(),
            label: Some(clip.emotion.to_string()),
            group: Some(clip.speaker_key()),
            content: ContentHash::of_sound(audio.sample_rate, &audio.samples),
            look: None,
            name,
        });
    }
    Ok(items)
}

/// A path below the corpus's folder, with slashes on every system.
fn name(root: &Path, path: &Path) -> String {
    path.strip_prefix(root).unwrap_or(path).to_string_lossy().replace('\\', "/")
}
