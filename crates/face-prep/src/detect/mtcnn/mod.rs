//! MTCNN (Zhang et al. 2016): three small networks, each looking closer at what the one before let through. Slower than the
//! cascade, better on turned, tilted and partly hidden faces, and it finds five landmarks.
//!
//! Thresholds, rounding and box arithmetic follow the Python package `mtcnn` 0.1.1, whose weights it runs. On the CPU everything is
//! plain Rust (`networks.rs` on `layer.rs`); with the feature `cnn` LibTorch can run the networks on a graphics card (`torch.rs`).

mod candidate;
mod layer;
mod networks;
mod pixels;
mod threads;
#[cfg(feature = "cnn")]
mod torch;
mod weights;

use std::path::{Path, PathBuf};

use image::RgbImage;

use self::candidate::{Candidate, Overlap, suppress};
use self::networks::{Cell, Networks, Scratch, Verdict, cells};
use self::pixels::{Level, Picture};
use super::{Detection, FaceDetector};
use crate::{BoundingBox, Error};

/// How MTCNN is run.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(default, deny_unknown_fields))]
pub struct MtcnnConfig {
    /// The smallest face in pixels, at least 12. `None`, the default, means a tenth of the picture's shorter side, but at least
    /// the 20 of the Python package.
    pub min_face_size: Option<u32>,
    /// Each size of the pyramid over the one before, between 0 and 1. Default 0.709, which halves the area.
    pub scale_factor: f64,
    /// The least scores of the three networks, 0 to 1. Default 0.6, 0.7, 0.7.
    pub thresholds: [f32; 3],
    /// Pictures of more pixels are refused. Default 100 million.
    pub max_pixels: u64,
    /// Threads that work on one picture on the CPU, 1 to 256. The faces are the same for every number. Default 1.
    pub threads: usize,
}

impl Default for MtcnnConfig {
    fn default() -> Self {
        Self {
            min_face_size: None,
            scale_factor: 0.709,
            thresholds: [0.6, 0.7, 0.7],
            max_pixels: 100_000_000,
            threads: 1,
        }
    }
}

impl MtcnnConfig {
    fn check(&self) -> Result<(), Error> {
        if let Some(size @ 0..12) = self.min_face_size {
            return Err(Error::config("min_face_size", "at least 12, the window of the first network", size));
        }
        if !(0.1..=0.99).contains(&self.scale_factor) {
            return Err(Error::config("scale_factor", "0.1 to 0.99", self.scale_factor));
        }
        if !(1..=256).contains(&self.threads) {
            return Err(Error::config("threads", "1 to 256", self.threads));
        }
        match self.thresholds.iter().find(|threshold| !(0.0..=1.0).contains(*threshold)) {
            Some(threshold) => Err(Error::config("thresholds", "0 to 1", threshold)),
            None => Ok(()),
        }
    }
}

/// The three networks with their weights.
#[derive(Debug)]
pub struct Mtcnn {
    config: MtcnnConfig,
    backend: Backend,
}

#[derive(Debug)]
enum Backend {
    /// The networks, and room for each thread.
    Cpu(Box<Networks>, Vec<Scratch>),
    /// LibTorch, and room for the crops that it is given.
    #[cfg(feature = "cnn")]
    Torch(torch::TorchNetworks, Box<pixels::Lines>),
}

/// How many crops a thread takes at once; their dense layers are computed together.
const CROPS: usize = 24;

/// Bands of rows into which a level is cut for each thread, so that all end at about the same time.
const BANDS: usize = 4;

/// How many crops go to LibTorch at once: bounds the memory.
#[cfg(feature = "cnn")]
const BATCH: usize = 256;

