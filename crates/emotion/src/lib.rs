//! `emotion`
