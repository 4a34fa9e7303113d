//! The features of a sound file, as CSV or JSON.
//!
//! ```text
//! cargo run --release --example extract_features -- speech.wav                          # zcr, chroma, mfcc, rms, mel: a row for every frame
//! cargo run --release --example extract_features -- speech.wav --feature mfcc --n-mfcc 40 --out mfcc.csv
//! cargo run --release --example extract_features -- speech.wav --vector --sr 16000      # the 162 numbers of classic speech-emotion systems
//! cargo run --release --example extract_features -- speech.wav --summary --format json  # mean, deviation, range and quartiles of every feature
//! ```

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::PathBuf;

use anyhow::{Context, Result};
use audio_features::summary::{Statistic, Vector162, summarize};
use audio_features::{ExtractorConfig, Feature, FeatureExtractor, Precision, StftConfig, frame_time, load, resample};
use clap::{Parser, ValueEnum};
use serde_json::{Map, Value, json};

/// Features of a WAV or FLAC file, with librosa's numbers.
#[derive(Parser)]
struct Arguments {
    /// The sound file; its channels are averaged.
    file: PathBuf,
    /// What to compute: zcr, rms, chroma, mfcc, mel, log_mel, centroid, bandwidth, rolloff, flatness, contrast. May be repeated.
    #[arg(long = "feature")]
    features: Vec<Feature>,
    /// Resample to this rate first, in Hz. Default: the file's own.
    #[arg(long)]
    sr: Option<u32>,
    /// Length of the transform, in samples.
    #[arg(long, default_value_t = 2048)]
    n_fft: usize,
    /// Samples from one frame to the next.
    #[arg(long, default_value_t = 512)]
    hop_length: usize,
    /// Number of mel bands.
    #[arg(long, default_value_t = 128)]
    n_mels: usize,
    /// Number of cepstral coefficients.
    #[arg(long, default_value_t = 20)]
    n_mfcc: usize,
    /// Transform in f32 instead of f64.
    #[arg(long)]
    fast: bool,
    /// One vector of 162 numbers instead of a row for every frame.
    #[arg(long, conflicts_with_all = ["features", "summary"])]
    vector: bool,
    /// Statistics over time instead of a row for every frame.
    #[arg(long)]
    summary: bool,
    /// How to write it.
    #[arg(long, value_enum, default_value = "csv")]
    format: Format,
    /// Where to write it. Default: standard output.
    #[arg(long)]
    out: Option<PathBuf>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Format {
    Csv,
    Json,
}

/// Rows of numbers with a name for every column; the first column may hold words.
struct Table {
    columns: Vec<String>,
    rows: Vec<(Option<String>, Vec<f64>)>,
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
    let arguments = Arguments::parse();
    let audio = load(&arguments.file)?;
    let sr = arguments.sr.unwrap_or(audio.sample_rate);
    let samples = resample(&audio.to_mono(), audio.sample_rate, sr)?;
    let table = compute(&arguments, &samples, f64::from(sr))
        .with_context(|| format!("no features of {}", arguments.file.display()))?;

    match &arguments.out {
        Some(path) => {
            let file = File::create(path).with_context(|| format!("cannot create {}", path.display()))?;
            write(&table, arguments.format, BufWriter::new(file))
        }
        None => write(&table, arguments.format, std::io::stdout().lock()),
    }
}

fn compute(arguments: &Arguments, samples: &[f32], sr: f64) -> Result<Table> {
    let precision = if arguments.fast { Precision::Fast } else { Precision::Parity };
    if arguments.vector {
        let vector = Vector162::new(sr, precision)?.process(samples)?;
        let columns = [("zcr", 1), ("chroma", 12), ("mfcc", 20), ("rms", 1), ("mel", 128)];
        let columns = columns
            .iter()
            .flat_map(|&(name, n)| (0..n).map(move |i| if n == 1 { name.to_owned() } else { format!("{name}_{i}") }));
        return Ok(Table {
            columns: columns.collect(),
            rows: vec![(None, vector.iter().map(|&x| f64::from(x)).collect())],
        });
    }

    let defaults = ExtractorConfig::default();
    let extractor = FeatureExtractor::new(&ExtractorConfig {
        sr,
        stft: StftConfig {
            n_fft: arguments.n_fft,
            hop_length: Some(arguments.hop_length),
            precision,
            ..StftConfig::default()
        },
        features: if arguments.features.is_empty() { defaults.features.clone() } else { arguments.features.clone() },
        n_mels: arguments.n_mels,
        n_mfcc: arguments.n_mfcc,
        ..defaults
    })?;
    let features = extractor.process(samples)?;
    let (names, values) = (features.row_names(), features.stack()?);
    if arguments.summary {
        let statistics: Vec<Statistic> = STATISTICS.iter().map(|&(_, statistic)| statistic).collect();
        let summary = summarize(values.view(), &statistics)?;
        let columns = std::iter::once("feature").chain(STATISTICS.iter().map(|&(name, _)| name));
        return Ok(Table {
            columns: columns.map(str::to_owned).collect(),
            rows: names.into_iter().zip(summary.outer_iter()).map(|(name, row)| (Some(name), row.to_vec())).collect(),
        });
    }
    let rows = values.columns().into_iter().enumerate().map(|(frame, column)| {
        let time = frame_time(frame, arguments.hop_length, sr);
        (None, std::iter::once(time).chain(column.iter().map(|&x| f64::from(x))).collect())
    });
    Ok(Table { rows: rows.collect(), columns: std::iter::once("time".to_owned()).chain(names).collect() })
}

fn write(table: &Table, format: Format, mut out: impl Write) -> Result<()> {
    match format {
        Format::Csv => {
            writeln!(out, "{}", table.columns.join(","))?;
            for (name, values) in &table.rows {
                let cells = name.iter().cloned().chain(values.iter().map(|&x| cell(x)));
                writeln!(out, "{}", cells.collect::<Vec<_>>().join(","))?;
            }
        }
        Format::Json => {
            let rows = table.rows.iter().map(|(name, values)| {
                let cells = name.iter().map(|name| json!(name)).chain(values.iter().map(|x| json!(x)));
                Value::Object(table.columns.iter().cloned().zip(cells).collect::<Map<_, _>>())
            });
            writeln!(out, "{}", serde_json::to_string_pretty(&rows.collect::<Vec<_>>())?)?;
        }
    }
    out.flush()?;
    Ok(())
}

/// A number with as many digits as its `f32` holds.
fn cell(x: f64) -> String {
    if x != 0.0 && !(1e-4..1e7).contains(&x.abs()) { format!("{x:.8e}") } else { (x as f32).to_string() }
}
