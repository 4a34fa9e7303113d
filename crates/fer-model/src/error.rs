//! What can go wrong with face pictures, their data sets and their networks.

use std::path::PathBuf;

use emotion_core::BoxError;

/// The result of this crate's functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of this crate. Every variant says what was expected and what came, and names the file if there is one.
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
    /// Data that cannot be worked with: empty, or of the wrong size.
    #[error("invalid {what}: expected {expected}, got {got}")]
    InvalidInput {
        /// What is at fault.
        what: &'static str,
        /// What was expected.
        expected: String,
        /// What came.
        got: String,
    },
    /// A file that cannot be read.
    #[error("cannot access {}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// A data set's file whose text or picture is not what it should be.
    #[error("cannot read {}{}: expected {expected}", path.display(), line.map(|line| format!(", line {line}")).unwrap_or_default())]
    Decode {
        /// The file.
        path: PathBuf,
        /// The line, from 1, of a text file.
        line: Option<u64>,
        /// What should stand there.
        expected: String,
        /// Why it does not.
        #[source]
        source: Option<BoxError>,
    },
    /// A weights file that is no face model of this crate.
    #[error("{} holds no face model: {reason}", path.display())]
    NoModel {
        /// The file, or the name of embedded bytes.
        path: PathBuf,
        /// What is missing or wrong.
        reason: String,
    },
    /// The embedded weights were left out of this build.
    #[error("this build has no pretrained weights: enable the feature `pretrained` of fer-model, or load a file")]
    NotEmbedded,
    /// A failing network, trainer or weights file.
    #[error("the face network failed")]
    Model {
        /// What failed.
        #[from]
        source: model_kit::Error,
    },
    /// A picture that cannot be resized or changed.
    #[error("the face picture cannot be prepared")]
    Picture {
        /// What is wrong with it.
        #[from]
        source: face_prep::Error,
    },
    /// Scores that are no probabilities, such as those of a network with broken weights.
    #[error("the network's answer is no probability vector")]
    Scores {
        /// What is wrong with them.
        #[from]
        source: emotion_core::Error,
    },
}

impl Error {
    pub(crate) fn input(what: &'static str, expected: impl Into<String>, got: impl ToString) -> Self {
        Self::InvalidInput { what, expected: expected.into(), got: got.to_string() }
    }
}

impl From<tch::TchError> for Error {
    fn from(source: tch::TchError) -> Self {
        Self::Model { source: source.into() }
    }
}
