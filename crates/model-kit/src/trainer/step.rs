//! One step of the optimiser.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tch::nn::VarStore;
use tch::{Kind, Tensor, no_grad};

use super::Trainer;
use super::precision::Precision;
use crate::Error;
use crate::data::mix_seed;
use crate::generator::seeded;
use crate::layers::{Network, channels_last};
use crate::loss;

/// Where a step stands in its training.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    /// Steps taken before, over all epochs.
    pub(super) step: u64,
    pub(super) learning_rate: f64,
}

/// A batch as the network sees it.
struct Batch {
    inputs: Tensor,
    targets: Tensor,
    /// What the samples tell beside their class, task by task.
    auxiliary: Vec<Tensor>,
    /// The teacher's logits.
    teacher: Option<Tensor>,
    class_weights: Option<Tensor>,
}

/// What a forward and backward pass came to.
struct Pass {
    loss: f64,
    /// Samples whose highest output is their most probable class.
    right: u64,
}

impl<N: Network> Trainer<N> {
    /// One step of the optimiser on one batch; gives its loss.
    pub(super) fn step(
        &mut self,
        inputs: &Tensor,
        targets: &Tensor,
        auxiliary: &[usize],
        place: Place,
    ) -> Result<f64, Error> {
        // LibTorch's generator cannot be saved, so it starts anew at every step.
        let seed = mix_seed(self.state.config.seed, &[3, place.step]);
        let batch = self.prepare(inputs, targets, auxiliary, seed)?;
        let pass = self.pass(&batch, seed)?;
        self.check_loss(pass.loss, place)?;
        if self.usable(place)? && self.sharpen(&batch, seed, place)? {
            let config = &self.state.config;
            if config.clip_norm > 0.0 {
                self.optimizer.clip(config.clip_norm)?;
            }
            self.optimizer.step(place.learning_rate)?;
            if let Some((_, store)) = &self.averaged {
                // Early on the average follows quickly, or it would remember the random start for many epochs.
                let decay = config.ema_decay.min((1.0 + place.step as f64) / (10.0 + place.step as f64));
                average(store, &self.store, decay)?;
            }
        }
        self.state.step += 1;
        self.state.loss_sum += pass.loss;
        self.state.right += pass.right;
        self.state.seen += batch.targets.size()[0] as u64;
        Ok(pass.loss)
    }

    /// Resizes and mixes a batch as the settings say, and asks the teacher.
    fn prepare(&self, inputs: &Tensor, targets: &Tensor, auxiliary: &[usize], seed: u64) -> Result<Batch, Error> {
        let config = &self.state.config;
        let (mut targets, auxiliary) = parted(targets, auxiliary)?;
        let mut inputs = inputs.shallow_clone();
        let shrink = |inputs: Tensor| match config.side(self.state.epoch + 1) {
            Some(side) => inputs.f_adaptive_avg_pool2d([side, side]),
            None => Ok(inputs),
        };
        // A teacher sees whole pictures, mixed like those that the network sees.
        if self.teacher.is_none() {
            inputs = shrink(inputs)?;
        }
        if config.mixup > 0.0 || config.cutmix > 0.0 {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            let cut = config.cutmix > 0.0 && (config.mixup == 0.0 || rng.random_bool(0.5));
            (inputs, targets) = if cut {
                loss::cutmix(&inputs, &targets, config.cutmix, &mut rng)?
            } else {
                loss::mixup(&inputs, &targets, config.mixup, &mut rng)?
            };
        }
        if config.label_smoothing > 0.0 {
            targets = loss::smooth(&targets, config.label_smoothing)?;
        }
        let mut answers = None;
        if let Some(teacher) = &self.teacher {
            answers = Some(no_grad(|| (teacher.0)(&inputs))?);
            inputs = shrink(inputs)?;
        }
        if config.channels_last && inputs.dim() == 4 {
            inputs = channels_last(&inputs)?;
        }
        let class_weights = if config.class_weights.is_empty() {
            None
        } else {
            Some(Tensor::f_from_slice(&config.class_weights)?.f_to_device(inputs.device())?)
        };
        Ok(Batch { inputs, targets, auxiliary, teacher: answers, class_weights })
    }

