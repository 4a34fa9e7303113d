//! What face and speech models share: LibTorch plumbing through `tch`, and honest evaluation.
//!
//! - [`device`]: where networks run and on how many threads; finds CUDA at run time.
//! - [`layers`]: layers as plain structs, and the [`Network`](layers::Network) trait.
//! - [`weights`]: safetensors files, written atomically, checked whole before they are loaded.
//! - [`data`]: the [`Dataset`](data::Dataset) trait, and threads that prepare batches ahead of the network.
//! - [`optim`], [`schedule`], [`loss`]: the parts of a recipe.
//! - [`trainer`]: the loop around them, with averaged weights, best and last checkpoints and exact resume; its page has
//!   [a table of every setting](trainer#every-setting).
//! - [`svm`]: linear support vector machines on any features.
//! - [`generator`]: LibTorch's one random generator, shared out.
//! - [`callback`]: what watches a training: tables, TensorBoard, or your own.
//! - [`cross_validation`]: one training per fold, mean and deviation.
//! - [`export`]: trained networks as ONNX and TorchScript files for other programs.
//! - [`metrics`]: accuracy, recall, calibration and the evaluation report.
//! - [`split`]: who trains and who measures, kept apart by speaker or person; [`audit`]: whether they are.
//! - `plots` (with the feature of that name): confusion matrices, training curves and other charts as PNG and SVG.

pub mod audit;
pub mod callback;
pub mod cross_validation;
pub mod data;
pub mod device;
mod error;
pub mod export;
mod font;
pub mod generator;
pub mod layers;
pub mod loss;
pub mod metrics;
pub mod optim;
mod parameter;
#[cfg(feature = "plots")]
pub mod plots;
mod random;
pub mod schedule;
pub mod split;
pub mod svm;
pub mod trainer;
pub mod weights;

pub use error::{Error, Result, ShapeMismatch};
pub use font::{font_bytes, font_bytes_semibold};
pub use parameter::Parameter;
