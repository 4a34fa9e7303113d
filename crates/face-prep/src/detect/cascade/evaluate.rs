//! Running a cascade over every window of a level.
//!
//! Neighbouring windows are evaluated together, [`LANES`] at a time; once few windows of a block are left, they go on one by one.

use super::feature::Deviation;
use super::integral::{Integral, LANES, Layout, Strip, View};
use super::lanes::{Lanes, Plain};
use super::model::{Cascade, Features};
use super::stage::Stage;

/// When no more windows of a block than this are left, each goes on alone.
const FEW: u32 = 1;

/// A cascade with all places looked up for one layout.
#[derive(Debug)]
pub(super) struct Program {
    layout: Layout,
    width: usize,
    tilted: bool,
    /// How windows are normalised: those of local binary patterns are not.
    deviation: Option<Deviation>,
    stages: Vec<Stage>,
}

/// What one thread works with. Reused from level to level.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    tables: Integral,
    skips: Vec<bool>,
}

/// A window that passed all stages.
#[derive(Debug, Clone, Copy)]
pub(super) struct Passed {
    /// Its upper left corner in pixels of the level.
    pub(super) x: usize,
    pub(super) y: usize,
    /// The sum of the last stage's votes, where it was asked for.
    pub(super) weight: f64,
}

/// What is searched.
#[derive(Debug, Clone, Copy)]
pub(super) struct Picture<'a> {
    pub(super) pixels: &'a [u8],
    pub(super) width: usize,
    /// How many rows of windows are looked at, in pixels.
    pub(super) rows: usize,
}

impl Program {
    pub(super) fn new(cascade: &Cascade, step: usize) -> Self {
        let (width, height) = (cascade.width as usize, cascade.height as usize);
        let layout = Layout::new(step, (width, height));
        let (tilted, normalised) = match &cascade.features {
            Features::Haar(features) => (features.iter().any(|feature| feature.tilted), true),
            Features::Lbp(_) => (false, false),
        };
        Self {
            layout,
            width,
            tilted,
            deviation: normalised.then(|| Deviation::new(layout, width, height)),
            stages: cascade.stages.iter().map(|stage| Stage::new(stage, &cascade.features, layout)).collect(),
        }
    }

    /// Adds all windows that pass.
    pub(super) fn scan(&self, picture: Picture<'_>, weigh: bool, scratch: &mut Scratch, passed: &mut Vec<Passed>) {
        let scan = Scan { program: self, picture, weigh, scratch, passed };
        #[cfg(target_arch = "x86_64")]
        if let Some(simd) = pulp::x86::V3::try_new() {
            return simd.vectorize(With { simd, scan });
        }
        scan.run(Plain::<LANES>);
    }
}

struct Scan<'a> {
    program: &'a Program,
    picture: Picture<'a>,
    weigh: bool,
    scratch: &'a mut Scratch,
    passed: &'a mut Vec<Passed>,
}

/// A scan and the vector instructions for which it is compiled.
#[cfg(target_arch = "x86_64")]
struct With<'a, S> {
    simd: S,
    scan: Scan<'a>,
}

#[cfg(target_arch = "x86_64")]
impl<S: Lanes> pulp::NullaryFnOnce for With<'_, S> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        self.scan.run(self.simd);
    }
}

impl Scan<'_> {
    #[inline(always)]
    fn run<S: Lanes>(self, simd: S) {
        let Self { program, picture, weigh, scratch, passed } = self;
        let Layout { step, .. } = program.layout;
        let columns = (picture.width + 1).saturating_sub(program.width).div_ceil(step);
        let rows = picture.rows.div_ceil(step);
        let most = program.layout.strip();
        for top in (0..rows).step_by(most.1) {
            let height = (rows - top).min(most.1);
            scratch.skips.clear();
            scratch.skips.resize(height, false);
            for left in (0..columns).step_by(most.0) {
                let strip = Strip { first: (left, top), windows: ((columns - left).min(most.0), height) };
                scratch.tables.compute(picture.pixels, picture.width, program.layout, strip, program.tilted);
                program.scan_strip(simd, strip, weigh, scratch, passed);
            }
        }
    }
}

impl Program {
    #[inline(always)]
    fn scan_strip<S: Lanes>(
        &self,
        simd: S,
        strip: Strip,
        weigh: bool,
        scratch: &mut Scratch,
        passed: &mut Vec<Passed>,
    ) {
        let Layout { step, .. } = self.layout;
        for (row, skip) in scratch.skips.iter_mut().enumerate() {
            for first in (0..strip.windows.0).step_by(LANES) {
                let here = (strip.windows.0 - first).min(LANES);
                let entry = self.layout.entry(first, row);
                let mut passing = self.block(simd, &scratch.tables, entry, here, skip);
                while passing != 0 {
                    let lane = passing.trailing_zeros() as usize;
                    passing &= passing - 1;
                    let (x, y) = ((strip.first.0 + first + lane) * step, (strip.first.1 + row) * step);
                    let weight = if weigh { self.weight(&scratch.tables.view(entry + lane)) } else { 0.0 };
                    passed.push(Passed { x, y, weight });
                }
            }
        }
    }

    /// Runs the cascade on the first `here` windows of a block: one bit for each that passes.
    #[inline(always)]
    fn block<S: Lanes>(&self, simd: S, tables: &Integral, entry: usize, here: usize, skip: &mut bool) -> u32 {
        let view = tables.view(entry);
        let mut alive = u32::MAX >> (32 - here as u32);
        let mut inverse = simd.splat_floats(1.0);
        if let Some(deviation) = &self.deviation {
            inverse = deviation.inverse(simd, &view);
            alive &= simd.bits(deviation.enough(simd, inverse));
        }
        if alive == 0 {
            *skip = false;
            return 0;
        }
        let passed = self.stages[0].passing(simd, &view, inverse, alive);
        alive = visited(alive, passed, here, skip) & passed;
        for (index, stage) in self.stages.iter().enumerate().skip(1) {
            if alive.count_ones() <= FEW {
                return self.finish(simd, tables, entry, inverse, alive, index);
            }
            alive = stage.passing(simd, &view, inverse, alive);
        }
        alive
    }

    /// The stages from `index` on, window by window.
    #[inline(always)]
    fn finish<S: Lanes>(
        &self,
        simd: S,
        tables: &Integral,
        entry: usize,
        inverse: S::Floats,
        mut alive: u32,
        index: usize,
    ) -> u32 {
        let mut passed = 0;
        while alive != 0 {
            let lane = alive.trailing_zeros() as usize;
            alive &= alive - 1;
            let view = tables.view(entry + lane);
            let inverse = [simd.lane(inverse, lane)];
            let mut passing = true;
            for stage in &self.stages[index..] {
                passing = stage.passing(Plain::<1>, &view, inverse, 1) == 1;
                if !passing {
                    break;
                }
            }
            passed |= u32::from(passing) << lane;
        }
        passed
    }

    /// The sum of the last stage's votes on a window.
    fn weight(&self, view: &View<'_>) -> f64 {
        let [inverse] = self.deviation.as_ref().map_or([1.0], |deviation| deviation.inverse(Plain::<1>, view));
        self.stages.last().map_or(0.0, |stage| stage.sum(view, inverse))
    }
}

/// Which of the windows OpenCV looks at: it leaves out the next window after each one that was alive and failed the first stage.
#[inline(always)]
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
