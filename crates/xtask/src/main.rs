//! The workspace's own commands: `cargo xtask setup | demo | test | doctor | parity | bench-librosa |
//! bench-faces | bench-mtcnn | bench-train | bench-loader`.
//!
//! `demo` and `test` first make sure that everything the workspace builds with is there, and `setup` does only that:
//! FFmpeg's development files and libclang by apt, LibTorch and MTCNN's weights by pip, checksums verified, into a cache
//! that every checkout shares. When nothing is missing this takes a fraction of a second.
//!
//! | file | its one job |
//! |---|---|
//! | `main.rs` | the command line |
//! | `cache.rs` | where downloads live; files appear there whole or not at all |
//! | `project.rs` | the checkout: its root, its cargo, its `.libtorch` link |
//! | `shell.rs` | running other programs |
//! | `pip.rs`, `wheels.rs` | fetching pinned wheels, and the pins |
//! | `python.rs` | private Python environments with pinned packages |
//! | `peers.rs` | comparisons with other libraries |
//! | `librosa.rs` | the two that concern librosa: numbers and speed |
//! | `faces.rs` | the one that concerns OpenCV's cascade detector: speed |
//! | `mtcnn.rs` | the one that concerns MTCNN: speed |
//! | `train.rs` | the one that concerns PyTorch: training and inference, speed and memory |
//! | `loader.rs` | the one that concerns PyTorch's `DataLoader`: speed |
//! | `exports.rs` | exported models, run elsewhere |
//! | `ui.rs` | progress lines |
//! | `setup/` | one file per thing that set-up provides |
//! | `demo.rs`, `doctor.rs` | the two commands that do more than call cargo |

// A command-line program talks to its user; the libraries of this workspace never print.
#![allow(clippy::print_stdout, clippy::print_stderr)]

mod cache;
mod demo;
mod doctor;
mod exports;
mod faces;
mod librosa;
mod loader;
mod mtcnn;
mod peers;
mod pip;
mod project;
mod python;
mod setup;
mod shell;
mod train;
mod ui;
mod wheels;

use std::process::ExitCode;

use crate::project::Project;
use crate::setup::{Layout, Wanted};

/// What went wrong, ready to be read by the user, with what to do about it where that is known.
type Result<T> = std::result::Result<T, String>;

const HELP: &str = "\
Usage: cargo xtask COMMAND

  setup [--cuda | --cpu]    make sure that everything the workspace builds with is there
  demo [CLIP] [ARGS…]       set up, then analyse CLIP, or a clip made on the spot when none is given;
                            ARGS go to the analyze_video example (see its --help)
  test [ARGS…]              set up, then run every test; ARGS go to cargo test
  parity [ARGS…]            have librosa 1.0.0 compute the full conformance suite and compare audio-features with it;
                            ARGS go to the conformance example: --mode fast, --json, …; needs Python 3.12
  check-exports             export every network as ONNX and TorchScript and run the files in onnxruntime and PyTorch;
                            needs Python 3.12
  bench-librosa [ARGS…]     time audio-features, librosa and torchaudio in turn (see its --help); needs Python 3.12
  bench-faces [PICTURE…]    time face-prep's cascade and OpenCV's in turn (see its --help); needs Python 3.12
  bench-mtcnn PICTURE…      time face-prep's MTCNN and facenet-pytorch's in turn (see its --help); needs Python 3.12
  bench-train [ARGS…]       train and ask the networks here and in PyTorch in turn (see its --help); needs Python 3.12
  bench-loader [ARGS…]      time this workspace's loader of pictures and PyTorch's in turn (see its --help); needs Python 3.12
  doctor                    say what is found, where and which version; exits 1 when something needed is missing
  help                      this text

  --cuda  the full LibTorch, for NVIDIA GPUs (the default where a GPU is found)
  --cpu   the small one (0.5 GB), also where a GPU is found
          both may be given to setup, demo and test

Downloads are kept in $EMOTION_CACHE, else $XDG_CACHE_HOME/emotion, else ~/.cache/emotion.";

fn main() -> ExitCode {
    let mut args: Vec<String> = std::env::args().skip(1).collect();
    let command = if args.is_empty() { "help".to_owned() } else { args.remove(0) };
    match run(&command, args) {
        Ok(code) => code,
        Err(message) => {
            eprintln!("error: {message}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: &str, mut args: Vec<String>) -> Result<ExitCode> {
    if args.iter().any(|arg| arg == "--help" || arg == "-h") && matches!(command, "setup" | "doctor") {
        println!("{HELP}");
        return Ok(ExitCode::SUCCESS);
    }
    match command {
        "setup" => {
            let layout = take_layout(&mut args);
            none_left(&args)?;
            setup::run(&Project::find()?, &Wanted { layout, demo_clip: false })?;
            println!("Ready. Next: cargo xtask demo, cargo xtask test, or plain cargo build.");
            Ok(ExitCode::SUCCESS)
        }
        "demo" => demo::run(take_layout(&mut args), &args),
        "test" => {
            let layout = take_layout(&mut args);
            let project = Project::find()?;
            setup::run(&project, &Wanted { layout, demo_clip: false })?;
            shell::pass_through(project.cargo().args(["test", "--workspace"]).args(&args))
        }
        "parity" => librosa::parity(&args),
        "check-exports" => {
            none_left(&args)?;
            exports::check()
        }
        "bench-librosa" => librosa::bench(&args),
        "bench-faces" => faces::bench(&args),
        "bench-mtcnn" => mtcnn::bench(&args),
        "bench-loader" => loader::bench(&args),
        "bench-train" => train::bench(&args),
        "doctor" => {
            none_left(&args)?;
            doctor::run()
        }
        "help" | "--help" | "-h" => {
            println!("{HELP}");
            Ok(ExitCode::SUCCESS)
        }
        other => Err(format!("there is no command “{other}”\n\n{HELP}")),
    }
}

/// Takes `--cuda` and `--cpu` out of the arguments; the last one counts.
fn take_layout(args: &mut Vec<String>) -> Option<Layout> {
    let mut layout = None;
    args.retain(|arg| {
        let found = match arg.as_str() {
            "--cuda" => Layout::Cuda,
            "--cpu" => Layout::Cpu,
            _ => return true,
        };
        layout = Some(found);
        false
    });
    layout
}

fn none_left(args: &[String]) -> Result<()> {
    match args.first() {
        None => Ok(()),
        Some(arg) => Err(format!("unexpected argument “{arg}” (cargo xtask help lists the commands)")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layout_flags_are_taken_and_the_rest_is_left_in_order() {
        let mut args: Vec<String> = ["clip.mp4", "--cuda", "--stride", "1"].map(String::from).to_vec();
        assert_eq!(take_layout(&mut args), Some(Layout::Cuda));
        assert_eq!(args, ["clip.mp4", "--stride", "1"]);
        assert_eq!(take_layout(&mut args), None);
    }
}
