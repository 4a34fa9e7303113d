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
    /// squared, over the share of contrast it has. Blurred faces have less than 0.3.
    pub sharpness: f32,
    /// How well lit: the product of how near the mean lies to middle grey (1 between 70 and 185, 0 at black and white), of the
    /// share of pixels that are neither black nor white, and of the contrast (standard deviation over 40 grey levels, at most 1).
    pub exposure: f32,
    /// How straight the face looks at the camera, from the landmarks: 1 when the nose stands midway between the eyes, 0 when it
    /// stands below one of them. `None` without landmarks.
    pub frontality: Option<f32>,
    /// The geometric mean of all that are known.
    pub overall: f32,
}

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
    let edges = moments(laplacian).1 / contrast.max(0.05).powi(2);

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
    let [left, right, nose, ..] = landmarks;
    let (dx, dy) = (right.x - left.x, right.y - left.y);
    let squared = dx * dx + dy * dy;
    // Where the nose falls on the line through the eyes: 0 below the left one, 1 below the right one.
    let along = ((nose.x - left.x) * dx + (nose.y - left.y) * dy) / squared;
    if !along.is_finite() {
        return Err(Error::input("landmarks", "finite points and two eyes", format!("{landmarks:?}")));
    }
    Ok((1.0 - 2.0 * (along - 0.5).abs()).clamp(0.0, 1.0))
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

    use super::*;

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
    }
}
