//! Convolutions for the small networks of MTCNN, on the CPU.
//!
//! LibTorch spends more time on getting ready for layers this small than on computing them, so they are computed here. Pictures are
//! stored pixel by pixel (all channels of the first, all of the second, …): what a filter sees of one row of the picture then lies in one
//! piece, and a convolution is, row by row, a product of matrices.

use pulp::{Arch, Simd, WithSimd, bytemuck};

/// A convolution without padding and its PReLU; or a dense layer, a convolution over a single pixel.
#[derive(Debug)]
pub(super) struct Layer {
    /// Channels of the input.
    pub(super) inputs: usize,
    /// Height and width of the filters.
    pub(super) side: usize,
    /// Floats from one pixel of the output to the next: the outputs, filled up to whole panels.
    pub(super) pitch: usize,
    /// How many vectors of the processor make a panel, the outputs that are computed at once: 1 or 2.
    vectors: usize,
    /// The filters as [panel][y][x][input][output of the panel].
    filters: Vec<f32>,
    bias: Vec<f32>,
    /// PReLU's slope below 0; 1 for a layer that has none.
    slopes: Vec<f32>,
}

/// Pixels that are computed at once. With two vectors of outputs each, the sums fill 12 of the 16 registers of AVX2.
const TILE: usize = 6;

impl Layer {
    /// `filters` as [output][input][y][x], as LibTorch has them; `slopes` empty for a layer without PReLU.
    pub(super) fn new(inputs: usize, side: usize, filters: &[f32], bias: &[f32], slopes: &[f32]) -> Self {
        let lanes = Arch::new().dispatch(Lanes);
        let outputs = bias.len();
        let vectors = if outputs <= lanes { 1 } else { 2 };
        let panel = vectors * lanes;
        let panels = outputs.div_ceil(panel);
        let mut packed = Vec::with_capacity(panels * panel * side * side * inputs);
        for number in 0..panels {
            for place in 0..side * side {
                for input in 0..inputs {
                    packed.extend((number * panel..(number + 1) * panel).map(|output| {
                        let filter = (output * inputs + input) * side * side + place;
                        filters.get(filter).copied().filter(|_| output < outputs).unwrap_or(0.0)
                    }));
                }
            }
        }
        let padded = |values: &[f32], rest: f32| {
            let mut values = values.to_vec();
            values.resize(panels * panel, rest);
            values
        };
        Self {
            inputs,
            side,
            pitch: panels * panel,
            vectors,
            filters: packed,
            bias: padded(bias, 0.0),
            slopes: padded(slopes, 1.0),
        }
    }

    /// One row of the output, `width` pixels, from the `side` rows of the input that it looks at.
    pub(super) fn run(&self, rows: &[&[f32]], width: usize, output: &mut [f32]) {
        let step = self.inputs;
        Arch::new().dispatch(Row { layer: self, rows, step, width, output });
    }

    /// A whole picture of `width`×`height` pixels.
    pub(super) fn run_all(&self, picture: &[f32], width: usize, height: usize, output: &mut [f32]) {
        let (columns, rows) = (width + 1 - self.side, height + 1 - self.side);
        let stride = width * self.inputs;
        for (y, output) in output.chunks_exact_mut(columns * self.pitch).take(rows).enumerate() {
            let mut seen = [&[][..]; 3];
            for (row, seen) in seen[..self.side].iter_mut().enumerate() {
                *seen = &picture[(y + row) * stride..(y + row + 1) * stride];
            }
            self.run(&seen[..self.side], columns, output);
        }
    }
}

struct Lanes;

impl WithSimd for Lanes {
    type Output = usize;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> usize {
        S::F32_LANES
    }
}

struct Row<'a> {
    layer: &'a Layer,
    rows: &'a [&'a [f32]],
    step: usize,
    width: usize,
    output: &'a mut [f32],
}

impl WithSimd for Row<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        // As many tiles as it takes, all of the same size.
        let tile = self.width.div_ceil(self.width.div_ceil(TILE).max(1));
        match (self.layer.vectors, tile) {
            (_, 0) => {}
            (1, _) => self.tiles::<S, TILE, 1>(simd),
            (_, 1) => self.tiles::<S, 1, 2>(simd),
            (_, 2 | 3) => self.tiles::<S, 3, 2>(simd),
            (_, 4) => self.tiles::<S, 4, 2>(simd),
            (_, 5) => self.tiles::<S, 5, 2>(simd),
            (..) => self.tiles::<S, TILE, 2>(simd),
        }
    }
}

