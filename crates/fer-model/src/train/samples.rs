//! Face pictures as a trainer wants them.

use emotion_core::BoxError;
use face_prep::augment::Augmenter;
use model_kit::data::Dataset;

use crate::config::Normalisation;
use crate::dataset::{FaceSet, PIXELS, SIDE};
use crate::error::Result;

/// A [`FaceSet`] as the trainer wants it: standardised `[1, 48, 48]` inputs, changed at random if asked to.
#[derive(Debug)]
pub struct FaceSamples<'a> {
    faces: &'a FaceSet,
    normalisation: Normalisation,
    augmenter: Option<Augmenter>,
}

impl<'a> FaceSamples<'a> {
    /// The pictures as they are.
    pub fn new(faces: &'a FaceSet, normalisation: Normalisation) -> Self {
        Self { faces, normalisation, augmenter: None }
    }

    /// The pictures changed at random each time, for training.
    #[must_use]
    pub fn augmented(mut self, augmenter: Augmenter) -> Self {
        self.augmenter = Some(augmenter);
        self
    }
}

impl Dataset for FaceSamples<'_> {
    fn len(&self) -> usize {
        self.faces.len()
    }

    fn input_shape(&self) -> &[i64] {
        &[1, SIDE as i64, SIDE as i64]
    }

    fn classes(&self) -> usize {
        self.faces.labels().len()
    }

    fn class(&self, index: usize) -> Option<usize> {
        Some(self.faces.class(index))
    }

    fn sample(&self, index: usize, seed: u64, input: &mut [f32], target: &mut [f32]) -> Result<(), BoxError> {
        let pixels = self.faces.pixels(index);
        match &self.augmenter {
            None => self.normalisation.apply(pixels, input),
            Some(augmenter) => {
                let mut changed = [0u8; PIXELS];
                augmenter.apply_raw(pixels, SIDE as u32, seed, &mut changed)?;
                self.normalisation.apply(&changed, input);
            }
        }
        target.copy_from_slice(self.faces.target(index));
        Ok(())
    }
}
