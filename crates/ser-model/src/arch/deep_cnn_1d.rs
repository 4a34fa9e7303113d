//! The one-dimensional network of the multimodal system with 62 % on four merged corpora.

use model_kit::export::Value;
use model_kit::layers::{Conv1d, Linear, Network, Result, channels_last};
use tch::Tensor;
use tch::nn::Path;

use super::{as_sequence, pool_5_by_2_same, pool_5_by_2_same_onnx};

/// Four convolutions (256, 256, 128, 64 filters of 5, each with ReLU, a "same" max pool of 5 by 2 and dropout .2), dense 32
/// with ReLU, dropout .3, output. 557,288 parameters with 8 classes.
#[derive(Debug)]
pub struct DeepCnn1d {
    convolutions: Vec<Conv1d>,
    dense: Linear,
    output: Linear,
    /// After each convolution, and before the output.
    dropout: [f64; 2],
}

impl DeepCnn1d {
    /// Fresh weights in the store of `path`.
    ///
    /// # Errors
    /// LibTorch's.
    pub fn new(path: &Path, classes: i64) -> Result<Self> {
        let mut inputs = 1;
        let mut convolutions = Vec::new();
        for (index, filters) in [256, 256, 128, 64].into_iter().enumerate() {
            convolutions.push(Conv1d::new(&path.sub(format!("conv{index}")), inputs, filters, 5, 1, true)?);
            inputs = filters;
        }
        // 162 → 81 → 41 → 21 → 11
        Ok(Self {
            convolutions,
            dense: Linear::new(&path.sub("dense"), 11 * 64, 32)?,
            output: Linear::new(&path.sub("output"), 32, classes)?,
            dropout: [0.2, 0.3],
        })
    }

    /// The same without dropout, for comparisons and for data that needs none.
    #[must_use]
    pub fn without_dropout(self) -> Self {
        Self { dropout: [0.0; 2], ..self }
    }
}

impl Network for DeepCnn1d {
    /// # Shapes
    /// `[batch, 162]` → `[batch, classes]`
    fn forward(&self, input: &Tensor, train: bool) -> Result<Tensor> {
        let [after_convolution, before_output] = self.dropout;
        let mut hidden = as_sequence(input)?.f_unsqueeze(2)?;
        for convolution in &self.convolutions {
            // Wide convolutions, and pools above all, are quicker in this layout: a step takes two thirds of the time.
            let wide = channels_last(&convolution.forward_row(&hidden)?)?;
            // The ReLU of the largest is the largest of the ReLUs, and half of the work.
            let mut pooled = pool_5_by_2_same(&wide)?;
            hidden = pooled.f_relu_()?.f_dropout(after_convolution, train)?;
        }
        let dense = self.dense.forward(&hidden.f_flatten(1, -1)?)?.f_relu()?.f_dropout(before_output, train)?;
        self.output.forward(&dense)
    }

    fn export<'g>(&self, input: Value<'g>) -> model_kit::Result<Value<'g>> {
        let mut hidden = input.unsqueeze(1);
        for convolution in &self.convolutions {
            hidden = pool_5_by_2_same_onnx(convolution.export(hidden)?.relu());
        }
        self.output.export(self.dense.export(hidden.flatten())?.relu())
    }
}
