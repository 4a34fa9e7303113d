//! The single changes, as plain functions on rows of grey pixels. What is random in them is decided by a seed.

use image::codecs::jpeg::{JpegDecoder, JpegEncoder};
use image::{ExtendedColorType, GrayImage, ImageDecoder, ImageEncoder};
use pulp::NullaryFnOnce;

use super::lanes::byte;
use super::random::Random;
use crate::{Error, Filter, resize};

/// Mirrors each row of `width` pixels in place. Does nothing for a width of 0.
pub fn flip(pixels: &mut [u8], width: usize) {
    if width > 0 {
        pixels.chunks_exact_mut(width).for_each(<[u8]>::reverse);
    }
}

/// Adds `brightness` (a share of 255) and multiplies each pixel's distance from the mean by `contrast`, in place.
pub fn adjust(pixels: &mut [u8], brightness: f32, contrast: f32) {
    pulp::Arch::new().dispatch(Adjust { pixels, brightness, contrast });
}

/// [`adjust`], for `pulp` to compile for every set of vector instructions; so are the structs below.
struct Adjust<'a> {
    pixels: &'a mut [u8],
    brightness: f32,
    contrast: f32,
}

impl NullaryFnOnce for Adjust<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Self { pixels, brightness, contrast } = self;
        // 2¹⁶ pixels cannot overflow a sum of 32 bits, and those are added up eight at a time.
        let part = |part: &[u8]| u64::from(part.iter().map(|&pixel| u32::from(pixel)).sum::<u32>());
        let sum: u64 = pixels.chunks(1 << 16).map(part).sum();
        let mean = sum as f32 / pixels.len().max(1) as f32;
        let offset = mean - mean * contrast + brightness * 255.0;
        for pixel in pixels {
            *pixel = byte(f32::from(*pixel) * contrast + offset);
        }
    }
}

/// Darkens by a power law in place: `255·(p/255)^gamma`, gamma above 1; below 1 it brightens.
pub fn darken(pixels: &mut [u8], gamma: f32) {
    let table: [u8; 256] = std::array::from_fn(|value| (255.0 * (value as f32 / 255.0).powf(gamma) + 0.5) as u8);
    pixels.iter_mut().for_each(|pixel| *pixel = table[usize::from(*pixel)]);
}

/// Adds noise with a standard deviation of `sigma` (a share of 255) in place. It is the sum of four even draws: a bell curve that
/// ends at 3.5 σ.
pub fn add_noise(pixels: &mut [u8], sigma: f32, seed: u64) {
    pulp::Arch::new().dispatch(Noise { pixels, sigma, random: Random::new(seed) });
}

struct Noise<'a> {
    pixels: &'a mut [u8],
    sigma: f32,
    random: Random,
}

impl NullaryFnOnce for Noise<'_> {
    type Output = ();

    #[inline(always)]
    fn call(mut self) {
        // Four even draws of 8 bits each have a variance of 4·(2¹⁶ - 1)/12 and a mean of 4·127.5.
        let scale = self.sigma * 255.0 / (65535.0 / 3f32).sqrt();
        let mut sums = [0i32; 64];
        for pixels in self.pixels.chunks_mut(64) {
            // Each draw of 64 bits serves two pixels. Its bytes are added in pairs, then the pairs.
            for two in sums.chunks_exact_mut(2).take(pixels.len().div_ceil(2)) {
                let bits = self.random.next();
                let pairs = (bits & 0x00ff_00ff_00ff_00ff) + (bits >> 8 & 0x00ff_00ff_00ff_00ff);
                let fours = (pairs & 0x0000_ffff_0000_ffff) + (pairs >> 16 & 0x0000_ffff_0000_ffff);
                two.copy_from_slice(&[fours as u32 as i32, (fours >> 32) as i32]);
            }
            for (pixel, &sum) in pixels.iter_mut().zip(&sums) {
                *pixel = byte(f32::from(*pixel) + (sum - 510) as f32 * scale);
            }
        }
    }
}

