//! Changes that keep the emotion, drawn anew each time a training clip is heard. They are made after the data is split,
//! on training clips alone, so no copy of a clip ever stands on both sides of a split, and babble is mixed from training
//! clips alone. Everything is drawn from the sample's seed: the same seed makes the same change.
//!
//! The sound passes through them in this order: speed, tempo and pitch (the voice); the room; noise (what else sounds
//! there); the channel; shift and gain (the recording). Then the image: stretch, and bands and frames that are hidden.
//! Mixing two clips with their labels (mixup) is the trainer's: [`TrainConfig::mixup`](model_kit::trainer::TrainConfig).

use std::sync::LazyLock;

use audio_features::augment::{TimeStretch, time_shift};
use ndarray::{Array2, Axis, s};
use rand::{Rng, RngExt};
use serde::{Deserialize, Serialize};

use crate::{Error, SAMPLE_RATE};

mod babble;
mod channel;
mod filter;
mod noise;
mod room;

pub use babble::Babble;
pub use noise::{NoiseKind, active_power, with_noise};
pub use room::impulse_response;

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
    /// Largest change of tempo alone, up or down, in octaves, made on the sound by a phase vocoder, which takes far longer
    /// than [`stretch`](Self::stretch). Default 0.
    pub tempo: f32,
    /// Largest change of pitch alone, up or down, in semitones, by a phase vocoder. Default 0.
    pub pitch: f32,
    /// Share of clips that are heard in a room ([`impulse_response`]). Default 0.
    pub room_share: f32,
    /// Shortest and longest reverberation time of these rooms, in seconds. Default 0.2 to 0.8.
    pub reverberation: [f32; 2],
    /// Most sound kept before and after the speech, in seconds, as far as the clip has any; how much is drawn each time. In
    /// quiet it is cut off again before the network hears it, but noise sounds there as everywhere. Default 1.
    pub margin: f32,
    /// Share of clips that keep such a margin, 0 to 1; the others keep 50 ms on either side. Default 1.
    pub margin_share: f32,
    /// Share of clips that noise is added to. Default 0.7.
    pub noise_share: f32,
    /// Share of the noises that are [`Babble`]; of the others one half is white, one pink. Default 0.6.
    pub babble_share: f32,
    /// Lowest and highest ratio of the [active speech](active_power) to the noise, in dB. Default −5 to 20.
    pub snr: [f32; 2],
    /// Share of clips heard through a telephone or another narrow channel. Default 0.
    pub channel_share: f32,
    /// Largest shift in time, either way, in seconds; silence comes in. Default 0.
    pub shift: f32,
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
            tempo: 0.0,
            pitch: 0.0,
            room_share: 0.0,
            reverberation: [0.2, 0.8],
            margin: 1.0,
            margin_share: 1.0,
            noise_share: 0.7,
            babble_share: 0.6,
            snr: [-5.0, 20.0],
            channel_share: 0.0,
            shift: 0.0,
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
            margin: 0.0,
            noise_share: 0.0,
            gain: 0.0,
            band_mask: 0.0,
            frame_mask: 0.0,
            ..Self::default()
        }
    }

    /// Checks that every setting is finite and within its range.
    ///
    /// # Errors
    /// [`Error::InvalidConfig`] that names the setting.
    pub fn check(&self) -> Result<(), Error> {
        let within = |name, value: f32, most: f32, expected| {
            if (0.0..=most).contains(&value) {
                return Ok(());
            }
            Err(Error::InvalidConfig { name, expected, got: value.to_string() })
        };
        let octaves = [("speed", self.speed), ("stretch", self.stretch), ("tempo", self.tempo)];
        octaves.into_iter().try_for_each(|(name, value)| within(name, value, 2.0, "0 to 2 octaves"))?;
        let shares = [
            ("speed_share", self.speed_share),
            ("margin_share", self.margin_share),
            ("room_share", self.room_share),
            ("noise_share", self.noise_share),
            ("babble_share", self.babble_share),
            ("channel_share", self.channel_share),
            ("band_mask", self.band_mask),
            ("frame_mask", self.frame_mask),
        ];
        shares.into_iter().try_for_each(|(name, value)| within(name, value, 1.0, "a share, 0 to 1"))?;
        within("pitch", self.pitch, 24.0, "0 to 24 semitones")?;
        within("margin", self.margin, 60.0, "0 to 60 seconds")?;
        within("shift", self.shift, 60.0, "0 to 60 seconds")?;
        within("gain", self.gain, 60.0, "0 to 60 dB")?;
        let [shortest, longest] = self.reverberation;
        if !(0.05 <= shortest && shortest <= longest && longest <= 5.0) {
            let got = format!("{:?}", self.reverberation);
            return Err(Error::InvalidConfig { name: "reverberation", expected: "0.05 to 5 s, ascending", got });
        }
        let [lowest, highest] = self.snr;
        if !(-60.0 <= lowest && lowest <= highest && highest <= 120.0) {
            let got = format!("{:?}", self.snr);
            return Err(Error::InvalidConfig { name: "snr", expected: "-60 to 120 dB, ascending", got });
        }
        Ok(())
    }

    /// Changes the sound of a speaker, who takes no part in the babble.
    pub(crate) fn sound(
        &self,
        samples: &[f32],
        speaker: &str,
        babble: &Babble<'_>,
        rng: &mut impl Rng,
    ) -> Result<Vec<f32>, Error> {
        let voice = self.voice(samples, rng)?;
        let noisy = self.noisy(voice, speaker, babble, rng)?;
        Ok(self.recorded(noisy, rng))
    }

    /// [`sound`](Self::sound), and beside it what it would be without the noise.
    pub(crate) fn sound_and_speech(
        &self,
        samples: &[f32],
        speaker: &str,
        babble: &Babble<'_>,
        rng: &mut (impl Rng + Clone),
    ) -> Result<[Vec<f32>; 2], Error> {
        let voice = self.voice(samples, rng)?;
        let noisy = self.noisy(voice.clone(), speaker, babble, rng)?;
        let speech = self.recorded(voice, &mut rng.clone());
        Ok([self.recorded(noisy, rng), speech])
    }

    /// The voice, in its room.
    fn voice(&self, samples: &[f32], rng: &mut impl Rng) -> Result<Vec<f32>, Error> {
        let mut changed = if self.speed > 0.0 && rng.random::<f32>() < self.speed_share {
            speed(samples, 2f32.powf(symmetric(rng) * self.speed))
        } else {
            samples.to_vec()
        };
        if self.tempo > 0.0 {
            changed = VOCODER.time_stretch(&changed, f64::from(symmetric(rng) * self.tempo).exp2())?;
        }
        if self.pitch > 0.0 {
            let semitones = f64::from(symmetric(rng) * self.pitch);
            changed = VOCODER.pitch_shift(&changed, f64::from(SAMPLE_RATE), semitones)?;
        }
        if rng.random::<f32>() < self.room_share {
            changed = room::reverberate(&changed, between(rng, self.reverberation), rng);
        }
        Ok(changed)
    }

    /// What else sounds there.
    fn noisy(
        &self,
        voice: Vec<f32>,
        speaker: &str,
        babble: &Babble<'_>,
        rng: &mut impl Rng,
    ) -> Result<Vec<f32>, Error> {
        if rng.random::<f32>() < self.noise_share {
            let snr = between(rng, self.snr);
            let kind = match (rng.random::<f32>() < self.babble_share, rng.random::<bool>()) {
                (true, _) => NoiseKind::Babble,
                (false, true) => NoiseKind::White,
                (false, false) => NoiseKind::Pink,
            };
            return with_noise(&voice, kind, snr, babble, speaker, rng);
        }
        Ok(voice)
    }

    /// What the recording makes of it.
    fn recorded(&self, mut changed: Vec<f32>, rng: &mut impl Rng) -> Vec<f32> {
        if rng.random::<f32>() < self.channel_share {
            changed = channel::narrow(&changed, rng);
        }
        if self.shift > 0.0 {
            changed = time_shift(&changed, (symmetric(rng) * self.shift * SAMPLE_RATE as f32) as isize);
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

/// The phase vocoder, planned once.
static VOCODER: LazyLock<TimeStretch> = LazyLock::new(TimeStretch::default);

/// A number between two.
fn between(rng: &mut impl Rng, [least, most]: [f32; 2]) -> f32 {
    least + rng.random::<f32>() * (most - least)
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

    fn change(config: &AugmentConfig, samples: &[f32], seed: u64) -> Vec<f32> {
        config.sound(samples, "x", &Babble::default(), &mut ChaCha8Rng::seed_from_u64(seed)).unwrap()
    }

    #[test]
    fn the_same_seed_makes_the_same_change_and_none_makes_none() {
        let tone: Vec<f32> = (0..8_000).map(|i| (i as f32 * 0.05).sin()).collect();
        let config = AugmentConfig {
            tempo: 0.2,
            pitch: 2.0,
            room_share: 1.0,
            noise_share: 1.0,
            channel_share: 1.0,
            shift: 0.1,
            stretch: 0.2,
            ..AugmentConfig::default()
        };
        config.check().unwrap();
        assert_eq!(change(&config, &tone, 3), change(&config, &tone, 3));
        assert_ne!(change(&config, &tone, 3), change(&config, &tone, 4));
        assert!(change(&config, &tone, 3).iter().all(|x| x.is_finite()));

        assert_eq!(change(&AugmentConfig::none(), &tone, 3), tone);
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let image = Array2::from_shape_fn((16, 20), |(band, frame)| (band * frame) as f32 + 1.0);
        let mut same = AugmentConfig::none().tempo(image.clone(), &mut rng);
        AugmentConfig::none().mask(&mut same, &mut rng);
        assert_eq!(same, image);
        let mut masked = image.clone();
        AugmentConfig { band_mask: 0.5, frame_mask: 0.5, ..config }.mask(&mut masked, &mut rng);
        assert!(masked.iter().any(|&value| value == 0.0));
        assert_eq!(stretch(&image, 2.0).dim(), (16, 10));
    }

    #[test]
    fn speech_is_told_apart_from_what_is_added_to_it() {
        let tone: Vec<f32> = (0..8_000).map(|i| (i as f32 * 0.05).sin()).collect();
        let config = AugmentConfig { room_share: 1.0, channel_share: 1.0, shift: 0.1, ..AugmentConfig::default() };
        let both = |config: &AugmentConfig, seed| {
            let rng = &mut ChaCha8Rng::seed_from_u64(seed);
            config.sound_and_speech(&tone, "x", &Babble::default(), rng).unwrap()
        };
        for seed in 0..10 {
            let [sound, _] = both(&AugmentConfig { noise_share: 1.0, ..config }, seed);
            assert_eq!(sound, change(&AugmentConfig { noise_share: 1.0, ..config }, &tone, seed));
            let [sound, speech] = both(&AugmentConfig { noise_share: 0.0, ..config }, seed);
            assert_eq!(sound, speech);
        }
    }

    #[test]
    fn each_change_alone_does_what_it_says() {
        let tone: Vec<f32> = (0..8_000).map(|i| (i as f32 * 0.05).sin()).collect();
        let none = AugmentConfig::none();
        let crossings = |x: &[f32]| x.windows(2).filter(|pair| (pair[0] < 0.0) != (pair[1] < 0.0)).count() as f32;
        for seed in 0..10 {
            let faster = change(&AugmentConfig { tempo: 0.5, ..none }, &tone, seed);
            assert!((5_600..=11_400).contains(&faster.len()), "{}", faster.len());
            // Crossings in a second stay where tempo alone changes, the length where pitch alone does.
            let kept = crossings(&faster) / faster.len() as f32 / (crossings(&tone) / 8_000.0);
            assert!((kept - 1.0).abs() < 0.1, "{kept}");
            let higher = change(&AugmentConfig { pitch: 4.0, ..none }, &tone, seed);
            assert_eq!(higher.len(), tone.len());

            let shifted = change(&AugmentConfig { shift: 0.1, ..none }, &tone, seed);
            let silent = shifted.iter().filter(|&&x| x == 0.0).count();
            assert!((1..=1601).contains(&silent), "{silent}");
            let louder = change(&AugmentConfig { gain: 6.0, ..none }, &tone, seed);
            assert!((0.5..=2.0).contains(&(louder[100] / tone[100])));
            assert_ne!(change(&AugmentConfig { room_share: 1.0, ..none }, &tone, seed), tone);
            assert_ne!(change(&AugmentConfig { channel_share: 1.0, ..none }, &tone, seed), tone);
        }
    }

    #[test]
    fn settings_out_of_range_are_refused() {
        let default = AugmentConfig::default();
        default.check().unwrap();
        for (name, wrong) in [
            ("speed", AugmentConfig { speed: f32::NAN, ..default }),
            ("pitch", AugmentConfig { pitch: -1.0, ..default }),
            ("babble_share", AugmentConfig { babble_share: 1.5, ..default }),
            ("reverberation", AugmentConfig { reverberation: [0.0, 1.0], ..default }),
            ("snr", AugmentConfig { snr: [20.0, 10.0], ..default }),
        ] {
            let error = wrong.check().unwrap_err();
            assert!(matches!(error, Error::InvalidConfig { name: got, .. } if got == name), "{error}");
        }
    }
}
