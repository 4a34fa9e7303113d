//! ResNet (He, Zhang, Ren & Sun 2016, "Deep Residual Learning for Image Recognition"), built as torchvision builds it and
//! with its names, so that weights trained on ImageNet can be loaded.

use model_kit::export::Value;
use model_kit::layers::{BatchNorm, Conv2d, ConvBn, Result, global_average};
use serde::{Deserialize, Serialize};
use tch::Tensor;
use tch::nn::Path;

use super::transfer::{Backbone, Transfer, Use};

/// How deep a [`ResNet`] is: the number of its layers with weights, as torchvision's names say it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub enum ResNetDepth {
    /// `resnet18`: 11.2 M parameters.
    #[default]
    Layers18,
    /// `resnet34`: 21.3 M parameters.
    Layers34,
    /// `resnet50`: 23.5 M parameters, in bottleneck blocks.
    Layers50,
}

impl ResNetDepth {
    /// From the smallest.
    pub const ALL: [Self; 3] = [Self::Layers18, Self::Layers34, Self::Layers50];

    /// Blocks of each stage, and how many times as wide as its inner layers a block's output is.
    fn blocks(self) -> ([usize; 4], i64) {
        match self {
            Self::Layers18 => ([2, 2, 2, 2], 1),
            Self::Layers34 => ([3, 4, 6, 3], 1),
            Self::Layers50 => ([3, 4, 6, 3], 4),
        }
    }
}

impl From<ResNetDepth> for u8 {
    fn from(depth: ResNetDepth) -> Self {
        match depth {
            ResNetDepth::Layers18 => 18,
            ResNetDepth::Layers34 => 34,
            ResNetDepth::Layers50 => 50,
        }
    }
}

impl TryFrom<u8> for ResNetDepth {
    type Error = String;

    fn try_from(depth: u8) -> Result<Self, String> {
        let known = Self::ALL.into_iter().find(|&known| u8::from(known) == depth);
        known.ok_or_else(|| format!("expected a depth of 18, 34 or 50, got {depth}"))
    }
}

/// Settings of [`ResNet`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ResNetConfig {
    /// The number of layers. Default 18.
    pub depth: ResNetDepth,
    /// Width and height that the faces are enlarged to, in pixels, at least 32. Default 224, as in the paper; 96 costs a
    /// fifth of the time.
    pub side: i64,
    /// Whether training changes the new last layer alone and leaves the rest as it was loaded. Default no.
    pub frozen: bool,
    /// Share of the features that are left out of each training step before the last layer, 0..1. Default 0.5.
    pub dropout: f64,
}

impl Default for ResNetConfig {
    fn default() -> Self {
        Self { depth: ResNetDepth::default(), side: 224, frozen: false, dropout: 0.5 }
    }
}

/// The grey face, enlarged and given three times, through a 7×7 convolution, a max pool and four stages of residual
/// blocks, then the mean over places, dropout and a new dense layer. With 50 layers, the 3×3 convolution of a block takes
/// its stride, as in torchvision, and not the 1×1 convolution before it, as in the paper.
///
/// Batch norm has PyTorch's epsilon and momentum. The backbone starts from He's initialisation, fan-out;
/// [`load_backbone`](super::load_backbone) replaces it by torchvision's weights.
pub type ResNet = Transfer<Layers>;

impl ResNet {
    /// # Errors
    /// LibTorch's.
    pub fn new(path: &Path, config: &ResNetConfig, classes: i64) -> Result<Self> {
        let &ResNetConfig { depth, side, frozen, dropout } = config;
        let stem = layer([path.sub("conv1"), path.sub("bn1")], 3, 64, 7, 2)?;
        let mut blocks = Vec::new();
        let mut inputs = 64;
        let (counts, expansion) = depth.blocks();
        for (stage, &count) in counts.iter().enumerate() {
            let path = path.sub(format!("layer{}", stage + 1));
            for number in 0..count {
                let stride = if stage > 0 && number == 0 { 2 } else { 1 };
                blocks.push(Block::new(&path.sub(number), inputs, 64 << stage, expansion, stride)?);
                inputs = expansion * (64 << stage);
            }
        }
        Transfer::of(path, Layers { stem, blocks }, [inputs, classes], Use { side, frozen, dropout })
    }
}

/// The stem and all blocks of a [`ResNet`]: 512 features, with 50 layers 2048.
#[derive(Debug)]
pub struct Layers {
    stem: ConvBn,
    blocks: Vec<Block>,
}

impl Backbone for Layers {
    fn forward(&self, pictures: &Tensor, train: bool) -> Result<Tensor> {
        let mut hidden = self.stem.forward(pictures, train)?.f_relu_()?;
        hidden = hidden.f_max_pool2d([3, 3], [2, 2], [1, 1], [1, 1], false)?;
        for block in &self.blocks {
            hidden = block.forward(&hidden, train)?;
        }
        global_average(&hidden)
    }

