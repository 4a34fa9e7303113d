//! Changing training pictures a little, so that a network learns the face and not the picture.
//!
//! [`Augmenter`] draws one set of changes per seed and applies them in a fixed order: one affine warp for flip, rotation, shift,
//! zoom and shear together, then blur, brightness and contrast, darkness, noise, and erasing. The same picture, config and seed
//! give the same bytes in every run and thread, so an epoch can be repeated or resumed by its seeds alone.
//!
//! The single changes are plain functions too.

use image::GrayImage;

use crate::warp::{Border, warp_raw};
use crate::{Affine, Error, Luma8};

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
    /// wants. Allocates nothing unless the picture is blurred.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] when a slice is empty, their lengths differ or are no multiple of `width`.
    pub fn apply_raw(&self, source: &[u8], width: u32, seed: u64, target: &mut [u8]) -> Result<(), Error> {
        if source.is_empty()
            || width == 0
            || !source.len().is_multiple_of(width as usize)
            || target.len() != source.len()
        {
            let got = format!("{} pixels in rows of {width} into {}", source.len(), target.len());
            return Err(Error::input("picture", "whole rows of pixels and a target of the same length", got));
        }
        let config = &self.config;
        let height = (source.len() / width as usize) as u32;
        let mut random = Random::new(seed);
        match self.draw_map(width as f32, height as f32, &mut random) {
            Some(map) => warp_raw::<Luma8>(source, (width, height), &map, width, target, config.border),
            None => target.copy_from_slice(source),
        }
        if random.chance(config.blur) {
            blur(target, width as usize, random.between(config.blur_sigma / 4.0, config.blur_sigma));
        }
        let (brightness, contrast) = (random.around(config.brightness), random.around(config.contrast));
        if brightness != 0.0 || contrast != 0.0 {
            adjust(target, brightness, 1.0 + contrast);
        }
        if random.chance(config.darkness) {
            darken(target, random.between(1.0, config.darkness_gamma));
        }
        if random.chance(config.noise) {
            add_noise(target, random.between(0.0, config.noise_sigma), random.next());
        }
        if random.chance(config.erasing) {
            let share = random.between(config.erasing_area[0], config.erasing_area[1]);
            // The side ratio of Zhong et al. 2017 (r1 = 0.3), even on a logarithmic scale so that lying and standing
            // rectangles are equally likely.
            let ratio = random.between(0.3f32.ln(), (1.0 / 0.3f32).ln()).exp();
            erase(target, width as usize, share, ratio, random.next());
        }
        Ok(())
    }

    /// The map from the result to the source, or `None` when nothing moves.
    fn draw_map(&self, width: f32, height: f32, random: &mut Random) -> Option<Affine> {
        let config = &self.config;
        // All numbers are drawn whether they are used or not, so that one setting does not change what another draws.
        let flip = random.chance(config.flip);
        let degrees = random.around(config.rotation);
        let (x, y) = (random.around(config.shift) * width, random.around(config.shift) * height);
        let zoom = random.between(config.zoom[0], config.zoom[1]);
        let slant = random.around(config.shear);
        if !flip && degrees == 0.0 && x == 0.0 && y == 0.0 && zoom == 1.0 && slant == 0.0 {
            return None;
        }
        let mirror = if flip { -1.0 } else { 1.0 };
        Some(
            Affine::translation(x - width / 2.0, y - height / 2.0)
                .then(&Affine::rotation(degrees))
                .then(&Affine::shear(slant))
                .then(&Affine::scaling(mirror / zoom, 1.0 / zoom))
                .then(&Affine::translation(width / 2.0, height / 2.0)),
        )
    }
}

/// Mirrors each row of `width` pixels in place. Does nothing for a width of 0.
pub fn flip(pixels: &mut [u8], width: usize) {
    if width > 0 {
        pixels.chunks_exact_mut(width).for_each(<[u8]>::reverse);
    }
}

/// Adds `brightness` (a share of 255) and multiplies each pixel's distance from the mean by `contrast`, in place.
pub fn adjust(pixels: &mut [u8], brightness: f32, contrast: f32) {
    if pixels.is_empty() {
        return;
    }
    let sum: u64 = pixels.iter().map(|&pixel| u64::from(pixel)).sum();
    let mean = sum as f32 / pixels.len() as f32;
    let offset = mean - mean * contrast + brightness * 255.0 + 0.5;
    // A float is clamped to 0..=255 by the conversion itself.
    map_values(pixels, |value| (value * contrast + offset) as u8);
}

/// Darkens by a power law in place: `255·(p/255)^gamma`, gamma above 1; below 1 it brightens.
pub fn darken(pixels: &mut [u8], gamma: f32) {
    map_values(pixels, |value| (255.0 * (value / 255.0).powf(gamma) + 0.5) as u8);
}

