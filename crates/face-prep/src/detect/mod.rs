//! Finding faces: what a detector is, and the detectors of this crate.

pub mod cascade;
#[cfg(feature = "mtcnn")]
pub mod mtcnn;

use image::RgbImage;

use crate::{BoundingBox, Error, Point};

/// A face that was found in a picture.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Detection {
    /// Where, in pixels of the picture.
    pub bbox: BoundingBox,
    /// How sure the detector is, 0 to 1. Each detector has its own scale: compare scores of one detector only.
    pub score: f32,
    /// Left eye, right eye, nose, left and right corner of the mouth ("left" as the viewer sees it), when the detector finds
    /// them.
    pub landmarks: Option<[Point; 5]>,
}

/// Finds faces in single pictures.
///
/// # For implementors
/// `detect` answers for this picture alone: what it saw before must not change the result. Boxes lie at least partly inside the
/// picture, and scores between 0 and 1; the order is free. A picture in which no face can be is an empty answer, not an error.
/// Errors of a foreign backend travel in [`Error::Detector`].
pub trait FaceDetector: Send {
    /// The faces in a picture.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] for a picture without pixels, and whatever keeps the detector from answering.
    fn detect(&mut self, image: &RgbImage) -> Result<Vec<Detection>, Error>;

    /// The faces inside `region` whose longer side lies between `sides[0]` and `sides[1]` pixels: what a tracker asks between
    /// full searches. Boxes are in pixels of the whole picture.
    ///
    /// The provided form cuts the region out and sorts the sizes afterwards; a detector that can search less should.
    ///
    /// # Errors
    /// As [`detect`](Self::detect), and [`Error::InvalidInput`] for a region without area.
    fn detect_near(
        &mut self,
        image: &RgbImage,
        region: &BoundingBox,
        sides: [f32; 2],
    ) -> Result<Vec<Detection>, Error> {
        search_cut(image, region, sides, |cut| self.detect(cut))
    }

    /// A short name for reports, such as `cascade`.
    fn name(&self) -> &str;
}

/// [`FaceDetector::detect_near`] by a search of the region cut out.
fn search_cut(
    image: &RgbImage,
    region: &BoundingBox,
    sides: [f32; 2],
    search: impl FnOnce(&RgbImage) -> Result<Vec<Detection>, Error>,
) -> Result<Vec<Detection>, Error> {
    region.check()?;
    let Some(inside) = region.clipped(image.width(), image.height()) else { return Ok(Vec::new()) };
    let (x, y) = (inside.x.floor(), inside.y.floor());
    let (width, height) = ((inside.right().ceil() - x) as u32, (inside.bottom().ceil() - y) as u32);
    let mut found = search(&image::imageops::crop_imm(image, x as u32, y as u32, width, height).to_image())?;
    found.retain(|detection| (sides[0]..=sides[1]).contains(&detection.bbox.longer_side()));
    for detection in &mut found {
        detection.bbox.x += x;
        detection.bbox.y += y;
        for point in detection.landmarks.iter_mut().flatten() {
            point.x += x;
            point.y += y;
        }
    }
    Ok(found)
}
