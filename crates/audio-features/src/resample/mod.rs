//! Changing the sampling rate.

mod scipy;

pub use scipy::{resample_fourier, resample_polyphase};

use std::f64::consts::PI;
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::sample::{Sample, check_finite, dot};
use crate::window::bessel_i0;

/// Settings of a [`Resampler`]: two rates, and how sharp and how clean its filter is.
///
/// The filter is a sinc under a Kaiser window. It passes everything up to `passband` of the lower Nyquist frequency,
/// and nothing above that Nyquist frequency: nothing folds back, at the price of a little of the top.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(default))]
pub struct ResamplerConfig {
    /// The rate of the samples that come, in Hz. Default 48,000.
    pub from_rate: f64,
    /// The rate of the samples that are wanted, in Hz. Default 16,000.
    pub to_rate: f64,
    /// End of the pass-band, as a share of the lower Nyquist frequency, above 0 and below 1. Default 0.913, as soxr's HQ.
    pub passband: f64,
    /// How far down everything beyond the lower Nyquist frequency is, in dB, 20 to 180. Default 130.
    pub attenuation: f64,
}

impl Default for ResamplerConfig {
    fn default() -> Self {
        Self { from_rate: 48_000.0, to_rate: 16_000.0, passband: 0.913, attenuation: 130.0 }
    }
}

/// Changes the sampling rate of a whole signal (librosa: `resample`).
///
/// `ceil(n·to_rate/from_rate)` samples, without delay: sample 0 stays at time 0. Frequencies up to 91.3 % of the lower
/// Nyquist frequency pass unchanged (ripple below 1e-5), everything beyond it is at least 120 dB down; librosa's default
/// (`soxr_hq`) has the same two band edges. Beyond its ends the signal counts as silent.
///
/// ```
/// let samples = vec![0.25_f32; 4_800];
/// let resampled = audio_features::resample(&samples, 48_000, 16_000)?;
/// assert_eq!(resampled.len(), 1_600);
/// assert!((resampled[800] - 0.25).abs() < 1e-6);
/// # Ok::<(), audio_features::Error>(())
/// ```
///
/// # Errors
/// [`Error::InvalidConfig`] when a rate is 0, [`Error::NotFinite`] for NaN or infinite samples.
pub fn resample<T: Sample>(samples: &[T], from_rate: u32, to_rate: u32) -> Result<Vec<T>> {
    resample_with(
        samples,
        &ResamplerConfig { from_rate: f64::from(from_rate), to_rate: f64::from(to_rate), ..ResamplerConfig::default() },
    )
}

/// Like [`resample`], with every setting: rates need not be integers.
///
/// # Errors
/// As [`Resampler::new`], and [`Error::NotFinite`] for NaN or infinite samples.
pub fn resample_with<T: Sample>(samples: &[T], config: &ResamplerConfig) -> Result<Vec<T>> {
    let mut resampler = Resampler::new(config)?;
    let mut resampled = Vec::with_capacity(resampler.output_len(samples.len()));
    resampler.process(samples, &mut resampled)?;
    resampler.finish(&mut resampled);
    Ok(resampled)
}

/// A resampler for sound that comes piece by piece: the pieces' outputs, put together, are bit for bit what [`resample`]
/// makes of the whole.
///
/// ```
/// use audio_features::{Resampler, ResamplerConfig};
///
/// let mut resampler = Resampler::<f32>::new(&ResamplerConfig { from_rate: 44_100.0, ..ResamplerConfig::default() })?;
/// let mut resampled = Vec::new();
/// for piece in vec![0.1_f32; 44_100].chunks(1_000) {
///     resampler.process(piece, &mut resampled)?;
/// }
/// resampler.finish(&mut resampled);
/// assert_eq!(resampled.len(), 16_000);
/// # Ok::<(), audio_features::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Resampler<T = f32> {
    filter: Arc<Filter<T>>,
    /// What is still needed of the input; the first sample stands `half − 1` before the position of the next output.
    history: Vec<T>,
    /// First sample of `history` that the next output needs.
    next: usize,
    /// How far the next output lies beyond that sample's place, in steps of 1/`up` of an input sample.
    phase: u64,
    received: usize,
    produced: usize,
}

/// The filter, drawn at fine steps between two input samples.
#[derive(Debug)]
struct Filter<T> {
    /// The rates as a fraction: `up` outputs for `down` inputs.
    up: u64,
    down: u64,
    /// Outputs for one input.
    ratio: f64,
    /// Half the filter's length in input samples.
    half: usize,
    /// `phases + 1` rows of `2·half` taps.
    taps: Vec<T>,
    phases: u64,
}

