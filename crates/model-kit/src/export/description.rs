//! What goes with an exported network: how to prepare its input and how to read its output.

use serde::Serialize;
use tch::{Device, Kind, Tensor};

use crate::Result;

/// What another program needs to know beside the network itself.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Description {
    /// Name and version of the model.
    pub name: String,
    /// What the outputs mean, in order.
    pub labels: Vec<String>,
    /// What logits are divided by before the softmax, above 0.
    pub temperature: f32,
    /// The shape of the input, the batch first.
    pub input: Vec<Dim>,
    /// How to prepare the input, as plain data that names every number.
    pub normalisation: serde_json::Value,
}

/// A dimension of an input.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Dim {
    /// Always this size.
    Fixed(i64),
    /// Any size from 1, by name.
    Free(&'static str),
}

impl Description {
    /// An input to try the network on: numbers from −1 to 1 that follow no pattern a network would notice, always the same.
    ///
    /// # Shapes
    /// [`input`](Self::input) with these sizes for the batch and for every other free dimension
    ///
    /// # Errors
    /// [`Error::Backend`](crate::Error::Backend) for a device that is not there.
    pub fn sample(&self, (batch, free): (i64, i64), device: Device) -> Result<Tensor> {
        let shape = self.shape(batch, free);
        let numbers = Tensor::f_arange(shape.iter().product::<i64>(), (Kind::Double, device))?;
        Ok(numbers.f_square()?.f_mul_scalar(0.731)?.f_sin()?.f_to_kind(Kind::Float)?.f_view(shape.as_slice())?)
    }

    fn shape(&self, batch: i64, free: i64) -> Vec<i64> {
        let sizes = self.input.iter().enumerate();
        let size = |(place, dim): (usize, &Dim)| match *dim {
            Dim::Fixed(size) => size,
            Dim::Free(_) if place == 0 => batch,
            Dim::Free(_) => free,
        };
        sizes.map(size).collect()
    }

    /// The fields as texts, everything but plain words in JSON.
    pub(crate) fn properties(&self) -> Result<Vec<(&'static str, String)>> {
        Ok(vec![
            ("name", self.name.clone()),
            ("labels", json(&self.labels)?),
            ("temperature", json(&self.temperature)?),
            ("input", json(&self.input)?),
            ("normalisation", json(&self.normalisation)?),
        ])
    }

    /// All of it as one JSON object.
    pub(crate) fn to_json(&self) -> Result<String> {
        json(self)
    }
}

fn json(value: &impl Serialize) -> Result<String> {
    serde_json::to_string_pretty(value)
        .map_err(|error| crate::Error::input("description of a model", "plain data", error))
}
