//! The seam between emotion models and everything that uses them.

use crate::{LabelSet, Scores};

/// Any error of an implementor, with its sources kept.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A model that turns inputs (face crops, windows of speech) into [`Scores`].
///
/// # For implementors
/// `predict_batch` returns exactly one result per input, in the order of the inputs, each over [`labels`](Self::labels).
/// An empty batch gives an empty vector. The result for an input does not depend on its neighbours in the batch.
pub trait EmotionModel: Send {
    /// What the model looks at or listens to.
    type Input;

    /// The labels of every result, in order.
    fn labels(&self) -> &LabelSet;

    /// A short name with version, for reports.
    fn name(&self) -> &str;

    /// Scores for each input.
    ///
    /// # Errors
    /// Whatever keeps the model from answering: an input of the wrong shape or with values that are not finite, or a
    /// failing backend.
    fn predict_batch(&self, inputs: &[Self::Input]) -> Result<Vec<Scores>, BoxError>;
}
