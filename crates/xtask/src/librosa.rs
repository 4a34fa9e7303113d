//! `cargo xtask parity` and `cargo xtask bench-librosa`: librosa's numbers and ours, librosa's speed and ours.

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use crate::Result;
use crate::cache::Cache;
use crate::peers::{self, Comparison};
use crate::project::Project;
use crate::python::{self, Packages, Python};
use crate::shell;
use crate::ui::Ui;

const GENERATE: &str = "crates/audio-features/tests/data/librosa-1.0.0/generate.py";

/// What librosa 1.0.0 computes its numbers with.
const PINS: [(&str, &str); 6] = [
    ("librosa", "1.0.0"),
    ("numpy", "2.5.5"),
    ("scipy", "1.18.1"),
    ("numba", "0.68.1"),
    ("soxr", "1.1.0"),
    ("safetensors", "0.8.0"),
];

/// The same for timing, with PyTorch's library for sound.
const WITH_TORCH: [(&str, &str); 7] =
    [PINS[0], PINS[1], PINS[2], PINS[3], PINS[4], ("torch", "2.11.0"), ("torchaudio", "2.11.0")];

const LIBROSA: Packages = Packages { name: "librosa", oldest: (3, 12), pins: &PINS };
const TORCHAUDIO: Packages = Packages { name: "torchaudio", oldest: (3, 12), pins: &WITH_TORCH };

/// Has librosa compute the full conformance suite, once, and runs it.
pub(crate) fn parity(args: &[String]) -> Result<ExitCode> {
    let project = Project::find()?;
    let suite = suite(&project).map_err(|error| {
        format!(
            "{error}\n(the part of the suite that lies in the checkout needs no Python: cargo test -p audio-features)"
        )
    })?;
    let mut run = project.cargo();
    run.args(["run", "--release", "--quiet", "-p", "audio-features", "--example", "conformance", "--", "--suite"]);
    shell::pass_through(run.arg(suite).args(args))
}

/// The folder with the full suite, computed anew when the script has changed.
fn suite(project: &Project) -> Result<PathBuf> {
    let (cache, ui) = (Cache::locate()?, Ui::new());
    let script = project.root().join(GENERATE);
    let text = fs::read(&script).map_err(|e| format!("cannot read {}: {e}", script.display()))?;
    let made_by = format!("{:016x}", python::hash(&text));
    let (suite, mark) = (cache.conformance(), "made-by");
    let ready = || fs::read_to_string(suite.join(mark)).is_ok_and(|found| found == made_by);
    if ready() {
        return Ok(suite);
    }
    let python = Python::with(&LIBROSA, &cache, &ui)?;
    let Some(stage) = cache.stage(&suite, &ui, "parity")? else { return Ok(suite) };
    ui.step("parity", "librosa 1.0.0 computes the full suite", || {
        let made = stage.path().join("suite");
        let said = shell::quiet(python.script(&script, 1).arg(&made).arg("--full"))?;
        ui.line("parity", said.trim());
        fs::write(made.join(mark), &made_by).map_err(|e| format!("cannot write in {}: {e}", made.display()))?;
        stage.publish(&made)
    })?;
    Ok(suite)
}

/// Times the two in turn.
pub(crate) fn bench(args: &[String]) -> Result<ExitCode> {
    let torch = args.iter().any(|arg| arg == "--torchaudio");
    let comparison = Comparison {
        script: "benches/peers/audio.py",
        package: "audio-features",
        bench: "audio_peers",
        features: "rayon",
        packages: if torch { TORCHAUDIO } else { LIBROSA },
    };
    comparison.run(peers::threads(args)?, args)
}
