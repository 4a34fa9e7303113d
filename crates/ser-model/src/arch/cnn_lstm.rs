//! Convolutions, then a recurrent layer over what they found.

use model_kit::layers::{Conv1d, Linear, Network, Result};
use tch::nn::{Init, Path};
use tch::{Kind, Tensor};

use super::as_sequence;

/// Units of the recurrent layer.
const UNITS: i64 = 128;

/// Two convolutions (64, 128 filters of 5, each with ReLU and a max pool of 2), an LSTM of 128 over the 40 places that are
/// left, dense 64 with ReLU on its last state, output.
#[derive(Debug)]
pub struct CnnLstm {
    convolutions: Vec<Conv1d>,
    /// `weight_ih`, `weight_hh`, `bias_ih`, `bias_hh`, as PyTorch names and shapes them.
    lstm: [Tensor; 4],
    dense: Linear,
    output: Linear,
}

impl CnnLstm {
    /// Fresh weights in the store of `path`.
    ///
    /// # Errors
    /// LibTorch's.
    pub fn new(path: &Path, classes: i64) -> Result<Self> {
        let lstm = path.sub("lstm");
        // PyTorch's own start of a recurrent layer.
        let bound = 1.0 / (UNITS as f64).sqrt();
        let init = Init::Uniform { lo: -bound, up: bound };
        Ok(Self {
            convolutions: vec![
                Conv1d::new(&path.sub("conv0"), 1, 64, 5, 1, true)?,
                Conv1d::new(&path.sub("conv1"), 64, 128, 5, 1, true)?,
            ],
            lstm: [
                lstm.f_var("weight_ih", &[4 * UNITS, 128], init)?,
                lstm.f_var("weight_hh", &[4 * UNITS, UNITS], init)?,
                lstm.f_var("bias_ih", &[4 * UNITS], init)?,
                lstm.f_var("bias_hh", &[4 * UNITS], init)?,
            ],
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
        let sequence = hidden.f_transpose(1, 2)?;
        let start = Tensor::f_zeros([1, sequence.size()[0], UNITS], (Kind::Float, sequence.device()))?;
        let weights = self.lstm.each_ref();
        let (_, last, _) = sequence.f_lstm(&[&start, &start], &weights, true, 1, 0.0, train, false, true)?;
        self.output.forward(&self.dense.forward(&last.f_squeeze_dim(0)?)?.f_relu()?)
    }
}
