//! Late (score-level) fusion: the scores of each modality in, one probability vector out.

use emotion_core::{Emotion, Scores};
use serde::{Deserialize, Serialize};

use crate::{Error, common_labels};

/// The scores of one modality at one moment, and how good what it saw or heard was.
#[derive(Debug, Clone, Copy)]
pub struct Evidence<'a> {
    /// The modality's scores, over any labels.
    pub scores: &'a Scores,
    /// How much the input deserves to be believed, from 0 (useless) to 1 (perfect): sharpness and size of a face, the
    /// share of speech in a window.
    pub quality: f32,
}

impl<'a> Evidence<'a> {
    /// Evidence of perfect quality.
    pub fn new(scores: &'a Scores) -> Self {
        Self { scores, quality: 1.0 }
    }
}

/// Combines the scores of several modalities into one vector over the seven common labels.
///
/// # For implementors
/// `parts` always names every modality, in the same order; one that is missing is `None` and must not change the result
/// of the others. The result is over [`LabelSet::face7`](emotion_core::LabelSet::face7) (calm folds into neutral). A
/// single modality comes out as it went in, projected.
pub trait Fuser: Send + Sync {
    /// A short name for reports, such as `mean`.
    fn name(&self) -> &str;

    /// Fuses the scores.
    ///
    /// # Errors
    /// [`Error::NothingToFuse`] when every part is missing; [`Error::Scores`] when a part cannot be projected;
    /// [`Error::WrongModalities`] from fusers that were made for another number of parts.
    fn fuse(&self, parts: &[Option<&Scores>]) -> Result<Scores, Error>;

    /// Fuses the scores, knowing how good each modality's input was. Fusers that do not weigh by quality ignore it.
    ///
    /// # Errors
    /// As [`fuse`](Self::fuse), and [`Error::InvalidConfig`] for a quality outside 0 to 1.
    fn fuse_evidence(&self, parts: &[Option<Evidence<'_>>]) -> Result<Scores, Error> {
        let scores: Vec<_> = parts.iter().map(|part| part.map(|evidence| evidence.scores)).collect();
        self.fuse(&scores)
    }
}

/// The mean of the scores per class: Algorithm 3 of the every-tenth-frame method, `(video + audio) / 2`.
///
/// A missing modality is left out of the mean.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MeanFuser;

impl Fuser for MeanFuser {
    fn name(&self) -> &str {
        "mean"
    }

    fn fuse(&self, parts: &[Option<&Scores>]) -> Result<Scores, Error> {
        weighted_mean(parts, &vec![1.0; parts.len()])
    }
}

/// The product of the scores per class, normalised: each modality can veto a class.
///
/// The product rule of Kittler et al., "On combining classifiers" (1998), for classes that are equally likely beforehand.
/// A probability counts as at least 1e-6, so that one overconfident zero does not decide alone.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ProductFuser;

/// The least probability that [`ProductFuser`] multiplies by.
const PRODUCT_FLOOR: f32 = 1e-6;

impl Fuser for ProductFuser {
    fn name(&self) -> &str {
        "product"
    }

    fn fuse(&self, parts: &[Option<&Scores>]) -> Result<Scores, Error> {
        let present = projected(parts)?;
        if let [(_, only)] = present.as_slice() {
            return Ok(only.clone());
        }
        let labels = common_labels();
        let mut logits = vec![0.0; labels.len()];
        for (_, scores) in &present {
            for (logit, &value) in logits.iter_mut().zip(scores.values()) {
                *logit += value.max(PRODUCT_FLOOR).ln();
            }
        }
        Ok(Scores::from_logits(&labels, &logits)?)
    }
}

/// The largest score per class, normalised: the max rule, which follows the most confident modality.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MaxFuser;

impl Fuser for MaxFuser {
    fn name(&self) -> &str {
        "max"
    }