/// Replaces each pixel by what a table says of its value.
fn map_values(pixels: &mut [u8], change: impl Fn(f32) -> u8) {
    let table: [u8; 256] = std::array::from_fn(|value| change(value as f32));
    pixels.iter_mut().for_each(|pixel| *pixel = table[usize::from(*pixel)]);
}

/// Adds noise with a standard deviation of `sigma` (a share of 255) in place. It is the sum of four even draws: a bell curve that
/// ends at 3.5 σ.
pub fn add_noise(pixels: &mut [u8], sigma: f32, seed: u64) {
    let mut random = Random::new(seed);
    // Four even draws of 16 bits each, from one of 64, have a variance of 4·2³²/12.
    let scale = sigma * 255.0 / (65536.0 / 3f32.sqrt());
    for pixel in pixels {
        let bits = random.next();
        let sum = (bits & 0xffff) + (bits >> 16 & 0xffff) + (bits >> 32 & 0xffff) + (bits >> 48);
        *pixel = (f32::from(*pixel) + (sum as f32 - 131_070.0) * scale + 0.5) as u8;
    }
}

/// Fills a rectangle at a random place with random pixels, in place. It covers `share` of the picture (0 to 1) and is `ratio`
/// times as wide as high, cut where it would be larger than the picture.
pub fn erase(pixels: &mut [u8], width: usize, share: f32, ratio: f32, seed: u64) {
    if width == 0 || pixels.len() < width {
        return;
    }
    let height = pixels.len() / width;
    let mut random = Random::new(seed);
    let area = share.clamp(0.0, 1.0) * (width * height) as f32;
    let erased_width = ((area * ratio).sqrt().round() as usize).min(width);
    let erased_height = ((area / ratio).sqrt().round() as usize).min(height);
    let left = random.below(width - erased_width + 1);
    let top = random.below(height - erased_height + 1);
    for row in pixels.chunks_exact_mut(width).skip(top).take(erased_height) {
        for eight in row[left..left + erased_width].chunks_mut(8) {
            eight.copy_from_slice(&random.next().to_le_bytes()[..eight.len()]);
        }
    }
}

/// The widest blur, in pixels: wider ones leave nothing of a face.
const MAX_BLUR: f32 = 8.0;

/// A Gaussian blur with a standard deviation of `sigma` pixels (at most 8), in place, edges repeated, cut off at 3 σ. Allocates.
pub fn blur(pixels: &mut [u8], width: usize, sigma: f32) {
    if width == 0 || pixels.len() < width || sigma.is_nan() || sigma <= 0.0 {
        return;
    }
    let sigma = sigma.min(MAX_BLUR);
    let radius = (3.0 * sigma).ceil() as usize;
    let mut kernel: Vec<f32> =
        (0..=2 * radius).map(|place| (-0.5 * ((place as f32 - radius as f32) / sigma).powi(2)).exp()).collect();
    let sum: f32 = kernel.iter().sum();
    kernel.iter_mut().for_each(|weight| *weight /= sum);

    let height = pixels.len() / width;
    let mut rows = vec![0f32; width * height];
    let mut padded = vec![0f32; width + 2 * radius];
    for (source, target) in pixels.chunks_exact(width).zip(rows.chunks_exact_mut(width)) {
        padded[..radius].fill(f32::from(source[0]));
        padded[radius + width..].fill(f32::from(source[width - 1]));
        for (value, &pixel) in padded[radius..].iter_mut().zip(source) {
            *value = f32::from(pixel);
        }
        for (offset, &weight) in kernel.iter().enumerate() {
            target.iter_mut().zip(&padded[offset..]).for_each(|(sum, &value)| *sum += weight * value);
        }
    }
    let mut line = vec![0f32; width];
    for (y, target) in pixels.chunks_exact_mut(width).enumerate() {
        line.fill(0.5);
        for (offset, &weight) in kernel.iter().enumerate() {
            let row = (y + offset).saturating_sub(radius).min(height - 1);
            line.iter_mut().zip(&rows[row * width..]).for_each(|(sum, &value)| *sum += weight * value);
        }
        target.iter_mut().zip(&line).for_each(|(pixel, &value)| *pixel = value as u8);
    }
}

