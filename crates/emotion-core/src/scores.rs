//! Probability vectors over a label set.

use std::fmt;

use serde::de::{MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{Emotion, Error, LabelSet};

/// How far from 1 a sum of probabilities may lie before it is refused: f32 softmax over nine classes stays within 1e-6,
/// scores read back from a file with a few decimals within 1e-3.
const SUM_TOLERANCE: f32 = 1e-3;

/// How probable each emotion of a [`LabelSet`] is: finite, at least 0, summing to 1.
///
/// Serialised as a map from label to probability, in label order, and read back from one in the order of its entries.
#[derive(Debug, Clone, PartialEq)]
pub struct Scores {
    labels: LabelSet,
    values: Vec<f32>,
}

impl Scores {
    /// Probabilities in label order. A sum within 1e-3 of 1 is made exactly 1 by scaling.
    ///
    /// # Errors
    /// [`Error::WrongLength`], [`Error::InvalidValue`] for a value that is not finite or below 0, [`Error::NotNormalised`].
    pub fn new(labels: &LabelSet, values: &[f32]) -> Result<Self, Error> {
        check(labels, values, true)?;
        let sum: f32 = values.iter().sum();
        if (sum - 1.0).abs() > SUM_TOLERANCE {
            return Err(Error::NotNormalised { sum, tolerance: SUM_TOLERANCE });
        }
        Ok(Self { labels: labels.clone(), values: values.iter().map(|value| value / sum).collect() })
    }

    /// Probabilities from values of at least 0 that need not sum to 1, such as votes: each is divided by their sum.
    ///
    /// # Errors
    /// [`Error::WrongLength`], [`Error::InvalidValue`], and [`Error::NothingLeft`] when all are 0.
    pub fn from_weights(labels: &LabelSet, weights: &[f32]) -> Result<Self, Error> {
        check(labels, weights, true)?;
        let sum: f64 = weights.iter().map(|&weight| f64::from(weight)).sum();
        if sum <= 0.0 {
            return Err(Error::NothingLeft { target: labels.to_string() });
        }
        let values = weights.iter().map(|&weight| (f64::from(weight) / sum) as f32).collect();
        Ok(Self { labels: labels.clone(), values })
    }

    /// The softmax of a network's outputs.
    ///
    /// # Errors
    /// [`Error::WrongLength`], and [`Error::InvalidValue`] for a logit that is not finite.
    pub fn from_logits(labels: &LabelSet, logits: &[f32]) -> Result<Self, Error> {
        check(labels, logits, false)?;
        let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let exponentials: Vec<f32> = logits.iter().map(|logit| (logit - largest).exp()).collect();
        Self::from_weights(labels, &exponentials)
    }

    /// The same probability for every label: no knowledge at all.
    pub fn uniform(labels: &LabelSet) -> Self {
        Self { labels: labels.clone(), values: vec![1.0 / labels.len() as f32; labels.len()] }
    }

    /// The labels that the values belong to.
    pub fn labels(&self) -> &LabelSet {
        &self.labels
    }

    /// The probabilities in label order.
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// Label and probability, in label order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (Emotion, f32)> + '_ {
        self.labels.iter().zip(self.values.iter().copied())
    }

    /// The probability of an emotion; 0 when the label set does not name it.
    pub fn get(&self, emotion: Emotion) -> f32 {
        self.labels.index_of(emotion).map_or(0.0, |index| self.values[index])
    }

    /// The most probable emotion and its probability; the earlier label on a tie.
    pub fn top(&self) -> (Emotion, f32) {
        let mut best = (self.labels.as_slice()[0], self.values[0]);
        for (emotion, value) in self.iter() {
            if value > best.1 {
                best = (emotion, value);
            }
        }
        best
    }

    /// How undecided the scores are: Shannon entropy divided by its largest value, from 0 (sure) to 1 (uniform).
    pub fn uncertainty(&self) -> f32 {
        if self.values.len() < 2 {
            return 0.0;
        }
        let entropy: f32 = self.values.iter().filter(|&&value| value > 0.0).map(|value| -value * value.ln()).sum();
        (entropy / (self.values.len() as f32).ln()).clamp(0.0, 1.0)
    }

    /// The same scores over other labels.
    ///
    /// Calm is folded into neutral (its probability is added) where the target names no calm; every other emotion
    /// that the target does not name, such as contempt, is dropped and the rest renormalised. Labels that only the
    /// target names get probability 0.
    ///
    /// # Errors
    /// [`Error::NothingLeft`] when all probability lay on labels that the target does not name.
    pub fn project(&self, target: &LabelSet) -> Result<Self, Error> {
        if *target == self.labels {
            return Ok(self.clone());
        }
        let mut weights = vec![0.0; target.len()];
        for (emotion, value) in self.iter() {
            let place = target.index_of(emotion).or_else(|| match emotion {
                Emotion::Calm => target.index_of(Emotion::Neutral),
                _ => None,
            });
            if let Some(place) = place {
                weights[place] += value;
            }
        }
        Self::from_weights(target, &weights)
    }
}

