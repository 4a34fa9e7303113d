//! Pictures made smaller for the networks: the sizes of the pyramid, and the candidates' squares.
//!
//! Both are OpenCV's `INTER_AREA`, sum for sum, as the package uses it.

use std::ops::Range;

use image::RgbImage;
use pulp::Arch;

use super::candidate::Candidate;
use crate::resize::{Share, shares};

/// A picture with four bytes a pixel, which vector instructions like better than three. The fourth is 0.
#[derive(Debug)]
pub(super) struct Picture {
    pixels: Vec<[u8; 4]>,
    pub(super) width: usize,
    pub(super) height: usize,
}

impl Picture {
    pub(super) fn new(image: &RgbImage) -> Self {
        let (pixels, _) = pulp::as_arrays::<3, u8>(image.as_raw());
        Self {
            pixels: pixels.iter().map(|&[red, green, blue]| [red, green, blue, 0]).collect(),
            width: image.width() as usize,
            height: image.height() as usize,
        }
    }

    fn row(&self, y: usize) -> &[[u8; 4]] {
        &self.pixels[y * self.width..(y + 1) * self.width]
    }
}

/// What each pixel of the result is made of, along one side.
struct Side {
    shares: Vec<Share>,
    /// Which shares belong to each pixel.
    spans: Vec<Range<usize>>,
}

impl Side {
    fn new(from: usize, to: usize) -> Self {
        let shares = if from == to {
            (0..to).map(|place| Share { target: place, source: place, weight: 1.0 }).collect()
        } else {
            shares(from, to)
        };
        let mut spans = Vec::with_capacity(to);
        let mut start = 0;
        for target in 0..to {
            let count = shares[start..].iter().take_while(|share| share.target == target).count();
            spans.push(start..start + count);
            start += count;
        }
        Self { shares, spans }
    }

    fn of(&self, target: usize) -> &[Share] {
        &self.shares[self.spans[target].clone()]
    }
}

/// One size of the pyramid.
pub(super) struct Level {
    pub(super) scale: f64,
    pub(super) width: usize,
    pub(super) height: usize,
    columns: Side,
    rows: Side,
}

/// Room for the rows that a thread works on.
#[derive(Debug, Default)]
pub(super) struct Lines {
    /// The row of the source that was last made narrower, and what came out.
    narrow: [(Option<usize>, Vec<[f32; 4]>); 2],
    sum: Vec<[f32; 4]>,
}

impl Level {
    /// The picture of `from` = (width, height), `scale` times as large, sides rounded up.
    pub(super) fn new(from: (usize, usize), scale: f64) -> Self {
        let [width, height] = [from.0, from.1].map(|side| (side as f64 * scale).ceil() as usize);
        Self { scale, width, height, columns: Side::new(from.0, width), rows: Side::new(from.1, height) }
    }

    /// All rows, one after the other.
    #[cfg(feature = "cnn")]
    pub(super) fn all(&self, picture: &Picture, lines: &mut Lines) -> Vec<f32> {
        let mut all = vec![0.0; self.width * self.height * 3];
        lines.forget();
        for (y, row) in all.chunks_exact_mut(self.width * 3).enumerate() {
            self.row(picture, y, lines, row);
        }
        all
    }

    /// One row as the networks take it: `width` pixels of three floats.
    pub(super) fn row(&self, picture: &Picture, y: usize, lines: &mut Lines, output: &mut [f32]) {
        Arch::new().dispatch(LevelRow { level: self, picture, y, lines, output });
    }
}

struct LevelRow<'a> {
    level: &'a Level,
    picture: &'a Picture,
    y: usize,
    lines: &'a mut Lines,
    output: &'a mut [f32],
}

impl pulp::NullaryFnOnce for LevelRow<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Self { level, picture, y, lines, output } = self;
        lines.sum_row(level.rows.of(y), &level.columns, |row| Some(picture.row(row)), Some);
        for (pixel, sum) in output.chunks_exact_mut(3).zip(&lines.sum) {
            for channel in 0..3 {
                pixel[channel] = normal(sum[channel].round_ties_even().clamp(0.0, 255.0));
            }
        }
    }
}

