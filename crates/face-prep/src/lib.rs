//! `face-prep`
