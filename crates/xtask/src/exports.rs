//! `cargo xtask check-exports`: every exported model, run in PyTorch and in onnxruntime.

use std::path::Path;
use std::process::ExitCode;

use crate::Result;
use crate::cache::{self, Cache};
use crate::project::Project;
use crate::python::{Packages, Python};
use crate::shell;
use crate::ui::Ui;

const SCRIPT: &str = "crates/model-kit/tests/data/export/check.py";

/// What runs the exported models.
const RUNTIMES: Packages = Packages {
    name: "exports",
    oldest: (3, 12),
    pins: &[("torch", "2.11.0"), ("onnx", "1.23.2"), ("onnxruntime", "1.31.1"), ("numpy", "2.5.5")],
};

pub(crate) fn check() -> Result<ExitCode> {
    let (project, cache) = (Project::find()?, Cache::locate()?);
    let python = Python::with(&RUNTIMES, &cache, &Ui::new())?;
    // Two and a half gigabytes, gone when the check is over.
    let folder = cache.root().join(format!("exports-{}", std::process::id()));
    let checked = run(&project, &python, &folder);
    let removed = cache::remove(&folder).map_err(|e| format!("cannot remove {}: {e}", folder.display()));
    checked.and_then(|code| removed.map(|()| code))
}

fn run(project: &Project, python: &Python, folder: &Path) -> Result<ExitCode> {
    let mut export = project.cargo();
    export.args(["run", "--release", "--quiet", "-p", "emotion", "--no-default-features"]);
    export.args(["--features", "face,speech,pretrained", "--example", "export_model", "--", "--every"]).arg(folder);
    shell::quiet(&mut export)?;
    shell::pass_through(python.script(&project.root().join(SCRIPT), 1).arg(folder))
}
