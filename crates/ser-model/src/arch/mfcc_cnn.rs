//! The two-dimensional network on the picture of the MFCCs.

use model_kit::export::Value;
use model_kit::layers::{Conv2d, Linear, Network, Result};
use tch::nn::Path;
use tch::{Kind, Tensor};

use super::MFCC_FRAMES;

/// The MFCCs of 128 frames as a picture of one channel: three convolutions (32, 64, 128 filters of 3×3, each with ReLU and
/// a max pool of 2), dense 128 with ReLU, dropout .3, output. What lies beyond the sound is 0, the mean of the training
/// clips. 1,404,552 parameters with 40 coefficients and 8 classes.
///
/// The name and the idea are those of a paper with 97 % on RAVDESS that tells neither widths nor split; the widths are this
/// crate's.
#[derive(Debug)]
pub struct MfccCnn {
    rows: i64,
    convolutions: Vec<Conv2d>,
    dense: Linear,
    output: Linear,
    dropout: f64,
}

impl MfccCnn {
    /// Fresh weights in the store of `path`, for pictures of `rows` (8 or more) by [`MFCC_FRAMES`].
    ///
    /// # Errors
    /// LibTorch's.
    pub fn new(path: &Path, rows: i64, classes: i64) -> Result<Self> {
        let (mut inputs, mut convolutions) = (1, Vec::new());
        for (index, filters) in [32, 64, 128].into_iter().enumerate() {
            convolutions.push(Conv2d::new(&path.sub(format!("conv{index}")), inputs, filters, 3, 1, true)?);
            inputs = filters;
        }
        let places = (rows / 8) * (MFCC_FRAMES / 8);
        Ok(Self {
            rows,
            convolutions,
            dense: Linear::new(&path.sub("dense"), inputs * places, 128)?,
            output: Linear::new(&path.sub("output"), 128, classes)?,
            dropout: 0.3,
        })
    }

    /// The same without dropout, for comparisons and for data that needs none.
    #[must_use]
    pub fn without_dropout(self) -> Self {
        Self { dropout: 0.0, ..self }
    }
}

impl Network for MfccCnn {
    /// # Shapes
    /// `[batch, rows + 1, 128]`, the last row (which tells sound from padding) unread → `[batch, classes]`
    fn forward(&self, input: &Tensor, train: bool) -> Result<Tensor> {
        let mut hidden = input.f_to_kind(Kind::Float)?.f_narrow(1, 0, self.rows)?.f_unsqueeze(1)?;
        for convolution in &self.convolutions {
            hidden = convolution.forward(&hidden)?.f_relu()?.f_max_pool2d([2, 2], [2, 2], [0, 0], [1, 1], false)?;
        }
        let dense = self.dense.forward(&hidden.f_flatten(1, -1)?)?.f_relu()?.f_dropout(self.dropout, train)?;
        self.output.forward(&dense)
    }

    fn export<'g>(&self, input: Value<'g>) -> model_kit::Result<Value<'g>> {
        let mut hidden = input.slice(1, 0, self.rows, 1).unsqueeze(1);
        for convolution in &self.convolutions {
            hidden = convolution.export(hidden)?.relu().max_pool(&[2, 2], &[2, 2], &[0, 0], false);
        }
        self.output.export(self.dense.export(hidden.flatten())?.relu())
    }
}