/// Fills a rectangle at a random place with random pixels, in place: random erasing (Zhong et al. 2017). It covers `share` of the
/// picture (0 to 1) and is `ratio` times as wide as high, cut where it would be larger than the picture.
pub fn erase(pixels: &mut [u8], width: usize, share: f32, ratio: f32, seed: u64) {
    let Some(height) = pixels.len().checked_div(width) else { return };
    let mut random = Random::new(seed);
    let [left, top, erased_width, erased_height] = rectangle(width, height, share, ratio, &mut random);
    for row in pixels.chunks_exact_mut(width).skip(top).take(erased_height) {
        for eight in row[left..left + erased_width].chunks_mut(8) {
            eight.copy_from_slice(&random.next().to_le_bytes()[..eight.len()]);
        }
    }
}

/// Covers a rectangle with one grey level, in place: something that stands before the face. Place and size as in [`erase`], from the
/// same seed the same.
pub fn occlude(pixels: &mut [u8], width: usize, share: f32, ratio: f32, level: u8, seed: u64) {
    let Some(height) = pixels.len().checked_div(width) else { return };
    let [left, top, covered_width, covered_height] = erased_rectangle(width, height, share, ratio, seed);
    for row in pixels.chunks_exact_mut(width).skip(top).take(covered_height) {
        row[left..left + covered_width].fill(level);
    }
}

/// `[left, top, width, height]` of the rectangle that [`erase`] and [`occlude`] fill in a picture of this size.
pub fn erased_rectangle(width: usize, height: usize, share: f32, ratio: f32, seed: u64) -> [usize; 4] {
    rectangle(width, height, share, ratio, &mut Random::new(seed))
}

fn rectangle(width: usize, height: usize, share: f32, ratio: f32, random: &mut Random) -> [usize; 4] {
    let area = share.clamp(0.0, 1.0) * (width * height) as f32;
    let wide = ((area * ratio).sqrt().round() as usize).min(width);
    let high = ((area / ratio).sqrt().round() as usize).min(height);
    [random.below(width - wide + 1), random.below(height - high + 1), wide, high]
}

/// The widest blur, in pixels: wider ones leave nothing of a face.
pub(super) const MAX_BLUR: f32 = 8.0;

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
    pulp::Arch::new().dispatch(Blur { pixels, width, kernel: &kernel });
}

struct Blur<'a> {
    pixels: &'a mut [u8],
    width: usize,
    /// An odd number of weights.
    kernel: &'a [f32],
}

impl NullaryFnOnce for Blur<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Self { pixels, width, kernel } = self;
        let (radius, height) = (kernel.len() / 2, pixels.len() / width);
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
            line.fill(0.0);
            for (offset, &weight) in kernel.iter().enumerate() {
                let row = (y + offset).saturating_sub(radius).min(height - 1);
                line.iter_mut().zip(&rows[row * width..]).for_each(|(sum, &value)| *sum += weight * value);
            }
            target.iter_mut().zip(&line).for_each(|(pixel, &value)| *pixel = byte(value));
        }
    }
}

/// What a far face looks like: shrunk to 1/`factor` of its sides (each at least one pixel) by [`Filter::Area`] and enlarged again by
/// [`Filter::Linear`], in place. Does nothing for a factor of 1 or below. Allocates.
pub fn low_resolution(pixels: &mut [u8], width: usize, factor: f32) {
    let size = pixels.len().checked_div(width).map(|height| (width as u32, height as u32));
    let Some((wide, high)) = size.filter(|_| factor > 1.0) else { return };
    let small = |side: u32| ((side as f32 / factor).round() as u32).max(1);
    let far = GrayImage::from_raw(wide, high, pixels[..width * high as usize].to_vec())
        .and_then(|image| resize(&image, small(wide), small(high), Filter::Area).ok())
        .and_then(|far| resize(&far, wide, high, Filter::Linear).ok());
    if let Some(far) = far {
        pixels[..far.len()].copy_from_slice(&far);
    }
}

