//! A memory of what was heard before and after each moment.

use model_kit::export::{Attribute, INT64, Value};
use model_kit::layers::{Cell, Recurrent, Result};
use tch::nn::Path;
use tch::{Kind, Tensor};

use super::is_sound;

/// An LSTM in each direction over sequences that end at different places: the backward one begins where the sound ends, so
/// padding behind it changes nothing.
#[derive(Debug)]
pub(super) struct Memory {
    forwards: Recurrent,
    backwards: Recurrent,
}

impl Memory {
    /// `units` in each direction.
    pub(super) fn new(path: &Path, inputs: i64, units: i64) -> Result<Self> {
        let one = |name: &str| Recurrent::new(&path.sub(name), Cell::Lstm, inputs, units, 1);
        Ok(Self { forwards: one("forwards")?, backwards: one("backwards")? })
    }

    /// # Shapes
    /// `sequence` `[batch, frames, inputs]`, `mask` `[batch, frames, 1]` of 0 and 1 → `[batch, frames, 2 · units]`
    pub(super) fn forward(&self, sequence: &Tensor, mask: &Tensor, train: bool) -> Result<Tensor> {
        let turned = turned(mask)?;
        let turn = |sequence: &Tensor| sequence.f_flatten(0, 1)?.f_index_select(0, &turned)?.f_view_as(sequence);
        let before = self.forwards.forward(sequence, 0.0, train)?;
        let after = turn(&self.backwards.forward(&turn(sequence)?, 0.0, train)?)?;
        Tensor::f_cat(&[before.f_mul(mask)?, after.f_mul(mask)?], 2)
    }

    /// [`forward`](Self::forward) in an ONNX graph.
    pub(super) fn export<'g>(&self, sequence: Value<'g>, mask: Value<'g>) -> model_kit::Result<Value<'g>> {
        let turned = turned_onnx(mask);
        let turn = |sequence: Value<'g>| {
            let places = turned.node("Expand", &[sequence.node("Shape", &[], &[])], &[]);
            sequence.node("GatherElements", &[places], &[("axis", Attribute::Int(1))])
        };
        let before = self.forwards.export(sequence)?;
        let after = turn(self.backwards.export(turn(sequence))?);
        Ok(before.times(mask).cat(after.times(mask), 2))
    }
}

/// Where each frame comes from when the sound is turned round and the padding behind it stays, counted through the batch.
///
/// # Shapes
/// `mask` `[batch, frames, 1]` of 0 and 1 → `[batch · frames]`, whole numbers
fn turned(mask: &Tensor) -> Result<Tensor> {
    let places = places(mask)?;
    let last = mask.f_sum_dim_intlist([1i64].as_slice(), true, Kind::Int64)?.f_sub_scalar(1)?;
    let turned = last.f_sub(&places)?;
    let turned = places.f_where_self(&turned.f_lt(0)?, &turned)?.f_flatten(0, -1)?;
    // A frame's number in the batch, less its place, is where its clip begins.
    let rows = mask.f_ones_like()?.f_flatten(0, -1)?.f_cumsum(0, Kind::Int64)?.f_sub_scalar(1)?;
    rows.f_sub(&places.f_flatten(0, -1)?)?.f_add(&turned)
}

/// [`turned`] in an ONNX graph.
fn turned_onnx(mask: Value<'_>) -> Value<'_> {
    let places = places_onnx(mask);
    let last = mask.sum(1).unsqueeze(1).plus_number(-1.0);
    let turned = last.minus(places);
    // Where that is below 0 there is padding.
    let padding = is_sound(places.minus(last));
    let turned = turned.plus(padding.times(places.minus(turned)));
    turned.node("Cast", &[], &[("to", Attribute::Int(INT64))])
}

/// The place of each frame: 0, 1, 2, …
///
/// # Shapes
/// `mask` `[batch, frames, 1]` → the same, whole numbers
pub(super) fn places(mask: &Tensor) -> Result<Tensor> {
    // Counted, for a trace would keep a size that is read as a number.
    mask.f_ones_like()?.f_cumsum(1, Kind::Int64)?.f_sub_scalar(1)
}

/// [`places`] in an ONNX graph, not yet as whole numbers.
pub(super) fn places_onnx(mask: Value<'_>) -> Value<'_> {
    let ones = mask.minus(mask).plus_number(1.0);
    ones.cumsum(1).minus(ones)
}
