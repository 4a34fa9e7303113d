//! Writes the compact form of one of OpenCV's cascades: `compact_cascade IN.xml OUT.bin`.
//!
//! `data/haarcascade_frontalface_default.bin` was made by it from the file of that name in Debian's `opencv-data` 4.6.0.

use std::path::PathBuf;

use anyhow::Context;
use clap::Parser;
use face_prep::Cascade;

#[derive(Parser)]
struct Arguments {
    /// The cascade, as XML.
    input: PathBuf,
    /// Where the compact form goes.
    output: PathBuf,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let cascade = Cascade::load(&arguments.input)?;
    std::fs::write(&arguments.output, cascade.to_bytes())
        .with_context(|| format!("cannot write {}", arguments.output.display()))
}
