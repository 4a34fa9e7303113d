//! MTCNN (Zhang et al. 2016): three small networks, each looking closer at what the one before let through. Slower than the
//! cascade, better on turned, tilted and partly hidden faces, and it finds five landmarks.
//!
//! Thresholds, rounding and box arithmetic follow the Python package `mtcnn` 0.1.1, whose weights it runs. The one room of this
//! crate that knows LibTorch.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use image::RgbImage;
use safetensors::{Dtype, SafeTensors};
use tch::{Device, Kind, TchError, Tensor};

use super::{Detection, FaceDetector};
use crate::resize::{Filter, resize, shares};
use crate::{BoundingBox, Error, Point};

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
}

impl Default for MtcnnConfig {
    fn default() -> Self {
        Self { min_face_size: None, scale_factor: 0.709, thresholds: [0.6, 0.7, 0.7], max_pixels: 100_000_000 }
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
    device: Device,
    weights: BTreeMap<String, Tensor>,
}

/// The name and shape of every weight.
const WEIGHTS: &[(&str, &[i64])] = &[
    ("pnet.conv1", &[10, 3, 3, 3]),
    ("pnet.prelu1", &[10]),
    ("pnet.conv2", &[16, 10, 3, 3]),
    ("pnet.prelu2", &[16]),
    ("pnet.conv3", &[32, 16, 3, 3]),
    ("pnet.prelu3", &[32]),
    ("pnet.score", &[2, 32, 1, 1]),
    ("pnet.box", &[4, 32, 1, 1]),
    ("rnet.conv1", &[28, 3, 3, 3]),
    ("rnet.prelu1", &[28]),
    ("rnet.conv2", &[48, 28, 3, 3]),
    ("rnet.prelu2", &[48]),
    ("rnet.conv3", &[64, 48, 2, 2]),
    ("rnet.prelu3", &[64]),
    ("rnet.dense1", &[128, 576]),
    ("rnet.prelu4", &[128]),
    ("rnet.score", &[2, 128]),
    ("rnet.box", &[4, 128]),
    ("onet.conv1", &[32, 3, 3, 3]),
    ("onet.prelu1", &[32]),
    ("onet.conv2", &[64, 32, 3, 3]),
    ("onet.prelu2", &[64]),
    ("onet.conv3", &[64, 64, 3, 3]),
    ("onet.prelu3", &[64]),
    ("onet.conv4", &[128, 64, 2, 2]),
    ("onet.prelu4", &[128]),
    ("onet.dense1", &[256, 1152]),
    ("onet.prelu5", &[256]),
    ("onet.score", &[2, 256]),
    ("onet.box", &[4, 256]),
    ("onet.landmarks", &[10, 256]),
];

/// How many crops the second and third network see at once: bounds the memory.
const BATCH: usize = 256;

impl Mtcnn {
    /// Loads the weights (a safetensors file made by `scripts/convert_mtcnn.py`) to run on the CPU with the default config.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn load(path: impl AsRef<Path>) -> Result<Self, Error> {
        Self::new(path, MtcnnConfig::default(), Device::Cpu)
    }

