//! Optimisers whose whole state can be saved and restored, which LibTorch's own (as tch offers them) cannot.

use serde::{Deserialize, Serialize};
use tch::nn::VarStore;
use tch::{Tensor, no_grad};

use crate::Error;
use crate::weights::Weights;

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
            Self::AdamW { beta1, beta2, eps, weight_decay } => {
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

    /// The running values kept for each parameter.
    fn slots(&self) -> &'static [&'static str] {
        match self {
            Self::Sgd { .. } => &["momentum"],
            Self::AdamW { .. } => &["mean", "square"],
            Self::RmsProp { .. } => &["square"],
        }
    }
}

/// Steps the trainable tensors of a network.
#[derive(Debug)]
pub struct Optimizer {
    config: OptimizerConfig,
    parameters: Vec<Parameter>,
    steps: u64,
}

#[derive(Debug)]
struct Parameter {
    name: String,
    tensor: Tensor,
    decays: bool,
    slots: Vec<Tensor>,
}

impl Optimizer {
    /// An optimiser for every tensor of the store that requires a gradient.
    ///
    /// # Errors
    /// [`Error::InvalidConfig`], [`Error::Backend`].
    pub fn new(config: OptimizerConfig, store: &VarStore) -> Result<Self, Error> {
        config.validate()?;
        let mut variables: Vec<_> =
            store.variables().into_iter().filter(|(_, tensor)| tensor.requires_grad()).collect();
        variables.sort_by(|first, second| first.0.cmp(&second.0));
        let mut parameters = Vec::with_capacity(variables.len());
        for (name, tensor) in variables {
            let slots = config.slots().iter().map(|_| tensor.f_detach()?.f_zeros_like()).collect::<Result<_, _>>()?;
            parameters.push(Parameter { name, decays: tensor.dim() > 1, tensor, slots });
        }
        Ok(Self { config, parameters, steps: 0 })
    }

    /// Forgets the gradients of the last backward pass.
    pub fn zero_grad(&mut self) {
        for parameter in &mut self.parameters {
            parameter.tensor.zero_grad();
        }
    }

    /// Scales all gradients together so that their joint L2 norm is at most `limit`.
    ///
    /// # Errors
    /// [`Error::Backend`].
    pub fn clip(&mut self, limit: f64) -> Result<(), Error> {
        no_grad(|| {
            let mut squares = 0.0;
            let mut gradients = Vec::with_capacity(self.parameters.len());
            for parameter in &self.parameters {
                let gradient = parameter.tensor.f_grad()?;
                if gradient.defined() {
                    squares += gradient.f_norm()?.f_double_value(&[])?.powi(2);
                    gradients.push(gradient);
                }
            }
            let norm = squares.sqrt();
            if norm > limit {
                for mut gradient in gradients {
                    let _ = gradient.f_mul_scalar_(limit / norm)?;
                }
            }
            Ok(())
        })
    }

    /// Moves every parameter that has a gradient.
    ///
    /// # Errors
    /// [`Error::Backend`].
    pub fn step(&mut self, learning_rate: f64) -> Result<(), Error> {
        self.steps += 1;
        let (config, steps) = (self.config, self.steps);
        no_grad(|| {
            for parameter in &mut self.parameters {
                parameter.step(&config, steps, learning_rate)?;
            }
            Ok(())
        })
    }

    /// Adds the state to a file's tensors: `optimizer.<slot>.<parameter>` and `optimizer.steps`.
    ///
    /// # Errors
    /// [`Error::Backend`].
    pub fn save(&self, weights: &mut Weights) -> Result<(), Error> {
        for parameter in &self.parameters {
            for (slot, tensor) in self.config.slots().iter().zip(&parameter.slots) {
                weights.insert(format!("optimizer.{slot}.{}", parameter.name), tensor)?;
            }
        }
        weights.insert("optimizer.steps".into(), &Tensor::f_from_slice(&[self.steps as i64])?)
    }

    /// Restores what [`save`](Self::save) wrote.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] for a file that lacks a tensor or has one of another shape.
    pub fn load(&mut self, weights: &Weights) -> Result<(), Error> {
        let find = |name: String, size: Vec<i64>| match weights.tensors.get(&name) {
            Some(tensor) if tensor.size() == size => Ok(tensor),
            Some(tensor) => Err(Error::input(
                "optimiser state",
                format!("{name} of shape {size:?}"),
                format!("{:?}", tensor.size()),
            )),
            None => Err(Error::input("optimiser state", name, "nothing of this name")),
        };
        self.steps = find("optimizer.steps".into(), vec![1])?.f_int64_value(&[0])? as u64;
        let config = self.config;
        no_grad(|| {
            for parameter in &mut self.parameters {
                for (slot, tensor) in config.slots().iter().zip(&mut parameter.slots) {
                    tensor.f_copy_(find(format!("optimizer.{slot}.{}", parameter.name), tensor.size())?)?;
                }
            }
            Ok(())
        })
    }
}

