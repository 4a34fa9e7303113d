//! Which optimiser, with its settings.

use serde::{Deserialize, Serialize};

use crate::Error;

/// An optimiser and its settings. Weight decay spares biases and the weights of batch norms (every parameter with fewer
/// than two dimensions).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum OptimizerConfig {
    /// Stochastic gradient descent with Nesterov momentum, as `torch.optim.SGD(nesterov=True)`.
    Sgd {
        /// Momentum, 0..1.
        momentum: f64,
        /// L2 penalty added to the gradient, at least 0.
        weight_decay: f64,
    },
    /// Adam (Kingma & Ba 2015) with an L2 penalty, as `torch.optim.Adam`. Keras' penalty `l2(λ)` is a `weight_decay` of
    /// 2λ here.
    Adam {
        /// Decay of the gradient's running mean, 0..1.
        beta1: f64,
        /// Decay of the squared gradient's running mean, 0..1.
        beta2: f64,
        /// Added to the root of the squared mean after its correction for the start; Keras adds it before.
        eps: f64,
        /// L2 penalty added to the gradient, at least 0.
        weight_decay: f64,
    },
    /// Adam with decoupled weight decay (Loshchilov & Hutter 2019), as `torch.optim.AdamW`; with `weight_decay` 0 it is
    /// plain Adam.
    AdamW {
        /// Decay of the gradient's running mean, 0..1.
        beta1: f64,
        /// Decay of the squared gradient's running mean, 0..1.
        beta2: f64,
        /// Added to the root of the squared mean.
        eps: f64,
        /// Share of each parameter taken away per step, times the learning rate.
        weight_decay: f64,
    },
    /// RMSprop (Tieleman & Hinton 2012), as `torch.optim.RMSprop` without momentum.
    RmsProp {
        /// Decay of the squared gradient's running mean, 0..1 (`alpha` in PyTorch, `rho` in Keras).
        rho: f64,
        /// Added to the root of the squared mean.
        eps: f64,
        /// L2 penalty added to the gradient, at least 0.
        weight_decay: f64,
    },
}

impl Default for OptimizerConfig {
    /// SGD, momentum 0.9, weight decay 5e-4.
    fn default() -> Self {
        Self::Sgd { momentum: 0.9, weight_decay: 5e-4 }
    }
}

impl OptimizerConfig {
    /// Adam with PyTorch's betas (0.9, 0.999) and epsilon (1e-8).
    pub fn adam(weight_decay: f64) -> Self {
        Self::Adam { beta1: 0.9, beta2: 0.999, eps: 1e-8, weight_decay }
    }

    /// AdamW with PyTorch's betas (0.9, 0.999) and epsilon (1e-8).
    pub fn adam_w(weight_decay: f64) -> Self {
        Self::AdamW { beta1: 0.9, beta2: 0.999, eps: 1e-8, weight_decay }
    }

    /// RMSprop with Keras' rho (0.9) and epsilon (1e-7), without weight decay.
    pub fn rms_prop() -> Self {
        Self::RmsProp { rho: 0.9, eps: 1e-7, weight_decay: 0.0 }
    }

    /// # Errors
    /// [`Error::InvalidConfig`] for a value outside its range.
    pub fn validate(&self) -> Result<(), Error> {
        let unit = |what, value: f64| {
            if (0.0..1.0).contains(&value) { Ok(()) } else { Err(Error::config(what, "from 0 to below 1", value)) }
        };
        let (weight_decay, eps) = match *self {
            Self::Sgd { momentum, weight_decay } => {
                unit("momentum", momentum)?;
                (weight_decay, 1.0)
            }
            Self::Adam { beta1, beta2, eps, weight_decay } | Self::AdamW { beta1, beta2, eps, weight_decay } => {
                unit("beta1", beta1)?;
                unit("beta2", beta2)?;
                (weight_decay, eps)
            }
            Self::RmsProp { rho, eps, weight_decay } => {
                unit("rho", rho)?;
                (weight_decay, eps)
            }
        };
        if !(weight_decay.is_finite() && weight_decay >= 0.0) {
            return Err(Error::config("weight_decay", "at least 0", weight_decay));
        }
        if !(eps.is_finite() && eps > 0.0) {
            return Err(Error::config("eps", "above 0", eps));
        }
        Ok(())
    }

    /// Whether there is a momentum (or, for Adam, a first beta) that a schedule can move.
    pub(crate) fn has_momentum(&self) -> bool {
        !matches!(self, Self::RmsProp { .. })
    }

    /// The running values kept for each parameter.
    pub(super) fn slots(&self) -> &'static [&'static str] {
        match self {
            Self::Sgd { .. } => &["momentum"],
            Self::Adam { .. } | Self::AdamW { .. } => &["mean", "square"],
            Self::RmsProp { .. } => &["square"],
        }
    }
}
