//! The features of sound files, with librosa's numbers and by librosa's parameter names: as `.npy`, CSV or JSON, or drawn.
//!
//! ```text
//! cargo run --release --example audio_features -- speech.wav                     # zcr, chroma, mfcc, rms, mel: a row for every frame
//! cargo run --release --example audio_features -- speech.wav --feature mfcc --param n_mfcc=40 --out mfcc.npy
//! cargo run --release --example audio_features -- speech.wav --feature mel --feature pitch --plot speech.png
//! cargo run --release --example audio_features -- clips/*.wav --feature mfcc --out features --format npy --plot plots
//! cargo run --release --example audio_features -- clips/*.wav --vector --sr 16000 --out vectors.csv   # 162 numbers a file
//! cargo run --release --example audio_features -- speech.wav --summary --format json  # mean, deviation, range, quartiles
//! ```
//!
//! Reads WAV and FLAC; channels are averaged. An array file holds `[n_features, n_frames]` as librosa returns it (`--vector`:
//! `[n_files, 162]`), CSV and JSON a row for every frame. A file that cannot be worked on costs one line on standard error; the
//! others are still worked on, and the exit status is 1.

#[path = "common/feature_plot.rs"]
mod feature_plot;
#[path = "common/features.rs"]
mod features;
#[path = "common/settings.rs"]
mod settings;
#[path = "common/table.rs"]
mod table;

use std::collections::HashSet;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{BufWriter, IsTerminal, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use audio_features::summary::{Statistic, Vector162, summarize};
use audio_features::{Precision, frame_time, load, resample};
use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};
use ndarray::{Array2, ArrayView1, Axis, concatenate};

use feature_plot::Panel;
use features::{Feature, Plan};
use settings::Settings;
use table::{Format, Label, Table};

/// Features of WAV and FLAC files, with librosa's numbers.
#[derive(Parser)]
#[command(version)]
struct Options {
    /// The sound files; their channels are averaged.
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// What to compute; may be repeated. Default: zcr, chroma, mfcc, rms and mel.
    #[arg(long = "feature", value_enum)]
    features: Vec<Feature>,
    /// A parameter by librosa's name, such as n_mfcc=40, for every feature that has it (mfcc.n_mels=40: for that one); may be
    /// repeated. An unknown name is answered with the list of those there are.
    #[arg(long = "param", value_name = "NAME=VALUE")]
    parameters: Vec<String>,
    /// Resample to this rate first, in Hz. Default: each file's own.
    #[arg(long)]
    sr: Option<u32>,
    /// Transform in f32 instead of f64.
    #[arg(long)]
    fast: bool,
    /// One vector of 162 numbers for each file: the means of zcr, chroma, mfcc, rms and mel.
    #[arg(long, conflicts_with_all = ["features", "summary", "parameters", "plot"])]
    vector: bool,
    /// Statistics over time instead of a row for every frame; NaN (unvoiced pitch) is left out.
    #[arg(long)]
    summary: bool,
    /// How to write it. Default: what the name given to --out ends in, else csv.
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// Where to write it: a file, or for several files a folder. Default: standard output, or nothing with --plot.
    #[arg(long)]
    out: Option<PathBuf>,
    /// Draw the features over time: a PNG picture, or for several files a folder of them.
    #[arg(long)]
    plot: Option<PathBuf>,
}

const STATISTICS: [(&str, Statistic); 7] = [
    ("mean", Statistic::Mean),
    ("std", Statistic::Std),
    ("min", Statistic::Min),
    ("p25", Statistic::Percentile(25.0)),
    ("median", Statistic::Percentile(50.0)),
    ("p75", Statistic::Percentile(75.0)),
    ("max", Statistic::Max),
];

