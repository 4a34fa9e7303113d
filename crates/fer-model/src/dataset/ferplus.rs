//! FER+: ten people's votes on every picture of FER-2013 (Barsoum et al. 2016), the file `fer2013new.csv`.

use std::path::Path;

use emotion_core::{Emotion, LabelSet};
use serde::Serialize;

use super::table::Table;
use super::{FaceSet, Fer2013, Split};
use crate::error::{Error, Result};

/// The emotion columns and their place in [`LabelSet::ferplus8`].
const COLUMNS: [(&str, Emotion); 8] = [
    ("neutral", Emotion::Neutral),
    ("happiness", Emotion::Happy),
    ("surprise", Emotion::Surprise),
    ("sadness", Emotion::Sad),
    ("anger", Emotion::Angry),
    ("disgust", Emotion::Disgust),
    ("fear", Emotion::Fear),
    ("contempt", Emotion::Contempt),
];

/// The votes of one picture.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Votes {
    /// In the order of [`LabelSet::ferplus8`].
    emotions: [u8; 8],
    unknown: u8,
    not_a_face: u8,
}

/// What a picture's votes come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Class(usize),
    NoMajority,
    Unknown,
    NotAFace,
}

impl Votes {
    /// The rule of the FER+ authors' own code: single votes count as slips and are dropped, then the most voted answer
    /// must have more than half of what is left.
    fn verdict(mut self) -> Verdict {
        for votes in self.emotions.iter_mut().chain([&mut self.unknown, &mut self.not_a_face]) {
            if *votes <= 1 {
                *votes = 0;
            }
        }
        let total: u32 =
            self.emotions.iter().chain([&self.unknown, &self.not_a_face]).map(|&votes| u32::from(votes)).sum();
        let majority = |votes: u8| 2 * u32::from(votes) > total;
        if majority(self.unknown) {
            Verdict::Unknown
        } else if majority(self.not_a_face) {
            Verdict::NotAFace
        } else {
            self.emotions.iter().position(|&votes| majority(votes)).map_or(Verdict::NoMajority, Verdict::Class)
        }
    }
}

/// Which pictures have no class by majority.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct LeftOut {
    /// No answer has more than half of the votes.
    pub no_majority: usize,
    /// Most people could not say.
    pub unknown: usize,
    /// Most people saw no face.
    pub not_a_face: usize,
}

impl LeftOut {
    /// All of them.
    pub fn total(&self) -> usize {
        self.no_majority + self.unknown + self.not_a_face
    }
}

/// The votes on the pictures of a [`Fer2013`], row by row.
#[derive(Debug, Clone)]
pub struct FerPlus {
    votes: Vec<Votes>,
}

impl FerPlus {
    /// Reads the votes for these pictures. The file's rows stand in the order of FER-2013's own; parts that `faces`
    /// lacks as a whole are skipped.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Decode`] for a file of another form, [`Error::InvalidInput`] when a part has another
    /// number of rows than of pictures.
    pub fn load(path: impl AsRef<Path>, faces: &Fer2013) -> Result<Self> {
        const EXPECTED: &str = "the columns of fer2013new.csv (Usage, neutral, happiness, …, NF)";
        let mut table = Table::open(path.as_ref())?;
        let column = |name| table.column(name, EXPECTED);
        let (usage, unknown, not_a_face) = (column("Usage")?, column("unknown")?, column("NF")?);
        let mut places = [(0, 0); 8];
        for ((name, emotion), place) in COLUMNS.iter().zip(&mut places) {
            *place = (column(name)?, LabelSet::ferplus8().index_of(*emotion).unwrap_or_default());
        }

        let mut parts: [Vec<Votes>; 3] = Default::default();
        while table.next_row()? {
            let count = |column: usize| table.value(column, "numbers of votes");
            let mut votes = Votes { emotions: [0; 8], unknown: count(unknown)?, not_a_face: count(not_a_face)? };
            for (column, place) in places {
                votes.emotions[place] = count(column)?;
            }
            parts[table.usage(usage)? as usize].push(votes);
        }
        let mut rows = [0; 3];
        let mut votes = Vec::with_capacity(faces.splits().len());
        for &split in faces.splits() {
            votes.extend(parts[split as usize].get(rows[split as usize]));
            rows[split as usize] += 1;
        }
        for (split, (&pictures, part)) in Split::ALL.iter().zip(rows.iter().zip(&parts)) {
            if pictures > 0 && pictures != part.len() {
                return Err(Error::input("votes", format!("{pictures} rows for {split:?}"), part.len()));
            }
        }
        Ok(Self { votes })
    }

