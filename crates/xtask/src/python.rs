//! Private Python environments with pinned packages, for comparing with the libraries that this workspace follows.
//!
//! An environment is made in the cache, whole or not at all, and every checkout that asks for the same list of packages
//! shares it. A Python of the user's own that already holds the list, named in `PYTHON`, is used as it is.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Result;
use crate::cache::Cache;
use crate::shell;
use crate::ui::Ui;

/// The packages of one environment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Packages {
    /// What the environment is called in messages and in the cache.
    pub(crate) name: &'static str,
    /// The oldest Python that they run on.
    pub(crate) oldest: Version,
    /// Name and exact version of each. What they need beyond these is left to pip.
    pub(crate) pins: &'static [(&'static str, &'static str)],
}

/// Major and minor version of Python.
pub(crate) type Version = (u32, u32);

/// An interpreter that holds the packages it was asked for.
#[derive(Debug, Clone)]
pub(crate) struct Python {
    program: PathBuf,
}

/// Prints the version when the interpreter is able to make environments.
const PROBE: &str = "import ensurepip, sys, venv; print(*sys.version_info[:2])";

/// Prints those of the given `name==version` that are not installed.
const LACKING: &str = "\
import importlib.metadata as metadata, sys
def lacking(pin):
    name, version = pin.split('==')
    try:
        return metadata.version(name).split('+')[0] != version
    except metadata.PackageNotFoundError:
        return True
print('lacking', *filter(lacking, sys.argv[1:]))";

/// Every library that these packages compute with takes its number of threads from one of these.
const THREADS: [&str; 7] = [
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "NUMBA_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
];

impl Python {
    /// The environment with `packages`, made now if it is not there yet.
    pub(crate) fn with(packages: &Packages, cache: &Cache, ui: &Ui) -> Result<Self> {
        let users = users_choice();
        if let Some(program) = &users
            && holds(program, packages)
        {
            return Ok(Self { program: program.clone() });
        }
        let folder = cache.python(&format!("{}-{:016x}", packages.name, fingerprint(packages)));
        let ready = Self { program: folder.join("bin").join("python") };
        // An environment outlives neither the interpreter that it was made with nor that one's minor version.
        if holds(&ready.program, packages) {
            return Ok(ready);
        }
        let base = match users {
            Some(program) if version(&program).is_some_and(|found| found >= packages.oldest) => program,
            Some(program) => {
                return Err(format!(
                    "needs Python {} or newer with its venv module; PYTHON={} is not one",
                    dotted(packages.oldest),
                    program.display()
                ));
            }
            None => find(packages.oldest)?,
        };
        let Some(stage) = cache.stage(&folder, ui, packages.name)? else { return Ok(ready) };
        let names = packages.pins.iter().map(|(name, version)| format!("{name} {version}")).collect::<Vec<_>>();
        ui.step(packages.name, &format!("Python environment: {}", names.join(", ")), || {
            let made = stage.path().join("environment");
            make(&base, packages, stage.path(), &made)?;
            stage.publish(&made)
        })?;
        Ok(ready)
    }

    /// A run of `script` whose libraries use `threads` threads and see nothing of the user's other packages.
    pub(crate) fn script(&self, script: &Path, threads: usize) -> Command {
        let mut command = isolated(&self.program);
        // Scripts lie in the checkout, which is no place for compiled leftovers.
        command.env("PYTHONDONTWRITEBYTECODE", "1").env("PYTHONUNBUFFERED", "1");
        for name in THREADS {
            command.env(name, threads.to_string());
        }
        command.arg(script);
        command
    }
}

/// The interpreter that the user named in `PYTHON`.
fn users_choice() -> Option<PathBuf> {
    std::env::var_os("PYTHON").filter(|value| !value.is_empty()).map(PathBuf::from)
}

/// Finds a Python that is at least `oldest` and can make environments.
fn find(oldest: Version) -> Result<PathBuf> {
    candidates().into_iter().find(|program| version(program).is_some_and(|found| found >= oldest)).ok_or_else(|| {
        format!("needs Python {} or newer with its venv module; none found: install it or set PYTHON", dotted(oldest))
    })
}

