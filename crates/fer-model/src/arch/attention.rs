//! A small CNN that first learns where to look: a spatial transformer (Jaderberg et al. 2015) in front of four
//! convolutions, after Deep-Emotion (Minaee, Minaei & Abdolrashidi 2021) and its authors' public code.

use model_kit::export::{Attribute, Value};
use model_kit::layers::{BatchNorm, Conv2d, Linear, Network, Result};
use serde::{Deserialize, Serialize};
use tch::nn::{Init, Path};
use tch::{Device, Kind, Tensor, no_grad};

use crate::dataset;

const SIDE: i64 = dataset::SIDE as i64;

/// Settings of [`AttentionCnn`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AttentionConfig {
    /// Filters of the four convolutions. Default 10 each, as in the source.
    pub widths: [i64; 4],
    /// Units of the dense layer. Default 50.
    pub dense: i64,
    /// Share of the features that are left out of each training step before the dense layers, 0..1. Default 0.5.
    pub dropout: f64,
}

impl Default for AttentionConfig {
    fn default() -> Self {
        Self { widths: [10; 4], dense: 50, dropout: 0.5 }
    }
}

impl AttentionConfig {
    /// A wider preset of our own: 32, 64, 128 and 256 filters, 1,448,679 trainable parameters for seven classes.
    pub fn wide() -> Self {
        Self { widths: [32, 64, 128, 256], ..Self::default() }
    }
}

/// The input, warped by six affine parameters that a localisation network finds, then two pairs of 3×3 convolutions
/// without padding, each pair with ReLU and a 2×2 max pool, dropout, and two dense layers. 66,877 trainable parameters for
/// seven classes by default.
#[derive(Debug)]
pub struct AttentionCnn {
    localise: (Conv2d, Conv2d, Linear, Linear),
    convolutions: [Conv2d; 4],
    norm: BatchNorm,
    dense: Linear,
    head: Linear,
    dropout: f64,
}

impl AttentionCnn {
    /// # Errors
    /// LibTorch's.
    pub fn new(path: &Path, config: &AttentionConfig, classes: i64) -> Result<Self> {
        let conv = |path: &Path, inputs, outputs, kernel| {
            Ok::<_, tch::TchError>(Conv2d::new(path, inputs, outputs, kernel, 1, true)?.padded(0))
        };
        let place = path.sub("localise");
        // 48 → 42 → 21 → 17 → 8 pixels a side.
        let localise = (
            conv(&place.sub("conv1"), 1, 8, 7)?,
            conv(&place.sub("conv2"), 8, 10, 5)?,
            Linear::new(&place.sub("dense1"), 10 * 8 * 8, 32)?,
            Linear::with_init(&place.sub("dense2"), 32, 6, Init::Const(0.0))?,
        );
        // With weights of 0 the bias alone is the first transformation: the identity.
        no_grad(|| localise.3.bias().f_copy_(&Tensor::f_from_slice(&[1f32, 0.0, 0.0, 0.0, 1.0, 0.0])?))?;
        let [first, second, third, fourth] = config.widths;
        let convolutions = [
            conv(&path.sub("conv1"), 1, first, 3)?,
            conv(&path.sub("conv2"), first, second, 3)?,
            conv(&path.sub("conv3"), second, third, 3)?,
            conv(&path.sub("conv4"), third, fourth, 3)?,
        ];
        Ok(Self {
            localise,
            convolutions,
            norm: BatchNorm::new(&path.sub("norm"), fourth)?,
            // 48 → 46 → 44 → 22 → 20 → 18 → 9 pixels a side.
            dense: Linear::new(&path.sub("dense"), fourth * 9 * 9, config.dense)?,
            head: Linear::new(&path.sub("head"), config.dense, classes)?,
            dropout: config.dropout,
        })
    }

    /// The input as the localisation network wants it seen.
    fn attend(&self, input: &Tensor) -> Result<Tensor> {
        let (conv1, conv2, dense1, dense2) = &self.localise;
        let hidden = halve(&conv1.forward(input)?)?.f_relu()?;
        let hidden = halve(&conv2.forward(&hidden)?)?.f_relu()?.f_flatten(1, -1)?;
        let affine = dense2.forward(&dense1.forward(&hidden)?.f_relu()?)?.f_view([-1, 2, 3])?;
        // PyTorch's `affine_grid` written out: it reads the size of the batch as a number, and a trace would keep that.
        let centres = centres((affine.f_kind()?, affine.device()))?;
        let grid = centres.f_matmul(&affine.f_transpose(1, 2)?)?.f_view([-1, SIDE, SIDE, 2])?;
        // Bilinear (0), zeros outside of the picture (0): the defaults of PyTorch's `grid_sample`.
        input.f_grid_sampler(&grid, 0, 0, false)
    }
}

