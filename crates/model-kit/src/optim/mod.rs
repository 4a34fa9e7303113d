//! Optimisers whose whole state can be saved and restored, which LibTorch's own (as tch offers them) cannot.

mod config;
mod sharpness;
mod update;

pub use config::OptimizerConfig;
pub use sharpness::Ascent;

use tch::nn::VarStore;
use tch::{Device, Kind, Tensor, no_grad};

use crate::Error;
use crate::weights::Weights;

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

    /// The joint L2 norm of all gradients; not finite when one of them is not.
    ///
    /// # Errors
    /// [`Error::Backend`].
    pub fn gradient_norm(&self) -> Result<f64, Error> {
        no_grad(|| {
            let norms = self.gradients()?.iter().map(Tensor::f_norm).collect::<Result<Vec<_>, _>>()?;
            if norms.is_empty() {
                return Ok(0.0);
            }
            // One look at the device for all of them.
            let norms =
                Vec::<f64>::try_from(Tensor::f_stack(&norms, 0)?.f_to_kind(Kind::Double)?.f_to_device(Device::Cpu)?)?;
            Ok(norms.into_iter().map(|norm| norm.powi(2)).sum::<f64>().sqrt())
        })
    }

    /// Scales all gradients together so that their joint L2 norm is at most `limit`.
    ///
    /// # Errors
    /// [`Error::Backend`].
    pub fn clip(&mut self, limit: f64) -> Result<(), Error> {
        let norm = self.gradient_norm()?;
        if norm > limit {
            no_grad(|| {
                for mut gradient in self.gradients()? {
                    let _ = gradient.f_mul_scalar_(limit / norm)?;
                }
                Ok::<(), Error>(())
            })?;
        }
        Ok(())
    }

    /// The gradients of all parameters that have one.
    fn gradients(&self) -> Result<Vec<Tensor>, Error> {
        let mut gradients = Vec::with_capacity(self.parameters.len());
        for parameter in &self.parameters {
            let gradient = parameter.tensor.f_grad()?;
            if gradient.defined() {
                gradients.push(gradient);
            }
        }
        Ok(gradients)
    }

    /// Replaces the momentum of SGD or the first beta of Adam and AdamW, as a one-cycle schedule does at every step.
    /// RMSprop has none, and nothing happens.
    pub fn set_momentum(&mut self, value: f64) {
        match &mut self.config {
            OptimizerConfig::Sgd { momentum, .. } => *momentum = value,
            OptimizerConfig::Adam { beta1, .. } | OptimizerConfig::AdamW { beta1, .. } => *beta1 = value,
            OptimizerConfig::RmsProp { .. } => {}
        }
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

#[cfg(test)]
mod tests {
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
                OptimizerConfig::Adam { beta1, beta2, eps, weight_decay }
                | OptimizerConfig::AdamW { beta1, beta2, eps, weight_decay } => {
                    match config {
                        OptimizerConfig::Adam { .. } => gradient += weight_decay * w,
                        _ => w -= 0.1 * weight_decay * w,
                    }
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
        for config in [sgd, OptimizerConfig::adam(0.1), OptimizerConfig::adam_w(0.1), rms_prop] {
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
    fn an_ascent_is_as_long_as_the_radius_and_leaves_no_trace() {
        let store = VarStore::new(Device::Cpu);
        let weight = store.root().var("w", &[3], Init::Randn { mean: 0.0, stdev: 1.0 });
        let start = weight.detach().copy();
        let mut optimizer = Optimizer::new(OptimizerConfig::default(), &store).unwrap();
        weight.square().sum(tch::Kind::Float).backward();
        let ascent = optimizer.ascend(0.05).unwrap();
        let way = &weight.detach() - &start;
        assert!((way.norm().double_value(&[]) - 0.05).abs() < 1e-6);
        assert!(way.dot(&start).double_value(&[]) > 0.0);
        optimizer.descend(&ascent).unwrap();
        assert_eq!(weight.detach(), start);
    }

    #[test]
    fn momentum_can_be_moved_where_there_is_one() {
        let mut moved = Vec::new();
        for config in [OptimizerConfig::default(), OptimizerConfig::adam(0.0), OptimizerConfig::rms_prop()] {
            let mut optimizer = Optimizer::new(config, &VarStore::new(Device::Cpu)).unwrap();
            optimizer.set_momentum(0.85);
            moved.push((optimizer.config != config, config.has_momentum()));
        }
        assert_eq!(moved, [(true, true), (true, true), (false, false)]);
    }

    #[test]
    fn bad_settings_are_refused() {
        assert!(OptimizerConfig::Sgd { momentum: 1.0, weight_decay: 0.0 }.validate().is_err());
        assert!(OptimizerConfig::adam_w(-1.0).validate().is_err());
    }
}
