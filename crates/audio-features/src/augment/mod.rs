//! Changing a sound so that a model learns what does not matter: noise, tempo, pitch, time, loudness.
//!
//! Everything random is a function of its `seed`: the same seed gives the same samples on every machine.
//!
//! ```
//! use audio_features::augment::{Noise, TimeStretch, add_noise, time_shift};
//!
//! let samples: Vec<f32> = (0..16_000).map(|n| (n as f32 * 0.06).sin() * 0.3).collect();
//! let noisy = add_noise(&samples, 20.0, Noise::White, 7)?;
//! let stretch = TimeStretch::default(); // planned once
//! let slow = stretch.time_stretch(&samples, 0.8)?;
//! assert_eq!(slow.len(), 20_000);
//! let high = stretch.pitch_shift(&samples, 16_000.0, 0.7)?;
//! assert_eq!(high.len(), 16_000);
//! let late = time_shift(&samples, 800);
//! # Ok::<(), audio_features::Error>(())
//! ```

mod noise;
mod normal;
mod overlap;
mod stretch;

pub use noise::{Noise, add_noise};
pub use stretch::{TimeStretch, phase_vocoder, pitch_shift, time_stretch};

use crate::sample::Sample;

/// The signal `shift` samples later (earlier when negative), of the same length, with silence where nothing came from.
pub fn time_shift<T: Sample>(samples: &[T], shift: isize) -> Vec<T> {
    let mut shifted = vec![T::zero(); samples.len()];
    let distance = shift.unsigned_abs().min(samples.len());
    let kept = samples.len() - distance;
    if shift >= 0 {
        shifted[distance..].copy_from_slice(&samples[..kept]);
    } else {
        shifted[..kept].copy_from_slice(&samples[distance..]);
    }
    shifted
}

/// The signal `shift` samples later, what leaves at one end coming back at the other (numpy: `np.roll`).
pub fn roll<T: Sample>(samples: &[T], shift: isize) -> Vec<T> {
    let mut rolled = samples.to_vec();
    if !rolled.is_empty() {
        let places = shift.rem_euclid(rolled.len() as isize) as usize;
        rolled.rotate_right(places);
    }
    rolled
}

/// The signal louder by so many decibels; quieter when negative. Nothing is clipped.
pub fn gain<T: Sample>(samples: &[T], decibels: f64) -> Vec<T> {
    let factor = T::narrow(10.0_f64.powf(decibels / 20.0));
    samples.iter().map(|&x| x * factor).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shifts() {
        let samples = [1.0_f32, 2.0, 3.0];
        assert_eq!(time_shift(&samples, 1), [0.0, 1.0, 2.0]);
        assert_eq!(time_shift(&samples, -2), [3.0, 0.0, 0.0]);
        assert_eq!(time_shift(&samples, 10), [0.0; 3]);
        assert_eq!(time_shift(&samples, isize::MIN), [0.0; 3]);
        assert_eq!(roll(&samples, 1), [3.0, 1.0, 2.0]);
        assert_eq!(roll(&samples, -4), [2.0, 3.0, 1.0]);
        assert!(roll::<f32>(&[], 3).is_empty());
    }

    #[test]
    fn six_decibels_are_about_twice() {
        assert!((gain(&[0.25_f64], 6.020_599_913)[0] - 0.5).abs() < 1e-9);
    }
}
