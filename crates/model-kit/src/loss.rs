//! Losses on class probabilities, and what is done to the targets before.

use rand::{Rng, RngExt};
use tch::{Kind, Tensor};

use crate::layers::Result;

/// Mean cross-entropy between the softmax of `logits` and target probabilities.
///
/// With `class_weights` (`[classes]`), each sample counts by the weight of its target classes, and the mean is over the
/// weights, as in PyTorch's `cross_entropy`.
///
/// # Shapes
/// `[batch, classes]` both → scalar
///
/// # Errors
/// LibTorch's, when the shapes differ.
pub fn cross_entropy(logits: &Tensor, targets: &Tensor, class_weights: Option<&Tensor>) -> Result<Tensor> {
    let logarithms = logits.f_log_softmax(-1, Kind::Float)?;
    match class_weights {
        None => logarithms
            .f_mul(targets)?
            .f_sum_dim_intlist([-1i64].as_slice(), false, Kind::Float)?
            .f_mean(Kind::Float)?
            .f_neg(),
        Some(weights) => {
            let weighted = targets.f_mul(weights)?;
            let total = weighted.f_sum(Kind::Float)?;
            logarithms.f_mul(&weighted)?.f_sum(Kind::Float)?.f_div(&total)?.f_neg()
        }
    }
}

/// Label smoothing (Szegedy et al. 2016): takes the share `smoothing` of each target and spreads it over all classes.
///
/// # Errors
/// LibTorch's.
pub fn smooth(targets: &Tensor, smoothing: f64) -> Result<Tensor> {
    let classes = *targets.size().last().unwrap_or(&1) as f64;
    targets.f_mul_scalar(1.0 - smoothing)?.f_add_scalar(smoothing / classes)
}

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

    use super::*;

    #[test]
    fn equals_libtorch_on_hard_targets() {
        tch::manual_seed(1);
        let logits = Tensor::randn([5, 3], (Kind::Float, tch::Device::Cpu));
        let classes = Tensor::from_slice(&[0i64, 2, 1, 1, 0]);
        let targets = classes.one_hot(3).to_kind(Kind::Float);
        let weights = Tensor::from_slice(&[1f32, 2.0, 0.5]);
        for (weights, smoothing) in [(None, 0.0), (Some(&weights), 0.0), (None, 0.1)] {
            let want = logits.cross_entropy_loss(&classes, weights, tch::Reduction::Mean, -100, smoothing);
            let got = cross_entropy(&logits, &smooth(&targets, smoothing).unwrap(), weights).unwrap();
            assert!((got - want).abs().double_value(&[]) < 1e-6);
        }
    }

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
}
