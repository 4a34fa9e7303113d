//! Finds the faces in pictures.
//!
//! ```text
//! cargo run --release --example detect_faces -- photo.jpg portrait.png --json
//! cargo run --release --example detect_faces -- photo.jpg --out drawn --min-neighbors 3
//! cargo run --release --example detect_faces --features face-prep/mtcnn -- photo.jpg --detector mtcnn
//! ```
//!
//! Reads JPEG and PNG of every colour type; what is transparent counts as white, a camera's rotation is applied, and boxes are in the
//! upright picture's pixels. A file that cannot be read costs one line on standard error; the others are still looked at, and the exit
//! status is 1.

#[path = "common/draw.rs"]
mod draw;

use std::collections::HashSet;
use std::ffi::OsString;
use std::io::{Cursor, IsTerminal, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::{Parser, ValueEnum};
use face_prep::{BoundingBox, Cascade, CascadeConfig, CascadeDetector, Detection, FaceDetector};
use image::{DynamicImage, ImageDecoder, ImageReader, RgbImage};
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
    /// How much larger each size is than the one before (cascade only).
    #[arg(long, default_value_t = 1.1)]
    scale_factor: f64,
    /// How many overlapping hits a face needs more than (cascade only).
    #[arg(long, default_value_t = 5)]
    min_neighbors: u32,
    /// The smallest face in pixels; a tenth of the picture's shorter side if none is given.
    #[arg(long)]
    min_size: Option<u32>,
    /// Pictures of more pixels are refused before they are decoded.
    #[arg(long, default_value_t = CascadeConfig::default().max_pixels)]
    max_pixels: u64,
    /// Print one JSON array instead of lines: an object per picture, its faces in `faces`, or what went wrong in `error`.
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
    let mut drawings = options.out.as_deref().map(Drawings::new).transpose()?;
    let bar = progress(options.images.len());
    let mut results = Vec::new();
    let mut failed = 0;
    for path in &options.images {
        bar.set_message(path.display().to_string());
        match look(path, &options, detector.as_mut(), drawings.as_mut()) {
            Ok((size, faces)) => {
                results.push(entry(path, size, &faces));
                if !options.json {
                    bar.suspend(|| print(&lines(path, &faces)))?;
                }
            }
            Err(error) => {
                failed += 1;
                let message = one_line(&error);
                results.push(json!({ "path": path.display().to_string(), "error": message }));
                bar.suspend(|| report(&message));
            }
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    if options.json {
        print(&format!("{}\n", serde_json::to_string_pretty(&results)?))?;
    }
    if failed > 0 {
        bail!("{failed} of {} pictures failed", options.images.len());
    }
    Ok(())
}

/// Reads a picture, finds its faces, the surest first, and draws them. The size is that of the upright picture.
fn look(
    path: &Path,
    options: &Options,
    detector: &mut dyn FaceDetector,
    drawings: Option<&mut Drawings>,
) -> Result<([u32; 2], Vec<Detection>)> {
    let mut image = read(path, options.max_pixels).with_context(|| format!("cannot read {}", path.display()))?;
    let mut faces = detector.detect(&image).with_context(|| format!("cannot search {}", path.display()))?;
    faces.sort_by(|first, second| second.score.total_cmp(&first.score));
    if let Some(drawings) = drawings {
        draw::faces(&mut image, &faces);
        let target = drawings.target(path);
        image.save(&target).with_context(|| format!("cannot write {}", target.display()))?;
    }
    Ok(([image.width(), image.height()], faces))
}

fn detector(options: &Options) -> Result<Box<dyn FaceDetector>> {
    match options.detector {
        Detector::Cascade => {
            let cascade = options.cascade.as_ref().map_or_else(|| Ok(Cascade::frontal_default()), Cascade::load)?;
            let config = CascadeConfig {
                scale_factor: options.scale_factor,
                min_neighbors: options.min_neighbors,
                min_size: options.min_size.map(|size| [size; 2]),
                max_pixels: options.max_pixels,
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
    let config =
        MtcnnConfig { min_face_size: options.min_size, max_pixels: options.max_pixels, ..MtcnnConfig::default() };
    if !path.exists() {
        bail!("MTCNN's weights are not at {}: `cargo xtask setup` fetches them", path.display());
    }
    #[cfg(feature = "cnn")]
    if tch::Cuda::is_available() {
        return Ok(Box::new(Mtcnn::on_device(path, config, tch::Device::Cuda(0))?));
    }
    Ok(Box::new(Mtcnn::new(path, config)?))
}

#[cfg(not(feature = "mtcnn"))]
fn mtcnn(_: &Options) -> Result<Box<dyn FaceDetector>> {
    bail!("this program was built without MTCNN: add `--features face-prep/mtcnn`")
}

/// The upright picture in colour.
fn read(path: &Path, max_pixels: u64) -> Result<RgbImage> {
    decode(&std::fs::read(path)?, max_pixels)
}

fn decode(bytes: &[u8], max_pixels: u64) -> Result<RgbImage> {
    if bytes.starts_with(&[0xff, 0xd8]) && !jpeg_ends(bytes) {
        // Decoders fill up what is missing with grey.
        bail!("the file ends before its picture does");
    }
    let mut decoder = ImageReader::new(Cursor::new(bytes)).with_guessed_format()?.into_decoder()?;
    let (width, height) = decoder.dimensions();
    if u64::from(width) * u64::from(height) > max_pixels {
        bail!("{width}x{height} pixels are more than {max_pixels}");
    }
    let orientation = decoder.orientation()?;
    let mut image = DynamicImage::from_decoder(decoder)?;
    image.apply_orientation(orientation);
    if !image.color().has_alpha() {
        return Ok(image.into_rgb8());
    }
    let image = image.into_rgba8();
    Ok(RgbImage::from_fn(image.width(), image.height(), |x, y| {
        let [red, green, blue, alpha] = image.get_pixel(x, y).0.map(u32::from);
        image::Rgb([red, green, blue].map(|value| ((value * alpha + 255 * (255 - alpha) + 127) / 255) as u8))
    }))
}

/// Whether a JPEG file reaches the end marker of its picture: the segments up to it are walked, since a preview in the header has
/// markers of its own.
fn jpeg_ends(bytes: &[u8]) -> bool {
    let mut rest = &bytes[2..];
    loop {
        // What stands between segments is entropy-coded; in it 0xff is followed by 0, a restart marker or filling.
        let Some(marker) =
            rest.windows(2).position(|two| two[0] == 0xff && !matches!(two[1], 0 | 1 | 0xd0..=0xd7 | 0xff))
        else {
            return false;
        };
        if rest[marker + 1] == 0xd9 {
            return true;
        }
        let segment = &rest[marker + 2..];
        let Some(length) = segment.first_chunk().map(|&length| usize::from(u16::from_be_bytes(length)).max(2)) else {
            return false;
        };
        let Some(after) = segment.get(length..) else { return false };
        rest = after;
    }
}

/// The folder that drawn pictures go to.
struct Drawings {
    folder: PathBuf,
    used: HashSet<OsString>,
}

impl Drawings {
    fn new(folder: &Path) -> Result<Self> {
        std::fs::create_dir_all(folder).with_context(|| format!("cannot make the folder {}", folder.display()))?;
        Ok(Self { folder: folder.to_owned(), used: HashSet::new() })
    }

    /// `NAME.png`, with a number where that name was used before.
    fn target(&mut self, path: &Path) -> PathBuf {
        let stem = path.file_stem().unwrap_or(path.as_os_str());
        let numbered = (2u32..).map(|number| {
            let mut name = stem.to_owned();
            name.push(format!("-{number}"));
            name
        });
        let mut names = std::iter::once(stem.to_owned()).chain(numbered);
        let mut name = names.find(|name| self.used.insert(name.clone())).unwrap_or_default();
        name.push(".png");
        self.folder.join(name)
    }
}

/// What `--json` says of one picture. Boxes and landmarks are given to a hundredth of a pixel.
fn entry(path: &Path, [width, height]: [u32; 2], faces: &[Detection]) -> Value {
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
        "path": path.display().to_string(), "width": width, "height": height,
        "faces": faces.iter().map(face).collect::<Vec<_>>(),
    })
}

fn lines(path: &Path, faces: &[Detection]) -> String {
    let mut lines = format!("{}: {} face{}\n", path.display(), faces.len(), if faces.len() == 1 { "" } else { "s" });
    for Detection { bbox, score, .. } in faces {
        let BoundingBox { x, y, width, height } = bbox;
        lines += &format!("  {width:.0}x{height:.0} at ({x:.0}, {y:.0}), score {score:.2}\n");
    }
    lines
}

/// To standard output. That nobody reads on there (`| head`) is no error of ours.
fn print(text: &str) -> Result<()> {
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => std::process::exit(0),
        result => result.context("cannot write to standard output"),
    }
}

/// The error and its causes, but for those that the one before quotes.
fn one_line(error: &anyhow::Error) -> String {
    let mut line = String::new();
    for cause in error.chain().map(|cause| cause.to_string()) {
        if !line.contains(&cause) {
            line += if line.is_empty() { "" } else { ": " };
            line += &cause;
        }
    }
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[allow(clippy::print_stderr, reason = "standard output may be JSON")]
fn report(message: &str) {
    eprintln!("{message}");
}

/// A bar on a terminal for several pictures, else nothing.
fn progress(pictures: usize) -> ProgressBar {
    if pictures < 2 || !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{bar:32.cyan/dim} {pos}/{len}  {wide_msg}")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(pictures as u64).with_style(style.progress_chars("━╸─"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test")]
mod tests {
    use image::codecs::jpeg::JpegEncoder;
    use image::codecs::png::PngEncoder;
    use image::{ImageEncoder, Rgb};

    use super::*;

    const MOST: u64 = 1_000_000;

    /// A picture whose every pixel is another, in soft steps that JPEG keeps.
    fn picture() -> DynamicImage {
        RgbImage::from_fn(40, 24, |x, y| Rgb([(6 * x) as u8, (10 * y) as u8, (2 * x + 3 * y) as u8])).into()
    }

    /// Where a pixel is stored, from its place in the upright picture and the last column and row of the stored one.
    type Stored = fn([u32; 2], [u32; 2]) -> [u32; 2];

    /// A TIFF header and one directory with one entry: the orientation.
    fn exif(orientation: u8) -> Vec<u8> {
        [&b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0"[..], &[orientation, 0, 0, 0, 0, 0, 0, 0]].concat()
    }

    fn encoded(image: &DynamicImage, mut encoder: impl ImageEncoder, orientation: u8) {
        encoder.set_exif_metadata(exif(orientation)).unwrap();
        image.write_with_encoder(encoder).unwrap();
    }

    #[test]
    fn all_eight_orientations_are_applied() {
        let stored = picture();
        let (w, h) = (stored.width() - 1, stored.height() - 1);
        // The table of the Exif standard.
        let from: [Stored; 8] = [
            |[x, y], _| [x, y],
            |[x, y], [w, _]| [w - x, y],
            |[x, y], [w, h]| [w - x, h - y],
            |[x, y], [_, h]| [x, h - y],
            |[x, y], _| [y, x],
            |[x, y], [_, h]| [y, h - x],
            |[x, y], [w, h]| [w - y, h - x],
            |[x, y], [w, _]| [w - y, x],
        ];
        for (orientation, from) in (1..).zip(from) {
            let (mut png, mut jpeg) = (Vec::new(), Vec::new());
            encoded(&stored, PngEncoder::new(&mut png), orientation);
            encoded(&stored, JpegEncoder::new_with_quality(&mut jpeg, 98), orientation);
            for (file, slack) in [(png, 0), (jpeg, 12)] {
                let upright = decode(&file, MOST).unwrap();
                assert_eq!(upright.width() == 24, orientation > 4, "{orientation}");
                for (x, y, pixel) in upright.enumerate_pixels() {
                    let [x, y] = from([x, y], [w, h]);
                    let want = stored.as_rgb8().unwrap().get_pixel(x, y);
                    let near = pixel.0.iter().zip(want.0).all(|(&got, want)| got.abs_diff(want) <= slack);
                    assert!(near, "{orientation}, stored at ({x}, {y}): {pixel:?} for {want:?}");
                }
            }
        }
    }

    #[test]
    fn every_colour_type_is_read() {
        let picture = picture();
        let color = picture.to_rgb8();
        let gray = DynamicImage::from(picture.to_luma8()).into_rgb8();
        for (image, want) in [
            (DynamicImage::from(picture.to_rgb16()), &color),
            (DynamicImage::from(picture.to_rgba8()), &color),
            (DynamicImage::from(picture.to_rgba16()), &color),
            (DynamicImage::from(picture.to_luma8()), &gray),
            (DynamicImage::from(picture.to_luma_alpha8()), &gray),
            (DynamicImage::from(picture.to_luma8()).to_luma16().into(), &gray),
        ] {
            let mut file = Vec::new();
            image.write_with_encoder(PngEncoder::new(&mut file)).unwrap();
            assert_eq!(&decode(&file, MOST).unwrap(), want, "{:?}", image.color());
        }
    }

    #[test]
    fn the_transparent_is_white() {
        let mut image = picture().to_rgba8();
        image.put_pixel(3, 2, image::Rgba([0, 100, 200, 0]));
        image.put_pixel(4, 2, image::Rgba([0, 100, 200, 51]));
        let mut file = Vec::new();
        image.write_with_encoder(PngEncoder::new(&mut file)).unwrap();
        let image = decode(&file, MOST).unwrap();
        assert_eq!((image.get_pixel(3, 2).0, image.get_pixel(4, 2).0), ([255; 3], [204, 224, 244]));
    }

    #[test]
    fn broken_and_large_files_are_refused() {
        let (mut png, mut jpeg) = (Vec::new(), Vec::new());
        encoded(&picture(), PngEncoder::new(&mut png), 1);
        encoded(&picture(), JpegEncoder::new(&mut jpeg), 1);
        for file in [png, jpeg] {
            assert!(decode(&file, 40 * 24).is_ok());
            let large = decode(&file, 40 * 24 - 1).unwrap_err();
            assert!(large.to_string().contains("40x24"), "{large}");
            for length in [0, 1, 2, 3, 20, file.len() / 2, file.len() - 30] {
                assert!(decode(&file[..length], MOST).is_err(), "{length} of {} bytes", file.len());
            }
        }
    }

    #[test]
    fn names_are_used_once() {
        let folder = std::env::temp_dir();
        let mut drawings = Drawings::new(&folder).unwrap();
        let names = ["a/x.jpg", "b/x.png", "x-2.jpg", "c/x.jpg"].map(|path| drawings.target(Path::new(path)));
        assert_eq!(names, ["x.png", "x-2.png", "x-2-2.png", "x-3.png"].map(|name| folder.join(name)));
    }

    #[test]
    fn causes_are_told_once() {
        let error = anyhow::anyhow!("inner").context("outer: inner\nand more").context("file");
        assert_eq!(one_line(&error), "file: outer: inner and more");
    }
}
