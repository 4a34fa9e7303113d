//! Splits in files, by the names of their samples.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::weights::write_atomically;
use crate::{Error, Result};

/// A split by the names of its samples, as JSON: it outlives a change in the order of files, and its hash, which stands in
/// reports, tells whether two runs were measured on the same samples.
///
/// ```json
/// {"schema": "emotion.split/1", "description": "speakers apart, seed 7", "hash": "…",
///  "parts": [{"name": "train", "samples": ["Actor_01/03-01-01-01-01-01-01.wav"]}, {"name": "test", "samples": []}]}
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SavedSplit {
    schema: String,
    description: String,
    hash: String,
    parts: Vec<Part>,
}

/// One part of a [`SavedSplit`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Part {
    /// What it is for, such as `train` or `test`.
    pub name: String,
    /// The names of its samples, sorted.
    pub samples: Vec<String>,
}

impl SavedSplit {
    /// The name and version of the file format.
    pub const SCHEMA: &str = "emotion.split/1";

    /// A split from the samples' names and, for each part, its name and sample numbers. The description says how it was made.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] for a sample number without a name and for a name that stands twice.
    pub fn new<S: AsRef<str>>(description: &str, names: &[S], parts: &[(&str, &[usize])]) -> Result<Self> {
        let parts: Vec<Part> = parts
            .iter()
            .map(|(part, numbers)| {
                let samples = numbers.iter().map(|&number| match names.get(number) {
                    Some(name) => Ok(name.as_ref().to_owned()),
                    None => Err(Error::input("sample number", format!("below {}", names.len()), number)),
                });
                let mut samples = samples.collect::<Result<Vec<_>>>()?;
                samples.sort_unstable();
                Ok(Part { name: (*part).to_owned(), samples })
            })
            .collect::<Result<_>>()?;
        check_names_differ(&parts)?;
        Ok(Self {
            schema: Self::SCHEMA.to_owned(),
            description: description.to_owned(),
            hash: content_hash(&parts),
            parts,
        })
    }

    /// Reads a file and checks that its hash is that of its samples.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Decode`] for a file that is no split or was changed by hand.
    pub fn load(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).map_err(Error::io(path))?;
        let decode = |expected: String, source| Error::Decode { path: path.to_owned(), expected, source };
        let split: Self = serde_json::from_str(&text)
            .map_err(|source| decode(format!("a split, {}", Self::SCHEMA), source.into()))?;
        if split.schema != Self::SCHEMA {
            return Err(decode(format!("the schema {}", Self::SCHEMA), format!("it says {}", split.schema).into()));
        }
        let hash = content_hash(&split.parts);
        if split.hash != hash {
            return Err(decode(format!("samples with the hash {}", split.hash), format!("theirs is {hash}").into()));
        }
        check_names_differ(&split.parts)?;
        Ok(split)
    }

    /// Writes a file, whole or not at all.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn save(&self, path: &Path) -> Result<()> {
        let mut text = serde_json::to_string_pretty(self)
            .map_err(|source| Error::Io { path: path.to_owned(), source: source.into() })?;
        text.push('\n');
        write_atomically(path, text.as_bytes())
    }

    /// How the split was made.
    pub fn description(&self) -> &str {
        &self.description
    }

    /// SHA-256 over the parts' names and their sorted samples' names, 64 hexadecimal digits. The description is not in it.
    pub fn hash(&self) -> &str {
        &self.hash
    }

    /// The parts in order.
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// The sample numbers of each part, ascending, where sample `i` is called `names[i]`. Samples that the split does not
    /// name are in no part.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] when a sample of the split is not among the names.
    pub fn numbers<S: AsRef<str>>(&self, names: &[S]) -> Result<Vec<Vec<usize>>> {
        let places: HashMap<&str, usize> =
            names.iter().enumerate().map(|(place, name)| (name.as_ref(), place)).collect();
        self.parts
            .iter()
            .map(|part| {
                let places = part.samples.iter().map(|name| {
                    places.get(name.as_str()).copied().ok_or_else(|| {
                        Error::input(
                            "samples",
                            format!("all of the split's part {:?}", part.name),
                            format!("none called {name:?}"),
                        )
                    })
                });
                let mut numbers = places.collect::<Result<Vec<_>>>()?;
                numbers.sort_unstable();
                Ok(numbers)
            })
            .collect()
    }
}

fn check_names_differ(parts: &[Part]) -> Result<()> {
    let mut seen = HashMap::new();
    for part in parts {
        for name in &part.samples {
            if let Some(other) = seen.insert(name, &part.name) {
                let got = format!("{name:?} in {other:?} and in {:?}", part.name);
                return Err(Error::input("split", "each sample once", got));
            }
        }
    }
    Ok(())
}

fn content_hash(parts: &[Part]) -> String {
    let mut hasher = Sha256::new();
    // Every text is led by its length, so that no two splits write the same bytes.
    let mut write = |text: &str| {
        hasher.update((text.len() as u64).to_le_bytes());
        hasher.update(text);
    };
    for part in parts {
        write(&part.name);
        write(&part.samples.len().to_string());
        part.samples.iter().for_each(|name| write(name));
    }
    hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: [&str; 4] = ["c.wav", "a.wav", "b.wav", "d.wav"];

    fn split() -> SavedSplit {
        SavedSplit::new("by hand", &NAMES, &[("train", &[0, 1]), ("test", &[3])]).unwrap()
    }

    #[test]
    fn a_split_comes_back_from_its_file_whatever_the_order_of_samples() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("split.json");
        split().save(&path).unwrap();
        let read = SavedSplit::load(&path).unwrap();
        assert_eq!(read, split());
        assert_eq!(read.numbers(&["a.wav", "d.wav", "c.wav"]).unwrap(), [vec![0, 2], vec![1]]);
        let error = read.numbers(&["a.wav"]).unwrap_err();
        assert!(error.to_string().contains("none called \"c.wav\""), "{error}");
    }

    #[test]
    fn the_hash_is_of_the_samples_and_a_changed_file_is_noticed() {
        let other = SavedSplit::new("in other words", &NAMES, &[("train", &[1, 0]), ("test", &[3])]).unwrap();
        assert_eq!(other.hash(), split().hash());
        assert_eq!(split().hash().len(), 64);

        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("split.json");
        fs::write(&path, serde_json::to_string(&split()).unwrap().replace("d.wav", "b.wav")).unwrap();
        assert!(matches!(SavedSplit::load(&path), Err(Error::Decode { .. })));
        fs::write(&path, "{}").unwrap();
        assert!(matches!(SavedSplit::load(&path), Err(Error::Decode { .. })));
        assert!(matches!(SavedSplit::load(&folder.path().join("none.json")), Err(Error::Io { .. })));
    }

    #[test]
    fn a_sample_stands_in_one_part() {
        assert!(SavedSplit::new("", &NAMES, &[("train", &[0]), ("test", &[0])]).is_err());
        assert!(SavedSplit::new("", &NAMES, &[("train", &[4])]).is_err());
    }
}
