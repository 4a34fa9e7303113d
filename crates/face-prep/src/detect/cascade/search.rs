//! The sizes of a search, and the threads that share them.

use std::sync::atomic::{AtomicUsize, Ordering};

use image::GrayImage;

use super::evaluate::{self, Passed, Picture, Program};
use super::group::{Hit, Window};
use crate::resize::LinearExact;

/// One size of the search.
#[derive(Debug, Clone, Copy)]
pub(super) struct Level {
    scale: f32,
    width: usize,
    height: usize,
    /// Every window is looked at on small levels, every other one each way on large levels.
    step: usize,
    /// How many rows of windows are looked at.
    rows: usize,
}

/// The sizes that OpenCV searches. When none fits between the least and the most, the one nearest to the least.
pub(super) fn levels(
    window: (u32, u32),
    factor: f64,
    image: (u32, u32),
    least: [u32; 2],
    most: [u32; 2],
) -> Vec<Level> {
    let (width, height) = (f64::from(window.0), f64::from(window.1));
    let mut scales = Vec::new();
    let mut scale = 1.0f64;
    while (width * scale).round_ties_even() <= f64::from(image.0)
        && (height * scale).round_ties_even() <= f64::from(image.1)
    {
        scales.push(scale as f32);
        scale *= factor;
    }
    let size = |scale: f32| [width, height].map(|side| (side as f32 * scale).round_ties_even() as u32);
    let fits = |scale: f32| (0..2).all(|side| least[side] <= size(scale)[side] && size(scale)[side] <= most[side]);
    let mut chosen: Vec<f32> = scales.iter().copied().filter(|&scale| fits(scale)).collect();
    if chosen.is_empty() {
        let distance =
            |scale: f32| -> u64 { (0..2).map(|side| u64::from(size(scale)[side].abs_diff(least[side])).pow(2)).sum() };
        chosen.extend(scales.iter().copied().min_by_key(|&scale| distance(scale)));
    }
    let mut stripes = None;
    let level = |scale: f32| {
        let shrunk = |side: u32| (side as f32 / scale).round_ties_even() as usize;
        let (width, height) = (shrunk(image.0), shrunk(image.1));
        let step = if scale >= 2.0 { 1 } else { 2 };
        let columns = (width + 1).saturating_sub(window.0 as usize);
        let rows = (height + 1).saturating_sub(window.1 as usize);
        // OpenCV shares the rows of every level out among as many stripes as the first level has 32 columns, and rounds in a way
        // that can lose the last row.
        let stripes = *stripes.get_or_insert(columns.div_ceil(32).max(1));
        let stripe = (rows / step).div_ceil(stripes).max(1) * step;
        Level { scale, width, height, step, rows: rows.min(stripes * stripe) }
    };
    chosen.into_iter().map(level).collect()
}

/// One picture at all sizes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pyramid<'a> {
    pub(super) image: &'a GrayImage,
    pub(super) levels: &'a [Level],
    /// For levels of step 1 and 2.
    pub(super) programs: &'a [Program; 2],
    /// Width and height of the cascade's window.
    pub(super) window: (u32, u32),
    /// Whether hits are to be weighed.
    pub(super) weigh: bool,
}

/// What one thread works with. Reused from picture to picture.
#[derive(Debug, Default)]
pub(super) struct Worker {
    resized: Vec<u8>,
    scratch: evaluate::Scratch,
    passed: Vec<Passed>,
    /// Each with the number of its level.
    hits: Vec<(usize, Hit)>,
}

/// Finds the hits of all levels, in the order of the levels however many workers there are.
pub(super) fn run(pyramid: Pyramid<'_>, workers: &mut [Worker], hits: &mut Vec<Hit>) {
    // Whoever is free takes the next level; the largest come first.
    let next = AtomicUsize::new(0);
    let work = |worker: &mut Worker| {
        worker.hits.clear();
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(&level) = pyramid.levels.get(index) else { break };
            worker.search(pyramid, index, level);
        }
    };
    if let Some((first, others)) = workers.split_first_mut() {
        std::thread::scope(|scope| {
            for worker in others {
                let work = &work;
                worker.hits.clear();
                // A thread that the system does not give is done without.
                let _ = std::thread::Builder::new().spawn_scoped(scope, move || work(worker));
            }
            work(first);
        });
    }
    let mut all: Vec<&(usize, Hit)> = workers.iter().flat_map(|worker| &worker.hits).collect();
    all.sort_by_key(|(level, _)| *level);
    hits.clear();
    hits.extend(all.into_iter().map(|&(_, hit)| hit));
}

impl Worker {
    fn search(&mut self, pyramid: Pyramid<'_>, index: usize, level: Level) {
        let from = (pyramid.image.width() as usize, pyramid.image.height() as usize);
        let to = (level.width, level.height);
        let pixels = if to == from {
            pyramid.image.as_raw()
        } else {
            self.resized.resize(to.0 * to.1, 0);
            LinearExact::new(from, to).run(pyramid.image.as_raw(), &mut self.resized, 1);
            &self.resized
        };
        self.passed.clear();
        let picture = Picture { pixels, width: to.0, rows: level.rows };
        pyramid.programs[level.step - 1].scan(picture, pyramid.weigh, &mut self.scratch, &mut self.passed);
        let scaled = |value: f32| (value * level.scale).round_ties_even() as i32;
        let (width, height) = (scaled(pyramid.window.0 as f32), scaled(pyramid.window.1 as f32));
        self.hits.extend(self.passed.iter().map(|passed| {
            let window = Window { x: scaled(passed.x as f32), y: scaled(passed.y as f32), width, height };
            (index, Hit { window, weight: passed.weight })
        }));
    }
}
