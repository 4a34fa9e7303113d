//! Sharpness-aware minimisation: the step up that comes before the step down.

use tch::{Tensor, no_grad};

use super::Optimizer;
use crate::Error;

/// Where the parameters stood before [`Optimizer::ascend`].
#[derive(Debug)]
pub struct Ascent {
    starts: Vec<Tensor>,
}

impl Optimizer {
    /// The first half of a step of SAM (Foret et al. 2021): moves every parameter by `radius · g / ‖g‖`, with the joint
    /// L2 norm of all gradients, to about where the loss is largest within `radius`. The gradient there is the one to step
    /// with, after [`descend`](Self::descend).
    ///
    /// # Errors
    /// [`Error::Backend`].
    pub fn ascend(&mut self, radius: f64) -> Result<Ascent, Error> {
        // The published code's guard against a gradient of 0.
        let scale = radius / (self.gradient_norm()? + 1e-12);
        no_grad(|| {
            let mut starts = Vec::with_capacity(self.parameters.len());
            for parameter in &mut self.parameters {
                let mut start = parameter.tensor.f_empty_like()?;
                start.f_copy_(&parameter.tensor)?;
                starts.push(start);
                let gradient = parameter.tensor.f_grad()?;
                if gradient.defined() {
                    let _ = parameter.tensor.f_add_(&gradient.f_mul_scalar(scale)?)?;
                }
            }
            Ok(Ascent { starts })
        })
    }

    /// Puts every parameter back to the very bits from before the ascent; the gradients stay.
    ///
    /// # Errors
    /// [`Error::Backend`].
    pub fn descend(&mut self, ascent: &Ascent) -> Result<(), Error> {
        no_grad(|| {
            for (parameter, start) in self.parameters.iter_mut().zip(&ascent.starts) {
                parameter.tensor.f_copy_(start)?;
            }
            Ok(())
        })
    }
}
