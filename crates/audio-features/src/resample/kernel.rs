//! The low-pass filter that resampling is made of: a sinc under a Kaiser window.

use crate::window::sinc;

/// A low-pass filter as a function of time, by Kaiser's formulas for the length and the shape of the window (J. F. Kaiser,
/// "Nonrecursive digital filter design using the I0-sinh window function", 1974).
///
/// Frequencies are in cycles per unit of time.
pub(super) struct Kernel {
    cutoff: f64,
    /// The window ends at ± this time.
    half: f64,
    beta: f64,
    /// 1/(k!)², the power series of the Bessel function I0(2√z) that the window is made of.
    series: Vec<f64>,
}

impl Kernel {
    /// A filter that is `attenuation` dB down from `stop` on, and passes what lies `transition` below it.
    pub(super) fn new(stop: f64, transition: f64, attenuation: f64) -> Self {
        // The formulas are fits, up to 0.5 dB off, and the last tap of the shortest filter is missed.
        let attenuation = attenuation + 1.0;
        let beta = if attenuation > 50.0 {
            0.1102 * (attenuation - 8.7)
        } else {
            0.5842 * (attenuation - 21.0).max(0.0).powf(0.4) + 0.07886 * (attenuation - 21.0).max(0.0)
        };
        let half = ((attenuation - 7.95) / (14.36 * transition) / 2.0).max(0.0).ceil() + 1.0;
        let largest = beta * beta / 4.0;
        let (mut series, mut coefficient, mut term, mut sum) = (Vec::new(), 1.0, 1.0, 0.0);
        while term > sum * 1e-17 {
            series.push(coefficient);
            sum += term;
            let k = series.len() as f64;
            coefficient /= k * k;
            term *= largest / (k * k);
        }
        // From here on the window is 1 in its middle.
        series.iter_mut().for_each(|coefficient| *coefficient /= sum);
        Self { cutoff: stop - transition / 2.0, half, beta, series }
    }

    /// Where the window ends: a whole number.
    pub(super) fn half(&self) -> usize {
        self.half as usize
    }

    /// The filter at time `t`. The window goes on smoothly a little way beyond its end.
    pub(super) fn at(&self, t: f64) -> f64 {
        let x = t / self.half;
        let z = self.beta * self.beta * (1.0 - x * x) / 4.0;
        let window = self.series.iter().rev().fold(0.0, |sum, &coefficient| sum * z + coefficient);
        2.0 * self.cutoff * sinc(2.0 * self.cutoff * t) * window
    }

    /// How strongly its samples, one for every unit of time, pass a frequency.
    #[cfg(test)]
    fn gain(&self, frequency: f64) -> f64 {
        let half = self.half();
        let sum: f64 =
            (1..=half).map(|t| 2.0 * self.at(t as f64) * (std::f64::consts::TAU * frequency * t as f64).cos()).sum();
        sum + self.at(0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passes_the_band_and_stops_the_rest() {
        for attenuation in [60.0, 100.0, 130.0, 160.0] {
            let kernel = Kernel::new(0.25, 0.025, attenuation);
            let allowed = 10.0_f64.powf(-attenuation / 20.0);
            for step in 0..=100 {
                let share = f64::from(step) / 100.0;
                let (low, high) = (0.225 * share, 0.25 + 0.25 * share);
                assert!((kernel.gain(low) - 1.0).abs() < allowed, "{attenuation} dB: {} at {low}", kernel.gain(low));
                assert!(kernel.gain(high).abs() < allowed, "{attenuation} dB: {} at {high}", kernel.gain(high));
            }
        }
    }

    #[test]
    fn the_window_is_one_in_the_middle_and_small_at_the_end() {
        let kernel = Kernel::new(0.25, 0.025, 130.0);
        assert!((kernel.at(0.0) - 2.0 * kernel.cutoff).abs() < 1e-15);
        assert!(kernel.at(kernel.half).abs() < 1e-6);
    }
}
