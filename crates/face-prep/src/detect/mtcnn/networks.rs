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
        look(&self.second, 24, &[3, 3], (picture, candidates), scratch)
    }

    /// Third network: the last word, and the landmarks, from 48×48 pixels.
    pub(super) fn decide(&self, picture: &Picture, candidates: &[Candidate], scratch: &mut Scratch) -> Vec<Verdict> {
        look(&self.third, 48, &[3, 3, 2], (picture, candidates), scratch)
    }
}

/// What a network of convolutions, a dense layer and its heads says of the candidates, each cut out as `side`×`side` pixels.
/// Behind every convolution but the last stands a pooling over one of the `pools`, squares that move by two.
fn look(
    layers: &[Layer],
    side: usize,
    pools: &[usize],
    (picture, candidates): (&Picture, &[Candidate]),
    scratch: &mut Scratch,
) -> Vec<Verdict> {
    let (pooled_layers, [last, dense, heads]) = layers.split_at(pools.len()) else { return Vec::new() };
    let Scratch { lines, pixels: [pixels, ..], maps: [wide, pooled], features, dense: hidden, heads: said, .. } =
        scratch;
    let length = dense.inputs;
    // No map is larger than that of the first convolution.
    pixels.resize(side * side * 3, 0.0);
    wide.resize(side * side * layers[0].pitch, 0.0);
    pooled.resize(side * side * layers[0].pitch, 0.0);
    features.resize(candidates.len() * length, 0.0);
    for (candidate, features) in candidates.iter().zip(features.chunks_exact_mut(length)) {
        crop(picture, candidate, side, lines, &mut pixels[..side * side * 3]);
        let (mut width, mut input) = (side, &pixels[..]);
        for (number, (layer, &pool)) in pooled_layers.iter().zip(pools).enumerate() {
            let filters = layers[number + 1].inputs;
            layer.run_all(input, width, width, wide);
            width = width + 1 - layer.side;
            let halved = (width - pool).div_ceil(2) + 1;
            pool_all(wide, (width, width), (layer.pitch, filters), pool, (halved, halved), pooled);
            (width, input) = (halved, &pooled[..]);
        }
        last.run_all(input, width, width, features);
    }
    hidden.resize(candidates.len() * dense.pitch, 0.0);
    said.resize(candidates.len() * heads.pitch, 0.0);
    dense.run(&[features], candidates.len(), hidden);
    heads.run(&[hidden], candidates.len(), said);
    said.chunks_exact(heads.pitch).take(candidates.len()).map(verdict).collect()
}

/// The face's share of the two scores' softmax.
fn probability([other, face]: [f32; 2]) -> f32 {
    let most = other.max(face);
    let (other, face) = ((other - most).exp(), (face - most).exp());
    face / (other + face)
}

/// Two scores, four offsets, and ten places or none; what fills up the last panel is 0.
fn verdict(said: &[f32]) -> Verdict {
    let mut points = [0.0; 10];
    points.iter_mut().zip(&said[6..]).for_each(|(point, said)| *point = *said);
    Verdict { score: probability([said[0], said[1]]), offsets: [said[2], said[3], said[4], said[5]], points }
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
