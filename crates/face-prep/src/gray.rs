//! Colour to grey.

use image::{GrayImage, RgbImage};

/// OpenCV's weights of red, green and blue in 15 bits (`RY15`, `GY15`, `BY15` of its `color.hpp`): ITU-R BT.601's 0.299, 0.587 and
/// 0.114. They sum to 2¹⁵, so that white stays white.
const WEIGHTS: [u32; 3] = [9798, 19235, 3735];

/// Luma of an RGB picture, bit for bit as `cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)`. Allocates the result.
pub fn gray(image: &RgbImage) -> GrayImage {
    let mut luma = GrayImage::new(image.width(), image.height());
    gray_into(image, &mut luma);
    luma
}

/// The same into a picture that is kept: it is resized when its size differs, and nothing is allocated otherwise.
pub fn gray_into(image: &RgbImage, luma: &mut GrayImage) {
    gray_part_into(image, [0, 0, image.width(), image.height()], luma);
}

/// The same of a part `[x, y, width, height]`, which lies inside the picture.
pub(crate) fn gray_part_into(image: &RgbImage, [x, y, width, height]: [u32; 4], luma: &mut GrayImage) {
    if luma.dimensions() != (width, height) {
        *luma = GrayImage::new(width, height);
    }
    if width == 0 {
        return;
    }
    let rows = image.as_raw().chunks_exact(3 * image.width() as usize).skip(y as usize);
    for (luma, row) in luma.chunks_exact_mut(width as usize).zip(rows) {
        for (luma, pixel) in luma.iter_mut().zip(row[3 * x as usize..].chunks_exact(3)) {
            let [red, green, blue] = [pixel[0], pixel[1], pixel[2]].map(u32::from);
            let sum = WEIGHTS[0] * red + WEIGHTS[1] * green + WEIGHTS[2] * blue;
            *luma = ((sum + (1 << 14)) >> 15) as u8;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pure_colours() {
        let image = RgbImage::from_raw(4, 1, vec![255, 0, 0, 0, 255, 0, 0, 0, 255, 255, 255, 255]).unwrap();
        assert_eq!(gray(&image).into_raw(), [76, 150, 29, 255]);
        let mut part = GrayImage::new(0, 0);
        gray_part_into(&image, [1, 0, 2, 1], &mut part);
        assert_eq!(part.into_raw(), [150, 29]);
        assert_eq!(gray(&RgbImage::new(0, 3)).dimensions(), (0, 3));
    }
}