impl Parameter {
    fn step(&mut self, config: &OptimizerConfig, steps: u64, learning_rate: f64) -> Result<(), Error> {
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
            OptimizerConfig::AdamW { beta1, beta2, eps, weight_decay } => {
                if self.decays && weight_decay > 0.0 {
                    let _ = self.tensor.f_mul_scalar_(1.0 - learning_rate * weight_decay)?;
                }
                let [mean, square] = self.slots.as_mut_slice() else { unreachable!("AdamW keeps two slots") };
                let _ = mean.f_mul_scalar_(beta1)?.f_add_(&gradient.f_mul_scalar(1.0 - beta1)?)?;
                let _ = square.f_mul_scalar_(beta2)?.f_add_(&gradient.f_square()?.f_mul_scalar_(1.0 - beta2)?)?;
                let exponent = i32::try_from(steps).unwrap_or(i32::MAX);
                let rate = learning_rate / (1.0 - beta1.powi(exponent));
                let root = (1.0 - beta2.powi(exponent)).sqrt();
                let mut deviation = square.f_sqrt()?;
                let deviation = deviation.f_div_scalar_(root)?.f_add_scalar_(eps)?;
                let _ = self.tensor.f_sub_(&mean.f_div(&deviation)?.f_mul_scalar_(rate)?)?;
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

    /// The gradient with that of the L2 penalty, for a parameter that decays.
    fn decayed(&self, gradient: Tensor, weight_decay: f64) -> Result<Tensor, Error> {
        if self.decays && weight_decay > 0.0 {
            Ok(gradient.f_add(&self.tensor.f_mul_scalar(weight_decay)?)?)
        } else {
            Ok(gradient)
        }
    }
}

#[cfg(test)]
mod tests {
    use tch::Device;
    use tch::nn::Init;

    use super::*;

    /// The value after three steps on the loss Σ w² from w = [[1, −2]], learning rate 0.1.
    fn three_steps(config: OptimizerConfig) -> Vec<f64> {
        let store = VarStore::new(Device::Cpu);
        let mut weight = store.root().var("w", &[1, 2], Init::Const(0.0));
        no_grad(|| weight.copy_(&Tensor::from_slice(&[1f32, -2.0]).view([1, 2])));
        let mut optimizer = Optimizer::new(config, &store).unwrap();
        for _ in 0..3 {
            optimizer.zero_grad();
            weight.square().sum(tch::Kind::Float).backward();
            optimizer.step(0.1).unwrap();
        }
        Vec::try_from(weight.flatten(0, -1).to_kind(tch::Kind::Double)).unwrap()
    }

    /// The same recurrences written out for one number in f64.
    fn by_hand(config: OptimizerConfig, mut w: f64) -> f64 {
        let (mut first, mut second) = (0.0, 0.0);
        for step in 1..=3 {
            let mut gradient = 2.0 * w;
            match config {
                OptimizerConfig::Sgd { momentum, weight_decay } => {
                    gradient += weight_decay * w;
                    first = momentum * first + gradient;
                    w -= 0.1 * (gradient + momentum * first);
                }
                OptimizerConfig::AdamW { beta1, beta2, eps, weight_decay } => {
                    w -= 0.1 * weight_decay * w;
                    first = beta1 * first + (1.0 - beta1) * gradient;
                    second = beta2 * second + (1.0 - beta2) * gradient * gradient;
                    let (mean, square) = (first / (1.0 - beta1.powi(step)), second / (1.0 - beta2.powi(step)));
                    w -= 0.1 * mean / (square.sqrt() + eps);
                }
                OptimizerConfig::RmsProp { rho, eps, weight_decay } => {
                    gradient += weight_decay * w;
                    second = rho * second + (1.0 - rho) * gradient * gradient;
                    w -= 0.1 * gradient / (second.sqrt() + eps);
                }
            }
        }
        w
    }

    #[test]
    fn steps_follow_the_published_recurrences() {
        let sgd = OptimizerConfig::Sgd { momentum: 0.9, weight_decay: 0.1 };
        let rms_prop = OptimizerConfig::RmsProp { rho: 0.9, eps: 1e-7, weight_decay: 0.1 };
        for config in [sgd, OptimizerConfig::adam_w(0.1), rms_prop] {
            for (got, start) in three_steps(config).into_iter().zip([1.0, -2.0]) {
                let want = by_hand(config, start);
                assert!((got - want).abs() < 1e-6, "{config:?}: got {got}, want {want}");
            }
        }
    }

    #[test]
    fn clipping_bounds_the_joint_norm() {
        let store = VarStore::new(Device::Cpu);
        let weight = store.root().var("w", &[2], Init::Const(3.0));
        let mut optimizer = Optimizer::new(OptimizerConfig::default(), &store).unwrap();
        weight.square().sum(tch::Kind::Float).backward();
        optimizer.clip(1.0).unwrap();
        assert!((weight.grad().norm().double_value(&[]) - 1.0).abs() < 1e-6);
    }

    #[test]
    fn bad_settings_are_refused() {
        assert!(OptimizerConfig::Sgd { momentum: 1.0, weight_decay: 0.0 }.validate().is_err());
        assert!(OptimizerConfig::adam_w(-1.0).validate().is_err());
    }
}
