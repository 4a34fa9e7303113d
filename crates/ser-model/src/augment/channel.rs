//! Narrow channels: telephones and low bit rates.

use rand::{Rng, RngExt};

use super::filter::{band_pass, convolve};
use crate::SAMPLE_RATE;

/// 16 ms: edges about 200 Hz wide.
const TAPS: usize = 257;

/// Half of the time the band of a telephone, 300 to 3400 Hz, with the steps of its eight-bit code; else the upper edge that
/// a codec of few bits leaves, drawn from 2.5 to 6.5 kHz.
pub(super) fn narrow(samples: &[f32], rng: &mut impl Rng) -> Vec<f32> {
    if rng.random() { telephone(samples) } else { limited(samples, 0.0, rng.random_range(2500.0..6500.0)) }
}

fn limited(samples: &[f32], low: f32, high: f32) -> Vec<f32> {
    let rate = SAMPLE_RATE as f32;
    convolve(samples, &band_pass(low / rate, high / rate, TAPS), TAPS / 2)
}

/// 300 to 3400 Hz in μ-law steps (ITU-T G.711's curve, over the clip's own range).
fn telephone(samples: &[f32]) -> Vec<f32> {
    const MU: f32 = 255.0;
    let mut narrow = limited(samples, 300.0, 3400.0);
    let peak = narrow.iter().fold(0.0, |peak: f32, x| peak.max(x.abs()));
    if peak > 0.0 {
        for value in &mut narrow {
            let step = ((MU * value.abs() / peak).ln_1p() / MU.ln_1p() * 127.0).round() / 127.0;
            *value = value.signum() * peak * (step * MU.ln_1p()).exp_m1() / MU;
        }
    }
    narrow
}

#[cfg(test)]
mod tests {
    use super::super::noise::mean_power;
    use super::*;

    fn tone(frequency: f32) -> Vec<f32> {
        let step = std::f32::consts::TAU * frequency / SAMPLE_RATE as f32;
        (0..16_000).map(|i| 0.3 * (i as f32 * step).sin()).collect()
    }

    #[test]
    fn a_telephone_carries_speech_and_neither_hum_nor_hiss() {
        let carried = |frequency| mean_power(&telephone(&tone(frequency))[1000..15_000]) / 0.045;
        assert!((carried(1000.0) - 1.0).abs() < 0.05, "{}", carried(1000.0));
        // What is left of them is what the first and last samples of the tone click.
        assert!(carried(60.0) < 0.01 && carried(5000.0) < 0.01, "{} {}", carried(60.0), carried(5000.0));
        assert_eq!(telephone(&[0.0; 600]), [0.0; 600]);
    }

    #[test]
    fn the_steps_are_small_and_nothing_is_delayed() {
        let tone = tone(800.0);
        let heard = telephone(&tone);
        for index in 1000..15_000 {
            assert!((heard[index] - tone[index]).abs() < 0.02, "{index}");
        }
        let mut levels: Vec<u32> = heard.iter().map(|x| x.to_bits()).collect();
        levels.sort_unstable();
        levels.dedup();
        assert!(levels.len() <= 255, "{}", levels.len());
    }
}
