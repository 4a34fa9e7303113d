//! SAVEE: `DC_a01.wav` in one folder, or `DC/a01.wav` in a folder for each of the four men.

use std::path::Path;

use emotion_core::Emotion;

use super::{Labels, Sex, parent, stem, wrong_name};
use crate::Error;

const PATTERN: &str = "XX_eNN or a folder XX with eNN (speaker DC, JE, JK or KL; a, d, f, h, n, sa or su; a number)";

pub(super) fn labels(path: &Path) -> Result<Labels, Error> {
    let name = stem(path);
    let (speaker, code) = name.split_once('_').unwrap_or((parent(path), name));
    let speaker = speaker.to_ascii_uppercase();
    let letters = code.trim_end_matches(|c: char| c.is_ascii_digit());
    let emotion = match letters.to_ascii_lowercase().as_str() {
        "a" => Emotion::Angry,
        "d" => Emotion::Disgust,
        "f" => Emotion::Fear,
        "h" => Emotion::Happy,
        "n" => Emotion::Neutral,
        "sa" => Emotion::Sad,
        "su" => Emotion::Surprise,
        _ => return Err(wrong_name(path, PATTERN)),
    };
    if letters.len() == code.len() || !matches!(speaker.as_str(), "DC" | "JE" | "JK" | "KL") {
        return Err(wrong_name(path, PATTERN));
    }
    Ok(Labels { emotion, speaker, sex: Some(Sex::Male), intensity: None, sentence: Some(code.to_ascii_lowercase()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_flat_and_the_folder_form_say_the_same() {
        for path in ["savee/JK_su08.wav", "AudioData/JK/su08.wav", "ALL/jk_SU08.flac"] {
            let clip = labels(Path::new(path)).unwrap();
            assert_eq!((clip.speaker.as_str(), clip.emotion, clip.sex), ("JK", Emotion::Surprise, Some(Sex::Male)));
            assert_eq!(clip.sentence.as_deref(), Some("su08"));
        }
        assert_eq!(labels(Path::new("DC_sa01.wav")).unwrap().emotion, Emotion::Sad);
    }

    #[test]
    fn other_names_are_refused() {
        for path in ["savee/XX_a01.wav", "savee/DC_q01.wav", "savee/DC_a.wav", "savee/a01.wav", "DC/readme.wav"] {
            assert!(labels(Path::new(path)).is_err(), "{path}");
        }
    }
}
