//! Changing the sampling rate.

mod between;
mod block;
mod kernel;
mod scipy;

pub use scipy::{resample_fourier, resample_polyphase};

use std::any::Any;
use std::sync::{Arc, Mutex, PoisonError};

use crate::error::{Error, Result};
use crate::sample::{Sample, check_finite};
use between::{Between, LANES};
use block::{Blocks, Work};
use kernel::Kernel;

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
/// The signal is filtered in blocks, by Fourier transforms, so outputs come in blocks too; [`Resampler::latency`] says how
/// late. Rates whose ratio is no small fraction (22,051 to 16,000) take a second, short filter between the blocks' samples.
/// The filters used last are kept and shared, so another resampler for the same rates is planned in no time.
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
    plan: Arc<Plan<T>>,
    /// What is still needed of the input; it starts half a filter before the next block.
    pending: Vec<T>,
    /// What is still needed of the blocks' output, where it is read between its samples.
    filtered: Vec<T>,
    /// First sample of `filtered` that the next output needs.
    next: usize,
    /// How far the next output lies beyond that sample's place, in parts of [`Steps::unit`].
    phase: u64,
    work: Work<T>,
    received: usize,
    produced: usize,
}

#[derive(Debug)]
struct Plan<T> {
    /// Outputs for one input.
    ratio: f64,
    /// Nothing is to be done where the rates are the same.
    blocks: Option<Blocks<T>>,
    /// For rates that blocks alone cannot reach.
    steps: Option<Steps<T>>,
}

/// Outputs at equal steps, which do not fall on the samples.
#[derive(Debug)]
struct Steps<T> {
    between: Between<T>,
    /// A step: so many samples and so many parts of a sample, of which `unit` are a whole one.
    whole: usize,
    part: u64,
    unit: u64,
    /// Blocks start this long before the signal, as what it is filtered to does: input samples, and samples of the blocks.
    lead_in: usize,
    lead: usize,
}

/// Fractions of larger numbers, or of other prime factors than these, make poor lengths for blocks.
const MAX_UNITS: u64 = 1024;
const PRIMES: [u64; 5] = [2, 3, 5, 7, 11];
/// Denominator for a ratio that is no fraction of integers; one sample in four billion is inaudible.
const REAL_DENOMINATOR: f64 = 4_294_967_296.0;

/// The plans that were used last, the latest at the end: files of one rate share a plan without anyone carrying it about.
/// The eight of them take less than a megabyte at the rates of sound.
static PLANS: Mutex<Vec<(ResamplerConfig, Arc<dyn Any + Send + Sync>)>> = Mutex::new(Vec::new());
const KEPT_PLANS: usize = 8;

impl<T: Sample> Plan<T> {
    /// The plan for this config: one that is still known, or a new one.
    fn shared(config: &ResamplerConfig) -> Result<Arc<Self>> {
        // A panic while the lock is held cannot leave the list half-changed, so poison means nothing here.
        let plans = || PLANS.lock().unwrap_or_else(PoisonError::into_inner);
        let known = {
            let mut plans = plans();
            let index = plans.iter().rposition(|(known, plan)| known == config && plan.is::<Self>());
            index.and_then(|index| {
                plans[index..].rotate_left(1);
                plans.last().map(|(_, plan)| Arc::clone(plan))
            })
        };
        if let Some(plan) = known.and_then(|plan| plan.downcast().ok()) {
            return Ok(plan);
        }
        let plan = Arc::new(Self::new(config)?);
        let mut plans = plans();
        if plans.len() == KEPT_PLANS {
            plans.remove(0);
        }
        plans.push((config.clone(), plan.clone()));
        Ok(plan)
    }

    fn new(config: &ResamplerConfig) -> Result<Self> {
        let ResamplerConfig { from_rate, to_rate, passband, attenuation } = *config;
        for (name, rate) in [("from_rate", from_rate), ("to_rate", to_rate)] {
            if !(rate > 0.0 && rate.is_finite()) {
                return Err(Error::config(name, "a sampling rate above 0 Hz", rate));
            }
        }
        if !(1.0 / 1024.0..=1024.0).contains(&(from_rate / to_rate)) {
            return Err(Error::config("the ratio of the rates", "from 1:1024 to 1024:1", from_rate / to_rate));
        }
        if !(passband > 0.0 && passband < 1.0) {
            return Err(Error::config("passband", "above 0 and below 1", passband));
        }
        if !(20.0..=180.0).contains(&attenuation) {
            return Err(Error::config("attenuation", "20 to 180 dB", attenuation));
        }
        let ratio = to_rate / from_rate;
        let (up, down) = fraction(from_rate, to_rate);
        if up == down {
            return Ok(Self { ratio, blocks: None, steps: None });
        }
        // Frequencies in cycles per input sample.
        let stop = 0.5 * (up as f64 / down as f64).min(1.0);
        let kernel = Kernel::new(stop, stop * (1.0 - passband), attenuation);
        if suits_blocks(up) && suits_blocks(down) && up <= 16 * down {
            return Ok(Self { ratio, blocks: Some(Blocks::new(&kernel, up as usize, down as usize)), steps: None });
        }
        // Blocks filter, and leave at least twice as many samples as the slower rate has, for a short filter to read between.
        let (block_up, block_down) = fraction((down / up).max(1) as f64, 2.0);
        let between = Between::new(attenuation);
        let (step, unit) = (down * block_up, up * block_down);
        let lead_units = between.half().div_ceil(block_up as usize);
        let steps = Steps {
            whole: (step / unit) as usize,
            part: step % unit,
            unit,
            lead_in: lead_units * block_down as usize,
            lead: lead_units * block_up as usize,
            between,
        };
        let blocks = Blocks::new(&kernel, block_up as usize, block_down as usize);
        Ok(Self { ratio, blocks: Some(blocks), steps: Some(steps) })
    }
}

