//! The three networks on the CPU.

use super::candidate::Candidate;
use super::layer::{Layer, Pool, pool_all};
use super::pixels::{Level, Lines, Picture, crop};
use super::weights::Weights;

/// A place where the first network sees a face.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cell {
    /// Entry (x, y) looks at 12 pixels from (2x, 2y) on.
    pub(super) x: usize,
    pub(super) y: usize,
    pub(super) score: f32,
    pub(super) offsets: [f32; 4],
    /// The offsets of the entry as far from the right edge as this one is from the left.
    pub(super) mirrored: [f32; 4],
}

/// What the second and the third network say of a candidate.
#[derive(Debug, Clone, Copy)]
pub(super) struct Verdict {
    pub(super) score: f32,
    pub(super) offsets: [f32; 4],
    /// Five x, then five y, as shares of the sides; the second network has none.
    pub(super) points: [f32; 10],
}

/// How many columns or rows of cells a level has: two convolutions and a halving between them take the rest.
pub(super) fn cells(side: usize) -> usize {
    (side - 2).div_ceil(2) - 4
}

#[derive(Debug)]
pub(super) struct Networks {
    first: [Layer; 4],
    second: [Layer; 5],
    third: [Layer; 6],
}

/// Room for one thread's work.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    lines: Lines,
    pixels: [Vec<f32>; 4],
    wide: [Vec<f32>; 2],
    pooled: [Vec<f32>; 3],
    second: [Vec<f32>; 3],
    third: Vec<f32>,
    heads: Vec<f32>,
    maps: [Vec<f32>; 2],
    features: Vec<f32>,
    dense: Vec<f32>,
}

impl Networks {
    pub(super) fn new(weights: &Weights) -> Self {
        Self {
            first: [
                convolution(weights, "pnet", 1),
                convolution(weights, "pnet", 2),
                convolution(weights, "pnet", 3),
                heads(weights, "pnet", &["score", "box"]),
            ],
            second: [
                convolution(weights, "rnet", 1),
                convolution(weights, "rnet", 2),
                convolution(weights, "rnet", 3),
                dense(weights, "rnet", 4),
                heads(weights, "rnet", &["score", "box"]),
            ],
            third: [
                convolution(weights, "onet", 1),
                convolution(weights, "onet", 2),
                convolution(weights, "onet", 3),
                convolution(weights, "onet", 4),
                dense(weights, "onet", 5),
                heads(weights, "onet", &["score", "box", "landmarks"]),
            ],
        }
    }

    /// First network: the cells of the rows `first..last` of a level whose score reaches the threshold.
    ///
    /// All layers walk down the level together, each a few rows behind the one before, so that no map is ever whole.
    pub(super) fn propose(
        &self,
        picture: &Picture,
        level: &Level,
        (first, last): (usize, usize),
        threshold: f32,
        scratch: &mut Scratch,
    ) -> Vec<Cell> {
        let [one, two, three, heads] = &self.first;
        let Scratch { lines, pixels, wide, pooled, second, third, heads: said, .. } = scratch;
        let columns = cells(level.width);
        let (halved, width) = (columns + 4, level.width - 2);
        pixels.iter_mut().for_each(|row| row.resize(level.width * 3, 0.0));
        wide.iter_mut().for_each(|row| row.resize(width * one.pitch, 0.0));
        pooled.iter_mut().for_each(|row| row.resize(halved * 10, 0.0));
        second.iter_mut().for_each(|row| row.resize((columns + 2) * two.pitch, 0.0));
        third.resize(columns * three.pitch, 0.0);
        said.resize(columns * heads.pitch, 0.0);
        lines.forget();
        let mut found = Vec::new();
        let mut read = 2 * first;
        for y in first..last + 4 {
            // The level may end after the first of the two rows.
            let count = (level.height - 2 - 2 * y).min(2);
            for source in read..2 * y + 2 + count {
                level.row(picture, source, lines, &mut pixels[source % 4][..level.width * 3]);
            }
            read = 2 * y + 2 + count;
            for (row, wide) in wide[..count].iter_mut().enumerate() {
                let seen = [0, 1, 2].map(|below| &pixels[(2 * y + row + below) % 4][..]);
                one.run(&seen, width, wide);
            }
            let rows = [&wide[0][..], &wide[1][..]];
            let output = &mut pooled[y % 3][..halved * 10];
            Pool { rows: &rows[..count], width, pitch: one.pitch, side: 2, channels: 10, output }.run();
            if y < first + 2 {
                continue;
            }
            let seen = [y - 2, y - 1, y].map(|row| &pooled[row % 3][..]);
            two.run(&seen, columns + 2, &mut second[y % 3]);
            if y < first + 4 {
                continue;
            }
            let seen = [y - 2, y - 1, y].map(|row| &second[row % 3][..]);
            three.run(&seen, columns, third);
            heads.run(&[third], columns, said);
            let row = &said[..columns * heads.pitch];
            let offsets = |x: usize| std::array::from_fn(|side| row[x * heads.pitch + 2 + side]);
            for (x, cell) in row.chunks_exact(heads.pitch).enumerate() {
                let score = probability([cell[0], cell[1]]);
                if score >= threshold {
                    let (offsets, mirrored) = (offsets(x), offsets(columns - 1 - x));
                    found.push(Cell { x, y: y - 4, score, offsets, mirrored });
                }
            }
        }
        found
    }

