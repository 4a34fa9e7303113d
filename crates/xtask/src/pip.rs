//! Fetching pinned wheels with the user's own pip, its index and its proxy, and taking files out of them.

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::Result;
use crate::shell;
use crate::wheels::Wheel;

const UNPACK: &str = include_str!("unpack.py");

/// The Python interpreter to use, if there is one.
pub(crate) fn python() -> Option<&'static str> {
    ["python3", "python"].into_iter().find(|name| shell::find(name).is_some())
}

/// Pip's version line, if Python has pip.
pub(crate) fn version() -> Option<String> {
    shell::answer(python()?, &["-m", "pip", "--version"])
}

/// Downloads the wheels into `folder`, which holds nothing else, and returns their paths in the same order.
///
/// Pip itself compares every file with its pinned checksum and refuses what differs.
pub(crate) fn download(wheels: &[Wheel], folder: &Path) -> Result<Vec<PathBuf>> {
    let wheel_folder = folder.join("wheels");
    let temporary = folder.join("pip");
    for made in [&wheel_folder, &temporary] {
        fs::create_dir_all(made).map_err(|e| format!("cannot create {}: {e}", made.display()))?;
    }
    let pins = folder.join("requirements.txt");
    fs::write(&pins, requirements(wheels)).map_err(|e| format!("cannot write {}: {e}", pins.display()))?;

    let mut last = String::new();
    // A broken connection is worth another try: half a gigabyte is a long download.
    for _ in 0..3 {
        match shell::quiet(&mut command(wheels, &pins, &wheel_folder, &temporary)?) {
            Ok(_) => return wheels.iter().map(|wheel| locate(wheel, &wheel_folder)).collect(),
            Err(error) => last = error,
        }
        if last.contains("HASH") || last.contains("No matching distribution") {
            break;
        }
    }
    Err(last)
}

/// The names of the files in a wheel.
pub(crate) fn members(wheel: &Path) -> Result<Vec<String>> {
    let listed = shell::quiet(Command::new(needed_python()?).args(["-c", UNPACK]).arg(wheel))?;
    Ok(listed.lines().filter(|name| !name.ends_with('/')).map(str::to_owned).collect())
}

/// Copies members of a wheel to paths relative to `folder`.
pub(crate) fn unpack(wheel: &Path, files: &[(String, PathBuf)], folder: &Path) -> Result<()> {
    let fail = |e: std::io::Error| format!("cannot unpack {}: {e}", wheel.display());
    let mut child = Command::new(needed_python()?)
        .args(["-c", UNPACK])
        .args([wheel, folder])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(fail)?;
    let plan = files.iter().fold(String::new(), |mut plan, (member, to)| {
        let _ = writeln!(plan, "{member}\t{}", to.display());
        plan
    });
    // If Python dies early, its own words below say more than the broken pipe here. Dropping the pipe ends the list.
    let _ = child.stdin.take().map(|mut pipe| pipe.write_all(plan.as_bytes()));
    let output = child.wait_with_output().map_err(fail)?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(format!("cannot unpack {}: {}", wheel.display(), said.lines().last().unwrap_or("Python failed")))
}

fn needed_python() -> Result<&'static str> {
    python().ok_or_else(|| "Python is missing: install python3 and python3-pip".to_owned())
}

/// A requirements file in pip's hash-checking mode.
fn requirements(wheels: &[Wheel]) -> String {
    wheels.iter().fold(String::new(), |mut text, wheel| {
        let _ = writeln!(text, "{}=={} --hash=sha256:{}", wheel.name, wheel.version, wheel.sha256);
        text
    })
}

fn command(wheels: &[Wheel], pins: &Path, into: &Path, temporary: &Path) -> Result<Command> {
    let mut pip = Command::new(needed_python()?);
    // The files are kept in unpacked form, so a second copy in pip's own cache would only fill the disk.
    pip.args(["-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-cache-dir", "--no-deps"])
        .args(["--only-binary=:all:", "--implementation", "cp", "--python-version", "3.12"])
        .args(["--abi", "cp312", "--abi", "none", "--require-hashes"]);
    // Older pips take a platform tag literally: name each one.
    let mut platforms: Vec<&str> = wheels.iter().map(|wheel| wheel.platform).collect();
    platforms.sort_unstable();
    platforms.dedup();
    for platform in platforms {
        pip.args(["--platform", platform]);
    }
    pip.arg("--requirement").arg(pins).arg("--dest").arg(into);
    // The system's temporary folder may be small, and in memory.
    pip.env("TMPDIR", temporary);
    Ok(pip)
}

/// The downloaded file of a wheel: `scikit_image-0.25.2-….whl` for `scikit-image` 0.25.2.
fn locate(wheel: &Wheel, folder: &Path) -> Result<PathBuf> {
    let start = format!("{}-{}-", wheel.name.replace('-', "_"), wheel.version);
    let files = fs::read_dir(folder).map_err(|e| format!("cannot read {}: {e}", folder.display()))?;
    files
        .flatten()
        .map(|file| file.path())
        .find(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(&start)))
        .ok_or_else(|| format!("pip left no {start}… in {}", folder.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wheels::{MTCNN, SCIKIT_IMAGE};

    #[test]
    fn requirements_pin_version_and_checksum() {
        let text = requirements(&[MTCNN, SCIKIT_IMAGE]);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 2);
        assert!(lines[0].starts_with("mtcnn==0.1.1 --hash=sha256:fd69"), "{}", lines[0]);
        assert!(lines[1].starts_with("scikit-image==0.25.2 --hash=sha256:a17e"), "{}", lines[1]);
    }
}