impl Lines {
    /// Sums one row of the result up in `sum`. `source` gives a row of the source, `column` the place of a pixel in it, both
    /// nothing where the source has none, which counts as black.
    #[inline(always)]
    fn sum_row<'a>(
        &mut self,
        rows: &[Share],
        columns: &Side,
        source: impl Fn(usize) -> Option<&'a [[u8; 4]]>,
        column: impl Fn(usize) -> Option<usize>,
    ) {
        let width = columns.spans.len();
        self.sum.clear();
        self.sum.resize(width, [0.0; 4]);
        for row in rows {
            let Some(pixels) = source(row.source) else { continue };
            // Where the picture grows, two rows of the source take turns.
            let (kept, narrow) = &mut self.narrow[row.source % 2];
            if *kept != Some(row.source) {
                *kept = Some(row.source);
                narrow.resize(width, [0.0; 4]);
                for (target, span) in narrow.iter_mut().zip(&columns.spans) {
                    let mut sum = [0.0f32; 4];
                    for share in &columns.shares[span.clone()] {
                        let Some(place) = column(share.source) else { continue };
                        let pixel = pixels[place];
                        for channel in 0..4 {
                            sum[channel] += share.weight * f32::from(pixel[channel]);
                        }
                    }
                    *target = sum;
                }
            }
            for (sum, value) in self.sum.iter_mut().zip(narrow.iter()) {
                for channel in 0..4 {
                    sum[channel] += row.weight * value[channel];
                }
            }
        }
    }

    /// To be called before the first row of another level or picture.
    pub(super) fn forget(&mut self) {
        for (source, _) in &mut self.narrow {
            *source = None;
        }
    }
}

/// A pixel as the networks take it.
fn normal(pixel: f32) -> f32 {
    (pixel - 127.5) * 0.007_812_5
}

/// The candidate's square, black beyond the picture, resized to `side`×`side` pixels of three floats.
pub(super) fn crop(picture: &Picture, candidate: &Candidate, side: usize, lines: &mut Lines, output: &mut [f32]) {
    lines.forget();
    Arch::new().dispatch(Crop { picture, candidate, side, lines, output });
}

struct Crop<'a> {
    picture: &'a Picture,
    candidate: &'a Candidate,
    side: usize,
    lines: &'a mut Lines,
    output: &'a mut [f32],
}

impl pulp::NullaryFnOnce for Crop<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Self { picture, candidate, side, lines, output } = self;
        let [x1, y1, x2, y2] = candidate.corners.map(|edge| edge.trunc() as i64);
        let (width, height) = ((x2 - x1 + 1).max(1) as usize, (y2 - y1 + 1).max(1) as usize);
        // Both axes grow or shrink together: candidates are square.
        let columns = Side::new(width, side);
        let other = (height != width).then(|| Side::new(height, side));
        let rows = other.as_ref().unwrap_or(&columns);
        let inside = |start: i64, place: usize, end: usize| {
            usize::try_from(start - 1 + place as i64).ok().filter(|&place| place < end)
        };
        let row = |place| inside(y1, place, picture.height).map(|y| picture.row(y));
        for (y, output) in output.chunks_exact_mut(side * 3).enumerate() {
            lines.sum_row(rows.of(y), &columns, row, |place| inside(x1, place, picture.width));
            for (pixel, sum) in output.chunks_exact_mut(3).zip(&lines.sum) {
                for channel in 0..3 {
                    pixel[channel] = normal(sum[channel]);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use image::{Rgb, RgbImage};

    use super::*;
    use crate::resize::{Filter, resize};

    #[test]
    fn levels_are_opencvs() {
        let image =
            RgbImage::from_fn(97, 61, |x, y| Rgb([(x * 37 + y * 11) as u8, (x * y) as u8, (x * x + 7 * y) as u8]));
        let picture = Picture::new(&image);
        for scale in [1.0, 0.6, 0.5, 1.0 / 3.0, 0.25, 0.2137] {
            let level = Level::new((97, 61), scale);
            let small = resize(&image, level.width as u32, level.height as u32, Filter::Area).unwrap();
            let (mut lines, mut row) = (Lines::default(), vec![0.0; level.width * 3]);
            for y in 0..level.height {
                level.row(&picture, y, &mut lines, &mut row);
                let expected: Vec<f32> = (0..level.width as u32)
                    .flat_map(|x| small.get_pixel(x, y as u32).0.map(|value| normal(value.into())))
                    .collect();
                assert_eq!(row, expected, "scale {scale}, row {y}");
            }
        }
    }
}
