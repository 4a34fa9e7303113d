//! A stage of a cascade: many trees vote, and a window whose sum reaches the limit goes on.
//!
//! OpenCV adds the votes, which are single precision, in double precision. Here they are rounded to multiples of a small unit and
//! added as whole numbers, in any order: faster by half. How far that may lie from OpenCV's sum is known, and the few windows that
//! come so near to the limit that it could matter are voted on again as OpenCV does it.

use super::feature::{Lbp, Narrow, Question, Wide};
use super::integral::{LANES, Layout, View};
use super::lanes::{Lanes, Plain};
use super::model::{self, Features, Node, Split};

/// Trees of more nodes are not evaluated in blocks. OpenCV's own have at most four.
const MOST_NODES: usize = 8;

/// The votes of a stage add up to no more than this many units.
const MOST_UNITS: f64 = (1 << 29) as f64;

#[derive(Debug)]
pub(super) struct Stage {
    /// The stumps (trees of one node), by the kind of their question.
    two: Vec<Stump<Narrow<2>>>,
    three: Vec<Stump<Narrow<3>>>,
    wide: Vec<Stump<Wide>>,
    lbp: Vec<Stump<Lbp>>,
    trees: Vec<Tree>,
    /// The votes of all stumps to the right.
    base: i32,
    /// Sums from here on pass for sure.
    passes: i32,
    /// Sums below this fail for sure.
    fails: i32,
    exact: Exact,
}

#[derive(Debug)]
struct Stump<Q> {
    question: Q,
    /// By how much a vote to the left differs from one to the right.
    left: i32,
}

#[derive(Debug)]
struct Tree {
    nodes: Vec<(Any, [i16; 2])>,
    leaves: Vec<i32>,
}

/// A question of any kind.
#[derive(Debug)]
enum Any {
    Wide(Wide),
    Lbp(Lbp),
}

impl Question for Any {
    #[inline(always)]
    fn left<S: Lanes>(&self, simd: S, view: &View<'_>, inverse: S::Floats) -> S::Masks {
        match self {
            Any::Wide(question) => question.left(simd, view, inverse),
            Any::Lbp(question) => question.left(simd, view, inverse),
        }
    }
}

#[inline(always)]
fn vote<S: Lanes, Q: Question>(
    simd: S,
    stumps: &[Stump<Q>],
    view: &View<'_>,
    inverse: S::Floats,
    mut votes: S::Words,
) -> S::Words {
    for stump in stumps {
        votes = simd.add_where(votes, stump.left, stump.question.left(simd, view, inverse));
    }
    votes
}

impl Tree {
    /// Asks all questions and follows all paths at once.
    #[inline(always)]
    fn vote<S: Lanes>(&self, simd: S, view: &View<'_>, inverse: S::Floats, mut votes: S::Words) -> S::Words {
        let mut reached = [simd.splat_masks(false); MOST_NODES];
        reached[0] = simd.splat_masks(true);
        for (index, (question, next)) in self.nodes.iter().enumerate() {
            let left = question.left(simd, view, inverse);
            let here = reached[index % MOST_NODES];
            for (going, &next) in [simd.and(here, left), simd.and_not(here, left)].into_iter().zip(next) {
                if next > 0 {
                    let there = &mut reached[next as usize % MOST_NODES];
                    *there = simd.or(*there, going);
                } else {
                    votes = simd.add_where(votes, self.leaves[usize::from(next.unsigned_abs())], going);
                }
            }
        }
        votes
    }
}