impl Mtcnn {
    /// Loads the weights (a safetensors file made by `scripts/convert_mtcnn.py`) with the default config.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn load(path: impl AsRef<Path>) -> Result<Self, Error> {
        Self::new(path, MtcnnConfig::default())
    }

    /// Loads the weights to run on the CPU.
    ///
    /// # Errors
    /// [`Error::InvalidConfig`]; [`Error::Io`] for a file that cannot be read; [`Error::Weights`], which names all that is missing,
    /// unexpected or of another shape.
    pub fn new(path: impl AsRef<Path>, config: MtcnnConfig) -> Result<Self, Error> {
        config.check()?;
        let networks = Networks::new(&weights::read(path.as_ref())?);
        let scratches = std::iter::repeat_with(Scratch::default).take(config.threads).collect();
        Ok(Self { config, backend: Backend::Cpu(Box::new(networks), scratches) })
    }

    /// Loads the weights to run on a device of LibTorch, such as `tch::Device::Cuda(0)`. For the CPU [`new`](Self::new) is the faster
    /// choice; this one works there too.
    ///
    /// # Errors
    /// As [`new`](Self::new), and [`Error::Backend`].
    #[cfg(feature = "cnn")]
    pub fn on_device(path: impl AsRef<Path>, config: MtcnnConfig, device: tch::Device) -> Result<Self, Error> {
        config.check()?;
        let networks = torch::TorchNetworks::new(&weights::read(path.as_ref())?, device)?;
        Ok(Self { config, backend: Backend::Torch(networks, Box::default()) })
    }

    /// Where the workspace's set-up puts the weights: `models/mtcnn.safetensors` in `$EMOTION_CACHE`, else in
    /// `$XDG_CACHE_HOME/emotion`, else in `~/.cache/emotion`. `None` when none of these is known.
    pub fn default_path() -> Option<PathBuf> {
        let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let cache = variable("EMOTION_CACHE")
            .or_else(|| Some(variable("XDG_CACHE_HOME")?.join("emotion")))
            .or_else(|| Some(variable("HOME")?.join(".cache/emotion")))?;
        Some(cache.join("models/mtcnn.safetensors"))
    }

    /// The config in use.
    pub fn config(&self) -> &MtcnnConfig {
        &self.config
    }

    /// The faces between about these two sizes.
    fn search(&mut self, image: &RgbImage, smallest: u32, largest: f64) -> Result<Vec<Detection>, Error> {
        let pixels = u64::from(image.width()) * u64::from(image.height());
        if pixels == 0 || pixels > self.config.max_pixels {
            let expected = format!("1 to {} pixels", self.config.max_pixels);
            return Err(Error::input("picture", expected, format!("{}x{}", image.width(), image.height())));
        }
        let picture = Picture::new(image);
        let candidates = self.propose(&picture, smallest, largest)?;
        let candidates = self.refine(&picture, &candidates)?;
        let faces = self.decide(&picture, &candidates)?;
        Ok(faces.iter().map(Candidate::detection).collect())
    }

    /// First network, on every size: where a face might be.
    fn propose(&mut self, picture: &Picture, smallest: u32, largest: f64) -> Result<Vec<Candidate>, Error> {
        let levels = self.levels(picture, smallest, largest);
        let mut all = Vec::new();
        for (level, mut cells) in levels.iter().zip(self.cells(picture, &levels)?) {
            // Column by column, as the package counts: of equally sure candidates the last one wins.
            cells.sort_unstable_by_key(|cell| (cell.x, cell.y));
            let alone = cells.len() == 1;
            let mut found: Vec<Candidate> = cells.iter().map(|cell| candidate(cell, level.scale, alone)).collect();
            suppress(&mut found, 0.5, Overlap::Union);
            all.append(&mut found);
        }
        suppress(&mut all, 0.7, Overlap::Union);
        for candidate in &mut all {
            let [x1, y1, x2, y2] = candidate.corners;
            let (width, height) = (x2 - x1, y2 - y1);
            let [dx1, dy1, dx2, dy2] = candidate.offsets;
            candidate.corners = [x1 + dx1 * width, y1 + dy1 * height, x2 + dx2 * width, y2 + dy2 * height];
            candidate.make_square();
            candidate.corners = candidate.corners.map(f64::trunc);
        }
        Ok(all)
    }

    /// The pyramid, from the largest picture to the smallest: faces of `smallest` pixels and more fill the network's window in the
    /// first, those of `largest` at most in the last.
    fn levels(&self, picture: &Picture, smallest: u32, largest: f64) -> Vec<Level> {
        let base = 12.0 / f64::from(smallest);
        let mut shorter = picture.width.min(picture.height) as f64 * base;
        let mut levels = Vec::new();
        for step in 0u8.. {
            let scale = base * self.config.scale_factor.powf(f64::from(step));
            if shorter < 12.0 || 12.0 / scale > largest {
                break;
            }
            levels.push(Level::new((picture.width, picture.height), scale));
            shorter *= self.config.scale_factor;
        }
        levels
    }

    /// The cells of each level whose score reaches the first threshold.
    fn cells(&mut self, picture: &Picture, levels: &[Level]) -> Result<Vec<Vec<Cell>>, Error> {
        let threshold = self.config.thresholds[0];
        match &mut self.backend {
            Backend::Cpu(networks, scratches) => {
                let bands = if scratches.len() == 1 { 1 } else { BANDS * scratches.len() };
                let mut jobs = Vec::new();
                for (number, level) in levels.iter().enumerate() {
                    // A band computes some rows that its neighbour needs too: not worth it for few rows.
                    let rows = cells(level.height);
                    let band = rows.div_ceil(bands).max(24);
                    jobs.extend((0..rows).step_by(band).map(|first| (number, (first, (first + band).min(rows)))));
                }
                let found = threads::share(&jobs, scratches, |&(number, band), scratch| {
                    networks.propose(picture, &levels[number], band, threshold, scratch)
                });
                let mut cells = vec![Vec::new(); levels.len()];
                jobs.iter().zip(found).for_each(|(&(number, _), found)| cells[number].extend(found));
                Ok(cells)
            }
            #[cfg(feature = "cnn")]
            Backend::Torch(networks, lines) => levels
                .iter()
                .map(|level| networks.propose(&level.all(picture, lines), level.width, level.height, threshold))
                .collect(),
        }
    }

    /// What the second network (`side` 24) or the third (48) says of each candidate.
    fn judge(&mut self, picture: &Picture, candidates: &[Candidate], side: usize) -> Result<Vec<Verdict>, Error> {
        match &mut self.backend {
            Backend::Cpu(networks, scratches) => {
                let count = candidates.len().div_ceil(scratches.len()).clamp(1, CROPS);
                let jobs: Vec<&[Candidate]> = candidates.chunks(count).collect();
                let verdicts = threads::share(&jobs, scratches, |candidates, scratch| match side {
                    24 => networks.refine(picture, candidates, scratch),
                    _ => networks.decide(picture, candidates, scratch),
                });
                Ok(verdicts.concat())
            }
            #[cfg(feature = "cnn")]
            Backend::Torch(networks, lines) => {
                let mut verdicts = Vec::new();
                for batch in candidates.chunks(BATCH) {
                    let mut crops = vec![0.0; batch.len() * side * side * 3];
                    for (candidate, crop) in batch.iter().zip(crops.chunks_exact_mut(side * side * 3)) {
                        pixels::crop(picture, candidate, side, lines, crop);
                    }
                    verdicts.extend(match side {
                        24 => networks.refine(&crops, batch.len())?,
                        _ => networks.decide(&crops, batch.len())?,
                    });
                }
                Ok(verdicts)
            }
        }
    }

    /// Second network: a closer look at 24×24 pixels.
    fn refine(&mut self, picture: &Picture, candidates: &[Candidate]) -> Result<Vec<Candidate>, Error> {
        let verdicts = self.judge(picture, candidates, 24)?;
        let mut kept = Vec::new();
        for (candidate, Verdict { score, offsets, .. }) in candidates.iter().zip(verdicts) {
            if score > self.config.thresholds[1] {
                kept.push(Candidate { score, offsets: offsets.map(f64::from), ..*candidate });
            }
        }
        suppress(&mut kept, 0.7, Overlap::Union);
        for candidate in &mut kept {
            candidate.shift();
            candidate.make_square();
        }
        Ok(kept)
    }

    /// Third network: the last word, and the landmarks, from 48×48 pixels.
    fn decide(&mut self, picture: &Picture, candidates: &[Candidate]) -> Result<Vec<Candidate>, Error> {
        let verdicts = self.judge(picture, candidates, 48)?;
        let mut kept = Vec::new();
        for (candidate, Verdict { score, offsets, points }) in candidates.iter().zip(verdicts) {
            if score > self.config.thresholds[2] {
                let corners = candidate.corners.map(f64::trunc);
                let [x1, y1, x2, y2] = corners;
                let (width, height) = (x2 - x1 + 1.0, y2 - y1 + 1.0);
                let place = |index: usize| {
                    let share = f64::from(points[index]);
                    if index < 5 { width * share + x1 - 1.0 } else { height * share + y1 - 1.0 }
                };
                let points = std::array::from_fn(place);
                kept.push(Candidate { corners, score, offsets: offsets.map(f64::from), points });
            }
        }
        kept.iter_mut().for_each(Candidate::shift);
        suppress(&mut kept, 0.7, Overlap::Smaller);
        Ok(kept)
    }
}

