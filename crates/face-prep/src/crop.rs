//! Cutting boxes out of pictures.

use image::{ImageBuffer, Pixel};

use crate::resize::{Filter, resize};
use crate::warp::Border;
use crate::{BoundingBox, Error};

/// The longest side of a crop before it is resized. A box beyond this is a mistake, not a face, and would take gigabytes.
const LARGEST_SIDE: f32 = 16384.0;

/// The pixels of a box, edges rounded to whole pixels (at least one each way). Where the box reaches beyond the picture, the
/// border rule says what stands there.
///
/// # Errors
/// [`Error::InvalidInput`] for a picture without pixels and for a box that is not finite, has no area, or is longer than
/// 16384 pixels.
pub fn crop<P: Pixel<Subpixel = u8>>(
    image: &ImageBuffer<P, Vec<u8>>,
    bbox: &BoundingBox,
    border: Border,
) -> Result<ImageBuffer<P, Vec<u8>>, Error> {
    bbox.check()?;
    if image.width() == 0 || image.height() == 0 {
        let got = format!("{}x{}", image.width(), image.height());
        return Err(Error::input("picture", "at least 1x1 pixels", got));
    }
    if bbox.longer_side() > LARGEST_SIDE {
        return Err(Error::input("box", format!("sides up to {LARGEST_SIDE} pixels"), format!("{bbox:?}")));
    }
    let (left, top) = (bbox.x.round() as i32, bbox.y.round() as i32);
    let (width, height) = (bbox.width.round().max(1.0) as u32, bbox.height.round().max(1.0) as u32);
    let channels = usize::from(P::CHANNEL_COUNT);
    let (columns, rows) = (image.width() as i32, image.height() as i32);
    let sources: Vec<usize> =
        (0..width as i32).map(|x| border.index(left.saturating_add(x), columns) * channels).collect();
    let mut cut = ImageBuffer::new(width, height);
    let target: &mut [u8] = &mut cut;
    for (y, line) in target.chunks_exact_mut(width as usize * channels).enumerate() {
        let row = border.index(top.saturating_add(y as i32), rows) * columns as usize * channels;
        for (pixel, &source) in line.chunks_exact_mut(channels).zip(&sources) {
            pixel.copy_from_slice(&image.as_raw()[row + source..row + source + channels]);
        }
    }
    Ok(cut)
}

/// [`crop`] with the edge repeated, then resized: by [`Filter::Area`] where the crop shrinks both ways, else by
/// [`Filter::Linear`].
///
/// # Errors
/// As [`crop`], and [`Error::InvalidInput`] for a result without pixels.
pub fn crop_resized<P: Pixel<Subpixel = u8>>(
    image: &ImageBuffer<P, Vec<u8>>,
    bbox: &BoundingBox,
    width: u32,
    height: u32,
) -> Result<ImageBuffer<P, Vec<u8>>, Error> {
    let cut = crop(image, bbox, Border::Replicate)?;
    let shrinks = cut.width() >= width && cut.height() >= height;
    resize(&cut, width, height, if shrinks { Filter::Area } else { Filter::Linear })
}

#[cfg(test)]
mod tests {
    use image::{GrayImage, Luma};

    use super::*;

    #[test]
    fn a_box_beyond_the_edge_repeats_it() {
        let image = GrayImage::from_fn(4, 4, |x, y| Luma([(10 * y + x) as u8]));
        let cut = crop(&image, &BoundingBox::new(-1.0, 2.6, 3.0, 2.0), Border::Replicate).unwrap();
        assert_eq!(cut.into_raw(), [30, 30, 31, 30, 30, 31]);
        let far = crop(&image, &BoundingBox::new(1e9, -1e9, 2.0, 1.0), Border::Reflect).unwrap();
        assert_eq!(far.dimensions(), (2, 1));
    }

    #[test]
    fn boxes_without_sense_are_refused() {
        let image = GrayImage::new(4, 4);
        for (width, height) in [(0.0, 1.0), (1.0, -1.0), (f32::NAN, 1.0), (1e6, 1.0)] {
            assert!(crop(&image, &BoundingBox::new(0.0, 0.0, width, height), Border::Replicate).is_err());
        }
    }
}
