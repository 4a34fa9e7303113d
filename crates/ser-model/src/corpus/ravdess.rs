//! RAVDESS: seven two-digit fields in each name, `03-01-05-02-01-01-12.wav`.

use std::path::{Path, PathBuf};

use emotion_core::Emotion;

use super::{Intensity, Labels, Sex, stem, wrong_name};
use crate::Error;

const PATTERN: &str = "MM-VV-EE-II-SS-RR-AA, seven two-digit fields such as 03-01-05-02-01-01-12";

/// What one file name of RAVDESS says. Song and audio-video files follow the same pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Name {
    /// Field 1: what the file holds.
    pub modality: Modality,
    /// Field 2: `02`, the actor sings; `01`, the actor speaks.
    pub song: bool,
    /// Field 3: `01` neutral, `02` calm, `03` happy, `04` sad, `05` angry, `06` fearful, `07` disgust, `08` surprised.
    pub emotion: Emotion,
    /// Field 4: `01` normal, `02` strong.
    pub intensity: Intensity,
    /// Field 5: `01` "Kids are talking by the door", `02` "Dogs are sitting by the door".
    pub statement: u8,
    /// Field 6: the first or second take.
    pub repetition: u8,
    /// Field 7: the actor, 1 to 24; odd numbers are men.
    pub actor: u8,
}

/// What a file of RAVDESS holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Modality {
    /// Picture and sound.
    AudioVideo,
    /// Picture alone.
    VideoOnly,
    /// Sound alone.
    AudioOnly,
}

/// Reads a file name (its folder and extension do not matter).
///
/// # Errors
/// [`Error::FileName`] for anything but seven fields with the published values.
pub fn parse(path: &Path) -> Result<Name, Error> {
    read(stem(path)).ok_or_else(|| wrong_name(path, PATTERN))
}

fn read(stem: &str) -> Option<Name> {
    let fields: Vec<u8> =
        stem.split('-').map(|field| if field.len() == 2 { field.parse().ok() } else { None }).collect::<Option<_>>()?;
    let &[modality, channel, emotion, intensity, statement, repetition, actor] = fields.as_slice() else { return None };
    let modality = match modality {
        1 => Modality::AudioVideo,
        2 => Modality::VideoOnly,
        3 => Modality::AudioOnly,
        _ => return None,
    };
    let emotion = match emotion {
        1 => Emotion::Neutral,
        2 => Emotion::Calm,
        3 => Emotion::Happy,
        4 => Emotion::Sad,
        5 => Emotion::Angry,
        6 => Emotion::Fear,
        7 => Emotion::Disgust,
        8 => Emotion::Surprise,
        _ => return None,
    };
    let intensity = match intensity {
        1 => Intensity::Normal,
        2 => Intensity::Strong,
        _ => return None,
    };
    let in_range =
        [channel, statement, repetition].iter().all(|field| matches!(field, 1 | 2)) && (1..=24).contains(&actor);
    in_range.then_some(Name { modality, song: channel == 2, emotion, intensity, statement, repetition, actor })
}

pub(super) fn labels(path: &Path) -> Result<Labels, Error> {
    let name = parse(path)?;
    if name.song {
        return Err(wrong_name(path, "a spoken clip (second field 01), not a sung one"));
    }
    if name.modality == Modality::VideoOnly {
        return Err(wrong_name(path, "a clip with sound (first field 01 or 03)"));
    }
    let sentence = if name.statement == 1 { "Kids are talking by the door" } else { "Dogs are sitting by the door" };
    Ok(Labels {
        emotion: name.emotion,
        speaker: format!("{:02}", name.actor),
        sex: Some(if name.actor % 2 == 1 { Sex::Male } else { Sex::Female }),
        intensity: Some(name.intensity),
        sentence: Some(sentence.into()),
    })
}

/// The path under which the recording is known: takes 1 and 2 of "Dogs …", happy, normal, by actor 07 are one file.
pub(super) fn recording(path: &Path) -> PathBuf {
    match stem(path) {
        "03-01-03-01-02-02-07" => path.with_file_name("03-01-03-01-02-01-07.wav"),
        "03-01-03-01-02-01-07" => path.with_extension("wav"),
        _ => path.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_seven_fields_are_read() {
        let name = parse(Path::new("Actor_12/02-02-06-02-01-02-12.mp4")).unwrap();
        let expected = Name {
            modality: Modality::VideoOnly,
            song: true,
            emotion: Emotion::Fear,
            intensity: Intensity::Strong,
            statement: 1,
            repetition: 2,
            actor: 12,
        };
        assert_eq!(name, expected);
    }

    #[test]
    fn speech_clips_carry_speaker_sex_and_sentence() {
        let clip = labels(Path::new("Actor_07/03-01-02-01-02-01-07.wav")).unwrap();
        assert_eq!((clip.emotion, clip.speaker.as_str(), clip.sex), (Emotion::Calm, "07", Some(Sex::Male)));
        assert_eq!(clip.sentence.as_deref(), Some("Dogs are sitting by the door"));
    }

    #[test]
    fn song_silent_video_and_broken_names_are_refused() {
        for name in ["03-02-05-01-01-01-01", "02-01-05-01-01-01-01", "03-01-09-01-01-01-01", "03-01-05-01-01-01", "a-b"]
        {
            assert!(labels(Path::new(name)).is_err(), "{name}");
        }
        assert!(parse(Path::new("03-01-5-01-01-01-001.wav")).is_err());
    }

    #[test]
    fn the_one_recording_published_twice_is_known() {
        let (first, second) = ("Actor_07/03-01-03-01-02-01-07.wav", "Actor_07/03-01-03-01-02-02-07.wav");
        assert_eq!(recording(Path::new(first)), recording(Path::new(second)));
        assert_ne!(recording(Path::new("03-01-03-01-02-01-08.wav")), recording(Path::new("03-01-03-01-02-02-08.wav")));
    }
}
