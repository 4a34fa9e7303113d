//! The cascade detector of Viola & Jones (2001) with the features of Lienhart & Maydt (2002), as OpenCV 4 runs it: the same
//! cascade files, the same windows, the same rectangles, integer for integer.

mod compact;
mod evaluate;
mod feature;
mod group;
mod integral;
mod lanes;
mod model;
mod stage;
mod xml;

use std::sync::Arc;

use image::{GrayImage, RgbImage};

pub use self::model::Cascade;

use self::evaluate::{Passed, Picture, Program};
use self::group::Window;
use super::{Detection, FaceDetector};
use crate::gray::gray_part_into;
use crate::resize::LinearExact;
use crate::{BoundingBox, Error, gray_into};

/// How a cascade is run. The names are those of OpenCV's `detectMultiScale`.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(default, deny_unknown_fields))]
pub struct CascadeConfig {
    /// How much larger each size is than the one before, above 1. Default 1.1.
    pub scale_factor: f64,
    /// How many overlapping hits a face needs **more than**, as in OpenCV; with 0 every hit is reported. Default 5.
    pub min_neighbors: u32,
    /// The smallest width and height in pixels. `None`, the default, means a tenth of the picture's shorter side: smaller
    /// hits are seldom faces, and searching for them takes most of the time. `Some([0, 0])` is OpenCV's default.
    pub min_size: Option<[u32; 2]>,
    /// The largest width and height in pixels. Default `None`: as large as the picture.
    pub max_size: Option<[u32; 2]>,
    /// Pictures of more pixels are refused. Default 100 million: their tables take under 1 GB.
    pub max_pixels: u64,
}

impl Default for CascadeConfig {
    fn default() -> Self {
        Self { scale_factor: 1.1, min_neighbors: 5, min_size: None, max_size: None, max_pixels: 100_000_000 }
    }
}

impl CascadeConfig {
    /// The defaults of OpenCV's `detectMultiScale`: 3 neighbours, every size.
    pub fn opencv() -> Self {
        Self { min_neighbors: 3, min_size: Some([0, 0]), ..Self::default() }
    }

    fn check(&self) -> Result<(), Error> {
        // Below this, two sizes in a row would be the same number of pixels hundreds of times over.
        if !(self.scale_factor.is_finite() && self.scale_factor >= 1.001) {
            return Err(Error::config("scale_factor", "a number of at least 1.001", self.scale_factor));
        }
        if let (Some(least), Some(most)) = (self.min_size, self.max_size)
            && (least[0] > most[0] || least[1] > most[1])
        {
            return Err(Error::config("min_size", format!("at most max_size, {most:?}"), format!("{least:?}")));
        }
        Ok(())
    }
}

/// A group of hits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct CascadeHit {
    /// The left edge in pixels.
    pub x: u32,
    /// The upper edge in pixels.
    pub y: u32,
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// How many hits were merged: OpenCV's `numDetections`, and the only measure of certainty that it knows.
    pub neighbors: u32,
}

/// Runs a [`Cascade`] over pictures. Keeps its tables from picture to picture, so that pictures of one size allocate little.
///
/// ```
/// use face_prep::{Cascade, CascadeConfig, CascadeDetector, FaceDetector};
/// use image::RgbImage;
///
/// let mut detector = CascadeDetector::new(Cascade::frontal_default(), CascadeConfig::default())?;
/// assert!(detector.detect(&RgbImage::new(320, 240))?.is_empty());
/// # Ok::<(), face_prep::Error>(())
/// ```
#[derive(Debug)]
pub struct CascadeDetector {
    cascade: Arc<Cascade>,
    /// The cascade prepared for levels of step 1 and 2.
    programs: [Program; 2],
    config: CascadeConfig,
    scratch: Scratch,
}

/// What is kept between pictures.
#[derive(Debug, Default)]
struct Scratch {
    gray: GrayImage,
    resized: Vec<u8>,
    search: evaluate::Scratch,
    passed: Vec<Passed>,
    windows: Vec<Window>,
}