    fn export<'g>(&self, pictures: Value<'g>) -> model_kit::Result<Value<'g>> {
        let mut hidden = self.stem.export(pictures)?.relu().max_pool(&[3, 3], &[2, 2], &[1, 1], false);
        for block in &self.blocks {
            hidden = block.export(hidden)?;
        }
        Ok(hidden.global_average())
    }

    fn fold(&mut self) -> Result<()> {
        let blocks = self.blocks.iter_mut().flat_map(|block| block.layers.iter_mut().chain(&mut block.downsample));
        std::iter::once(&mut self.stem).chain(blocks).try_for_each(ConvBn::fold)
    }

    fn freeze(&self) {
        let blocks = self.blocks.iter().flat_map(|block| block.layers.iter().chain(&block.downsample));
        std::iter::once(&self.stem).chain(blocks).for_each(ConvBn::freeze);
    }
}

/// A convolution without bias and a batch norm, under torchvision's two names.
fn layer([conv, norm]: [Path; 2], inputs: i64, outputs: i64, kernel: i64, stride: i64) -> Result<ConvBn> {
    let conv = Conv2d::new(&conv, inputs, outputs, kernel, stride, false)?;
    Ok(ConvBn::of(conv, Some(BatchNorm::new(&norm, outputs)?)))
}

/// Two 3×3 convolutions, or a 3×3 one between two of 1×1, and around them a shortcut: the input itself, or a 1×1 convolution
/// where the shape changes.
#[derive(Debug)]
struct Block {
    layers: Vec<ConvBn>,
    downsample: Option<ConvBn>,
}

impl Block {
    fn new(path: &Path, inputs: i64, inner: i64, expansion: i64, stride: i64) -> Result<Self> {
        let outputs = expansion * inner;
        let layer_number = |number: usize, inputs, outputs, kernel, stride| {
            let names = [path.sub(format!("conv{number}")), path.sub(format!("bn{number}"))];
            layer(names, inputs, outputs, kernel, stride)
        };
        let layers = if expansion == 1 {
            vec![layer_number(1, inputs, inner, 3, stride)?, layer_number(2, inner, outputs, 3, 1)?]
        } else {
            vec![
                layer_number(1, inputs, inner, 1, 1)?,
                layer_number(2, inner, inner, 3, stride)?,
                layer_number(3, inner, outputs, 1, 1)?,
            ]
        };
        let same = inputs == outputs && stride == 1;
        let names = [0, 1].map(|number| path.sub("downsample").sub(number));
        let downsample = if same { None } else { Some(layer(names, inputs, outputs, 1, stride)?) };
        Ok(Self { layers, downsample })
    }

    fn forward(&self, input: &Tensor, train: bool) -> Result<Tensor> {
        let mut hidden = input.shallow_clone();
        for (index, layer) in self.layers.iter().enumerate() {
            hidden = layer.forward(&hidden, train)?;
            if index + 1 < self.layers.len() {
                hidden = hidden.f_relu_()?;
            }
        }
        match &self.downsample {
            Some(downsample) => hidden.f_add_(&downsample.forward(input, train)?)?.f_relu_(),
            None => hidden.f_add_(input)?.f_relu_(),
        }
    }

    fn export<'g>(&self, input: Value<'g>) -> model_kit::Result<Value<'g>> {
        let mut hidden = input;
        for (index, layer) in self.layers.iter().enumerate() {
            hidden = layer.export(hidden)?;
            if index + 1 < self.layers.len() {
                hidden = hidden.relu();
            }
        }
        let shortcut = self.downsample.as_ref().map_or(Ok(input), |downsample| downsample.export(input))?;
        Ok(hidden.plus(shortcut).relu())
    }
}

#[cfg(test)]
mod tests {
    use super::super::Arch;
    use super::super::transfer::check_modes;
    use super::*;

    #[test]
    fn only_the_last_layer_differs_from_torchvision() {
        // The parameters that torchvision states, of which the last layer has 1,000 classes.
        for (depth, published, features) in [
            (ResNetDepth::Layers18, 11_689_512, 512),
            (ResNetDepth::Layers34, 21_797_672, 512),
            (ResNetDepth::Layers50, 25_557_032, 2048),
        ] {
            let arch = |frozen| Arch::ResNet(ResNetConfig { depth, side: 32, frozen, dropout: 0.0 });
            check_modes(arch, published - 1000 * (features + 1), features);
        }
    }

    #[test]
    fn an_unknown_depth_is_refused() {
        let read = |text: &str| serde_json::from_str::<ResNetConfig>(text);
        assert_eq!(read("{\"depth\": 34}").unwrap().depth, ResNetDepth::Layers34);
        let error = read("{\"depth\": 101}").unwrap_err().to_string();
        assert!(error.contains("18, 34 or 50, got 101"), "{error}");
    }
}