/// Interpreters to try, in `PATH` and where pyenv and uv keep theirs. The versions that the pins were tried with come
/// first, then newer ones, for which a package may not be there yet.
fn candidates() -> Vec<PathBuf> {
    let minors = [13, 12, 14];
    let mut found: Vec<PathBuf> = minors.iter().filter_map(|minor| shell::find(&format!("python3.{minor}"))).collect();
    let home = std::env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
    let kept = [home.join(".pyenv/versions"), home.join(".local/share/uv/python")];
    let folders: Vec<PathBuf> =
        kept.iter().filter_map(|at| fs::read_dir(at).ok()).flatten().flatten().map(|entry| entry.path()).collect();
    for minor in minors {
        let name = format!("python3.{minor}");
        found.extend(folders.iter().map(|folder| folder.join("bin").join(&name)).filter(|program| program.is_file()));
    }
    found.extend(["python3", "python"].into_iter().filter_map(shell::find));
    found
}

fn version(program: &Path) -> Option<Version> {
    let text = shell::answer(&program.to_string_lossy(), &["-c", PROBE])?;
    let (major, minor) = text.split_once(' ')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// Whether the interpreter runs and has every package in the right version.
fn holds(program: &Path, packages: &Packages) -> bool {
    let pins: Vec<String> = packages.pins.iter().map(|(name, version)| format!("{name}=={version}")).collect();
    let mut command = isolated(program);
    command.args(["-c", LACKING]).args(&pins);
    shell::quiet(&mut command).is_ok_and(|said| said.trim() == "lacking")
}

/// Makes an environment at `made`, with pip's temporary files in `work`.
fn make(base: &Path, packages: &Packages, work: &Path, made: &Path) -> Result<()> {
    shell::quiet(isolated(base).args(["-m", "venv"]).arg(made))?;
    let pins = packages.pins.iter().fold(String::new(), |mut text, (name, version)| {
        let _ = writeln!(text, "{name}=={version}");
        text
    });
    let requirements = work.join("requirements.txt");
    fs::write(&requirements, pins).map_err(|e| format!("cannot write {}: {e}", requirements.display()))?;
    let mut pip = isolated(made.join("bin").join("python"));
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-cache-dir"])
        .args(["--only-binary=:all:", "--requirement"])
        .arg(&requirements)
        .env("TMPDIR", work);
    shell::quiet(&mut pip).map(drop)
}

/// The interpreter, without the packages and paths that the user's shell may add.
fn isolated(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    command.env_remove("PYTHONPATH").env_remove("PYTHONHOME").env("PYTHONNOUSERSITE", "1");
    command
}

/// A name for everything that makes one environment differ from another.
fn fingerprint(packages: &Packages) -> u64 {
    let mut text = std::env::consts::ARCH.to_owned();
    for (name, version) in packages.pins {
        let _ = write!(text, "\n{name}=={version}");
    }
    hash(text.as_bytes())
}

/// FNV-1a: enough to tell versions of a text apart, and the same in every build of this program.
pub(crate) fn hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

fn dotted((major, minor): Version) -> String {
    format!("{major}.{minor}")
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: Packages = Packages { name: "none", oldest: (3, 0), pins: &[] };
    const ABSENT: Packages = Packages { name: "absent", oldest: (3, 0), pins: &[("no-such-package-here", "1.0")] };

    #[test]
    fn each_list_has_an_environment_of_its_own() {
        assert_ne!(fingerprint(&NONE), fingerprint(&ABSENT));
        let newer = Packages { pins: &[("no-such-package-here", "1.1")], ..ABSENT };
        assert_ne!(fingerprint(&newer), fingerprint(&ABSENT));
    }

    #[test]
    fn an_interpreter_holds_what_is_installed() {
        let Some(program) = candidates().into_iter().find(|program| version(program).is_some()) else {
            println!("skipped: no Python here");
            return;
        };
        assert!(holds(&program, &NONE));
        assert!(!holds(&program, &ABSENT));
        assert!(!holds(Path::new("/nowhere/python"), &NONE));
    }

    #[test]
    fn a_python_that_nobody_has_is_asked_for_plainly() {
        let message = find((99, 1)).unwrap_err();
        assert!(message.contains("99.1") && message.contains("PYTHON"), "{message}");
    }
}
