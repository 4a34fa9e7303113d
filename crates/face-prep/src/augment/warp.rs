//! The affine warp of small grey pictures, made to be fast: [`warp_affine`](crate::warp_affine)'s arithmetic in loops that the
//! compiler turns into vector instructions, but for one load a pixel.

use pulp::NullaryFnOnce;

use super::lanes::floor;
use crate::Affine;
use crate::warp::Border;

/// How many pixels of a row are worked on at a time: their numbers stay in the first cache.
const BLOCK: usize = 64;

/// A warp of a grey picture of `width`×`height` pixels, sides from 1 to 16384, into one of the same size. Dispatched by
/// `pulp`, which compiles it for every set of vector instructions.
pub(super) struct Warp<'a> {
    pub(super) source: &'a [u8],
    pub(super) width: usize,
    /// From the result to the source.
    pub(super) map: &'a Affine,
    pub(super) border: Border,
    pub(super) target: &'a mut [u8],
}

impl NullaryFnOnce for Warp<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Self { source, width, map, border, target } = self;
        let last = [width - 1, source.len() / width - 1].map(|last| last as f32);
        let fours = fours(source, width);
        match border {
            Border::Replicate => rows(&fours, width, map, last, clamp, target),
            Border::Reflect => rows(&fours, width, map, last, mirror, target),
        }
    }
}

/// Each pixel with its right, lower and lower right neighbours, in the bytes of one number from low to high. Where there is no
/// neighbour the pixel stands for it: no weight ever falls on it.
#[inline(always)]
fn fours(source: &[u8], width: usize) -> Vec<u32> {
    let mut fours = vec![0; source.len()];
    let rows = source.chunks_exact(width);
    let below = rows.clone().skip(1).chain(rows.clone().last());
    for ((upper, lower), fours) in rows.zip(below).zip(fours.chunks_exact_mut(width)) {
        let pairs = upper[..width - 1].iter().zip(&upper[1..]).zip(lower[..width - 1].iter().zip(&lower[1..]));
        for (four, ((&a, &b), (&c, &d))) in fours.iter_mut().zip(pairs) {
            *four = u32::from(a) | u32::from(b) << 8 | u32::from(c) << 16 | u32::from(d) << 24;
        }
        let (a, c) = (upper[width - 1], lower[width - 1]);
        fours[width - 1] = u32::from_le_bytes([a, a, c, c]);
    }
    fours
}

/// The edge repeated: beyond it a position counts as on it.
#[inline(always)]
fn clamp(position: f32, last: f32) -> f32 {
    position.max(0.0).min(last)
}

/// The picture mirrored about its edge pixels: positions run to the last pixel and back.
#[inline(always)]
fn mirror(position: f32, last: f32) -> f32 {
    let period = (2.0 * last).max(1.0);
    let position = position.abs();
    let along = position - floor(position * (1.0 / period)) as i32 as f32 * period;
    clamp(along.min(period - along), last)
}

#[inline(always)]
fn rows(
    fours: &[u32],
    width: usize,
    map: &Affine,
    [last_x, last_y]: [f32; 2],
    inside: impl Fn(f32, f32) -> f32,
    target: &mut [u8],
) {
    let [[a, b, c], [d, e, f]] = map.0;
    let (mut places, mut across, mut down) = ([0u32; BLOCK], [0f32; BLOCK], [0f32; BLOCK]);
    for (y, row) in target.chunks_exact_mut(width).enumerate() {
        let center_y = y as f32 + 0.5;
        for (block, pixels) in row.chunks_mut(BLOCK).enumerate() {
            let lanes = pixels.len();
            let (places, across, down) = (&mut places[..lanes], &mut across[..lanes], &mut down[..lanes]);
            let first = (block * BLOCK) as i32;
            for lane in 0..lanes {
                let center_x = (first + lane as i32) as f32 + 0.5;
                let source_x = inside(a * center_x + b * center_y + c - 0.5, last_x);
                let source_y = inside(d * center_x + e * center_y + f - 0.5, last_y);
                let (left, top) = (floor(source_x), floor(source_y));
                across[lane] = source_x - left as i32 as f32;
                down[lane] = source_y - top as i32 as f32;
                places[lane] = top * width as u32 + left;
            }
            for place in places.iter_mut() {
                *place = fours[*place as usize];
            }
            for (((pixel, &four), &across), &down) in pixels.iter_mut().zip(&*places).zip(&*across).zip(&*down) {
                let corner = |corner: u32| ((four >> (8 * corner)) & 255) as i32 as f32;
                let upper = corner(0) + (corner(1) - corner(0)) * across;
                let lower = corner(2) + (corner(3) - corner(2)) * across;
                *pixel = floor(upper + (lower - upper) * down + 0.5) as u8;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use image::{GrayImage, Luma};
    use proptest::prelude::*;

    use super::*;
    use crate::warp_affine;

    proptest! {
        /// The edge repeated is the same arithmetic; mirrored positions are rounded once more, which may turn a half the other way.
        #[test]
        fn it_is_warp_affine(
            width in 1u32..90, height in 1u32..20, degrees in -180f32..180.0, zoom in 0.2f32..5.0, x in -100f32..100.0, y in -30f32..30.0,
        ) {
            let image = GrayImage::from_fn(width, height, |x, y| Luma([((x * 53) ^ (y * 91)) as u8]));
            let map = Affine::rotation(degrees).then(&Affine::scaling(-zoom, zoom)).then(&Affine::translation(x, y));
            let mut warped = vec![0; image.len()];
            for (border, slack) in [(Border::Replicate, 0), (Border::Reflect, 1)] {
                let want = warp_affine(&image, &map, width, height, border).unwrap();
                let warp = Warp { source: &image, width: width as usize, map: &map, border, target: &mut warped };
                pulp::Arch::new().dispatch(warp);
                for (place, (&got, &want)) in warped.iter().zip(want.iter()).enumerate() {
                    prop_assert!(got.abs_diff(want) <= slack, "{border:?} at {place}: got {got}, want {want}");
                }
            }
        }
    }
}
