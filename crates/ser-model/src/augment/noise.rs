//! Noise at a level that is measured where somebody speaks.

use std::fmt;
use std::str::FromStr;

use audio_features::augment::{Noise, add_noise};
use rand::{Rng, RngExt};
use serde::{Deserialize, Serialize};

use super::Babble;
use crate::Error;

/// What is added to speech.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NoiseKind {
    /// As strong at every frequency: hiss.
    White,
    /// As strong in every octave: rooms, streets, fans.
    Pink,
    /// Four other people talking at once, see [`Babble`].
    Babble,
}

impl NoiseKind {
    /// All of them.
    pub const ALL: [NoiseKind; 3] = [NoiseKind::White, NoiseKind::Pink, NoiseKind::Babble];

    /// The lower-case name.
    pub fn name(self) -> &'static str {
        match self {
            NoiseKind::White => "white",
            NoiseKind::Pink => "pink",
            NoiseKind::Babble => "babble",
        }
    }
}

impl fmt::Display for NoiseKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for NoiseKind {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        let known = NoiseKind::ALL.into_iter().find(|kind| kind.name().eq_ignore_ascii_case(name.trim()));
        known.ok_or_else(|| Error::InvalidConfig {
            name: "the noise",
            expected: "white, pink or babble",
            got: name.to_owned(),
        })
    }
}

/// Adds noise `snr` decibels below the [active level](active_power) of the speech. `speaker` is the
/// [key](crate::corpus::Clip::speaker_key) of whoever speaks, who takes no part in the babble; where the babble has no
/// other speaker, pink noise stands in for it. Silence stays silent.
///
/// # Errors
/// [`Error::Features`] when `snr` or a sample is not finite.
pub fn with_noise(
    samples: &[f32],
    kind: NoiseKind,
    snr: f32,
    babble: &Babble<'_>,
    speaker: &str,
    rng: &mut impl Rng,
) -> Result<Vec<f32>, Error> {
    if kind == NoiseKind::Babble
        && let Some(noise) = babble.mix(speaker, samples.len(), rng)
    {
        let mut noisy = samples.to_vec();
        let factor = (active_power(samples) / mean_power(&noise) * 10f32.powf(-snr / 10.0)).sqrt();
        noisy.iter_mut().zip(noise).for_each(|(sample, noise)| *sample += factor * noise);
        return Ok(noisy);
    }
    let colour = if kind == NoiseKind::White { Noise::White } else { Noise::Pink };
    // The library measures the whole signal; pauses make that quieter than the speech.
    let pauses = 10.0 * (mean_power(samples) / active_power(samples).max(f32::MIN_POSITIVE)).log10();
    let snr = if pauses.is_finite() { snr + pauses } else { snr };
    Ok(add_noise(samples, f64::from(snr), colour, rng.random())?)
}

/// Frames of 25 ms at [`SAMPLE_RATE`](crate::SAMPLE_RATE).
const FRAME: usize = 400;

/// How far below the active level a frame may lie and still be speech: the margin of ITU-T P.56.
const MARGIN_DB: f32 = 15.9;

/// The mean power of the active part of speech: of the frames of 25 ms that lie at most 15.9 dB below that very level, as
/// ITU-T Recommendation P.56 defines activity (here with plain frames instead of its envelope). 0 for silence.
pub fn active_power(samples: &[f32]) -> f32 {
    let frames: Vec<f32> = samples.chunks(FRAME).map(mean_power).collect();
    let mut level = mean_power(samples);
    // The level rises as pauses fall away; it settles after a few rounds.
    for _ in 0..20 {
        let least = level * 10f32.powf(-MARGIN_DB / 10.0);
        let active = frames.iter().filter(|&&power| power > 0.0 && power >= least);
        let (sum, count) = active.fold((0.0, 0.0), |(sum, count), power| (sum + power, count + 1.0));
        if count == 0.0 || sum / count <= level {
            break;
        }
        level = sum / count;
    }
    level
}

pub(super) fn mean_power(samples: &[f32]) -> f32 {
    samples.iter().map(|x| x * x).sum::<f32>() / samples.len().max(1) as f32
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::*;

    fn tone(count: usize) -> Vec<f32> {
        (0..count).map(|i| 0.2 * (i as f32 * 0.05).sin()).collect()
    }

    #[test]
    fn pauses_do_not_lower_the_active_level() {
        let speech = tone(16_000);
        let mut paused = vec![0.0; 40_000];
        paused.extend(&speech);
        paused.extend(vec![1e-4; 40_000]);
        let (whole, active) = (mean_power(&paused), active_power(&paused));
        assert!((active / 0.02 - 1.0).abs() < 0.05, "{active}");
        assert!(whole < active / 5.0);
        assert!((active_power(&speech) / 0.02 - 1.0).abs() < 0.02);
        assert_eq!(active_power(&[0.0; 1000]), 0.0);
        assert_eq!(active_power(&[]), 0.0);
    }

    #[test]
    fn the_ratio_is_to_the_active_speech() {
        let mut paused = vec![0.0; 48_000];
        paused.extend(tone(16_000));
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        for kind in [NoiseKind::White, NoiseKind::Pink] {
            let noisy = with_noise(&paused, kind, 10.0, &Babble::default(), "x", &mut rng).unwrap();
            let noise: Vec<f32> = noisy.iter().zip(&paused).map(|(noisy, clean)| noisy - clean).collect();
            let got = 10.0 * (0.02 / mean_power(&noise)).log10();
            assert!((got - 10.0).abs() < 0.2, "{kind}: {got}");
        }
        let silence = with_noise(&[0.0; 800], NoiseKind::White, 10.0, &Babble::default(), "x", &mut rng).unwrap();
        assert_eq!(silence, [0.0; 800]);
        assert!(with_noise(&paused, NoiseKind::White, f32::NAN, &Babble::default(), "x", &mut rng).is_err());
    }

    #[test]
    fn names_are_read_back() {
        for kind in NoiseKind::ALL {
            assert_eq!(kind.name().parse::<NoiseKind>().unwrap(), kind);
        }
        assert!("brown".parse::<NoiseKind>().is_err());
    }
}
