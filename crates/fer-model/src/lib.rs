//! `fer-model`
