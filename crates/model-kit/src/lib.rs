//! `model-kit`
