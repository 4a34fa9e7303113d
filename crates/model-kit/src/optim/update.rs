//! What each optimiser does to a parameter.

use tch::Tensor;

use super::{OptimizerConfig, Parameter};
use crate::Error;

impl Parameter {
    pub(super) fn step(&mut self, config: &OptimizerConfig, steps: u64, learning_rate: f64) -> Result<(), Error> {
        let gradient = self.tensor.f_grad()?;
        if !gradient.defined() {
            return Ok(());
        }
        match *config {
            OptimizerConfig::Sgd { momentum, weight_decay } => {
                let gradient = self.decayed(gradient, weight_decay)?;
                let velocity = &mut self.slots[0];
                let _ = velocity.f_mul_scalar_(momentum)?.f_add_(&gradient)?;
                let mut change = velocity.f_mul_scalar(momentum)?.f_add(&gradient)?;
                let _ = self.tensor.f_sub_(&change.f_mul_scalar_(learning_rate)?)?;
            }
            OptimizerConfig::Adam { beta1, beta2, eps, weight_decay } => {
                let gradient = self.decayed(gradient, weight_decay)?;
                self.adam(&gradient, [beta1, beta2, eps], steps, learning_rate)?;
            }
            OptimizerConfig::AdamW { beta1, beta2, eps, weight_decay } => {
                if self.decays && weight_decay > 0.0 {
                    let _ = self.tensor.f_mul_scalar_(1.0 - learning_rate * weight_decay)?;
                }
                self.adam(&gradient, [beta1, beta2, eps], steps, learning_rate)?;
            }
            OptimizerConfig::RmsProp { rho, eps, weight_decay } => {
                let gradient = self.decayed(gradient, weight_decay)?;
                let square = &mut self.slots[0];
                let _ = square.f_mul_scalar_(rho)?.f_add_(&gradient.f_square()?.f_mul_scalar_(1.0 - rho)?)?;
                let mut deviation = square.f_sqrt()?;
                let _ = self
                    .tensor
                    .f_sub_(&gradient.f_div(&deviation.f_add_scalar_(eps)?)?.f_mul_scalar_(learning_rate)?)?;
            }
        }
        Ok(())
    }

    /// Adam's step, which both kinds of weight decay share.
    fn adam(&mut self, gradient: &Tensor, betas: [f64; 3], steps: u64, learning_rate: f64) -> Result<(), Error> {
        let [beta1, beta2, eps] = betas;
        let [mean, square] = self.slots.as_mut_slice() else { unreachable!("Adam keeps two slots") };
        let _ = mean.f_lerp_(gradient, 1.0 - beta1)?;
        let _ = square.f_mul_scalar_(beta2)?.f_addcmul_(gradient, &gradient.f_mul_scalar(1.0 - beta2)?)?;
        let exponent = i32::try_from(steps).unwrap_or(i32::MAX);
        let rate = learning_rate / (1.0 - beta1.powi(exponent));
        let root = (1.0 - beta2.powi(exponent)).sqrt();
        // mean · rate / (√square / root + eps) with both sides of the bar times `root`, which saves a pass over the values.
        let deviation = square.f_sqrt()?.f_add_scalar_(eps * root)?;
        let _ = self.tensor.f_addcdiv_(&mean.f_mul_scalar(-rate * root)?, &deviation)?;
        Ok(())
    }

    /// The gradient with that of the L2 penalty, for a parameter that decays.
    fn decayed(&self, gradient: Tensor, weight_decay: f64) -> Result<Tensor, Error> {
        if self.decays && weight_decay > 0.0 {
            Ok(gradient.f_add(&self.tensor.f_mul_scalar(weight_decay)?)?)
        } else {
            Ok(gradient)
        }
    }
}