/// Five crops of `side`×`side` (the four corners and the centre) and their mirror images: the views whose scores are averaged at
/// test time. In this order: left upper, right upper, left lower, right lower, centre, then the five mirrored.
///
/// # Errors
/// [`Error::InvalidInput`] when the picture is smaller than the crops or `side` is 0.
pub fn ten_crop(image: &GrayImage, side: u32) -> Result<[GrayImage; 10], Error> {
    let (width, height) = image.dimensions();
    if side == 0 || width < side || height < side {
        return Err(Error::input("side", format!("1 to {}", width.min(height)), side));
    }
    let (right, bottom) = (width - side, height - side);
    let places = [(0, 0), (right, 0), (0, bottom), (right, bottom), (right / 2, bottom / 2)];
    Ok(std::array::from_fn(|view| {
        let (x, y) = places[view % 5];
        let mut cut = image::imageops::crop_imm(image, x, y, side, side).to_image();
        if view >= 5 {
            flip(&mut cut, side as usize);
        }
        cut
    }))
}

/// SplitMix64 (Steele, Lea, Flood 2014): good enough for pictures, two multiplications a draw, and the same numbers forever.
struct Random(u64);

impl Random {
    fn new(seed: u64) -> Self {
        // Neighbouring seeds (0, 1, 2, …) start far apart on the sequence.
        let mut random = Self(seed);
        Self(random.next())
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// 0 to below 1, in steps of 2⁻²⁴: every value is exact in f32.
    fn unit(&mut self) -> f32 {
        (self.next() >> 40) as f32 / (1u32 << 24) as f32
    }

    fn between(&mut self, least: f32, most: f32) -> f32 {
        least + (most - least) * self.unit()
    }

    fn around(&mut self, range: f32) -> f32 {
        self.between(-range, range)
    }

    fn chance(&mut self, probability: f32) -> bool {
        self.unit() < probability
    }

    fn below(&mut self, count: usize) -> usize {
        ((u128::from(self.next()) * count as u128) >> 64) as usize
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

    /// Recorded seeds must stay valid: the first draws of SplitMix64 from 0, as its authors print them.
    #[test]
    fn draws_are_pinned() {
        let mut random = Random(0);
        assert_eq!([random.next(), random.next()], [0xe220_a839_7b1d_cdaf, 0x6e78_9e6a_a1b9_65f4]);
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
    fn noise_has_the_deviation_it_says() {
        let mut pixels = vec![128u8; 100_000];
        add_noise(&mut pixels, 0.05, 1);
        let mean = pixels.iter().map(|&pixel| f64::from(pixel)).sum::<f64>() / 1e5;
        let variance = pixels.iter().map(|&pixel| (f64::from(pixel) - mean).powi(2)).sum::<f64>() / 1e5;
        assert!((mean - 128.0).abs() < 0.1, "{mean}");
        assert!((variance.sqrt() - 12.75).abs() < 0.15, "{}", variance.sqrt());
    }

    #[test]
    fn blurring_keeps_the_mean_and_lowers_the_contrast() {
        let mut pixels: Vec<u8> =
            (0..48 * 48).map(|place| if (place + place / 48) % 2 == 0 { 0 } else { 200 }).collect();
        blur(&mut pixels, 48, 2.0);
        let inside = pixels.chunks(48).skip(6).take(36).flat_map(|row| &row[6..42]);
        assert!(inside.into_iter().all(|pixel| (98..=102).contains(pixel)));
    }

    #[test]
    fn the_ten_crops_are_corners_centre_and_their_mirrors() {
        let crops = ten_crop(&face(), 44).unwrap();
        assert_eq!(crops[3].get_pixel(43, 43), face().get_pixel(47, 47));
        assert_eq!(crops[4].get_pixel(0, 0), face().get_pixel(2, 2));
        assert_eq!(crops[9].get_pixel(43, 0), crops[4].get_pixel(0, 0));
        assert!(ten_crop(&face(), 49).is_err());
    }

    #[test]
    fn settings_out_of_range_are_refused() {
        let refused = [
            AugmentConfig { flip: 1.5, ..AugmentConfig::default() },
            AugmentConfig { rotation: f32::NAN, ..AugmentConfig::default() },
            AugmentConfig { zoom: [1.2, 0.8], ..AugmentConfig::default() },
            AugmentConfig { zoom: [0.0, 1.0], ..AugmentConfig::default() },
            AugmentConfig { erasing_area: [0.0, 0.2], ..AugmentConfig::default() },
        ];
        for config in refused {
            assert!(matches!(Augmenter::new(config), Err(Error::InvalidConfig { .. })));
        }
    }

    proptest! {
        #[test]
        fn any_size_and_seed_is_fine(width in 1u32..20, height in 1u32..20, seed: u64) {
            let image = GrayImage::from_fn(width, height, |x, y| Luma([(x * 31 + y * 17) as u8]));
            let changed = apply(AugmentConfig::harsh(), &image, seed);
            prop_assert_eq!(changed.dimensions(), image.dimensions());
        }
    }
}
