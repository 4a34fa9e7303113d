//! FER-2013 decoded: one file of bytes that is read in one go instead of 300 MB of decimal numbers.
//!
//! It is read, not mapped into memory: a mapping is only sound while nobody shortens the file, which no program can
//! promise, and reading 83 MB that the system still holds takes some 30 ms.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::time::UNIX_EPOCH;

use super::{Fer2013, PIXELS, Split};
use crate::error::{Error, Result};

/// The first bytes of a cache: what it is, and the version of its layout.
const MAGIC: &[u8; 16] = b"emotion faces 1\n";

/// What follows the magic: the table's length and time of change (seconds and nanoseconds), and the number of pictures.
const HEADER: usize = MAGIC.len() + 4 * 8;

impl Fer2013 {
    /// As [`load`](Self::load), from the file `cache` where that was made from this very table (told by its length and
    /// its time of change), in a tenth of the time; else from the table, and the cache is written.
    ///
    /// # Errors
    /// As [`load`](Self::load), and [`Error::Io`] when the cache cannot be written.
    pub fn load_cached(table: impl AsRef<Path>, cache: impl AsRef<Path>) -> Result<Self> {
        let (table, cache) = (table.as_ref(), cache.as_ref());
        let stamp = stamp(table)?;
        if let Some(found) = fs::read(cache).ok().and_then(|bytes| decode(&bytes, &stamp)) {
            return Ok(found);
        }
        let read = Self::load(table)?;
        write(&read, &stamp, cache).map_err(|source| Error::Io { path: cache.to_owned(), source })?;
        Ok(read)
    }
}

/// Length and time of change of a file, in the form of the header.
fn stamp(path: &Path) -> Result<[u8; 24]> {
    let failed = |source| Error::Io { path: path.to_owned(), source };
    let metadata = fs::metadata(path).map_err(failed)?;
    // A system without times of change, or a time before 1970, leaves the length alone to tell.
    let changed = metadata.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok()).unwrap_or_default();
    let mut stamp = [0; 24];
    let numbers = [metadata.len(), changed.as_secs(), u64::from(changed.subsec_nanos())];
    for (bytes, number) in stamp.chunks_exact_mut(8).zip(numbers) {
        bytes.copy_from_slice(&number.to_le_bytes());
    }
    Ok(stamp)
}

/// After the header: a byte for the part and one for the class of each picture, then the pixels.
fn decode(bytes: &[u8], stamp: &[u8; 24]) -> Option<Fer2013> {
    let (header, body) = bytes.split_at_checked(HEADER)?;
    let (magic, header) = header.split_at(MAGIC.len());
    let (made_from, count) = header.split_at(stamp.len());
    let count = usize::try_from(u64::from_le_bytes(count.try_into().ok()?)).ok()?;
    if magic != MAGIC || made_from != stamp || count == 0 || body.len() != count.checked_mul(PIXELS + 2)? {
        return None;
    }
    let (splits, body) = body.split_at(count);
    let (classes, pixels) = body.split_at(count);
    let splits = splits.iter().map(|&split| Split::ALL.get(usize::from(split)).copied()).collect::<Option<Vec<_>>>()?;
    Fer2013::from_parts(pixels, classes, splits).ok()
}

fn write(data: &Fer2013, stamp: &[u8; 24], path: &Path) -> std::io::Result<()> {
    let count = data.splits().len();
    let mut bytes = Vec::with_capacity(HEADER + count * (PIXELS + 2));
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(stamp);
    bytes.extend_from_slice(&(count as u64).to_le_bytes());
    bytes.extend(data.splits().iter().map(|&split| split as u8));
    bytes.extend((0..count).map(|index| data.all().class(index) as u8));
    (0..count).for_each(|index| bytes.extend_from_slice(data.all().pixels(index)));

    // Whole or not at all: another program may read it at this moment.
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".part{}", std::process::id()));
    let part = path.with_file_name(name);
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let mut file = fs::File::create(&part)?;
    file.write_all(&bytes)?;
    drop(file);
    fs::rename(&part, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(value: u8) -> String {
        let pixels = vec![value.to_string(); PIXELS].join(" ");
        format!("emotion,pixels,Usage\n3,{pixels},Training\n6,{pixels},PublicTest\n0,{pixels},PrivateTest\n")
    }

    #[test]
    fn the_cache_holds_what_the_table_does_and_is_made_anew_when_that_changes() {
        let folder = tempfile::tempdir().unwrap();
        let (csv, cache) = (folder.path().join("fer2013.csv"), folder.path().join("made/fer2013.faces"));
        fs::write(&csv, table(7)).unwrap();
        let read = Fer2013::load(&csv).unwrap();
        for _ in 0..2 {
            let cached = Fer2013::load_cached(&csv, &cache).unwrap();
            assert_eq!((cached.all(), cached.splits()), (read.all(), read.splits()));
        }

        // That the second start reads the cache and not the table shows when the cache says something else.
        let mut bytes = fs::read(&cache).unwrap();
        let last = bytes.len() - 1;
        bytes[last] = 99;
        fs::write(&cache, &bytes).unwrap();
        assert_eq!(Fer2013::load_cached(&csv, &cache).unwrap().all().pixels(2)[PIXELS - 1], 99);

        // A cut cache, one with an impossible class, and one of another table are made anew.
        let good = fs::read(&cache).unwrap();
        let mut strange = good.clone();
        strange[HEADER + 3] = 9;
        for bad in [&good[..good.len() - 1], &strange, b"", b"emotion faces 2\n"] {
            fs::write(&cache, bad).unwrap();
            assert_eq!(Fer2013::load_cached(&csv, &cache).unwrap().all(), read.all());
        }
        fs::write(&csv, table(200)).unwrap();
        assert_eq!(Fer2013::load_cached(&csv, &cache).unwrap().all().pixels(0)[0], 200);

        assert!(matches!(Fer2013::load_cached(folder.path().join("none"), &cache), Err(Error::Io { .. })));
        let under_a_file = csv.join("cache");
        assert!(matches!(Fer2013::load_cached(&csv, under_a_file), Err(Error::Io { .. })));
    }
}
