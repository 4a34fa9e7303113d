//! Decoded sound and extracted features, kept by what they were made from.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use crate::Error;

/// A store of number lists, in memory and, where a folder is given, on disk.
///
/// An entry is found by the bytes of the sound file and a text that describes what was computed from them, so a changed
/// file or a changed setting is never answered with old numbers, and a renamed file still is.
#[derive(Debug, Default)]
pub struct Cache {
    folder: Option<PathBuf>,
    memory: Mutex<HashMap<u128, Arc<[f32]>>>,
}

impl Cache {
    /// A cache that lasts as long as the program.
    pub fn in_memory() -> Self {
        Self::default()
    }

    /// A cache that also keeps its entries as files in this folder, which is made if it is missing.
    ///
    /// # Errors
    /// [`Error::Io`] when the folder cannot be made.
    pub fn in_folder(folder: impl Into<PathBuf>) -> Result<Self, Error> {
        let folder = folder.into();
        fs::create_dir_all(&folder).map_err(|source| Error::Io { path: folder.clone(), source })?;
        Ok(Self { folder: Some(folder), memory: Mutex::default() })
    }

    /// The numbers that `compute` makes of the file, computed only if they are not here yet. May be called from several
    /// threads.
    ///
    /// # Errors
    /// [`Error::Io`] when the file cannot be read or an entry not written, and whatever `compute` returns.
    pub fn get(
        &self,
        file: &Path,
        config: &str,
        compute: impl FnOnce() -> Result<Vec<f32>, Error>,
    ) -> Result<Arc<[f32]>, Error> {
        let bytes = fs::read(file).map_err(|source| Error::Io { path: file.into(), source })?;
        self.of_key(hash(&[config.as_bytes(), &bytes]), compute)
    }

    /// As [`get`](Self::get), found by decoded samples in place of a file's bytes.
    ///
    /// # Errors
    /// [`Error::Io`] when an entry cannot be written, and whatever `compute` returns.
    pub fn of_samples(
        &self,
        samples: &[f32],
        config: &str,
        compute: impl FnOnce() -> Result<Vec<f32>, Error>,
    ) -> Result<Arc<[f32]>, Error> {
        let bytes: Vec<u8> = samples.iter().flat_map(|sample| sample.to_le_bytes()).collect();
        self.of_key(hash(&[b"samples", config.as_bytes(), &bytes]), compute)
    }

    fn of_key(&self, key: u128, compute: impl FnOnce() -> Result<Vec<f32>, Error>) -> Result<Arc<[f32]>, Error> {
        if let Some(numbers) = self.lock().get(&key) {
            return Ok(numbers.clone());
        }
        let entry = self.folder.as_ref().map(|folder| folder.join(name(key)));
        let kept = entry.as_ref().and_then(|path| fs::read(path).ok()).and_then(|bytes| decode(&bytes));
        let numbers: Arc<[f32]> = match kept {
            Some(numbers) => numbers.into(),
            None => {
                let numbers = compute()?;
                if let Some(path) = &entry {
                    write(path, &numbers)?;
                }
                numbers.into()
            }
        };
        self.lock().insert(key, numbers.clone());
        Ok(numbers)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<u128, Arc<[f32]>>> {
        // A panic elsewhere cannot leave a map half changed: insertion is the only change.
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn name(key: u128) -> String {
    let mut name = String::with_capacity(36);
    // Writing to a string cannot fail.
    let _ = write!(name, "{key:032x}.f32");
    name
}

/// FNV-1a with 128 bits (Fowler, Noll & Vo): simple, stable over releases, and far from a collision for the number of
/// sound files in the world.
fn hash(parts: &[&[u8]]) -> u128 {
    const OFFSET: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
    const PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013b;
    let mut state = OFFSET;
    for part in parts {
        // The length first, so that the parts cannot run into each other.
        for byte in (part.len() as u64).to_le_bytes().iter().chain(*part) {
            state = (state ^ u128::from(*byte)).wrapping_mul(PRIME);
        }
    }
    state
}

/// An entry: the number of values (u64), then the values, all little-endian.
fn decode(bytes: &[u8]) -> Option<Vec<f32>> {
    let (count, values) = bytes.split_first_chunk::<8>()?;
    let (values, rest) = values.as_chunks::<4>();
    // A file cut short by a full disk is no entry.
    (rest.is_empty() && u64::from_le_bytes(*count) == values.len() as u64)
        .then(|| values.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect())
}

/// Writes under a name of this process and renames, so that no reader ever sees half an entry.
fn write(path: &Path, numbers: &[f32]) -> Result<(), Error> {
    let mut bytes = (numbers.len() as u64).to_le_bytes().to_vec();
    bytes.extend(numbers.iter().flat_map(|number| number.to_le_bytes()));
    let partial = path.with_extension(format!("{}-{:?}.partial", std::process::id(), std::thread::current().id()));
    fs::write(&partial, bytes)
        .and_then(|()| fs::rename(&partial, path))
        .map_err(|source| Error::Io { path: path.into(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_found_by_content_and_settings() {
        let root = tempfile::tempdir().unwrap();
        let (first, second) = (root.path().join("a.wav"), root.path().join("b.wav"));
        fs::write(&first, b"sound").unwrap();
        fs::write(&second, b"sound").unwrap();
        let cache = Cache::in_folder(root.path().join("cache")).unwrap();
        let never = || -> Result<Vec<f32>, Error> { panic!("computed again") };
        assert_eq!(cache.get(&first, "mel", || Ok(vec![1.0, 2.0])).unwrap()[..], [1.0, 2.0]);
        assert_eq!(cache.get(&second, "mel", never).unwrap()[..], [1.0, 2.0]);
        assert_eq!(cache.get(&first, "other", || Ok(vec![3.0])).unwrap()[..], [3.0]);

        let reopened = Cache::in_folder(root.path().join("cache")).unwrap();
        assert_eq!(reopened.get(&first, "mel", never).unwrap()[..], [1.0, 2.0]);
        fs::write(&first, b"another sound").unwrap();
        assert_eq!(reopened.get(&first, "mel", || Ok(vec![4.0])).unwrap()[..], [4.0]);
    }

    #[test]
    fn a_damaged_entry_is_computed_again() {
        let root = tempfile::tempdir().unwrap();
        let sound = root.path().join("a.wav");
        fs::write(&sound, b"sound").unwrap();
        let folder = root.path().join("cache");
        Cache::in_folder(&folder).unwrap().get(&sound, "", || Ok(vec![1.0; 10])).unwrap();
        let entry = fs::read_dir(&folder).unwrap().next().unwrap().unwrap().path();
        fs::write(&entry, &fs::read(&entry).unwrap()[..20]).unwrap();
        let again = Cache::in_folder(&folder).unwrap().get(&sound, "", || Ok(vec![2.0])).unwrap();
        assert_eq!(again[..], [2.0]);
    }
}
