//! Emotion scores in, emotion scores out: over modalities, over frames and over time. Pure Rust, no heavy dependency.
//!
//! - [`Vote`] counts which emotion each analysed frame shows most.
//! - A [`Fuser`] combines what the face and the voice say: [`MeanFuser`], [`WeightedFuser`] (weights given or fitted),
//!   [`ProductFuser`], [`MaxFuser`], and [`QualityFuser`], which believes each modality as far as the quality of its input
//!   and its certainty deserve. All of them work when a modality is missing.
//! - An [`Aligner`] finds the window of speech that a moment of the face belongs to.
//! - A [`Smoother`] averages over time, looking only backwards; a [`Temperature`] calibrates; [`disagreement`] says how
//!   far two modalities contradict each other.
//!
//! Whatever labels the scores come with, results are over the seven of
//! [`LabelSet::face7`]: calm folds into neutral and contempt is dropped.
//!
//! ```
//! use emotion_core::{Emotion, LabelSet, Scores};
//! use fusion::{Fuser, MeanFuser, disagreement};
//!
//! let face = Scores::from_logits(&LabelSet::face7(), &[0.0, 0.0, 0.0, 3.0, 0.0, 0.0, 1.0])?;
//! let voice = Scores::from_logits(&LabelSet::speech8(), &[0.0, 0.0, 0.0, 2.0, 0.0, 0.0, 0.5, 1.0])?;
//! let fused = MeanFuser.fuse(&[Some(&face), Some(&voice)])?;
//! assert_eq!(fused.top().0, Emotion::Happy);
//! assert!(disagreement(&face, &voice)? < 0.1);
//!
//! // No face in the picture: the voice alone, over the same seven labels.
//! assert_eq!(MeanFuser.fuse(&[None, Some(&voice)])?, voice.project(&LabelSet::face7())?);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod align;
mod calibrate;
mod disagree;
mod error;
mod late;
mod quality;
mod smooth;
mod vote;

use emotion_core::LabelSet;

pub use align::Aligner;
pub use calibrate::Temperature;
pub use disagree::disagreement;
pub use error::Error;
pub use late::{Evidence, Fuser, MaxFuser, MeanFuser, ProductFuser, WeightedFuser};
pub use quality::{QualityFuser, belief};
pub use smooth::Smoother;
pub use vote::Vote;

/// The labels that every result of this crate is over: those a face and a voice share.
fn common_labels() -> LabelSet {
    LabelSet::face7()
}
