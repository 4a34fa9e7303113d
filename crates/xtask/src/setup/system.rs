//! What comes from the system's packages: compilers, FFmpeg's development files, libclang, Python's pip and so on.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Result;
use crate::pip;
use crate::setup::cascades;
use crate::shell;
use crate::ui::Ui;

/// One thing that a package provides.
pub(crate) struct Item {
    pub(crate) what: &'static str,
    /// Debian's and Ubuntu's package names. Libclang's carry a version, which only apt can tell.
    packages: &'static [&'static str],
    /// Whether building, or what was asked for, fails without it.
    pub(crate) needed: bool,
    /// Says which one is there, if any.
    pub(crate) found: fn() -> Option<String>,
}

/// FFmpeg's libraries, by their pkg-config names.
pub(crate) const FFMPEG: [&str; 5] = ["libavcodec", "libavformat", "libavutil", "libswscale", "libswresample"];

/// LibTorch's C++ glue is compiled with the first; the next three bind FFmpeg.
pub(crate) const BUILD: [Item; 4] = [
    Item { what: "C++ compiler", packages: &["g++"], needed: true, found: compiler },
    Item { what: "pkg-config", packages: &["pkg-config"], needed: true, found: pkg_config },
    Item {
        what: "FFmpeg",
        packages: &["libavcodec-dev", "libavformat-dev", "libavutil-dev", "libswscale-dev", "libswresample-dev"],
        needed: true,
        found: ffmpeg,
    },
    Item { what: "libclang", packages: &[LIBCLANG], needed: true, found: libclang },
];

/// The XML files that OpenCV's cascade detectors are published as; one of them is compiled into this workspace.
pub(crate) const CASCADES: Item = Item {
    what: "cascades",
    packages: &["opencv-data"],
    needed: false,
    found: || cascades::find().map(|at| at.display().to_string()),
};

/// Fetches wheels.
pub(crate) const PIP: Item =
    Item { what: "Python's pip", packages: &["python3", "python3-pip"], needed: true, found: pip::version };

/// Speaks in the demo clip.
pub(crate) const ESPEAK: Item = Item { what: "espeak-ng", packages: &["espeak-ng"], needed: true, found: espeak };

/// Stands for the packages that [`libclang_packages`] names.
const LIBCLANG: &str = "libclang";

/// What the packages are wanted for, beyond building.
pub(crate) struct For {
    pub(crate) downloads: bool,
    pub(crate) speech: bool,
}

/// What is missing.
pub(crate) fn missing(wanted: &For) -> Vec<Item> {
    let extras = [wanted.downloads.then_some(PIP), wanted.speech.then_some(ESPEAK)];
    let all = BUILD.into_iter().chain([CASCADES]).chain(extras.into_iter().flatten());
    all.filter(|item| (item.found)().is_none()).collect()
}

/// Installs the packages of the items.
pub(crate) fn install(items: &[Item], apt: &Apt, ui: &Ui) -> Result<()> {
    if items.is_empty() {
        return Ok(());
    }
    ui.step("packages", &format!("{} (apt)", names(items)), || {
        apt.run(&["update"])?;
        let packages = packages(items);
        let mut install = vec!["install", "--yes", "--no-install-recommends"];
        install.extend(packages.iter().map(String::as_str));
        apt.run(&install)?;
        match items.iter().find(|item| (item.found)().is_none()) {
            None => Ok(()),
            Some(item) => Err(format!("{} is still not found after installing {}", item.what, packages.join(" "))),
        }
    })
}

/// The one line that says what to install where set-up may not do it.
pub(crate) fn by_hand(items: &[Item]) -> String {
    let packages = packages(items).join(" ");
    let names = names(items);
    if shell::find("apt-get").is_some() {
        format!("missing: {names}. As root, run: apt-get install --no-install-recommends {packages}")
    } else {
        format!("missing: {names}. Install them with your system's packages; on Debian and Ubuntu these are {packages}")
    }
}

fn names(items: &[Item]) -> String {
    items.iter().map(|item| item.what).collect::<Vec<_>>().join(", ")
}

pub(crate) fn packages(items: &[Item]) -> Vec<String> {
    let names = items.iter().flat_map(|item| item.packages);
    names.flat_map(|name| if *name == LIBCLANG { libclang_packages() } else { vec![(*name).to_owned()] }).collect()
}