impl Row<'_> {
    #[inline(always)]
    fn tiles<S: Simd, const PIXELS: usize, const VECTORS: usize>(self, simd: S) {
        let Layer { side, pitch, ref filters, ref bias, ref slopes, .. } = *self.layer;
        let length = side * self.step;
        let (filters, _) = pulp::as_arrays::<VECTORS, S::f32s>(bytemuck::cast_slice(filters));
        let (bias, _) = pulp::as_arrays::<VECTORS, S::f32s>(bytemuck::cast_slice(bias));
        let (slopes, _) = pulp::as_arrays::<VECTORS, S::f32s>(bytemuck::cast_slice(slopes));
        let output: &mut [S::f32s] = bytemuck::cast_slice_mut(&mut self.output[..self.width * pitch]);
        let (output, _) = pulp::as_arrays_mut::<VECTORS, S::f32s>(output);
        let zero = simd.splat_f32s(0.0);
        for first in (0..self.width).step_by(PIXELS) {
            let mut starts = [0; PIXELS];
            for (pixel, start) in starts.iter_mut().enumerate() {
                // The last tile computes the last pixel more than once.
                *start = (first + pixel).min(self.width - 1) * self.step;
            }
            for (panel, filters) in filters.chunks_exact(side * length).enumerate() {
                let mut sums = [bias[panel]; PIXELS];
                for (row, filters) in self.rows.iter().zip(filters.chunks_exact(length)) {
                    let mut seen = [&[][..]; PIXELS];
                    for pixel in 0..PIXELS {
                        seen[pixel] = &row[starts[pixel]..starts[pixel] + length];
                    }
                    for (place, filter) in filters[..length].iter().enumerate() {
                        for pixel in 0..PIXELS {
                            let value = simd.splat_f32s(seen[pixel][place]);
                            for vector in 0..VECTORS {
                                sums[pixel][vector] = simd.mul_add_e_f32s(value, filter[vector], sums[pixel][vector]);
                            }
                        }
                    }
                }
                for (pixel, sums) in sums.iter_mut().enumerate().take(self.width - first) {
                    for (sum, &slope) in sums.iter_mut().zip(&slopes[panel]) {
                        let below = simd.mul_f32s(slope, simd.min_f32s(*sum, zero));
                        *sum = simd.add_f32s(simd.max_f32s(*sum, zero), below);
                    }
                    output[(first + pixel) * (bias.len()) + panel] = *sums;
                }
            }
        }
    }
}

/// The greatest values of squares of `side` pixels, every two pixels; squares beyond the right and lower edge are cut, and whether there
/// are such is for `columns` and `rows` of the output to say. `pitch` floats lie from pixel to pixel of the input, of which the first
/// `channels` count; the output has no others.
pub(super) struct Pool<'a> {
    pub(super) rows: &'a [&'a [f32]],
    pub(super) width: usize,
    pub(super) pitch: usize,
    pub(super) side: usize,
    pub(super) channels: usize,
    pub(super) output: &'a mut [f32],
}

impl Pool<'_> {
    /// One row of the output from the rows of the input that its squares cover.
    pub(super) fn run(self) {
        Arch::new().dispatch(self);
    }
}

impl pulp::NullaryFnOnce for Pool<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        for (x, output) in self.output.chunks_exact_mut(self.channels).enumerate() {
            let columns = 2 * x..(2 * x + self.side).min(self.width);
            output.copy_from_slice(&self.rows[0][2 * x * self.pitch..][..self.channels]);
            for (number, row) in self.rows.iter().enumerate() {
                for column in columns.clone().skip(usize::from(number == 0)) {
                    for (greatest, &value) in output.iter_mut().zip(&row[column * self.pitch..][..self.channels]) {
                        *greatest = if value > *greatest { value } else { *greatest };
                    }
                }
            }
        }
    }
}

/// [`Pool`] for a whole picture; the output has `columns`×`rows` pixels.
pub(super) fn pool_all(
    picture: &[f32],
    (width, height): (usize, usize),
    (pitch, channels): (usize, usize),
    side: usize,
    (columns, rows): (usize, usize),
    output: &mut [f32],
) {
    let stride = width * pitch;
    for (y, output) in output.chunks_exact_mut(columns * channels).take(rows).enumerate() {
        let mut seen = [&[][..]; 3];
        let count = side.min(height - 2 * y);
        for (row, seen) in seen[..count].iter_mut().enumerate() {
            *seen = &picture[(2 * y + row) * stride..][..stride];
        }
        Pool { rows: &seen[..count], width, pitch, side, channels, output }.run();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers that look random.
    fn numbers(count: usize) -> Vec<f32> {
        let mut state = 1u32;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / (1 << 23) as f32 - 1.0
        };
        (0..count).map(|_| next()).collect()
    }

    #[test]
    fn a_convolution_is_its_definition() {
        for (inputs, side, outputs, width) in
            [(3, 3, 10, 5), (10, 3, 16, 6), (28, 3, 48, 11), (48, 2, 64, 4), (32, 1, 6, 13), (9, 1, 33, 1)]
        {
            let height = side + 1;
            let picture = numbers(width * height * inputs);
            let (filters, bias, slopes) = (numbers(outputs * inputs * side * side), numbers(outputs), numbers(outputs));
            if width < side {
                continue;
            }
            let layer = Layer::new(inputs, side, &filters, &bias, &slopes);
            let columns = width + 1 - side;
            let mut output = vec![f32::NAN; columns * 2 * layer.pitch];
            layer.run_all(&picture, width, height, &mut output);
            for y in 0..2 {
                for x in 0..columns {
                    for channel in 0..outputs {
                        let mut sum = f64::from(bias[channel]);
                        for row in 0..side {
                            for column in 0..side {
                                for input in 0..inputs {
                                    let value = picture[((y + row) * width + x + column) * inputs + input];
                                    let filter = filters[((channel * inputs + input) * side + row) * side + column];
                                    sum += f64::from(value) * f64::from(filter);
                                }
                            }
                        }
                        let expected = if sum < 0.0 { sum * f64::from(slopes[channel]) } else { sum };
                        let got = output[(y * columns + x) * layer.pitch + channel];
                        assert!(
                            (f64::from(got) - expected).abs() < 1e-4,
                            "{inputs} {side} {outputs}: {got} {expected}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn pooling_cuts_the_squares_at_the_edge() {
        // 4×3 pixels of one channel, every second float unused.
        let picture: Vec<f32> =
            [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12].iter().flat_map(|&value| [value as f32, 99.0]).collect();
        let mut output = [0.0; 4];
        pool_all(&picture, (4, 3), (2, 1), 2, (2, 2), &mut output);
        assert_eq!(output, [6.0, 8.0, 10.0, 12.0]);
        pool_all(&picture, (4, 3), (2, 1), 3, (2, 1), &mut output);
        assert_eq!(output[..2], [11.0, 12.0]);
    }
}
