//! What can be wrong with a setting, a signal or a sound file.

use std::path::PathBuf;

/// The result of everything in this crate that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of this crate. Every variant says what was expected and what came.
///
/// Where librosa raises `ParameterError` (or lets another exception through), this crate returns one of these.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A setting that no signal can be processed with.
    #[error("{parameter} must be {expected}, got {got}")]
    InvalidConfig {
        /// The setting, by librosa's name for it.
        parameter: &'static str,
        /// What the setting may be.
        expected: String,
        /// What it was.
        got: String,
    },
    /// An input that the operation is not defined for.
    #[error("{input} must be {expected}, got {got}")]
    InvalidInput {
        /// The input.
        input: &'static str,
        /// What it may be.
        expected: String,
        /// What it was.
        got: String,
    },
    /// A sample, or a value of a spectrogram, that is NaN or infinite.
    #[error("every sample must be finite, got {value} at index {index}")]
    NotFinite {
        /// Where the first such value stands.
        index: usize,
        /// The value.
        value: f64,
    },
    /// Fewer samples than one frame needs.
    #[error("expected at least {expected} samples for one frame, got {got}")]
    TooShort {
        /// The samples needed.
        expected: usize,
        /// The samples given.
        got: usize,
    },
    /// An array of another shape than was needed.
    #[error("{input} must have shape {expected:?}, got {got:?}")]
    WrongShape {
        /// The array.
        input: &'static str,
        /// The shape needed.
        expected: Vec<usize>,
        /// The shape given.
        got: Vec<usize>,
    },
    /// A file that cannot be read at all.
    #[error("cannot read {path}", path = path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A file that is not the sound file it should be, or that is damaged.
    #[error("cannot decode {path}", path = path.display())]
    Decode {
        /// The file.
        path: PathBuf,
        /// What the decoder says.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A file that is in no format this build reads.
    #[error("{path} must be one of {expected}, got {got}", path = path.display())]
    UnsupportedFormat {
        /// The file.
        path: PathBuf,
        /// The formats that this build reads.
        expected: &'static str,
        /// What the file is.
        got: String,
    },
}

impl Error {
    pub(crate) fn config(parameter: &'static str, expected: impl Into<String>, got: impl ToString) -> Self {
        Self::InvalidConfig { parameter, expected: expected.into(), got: got.to_string() }
    }

    pub(crate) fn input(input: &'static str, expected: impl Into<String>, got: impl ToString) -> Self {
        Self::InvalidInput { input, expected: expected.into(), got: got.to_string() }
    }

    pub(crate) fn shape(input: &'static str, expected: &[usize], got: &[usize]) -> Self {
        Self::WrongShape { input, expected: expected.to_vec(), got: got.to_vec() }
    }
}
