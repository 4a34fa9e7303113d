//! Running a cascade over every window of a level.
//!
//! Neighbouring windows are evaluated together, [`LANES`] at a time, in plain loops over arrays that the compiler turns into
//! vector instructions; once few windows of a block are left, they go on one by one. Every number is computed as OpenCV computes
//! it (which sums in single and which in double precision), so that the same windows pass.

use super::integral::{Integral, LANES, Layout, Tables};
use super::model::{Cascade, Features, HaarFeature, Rect, Split};

/// When no more windows of a block than this are left, each goes on alone.
const FEW: u32 = 1;

/// A window whose standard deviation is not above this holds no object: OpenCV asks for `1 / deviation < 0.1`.
const LEAST_DEVIATION_INVERSE: f64 = 1e-1;

/// A truth value that picks between the bits of two numbers without a branch.
#[inline(always)]
fn mask(condition: bool) -> u32 {
    u32::from(condition).wrapping_neg()
}

/// A question of a decision tree, with its places looked up for one layout.
pub(super) trait Question: Sized {
    /// Whether windows are normalised by their deviation and flat ones left out.
    const NORMALISED: bool;

    /// Whether the window whose entry is `at` goes left.
    fn left(&self, sums: &[u32], at: usize, inverse: f32) -> bool;

    /// The same for a block of neighbouring windows: all bits set for left, none for right.
    fn left_block(&self, sums: &[u32], at: usize, inverse: &[f32; LANES]) -> [u32; LANES];
}

/// `a - b - c + d` of the four corners.
type Corners = [u32; 4];

fn corners(layout: Layout, x: usize, y: usize, width: usize, height: usize) -> Corners {
    [(x, y), (x + width, y), (x, y + height), (x + width, y + height)].map(|(x, y)| layout.offset(x, y) as u32)
}

#[inline(always)]
fn sum(sums: &[u32], at: usize, corners: &Corners) -> i32 {
    let [a, b, c, d] = *corners;
    let entry = |corner: u32| sums[at + corner as usize];
    let (a, b, c, d) = (entry(a), entry(b), entry(c), entry(d));
    a.wrapping_sub(b).wrapping_sub(c).wrapping_add(d) as i32
}

#[inline(always)]
fn lanes(sums: &[u32], at: usize) -> &[u32; LANES] {
    sums[at..].first_chunk().expect("tables are LANES longer than their last window")
}

#[inline(always)]
fn sum_block(sums: &[u32], at: usize, corners: &Corners) -> [i32; LANES] {
    let [a, b, c, d] = corners.map(|corner| lanes(sums, at + corner as usize));
    let mut sum = [0; LANES];
    for lane in 0..LANES {
        sum[lane] = a[lane].wrapping_sub(b[lane]).wrapping_sub(c[lane]).wrapping_add(d[lane]) as i32;
    }
    sum
}

#[derive(Debug)]
pub(super) struct Haar {
    rects: [Corners; 3],
    weights: [f32; 3],
    threshold: f32,
}

impl Haar {
    fn new(feature: &HaarFeature, threshold: f32, layout: Layout) -> Self {
        let place = |rect: Rect| {
            let [x, y, width, height] = [rect.x, rect.y, rect.width, rect.height].map(usize::from);
            if feature.tilted {
                [(x, y), (x - height, y + height), (x + width, y + width), (x + width - height, y + width + height)]
                    .map(|(x, y)| (layout.tilted + layout.offset(x, y)) as u32)
            } else {
                corners(layout, x, y, width, height)
            }
        };
        Self { rects: feature.rects.map(place), weights: feature.weights, threshold }
    }
}

impl Question for Haar {
    const NORMALISED: bool = true;

    #[inline(always)]
    fn left(&self, sums: &[u32], at: usize, inverse: f32) -> bool {
        let weighted = |rect: usize| self.weights[rect] * sum(sums, at, &self.rects[rect]) as f32;
        let mut value = weighted(0) + weighted(1);
        if self.weights[2] != 0.0 {
            value += weighted(2);
        }
        value * inverse < self.threshold
    }

