//! What samples are compared by.

use std::fmt;

use sha2::{Digest, Sha256};

use crate::{Error, Result};

/// The SHA-256 of a sample's decoded content: equal for exact copies, whatever files they stand in.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContentHash([u8; 32]);

impl ContentHash {
    /// Of bytes as they are.
    pub fn of_bytes(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// Of a picture's grey values, row by row, and its width: the same pixels in another shape are another picture.
    pub fn of_gray(width: u32, pixels: &[u8]) -> Self {
        Self(Sha256::new().chain_update(width.to_le_bytes()).chain_update(pixels).finalize().into())
    }

    /// Of a recording's samples and its rate in hertz.
    pub fn of_sound(sample_rate: u32, samples: &[f32]) -> Self {
        let mut hasher = Sha256::new();
        hasher.update(sample_rate.to_le_bytes());
        for sample in samples {
            hasher.update(sample.to_le_bytes());
        }
        Self(hasher.finalize().into())
    }
}

impl fmt::Display for ContentHash {
    /// 64 hexadecimal digits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ContentHash({self})")
    }
}

/// The sides of the thumbnail: 16 rows of 16 differences between neighbours make 256 bits.
const ROWS: usize = 16;
const COLUMNS: usize = 17;

/// What a picture looks like: a thumbnail of 17×16 grey values, each the mean over its area, and whether each value is
/// brighter than its left neighbour (the "difference hash", N. Krawetz 2013, at 16×16 bits).
///
/// It is the same after scaling and after any change of brightness or contrast, and hardly changes under compression,
/// watermarks and small shifts.
#[derive(Clone, PartialEq, Eq)]
pub struct ImageHash {
    pub(super) bits: [u64; 4],
    thumbnail: [u8; ROWS * COLUMNS],
}

impl ImageHash {
    /// Of a picture's grey values, row by row.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] for a picture without pixels, and when there are not `width * height` of them.
    pub fn of_gray(width: u32, height: u32, pixels: &[u8]) -> Result<Self> {
        let (columns, rows) = (width as usize, height as usize);
        if pixels.is_empty() || columns.checked_mul(rows) != Some(pixels.len()) {
            let expected = format!("{width} x {height} grey values, at least one");
            return Err(Error::input("picture", expected, format!("{} values", pixels.len())));
        }
        // Rows are cut down first, then columns.
        let across = cells(columns, COLUMNS);
        let narrow: Vec<f32> = pixels
            .chunks_exact(columns)
            .flat_map(|row| across.iter().map(move |cell| cell.mean(|column| f32::from(row[column]))))
            .collect();
        let mut small = [0.0f32; ROWS * COLUMNS];
        for (row, cell) in cells(rows, ROWS).iter().enumerate() {
            for column in 0..COLUMNS {
                small[row * COLUMNS + column] = cell.mean(|source| narrow[source * COLUMNS + column]);
            }
        }
        Ok(Self { bits: difference_bits(&small), thumbnail: small.map(|value| value.round() as u8) })
    }

    /// The number of bits that differ, 0 to 256.
    pub fn distance(&self, other: &Self) -> u32 {
        self.bits.iter().zip(&other.bits).map(|(here, there)| (here ^ there).count_ones()).sum()
    }

    /// Pearson's correlation of the thumbnails, -1 to 1; 0 when one of them is all of one tone.
    pub fn correlation(&self, other: &Self) -> f32 {
        let mean = |hash: &Self| {
            hash.thumbnail.iter().map(|&value| f32::from(value)).sum::<f32>() / hash.thumbnail.len() as f32
        };
        let (mean_here, mean_there) = (mean(self), mean(other));
        let (mut here_here, mut there_there, mut here_there) = (0.0f32, 0.0f32, 0.0f32);
        for (&here, &there) in self.thumbnail.iter().zip(&other.thumbnail) {
            let (here, there) = (f32::from(here) - mean_here, f32::from(there) - mean_there);
            here_here += here * here;
            there_there += there * there;
            here_there += here * there;
        }
        let scale = (here_here * there_there).sqrt();
        if scale > 0.0 { here_there / scale } else { 0.0 }
    }

    /// The hash of the picture seen in a mirror.
    pub fn mirrored(&self) -> Self {
        let mut thumbnail = self.thumbnail;
        thumbnail.chunks_exact_mut(COLUMNS).for_each(<[u8]>::reverse);
        let mut mirrored = Self { bits: [0; 4], thumbnail };
        // What was brighter than its left neighbour is now darker than its right one. Equal neighbours, which give 0 both
        // ways round, are told by the thumbnail.
        for row in 0..ROWS {
            for column in 0..ROWS {
                let bit = row * ROWS + column;
                let source = row * ROWS + (ROWS - 1 - column);
                let brighter = self.bits[source / 64] >> (source % 64) & 1 == 1;
                let at = row * COLUMNS + column;
                if !brighter && thumbnail[at] != thumbnail[at + 1] {
                    mirrored.bits[bit / 64] |= 1 << (bit % 64);
                }
            }
        }
        mirrored
    }
}

