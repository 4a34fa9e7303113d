//! The questions that a cascade asks: Haar features and local binary patterns, with their places looked up for one layout.
//!
//! Each is written once for `L` neighbouring windows: plain loops over arrays, which the compiler turns into vector instructions
//! for a block and into plain ones for a single window.

use super::integral::{Layout, View, lanes};
use super::model::{HaarFeature, Rect};

/// A question of a decision tree.
pub(super) trait Question {
    /// For each window all bits set when it goes left, none when it goes right. `inverse` is one over each window's deviation.
    fn left<const L: usize>(&self, view: &View<'_>, inverse: &[f32; L]) -> [u32; L];
}

/// All bits of a truth value, to pick with and without a branch.
#[inline(always)]
fn mask(condition: bool) -> u32 {
    u32::from(condition).wrapping_neg()
}

/// The places of a rectangle's corners; its sum is `a - b - c + d` of their entries.
pub(super) type Corners = [u16; 4];

pub(super) fn corners(layout: Layout, x: usize, y: usize, width: usize, height: usize) -> Corners {
    [(x, y), (x + width, y), (x, y + height), (x + width, y + height)].map(|(x, y)| layout.offset(x, y))
}

fn upright(layout: Layout, rect: Rect) -> Corners {
    let [x, y, width, height] = [rect.x, rect.y, rect.width, rect.height].map(usize::from);
    corners(layout, x, y, width, height)
}

fn tilted(layout: Layout, rect: Rect) -> Corners {
    let [x, y, width, height] = [rect.x, rect.y, rect.width, rect.height].map(usize::from);
    [(x, y), (x - height, y + height), (x + width, y + width), (x + width - height, y + width + height)]
        .map(|(x, y)| layout.offset(x, y))
}

/// Any Haar feature, computed as OpenCV does: sums in whole numbers, weighted in single precision.
#[derive(Debug)]
pub(super) struct Wide {
    rects: [Corners; 3],
    weights: [f32; 3],
    threshold: f32,
    tilted: bool,
}

impl Wide {
    pub(super) fn new(feature: &HaarFeature, threshold: f32, layout: Layout) -> Self {
        let place = |rect| if feature.tilted { tilted(layout, rect) } else { upright(layout, rect) };
        Self { rects: feature.rects.map(place), weights: feature.weights, threshold, tilted: feature.tilted }
    }
}

impl Question for Wide {
    #[inline(always)]
    fn left<const L: usize>(&self, view: &View<'_>, inverse: &[f32; L]) -> [u32; L] {
        let table = if self.tilted { view.tilted } else { view.sums };
        // One loop with a large body: the compiler turns it into vector instructions as a whole, where it would unroll small
        // ones and lose the thread.
        let [first, second, third] = self.rects.map(|corners| corners.map(|corner| lanes::<u32, L>(table, corner)));
        let sum = |[a, b, c, d]: [&[u32; L]; 4], lane: usize| {
            a[lane].wrapping_sub(b[lane]).wrapping_sub(c[lane]).wrapping_add(d[lane]) as i32 as f32
        };
        let mut left = [0; L];
        if self.weights[2] == 0.0 {
            for lane in 0..L {
                let value = self.weights[0] * sum(first, lane) + self.weights[1] * sum(second, lane);
                left[lane] = mask(value * inverse[lane] < self.threshold);
            }
        } else {
            for lane in 0..L {
                let value = self.weights[0] * sum(first, lane) + self.weights[1] * sum(second, lane);
                let value = value + self.weights[2] * sum(third, lane);
                left[lane] = mask(value * inverse[lane] < self.threshold);
            }
        }
        left
    }
}

/// An upright Haar feature of `RECTS` rectangles with whole weights, whose value always fits 16 bits: nearly all do, and twice as
/// many of them fit in a vector. Whole numbers of this size are exact in single precision too, so nothing is rounded otherwise.
#[derive(Debug)]
pub(super) struct Narrow<const RECTS: usize> {
    rects: [Corners; RECTS],
    weights: [u16; RECTS],
    threshold: f32,
}

impl<const RECTS: usize> Narrow<RECTS> {
    /// `None` when the feature is not of this kind.
    pub(super) fn new(feature: &HaarFeature, threshold: f32, layout: Layout) -> Option<Self> {
        let rects = if feature.weights[2] == 0.0 { 2 } else { 3 };
        let whole = feature.weights.iter().all(|weight| weight.fract() == 0.0 && weight.abs() < 128.0);
        if rects != RECTS || feature.tilted || !whole {
            return None;
        }
        // The value is largest when all pixels of positive weight are white and all others black, and the other way round.
        let range = areas(feature).into_iter().fold([0, 0], |[least, most], (weight, area)| {
            let share = i64::from(weight) * i64::from(area) * 255;
            [least + share.min(0), most + share.max(0)]
        });
        let fits = i64::from(i16::MIN) <= range[0] && range[1] <= i64::from(i16::MAX);
        // What OpenCV adds up in single precision on the way is exact as well.
        let parts = feature.rects.iter().zip(feature.weights);
        let exact = parts.map(|(rect, weight)| f32::from(rect.width) * f32::from(rect.height) * 255.0 * weight.abs()).sum::<f32>() < 1.6e7;
        (fits && exact).then(|| Self {
            rects: std::array::from_fn(|rect| upright(layout, feature.rects[rect])),
            weights: std::array::from_fn(|rect| feature.weights[rect] as i16 as u16),
            threshold,
        })
    }
}

/// The window cut along all edges of a feature's rectangles: the weight and the area of each piece.
fn areas(feature: &HaarFeature) -> Vec<(i32, i32)> {
    let cuts = |from: fn(&Rect) -> (u8, u8)| {
        let mut cuts: Vec<i32> =
            feature.rects.iter().map(from).flat_map(|(start, length)| [start.into(), i32::from(start) + i32::from(length)]).collect();
        cuts.sort_unstable();
        cuts
    };
    let (columns, rows) = (cuts(|rect| (rect.x, rect.width)), cuts(|rect| (rect.y, rect.height)));
    let mut areas = Vec::new();
    for row in rows.windows(2) {
        for column in columns.windows(2) {
            let covers = |rect: &Rect| {
                let [x, y, width, height] = [rect.x, rect.y, rect.width, rect.height].map(i32::from);
                x <= column[0] && column[1] <= x + width && y <= row[0] && row[1] <= y + height
            };
            let weight = feature.rects.iter().zip(feature.weights).filter(|(rect, _)| covers(rect)).map(|(_, weight)| weight as i32).sum();
            areas.push((weight, (column[1] - column[0]) * (row[1] - row[0])));
        }
    }
    areas
}

impl<const RECTS: usize> Question for Narrow<RECTS> {
    #[inline(always)]
    fn left<const L: usize>(&self, view: &View<'_>, inverse: &[f32; L]) -> [u32; L] {
        let rects = self.rects.map(|corners| corners.map(|corner| lanes::<u16, L>(view.low, corner)));
        let mut values = [0u16; L];
        for lane in 0..L {
            let mut value = 0u16;
            for (&[a, b, c, d], &weight) in rects.iter().zip(&self.weights) {
                let sum = a[lane].wrapping_sub(b[lane]).wrapping_sub(c[lane]).wrapping_add(d[lane]);
                value = value.wrapping_add(sum.wrapping_mul(weight));
            }
            values[lane] = value;
        }
        let mut left = [0; L];
        for lane in 0..L {
            left[lane] = mask(f32::from(values[lane] as i16) * inverse[lane] < self.threshold);
        }
        left
    }
}

/// A local binary pattern: which of the eight blocks around the middle one are at least as bright as it.
#[derive(Debug)]
pub(super) struct Lbp {
    /// The corners of three by three blocks, four to a row.
    grid: [u16; 16],
    subset: [u32; 8],
}

/// The eight blocks, clockwise from the left upper one: the first of them is the highest bit.
const AROUND: [usize; 8] = [0, 1, 2, 6, 10, 9, 8, 4];
const MIDDLE: usize = 5;

impl Lbp {
    pub(super) fn new(block: Rect, subset: [u32; 8], layout: Layout) -> Self {
        let [x, y, width, height] = [block.x, block.y, block.width, block.height].map(usize::from);
        let grid = std::array::from_fn(|corner| layout.offset(x + corner % 4 * width, y + corner / 4 * height));
        Self { grid, subset }
    }