    /// Second network: a closer look at 24×24 pixels.
    pub(super) fn refine(&self, picture: &Picture, candidates: &[Candidate], scratch: &mut Scratch) -> Vec<Verdict> {
        let [one, two, three, dense, heads] = &self.second;
        let Scratch { lines, pixels: [pixels, ..], maps: [wide, pooled], features, dense: hidden, heads: said, .. } =
            scratch;
        let length = dense_inputs(3, three.pitch);
        pixels.resize(24 * 24 * 3, 0.0);
        wide.resize(22 * 22 * one.pitch, 0.0);
        pooled.resize(11 * 11 * 28, 0.0);
        features.resize(candidates.len() * length, 0.0);
        for (candidate, features) in candidates.iter().zip(features.chunks_exact_mut(length)) {
            crop(picture, candidate, 24, lines, &mut pixels[..24 * 24 * 3]);
            one.run_all(pixels, 24, 24, wide);
            pool_all(wide, (22, 22), (one.pitch, 28), 3, (11, 11), pooled);
            two.run_all(pooled, 11, 11, wide);
            pool_all(wide, (9, 9), (two.pitch, 48), 3, (4, 4), pooled);
            three.run_all(pooled, 4, 4, features);
        }
        hidden.resize(candidates.len() * dense.pitch, 0.0);
        said.resize(candidates.len() * heads.pitch, 0.0);
        dense.run(&[features], candidates.len(), hidden);
        heads.run(&[hidden], candidates.len(), said);
        said.chunks_exact(heads.pitch).take(candidates.len()).map(|said| verdict(&said[..6])).collect()
    }

    /// Third network: the last word, and the landmarks, from 48×48 pixels.
    pub(super) fn decide(&self, picture: &Picture, candidates: &[Candidate], scratch: &mut Scratch) -> Vec<Verdict> {
        let [one, two, three, four, dense, heads] = &self.third;
        let Scratch { lines, pixels: [pixels, ..], maps: [wide, pooled], features, dense: hidden, heads: said, .. } =
            scratch;
        let length = dense_inputs(3, four.pitch);
        pixels.resize(48 * 48 * 3, 0.0);
        wide.resize(46 * 46 * one.pitch, 0.0);
        pooled.resize(23 * 23 * 32, 0.0);
        features.resize(candidates.len() * length, 0.0);
        for (candidate, features) in candidates.iter().zip(features.chunks_exact_mut(length)) {
            crop(picture, candidate, 48, lines, &mut pixels[..48 * 48 * 3]);
            one.run_all(pixels, 48, 48, wide);
            pool_all(wide, (46, 46), (one.pitch, 32), 3, (23, 23), pooled);
            two.run_all(pooled, 23, 23, wide);
            pool_all(wide, (21, 21), (two.pitch, 64), 3, (10, 10), pooled);
            three.run_all(pooled, 10, 10, wide);
            pool_all(wide, (8, 8), (three.pitch, 64), 2, (4, 4), pooled);
            four.run_all(pooled, 4, 4, features);
        }
        hidden.resize(candidates.len() * dense.pitch, 0.0);
        said.resize(candidates.len() * heads.pitch, 0.0);
        dense.run(&[features], candidates.len(), hidden);
        heads.run(&[hidden], candidates.len(), said);
        said.chunks_exact(heads.pitch).take(candidates.len()).map(|said| verdict(&said[..16])).collect()
    }
}

/// The face's share of the two scores' softmax.
fn probability([other, face]: [f32; 2]) -> f32 {
    let most = other.max(face);
    let (other, face) = ((other - most).exp(), (face - most).exp());
    face / (other + face)
}

/// Two scores, four offsets, and ten places or none.
fn verdict(said: &[f32]) -> Verdict {
    let mut points = [0.0; 10];
    points[..said.len() - 6].copy_from_slice(&said[6..]);
    Verdict { score: probability([said[0], said[1]]), offsets: [said[2], said[3], said[4], said[5]], points }
}

/// How many numbers the last map of `side`×`side` pixels has.
const fn dense_inputs(side: usize, channels: usize) -> usize {
    side * side * channels
}

fn convolution(weights: &Weights, network: &str, number: usize) -> Layer {
    let (shape, filters) = &weights[&format!("{network}.conv{number}.weight")];
    let (_, bias) = &weights[&format!("{network}.conv{number}.bias")];
    let (_, slopes) = &weights[&format!("{network}.prelu{number}.weight")];
    Layer::new(shape[1], shape[2], filters, bias, slopes)
}

/// The dense layer after a map of 3×3 pixels, and its PReLU, whose number goes on from those of the convolutions. The file has its inputs
/// channel by channel, our maps have them pixel by pixel.
fn dense(weights: &Weights, network: &str, number: usize) -> Layer {
    let (shape, filters) = &weights[&format!("{network}.dense1.weight")];
    let (_, bias) = &weights[&format!("{network}.dense1.bias")];
    let (_, slopes) = &weights[&format!("{network}.prelu{number}.weight")];
    let channels = shape[1] / 9;
    let turn = |filter: &[f32]| -> Vec<f32> {
        (0..shape[1]).map(|place| filter[place % channels * 9 + place / channels]).collect()
    };
    let filters: Vec<f32> = filters.chunks_exact(shape[1]).flat_map(turn).collect();
    Layer::new(shape[1], 1, &filters, bias, slopes)
}

/// The last layers, side by side as one.
fn heads(weights: &Weights, network: &str, names: &[&str]) -> Layer {
    let all = |part: &str| -> Vec<f32> {
        names.iter().flat_map(|name| weights[&format!("{network}.{name}.{part}")].1.iter().copied()).collect()
    };
    let inputs = weights[&format!("{network}.{}.weight", names[0])].0[1];
    Layer::new(inputs, 1, &all("weight"), &all("bias"), &[])
}
