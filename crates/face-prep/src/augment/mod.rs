//! Changing training pictures a little, so that a network learns the face and not the picture.
//!
//! [`Augmenter`] draws one set of changes per seed and applies them in a fixed order: one affine warp for flip, rotation, shift,
//! zoom and shear together, then blur, low resolution, brightness and contrast, darkness, noise, JPEG, and erasing. The same picture,
//! config and seed give the same bytes in every run and thread, so an epoch can be repeated or resumed by its seeds alone; and each
//! change draws its own numbers, so that switching one on leaves the others as they were.
//!
//! ```
//! use face_prep::augment::{AugmentConfig, Augmenter};
//!
//! // Bad cameras, and the compression of a messenger in one picture of five.
//! let config = AugmentConfig { jpeg: 0.2, jpeg_quality: [20, 60], ..AugmentConfig::harsh() };
//! let augmenter = Augmenter::new(config)?;
//! # Ok::<(), face_prep::Error>(())
//! ```
//!
//! The single changes are plain functions too: what a test of robustness needs.

mod changes;
mod lanes;
mod random;
mod warp;

use image::GrayImage;

pub use self::changes::{
    add_noise, adjust, blur, darken, erase, erased_rectangle, flip, jpeg, low_resolution, occlude, random_crop,
    ten_crop,
};

use self::changes::MAX_BLUR;
use self::random::Random;
use self::warp::Warp;
use crate::warp::Border;
use crate::{Affine, Error};

/// The longest side of a picture: a longer one is a mistake, not a face.
const LONGEST_SIDE: usize = 16384;

/// How pictures are changed. The default is a recipe for 48×48 faces of FER-2013: flips, rotation and shifts as in the
/// from-scratch networks of Pramerdorfer & Kampel (2016) and Khaireddin & Chen (2021), and random erasing (Zhong et al. 2017).
///
/// A probability is between 0 and 1. A range `±r` is drawn evenly between `-r` and `r`. 0 switches a change off.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(default, deny_unknown_fields))]
pub struct AugmentConfig {
    /// Probability of a mirror image. Default 0.5.
    pub flip: f32,
    /// ± degrees about the centre, 0 to 180. Default 12.
    pub rotation: f32,
    /// ± share of the width and, drawn apart, of the height, 0 to 1. Default 0.1.
    pub shift: f32,
    /// Least and largest magnification, above 0; 1 keeps the size, 1.15 brings the face nearer. Default 0.85 to 1.15.
    pub zoom: [f32; 2],
    /// ± degrees of slant, below 60. Default 0.
    pub shear: f32,
    /// What stands where the picture was moved away. Default: the edge repeated.
    pub border: Border,
    /// ± share of full scale (255) that is added, 0 to 1. Default 0.2.
    pub brightness: f32,
    /// ± share by which the distance of each pixel from the picture's mean grows or shrinks, 0 to 1. Default 0.2.
    pub contrast: f32,
    /// Probability that a rectangle is filled with random pixels. Default 0.3.
    pub erasing: f32,
    /// Least and largest share of the picture that is erased, above 0 and at most 1. Default 0.02 to 0.2.
    pub erasing_area: [f32; 2],
    /// Probability of a Gaussian blur. Default 0.
    pub blur: f32,
    /// Largest standard deviation of the blur, in pixels, drawn between a quarter of it and it, at most 8. Default 1.
    pub blur_sigma: f32,
    /// Probability of Gaussian noise. Default 0.
    pub noise: f32,
    /// Largest standard deviation of the noise as a share of full scale, 0 to 1, drawn from 0. Default 0.05.
    pub noise_sigma: f32,
    /// Probability of a dark picture: pixels become `255·(p/255)^γ`. Default 0.
    pub darkness: f32,
    /// Largest γ of darkness, drawn from 1, at most 8. Default 2.5.
    pub darkness_gamma: f32,
    /// Probability of a low resolution: shrunk and enlarged again. Default 0.
    pub low_resolution: f32,
    /// Largest factor by which it is shrunk, drawn from 1, at most 16. Default 3.
    pub low_resolution_factor: f32,
    /// Probability of a passage through JPEG. It takes longer than all other changes together. Default 0.
    pub jpeg: f32,
    /// Least and best quality of the JPEG, 1 to 100. Default 30 to 80.
    pub jpeg_quality: [u8; 2],
}

