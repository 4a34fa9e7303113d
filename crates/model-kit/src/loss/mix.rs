//! Samples made of two.

use rand::{Rng, RngExt};
use tch::Tensor;

use crate::layers::Result;

/// Mixup (Zhang et al. 2018): every sample becomes λ of itself and 1 − λ of another of its batch, targets too, with one
/// λ ~ Beta(α, α) for the batch.
///
/// # Shapes
/// `inputs` `[batch, …]`, `targets` `[batch, classes]` → the same
///
/// # Errors
/// LibTorch's.
pub fn mixup(inputs: &Tensor, targets: &Tensor, alpha: f64, rng: &mut impl Rng) -> Result<(Tensor, Tensor)> {
    let share = symmetric_beta(alpha, rng);
    // The batch is in random order already: its reverse pairs the samples at random.
    let mix = |tensor: &Tensor| tensor.f_mul_scalar(share)?.f_add(&tensor.f_flip([0])?.f_mul_scalar(1.0 - share)?);
    Ok((mix(inputs)?, mix(targets)?))
}

/// CutMix (Yun et al. 2019): every picture gets a box cut out of another of its batch, and the targets mix by the box's
/// share of the area, one box for the batch. Its share is 1 − λ with λ ~ Beta(α, α) and its centre anywhere; what juts out
/// of the picture is cut off, and λ made to agree.
///
/// # Shapes
/// `inputs` `[batch, channels, height, width]`, `targets` `[batch, classes]` → the same
///
/// # Errors
/// LibTorch's, for inputs of another rank.
pub fn cutmix(inputs: &Tensor, targets: &Tensor, alpha: f64, rng: &mut impl Rng) -> Result<(Tensor, Tensor)> {
    let (_, _, height, width) = inputs.size4()?;
    let side = (1.0 - symmetric_beta(alpha, rng)).sqrt();
    let mut span = |whole: i64| {
        let half = ((side * whole as f64) as i64) / 2;
        let centre = ((rng.random::<f64>() * whole as f64) as i64).min(whole - 1);
        ((centre - half).max(0), (centre + half).min(whole))
    };
    let ((top, bottom), (left, right)) = (span(height), span(width));
    let share = ((bottom - top) * (right - left)) as f64 / (height * width) as f64;
    let mut mixed = inputs.f_empty_like()?;
    mixed.f_copy_(inputs)?;
    let within = |tensor: &Tensor| tensor.f_narrow(2, top, bottom - top)?.f_narrow(3, left, right - left);
    // The batch is in random order already: its reverse pairs the pictures at random.
    within(&mixed)?.f_copy_(&within(&inputs.f_flip([0])?)?)?;
    let targets = targets.f_mul_scalar(1.0 - share)?.f_add(&targets.f_flip([0])?.f_mul_scalar(share)?)?;
    Ok((mixed, targets))
}

/// A draw from Beta(α, α) by Jöhnk's method (1964), which is quick for α up to about 2.
fn symmetric_beta(alpha: f64, rng: &mut impl Rng) -> f64 {
    loop {
        let x = rng.random::<f64>().powf(1.0 / alpha);
        let y = rng.random::<f64>().powf(1.0 / alpha);
        let sum = x + y;
        if sum > 0.0 && sum <= 1.0 {
            return x / sum;
        }
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;
    use tch::Kind;

    use super::*;

    #[test]
    fn mixup_keeps_probabilities_and_beta_has_its_moments() {
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        let targets = Tensor::from_slice(&[1f32, 0.0, 0.0, 1.0]).view([2, 2]);
        let (_, mixed) = mixup(&targets, &targets, 0.2, &mut rng).unwrap();
        assert!(
            (mixed.sum_dim_intlist([1i64].as_slice(), false, Kind::Float) - 1.0).abs().max().double_value(&[]) < 1e-6
        );

        for alpha in [0.2, 1.0] {
            let draws: Vec<f64> = (0..20_000).map(|_| symmetric_beta(alpha, &mut rng)).collect();
            let mean = draws.iter().sum::<f64>() / draws.len() as f64;
            let variance = draws.iter().map(|draw| (draw - mean).powi(2)).sum::<f64>() / draws.len() as f64;
            assert!((mean - 0.5).abs() < 0.015);
            assert!((variance - 0.25 / (2.0 * alpha + 1.0)).abs() < 0.006);
        }
    }

    #[test]
    fn cutmix_mixes_targets_by_the_area_of_the_box() {
        let mut rng = ChaCha8Rng::seed_from_u64(7);
        // Two pictures, all 0 and all 1: the mean of the first is then the share that came from the second.
        let inputs = Tensor::from_slice(&[0f32, 1.0]).view([2, 1, 1, 1]).expand([2, 3, 12, 20], false).contiguous();
        let targets = Tensor::from_slice(&[1f32, 0.0, 0.0, 1.0]).view([2, 2]);
        let mut shares = Vec::new();
        for _ in 0..200 {
            let (mixed, labels) = cutmix(&inputs, &targets, 1.0, &mut rng).unwrap();
            let share = mixed.get(0).mean(Kind::Float).double_value(&[]);
            assert!((labels.double_value(&[0, 1]) - share).abs() < 1e-6);
            assert!((labels.double_value(&[1, 0]) - share).abs() < 1e-6);
            assert!((labels.sum(Kind::Float).double_value(&[]) - 2.0).abs() < 1e-6);
            shares.push(share);
        }
        assert!(shares.iter().any(|share| *share < 0.05) && shares.iter().any(|share| *share > 0.6));
        assert_eq!(inputs.get(0).max().double_value(&[]), 0.0, "the batch itself stays");
        assert!(cutmix(&targets, &targets, 1.0, &mut rng).is_err());
    }
}