impl Serialize for Scores {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.values.len()))?;
        for (emotion, value) in self.iter() {
            map.serialize_entry(emotion.name(), &value)?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for Scores {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ScoresVisitor;

        impl<'de> Visitor<'de> for ScoresVisitor {
            type Value = Scores;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map from emotion to probability")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Scores, A::Error> {
                let (mut emotions, mut values) = (Vec::new(), Vec::new());
                while let Some((emotion, value)) = map.next_entry::<Emotion, f32>()? {
                    emotions.push(emotion);
                    values.push(value);
                }
                let labels = LabelSet::new(&emotions).map_err(serde::de::Error::custom)?;
                Scores::new(&labels, &values).map_err(serde::de::Error::custom)
            }
        }

        deserializer.deserialize_map(ScoresVisitor)
    }
}

fn check(labels: &LabelSet, values: &[f32], probability: bool) -> Result<(), Error> {
    if values.len() != labels.len() {
        return Err(Error::WrongLength { expected: labels.len(), got: values.len() });
    }
    for (emotion, &value) in labels.iter().zip(values) {
        if !value.is_finite() || (probability && value < 0.0) {
            return Err(Error::InvalidValue { emotion, value, probability });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn bad_vectors_are_refused_with_the_reason() {
        let labels = LabelSet::new(&[Emotion::Happy, Emotion::Sad]).unwrap();
        assert_eq!(Scores::new(&labels, &[1.0]).unwrap_err(), Error::WrongLength { expected: 2, got: 1 });
        assert!(matches!(Scores::new(&labels, &[f32::NAN, 0.5]), Err(Error::InvalidValue { .. })));
        assert!(matches!(Scores::new(&labels, &[1.5, -0.5]), Err(Error::InvalidValue { .. })));
        assert!(matches!(Scores::new(&labels, &[0.2, 0.2]), Err(Error::NotNormalised { .. })));
        assert!(matches!(Scores::from_weights(&labels, &[0.0, 0.0]), Err(Error::NothingLeft { .. })));
        assert!(matches!(Scores::from_logits(&labels, &[f32::INFINITY, 0.0]), Err(Error::InvalidValue { .. })));
    }

    #[test]
    fn calm_folds_into_neutral_and_contempt_is_dropped() {
        let mut speech = [0.0; 8];
        (speech[6], speech[7], speech[3]) = (0.25, 0.5, 0.25);
        let face = Scores::new(&LabelSet::speech8(), &speech).unwrap().project(&LabelSet::face7()).unwrap();
        assert_eq!(face.get(Emotion::Neutral), 0.75);
        assert_eq!(face.get(Emotion::Calm), 0.0);

        let mut plus = [0.0; 8];
        (plus[0], plus[7]) = (0.2, 0.8);
        let face = Scores::new(&LabelSet::ferplus8(), &plus).unwrap().project(&LabelSet::face7()).unwrap();
        assert_eq!(face.get(Emotion::Angry), 1.0);

        let contempt = LabelSet::new(&[Emotion::Contempt]).unwrap();
        let scores = Scores::new(&contempt, &[1.0]).unwrap();
        assert!(matches!(scores.project(&LabelSet::face7()), Err(Error::NothingLeft { .. })));
    }

    #[test]
    fn serialised_as_a_map_in_label_order() {
        let labels = LabelSet::new(&[Emotion::Sad, Emotion::Angry]).unwrap();
        let json = serde_json::to_string(&Scores::new(&labels, &[0.75, 0.25]).unwrap()).unwrap();
        assert_eq!(json, r#"{"sad":0.75,"angry":0.25}"#);
    }

    #[test]
    fn read_back_only_when_it_is_a_probability_vector() {
        let scores = Scores::from_weights(&LabelSet::face7(), &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]).unwrap();
        let back: Scores = serde_json::from_str(&serde_json::to_string(&scores).unwrap()).unwrap();
        assert_eq!(back.labels(), scores.labels());
        for (back, value) in back.values().iter().zip(scores.values()) {
            assert!((back - value).abs() < 1e-6);
        }
        for bad in [
            "{}",
            r#"{"sad":0.5}"#,
            r#"{"sad":1.5,"happy":-0.5}"#,
            r#"{"bored":1.0}"#,
            r#"{"sad":0.5,"sad":0.5}"#,
            "[1.0]",
        ] {
            assert!(serde_json::from_str::<Scores>(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn softmax_is_a_probability_vector(logits in prop::collection::vec(-1e4f32..1e4, 7)) {
            let scores = Scores::from_logits(&LabelSet::face7(), &logits).unwrap();
            let sum: f32 = scores.values().iter().sum();
            prop_assert!((sum - 1.0).abs() < 1e-5);
            prop_assert!(scores.values().iter().all(|value| (0.0..=1.0).contains(value)));
            prop_assert!((0.0..=1.0).contains(&scores.uncertainty()));
            let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let top = scores.labels().index_of(scores.top().0).unwrap();
            prop_assert!(scores.values()[top] >= scores.values()[logits.iter().position(|&l| l == largest).unwrap()]);
        }

        #[test]
        fn projection_keeps_the_sum(weights in prop::collection::vec(0.01f32..1.0, 8)) {
            let scores = Scores::from_weights(&LabelSet::speech8(), &weights).unwrap();
            let face = scores.project(&LabelSet::face7()).unwrap();
            prop_assert!((face.values().iter().sum::<f32>() - 1.0).abs() < 1e-5);
            prop_assert!((face.get(Emotion::Happy) - scores.get(Emotion::Happy)).abs() < 1e-6);
        }
    }
}
