//! The two resamplers of scipy that librosa offers, sample for sample.

use realfft::RealFftPlanner;
use realfft::num_complex::Complex;

use super::fraction;
use crate::error::{Error, Result};
use crate::sample::{Sample, check_finite};
use crate::window::{Window, sinc};

/// Resamples by scipy's short filter (librosa: `resample(res_type="polyphase")`, scipy: `resample_poly` with its Kaiser window
/// of 5.0). Quick, but its pass-band ends early and aliases are only about 55 dB down; [`resample`](crate::resample) is better.
///
/// # Errors
/// [`Error::InvalidConfig`] when a rate is 0, [`Error::NotFinite`] for NaN or infinite samples.
pub fn resample_polyphase<T: Sample>(samples: &[T], from_rate: u32, to_rate: u32) -> Result<Vec<T>> {
    check_rates(from_rate, to_rate)?;
    check_finite(samples)?;
    let (up, down) = fraction(f64::from(from_rate), f64::from(to_rate));
    if up == down {
        return Ok(samples.to_vec());
    }
    let (up, down) = (up as usize, down as usize);
    let rate = up.max(down);
    let half = 10 * rate;
    let window = Window::Kaiser { beta: 5.0 }.samples(2 * half + 1, false)?;
    let cutoff = 1.0 / rate as f64;
    let mut filter: Vec<f64> =
        window.iter().enumerate().map(|(n, w)| w * cutoff * sinc(cutoff * (n as f64 - half as f64))).collect();
    let sum: f64 = filter.iter().sum();
    // scipy rounds the filter to the samples' type.
    filter.iter_mut().for_each(|tap| *tap = T::narrow(*tap / sum).widen() * up as f64);

    let mut resampled: Vec<T> = (0..(samples.len() * up).div_ceil(down))
        .map(|m| {
            // The inputs k whose distance from the output, in steps of 1/up, the filter covers.
            let place = m * down;
            let first = place.saturating_sub(half).div_ceil(up);
            let last = ((place + half) / up).min(samples.len() - 1);
            let sum: f64 = (first..=last).map(|k| samples[k].widen() * filter[half + place - k * up]).sum();
            T::narrow(sum)
        })
        .collect();
    resampled.resize(output_len(samples.len(), from_rate, to_rate), T::zero());
    Ok(resampled)
}

/// Resamples by cutting or extending the spectrum of the whole signal (librosa: `resample(res_type="fft")`, scipy: `resample`).
/// The ends of the signal run into each other.
///
/// # Errors
/// [`Error::InvalidConfig`] when a rate is 0, [`Error::NotFinite`] for NaN or infinite samples, [`Error::InvalidInput`] for an
/// empty signal.
pub fn resample_fourier<T: Sample>(samples: &[T], from_rate: u32, to_rate: u32) -> Result<Vec<T>> {
    check_rates(from_rate, to_rate)?;
    check_finite(samples)?;
    if from_rate == to_rate {
        return Ok(samples.to_vec());
    }
    if samples.is_empty() {
        return Err(Error::input("the signal", "non-empty", "0 samples"));
    }
    let (n, length) = (samples.len(), output_len(samples.len(), from_rate, to_rate));
    let mut planner = RealFftPlanner::<f64>::new();
    let (forward, inverse) = (planner.plan_fft_forward(n), planner.plan_fft_inverse(length));
    let failed = |error| Error::input("the signal", "as long as its transform", error);

    let mut input: Vec<f64> = samples.iter().map(|x| x.widen()).collect();
    let mut spectrum = forward.make_output_vec();
    forward.process(&mut input, &mut spectrum).map_err(failed)?;
    let shorter = n.min(length);
    spectrum.truncate(shorter / 2 + 1);
    if shorter.is_multiple_of(2) && n != length {
        // The bin at the lower Nyquist frequency stands for two of the longer spectrum, or the other way round.
        spectrum[shorter / 2] *= if length < n { 2.0 } else { 0.5 };
    }
    spectrum.resize(length / 2 + 1, Complex::default());
    spectrum[0].im = 0.0;
    if length.is_multiple_of(2) {
        spectrum[length / 2].im = 0.0;
    }
    let mut output = inverse.make_output_vec();
    inverse.process(&mut spectrum, &mut output).map_err(failed)?;
    Ok(output.iter().map(|x| T::narrow(x / n as f64)).collect())
}

fn check_rates(from_rate: u32, to_rate: u32) -> Result<()> {
    for (name, rate) in [("from_rate", from_rate), ("to_rate", to_rate)] {
        if rate == 0 {
            return Err(Error::config(name, "a sampling rate above 0 Hz", rate));
        }
    }
    Ok(())
}

/// librosa's length of the result: rounded up from a product of floating-point numbers.
fn output_len(n: usize, from_rate: u32, to_rate: u32) -> usize {
    (n as f64 * (f64::from(to_rate) / f64::from(from_rate))).ceil() as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_tone_survives_both() {
        let tone = |rate: f64, n: usize| -> Vec<f64> { (0..n).map(|n| (n as f64 / rate * 700.0).sin()).collect() };
        let samples = tone(22_050.0, 4410);
        for resampled in
            [resample_polyphase(&samples, 22_050, 16_000).unwrap(), resample_fourier(&samples, 22_050, 16_000).unwrap()]
        {
            let want = tone(16_000.0, 3200);
            assert_eq!(resampled.len(), want.len());
            assert!((500..2700).all(|n| (resampled[n] - want[n]).abs() < 2e-2));
        }
    }

    #[test]
    fn impossible_rates_are_errors_and_nothing_stays_nothing() {
        assert!(resample_polyphase(&[1.0_f32], 0, 1).is_err());
        assert!(resample_fourier(&[1.0_f32], 1, 0).is_err());
        assert!(resample_fourier::<f32>(&[], 2, 1).is_err());
        assert!(resample_polyphase::<f32>(&[], 2, 1).unwrap().is_empty());
    }
}