impl Default for AugmentConfig {
    fn default() -> Self {
        Self {
            flip: 0.5,
            rotation: 12.0,
            shift: 0.1,
            zoom: [0.85, 1.15],
            shear: 0.0,
            border: Border::Replicate,
            brightness: 0.2,
            contrast: 0.2,
            erasing: 0.3,
            erasing_area: [0.02, 0.2],
            blur: 0.0,
            blur_sigma: 1.0,
            noise: 0.0,
            noise_sigma: 0.05,
            darkness: 0.0,
            darkness_gamma: 2.5,
            low_resolution: 0.0,
            low_resolution_factor: 3.0,
            jpeg: 0.0,
            jpeg_quality: [30, 80],
        }
    }
}

impl AugmentConfig {
    /// Changes nothing: a base for recipes of your own.
    pub fn none() -> Self {
        Self {
            flip: 0.0,
            rotation: 0.0,
            shift: 0.0,
            zoom: [1.0, 1.0],
            brightness: 0.0,
            contrast: 0.0,
            erasing: 0.0,
            ..Self::default()
        }
    }

    /// The default with blur, noise and darkness for three pictures in ten each: for models that meet bad cameras.
    pub fn harsh() -> Self {
        Self { shear: 6.0, blur: 0.3, noise: 0.3, darkness: 0.3, ..Self::default() }
    }

    fn check(&self) -> Result<(), Error> {
        let within = |name: &'static str, value: f32, least: f32, most: f32| {
            if value >= least && value <= most {
                Ok(())
            } else {
                Err(Error::config(name, format!("a number from {least} to {most}"), value))
            }
        };
        for (name, probability) in [
            ("flip", self.flip),
            ("erasing", self.erasing),
            ("blur", self.blur),
            ("noise", self.noise),
            ("darkness", self.darkness),
            ("low_resolution", self.low_resolution),
            ("jpeg", self.jpeg),
            ("shift", self.shift),
            ("brightness", self.brightness),
            ("contrast", self.contrast),
            ("noise_sigma", self.noise_sigma),
        ] {
            within(name, probability, 0.0, 1.0)?;
        }
        within("rotation", self.rotation, 0.0, 180.0)?;
        within("shear", self.shear, 0.0, 59.9)?;
        within("blur_sigma", self.blur_sigma, 0.0, MAX_BLUR)?;
        within("darkness_gamma", self.darkness_gamma, 1.0, 8.0)?;
        within("low_resolution_factor", self.low_resolution_factor, 1.0, 16.0)?;
        let [least, best] = self.jpeg_quality;
        if !(1 <= least && least <= best && best <= 100) {
            let got = format!("{:?}", self.jpeg_quality);
            return Err(Error::config("jpeg_quality", "two numbers from 1 to 100, the lesser first", got));
        }
        within("zoom", self.zoom[0], 0.01, self.zoom[1])?;
        within("zoom", self.zoom[1], self.zoom[0], 100.0)?;
        within("erasing_area", self.erasing_area[0], f32::MIN_POSITIVE, self.erasing_area[1])?;
        within("erasing_area", self.erasing_area[1], self.erasing_area[0], 1.0)
    }
}

/// Applies an [`AugmentConfig`]. Cheap to make, `Send + Sync`.
///
/// ```
/// use face_prep::augment::{AugmentConfig, Augmenter};
/// use image::GrayImage;
///
/// let augmenter = Augmenter::new(AugmentConfig { rotation: 20.0, ..AugmentConfig::default() })?;
/// let face = GrayImage::new(48, 48);
/// assert_eq!(augmenter.apply(&face, 7)?, augmenter.apply(&face, 7)?);
/// # Ok::<(), face_prep::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Augmenter {
    config: AugmentConfig,
}

impl Augmenter {
    /// Checks the config.
    ///
    /// # Errors
    /// [`Error::InvalidConfig`] for a value outside of its documented range.
    pub fn new(config: AugmentConfig) -> Result<Self, Error> {
        config.check()?;
        Ok(Self { config })
    }

    /// The config in use.
    pub fn config(&self) -> &AugmentConfig {
        &self.config
    }

