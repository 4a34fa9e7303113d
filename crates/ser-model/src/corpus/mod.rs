//! Speech corpora as they are published: from a folder to labelled [`Clip`]s.
//!
//! Every corpus hides its labels in file and folder names, each in its own way. [`Corpus::scan`] walks a folder, reads
//! those names and returns one [`Clip`] a recording, sorted by path, so that the same folder always gives the same
//! list. A file whose name does not fit is set aside with the reason ([`Scan::skipped`]); the rest goes on.
//!
//! | corpus | names | speakers | emotions |
//! |---|---|---|---|
//! | [`Ravdess`](Corpus::Ravdess) | `Actor_12/03-01-05-02-01-01-12.wav` | 24 | 8, with calm |
//! | [`Tess`](Corpus::Tess) | `OAF_Fear/OAF_back_fear.wav` | 2 | 7 |
//! | [`Savee`](Corpus::Savee) | `DC_a01.wav` or `DC/a01.wav` | 4 | 7 |
//! | [`CremaD`](Corpus::CremaD) | `1001_DFA_ANG_XX.wav` | 91 | 6, no surprise |
//! | [`EmoDb`](Corpus::EmoDb) | `03a01Fa.wav` | 10 | 6 and boredom, which is set aside |
//! | [`Folders`](Corpus::Folders) | `angry/anything.wav` or `angry/speaker/anything.wav` | any | any of [`Emotion`] |
//!
//! WAV and FLAC files are read (`.wav`, `.flac`, in any case); other files are passed over silently.
//!
//! ```
//! use std::path::Path;
//!
//! use ser_model::corpus::Corpus;
//!
//! let root = Path::new("ravdess");
//! let clip = Corpus::Ravdess.clip(root, &root.join("Actor_12/03-01-05-02-01-01-12.wav"))?;
//! assert_eq!(clip.emotion.name(), "angry");
//! assert_eq!(clip.speaker, "12");
//!
//! // With the corpus at hand, `Corpus::Ravdess.scan(root)?.clips` lists every recording.
//! # Ok::<(), ser_model::Error>(())
//! ```

use std::collections::HashSet;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use emotion_core::Emotion;
use serde::{Deserialize, Serialize};

use crate::Error;

mod cremad;
pub mod crowd;
mod emodb;
mod folders;
pub mod ravdess;
mod savee;
pub mod split;
mod tess;

pub use crowd::CrowdVote;
pub use split::{RAVDESS_FOLDS, held_out};

/// A published corpus, or a tree of class folders.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Corpus {
    /// The Ryerson Audio-Visual Database of Emotional Speech and Song (Livingstone & Russo 2018); the speech part.
    Ravdess,
    /// The Toronto Emotional Speech Set (Pichora-Fuller & Dupuis 2020).
    Tess,
    /// Surrey Audio-Visual Expressed Emotion (Haq & Jackson 2010).
    Savee,
    /// The Crowd-sourced Emotional Multimodal Actors Dataset (Cao et al. 2014), with the emotion the actor intended.
    CremaD,
    /// The Berlin Database of Emotional Speech (Burkhardt et al. 2005).
    EmoDb,
    /// Any tree whose first level of folders carries names of emotions.
    Folders,
}

impl Corpus {
    /// Every corpus, in the order of the table above.
    pub const ALL: [Corpus; 6] =
        [Corpus::Ravdess, Corpus::Tess, Corpus::Savee, Corpus::CremaD, Corpus::EmoDb, Corpus::Folders];

    /// The lower-case name, as `--corpus` takes it.
    pub fn name(self) -> &'static str {
        match self {
            Corpus::Ravdess => "ravdess",
            Corpus::Tess => "tess",
            Corpus::Savee => "savee",
            Corpus::CremaD => "cremad",
            Corpus::EmoDb => "emodb",
            Corpus::Folders => "folders",
        }
    }

    /// Reads the labels of one file from its path, which should lie below `root`.
    ///
    /// # Errors
    /// [`Error::FileName`] when the name does not follow the corpus's pattern or names no emotion known here.
    pub fn clip(self, root: &Path, path: &Path) -> Result<Clip, Error> {
        let Labels { emotion, speaker, sex, intensity, sentence } = match self {
            Corpus::Ravdess => ravdess::labels(path),
            Corpus::Tess => tess::labels(path),
            Corpus::Savee => savee::labels(path),
            Corpus::CremaD => cremad::labels(path),
            Corpus::EmoDb => emodb::labels(path),
            Corpus::Folders => folders::labels(root, path),
        }?;
        let name = path.strip_prefix(root).unwrap_or(path).to_string_lossy().replace('\\', "/");
        Ok(Clip { path: path.into(), name, corpus: self, emotion, speaker, sex, intensity, sentence, crowd: None })
    }

    /// All recordings of the corpus below `folder`, sorted by path. Sound is not decoded here.
    ///
    /// Files with the same name stand for the same recording in RAVDESS, TESS, CREMA-D and EmoDB (one common
    /// packaging of TESS holds every file twice): the first by path is kept, the others are set aside.
    ///
    /// Where CREMA-D's `summaryTable.csv` lies in the folder, beside it, or in a `processedResults` folder of either, each
    /// clip also carries what the crowd heard ([`Clip::crowd`]). A damaged table is set aside like a damaged file.
    ///
    /// # Errors
    /// [`Error::Io`] when a folder cannot be read, [`Error::NoClips`] when nothing below it fits.
    pub fn scan(self, folder: &Path) -> Result<Scan, Error> {
        let mut paths = Vec::new();
        sound_files(folder, &mut paths)?;
        paths.sort();
        let names_are_unique = !matches!(self, Corpus::Savee | Corpus::Folders);
        let mut seen = HashSet::new();
        let mut scan = Scan::default();
        for path in paths {
            match self.clip(folder, &path) {
                Ok(_) if names_are_unique && !seen.insert(path.file_name().map(ToOwned::to_owned)) => {
                    scan.skipped.push(Skipped { path, reason: "a file of this name was already read".into() });
                }
                Ok(clip) => scan.clips.push(clip),
                Err(error) => scan.skipped.push(Skipped { path, reason: error.to_string() }),
            }
        }
        if scan.clips.is_empty() {
            return Err(Error::NoClips { path: folder.into(), corpus: self, skipped: scan.skipped.len() });
        }
        if self == Corpus::CremaD {
            scan.skipped.extend(crowd::attach(folder, &mut scan.clips));
        }
        Ok(scan)
    }
}