    #[inline(always)]
    fn block<const L: usize>(&self, view: &View<'_>, corner: usize) -> [i32; L] {
        let [a, b, c, d] = [corner, corner + 1, corner + 4, corner + 5].map(|corner| lanes(view.sums, self.grid[corner]));
        sum_block(a, b, c, d)
    }
}

#[inline(always)]
fn sum_block<const L: usize>(a: &[u32; L], b: &[u32; L], c: &[u32; L], d: &[u32; L]) -> [i32; L] {
    let mut sum = [0; L];
    for lane in 0..L {
        sum[lane] = a[lane].wrapping_sub(b[lane]).wrapping_sub(c[lane]).wrapping_add(d[lane]) as i32;
    }
    sum
}

impl Question for Lbp {
    #[inline(always)]
    fn left<const L: usize>(&self, view: &View<'_>, _: &[f32; L]) -> [u32; L] {
        let middle = self.block::<L>(view, MIDDLE);
        let mut patterns = [0u32; L];
        for corner in AROUND {
            let around = self.block::<L>(view, corner);
            for lane in 0..L {
                patterns[lane] = patterns[lane] << 1 | u32::from(around[lane] >= middle[lane]);
            }
        }
        let mut left = [0; L];
        for lane in 0..L {
            let bits = self.subset[patterns[lane] as usize / 32 % 8];
            left[lane] = mask((bits >> (patterns[lane] % 32)) & 1 == 1);
        }
        left
    }
}

/// One over the deviation (times the area) of windows, taken without their outermost pixels.
#[derive(Debug)]
pub(super) struct Deviation {
    inner: Corners,
    area: f64,
}

/// A window whose standard deviation is not above this holds no object: OpenCV asks for `1 / deviation < 0.1`.
const LEAST_DEVIATION_INVERSE: f64 = 1e-1;

impl Deviation {
    pub(super) fn new(layout: Layout, width: usize, height: usize) -> Self {
        let (width, height) = (width - 2, height - 2);
        Self { inner: corners(layout, 1, 1, width, height), area: (width * height) as f64 }
    }