    /// The changes that a seed stands for, for a picture of this size.
    pub fn changes(&self, width: u32, height: u32, seed: u64) -> Changes {
        Changes::draw(&self.config, [width as f32, height as f32], seed)
    }

    /// A changed copy of the same size. Which changes are made depends on the seed alone.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] for a picture without pixels.
    pub fn apply(&self, image: &GrayImage, seed: u64) -> Result<GrayImage, Error> {
        let mut changed = GrayImage::new(image.width(), image.height());
        self.apply_raw(image.as_raw(), image.width(), seed, &mut changed)?;
        Ok(changed)
    }

    /// The same on bare grey pixels, row by row, `width` to a row, into a slice of the same length: what a training loop
    /// wants. Allocates a small table where the picture is moved, and what blur, low resolution and JPEG need.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] when a slice is empty, their lengths differ or are no multiple of `width`, and for sides above
    /// 16384.
    pub fn apply_raw(&self, source: &[u8], width: u32, seed: u64, target: &mut [u8]) -> Result<(), Error> {
        let columns = width as usize;
        let rows = source.len().checked_div(columns).unwrap_or(0);
        let whole = source.len() == columns * rows && target.len() == source.len();
        let sides = 1..=LONGEST_SIDE;
        if !whole || !sides.contains(&columns) || !sides.contains(&rows) {
            let got = format!("{} pixels in rows of {width} into {}", source.len(), target.len());
            let expected = format!("whole rows, sides from 1 to {LONGEST_SIDE}, and a target of the same length");
            return Err(Error::input("picture", expected, got));
        }
        let changes = Changes::draw(&self.config, [columns as f32, rows as f32], seed);
        match &changes.map {
            Some(map) => {
                pulp::Arch::new().dispatch(Warp { source, width: columns, map, border: self.config.border, target })
            }
            None => target.copy_from_slice(source),
        }
        if let Some(sigma) = changes.blur {
            blur(target, columns, sigma);
        }
        if let Some(factor) = changes.low_resolution {
            low_resolution(target, columns, factor);
        }
        if changes.light != (0.0, 0.0) {
            adjust(target, changes.light.0, 1.0 + changes.light.1);
        }
        if let Some(gamma) = changes.darkness {
            darken(target, gamma);
        }
        if let Some((sigma, seed)) = changes.noise {
            add_noise(target, sigma, seed);
        }
        if let Some(quality) = changes.jpeg {
            jpeg(target, columns, quality)?;
        }
        if let Some((share, ratio, seed)) = changes.erasing {
            erase(target, columns, share, ratio, seed);
        }
        Ok(())
    }
}

/// What an [`Augmenter`] does to one picture, in the order of the fields: for who does it elsewhere, such as on a GPU.
#[derive(Debug, Clone, PartialEq)]
pub struct Changes {
    /// From the result to the source, in pixels, as [`warp_affine`](crate::warp_affine) takes it; `None` when nothing moves.
    pub map: Option<Affine>,
    /// The deviation of a [`blur`], in pixels.
    pub blur: Option<f32>,
    /// The factor of a [`low_resolution`].
    pub low_resolution: Option<f32>,
    /// The brightness of [`adjust`], and its contrast less 1.
    pub light: (f32, f32),
    /// The γ of [`darken`].
    pub darkness: Option<f32>,
    /// The deviation and the seed of [`add_noise`].
    pub noise: Option<(f32, u64)>,
    /// The quality of [`jpeg`].
    pub jpeg: Option<u8>,
    /// Share, ratio of sides and seed of [`erase`].
    pub erasing: Option<(f32, f32, u64)>,
}

