//! Runs a conformance suite of librosa's answers and says, group by group, how many this crate gives too.
//!
//! ```text
//! cargo run --release --example conformance -- --suite crates/audio-features/tests/data/librosa-1.0.0
//! ```
//!
//! The exit status is 1 when a case fails, or when one is not supported and `--allow-unsupported` is not given.

#[path = "../crates/audio-features/tests/conformance/mod.rs"]
mod conformance;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, ensure};
use clap::{Parser, ValueEnum};
use conformance::{Suite, Verdict};
use serde_json::{Map, Value, json};

/// Compares this crate with librosa, case by case.
#[derive(Parser)]
struct Arguments {
    /// The folder with cases.json.
    #[arg(long)]
    suite: PathBuf,
    /// Whether transforms run in f64 (parity) or in f32 (fast).
    #[arg(long, value_enum, default_value = "parity")]
    mode: Mode,
    /// Print one JSON object instead of a table.
    #[arg(long)]
    json: bool,
    /// Do not fail because of functions or parameters that are not known here.
    #[arg(long)]
    allow_unsupported: bool,
    /// Run only the cases whose id contains this.
    #[arg(long, default_value = "")]
    filter: String,
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum Mode {
    Parity,
    Fast,
}

#[expect(clippy::print_stdout, clippy::print_stderr, reason = "a program speaks on its terminal")]
fn main() -> Result<ExitCode> {
    let arguments = Arguments::parse();
    let suite = Suite::load(&arguments.suite)?;
    let fast = arguments.mode == Mode::Fast;
    let tallies = suite.run_all(fast, &arguments.filter, |case, verdict| match verdict {
        Verdict::Failed { reason, .. } if case.is_ill_conditioned(fast) => {
            eprintln!("{} (ill-conditioned): {reason}", case.id);
        }
        Verdict::Failed { reason, .. } => {
            eprintln!("FAILED {} {} {:?}: {reason}", case.id, case.function, case.inputs);
        }
        Verdict::Unsupported { what } => eprintln!("unsupported {}: {what}", case.id),
        Verdict::Passed { .. } => {}
    })?;

    ensure!(!tallies.is_empty(), "no case has “{}” in its id", arguments.filter);

    let failed = tallies.values().any(|tally| tally.failed > 0);
    let unsupported = tallies.values().any(|tally| tally.unsupported > 0);
    let passed = !failed && (arguments.allow_unsupported || !unsupported);
    if arguments.json {
        let groups: Map<String, Value> = tallies
            .iter()
            .map(|(group, tally)| {
                let worst = tally.worst.as_ref().map(|(id, error)| {
                    json!({"id": id, "error": if error.is_finite() { json!(error) } else { json!("inf") }})
                });
                let value = json!({
                    "cases": tally.cases, "passed": tally.passed, "failed": tally.failed,
                    "unsupported": tally.unsupported, "ill_conditioned": tally.ill_conditioned, "worst": worst,
                });
                (group.clone(), value)
            })
            .collect();
        println!("{}", json!({"schema": "emotion.conformance/1", "groups": groups, "passed": passed}));
    } else {
        println!("librosa {}; the worst error is in multiples of what its gate allows", suite.librosa);
        println!(
            "{:<20} {:>6} {:>7} {:>7} {:>12} {:>4}  worst",
            "group", "cases", "passed", "failed", "unsupported", "ill"
        );
        for (group, tally) in &tallies {
            let worst = tally.worst.as_ref().map_or(String::new(), |(id, error)| format!("{error:.2e} ({id})"));
            println!(
                "{group:<20} {:>6} {:>7} {:>7} {:>12} {:>4}  {worst}",
                tally.cases, tally.passed, tally.failed, tally.unsupported, tally.ill_conditioned
            );
        }
    }
    Ok(if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
