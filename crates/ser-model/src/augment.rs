//! Changes that keep the emotion, drawn anew each time a training clip is heard. They are made after the data is split,
//! on training clips alone, so no copy of a clip ever stands on both sides of a split.

use ndarray::{Array2, Axis, s};
use rand::{Rng, RngExt};
use serde::{Deserialize, Serialize};

/// How strongly training clips are changed. Each is off at 0.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AugmentConfig {
    /// Largest change of speed, up or down, in octaves; pitch and tempo move together, as with a tape. Default 0.2.
    pub speed: f32,
    /// Share of clips whose speed is changed, 0 to 1. Default 0.8.
    pub speed_share: f32,
    /// Largest change of tempo alone, up or down, in octaves, made on the image. Default 0.
    pub stretch: f32,
    /// Share of clips that noise is added to: white, pink-like or babble, each as often. Default 0.5.
    pub noise_share: f32,
    /// Lowest and highest signal-to-noise ratio, in dB. Default 5 to 35.
    pub snr: [f32; 2],
    /// Largest change of level, up or down, in dB. Default 6.
    pub gain: f32,
    /// Bands of the image that are hidden twice, at most, as a share of all (SpecAugment, Park et al. 2019). Default 1/8.
    pub band_mask: f32,
    /// Frames of the image that are hidden twice, at most, as a share of all. Default 1/8.
    pub frame_mask: f32,
}

impl Default for AugmentConfig {
    fn default() -> Self {
        Self {
            speed: 0.2,
            speed_share: 0.8,
            stretch: 0.0,
            noise_share: 0.5,
            snr: [5.0, 35.0],
            gain: 6.0,
            band_mask: 0.125,
            frame_mask: 0.125,
        }
    }
}

impl AugmentConfig {
    /// No change at all.
    pub fn none() -> Self {
        Self {
            speed: 0.0,
            stretch: 0.0,
            noise_share: 0.0,
            gain: 0.0,
            band_mask: 0.0,
            frame_mask: 0.0,
            ..Self::default()
        }
    }

    /// Changes sound: speed, noise, level. `babble` is called for as many samples as it is given room for.
    pub(crate) fn sound(&self, samples: &[f32], rng: &mut impl Rng, babble: impl FnOnce(&mut [f32])) -> Vec<f32> {
        let mut changed = if self.speed > 0.0 && rng.random::<f32>() < self.speed_share {
            speed(samples, 2f32.powf(symmetric(rng) * self.speed))
        } else {
            samples.to_vec()
        };
        if rng.random::<f32>() < self.noise_share {
            let snr = self.snr[0] + rng.random::<f32>() * (self.snr[1] - self.snr[0]);
            let mut noise = vec![0.0; changed.len()];
            match rng.random_range(0..3) {
                0 => noise.iter_mut().for_each(|x| *x = symmetric(rng)),
                1 => pink(&mut noise, rng),
                _ => babble(&mut noise),
            }
            add_at(&mut changed, &noise, snr);
        }
        if self.gain > 0.0 {
            let factor = 10f32.powf(symmetric(rng) * self.gain / 20.0);
            changed.iter_mut().for_each(|x| *x *= factor);
        }
        changed
    }

    /// Changes the tempo of an image in dB, before it is normalised.
    pub(crate) fn tempo(&self, image: Array2<f32>, rng: &mut impl Rng) -> Array2<f32> {
        if self.stretch > 0.0 && rng.random::<bool>() {
            return stretch(&image, 2f32.powf(symmetric(rng) * self.stretch));
        }
        image
    }

    /// Hides bands and frames of a normalised image behind its mean level, which is 0.
    pub(crate) fn mask(&self, image: &mut Array2<f32>, rng: &mut impl Rng) {
        for (axis, share) in [(Axis(0), self.band_mask), (Axis(1), self.frame_mask)] {
            let length = image.len_of(axis);
            for _ in 0..2 {
                let width = (rng.random::<f32>() * (share * length as f32 + 1.0)) as usize;
                let width = width.min(length);
                let start = rng.random_range(0..=length - width);
                image.slice_axis_mut(axis, (start..start + width).into()).fill(0.0);
            }
        }
    }
}

/// A number from −1 to 1.
fn symmetric(rng: &mut impl Rng) -> f32 {
    rng.random::<f32>() * 2.0 - 1.0
}

