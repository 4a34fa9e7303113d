//! Five convolutions and three dense layers, a Keras network; the source names no widths, the ones here are ours.

use model_kit::export::Value;
use model_kit::layers::{BatchNorm, Conv2d, Linear, Network, Result, glorot};
use tch::Tensor;
use tch::nn::Path;

use super::{KERAS_EPS, KERAS_MOMENTUM};

const WIDTHS: [i64; 5] = [64, 128, 256, 512, 512];
/// Behind each convolution, behind each dense layer.
const DROPOUT: [f64; 2] = [0.25, 0.5];
const DENSE: [i64; 3] = [512, 256, 128];

/// Five blocks of [3×3 convolution, batch norm, ReLU, 2×2 max pool, dropout 0.25] with 64, 128, 256, 512 and 512 filters,
/// then dense layers of 512, 256 and 128 units, each with batch norm, ReLU and dropout 0.5. 4,342,151 trainable
/// parameters for seven classes.
#[derive(Debug)]
pub struct FiveConvCnn {
    convolutions: Vec<(Conv2d, BatchNorm)>,
    dense: Vec<(Linear, BatchNorm)>,
    head: Linear,
    dropout: [f64; 2],
}

impl FiveConvCnn {
    /// # Errors
    /// LibTorch's.
    pub fn new(path: &Path, classes: i64) -> Result<Self> {
        let norm = |path: &Path, channels| BatchNorm::with(&path.sub("norm"), channels, KERAS_MOMENTUM, KERAS_EPS);
        let mut convolutions = Vec::new();
        let mut inputs = 1;
        for (block, &outputs) in WIDTHS.iter().enumerate() {
            let path = path.sub(format!("block{}", block + 1));
            let init = glorot(&[outputs, inputs, 3, 3]);
            let conv = Conv2d::with_init(&path.sub("conv"), inputs, outputs, 3, 1, true, init)?;
            convolutions.push((conv, norm(&path, outputs)?));
            inputs = outputs;
        }
        // 48 pixels halved five times, rounded down, leave one place.
        let mut dense = Vec::new();
        for (layer, &outputs) in DENSE.iter().enumerate() {
            let path = path.sub(format!("dense{}", layer + 1));
            let linear = Linear::with_init(&path.sub("linear"), inputs, outputs, glorot(&[outputs, inputs]))?;
            dense.push((linear, norm(&path, outputs)?));
            inputs = outputs;
        }
        let head = Linear::with_init(&path.sub("head"), inputs, classes, glorot(&[classes, inputs]))?;
        Ok(Self { convolutions, dense, head, dropout: DROPOUT })
    }

    /// The same network with nothing left out in training, for comparison with other implementations.
    #[must_use]
    pub fn without_dropout(mut self) -> Self {
        self.dropout = [0.0; 2];
        self
    }
}

impl Network for FiveConvCnn {
    /// # Shapes
    /// `[batch, 1, 48, 48]` → `[batch, classes]`
    fn forward(&self, input: &Tensor, train: bool) -> Result<Tensor> {
        self.head.forward(&self.features(input, train)?)
    }

    /// # Shapes
    /// `[batch, 1, 48, 48]` → `[batch, 128]`
    fn features(&self, input: &Tensor, train: bool) -> Result<Tensor> {
        let mut hidden = input.shallow_clone();
        for (conv, norm) in &self.convolutions {
            let output = norm.forward(&conv.forward(&hidden)?, train)?.f_relu()?;
            hidden = output.f_max_pool2d([2, 2], [2, 2], [0, 0], [1, 1], false)?.f_dropout(self.dropout[0], train)?;
        }
        hidden = hidden.f_flatten(1, -1)?;
        for (linear, norm) in &self.dense {
            let output = norm.forward(&linear.forward(&hidden)?, train)?.f_relu()?;
            hidden = output.f_dropout(self.dropout[1], train)?;
        }
        Ok(hidden)
    }

    fn export<'g>(&self, input: Value<'g>) -> model_kit::Result<Value<'g>> {
        let mut hidden = input;
        for (conv, norm) in &self.convolutions {
            hidden = norm.export(conv.export(hidden)?)?.relu().max_pool(&[2, 2], &[2, 2], &[0, 0], false);
        }
        hidden = hidden.flatten();
        for (linear, norm) in &self.dense {
            hidden = norm.export(linear.export(hidden)?)?.relu();
        }
        self.head.export(hidden)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Arch, parameters};

    #[test]
    fn has_the_counted_parameters() {
        assert_eq!(parameters(&Arch::FiveConvCnn, 7), 4_342_151);
    }
}
