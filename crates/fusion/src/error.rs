//! What can be wrong with what is to be fused.

/// An error of this crate. Every variant says what was expected and what came.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A setting out of its range.
    #[error("{field} must be {expected}, got {got}")]
    InvalidConfig {
        /// The setting's name.
        field: &'static str,
        /// What it may be.
        expected: &'static str,
        /// What it was.
        got: String,
    },
    /// Every modality is missing.
    #[error("expected scores of at least one of {modalities} modalities, got none")]
    NothingToFuse {
        /// How many modalities were asked for.
        modalities: usize,
    },
    /// Another number of modalities than the fuser was made for.
    #[error("expected {expected} modalities, got {got}")]
    WrongModalities {
        /// The number of weights of the fuser.
        expected: usize,
        /// The number of parts given.
        got: usize,
    },
    /// Nothing to fit on.
    #[error("fitting {what} needs at least one usable example, got none among {given}")]
    NoExamples {
        /// What was to be fitted.
        what: &'static str,
        /// How many examples were given, usable or not.
        given: usize,
    },
    /// A moment that lies before the one pushed last.
    #[error("moments must come in order of time: got {got} s after {last} s")]
    TimeReversed {
        /// The last moment, in seconds.
        last: f64,
        /// The moment given, in seconds.
        got: f64,
    },
    /// Scores that cannot be brought onto the common labels.
    #[error("scores cannot be brought onto the common labels")]
    Scores {
        /// The reason.
        #[from]
        source: emotion_core::Error,
    },
}
