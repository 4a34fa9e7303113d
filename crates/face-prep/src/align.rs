//! Faces put upright and framed alike, from five landmarks: a similarity transform (turn, stretch, shift) onto a template.

use image::RgbImage;

use crate::resize::{Filter, resize};
use crate::warp::{Border, warp_affine};
use crate::{Affine, Error, Point};

/// Where the five landmarks (left eye, right eye, nose, left and right corner of the mouth, as the viewer sees them) stand in an
/// aligned face, as shares of its side.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Template(pub [Point; 5]);

impl Template {
    /// The template of ArcFace (Deng et al. 2019) as its authors' InsightFace publishes it (`arcface_dst` of its
    /// `face_align.py`, for 112 pixels): the frame that most face networks were trained in.
    pub const ARCFACE: Self = Self([
        Point::new(38.2946 / 112.0, 51.6963 / 112.0),
        Point::new(73.5318 / 112.0, 51.5014 / 112.0),
        Point::new(56.0252 / 112.0, 71.7366 / 112.0),
        Point::new(41.5493 / 112.0, 92.3655 / 112.0),
        Point::new(70.7299 / 112.0, 92.2041 / 112.0),
    ]);
}

/// The similarity transform that leads the points of `from` as near as possible (in least squares) to those of `to`: Umeyama
/// (1991) in the plane, without reflection.
///
/// # Errors
/// [`Error::InvalidInput`] for fewer than two points, lists of different lengths, numbers that are not finite, and points of `from`
/// that all fall on one place.
pub fn similarity(from: &[Point], to: &[Point]) -> Result<Affine, Error> {
    if from.len() != to.len() || from.len() < 2 {
        return Err(Error::input(
            "points",
            "two or more, as many on both sides",
            format!("{} and {}", from.len(), to.len()),
        ));
    }
    let mean = |points: &[Point]| {
        let count = points.len() as f64;
        let sum = points.iter().fold((0.0, 0.0), |sum, point| (sum.0 + f64::from(point.x), sum.1 + f64::from(point.y)));
        (sum.0 / count, sum.1 / count)
    };
    let (from_mean, to_mean) = (mean(from), mean(to));
    // With points as complex numbers the transform is q = z·p + t, and the best z is Σ conj(p)·q / Σ |p|² about the means.
    let (mut real, mut imaginary, mut spread) = (0.0, 0.0, 0.0);
    for (from, to) in from.iter().zip(to) {
        let (px, py) = (f64::from(from.x) - from_mean.0, f64::from(from.y) - from_mean.1);
        let (qx, qy) = (f64::from(to.x) - to_mean.0, f64::from(to.y) - to_mean.1);
        real += px * qx + py * qy;
        imaginary += px * qy - py * qx;
        spread += px * px + py * py;
    }
    let (a, b) = (real / spread, imaginary / spread);
    let (x, y) = (to_mean.0 - a * from_mean.0 + b * from_mean.1, to_mean.1 - b * from_mean.0 - a * from_mean.1);
    let map = [[a, -b, x], [b, a, y]].map(|row| row.map(|value| value as f32));
    if map.iter().flatten().all(|value| value.is_finite()) && spread > 0.0 {
        Ok(Affine(map))
    } else {
        Err(Error::input("points", "finite points that are not all one", format!("{from:?}")))
    }
}

/// The face as a square of `side` pixels (48 and 224 are usual), its landmarks on those of the template; beyond the picture its
/// edge is repeated. Faces that shrink are averaged, not sampled.
///
/// # Errors
/// [`Error::InvalidInput`] for a picture without pixels, a side of 0 or above 4096, and landmarks that are not finite or all one.
pub fn align(image: &RgbImage, landmarks: &[Point; 5], template: &Template, side: u32) -> Result<RgbImage, Error> {
    if !(1..=4096).contains(&side) {
        return Err(Error::input("side", "1 to 4096", side));
    }
    let place = |side: u32| template.0.map(|point| Point::new(point.x * side as f32, point.y * side as f32));
    let [[a, b, _], _] = similarity(&place(side), landmarks)?.0;
    // Pixels of the picture to one of the result: whole steps of it are taken by averaging blocks.
    let blocks = a.hypot(b).round().clamp(1.0, (8192 / side) as f32) as u32;
    let large = side * blocks;
    let warped = warp_affine(image, &similarity(&place(large), landmarks)?, large, large, Border::Replicate)?;
    resize(&warped, side, side, Filter::Area)
}

#[cfg(test)]
mod tests {
    use image::Rgb;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_similarity_is_found_again(degrees in -180f32..180.0, zoom in 0.1f32..10.0, x in -100f32..100.0, y in -100f32..100.0) {
            let map = Affine::rotation(degrees).then(&Affine::scaling(zoom, zoom)).then(&Affine::translation(x, y));
            let from = Template::ARCFACE.0.map(|point| Point::new(point.x * 112.0, point.y * 112.0));
            let found = similarity(&from, &from.map(|point| map.apply(point))).unwrap();
            for point in from {
                prop_assert!(found.apply(point).distance(map.apply(point)) < 0.02);
            }
        }
    }

    /// Points that no similarity fits exactly, against scikit-image 0.26: `estimate_transform("similarity", from, to).params`, which
    /// is Umeyama's method too.
    #[test]
    fn the_best_fit_is_scikit_images() {
        let from = Template::ARCFACE.0.map(|point| Point::new(112.0 * point.x, 112.0 * point.y));
        let to = [(310.5, 220.25), (402.0, 198.5), (371.0, 262.75), (338.25, 318.0), (410.5, 301.25)];
        let Affine(got) = similarity(&from, &to.map(|(x, y)| Point::new(x, y))).unwrap();
        let want = [[2.498_865_7, 0.490_979_7, 191.146_33], [-0.490_979_7, 2.498_865_7, 107.987_32]];
        for (got, want) in got.iter().flatten().zip(want.iter().flatten()) {
            assert!((got - want).abs() < 2e-5 * want.abs(), "got {got}, want {want}");
        }
    }

    #[test]
    fn the_landmarks_land_on_the_template() {
        // A picture whose red and green are its coordinates.
        let image = RgbImage::from_fn(256, 256, |x, y| Rgb([x as u8, y as u8, 0]));
        let map = Affine::scaling(90.0, 90.0).then(&Affine::rotation(20.0)).then(&Affine::translation(90.0, 60.0));
        let landmarks = Template::ARCFACE.0.map(|point| map.apply(point));
        for side in [48, 224] {
            let aligned = align(&image, &landmarks, &Template::ARCFACE, side).unwrap();
            for (place, landmark) in Template::ARCFACE.0.iter().zip(landmarks) {
                let pixel = aligned.get_pixel((place.x * side as f32) as u32, (place.y * side as f32) as u32);
                // One pixel of the result is up to two of the picture.
                assert!(
                    (f32::from(pixel[0]) - landmark.x).abs() < 2.5 && (f32::from(pixel[1]) - landmark.y).abs() < 2.5
                );
            }
        }
    }

    #[test]
    fn bad_landmarks_are_refused() {
        let image = RgbImage::new(8, 8);
        assert!(align(&image, &[Point::new(f32::NAN, 3.0); 5], &Template::ARCFACE, 48).is_err());
        assert!(align(&image, &Template::ARCFACE.0, &Template::ARCFACE, 0).is_err());
        assert!(similarity(&[Point::new(1.0, 1.0); 3], &[Point::new(1.0, 2.0); 3]).is_err());
    }
}
