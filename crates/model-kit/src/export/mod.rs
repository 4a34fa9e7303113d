//! Trained networks as files for other programs: **ONNX** for onnxruntime and its kin, **TorchScript** for PyTorch and
//! LibTorch.
//!
//! ```no_run
//! use model_kit::export::{Description, Dim, Format, write};
//! # fn example(network: &dyn model_kit::layers::Network) -> Result<(), model_kit::Error> {
//! let description = Description {
//!     name: "my network".into(),
//!     labels: vec!["calm".into(), "loud".into()],
//!     temperature: 1.0,
//!     input: vec![Dim::Free("batch"), Dim::Fixed(162)],
//!     normalisation: serde_json::json!({ "mean": 0.5, "deviation": 0.25 }),
//! };
//! write(network, tch::Device::Cpu, &description, "network.onnx".as_ref(), Format::Onnx)?;
//! # Ok(())
//! # }
//! ```
//!
//! A file maps a batch `input` of 32-bit floats to `logits`, with as many in the batch as the caller likes. What happens
//! before (resizing, features, normalisation) and after (the division by the temperature, the softmax) stays outside and is
//! told by the [`Description`]: in an ONNX file as its metadata, beside a TorchScript file `model.pt` as `model.pt.json`.
//!
//! - **ONNX**: a network adds itself to a [`Graph`] ([`Network::export`]), operation by operation, and the graph is encoded
//!   by a small protobuf writer of our own: opset 17, which onnxruntime has read since 1.12.
//! - **TorchScript**: LibTorch traces the network's own `forward`. A trace remembers the sizes that the code reads as
//!   numbers, so networks that are exported take sizes from tensors; every trace is run on another batch size, and refused
//!   when it answers differently from the network.

mod description;
mod graph;
mod onnx;
mod protobuf;
mod torchscript;

use std::fmt;
use std::path::Path;
use std::str::FromStr;

pub use description::{Description, Dim};
pub use graph::{Attribute, Graph, Value};
pub use onnx::{FLOAT, INT64, OPSET};

use crate::layers::Network;
use crate::weights::write_atomically;
use crate::{Error, Result};

/// A kind of file that a network can be written as.
///
/// Read from and written as `onnx` and `torchscript`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// Open Neural Network Exchange, for onnxruntime, OpenVINO, TensorRT, browsers and phones.
    Onnx,
    /// A traced module, for `torch.jit.load` in Python and `torch::jit::load` in C++.
    TorchScript,
}

impl Format {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Onnx, Self::TorchScript];

    /// The usual ending of a file's name: `onnx`, `pt`.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Onnx => "onnx",
            Self::TorchScript => "pt",
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Onnx => "onnx",
            Self::TorchScript => "torchscript",
        })
    }
}

impl FromStr for Format {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        let found = Self::ALL.into_iter().find(|format| format.to_string() == name);
        found.ok_or_else(|| Error::config("format", "onnx or torchscript", name))
    }
}

/// Writes a network on `device` as a file that other programs run. A file that was there is replaced, never half.
///
/// A TorchScript file keeps the device that the network is on: export from the processor what is to run anywhere.
///
/// # Errors
/// [`Error::NotExportable`] for a network that the format cannot say, [`Error::Io`], [`Error::Backend`].
pub fn write(
    network: &dyn Network,
    device: tch::Device,
    description: &Description,
    path: &Path,
    format: Format,
) -> Result<()> {
    match format {
        Format::Onnx => write_atomically(path, &onnx::encode(network, description)?),
        Format::TorchScript => torchscript::write(network, device, description, path),
    }
}
