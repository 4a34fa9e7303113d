//! CREMA-D: `1001_DFA_ANG_XX.wav`, actor, sentence, emotion, intensity.

use std::path::Path;

use emotion_core::Emotion;

use super::{Intensity, Labels, Sex, stem, wrong_name};
use crate::Error;

const PATTERN: &str = "AAAA_SSS_EEE_II such as 1001_DFA_ANG_XX";

/// The women among actors 1001 to 1091, from the corpus's `VideoDemographics.csv`: 43, against 48 men.
const WOMEN: [u16; 43] = [
    1002, 1003, 1004, 1006, 1007, 1008, 1009, 1010, 1012, 1013, 1018, 1020, 1021, 1024, 1025, 1028, 1029, 1030, 1037,
    1043, 1046, 1047, 1049, 1052, 1053, 1054, 1055, 1056, 1058, 1060, 1061, 1063, 1072, 1073, 1074, 1075, 1076, 1078,
    1079, 1082, 1084, 1089, 1091,
];

pub(super) fn labels(path: &Path) -> Result<Labels, Error> {
    read(path).ok_or_else(|| wrong_name(path, PATTERN))
}

fn read(path: &Path) -> Option<Labels> {
    let name = stem(path).to_ascii_uppercase();
    let fields: Vec<&str> = name.split('_').collect();
    let &[actor, sentence, emotion, intensity] = fields.as_slice() else { return None };
    let number: u16 = actor.parse().ok().filter(|number| (1001..=1091).contains(number))?;
    let emotion = match emotion {
        "ANG" => Emotion::Angry,
        "DIS" => Emotion::Disgust,
        "FEA" => Emotion::Fear,
        "HAP" => Emotion::Happy,
        "NEU" => Emotion::Neutral,
        "SAD" => Emotion::Sad,
        _ => return None,
    };
    let intensity = match intensity {
        "LO" => Some(Intensity::Low),
        "MD" => Some(Intensity::Normal),
        "HI" => Some(Intensity::Strong),
        // One file, 1040_ITH_SAD_X, lost a letter.
        "XX" | "X" => None,
        _ => return None,
    };
    Some(Labels {
        emotion,
        speaker: actor.into(),
        sex: Some(if WOMEN.contains(&number) { Sex::Female } else { Sex::Male }),
        intensity,
        sentence: Some(sentence_text(sentence)?.into()),
    })
}

/// The twelve sentences.
fn sentence_text(code: &str) -> Option<&'static str> {
    Some(match code {
        "IEO" => "It's eleven o'clock",
        "TIE" => "That is exactly what happened",
        "IOM" => "I'm on my way to the meeting",
        "IWW" => "I wonder what this is about",
        "TAI" => "The airplane is almost full",
        "MTI" => "Maybe tomorrow it will be cold",
        "IWL" => "I would like a new alarm clock",
        "ITH" => "I think I have a doctor's appointment",
        "DFA" => "Don't forget a jacket",
        "ITS" => "I think I've seen this before",
        "TSI" => "The surface is slick",
        "WSI" => "We'll stop in a couple of minutes",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_four_fields_are_read() {
        let high = labels(Path::new("AudioWAV/1002_IEO_ANG_HI.wav")).unwrap();
        assert_eq!((high.speaker.as_str(), high.emotion), ("1002", Emotion::Angry));
        assert_eq!((high.sex, high.intensity), (Some(Sex::Female), Some(Intensity::Strong)));
        assert_eq!(high.sentence.as_deref(), Some("It's eleven o'clock"));
        assert_eq!(labels(Path::new("1040_ITH_SAD_X.wav")).unwrap().intensity, None);
        assert_eq!(labels(Path::new("1001_DFA_NEU_XX.wav")).unwrap().sex, Some(Sex::Male));
    }

    #[test]
    fn other_names_are_refused() {
        for name in ["1092_DFA_ANG_XX", "1001_DFA_SUR_XX", "1001_QQQ_ANG_XX", "1001_DFA_ANG", "1001_DFA_ANG_XY"] {
            assert!(labels(Path::new(name)).is_err(), "{name}");
        }
    }
}