impl fmt::Debug for ImageHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [first, second, third, fourth] = self.bits;
        write!(f, "ImageHash({first:016x}{second:016x}{third:016x}{fourth:016x})")
    }
}

fn difference_bits(small: &[f32; ROWS * COLUMNS]) -> [u64; 4] {
    let mut bits = [0; 4];
    for (row, values) in small.chunks_exact(COLUMNS).enumerate() {
        for (column, pair) in values.windows(2).enumerate() {
            let bit = row * ROWS + column;
            if pair[1] > pair[0] {
                bits[bit / 64] |= 1 << (bit % 64);
            }
        }
    }
    bits
}

/// One cell of a coarser grid: the pixels that it covers, and how much of each.
struct Cell {
    first: usize,
    weights: Vec<f32>,
}

impl Cell {
    fn mean(&self, value: impl Fn(usize) -> f32) -> f32 {
        self.weights.iter().enumerate().map(|(offset, weight)| weight * value(self.first + offset)).sum()
    }
}

/// `to` cells of equal width over `from` pixels, weights summing to 1.
fn cells(from: usize, to: usize) -> Vec<Cell> {
    let width = from as f64 / to as f64;
    (0..to)
        .map(|cell| {
            let (start, end) = (cell as f64 * width, (cell + 1) as f64 * width);
            let (first, last) = (start as usize, (end.ceil() as usize).min(from));
            let covered = |pixel: usize| end.min((pixel + 1) as f64) - start.max(pixel as f64);
            Cell { first, weights: (first..last).map(|pixel| (covered(pixel) / width).max(0.0) as f32).collect() }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A picture with structure at every scale, the same for the same seed.
    pub(crate) fn picture(width: usize, height: usize, seed: u32) -> Vec<u8> {
        let phase = seed as f32 * 1.7;
        let value = |x: f32, y: f32| {
            120.0 + 60.0 * (5.0 * x + phase).sin() * (3.0 * y - phase).cos() + 50.0 * (11.0 * x * y + 2.0 * phase).sin()
        };
        (0..height)
            .flat_map(|y| (0..width).map(move |x| (x, y)))
            .map(|(x, y)| value((x as f32 + 0.5) / width as f32, (y as f32 + 0.5) / height as f32) as u8)
            .collect()
    }

    #[test]
    fn scaling_brightness_and_contrast_leave_the_look() {
        let large = ImageHash::of_gray(96, 80, &picture(96, 80, 1)).unwrap();
        let small = ImageHash::of_gray(48, 48, &picture(48, 48, 1)).unwrap();
        assert!(large.distance(&small) <= 8 && large.correlation(&small) > 0.99, "{}", large.distance(&small));

        let dull: Vec<u8> = picture(48, 48, 1).iter().map(|&value| value / 2 + 40).collect();
        let dull = ImageHash::of_gray(48, 48, &dull).unwrap();
        assert!(dull.distance(&small) <= 8 && dull.correlation(&small) > 0.99, "{}", dull.distance(&small));

        let other = ImageHash::of_gray(48, 48, &picture(48, 48, 2)).unwrap();
        assert!(other.distance(&small) > 60, "{}", other.distance(&small));
    }

    #[test]
    fn the_mirrored_hash_is_that_of_the_mirrored_picture() {
        let pixels = picture(48, 48, 3);
        let mut flipped = pixels.clone();
        flipped.chunks_exact_mut(48).for_each(<[u8]>::reverse);
        let mirrored = ImageHash::of_gray(48, 48, &pixels).unwrap().mirrored();
        let wanted = ImageHash::of_gray(48, 48, &flipped).unwrap();
        assert!(
            mirrored.distance(&wanted) <= 4 && mirrored.correlation(&wanted) > 0.9999,
            "{}",
            mirrored.distance(&wanted)
        );
    }

    #[test]
    fn one_tone_correlates_with_nothing_and_wrong_sizes_are_refused() {
        let flat = ImageHash::of_gray(4, 4, &[9; 16]).unwrap();
        assert_eq!((flat.distance(&flat), flat.correlation(&flat)), (0, 0.0));
        assert_eq!(flat.mirrored(), flat);
        assert!(ImageHash::of_gray(4, 4, &[9; 15]).is_err() && ImageHash::of_gray(0, 0, &[]).is_err());
    }

    #[test]
    fn content_is_told_by_every_pixel_sample_and_shape() {
        assert_eq!(ContentHash::of_gray(2, &[1, 2, 3, 4]), ContentHash::of_gray(2, &[1, 2, 3, 4]));
        assert_ne!(ContentHash::of_gray(2, &[1, 2, 3, 4]), ContentHash::of_gray(4, &[1, 2, 3, 4]));
        assert_ne!(ContentHash::of_sound(16_000, &[0.0, 0.5]), ContentHash::of_sound(16_000, &[0.0, 0.25]));
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(ContentHash::of_bytes(b"").to_string(), empty);
    }
}