    /// The inverse of each window's, and a bit for each that deviates enough.
    #[inline(always)]
    pub(super) fn inverse<const L: usize>(&self, view: &View<'_>) -> ([f32; L], u32) {
        let [a, b, c, d] = self.inner.map(|corner| lanes(view.sums, corner));
        let sums: [i32; L] = sum_block(a, b, c, d);
        let [a, b, c, d] = self.inner.map(|corner| lanes(view.squares, corner));
        let squares: [i32; L] = sum_block(a, b, c, d);
        let mut inverse = [0.0; L];
        let mut enough = [false; L];
        for lane in 0..L {
            let sum = f64::from(sums[lane]);
            let variance = self.area * f64::from(squares[lane] as u32) - sum * sum;
            // A flat window divides by zero here and is not "enough": infinity is no less than the limit.
            inverse[lane] = (1.0 / variance.max(0.0).sqrt()) as f32;
            enough[lane] = self.area * f64::from(inverse[lane]) < LEAST_DEVIATION_INVERSE;
        }
        (inverse, bits(&enough))
    }
}

/// One bit for each lane.
#[inline(always)]
pub(super) fn bits<const L: usize>(lanes: &[bool; L]) -> u32 {
    (0..L).fold(0, |bits, lane| bits | u32::from(lanes[lane]) << lane)
}
