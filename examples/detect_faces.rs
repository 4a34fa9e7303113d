//! Finds the faces in pictures.
//!
//! ```text
//! cargo run --release --example detect_faces -- photo.jpg portrait.png --json
//! cargo run --release --example detect_faces -- photo.jpg --out drawn --min-neighbors 3
//! cargo run --release --example detect_faces --features face-prep/mtcnn -- photo.jpg --detector mtcnn
//! ```
//!
//! Reads JPEG and PNG of every colour type; a camera's rotation is applied, and boxes are in the upright picture's pixels.

#![allow(clippy::print_stdout, reason = "it talks to the one who runs it")]

use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::{Parser, ValueEnum};
use face_prep::{BoundingBox, Cascade, CascadeConfig, CascadeDetector, Detection, FaceDetector};
use image::{DynamicImage, ImageDecoder, ImageReader, Rgb, RgbImage};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};

#[derive(Parser)]
#[command(about = "Finds the faces in pictures", version)]
struct Options {
    /// The pictures.
    #[arg(required = true)]
    images: Vec<PathBuf>,
    #[arg(long, value_enum, default_value_t = Detector::Cascade)]
    detector: Detector,
    /// A cascade in OpenCV's XML; OpenCV's frontal default if none is given.
    #[arg(long)]
    cascade: Option<PathBuf>,
    /// MTCNN's weights; by default where `cargo xtask setup` puts them.
    #[arg(long)]
    weights: Option<PathBuf>,
    /// How much larger each size is than the one before.
    #[arg(long, default_value_t = 1.1)]
    scale_factor: f64,
    /// How many overlapping hits a face needs more than.
    #[arg(long, default_value_t = 5)]
    min_neighbors: u32,
    /// The smallest face in pixels; a tenth of the picture's shorter side if none is given.
    #[arg(long)]
    min_size: Option<u32>,
    /// Print one JSON array instead of lines.
    #[arg(long)]
    json: bool,
    /// Draw the faces into copies in this folder.
    #[arg(long)]
    out: Option<PathBuf>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Detector {
    /// OpenCV's Haar cascade: fast, frontal faces, no landmarks.
    Cascade,
    /// Three small networks: slower, also turned faces, five landmarks.
    Mtcnn,
}

fn main() -> Result<()> {
    let options = Options::parse();
    let mut detector = detector(&options)?;
    if let Some(out) = &options.out {
        std::fs::create_dir_all(out).with_context(|| format!("cannot make the folder {}", out.display()))?;
    }
    let bar = progress(options.images.len());
    let mut results = Vec::new();
    let mut failed = 0;
    for path in &options.images {
        bar.set_message(path.display().to_string());
        match read(path).and_then(|image| Ok((detector.detect(&image)?, image))) {
            Ok((mut faces, mut image)) => {
                faces.sort_by(|first, second| second.score.total_cmp(&first.score));
                if !options.json {
                    bar.suspend(|| print(path, &faces));
                }
                results.push(entry(path, &image, &faces));
                if let Some(out) = &options.out {
                    draw(&mut image, &faces);
                    let name = path.file_stem().context("a picture without a name")?;
                    let target = out.join(name).with_extension("png");
                    image.save(&target).with_context(|| format!("cannot write {}", target.display()))?;
                }
            }
            Err(error) => {
                failed += 1;
                bar.suspend(|| report(&error));
            }
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    if options.json {
        println!("{}", serde_json::to_string_pretty(&results)?);
    }
    if failed > 0 {
        bail!("{failed} of {} pictures could not be read", options.images.len());
    }
    Ok(())
}

fn detector(options: &Options) -> Result<Box<dyn FaceDetector>> {
    match options.detector {
        Detector::Cascade => {
            let cascade = options.cascade.as_ref().map_or_else(|| Ok(Cascade::frontal_default()), Cascade::load)?;
            let config = CascadeConfig {
                scale_factor: options.scale_factor,
                min_neighbors: options.min_neighbors,
                min_size: options.min_size.map(|size| [size; 2]),
                ..CascadeConfig::default()
            };
            Ok(Box::new(CascadeDetector::new(cascade, config)?))
        }
        Detector::Mtcnn => mtcnn(options),
    }
}

#[cfg(feature = "mtcnn")]
fn mtcnn(options: &Options) -> Result<Box<dyn FaceDetector>> {
    use face_prep::{Mtcnn, MtcnnConfig};

    let path =
        options.weights.clone().or_else(Mtcnn::default_path).context("no cache folder is known; pass --weights")?;
    let config = MtcnnConfig { min_face_size: options.min_size, ..MtcnnConfig::default() };
    #[cfg(feature = "cnn")]
    if tch::Cuda::is_available() {
        return Ok(Box::new(Mtcnn::on_device(path, config, tch::Device::Cuda(0))?));
    }
    let mtcnn = Mtcnn::new(path, config);
    Ok(Box::new(mtcnn.context("MTCNN's weights are needed: `cargo xtask setup` fetches them")?))
}

#[cfg(not(feature = "mtcnn"))]
fn mtcnn(_: &Options) -> Result<Box<dyn FaceDetector>> {
    bail!("this program was built without MTCNN: add `--features face-prep/mtcnn`")
}

/// The upright picture in colour.
fn read(path: &Path) -> Result<RgbImage> {
    let decode = || -> Result<RgbImage> {
        let mut decoder = ImageReader::open(path)?.with_guessed_format()?.into_decoder()?;
        let orientation = decoder.orientation()?;
        let mut image = DynamicImage::from_decoder(decoder)?;
        image.apply_orientation(orientation);
        Ok(image.into_rgb8())
    };
    decode().with_context(|| format!("cannot read {}", path.display()))
}

/// What `--json` says of one picture. Boxes and landmarks are given to a hundredth of a pixel.
fn entry(path: &Path, image: &RgbImage, faces: &[Detection]) -> Value {
    let round = |value: f32| (f64::from(value) * 100.0).round() / 100.0;
    let face = |face: &Detection| {
        let BoundingBox { x, y, width, height } = face.bbox;
        let mut object = json!({
            "x": round(x), "y": round(y), "width": round(width), "height": round(height),
            "score": (f64::from(face.score) * 1e4).round() / 1e4,
        });
        if let Some(landmarks) = face.landmarks {
            object["landmarks"] = landmarks.iter().map(|point| json!([round(point.x), round(point.y)])).collect();
        }
        object
    };
    json!({
        "path": path.display().to_string(), "width": image.width(), "height": image.height(),
        "faces": faces.iter().map(face).collect::<Vec<_>>(),
    })
}

fn print(path: &Path, faces: &[Detection]) {
    println!("{}: {} face{}", path.display(), faces.len(), if faces.len() == 1 { "" } else { "s" });
    for Detection { bbox, score, .. } in faces {
        println!("  {:.0}x{:.0} at ({:.0}, {:.0}), score {score:.2}", bbox.width, bbox.height, bbox.x, bbox.y);
    }
}

#[allow(clippy::print_stderr, reason = "standard output may be JSON")]
fn report(error: &anyhow::Error) {
    eprintln!("{error:#}");
}

/// Frames in green, landmarks in yellow.
fn draw(image: &mut RgbImage, faces: &[Detection]) {
    let thickness = (image.width().min(image.height()) / 250).max(2) as i32;
    let mut fill = |left: i32, top: i32, right: i32, bottom: i32, color: Rgb<u8>| {
        for y in top.max(0)..bottom.min(image.height() as i32) {
            for x in left.max(0)..right.min(image.width() as i32) {
                image.put_pixel(x as u32, y as u32, color);
            }
        }
    };
    let (green, yellow) = (Rgb([40, 220, 60]), Rgb([255, 220, 0]));
    for face in faces {
        let [left, top, right, bottom] =
            [face.bbox.x, face.bbox.y, face.bbox.right(), face.bbox.bottom()].map(|edge| edge.round() as i32);
        fill(left, top, right, top + thickness, green);
        fill(left, bottom - thickness, right, bottom, green);
        fill(left, top, left + thickness, bottom, green);
        fill(right - thickness, top, right, bottom, green);
        for point in face.landmarks.iter().flatten() {
            let (x, y) = (point.x.round() as i32, point.y.round() as i32);
            fill(x - thickness, y - thickness, x + thickness, y + thickness, yellow);
        }
    }
}

/// A bar on a terminal for several pictures, else nothing.
fn progress(pictures: usize) -> ProgressBar {
    if pictures < 2 || !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len} {wide_msg}")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(pictures as u64).with_style(style)
}
