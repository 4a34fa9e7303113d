//! Any network, out of a TorchScript file.

use std::fmt;

use model_kit::layers::{Network, Result};
use serde::{Deserialize, Serialize};
use tch::{CModule, Tensor};

/// What a network in a TorchScript file takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ScriptConfig {
    /// Width and height of its pictures, in pixels, from 1. Faces of 48×48 are enlarged to it. Default 48.
    pub side: i64,
    /// Channels of its pictures, from 1; each gets the same grey pixels. Default 1.
    pub channels: i64,
}

impl Default for ScriptConfig {
    fn default() -> Self {
        Self { side: 48, channels: 1 }
    }
}

/// A network that PyTorch's `torch.jit.save` wrote, for inference. Its features are its logits, for a script does not
/// tell what is inside.
pub(crate) struct Script {
    module: CModule,
    config: ScriptConfig,
}

impl Script {
    pub(crate) fn new(module: CModule, config: ScriptConfig) -> Self {
        Self { module, config }
    }
}

impl fmt::Debug for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Script").field("config", &self.config).finish_non_exhaustive()
    }
}

impl Network for Script {
    /// # Shapes
    /// `[batch, 1, 48, 48]` → `[batch, classes]`
    fn forward(&self, input: &Tensor, _train: bool) -> Result<Tensor> {
        let ScriptConfig { side, channels } = self.config;
        let mut input = input.shallow_clone();
        if input.size().last() != Some(&side) {
            input = input.f_upsample_bilinear2d([side, side], false, None, None)?;
        }
        self.module.forward_ts(&[input.f_expand([-1, channels, -1, -1], false)?])
    }
}
