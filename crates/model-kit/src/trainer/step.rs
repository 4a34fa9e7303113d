//! One step of the optimiser.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use tch::nn::VarStore;
use tch::{Kind, Tensor, no_grad};

use super::Trainer;
use crate::Error;
use crate::data::mix_seed;
use crate::generator::seeded;
use crate::layers::Network;
use crate::loss;

impl<N: Network> Trainer<N> {
    /// One step of the optimiser on one batch.
    pub(super) fn step(
        &mut self,
        inputs: &Tensor,
        targets: &Tensor,
        global: u64,
        learning_rate: f64,
    ) -> Result<(), Error> {
        let config = &self.state.config;
        // LibTorch's generator cannot be saved, so it starts anew at every step.
        let seed = mix_seed(config.seed, &[3, global]);
        let mut targets = targets.shallow_clone();
        let mut inputs = match config.side(self.state.epoch + 1) {
            Some(side) => inputs.f_adaptive_avg_pool2d([side, side])?,
            None => inputs.shallow_clone(),
        };
        if config.mixup > 0.0 {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            (inputs, targets) = loss::mixup(&inputs, &targets, config.mixup, &mut rng)?;
        }
        if config.label_smoothing > 0.0 {
            targets = loss::smooth(&targets, config.label_smoothing)?;
        }
        let class_weights = if config.class_weights.is_empty() {
            None
        } else {
            Some(Tensor::f_from_slice(&config.class_weights)?.f_to_device(inputs.device())?)
        };

        self.optimizer.zero_grad();
        let logits = seeded(seed, || self.network.forward(&inputs, true))?;
        let mut loss = loss::cross_entropy(&logits, &targets, class_weights.as_ref())?;
        if config.penalty > 0.0 {
            for weight in &self.penalised {
                loss = loss.f_add(&weight.f_square()?.f_sum(Kind::Float)?.f_mul_scalar(config.penalty)?)?;
            }
        }
        let value = loss.f_double_value(&[])?;
        if !value.is_finite() {
            return Err(Error::NonFiniteLoss {
                loss: value,
                step: global,
                epoch: self.state.epoch + 1,
                learning_rate,
                checkpoint: self.last_checkpoint.clone(),
            });
        }
        loss.f_backward()?;
        if config.clip_norm > 0.0 {
            self.optimizer.clip(config.clip_norm)?;
        }
        self.optimizer.step(learning_rate)?;
        if let Some((_, store)) = &self.averaged {
            // Early on the average follows quickly, or it would remember the random start for many epochs.
            let decay = config.ema_decay.min((1.0 + global as f64) / (10.0 + global as f64));
            average(store, &self.store, decay)?;
        }
        self.state.step += 1;
        self.state.loss_sum += value;
        Ok(())
    }
}

/// Moves the averaged tensors a step towards the network's. Batch norm statistics are averaged too.
fn average(averaged: &VarStore, current: &VarStore, decay: f64) -> Result<(), Error> {
    let current = current.variables();
    no_grad(|| {
        for (name, mut tensor) in averaged.variables() {
            let _ = tensor.f_lerp_(&current[&name], 1.0 - decay)?;
        }
        Ok(())
    })
}