impl Changes {
    /// All numbers are drawn whether they are used or not, so that one setting does not change what another draws.
    fn draw(config: &AugmentConfig, [width, height]: [f32; 2], seed: u64) -> Self {
        let random = &mut Random::new(seed);
        let flip = random.chance(config.flip);
        let degrees = random.around(config.rotation);
        let (x, y) = (random.around(config.shift) * width, random.around(config.shift) * height);
        let zoom = random.between(config.zoom[0], config.zoom[1]);
        let slant = random.around(config.shear);
        let moves = flip || degrees != 0.0 || x != 0.0 || y != 0.0 || zoom != 1.0 || slant != 0.0;
        let map = moves.then(|| {
            let mirror = if flip { -1.0 } else { 1.0 };
            Affine::translation(x - width / 2.0, y - height / 2.0)
                .then(&Affine::rotation(degrees))
                .then(&Affine::shear(slant))
                .then(&Affine::scaling(mirror / zoom, 1.0 / zoom))
                .then(&Affine::translation(width / 2.0, height / 2.0))
        });
        let mut sometimes = |probability: f32, least: f32, most: f32| {
            let (happens, value, seed) = (random.chance(probability), random.between(least, most), random.next());
            happens.then_some((value, seed))
        };
        let value = |(value, _): (f32, u64)| value;
        let [worst, best] = config.jpeg_quality.map(f32::from);
        // The side ratio of Zhong et al. 2017 (r1 = 0.3), even on a logarithmic scale so that lying and standing rectangles are
        // equally likely.
        let ratio = |seed: u64| Random::new(seed).between(0.3f32.ln(), -0.3f32.ln()).exp();
        Self {
            map,
            blur: sometimes(config.blur, config.blur_sigma / 4.0, config.blur_sigma).map(value),
            low_resolution: sometimes(config.low_resolution, 1.0, config.low_resolution_factor).map(value),
            darkness: sometimes(config.darkness, 1.0, config.darkness_gamma).map(value),
            noise: sometimes(config.noise, 0.0, config.noise_sigma),
            jpeg: sometimes(config.jpeg, worst, best + 1.0)
                .map(|(quality, _)| (quality as u8).min(config.jpeg_quality[1])),
            erasing: sometimes(config.erasing, config.erasing_area[0], config.erasing_area[1])
                .map(|(share, seed)| (share, ratio(seed), !seed)),
            light: (random.around(config.brightness), random.around(config.contrast)),
        }
    }
}

#[cfg(test)]
mod tests {
    use image::Luma;
    use proptest::prelude::*;

    use super::*;

    fn face() -> GrayImage {
        GrayImage::from_fn(48, 48, |x, y| Luma([((x * 5) ^ (y * 3)) as u8]))
    }

    fn apply(config: AugmentConfig, image: &GrayImage, seed: u64) -> GrayImage {
        Augmenter::new(config).unwrap().apply(image, seed).unwrap()
    }

    #[test]
    fn nothing_switched_on_changes_nothing() {
        for seed in 0..20 {
            assert_eq!(apply(AugmentConfig::none(), &face(), seed), face());
        }
    }

    #[test]
    fn the_seed_alone_decides() {
        let config = AugmentConfig::harsh();
        let first = apply(config.clone(), &face(), 3);
        assert_eq!(first, apply(config.clone(), &face(), 3));
        assert_ne!(first, apply(config, &face(), 4));
    }

    #[test]
    fn a_certain_flip_mirrors() {
        let flipped = apply(AugmentConfig { flip: 1.0, ..AugmentConfig::none() }, &face(), 0);
        assert_eq!(flipped, image::imageops::flip_horizontal(&face()));
    }

    #[test]
    fn half_of_the_pictures_are_flipped_and_three_in_ten_erased() {
        let flips = AugmentConfig { flip: 0.5, ..AugmentConfig::none() };
        let erasing = AugmentConfig { erasing: 0.3, ..AugmentConfig::none() };
        let changed =
            |config: &AugmentConfig| (0..4000).filter(|&seed| apply(config.clone(), &face(), seed) != face()).count();
        assert!((1900..2100).contains(&changed(&flips)), "{}", changed(&flips));
        assert!((1100..1300).contains(&changed(&erasing)), "{}", changed(&erasing));
    }

    #[test]
    fn settings_out_of_range_are_refused() {
        let refused = [
            AugmentConfig { flip: 1.5, ..AugmentConfig::default() },
            AugmentConfig { rotation: f32::NAN, ..AugmentConfig::default() },
            AugmentConfig { zoom: [1.2, 0.8], ..AugmentConfig::default() },
            AugmentConfig { zoom: [0.0, 1.0], ..AugmentConfig::default() },
            AugmentConfig { erasing_area: [0.0, 0.2], ..AugmentConfig::default() },
            AugmentConfig { low_resolution_factor: 0.5, ..AugmentConfig::default() },
            AugmentConfig { jpeg_quality: [0, 50], ..AugmentConfig::default() },
            AugmentConfig { jpeg_quality: [60, 50], ..AugmentConfig::default() },
            AugmentConfig { noise_sigma: f32::NAN, ..AugmentConfig::default() },
        ];
        for config in refused {
            assert!(matches!(Augmenter::new(config), Err(Error::InvalidConfig { .. })));
        }
    }

