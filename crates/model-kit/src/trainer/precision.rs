//! Mixed precision: passes in half precision, weights in single (Micikevicius et al. 2018).

use std::str::FromStr;

use serde::{Deserialize, Serialize};
use tch::nn::VarStore;
use tch::{Kind, Tensor, no_grad};

use crate::Error;
use crate::layers::Network;

/// The numbers that forward and backward passes are computed in.
///
/// Half precision pays on GPUs with units for it (f16 from Volta, bf16 from Ampere) and on processors with AMX or AVX-512
/// BF16; elsewhere it only saves memory. Validation is computed in single precision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Precision {
    /// Single precision throughout.
    #[default]
    F32,
    /// The exponent of f32 with 8 bits of precision: needs no loss scaling.
    Bf16,
    /// 11 bits of precision and a small exponent: the loss is multiplied by a scale so that small gradients do not vanish,
    /// and a step whose gradients overflow is left out and the scale halved.
    F16,
}

impl Precision {
    fn kind(self) -> Kind {
        match self {
            Self::F32 => Kind::Float,
            Self::Bf16 => Kind::BFloat16,
            Self::F16 => Kind::Half,
        }
    }
}

impl FromStr for Precision {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        match name {
            "f32" => Ok(Self::F32),
            "bf16" => Ok(Self::Bf16),
            "f16" => Ok(Self::F16),
            _ => Err(Error::config("precision", "f32, bf16 or f16", name)),
        }
    }
}

/// A second copy of a network that computes in half precision. Its batch norms stay in single precision, as everywhere, and
/// share their statistics with the first.
#[derive(Debug)]
pub(super) struct Half<N> {
    pub(super) network: N,
    pub(super) kind: Kind,
    pairs: Vec<Pair>,
}

/// A weight in single precision and its copy, which is in half unless it belongs to a batch norm.
#[derive(Debug)]
struct Pair {
    master: Tensor,
    copy: Tensor,
    /// Frozen weights get no gradients.
    trained: bool,
}

impl<N: Network> Half<N> {
    /// Turns a freshly built network into the copy of another of the same make.
    ///
    /// # Errors
    /// LibTorch's.
    pub(super) fn new(precision: Precision, network: N, copy: &VarStore, master: &VarStore) -> Result<Self, Error> {
        let kind = precision.kind();
        let mut variables: Vec<_> = master.variables().into_iter().collect();
        variables.sort_by(|first, second| first.0.cmp(&second.0));
        let copies = copy.variables();
        let mut pairs = Vec::new();
        for (name, master) in &variables {
            let mut copy = copies[name].shallow_clone();
            let layer = name.rsplit_once('.').map_or("", |(layer, _)| layer);
            let norm = copies.contains_key(&format!("{layer}.running_mean"));
            let trained = master.requires_grad();
            if norm && !trained {
                no_grad(|| copy.f_set_data(master))?;
                continue;
            }
            if !norm {
                no_grad(|| copy.f_set_data(&copy.f_to_kind(kind)?))?;
            }
            if trained {
                // A gradient that can be written to exists only after a backward pass.
                master.f_zeros_like()?.f_mul(master)?.f_sum(Kind::Float)?.f_backward()?;
            }
            pairs.push(Pair { master: master.shallow_clone(), copy, trained });
        }
        Ok(Self { network, kind, pairs })
    }

    /// Copies the weights as they are now and forgets the gradients.
    ///
    /// # Errors
    /// LibTorch's.
    pub(super) fn refresh(&mut self) -> Result<(), Error> {
        no_grad(|| {
            for pair in &mut self.pairs {
                pair.copy.f_copy_(&pair.master)?;
                pair.copy.zero_grad();
            }
            Ok(())
        })
    }

    /// Adds the gradients of the last backward pass to those of the weights, then divides them by the scale of its loss.
    ///
    /// # Errors
    /// LibTorch's.
    pub(super) fn collect(&self, scale: f64) -> Result<(), Error> {
        no_grad(|| {
            for pair in self.pairs.iter().filter(|pair| pair.trained) {
                let (mut sum, gradient) = (pair.master.f_grad()?, pair.copy.f_grad()?);
                if gradient.defined() {
                    let _ = sum.f_add_(&gradient)?;
                }
                if scale != 1.0 {
                    let _ = sum.f_mul_scalar_(1.0 / scale)?;
                }
            }
            Ok(())
        })
    }
}

/// What the loss is multiplied by in f16, with the rules and numbers of PyTorch's `GradScaler`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(super) struct LossScale {
    scale: f64,
    good_steps: u32,
}

impl Default for LossScale {
    fn default() -> Self {
        Self { scale: 65536.0, good_steps: 0 }
    }
}

impl LossScale {
    /// The factor for the next step.
    pub(super) fn of(&self, precision: Precision) -> f64 {
        if precision == Precision::F16 { self.scale } else { 1.0 }
    }

    /// Takes note of a step: gradients that are not finite halve the scale, 2000 good steps in a row double it. `None` when
    /// it cannot be halved any more.
    pub(super) fn observe(&mut self, finite: bool) -> Option<()> {
        if !finite {
            self.good_steps = 0;
            self.scale /= 2.0;
            return (self.scale >= 1.0).then_some(());
        }
        self.good_steps += 1;
        if self.good_steps == 2000 {
            *self = Self { scale: self.scale * 2.0, good_steps: 0 };
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn precisions_are_read_back() {
        for precision in [Precision::F32, Precision::Bf16, Precision::F16] {
            let name = serde_json::to_value(precision).unwrap();
            assert_eq!(name.as_str().unwrap().parse::<Precision>().unwrap(), precision);
        }
        assert!("f64".parse::<Precision>().is_err());
    }

    #[test]
    fn the_scale_halves_on_overflow_and_doubles_after_2000_good_steps() {
        let mut scale = LossScale::default();
        assert_eq!(scale.of(Precision::Bf16), 1.0);
        scale.observe(false).unwrap();
        assert_eq!(scale.of(Precision::F16), 32768.0);
        (0..1999).for_each(|_| scale.observe(true).unwrap());
        assert_eq!(scale.of(Precision::F16), 32768.0);
        scale.observe(true).unwrap();
        assert_eq!(scale.of(Precision::F16), 65536.0);
        assert_eq!((0..100).take_while(|_| scale.observe(false).is_some()).count(), 16);
    }
}
