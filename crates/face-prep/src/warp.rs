//! Moving the pixels of a picture by an affine map.

use image::{ImageBuffer, Pixel};

use crate::{Affine, Error};

/// What stands where a map looks beyond the picture's edge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
pub enum Border {
    /// The nearest pixel of the edge: `aaa|abcd|ddd`.
    #[default]
    Replicate,
    /// The picture mirrored about its edge pixel: `dcb|abcd|cba`.
    Reflect,
}

impl Border {
    /// The place inside `0..length` that stands for `position`. `length` is at least 1.
    #[inline]
    pub(crate) fn index(self, position: i32, length: i32) -> usize {
        let inside = match self {
            Border::Replicate => position.clamp(0, length - 1),
            Border::Reflect if (0..length).contains(&position) => position,
            Border::Reflect if length == 1 => 0,
            Border::Reflect => {
                let period = 2 * (length - 1);
                let place = position.rem_euclid(period);
                place.min(period - place)
            }
        };
        inside as usize
    }
}

/// The picture seen through a map: pixel (x, y) of the result is what stands at `map(x + ½, y + ½)` of the source (so the
/// map leads **from the result to the source**), interpolated bilinearly between pixel centres and rounded.
///
/// # Errors
/// [`Error::InvalidInput`] for a picture or a result without pixels and for a map that is not finite.
pub fn warp_affine<P: Pixel<Subpixel = u8>>(
    image: &ImageBuffer<P, Vec<u8>>,
    map: &Affine,
    width: u32,
    height: u32,
    border: Border,
) -> Result<ImageBuffer<P, Vec<u8>>, Error> {
    if image.width() == 0 || image.height() == 0 || width == 0 || height == 0 {
        let got = format!("{}x{} to {width}x{height}", image.width(), image.height());
        return Err(Error::input("picture", "at least 1x1 pixels", got));
    }
    if !map.0.iter().flatten().all(|value| value.is_finite()) {
        return Err(Error::input("map", "finite numbers", format!("{map:?}")));
    }
    let mut warped = ImageBuffer::new(width, height);
    warp_raw::<P>(image.as_raw(), (image.width(), image.height()), map, width, &mut warped, border);
    Ok(warped)
}

/// The next whole number below, for numbers within i32. `f32::floor` is a call of a function on plain x86-64.
#[inline(always)]
fn floor(value: f32) -> i32 {
    let whole = value as i32;
    whole - i32::from(value < whole as f32)
}

/// [`warp_affine`] on checked raw pixels.
pub(crate) fn warp_raw<P: Pixel<Subpixel = u8>>(
    source: &[u8],
    (source_width, source_height): (u32, u32),
    map: &Affine,
    width: u32,
    target: &mut [u8],
    border: Border,
) {
    let channels = usize::from(P::CHANNEL_COUNT);
    let stride = source_width as usize * channels;
    let (columns, rows) = (source_width as i32, source_height as i32);
    let [[a, b, c], [d, e, f]] = map.0;
    // Beyond this a position has no whole number and no neighbour in 32 bits.
    const FAR: f32 = 1e9;
    for (y, row) in target.chunks_exact_mut(width as usize * channels).enumerate() {
        let center_y = y as f32 + 0.5;
        for (x, pixel) in row.chunks_exact_mut(channels).enumerate() {
            let center_x = x as f32 + 0.5;
            let source_x = (a * center_x + b * center_y + c - 0.5).clamp(-FAR, FAR);
            let source_y = (d * center_x + e * center_y + f - 0.5).clamp(-FAR, FAR);
            let (left, top) = (floor(source_x), floor(source_y));
            let (weight_x, weight_y) = (source_x - left as f32, source_y - top as f32);
            let (x0, x1) = (border.index(left, columns) * channels, border.index(left + 1, columns) * channels);
            let (y0, y1) = (border.index(top, rows) * stride, border.index(top + 1, rows) * stride);
            for (channel, value) in pixel.iter_mut().enumerate() {
                let at = |y: usize, x: usize| f32::from(source[y + x + channel]);
                let upper = at(y0, x0) + (at(y0, x1) - at(y0, x0)) * weight_x;
                let lower = at(y1, x0) + (at(y1, x1) - at(y1, x0)) * weight_x;
                *value = (upper + (lower - upper) * weight_y + 0.5) as u8;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use image::{GrayImage, Luma};

    use super::*;

    #[test]
    fn the_identity_changes_nothing_and_a_shift_moves() {
        let image = GrayImage::from_fn(7, 5, |x, y| Luma([(x * 30 + y * 7) as u8]));
        assert_eq!(warp_affine(&image, &Affine::IDENTITY, 7, 5, Border::Reflect).unwrap(), image);
        let moved = warp_affine(&image, &Affine::translation(1.0, 0.0), 7, 5, Border::Replicate).unwrap();
        assert_eq!(moved.get_pixel(0, 0), image.get_pixel(1, 0));
        assert_eq!(moved.get_pixel(6, 2), image.get_pixel(6, 2));
    }

    #[test]
    fn reflection_mirrors_about_the_edge_pixel() {
        let places: Vec<_> = (-4..8).map(|position| Border::Reflect.index(position, 4)).collect();
        assert_eq!(places, [2, 3, 2, 1, 0, 1, 2, 3, 2, 1, 0, 1]);
        assert_eq!(Border::Reflect.index(9, 1), 0);
    }

    #[test]
    fn bad_input_is_refused() {
        let empty = GrayImage::new(0, 3);
        assert!(warp_affine(&empty, &Affine::IDENTITY, 3, 3, Border::Replicate).is_err());
        let image = GrayImage::new(3, 3);
        assert!(warp_affine(&image, &Affine::translation(f32::NAN, 0.0), 3, 3, Border::Replicate).is_err());
    }
}
