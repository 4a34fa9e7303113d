//! A small CNN for expressions in real time, a Keras network with "same" padding.

use model_kit::export::Value;
use model_kit::layers::{Conv2d, Linear, Network, Result, channels_last, glorot};
use tch::Tensor;
use tch::nn::Path;

const WIDTHS: [i64; 4] = [32, 64, 128, 256];
/// Behind each block, rising from 0.25 to 0.4, and behind the dense layers, for which the source names no figure.
const DROPOUT: [f64; 5] = [0.25, 0.3, 0.35, 0.4, 0.5];
const DENSE: [i64; 2] = [512, 256];

/// Four blocks of [3×3 convolution, ReLU, 2×2 max pool, dropout] with 32, 64, 128 and 256 filters, then dense layers of
/// 512 and 256 units with ReLU and dropout. 1,701,127 trainable parameters for seven classes.
#[derive(Debug)]
pub struct RealtimeCnn {
    convolutions: Vec<Conv2d>,
    dense: Vec<Linear>,
    head: Linear,
    dropout: [f64; 5],
    /// Whether pictures are laid out channels-last behind the first convolution.
    folded: bool,
}

impl RealtimeCnn {
    /// # Errors
    /// LibTorch's.
    pub fn new(path: &Path, classes: i64) -> Result<Self> {
        let mut convolutions = Vec::new();
        let mut inputs = 1;
        for (block, &outputs) in WIDTHS.iter().enumerate() {
            let path = path.sub(format!("conv{}", block + 1));
            convolutions.push(Conv2d::with_init(&path, inputs, outputs, 3, 1, true, glorot(&[outputs, inputs, 3, 3]))?);
            inputs = outputs;
        }
        let mut dense = Vec::new();
        let mut inputs = 256 * 3 * 3;
        for (layer, &outputs) in DENSE.iter().enumerate() {
            let path = path.sub(format!("dense{}", layer + 1));
            dense.push(Linear::with_init(&path, inputs, outputs, glorot(&[outputs, inputs]))?);
            inputs = outputs;
        }
        let head = Linear::with_init(&path.sub("head"), inputs, classes, glorot(&[classes, inputs]))?;
        Ok(Self { convolutions, dense, head, dropout: DROPOUT, folded: false })
    }

    /// The same network with nothing left out in training, for comparison with other implementations.
    #[must_use]
    pub fn without_dropout(mut self) -> Self {
        self.dropout = [0.0; 5];
        self
    }
}

impl Network for RealtimeCnn {
    /// # Shapes
    /// `[batch, 1, 48, 48]` → `[batch, classes]`
    fn forward(&self, input: &Tensor, train: bool) -> Result<Tensor> {
        self.head.forward(&self.features(input, train)?)
    }

    /// # Shapes
    /// `[batch, 1, 48, 48]` → `[batch, 256]`
    fn features(&self, input: &Tensor, train: bool) -> Result<Tensor> {
        let mut hidden = input.shallow_clone();
        for (index, (conv, dropout)) in self.convolutions.iter().zip(self.dropout).enumerate() {
            let mut output = conv.forward(&hidden)?;
            if self.folded && index == 0 {
                output = channels_last(&output)?;
            }
            // The ReLU of the largest is the largest of the ReLUs, and a quarter of the work.
            let mut pooled = output.f_max_pool2d([2, 2], [2, 2], [0, 0], [1, 1], false)?;
            hidden = pooled.f_relu_()?.f_dropout(dropout, train)?;
        }
        hidden = hidden.f_flatten(1, -1)?;
        for linear in &self.dense {
            hidden = linear.forward(&hidden)?.f_relu_()?.f_dropout(self.dropout[4], train)?;
        }
        Ok(hidden)
    }

    /// There is no batch norm, but a quicker layout.
    fn fold(&mut self) -> Result<()> {
        self.folded = true;
        self.convolutions.iter_mut().try_for_each(Conv2d::fold)
    }

    fn export<'g>(&self, input: Value<'g>) -> model_kit::Result<Value<'g>> {
        let mut hidden = input;
        for conv in &self.convolutions {
            hidden = conv.export(hidden)?.relu().max_pool(&[2, 2], &[2, 2], &[0, 0], false);
        }
        hidden = hidden.flatten();
        for linear in &self.dense {
            hidden = linear.export(hidden)?.relu();
        }
        self.head.export(hidden)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Arch, parameters};

    #[test]
    fn has_the_counted_parameters() {
        assert_eq!(parameters(&Arch::RealtimeCnn, 7), 1_701_127);
    }
}