impl Stage {
    pub(super) fn new(stage: &model::Stage, features: &Features, layout: Layout) -> Self {
        let largest =
            |tree: &model::Tree| tree.leaves.iter().fold(0.0, |most: f64, leaf| most.max(f64::from(leaf.abs())));
        let sum: f64 = stage.trees.iter().map(largest).sum();
        let unit = if sum > 0.0 { MOST_UNITS / sum } else { 1.0 };
        let units = |vote: f32| (f64::from(vote) * unit).round() as i32;
        // Each tree's vote is off by half a unit at most, OpenCV's own sum by much less than the one that is added.
        let doubt = (stage.trees.len() / 2 + 2) as f64;
        let limit = f64::from(stage.limit()) * unit;
        let mut built = Self {
            two: Vec::new(),
            three: Vec::new(),
            wide: Vec::new(),
            lbp: Vec::new(),
            trees: Vec::new(),
            base: 0,
            passes: (limit + doubt).ceil() as i32,
            fails: (limit - doubt).floor() as i32,
            exact: Exact::new(stage, features, layout),
        };
        for tree in &stage.trees {
            match (tree.nodes.as_slice(), tree.leaves.as_slice()) {
                ([node], _) if node.left <= 0 && node.right <= 0 => {
                    let leaf = |next: i16| units(tree.leaves[usize::from(next.unsigned_abs())]);
                    built.add_stump(node, leaf(node.left), leaf(node.right), features, layout);
                }
                (nodes, leaves) if nodes.len() <= MOST_NODES => {
                    let leaves = leaves.iter().map(|&leaf| units(leaf)).collect();
                    built.trees.push(Tree { nodes: self::nodes(nodes, features, layout), leaves });
                }
                // Then no sum is sure, and every window is voted on as OpenCV does it.
                _ => (built.passes, built.fails) = (i32::MAX, i32::MIN),
            }
        }
        built
    }

    fn add_stump(&mut self, node: &Node, left: i32, right: i32, features: &Features, layout: Layout) {
        let place = usize::from(node.feature);
        self.base += right;
        let left = left - right;
        match (features, node.split) {
            (Features::Haar(features), Split::Below(threshold)) => {
                let feature = &features[place];
                if let Some(question) = Narrow::new(feature, threshold, layout) {
                    self.two.push(Stump { question, left });
                } else if let Some(question) = Narrow::new(feature, threshold, layout) {
                    self.three.push(Stump { question, left });
                } else {
                    self.wide.push(Stump { question: Wide::new(feature, threshold, layout), left });
                }
            }
            (Features::Lbp(blocks), Split::OneOf(subset)) => {
                self.lbp.push(Stump { question: Lbp::new(blocks[place], subset, layout), left });
            }
            // The cascade was checked: every node's split suits the kind of its features.
            _ => {}
        }
    }

    /// Which of the windows in `alive` pass, a bit each.
    #[inline(always)]
    pub(super) fn passing<S: Lanes>(&self, simd: S, view: &View<'_>, inverse: S::Floats, alive: u32) -> u32 {
        let mut votes = simd.splat_words(self.base);
        votes = vote(simd, &self.two, view, inverse, votes);
        votes = vote(simd, &self.three, view, inverse, votes);
        votes = vote(simd, &self.wide, view, inverse, votes);
        votes = vote(simd, &self.lbp, view, inverse, votes);
        for tree in &self.trees {
            votes = tree.vote(simd, view, inverse, votes);
        }
        let passes = simd.at_least(votes, self.passes) & alive;
        let doubtful = simd.at_least(votes, self.fails) & alive & !passes;
        if doubtful == 0 { passes } else { passes | self.exact.passing(simd, view, inverse, doubtful) }
    }

    /// The sum of the votes on a single window as OpenCV adds them.
    pub(super) fn sum(&self, view: &View<'_>, inverse: f32) -> f64 {
        self.exact.sum(Plain::<1>, view, [inverse], 0)
    }
}

/// A stage as OpenCV runs it: its trees in their own order, their votes added in double precision.
#[derive(Debug)]
struct Exact {
    limit: f64,
    trees: Vec<ExactTree>,
}

#[derive(Debug)]
struct ExactTree {
    nodes: Vec<(Any, [i16; 2])>,
    leaves: Vec<f32>,
}

impl Exact {
    fn new(stage: &model::Stage, features: &Features, layout: Layout) -> Self {
        let tree =
            |tree: &model::Tree| ExactTree { nodes: nodes(&tree.nodes, features, layout), leaves: tree.leaves.clone() };
        Self { limit: f64::from(stage.limit()), trees: stage.trees.iter().map(tree).collect() }
    }

    #[cold]
    fn passing<S: Lanes>(&self, simd: S, view: &View<'_>, inverse: S::Floats, asked: u32) -> u32 {
        let passes = |lane: &usize| asked >> lane & 1 == 1 && self.sum(simd, view, inverse, *lane) >= self.limit;
        (0..LANES).filter(passes).fold(0, |bits, lane| bits | 1 << lane)
    }

