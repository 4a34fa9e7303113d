//! Reads **expressed emotion** from video, by face and by voice, and fuses the two over time.
//!
//! An [`Analyzer`] wires everything together: it decodes a file with FFmpeg, finds and follows faces, classifies them on
//! every tenth frame (or every `n`th), listens to the sound in windows of two seconds, fuses what face and voice say, and
//! gives a [`Timeline`]. The models come with the crate, trained by this workspace.
//!
//! ```no_run
//! # #[cfg(all(feature = "video", feature = "face", feature = "speech", feature = "pretrained"))]
//! fn main() -> Result<(), emotion::Error> {
//!     let timeline = emotion::Analyzer::builder().build()?.analyze("clip.mp4")?;
//!     if let Some(both) = &timeline.verdict.fused {
//!         println!("the clip looks and sounds {}", both.label);
//!     }
//!     for moment in &timeline.fused {
//!         let (emotion, probability) = moment.scores.top();
//!         println!("{:6.2} s  {emotion} ({probability:.2})", moment.time);
//!     }
//!     Ok(())
//! }
//! # #[cfg(not(all(feature = "video", feature = "face", feature = "speech", feature = "pretrained")))]
//! # fn main() {}
//! ```
//!
//! # The main types
//!
//! - [`Analyzer`] and its [builder](Analyzer::builder): stride, detector, models, fusion, progress.
//!   [`Analyzer::analyze_to`] also writes `timeline.json`, `timeline.csv`, a chart and the annotated video, with the
//!   source's sound, in the same pass; [`Analyzer::analyze_with`] hands each frame to a [`FrameSink`].
//! - [`Timeline`]: tracks of faces with their moments, windows of speech, both fused, the verdict over the whole clip,
//!   and notes that say why something is missing. Its JSON form has a versioned schema.
//! - [`export`]: the files as functions of a timeline.
//! - [`train`]: the trainers of both models.
//!
//! Models and detectors are seams: an [`EmotionModel`](core::EmotionModel) or a
//! [`FaceDetector`](face_prep::FaceDetector) of your own goes into the builder as the shipped ones do.
//!
//! # What the answers mean
//!
//! The scores say what a face or a voice *shows*, in the categories of the corpora that the models learned from, not what
//! a person feels. They are wrong often enough to matter: the model cards beside the weights say how often. A clip without
//! a face is judged by the voice alone, a clip without speech by the face alone, and [`Timeline::notes`] says so; a clip
//! with neither is an error.
//!
//! # The crates below
//!
//! Everything is re-exported: [`core`] (labels and scores), [`audio_features`], [`face_prep`], [`video_io`],
//! [`model_kit`], [`fer_model`], [`ser_model`], [`fusion`]. A program that needs only one of them can depend on it alone.
//!
//! # Features
//!
//! | feature | default | what it adds |
//! |---|---|---|
//! | `video` | yes | files in and out, through FFmpeg |
//! | `face` | yes | face detection and the face model |
//! | `speech` | yes | the speech model |
//! | `pretrained` | yes | the trained weights, embedded |
//! | `mtcnn` | yes | MTCNN as a detector beside the cascade |
//!
//! The [`Analyzer`] needs `video`, `face` and `speech` together; without `video` the trainers remain, and no FFmpeg is
//! needed.

#[cfg(all(feature = "video", feature = "face", feature = "speech"))]
mod analyzer;
#[cfg(all(feature = "video", feature = "face", feature = "speech"))]
mod builder;
mod error;
pub mod export;
#[cfg(all(feature = "video", feature = "face", feature = "speech"))]
mod notes;
#[cfg(all(feature = "video", feature = "face", feature = "speech"))]
mod pipeline;
#[cfg(all(feature = "video", feature = "face"))]
mod sink;
pub mod timeline;
pub mod train;

#[cfg(feature = "speech")]
pub use audio_features;
pub use emotion_core as core;
pub use fusion;
pub use model_kit;
#[cfg(feature = "speech")]
pub use ser_model;
#[cfg(feature = "video")]
pub use video_io;
#[cfg(feature = "face")]
pub use {face_prep, fer_model};

#[cfg(all(feature = "video", feature = "face", feature = "speech"))]
pub use analyzer::Analyzer;
#[cfg(all(feature = "video", feature = "face", feature = "speech"))]
pub use builder::{AnalyzerBuilder, FaceModel, Fusion, SpeechModel};
pub use error::{Error, Result};
#[cfg(all(feature = "video", feature = "face", feature = "speech"))]
pub use pipeline::{Progress, Stage};
#[cfg(all(feature = "video", feature = "face"))]
pub use sink::{AnalysedFrame, FaceView, FrameSink};
pub use timeline::Timeline;

/// The README's example is compiled as it stands.
#[cfg(all(doctest, feature = "video", feature = "face", feature = "speech", feature = "pretrained"))]
#[doc = include_str!("../../../README.md")]
struct Readme;
