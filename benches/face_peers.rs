//! This crate's side of the comparison with OpenCV's cascade detector: `cargo xtask bench-faces` builds it and asks it.
//!
//! ```text
//! face_peers FOLDER --threads N      answers "PICTURE/SIZES REPEATS" with seconds (see peers/serve.rs)
//! face_peers FOLDER --faces          prints "PICTURE/SIZES" and the sorted rectangles, four numbers each
//! ```
//!
//! SIZES is `all`, or `tenth` for faces of at least a tenth of the picture's shorter side.

#[path = "peers/serve.rs"]
mod serve;

use std::cell::RefCell;
use std::hint::black_box;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result};
use face_prep::{Cascade, CascadeConfig, CascadeDetector};
use serve::Contestant;

#[expect(clippy::print_stdout, clippy::print_stderr, reason = "a program speaks on its terminal")]
fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Some(folder) = arguments.first().filter(|folder| !folder.starts_with('-')) else {
        eprintln!("this bench is run by cargo xtask bench-faces");
        return Ok(());
    };
    let threads = match &arguments[1..] {
        [option, threads] if option == "--threads" => threads.parse().context("--threads needs a number")?,
        _ => 1,
    };
    let mut pictures: Vec<PathBuf> =
        std::fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
    pictures.sort();
    let cascade = Arc::new(Cascade::frontal_default());
    let all = CascadeConfig { threads, ..CascadeConfig::opencv() };
    let tenth = CascadeConfig { min_size: None, ..all.clone() };
    let mut detectors = Vec::new();
    for (sizes, config) in [("all", all), ("tenth", tenth)] {
        detectors.push((sizes, RefCell::new(CascadeDetector::new(cascade.clone(), config)?)));
    }
    let mut contestants = Vec::new();
    for path in pictures {
        let name = path.file_name().context("a picture without a name")?.to_string_lossy().into_owned();
        let image = image::open(&path).with_context(|| format!("cannot read {}", path.display()))?.into_luma8();
        let image = Arc::new(image);
        for (sizes, detector) in &detectors {
            let mut found = detector.borrow_mut().detect_multi_scale(&image)?;
            found.sort();
            if arguments[1..] == ["--faces"] {
                let numbers = found.iter().flat_map(|hit| [hit.x, hit.y, hit.width, hit.height]);
                println!("{name}/{sizes} {}", numbers.map(|number| number.to_string()).collect::<Vec<_>>().join(" "));
                continue;
            }
            let image = image.clone();
            contestants.push(Contestant::new(format!("{name}/{sizes}"), move || {
                // It did not fail above, so it does not now.
                let _ = black_box(detector.borrow_mut().detect_multi_scale(black_box(&image)));
            }));
        }
    }
    if arguments[1..] == ["--faces"] { Ok(()) } else { Ok(serve::serve(contestants)?) }
}