impl fmt::Display for Corpus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Corpus {
    type Err = Error;

    /// Reads [`name`](Self::name) in any case, with or without the hyphen of CREMA-D.
    fn from_str(name: &str) -> Result<Self, Error> {
        let plain = name.trim().to_ascii_lowercase().replace(['-', '_'], "");
        Corpus::ALL
            .into_iter()
            .find(|corpus| corpus.name() == plain)
            .ok_or_else(|| Error::UnknownCorpus { got: name.to_owned() })
    }
}

/// What [`Corpus::scan`] found.
#[derive(Debug, Clone, Default)]
pub struct Scan {
    /// The labelled recordings, sorted by path.
    pub clips: Vec<Clip>,
    /// The sound files that were set aside, each with the reason.
    pub skipped: Vec<Skipped>,
}

/// A sound file that carries no usable label.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skipped {
    /// The file.
    pub path: PathBuf,
    /// Why it was set aside.
    pub reason: String,
}

/// What a name tells of a clip.
#[derive(Debug)]
struct Labels {
    emotion: Emotion,
    speaker: String,
    sex: Option<Sex>,
    intensity: Option<Intensity>,
    sentence: Option<String>,
}

/// One labelled recording of one speaker. A field is `None` where the corpus does not tell.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Clip {
    /// The sound file.
    pub path: PathBuf,
    /// Its path below the corpus's folder, with slashes on every system: the same wherever the corpus lies.
    pub name: String,
    /// The corpus it belongs to.
    pub corpus: Corpus,
    /// The emotion the speaker was asked to express.
    pub emotion: Emotion,
    /// The corpus's own name of the speaker (`01`, `OAF`, `DC`, `1001`, `03`); unique within the corpus only.
    pub speaker: String,
    /// The speaker's sex.
    pub sex: Option<Sex>,
    /// How strongly the emotion was acted.
    pub intensity: Option<Intensity>,
    /// What was said: the text where it is published and short, else the corpus's code of it.
    pub sentence: Option<String>,
    /// What a crowd of listeners heard; CREMA-D alone, and only where its table lies beside the clips.
    pub crowd: Option<CrowdVote>,
}

impl Clip {
    /// Corpus and [`name`](Self::name), such as `ravdess/Actor_01/03-01-05-01-01-01-01.wav`: unique in a merged list of
    /// corpora, and what saved splits call a clip.
    pub fn key(&self) -> String {
        format!("{}/{}", self.corpus, self.name)
    }

    /// Corpus and speaker, such as `ravdess/01`: unique in a merged list of corpora.
    pub fn speaker_key(&self) -> String {
        format!("{}/{}", self.corpus, self.speaker)
    }

    /// Whether `name` names this clip's speaker: the same letters in any case, or the same number (`1` is `01`).
    pub fn is_by(&self, name: &str) -> bool {
        let name = name.trim();
        if let (Ok(left), Ok(right)) = (self.speaker.parse::<u32>(), name.parse::<u32>()) {
            return left == right;
        }
        self.speaker.eq_ignore_ascii_case(name)
    }

    /// A name of the recording that two files share when they are known to hold the same samples.
    ///
    /// RAVDESS publishes one recording of actor 07 under two names; every other file stands for itself. A random
    /// split must keep the two together.
    pub fn recording(&self) -> PathBuf {
        match self.corpus {
            Corpus::Ravdess => ravdess::recording(&self.path),
            _ => self.path.clone(),
        }
    }
}

/// A speaker's sex, as the corpus's documentation gives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Sex {
    /// Female.
    Female,
    /// Male.
    Male,
}

impl fmt::Display for Sex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Sex::Female => "female",
            Sex::Male => "male",
        })
    }
}