/// One size of the search.
#[derive(Debug, Clone, Copy)]
struct Level {
    scale: f32,
    width: usize,
    height: usize,
    /// Every window is looked at on small levels, every other one each way on large levels.
    step: usize,
    /// How many rows of windows are looked at.
    rows: usize,
}

impl CascadeDetector {
    /// A detector. The cascade may be shared: pass an [`Arc`] of it.
    ///
    /// # Errors
    /// [`Error::InvalidConfig`] for a `scale_factor` below 1.001 and a `min_size` above `max_size` (which OpenCV answers with
    /// nothing).
    pub fn new(cascade: impl Into<Arc<Cascade>>, config: CascadeConfig) -> Result<Self, Error> {
        config.check()?;
        let cascade = cascade.into();
        let programs = [1, 2].map(|step| Program::new(&cascade, step));
        Ok(Self { cascade, programs, config, scratch: Scratch::default() })
    }

    /// The config in use.
    pub fn config(&self) -> &CascadeConfig {
        &self.config
    }

    /// `cv2.CascadeClassifier.detectMultiScale2` on a grey picture: the rectangles and how many hits each was made of, in no
    /// particular order.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] for a picture without pixels or with more than `max_pixels`.
    pub fn detect_multi_scale(&mut self, image: &GrayImage) -> Result<Vec<CascadeHit>, Error> {
        let shorter = image.width().min(image.height());
        let least = self.config.min_size.unwrap_or([shorter / 10; 2]);
        let most = self.config.max_size.unwrap_or([image.width(), image.height()]);
        // The default of one may not contradict the other.
        let least = if self.config.min_size.is_none() { [least[0].min(most[0]), least[1].min(most[1])] } else { least };
        self.search(image, least, most)
    }

    fn search(&mut self, image: &GrayImage, least: [u32; 2], most: [u32; 2]) -> Result<Vec<CascadeHit>, Error> {
        let (width, height) = image.dimensions();
        let pixels = u64::from(width) * u64::from(height);
        if pixels == 0 || pixels > self.config.max_pixels {
            let expected = format!("1 to {} pixels", self.config.max_pixels);
            return Err(Error::input("picture", expected, format!("{width}x{height}")));
        }
        let levels = levels(&self.cascade, self.config.scale_factor, (width, height), least, most);
        let Scratch { resized, search, passed, windows, .. } = &mut self.scratch;
        windows.clear();
        let from = (width as usize, height as usize);
        let window = (self.cascade.width as f32, self.cascade.height as f32);
        for level in &levels {
            let to = (level.width, level.height);
            let pixels = if to == from {
                image.as_raw()
            } else {
                resized.resize(to.0 * to.1, 0);
                LinearExact::new(from, to).run(image.as_raw(), resized, 1);
                &*resized
            };
            let scaled = |value: f32| (value * level.scale).round_ties_even() as i32;
            let (width, height) = (scaled(window.0), scaled(window.1));
            passed.clear();
            let picture = Picture { pixels, width: to.0, rows: level.rows };
            self.programs[level.step - 1].scan(picture, false, search, passed);
            windows.extend(passed.iter().map(|passed| Window {
                x: scaled(passed.x as f32),
                y: scaled(passed.y as f32),
                width,
                height,
            }));
        }
        let groups = group::group(windows, self.config.min_neighbors);
        Ok(groups.into_iter().filter_map(|(window, neighbors)| clip(window, neighbors, width, height)).collect())
    }

    fn detections(hits: Vec<CascadeHit>) -> Vec<Detection> {
        hits.into_iter()
            .map(|hit| Detection {
                bbox: BoundingBox::new(hit.x as f32, hit.y as f32, hit.width as f32, hit.height as f32),
                score: score(hit.neighbors),
                landmarks: None,
            })
            .collect()
    }
}

impl FaceDetector for CascadeDetector {
    /// As [`detect_multi_scale`](CascadeDetector::detect_multi_scale) on the picture's luma. The score is n / (n + 10) for n
    /// merged hits: 0.5 for 10, 0.9 for 90.
    fn detect(&mut self, image: &RgbImage) -> Result<Vec<Detection>, Error> {
        let mut gray = std::mem::take(&mut self.scratch.gray);
        gray_into(image, &mut gray);
        let hits = self.detect_multi_scale(&gray);
        self.scratch.gray = gray;
        hits.map(Self::detections)
    }

