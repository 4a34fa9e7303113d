//! The default network: residual blocks with squeeze and excitation, small enough to train on a processor.

use model_kit::export::Value;
use model_kit::layers::{ConvBn, Linear, Network, Residual, Result, channels_last, global_average};
use serde::{Deserialize, Serialize};
use tch::nn::Path;
use tch::{Device, Tensor};

/// Settings of [`Compact`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CompactConfig {
    /// Channels of the stem at 48×48 and of the three stages at 24×24, 12×12 and 6×6. Default 24, 48, 128, 256.
    pub widths: [i64; 4],
    /// Residual blocks of each stage, at least 1. Default 1, 1, 1.
    pub blocks: [usize; 3],
    /// Share of the features that are left out of each training step before the classifier, 0..1. Default 0.2.
    pub dropout: f64,
}

impl Default for CompactConfig {
    fn default() -> Self {
        Self { widths: [24, 48, 128, 256], blocks: [1, 1, 1], dropout: 0.2 }
    }
}

impl CompactConfig {
    /// For small devices: 98,648 parameters for seven classes.
    pub fn tiny() -> Self {
        Self { widths: [16, 24, 40, 64], blocks: [1, 1, 1], dropout: 0.0 }
    }

    /// Twice as deep: 2,803,159 parameters for seven classes.
    pub fn wide() -> Self {
        Self { widths: [32, 64, 128, 256], blocks: [2, 2, 2], dropout: 0.3 }
    }

    /// For training on a GPU: 11,197,351 parameters for seven classes.
    pub fn large() -> Self {
        Self { widths: [64, 128, 256, 512], blocks: [2, 2, 2], dropout: 0.4 }
    }
}

/// One 3×3 convolution at full size, then three stages of [`Residual`] blocks (He et al. 2016, with the squeeze and
/// excitation of Hu et al. 2018), each halving the picture first, then the mean over places, dropout and one dense layer.
#[derive(Debug)]
pub struct Compact {
    stem: ConvBn,
    blocks: Vec<Residual>,
    head: Linear,
    dropout: f64,
}

impl Compact {
    /// # Errors
    /// LibTorch's.
    pub fn new(path: &Path, config: &CompactConfig, classes: i64) -> Result<Self> {
        let stem = ConvBn::new(&path.sub("stem"), 1, config.widths[0], 3, 1)?;
        let mut blocks = Vec::new();
        let mut inputs = config.widths[0];
        for (stage, (&outputs, &count)) in config.widths[1..].iter().zip(&config.blocks).enumerate() {
            for block in 0..count.max(1) {
                let stride = if block == 0 { 2 } else { 1 };
                let path = path.sub(format!("stage{}", stage + 1)).sub(format!("block{}", block + 1));
                blocks.push(Residual::new(&path, inputs, outputs, stride)?);
                inputs = outputs;
            }
        }
        Ok(Self { stem, blocks, head: Linear::new(&path.sub("head"), inputs, classes)?, dropout: config.dropout })
    }
}

impl Network for Compact {
    /// # Shapes
    /// `[batch, 1, 48, 48]` (other sizes from 8×8 work too) → `[batch, classes]`
    fn forward(&self, input: &Tensor, train: bool) -> Result<Tensor> {
        self.head.forward(&self.features(input, train)?)
    }

    /// # Shapes
    /// `[batch, 1, 48, 48]` → `[batch, widths[3]]`, 256 by default
    fn features(&self, input: &Tensor, train: bool) -> Result<Tensor> {
        // Several pictures are best laid out before the stem, whose output is the largest of all, and a single one behind it;
        // behind it in training too, where LibTorch's batch norm would sum channels that lie side by side more coarsely.
        let several = !train && input.device() == Device::Cpu && input.size().first().is_some_and(|&batch| batch > 1);
        let input = if several { channels_last(input)? } else { input.shallow_clone() };
        let mut hidden = channels_last(&self.stem.forward(&input, train)?.f_relu_()?)?;
        for block in &self.blocks {
            hidden = block.forward(&hidden, train)?;
        }
        global_average(&hidden)?.f_dropout(self.dropout, train)
    }

    fn export<'g>(&self, input: Value<'g>) -> model_kit::Result<Value<'g>> {
        let mut hidden = self.stem.export(input)?.relu();
        for block in &self.blocks {
            hidden = block.export(hidden)?;
        }
        self.head.export(hidden.global_average())
    }

    fn fold(&mut self) -> Result<()> {
        self.stem.fold()?;
        self.blocks.iter_mut().try_for_each(Residual::fold)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Arch, parameters};
    use super::CompactConfig;

    #[test]
    fn the_presets_have_the_counted_parameters() {
        let count = |config| parameters(&Arch::Compact(config), 7);
        assert_eq!(count(CompactConfig::default()), 1_184_853);
        assert_eq!(count(CompactConfig::tiny()), 98_648);
        assert_eq!(count(CompactConfig::wide()), 2_803_159);
        assert_eq!(count(CompactConfig::large()), 11_197_351);
    }
}
