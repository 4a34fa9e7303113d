//! Learning from another network's answers.

use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use crate::Error;
use crate::layers::Result;

/// How much a training listens to its teacher (Hinton et al. 2015).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Distillation {
    /// What the outputs of both are divided by before their softmax, above 0 to 100: more shows more of what the teacher
    /// thinks of the wrong classes. Default 4.
    pub temperature: f64,
    /// The teacher's share in the loss, above 0 to 1; the labels have the rest. Default 0.7.
    pub alpha: f64,
}

impl Default for Distillation {
    fn default() -> Self {
        Self { temperature: 4.0, alpha: 0.7 }
    }
}

impl Distillation {
    /// # Errors
    /// [`Error::InvalidConfig`] for a value outside its range.
    pub fn validate(&self) -> Result<(), Error> {
        if !(self.temperature > 0.0 && self.temperature <= 100.0) {
            return Err(Error::config("temperature", "above 0 and at most 100", self.temperature));
        }
        if !(self.alpha > 0.0 && self.alpha <= 1.0) {
            return Err(Error::config("alpha", "above 0 and at most 1", self.alpha));
        }
        Ok(())
    }
}

/// T² · KL(softmax(teacher / T) ‖ softmax(student / T)), the mean over the batch. The factor T² keeps the size of the
/// gradients whatever the temperature.
///
/// # Shapes
/// `[batch, classes]` both → scalar
///
/// # Errors
/// LibTorch's, when the shapes differ.
pub fn distillation(student: &Tensor, teacher: &Tensor, temperature: f64) -> Result<Tensor> {
    let logarithms =
        |logits: &Tensor| logits.f_to_kind(Kind::Float)?.f_div_scalar(temperature)?.f_log_softmax(-1, Kind::Float);
    let (student, teacher) = (logarithms(student)?, logarithms(teacher)?);
    let divergence = teacher.f_exp()?.f_mul(&teacher.f_sub(&student)?)?;
    divergence
        .f_sum_dim_intlist([-1i64].as_slice(), false, Kind::Float)?
        .f_mean(Kind::Float)?
        .f_mul_scalar(temperature * temperature)
}