    /// Searches the region's pixels for the sizes asked for and no others.
    fn detect_near(
        &mut self,
        image: &RgbImage,
        region: &BoundingBox,
        sides: [f32; 2],
    ) -> Result<Vec<Detection>, Error> {
        region.check()?;
        let Some(inside) = region.clipped(image.width(), image.height()) else { return Ok(Vec::new()) };
        let (x, y) = (inside.x as u32, inside.y as u32);
        let (width, height) = (inside.right().ceil() as u32 - x, inside.bottom().ceil() as u32 - y);
        let mut gray = std::mem::take(&mut self.scratch.gray);
        gray_part_into(image, [x, y, width, height], &mut gray);
        let hits = self.search(&gray, [sides[0].ceil() as u32; 2], [sides[1] as u32; 2]);
        self.scratch.gray = gray;
        let mut found = Self::detections(hits?);
        for detection in &mut found {
            detection.bbox.x += x as f32;
            detection.bbox.y += y as f32;
        }
        Ok(found)
    }

    fn name(&self) -> &str {
        "cascade"
    }
}

/// A number of merged hits as a score from 0 to 1.
fn score(neighbors: u32) -> f32 {
    let neighbors = neighbors as f32;
    neighbors / (neighbors + 10.0)
}

/// The sizes that OpenCV searches. When none fits between the least and the most, the one nearest to the least.
fn levels(cascade: &Cascade, factor: f64, image: (u32, u32), least: [u32; 2], most: [u32; 2]) -> Vec<Level> {
    let (width, height) = (f64::from(cascade.width), f64::from(cascade.height));
    let mut scales = Vec::new();
    let mut scale = 1.0f64;
    while (width * scale).round_ties_even() <= f64::from(image.0)
        && (height * scale).round_ties_even() <= f64::from(image.1)
    {
        scales.push(scale as f32);
        scale *= factor;
    }
    let size = |scale: f32| [width, height].map(|side| (side as f32 * scale).round_ties_even() as u32);
    let fits = |scale: f32| (0..2).all(|side| least[side] <= size(scale)[side] && size(scale)[side] <= most[side]);
    let mut chosen: Vec<f32> = scales.iter().copied().filter(|&scale| fits(scale)).collect();
    if chosen.is_empty() {
        let distance =
            |scale: f32| -> u64 { (0..2).map(|side| u64::from(size(scale)[side].abs_diff(least[side])).pow(2)).sum() };
        chosen.extend(scales.iter().copied().min_by_key(|&scale| distance(scale)));
    }
    let mut stripes = None;
    let level = |scale: f32| {
        let shrunk = |side: u32| (side as f32 / scale).round_ties_even() as usize;
        let (width, height) = (shrunk(image.0), shrunk(image.1));
        let step = if scale >= 2.0 { 1 } else { 2 };
        let columns = (width + 1).saturating_sub(cascade.width as usize);
        let rows = (height + 1).saturating_sub(cascade.height as usize);
        // OpenCV shares the rows of every level out among as many stripes as the first level has 32 columns, and rounds in a way
        // that can lose the last row.
        let stripes = *stripes.get_or_insert(columns.div_ceil(32).max(1));
        let stripe = (rows / step).div_ceil(stripes).max(1) * step;
        Level { scale, width, height, step, rows: rows.min(stripes * stripe) }
    };
    chosen.into_iter().map(level).collect()
}

/// The part of a group's rectangle inside the picture.
fn clip(window: Window, neighbors: u32, width: u32, height: u32) -> Option<CascadeHit> {
    let (x, y) = (window.x.max(0), window.y.max(0));
    let right = (window.x + window.width).min(width as i32);
    let bottom = (window.y + window.height).min(height as i32);
    (right > x && bottom > y).then(|| CascadeHit {
        x: x as u32,
        y: y as u32,
        width: (right - x) as u32,
        height: (bottom - y) as u32,
        neighbors,
    })
}