    #[inline(always)]
    fn left_block(&self, sums: &[u32], at: usize, inverse: &[f32; LANES]) -> [u32; LANES] {
        // One loop with a large body: the compiler turns it into vector instructions as a whole, where it would unroll small
        // ones and lose the thread.
        let entries = |[a, b, c, d]: Corners| {
            let entry = |corner: u32| lanes(sums, at + corner as usize);
            [entry(a), entry(b), entry(c), entry(d)]
        };
        let (first, second, third) = (entries(self.rects[0]), entries(self.rects[1]), entries(self.rects[2]));
        let sum = |[a, b, c, d]: [&[u32; LANES]; 4], lane: usize| {
            a[lane].wrapping_sub(b[lane]).wrapping_sub(c[lane]).wrapping_add(d[lane]) as i32 as f32
        };
        let mut left = [0; LANES];
        if self.weights[2] == 0.0 {
            for lane in 0..LANES {
                let value = self.weights[0] * sum(first, lane) + self.weights[1] * sum(second, lane);
                left[lane] = mask(value * inverse[lane] < self.threshold);
            }
        } else {
            for lane in 0..LANES {
                let value = self.weights[0] * sum(first, lane) + self.weights[1] * sum(second, lane);
                let value = value + self.weights[2] * sum(third, lane);
                left[lane] = mask(value * inverse[lane] < self.threshold);
            }
        }
        left
    }
}

/// A local binary pattern: which of the eight blocks around the middle one are at least as bright as it.
#[derive(Debug)]
pub(super) struct Lbp {
    /// The corners of three by three blocks, four to a row.
    grid: [u32; 16],
    subset: [u32; 8],
}

/// The eight blocks, clockwise from the left upper one: the first of them is the highest bit.
const AROUND: [usize; 8] = [0, 1, 2, 6, 10, 9, 8, 4];
const MIDDLE: usize = 5;

impl Lbp {
    fn new(block: Rect, subset: [u32; 8], layout: Layout) -> Self {
        let [x, y, width, height] = [block.x, block.y, block.width, block.height].map(usize::from);
        let grid = std::array::from_fn(|corner| layout.offset(x + corner % 4 * width, y + corner / 4 * height) as u32);
        Self { grid, subset }
    }

    fn block(&self, corner: usize) -> Corners {
        [corner, corner + 1, corner + 4, corner + 5].map(|corner| self.grid[corner])
    }
}

impl Question for Lbp {
    const NORMALISED: bool = false;

    #[inline(always)]
    fn left(&self, sums: &[u32], at: usize, _: f32) -> bool {
        let middle = sum(sums, at, &self.block(MIDDLE));
        let pattern = AROUND
            .iter()
            .fold(0, |pattern, &corner| pattern << 1 | usize::from(sum(sums, at, &self.block(corner)) >= middle));
        self.subset[pattern / 32] >> (pattern % 32) & 1 == 1
    }

    #[inline(always)]
    fn left_block(&self, sums: &[u32], at: usize, _: &[f32; LANES]) -> [u32; LANES] {
        let middle = sum_block(sums, at, &self.block(MIDDLE));
        let mut patterns = [0u32; LANES];
        for corner in AROUND {
            let around = sum_block(sums, at, &self.block(corner));
            for lane in 0..LANES {
                patterns[lane] = patterns[lane] << 1 | u32::from(around[lane] >= middle[lane]);
            }
        }
        let mut left = [0; LANES];
        for lane in 0..LANES {
            let bits = self.subset[patterns[lane] as usize / 32 % 8];
            left[lane] = mask((bits >> (patterns[lane] % 32)) & 1 == 1);
        }
        left
    }
}

/// A cascade with all places looked up for one layout.
#[derive(Debug)]
pub(super) struct Program<Q> {
    layout: Layout,
    width: usize,
    /// The corners of the window without its outermost pixels, over which the deviation is taken.
    inner: Corners,
    inner_area: f64,
    stages: Vec<Stage<Q>>,
}

#[derive(Debug)]
struct Stage<Q> {
    limit: f64,
    trees: Vec<Tree<Q>>,
}

#[derive(Debug)]
enum Tree<Q> {
    Stump { question: Q, left: f32, right: f32 },
    Branching { nodes: Vec<(Q, [i16; 2])>, leaves: Vec<f32> },
}

impl<Q: Question> Tree<Q> {
    #[inline(always)]
    fn vote(&self, sums: &[u32], at: usize, inverse: f32) -> f32 {
        match self {
            Tree::Stump { question, left, right } => {
                if question.left(sums, at, inverse) {
                    *left
                } else {
                    *right
                }
            }
            Tree::Branching { nodes, leaves } => {
                let mut index = 0i16;
                loop {
                    let (question, [left, right]) = &nodes[index as usize];
                    index = if question.left(sums, at, inverse) { *left } else { *right };
                    if index <= 0 {
                        return leaves[usize::from(index.unsigned_abs())];
                    }
                }
            }
        }
    }

