//! Reads expressed emotion from a clip, by face and by voice, and writes what it finds beside it.
//!
//! ```text
//! cargo run --release --example analyze_video -- clip.mp4
//! ```
//!
//! writes `timeline.json`, `timeline.csv`, `chart.png` and `annotated.mp4` into `clip.mp4.emotion/`. See `--help` for the
//! settings. Progress goes to stderr, the summary to stdout; the exit status is 0 unless something failed.

#![allow(clippy::print_stderr, reason = "a program speaks to its user")]

#[path = "common/face_weights.rs"]
mod face_weights;
#[path = "common/progress.rs"]
mod progress;

use std::fmt::Write as _;
use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Parser, ValueEnum};
use emotion::face_prep::Mtcnn;
use emotion::timeline::{Opinion, Timeline};
use emotion::{Analyzer, Fusion};
use model_kit::device::Device;

/// Read expressed emotion from a clip, by face and by voice.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// A video, sound or picture that FFmpeg reads
    clip: PathBuf,
    /// Where the outputs go [default: CLIP.emotion beside the clip]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Classify every N-th frame; 1 is every frame
    #[arg(long, value_name = "N", default_value_t = 10)]
    stride: u64,
    /// What finds faces
    #[arg(long, value_enum, default_value_t = Detector::Cascade)]
    detector: Detector,
    /// MTCNN's weights as safetensors, for --detector mtcnn [default: those of `cargo xtask setup`]
    #[arg(long, value_name = "FILE")]
    mtcnn_weights: Option<PathBuf>,
    /// How face and voice become one: mean, weighted[:FACE], quality, product, max
    #[arg(long, default_value_t = Fusion::Mean)]
    fusion: Fusion,
    /// Weights of the face model: a file, pretrained-ferplus or pretrained-tiny [default: the pretrained ones]
    #[arg(long, value_name = "FILE")]
    fer_weights: Option<String>,
    /// Weights of the speech model [default: the pretrained ones]
    #[arg(long, value_name = "FILE")]
    ser_weights: Option<PathBuf>,
    /// Threads that LibTorch computes with
    #[arg(long, value_name = "N", default_value_t = 1)]
    threads: usize,
    /// Do not write the annotated video
    #[arg(long)]
    no_video: bool,
    /// Show no progress
    #[arg(long)]
    quiet: bool,
    /// Print the summary as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Detector {
    /// OpenCV's frontal-face cascade: quick, finds upright faces that look at the camera
    Cascade,
    /// MTCNN: three small networks, finds turned and tilted faces too, slower
    Mtcnn,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(&arguments) {
        Ok(summary) => {
            // Whoever reads the summary may have stopped reading: that is no failure of the analysis.
            writeln!(std::io::stdout(), "{summary}").ok();
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {}", one_line(&*error));
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> anyhow::Result<String> {
    let out = arguments.out.clone().unwrap_or_else(|| beside(&arguments.clip));
    let mut builder = Analyzer::builder()
        .stride(arguments.stride)
        .fusion(arguments.fusion)
        .annotate(!arguments.no_video)
        .threads(arguments.threads);
    if arguments.detector == Detector::Mtcnn {
        builder = builder.detector(mtcnn(arguments.mtcnn_weights.as_deref())?);
    }
    if let Some(weights) = &arguments.fer_weights {
        builder = builder.face_model(face_weights::open(weights, Device::Cpu)?);
    }
    if let Some(path) = &arguments.ser_weights {
        builder = builder.speech_weights(path);
    }
    if !arguments.quiet {
        builder = builder.progress(progress::reporter(std::io::stderr().is_terminal()));
    }
    let timeline = builder.build()?.analyze_to(&arguments.clip, &out)?;
    if arguments.json { Ok(summary_json(&timeline, &out)?) } else { Ok(summary(&timeline, &out)) }
}

/// MTCNN with the weights given, else those of the set-up.
fn mtcnn(weights: Option<&Path>) -> anyhow::Result<Mtcnn> {
    let path = weights.map(Path::to_owned).or_else(Mtcnn::default_path);
    let path = path.context("MTCNN needs its weights: `cargo xtask setup` gets them, or give --mtcnn-weights")?;
    Ok(Mtcnn::load(path)?)
}

/// `clip.mp4` → `clip.mp4.emotion`.
fn beside(clip: &Path) -> PathBuf {
    let mut name = clip.as_os_str().to_owned();
    name.push(".emotion");
    PathBuf::from(name)
}

/// The outputs that a folder holds.
fn outputs(folder: &Path) -> Vec<PathBuf> {
    let names = ["annotated.mp4", "annotated.png", "chart.png", "timeline.csv", "timeline.json"];
    names.iter().map(|name| folder.join(name)).filter(|path| path.exists()).collect()
}

fn summary(timeline: &Timeline, folder: &Path) -> String {
    let mut text = timeline.source.path.clone();
    if let Some(duration) = timeline.source.duration {
        write!(text, ", {duration:.1} s").ok();
    }
    let moments: usize = timeline.tracks.iter().map(|track| track.moments.len()).sum();
    let faces = format!("vote over {} of {}", counted(moments, "moment"), counted(timeline.tracks.len(), "track"));
    let voices = format!("mean of {} of speech", counted(timeline.speech.len(), "window"));
    let both = format!("fused by {}", timeline.settings.fusion);
    let verdict = &timeline.verdict;
    for (name, opinion, about) in
        [("face", &verdict.face, faces), ("voice", &verdict.voice, voices), ("both", &verdict.fused, both)]
    {
        match opinion {
            Some(Opinion { label, scores, .. }) => {
                write!(text, "\n  {name:<6} {label:<9} {:>3.0} %   {about}", scores.get(*label) * 100.0).ok();
            }
            None => {
                write!(text, "\n  {name:<6} –").ok();
            }
        }
    }
    for note in &timeline.notes {
        write!(text, "\n  {note}").ok();
    }
    let statistics = &timeline.statistics;
    write!(text, "\n  read in {:.1} s", statistics.seconds).ok();
    if let Some(factor) = statistics.real_time_factor {
        write!(text, " ({factor:.2} of the clip's length)").ok();
    }
    if let Some(memory) = statistics.peak_rss_mb {
        write!(text, ", {memory} MB of memory at most").ok();
    }
    write!(text, "\n  written to {}:", folder.display()).ok();
    for path in outputs(folder) {
        write!(text, " {}", path.file_name().unwrap_or_default().to_string_lossy()).ok();
    }
    text
}

/// `1 track`, `2 tracks`.
fn counted(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

fn summary_json(timeline: &Timeline, folder: &Path) -> serde_json::Result<String> {
    serde_json::to_string_pretty(&serde_json::json!({
        "source": timeline.source,
        "settings": timeline.settings,
        "tracks": timeline.tracks.len(),
        "moments": timeline.tracks.iter().map(|track| track.moments.len()).sum::<usize>(),
        "speech_windows": timeline.speech.len(),
        "verdict": timeline.verdict,
        "statistics": timeline.statistics,
        "notes": timeline.notes,
        "outputs": outputs(folder),
    }))
}

/// An error with its causes on one line. A cause that the line names already is left out.
fn one_line(error: &(dyn std::error::Error + 'static)) -> String {
    let mut line = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let text = cause.to_string();
        if !line.contains(&text) {
            line = format!("{line}: {text}");
        }
        source = cause.source();
    }
    line.replace('\n', " ")
}
