//! The house rules that a compiler does not check: which crate may import which, where the heavy libraries may be
//! named, and what no library may do. ARCHITECTURE.md says why.

// What cannot be read fails the test.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use toml::{Table, Value};

/// What each crate may import of the workspace; the facade alone may import everything.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("emotion-core", &[]),
    ("audio-features", &[]),
    ("face-prep", &["emotion-core"]),
    ("video-io", &["emotion-core"]),
    ("model-kit", &["emotion-core"]),
    ("fusion", &["emotion-core", "model-kit"]),
    ("fer-model", &["emotion-core", "model-kit", "face-prep"]),
    ("ser-model", &["emotion-core", "model-kit", "audio-features"]),
    (
        "emotion",
        &["emotion-core", "audio-features", "face-prep", "video-io", "model-kit", "fusion", "fer-model", "ser-model"],
    ),
    ("xtask", &[]),
];

const LIBTORCH: &[&str] = &["tch", "torch-sys", "model-kit"];
const FFMPEG: &[&str] = &["ffmpeg-next", "ffmpeg-sys-next"];

/// LibTorch never, not even behind a feature.
const NO_LIBTORCH: &[&str] = &["emotion-core", "audio-features", "video-io", "xtask"];
/// LibTorch only behind a feature that is off by default.
const LIBTORCH_ON_REQUEST: &[&str] = &["face-prep", "fusion"];

/// What belongs to programs, not to libraries: command lines, catch-all errors, progress bars, log writers.
const FOR_PROGRAMS: &[&str] =
    &["clap", "anyhow", "eyre", "indicatif", "env_logger", "simplelog", "log4rs", "tracing-subscriber"];
/// Charts, behind a feature of these two.
const CHARTS: &[&str] = &["model-kit", "emotion"];

/// One crate's manifest.
struct Manifest {
    name: String,
    folder: PathBuf,
    table: Table,
}

