//! How a recording sounds, for the leak audit.

use std::sync::OnceLock;

use audio_features::{DbConfig, MelConfig, MelSpectrogram, StftConfig, power_to_db};
use model_kit::audit::SoundHash;

use crate::error::Error;
use crate::input::{SAMPLE_RATE, to_model_rate};

/// The fingerprint of mono sound of any rate in hertz, from 40 mel bands of its first 4 kHz in frames of 16 ms: what the leak
/// audit finds near copies by.
///
/// # Errors
/// [`Error::EmptySound`], [`Error::SampleRate`] outside [`RATES`](crate::input::RATES), [`Error::NotFinite`].
pub fn sound_hash(samples: &[f32], sample_rate: u32) -> Result<SoundHash, Error> {
    static MEL: OnceLock<Result<MelSpectrogram, audio_features::Error>> = OnceLock::new();
    let config = || MelConfig {
        sr: f64::from(SAMPLE_RATE),
        stft: StftConfig { n_fft: 1024, hop_length: Some(256), ..StftConfig::default() },
        n_mels: 40,
        fmin: 100.0,
        fmax: Some(4000.0),
        ..MelConfig::default()
    };
    let mel = match MEL.get_or_init(|| MelSpectrogram::new(&config())) {
        Ok(mel) => mel,
        // The settings are constants that a test has seen to be good.
        Err(error) => unreachable!("{error}"),
    };
    let samples = to_model_rate(samples, sample_rate)?;
    let power = mel.process(&samples)?;
    let decibels = power_to_db(&power, &DbConfig { top_db: None, ..DbConfig::default() })?;
    let frames: Vec<f32> = decibels.t().iter().copied().collect();
    Ok(SoundHash::of_bands(&frames, decibels.nrows())?)
}

#[cfg(test)]
mod tests {
    use audio_features::augment::gain;

    use super::*;

    #[test]
    fn the_rate_and_the_level_leave_the_fingerprint() {
        // A glide under a changing loudness.
        let sound = |rate: u32| -> Vec<f32> {
            let time = |sample: u32| sample as f32 / rate as f32;
            (0..2 * rate)
                .map(|sample| {
                    let t = time(sample);
                    (std::f32::consts::TAU * (300.0 * t + 200.0 * t * t)).sin() * (0.3 + 0.2 * (9.0 * t).sin())
                })
                .collect()
        };
        let original = sound_hash(&sound(16_000), 16_000).unwrap();
        let quiet = sound_hash(&gain(&sound(16_000), -12.0), 16_000).unwrap();
        let faster = sound_hash(&sound(44_100), 44_100).unwrap();
        assert!(original.correlation(&quiet) > 0.99 && original.correlation(&faster) > 0.97);
        assert!(sound_hash(&[], 16_000).is_err() && sound_hash(&[f32::NAN; 9000], 16_000).is_err());
    }
}
