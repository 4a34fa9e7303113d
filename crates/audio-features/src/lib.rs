//! `audio-features`