/// How strongly an emotion was acted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Intensity {
    /// CREMA-D's `LO`.
    Low,
    /// RAVDESS's normal, CREMA-D's `MD`.
    Normal,
    /// RAVDESS's strong, CREMA-D's `HI`.
    Strong,
}

/// Collects the WAV and FLAC files below a folder. Hidden entries (such as the `._name` files that macOS archives
/// leave behind) are no recordings.
fn sound_files(folder: &Path, found: &mut Vec<PathBuf>) -> Result<(), Error> {
    let on_io = |source| Error::Io { path: folder.into(), source };
    for entry in std::fs::read_dir(folder).map_err(on_io)? {
        let path = entry.map_err(on_io)?.path();
        if path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b".")) {
            continue;
        }
        if path.is_dir() {
            sound_files(&path, found)?;
        } else if path
            .extension()
            .is_some_and(|ext| ext.eq_ignore_ascii_case("wav") || ext.eq_ignore_ascii_case("flac"))
        {
            found.push(path);
        }
    }
    Ok(())
}

/// The file's name without extension, or an empty string for a name that is no Unicode.
fn stem(path: &Path) -> &str {
    path.file_stem().and_then(|stem| stem.to_str()).unwrap_or("")
}

/// The name of the folder the file lies in.
fn parent(path: &Path) -> &str {
    path.parent().and_then(Path::file_name).and_then(|name| name.to_str()).unwrap_or("")
}

fn wrong_name(path: &Path, expected: &'static str) -> Error {
    Error::FileName { path: path.into(), expected }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lays out empty files; names alone are read by a scan.
    fn tree(files: &[&str]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for file in files {
            let path = root.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, b"").unwrap();
        }
        root
    }

    #[test]
    fn a_scan_is_sorted_and_reports_what_it_set_aside() {
        let root = tree(&[
            "Actor_02/03-01-03-01-02-01-02.WAV",
            "Actor_01/03-01-08-02-01-02-01.flac",
            "Actor_01/notes.txt",
            "Actor_01/._03-01-08-02-01-02-01.wav",
            "Actor_01/whatever.wav",
            "copy/03-01-03-01-02-01-02.WAV",
        ]);
        let scan = Corpus::Ravdess.scan(root.path()).unwrap();
        let speakers: Vec<_> = scan.clips.iter().map(|clip| clip.speaker_key()).collect();
        assert_eq!(speakers, ["ravdess/01", "ravdess/02"]);
        assert_eq!(scan.skipped.len(), 2);
        assert!(scan.skipped[0].reason.contains("whatever.wav"), "{}", scan.skipped[0].reason);
        assert!(scan.skipped[1].reason.contains("already read"));
    }

    #[test]
    fn the_packaging_of_tess_that_holds_every_file_twice_is_read_once() {
        let root = tree(&["TESS/OAF_angry/OAF_back_angry.wav", "TESS/TESS/OAF_angry/OAF_back_angry.wav"]);
        let scan = Corpus::Tess.scan(root.path()).unwrap();
        assert_eq!((scan.clips.len(), scan.skipped.len()), (1, 1));
    }

    #[test]
    fn a_folder_without_clips_is_an_error_that_names_it() {
        let root = tree(&["a.wav"]);
        let error = Corpus::Savee.scan(root.path()).unwrap_err();
        assert!(matches!(error, Error::NoClips { skipped: 1, .. }), "{error}");
        assert!(error.to_string().contains(root.path().to_str().unwrap()));
        assert!(matches!(Corpus::Tess.scan(&root.path().join("none")), Err(Error::Io { .. })));
    }

    #[test]
    fn clips_of_merged_corpora_keep_corpus_speaker_and_name() {
        let root = tree(&["ravdess/Actor_01/03-01-05-01-01-01-01.wav", "emodb/wav/03a01Fa.wav", "savee/KL/n01.wav"]);
        let scan = |corpus: Corpus| corpus.scan(&root.path().join(corpus.name())).unwrap().clips;
        let merged: Vec<Clip> = [Corpus::Ravdess, Corpus::EmoDb, Corpus::Savee].into_iter().flat_map(scan).collect();
        let keys: Vec<String> = merged.iter().map(Clip::key).collect();
        assert_eq!(keys, ["ravdess/Actor_01/03-01-05-01-01-01-01.wav", "emodb/wav/03a01Fa.wav", "savee/KL/n01.wav"]);
        let speakers: Vec<String> = merged.iter().map(Clip::speaker_key).collect();
        assert_eq!(speakers, ["ravdess/01", "emodb/03", "savee/KL"]);
    }

    #[test]
    fn names_of_corpora_and_speakers_are_read_leniently() {
        assert_eq!("CREMA-D".parse::<Corpus>().unwrap(), Corpus::CremaD);
        assert!(matches!("iemocap".parse::<Corpus>(), Err(Error::UnknownCorpus { .. })));
        let clip = Corpus::Ravdess.clip(Path::new(""), Path::new("03-01-05-02-01-01-01.wav")).unwrap();
        assert!(clip.is_by("1") && clip.is_by(" 01") && !clip.is_by("11"));
    }
}
