//! Looks for what makes a figure too good to be true: the same picture or recording, a near copy of one, or the same speaker on
//! several sides of a split.
//!
//! ```text
//! cargo run --release --example audit -- faces fer2013.csv
//! cargo run --release --example audit -- faces my-pictures --json
//! # Copies that were moved and turned too, and a picture with 50 of the pairs that it found, drawn at random, to be looked at:
//! cargo run --release --example audit -- faces fer2013.csv --changed --sheet pairs.png
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
use face_prep::{Affine, Border, Filter, resize, warp_affine};
use fer_model::dataset::{Fer2013, SIDE};
use image::{GrayImage, Luma};
use model_kit::audit::{AuditConfig, AuditReport, ContentHash, ImageHash, Item, audit};
use model_kit::data::mix_seed;
use model_kit::split::{SavedSplit, stratified};
use ser_model::corpus::split::from_saved;
use ser_model::corpus::{Clip, Corpus};
use ser_model::sound_hash;

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
    /// Near copies of recordings correlate at least so much, -1 to 1.
    #[arg(long, global = true, default_value_t = AuditConfig::default().min_sound_correlation)]
    min_sound_correlation: f32,
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
        /// Also look for copies that were moved by up to a twelfth of the picture and turned by up to six degrees. Every part
        /// but the largest is compared so; takes longer.
        #[arg(long)]
        changed: bool,
        /// Draw pairs of near copies, chosen at random, side by side into this PNG file.
        #[arg(long)]
        sheet: Option<PathBuf>,
        /// How many pairs.
        #[arg(long, default_value_t = 50)]
        sheet_pairs: usize,
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
        min_sound_correlation: options.min_sound_correlation,
        ..AuditConfig::default()
    };
    let start = Instant::now();
    // The pictures themselves are only kept for a sheet or to be changed.
    let mut pictures = Vec::new();
    let items = match &options.data {
        Data::Faces { path, changed, sheet, .. } => {
            let table = if path.is_dir() { path.join("fer2013.csv") } else { path.clone() };
            let keep = (*changed || sheet.is_some()).then_some(&mut pictures);
            let mut items = if table.is_file() { table_items(&table, keep)? } else { picture_items(path, keep)? };
            if *changed {
                add_changed(&mut items, &pictures)?;
            }
            items
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
    if let Data::Faces { sheet: Some(path), sheet_pairs, .. } = &options.data {
        draw_pairs(&report, &items, &pictures, *sheet_pairs, path)?;
    }
    Ok(if options.check && !report.is_clean() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// The rows of FER-2013, named by their number in the file, from 0.
fn table_items(path: &Path, pictures: Option<&mut Vec<GrayImage>>) -> Result<Vec<Item>> {
    let table = Fer2013::load(path)?;
    if let Some(pictures) = pictures {
        pictures.extend((0..table.all().len()).map(|row| table.all().image(row)));
    }
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
            changed: Vec::new(),
            sound: None,
        })
    });
    items.collect()
}

/// The pictures below a folder. The first folder is the split, unless it names an emotion; the innermost is the label.
fn picture_items(root: &Path, mut pictures: Option<&mut Vec<GrayImage>>) -> Result<Vec<Item>> {
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
        let item = Item {
            split: split.map_or_else(|| "all".to_owned(), |split| (*split).to_owned()),
            label: folders.first().map(|folder| (*folder).to_owned()),
            group: None,
            content: ContentHash::of_gray(image.width(), image.as_raw()),
            look: Some(ImageHash::of_gray(image.width(), image.height(), image.as_raw())?),
            changed: Vec::new(),
            sound: None,
            name,
        };
        if let Some(pictures) = &mut pictures {
            pictures.push(image);
        }
        Ok(item)
    });
    items.collect()
}

/// Gives every picture outside the largest part the looks of its moved and turned versions.
fn add_changed(items: &mut [Item], pictures: &[GrayImage]) -> Result<()> {
    let mut sizes: BTreeMap<String, usize> = BTreeMap::new();
    items.iter().for_each(|item| *sizes.entry(item.split.clone()).or_default() += 1);
    let largest = sizes.into_iter().max_by_key(|(_, size)| *size).map(|(split, _)| split).unwrap_or_default();
    let moves = [-1.0f32, -0.5, 0.0, 0.5, 1.0].map(|step| step / 12.0);
    for (item, picture) in items.iter_mut().zip(pictures).filter(|(item, _)| item.split != largest) {
        let [width, height] = [picture.width(), picture.height()];
        for degrees in [-6.0, 0.0, 6.0] {
            for (x, y) in moves.iter().flat_map(|&x| moves.map(|y| (x, y))) {
                if (degrees, x, y) == (0.0, 0.0, 0.0) {
                    continue;
                }
                let [wide, high] = [width as f32, height as f32];
                let map = Affine::translation((x - 0.5) * wide, (y - 0.5) * high)
                    .then(&Affine::rotation(degrees))
                    .then(&Affine::translation(0.5 * wide, 0.5 * high));
                let version = warp_affine(picture, &map, width, height, Border::Replicate)?;
                item.changed.push(ImageHash::of_gray(width, height, &version)?);
            }
        }
    }
    Ok(())
}

/// Pairs drawn at random from those that were found, five to a row; what one sees decides whether the thresholds are right.
fn draw_pairs(report: &AuditReport, items: &[Item], pictures: &[GrayImage], count: usize, path: &Path) -> Result<()> {
    const SHOWN: u32 = 96;
    const COLUMNS: usize = 5;
    let mut pairs: Vec<_> = report.near.iter().flat_map(|near| &near.pairs).enumerate().collect();
    pairs.sort_by_key(|(place, _)| mix_seed(0, &[*place as u64]));
    pairs.truncate(count);
    ensure!(!pairs.is_empty(), "there are no pairs of near copies to draw");
    let by_name: BTreeMap<&str, usize> = items.iter().enumerate().map(|(index, item)| (&*item.name, index)).collect();
    let (wide, high) = (2 * SHOWN + 12, SHOWN + 12);
    let rows = pairs.len().div_ceil(COLUMNS) as u32;
    let mut sheet = GrayImage::from_pixel(wide * COLUMNS as u32 + 12, high * rows + 12, Luma([255]));
    for (place, (_, pair)) in pairs.iter().enumerate() {
        let at = [(place % COLUMNS) as u32 * wide + 12, (place / COLUMNS) as u32 * high + 12].map(i64::from);
        for (side, name) in [&pair.first, &pair.second].into_iter().enumerate() {
            let index = by_name.get(&**name).with_context(|| format!("there is no sample {name}"))?;
            let shown = resize(&pictures[*index], SHOWN, SHOWN, Filter::Linear)?;
            image::imageops::replace(&mut sheet, &shown, at[0] + i64::from(SHOWN) * side as i64, at[1]);
        }
        eprintln!(
            "pair {}: {} and {}, {} bits, correlation {:.2}{}",
            place + 1,
            pair.first,
            pair.second,
            pair.distance,
            pair.correlation,
            if pair.mirrored { ", mirrored" } else { "" }
        );
    }
    sheet.save(path).with_context(|| format!("cannot write {}", path.display()))
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
            changed: Vec::new(),
            sound: Some(sound_hash(&audio.to_mono(), audio.sample_rate)?),
            name,
        });
    }
    Ok(items)
}

/// A path below the corpus's folder, with slashes on every system.
fn name(root: &Path, path: &Path) -> String {
    path.strip_prefix(root).unwrap_or(path).to_string_lossy().replace('\\', "/")
}