impl Network for AttentionCnn {
    /// # Shapes
    /// `[batch, 1, 48, 48]` → `[batch, classes]`
    fn forward(&self, input: &Tensor, train: bool) -> Result<Tensor> {
        self.head.forward(&self.features(input, train)?)
    }

    /// # Shapes
    /// `[batch, 1, 48, 48]` → `[batch, dense]`, 50 by default
    fn features(&self, input: &Tensor, train: bool) -> Result<Tensor> {
        let [first, second, third, fourth] = &self.convolutions;
        let hidden = first.forward(&self.attend(input)?)?.f_relu()?;
        let hidden = halve(&second.forward(&hidden)?)?.f_relu()?;
        let hidden = third.forward(&hidden)?.f_relu()?;
        let hidden = halve(&self.norm.forward(&fourth.forward(&hidden)?, train)?)?.f_relu()?;
        let hidden = hidden.f_dropout(self.dropout, train)?.f_flatten(1, -1)?;
        self.dense.forward(&hidden)?.f_relu()
    }

    fn export<'g>(&self, input: Value<'g>) -> model_kit::Result<Value<'g>> {
        let halve = |value: Value<'g>| value.max_pool(&[2, 2], &[2, 2], &[0, 0], false);
        let (conv1, conv2, dense1, dense2) = &self.localise;
        let hidden = halve(conv1.export(input)?).relu();
        let hidden = halve(conv2.export(hidden)?).relu().flatten();
        let affine = dense2.export(dense1.export(hidden)?.relu())?.reshape(&[-1, 2, 3]);
        // [batch, 2, 3] · [3, places] → [batch, 2, places]
        let grid =
            affine.layer("MatMul", &[("centres", &centres((Kind::Float, Device::Cpu))?.f_transpose(0, 1)?)], &[])?;
        let grid = grid.permute(&[0, 2, 1]).reshape(&[-1, SIDE, SIDE, 2]);
        // Bilinear, zeros outside and corners not aligned are the defaults of both.
        let seen = input.node("GridSample", &[grid], &[("mode", Attribute::Text("bilinear"))]);
        let [first, second, third, fourth] = &self.convolutions;
        let hidden = first.export(seen)?.relu();
        let hidden = halve(second.export(hidden)?).relu();
        let hidden = third.export(hidden)?.relu();
        let hidden = halve(self.norm.export(fourth.export(hidden)?)?).relu().flatten();
        self.head.export(self.dense.export(hidden)?.relu())
    }
}

/// The centres of the pixels, row by row, as (x, y, 1) with x and y from −1 to 1 across the picture: `[48·48, 3]`. To the
/// last bit those of PyTorch: at the start every place that is looked at is such a centre, where the gradient jumps.
fn centres(options: (Kind, Device)) -> Result<Tensor> {
    let axis = Tensor::f_linspace(-1.0, 1.0, SIDE, options)?;
    let axis = axis.f_mul_scalar((SIDE - 1) as f64)?.f_div_scalar(SIDE as f64)?;
    let x = axis.f_unsqueeze(0)?.f_expand([SIDE, SIDE], false)?;
    let y = axis.f_unsqueeze(1)?.f_expand([SIDE, SIDE], false)?;
    Tensor::f_stack(&[&x, &y, &x.f_ones_like()?], -1)?.f_view([-1, 3])
}

fn halve(input: &Tensor) -> Result<Tensor> {
    input.f_max_pool2d([2, 2], [2, 2], [0, 0], [1, 1], false)
}

#[cfg(test)]
mod tests {
    use tch::nn::VarStore;
    use tch::{Device, Kind};

    use super::super::{Arch, parameters};
    use super::*;

    #[test]
    fn has_the_counted_parameters() {
        assert_eq!(parameters(&Arch::AttentionCnn(AttentionConfig::default()), 7), 66_877);
        assert_eq!(parameters(&Arch::AttentionCnn(AttentionConfig::wide()), 7), 1_448_679);
    }

    #[test]
    fn looks_at_the_whole_picture_at_first() {
        let store = VarStore::new(Device::Cpu);
        let network = AttentionCnn::new(&store.root(), &AttentionConfig::wide(), 7).unwrap();
        let input = Tensor::randn([3, 1, 48, 48], (Kind::Float, Device::Cpu));
        let difference = (network.attend(&input).unwrap() - &input).abs().max().double_value(&[]);
        assert!(difference < 1e-4, "the untrained transformer changes pixels by up to {difference}");
    }
}
