//! What people heard in CREMA-D's clips: its table of crowd votes, `processedResults/summaryTable.csv`.
//!
//! Some ten people judged each clip by the sound alone, by the face alone, and by both. By sound alone they named the
//! emotion that the actor meant in 40.9 % of cases (Cao et al. 2014). Whoever trains on [`Clip::emotion`] learns what
//! actors meant; after [`label_by_crowd`], what listeners heard.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use emotion_core::Emotion;
use serde::Serialize;

use super::{Clip, Skipped, stem};
use crate::Error;

/// What most listeners heard in the sound of a clip, without its picture.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CrowdVote {
    /// The emotion with the most votes; several of them when votes were tied.
    pub emotions: Vec<Emotion>,
    /// How strong those listeners found each of them, 0 to 100; `None` where the table has no number.
    pub levels: Vec<Option<f32>>,
}

impl CrowdVote {
    /// The emotion with the most votes, unless votes were tied.
    pub fn majority(&self) -> Option<Emotion> {
        match self.emotions.as_slice() {
            &[emotion] => Some(emotion),
            _ => None,
        }
    }
}

/// Labels clips by what the crowd heard. Clips without a vote, or with a tied one, come back as the second list.
pub fn label_by_crowd(clips: Vec<Clip>) -> (Vec<Clip>, Vec<Clip>) {
    let (mut heard, mut unclear) = (Vec::new(), Vec::new());
    for mut clip in clips {
        match clip.crowd.as_ref().and_then(CrowdVote::majority) {
            Some(emotion) => {
                clip.emotion = emotion;
                heard.push(clip);
            }
            None => unclear.push(clip),
        }
    }
    (heard, unclear)
}

/// Reads a table of votes: the voice votes by clip, named without its ending.
///
/// # Errors
/// [`Error::Table`] for a file that cannot be read, lacks the columns `FileName`, `VoiceVote` and `VoiceLevel`, or holds a
/// vote that is none.
pub fn load(path: &Path) -> Result<HashMap<String, CrowdVote>, Error> {
    let wrong = |line: usize, reason: String| Error::Table { path: path.into(), line, reason };
    let mut reader =
        csv::ReaderBuilder::new().flexible(true).from_path(path).map_err(|error| wrong(0, error.to_string()))?;
    let header = reader.headers().map_err(|error| wrong(1, error.to_string()))?.clone();
    let column = |name: &str| {
        let place = header.iter().position(|column| column.trim().eq_ignore_ascii_case(name));
        place.ok_or_else(|| wrong(1, format!("no column {name}")))
    };
    let (name, vote, level) = (column("FileName")?, column("VoiceVote")?, column("VoiceLevel")?);
    let mut votes = HashMap::new();
    for (index, record) in reader.records().enumerate() {
        let line = index + 2;
        let record = record.map_err(|error| wrong(line, error.to_string()))?;
        let field = |column: usize| record.get(column).map(str::trim).unwrap_or("");
        let emotions = field(vote).split(':').map(|letter| emotion(letter.trim())).collect::<Option<Vec<_>>>();
        let emotions = emotions.ok_or_else(|| wrong(line, format!("{:?} is no vote", field(vote))))?;
        let mut levels = field(level).split(':').map(|number| number.trim().parse().ok());
        let levels = emotions.iter().map(|_| levels.next().flatten()).collect();
        votes.insert(stem(Path::new(field(name))).to_ascii_uppercase(), CrowdVote { emotions, levels });
    }
    Ok(votes)
}

fn emotion(letter: &str) -> Option<Emotion> {
    Some(match letter.to_ascii_uppercase().as_str() {
        "A" => Emotion::Angry,
        "D" => Emotion::Disgust,
        "F" => Emotion::Fear,
        "H" => Emotion::Happy,
        "N" => Emotion::Neutral,
        "S" => Emotion::Sad,
        _ => return None,
    })
}

/// Gives clips the votes of the table that lies near them, if there is one; returns the table when it is damaged.
pub(super) fn attach(folder: &Path, clips: &mut [Clip]) -> Option<Skipped> {
    let table = table(folder)?;
    match load(&table) {
        Ok(votes) => {
            for clip in clips {
                clip.crowd = votes.get(&stem(&clip.path).to_ascii_uppercase()).cloned();
            }
            None
        }
        Err(error) => Some(Skipped { path: table, reason: error.to_string() }),
    }
}

fn table(folder: &Path) -> Option<PathBuf> {
    [Some(folder), folder.parent()].into_iter().flatten().find_map(|place| {
        let places = [place.join("summaryTable.csv"), place.join("processedResults").join("summaryTable.csv")];
        places.into_iter().find(|path| path.is_file())
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::Corpus;
    use super::*;

    const TABLE: &str = "\"\",\"FileName\",\"VoiceVote\",\"VoiceLevel\",\"FaceVote\",\"FaceLevel\",\"MultiModalVote\",\
                         \"MultiModalLevel\"\n\
                         \"1\",\"1001_DFA_ANG_XX\",\"N\",\"57.5\",\"A\",\"60\",\"A\",\"62\"\n\
                         \"2\",\"1002_IEO_SAD_HI\",\"S:N\",\"51:NA\",\"S\",\"60\",\"S\",\"62\"\n";

    fn corpus(table: &str) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for folder in ["AudioWAV", "processedResults"] {
            fs::create_dir(root.path().join(folder)).unwrap();
        }
        for name in ["1001_DFA_ANG_XX", "1002_IEO_SAD_HI", "1003_IEO_FEA_LO"] {
            fs::write(root.path().join(format!("AudioWAV/{name}.wav")), b"").unwrap();
        }
        fs::write(root.path().join("processedResults/summaryTable.csv"), table).unwrap();
        root
    }

    #[test]
    fn a_scan_finds_the_votes_from_either_folder() {
        let root = corpus(TABLE);
        for folder in [root.path().to_owned(), root.path().join("AudioWAV")] {
            let scan = Corpus::CremaD.scan(&folder).unwrap();
            assert!(scan.skipped.is_empty(), "{:?}", scan.skipped);
            let [meant, tied, unheard] = scan.clips.as_slice() else { panic!("{} clips", scan.clips.len()) };
            assert_eq!(
                (meant.emotion, meant.crowd.as_ref().unwrap().majority()),
                (Emotion::Angry, Some(Emotion::Neutral))
            );
            let vote = tied.crowd.as_ref().unwrap();
            assert_eq!((vote.majority(), vote.levels.as_slice()), (None, [Some(51.0), None].as_slice()));
            assert_eq!(unheard.crowd, None);

            let (heard, unclear) = label_by_crowd(scan.clips);
            assert_eq!((heard.len(), heard[0].emotion, unclear.len()), (1, Emotion::Neutral, 2));
        }
    }

    #[test]
    fn a_damaged_table_is_reported_and_the_clips_stay() {
        for (table, reason) in [("a,b\n", "no column FileName"), (&TABLE.replace("S:N", "S:Q"), "line 3")] {
            let scan = Corpus::CremaD.scan(corpus(table).path()).unwrap();
            assert_eq!((scan.clips.len(), scan.skipped.len()), (3, 1));
            assert!(scan.skipped[0].reason.contains(reason), "{}", scan.skipped[0].reason);
        }
        assert!(matches!(load(Path::new("/none.csv")), Err(Error::Table { line: 0, .. })));
    }
}