    /// The pictures of a part (`None`: of every part) with a class by majority, labelled with it over
    /// [`LabelSet::ferplus8`], and how many have none.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] for other pictures than the votes were loaded for.
    pub fn majority(&self, faces: &Fer2013, split: Option<Split>) -> Result<(FaceSet, LeftOut)> {
        let mut set = FaceSet::new(LabelSet::ferplus8());
        let mut left_out = LeftOut::default();
        for (index, votes) in self.of(faces, split)? {
            match votes.verdict() {
                Verdict::Class(class) => set.push(faces.all().pixels(index), class)?,
                Verdict::NoMajority => left_out.no_majority += 1,
                Verdict::Unknown => left_out.unknown += 1,
                Verdict::NotAFace => left_out.not_a_face += 1,
            }
        }
        Ok((set, left_out))
    }

    /// The pictures of a part (`None`: of every part) with the shares of their emotion votes as soft targets, for training.
    /// Pictures that most people could not read, or saw no face in, are left out and counted.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] for other pictures than the votes were loaded for.
    pub fn soft(&self, faces: &Fer2013, split: Option<Split>) -> Result<(FaceSet, LeftOut)> {
        let mut set = FaceSet::new(LabelSet::ferplus8());
        let mut left_out = LeftOut::default();
        for (index, votes) in self.of(faces, split)? {
            let total: u32 = votes.emotions.iter().map(|&votes| u32::from(votes)).sum();
            match votes.verdict() {
                Verdict::NotAFace => left_out.not_a_face += 1,
                Verdict::Unknown => left_out.unknown += 1,
                _ if total == 0 => left_out.unknown += 1,
                _ => {
                    let target = votes.emotions.map(|votes| f32::from(votes) / total as f32);
                    set.push_soft(faces.all().pixels(index), &target)?;
                }
            }
        }
        Ok((set, left_out))
    }

    fn of(&self, faces: &Fer2013, split: Option<Split>) -> Result<impl Iterator<Item = (usize, Votes)>> {
        if self.votes.len() != faces.splits().len() {
            return Err(Error::input("votes", format!("those of {} pictures", faces.splits().len()), self.votes.len()));
        }
        let rows = self.votes.iter().zip(faces.splits()).enumerate();
        Ok(rows
            .filter_map(move |(index, (&votes, &of))| split.is_none_or(|split| split == of).then_some((index, votes))))
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::dataset::PIXELS;

    const HEADER: &str = "Usage,Image name,neutral,happiness,surprise,sadness,anger,disgust,fear,contempt,unknown,NF\n";

    fn file(text: &str) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        file
    }

    fn faces(usages: &[&str]) -> Fer2013 {
        let pixels = vec!["5"; PIXELS].join(" ");
        let rows: String = usages.iter().map(|usage| format!("0,{pixels},{usage}\n")).collect();
        Fer2013::load(file(&format!("emotion,pixels,Usage\n{rows}")).path()).unwrap()
    }

    #[test]
    fn the_authors_majority_rule() {
        let faces = faces(&["Training", "Training", "Training", "Training", "PublicTest"]);
        let votes = file(&format!(
            "{HEADER}Training,a,4,0,0,1,3,2,0,0,0,0\nTraining,b,5,1,1,1,1,1,0,0,0,0\nTraining,c,0,0,0,0,0,0,0,0,8,2\n\
             Training,,0,0,0,0,0,0,0,0,0,10\nPrivateTest,x,10,0,0,0,0,0,0,0,0,0\nPublicTest,d,0,0,0,0,0,0,4,6,0,0\n"
        ));
        let votes = FerPlus::load(votes.path(), &faces).unwrap();
        // a: 4 of 9 is no majority; b: the single votes drop out and 5 of 5 are neutral.
        let (set, left_out) = votes.majority(&faces, Some(Split::Training)).unwrap();
        assert_eq!((set.len(), set.emotion(0)), (1, Emotion::Neutral));
        assert_eq!(left_out, LeftOut { no_majority: 1, unknown: 1, not_a_face: 1 });
        let (set, _) = votes.majority(&faces, Some(Split::Public)).unwrap();
        assert_eq!(set.emotion(0), Emotion::Contempt);
        let (set, left_out) = votes.soft(&faces, None).unwrap();
        assert_eq!((set.len(), left_out.total()), (3, 2));
        assert_eq!(set.target(0)[6], 0.4);
    }

    #[test]
    fn rows_must_match_the_pictures() {
        let two = faces(&["Training", "Training"]);
        let one = file(&format!("{HEADER}Training,a,4,0,0,1,3,2,0,0,0,0\n"));
        assert!(matches!(FerPlus::load(one.path(), &two), Err(Error::InvalidInput { .. })));
        assert!(matches!(FerPlus::load(file("Usage,a\n").path(), &two), Err(Error::Decode { .. })));
        let bad = file(&format!("{HEADER}Training,a,many,0,0,1,3,2,0,0,0,0\n"));
        assert!(matches!(FerPlus::load(bad.path(), &two), Err(Error::Decode { line: Some(2), .. })));
    }
}
