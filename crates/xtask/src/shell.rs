//! Running other programs.

use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};

use crate::Result;

/// The program's standard output, trimmed, when it exists, succeeds and prints something.
pub(crate) fn answer(program: &str, args: &[&str]) -> Option<String> {
    let output = Command::new(program).args(args).stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    (output.status.success() && !text.is_empty()).then_some(text)
}

/// Whether the program exists and succeeds.
pub(crate) fn succeeds(program: &str, args: &[&str]) -> bool {
    Command::new(program)
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// Where a program lies in `PATH`.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.is_file())
}

/// Runs a program silently; its standard output, or, when it fails, the last lines that it said.
pub(crate) fn quiet(command: &mut Command) -> Result<String> {
    let output = command.stdin(Stdio::null()).output().map_err(|e| format!("cannot start {}: {e}", shown(command)))?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(said);
    }
    let all = said + &String::from_utf8_lossy(&output.stderr);
    let lines: Vec<&str> = all.lines().map(str::trim_end).filter(|line| !line.is_empty()).collect();
    let tail = lines[lines.len().saturating_sub(12)..].join("\n    ");
    Err(format!("{} failed ({}):\n    {tail}", shown(command), output.status))
}

/// Runs a program in the open, and takes over its exit status.
pub(crate) fn pass_through(command: &mut Command) -> Result<ExitCode> {
    let status = command.status().map_err(|e| format!("cannot start {}: {e}", shown(command)))?;
    if status.success() {
        return Ok(ExitCode::SUCCESS);
    }
    Ok(ExitCode::from(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1)))
}

/// The first words of a command line, enough to recognise it in a message.
fn shown(command: &Command) -> String {
    let words = command.get_args().take(3).map(|word| {
        let word = word.to_string_lossy();
        if word.contains('\n') { "…".to_owned() } else { word.into_owned() }
    });
    std::iter::once(command.get_program().to_string_lossy().into_owned()).chain(words).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_carries_what_the_program_said() {
        let error = quiet(Command::new("sh").args(["-c", "echo first; echo last >&2; exit 3"])).unwrap_err();
        assert!(error.contains("first") && error.contains("last") && error.contains('3'), "{error}");
        assert!(quiet(&mut Command::new("no-such-program-here")).unwrap_err().contains("cannot start"));
    }

    #[test]
    fn answers_are_trimmed_and_failures_are_none() {
        assert_eq!(answer("echo", &["hello"]).as_deref(), Some("hello"));
        assert_eq!(answer("false", &[]), None);
        assert!(find("sh").is_some());
    }
}