/// What a camera's or a messenger's compression leaves: the picture through JPEG at this quality (1 to 100) and back, in place.
/// Allocates, and takes longer than all other changes together.
///
/// # Errors
/// [`Error::InvalidInput`] for pixels that are not whole rows, sides above 65535 (JPEG's limit) and a quality outside of 1 to 100.
pub fn jpeg(pixels: &mut [u8], width: usize, quality: u8) -> Result<(), Error> {
    if !(1..=100).contains(&quality) {
        return Err(Error::input("quality", "1 to 100", quality));
    }
    let height = pixels.len().checked_div(width).unwrap_or(0);
    let sides = 1..=usize::from(u16::MAX);
    if !sides.contains(&width) || !sides.contains(&height) || pixels.len() != width * height {
        let got = format!("{} pixels in rows of {width}", pixels.len());
        return Err(Error::input("picture", "whole rows, sides from 1 to 65535 pixels", got));
    }
    let mut file = Vec::new();
    JpegEncoder::new_with_quality(&mut file, quality)
        .write_image(pixels, width as u32, height as u32, ExtendedColorType::L8)
        .and_then(|()| JpegDecoder::new(std::io::Cursor::new(&file))?.read_image(pixels))
        .map_err(|error| Error::input("picture", "one that JPEG can hold", error))
}

