//! The one-dimensional network with batch norm and three dense layers.

use model_kit::export::Value;
use model_kit::layers::{BatchNorm, Conv1d, Linear, Network, Result};
use tch::Tensor;
use tch::nn::Path;

use super::{as_sequence, pool_5_by_2_same, pool_5_by_2_same_onnx};

/// Four convolutions (64, 128, 256, 512 filters of 5, each with batch norm, ReLU, a "same" max pool of 5 by 2 and
/// dropout .2), then dense 512, 256, 128, each with batch norm, ReLU and dropout .5, then output. The L2 penalty of the
/// dense layers belongs to the training ([`Recipe::of`](crate::train::Recipe::of)).
#[derive(Debug)]
pub struct FourConvCnn {
    convolutions: Vec<(Conv1d, BatchNorm)>,
    dense: Vec<(Linear, BatchNorm)>,
    output: Linear,
    /// After each convolution, and after each dense layer.
    dropout: [f64; 2],
}

impl FourConvCnn {
    /// Fresh weights in the store of `path`.
    ///
    /// # Errors
    /// LibTorch's.
    pub fn new(path: &Path, classes: i64) -> Result<Self> {
        let (mut inputs, mut convolutions, mut dense) = (1, Vec::new(), Vec::new());
        for (index, filters) in [64, 128, 256, 512].into_iter().enumerate() {
            let path = path.sub(format!("conv{index}"));
            let convolution = Conv1d::new(&path, inputs, filters, 5, 1, true)?;
            convolutions.push((convolution, BatchNorm::new(&path.sub("norm"), filters)?));
            inputs = filters;
        }
        // 162 → 81 → 41 → 21 → 11
        inputs *= 11;
        for (index, units) in [512, 256, 128].into_iter().enumerate() {
            let path = path.sub(format!("dense{index}"));
            dense.push((Linear::new(&path, inputs, units)?, BatchNorm::new(&path.sub("norm"), units)?));
            inputs = units;
        }
        let output = Linear::new(&path.sub("output"), inputs, classes)?;
        Ok(Self { convolutions, dense, output, dropout: [0.2, 0.5] })
    }

    /// The same without dropout, for comparisons and for data that needs none.
    #[must_use]
    pub fn without_dropout(self) -> Self {
        Self { dropout: [0.0; 2], ..self }
    }
}

impl Network for FourConvCnn {
    /// # Shapes
    /// `[batch, 162]` → `[batch, classes]`
    fn forward(&self, input: &Tensor, train: bool) -> Result<Tensor> {
        let [after_convolution, after_dense] = self.dropout;
        let mut hidden = as_sequence(input)?.f_unsqueeze(2)?;
        for (convolution, norm) in &self.convolutions {
            // The ReLU of the largest is the largest of the ReLUs, and half of the work.
            let mut pooled = pool_5_by_2_same(&norm.forward(&convolution.forward_row(&hidden)?, train)?)?;
            hidden = pooled.f_relu_()?.f_dropout(after_convolution, train)?;
        }
        hidden = hidden.f_flatten(1, -1)?;
        for (dense, norm) in &self.dense {
            hidden = norm.forward(&dense.forward(&hidden)?, train)?.f_relu()?.f_dropout(after_dense, train)?;
        }
        self.output.forward(&hidden)
    }

    fn export<'g>(&self, input: Value<'g>) -> model_kit::Result<Value<'g>> {
        let mut hidden = input.unsqueeze(1);
        for (convolution, norm) in &self.convolutions {
            hidden = pool_5_by_2_same_onnx(norm.export(convolution.export(hidden)?)?.relu());
        }
        hidden = hidden.flatten();
        for (dense, norm) in &self.dense {
            hidden = norm.export(dense.export(hidden)?)?.relu();
        }
        self.output.export(hidden)
    }
}