/// Rows that are drawn exactly, one for every place an output can have between two inputs. With more places than this,
/// the two nearest rows of [`INTERPOLATED_PHASES`] are blended.
const MAX_EXACT_PHASES: u64 = 2048;
/// A straight line between two of these rows is within 3e-7 (−130 dB) of the row that should stand there.
const INTERPOLATED_PHASES: u64 = 2048;
/// Denominator for a ratio that is no fraction of integers; one sample in four billion is inaudible.
const REAL_DENOMINATOR: f64 = 4_294_967_296.0;

impl<T: Sample> Filter<T> {
    fn new(config: &ResamplerConfig) -> Result<Self> {
        let ResamplerConfig { from_rate, to_rate, passband, attenuation } = *config;
        for (name, rate) in [("from_rate", from_rate), ("to_rate", to_rate)] {
            if !(rate > 0.0 && rate.is_finite()) {
                return Err(Error::config(name, "a sampling rate above 0 Hz", rate));
            }
        }
        let ratio = from_rate / to_rate;
        if !(1.0 / 1024.0..=1024.0).contains(&ratio) {
            return Err(Error::config("the ratio of the rates", "from 1:1024 to 1024:1", ratio));
        }
        if !(passband > 0.0 && passband < 1.0) {
            return Err(Error::config("passband", "above 0 and below 1", passband));
        }
        if !(20.0..=180.0).contains(&attenuation) {
            return Err(Error::config("attenuation", "20 to 180 dB", attenuation));
        }

        let (up, down) = fraction(from_rate, to_rate);
        let phases = if up <= MAX_EXACT_PHASES { up } else { INTERPOLATED_PHASES };
        // Frequencies in cycles per input sample. Kaiser's formulas for the shape of the window and its length:
        // J. F. Kaiser, "Nonrecursive digital filter design using the I0-sinh window function", 1974.
        let stop = 0.5 * (up as f64 / down as f64).min(1.0);
        let transition = stop * (1.0 - passband);
        let cutoff = stop - transition / 2.0;
        let beta = if attenuation > 50.0 {
            0.1102 * (attenuation - 8.7)
        } else {
            0.5842 * (attenuation - 21.0).max(0.0).powf(0.4) + 0.07886 * (attenuation - 21.0).max(0.0)
        };
        let half = ((attenuation - 7.95) / (14.36 * transition) / 2.0).ceil().max(1.0) as usize;

        let window = KaiserTable::new(beta);
        let mut taps = Vec::with_capacity((phases as usize + 1) * 2 * half);
        let mut row = vec![0.0; 2 * half];
        // sin(2πf(k − x)) = sin(2πfk)·cos(2πfx) − cos(2πfk)·sin(2πfx): two sines for a row instead of one for a tap.
        let turns: Vec<(f64, f64)> =
            (0..2 * half).map(|k| (2.0 * PI * cutoff * (k as f64 + 1.0 - half as f64)).sin_cos()).collect();
        for phase in 0..=phases {
            let offset = phase as f64 / phases as f64;
            let (sin, cos) = (2.0 * PI * cutoff * offset).sin_cos();
            for (k, (tap, turn)) in row.iter_mut().zip(&turns).enumerate() {
                let t = k as f64 + 1.0 - half as f64 - offset;
                let sinc = if t.abs() < 1e-9 { 2.0 * cutoff } else { (turn.0 * cos - turn.1 * sin) / (PI * t) };
                *tap = sinc * window.at(t.abs() / half as f64);
            }
            // Every row passes a constant unchanged, so silence with an offset gains no tone.
            let sum: f64 = row.iter().sum();
            taps.extend(row.iter().map(|&tap| T::narrow(tap / sum)));
        }
        Ok(Self { up, down, ratio: to_rate / from_rate, half, taps, phases })
    }

    fn output(&self, inputs: &[T], phase: u64) -> T {
        let length = 2 * self.half;
        let row = |index: u64| &self.taps[index as usize * length..][..length];
        if self.phases == self.up {
            return dot(row(phase), inputs);
        }
        let place = phase as f64 / self.up as f64 * self.phases as f64;
        let (index, blend) = (place as u64, T::narrow(place.fract()));
        let (near, far) = (dot(row(index), inputs), dot(row(index + 1), inputs));
        near + (far - near) * blend
    }
}