    #[inline(always)]
    fn vote_block(&self, sums: &[u32], at: usize, inverse: &[f32; LANES], votes: &mut [f64; LANES]) {
        match self {
            Tree::Stump { question, left, right } => {
                let masks = question.left_block(sums, at, inverse);
                for lane in 0..LANES {
                    let vote = (left.to_bits() & masks[lane]) | (right.to_bits() & !masks[lane]);
                    votes[lane] += f64::from(f32::from_bits(vote));
                }
            }
            Tree::Branching { .. } => {
                for lane in 0..LANES {
                    votes[lane] += f64::from(self.vote(sums, at + lane, inverse[lane]));
                }
            }
        }
    }
}

impl<Q: Question> Stage<Q> {
    #[inline(always)]
    fn passes(&self, sums: &[u32], at: usize, inverse: f32) -> bool {
        self.trees.iter().map(|tree| f64::from(tree.vote(sums, at, inverse))).sum::<f64>() >= self.limit
    }

    /// One bit for each window of a block that passes.
    #[inline(always)]
    fn passes_block(&self, sums: &[u32], at: usize, inverse: &[f32; LANES]) -> u32 {
        let mut votes = [0.0; LANES];
        for tree in &self.trees {
            tree.vote_block(sums, at, inverse, &mut votes);
        }
        (0..LANES).fold(0, |bits, lane| bits | u32::from(votes[lane] >= self.limit) << lane)
    }
}

impl<Q: Question> Program<Q> {
    #[inline(always)]
    fn scan(&self, tables: &Integral, width: usize, rows: usize, mut hit: impl FnMut(usize, usize)) {
        let Layout { step, .. } = self.layout;
        let windows = (width + 1).saturating_sub(self.width).div_ceil(step);
        for y in (0..rows).step_by(step) {
            // OpenCV leaves out the window after one that fails at the first stage.
            let mut skip = false;
            for first in (0..windows).step_by(LANES) {
                let here = (windows - first).min(LANES);
                let mut passed = self.block(tables, self.layout.entry(first, y), here, &mut skip);
                while passed != 0 {
                    let lane = passed.trailing_zeros() as usize;
                    passed &= passed - 1;
                    hit((first + lane) * step, y);
                }
            }
        }
    }

    /// Runs the cascade on the first `here` windows of a block: one bit for each that passes.
    #[inline(always)]
    fn block(&self, tables: &Integral, at: usize, here: usize, skip: &mut bool) -> u32 {
        let sums = tables.sum.as_slice();
        let mut alive = u32::MAX >> (32 - here as u32);
        let mut inverse = [1.0; LANES];
        if Q::NORMALISED {
            alive &= self.deviation(tables, at, &mut inverse);
        }
        if alive == 0 {
            *skip = false;
            return 0;
        }
        let passed = self.stages[0].passes_block(sums, at, &inverse);
        alive = visited(alive, passed, here, skip) & passed;
        for (index, stage) in self.stages.iter().enumerate().skip(1) {
            if alive.count_ones() <= FEW {
                return self.finish(sums, at, &inverse, alive, index);
            }
            alive &= stage.passes_block(sums, at, &inverse);
        }
        alive
    }

    /// The stages from `index` on, window by window.
    #[inline(always)]
    fn finish(&self, sums: &[u32], at: usize, inverse: &[f32; LANES], mut alive: u32, index: usize) -> u32 {
        let mut passed = 0;
        while alive != 0 {
            let lane = alive.trailing_zeros() as usize;
            alive &= alive - 1;
            if self.stages[index..].iter().all(|stage| stage.passes(sums, at + lane, inverse[lane])) {
                passed |= 1 << lane;
            }
        }
        passed
    }