/// Plays sound `rate` times as fast, by straight lines between samples: a training clip needs no better.
fn speed(samples: &[f32], rate: f32) -> Vec<f32> {
    let length = ((samples.len() as f32 / rate) as usize).max(1);
    (0..length)
        .map(|index| {
            let place = index as f64 * f64::from(rate);
            let (whole, part) = (place as usize, (place.fract()) as f32);
            let at = |index: usize| samples.get(index).copied().unwrap_or(0.0);
            at(whole) * (1.0 - part) + at(whole + 1) * part
        })
        .collect()
}

/// Noise that falls by about 6 dB an octave above 100 Hz.
fn pink(noise: &mut [f32], rng: &mut impl Rng) {
    let mut state = 0.0;
    for value in noise {
        state = 0.95 * state + 0.05 * symmetric(rng);
        *value = state;
    }
}

/// Adds noise at a signal-to-noise ratio in dB, by RMS over the whole clip (which has been trimmed).
pub(crate) fn add_at(samples: &mut [f32], noise: &[f32], snr: f32) {
    let power = |x: &[f32]| x.iter().map(|x| x * x).sum::<f32>() / x.len().max(1) as f32;
    let (signal, other) = (power(samples), power(noise));
    if other > 0.0 {
        let factor = (signal / other * 10f32.powf(-snr / 10.0)).sqrt();
        samples.iter_mut().zip(noise).for_each(|(x, n)| *x += factor * n);
    }
}

/// Plays an image `rate` times as fast, by straight lines between frames.
fn stretch(image: &Array2<f32>, rate: f32) -> Array2<f32> {
    let (bands, frames) = image.dim();
    let length = ((frames as f32 / rate) as usize).max(1);
    let mut out = Array2::zeros((bands, length));
    for index in 0..length {
        let place = (index as f32 * rate).min((frames - 1) as f32);
        let (whole, part) = (place as usize, place.fract());
        let (early, late) = (image.slice(s![.., whole]), image.slice(s![.., (whole + 1).min(frames - 1)]));
        ndarray::Zip::from(out.slice_mut(s![.., index])).and(early).and(late).for_each(|out, &early, &late| {
            *out = early * (1.0 - part) + late * part;
        });
    }
    out
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::*;

    #[test]
    fn speed_moves_length_and_pitch_together() {
        let tone: Vec<f32> = (0..16_000).map(|i| (i as f32 * 0.05).sin()).collect();
        let fast = speed(&tone, 1.25);
        assert_eq!(fast.len(), 12_800);
        for (index, value) in fast.iter().enumerate().take(12_000) {
            assert!((value - (index as f32 * 0.0625).sin()).abs() < 2e-3);
        }
        assert_eq!(speed(&tone, 1.0)[..100], tone[..100]);
    }

    #[test]
    fn noise_is_added_at_the_asked_ratio() {
        let tone: Vec<f32> = (0..16_000).map(|i| (i as f32 * 0.05).sin()).collect();
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let noise: Vec<f32> = (0..16_000).map(|_| symmetric(&mut rng)).collect();
        let mut noisy = tone.clone();
        add_at(&mut noisy, &noise, 10.0);
        let added: f32 = noisy.iter().zip(&tone).map(|(a, b)| (a - b) * (a - b)).sum();
        let signal: f32 = tone.iter().map(|x| x * x).sum();
        assert!((10.0 * (signal / added).log10() - 10.0).abs() < 0.1);
    }

    #[test]
    fn the_same_seed_makes_the_same_change_and_none_makes_none() {
        let tone: Vec<f32> = (0..8_000).map(|i| (i as f32 * 0.05).sin()).collect();
        let config = AugmentConfig { noise_share: 1.0, stretch: 0.2, ..AugmentConfig::default() };
        let change = |seed| config.sound(&tone, &mut ChaCha8Rng::seed_from_u64(seed), |babble| babble.fill(0.1));
        assert_eq!(change(3), change(3));
        assert_ne!(change(3), change(4));

        let mut rng = ChaCha8Rng::seed_from_u64(3);
        assert_eq!(AugmentConfig::none().sound(&tone, &mut rng, |_| ()), tone);
        let image = Array2::from_shape_fn((16, 20), |(band, frame)| (band * frame) as f32 + 1.0);
        let mut same = AugmentConfig::none().tempo(image.clone(), &mut rng);
        AugmentConfig::none().mask(&mut same, &mut rng);
        assert_eq!(same, image);
        let mut masked = image.clone();
        AugmentConfig { band_mask: 0.5, frame_mask: 0.5, ..config }.mask(&mut masked, &mut rng);
        assert!(masked.iter().any(|&value| value == 0.0));
        assert_eq!(stretch(&image, 2.0).dim(), (16, 10));
    }
}
