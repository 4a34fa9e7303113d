//! Evening out the light: histogram equalisation and its adaptive form, with OpenCV's numbers.

use image::GrayImage;

use crate::Error;
use crate::warp::Border;

/// The number of grey levels.
const LEVELS: usize = 256;

/// The most tiles each way: beyond this a table of 256 bytes per tile takes more than 16 MB.
const MOST_TILES: u32 = 256;

/// How [`clahe`] works: OpenCV's `cv2.createCLAHE`, by its parameters' names and with its defaults.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(default, deny_unknown_fields))]
pub struct ClaheConfig {
    /// How often a grey level may occur in a tile, as a multiple of what it would in an even histogram. Lower means gentler (2 to 4
    /// are usual for faces); 0 and below do not limit. Default 40.
    pub clip_limit: f64,
    /// Tiles across and down, 1 to 256 each. Default 8 by 8.
    pub tile_grid_size: [u32; 2],
}

impl Default for ClaheConfig {
    fn default() -> Self {
        Self { clip_limit: 40.0, tile_grid_size: [8, 8] }
    }
}

/// The picture with its grey levels spread evenly over 0 to 255, bit for bit as `cv2.equalizeHist`. A plain picture stays as it is.
/// Allocates the result.
///
/// # Errors
/// [`Error::InvalidInput`] for a picture without pixels.
pub fn equalize_hist(image: &GrayImage) -> Result<GrayImage, Error> {
    check(image)?;
    let histogram = histogram(image);
    let total = image.len();
    let darkest = histogram.iter().position(|&count| count > 0).unwrap_or(0);
    let brighter = total - histogram[darkest] as usize;
    if brighter == 0 {
        return Ok(image.clone());
    }
    let scale = (LEVELS - 1) as f32 / brighter as f32;
    let mut table = [0u8; LEVELS];
    let mut sum = 0;
    for (value, &count) in table.iter_mut().zip(&histogram).skip(darkest + 1) {
        sum += count;
        *value = round(sum as f32 * scale);
    }
    let mut equal = image.clone();
    equal.iter_mut().for_each(|pixel| *pixel = table[usize::from(*pixel)]);
    Ok(equal)
}

/// Contrast-limited adaptive histogram equalisation (Zuiderveld 1994), bit for bit as `cv2.createCLAHE(…).apply`: each tile is
/// equalised with its histogram cut at the limit, and pixels between the tiles' centres mix the tables of the four nearest.
/// Allocates the result and 256 bytes per tile.
///
/// # Errors
/// [`Error::InvalidConfig`] for a `clip_limit` that is not a number and a `tile_grid_size` outside of 1 to 256,
/// [`Error::InvalidInput`] for a picture without pixels.
pub fn clahe(image: &GrayImage, config: &ClaheConfig) -> Result<GrayImage, Error> {
    check(image)?;
    let ClaheConfig { clip_limit, tile_grid_size } = *config;
    if clip_limit.is_nan() {
        return Err(Error::config("clip_limit", "a number", clip_limit));
    }
    if !tile_grid_size.iter().all(|tiles| (1..=MOST_TILES).contains(tiles)) {
        let got = format!("{tile_grid_size:?}");
        return Err(Error::config("tile_grid_size", format!("1 to {MOST_TILES} tiles each way"), got));
    }
    let tables = Tables::new(image, clip_limit, tile_grid_size.map(|tiles| tiles as usize));
    Ok(tables.apply(image))
}

fn check(image: &GrayImage) -> Result<(), Error> {
    if image.is_empty() {
        let got = format!("{}x{}", image.width(), image.height());
        return Err(Error::input("picture", "at least 1x1 pixels", got));
    }
    Ok(())
}

/// How often each grey level occurs. Four counts side by side, since equal neighbours would wait for one another.
fn histogram(pixels: &[u8]) -> [u32; LEVELS] {
    let mut counts = [[0u32; LEVELS]; 4];
    let (fours, rest) = pixels.as_chunks::<4>();
    for four in fours {
        for (counts, &pixel) in counts.iter_mut().zip(four) {
            counts[usize::from(pixel)] += 1;
        }
    }
    rest.iter().for_each(|&pixel| counts[0][usize::from(pixel)] += 1);
    std::array::from_fn(|level| counts.iter().map(|counts| counts[level]).sum())
}

/// OpenCV's `saturate_cast<uchar>`: half to even, kept within 0 to 255.
fn round(value: f32) -> u8 {
    value.round_ties_even() as u8
}

/// The tables of all tiles.
struct Tables {
    /// Tiles across and down.
    tiles: [usize; 2],
    /// Width and height of a tile.
    tile: [usize; 2],
    tables: Vec<[u8; LEVELS]>,
}