    /// The inverse of each window's deviation (times its area), and a bit for each that deviates enough.
    #[inline(always)]
    fn deviation(&self, tables: &Integral, at: usize, inverse: &mut [f32; LANES]) -> u32 {
        let sums = sum_block(&tables.sum, at, &self.inner);
        let squares = sum_block(&tables.squares, at, &self.inner);
        let mut enough = [false; LANES];
        for lane in 0..LANES {
            let sum = f64::from(sums[lane]);
            let variance = self.inner_area * f64::from(squares[lane] as u32) - sum * sum;
            // A flat window divides by zero here and is not "enough": infinity is no less than the limit.
            inverse[lane] = (1.0 / variance.max(0.0).sqrt()) as f32;
            enough[lane] = self.inner_area * f64::from(inverse[lane]) < LEAST_DEVIATION_INVERSE;
        }
        (0..LANES).fold(0, |bits, lane| bits | u32::from(enough[lane]) << lane)
    }
}

/// Which of the windows OpenCV looks at: it leaves out the next window after each one that was alive and failed the first stage.
fn visited(alive: u32, passed: u32, here: usize, skip: &mut bool) -> u32 {
    let mut visited = 0;
    for lane in 0..here {
        if *skip {
            *skip = false;
            continue;
        }
        visited |= alive & 1 << lane;
        *skip = (alive & !passed) >> lane & 1 == 1;
    }
    visited
}

/// A program of either kind of features.
#[derive(Debug)]
pub(super) enum Machine {
    Haar(Program<Haar>),
    Lbp(Program<Lbp>),
}

impl Machine {
    pub(super) fn new(cascade: &Cascade, layout: Layout) -> Self {
        match &cascade.features {
            Features::Haar(features) => Machine::Haar(program(cascade, layout, |feature, split| match split {
                Split::Below(threshold) => Some(Haar::new(&features[feature], threshold, layout)),
                Split::OneOf(_) => None,
            })),
            Features::Lbp(blocks) => Machine::Lbp(program(cascade, layout, |feature, split| match split {
                Split::OneOf(subset) => Some(Lbp::new(blocks[feature], subset, layout)),
                Split::Below(_) => None,
            })),
        }
    }

    pub(super) fn layout(&self) -> Layout {
        match self {
            Machine::Haar(program) => program.layout,
            Machine::Lbp(program) => program.layout,
        }
    }

    /// The places of the upper left corners of all windows that pass, in pixels of a level of this width, among the first `rows`
    /// rows of windows.
    pub(super) fn scan(&self, tables: &Integral, width: usize, rows: usize, hit: impl FnMut(usize, usize)) {
        // The same loops, compiled once for every set of vector instructions; the processor says which run.
        pulp::Arch::new().dispatch(Scan { machine: self, tables, width, rows, hit });
    }
}

struct Scan<'a, F> {
    machine: &'a Machine,
    tables: &'a Integral,
    width: usize,
    rows: usize,
    hit: F,
}

impl<F: FnMut(usize, usize)> pulp::NullaryFnOnce for Scan<'_, F> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        match self.machine {
            Machine::Haar(program) => program.scan(self.tables, self.width, self.rows, self.hit),
            Machine::Lbp(program) => program.scan(self.tables, self.width, self.rows, self.hit),
        }
    }
}

/// Which tables the cascade looks at.
pub(super) fn tables(cascade: &Cascade) -> Tables {
    match &cascade.features {
        Features::Haar(features) if features.iter().any(|feature| feature.tilted) => Tables::Tilted,
        Features::Haar(_) => Tables::Squares,
        Features::Lbp(_) => Tables::Sums,
    }
}

fn program<Q>(cascade: &Cascade, layout: Layout, question: impl Fn(usize, Split) -> Option<Q>) -> Program<Q> {
    let tree = |tree: &super::model::Tree| {
        // The cascade was checked: every node's split suits the kind of its features.
        let mut nodes = tree
            .nodes
            .iter()
            .filter_map(|node| Some((question(usize::from(node.feature), node.split)?, [node.left, node.right])));
        match (tree.nodes.len(), tree.leaves.as_slice()) {
            (1, &[left, right, ..]) => nodes.next().map(|(question, _)| Tree::Stump { question, left, right }),
            _ => Some(Tree::Branching { nodes: nodes.collect(), leaves: tree.leaves.clone() }),
        }
    };
    let stage = |stage: &super::model::Stage| Stage {
        limit: f64::from(stage.limit()),
        trees: stage.trees.iter().filter_map(tree).collect(),
    };
    let inner = (cascade.width as usize - 2, cascade.height as usize - 2);
    Program {
        layout,
        width: cascade.width as usize,
        inner: corners(layout, 1, 1, inner.0, inner.1),
        inner_area: (inner.0 * inner.1) as f64,
        stages: cascade.stages.iter().map(stage).collect(),
    }
}