    fn fuse(&self, parts: &[Option<&Scores>]) -> Result<Scores, Error> {
        let labels = common_labels();
        let mut largest = vec![0.0f32; labels.len()];
        for (_, scores) in projected(parts)? {
            for (largest, &value) in largest.iter_mut().zip(scores.values()) {
                *largest = largest.max(value);
            }
        }
        Ok(Scores::from_weights(&labels, &largest)?)
    }
}

/// A mean with one weight for each modality, the weights summing to 1.
///
/// When a modality is missing, the weights of those present are scaled to sum to 1; when these are all 0, each present
/// modality counts the same.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Vec<f32>", into = "Vec<f32>")]
pub struct WeightedFuser {
    weights: Vec<f32>,
}

/// Passes of the fit of [`WeightedFuser`]: each raises the likelihood; two modalities settle within a few dozen.
const FIT_PASSES: usize = 200;

impl WeightedFuser {
    /// A fuser with these weights, one for each modality in the order of the parts.
    ///
    /// # Errors
    /// [`Error::InvalidConfig`] unless there is at least one weight, each is finite and at least 0, and they sum to 1
    /// (within 1e-3).
    pub fn new(weights: &[f32]) -> Result<Self, Error> {
        let sum: f32 = weights.iter().sum();
        if weights.iter().any(|weight| !weight.is_finite() || *weight < 0.0) || (sum - 1.0).abs() > 1e-3 {
            return Err(Error::InvalidConfig {
                field: "weights",
                expected: "finite, at least 0 and summing to 1",
                got: format!("{weights:?}"),
            });
        }
        Ok(Self { weights: weights.iter().map(|weight| weight / sum).collect() })
    }

    /// The weights that make the true emotions of these examples most likely.
    ///
    /// Each example holds the scores of every modality and the emotion that is true. The weights are those of a mixture
    /// model, found by expectation–maximisation from equal weights: the likelihood never falls from pass to pass, and it
    /// is concave in the weights, so there is one best value. Use validation data, never what the models were trained on.
    /// Examples where a modality is missing say nothing about the weights and are left out.
    ///
    /// # Errors
    /// [`Error::NoExamples`] without a complete example, [`Error::WrongModalities`] when examples differ in length,
    /// [`Error::Scores`] when scores cannot be projected.
    pub fn fit(examples: &[(Vec<Option<Scores>>, Emotion)]) -> Result<Self, Error> {
        let modalities = examples.first().map_or(0, |(parts, _)| parts.len());
        let labels = common_labels();
        let mut likelihoods: Vec<Vec<f64>> = Vec::new();
        for (parts, truth) in examples {
            if parts.len() != modalities {
                return Err(Error::WrongModalities { expected: modalities, got: parts.len() });
            }
            let truth = if *truth == Emotion::Calm { Emotion::Neutral } else { *truth };
            let Some(parts) = parts.iter().map(Option::as_ref).collect::<Option<Vec<_>>>() else { continue };
            if !labels.contains(truth) {
                continue;
            }
            let row = parts.iter().map(|scores| Ok(f64::from(scores.project(&labels)?.get(truth)).max(1e-9)));
            likelihoods.push(row.collect::<Result<_, Error>>()?);
        }
        if likelihoods.is_empty() || modalities == 0 {
            return Err(Error::NoExamples { what: "fusion weights", given: examples.len() });
        }
        let mut weights = vec![1.0 / modalities as f64; modalities];
        for _ in 0..FIT_PASSES {
            let mut next = vec![0.0; modalities];
            for row in &likelihoods {
                let mixture: f64 = weights.iter().zip(row).map(|(weight, likelihood)| weight * likelihood).sum();
                for ((next, weight), likelihood) in next.iter_mut().zip(&weights).zip(row) {
                    *next += weight * likelihood / mixture / likelihoods.len() as f64;
                }
            }
            weights = next;
        }
        let weights: Vec<f32> = weights.iter().map(|&weight| weight as f32).collect();
        Self::new(&weights)
    }

    /// The weights in the order of the parts; they sum to 1.
    pub fn weights(&self) -> &[f32] {
        &self.weights
    }
}

impl Fuser for WeightedFuser {
    fn name(&self) -> &str {
        "weighted"
    }

    fn fuse(&self, parts: &[Option<&Scores>]) -> Result<Scores, Error> {
        if parts.len() != self.weights.len() {
            return Err(Error::WrongModalities { expected: self.weights.len(), got: parts.len() });
        }
        weighted_mean(parts, &self.weights)
    }
}

impl TryFrom<Vec<f32>> for WeightedFuser {
    type Error = Error;

