//! The plain deep CNN for faces of the "miniGENIE" line of work, a Keras network, with Keras' layer settings.

use model_kit::layers::{BatchNorm, Conv2d, Linear, Network, Result, glorot};
use tch::Tensor;
use tch::nn::Path;

use super::{KERAS_EPS, KERAS_MOMENTUM};

const WIDTHS: [i64; 4] = [64, 128, 256, 512];
const DENSE: [i64; 3] = [256, 128, 64];
/// Behind each block, behind each dense layer.
const DROPOUT: [f64; 2] = [0.2, 0.5];

/// Four blocks of two [3×3 convolution, ELU, batch norm], each block with a 2×2 max pool and dropout 0.2 behind it
/// (64, 128, 256, 512 filters), then dense layers of 256, 128 and 64 units, each with ELU, batch norm and dropout 0.5.
/// 5,910,471 trainable parameters for seven classes.
#[derive(Debug)]
pub struct MiniGenieCnn {
    convolutions: Vec<(Conv2d, BatchNorm)>,
    dense: Vec<(Linear, BatchNorm)>,
    head: Linear,
    dropout: [f64; 2],
}

impl MiniGenieCnn {
    /// # Errors
    /// LibTorch's.
    pub fn new(path: &Path, classes: i64) -> Result<Self> {
        let norm = |path: &Path, channels| BatchNorm::with(&path.sub("norm"), channels, KERAS_MOMENTUM, KERAS_EPS);
        let mut convolutions = Vec::new();
        let mut inputs = 1;
        for (block, &outputs) in WIDTHS.iter().enumerate() {
            for layer in 1..=2 {
                let path = path.sub(format!("block{}", block + 1)).sub(format!("layer{layer}"));
                let init = glorot(&[outputs, inputs, 3, 3]);
                let conv = Conv2d::with_init(&path.sub("conv"), inputs, outputs, 3, 1, true, init)?;
                convolutions.push((conv, norm(&path, outputs)?));
                inputs = outputs;
            }
        }
        let mut dense = Vec::new();
        let mut inputs = 512 * 3 * 3;
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

impl Network for MiniGenieCnn {
    /// # Shapes
    /// `[batch, 1, 48, 48]` → `[batch, classes]`
    fn forward(&self, input: &Tensor, train: bool) -> Result<Tensor> {
        self.head.forward(&self.features(input, train)?)
    }

    /// # Shapes
    /// `[batch, 1, 48, 48]` → `[batch, 64]`
    fn features(&self, input: &Tensor, train: bool) -> Result<Tensor> {
        let mut hidden = input.shallow_clone();
        for (index, (conv, norm)) in self.convolutions.iter().enumerate() {
            hidden = norm.forward(&conv.forward(&hidden)?.f_elu()?, train)?;
            if index % 2 == 1 {
                hidden =
                    hidden.f_max_pool2d([2, 2], [2, 2], [0, 0], [1, 1], false)?.f_dropout(self.dropout[0], train)?;
            }
        }
        hidden = hidden.f_flatten(1, -1)?;
        for (linear, norm) in &self.dense {
            hidden = norm.forward(&linear.forward(&hidden)?.f_elu()?, train)?.f_dropout(self.dropout[1], train)?;
        }
        Ok(hidden)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Arch, parameters};

    #[test]
    fn has_the_counted_parameters() {
        assert_eq!(parameters(&Arch::MiniGenieCnn, 7), 5_910_471);
    }
}
