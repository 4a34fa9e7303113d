//! Comparing with other libraries: a Rust bench that answers on a pipe, and a Python script that times it and its peers
//! in turn.

use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};

use crate::Result;
use crate::cache::Cache;
use crate::project::Project;
use crate::python::{Packages, Python};
use crate::shell;
use crate::ui::Ui;

/// One comparison. The script gets the path of the bench program in `EMOTION_BENCH`, and the user's arguments.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Comparison {
    /// The script, relative to the root of the checkout.
    pub(crate) script: &'static str,
    /// The crate that declares the bench.
    pub(crate) package: &'static str,
    /// The bench, a target with `harness = false` that follows `benches/peers/serve.rs`.
    pub(crate) bench: &'static str,
    /// Features of the crate that the bench needs, separated by commas; may be empty.
    pub(crate) features: &'static str,
    /// What the script imports.
    pub(crate) packages: Packages,
}

impl Comparison {
    /// Builds, makes the environment, and runs the script in the open, with its libraries limited to `threads`.
    pub(crate) fn run(&self, threads: usize, args: &[String]) -> Result<ExitCode> {
        let project = Project::find()?;
        let python = Python::with(&self.packages, &Cache::locate()?, &Ui::new())?;
        let mut build = project.cargo();
        build.args(["bench", "--no-run", "-p", self.package, "--bench", self.bench, "--features", self.features]);
        let program = built(&mut build)?;
        let mut script = python.script(&project.root().join(self.script), threads);
        shell::pass_through(script.env("EMOTION_BENCH", program).current_dir(project.root()).args(args))
    }
}

/// The number that the user gave with `--threads`, which is the script's option too; 1 without one.
pub(crate) fn threads(args: &[String]) -> Result<usize> {
    let Some(at) = args.iter().position(|arg| arg == "--threads") else { return Ok(1) };
    let number = args.get(at + 1).and_then(|text| text.parse().ok()).filter(|&number| number > 0);
    number.ok_or_else(|| "--threads needs a number".to_owned())
}

/// Runs cargo with its progress in the open, and returns the last program that it built.
pub(crate) fn built(cargo: &mut Command) -> Result<PathBuf> {
    let output = cargo
        .arg("--message-format=json-render-diagnostics")
        .stderr(Stdio::inherit())
        .output()
        .map_err(|e| format!("cannot start cargo: {e}"))?;
    if !output.status.success() {
        return Err("the build failed".to_owned());
    }
    let messages = String::from_utf8_lossy(&output.stdout);
    let path = messages.lines().rev().find_map(executable);
    path.ok_or_else(|| "cargo built no program".to_owned())
}

/// The program that one of cargo's JSON messages tells of.
fn executable(message: &str) -> Option<PathBuf> {
    let (_, rest) = message.split_once("\"executable\":\"")?;
    let (path, _) = rest.split_once('"')?;
    Some(PathBuf::from(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_are_one_unless_said() {
        let args = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(threads(&args("--seconds 3")), Ok(1));
        assert_eq!(threads(&args("--threads 2 --only mel")), Ok(2));
        assert!(threads(&args("--threads many")).is_err() && threads(&args("--threads")).is_err());
    }

    #[test]
    fn the_program_is_read_from_cargos_messages() {
        let message = r#"{"reason":"compiler-artifact","executable":"/t/release/deps/peers-1","fresh":true}"#;
        assert_eq!(executable(message), Some(PathBuf::from("/t/release/deps/peers-1")));
        assert_eq!(executable(r#"{"reason":"compiler-artifact","executable":null}"#), None);
    }
}