    /// Switching a change on leaves all others as they were.
    #[test]
    fn each_change_draws_its_own_numbers() {
        for seed in 0..50 {
            let plain = apply(AugmentConfig { erasing: 0.0, ..AugmentConfig::default() }, &face(), seed);
            let erased = apply(AugmentConfig { erasing: 1.0, ..AugmentConfig::default() }, &face(), seed);
            let same = plain.iter().zip(erased.iter()).filter(|(plain, erased)| plain == erased).count();
            assert!(same > 1500, "{same} of 2304 pixels are the same with seed {seed}");
        }
    }

    #[test]
    fn every_change_shows() {
        let none = AugmentConfig::none;
        let changes = [
            AugmentConfig { rotation: 30.0, ..none() },
            AugmentConfig { shift: 0.3, ..none() },
            AugmentConfig { zoom: [1.3, 1.5], ..none() },
            AugmentConfig { shear: 20.0, ..none() },
            AugmentConfig { brightness: 0.3, ..none() },
            AugmentConfig { contrast: 0.5, ..none() },
            AugmentConfig { erasing: 1.0, ..none() },
            AugmentConfig { blur: 1.0, ..none() },
            AugmentConfig { noise: 1.0, noise_sigma: 0.2, ..none() },
            AugmentConfig { darkness: 1.0, ..none() },
            AugmentConfig { low_resolution: 1.0, ..none() },
            AugmentConfig { jpeg: 1.0, ..none() },
        ];
        for config in changes {
            assert_ne!(apply(config.clone(), &face(), 1), face(), "{config:?}");
        }
    }

    #[test]
    fn jpeg_keeps_to_its_qualities() {
        let config = AugmentConfig { jpeg: 1.0, jpeg_quality: [1, 3], ..AugmentConfig::none() };
        let mut seen: Vec<_> = (0..300).filter_map(|seed| Changes::draw(&config, [48.0, 48.0], seed).jpeg).collect();
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen, [1, 2, 3]);
    }

    #[cfg(feature = "serde")]
    #[test]
    fn a_config_survives_its_file() {
        let config = AugmentConfig { jpeg: 0.25, border: Border::Reflect, ..AugmentConfig::harsh() };
        let text = serde_json::to_string(&config).unwrap();
        assert_eq!(serde_json::from_str::<AugmentConfig>(&text).unwrap(), config);
        assert_eq!(serde_json::from_str::<AugmentConfig>("{}").unwrap(), AugmentConfig::default());
        assert!(serde_json::from_str::<AugmentConfig>(r#"{"rotatoin": 3}"#).is_err());
    }

    #[test]
    fn bad_pictures_are_refused() {
        let augmenter = Augmenter::new(AugmentConfig::default()).unwrap();
        for (length, width, into) in [(0, 0, 0), (0, 5, 0), (10, 0, 10), (10, 3, 10), (10, 5, 9), (16385, 1, 16385)] {
            let refused = augmenter.apply_raw(&vec![0; length], width, 1, &mut vec![0; into]);
            assert!(matches!(refused, Err(Error::InvalidInput { .. })), "{length} {width} {into}");
        }
        assert!(augmenter.apply(&GrayImage::new(3, 0), 1).is_err());
    }

    proptest! {
        #[test]
        fn any_size_and_seed_is_fine(width in 1u32..20, height in 1u32..20, seed: u64) {
            let image = GrayImage::from_fn(width, height, |x, y| Luma([(x * 31 + y * 17) as u8]));
            let all = AugmentConfig { low_resolution: 0.5, jpeg: 0.5, border: Border::Reflect, ..AugmentConfig::harsh() };
            let changed = apply(all, &image, seed);
            prop_assert_eq!(changed.dimensions(), image.dimensions());
        }
    }
}
