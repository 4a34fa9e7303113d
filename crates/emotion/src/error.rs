//! What can go wrong in an analysis, by who is at fault.

use std::path::PathBuf;

use emotion_core::BoxError;

/// An error of this crate. Every variant names the file or setting at fault and keeps its source.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A setting out of its range.
    #[error("the setting `{field}` must be {expected}, got {got}")]
    InvalidConfig {
        /// The name of the setting.
        field: &'static str,
        /// What it may be.
        expected: &'static str,
        /// What it was.
        got: String,
    },
    /// A file or folder that cannot be read or written.
    #[error("cannot access {}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// A file that is no video, sound or picture, or is damaged beyond reading.
    #[cfg(feature = "video")]
    #[error(transparent)]
    Media {
        /// Names the file and the reason.
        #[from]
        source: video_io::Error,
    },
    /// Finding or cutting out faces failed.
    #[cfg(feature = "face")]
    #[error("cannot find faces")]
    Face {
        /// The reason.
        #[from]
        source: face_prep::Error,
    },
    /// A model that cannot be loaded or does not answer.
    #[error("the {what} failed")]
    Model {
        /// Which model, such as `face model mini`.
        what: String,
        /// The reason.
        #[source]
        source: BoxError,
    },
    /// Scores that cannot be fused.
    #[error("cannot fuse scores")]
    Fusion {
        /// The reason.
        #[from]
        source: fusion::Error,
    },
    /// Neither a face nor speech: there is nothing to read emotion from.
    #[error("nothing to read emotion from in {}: {face}; {voice}", path.display())]
    NothingFound {
        /// The file.
        path: PathBuf,
        /// Where faces were looked for, and how.
        face: String,
        /// Where speech was looked for, and how.
        voice: String,
    },
    /// A text that is no timeline of a known schema.
    #[error("not a timeline")]
    Timeline {
        /// What is wrong with it.
        #[source]
        source: BoxError,
    },
    /// A table that cannot be written.
    #[error("cannot write the table")]
    Table {
        /// The reason.
        #[source]
        source: BoxError,
    },
    /// A picture that cannot be drawn or encoded.
    #[error("cannot draw")]
    Drawing {
        /// The reason.
        #[source]
        source: BoxError,
    },
}

/// The result of this crate's functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;