/// The rates as up:down in lowest terms.
fn fraction(from_rate: f64, to_rate: f64) -> (u64, u64) {
    let whole = |rate: f64| rate.fract() == 0.0 && rate < REAL_DENOMINATOR;
    let (up, down) = if whole(from_rate) && whole(to_rate) {
        (to_rate as u64, from_rate as u64)
    } else {
        (REAL_DENOMINATOR as u64, (from_rate / to_rate * REAL_DENOMINATOR).round() as u64)
    };
    let (mut a, mut b) = (up, down);
    while b != 0 {
        (a, b) = (b, a % b);
    }
    (up / a, down / a)
}

/// Kaiser's window from its middle (0) to its end (1), interpolated from a table: a filter bank asks for a million values.
struct KaiserTable(Vec<f64>);

impl KaiserTable {
    const STEPS: usize = 1024;

    fn new(beta: f64) -> Self {
        let scale = bessel_i0(beta);
        // One point before the middle and two beyond the end, for the cubic; the window is a smooth function of x², which
        // continues beyond 1 as a Bessel function of the first kind, whose few values near 0 are close to 1 − x²/4.
        let value = |i: isize| {
            let x = i as f64 / Self::STEPS as f64;
            let square = beta * beta * (1.0 - x * x);
            (if square >= 0.0 { bessel_i0(square.sqrt()) } else { 1.0 + square / 4.0 }) / scale
        };
        Self((-1..=Self::STEPS as isize + 2).map(value).collect())
    }

    /// The window at 0 ≤ x ≤ 1 by a cubic through four points, 0 beyond.
    fn at(&self, x: f64) -> f64 {
        if x > 1.0 {
            return 0.0;
        }
        let place = x * Self::STEPS as f64;
        let index = place as usize;
        let f = place - index as f64;
        let [a, b, c, d] = [self.0[index], self.0[index + 1], self.0[index + 2], self.0[index + 3]];
        b + f * ((c - a) / 2.0 + f * ((a - 2.5 * b + 2.0 * c - d / 2.0) + f * ((d - a) / 2.0 + 1.5 * (b - c))))
    }
}

impl<T: Sample> Resampler<T> {
    /// Draws the filter.
    ///
    /// # Errors
    /// [`Error::InvalidConfig`] when a rate is not above 0, the rates are more than 1024 apart, or a band edge or the
    /// attenuation is out of its range.
    pub fn new(config: &ResamplerConfig) -> Result<Self> {
        let filter = Filter::new(config)?;
        let history = vec![T::zero(); filter.half - 1];
        Ok(Self { filter: Arc::new(filter), history, next: 0, phase: 0, received: 0, produced: 0 })
    }

    /// How many samples come out for `n` samples in, all told: `ceil(n·(to_rate/from_rate))`, as librosa counts them.
    pub fn output_len(&self, n: usize) -> usize {
        (n as f64 * self.filter.ratio).ceil() as usize
    }

    /// Takes the next samples and appends to `out` what they complete. The last outputs wait for later samples, as the
    /// filter looks ahead by [`Resampler::latency`].
    ///
    /// # Errors
    /// [`Error::NotFinite`] for NaN or infinite samples; nothing is taken then.
    pub fn process(&mut self, samples: &[T], out: &mut Vec<T>) -> Result<()> {
        check_finite(samples)?;
        self.received += samples.len();
        if self.filter.up == self.filter.down {
            self.produced += samples.len();
            out.extend_from_slice(samples);
        } else {
            self.history.extend_from_slice(samples);
            self.drain(usize::MAX, out);
        }
        Ok(())
    }

    /// Appends the outputs that were waiting, as if silence followed, and makes the resampler ready for another signal.
    pub fn finish(&mut self, out: &mut Vec<T>) {
        let total = self.output_len(self.received);
        if self.produced < total {
            // The last output stands at most one step beyond the input, so a little more than half a filter completes it.
            let more = self.filter.half + 1 + (self.filter.down / self.filter.up) as usize;
            self.history.resize(self.history.len() + more, T::zero());
            self.drain(total, out);
        }
        self.history.clear();
        self.history.resize(self.filter.half - 1, T::zero());
        (self.next, self.phase, self.received, self.produced) = (0, 0, 0, 0);
    }

    /// How far the filter looks ahead, in input samples.
    pub fn latency(&self) -> usize {
        if self.filter.up == self.filter.down { 0 } else { self.filter.half }
    }