fn suits_blocks(mut n: u64) -> bool {
    if n > MAX_UNITS {
        return false;
    }
    for prime in PRIMES {
        while n.is_multiple_of(prime) {
            n /= prime;
        }
    }
    n == 1
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

impl<T: Sample> Resampler<T> {
    /// Draws the filter and plans its transforms, or takes those of a resampler with the same settings.
    ///
    /// # Errors
    /// [`Error::InvalidConfig`] when a rate is not above 0, the rates are more than 1024 apart, or a band edge or the
    /// attenuation is out of its range.
    pub fn new(config: &ResamplerConfig) -> Result<Self> {
        let mut resampler = Self {
            plan: Plan::shared(config)?,
            pending: Vec::new(),
            filtered: Vec::new(),
            next: 0,
            phase: 0,
            work: Work::default(),
            received: 0,
            produced: 0,
        };
        resampler.reset();
        Ok(resampler)
    }

    /// How many samples come out for `n` samples in, all told: `ceil(n·(to_rate/from_rate))`, as librosa counts them.
    pub fn output_len(&self, n: usize) -> usize {
        (n as f64 * self.plan.ratio).ceil() as usize
    }

    /// Takes the next samples and appends to `out` what they complete. The last outputs wait for later samples, as
    /// [`Resampler::latency`] says.
    ///
    /// # Errors
    /// [`Error::NotFinite`] for NaN or infinite samples; nothing is taken then.
    pub fn process(&mut self, samples: &[T], out: &mut Vec<T>) -> Result<()> {
        check_finite(samples)?;
        self.received += samples.len();
        let Some(blocks) = &self.plan.blocks else {
            out.extend_from_slice(samples);
            return Ok(());
        };
        for piece in samples.chunks(blocks.hop_in()) {
            self.pending.extend_from_slice(piece);
            self.drain(usize::MAX, out);
        }
        Ok(())
    }

    /// Appends the outputs that were waiting, as if silence followed, and makes the resampler ready for another signal.
    pub fn finish(&mut self, out: &mut Vec<T>) {
        if let Some(blocks) = &self.plan.blocks {
            let (total, silence) = (self.output_len(self.received), blocks.hop_in());
            while self.produced < total {
                self.pending.resize(self.pending.len() + silence, T::zero());
                self.drain(total, out);
            }
        }
        self.reset();
    }

    /// How many input samples, at most, an output waits for: those of a block, and what the filter sees after it.
    pub fn latency(&self) -> usize {
        let Plan { blocks: Some(blocks), steps, .. } = &*self.plan else { return 0 };
        blocks.hop_in() + blocks.half() + steps.as_ref().map_or(0, |steps| steps.lead_in)
    }

    fn reset(&mut self) {
        self.pending.clear();
        self.filtered.clear();
        (self.next, self.phase, self.received, self.produced) = (0, 0, 0, 0);
        let lead = match &self.plan.steps {
            Some(steps) => {
                self.next = steps.lead + 1 - steps.between.half();
                steps.lead_in
            }
            None => 0,
        };
        self.pending.resize(self.plan.blocks.as_ref().map_or(0, Blocks::half) + lead, T::zero());
    }

    /// Appends outputs while there is input for them, at most `total` since the start.
    fn drain(&mut self, total: usize, out: &mut Vec<T>) {
        let Plan { blocks: Some(blocks), steps, .. } = &*self.plan else { return };
        while self.pending.len() >= blocks.window() && self.produced < total {
            let block = blocks.run(&self.pending[..blocks.window()], &mut self.work);
            let before = out.len();
            match steps {
                None => out.extend_from_slice(&block[..block.len().min(total - self.produced)]),
                Some(steps) => {
                    self.filtered.extend_from_slice(block);
                    let most = total - self.produced;
                    let (samples, next, phase) = (self.filtered.as_slice(), self.next, self.phase);
                    // The same loop, compiled once for every set of vector instructions; the processor says which runs.
                    let (next, phase) = pulp::Arch::new().dispatch(Read { steps, samples, next, phase, most, out });
                    let behind = next.min(self.filtered.len());
                    self.filtered.drain(..behind);
                    (self.next, self.phase) = (next - behind, phase);
                }
            }
            self.produced += out.len() - before;
            self.pending.drain(..blocks.hop_in());
        }
    }
}

/// Outputs that are computed together.
const BATCH: usize = 32;

/// Reads the values at every step for which there are samples, at most `most`, and returns the place after them.
struct Read<'a, T> {
    steps: &'a Steps<T>,
    samples: &'a [T],
    next: usize,
    phase: u64,
    most: usize,
    out: &'a mut Vec<T>,
}

