//! Several looks at one face: test-time augmentation.
//!
//! There are two kinds, ten looks each. [`views`] moves the picture a little and keeps its size, which fits networks that know
//! faces framed as FER-2013's. [`ten_crop`] is what papers call so (Krizhevsky et al. 2012): smaller crops at the corners and
//! in the centre. A [`FerModel`](crate::FerModel) resizes those back to 48×48 pixels, or sees them as they are with
//! [`FerModel::at_size`](crate::FerModel::at_size).

use emotion_core::{BoxError, EmotionModel, Scores};
use face_prep::{Filter, augment, resize};
use image::GrayImage;

use crate::dataset::SIDE;
use crate::error::{Error, Result};

/// How far a view is moved, in pixels of the 48×48 picture.
const SHIFT: i64 = 2;

/// The number of views of each face.
pub const VIEWS: usize = 10;

/// The face as it is and moved by two pixels to each side, upwards and downwards (the edge is repeated), each also
/// mirrored: ten pictures of 48×48 pixels, the face as it is first.
///
/// # Errors
/// [`Error::Picture`](crate::Error::Picture) for a picture without pixels.
pub fn views(face: &GrayImage) -> Result<[GrayImage; VIEWS]> {
    let face = framed(face)?;
    let moves = [(0, 0), (-SHIFT, 0), (SHIFT, 0), (0, -SHIFT), (0, SHIFT)];
    Ok(std::array::from_fn(|view| {
        let (dx, dy) = moves[view % moves.len()];
        let mut picture = moved(&face, dx, dy);
        if view >= moves.len() {
            augment::flip(&mut picture, SIDE);
        }
        picture
    }))
}

/// The four corners and the centre of the 48×48 face, `side` pixels wide and high, each also mirrored: upper left, upper
/// right, lower left, lower right, centre, then the same mirrored. The order is torchvision's `TenCrop`.
///
/// # Errors
/// [`Error::InvalidConfig`] for a side that is not from 24 to 48, [`Error::Picture`] for a picture without pixels.
pub fn ten_crop(face: &GrayImage, side: u32) -> Result<[GrayImage; VIEWS]> {
    let whole = SIDE as u32;
    if !(whole / 2..=whole).contains(&side) {
        return Err(Error::InvalidConfig { field: "side", expected: "24 to 48".into(), got: side.to_string() });
    }
    let face = framed(face)?;
    let (end, middle) = (whole - side, (whole - side) / 2);
    let corners = [(0, 0), (end, 0), (0, end), (end, end), (middle, middle)];
    Ok(std::array::from_fn(|view| {
        let (x, y) = corners[view % corners.len()];
        let mut picture = image::imageops::crop_imm(&face, x, y, side, side).to_image();
        if view >= corners.len() {
            augment::flip(&mut picture, side as usize);
        }
        picture
    }))
}

/// The face at 48×48 pixels.
fn framed(face: &GrayImage) -> Result<GrayImage> {
    let side = SIDE as u32;
    if face.dimensions() == (side, side) { Ok(face.clone()) } else { Ok(resize(face, side, side, Filter::Area)?) }
}

fn moved(face: &GrayImage, dx: i64, dy: i64) -> GrayImage {
    let last = i64::from(face.width()) - 1;
    GrayImage::from_fn(face.width(), face.height(), |x, y| {
        let from = |place: u32, by: i64| (i64::from(place) - by).clamp(0, last) as u32;
        *face.get_pixel(from(x, dx), from(y, dy))
    })
}

/// The mean of a model's probabilities over the ten [`views`] of each face, in the order of the faces. It takes ten times as
/// long as one look and is right a little more often.
///
/// # Errors
/// What the model says, and as [`views`].
pub fn predict_views(
    model: &(impl EmotionModel<Input = GrayImage> + ?Sized),
    faces: &[GrayImage],
) -> Result<Vec<Scores>, BoxError> {
    means(model, faces, views)
}

/// The mean of a model's probabilities over the [`ten_crop`] of each face, in the order of the faces.
///
/// # Errors
/// What the model says, and as [`ten_crop`].
pub fn predict_ten_crop(
    model: &(impl EmotionModel<Input = GrayImage> + ?Sized),
    faces: &[GrayImage],
    side: u32,
) -> Result<Vec<Scores>, BoxError> {
    means(model, faces, |face| ten_crop(face, side))
}

