//! `fusion`