/// The window of a cell in the picture. `alone`: whether it is the only one of its level.
fn candidate(cell: &Cell, scale: f64, alone: bool) -> Candidate {
    // The package looks up the offsets of a lone candidate in the mirrored table. Boxes are the same only if we do.
    let offsets = if alone { cell.mirrored } else { cell.offsets };
    let edge = |place: usize, end: f64| ((2.0 * place as f64 + end) / scale).trunc();
    Candidate {
        corners: [edge(cell.x, 1.0), edge(cell.y, 1.0), edge(cell.x, 12.0), edge(cell.y, 12.0)],
        score: cell.score,
        offsets: offsets.map(f64::from),
        points: [0.0; 10],
    }
}

impl FaceDetector for Mtcnn {
    /// The score is that of the third network.
    fn detect(&mut self, image: &RgbImage) -> Result<Vec<Detection>, Error> {
        let smallest = self.config.min_face_size.unwrap_or((image.width().min(image.height()) / 10).max(20));
        self.search(image, smallest, f64::INFINITY)
    }

    fn detect_near(
        &mut self,
        image: &RgbImage,
        region: &BoundingBox,
        sides: [f32; 2],
    ) -> Result<Vec<Detection>, Error> {
        // The window of the first network is a square about the face, a little larger or smaller.
        let smallest = (0.8 * sides[0]) as u32;
        let smallest = smallest.max(self.config.min_face_size.unwrap_or(12)).max(12);
        super::search_cut(image, region, sides, |cut| self.search(cut, smallest, 1.25 * f64::from(sides[1])))
    }

    fn name(&self) -> &str {
        "mtcnn"
    }
}
