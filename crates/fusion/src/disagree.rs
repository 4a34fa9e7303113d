//! How far two modalities contradict each other.

use emotion_core::Scores;

use crate::{Error, common_labels};

/// The Jensen–Shannon divergence of two score vectors in bits: 0 when they are equal, 1 when they share nothing.
///
/// Symmetric and always finite (Lin, "Divergence measures based on the Shannon entropy", 1991). Both are brought onto the
/// seven common labels first. When a face smiles and the voice is angry, the mean of the two describes neither; this
/// says so.
///
/// # Errors
/// [`Error::Scores`] when scores keep no probability on the common labels.
pub fn disagreement(first: &Scores, second: &Scores) -> Result<f32, Error> {
    let labels = common_labels();
    let (first, second) = (first.project(&labels)?, second.project(&labels)?);
    let mut bits = 0.0f64;
    for (&p, &q) in first.values().iter().zip(second.values()) {
        let (p, q) = (f64::from(p), f64::from(q));
        let middle = (p + q) / 2.0;
        for part in [p, q] {
            if part > 0.0 {
                bits += part / 2.0 * (part / middle).log2();
            }
        }
    }
    Ok(bits.clamp(0.0, 1.0) as f32)
}

#[cfg(test)]
mod tests {
    use emotion_core::LabelSet;

    use super::*;

    #[test]
    fn opposites_differ_by_one_bit_and_calm_agrees_with_neutral() {
        let angry = Scores::new(&LabelSet::face7(), &[1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]).unwrap();
        let neutral = Scores::new(&LabelSet::face7(), &[0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0]).unwrap();
        let calm = Scores::new(&LabelSet::speech8(), &[0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0]).unwrap();
        assert_eq!(disagreement(&angry, &neutral).unwrap(), 1.0);
        assert_eq!(disagreement(&calm, &neutral).unwrap(), 0.0);
    }
}