/// Five crops of `side`×`side` (the four corners and the centre) and their mirror images: the views whose scores are averaged at
/// test time. In this order: left upper, right upper, left lower, right lower, centre, then the five mirrored.
///
/// # Errors
/// [`Error::InvalidInput`] when the picture is smaller than the crops or `side` is 0.
pub fn ten_crop(image: &GrayImage, side: u32) -> Result<[GrayImage; 10], Error> {
    check_side(image, side)?;
    let (right, bottom) = (image.width() - side, image.height() - side);
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

/// One crop of `side`×`side` at a random place: in training what [`ten_crop`] is at test time.
///
/// # Errors
/// As [`ten_crop`].
pub fn random_crop(image: &GrayImage, side: u32, seed: u64) -> Result<GrayImage, Error> {
    check_side(image, side)?;
    let mut random = Random::new(seed);
    let mut place = |length: u32| random.below((length - side) as usize + 1) as u32;
    let (x, y) = (place(image.width()), place(image.height()));
    Ok(image::imageops::crop_imm(image, x, y, side, side).to_image())
}

fn check_side(image: &GrayImage, side: u32) -> Result<(), Error> {
    let shorter = image.width().min(image.height());
    if (1..=shorter).contains(&side) { Ok(()) } else { Err(Error::input("side", format!("1 to {shorter}"), side)) }
}

#[cfg(test)]
mod tests {
    use image::Luma;

    use super::*;

    fn face() -> GrayImage {
        GrayImage::from_fn(48, 48, |x, y| Luma([((x * 5) ^ (y * 3)) as u8]))
    }

    fn deviation(pixels: &[u8]) -> (f64, f64) {
        let count = pixels.len() as f64;
        let mean = pixels.iter().map(|&pixel| f64::from(pixel)).sum::<f64>() / count;
        let variance = pixels.iter().map(|&pixel| (f64::from(pixel) - mean).powi(2)).sum::<f64>() / count;
        (mean, variance.sqrt())
    }

    #[test]
    fn noise_has_the_deviation_it_says() {
        for (sigma, seed) in [(0.05, 1), (0.12, 2)] {
            let mut pixels = vec![128u8; 100_000];
            add_noise(&mut pixels, sigma, seed);
            let (mean, deviation) = deviation(&pixels);
            assert!((mean - 128.0).abs() < 0.15, "{mean}");
            assert!((deviation - 255.0 * f64::from(sigma)).abs() < 0.2, "{deviation}");
            // Neighbours know nothing of one another.
            let product: f64 =
                pixels.windows(2).map(|two| (f64::from(two[0]) - mean) * (f64::from(two[1]) - mean)).sum::<f64>() / 1e5;
            assert!((product / deviation.powi(2)).abs() < 0.02, "{product}");
        }
    }

    #[test]
    fn brightness_moves_the_mean_and_contrast_the_deviation() {
        let original: Vec<u8> = (0..4096).map(|place| 100 + (place % 40) as u8).collect();
        let mut pixels = original.clone();
        adjust(&mut pixels, 0.2, 1.0);
        assert!(pixels.iter().zip(&original).all(|(&changed, &pixel)| changed == pixel + 51));
        let mut pixels = original.clone();
        adjust(&mut pixels, 0.0, 2.0);
        let (before, after) = (deviation(&original), deviation(&pixels));
        assert!((before.0 - after.0).abs() < 0.6 && (after.1 / before.1 - 2.0).abs() < 0.02, "{before:?} {after:?}");
        let mut pixels = original;
        adjust(&mut pixels, 1.0, 1.0);
        assert!(pixels.iter().all(|&pixel| pixel == 255));
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
    fn occlusion_covers_the_share_it_says() {
        for (share, seed) in [(0.25, 0), (0.1, 1), (1.0, 2)] {
            let mut pixels = vec![9u8; 48 * 48];
            occlude(&mut pixels, 48, share, 1.0, 200, seed);
            let covered = pixels.iter().filter(|&&pixel| pixel == 200).count() as f32 / 2304.0;
            assert!((covered - share).abs() < 0.02, "{covered} of {share}");
            let mut erased = vec![9u8; 48 * 48];
            erase(&mut erased, 48, share, 1.0, seed);
            assert!(pixels.iter().zip(&erased).all(|(&covered, &erased)| covered == 200 || erased == 9));
        }
    }

    #[test]
    fn a_far_face_loses_its_detail() {
        let mut pixels: Vec<u8> = (0..48 * 48).map(|place| if place % 2 == 0 { 0 } else { 200 }).collect();
        low_resolution(&mut pixels, 48, 2.0);
        assert!(pixels.iter().all(|&pixel| pixel == 100));
        let mut same = face();
        low_resolution(&mut same, 48, 1.0);
        assert_eq!(same, face());
        low_resolution(&mut [], 48, 3.0);
    }

    #[test]
    fn jpeg_loses_more_at_lower_quality() {
        let smooth = image::imageops::blur(&face(), 1.5);
        let loss = |quality: u8| {
            let mut pixels = smooth.clone();
            jpeg(&mut pixels, 48, quality).unwrap();
            pixels.iter().zip(smooth.iter()).map(|(&got, &want)| u32::from(got.abs_diff(want)).pow(2)).sum::<u32>()
        };
        let losses = [loss(100), loss(60), loss(20), loss(3)];
        assert!(losses.is_sorted() && losses[0] < losses[3] / 50, "{losses:?}");
        for (length, width, quality) in
            [(48, 48, 0), (48, 48, 101), (48, 0, 50), (0, 48, 50), (49, 48, 50), (65536, 65536, 50)]
        {
            assert!(jpeg(&mut vec![0; length], width, quality).is_err(), "{length} {width} {quality}");
        }
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
    fn random_crops_reach_every_place() {
        let image = GrayImage::from_fn(6, 5, |x, y| Luma([(10 * y + x) as u8]));
        let mut corners: Vec<u8> =
            (0..200).map(|seed| random_crop(&image, 4, seed).unwrap().get_pixel(0, 0)[0]).collect();
        corners.sort_unstable();
        corners.dedup();
        assert_eq!(corners, [0, 1, 2, 10, 11, 12]);
        assert!(random_crop(&image, 6, 0).is_err() && random_crop(&image, 0, 0).is_err());
    }
}