/// The library itself and the compiler's own headers are all that binding generation needs: a quarter of a gigabyte
/// less than the development package, but their names carry the distribution's version.
fn libclang_packages() -> Vec<String> {
    let version = shell::answer("apt-cache", &["depends", "libclang-dev"]).and_then(|text| {
        let name = text.lines().find_map(|line| line.trim().strip_prefix("Depends: libclang-"))?;
        name.strip_suffix("-dev")?.parse::<u32>().ok()
    });
    match version {
        Some(version) => vec![format!("libclang1-{version}"), format!("libclang-common-{version}-dev")],
        None => vec!["libclang-dev".to_owned()],
    }
}

/// The right to install packages with apt: as root, or through sudo.
#[derive(Debug)]
pub(crate) struct Apt {
    sudo: bool,
}

impl Apt {
    pub(crate) fn find() -> Option<Self> {
        shell::find("apt-get")?;
        if shell::answer("id", &["-u"]).as_deref() == Some("0") {
            return Some(Self { sudo: false });
        }
        shell::find("sudo")?;
        // At a terminal sudo may ask for the password; elsewhere nobody could answer.
        (std::io::stdin().is_terminal() || shell::succeeds("sudo", &["-n", "true"])).then_some(Self { sudo: true })
    }

    fn run(&self, args: &[&str]) -> Result<()> {
        let mut command = Command::new(if self.sudo { "sudo" } else { "env" });
        if self.sudo {
            command.arg("env");
        }
        command.args(["DEBIAN_FRONTEND=noninteractive", "apt-get", "-qq", "-o", "DPkg::Lock::Timeout=600"]);
        shell::quiet(command.args(args)).map(drop)
    }
}

fn compiler() -> Option<String> {
    let first = |text: String| text.lines().next().map(str::to_owned);
    let users = std::env::var("CXX").ok().filter(|name| !name.is_empty());
    shell::answer(users.as_deref().unwrap_or("c++"), &["--version"]).and_then(first)
}

fn pkg_config() -> Option<String> {
    shell::answer("pkg-config", &["--version"])
}

fn ffmpeg() -> Option<String> {
    let versions = shell::answer("pkg-config", &[&["--modversion"], &FFMPEG[..]].concat())?;
    Some(
        FFMPEG
            .iter()
            .zip(versions.lines())
            .map(|(name, version)| format!("{name} {version}"))
            .collect::<Vec<_>>()
            .join(", "),
    )
}

fn espeak() -> Option<String> {
    shell::answer("espeak-ng", &["--version"]).map(|text| text.split("  ").next().unwrap_or(&text).to_owned())
}

/// Libclang, where the binding generator looks for it, with the compiler's own headers.
fn libclang() -> Option<String> {
    if let Some(users) = std::env::var_os("LIBCLANG_PATH").filter(|value| !value.is_empty()) {
        return Some(Path::new(&users).display().to_string());
    }
    let mut folders: Vec<PathBuf> = starting("/usr/lib", "llvm-").into_iter().map(|at| at.join("lib")).collect();
    folders.extend(starting("/usr/lib", &format!("{}-linux-gnu", std::env::consts::ARCH)));
    folders.extend(["/usr/lib64", "/usr/lib", "/usr/local/lib"].map(PathBuf::from));
    folders.extend(shell::answer("llvm-config", &["--libdir"]).map(PathBuf::from));
    let library = folders.iter().find_map(|folder| {
        let named =
            |start: &str| starting(folder, start).into_iter().find(|file| !file.to_string_lossy().contains("-cpp"));
        named("libclang.so").or_else(|| named("libclang-"))
    })?;
    let headers = folders
        .iter()
        .flat_map(|folder| starting(folder.join("clang"), ""))
        .any(|at| at.join("include/stddef.h").is_file());
    (headers || shell::find("clang").is_some()).then(|| library.display().to_string())
}

/// The entries of a folder whose names start so, highest last.
fn starting(folder: impl AsRef<Path>, start: &str) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let named = entries.flatten().filter(|entry| entry.file_name().to_string_lossy().starts_with(start));
    let mut paths: Vec<PathBuf> = named.map(|entry| entry.path()).collect();
    paths.sort();
    paths
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_are_spelled_out() {
        let items = [PIP, ESPEAK];
        assert_eq!(packages(&items), ["python3", "python3-pip", "espeak-ng"]);
        let libclang = libclang_packages();
        assert!(libclang.iter().all(|name| name.starts_with("libclang")), "{libclang:?}");
    }
}