impl<T: Sample> pulp::NullaryFnOnce for Read<'_, T> {
    type Output = (usize, u64);

    #[inline(always)]
    fn call(self) -> (usize, u64) {
        let Self { steps, samples, mut next, mut phase, most, out } = self;
        let width = steps.between.width();
        let unit = 1.0 / steps.unit as f64;
        let mut left = most;
        let (mut firsts, mut phases) = ([0; BATCH], [0.0; BATCH]);
        let (mut pieces, mut offsets) = ([0; BATCH], [T::zero(); BATCH]);
        let mut parts = [[T::zero(); LANES]; BATCH];
        loop {
            // Small loops are better vector code than one that does everything for one output.
            let mut n = 0;
            while n < BATCH.min(left) && next + width <= samples.len() {
                // Signed numbers are converted faster; a phase is far below 2^63.
                (firsts[n], phases[n]) = (next, phase as i64 as f64);
                n += 1;
                next += steps.whole;
                phase += steps.part;
                if phase >= steps.unit {
                    phase -= steps.unit;
                    next += 1;
                }
            }
            for ((piece, offset), phase) in pieces.iter_mut().zip(&mut offsets).zip(&phases) {
                (*piece, *offset) = Between::spot(phase * unit);
            }
            let spots = pieces.iter().zip(&offsets).zip(&firsts);
            for (parts, ((&piece, &offset), &first)) in parts[..n].iter_mut().zip(spots) {
                *parts = steps.between.parts(piece, offset, &samples[first..first + width]);
            }
            out.extend(parts[..n].iter().map(|&[a, b, c, d, e, f, g, h]| ((a + e) + (c + g)) + ((b + f) + (d + h))));
            left -= n;
            if n < BATCH {
                break;
            }
        }
        (next, phase)
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

    const RATES: [(u32, u32); 10] = [
        (48_000, 16_000),
        (44_100, 16_000),
        (24_414, 16_000),
        (22_050, 16_000),
        (16_000, 48_000),
        (16_000, 22_050),
        (44_100, 48_000),
        (8_000, 16_000),
        (22_050, 22_932),
        (22_051, 21_997),
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
        for to_rate in [16_000.0, 44_100.0, 48_000.0, 16_000.5, 47_999.9] {
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
    fn every_output_is_the_filter_s_sum_over_the_samples_around_it() {
        let samples: Vec<f64> = (0..3000).map(|n| f64::from(n * n % 101) / 101.0 - 0.5).collect();
        for (from, to) in RATES {
            let got = resample(&samples, from, to).unwrap();
            let (step, stop) = (f64::from(from) / f64::from(to), 0.5 * (f64::from(to) / f64::from(from)).min(1.0));
            let kernel = Kernel::new(stop, stop * (1.0 - 0.913), 130.0);
            for m in (0..got.len()).step_by(7) {
                let place = m as f64 * step;
                let reach = kernel.half() as f64;
                let (first, last) = ((place - reach).max(0.0).ceil() as usize, ((place + reach) as usize).min(2999));
                let sum: f64 = (first..=last).map(|k| samples[k] * kernel.at(place - k as f64)).sum();
                assert!((got[m] - sum).abs() < 2e-6, "{from} -> {to} at {m}: got {}, want {sum}", got[m]);
            }
        }
    }

    #[test]
    fn the_latest_plans_are_shared_and_others_forgotten() {
        let config = |n: u32| ResamplerConfig { from_rate: 1000.0, to_rate: f64::from(1001 + n), ..Default::default() };
        let first = Plan::<f32>::shared(&config(0)).unwrap();
        // Other tests plan too, and may come in between now and then.
        let again = |_| Arc::ptr_eq(&Plan::<f32>::shared(&config(0)).unwrap(), &Plan::shared(&config(0)).unwrap());
        assert!((0..10).any(again));
        for n in 1..100 {
            Plan::<f64>::shared(&config(n)).unwrap();
            assert!(PLANS.lock().unwrap().len() <= KEPT_PLANS);
        }
        assert!(!Arc::ptr_eq(&first, &Plan::shared(&config(0)).unwrap()));
    }

    #[test]
    fn rates_far_apart() {
        for (from, to) in [(48_000, 47), (47, 48_000), (44_100, 100), (100, 44_100)] {
            let n = 10 * from as usize;
            let samples: Vec<f64> = tone(5.0, f64::from(from), n);
            let got = resample(&samples, from, to).unwrap();
            assert_eq!(got.len(), 10 * to as usize);
            let error = deviation(&got, &tone(5.0, f64::from(to), got.len()));
            assert!(error < 1e-6, "{from} -> {to}: {error}");
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
