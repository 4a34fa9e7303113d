//! `fer2013.csv`, as published for the challenge of 2013 (Goodfellow et al. 2013).

use std::path::Path;

use emotion_core::LabelSet;
use serde::{Deserialize, Serialize};

use super::table::Table;
use super::{FaceSet, PIXELS};
use crate::error::Result;

/// The parts of FER-2013, by its column `Usage`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Split {
    /// `Training`: 28,709 pictures.
    Training,
    /// `PublicTest`: 3,589 pictures, to choose models by.
    Public,
    /// `PrivateTest`: 3,589 pictures, for one last figure.
    Private,
}

impl Split {
    /// The three parts in the order of the file.
    pub const ALL: [Split; 3] = [Split::Training, Split::Public, Split::Private];

    pub(super) fn from_usage(usage: &str) -> Option<Self> {
        match usage {
            "Training" => Some(Self::Training),
            "PublicTest" => Some(Self::Public),
            "PrivateTest" => Some(Self::Private),
            _ => None,
        }
    }
}

/// The whole file in memory.
#[derive(Debug, Clone)]
pub struct Fer2013 {
    faces: FaceSet,
    splits: Vec<Split>,
}

impl Fer2013 {
    /// Reads the file: columns `emotion` (0 to 6), `pixels` (2,304 numbers from 0 to 255 with spaces between) and `Usage`,
    /// in any order, with or without spaces around the names. A file may lack parts.
    ///
    /// # Errors
    /// [`Error::Io`](crate::Error::Io), and [`Error::Decode`](crate::Error::Decode) with the line for a file that is not of this form.
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        const COLUMNS: &str = "the columns emotion, pixels and Usage";
        let mut table = Table::open(path.as_ref())?;
        let [emotion, pixels, usage] =
            [table.column("emotion", COLUMNS)?, table.column("pixels", COLUMNS)?, table.column("Usage", COLUMNS)?];
        let mut faces = FaceSet::new(LabelSet::face7());
        let mut splits = Vec::new();
        let mut picture = Vec::with_capacity(PIXELS);
        while table.next_row()? {
            splits.push(table.usage(usage)?);
            picture.clear();
            for number in table.text(pixels).split_ascii_whitespace() {
                picture.push(number.parse().map_err(|_| table.wrong_row("pixels from 0 to 255"))?);
            }
            let class = table.value(emotion, "an emotion from 0 to 6")?;
            let expected = "2,304 pixels and an emotion from 0 to 6";
            faces.push(&picture, class).map_err(|_| table.wrong_row(expected))?;
        }
        if faces.is_empty() {
            return Err(table.wrong(None, "at least one picture"));
        }
        Ok(Self { faces, splits })
    }

    /// The set of pixels one picture after the other, and the class and the part of each.
    pub(super) fn from_parts(pixels: &[u8], classes: &[u8], splits: Vec<Split>) -> Result<Self> {
        let mut faces = FaceSet::new(LabelSet::face7());
        faces.reserve(classes.len());
        for (picture, &class) in pixels.chunks_exact(PIXELS).zip(classes) {
            faces.push(picture, usize::from(class))?;
        }
        Ok(Self { faces, splits })
    }

    /// Every picture, in the order of the file.
    pub fn all(&self) -> &FaceSet {
        &self.faces
    }

    /// Which part each picture belongs to, in the order of the file.
    pub fn splits(&self) -> &[Split] {
        &self.splits
    }

    /// The pictures of one part; empty when the file lacks it.
    #[must_use]
    pub fn split(&self, split: Split) -> FaceSet {
        self.faces.filter(|index| self.splits[index] == split)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::Error;

    fn file(text: &str) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        file
    }

    fn pixels(value: u8) -> String {
        vec![value.to_string(); PIXELS].join(" ")
    }

    #[test]
    fn reads_both_published_headers() {
        let (first, second) = (pixels(0), pixels(255));
        let official = file(&format!("emotion,pixels,Usage\n3,{first},Training\n6,{second},PublicTest\n"));
        let kaggle = file(&format!("emotion, Usage, pixels\n3, Training, {first}\n6, PublicTest, {second}\n"));
        for file in [official, kaggle] {
            let data = Fer2013::load(file.path()).unwrap();
            assert_eq!(data.splits(), [Split::Training, Split::Public]);
            let public = data.split(Split::Public);
            assert_eq!((public.len(), public.class(0), public.pixels(0)[7]), (1, 6, 255));
            assert!(data.split(Split::Private).is_empty());
            assert_eq!(data.all().statistics().unwrap(), (0.5, 0.5));
            assert_eq!(data.all().class_counts(), [0, 0, 0, 1, 0, 0, 1]);
        }
    }

    #[test]
    fn bad_rows_are_named_by_their_line() {
        let good = pixels(9);
        for (row, line) in [
            (format!("7,{good},Training"), 3),
            ("1,12 13,Training".to_owned(), 3),
            (format!("1,{good},Test"), 3),
            (format!("1,{} 256,Training", pixels(1)), 3),
            ("1".to_owned(), 3),
        ] {
            let file = file(&format!("emotion,pixels,Usage\n0,{good},Training\n{row}\n"));
            match Fer2013::load(file.path()) {
                Err(Error::Decode { line: got, .. }) => assert_eq!(got, Some(line), "{row:.20}"),
                other => panic!("expected an error for {row:.20}, got {other:?}"),
            }
        }
        assert!(matches!(Fer2013::load(file("a,b\n").path()), Err(Error::Decode { .. })));
        assert!(matches!(Fer2013::load(file("emotion,pixels,Usage\n").path()), Err(Error::Decode { .. })));
        assert!(matches!(Fer2013::load("/nowhere/fer2013.csv"), Err(Error::Io { .. })));
    }
}
