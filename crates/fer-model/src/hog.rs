//! Histograms of oriented gradients (Dalal & Triggs 2005), with the numbers of scikit-image's `skimage.feature.hog`.

use crate::error::{Error, Result};

/// Settings of [`Hog::describe`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Hog {
    /// Directions that are told apart within 180°, from 1. Default 9.
    pub orientations: usize,
    /// Width and height of a cell, in pixels, from 1. Default 8.
    pub cell: usize,
    /// Cells along each side of a block, whose histograms are normalised together, from 1. Default 2.
    pub block: usize,
}

impl Default for Hog {
    fn default() -> Self {
        Self { orientations: 9, cell: 8, block: 2 }
    }
}

/// Keeps flat blocks from being divided by 0.
const EPS: f64 = 1e-5;

/// What normalised values are cut off at.
const CLIP: f64 = 0.2;

impl Hog {
    /// The descriptor of a grey picture: the block of each place, row by row; in it its cells, row by row; of each its
    /// directions. 900 numbers for 48×48 pixels by default.
    ///
    /// Gradients are differences of the neighbours on both sides, 0 at the border. Each pixel adds the length of its
    /// gradient to the one direction that it points in, over the pixels of a cell. Blocks overlap in all but one cell, and
    /// are normalised by "L2-Hys": to length 1, cut off at 0.2, to length 1 again. Pixels beyond whole cells do not count.
    ///
    /// # Errors
    /// [`Error::InvalidConfig`] for settings out of their ranges, [`Error::InvalidInput`] for a picture of another size than
    /// its pixels, or smaller than one block.
    pub fn describe(&self, pixels: &[u8], width: usize) -> Result<Vec<f32>> {
        for (field, value) in [("orientations", self.orientations), ("cell", self.cell), ("block", self.block)] {
            if value == 0 {
                return Err(Error::InvalidConfig { field, expected: "at least 1".to_owned(), got: "0".to_owned() });
            }
        }
        let height = pixels.len().checked_div(width).unwrap_or(0);
        let (columns, rows) = (width / self.cell, height / self.cell);
        if height * width != pixels.len() || columns < self.block || rows < self.block {
            let expected = format!("whole rows, and at least {0} × {0} pixels", self.cell * self.block);
            return Err(Error::input("picture", expected, format!("{} pixels in rows of {width}", pixels.len())));
        }
        let histograms = self.histograms(pixels, width, columns, rows);
        let mut descriptor = Vec::new();
        for top in 0..=rows - self.block {
            for left in 0..=columns - self.block {
                let mut block = Vec::with_capacity(self.block * self.block * self.orientations);
                for row in top..top + self.block {
                    let start = (row * columns + left) * self.orientations;
                    block.extend_from_slice(&histograms[start..start + self.block * self.orientations]);
                }
                normalise(&mut block);
                block.iter_mut().for_each(|value| *value = value.min(CLIP));
                normalise(&mut block);
                descriptor.extend(block.iter().map(|&value| value as f32));
            }
        }
        Ok(descriptor)
    }

    /// The directions of each cell.
    fn histograms(&self, pixels: &[u8], width: usize, columns: usize, rows: usize) -> Vec<f64> {
        let height = pixels.len() / width;
        let pixel = |x: usize, y: usize| f64::from(pixels[y * width + x]);
        let mut histograms = vec![0.0; columns * rows * self.orientations];
        let share = 1.0 / (self.cell * self.cell) as f64;
        for y in 0..rows * self.cell {
            for x in 0..columns * self.cell {
                let down = if y > 0 && y + 1 < height { pixel(x, y + 1) - pixel(x, y - 1) } else { 0.0 };
                let right = if x > 0 && x + 1 < width { pixel(x + 1, y) - pixel(x - 1, y) } else { 0.0 };
                let angle = down.atan2(right).to_degrees().rem_euclid(180.0);
                let direction = (angle / (180.0 / self.orientations as f64)) as usize;
                let cell = y / self.cell * columns + x / self.cell;
                // An angle just below 0 may round to 180.
                let direction = direction.min(self.orientations - 1);
                histograms[cell * self.orientations + direction] += down.hypot(right) * share;
            }
        }
        histograms
    }
}

fn normalise(values: &mut [f64]) {
    let length = (values.iter().map(|value| value * value).sum::<f64>() + EPS * EPS).sqrt();
    values.iter_mut().for_each(|value| *value /= length);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_edge_has_one_direction() {
        // Dark above, light below: gradients point down, 90°, the fifth of nine directions.
        let pixels: Vec<u8> = (0..48 * 48).map(|place| if place / 48 < 20 { 10 } else { 200 }).collect();
        let descriptor = Hog::default().describe(&pixels, 48).unwrap();
        assert_eq!(descriptor.len(), 900);
        for (place, &value) in descriptor.iter().enumerate() {
            assert!(value == 0.0 || place % 9 == 4, "{value} at {place}");
        }
        assert!(descriptor.iter().any(|&value| value > 0.5));
    }

    #[test]
    fn what_cannot_be_described_is_an_error() {
        assert!(Hog::default().describe(&[0; 100], 10).is_err());
        assert!(Hog::default().describe(&[0; 2304], 50).is_err());
        assert!(Hog { cell: 0, ..Hog::default() }.describe(&[0; 2304], 48).is_err());
    }
}
