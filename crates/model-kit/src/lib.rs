//! `model-kit`

mod error;
mod font;
pub mod metrics;
mod random;

pub use error::{Error, Result};
pub use font::{font_bytes, font_bytes_semibold};
