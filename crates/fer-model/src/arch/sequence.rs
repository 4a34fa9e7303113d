//! Recurrent networks that read a face as a sequence of its 48 rows.

use model_kit::export::Value;
use model_kit::layers::{Cell, Linear, Network, Recurrent, Result};
use tch::Tensor;
use tch::nn::Path;

use crate::dataset::SIDE;

const UNITS: i64 = 128;
const LAYERS: i64 = 2;
const DROPOUT: f64 = 0.3;

/// Two recurrent layers of 128 units over the rows from top to bottom, then dropout 0.3 and a dense layer on what the last
/// row leaves (all figures are ours). For seven classes 56,711 trainable parameters with plain cells, 224,135 with LSTM.
#[derive(Debug)]
pub struct RowSequence {
    rows: Recurrent,
    head: Linear,
    dropout: f64,
}

impl RowSequence {
    /// # Errors
    /// LibTorch's.
    pub fn new(path: &Path, cell: Cell, classes: i64) -> Result<Self> {
        Ok(Self {
            rows: Recurrent::new(&path.sub("rows"), cell, SIDE as i64, UNITS, LAYERS)?,
            head: Linear::new(&path.sub("head"), UNITS, classes)?,
            dropout: DROPOUT,
        })
    }

    /// The same network with nothing left out in training, for comparison with other implementations.
    #[must_use]
    pub fn without_dropout(mut self) -> Self {
        self.dropout = 0.0;
        self
    }
}

impl Network for RowSequence {
    /// # Shapes
    /// `[batch, 1, 48, 48]` → `[batch, classes]`
    fn forward(&self, input: &Tensor, train: bool) -> Result<Tensor> {
        self.head.forward(&self.features(input, train)?)
    }

    /// # Shapes
    /// `[batch, 1, 48, 48]` → `[batch, 128]`
    fn features(&self, input: &Tensor, train: bool) -> Result<Tensor> {
        let outputs = self.rows.forward(&input.f_squeeze_dim(1)?, self.dropout, train)?;
        outputs.f_select(1, -1)?.f_dropout(self.dropout, train)
    }

    fn export<'g>(&self, input: Value<'g>) -> model_kit::Result<Value<'g>> {
        self.head.export(self.rows.export(input.squeeze(1))?.select(1, -1))
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Arch, parameters};

    #[test]
    fn both_have_the_counted_parameters() {
        assert_eq!(parameters(&Arch::Rnn, 7), 56_711);
        assert_eq!(parameters(&Arch::Lstm, 7), 224_135);
    }
}
