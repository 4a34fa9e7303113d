//! The dense baseline.

use model_kit::export::Value;
use model_kit::layers::{Linear, Network, Result};
use tch::nn::Path;
use tch::{Kind, Tensor};

use super::VECTOR;

/// One hidden layer of 300 on the 162-vector: 162 → 300, ReLU, dropout .3 → classes.
#[derive(Debug)]
pub struct Mlp {
    hidden: Linear,
    output: Linear,
    dropout: f64,
}

impl Mlp {
    /// Fresh weights in the store of `path`.
    ///
    /// # Errors
    /// LibTorch's.
    pub fn new(path: &Path, classes: i64) -> Result<Self> {
        Ok(Self {
            hidden: Linear::new(&path.sub("hidden"), VECTOR, 300)?,
            output: Linear::new(&path.sub("output"), 300, classes)?,
            dropout: 0.3,
        })
    }

    /// The same without dropout, for comparisons and for data that needs none.
    #[must_use]
    pub fn without_dropout(self) -> Self {
        Self { dropout: 0.0, ..self }
    }
}

impl Network for Mlp {
    /// # Shapes
    /// `[batch, 162]` → `[batch, classes]`
    fn forward(&self, input: &Tensor, train: bool) -> Result<Tensor> {
        let hidden = self.hidden.forward(&input.f_to_kind(Kind::Float)?)?.f_relu()?.f_dropout(self.dropout, train)?;
        self.output.forward(&hidden)
    }

    fn export<'g>(&self, input: Value<'g>) -> model_kit::Result<Value<'g>> {
        self.output.export(self.hidden.export(input)?.relu())
    }
}
