//! What `evaluate_fer` and `evaluate_ser` have in common: progress on stderr, the report on stdout, pictures on request.

use std::fs;
use std::io::{self, IsTerminal, Write};
use std::path::Path;

use anyhow::{Context, Result};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use model_kit::metrics::Evaluation;
use model_kit::plots::{self, Chart};

/// A bar on a terminal, nothing elsewhere.
pub(crate) fn progress(len: usize, what: &str) -> ProgressBar {
    let style = ProgressStyle::with_template("{prefix} {bar:30} {pos}/{len}, {eta} left");
    let target = if io::stderr().is_terminal() { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
    ProgressBar::with_draw_target(Some(len as u64), target)
        .with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
        .with_prefix(what.to_owned())
}

/// Prints one JSON object, or a table with the remarks below it.
pub(crate) fn print(evaluation: &Evaluation, remarks: &[String], json: bool) -> Result<()> {
    let mut out = io::stdout().lock();
    let written = if json {
        writeln!(out, "{}", serde_json::to_string_pretty(evaluation)?)
    } else {
        let remarks: String = remarks.iter().map(|remark| format!("\n{remark}")).collect();
        writeln!(out, "{evaluation}{remarks}")
    };
    match written {
        // A reader that has seen enough, such as `head`, is no error.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written.context("cannot write to stdout"),
    }
}

/// Saves the confusion matrix, the figures of each class and the reliability diagram as PNG and SVG.
pub(crate) fn save_plots(evaluation: &Evaluation, folder: &Path) -> Result<()> {
    let title = format!("{} on {}, {}", evaluation.model, evaluation.data, evaluation.split);
    save(&plots::confusion_matrix(&evaluation.confusion, &title), folder, "confusion")?;
    save(&plots::class_metrics(&evaluation.confusion, &title), folder, "classes")?;
    save(&plots::reliability_diagram(&evaluation.reliability, &title), folder, "reliability")
}

/// Saves a chart as PNG and SVG.
pub(crate) fn save(chart: &Chart, folder: &Path, name: &str) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    for ending in ["png", "svg"] {
        chart.save(&folder.join(format!("{name}.{ending}")))?;
    }
    Ok(())
}
