//! The root's examples, benches and tests belong to crates, so each must be declared by exactly one of them: a file
//! that no manifest names would be compiled by nobody.

// What cannot be read fails the test.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use toml::{Table, Value};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// Checks one folder of the root against one kind of target, and returns what is wrong.
fn check(folder: &str, kind: &str) -> Vec<String> {
    let mut broken = Vec::new();
    // Path as declared → the crates that declare it.
    let mut declared: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for entry in fs::read_dir(root().join("crates")).unwrap() {
        let manifest = entry.unwrap().path().join("Cargo.toml");
        let Ok(text) = fs::read_to_string(&manifest) else { continue };
        let table: Table = text.parse().unwrap();
        let package = table["package"]["name"].as_str().unwrap();
        for target in table.get(kind).and_then(Value::as_array).into_iter().flatten() {
            let name = target.get("name").and_then(Value::as_str).unwrap_or_default();
            // Without a path, a target lies in the crate's own folder and is no concern of this test.
            let Some(path) = target.get("path").and_then(Value::as_str) else { continue };
            let Some(rest) = path.strip_prefix("../../") else { continue };
            if rest != format!("{folder}/{name}.rs") {
                broken.push(format!("{package}: [[{kind}]] {name} has the path {path}, not ../../{folder}/{name}.rs"));
            }
            if !root().join(rest).is_file() {
                broken.push(format!("{package}: [[{kind}]] {name}: there is no file {rest}"));
            }
            if kind == "bench" && target.get("harness").and_then(Value::as_bool) != Some(false) {
                broken.push(format!("{package}: [[bench]] {name}: needs harness = false"));
            }
            declared.entry(rest.to_owned()).or_default().push(package.to_owned());
        }
    }
    for entry in fs::read_dir(root().join(folder)).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "rs") {
            continue;
        }
        let stem = path.file_stem().unwrap().to_string_lossy().into_owned();
        match declared.get(&format!("{folder}/{stem}.rs")).map(Vec::as_slice) {
            None => broken.push(format!(
                "{folder}/{stem}.rs is declared by no crate: add [[{kind}]] name = \"{stem}\", \
                 path = \"../../{folder}/{stem}.rs\" to the lowest one that can build it"
            )),
            Some([_]) => {}
            Some(several) => broken.push(format!("{folder}/{stem}.rs is declared by several crates: {several:?}")),
        }
    }
    broken
}

#[test]
fn every_root_target_is_declared_once() {
    let broken: Vec<String> = [("examples", "example"), ("benches", "bench"), ("tests", "test")]
        .into_iter()
        .flat_map(|(folder, kind)| check(folder, kind))
        .collect();
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}
