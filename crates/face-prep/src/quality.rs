//! How good a face is to read: what a fusion needs to weigh a face by.

use image::RgbImage;

use crate::crop::crop_resized;
use crate::{BoundingBox, Error, Point, gray};

/// The quality of one face. Every number is 0 (useless) to 1 (as good as it gets).
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct FaceQuality {
    /// The shorter side of the box over 96 pixels, at most 1: a face of 48 pixels, the size that the networks see, has 0.5.
    pub size: f32,
    /// v / (v + 60), where v is the variance of the Laplacian (4-neighbour) of the face at 64×64 grey pixels, in grey levels
    /// squared, less what rounding to whole levels adds, over the square of the contrast (see `exposure`, here at least 0.25: below,
    /// there is nothing to be sharp). Blurring lowers it; blurred faces have less than 0.3, and below 0.1 only
    /// the rounding of pixels is left.
    pub sharpness: f32,
    /// How well lit: the product of how near the mean lies to middle grey (1 between 70 and 185, 0 at black and white), of the
    /// share of pixels that are neither black nor white (5 to 250), and of the contrast (standard deviation over 40 grey levels, at
    /// most 1). Darkening lowers it, unless the face was too bright before.
    pub exposure: f32,
    /// How straight the face looks at the camera, from the landmarks: the product of how near the nose stands to the middle between
    /// the eyes (1 there, 0 below one of them) and between the line of the eyes and that of the mouth (1 from 0.35 to 0.65 of the
    /// way, since faces and mouths differ; 0 on either line). Tilting the head to a shoulder changes nothing. `None` without
    /// landmarks.
    pub frontality: Option<f32>,
    /// The geometric mean of all that are known.
    pub overall: f32,
}

/// What rounding to whole grey levels adds to the variance of the Laplacian: 1/12 a pixel, times its squared weights 1, 1, 1, 1, -4.
const ROUNDING: f32 = 20.0 / 12.0;

/// Judges a face. Looks at the box's own pixels; the edge of the picture is repeated beyond it.
///
/// # Errors
/// [`Error::InvalidInput`] for a picture without pixels, a box that is not finite or has no area, and landmarks that are not finite.
pub fn assess(image: &RgbImage, bbox: &BoundingBox, landmarks: Option<&[Point; 5]>) -> Result<FaceQuality, Error> {
    bbox.check()?;
    const SIDE: usize = 64;
    let face = gray(&crop_resized(image, bbox, SIDE as u32, SIDE as u32)?).into_raw();
    let (mean, variance) = moments(face.iter().map(|&pixel| f32::from(pixel)));

    let laplacian = (1..SIDE - 1).flat_map(|y| (1..SIDE - 1).map(move |x| y * SIDE + x)).map(|place| {
        let at = |place: usize| f32::from(face[place]);
        at(place - 1) + at(place + 1) + at(place - SIDE) + at(place + SIDE) - 4.0 * at(place)
    });
    // A dim face has smaller edges without being less sharp.
    let contrast = (variance.sqrt() / 40.0).min(1.0);
    let edges = (moments(laplacian).1 - ROUNDING).max(0.0) / contrast.max(0.25).powi(2);

    let clipped = face.iter().filter(|&&pixel| pixel <= 4 || pixel >= 251).count() as f32 / face.len() as f32;
    let middle = (mean / 70.0).min((255.0 - mean) / 70.0).clamp(0.0, 1.0);

    let size = (bbox.width.min(bbox.height) / 96.0).min(1.0);
    let sharpness = edges / (edges + 60.0);
    let exposure = middle * (1.0 - clipped) * contrast;
    let frontality = landmarks.map(frontality).transpose()?;
    let known = [Some(size), Some(sharpness), Some(exposure), frontality];
    let count = known.iter().flatten().count() as f32;
    let overall = known.iter().flatten().product::<f32>().powf(1.0 / count);
    Ok(FaceQuality { size, sharpness, exposure, frontality, overall })
}

fn frontality(landmarks: &[Point; 5]) -> Result<f32, Error> {
    let [left, right, nose, mouth_left, mouth_right] = *landmarks;
    let middle = |first: Point, second: Point| Point::new((first.x + second.x) / 2.0, (first.y + second.y) / 2.0);
    // Where the nose falls on the way from one eye to the other and from the eyes to the mouth: 0 to 1.
    let across = along(nose, left, right);
    let down = along(nose, middle(left, right), middle(mouth_left, mouth_right));
    if !across.is_finite() || !down.is_finite() {
        return Err(Error::input("landmarks", "finite points, two eyes and a mouth apart", format!("{landmarks:?}")));
    }
    let yaw = (1.0 - 2.0 * (across - 0.5).abs()).max(0.0);
    let pitch = ((0.5 - (down - 0.5).abs()) / 0.35).clamp(0.0, 1.0);
    Ok(yaw * pitch)
}

