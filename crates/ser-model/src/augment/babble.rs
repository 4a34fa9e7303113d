//! Other people talking.

use std::collections::BTreeMap;

use rand::seq::SliceRandom;
use rand::{Rng, RngExt};

use super::noise::{active_power, mean_power};
use crate::dataset::Sound;
use crate::input::trim;

/// How many voices make a babble: enough that no word stands out, few enough that it still moves like speech.
const VOICES: usize = 4;

/// How far below a clip's loudest frame the silence around its speech lies, in dB: babblers do not wait for each other.
const PAUSE_DB: f32 = 35.0;

/// Clips by speaker, from which babble is mixed. Make it from the training part alone: a model that was trained against
/// the voices of the test part has heard them.
#[derive(Debug, Default)]
pub struct Babble<'a> {
    speakers: BTreeMap<String, Vec<&'a [f32]>>,
}

impl<'a> Babble<'a> {
    /// Sorts clips by speaker, without the silence around the speech. Silent ones are left out.
    pub fn new(sounds: &'a [Sound]) -> Self {
        let mut speakers: BTreeMap<String, Vec<&[f32]>> = BTreeMap::new();
        for sound in sounds.iter().filter(|sound| mean_power(&sound.samples) > 0.0) {
            speakers.entry(sound.clip.speaker_key()).or_default().push(trim(&sound.samples, PAUSE_DB));
        }
        Self { speakers }
    }

    /// The sum of one clip of each of four speakers other than this one, drawn anew each time, all at the same active
    /// level, each from a drawn place on and over again as long as needed. With fewer than four others they speak more
    /// than once; without any there is no babble.
    pub fn mix(&self, speaker: &str, length: usize, rng: &mut impl Rng) -> Option<Vec<f32>> {
        let mut others: Vec<&Vec<&[f32]>> =
            self.speakers.iter().filter(|(name, _)| *name != speaker).map(|(_, clips)| clips).collect();
        if others.is_empty() || length == 0 {
            return None;
        }
        others.shuffle(rng);
        let mut sum = vec![0.0; length];
        for clips in others.into_iter().cycle().take(VOICES) {
            let clip = clips[rng.random_range(0..clips.len())];
            let start = rng.random_range(0..clip.len());
            let scale = active_power(clip).sqrt().recip();
            sum.iter_mut().zip(clip.iter().cycle().skip(start)).for_each(|(sum, x)| *sum += scale * x);
        }
        (mean_power(&sum) > 0.0).then_some(sum)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::super::{NoiseKind, with_noise};
    use super::*;
    use crate::corpus::Corpus;

    /// A tone for each actor: 50, 100, 150, ... Hz, each louder than the last.
    fn voices(actors: u8) -> Vec<Sound> {
        let voice = |actor: u8| {
            let clip = Corpus::Ravdess.clip(Path::new(""), Path::new(&format!("03-01-05-01-01-01-{actor:02}.wav")));
            let step = std::f32::consts::TAU * 50.0 * f32::from(actor) / 16_000.0;
            let samples = (0..16_000).map(|i| 0.01 * f32::from(actor) * (i as f32 * step).sin()).collect();
            Sound { clip: clip.unwrap(), samples }
        };
        (1..=actors).map(voice).collect()
    }

    /// The power of an actor's tone within one second.
    fn power_of(actor: u8, mixed: &[f32]) -> f32 {
        let step = std::f64::consts::TAU * 50.0 * f64::from(actor) / 16_000.0;
        let part = |wave: fn(f64) -> f64| -> f64 {
            mixed.iter().enumerate().map(|(i, &x)| f64::from(x) * wave(i as f64 * step)).sum::<f64>() / 8_000.0
        };
        ((part(f64::sin).powi(2) + part(f64::cos).powi(2)) / 2.0) as f32
    }

    #[test]
    fn four_others_speak_at_equal_level() {
        let sounds = voices(7);
        let babble = Babble::new(&sounds);
        let mut heard = [false; 8];
        for seed in 0..20 {
            let mixed = babble.mix("ravdess/03", 16_000, &mut ChaCha8Rng::seed_from_u64(seed)).unwrap();
            let speaking: Vec<u8> = (1..=7).filter(|&actor| power_of(actor, &mixed) > 0.1).collect();
            assert_eq!(speaking.len(), 4, "{speaking:?}");
            assert!(!speaking.contains(&3), "the speaker does not babble behind the own voice");
            for actor in speaking {
                heard[usize::from(actor)] = true;
                assert!((power_of(actor, &mixed) - 1.0).abs() < 0.02, "{}", power_of(actor, &mixed));
            }
            assert_eq!(babble.mix("ravdess/03", 16_000, &mut ChaCha8Rng::seed_from_u64(seed)).unwrap(), mixed);
        }
        assert_eq!(heard, [false, true, true, false, true, true, true, true]);
    }

    #[test]
    fn few_others_speak_more_than_once_and_nobody_does_not() {
        let (two, one) = (voices(2), voices(1));
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let mixed = Babble::new(&two).mix("ravdess/01", 16_000, &mut rng).unwrap();
        assert!(power_of(1, &mixed) < 0.01 && power_of(2, &mixed) > 0.0);
        assert!(Babble::new(&one).mix("ravdess/01", 16_000, &mut rng).is_none());
        assert!(Babble::new(&two).mix("ravdess/01", 0, &mut rng).is_none());
    }

    #[test]
    fn babble_is_added_at_the_asked_ratio() {
        let sounds = voices(6);
        let (babble, clean) = (Babble::new(&sounds), &sounds[0].samples);
        let mut rng = ChaCha8Rng::seed_from_u64(2);
        let noisy = with_noise(clean, NoiseKind::Babble, 5.0, &babble, "ravdess/01", &mut rng).unwrap();
        let noise: Vec<f32> = noisy.iter().zip(clean.iter()).map(|(noisy, clean)| noisy - clean).collect();
        let got = 10.0 * (active_power(clean) / mean_power(&noise)).log10();
        assert!((got - 5.0).abs() < 0.05, "{got}");
    }
}
