//! What can go wrong, by who is at fault.

use std::path::PathBuf;

/// An error of this crate. Every variant says what was expected and what came.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A setting that makes no sense.
    #[error("invalid setting {name}: expected {expected}, got {got}")]
    InvalidConfig {
        /// The setting, as it is called in the config.
        name: &'static str,
        /// What would have been accepted.
        expected: String,
        /// What came.
        got: String,
    },
    /// A picture, box or point that cannot be worked on.
    #[error("invalid {name}: expected {expected}, got {got}")]
    InvalidInput {
        /// What was passed.
        name: &'static str,
        /// What would have been accepted.
        expected: String,
        /// What came.
        got: String,
    },
    /// A file that cannot be read.
    #[error("cannot read {}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A cascade that is not one of OpenCV's, or a broken one.
    #[error("broken cascade{}: expected {expected}, got {got}", at(path))]
    Cascade {
        /// The file, when it came from one.
        path: Option<PathBuf>,
        /// What the format asks for.
        expected: String,
        /// What stood there.
        got: String,
    },
    /// Text that is not well-formed XML.
    #[error("malformed XML{}", at(path))]
    Xml {
        /// The file, when it came from one.
        path: Option<PathBuf>,
        /// What the XML reader says.
        #[source]
        source: quick_xml::Error,
    },
    /// Weights that do not fit the network.
    #[cfg(feature = "mtcnn")]
    #[error("weights in {} do not fit: {problem}", path.display())]
    Weights {
        /// The file.
        path: PathBuf,
        /// All that is missing, unexpected or of the wrong shape.
        problem: String,
    },
    /// LibTorch failed.
    #[cfg(feature = "cnn")]
    #[error("LibTorch failed while {doing}")]
    Backend {
        /// The step that failed.
        doing: &'static str,
        /// What LibTorch says.
        #[source]
        source: tch::TchError,
    },
    /// A detector that is not of this crate failed.
    #[error("the detector {name} failed")]
    Detector {
        /// The detector's name.
        name: String,
        /// What it says.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl Error {
    pub(crate) fn config(name: &'static str, expected: impl Into<String>, got: impl ToString) -> Self {
        Self::InvalidConfig { name, expected: expected.into(), got: got.to_string() }
    }

    pub(crate) fn input(name: &'static str, expected: impl Into<String>, got: impl ToString) -> Self {
        Self::InvalidInput { name, expected: expected.into(), got: got.to_string() }
    }
}

/// `" in FILE"`, or nothing when there is no file.
fn at(path: &Option<PathBuf>) -> String {
    path.as_ref().map(|path| format!(" in {}", path.display())).unwrap_or_default()
}
