//! Faces framed as FER-2013 frames them: what networks for 48×48 grey faces were trained on.

use image::{GrayImage, RgbImage};

use crate::crop::crop_resized;
use crate::resize::{Filter, resize};
use crate::warp::{Border, warp_affine};
use crate::{Affine, BoundingBox, Error, Point, gray};

/// The side of FER-2013's pictures in pixels.
pub const FER_SIDE: u32 = 48;

/// The side of FER-2013's pictures as a multiple of the side of the cascade's box, both with one centre.
///
/// Measured by `examples/fer_framing.rs` on every 19th Training picture: found in 1,164 of 1,500, median 1.027, middle half 0.965 to
/// 1.110; the centres differ by 0.002 of the box at the median. The set was cut by a cascade of this kind, and it shows.
pub const FER_MARGIN: f32 = 1.027;

/// The longest side of a turned square before it is averaged, in pixels.
const MOST_TURNED: u32 = 3072;

/// The side of the pictures that networks trained on ImageNet or VGGFace look at.
pub const RGB_SIDE: u32 = 224;

/// A face as 48×48 grey pixels in FER-2013's framing: a square about the box, [`FER_MARGIN`] times its longer side, the edge of the
/// picture repeated beyond it, averaged where it shrinks. With landmarks the square is turned so that the eyes lie level.
///
/// For a face whose landmarks lie on fixed places instead, see [`align`](crate::align).
///
/// # Errors
/// [`Error::InvalidInput`] for a picture without pixels, a box that is not finite or has no area, and landmarks that are not finite.
pub fn face_gray48(image: &RgbImage, bbox: &BoundingBox, landmarks: Option<&[Point; 5]>) -> Result<GrayImage, Error> {
    Ok(gray(&framed(image, bbox, landmarks, FER_SIDE)?))
}

/// The same square as [`face_gray48`] as 224×224 pixels in colour: what larger networks look at.
///
/// # Errors
/// As [`face_gray48`].
pub fn face_rgb224(image: &RgbImage, bbox: &BoundingBox, landmarks: Option<&[Point; 5]>) -> Result<RgbImage, Error> {
    framed(image, bbox, landmarks, RGB_SIDE)
}

fn framed(image: &RgbImage, bbox: &BoundingBox, landmarks: Option<&[Point; 5]>, side: u32) -> Result<RgbImage, Error> {
    bbox.check()?;
    let square = bbox.longer_side() * FER_MARGIN;
    let Some([left, right, ..]) = landmarks else {
        return crop_resized(image, &BoundingBox::square(bbox.center(), square), side, side);
    };
    let degrees = (right.y - left.y).atan2(right.x - left.x).to_degrees();
    // Whole pixels of the picture are averaged to each of the result.
    let large = side * (square / side as f32).round().clamp(1.0, (MOST_TURNED / side) as f32) as u32;
    let (half, zoom, center) = (large as f32 / 2.0, square / large as f32, bbox.center());
    let map = Affine::translation(-half, -half)
        .then(&Affine::scaling(zoom, zoom))
        .then(&Affine::rotation(degrees))
        .then(&Affine::translation(center.x, center.y));
    let turned = warp_affine(image, &map, large, large, Border::Replicate)?;
    resize(&turned, side, side, Filter::Area)
}

#[cfg(test)]
mod tests {
    use image::Rgb;

    use super::*;

    #[test]
    fn level_eyes_change_nothing_and_tilted_ones_turn_the_face() {
        let image = RgbImage::from_fn(200, 200, |x, y| Rgb([x as u8, y as u8, (x ^ y) as u8]));
        let bbox = BoundingBox::new(40.0, 50.0, 100.0, 100.0);
        let plain = face_gray48(&image, &bbox, None).unwrap();
        let points = |tilt: f32| {
            [(70.0, 80.0), (110.0, 80.0 + tilt), (90.0, 100.0), (75.0, 120.0), (105.0, 120.0)]
                .map(|(x, y)| Point::new(x, y))
        };
        let level = face_gray48(&image, &bbox, Some(&points(0.0))).unwrap();
        let difference =
            plain.iter().zip(level.iter()).map(|(&plain, &level)| f32::from(plain.abs_diff(level))).sum::<f32>();
        assert!(difference / 2304.0 < 6.0, "{}", difference / 2304.0);
        assert_ne!(level, face_gray48(&image, &bbox, Some(&points(15.0))).unwrap());
        assert!(face_gray48(&image, &bbox, Some(&[Point::new(f32::NAN, 0.0); 5])).is_err());
    }

    /// Both sizes show the same square: each pixel of the small one is the mean of its part of the large one.
    #[test]
    fn the_frame_is_the_same_in_both_sizes() {
        let image = RgbImage::from_fn(600, 500, |x, y| Rgb([(x / 3) as u8, (y / 3) as u8, ((x + y) / 5) as u8]));
        let bbox = BoundingBox::new(90.0, 60.0, 300.0, 290.0);
        let points = [(150.0, 150.0), (290.0, 185.0), (215.0, 220.0), (160.0, 290.0), (260.0, 310.0)];
        let landmarks = points.map(|(x, y)| Point::new(x, y));
        for landmarks in [None, Some(&landmarks)] {
            let small = face_gray48(&image, &bbox, landmarks).unwrap();
            let large = gray(&face_rgb224(&image, &bbox, landmarks).unwrap());
            let shrunk = resize(&large, 48, 48, Filter::Area).unwrap();
            assert!(small.iter().zip(shrunk.iter()).all(|(&small, &large)| small.abs_diff(large) <= 2));
        }
    }

    #[test]
    fn any_box_gives_a_face() {
        let image = RgbImage::new(20, 30);
        for bbox in [
            BoundingBox::new(-50.0, -50.0, 10.0, 10.0),
            BoundingBox::new(5.0, 5.0, 0.2, 0.4),
            BoundingBox::new(0.0, 0.0, 500.0, 20.0),
        ] {
            assert_eq!(face_gray48(&image, &bbox, None).unwrap().dimensions(), (48, 48));
            assert_eq!(face_rgb224(&image, &bbox, None).unwrap().dimensions(), (224, 224));
        }
    }
}