fn main() -> Result<()> {
    let mut options = Options::parse();
    if options.features.is_empty() {
        options.features = vec![Feature::Zcr, Feature::Chroma, Feature::Mfcc, Feature::Rms, Feature::Mel];
    }
    let known: Vec<_> = options.features.iter().map(|feature| (feature.name(), feature.parameters())).collect();
    let settings = Settings::read(&known, &options.parameters)?;

    let format = format(&options)?;
    // Vectors of many files make one table, unless a folder is asked for.
    let several = options.files.len() > 1 && !(options.vector && one_file(options.out.as_deref()));
    ensure!(
        !several || options.out.is_some() || options.plot.is_some(),
        "several files: name a folder with --out DIR or --plot DIR"
    );
    let mut tables = Target::new(options.out.as_deref(), several, format.ending())?;
    let mut plots = Target::new(options.plot.as_deref(), several, "png")?;

    let bar = progress(options.files.len());
    let (mut planned, mut vectors, mut failed) = (None, Vec::new(), 0);
    for path in &options.files {
        bar.set_message(path.display().to_string());
        let worked = work(path, &options, &settings, &mut planned).and_then(|result| match result {
            Worked::Vector(table) if !several => {
                vectors.push(table);
                Ok(())
            }
            Worked::Vector(table) => write(&table, format, tables.path(path).as_deref()),
            Worked::Features(table, panels) => {
                if let Some(target) = plots.path(path) {
                    feature_plot::save(&target, &name(path), &panels)?;
                }
                match (tables.path(path), &options.plot) {
                    (None, Some(_)) => Ok(()),
                    (target, _) => write(&table?, format, target.as_deref()),
                }
            }
        });
        if let Err(error) = worked {
            failed += 1;
            let (path, reason) = (path.display().to_string(), one_line(&error));
            bar.suspend(|| report(&if reason.contains(&path) { reason } else { format!("{path}: {reason}") }));
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    if let Some(table) = together(vectors)? {
        write(&table, format, options.out.as_deref())?;
    }
    ensure!(failed == 0, "{failed} of {} files failed", options.files.len());
    Ok(())
}

/// What the features of one rate are planned as; most files have the rate of the one before.
enum Planned {
    Vector(Box<Vector162>),
    Features(Vec<Plan>),
}

enum Worked {
    Vector(Table),
    /// The table is an error when the features' frames do not go together; each can be drawn even so.
    Features(Result<Table>, Vec<Panel>),
}

fn work(path: &Path, options: &Options, settings: &[Settings], planned: &mut Option<(u32, Planned)>) -> Result<Worked> {
    let audio = load(path)?;
    let rate = options.sr.unwrap_or(audio.sample_rate);
    let samples = resample(&audio.to_mono(), audio.sample_rate, rate)?;
    let sr = f64::from(rate);
    if planned.as_ref().is_none_or(|(planned, _)| *planned != rate) {
        *planned = Some((rate, plan(options, settings, sr)?));
    }
    let plans = match planned {
        Some((_, Planned::Vector(vector))) => return Ok(Worked::Vector(of_vector(path, &vector.process(&samples)?))),
        Some((_, Planned::Features(plans))) => plans,
        None => bail!("nothing to compute"),
    };
    let mut panels = Vec::new();
    for ((&feature, settings), plan) in options.features.iter().zip(settings).zip(plans) {
        let values = plan(&samples).with_context(|| format!("no {}", feature.name()))?;
        panels.push(Panel { feature, settings: settings.clone(), values, sr, duration: samples.len() as f64 / sr });
    }
    let table = if options.summary { summary(&panels) } else { frames(&panels) };
    Ok(Worked::Features(table, panels))
}

fn plan(options: &Options, settings: &[Settings], sr: f64) -> Result<Planned> {
    let precision = if options.fast { Precision::Fast } else { Precision::Parity };
    if options.vector {
        return Ok(Planned::Vector(Box::new(Vector162::new(sr, precision)?)));
    }
    let plan = |(feature, settings): (&Feature, &Settings)| {
        let context = || format!("no {} with {}", feature.name(), settings.list());
        feature.plan(settings, sr, precision).with_context(context)
    };
    Ok(Planned::Features(options.features.iter().zip(settings).map(plan).collect::<Result<_>>()?))
}

fn of_vector(path: &Path, vector: &[f32]) -> Table {
    let parts = [("zcr", 1), ("chroma", 12), ("mfcc", 20), ("rms", 1), ("mel", 128)];
    Table {
        heading: "file",
        labels: vec![Label::Name(path.display().to_string())],
        columns: parts.iter().flat_map(|&(name, rows)| row_names(name, rows)).collect(),
        values: ArrayView1::from(vector).insert_axis(Axis(0)).to_owned(),
        columns_first: false,
    }
}

/// Vectors of several files as one table.
fn together(vectors: Vec<Table>) -> Result<Option<Table>> {
    let values: Vec<_> = vectors.iter().map(|table| table.values.view()).collect();
    let Some(first) = vectors.first() else { return Ok(None) };
    let values = concatenate(Axis(0), &values)?;
    let labels = vectors.iter().flat_map(|table| table.labels.clone()).collect();
    Ok(Some(Table { labels, values, ..first.clone() }))
}

/// A row for every frame, a column for every row of the features.
fn frames(panels: &[Panel]) -> Result<Table> {
    let hop_length: usize = panels.first().map_or(Ok(1), |panel| panel.settings.get("hop_length"))?;
    for panel in panels {
        let same = panel.values.ncols() == panels[0].values.ncols()
            && panel.settings.get::<usize>("hop_length")? == hop_length;
        ensure!(same, "the features have other frames than each other: write them to files of their own");
    }
    let values: Vec<_> = panels.iter().map(|panel| panel.values.t()).collect();
    let values = concatenate(Axis(1), &values)?;
    let sr = panels.first().map_or(1.0, |panel| panel.sr);
    Ok(Table {
        heading: "time",
        labels: (0..values.nrows()).map(|frame| Label::Seconds(frame_time(frame, hop_length, sr))).collect(),
        columns: panels.iter().flat_map(|panel| row_names(panel.feature.name(), panel.values.nrows())).collect(),
        values,
        columns_first: true,
    })
}

/// A row for every row of the features, a column for every statistic.
fn summary(panels: &[Panel]) -> Result<Table> {
    let statistics: Vec<Statistic> = STATISTICS.iter().map(|&(_, statistic)| statistic).collect();
    let (mut labels, mut values) = (Vec::new(), Vec::new());
    for panel in panels {
        labels.extend(row_names(panel.feature.name(), panel.values.nrows()).into_iter().map(Label::Name));
        for row in panel.values.outer_iter() {
            let present: Vec<f32> = row.iter().copied().filter(|x| x.is_finite()).collect();
            if present.is_empty() {
                values.extend([f32::NAN; STATISTICS.len()]);
            } else {
                let summary = summarize(ArrayView1::from(&present).insert_axis(Axis(0)), &statistics)?;
                values.extend(summary.iter().map(|&x| x as f32));
            }
        }
    }
    Ok(Table {
        heading: "feature",
        values: Array2::from_shape_vec((labels.len(), STATISTICS.len()), values)?,
        labels,
        columns: STATISTICS.iter().map(|&(name, _)| name.to_owned()).collect(),
        columns_first: false,
    })
}

/// `rms`, or `mfcc_0`, `mfcc_1`, …
fn row_names(name: &str, rows: usize) -> Vec<String> {
    if rows == 1 { vec![name.to_owned()] } else { (0..rows).map(|row| format!("{name}_{row}")).collect() }
}

/// The format that was asked for, or that a file's name asks for.
fn format(options: &Options) -> Result<Format> {
    let ending = options.out.as_deref().and_then(Path::extension).and_then(|ending| ending.to_str());
    let named = Format::ALL
        .into_iter()
        .find(|format| ending.is_some_and(|ending| ending.eq_ignore_ascii_case(format.ending())));
    let format = options.format.or(named).unwrap_or(Format::Csv);
    let to_terminal = options.out.is_none() && options.plot.is_none() && std::io::stdout().is_terminal();
    ensure!(format != Format::Npy || !to_terminal, "an array is nothing for a terminal: name a file with --out");
    Ok(format)
}

/// Whether a path (or none: standard output) stands for one file rather than a folder.
fn one_file(out: Option<&Path>) -> bool {
    out.is_none_or(|out| out.extension().is_some() && !out.is_dir())
}

/// Where results go: nowhere in particular, to one file, or into a folder under the names of the sound files.
struct Target {
    path: Option<PathBuf>,
    folder: bool,
    ending: &'static str,
    used: HashSet<OsString>,
}

impl Target {
    fn new(path: Option<&Path>, several: bool, ending: &'static str) -> Result<Self> {
        let folder = path.is_some_and(|path| several || path.is_dir());
        if let (Some(path), true) = (path, folder) {
            fs::create_dir_all(path).with_context(|| format!("cannot make the folder {}", path.display()))?;
        }
        Ok(Self { path: path.map(Path::to_owned), folder, ending, used: HashSet::new() })
    }

    /// In a folder `NAME.ending`, with a number where that name was used before.
    fn path(&mut self, sound: &Path) -> Option<PathBuf> {
        let path = self.path.as_ref()?;
        if !self.folder {
            return Some(path.clone());
        }
        let stem = sound.file_stem().unwrap_or(sound.as_os_str());
        let numbered = (1u32..).map(|number| {
            let mut name = stem.to_owned();
            name.push(if number == 1 { String::new() } else { format!("-{number}") });
            name.push(format!(".{}", self.ending));
            name
        });
        let mut unused = numbered.filter(|name| !self.used.contains(name));
        let name = unused.next()?;
        self.used.insert(name.clone());
        Some(path.join(name))
    }
}

fn write(table: &Table, format: Format, path: Option<&Path>) -> Result<()> {
    let Some(path) = path else {
        let mut bytes = Vec::new();
        table.write(format, &mut bytes)?;
        return match std::io::stdout().write_all(&bytes) {
            // A reader that has seen enough, such as `head`, is no error.
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
            written => written.context("cannot write to standard output"),
        };
    };
    let file = File::create(path).with_context(|| format!("cannot create {}", path.display()))?;
    table.write(format, BufWriter::new(file)).with_context(|| format!("cannot write {}", path.display()))
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

/// The error and its causes, but for those that the one before quotes.
fn one_line(error: &anyhow::Error) -> String {
    let mut line = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if !line.contains(&cause) {
            line += if line.is_empty() { "" } else { ": " };
            line += &cause;
        }
    }
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[allow(clippy::print_stderr, reason = "standard output may be the table")]
fn report(message: &str) {
    eprintln!("{message}");
}

/// A bar on a terminal for several files, else nothing.
fn progress(files: usize) -> ProgressBar {
    if files < 2 || !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{bar:32.cyan/dim} {pos}/{len}, {eta} left  {wide_msg}")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(files as u64).with_style(style.progress_chars("━╸─"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test")]
mod tests {
    use clap::ValueEnum;

    use super::*;

    fn settings(features: &[Feature], given: &[&str]) -> Result<Vec<Settings>> {
        let known: Vec<_> = features.iter().map(|feature| (feature.name(), feature.parameters())).collect();
        Settings::read(&known, &given.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn parameters_reach_the_features_that_have_them() {
        let both = settings(&[Feature::Mfcc, Feature::Zcr], &["hop_length=256", "mfcc.n_mels=40"]).unwrap();
        assert_eq!(
            [both[0].word("hop_length"), both[1].word("hop_length"), both[0].word("n_mels")],
            ["256", "256", "40"]
        );
        let unknown = settings(&[Feature::Mfcc], &["n_mfc=40"]).unwrap_err().to_string();
        assert!(unknown.contains("n_mfc;") && unknown.contains("n_mfcc=20"), "{unknown}");
        let bad = settings(&[Feature::Zcr], &["pad=7"]).unwrap_err().to_string();
        assert!(bad.contains("true or false") && bad.contains("frame_length=2048"), "{bad}");
    }

    #[test]
    fn every_feature_can_be_written_and_drawn() {
        let folder = tempfile::tempdir().unwrap();
        let tone: Vec<f32> = (0..8000).map(|n| (n as f32 * 0.08).sin() * 0.4).collect();
        let (all, some) = (Feature::value_variants(), [Feature::Mel, Feature::Mfcc, Feature::Rms, Feature::Pitch]);
        for (name, features, samples) in [("tone", all, tone), ("silence", &some, vec![0.0; 8000])] {
            let panels: Vec<Panel> = features
                .iter()
                .zip(settings(features, &[]).unwrap())
                .map(|(&feature, settings)| {
                    let values = feature.plan(&settings, 16_000.0, Precision::Parity).unwrap()(&samples).unwrap();
                    Panel { feature, settings, values, sr: 16_000.0, duration: 0.5 }
                })
                .collect();
            let table = frames(&panels).unwrap();
            assert_eq!(table.values.dim(), (16, table.columns.len()));
            assert_eq!(summary(&panels).unwrap().labels.len(), table.columns.len());
            let picture = folder.path().join(format!("{name}.png"));
            feature_plot::save(&picture, name, &panels).unwrap();
            assert_eq!(image::image_dimensions(&picture).unwrap().0, 1920);
        }
    }
}
