//! Convolutions, then a recurrent layer over what they found.

use model_kit::export::Value;
use model_kit::layers::{Cell, Conv1d, Linear, Network, Recurrent, Result};
use tch::Tensor;
use tch::nn::Path;

use super::as_sequence;

/// Of the LSTM.
const UNITS: i64 = 128;

/// Two convolutions (64, 128 filters of 5, each with ReLU and a max pool of 2), an LSTM of 128 over the 40 places that are
/// left, dense 64 with ReLU on its last state, output. No dropout.
#[derive(Debug)]
pub struct CnnLstm {
    convolutions: Vec<Conv1d>,
    lstm: Recurrent,
    dense: Linear,
    output: Linear,
}

impl CnnLstm {
    /// Fresh weights in the store of `path`.
    ///
    /// # Errors
    /// LibTorch's.
    pub fn new(path: &Path, classes: i64) -> Result<Self> {
        Ok(Self {
            convolutions: vec![
                Conv1d::new(&path.sub("conv0"), 1, 64, 5, 1, true)?,
                Conv1d::new(&path.sub("conv1"), 64, 128, 5, 1, true)?,
            ],
            lstm: Recurrent::new(&path.sub("lstm"), Cell::Lstm, 128, UNITS, 1)?,
            dense: Linear::new(&path.sub("dense"), UNITS, 64)?,
            output: Linear::new(&path.sub("output"), 64, classes)?,
        })
    }
}

impl Network for CnnLstm {
    /// # Shapes
    /// `[batch, 162]` → `[batch, classes]`
    fn forward(&self, input: &Tensor, train: bool) -> Result<Tensor> {
        let mut hidden = as_sequence(input)?;
        for convolution in &self.convolutions {
            hidden = convolution.forward(&hidden)?.f_relu()?.f_max_pool1d([2], [2], [0], [1], false)?;
        }
        let states = self.lstm.forward(&hidden.f_transpose(1, 2)?, 0.0, train)?;
        self.output.forward(&self.dense.forward(&states.f_select(1, -1)?)?.f_relu()?)
    }

    fn export<'g>(&self, input: Value<'g>) -> model_kit::Result<Value<'g>> {
        let mut hidden = input.unsqueeze(1);
        for convolution in &self.convolutions {
            hidden = convolution.export(hidden)?.relu().max_pool(&[2], &[2], &[0], false);
        }
        let states = self.lstm.export(hidden.permute(&[0, 2, 1]))?;
        self.output.export(self.dense.export(states.select(1, -1))?.relu())
    }
}
