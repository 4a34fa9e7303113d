//! What can be wrong with labels, scores and time spans.

use crate::Emotion;

/// An error of this crate. Every variant says what was expected and what came.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A name that is no emotion's.
    #[error(
        "unknown emotion {got:?}: expected one of angry, disgust, fear, happy, sad, surprise, neutral, calm, contempt"
    )]
    UnknownEmotion {
        /// The name that was given.
        got: String,
    },
    /// A label set without labels.
    #[error("a label set needs at least one emotion, got none")]
    EmptyLabelSet,
    /// A label set that names an emotion twice.
    #[error("a label set names each emotion once, got {emotion} twice")]
    DuplicateLabel {
        /// The emotion that stands twice.
        emotion: Emotion,
    },
    /// Another number of values than there are labels.
    #[error("expected {expected} values, one for each label, got {got}")]
    WrongLength {
        /// The number of labels.
        expected: usize,
        /// The number of values.
        got: usize,
    },
    /// A probability or logit that is not finite, or a negative probability.
    #[error("the value of {emotion} must be finite{}, got {value}", if *.probability { " and at least 0" } else { "" })]
    InvalidValue {
        /// The emotion whose value it is.
        emotion: Emotion,
        /// The offending value.
        value: f32,
        /// Whether a probability was expected (else a logit).
        probability: bool,
    },
    /// Probabilities whose sum is not 1.
    #[error("probabilities must sum to 1 (within {tolerance}), got {sum}")]
    NotNormalised {
        /// The sum that was found.
        sum: f32,
        /// How far from 1 the sum may lie.
        tolerance: f32,
    },
    /// Scores over one label set where another was needed.
    #[error("expected scores over [{expected}], got [{got}]")]
    LabelMismatch {
        /// The label set that was needed.
        expected: String,
        /// The label set that came.
        got: String,
    },
    /// Scores that keep no probability at all after a mapping to other labels.
    #[error("no probability is left on [{target}]: nothing to renormalise")]
    NothingLeft {
        /// The label set that was mapped to.
        target: String,
    },
    /// A time span whose bounds are not finite or are reversed.
    #[error("a time span needs finite bounds with start <= end, got {start} to {end} seconds")]
    InvalidTimeSpan {
        /// The start given, in seconds.
        start: f64,
        /// The end given, in seconds.
        end: f64,
    },
}