    fn sum<S: Lanes>(&self, simd: S, view: &View<'_>, inverse: S::Floats, lane: usize) -> f64 {
        self.trees.iter().map(|tree| f64::from(tree.vote(simd, view, inverse, lane))).sum()
    }
}

impl ExactTree {
    fn vote<S: Lanes>(&self, simd: S, view: &View<'_>, inverse: S::Floats, lane: usize) -> f32 {
        let mut index = 0i16;
        loop {
            let (question, [left, right]) = &self.nodes[index as usize];
            let goes_left = simd.bits(question.left(simd, view, inverse)) >> lane & 1 == 1;
            index = if goes_left { *left } else { *right };
            if index <= 0 {
                return self.leaves[usize::from(index.unsigned_abs())];
            }
        }
    }
}

fn nodes(nodes: &[Node], features: &Features, layout: Layout) -> Vec<(Any, [i16; 2])> {
    // The cascade was checked: every node's split suits the kind of its features.
    let question = |node: &Node| match (features, node.split) {
        (Features::Haar(features), Split::Below(threshold)) => {
            Some(Any::Wide(Wide::new(&features[usize::from(node.feature)], threshold, layout)))
        }
        (Features::Lbp(blocks), Split::OneOf(subset)) => {
            Some(Any::Lbp(Lbp::new(blocks[usize::from(node.feature)], subset, layout)))
        }
        _ => None,
    };
    nodes.iter().filter_map(|node| Some((question(node)?, [node.left, node.right]))).collect()
}

#[cfg(test)]
mod tests {
    use super::super::integral::{Integral, Strip};
    use super::super::model::Cascade;
    use super::*;

    /// The portrait's windows at one size.
    fn tables(layout: Layout) -> Integral {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/opencv-4.14.0/astronaut_small.png");
        let image = image::open(path).expect("the picture stands in the repository").into_luma8();
        let mut tables = Integral::default();
        let strip = Strip { first: (3, 2), windows: (64, 60) };
        tables.compute(image.as_raw(), image.width() as usize, layout, strip, true);
        tables
    }

    /// Whole votes, in vectors and one by one, let the same windows pass as votes in double precision do; and so they do
    /// when every sum counts as too near to the limit.
    #[test]
    fn whole_votes_decide_as_opencvs_do() {
        let cascade = Cascade::frontal_default();
        for step in [1, 2] {
            let layout = Layout::new(step, (24, 24));
            let tables = tables(layout);
            let mut passed = 0;
            for stage in &cascade.stages {
                let mut stage = Stage::new(stage, &cascade.features, layout);
                for row in 0..60 {
                    for first in (0..64).step_by(LANES) {
                        let view = tables.view(layout.entry(first, row));
                        let inverse = std::array::from_fn(|lane| 1e-4 * (1 + lane) as f32);
                        let exact = stage.exact.passing(Plain::<LANES>, &view, inverse, 0xffff);
                        assert_eq!(stage.passing(Plain::<LANES>, &view, inverse, 0xffff), exact);
                        let alone = (0..LANES).fold(0, |bits, lane| {
                            let view = tables.view(layout.entry(first + lane, row));
                            bits | stage.passing(Plain::<1>, &view, [inverse[lane]], 1) << lane
                        });
                        assert_eq!(alone, exact);
                        let sure = std::mem::replace(&mut stage.passes, i32::MAX);
                        let lost = std::mem::replace(&mut stage.fails, i32::MIN);
                        assert_eq!(stage.passing(Plain::<LANES>, &view, inverse, 0xffff), exact);
                        (stage.passes, stage.fails) = (sure, lost);
                        passed += exact.count_ones();
                    }
                }
            }
            assert!(passed > 100 && passed < 60 * 64 * 25, "{passed}");
        }
    }

    /// Nearly all features of the embedded cascade fit 16 bits.
    #[test]
    fn most_features_are_narrow() {
        let cascade = Cascade::frontal_default();
        let layout = Layout::new(1, (24, 24));
        let built: Vec<Stage> =
            cascade.stages.iter().map(|stage| Stage::new(stage, &cascade.features, layout)).collect();
        let count = |of: fn(&Stage) -> usize| built.iter().map(of).sum::<usize>();
        assert_eq!(count(|stage| stage.two.len() + stage.three.len()), 2809);
        assert_eq!(count(|stage| stage.wide.len()), 104);
    }
}
