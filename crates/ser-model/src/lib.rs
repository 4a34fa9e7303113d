//! `ser-model`