/// Where a point falls on the line from `first` (0) to `second` (1). Not finite when these are one.
fn along(point: Point, first: Point, second: Point) -> f32 {
    let (dx, dy) = (second.x - first.x, second.y - first.y);
    ((point.x - first.x) * dx + (point.y - first.y) * dy) / (dx * dx + dy * dy)
}

/// Mean and variance.
fn moments(values: impl Iterator<Item = f32>) -> (f32, f32) {
    let (mut count, mut sum, mut squares) = (0.0f64, 0.0, 0.0);
    for value in values.map(f64::from) {
        count += 1.0;
        sum += value;
        squares += value * value;
    }
    let mean = sum / count;
    (mean as f32, (squares / count - mean * mean).max(0.0) as f32)
}

#[cfg(test)]
mod tests {
    use image::Rgb;
    use proptest::prelude::*;

    use super::*;
    use crate::{Affine, Filter, Template, augment, resize};

    const FACE: BoundingBox = BoundingBox::new(10.0, 10.0, 128.0, 128.0);

    fn picture(pixel: impl Fn(f32) -> f32) -> RgbImage {
        RgbImage::from_fn(150, 150, |x, y| Rgb([pixel(((x / 8 + y / 8) % 2) as f32) as u8; 3]))
    }

    #[test]
    fn darkness_blur_and_size_lower_the_quality() {
        let good = assess(&picture(|value| 80.0 + 90.0 * value), &FACE, None).unwrap();
        let dark = assess(&picture(|value| 3.0 + 10.0 * value), &FACE, None).unwrap();
        assert!(good.exposure > 0.9 && dark.exposure < 0.1, "{good:?} {dark:?}");
        let soft = image::imageops::blur(&picture(|value| 80.0 + 90.0 * value), 6.0);
        let soft = assess(&soft, &FACE, None).unwrap();
        assert!(soft.sharpness < 0.5 * good.sharpness, "{good:?} {soft:?}");
        let small =
            assess(&picture(|value| 80.0 + 90.0 * value), &BoundingBox::new(10.0, 10.0, 24.0, 24.0), None).unwrap();
        assert_eq!((good.size, small.size), (1.0, 0.25));
        assert!([good, dark, soft, small].iter().all(|quality| (0.0..=1.0).contains(&quality.overall)));
    }

    #[test]
    fn a_turned_face_is_less_frontal() {
        let points =
            |nose: f32| [(0.0, 0.0), (10.0, 0.0), (nose, 6.0), (2.0, 12.0), (8.0, 12.0)].map(|(x, y)| Point::new(x, y));
        assert_eq!(frontality(&points(5.0)).unwrap(), 1.0);
        assert_eq!(frontality(&points(10.0)).unwrap(), 0.0);
        assert!(frontality(&[Point::new(1.0, 1.0); 5]).is_err());
        assert!(frontality(&Template::ARCFACE.0).unwrap() > 0.99);
    }

    /// The landmarks of a face of flesh, turned by these degrees to a side, up and to a shoulder, as a far camera sees them.
    fn turned(yaw: f32, pitch: f32, roll: f32) -> [Point; 5] {
        let face =
            [(-32.0, -36.0, 0.0), (32.0, -36.0, 0.0), (0.0, 0.0, 28.0), (-26.0, 36.0, 0.0), (26.0, 36.0, 0.0f32)];
        let [(sin_yaw, cos_yaw), (sin_pitch, cos_pitch)] = [yaw, pitch].map(|angle: f32| angle.to_radians().sin_cos());
        let picture = Affine::rotation(roll).then(&Affine::translation(200.0, 200.0));
        face.map(|(x, y, z)| {
            let (x, z) = (x * cos_yaw + z * sin_yaw, z * cos_yaw - x * sin_yaw);
            picture.apply(Point::new(x, y * cos_pitch - z * sin_pitch))
        })
    }

    /// A face-like texture: soft patches and fine ones, of any contrast, around middle grey.
    fn texture(seed: u64, contrast: f32) -> RgbImage {
        let mut noise = image::GrayImage::from_pixel(150, 150, image::Luma([128]));
        augment::add_noise(&mut noise, 0.25, seed);
        let mut patches = image::GrayImage::from_pixel(10, 10, image::Luma([128]));
        augment::add_noise(&mut patches, 0.25, !seed);
        let patches = resize(&patches, 150, 150, Filter::Linear).unwrap();
        RgbImage::from_fn(150, 150, |x, y| {
            let value = 0.3 * f32::from(noise.get_pixel(x, y)[0]) + 0.7 * f32::from(patches.get_pixel(x, y)[0]);
            Rgb([(128.0 + contrast * (value - 128.0)).round() as u8; 3])
        })
    }

