//! EmoDB: `03a01Fa.wav`, speaker, text, emotion (a German initial), version.

use std::path::Path;

use emotion_core::Emotion;

use super::{Labels, Sex, stem, wrong_name};
use crate::Error;

const PATTERN: &str = "SSTTTEV such as 03a01Fa (emotion W, E, A, F, T or N; boredom, L, is no emotion here)";

pub(super) fn labels(path: &Path) -> Result<Labels, Error> {
    read(path).ok_or_else(|| wrong_name(path, PATTERN))
}

fn read(path: &Path) -> Option<Labels> {
    let name = stem(path);
    if !name.is_ascii() || !(6..=7).contains(&name.len()) {
        return None;
    }
    let (speaker, text) = (&name[..2], name[2..5].to_ascii_lowercase());
    let sex = match speaker {
        "03" | "10" | "11" | "12" | "15" => Sex::Male,
        "08" | "09" | "13" | "14" | "16" => Sex::Female,
        _ => return None,
    };
    if !(text.starts_with(['a', 'b']) && text[1..].bytes().all(|byte| byte.is_ascii_digit())) {
        return None;
    }
    // Wut, Ekel, Angst, Freude, Trauer.
    let emotion = match name[5..6].to_ascii_uppercase().as_str() {
        "W" => Emotion::Angry,
        "E" => Emotion::Disgust,
        "A" => Emotion::Fear,
        "F" => Emotion::Happy,
        "T" => Emotion::Sad,
        "N" => Emotion::Neutral,
        _ => return None,
    };
    Some(Labels { emotion, speaker: speaker.into(), sex: Some(sex), intensity: None, sentence: Some(text) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn speaker_text_and_emotion_are_read() {
        let clip = labels(Path::new("wav/16b03Ta.wav")).unwrap();
        assert_eq!((clip.speaker.as_str(), clip.emotion, clip.sex), ("16", Emotion::Sad, Some(Sex::Female)));
        assert_eq!(clip.sentence.as_deref(), Some("b03"));
    }

    #[test]
    fn boredom_and_other_names_are_refused() {
        for name in ["03a01La.wav", "04a01Fa.wav", "03c01Fa.wav", "03a01.wav", "03a01Fabc.wav", "03äa1Fa.wav"] {
            assert!(labels(Path::new(name)).is_err(), "{name}");
        }
    }
}