    fn try_from(weights: Vec<f32>) -> Result<Self, Error> {
        Self::new(&weights)
    }
}

impl From<WeightedFuser> for Vec<f32> {
    fn from(fuser: WeightedFuser) -> Self {
        fuser.weights
    }
}

/// The parts that are there, on the common labels, each with its place.
fn projected(parts: &[Option<&Scores>]) -> Result<Vec<(usize, Scores)>, Error> {
    let labels = common_labels();
    let mut present = Vec::with_capacity(parts.len());
    for (place, part) in parts.iter().enumerate() {
        if let Some(scores) = part {
            present.push((place, scores.project(&labels)?));
        }
    }
    if present.is_empty() {
        return Err(Error::NothingToFuse { modalities: parts.len() });
    }
    Ok(present)
}

/// The mean of the parts that are there by these weights, which need not sum to 1; by equal weights when all are 0.
pub(crate) fn weighted_mean(parts: &[Option<&Scores>], weights: &[f32]) -> Result<Scores, Error> {
    let present = projected(parts)?;
    let even = present.iter().all(|(place, _)| weights[*place] <= 0.0);
    let labels = common_labels();
    let mut sums = vec![0.0; labels.len()];
    for (place, scores) in &present {
        let weight = if even { 1.0 } else { weights[*place] };
        for (sum, value) in sums.iter_mut().zip(scores.values()) {
            *sum += weight * value;
        }
    }
    Ok(Scores::from_weights(&labels, &sums)?)
}

#[cfg(test)]
mod tests {
    use approx::assert_abs_diff_eq;
    use emotion_core::LabelSet;

    use super::*;

    fn face(values: [f32; 7]) -> Scores {
        Scores::from_weights(&LabelSet::face7(), &values).unwrap()
    }

    #[test]
    fn the_mean_is_that_of_algorithm_3() {
        let video = face([0.0, 0.0, 0.0, 0.8, 0.2, 0.0, 0.0]);
        let audio = Scores::new(&LabelSet::speech8(), &[0.0, 0.0, 0.0, 0.2, 0.0, 0.0, 0.3, 0.5]).unwrap();
        let fused = MeanFuser.fuse(&[Some(&video), Some(&audio)]).unwrap();
        assert_abs_diff_eq!(fused.get(Emotion::Happy), 0.5, epsilon = 1e-6);
        assert_abs_diff_eq!(fused.get(Emotion::Neutral), 0.4, epsilon = 1e-6);
        assert_abs_diff_eq!(fused.get(Emotion::Sad), 0.1, epsilon = 1e-6);
    }

    #[test]
    fn nothing_at_all_is_an_error() {
        for fuser in [&MeanFuser as &dyn Fuser, &ProductFuser, &MaxFuser] {
            assert_eq!(
                fuser.fuse(&[None, None]).unwrap_err(),
                Error::NothingToFuse { modalities: 2 },
                "{}",
                fuser.name()
            );
        }
    }

    #[test]
    fn weights_are_scaled_when_a_modality_is_missing() {
        let voice = face([1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]);
        let only_face = WeightedFuser::new(&[1.0, 0.0]).unwrap();
        assert_eq!(only_face.fuse(&[None, Some(&voice)]).unwrap(), voice);
        assert!(matches!(only_face.fuse(&[None]), Err(Error::WrongModalities { expected: 2, got: 1 })));
        for bad in [&[0.5, 0.6][..], &[-0.5, 1.5], &[f32::NAN, 1.0], &[]] {
            assert!(WeightedFuser::new(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn the_fit_trusts_the_modality_that_is_right() {
        let right = face([0.9, 0.1, 0.0, 0.0, 0.0, 0.0, 0.0]);
        let wrong = face([0.1, 0.9, 0.0, 0.0, 0.0, 0.0, 0.0]);
        let example =
            |first: &Scores, second: &Scores| (vec![Some(first.clone()), Some(second.clone())], Emotion::Angry);
        let mut examples = vec![example(&right, &wrong); 9];
        examples.push(example(&wrong, &right));
        examples.push((vec![Some(right.clone()), None], Emotion::Angry));
        let fitted = WeightedFuser::fit(&examples).unwrap();
        // 9 ln(.1 + .8 w) + ln(.9 - .8 w) is largest where 9 (.9 - .8 w) = .1 + .8 w: at w = 1.
        assert_abs_diff_eq!(fitted.weights()[0], 1.0, epsilon = 1e-2);

        let balanced = vec![example(&right, &wrong), example(&wrong, &right)];
        assert_abs_diff_eq!(WeightedFuser::fit(&balanced).unwrap().weights()[0], 0.5, epsilon = 1e-6);
        assert!(matches!(WeightedFuser::fit(&examples[10..]), Err(Error::NoExamples { given: 1, .. })));
        assert!(matches!(WeightedFuser::fit(&[]), Err(Error::NoExamples { given: 0, .. })));
    }

    #[test]
    fn weights_are_kept_as_a_plain_list() {
        let fuser = WeightedFuser::new(&[0.75, 0.25]).unwrap();
        let json = serde_json::to_string(&fuser).unwrap();
        assert_eq!(json, "[0.75,0.25]");
        assert_eq!(serde_json::from_str::<WeightedFuser>(&json).unwrap(), fuser);
        assert!(serde_json::from_str::<WeightedFuser>("[0.75,0.75]").is_err());
    }
}
