//! What can go wrong in training, evaluation and data handling, by who is at fault.

use std::io;
use std::path::PathBuf;

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
        source: emotion_core::BoxError,
    },
}

/// The result of this crate's functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;
