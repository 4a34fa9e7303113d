//! The networks, one file each.

mod compact;

pub use compact::{Compact, CompactConfig};

use model_kit::layers::{Network, Result};
use serde::{Deserialize, Serialize};
use tch::nn::Path;

/// Which network, with its settings: what a weights file needs to say so that the network can be built again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Arch {
    /// Our own residual network.
    Compact(CompactConfig),
}

impl Default for Arch {
    fn default() -> Self {
        Self::Compact(CompactConfig::default())
    }
}

impl Arch {
    /// Builds the network for 48×48 grey pictures.
    ///
    /// # Errors
    /// LibTorch's.
    pub fn build(&self, path: &Path, classes: usize) -> Result<Box<dyn Network>> {
        let classes = classes as i64;
        Ok(match self {
            Self::Compact(config) => Box::new(Compact::new(path, config, classes)?),
        })
    }
}

/// The number of trainable parameters of a network.
#[cfg(test)]
pub(crate) fn parameters(arch: &Arch, classes: usize) -> i64 {
    let store = tch::nn::VarStore::new(tch::Device::Cpu);
    let network = arch.build(&store.root(), classes).unwrap();
    let input = tch::Tensor::zeros([2, 1, 48, 48], (tch::Kind::Float, tch::Device::Cpu));
    let output = tch::no_grad(|| network.forward(&input, false)).unwrap();
    assert_eq!(output.size(), [2, classes as i64]);
    store.trainable_variables().iter().map(|tensor| tensor.numel() as i64).sum()
}
