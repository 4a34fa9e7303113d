#![doc = include_str!("../README.md")]

pub mod arch;
pub mod config;
pub mod dataset;
mod error;
mod hog;
mod model;
mod pretrained;
pub mod robustness;
mod svm;
pub mod train;
mod views;

pub use error::{Error, Result};
pub use hog::Hog;
pub use model::FerModel;
pub use pretrained::Pretrained;
pub use svm::{FaceFeatures, SvmBaseline, SvmData};
pub use views::{VIEWS, predict_ten_crop, predict_views, ten_crop, views};
