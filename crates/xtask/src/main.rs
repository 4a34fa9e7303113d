//! `xtask`
fn main() {}
