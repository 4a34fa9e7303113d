//! TESS: `OAF_Fear/OAF_back_fear.wav`, with irregular capitals, `ps` for pleasant surprise and one `OA_bite_neutral`.

use std::path::Path;

use emotion_core::Emotion;

use super::{Labels, Sex, parent, stem, wrong_name};
use crate::Error;

const PATTERN: &str = "OAF_word_emotion or YAF_word_emotion, such as OAF_back_fear or YAF_dog_ps";

/// The file name tells everything; where it lacks the emotion or the speaker, the folder's name does.
pub(super) fn labels(path: &Path) -> Result<Labels, Error> {
    let (name, folder) = (stem(path), parent(path));
    let speaker = speaker(name).or_else(|| speaker(folder)).ok_or_else(|| wrong_name(path, PATTERN))?;
    let emotion = emotion(name).or_else(|| emotion(folder)).ok_or_else(|| wrong_name(path, PATTERN))?;
    // Every recording says the same carrier phrase with one of 200 words.
    let word = name.split('_').nth(1).filter(|word| !word.is_empty());
    Ok(Labels {
        emotion,
        speaker: speaker.into(),
        sex: Some(Sex::Female),
        intensity: None,
        sentence: word.map(|word| format!("Say the word {}", word.to_lowercase())),
    })
}

/// The older (`OAF`, 64 years) or the younger (`YAF`, 26 years) actress; `OA` stands once for `OAF`.
fn speaker(name: &str) -> Option<&'static str> {
    match name.split('_').next()?.to_ascii_uppercase().as_str() {
        "OAF" | "OA" => Some("OAF"),
        "YAF" | "YA" => Some("YAF"),
        _ => None,
    }
}

/// The last word, or the last two (`Pleasant_surprise`).
fn emotion(name: &str) -> Option<Emotion> {
    let mut cuts = name.match_indices('_').map(|(at, _)| at).rev();
    let (last, before) = (cuts.next()?, cuts.next());
    name[last + 1..].parse().ok().or_else(|| name[before? + 1..].parse().ok()).or_else(|| {
        // A folder such as `OAF_Pleasant_surprise` has its first underscore before the pair.
        name[name.find('_')? + 1..].parse().ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn irregular_names_of_files_and_folders_are_read() {
        for (path, speaker, emotion) in [
            ("OAF_Fear/OAF_back_fear.wav", "OAF", Emotion::Fear),
            ("OAF_neutral/OA_bite_neutral.wav", "OAF", Emotion::Neutral),
            ("YAF_pleasant_surprised/YAF_dog_ps.wav", "YAF", Emotion::Surprise),
            ("OAF_Pleasant_surprise/OAF_dog.wav", "OAF", Emotion::Surprise),
            ("YAF_pleasant_surprised/dog.wav", "YAF", Emotion::Surprise),
            ("flat/yaf_DOG_Happy.WAV", "YAF", Emotion::Happy),
        ] {
            let clip = labels(Path::new(path)).unwrap();
            assert_eq!(
                (clip.speaker.as_str(), clip.emotion, clip.sex),
                (speaker, emotion, Some(Sex::Female)),
                "{path}"
            );
        }
        let clip = labels(Path::new("OAF_back_fear.wav")).unwrap();
        assert_eq!(clip.sentence.as_deref(), Some("Say the word back"));
    }

    #[test]
    fn unknown_speakers_and_emotions_are_refused() {
        for path in ["x/MAF_back_fear.wav", "x/OAF_back_bored.wav", "x/OAF.wav", "x/.wav"] {
            assert!(labels(Path::new(path)).is_err(), "{path}");
        }
    }
}
