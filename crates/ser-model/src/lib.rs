//! Speech emotion recognition: which emotion a voice **expresses** (not what its owner feels).
//!
//! - [`SerModel`] answers for a stretch of sound, for windows over long sound, and through [`SpeechStream`] for sound
//!   that is still coming in. [`SerModel::pretrained`] is a small network that this crate trained itself; sound without
//!   speech gets no emotion.
//! - [`corpus`] reads the published speech corpora: RAVDESS, TESS, SAVEE, CREMA-D, EmoDB, and any tree of class folders.
//! - [`train`] trains the networks of [`arch`] on them, with [`dataset`], [`prepared`] and [`augment`] in between.
//! - [`evaluate`] tells who is understood and who is not: by corpus, sex and speaker, and in noise.
//! - [`input`] turns sound into what the networks see, [`features`] does so for many clips on all cores, [`activity`] tells
//!   whether there is speech at all, [`cache`] keeps what took long to compute; [`sound_hash`] lets the leak audit find near copies.
//!
//! ```
//! # #[cfg(feature = "pretrained")] {
//! use ser_model::{SerModel, WindowConfig};
//!
//! let model = SerModel::pretrained()?;
//! let samples: Vec<f32> = vec![0.0; 5 * 16_000]; // mono, any rate
//! for (span, scores) in model.predict_windows(&samples, 16_000, WindowConfig::default())? {
//!     match scores {
//!         Some(scores) => println!("{:.1} s: {} ({:.0} %)", span.start, scores.top().0, scores.top().1 * 100.0),
//!         None => println!("{:.1} s: no speech", span.start),
//!     }
//! }
//! # }
//! # Ok::<(), ser_model::Error>(())
//! ```
//!
//! # Features
//! `pretrained` (default) embeds the trained weights, which, unlike the code, carry the terms of the corpora: see
//! `WEIGHTS-LICENSE.md`.

pub mod activity;
pub mod arch;
pub mod augment;
pub mod cache;
mod config;
pub mod corpus;
pub mod dataset;
mod error;
pub mod evaluate;
pub mod features;
mod fingerprint;
pub mod input;
mod model;
pub mod prepared;
mod statistics;
mod stream;
pub mod train;
mod vector;

pub use config::{Features, ModelConfig, SequenceConfig};
pub use error::Error;
pub use fingerprint::sound_hash;
pub use input::{MIN_SECONDS, SAMPLE_RATE};
pub use model::{SerModel, WindowConfig};
pub use statistics::Statistics;
pub use stream::{Answer, SpeechStream};
pub use vector::{VectorPlan, vector};
