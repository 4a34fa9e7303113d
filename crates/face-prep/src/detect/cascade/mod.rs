//! The cascade detector of Viola & Jones (2001) with the features of Lienhart & Maydt (2002), as OpenCV 4 runs it: the same
//! cascade files, the same windows, the same rectangles, integer for integer.

mod compact;
mod evaluate;
mod feature;
mod group;
mod integral;
mod lanes;
mod model;
mod search;
mod stage;
mod xml;

use std::sync::Arc;

use image::{GrayImage, RgbImage};

pub use self::model::Cascade;

use self::evaluate::Program;
use self::group::{Group, Hit};
use self::search::{Pyramid, Worker};
use super::{Detection, FaceDetector};
use crate::gray::gray_part_into;
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
    /// Pictures of more pixels are refused. Default 100 million: the largest level of their pyramid takes 100 MB.
    pub max_pixels: u64,
    /// How many threads share the sizes of one picture, at least 1. Default 1. The result does not depend on it.
    pub threads: usize,
}

impl Default for CascadeConfig {
    fn default() -> Self {
        Self {
            scale_factor: 1.1,
            min_neighbors: 5,
            min_size: None,
            max_size: None,
            max_pixels: 100_000_000,
            threads: 1,
        }
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
        if self.threads == 0 {
            return Err(Error::config("threads", "at least 1", self.threads));
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

/// A group of hits with OpenCV's measures of how well it passed the cascade.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LeveledHit {
    /// Where, and how many hits were merged.
    pub hit: CascadeHit,
    /// OpenCV's `rejectLevels`: how many stages were passed. As OpenCV reports none that failed, always all of them.
    pub level: u32,
    /// OpenCV's `levelWeights`: the sum of the last stage's votes, the largest of the merged hits. The further above the stage's
    /// threshold, the surer; the scale is the cascade's own.
    pub weight: f64,
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
    workers: Vec<Worker>,
    hits: Vec<Hit>,
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
        let (least, most) = self.sizes(image);
        Ok(self.search(image, least, most, false)?.into_iter().map(|(hit, _)| hit).collect())
    }

    /// The same on the luma of a colour picture, which is OpenCV's `cvtColor` bit for bit.
    ///
    /// # Errors
    /// As [`detect_multi_scale`](Self::detect_multi_scale).
    pub fn detect_multi_scale_rgb(&mut self, image: &RgbImage) -> Result<Vec<CascadeHit>, Error> {
        let mut gray = std::mem::take(&mut self.scratch.gray);
        gray_into(image, &mut gray);
        let hits = self.detect_multi_scale(&gray);
        self.scratch.gray = gray;
        hits
    }

    /// `cv2.CascadeClassifier.detectMultiScale3` with `outputRejectLevels=True`: the rectangles of
    /// [`detect_multi_scale`](Self::detect_multi_scale), each with its level and weight.
    ///
    /// # Errors
    /// As [`detect_multi_scale`](Self::detect_multi_scale).
    pub fn detect_multi_scale_levels(&mut self, image: &GrayImage) -> Result<Vec<LeveledHit>, Error> {
        let (least, most) = self.sizes(image);
        let level = self.cascade.stages() as u32;
        let hits = self.search(image, least, most, true)?;
        Ok(hits.into_iter().map(|(hit, weight)| LeveledHit { hit, level, weight }).collect())
    }

    /// The least and the largest size that the config asks for in this picture.
    fn sizes(&self, image: &GrayImage) -> ([u32; 2], [u32; 2]) {
        let shorter = image.width().min(image.height());
        let most = self.config.max_size.unwrap_or([image.width(), image.height()]);
        // The default of one may not contradict the other.
        let least = self.config.min_size.unwrap_or([(shorter / 10).min(most[0]), (shorter / 10).min(most[1])]);
        (least, most)
    }

    /// Every group and, where it was asked for, its weight.
    fn search(
        &mut self,
        image: &GrayImage,
        least: [u32; 2],
        most: [u32; 2],
        weigh: bool,
    ) -> Result<Vec<(CascadeHit, f64)>, Error> {
        let (width, height) = image.dimensions();
        let pixels = u64::from(width) * u64::from(height);
        if pixels == 0 || pixels > self.config.max_pixels {
            let expected = format!("1 to {} pixels", self.config.max_pixels);
            return Err(Error::input("picture", expected, format!("{width}x{height}")));
        }
        let levels = search::levels(self.cascade.window(), self.config.scale_factor, (width, height), least, most);
        let pyramid =
            Pyramid { image, levels: &levels, programs: &self.programs, window: self.cascade.window(), weigh };
        let Scratch { workers, hits, .. } = &mut self.scratch;
        let busy = self.config.threads.min(levels.len());
        workers.resize_with(workers.len().max(busy), Worker::default);
        search::run(pyramid, &mut workers[..busy], hits);
        let groups = group::group(hits, self.config.min_neighbors);
        Ok(groups.into_iter().filter_map(|group| Some((clip(&group, width, height)?, group.weight))).collect())
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
        self.detect_multi_scale_rgb(image).map(Self::detections)
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
        let hits = self.search(&gray, [sides[0].ceil() as u32; 2], [sides[1] as u32; 2], false);
        self.scratch.gray = gray;
        let mut found = Self::detections(hits?.into_iter().map(|(hit, _)| hit).collect());
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

/// The part of a group's rectangle inside the picture.
fn clip(group: &Group, width: u32, height: u32) -> Option<CascadeHit> {
    let window = group.window;
    let (x, y) = (window.x.max(0), window.y.max(0));
    let right = (window.x + window.width).min(width as i32);
    let bottom = (window.y + window.height).min(height as i32);
    (right > x && bottom > y).then(|| CascadeHit {
        x: x as u32,
        y: y as u32,
        width: (right - x) as u32,
        height: (bottom - y) as u32,
        neighbors: group.count,
    })
}