fn means(
    model: &(impl EmotionModel<Input = GrayImage> + ?Sized),
    faces: &[GrayImage],
    looks: impl Fn(&GrayImage) -> Result<[GrayImage; VIEWS]>,
) -> Result<Vec<Scores>, BoxError> {
    let mut pictures = Vec::with_capacity(faces.len() * VIEWS);
    for face in faces {
        pictures.extend(looks(face)?);
    }
    let answers = model.predict_batch(&pictures)?;
    answers
        .chunks(VIEWS)
        .map(|answers| {
            let sums = (0..model.labels().len()).map(|place| answers.iter().map(|scores| scores.values()[place]).sum());
            Ok(Scores::from_weights(model.labels(), &sums.collect::<Vec<f32>>())?)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use emotion_core::{Emotion, LabelSet};

    use super::*;

    /// Happy by the brightness of the upper left pixel.
    struct Corner(LabelSet);

    impl EmotionModel for Corner {
        type Input = GrayImage;

        fn labels(&self) -> &LabelSet {
            &self.0
        }

        fn name(&self) -> &str {
            "corner"
        }

        fn predict_batch(&self, inputs: &[GrayImage]) -> Result<Vec<Scores>, BoxError> {
            let scores = |face: &GrayImage| {
                let share = f32::from(face.get_pixel(0, 0).0[0]) / 255.0;
                Ok(Scores::new(&self.0, &[share, 1.0 - share])?)
            };
            inputs.iter().map(scores).collect()
        }
    }

    #[test]
    fn views_are_moved_and_mirrored() {
        let face = GrayImage::from_fn(48, 48, |x, y| image::Luma([(x + 4 * y) as u8]));
        let views = views(&face).unwrap();
        let corners: Vec<u8> = views.iter().map(|view| view.get_pixel(0, 0).0[0]).collect();
        assert_eq!(corners, [0, 2, 0, 8, 0, 47, 47, 45, 55, 47]);
        assert!(views[0] == face && views.iter().all(|view| view.dimensions() == (48, 48)));
        assert_eq!(self::views(&GrayImage::new(96, 60)).unwrap()[9].dimensions(), (48, 48));
    }

    #[test]
    fn ten_crops_are_the_corners_and_the_centre_mirrored_too() {
        let face = GrayImage::from_fn(48, 48, |x, y| image::Luma([(x + 4 * y) as u8]));
        let crops = ten_crop(&face, 40).unwrap();
        let corners: Vec<u8> = crops.iter().map(|crop| crop.get_pixel(0, 0).0[0]).collect();
        // Mirrored, a crop's first pixel is the last of its first row, 39 to the right.
        assert_eq!(corners, [0, 8, 32, 40, 20, 39, 47, 71, 79, 59]);
        assert!(crops.iter().all(|crop| crop.dimensions() == (40, 40)));
        assert!(matches!(ten_crop(&face, 49), Err(Error::InvalidConfig { field: "side", .. })));
        assert!(ten_crop(&face, 23).is_err());
        let model = Corner(LabelSet::new(&[Emotion::Happy, Emotion::Sad]).unwrap());
        let answer = predict_ten_crop(&model, &[face], 40).unwrap()[0].get(Emotion::Happy);
        assert!((answer - 395.0 / 2550.0).abs() < 1e-6);
    }

    #[test]
    fn answers_are_the_mean_over_the_views_of_each_face() {
        let model = Corner(LabelSet::new(&[Emotion::Happy, Emotion::Sad]).unwrap());
        let faces = [
            GrayImage::from_pixel(48, 48, image::Luma([255])),
            GrayImage::from_fn(48, 48, |x, _| image::Luma([if x < 24 { 0 } else { 255 }])),
        ];
        let answers = predict_views(&model, &faces).unwrap();
        assert_eq!(answers.iter().map(|scores| scores.get(Emotion::Happy)).collect::<Vec<_>>(), [1.0, 0.5]);
    }
}
