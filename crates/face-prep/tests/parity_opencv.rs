//! The same numbers as OpenCV 4.14 and Pillow. The golden files were made by `data/opencv-4.14.0/generate.py`, which also makes them
//! for pictures of your own: point `FACE_PREP_PARITY` at its output.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test")]

use std::path::{Path, PathBuf};

use face_prep::{Cascade, CascadeConfig, CascadeDetector, ClaheConfig, Filter, clahe, equalize_hist, gray, resize};
use image::{GrayImage, ImageBuffer, Luma, Pixel, Rgb};
use serde::Deserialize;

#[derive(Deserialize)]
struct Detections {
    picture: String,
    cascade: String,
    scale_factor: f64,
    min_neighbors: u32,
    min_size: u32,
    rects: Vec<Vec<u64>>,
}

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/opencv-4.14.0")
}

fn read<T: for<'a> Deserialize<'a>>(path: &Path) -> T {
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The cascades besides the embedded one come with OpenCV; Debian's package `opencv-data` puts them here.
fn cascade(name: &str) -> Option<Cascade> {
    let file = match name {
        "frontal_default" => return Some(Cascade::frontal_default()),
        "alt" => "haarcascades/haarcascade_frontalface_alt.xml",
        "alt2" => "haarcascades/haarcascade_frontalface_alt2.xml",
        "profile" => "haarcascades/haarcascade_profileface.xml",
        "eye" => "haarcascades/haarcascade_eye.xml",
        "smile" => "haarcascades/haarcascade_smile.xml",
        "old_format" => "haarcascades/haarcascade_licence_plate_rus_16stages.xml",
        "lbp" => "lbpcascades/lbpcascade_frontalface.xml",
        other => panic!("unknown cascade {other}"),
    };
    let path = Path::new("/usr/share/opencv4").join(file);
    path.exists().then(|| Cascade::load(path).unwrap())
}

/// Compares every case in a folder; the first differing ones are printed.
fn compare(folder: &Path) -> (usize, usize) {
    let cases: Vec<Detections> = read(&folder.join("detections.json"));
    let (mut same, mut found, mut skipped) = (0, 0, 0);
    let mut loaded: Vec<(String, Option<std::sync::Arc<Cascade>>)> = Vec::new();
    let mut picture = (String::new(), GrayImage::new(1, 1));
    for case in &cases {
        if picture.0 != case.picture {
            let path = folder.join(format!("{}.png", case.picture));
            picture = (case.picture.clone(), image::open(path).unwrap().into_luma8());
        }
        if !loaded.iter().any(|(name, _)| *name == case.cascade) {
            loaded.push((case.cascade.clone(), cascade(&case.cascade).map(Into::into)));
        }
        let cascade = loaded.iter().find(|(name, _)| *name == case.cascade).and_then(|(_, cascade)| cascade.clone());
        let Some(cascade) = cascade else {
            skipped += 1;
            continue;
        };
        let config = CascadeConfig {
            scale_factor: case.scale_factor,
            min_neighbors: case.min_neighbors,
            min_size: Some([case.min_size; 2]),
            ..CascadeConfig::opencv()
        };
        let mut hits: Vec<[u64; 5]> = CascadeDetector::new(cascade, config)
            .unwrap()
            .detect_multi_scale(&picture.1)
            .unwrap()
            .iter()
            .map(|hit| [hit.x, hit.y, hit.width, hit.height, hit.neighbors].map(u64::from))
            .collect();
        hits.sort_unstable();
        let got: Vec<Vec<u64>> = if case.min_neighbors == 0 {
            let sum = hits.iter().map(|[x, y, w, h, _]| (x * 31 + y * 1009 + w * 65537 + h * 7) % 1_000_003).sum();
            vec![vec![hits.len() as u64, sum]]
        } else {
            hits.iter().map(|hit| hit.to_vec()).collect()
        };
        let empty = case.rects.is_empty() || case.rects == [[0, 0]];
        if empty && got == case.rects {
            continue;
        }
        found += 1;
        if got == case.rects {
            same += 1;
        } else if found - same <= 10 {
            println!(
                "{} {} scale {} neighbors {} min {}: got {got:?}, want {:?}",
                case.picture, case.cascade, case.scale_factor, case.min_neighbors, case.min_size, case.rects
            );
        }
    }
    println!("{}: {same} of {found} cases with hits are the same, {skipped} skipped", folder.display());
    (same, found)
}

/// Every rectangle and count, in every case. Measured: all equal.
#[test]
fn rectangles_of_generated_scenes() {
    let (same, found) = compare(&golden());
    assert_eq!(same, found);
}

#[test]
fn rectangles_of_your_own_pictures() {
    match std::env::var_os("FACE_PREP_PARITY") {
        Some(folder) => {
            let (same, found) = compare(Path::new(&folder));
            assert!(same as f64 >= 0.995 * found as f64, "{same} of {found}");
            compare_levels(Path::new(&folder));
        }
        None => println!("skipped: FACE_PREP_PARITY is not set"),
    }
}

#[derive(Deserialize)]
struct Levels {
    picture: String,
    cascade: String,
    min_neighbors: u32,
    max_size: u32,
    count: usize,
    hits: Vec<(u32, u32, u32, u32, u32, f64)>,
}

/// Every rectangle, level and weight, the weights to the last bit; grey and colour. Returns the number of cases.
fn compare_levels(folder: &Path) -> usize {
    let cases: Vec<Levels> = read(&folder.join("levels.json"));
    let mut compared = 0;
    for case in &cases {
        let Some(cascade) = cascade(&case.cascade) else { continue };
        let most = (case.max_size > 0).then_some([case.max_size; 2]);
        let config = CascadeConfig {
            scale_factor: 1.2,
            min_neighbors: case.min_neighbors,
            max_size: most,
            ..CascadeConfig::opencv()
        };
        let mut detector = CascadeDetector::new(cascade, config).unwrap();
        let image = image::open(folder.join(format!("{}.png", case.picture))).unwrap().into_rgb8();
        let found = detector.detect_multi_scale_levels(&gray(&image)).unwrap();
        let mut hits: Vec<_> = found
            .iter()
            .map(|found| (found.hit.x, found.hit.y, found.hit.width, found.hit.height, found.level, found.weight))
            .collect();
        hits.sort_by(|a, b| a.partial_cmp(b).unwrap());
        assert_eq!(hits.len(), case.count, "{} {}", case.picture, case.cascade);
        hits.truncate(case.hits.len());
        assert_eq!(hits, case.hits, "{} {}", case.picture, case.cascade);
        let plain = detector.detect_multi_scale_rgb(&image).unwrap();
        assert_eq!(plain, found.iter().map(|found| found.hit).collect::<Vec<_>>());
        compared += 1;
    }
    println!("{}: {compared} of {} cases with levels and weights compared", folder.display(), cases.len());
    compared
}

#[test]
fn levels_and_weights() {
    // The embedded cascade alone makes 32.
    assert!(compare_levels(&golden()) >= 32);
}

#[derive(Deserialize)]
struct Resize {
    width: u32,
    height: u32,
    channels: u32,
    filter: String,
    to: [u32; 2],
    checksum: String,
}

/// The picture of the same name in `generate.py`.
fn noise<P: Pixel<Subpixel = u8>>(width: u32, height: u32) -> ImageBuffer<P, Vec<u8>> {
    let mut state = 0u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    let count = width as usize * height as usize * usize::from(P::CHANNEL_COUNT);
    ImageBuffer::from_raw(width, height, (0..count).map(|_| next()).collect()).unwrap()
}

fn fold(pixels: &[u8]) -> String {
    let fold = |value: u64, &byte: &u8| (value ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
    pixels.iter().fold(0xcbf2_9ce4_8422_2325, fold).to_string()
}

/// Bit for bit. Measured: all equal.
#[test]
fn resizing_and_grey() {
    let cases: Vec<Resize> = read(&golden().join("resizes.json"));
    let mut wrong = Vec::new();
    for case in &cases {
        let (to_width, to_height) = (case.to[0], case.to[1]);
        let filter = match case.filter.as_str() {
            "linear" => Filter::Linear,
            "linear_exact" => Filter::LinearExact,
            "area" => Filter::Area,
            "pillow_bilinear" => Filter::PillowBilinear,
            "gray" => {
                if fold(&gray(&noise::<Rgb<u8>>(case.width, case.height))) != case.checksum {
                    wrong.push(format!("gray {}x{}", case.width, case.height));
                }
                continue;
            }
            other => panic!("unknown filter {other}"),
        };
        let resized = if case.channels == 1 {
            resize(&noise::<Luma<u8>>(case.width, case.height), to_width, to_height, filter).unwrap().into_raw()
        } else {
            resize(&noise::<Rgb<u8>>(case.width, case.height), to_width, to_height, filter).unwrap().into_raw()
        };
        if fold(&resized) != case.checksum {
            let Resize { width, height, channels, filter, .. } = case;
            wrong.push(format!("{filter} {width}x{height}x{channels} to {to_width}x{to_height}"));
        }
    }
    assert!(wrong.is_empty(), "{} of {} differ: {wrong:#?}", wrong.len(), cases.len());
}

#[derive(Deserialize)]
struct Equalised {
    /// A file beside the cases; `None` for [`dark_noise`].
    picture: Option<String>,
    width: u32,
    height: u32,
    /// `None` for plain equalisation.
    clip_limit: Option<f64>,
    tiles: Option<[u32; 2]>,
    checksum: String,
}

/// The picture of the same name in `generate.py`.
fn dark_noise(width: u32, height: u32) -> GrayImage {
    let mut image: GrayImage = noise(width, height);
    for (x, _, pixel) in image.enumerate_pixels_mut() {
        let dark = (u32::from(pixel[0]).pow(2) >> 9) + x * 100 / width;
        *pixel = Luma([dark as u8]);
    }
    image
}

/// Every case in a folder, bit for bit. Measured: all equal.
fn compare_equalised(folder: &Path) {
    let cases: Vec<Equalised> = read(&folder.join("equalised.json"));
    let mut wrong = Vec::new();
    let mut image = (None, GrayImage::new(0, 0));
    for Equalised { picture, width, height, clip_limit, tiles, checksum } in &cases {
        let key = Some((picture, width, height));
        if image.0 != key {
            let pixels = match picture {
                Some(name) => image::open(folder.join(format!("{name}.png"))).unwrap().into_luma8(),
                None => dark_noise(*width, *height),
            };
            image = (key, pixels);
        }
        let equal = match (clip_limit, tiles) {
            (&Some(clip_limit), &Some(tile_grid_size)) => {
                clahe(&image.1, &ClaheConfig { clip_limit, tile_grid_size }).unwrap()
            }
            _ => equalize_hist(&image.1).unwrap(),
        };
        if fold(&equal) != *checksum {
            wrong.push(format!("{picture:?} {width}x{height} clip limit {clip_limit:?} tiles {tiles:?}"));
        }
    }
    println!("{}: {} equalised pictures compared", folder.display(), cases.len());
    assert!(wrong.is_empty(), "{} of {} differ: {wrong:#?}", wrong.len(), cases.len());
}

#[test]
fn equalisation() {
    compare_equalised(&golden());
}

#[test]
fn equalisation_of_your_own_pictures() {
    match std::env::var_os("FACE_PREP_PARITY") {
        Some(folder) => compare_equalised(Path::new(&folder)),
        None => println!("skipped: FACE_PREP_PARITY is not set"),
    }
}