    /// A forward and a backward pass, which leave the gradients of the weights. Without a finite loss there is no backward
    /// pass.
    fn pass(&mut self, batch: &Batch, seed: u64) -> Result<Pass, Error> {
        let config = &self.state.config;
        self.optimizer.zero_grad();
        let logits = match &mut self.half {
            None => seeded(seed, || self.network.forward(&batch.inputs, true))?,
            Some(half) => {
                half.refresh()?;
                let inputs = batch.inputs.f_to_kind(half.kind)?;
                seeded(seed, || half.network.forward(&inputs, true))?.f_to_kind(Kind::Float)?
            }
        };
        let tasks: Vec<usize> = batch.auxiliary.iter().map(|task| task.size()[1] as usize).collect();
        let (logits, auxiliary) = parted(&logits, &tasks)?;
        let mut loss = config.loss.of(&logits, &batch.targets, batch.class_weights.as_ref())?;
        if let (Some(teacher), Some(distillation)) = (&batch.teacher, config.distillation) {
            let (alpha, temperature) = (distillation.alpha, distillation.temperature);
            let taught = loss::distillation(&logits, teacher, temperature)?.f_mul_scalar(alpha)?;
            loss = loss.f_mul_scalar(1.0 - alpha)?.f_add(&taught)?;
        }
        for (logits, targets) in auxiliary.iter().zip(&batch.auxiliary) {
            let task = loss::binary_cross_entropy(logits, targets)?;
            loss = loss.f_add(&task.f_mul_scalar(config.auxiliary)?)?;
        }
        if config.penalty > 0.0 {
            for weight in &self.penalised {
                loss = loss.f_add(&weight.f_square()?.f_sum(Kind::Float)?.f_mul_scalar(config.penalty)?)?;
            }
        }
        let (value, right) = look(&loss, &logits, &batch.targets)?;
        if !value.is_finite() {
            return Ok(Pass { loss: value, right: 0 });
        }
        match &self.half {
            None => loss.f_backward()?,
            Some(half) => {
                let scale = self.state.loss_scale.of(config.precision);
                loss.f_mul_scalar(scale)?.f_backward()?;
                half.collect(scale)?;
            }
        }
        Ok(Pass { loss: value, right })
    }

    /// The second pass of sharpness-aware minimisation, where it is on; tells whether its gradients can be used.
    fn sharpen(&mut self, batch: &Batch, seed: u64, place: Place) -> Result<bool, Error> {
        let radius = self.state.config.sam;
        if radius == 0.0 {
            return Ok(true);
        }
        // What a forward pass in training changes beside gradients: the statistics of batch norms.
        let mut kept = Vec::with_capacity(self.statistics.len());
        for tensor in &self.statistics {
            let mut copy = tensor.f_empty_like()?;
            copy.f_copy_(tensor)?;
            kept.push(copy);
        }
        let ascent = self.optimizer.ascend(radius)?;
        // The same seed: the same units drop out as in the first pass.
        let pass = self.pass(batch, seed)?;
        self.optimizer.descend(&ascent)?;
        for (tensor, kept) in self.statistics.iter_mut().zip(&kept) {
            tensor.f_copy_(kept)?;
        }
        self.check_loss(pass.loss, place)?;
        self.usable(place)
    }

    fn check_loss(&self, loss: f64, place: Place) -> Result<(), Error> {
        if loss.is_finite() {
            return Ok(());
        }
        Err(Error::NonFiniteLoss {
            loss,
            step: place.step,
            epoch: self.state.epoch + 1,
            learning_rate: place.learning_rate,
            checkpoint: self.last_checkpoint.clone(),
        })
    }

    /// Whether the gradients are finite, which those in f16 need not be.
    fn usable(&mut self, place: Place) -> Result<bool, Error> {
        if self.state.config.precision != Precision::F16 {
            return Ok(true);
        }
        let finite = self.optimizer.gradient_norm()?.is_finite();
        self.state.loss_scale.observe(finite).ok_or(Error::NonFiniteGradient {
            step: place.step,
            epoch: self.state.epoch + 1,
            learning_rate: place.learning_rate,
        })?;
        Ok(finite)
    }
}

/// The columns of the classes, and those of each auxiliary task behind them.
fn parted(columns: &Tensor, tasks: &[usize]) -> Result<(Tensor, Vec<Tensor>), Error> {
    let mut sizes: Vec<i64> = tasks.iter().map(|&size| size as i64).collect();
    sizes.insert(0, columns.size()[1] - sizes.iter().sum::<i64>());
    let mut parts = columns.f_split_with_sizes(sizes, 1)?;
    Ok((parts.remove(0), parts))
}

/// The loss, and how many samples are right, in one look at the device: a second one would keep a GPU waiting.
fn look(loss: &Tensor, logits: &Tensor, targets: &Tensor) -> Result<(f64, u64), Error> {
    let right = logits.f_detach()?.f_argmax(-1, false)?.f_eq_tensor(&targets.f_argmax(-1, false)?)?;
    let both = Tensor::f_stack(&[loss.f_detach()?, right.f_sum(Kind::Float)?], 0)?.f_to_device(tch::Device::Cpu)?;
    Ok((both.f_double_value(&[0])?, both.f_double_value(&[1])? as u64))
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
