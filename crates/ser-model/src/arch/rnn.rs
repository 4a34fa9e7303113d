//! The recurrent baseline.

use model_kit::export::Value;
use model_kit::layers::{Cell, Linear, Network, Recurrent, Result};
use tch::Tensor;
use tch::nn::Path;

use super::{LAYERS, UNITS, last_states, last_states_onnx};

/// Two layers of 128 plain recurrent units (Elman 1990) on the sequence of MFCCs; the state after the last frame of sound,
/// dropout .3, output. The "RNN" row of the comparison that the face networks share. 55,816 parameters with 40 coefficients
/// and 8 classes.
#[derive(Debug)]
pub struct Rnn {
    recurrent: Recurrent,
    output: Linear,
    dropout: f64,
}

impl Rnn {
    /// Fresh weights in the store of `path`, for sequences of `rows` numbers a frame.
    ///
    /// # Errors
    /// LibTorch's.
    pub fn new(path: &Path, rows: i64, classes: i64) -> Result<Self> {
        Ok(Self {
            recurrent: Recurrent::new(&path.sub("rnn"), Cell::Tanh, rows, UNITS, LAYERS)?,
            output: Linear::new(&path.sub("output"), UNITS, classes)?,
            dropout: 0.3,
        })
    }

    /// The same without dropout, for comparisons and for data that needs none.
    #[must_use]
    pub fn without_dropout(self) -> Self {
        Self { dropout: 0.0, ..self }
    }
}

impl Network for Rnn {
    /// # Shapes
    /// `[batch, rows + 1, frames]`, the last row above 0 where there is sound, which begins with the first frame →
    /// `[batch, classes]`
    fn forward(&self, input: &Tensor, train: bool) -> Result<Tensor> {
        let last = last_states(&self.recurrent, input, self.dropout, train)?;
        self.output.forward(&last.f_dropout(self.dropout, train)?)
    }

    fn export<'g>(&self, input: Value<'g>) -> model_kit::Result<Value<'g>> {
        self.output.export(last_states_onnx(&self.recurrent, input)?)
    }
}
