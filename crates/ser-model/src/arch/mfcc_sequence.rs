//! The recurrent baselines, with plain cells and with gates.

use model_kit::export::{Attribute, INT64, Value};
use model_kit::layers::{Cell, Linear, Network, Recurrent, Result};
use tch::nn::Path;
use tch::{Kind, Tensor};

use super::is_sound;

const LAYERS: i64 = 2;
const UNITS: i64 = 128;

/// Two layers of 128 units on the sequence of MFCCs, plain (Elman 1990) or LSTM (Hochreiter & Schmidhuber 1997); the state
/// after the last frame of sound, dropout .3, output. The "RNN" and "LSTM" rows of the comparison that the face networks
/// share. 55,816 parameters with plain cells, 220,168 with gates, 40 coefficients and 8 classes.
#[derive(Debug)]
pub struct MfccSequence {
    recurrent: Recurrent,
    output: Linear,
    dropout: f64,
}

impl MfccSequence {
    /// Fresh weights in the store of `path`, for sequences of `rows` numbers a frame.
    ///
    /// # Errors
    /// LibTorch's.
    pub fn new(path: &Path, cell: Cell, rows: i64, classes: i64) -> Result<Self> {
        let name = match cell {
            Cell::Tanh => "rnn",
            Cell::Lstm => "lstm",
        };
        Ok(Self {
            recurrent: Recurrent::new(&path.sub(name), cell, rows, UNITS, LAYERS)?,
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

impl Network for MfccSequence {
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

/// What a recurrent network has in mind after the last frame of sound, so that padding behind it changes nothing.
///
/// # Shapes
/// `[batch, rows + 1, frames]`, the last row above 0 where there is sound → `[batch, units]`
fn last_states(recurrent: &Recurrent, input: &Tensor, dropout: f64, train: bool) -> Result<Tensor> {
    let rows = input.size().get(1).copied().unwrap_or(0) - 1;
    let sound = input.f_narrow(1, rows, 1)?.f_squeeze_dim(1)?.f_gt(0.0)?;
    let sequence = input.f_to_kind(Kind::Float)?.f_narrow(1, 0, rows)?.f_transpose(1, 2)?.f_contiguous()?;
    let states = recurrent.forward(&sequence, dropout, train)?;
    let last = sound.f_sum_dim_intlist([1i64].as_slice(), true, Kind::Int64)?.f_sub_scalar(1)?.f_clamp_min(0)?;
    let places = last.f_unsqueeze(2)?.f_expand([-1, -1, UNITS], false)?;
    states.f_gather(1, &places, false)?.f_squeeze_dim(1)
}

/// [`last_states`] in an ONNX graph.
fn last_states_onnx<'g>(recurrent: &Recurrent, input: Value<'g>) -> model_kit::Result<Value<'g>> {
    let states = recurrent.export(input.slice(1, 0, -1, 1).permute(&[0, 2, 1]))?;
    let frames = is_sound(input.slice(1, -1, i64::MAX, 1)).sum(2);
    let last = frames.plus_number(-1.0).relu().unsqueeze(2).expand(&[1, 1, UNITS]);
    let places = last.node("Cast", &[], &[("to", Attribute::Int(INT64))]);
    Ok(states.node("GatherElements", &[places], &[("axis", Attribute::Int(1))]).squeeze(1))
}