    fn changed(image: &RgbImage, change: impl Fn(&mut [u8])) -> RgbImage {
        let mut pixels = gray(image).into_raw();
        change(&mut pixels);
        RgbImage::from_fn(image.width(), image.height(), |x, y| Rgb([pixels[(y * image.width() + x) as usize]; 3]))
    }

    fn check_blurring(seed: u64, contrast: f32) {
        let image = texture(seed, contrast);
        let mut last = assess(&image, &FACE, None).unwrap().sharpness;
        for sigma in [1.5, 2.0, 3.0, 4.0, 6.0, 8.0] {
            let blurred = changed(&image, |pixels| augment::blur(pixels, 150, sigma));
            let sharpness = assess(&blurred, &FACE, None).unwrap().sharpness;
            // Below 0.1 the rounding of the pixels is all that is left.
            assert!(sharpness < last.max(0.1), "sigma {sigma}: {sharpness} after {last}");
            last = sharpness;
        }
    }

    #[test]
    fn rounding_does_not_pass_for_sharpness_in_a_dim_face() {
        // Of thousands of textures those whose rounding looks sharpest; with less contrast allowed it came above 0.1.
        check_blurring(2_783_216_622_811_176_247, 0.205_427_84);
        check_blurring(9_349_876_899_219_393_638, 0.174_182_07);
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

        #[test]
        fn blurring_lowers_the_sharpness(seed: u64, contrast in 0.05f32..1.0) {
            check_blurring(seed, contrast);
        }

        #[test]
        fn darkening_lowers_the_exposure(seed: u64, contrast in 0.1f32..1.0) {
            let image = texture(seed, contrast);
            let mut last = assess(&image, &FACE, None).unwrap().exposure;
            for left in [0.8, 0.6, 0.4, 0.2, 0.1, 0.05] {
                let dark = changed(&image, |pixels| {
                    pixels.iter_mut().for_each(|pixel| *pixel = (f32::from(*pixel) * left) as u8);
                });
                let exposure = assess(&dark, &FACE, None).unwrap().exposure;
                prop_assert!(exposure < last || last == 0.0, "{left} of the light: {exposure} after {last}");
                last = exposure;
            }
        }

        #[test]
        fn turning_lowers_the_frontality(roll in -180f32..180.0, other in -40f32..40.0, side: bool) {
            let mut last = f32::INFINITY;
            for angle in (0..80).step_by(5).map(|angle| if side { angle as f32 } else { -(angle as f32) }) {
                let yaw = frontality(&turned(angle, 0.0, roll)).unwrap();
                prop_assert!(yaw < last || last == 0.0, "turned by {angle}: {yaw} after {last}");
                last = yaw;
                // Looking up and down has room, and never makes a face more frontal.
                let both = frontality(&turned(angle, other, roll)).unwrap();
                prop_assert!((0.0..=1.0).contains(&both));
            }
            let pitches = [0.0, 25.0, 35.0, 45.0].map(|angle| frontality(&turned(0.0, if side { angle } else { -angle }, roll)).unwrap());
            prop_assert!(pitches.windows(2).all(|two| two[1] < two[0]), "{pitches:?}");
            prop_assert!((frontality(&turned(0.0, 0.0, roll)).unwrap() - 1.0).abs() < 1e-3);
        }

        #[test]
        fn shrinking_lowers_the_size(side in 1f32..96.0, factor in 0.1f32..0.99) {
            let image = texture(1, 1.0);
            let size = |side: f32| assess(&image, &BoundingBox::new(5.0, 5.0, side, side), None).unwrap().size;
            prop_assert!(size(side * factor) < size(side));
        }

        #[test]
        fn every_number_is_between_0_and_1(pixels in prop::collection::vec(any::<u8>(), 12 * 12 * 3), x in -5f32..15.0, width in 0.1f32..30.0, points in prop::collection::vec((-20f32..20.0, -20f32..20.0), 5)) {
            let image = RgbImage::from_raw(12, 12, pixels).unwrap();
            let landmarks: [Point; 5] = std::array::from_fn(|place| Point::new(points[place].0, points[place].1));
            let quality = assess(&image, &BoundingBox::new(x, 2.0, width, 9.0), Some(&landmarks)).unwrap();
            let FaceQuality { size, sharpness, exposure, frontality, overall } = quality;
            for value in [size, sharpness, exposure, frontality.unwrap(), overall] {
                prop_assert!((0.0..=1.0).contains(&value), "{quality:?}");
            }
        }
    }
}