    /// Loads the weights to run on a device of LibTorch, such as `tch::Device::Cuda(0)`.
    ///
    /// # Errors
    /// [`Error::InvalidConfig`]; [`Error::Io`] for a file that cannot be read; [`Error::Weights`], which names all that is missing,
    /// unexpected or of another shape; [`Error::Backend`].
    pub fn new(path: impl AsRef<Path>, config: MtcnnConfig, device: Device) -> Result<Self, Error> {
        config.check()?;
        let path = path.as_ref();
        let bytes = std::fs::read(path).map_err(|source| Error::Io { path: path.into(), source })?;
        Ok(Self { config, device, weights: read(&bytes, path, device)? })
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

    /// First network, on every size: where a face might be.
    fn propose(&self, image: &RgbImage, smallest: u32) -> Result<Vec<Candidate>, Error> {
        let base = 12.0 / f64::from(smallest);
        let mut shorter = f64::from(image.width().min(image.height())) * base;
        let mut all = Vec::new();
        for step in 0u8.. {
            if shorter < 12.0 {
                break;
            }
            let scale = base * self.config.scale_factor.powf(f64::from(step));
            let size = |side: u32| (f64::from(side) * scale).ceil() as u32;
            let small = resize(image, size(image.width()), size(image.height()), Filter::Area)?;
            let mut found = self.propose_at(&small, scale)?;
            suppress(&mut found, 0.5, Overlap::Union);
            all.append(&mut found);
            shorter *= self.config.scale_factor;
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

    fn propose_at(&self, image: &RgbImage, scale: f64) -> Result<Vec<Candidate>, Error> {
        let (width, height) = (image.width() as usize, image.height() as usize);
        let pixels: Vec<f32> = image.as_raw().iter().map(|&pixel| normal(f32::from(pixel))).collect();
        let (scores, offsets) = self
            .first_network(&pixels, height as i64, width as i64)
            .map_err(|source| Error::Backend { doing: "proposing faces", source })?;
        // Two convolutions and a halving between: entry (x, y) looks at 12 pixels from 2x on.
        let (columns, rows) = ((width - 2).div_ceil(2) - 4, (height - 2).div_ceil(2) - 4);
        let cells = columns * rows;
        // Column by column, as the package counts: of equally sure candidates the last one wins.
        let sure = |&(x, y): &(usize, usize)| scores[y * columns + x] >= self.config.thresholds[0];
        let places: Vec<(usize, usize)> =
            (0..columns).flat_map(|x| (0..rows).map(move |y| (x, y))).filter(sure).collect();
        let candidate = |&(x, y): &(usize, usize)| {
            // The package looks up the offsets of a lone candidate in the mirrored table. Boxes are the same only if we do.
            let column = if places.len() == 1 { columns - 1 - x } else { x };
            let edge = |cell: usize, end: f64| ((2.0 * cell as f64 + end) / scale).trunc();
            Candidate {
                corners: [edge(x, 1.0), edge(y, 1.0), edge(x, 12.0), edge(y, 12.0)],
                score: scores[y * columns + x],
                offsets: std::array::from_fn(|side| f64::from(offsets[side * cells + y * columns + column])),
                points: [0.0; 10],
            }
        };
        Ok(places.iter().map(candidate).collect())
    }

    /// A picture of [height, width, 3] → the face's score of each cell, and four offsets, each of all cells.
    fn first_network(&self, pixels: &[f32], height: i64, width: i64) -> Result<(Vec<f32>, Vec<f32>), TchError> {
        let _guard = tch::no_grad_guard();
        let x = self.input(pixels, &[1, height, width, 3])?;
        let x = self.convolve(&x, "pnet", 1)?.f_max_pool2d([2, 2], [2, 2], [0, 0], [1, 1], true)?;
        let x = self.convolve(&self.convolve(&x, "pnet", 2)?, "pnet", 3)?;
        let scores = self.layer(&x, "pnet.score")?.f_softmax(1, Kind::Float)?.f_select(1, 1)?;
        Ok((numbers(&scores)?, numbers(&self.layer(&x, "pnet.box")?)?))
    }

    /// Second network: a closer look at 24×24 pixels.
    fn refine(&self, image: &RgbImage, candidates: Vec<Candidate>) -> Result<Vec<Candidate>, Error> {
        let mut kept = Vec::new();
        for batch in candidates.chunks(BATCH) {
            let crops = crops(image, batch, 24);
            let (scores, offsets) = self
                .second_network(&crops, batch.len() as i64)
                .map_err(|source| Error::Backend { doing: "refining faces", source })?;
            for (number, candidate) in batch.iter().enumerate() {
                if scores[number] > self.config.thresholds[1] {
                    let offsets = std::array::from_fn(|side| f64::from(offsets[4 * number + side]));
                    kept.push(Candidate { score: scores[number], offsets, ..*candidate });
                }
            }
        }
        suppress(&mut kept, 0.7, Overlap::Union);
        for candidate in &mut kept {
            candidate.shift();
            candidate.make_square();
        }
        Ok(kept)
    }

    fn second_network(&self, crops: &[f32], count: i64) -> Result<(Vec<f32>, Vec<f32>), TchError> {
        let _guard = tch::no_grad_guard();
        let x = self.input(crops, &[count, 24, 24, 3])?;
        let x = self.convolve(&x, "rnet", 1)?.f_max_pool2d([3, 3], [2, 2], [0, 0], [1, 1], true)?;
        let x = self.convolve(&x, "rnet", 2)?.f_max_pool2d([3, 3], [2, 2], [0, 0], [1, 1], false)?;
        let x = self.convolve(&x, "rnet", 3)?.f_flatten(1, 3)?;
        let x = self.dense(&x, "rnet", 4)?;
        let scores = self.layer(&x, "rnet.score")?.f_softmax(1, Kind::Float)?.f_select(1, 1)?;
        Ok((numbers(&scores)?, numbers(&self.layer(&x, "rnet.box")?)?))
    }

    /// Third network: the last word, and the landmarks, from 48×48 pixels.
    fn decide(&self, image: &RgbImage, candidates: Vec<Candidate>) -> Result<Vec<Candidate>, Error> {
        let mut kept = Vec::new();
        for batch in candidates.chunks(BATCH) {
            let crops = crops(image, batch, 48);
            let [scores, offsets, points] = self
                .third_network(&crops, batch.len() as i64)
                .map_err(|source| Error::Backend { doing: "deciding on faces", source })?;
            for (number, candidate) in batch.iter().enumerate() {
                if scores[number] > self.config.thresholds[2] {
                    let corners = candidate.corners.map(f64::trunc);
                    let [x1, y1, x2, y2] = corners;
                    let (width, height) = (x2 - x1 + 1.0, y2 - y1 + 1.0);
                    let mut placed = [0.0; 10];
                    for (index, placed) in placed.iter_mut().enumerate() {
                        let share = f64::from(points[10 * number + index]);
                        *placed = if index < 5 { width * share + x1 - 1.0 } else { height * share + y1 - 1.0 };
                    }
                    let offsets = std::array::from_fn(|side| f64::from(offsets[4 * number + side]));
                    kept.push(Candidate { corners, score: scores[number], offsets, points: placed });
                }
            }
        }
        kept.iter_mut().for_each(Candidate::shift);
        suppress(&mut kept, 0.7, Overlap::Smaller);
        Ok(kept)
    }

    fn third_network(&self, crops: &[f32], count: i64) -> Result<[Vec<f32>; 3], TchError> {
        let _guard = tch::no_grad_guard();
        let x = self.input(crops, &[count, 48, 48, 3])?;
        let x = self.convolve(&x, "onet", 1)?.f_max_pool2d([3, 3], [2, 2], [0, 0], [1, 1], true)?;
        let x = self.convolve(&x, "onet", 2)?.f_max_pool2d([3, 3], [2, 2], [0, 0], [1, 1], false)?;
        let x = self.convolve(&x, "onet", 3)?.f_max_pool2d([2, 2], [2, 2], [0, 0], [1, 1], true)?;
        let x = self.convolve(&x, "onet", 4)?.f_flatten(1, 3)?;
        let x = self.dense(&x, "onet", 5)?;
        let scores = self.layer(&x, "onet.score")?.f_softmax(1, Kind::Float)?.f_select(1, 1)?;
        Ok([numbers(&scores)?, numbers(&self.layer(&x, "onet.box")?)?, numbers(&self.layer(&x, "onet.landmarks")?)?])
    }

    /// Pictures of [batch, y, x, channel] as the networks take them.
    fn input(&self, pixels: &[f32], shape: &[i64]) -> Result<Tensor, TchError> {
        Tensor::f_from_slice(pixels)?.f_view(shape)?.f_permute([0, 3, 1, 2])?.f_to_device(self.device)?.f_contiguous()
    }

    /// A convolution and its PReLU.
    fn convolve(&self, x: &Tensor, network: &str, number: usize) -> Result<Tensor, TchError> {
        self.layer(x, &format!("{network}.conv{number}"))?
            .f_prelu(self.weight(&format!("{network}.prelu{number}.weight")))
    }

    /// The dense layer and its PReLU, whose number goes on from those of the convolutions.
    fn dense(&self, x: &Tensor, network: &str, number: usize) -> Result<Tensor, TchError> {
        self.layer(x, &format!("{network}.dense1"))?.f_prelu(self.weight(&format!("{network}.prelu{number}.weight")))
    }

    fn layer(&self, x: &Tensor, name: &str) -> Result<Tensor, TchError> {
        let (weight, bias) = (self.weight(&format!("{name}.weight")), self.weight(&format!("{name}.bias")));
        match weight.dim() {
            2 => x.f_linear(weight, Some(bias)),
            _ => x.f_conv2d(weight, Some(bias), [1, 1], [0, 0], [1, 1], 1),
        }
    }

    /// A weight; all that the networks ask for were there when they were loaded.
    fn weight(&self, name: &str) -> &Tensor {
        &self.weights[name]
    }
}

impl FaceDetector for Mtcnn {
    /// The score is that of the third network.
    fn detect(&mut self, image: &RgbImage) -> Result<Vec<Detection>, Error> {
        let pixels = u64::from(image.width()) * u64::from(image.height());
        if pixels == 0 || pixels > self.config.max_pixels {
            let expected = format!("1 to {} pixels", self.config.max_pixels);
            return Err(Error::input("picture", expected, format!("{}x{}", image.width(), image.height())));
        }
        let smallest = self.config.min_face_size.unwrap_or((image.width().min(image.height()) / 10).max(20));
        let candidates = self.propose(image, smallest)?;
        let candidates = self.refine(image, candidates)?;
        let faces = self.decide(image, candidates)?;
        Ok(faces.iter().map(Candidate::detection).collect())
    }

    fn name(&self) -> &str {
        "mtcnn"
    }
}

/// A square that may hold a face.
#[derive(Debug, Clone, Copy)]
struct Candidate {
    /// Left, upper, right and lower edge. The package counts pixels from 1 and takes the last one in.
    corners: [f64; 4],
    score: f32,
    /// What the network would move the edges by, as shares of the sides.
    offsets: [f64; 4],
    /// Five x, then five y.
    points: [f64; 10],
}

impl Candidate {
    /// Moves the edges by the offsets.
    fn shift(&mut self) {
        let [x1, y1, x2, y2] = self.corners;
        let (width, height) = (x2 - x1 + 1.0, y2 - y1 + 1.0);
        let sides = [width, height, width, height];
        self.corners = std::array::from_fn(|edge| self.corners[edge] + self.offsets[edge] * sides[edge]);
    }

    /// Grows the shorter side about the centre.
    fn make_square(&mut self) {
        let [x1, y1, x2, y2] = self.corners;
        let (width, height) = (x2 - x1, y2 - y1);
        let side = width.max(height);
        let (x, y) = (x1 + width * 0.5 - side * 0.5, y1 + height * 0.5 - side * 0.5);
        self.corners = [x, y, x + side, y + side];
    }

    fn detection(&self) -> Detection {
        let [x1, y1, x2, y2] = self.corners.map(|edge| edge as f32);
        let points = self.points.map(|place| place as f32);
        Detection {
            bbox: BoundingBox::new(x1, y1, x2 - x1, y2 - y1),
            score: self.score.clamp(0.0, 1.0),
            landmarks: Some(std::array::from_fn(|index| Point::new(points[index], points[index + 5]))),
        }
    }
}

/// What the shared area is compared with.
#[derive(Debug, Clone, Copy)]
enum Overlap {
    Union,
    Smaller,
}

/// Keeps the best of every heap of overlapping candidates, best first.
fn suppress(candidates: &mut Vec<Candidate>, threshold: f64, overlap: Overlap) {
    candidates.reverse();
    candidates.sort_by(|first, second| second.score.total_cmp(&first.score));
    let area = |[x1, y1, x2, y2]: [f64; 4]| (x2 - x1 + 1.0) * (y2 - y1 + 1.0);
    let mut kept: Vec<Candidate> = Vec::new();
    for &candidate in candidates.iter() {
        let far = kept.iter().all(|better| {
            let (a, b) = (better.corners, candidate.corners);
            let width = (a[2].min(b[2]) - a[0].max(b[0]) + 1.0).max(0.0);
            let height = (a[3].min(b[3]) - a[1].max(b[1]) + 1.0).max(0.0);
            let shared = width * height;
            let whole = match overlap {
                Overlap::Union => area(a) + area(b) - shared,
                Overlap::Smaller => area(a).min(area(b)),
            };
            shared / whole <= threshold
        });
        if far {
            kept.push(candidate);
        }
    }
    *candidates = kept;
}

/// A pixel as the networks take it.
fn normal(pixel: f32) -> f32 {
    (pixel - 127.5) * 0.007_812_5
}

/// The candidates' squares, black beyond the picture, each resized to `side`×`side`, one after the other.
fn crops(image: &RgbImage, candidates: &[Candidate], side: usize) -> Vec<f32> {
    let mut all = Vec::with_capacity(candidates.len() * side * side * 3);
    for candidate in candidates {
        let [x1, y1, x2, y2] = candidate.corners.map(|edge| edge.trunc() as i64);
        let (width, height) = ((x2 - x1 + 1).max(1) as usize, (y2 - y1 + 1).max(1) as usize);
        // Both axes grow or shrink together: candidates are square.
        let (columns, rows) = (shares(width, side), shares(height, side));
        let start = all.len();
        all.resize(start + side * side * 3, 0.0f32);
        let crop = &mut all[start..];
        let mut line = vec![0f32; side * 3];
        for row in &rows {
            let y = y1 - 1 + row.source as i64;
            if !(0..i64::from(image.height())).contains(&y) {
                continue;
            }
            line.fill(0.0);
            for column in &columns {
                let x = x1 - 1 + column.source as i64;
                if (0..i64::from(image.width())).contains(&x) {
                    let pixel = image.get_pixel(x as u32, y as u32).0;
                    for channel in 0..3 {
                        line[column.target * 3 + channel] += column.weight * f32::from(pixel[channel]);
                    }
                }
            }
            for (sum, &value) in crop[row.target * side * 3..].iter_mut().zip(&line) {
                *sum += row.weight * value;
            }
        }
        crop.iter_mut().for_each(|pixel| *pixel = normal(*pixel));
    }
    all
}

fn numbers(tensor: &Tensor) -> Result<Vec<f32>, TchError> {
    let flat = tensor.f_to_device(Device::Cpu)?.f_contiguous()?.f_flatten(0, -1)?;
    Vec::<f32>::try_from(&flat)
}

fn read(bytes: &[u8], path: &Path, device: Device) -> Result<BTreeMap<String, Tensor>, Error> {
    let refused = |problem: String| Error::Weights { path: path.into(), problem };
    let file = SafeTensors::deserialize(bytes).map_err(|error| refused(format!("not a safetensors file: {error}")))?;
    let mut expected = BTreeMap::new();
    for &(layer, shape) in WEIGHTS {
        expected.insert(format!("{layer}.weight"), shape.to_vec());
        if !layer.contains("prelu") {
            expected.insert(format!("{layer}.bias"), vec![shape[0]]);
        }
    }
    let mut problems: Vec<String> = file
        .names()
        .iter()
        .filter(|name| !expected.contains_key(**name))
        .map(|name| format!("unexpected {name}"))
        .collect();
    let mut weights = BTreeMap::new();
    for (name, shape) in expected {
        let Ok(view) = file.tensor(&name) else {
            problems.push(format!("missing {name}"));
            continue;
        };
        let got: Vec<i64> = view.shape().iter().map(|&side| side as i64).collect();
        if got != shape || view.dtype() != Dtype::F32 {
            problems.push(format!("{name}: expected f32 {shape:?}, got {:?} {got:?}", view.dtype()));
            continue;
        }
        let tensor = Tensor::f_from_data_size(view.data(), &shape, Kind::Float)
            .and_then(|tensor| tensor.f_to_device(device))
            .map_err(|source| Error::Backend { doing: "loading weights", source })?;
        weights.insert(name, tensor);
    }
    if problems.is_empty() { Ok(weights) } else { Err(refused(problems.join("; "))) }
}
