//! This crate's side of the comparison with facenet-pytorch: `cargo xtask bench-mtcnn` builds it and asks it.
//!
//! ```text
//! mtcnn_peers FOLDER --threads N      answers "PICTURE REPEATS" with seconds (see peers/serve.rs)
//! mtcnn_peers FOLDER --faces          prints how many faces are in each picture
//! ```

#[path = "peers/serve.rs"]
mod serve;

use std::cell::RefCell;
use std::hint::black_box;
use std::path::PathBuf;

use anyhow::{Context, Result};
use face_prep::{FaceDetector, Mtcnn, MtcnnConfig};
use serve::Contestant;

#[expect(clippy::print_stdout, clippy::print_stderr, reason = "a program speaks on its terminal")]
fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Some(folder) = arguments.first().filter(|folder| !folder.starts_with('-')) else {
        eprintln!("this bench is run by cargo xtask bench-mtcnn");
        return Ok(());
    };
    let threads = match &arguments[1..] {
        [option, threads] if option == "--threads" => threads.parse().context("--threads needs a number")?,
        _ => 1,
    };
    let weights = Mtcnn::default_path().context("no cache folder is known")?;
    // Those of facenet-pytorch; the thresholds are the same anyway.
    let config = MtcnnConfig { min_face_size: Some(20), threads, ..MtcnnConfig::default() };
    let mtcnn = Mtcnn::new(weights, config).context("MTCNN's weights are needed: `cargo xtask setup` fetches them")?;
    let mtcnn = RefCell::new(mtcnn);
    let mut pictures: Vec<PathBuf> =
        std::fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
    pictures.sort();
    let mut contestants = Vec::new();
    for path in pictures {
        let name = path.file_name().context("a picture without a name")?.to_string_lossy().into_owned();
        let image = image::open(&path).with_context(|| format!("cannot read {}", path.display()))?.into_rgb8();
        let faces = mtcnn.borrow_mut().detect(&image)?.len();
        if arguments[1..] == ["--faces"] {
            println!("{name} {faces}");
            continue;
        }
        let mtcnn = &mtcnn;
        contestants.push(Contestant::new(name, move || {
            // It did not fail above, so it does not now.
            let _ = black_box(mtcnn.borrow_mut().detect(black_box(&image)));
        }));
    }
    if arguments[1..] == ["--faces"] { Ok(()) } else { Ok(serve::serve(contestants)?) }
}