impl Tables {
    fn new(image: &GrayImage, clip_limit: f64, tiles: [usize; 2]) -> Self {
        let size = [image.width() as usize, image.height() as usize];
        // Where the tiles do not fit, OpenCV mirrors columns and rows on: to the next multiple, but by a whole `tiles` on a side that
        // is one already.
        let fits = size[0].is_multiple_of(tiles[0]) && size[1].is_multiple_of(tiles[1]);
        let whole = |side: usize, tiles: usize| if fits { side } else { side + tiles - side % tiles };
        let tile = [whole(size[0], tiles[0]) / tiles[0], whole(size[1], tiles[1]) / tiles[1]];
        let area = tile[0] * tile[1];
        let limit = (clip_limit > 0.0).then(|| ((clip_limit * area as f64 / LEVELS as f64) as u32).max(1));
        let scale = (LEVELS - 1) as f32 / area as f32;

        let mut tables = Vec::with_capacity(tiles[0] * tiles[1]);
        let mut pixels = Vec::with_capacity(area);
        for row in 0..tiles[1] {
            for column in 0..tiles[0] {
                pixels.clear();
                for y in row * tile[1]..(row + 1) * tile[1] {
                    let y = Border::Reflect.index(y as i32, size[1] as i32);
                    let line = &image.as_raw()[y * size[0]..(y + 1) * size[0]];
                    let (first, last) = (column * tile[0], (column + 1) * tile[0]);
                    let inside = last.min(size[0]).max(first);
                    pixels.extend_from_slice(line.get(first..inside).unwrap_or(&[]));
                    pixels.extend((inside..last).map(|x| line[Border::Reflect.index(x as i32, size[0] as i32)]));
                }
                let mut histogram = histogram(&pixels);
                if let Some(limit) = limit {
                    clip(&mut histogram, limit);
                }
                let mut sum = 0;
                tables.push(histogram.map(|count| {
                    sum += count;
                    round(sum as f32 * scale)
                }));
            }
        }
        Self { tiles, tile, tables }
    }

    fn apply(&self, image: &GrayImage) -> GrayImage {
        let columns: Vec<Between> = (0..image.width()).map(|x| Between::new(x, self.tile[0], self.tiles[0])).collect();
        let mut equal = image.clone();
        for (y, line) in equal.chunks_exact_mut(columns.len()).enumerate() {
            let row = Between::new(y as u32, self.tile[1], self.tiles[1]);
            let upper = &self.tables[row.first * self.tiles[0]..][..self.tiles[0]];
            let lower = &self.tables[row.second * self.tiles[0]..][..self.tiles[0]];
            for (pixel, column) in line.iter_mut().zip(&columns) {
                let mix = |tables: &[[u8; LEVELS]]| {
                    let at = |tile: usize| f32::from(tables[tile][usize::from(*pixel)]);
                    at(column.first) * column.weights[0] + at(column.second) * column.weights[1]
                };
                *pixel = round(mix(upper) * row.weights[0] + mix(lower) * row.weights[1]);
            }
        }
        equal
    }
}

/// Cuts a histogram at the limit and hands out evenly what was cut off: the rest of the division goes to levels far apart.
fn clip(histogram: &mut [u32; LEVELS], limit: u32) {
    let mut clipped = 0;
    for count in histogram.iter_mut() {
        clipped += count.saturating_sub(limit);
        *count = (*count).min(limit);
    }
    let (each, rest) = (clipped / LEVELS as u32, clipped as usize % LEVELS);
    histogram.iter_mut().for_each(|count| *count += each);
    let apart = LEVELS.checked_div(rest).unwrap_or(LEVELS);
    histogram.iter_mut().step_by(apart).take(rest).for_each(|count| *count += 1);
}

/// The two tiles whose centres a column or row lies between, and the weight of each.
struct Between {
    first: usize,
    second: usize,
    weights: [f32; 2],
}

impl Between {
    fn new(place: u32, tile: usize, tiles: usize) -> Self {
        let position = place as f32 * (1.0 / tile as f32) - 0.5;
        let floor = position.floor();
        let weight = position - floor;
        Self {
            first: floor.max(0.0) as usize,
            second: ((floor + 1.0) as usize).min(tiles - 1),
            weights: [1.0 - weight, weight],
        }
    }
}

#[cfg(test)]
mod tests {
    use image::Luma;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_dark_ramp_becomes_a_full_one() {
        let dark = GrayImage::from_fn(16, 4, |x, _| Luma([20 + x as u8]));
        let equal = equalize_hist(&dark).unwrap();
        assert_eq!(equal.as_raw()[..16], std::array::from_fn::<u8, 16, _>(|x| 17 * x as u8));
        let plain = GrayImage::from_pixel(5, 3, Luma([77]));
        assert_eq!(equalize_hist(&plain).unwrap(), plain);
    }

    #[test]
    fn bad_input_is_refused() {
        let image = GrayImage::new(4, 4);
        assert!(matches!(equalize_hist(&GrayImage::new(0, 4)), Err(Error::InvalidInput { .. })));
        assert!(matches!(clahe(&GrayImage::new(4, 0), &ClaheConfig::default()), Err(Error::InvalidInput { .. })));
        for config in [
            ClaheConfig { clip_limit: f64::NAN, ..ClaheConfig::default() },
            ClaheConfig { tile_grid_size: [0, 8], ..ClaheConfig::default() },
            ClaheConfig { tile_grid_size: [8, 257], ..ClaheConfig::default() },
        ] {
            assert!(matches!(clahe(&image, &config), Err(Error::InvalidConfig { .. })), "{config:?}");
        }
    }

    proptest! {
        #[test]
        fn brighter_stays_brighter(pixels in prop::collection::vec(any::<u8>(), 1..400)) {
            let image = GrayImage::from_raw(pixels.len() as u32, 1, pixels.clone()).unwrap();
            let equal = equalize_hist(&image).unwrap();
            let mut pairs: Vec<_> = pixels.iter().zip(equal.iter()).collect();
            pairs.sort();
            prop_assert!(pairs.windows(2).all(|pair| pair[0].1 <= pair[1].1));
        }

        #[test]
        fn any_size_grid_and_limit_is_fine(width in 1u32..40, height in 1u32..40, tiles in [1u32..20, 1u32..20], clip_limit in -1f64..300.0) {
            let image = GrayImage::from_fn(width, height, |x, y| Luma([((x * 31) ^ (y * 17)) as u8]));
            let config = ClaheConfig { clip_limit, tile_grid_size: tiles };
            prop_assert_eq!(clahe(&image, &config).unwrap().dimensions(), (width, height));
        }
    }
}
