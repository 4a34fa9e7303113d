//! Losses on class scores, and what is done to inputs and targets before.

mod distillation;
mod mix;

pub use distillation::{Distillation, distillation};
pub use mix::{cutmix, mixup};

use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use crate::Error;
use crate::layers::Result;

/// What a training makes small.
///
/// With class weights each sample counts by the weight of its target classes, and the mean is over the weights, as in
/// PyTorch's `cross_entropy`. Targets may be distributions: each class then counts by its probability.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Loss {
    /// [`cross_entropy`]. The default.
    #[default]
    CrossEntropy,
    /// [`focal`].
    Focal {
        /// How strongly samples that are right already are played down, 0 (not at all) to 10. Default 2.
        #[serde(default = "two")]
        gamma: f64,
    },
    /// [`squared_hinge`]. The outputs are then no logarithms of probabilities: fit a temperature before they are read as such.
    SquaredHinge,
}

fn two() -> f64 {
    2.0
}

impl Loss {
    /// # Errors
    /// [`Error::InvalidConfig`] for a value outside its range.
    pub fn validate(&self) -> Result<(), Error> {
        match *self {
            Self::Focal { gamma } if !(0.0..=10.0).contains(&gamma) => {
                Err(Error::config("gamma", "a number from 0 to 10", gamma))
            }
            _ => Ok(()),
        }
    }

    /// # Shapes
    /// `logits` and `targets` `[batch, classes]`, `class_weights` `[classes]` → scalar
    ///
    /// # Errors
    /// LibTorch's, when the shapes differ.
    pub fn of(&self, logits: &Tensor, targets: &Tensor, class_weights: Option<&Tensor>) -> Result<Tensor> {
        match *self {
            Self::CrossEntropy => cross_entropy(logits, targets, class_weights),
            Self::Focal { gamma } => focal(logits, targets, gamma, class_weights),
            Self::SquaredHinge => squared_hinge(logits, targets, class_weights),
        }
    }
}

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

/// The focal loss of Lin et al. 2017: cross-entropy in which each class counts by (1 − p)^`gamma`, where p is the
/// probability that the network gives it. Their α_t are the class weights.
///
/// # Shapes
/// `[batch, classes]` both → scalar
///
/// # Errors
/// LibTorch's, when the shapes differ.
pub fn focal(logits: &Tensor, targets: &Tensor, gamma: f64, class_weights: Option<&Tensor>) -> Result<Tensor> {
    let logarithms = logits.f_log_softmax(-1, Kind::Float)?;
    // 1 − p is kept above 0: the slope of its power would else be infinite where a network is wholly sure and γ < 1.
    let doubts = logarithms.f_exp()?.f_neg()?.f_add_scalar(1.0)?.f_clamp_min(f64::from(f32::EPSILON))?;
    let factors = doubts.f_pow_tensor_scalar(gamma)?;
    weighted_mean(&logarithms.f_mul(&factors)?.f_neg()?, targets, class_weights)
}

/// The squared hinge loss of linear L2 support vector machines, one against the rest (Tang 2013): Σ over the classes of
/// max(0, 1 − y·s)², where s is the class's output and y is 1 for the target class and −1 for the others. Keras'
/// `squared_hinge` is the mean over the classes instead.
///
/// # Shapes
/// `[batch, classes]` both → scalar
///
/// # Errors
/// LibTorch's, when the shapes differ.
pub fn squared_hinge(logits: &Tensor, targets: &Tensor, class_weights: Option<&Tensor>) -> Result<Tensor> {
    let logits = logits.f_to_kind(Kind::Float)?;
    let short = logits.f_neg()?.f_add_scalar(1.0)?.f_relu()?.f_square()?;
    let over = logits.f_add_scalar(1.0)?.f_relu()?.f_square()?;
    // What a sample of class c loses: `short` for c itself, and `over` for all the others.
    let each = over.f_sum_dim_intlist([-1i64].as_slice(), true, Kind::Float)?.f_sub(&over)?.f_add(&short)?;
    weighted_mean(&each, targets, class_weights)
}

/// Binary cross-entropy of independent probabilities, averaged over the places whose target is not below 0; 0 where there are
/// none. The loss of an [auxiliary](crate::data::Dataset::auxiliary) task.
///
/// # Shapes
/// Any, the same for both → scalar
///
/// # Errors
/// LibTorch's, when the shapes differ.
pub fn binary_cross_entropy(logits: &Tensor, targets: &Tensor) -> Result<Tensor> {
    let logits = logits.f_to_kind(Kind::Float)?;
    let counts = targets.f_ge(0.0)?.f_to_kind(Kind::Float)?;
    // −t·log σ(x) − (1 − t)·log(1 − σ(x)) = log(1 + eˣ) − t·x
    let losses = logits.f_softplus()?.f_sub(&logits.f_mul(targets)?)?.f_mul(&counts)?;
    losses.f_sum(Kind::Float)?.f_div(&counts.f_sum(Kind::Float)?.f_clamp_min(1.0)?)
}

/// The mean over the batch of what each sample loses if it is of a class (`losses`, `[batch, classes]`), by its targets.
fn weighted_mean(losses: &Tensor, targets: &Tensor, class_weights: Option<&Tensor>) -> Result<Tensor> {
    match class_weights {
        None => losses.f_mul(targets)?.f_sum_dim_intlist([-1i64].as_slice(), false, Kind::Float)?.f_mean(Kind::Float),
        Some(weights) => {
            let weighted = targets.f_mul(weights)?;
            losses.f_mul(&weighted)?.f_sum(Kind::Float)?.f_div(&weighted.f_sum(Kind::Float)?)
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

#[cfg(test)]
mod tests {
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
    fn binary_cross_entropy_is_libtorchs_over_the_places_that_are_told() {
        let logits = Tensor::from_slice(&[0.3f32, -20.0, 40.0, 1.5, -0.2]).view([1, 5]);
        let targets = Tensor::from_slice(&[0.9f32, 0.0, 1.0, 0.25, -1.0]).view([1, 5]);
        let told = |tensor: &Tensor| tensor.narrow(1, 0, 4);
        let want =
            told(&logits).binary_cross_entropy_with_logits::<Tensor>(&told(&targets), None, None, tch::Reduction::Mean);
        let got = binary_cross_entropy(&logits, &targets).unwrap();
        assert!((got - want).abs().double_value(&[]) < 1e-6);
        let nothing = binary_cross_entropy(&logits, &targets.full_like(-1.0)).unwrap();
        assert_eq!(nothing.double_value(&[]), 0.0);
    }
}
