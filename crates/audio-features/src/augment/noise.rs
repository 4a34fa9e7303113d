use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::normal::normal;
use crate::error::{Error, Result};
use crate::lanes::{Kernel, vectorized};
use crate::sample::{Sample, check_finite};

/// The colour of noise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Noise {
    /// As strong at every frequency: normally distributed samples.
    #[default]
    White,
    /// As strong in every octave, like many rooms and streets: 3 dB less for each octave up.
    Pink,
}

/// The signal with noise added, `snr` decibels below it in power over the whole signal.
///
/// The noise is scaled by the power it turned out to have, so the ratio is exact. Silence stays silent: no noise is any
/// number of decibels below it.
///
/// # Errors
/// [`Error::InvalidConfig`] when `snr` is not finite, [`Error::NotFinite`] for NaN or infinite samples.
pub fn add_noise<T: Sample>(samples: &[T], snr: f64, noise: Noise, seed: u64) -> Result<Vec<T>> {
    if !snr.is_finite() {
        return Err(Error::config("snr", "a finite number of decibels", snr));
    }
    check_finite(samples)?;
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut values = normal(samples.len(), &mut random);
    if noise == Noise::Pink {
        make_pink(&mut values);
    }
    let (signal_power, noise_power) = (vectorized(Power { samples }), vectorized(Power { samples: &values }));
    let scale = if noise_power > 0.0 { (signal_power / noise_power).sqrt() * 10.0_f64.powf(-snr / 20.0) } else { 0.0 };
    Ok(samples.iter().zip(&values).map(|(&x, noise)| T::narrow(x.widen() + noise * scale)).collect())
}

/// The sum of the squares.
struct Power<'a, T> {
    samples: &'a [T],
}

impl<T: Sample> Kernel for Power<'_, T> {
    type Output = f64;

    #[inline(always)]
    fn run(self) -> f64 {
        // Several sums at once, since each addition waits for the one before it.
        let (chunks, rest) = self.samples.as_chunks::<32>();
        let mut sums = [0.0; 32];
        for chunk in chunks {
            for (sum, x) in sums.iter_mut().zip(chunk) {
                *sum += x.widen() * x.widen();
            }
        }
        sums.iter().sum::<f64>() + rest.iter().map(|x| x.widen() * x.widen()).sum::<f64>()
    }
}

/// Makes white noise pink: Paul Kellet's filter of six poles, within 0.05 dB of −3 dB an octave above 9 Hz at 44.1 kHz
/// ("Filter to make pink noise from white", musicdsp.org, 1999).
fn make_pink(values: &mut [f64]) {
    const POLES: [(f64, f64); 6] = [
        (0.99886, 0.0555179),
        (0.99332, 0.0750759),
        (0.96900, 0.1538520),
        (0.86650, 0.3104856),
        (0.55000, 0.5329522),
        (-0.7616, -0.0168980),
    ];
    let (mut states, mut delayed) = ([0.0; 6], 0.0);
    for value in values {
        let white = *value;
        for (state, (pole, weight)) in states.iter_mut().zip(POLES) {
            *state = pole * *state + weight * white;
        }
        *value = states.iter().sum::<f64>() + delayed + white * 0.5362;
        delayed = white * 0.115926;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Stft, StftConfig};

    fn signal(n: usize) -> Vec<f32> {
        (0..n).map(|n| (n as f32 * 0.05).sin() * 0.2).collect()
    }

    #[test]
    fn the_ratio_is_the_one_asked_for() {
        let samples = signal(20_000);
        for noise in [Noise::White, Noise::Pink] {
            for snr in [-5.0, 0.0, 20.0] {
                let noisy = add_noise(&samples, snr, noise, 3).unwrap();
                let power = |x: &mut dyn Iterator<Item = f64>| x.map(|x| x * x).sum::<f64>();
                let signal_power = power(&mut samples.iter().map(|&x| f64::from(x)));
                let noise_power = power(&mut noisy.iter().zip(&samples).map(|(&a, &b)| f64::from(a) - f64::from(b)));
                let got = 10.0 * (signal_power / noise_power).log10();
                assert!((got - snr).abs() < 1e-3, "{noise:?}: {got} instead of {snr}");
            }
        }
    }

    #[test]
    fn a_seed_names_the_noise() {
        let samples = signal(100);
        let make = |seed| add_noise(&samples, 10.0, Noise::White, seed).unwrap();
        assert_eq!(make(1), make(1));
        assert_ne!(make(1), make(2));
        assert_eq!(add_noise(&[0.0_f32; 10], 10.0, Noise::Pink, 1).unwrap(), [0.0; 10]);
        assert!(add_noise(&samples, f64::NAN, Noise::White, 1).is_err());
    }

    #[test]
    fn octaves_of_pink_noise_are_equally_strong_and_of_white_twice_the_last() {
        let spectrum = |pink: bool| {
            let mut values = normal(1 << 18, &mut ChaCha8Rng::seed_from_u64(5));
            if pink {
                make_pink(&mut values);
            }
            Stft::new(&StftConfig::default())
                .unwrap()
                .spectrogram(&values, 2.0)
                .unwrap()
                .sum_axis(ndarray::Axis(1))
                .to_vec()
        };
        for (pink, ratio) in [(true, 1.0), (false, 2.0)] {
            let spectrum = spectrum(pink);
            let octave = |first: usize| spectrum[first..2 * first].iter().sum::<f64>();
            for first in [16, 64, 256] {
                let got = octave(2 * first) / octave(first);
                assert!((got / ratio - 1.0).abs() < 0.1, "octave above bin {first}: {got}");
            }
        }
    }
}
