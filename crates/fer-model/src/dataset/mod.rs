//! Face pictures with labels: FER-2013's own file, class folders, FER+ votes, and sets of people known by name such as CK+
//! and JAFFE. [`FaceData`] is the one door to them for a program that takes what its user has.
//!
//! Everything is decoded once into memory: 35,887 pictures of 48×48 grey pixels take 83 MB. [`Fer2013::load_cached`] keeps
//! the decoded pictures in a file, from which the next start reads them in a tenth of the time.

mod cache;
mod fer2013;
mod ferplus;
mod folders;
mod pattern;
mod people;
mod source;
mod table;

pub use fer2013::{Fer2013, Split};
pub use ferplus::{FerPlus, LeftOut};
pub use folders::class_folders;
pub use pattern::PathPattern;
pub use people::{Framing, People, cohn_kanade, image_tree, jaffe};
pub use source::{Course, FaceData, FaceDataOptions, Part, VotesAs};

use emotion_core::{Emotion, LabelSet};

use crate::error::{Error, Result};

/// Width and height of every picture, in pixels.
pub const SIDE: usize = 48;

/// Pixels of a picture.
pub const PIXELS: usize = SIDE * SIDE;

/// Pictures of 48×48 grey pixels, each with a probability for every label.
#[derive(Debug, Clone, PartialEq)]
pub struct FaceSet {
    labels: LabelSet,
    pixels: Vec<u8>,
    targets: Vec<f32>,
}

impl FaceSet {
    /// An empty set.
    pub fn new(labels: LabelSet) -> Self {
        Self { labels, pixels: Vec::new(), targets: Vec::new() }
    }

    /// Makes room for so many more pictures.
    pub(crate) fn reserve(&mut self, pictures: usize) {
        self.pixels.reserve(pictures * PIXELS);
        self.targets.reserve(pictures * self.labels.len());
    }

    /// Adds a picture of one class (its place in the labels).
    ///
    /// # Errors
    /// [`Error::InvalidInput`] for another number of pixels than 2,304 or a class that the labels do not have.
    pub fn push(&mut self, pixels: &[u8], class: usize) -> Result<()> {
        if class >= self.labels.len() {
            return Err(Error::input("class", format!("below {}", self.labels.len()), class));
        }
        let mut target = vec![0.0; self.labels.len()];
        target[class] = 1.0;
        self.push_soft(pixels, &target)
    }

    /// Adds a picture whose label is a distribution: one probability per label.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] for another number of pixels than 2,304 or of probabilities than labels.
    pub fn push_soft(&mut self, pixels: &[u8], target: &[f32]) -> Result<()> {
        if pixels.len() != PIXELS {
            return Err(Error::input("picture", format!("{PIXELS} pixels"), pixels.len()));
        }
        if target.len() != self.labels.len() {
            return Err(Error::input("target", format!("{} probabilities", self.labels.len()), target.len()));
        }
        self.pixels.extend_from_slice(pixels);
        self.targets.extend_from_slice(target);
        Ok(())
    }

    /// The number of pictures.
    pub fn len(&self) -> usize {
        self.pixels.len() / PIXELS
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.pixels.is_empty()
    }

    /// What the classes are called.
    pub fn labels(&self) -> &LabelSet {
        &self.labels
    }

    /// The pixels of a picture, row by row.
    ///
    /// # Panics
    /// If the index is not below [`len`](Self::len).
    pub fn pixels(&self, index: usize) -> &[u8] {
        &self.pixels[index * PIXELS..][..PIXELS]
    }

    /// A picture.
    ///
    /// # Panics
    /// If the index is not below [`len`](Self::len).
    pub fn image(&self, index: usize) -> image::GrayImage {
        let side = SIDE as u32;
        let pixels = self.pixels(index);
        image::GrayImage::from_fn(side, side, |x, y| image::Luma([pixels[y as usize * SIDE + x as usize]]))
    }

    /// The probability of each label.
    ///
    /// # Panics
    /// If the index is not below [`len`](Self::len).
    pub fn target(&self, index: usize) -> &[f32] {
        let width = self.labels.len();
        &self.targets[index * width..][..width]
    }

    /// The place in the labels of the most probable class; the first on a tie.
    ///
    /// # Panics
    /// If the index is not below [`len`](Self::len).
    pub fn class(&self, index: usize) -> usize {
        let target = self.target(index);
        (1..target.len()).fold(0, |best, place| if target[place] > target[best] { place } else { best })
    }

    /// The most probable emotion.
    ///
    /// # Panics
    /// If the index is not below [`len`](Self::len).
    pub fn emotion(&self, index: usize) -> Emotion {
        self.labels.as_slice()[self.class(index)]
    }

    /// How many pictures each class has.
    pub fn class_counts(&self) -> Vec<usize> {
        let mut counts = vec![0; self.labels.len()];
        for index in 0..self.len() {
            counts[self.class(index)] += 1;
        }
        counts
    }

    /// The pictures for which `keep` says so, given their index.
    #[must_use]
    pub fn filter(&self, mut keep: impl FnMut(usize) -> bool) -> Self {
        let mut kept = Self::new(self.labels.clone());
        for index in (0..self.len()).filter(|&index| keep(index)) {
            kept.pixels.extend_from_slice(self.pixels(index));
            kept.targets.extend_from_slice(self.target(index));
        }
        kept
    }

    /// Mean and standard deviation of all pixels, on the scale 0..1.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] for a set without pictures, or of one grey only.
    pub fn statistics(&self) -> Result<(f32, f32)> {
        // u64 sums are exact: the figures do not depend on the order of the pictures.
        let (sum, squares) = self.pixels.iter().fold((0u64, 0u64), |(sum, squares), &pixel| {
            (sum + u64::from(pixel), squares + u64::from(pixel) * u64::from(pixel))
        });
        let count = self.pixels.len() as f64;
        let mean = sum as f64 / count;
        let deviation = (squares as f64 / count - mean * mean).sqrt();
        if !(deviation.is_finite() && deviation > 0.0) {
            return Err(Error::input("face set", "pictures of more than one grey", format!("{} pictures", self.len())));
        }
        Ok(((mean / 255.0) as f32, (deviation / 255.0) as f32))
    }
}
