//! Facial expression recognition.

pub mod arch;
pub mod config;
pub mod dataset;
mod error;
pub mod train;

pub use error::{Error, Result};
