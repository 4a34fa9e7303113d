//! Fusion that believes each modality as far as its input and its own certainty deserve.

use emotion_core::Scores;

use crate::late::weighted_mean;
use crate::{Error, Evidence, Fuser};

/// A mean in which each modality weighs `quality × (1 − uncertainty)`.
///
/// Quality says how good the input was (a sharp frontal face, a window full of speech), uncertainty how undecided the
/// model is about it ([`Scores::uncertainty`], normalised entropy). A blurred face with a flat distribution then hardly
/// speaks into a clear voice, and the other way round. A missing modality leaves the others as they are, and when none
/// deserves any belief they count the same.
///
/// ```
/// use emotion_core::{Emotion, LabelSet, Scores};
/// use fusion::{Evidence, Fuser, QualityFuser};
///
/// let sure = Scores::from_logits(&LabelSet::face7(), &[0.0, 0.0, 0.0, 6.0, 0.0, 0.0, 0.0])?;
/// let unsure = Scores::from_logits(&LabelSet::face7(), &[0.5, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0])?;
/// let parts = [Some(Evidence { scores: &unsure, quality: 0.3 }), Some(Evidence::new(&sure))];
/// let fused = QualityFuser.fuse_evidence(&parts)?;
/// assert_eq!(fused.top().0, Emotion::Happy);
/// assert!(fused.get(Emotion::Happy) > 0.9);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct QualityFuser;

impl Fuser for QualityFuser {
    fn name(&self) -> &str {
        "quality"
    }

    fn fuse(&self, parts: &[Option<&Scores>]) -> Result<Scores, Error> {
        let evidence: Vec<_> = parts.iter().map(|part| part.map(Evidence::new)).collect();
        self.fuse_evidence(&evidence)
    }

    fn fuse_evidence(&self, parts: &[Option<Evidence<'_>>]) -> Result<Scores, Error> {
        let mut weights = Vec::with_capacity(parts.len());
        for part in parts {
            weights.push(part.map_or(Ok(0.0), |evidence| belief(&evidence))?);
        }
        let scores: Vec<_> = parts.iter().map(|part| part.map(|evidence| evidence.scores)).collect();
        weighted_mean(&scores, &weights)
    }
}

/// How far a piece of evidence deserves to be believed, from 0 to 1: `quality × (1 − uncertainty)`.
///
/// # Errors
/// [`Error::InvalidConfig`] for a quality that is not from 0 to 1.
pub fn belief(evidence: &Evidence<'_>) -> Result<f32, Error> {
    let Evidence { scores, quality } = *evidence;
    if !(0.0..=1.0).contains(&quality) {
        return Err(Error::InvalidConfig { field: "quality", expected: "from 0 to 1", got: quality.to_string() });
    }
    Ok(quality * (1.0 - scores.uncertainty()))
}

#[cfg(test)]
mod tests {
    use emotion_core::LabelSet;

    use super::*;

    #[test]
    fn evidence_without_any_worth_counts_the_same() {
        let flat = Scores::uniform(&LabelSet::face7());
        let fused = QualityFuser.fuse(&[Some(&flat), Some(&flat)]).unwrap();
        assert!((fused.uncertainty() - 1.0).abs() < 1e-6);
        let sure = Scores::new(&LabelSet::face7(), &[1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]).unwrap();
        let worthless = Evidence { scores: &sure, quality: 0.0 };
        assert_eq!(QualityFuser.fuse_evidence(&[Some(worthless), None]).unwrap(), sure);
    }

    #[test]
    fn a_quality_out_of_range_is_refused() {
        let flat = Scores::uniform(&LabelSet::face7());
        for quality in [-0.1, 1.1, f32::NAN] {
            let evidence = Evidence { scores: &flat, quality };
            assert!(matches!(belief(&evidence), Err(Error::InvalidConfig { field: "quality", .. })));
        }
    }
}
