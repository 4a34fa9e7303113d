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
    if luma.dimensions() != image.dimensions() {
        *luma = GrayImage::new(image.width(), image.height());
    }
    for (luma, pixel) in luma.iter_mut().zip(image.as_raw().chunks_exact(3)) {
        let sum =
            WEIGHTS[0] * u32::from(pixel[0]) + WEIGHTS[1] * u32::from(pixel[1]) + WEIGHTS[2] * u32::from(pixel[2]);
        *luma = ((sum + (1 << 14)) >> 15) as u8;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pure_colours() {
        let image = RgbImage::from_raw(4, 1, vec![255, 0, 0, 0, 255, 0, 0, 0, 255, 255, 255, 255]).unwrap();
        assert_eq!(gray(&image).into_raw(), [76, 150, 29, 255]);
    }
}
