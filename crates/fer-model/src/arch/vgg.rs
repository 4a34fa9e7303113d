//! VGG (Simonyan & Zisserman 2015, "Very Deep Convolutional Networks for Large-Scale Image Recognition"), its convolutions
//! built as torchvision builds them and with its names, so that weights trained on ImageNet can be loaded.

use model_kit::export::Value;
use model_kit::layers::{BatchNorm, Conv2d, ConvBn, Result, global_average};
use serde::{Deserialize, Serialize};
use tch::Tensor;
use tch::nn::Path;

use super::transfer::{Backbone, Transfer, Use};

/// How deep a [`Vgg`] is: the number of layers with weights that the network of the paper has, three dense ones among them,
/// as torchvision's names say it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub enum VggDepth {
    /// `vgg11`: 9.2 M parameters.
    Layers11,
    /// `vgg13`: 9.4 M parameters.
    Layers13,
    /// `vgg16`: 14.7 M parameters.
    #[default]
    Layers16,
    /// `vgg19`: 20.0 M parameters.
    Layers19,
}

impl VggDepth {
    /// From the smallest.
    pub const ALL: [Self; 4] = [Self::Layers11, Self::Layers13, Self::Layers16, Self::Layers19];

    /// Convolutions of each stage.
    fn convolutions(self) -> [usize; 5] {
        match self {
            Self::Layers11 => [1, 1, 2, 2, 2],
            Self::Layers13 => [2, 2, 2, 2, 2],
            Self::Layers16 => [2, 2, 3, 3, 3],
            Self::Layers19 => [2, 2, 4, 4, 4],
        }
    }
}

impl From<VggDepth> for u8 {
    fn from(depth: VggDepth) -> Self {
        match depth {
            VggDepth::Layers11 => 11,
            VggDepth::Layers13 => 13,
            VggDepth::Layers16 => 16,
            VggDepth::Layers19 => 19,
        }
    }
}

impl TryFrom<u8> for VggDepth {
    type Error = String;

    fn try_from(depth: u8) -> Result<Self, String> {
        let known = Self::ALL.into_iter().find(|&known| u8::from(known) == depth);
        known.ok_or_else(|| format!("expected a depth of 11, 13, 16 or 19, got {depth}"))
    }
}

/// Settings of [`Vgg`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct VggConfig {
    /// The number of layers. Default 16.
    pub depth: VggDepth,
    /// Whether a batch norm follows each convolution, as in torchvision's `vgg16_bn`. Default yes.
    pub batch_norm: bool,
    /// Width and height that the faces are enlarged to, in pixels, at least 32. Default 224, as in the paper; 96 costs a
    /// fifth of the time.
    pub side: i64,
    /// Whether training changes the new last layer alone and leaves the rest as it was loaded. Default no.
    pub frozen: bool,
    /// Share of the features that are left out of each training step before the last layer, 0..1. Default 0.5.
    pub dropout: f64,
}

impl Default for VggConfig {
    fn default() -> Self {
        Self { depth: VggDepth::default(), batch_norm: true, side: 224, frozen: false, dropout: 0.5 }
    }
}

/// Width of the convolutions of each stage.
const WIDTHS: [i64; 5] = [64, 128, 256, 512, 512];

/// The grey face, enlarged and given three times, through five stages of 3×3 convolutions, each stage with a 2×2 max pool at
/// its end, then the mean over places, dropout and a new dense layer.
///
/// That mean and that one layer stand for the three dense layers of the paper, torchvision's `classifier`, which hold
/// 124 of the 138 million parameters of `vgg16`. Batch norm has PyTorch's epsilon and momentum. The convolutions start from He's
/// initialisation, fan-out; [`load_backbone`](super::load_backbone) replaces it by torchvision's weights.
pub type Vgg = Transfer<Stages>;

impl Vgg {
    /// # Errors
    /// LibTorch's.
    pub fn new(path: &Path, config: &VggConfig, classes: i64) -> Result<Self> {
        let &VggConfig { depth, batch_norm, side, frozen, dropout } = config;
        let names = path.sub("features");
        let mut stages = Vec::new();
        // torchvision counts every convolution, batch norm, ReLU and pool.
        let mut place = 0;
        let mut inputs = 3;
        for (count, outputs) in depth.convolutions().into_iter().zip(WIDTHS) {
            let mut layers = Vec::new();
            for _ in 0..count {
                let conv = Conv2d::new(&names.sub(place), inputs, outputs, 3, 1, true)?;
                let norm = if batch_norm { Some(BatchNorm::new(&names.sub(place + 1), outputs)?) } else { None };
                place += if batch_norm { 3 } else { 2 };
                layers.push(ConvBn::of(conv, norm));
                inputs = outputs;
            }
            place += 1;
            stages.push(layers);
        }
        Transfer::of(path, Stages(stages), [inputs, classes], Use { side, frozen, dropout })
    }
}

/// The convolutions of a [`Vgg`], stage by stage: 512 features.
#[derive(Debug)]
pub struct Stages(Vec<Vec<ConvBn>>);

impl Backbone for Stages {
    fn forward(&self, pictures: &Tensor, train: bool) -> Result<Tensor> {
        let mut hidden = pictures.shallow_clone();
        for stage in &self.0 {
            for layer in stage {
                hidden = layer.forward(&hidden, train)?.f_relu_()?;
            }
            hidden = hidden.f_max_pool2d([2, 2], [2, 2], [0, 0], [1, 1], false)?;
        }
        global_average(&hidden)
    }

    fn export<'g>(&self, pictures: Value<'g>) -> model_kit::Result<Value<'g>> {
        let mut hidden = pictures;
        for stage in &self.0 {
            for layer in stage {
                hidden = layer.export(hidden)?.relu();
            }
            hidden = hidden.max_pool(&[2, 2], &[2, 2], &[0, 0], false);
        }
        Ok(hidden.global_average())
    }

    fn fold(&mut self) -> Result<()> {
        self.0.iter_mut().flatten().try_for_each(ConvBn::fold)
    }

    fn freeze(&self) {
        self.0.iter().flatten().for_each(ConvBn::freeze);
    }
}

#[cfg(test)]
mod tests {
    use super::super::Arch;
    use super::super::transfer::check_modes;
    use super::*;

    #[test]
    fn only_the_classifier_differs_from_torchvision() {
        // The parameters that torchvision states, without and with batch norm, and those of its three dense layers.
        let classifier = (512 * 49 + 1) * 4096 + (4096 + 1) * 4096 + (4096 + 1) * 1000;
        for (depth, published) in [
            (VggDepth::Layers11, [132_863_336, 132_868_840]),
            (VggDepth::Layers13, [133_047_848, 133_053_736]),
            (VggDepth::Layers16, [138_357_544, 138_365_992]),
            (VggDepth::Layers19, [143_667_240, 143_678_248]),
        ] {
            for (batch_norm, published) in [false, true].into_iter().zip(published) {
                let arch = |frozen| Arch::Vgg(VggConfig { depth, batch_norm, side: 32, frozen, dropout: 0.0 });
                check_modes(arch, published - classifier, 512);
            }
        }
    }
}
