//! The questions that a cascade asks: Haar features and local binary patterns, with their places looked up for one layout.

use super::integral::{Layout, SPAN, View};
use super::lanes::Lanes;
use super::model::{HaarFeature, Rect};

/// A question of a decision tree.
pub(super) trait Question {
    /// For each window whether it goes left. `inverse` is one over each window's deviation.
    fn left<S: Lanes>(&self, simd: S, view: &View<'_>, inverse: S::Floats) -> S::Masks;
}

/// The places of a rectangle's corners; its sum is `a - b - c + d` of their entries.
type Corners = [u16; 4];

fn corners(layout: Layout, x: usize, y: usize, width: usize, height: usize) -> Corners {
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

#[inline(always)]
fn half_sum<S: Lanes>(simd: S, table: &[u16; SPAN], [a, b, c, d]: Corners) -> S::Halves {
    let entry = |place| simd.halves(table, place);
    simd.half_sum([entry(a), entry(b), entry(c), entry(d)])
}

#[inline(always)]
fn word_sum<S: Lanes>(simd: S, table: &[u32; SPAN], [a, b, c, d]: Corners) -> S::Words {
    let entry = |place| simd.words(table, place);
    simd.word_sum([entry(a), entry(b), entry(c), entry(d)])
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
    fn left<S: Lanes>(&self, simd: S, view: &View<'_>, inverse: S::Floats) -> S::Masks {
        let table = if self.tilted { view.tilted } else { view.sums };
        let weighted = |rect: usize| {
            let sum = simd.word_floats(word_sum(simd, table, self.rects[rect]));
            simd.mul(simd.splat_floats(self.weights[rect]), sum)
        };
        let mut value = simd.add(weighted(0), weighted(1));
        if self.weights[2] != 0.0 {
            value = simd.add(value, weighted(2));
        }
        simd.less(simd.mul(value, inverse), self.threshold)
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

/// Whole numbers below this are exact in single precision.
const EXACT: f32 = 16_000_000.0;

impl<const RECTS: usize> Narrow<RECTS> {
    /// `None` when the feature is not of this kind.
    pub(super) fn new(feature: &HaarFeature, threshold: f32, layout: Layout) -> Option<Self> {
        let rects = if feature.weights[2] == 0.0 { 2 } else { 3 };
        let parts = || feature.rects.iter().zip(feature.weights);
        let whole = parts().all(|(_, weight)| weight.fract() == 0.0 && weight.abs() < 128.0);
        if rects != RECTS || feature.tilted || !whole {
            return None;
        }
        // The value is largest when all pixels of positive weight are white and all others black, and the other way round.
        let range = areas(feature).into_iter().fold([0, 0], |[least, most], (weight, area)| {
            let share = i64::from(weight) * i64::from(area) * 255;
            [least + share.min(0), most + share.max(0)]
        });
        let fits = i64::from(i16::MIN) <= range[0] && range[1] <= i64::from(i16::MAX);
        // What OpenCV adds up in single precision on the way.
        let largest =
            |(rect, weight): (&Rect, f32)| f32::from(rect.width) * f32::from(rect.height) * 255.0 * weight.abs();
        let exact = parts().map(largest).sum::<f32>() < EXACT;
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
        let ends = |(start, length): (u8, u8)| [i32::from(start), i32::from(start) + i32::from(length)];
        let mut cuts: Vec<i32> = feature.rects.iter().map(from).flat_map(ends).collect();
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
            let parts = feature.rects.iter().zip(feature.weights);
            let weight = parts.filter(|(rect, _)| covers(rect)).map(|(_, weight)| weight as i32).sum();
            areas.push((weight, (column[1] - column[0]) * (row[1] - row[0])));
        }
    }
    areas
}

impl Question for Narrow<2> {
    #[inline(always)]
    fn left<S: Lanes>(&self, simd: S, view: &View<'_>, inverse: S::Floats) -> S::Masks {
        let sums = [half_sum(simd, view.low, self.rects[0]), half_sum(simd, view.low, self.rects[1])];
        let value = simd.weigh(sums, self.weights);
        simd.less(simd.mul(simd.half_floats(value), inverse), self.threshold)
    }
}

impl Question for Narrow<3> {
    #[inline(always)]
    fn left<S: Lanes>(&self, simd: S, view: &View<'_>, inverse: S::Floats) -> S::Masks {
        let sums = [half_sum(simd, view.low, self.rects[0]), half_sum(simd, view.low, self.rects[1])];
        let two = simd.weigh(sums, [self.weights[0], self.weights[1]]);
        let value = simd.weigh([two, half_sum(simd, view.low, self.rects[2])], [1, self.weights[2]]);
        simd.less(simd.mul(simd.half_floats(value), inverse), self.threshold)
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
    fn block<S: Lanes>(&self, simd: S, view: &View<'_>, corner: usize) -> S::Words {
        let grid = &self.grid;
        word_sum(simd, view.sums, [grid[corner], grid[corner + 1], grid[corner + 4], grid[corner + 5]])
    }
}

impl Question for Lbp {
    #[inline(always)]
    fn left<S: Lanes>(&self, simd: S, view: &View<'_>, _: S::Floats) -> S::Masks {
        let middle = self.block(simd, view, MIDDLE);
        let mut patterns = simd.splat_words(0);
        for corner in AROUND {
            patterns = simd.push_not_less(patterns, self.block(simd, view, corner), middle);
        }
        simd.is_in(patterns, &self.subset)
    }
}

/// One over the deviation (times the area) of windows, taken without their outermost pixels.
#[derive(Debug)]
pub(super) struct Deviation {
    inner: Corners,
    area: f64,
    /// A window whose inverse is not below this is flat and holds no object.
    flat: f32,
}

/// OpenCV asks for `area / deviation < 0.1`.
const LEAST_DEVIATION_INVERSE: f64 = 1e-1;

impl Deviation {
    pub(super) fn new(layout: Layout, width: usize, height: usize) -> Self {
        let (width, height) = (width - 2, height - 2);
        let area = (width * height) as f64;
        // The smallest inverse in single precision for which that is false.
        let mut flat = (LEAST_DEVIATION_INVERSE / area) as f32;
        while area * f64::from(flat) < LEAST_DEVIATION_INVERSE {
            flat = flat.next_up();
        }
        while area * f64::from(flat.next_down()) >= LEAST_DEVIATION_INVERSE {
            flat = flat.next_down();
        }
        Self { inner: corners(layout, 1, 1, width, height), area, flat }
    }

    /// The inverse of each window's; infinite for one colour.
    #[inline(always)]
    pub(super) fn inverse<S: Lanes>(&self, simd: S, view: &View<'_>) -> S::Floats {
        let (sums, squares) = (word_sum(simd, view.sums, self.inner), word_sum(simd, view.squares, self.inner));
        simd.inverse_deviation(self.area, sums, squares)
    }

    /// Which windows deviate enough.
    #[inline(always)]
    pub(super) fn enough<S: Lanes>(&self, simd: S, inverse: S::Floats) -> S::Masks {
        simd.less(inverse, self.flat)
    }
}