impl Manifest {
    fn read_all() -> Vec<Self> {
        let crates = root().join("crates");
        let mut all: Vec<Self> = fs::read_dir(&crates)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|folder| folder.join("Cargo.toml").is_file())
            .map(|folder| {
                let table: Table = fs::read_to_string(folder.join("Cargo.toml")).unwrap().parse().unwrap();
                let name = table["package"]["name"].as_str().unwrap().to_owned();
                Self { name, folder, table }
            })
            .collect();
        all.sort_by(|a, b| a.name.cmp(&b.name));
        assert!(!all.is_empty(), "no crate found in {}", crates.display());
        all
    }

    /// The entries of a dependency section, those for single platforms included.
    fn section(&self, section: &str) -> Vec<(&str, &Value)> {
        let platforms = self.table.get("target").and_then(Value::as_table).into_iter().flat_map(|table| table.values());
        let places = std::iter::once(self.table.get(section)).chain(platforms.map(|platform| platform.get(section)));
        places.flatten().filter_map(Value::as_table).flatten().map(|(name, value)| (name.as_str(), value)).collect()
    }

    fn dependencies(&self) -> Vec<(&str, &Value)> {
        self.section("dependencies")
    }

    /// The optional dependencies that the default features switch on.
    fn on_by_default(&self) -> BTreeSet<String> {
        let features = self.table.get("features").and_then(Value::as_table);
        let mut open = vec!["default".to_owned()];
        let mut seen = BTreeSet::new();
        let mut dependencies = BTreeSet::new();
        while let Some(feature) = open.pop() {
            if !seen.insert(feature.clone()) {
                continue;
            }
            let enables = features.and_then(|table| table.get(&feature)).and_then(Value::as_array);
            for word in enables.into_iter().flatten().filter_map(Value::as_str) {
                if let Some(dependency) = word.strip_prefix("dep:") {
                    dependencies.insert(dependency.to_owned());
                } else if let Some((dependency, _)) = word.split_once('/') {
                    // `name?/feature` does not switch `name` on; `name/feature` does.
                    if !dependency.ends_with('?') {
                        dependencies.insert(dependency.to_owned());
                    }
                } else {
                    open.push(word.to_owned());
                }
            }
        }
        dependencies
    }

    /// The crate's sources as (path, text without comments and unit tests).
    fn sources(&self) -> Vec<(PathBuf, String)> {
        let mut files = Vec::new();
        rust_files(&self.folder.join("src"), &mut files);
        files.into_iter().map(|path| (path.clone(), code(&fs::read_to_string(path).unwrap()))).collect()
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

fn rust_files(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            rust_files(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

/// The lines up to the unit tests, which stand at a file's end, without comments.
fn code(text: &str) -> String {
    let lines = text.lines().take_while(|line| !line.trim_start().starts_with("#[cfg(test)]"));
    lines.map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n")
}

fn is_optional(value: &Value) -> bool {
    value.get("optional").and_then(Value::as_bool).unwrap_or(false)
}

fn is_library(manifest: &Manifest) -> bool {
    manifest.folder.join("src/lib.rs").is_file()
}

/// Fails with every broken rule at once.
fn report(broken: Vec<String>) {
    assert!(broken.is_empty(), "{} rule(s) of ARCHITECTURE.md broken:\n  {}", broken.len(), broken.join("\n  "));
}

#[test]
fn crates_import_only_what_their_layer_allows() {
    let manifests = Manifest::read_all();
    let ours: BTreeSet<&str> = manifests.iter().map(|manifest| manifest.name.as_str()).collect();
    let mut broken = Vec::new();
    for manifest in &manifests {
        let Some((_, allowed)) = MAY_IMPORT.iter().find(|(name, _)| *name == manifest.name) else {
            broken.push(format!("{}: a new crate; say in tests/layering.rs what it may import", manifest.name));
            continue;
        };
        for section in ["dependencies", "dev-dependencies", "build-dependencies"] {
            for (name, _) in manifest.section(section) {
                if ours.contains(name) && name != manifest.name && !allowed.contains(&name) {
                    broken.push(format!("{}: must not import {name} ({section})", manifest.name));
                }
            }
        }
    }
    report(broken);
}

#[test]
fn ffmpeg_is_named_in_video_io_alone() {
    let mut broken = Vec::new();
    for manifest in Manifest::read_all().iter().filter(|manifest| manifest.name != "video-io") {
        for section in ["dependencies", "dev-dependencies", "build-dependencies"] {
            let named = manifest.section(section).into_iter().filter(|(name, _)| FFMPEG.contains(name));
            broken.extend(named.map(|(name, _)| format!("{}: {name} belongs to video-io ({section})", manifest.name)));
        }
    }
    report(broken);
}

#[test]
fn libtorch_stays_out_of_the_light_crates() {
    let mut broken = Vec::new();
    for manifest in Manifest::read_all() {
        let on = manifest.on_by_default();
        for (name, value) in manifest.dependencies().into_iter().filter(|(name, _)| LIBTORCH.contains(name)) {
            if NO_LIBTORCH.contains(&manifest.name.as_str()) {
                broken.push(format!("{}: {name} brings LibTorch, which this crate never links", manifest.name));
            }
            if LIBTORCH_ON_REQUEST.contains(&manifest.name.as_str()) && (!is_optional(value) || on.contains(name)) {
                broken.push(format!("{}: {name} brings LibTorch and must be off by default", manifest.name));
            }
        }
    }
    report(broken);
}

#[test]
fn libraries_depend_on_nothing_that_belongs_to_programs() {
    let mut broken = Vec::new();
    for manifest in Manifest::read_all() {
        for (name, value) in manifest.dependencies() {
            if FOR_PROGRAMS.contains(&name) {
                broken.push(format!("{}: {name} belongs to programs: examples and tests at most", manifest.name));
            }
            if name == "plotters" && !(CHARTS.contains(&manifest.name.as_str()) && is_optional(value)) {
                broken.push(format!("{}: plotters belongs behind the feature `plots` of {CHARTS:?}", manifest.name));
            }
        }
        if manifest.name == "xtask" && !manifest.dependencies().is_empty() {
            broken.push("xtask: has no dependency, so that the first command starts at once".to_owned());
        }
    }
    report(broken);
}

#[test]
fn libraries_do_not_print() {
    let mut broken = Vec::new();
    for manifest in Manifest::read_all().iter().filter(|manifest| is_library(manifest)) {
        for (path, text) in manifest.sources() {
            for (number, line) in text.lines().enumerate() {
                if let Some(found) =
                    ["println!", "print!(", "eprint", "dbg!("].iter().find(|word| line.contains(**word))
                {
                    broken.push(format!("{}:{}: {found} in a library", path.display(), number + 1));
                }
            }
        }
    }
    report(broken);
}

#[test]
fn manifests_take_everything_shared_from_the_root() {
    let mut broken = Vec::new();
    for manifest in Manifest::read_all() {
        let name = &manifest.name;
        if manifest.folder.file_name().is_none_or(|folder| folder != name.as_str()) {
            broken
                .push(format!("{name}: lies in {}, but folder and package share one name", manifest.folder.display()));
        }
        let inherits = |table: Option<&Value>| {
            table.and_then(|value| value.get("workspace")).and_then(Value::as_bool).unwrap_or(false)
        };
        for key in ["version", "edition", "rust-version", "license"] {
            if !inherits(manifest.table["package"].get(key)) {
                broken.push(format!("{name}: `{key}` stands once, in the root manifest: write {key}.workspace = true"));
            }
        }
        if !inherits(manifest.table.get("lints")) {
            broken.push(format!("{name}: takes no lints from the root manifest"));
        }
        for section in ["dependencies", "dev-dependencies", "build-dependencies"] {
            for (dependency, value) in manifest.section(section) {
                if !inherits(Some(value)) {
                    broken.push(format!("{name}: {dependency} ({section}) stands once, in the root manifest"));
                }
            }
        }
    }
    report(broken);
}

#[test]
fn the_reading_of_features_follows_cargo() {
    let table: Table = r#"
        [features]
        default = ["a", "light?/x"]
        a = ["dep:heavy", "b"]
        b = ["other/y"]
        c = ["dep:unused"]
    "#
    .parse()
    .unwrap();
    let manifest = Manifest { name: "example".to_owned(), folder: PathBuf::new(), table };
    assert_eq!(manifest.on_by_default().into_iter().collect::<Vec<_>>(), ["heavy", "other"]);
    assert_eq!(code("let a = 1; // println!\n#[cfg(test)]\nprintln!()"), "let a = 1; ");
}