    /// Appends outputs while there is input for them, at most `total` since the start.
    fn drain(&mut self, total: usize, out: &mut Vec<T>) {
        let filter = &*self.filter;
        let length = 2 * filter.half;
        while self.produced < total && self.next + length <= self.history.len() {
            out.push(filter.output(&self.history[self.next..self.next + length], self.phase));
            self.produced += 1;
            self.phase += filter.down;
            self.next += (self.phase / filter.up) as usize;
            self.phase %= filter.up;
        }
        // What lies behind is dropped once it is most of the buffer, so that a sample is moved only a few times.
        let behind = self.next.min(self.history.len());
        if behind > length.max(self.history.len() / 2) {
            self.history.drain(..behind);
            self.next -= behind;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::f64::consts::TAU;

    use super::*;

    fn tone(frequency: f64, rate: f64, n: usize) -> Vec<f64> {
        (0..n).map(|i| (TAU * frequency * i as f64 / rate).sin()).collect()
    }

    /// The largest deviation in the middle half, where the filter sees no end.
    fn deviation(got: &[f64], want: &[f64]) -> f64 {
        let (from, to) = (got.len() / 4, got.len() * 3 / 4);
        got[from..to].iter().zip(&want[from..to]).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
    }

    const RATES: [(u32, u32); 8] = [
        (48_000, 16_000),
        (44_100, 16_000),
        (24_414, 16_000),
        (22_050, 16_000),
        (16_000, 48_000),
        (16_000, 22_050),
        (44_100, 48_000),
        (8_000, 16_000),
    ];

    #[test]
    fn tones_in_the_pass_band_come_out_as_they_are_and_in_time() {
        for (from, to) in RATES {
            let nyquist = f64::from(from.min(to)) / 2.0;
            for share in [0.01, 0.3, 0.7, 0.9] {
                let frequency = share * nyquist;
                let samples = tone(frequency, f64::from(from), from as usize / 4);
                let got = resample(&samples, from, to).unwrap();
                let want = tone(frequency, f64::from(to), got.len());
                let error = deviation(&got, &want);
                assert!(error < 1e-6, "{from} -> {to}, {frequency} Hz: {error}");
            }
        }
    }

    #[test]
    fn everything_beyond_the_new_nyquist_frequency_is_120_db_down() {
        for (from, to) in RATES {
            if from <= to {
                continue;
            }
            let (low, high) = (f64::from(to) / 2.0, f64::from(from) / 2.0);
            for step in 0..40 {
                let frequency = low + (high - low) * (f64::from(step) + 0.02) / 40.0;
                let samples: Vec<f32> =
                    tone(frequency, f64::from(from), from as usize / 8).into_iter().map(|x| x as f32).collect();
                let got: Vec<f64> = resample(&samples, from, to).unwrap().into_iter().map(f64::from).collect();
                let rest = deviation(&got, &vec![0.0; got.len()]);
                assert!(rest < 1e-6, "{from} -> {to}, {frequency} Hz: {} dB", 20.0 * rest.log10());
            }
        }
    }

    #[test]
    fn pieces_give_bit_for_bit_what_the_whole_gives() {
        let samples: Vec<f32> = tone(440.0, 44_100.0, 10_007).into_iter().map(|x| x as f32).collect();
        for to_rate in [16_000.0, 44_100.0, 48_000.0, 16_000.5] {
            let config = ResamplerConfig { from_rate: 44_100.0, to_rate, ..ResamplerConfig::default() };
            let whole = resample_with(&samples, &config).unwrap();
            let mut resampler = Resampler::new(&config).unwrap();
            for piece in [1, 3, 97, 1024, 20_000] {
                let mut joined = Vec::new();
                for samples in samples.chunks(piece) {
                    resampler.process(samples, &mut joined).unwrap();
                }
                resampler.finish(&mut joined);
                assert_eq!(joined, whole, "pieces of {piece} to {to_rate} Hz");
            }
        }
    }

    #[test]
    fn lengths_are_rounded_up_and_short_signals_survive() {
        for n in [0, 1, 2, 3, 100] {
            assert_eq!(resample(&vec![1.0_f32; n], 48_000, 16_000).unwrap().len(), n.div_ceil(3));
            assert_eq!(resample(&vec![1.0_f32; n], 16_000, 48_000).unwrap().len(), n * 3);
        }
    }

    #[test]
    fn impossible_rates_are_errors() {
        assert!(matches!(resample(&[0.0_f32], 0, 16_000), Err(Error::InvalidConfig { .. })));
        assert!(matches!(resample(&[0.0_f32], 16_000, 0), Err(Error::InvalidConfig { .. })));
        assert!(matches!(resample(&[f32::NAN], 16_000, 8_000), Err(Error::NotFinite { .. })));
    }
}
