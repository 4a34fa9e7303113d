//! The plain neural network that papers compare convolutions with.

use model_kit::export::Value;
use model_kit::layers::{Linear, Network, Result};
use tch::Tensor;
use tch::nn::Path;

use crate::dataset::PIXELS;

const WIDTHS: [i64; 3] = [1024, 512, 256];
const DROPOUT: f64 = 0.3;

/// Dense layers of 1024, 512 and 256 units on the pixels, each with ReLU and dropout 0.3 (all figures are ours).
/// 3,018,247 trainable parameters for seven classes.
#[derive(Debug)]
pub struct Mlp {
    dense: Vec<Linear>,
    head: Linear,
    dropout: f64,
}

impl Mlp {
    /// # Errors
    /// LibTorch's.
    pub fn new(path: &Path, classes: i64) -> Result<Self> {
        let mut dense = Vec::new();
        let mut inputs = PIXELS as i64;
        for (layer, &outputs) in WIDTHS.iter().enumerate() {
            dense.push(Linear::new(&path.sub(format!("dense{}", layer + 1)), inputs, outputs)?);
            inputs = outputs;
        }
        Ok(Self { dense, head: Linear::new(&path.sub("head"), inputs, classes)?, dropout: DROPOUT })
    }

    /// The same network with nothing left out in training, for comparison with other implementations.
    #[must_use]
    pub fn without_dropout(mut self) -> Self {
        self.dropout = 0.0;
        self
    }
}

impl Network for Mlp {
    /// # Shapes
    /// `[batch, 1, 48, 48]` → `[batch, classes]`
    fn forward(&self, input: &Tensor, train: bool) -> Result<Tensor> {
        self.head.forward(&self.features(input, train)?)
    }

    /// # Shapes
    /// `[batch, 1, 48, 48]` → `[batch, 256]`
    fn features(&self, input: &Tensor, train: bool) -> Result<Tensor> {
        let mut hidden = input.f_flatten(1, -1)?;
        for dense in &self.dense {
            hidden = dense.forward(&hidden)?.f_relu()?.f_dropout(self.dropout, train)?;
        }
        Ok(hidden)
    }

    fn export<'g>(&self, input: Value<'g>) -> model_kit::Result<Value<'g>> {
        let mut hidden = input.flatten();
        for dense in &self.dense {
            hidden = dense.export(hidden)?.relu();
        }
        self.head.export(hidden)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Arch, parameters};

    #[test]
    fn has_the_counted_parameters() {
        assert_eq!(parameters(&Arch::Mlp, 7), 3_018_247);
    }
}
