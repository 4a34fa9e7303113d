//! What can go wrong in training, evaluation and data handling, by who is at fault.

use std::io;
use std::path::{Path, PathBuf};

use emotion_core::BoxError;
use tch::TchError;

use crate::export::Format;

/// An error of this crate. Every variant says what was expected and what came, and keeps its source.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A setting out of its range.
    #[error("the setting `{field}` must be {expected}, got {got}")]
    InvalidConfig {
        /// The name of the setting.
        field: &'static str,
        /// What it may be.
        expected: String,
        /// What it was.
        got: String,
    },
    /// Data that cannot be worked with: of the wrong length, shape or kind.
    #[error("invalid {what}: expected {expected}, got {got}")]
    InvalidInput {
        /// What is at fault.
        what: &'static str,
        /// What was expected.
        expected: String,
        /// What came.
        got: String,
    },
    /// Labels or scores that do not fit together.
    #[error("labels and scores do not fit")]
    Scores {
        /// What does not fit.
        #[from]
        source: emotion_core::Error,
    },
    /// A file that cannot be read or written.
    #[error("cannot access {}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A file that can be read but not understood.
    #[error("cannot read {}: expected {expected}", path.display())]
    Decode {
        /// The file.
        path: PathBuf,
        /// What it should hold.
        expected: String,
        /// Why it does not.
        #[source]
        source: BoxError,
    },
    /// Weights that do not belong to the network; everything that is wrong is listed.
    #[error("the weights in {} do not fit the network{}", path.display(), list(missing, unexpected, mis_shaped))]
    Weights {
        /// The file, or the name of embedded bytes.
        path: PathBuf,
        /// Names that the network has and the file lacks.
        missing: Vec<String>,
        /// Names that the file has and the network lacks.
        unexpected: Vec<String>,
        /// Tensors of the same name but another shape.
        mis_shaped: Vec<ShapeMismatch>,
    },
    /// A network that cannot be written in a format for other programs.
    #[error("{network} cannot be written as {format}: {reason}")]
    NotExportable {
        /// The network's name or type.
        network: String,
        /// The format.
        format: Format,
        /// Why not.
        reason: String,
    },
    /// A failing LibTorch operation.
    #[error("LibTorch failed")]
    Backend {
        /// LibTorch's own words.
        #[from]
        source: TchError,
    },
    /// A device that was asked for and is not there.
    #[error("no device {wanted}: {reason}")]
    NoDevice {
        /// The device that was asked for.
        wanted: String,
        /// Why it cannot be had.
        reason: String,
    },
    /// A sample that its data set could not give.
    #[error("cannot prepare sample {index}")]
    Sample {
        /// The sample's place in its data set.
        index: usize,
        /// The data set's reason.
        #[source]
        source: BoxError,
    },
    /// Training ran away: the loss is no longer a finite number. The network was not stepped with it.
    #[error(
        "the loss became {loss} at step {step} (epoch {epoch}) with learning rate {learning_rate}; {}",
        match checkpoint { Some(path) => format!("last good checkpoint: {}", path.display()), None => "no checkpoint was written yet".into() }
    )]
    NonFiniteLoss {
        /// The loss.
        loss: f64,
        /// Steps taken before it, over all epochs.
        step: u64,
        /// The epoch, from 1.
        epoch: usize,
        /// The learning rate of the step.
        learning_rate: f64,
        /// The last checkpoint of this run, if one was written.
        checkpoint: Option<PathBuf>,
    },
    /// Training in f16 cannot go on: gradients overflow even where the loss is not scaled up. The network was not stepped
    /// with them.
    #[error(
        "the gradients are not finite in f16 at step {step} (epoch {epoch}) with learning rate {learning_rate}, however small the loss scale; bf16 or f32 may do"
    )]
    NonFiniteGradient {
        /// Steps taken before it, over all epochs.
        step: u64,
        /// The epoch, from 1.
        epoch: usize,
        /// The learning rate of the step.
        learning_rate: f64,
    },
    /// A chart that cannot be drawn.
    #[cfg(feature = "plots")]
    #[error("cannot draw the chart")]
    Drawing {
        /// What the drawing library said.
        #[source]
        source: BoxError,
    },
    /// A callback that stopped the training with an error of its own.
    #[error("a training callback failed")]
    Callback {
        /// Its reason.
        #[source]
        source: BoxError,
    },
}

/// The result of this crate's functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A tensor that has another shape in a file than in the network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShapeMismatch {
    /// The tensor's name.
    pub name: String,
    /// The network's shape.
    pub expected: Vec<i64>,
    /// The file's shape.
    pub got: Vec<i64>,
}

impl Error {
    pub(crate) fn io(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { path, source }
    }

    pub(crate) fn config(field: &'static str, expected: impl Into<String>, got: impl ToString) -> Self {
        Self::InvalidConfig { field, expected: expected.into(), got: got.to_string() }
    }

    pub(crate) fn input(what: &'static str, expected: impl Into<String>, got: impl ToString) -> Self {
        Self::InvalidInput { what, expected: expected.into(), got: got.to_string() }
    }
}

fn list(missing: &[String], unexpected: &[String], mis_shaped: &[ShapeMismatch]) -> String {
    let mut text = String::new();
    if !missing.is_empty() {
        text += &format!("; missing: {}", missing.join(", "));
    }
    if !unexpected.is_empty() {
        text += &format!("; unexpected: {}", unexpected.join(", "));
    }
    for ShapeMismatch { name, expected, got } in mis_shaped {
        text += &format!("; {name}: expected shape {expected:?}, got {got:?}");
    }
    text
}
