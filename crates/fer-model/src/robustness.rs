//! What a bad camera, a bad light and a bad line do to the answers: the same pictures disturbed in stated ways.
//!
//! ```
//! use fer_model::robustness::Disturbance;
//! use image::GrayImage;
//!
//! let mut face = GrayImage::new(48, 48);
//! Disturbance::Noise(0.1).apply(&mut face, 7)?;
//! assert_eq!(Disturbance::Jpeg(8).to_string(), "JPEG, quality 8");
//! # Ok::<(), fer_model::Error>(())
//! ```

use std::fmt;

use face_prep::augment;
use image::GrayImage;

use crate::error::Result;

/// One way in which a 48×48 picture is made worse, with its strength.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Disturbance {
    /// A Gaussian blur with this standard deviation in pixels.
    Blur(f32),
    /// Gaussian noise with this standard deviation as a share of full scale.
    Noise(f32),
    /// Pixels become `255·(p/255)^γ`.
    Darkness(f32),
    /// A passage through JPEG at this quality, 1 to 100.
    Jpeg(u8),
    /// A grey square at a random place that covers this share of the picture.
    Occlusion(f32),
    /// Shrunk by this factor and enlarged again: what a far face looks like.
    LowResolution(f32),
}

impl Disturbance {
    /// The six ways in three strengths each, light, middle and strong: the rows of a robustness table.
    pub const TABLE: [[Self; 3]; 6] = [
        [Self::Blur(0.75), Self::Blur(1.5), Self::Blur(2.5)],
        [Self::Noise(0.05), Self::Noise(0.1), Self::Noise(0.2)],
        [Self::Darkness(1.5), Self::Darkness(2.5), Self::Darkness(4.0)],
        [Self::Jpeg(50), Self::Jpeg(20), Self::Jpeg(8)],
        [Self::Occlusion(0.1), Self::Occlusion(0.2), Self::Occlusion(0.35)],
        [Self::LowResolution(2.0), Self::LowResolution(3.0), Self::LowResolution(4.0)],
    ];

    /// Disturbs a picture in place. The seed decides where noise and squares fall.
    ///
    /// # Errors
    /// [`Error::Picture`](crate::Error::Picture) for a picture or a quality that JPEG does not take.
    pub fn apply(self, picture: &mut GrayImage, seed: u64) -> Result<()> {
        let width = picture.width() as usize;
        match self {
            Self::Blur(sigma) => augment::blur(picture, width, sigma),
            Self::Noise(sigma) => augment::add_noise(picture, sigma, seed),
            Self::Darkness(gamma) => augment::darken(picture, gamma),
            Self::Jpeg(quality) => augment::jpeg(picture, width, quality)?,
            Self::Occlusion(share) => augment::occlude(picture, width, share, 1.0, 128, seed),
            Self::LowResolution(factor) => augment::low_resolution(picture, width, factor),
        }
        Ok(())
    }
}

impl fmt::Display for Disturbance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Blur(sigma) => write!(f, "blur, σ {sigma} pixels"),
            Self::Noise(sigma) => write!(f, "noise, σ {:.0} % of full scale", 100.0 * sigma),
            Self::Darkness(gamma) => write!(f, "darkness, γ {gamma}"),
            Self::Jpeg(quality) => write!(f, "JPEG, quality {quality}"),
            Self::Occlusion(share) => write!(f, "occlusion, {:.0} % of the picture", 100.0 * share),
            Self::LowResolution(factor) => write!(f, "resolution ÷ {factor}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use image::Luma;

    use super::*;

    /// Bright, with structure at several scales.
    fn face() -> GrayImage {
        GrayImage::from_fn(48, 48, |x, y| {
            let wave = |step: f32| 30.0 * (x as f32 / step).sin() * (y as f32 / step).cos();
            Luma([(150.0 + wave(2.0) + wave(5.0)) as u8])
        })
    }

    #[test]
    fn each_strength_disturbs_more_than_the_one_before() {
        for ways in Disturbance::TABLE {
            let harm = ways.map(|way| {
                let mut changed = face();
                way.apply(&mut changed, 3).unwrap();
                changed
                    .iter()
                    .zip(face().iter())
                    .map(|(one, other)| u64::from(one.abs_diff(*other)).pow(2))
                    .sum::<u64>()
            });
            assert!(harm[0] > 0 && harm.is_sorted(), "{}: {harm:?}", ways[0]);
        }
    }

    #[test]
    fn the_seed_decides_and_impossible_settings_are_errors() {
        let disturbed = |seed| {
            let mut face = face();
            Disturbance::Occlusion(0.2).apply(&mut face, seed).unwrap();
            face
        };
        assert!(disturbed(1) == disturbed(1) && disturbed(1) != disturbed(2));
        assert!(Disturbance::Jpeg(0).apply(&mut face(), 0).is_err());
    }
}
