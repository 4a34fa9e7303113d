//! Emotions and ordered sets of them.

use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, OnceLock};

use serde::{Deserialize, Serialize};

use crate::Error;

/// One of the nine categories that the supported corpora name.
///
/// The first seven stand in the order of FER-2013's CSV file, so `emotion as usize` is that file's class number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Emotion {
    /// Anger.
    Angry,
    /// Disgust.
    Disgust,
    /// Fear.
    Fear,
    /// Happiness.
    Happy,
    /// Sadness.
    Sad,
    /// Surprise, pleasant or not.
    Surprise,
    /// No emotion shown.
    Neutral,
    /// Calm: a class of the RAVDESS speech corpus only.
    Calm,
    /// Contempt: a class of the FER+ labels only.
    Contempt,
}

impl Emotion {
    /// Every emotion, in the order of their numbers.
    pub const ALL: [Emotion; 9] = [
        Emotion::Angry,
        Emotion::Disgust,
        Emotion::Fear,
        Emotion::Happy,
        Emotion::Sad,
        Emotion::Surprise,
        Emotion::Neutral,
        Emotion::Calm,
        Emotion::Contempt,
    ];

    /// The lower-case English name, as it stands in every file that this workspace writes.
    pub fn name(self) -> &'static str {
        match self {
            Emotion::Angry => "angry",
            Emotion::Disgust => "disgust",
            Emotion::Fear => "fear",
            Emotion::Happy => "happy",
            Emotion::Sad => "sad",
            Emotion::Surprise => "surprise",
            Emotion::Neutral => "neutral",
            Emotion::Calm => "calm",
            Emotion::Contempt => "contempt",
        }
    }
}

impl fmt::Display for Emotion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Emotion {
    type Err = Error;

    /// Reads the names and nouns that corpora use (`anger`, `fearful`, `happiness`, `surprised`, `ps`, …), in any case.
    fn from_str(name: &str) -> Result<Self, Error> {
        Ok(match name.trim().to_ascii_lowercase().as_str() {
            "angry" | "anger" => Emotion::Angry,
            "disgust" | "disgusted" => Emotion::Disgust,
            "fear" | "fearful" | "afraid" => Emotion::Fear,
            "happy" | "happiness" | "joy" => Emotion::Happy,
            "sad" | "sadness" => Emotion::Sad,
            "surprise" | "surprised" | "ps" | "pleasant_surprise" | "pleasant_surprised" => Emotion::Surprise,
            "neutral" => Emotion::Neutral,
            "calm" => Emotion::Calm,
            "contempt" => Emotion::Contempt,
            _ => return Err(Error::UnknownEmotion { got: name.to_owned() }),
        })
    }
}

/// Which emotions a model speaks of, and in what order: the meaning of each place of a probability vector.
///
/// Cheap to clone. Never empty, and no emotion stands twice.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "Vec<Emotion>", into = "Vec<Emotion>")]
pub struct LabelSet(Arc<[Emotion]>);

impl LabelSet {
    /// A set of your own.
    ///
    /// # Errors
    /// [`Error::EmptyLabelSet`] without emotions, [`Error::DuplicateLabel`] when one stands twice.
    pub fn new(emotions: &[Emotion]) -> Result<Self, Error> {
        if emotions.is_empty() {
            return Err(Error::EmptyLabelSet);
        }
        for (index, &emotion) in emotions.iter().enumerate() {
            if emotions[..index].contains(&emotion) {
                return Err(Error::DuplicateLabel { emotion });
            }
        }
        Ok(Self(emotions.into()))
    }

    /// The seven of FER-2013: angry, disgust, fear, happy, sad, surprise, neutral.
    pub fn face7() -> Self {
        static SET: OnceLock<LabelSet> = OnceLock::new();
        SET.get_or_init(|| Self(Emotion::ALL[..7].into())).clone()
    }

    /// The seven and calm: the classes of RAVDESS speech.
    pub fn speech8() -> Self {
        static SET: OnceLock<LabelSet> = OnceLock::new();
        SET.get_or_init(|| Self(Emotion::ALL[..8].into())).clone()
    }

    /// The seven and contempt: the classes of FER+.
    pub fn ferplus8() -> Self {
        static SET: OnceLock<LabelSet> = OnceLock::new();
        SET.get_or_init(|| {
            let mut emotions = Emotion::ALL[..7].to_vec();
            emotions.push(Emotion::Contempt);
            Self(emotions.into())
        })
        .clone()
    }

    /// The number of labels; at least 1.
    #[allow(clippy::len_without_is_empty, reason = "a label set is never empty")]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The labels in order.
    pub fn as_slice(&self) -> &[Emotion] {
        &self.0
    }

    /// The labels in order, one by one.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Emotion> + '_ {
        self.0.iter().copied()
    }

    /// The place of an emotion, or `None` when the set does not name it.
    pub fn index_of(&self, emotion: Emotion) -> Option<usize> {
        self.0.iter().position(|&label| label == emotion)
    }

    /// Whether the set names this emotion.
    pub fn contains(&self, emotion: Emotion) -> bool {
        self.index_of(emotion).is_some()
    }
}

impl fmt::Display for LabelSet {
    /// The names, joined by commas.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, emotion) in self.iter().enumerate() {
            write!(f, "{}{emotion}", if index == 0 { "" } else { ", " })?;
        }
        Ok(())
    }
}

impl TryFrom<Vec<Emotion>> for LabelSet {
    type Error = Error;

    fn try_from(emotions: Vec<Emotion>) -> Result<Self, Error> {
        Self::new(&emotions)
    }
}

impl From<LabelSet> for Vec<Emotion> {
    fn from(set: LabelSet) -> Self {
        set.0.to_vec()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip_and_synonyms_are_read() {
        for emotion in Emotion::ALL {
            assert_eq!(emotion.name().parse::<Emotion>().unwrap(), emotion);
        }
        assert_eq!("Pleasant_Surprise".parse::<Emotion>().unwrap(), Emotion::Surprise);
        assert_eq!(" ANGER ".parse::<Emotion>().unwrap(), Emotion::Angry);
        assert_eq!("bored".parse::<Emotion>().unwrap_err(), Error::UnknownEmotion { got: "bored".into() });
    }

    #[test]
    fn the_seven_stand_in_the_order_of_fer_2013() {
        let names: Vec<_> = LabelSet::face7().iter().map(Emotion::name).collect();
        assert_eq!(names, ["angry", "disgust", "fear", "happy", "sad", "surprise", "neutral"]);
        assert_eq!(Emotion::Neutral as usize, 6);
        assert_eq!(LabelSet::speech8().index_of(Emotion::Calm), Some(7));
        assert_eq!(LabelSet::ferplus8().index_of(Emotion::Contempt), Some(7));
    }

    #[test]
    fn empty_and_repeated_sets_are_refused() {
        assert_eq!(LabelSet::new(&[]).unwrap_err(), Error::EmptyLabelSet);
        let twice = [Emotion::Sad, Emotion::Happy, Emotion::Sad];
        assert_eq!(LabelSet::new(&twice).unwrap_err(), Error::DuplicateLabel { emotion: Emotion::Sad });
        assert!(serde_json::from_str::<LabelSet>(r#"["sad","sad"]"#).is_err());
    }
}
