//! The vocabulary of emotion recognition, shared by every crate of the workspace: what an emotion is called
//! ([`Emotion`]), which of them a model speaks of and in what order ([`LabelSet`]), how sure it is of each
//! ([`Scores`]), and when ([`TimeSpan`]). It has no heavy dependency and does no work of its own.
//!
//! The models of this workspace read **expressed** emotion: what a face or a voice shows, not what a person feels.
//!
//! ```
//! use emotion_core::{Emotion, LabelSet, Scores};
//!
//! let scores = Scores::from_logits(&LabelSet::face7(), &[0.1, -1.0, 0.0, 2.5, 0.3, 0.2, 1.0])?;
//! let (emotion, probability) = scores.top();
//! assert_eq!(emotion, Emotion::Happy);
//! assert!(probability > 0.5);
//! # Ok::<(), emotion_core::Error>(())
//! ```

mod error;
mod label;
mod model;
mod scores;
mod time;

pub use error::Error;
pub use label::{Emotion, LabelSet};
pub use model::{BoxError, EmotionModel};
pub use scores::Scores;
pub use time::TimeSpan;
