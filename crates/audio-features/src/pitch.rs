//! The fundamental frequency of a voice: YIN and its probabilistic successor.

use realfft::num_complex::Complex;
use realfft::{ComplexToReal, RealFftPlanner, RealToComplex};
use std::collections::BTreeMap;
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::frame::{PadMode, check_hop, check_length, frame_count, pad_into};
use crate::lanes::{Kernel, vectorized};
use crate::mel::check_rate;
use crate::sample::{Sample, check_finite};
use crate::window::Window;

/// Settings of [`yin`], by librosa's names and with its defaults. The range of pitch has no default in librosa; here it is that
/// of a speaking voice.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(default))]
pub struct YinConfig {
    /// Sampling rate, in Hz. Default 22,050.
    pub sr: f64,
    /// Lowest pitch, in Hz; a frame must hold more than one of its periods. Default 65.
    pub fmin: f64,
    /// Highest pitch, in Hz, at most half of `sr`. Default 500.
    pub fmax: f64,
    /// Length of a frame, in samples. Default 2048.
    pub frame_length: usize,
    /// Samples from one frame to the next. Default: a quarter of `frame_length`.
    pub hop_length: Option<usize>,
    /// A period is accepted where the normalised difference falls below this. Default 0.1. Has no part in [`pyin`].
    pub trough_threshold: f64,
    /// Whether frame t is centred on sample t·`hop_length` (the signal is padded), or starts there. Default true.
    pub center: bool,
    /// How the signal is padded when `center` is set. Default: zeros.
    pub pad_mode: PadMode,
}

impl Default for YinConfig {
    fn default() -> Self {
        Self {
            sr: 22_050.0,
            fmin: 65.0,
            fmax: 500.0,
            frame_length: 2048,
            hop_length: None,
            trough_threshold: 0.1,
            center: true,
            pad_mode: PadMode::Constant,
        }
    }
}

/// The normalised difference function of every frame, and the periods it is computed for.
struct Differences {
    config: YinConfig,
    hop_length: usize,
    min_period: usize,
    max_period: usize,
    forward: Arc<dyn RealToComplex<f64>>,
    inverse: Arc<dyn ComplexToReal<f64>>,
}

impl Differences {
    fn new(config: &YinConfig) -> Result<Self> {
        let YinConfig { sr, fmin, fmax, frame_length, .. } = *config;
        check_rate(sr)?;
        check_length("frame_length", frame_length)?;
        if fmax.is_nan() || fmax > sr / 2.0 {
            return Err(Error::config("fmax", format!("at most {} Hz", sr / 2.0), fmax));
        }
        if !(fmin > 0.0 && fmin < fmax) {
            return Err(Error::config("fmin", format!("above 0 and below fmax = {fmax} Hz"), fmin));
        }
        if sr / fmin >= frame_length as f64 - 1.0 {
            let least = sr / (frame_length as f64 - 1.0);
            return Err(Error::config("fmin", format!("above {least} Hz for frames of {frame_length} samples"), fmin));
        }
        let hop_length = config.hop_length.unwrap_or(frame_length / 4);
        check_hop(hop_length)?;
        let mut planner = RealFftPlanner::new();
        let max_period = ((sr / fmin).ceil() as usize).min(frame_length - 1);
        // So long that the ends of the frame do not meet within the longest period.
        let length = quick_length(frame_length + max_period);
        Ok(Self {
            config: config.clone(),
            hop_length,
            min_period: (sr / fmax).floor() as usize,
            max_period,
            forward: planner.plan_fft_forward(length),
            inverse: planner.plan_fft_inverse(length),
        })
    }

    /// Calls `use_frame(differences, shifts)` for every frame: the cumulative mean normalised difference (de Cheveigné and
    /// Kawahara 2002, equation 8) of every period from the shortest to the longest, and by how much of a sample the
    /// parabola through each value and its neighbours has its lowest point beside it.
    fn each<T: Sample>(&self, samples: &[T], mut use_frame: impl FnMut(&[f64], &[f64])) -> Result<()> {
        check_finite(samples)?;
        let frame_length = self.config.frame_length;
        let half = if self.config.center { frame_length / 2 } else { 0 };
        let mut padded = Vec::<f64>::new();
        pad_into(samples, half, half, self.config.pad_mode, &mut padded)?;
        let frames = frame_count(padded.len(), frame_length, self.hop_length);
        if frames == 0 {
            return Err(Error::TooShort { expected: frame_length - 2 * half, got: samples.len() });
        }
        let mut buffer = self.forward.make_input_vec();
        let mut spectrum = self.forward.make_output_vec();
        let (mut energy, mut difference) = (vec![0.0; self.max_period + 1], vec![0.0; self.max_period + 1]);
        let count = self.max_period + 1 - self.min_period;
        let (mut normalised, mut shifts) = (vec![0.0; count], vec![0.0; count]);
        for t in 0..frames {
            let frame = &padded[t * self.hop_length..][..frame_length];
            // The autocorrelation is the inverse transform of the power spectrum.
            buffer[..frame_length].copy_from_slice(frame);
            buffer[frame_length..].fill(0.0);
            let failed = |error| Error::input("a frame", "as long as the transform", error);
            self.forward.process(&mut buffer, &mut spectrum).map_err(failed)?;
            for bin in &mut spectrum {
                *bin = Complex::new(bin.norm_sqr(), 0.0);
            }
            self.inverse.process(&mut spectrum, &mut buffer).map_err(failed)?;
            let scale = 1.0 / buffer.len() as f64;
            let correlation = |lag: usize| buffer[lag] * scale;

            // Energy of the samples that a period leaves out at the start; librosa starts from 0, not from the first sample.
            let mut sum = 0.0;
            for (slot, x) in energy.iter_mut().zip(frame) {
                sum += x * x;
                *slot = sum;
            }
            energy[0] = 0.0;
            let (mut sum, tiny) = (0.0, T::min_positive_value().widen());
            for period in 1..=self.max_period {
                difference[period] = 2.0 * (correlation(0) - correlation(period)) - energy[period - 1];
                sum += difference[period];
                if period >= self.min_period {
                    normalised[period - self.min_period] = difference[period] / (sum / period as f64 + tiny);
                }
            }
            shifts.fill(0.0);
            for (slot, three) in shifts[1..].iter_mut().zip(normalised.windows(3)) {
                let curvature = three[2] + three[0] - 2.0 * three[1];
                let slope = (three[2] - three[0]) / 2.0;
                if slope.abs() < curvature.abs() {
                    *slot = -slope / curvature;
                }
            }
            use_frame(&normalised, &shifts);
        }
        Ok(())
    }
}

/// The shortest length from `least` on that is quick to transform: a power of two, or three or five times one.
fn quick_length(least: usize) -> usize {
    [1, 3, 5].map(|factor| factor * least.div_ceil(factor).next_power_of_two()).into_iter().min().unwrap_or(least)
}

/// Whether a value is lower than the one before it and no higher than the one after.
fn is_trough(values: &[f64], index: usize) -> bool {
    let falls = index == 0 || values[index] < values[index - 1];
    match values.get(index + 1) {
        // The first value counts only when the next is truly higher.
        Some(next) if index == 0 => values[0] < *next,
        Some(next) => falls && values[index] <= *next,
        None => falls,
    }
}

/// The pitch of every frame, in Hz (librosa: `yin`, which is `float64` too; A. de Cheveigné, H. Kawahara, "YIN, a fundamental
/// frequency estimator for speech and music", 2002). Every frame gets a pitch, silence and noise too: [`pyin`] says which are
/// voiced.
///
/// ```
/// use audio_features::{YinConfig, yin};
///
/// let tone: Vec<f32> = (0..22_050).map(|n| (n as f32 * 220.0 / 22_050.0 * 6.283_185).sin()).collect();
/// let pitch = yin(&tone, &YinConfig::default())?;
/// assert!((pitch[20] - 220.0).abs() < 1.0);
/// # Ok::<(), audio_features::Error>(())
/// ```
///
/// # Errors
/// [`Error::InvalidConfig`] when the range of pitch is empty, above half of `sr`, or too low for the frame; [`Error::NotFinite`]
/// for NaN or infinite samples; [`Error::TooShort`] for a signal shorter than a frame that is not centred.
pub fn yin<T: Sample>(samples: &[T], config: &YinConfig) -> Result<Vec<f64>> {
    let differences = Differences::new(config)?;
    let mut pitches = Vec::new();
    differences.each(samples, |values, shifts| {
        let accepted = (0..values.len()).find(|&i| values[i] < config.trough_threshold && is_trough(values, i));
        let index = accepted.unwrap_or_else(|| lowest(values));
        pitches.push(config.sr / ((differences.min_period + index) as f64 + shifts[index]));
    })?;
    Ok(pitches)
}

/// Where the first of the lowest values stands.
fn lowest(values: &[f64]) -> usize {
    values.iter().enumerate().fold(0, |best, (i, value)| if *value < values[best] { i } else { best })
}

/// Settings of [`pyin`], by librosa's names and with its defaults.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(default))]
pub struct PyinConfig {
    /// The frames and the range of pitch.
    pub yin: YinConfig,
    /// Number of thresholds that are tried. Default 100.
    pub n_thresholds: usize,
    /// Shape of the beta distribution that the thresholds are believed in by. Default (2, 18).
    pub beta_parameters: (f64, f64),
    /// How much earlier troughs are preferred. Default 2.
    pub boltzmann_parameter: f64,
    /// Width of a pitch bin, in semitones, 0.001 to 1. Default 0.1.
    pub resolution: f64,
    /// How fast the pitch may change, in octaves a second. Default 35.92.
    pub max_transition_rate: f64,
    /// Probability of changing between voiced and unvoiced from one frame to the next. Default 0.01.
    pub switch_prob: f64,
    /// Probability of the lowest trough where none is below a threshold. Default 0.01.
    pub no_trough_prob: f64,
    /// Rarer transitions are not looked at. Default 1e-4.
    pub transition_min_prob: f64,
}

impl Default for PyinConfig {
    fn default() -> Self {
        Self {
            yin: YinConfig::default(),
            n_thresholds: 100,
            beta_parameters: (2.0, 18.0),
            boltzmann_parameter: 2.0,
            resolution: 0.1,
            max_transition_rate: 35.92,
            switch_prob: 0.01,
            no_trough_prob: 0.01,
            transition_min_prob: 1e-4,
        }
    }
}

/// What [`pyin`] finds in every frame.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct PyinTrack {
    /// The pitch in Hz; NaN where the frame is unvoiced.
    pub f0: Vec<f64>,
    /// Whether the frame is voiced.
    pub voiced: Vec<bool>,
    /// How probable it is that the frame is voiced, 0 to 1.
    pub voiced_probability: Vec<f64>,
}

/// [`Pyin::process`], planned for this one call.
///
/// # Errors
/// As [`Pyin::new`] and [`Pyin::process`].
pub fn pyin<T: Sample>(samples: &[T], config: &PyinConfig) -> Result<PyinTrack> {
    Pyin::new(config)?.process(samples)
}

/// A planned pitch tracker (librosa: `pyin`; M. Mauch, S. Dixon, "pYIN: a fundamental frequency estimator using probabilistic
/// threshold distributions", 2014).
///
/// YIN's single threshold becomes a distribution of thresholds, each of which votes for a trough; a Viterbi search then
/// finds the likeliest path through pitches and voicing.
pub struct Pyin {
    config: PyinConfig,
    differences: Differences,
    /// How much each threshold is believed in.
    beliefs: Vec<f64>,
    /// Boltzmann's distribution: what a trough in each place counts for, and what makes so many of them sum to 1.
    decays: Vec<f64>,
    scales: Vec<f64>,
    bins_per_semitone: usize,
    n_bins: usize,
    transitions: Transitions,
}

impl std::fmt::Debug for Pyin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pyin").field("config", &self.config).finish_non_exhaustive()
    }
}

impl Pyin {
    /// Draws the distribution of thresholds and the probabilities of transitions.
    ///
    /// # Errors
    /// [`Error::InvalidConfig`] as [`yin`], and when a probability, a count or a shape is out of its range.
    pub fn new(config: &PyinConfig) -> Result<Self> {
        let differences = Differences::new(&config.yin)?;
        if !(1..=65_536).contains(&config.n_thresholds) {
            return Err(Error::config("n_thresholds", "1 to 65536", config.n_thresholds));
        }
        let (a, b) = config.beta_parameters;
        if !(a > 0.0 && b > 0.0 && a.is_finite() && b.is_finite()) {
            return Err(Error::config("beta_parameters", "two finite numbers above 0", format!("({a}, {b})")));
        }
        if !(config.boltzmann_parameter > 0.0 && config.boltzmann_parameter.is_finite()) {
            return Err(Error::config("boltzmann_parameter", "a finite number above 0", config.boltzmann_parameter));
        }
        if !(0.001..=1.0).contains(&config.resolution) {
            return Err(Error::config("resolution", "0.001 to 1 semitone", config.resolution));
        }
        if !(config.max_transition_rate >= 0.0 && config.max_transition_rate.is_finite()) {
            return Err(Error::config(
                "max_transition_rate",
                "a finite number, at least 0",
                config.max_transition_rate,
            ));
        }
        for (name, value) in [("switch_prob", config.switch_prob), ("no_trough_prob", config.no_trough_prob)] {
            if !(0.0..=1.0).contains(&value) {
                return Err(Error::config(name, "0 to 1", value));
            }
        }
        if !(0.0..1.0).contains(&config.transition_min_prob) {
            return Err(Error::config("transition_min_prob", "at least 0 and below 1", config.transition_min_prob));
        }

        let cdf: Vec<f64> =
            (0..=config.n_thresholds).map(|n| beta_cdf(n as f64 / config.n_thresholds as f64, a, b)).collect();
        let bins_per_semitone = (1.0 / config.resolution).ceil() as usize;
        let octaves = (config.yin.fmax / config.yin.fmin).log2();
        let n_bins = (12.0 * bins_per_semitone as f64 * octaves).floor() as usize + 1;
        let step = config.max_transition_rate * 12.0 * differences.hop_length as f64 / config.yin.sr;
        let width = step.round_ties_even() as usize * bins_per_semitone + 1;
        if width > n_bins || n_bins < 2 {
            let expected = format!("such that a frame moves at most over the {n_bins} bins of pitch");
            return Err(Error::config("max_transition_rate", expected, config.max_transition_rate));
        }
        let most = differences.max_period + 2 - differences.min_period;
        let decay = |place: usize| (-config.boltzmann_parameter * place as f64).exp();
        Ok(Self {
            decays: (0..most).map(decay).collect(),
            scales: (0..most).map(|count| (1.0 - decay(1)) / (1.0 - decay(count))).collect(),
            beliefs: cdf.windows(2).map(|pair| pair[1] - pair[0]).collect(),
            bins_per_semitone,
            n_bins,
            transitions: Transitions::new(n_bins, width, config.switch_prob, config.transition_min_prob)?,
            differences,
            config: config.clone(),
        })
    }

    /// Pitch and voicing of every frame.
    ///
    /// # Errors
    /// [`Error::NotFinite`] for NaN or infinite samples; [`Error::TooShort`] for a signal shorter than a frame that is not
    /// centred.
    pub fn process<T: Sample>(&self, samples: &[T]) -> Result<PyinTrack> {
        let YinConfig { sr, fmin, .. } = self.config.yin;
        let per_octave = 12.0 * self.bins_per_semitone as f64;
        let mut observations: Vec<Vec<f64>> = Vec::new();
        let mut voiced_probability = Vec::new();
        self.differences.each(samples, |values, shifts| {
            let mut states = vec![0.0; 2 * self.n_bins];
            for (index, probability) in self.votes(values) {
                let pitch = sr / ((self.differences.min_period + index) as f64 + shifts[index]);
                let bin = (per_octave * (pitch / fmin).log2()).round_ties_even().clamp(0.0, self.n_bins as f64);
                // Later candidates of the same bin replace earlier ones, as in librosa.
                states[bin as usize] = probability;
            }
            let voiced = states[..self.n_bins].iter().sum::<f64>().clamp(0.0, 1.0);
            states[self.n_bins..].fill((1.0 - voiced) / self.n_bins as f64);
            voiced_probability.push(voiced);
            observations.push(states);
        })?;
        let path = self.transitions.likeliest_path(&observations);
        let voiced: Vec<bool> = path.iter().map(|&state| state < self.n_bins).collect();
        let pitch = |state: usize| fmin * ((state % self.n_bins) as f64 / per_octave).exp2();
        let f0 =
            path.iter().zip(&voiced).map(|(&state, &voiced)| if voiced { pitch(state) } else { f64::NAN }).collect();
        Ok(PyinTrack { f0, voiced, voiced_probability })
    }

    /// How probable each trough is to be the period, summed over all thresholds.
    fn votes(&self, values: &[f64]) -> Vec<(usize, f64)> {
        let PyinConfig { n_thresholds, no_trough_prob, .. } = self.config;
        let mut votes: Vec<(usize, f64)> =
            (0..values.len()).filter(|&i| is_trough(values, i)).map(|index| (index, 0.0)).collect();
        let depths: Vec<f64> = votes.iter().map(|&(index, _)| values[index]).collect();
        let Some(deepest) = (0..depths.len()).min_by(|&a, &b| depths[a].total_cmp(&depths[b])) else {
            return votes;
        };
        let mut below_none = 0.0;
        for (n, belief) in self.beliefs.iter().enumerate() {
            let threshold = (n + 1) as f64 / n_thresholds as f64;
            let count = depths.iter().filter(|&&depth| depth < threshold).count();
            if count == 0 {
                below_none += belief;
                continue;
            }
            // Boltzmann's distribution over the troughs below the threshold, the earliest likeliest.
            let share = belief * self.scales[count];
            let below = votes.iter_mut().zip(&depths).filter(|(_, depth)| **depth < threshold);
            for (((_, vote), _), decay) in below.zip(&self.decays) {
                *vote += share * decay;
            }
        }
        votes[deepest].1 += no_trough_prob * below_none;
        votes.retain(|&(_, vote)| vote != 0.0);
        votes
    }
}

/// The hidden states of [`Pyin`]: pitch bins, first voiced, then unvoiced, and how they follow each other.
struct Transitions {
    n_states: usize,
    /// The diagonals of the matrix of transitions that hold any, those of the lowest origins first.
    diagonals: Vec<Diagonal>,
}

/// The transitions that lead equally far.
struct Diagonal {
    /// The states that the first transition comes from and goes to; the next ones are those behind both.
    from: usize,
    to: usize,
    /// The logarithm of the probability of each, −∞ where there is none.
    logs: Vec<f64>,
}

impl Transitions {
    fn new(n_bins: usize, width: usize, switch: f64, least: f64) -> Result<Self> {
        // A triangle around the bin itself, cut at the ends and made to sum to 1.
        let triangle = Window::Triang.samples(width, false)?;
        let half = width / 2;
        let left = (n_bins - width) / 2;
        let mut sources = vec![Vec::new(); 2 * n_bins];
        for from in 0..n_bins {
            let shift = n_bins / 2 + from + 1;
            let row: Vec<(usize, f64)> = triangle
                .iter()
                .enumerate()
                .map(|(n, &weight)| ((left + n + shift) % n_bins, weight))
                .filter(|&(to, _)| to + half >= from && to < (from + half + 1).min(n_bins))
                .collect();
            let sum: f64 = row.iter().map(|(_, weight)| weight).sum();
            for (to, weight) in row {
                for (from_side, to_side) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
                    let stays = if from_side == to_side { 1.0 - switch } else { switch };
                    let probability = stays * weight / sum;
                    if probability + f64::MIN_POSITIVE >= least + f64::MIN_POSITIVE {
                        let log = (probability + f64::MIN_POSITIVE).ln();
                        sources[to_side * n_bins + to].push((from_side * n_bins + from, log));
                    }
                }
            }
        }
        if sources.iter().any(Vec::is_empty) {
            return Err(Error::config("transition_min_prob", "low enough that every state can be reached", least));
        }
        let mut diagonals = BTreeMap::new();
        for (to, source) in sources.iter().enumerate() {
            for &(from, log) in source {
                let distance = from as isize - to as isize;
                let (first_from, first_to) = (from.saturating_sub(to), to.saturating_sub(from));
                let length = sources.len() - first_from.max(first_to);
                let none = || Diagonal { from: first_from, to: first_to, logs: vec![f64::NEG_INFINITY; length] };
                diagonals.entry(distance).or_insert_with(none).logs[to - first_to] = log;
            }
        }
        Ok(Self { n_states: sources.len(), diagonals: diagonals.into_values().collect() })
    }

    /// Viterbi's algorithm, from evenly likely first states.
    fn likeliest_path(&self, observations: &[Vec<f64>]) -> Vec<usize> {
        let n_states = self.n_states;
        let log = |probability: f64| (probability + f64::MIN_POSITIVE).ln();
        // Most states of a frame share one of two probabilities: 0, or that of being unvoiced.
        let impossible = log(0.0);
        let mut known = (0.0, impossible);
        let mut log_again = |probability: f64| {
            if probability == 0.0 {
                return impossible;
            }
            if probability != known.0 {
                known = (probability, log(probability));
            }
            known.1
        };
        let mut before: Vec<f64> = Vec::new();
        let mut pointers: Vec<Vec<i64>> = Vec::with_capacity(observations.len());
        for observation in observations {
            let mut scores = vec![log(1.0 / n_states as f64); n_states];
            let mut origins = vec![0; n_states];
            if !before.is_empty() {
                scores.fill(f64::NEG_INFINITY);
                vectorized(Follow {
                    diagonals: &self.diagonals,
                    before: &before,
                    scores: &mut scores,
                    origins: &mut origins,
                });
            }
            before =
                scores.iter().zip(observation).map(|(score, &probability)| score + log_again(probability)).collect();
            pointers.push(origins);
        }
        let mut state =
            before.iter().enumerate().fold(0, |best, (i, score)| if *score > before[best] { i } else { best });
        let mut path = vec![0; observations.len()];
        for (t, pointers) in pointers.iter().enumerate().rev() {
            path[t] = state;
            state = (state as i64 + pointers[state]) as usize;
        }
        path
    }
}

/// One step of [`Transitions::likeliest_path`]: the best score of every state, and how far away the state is that it comes
/// from, the lowest of equally good ones.
struct Follow<'a> {
    diagonals: &'a [Diagonal],
    before: &'a [f64],
    scores: &'a mut [f64],
    origins: &'a mut [i64],
}

impl Kernel for Follow<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        for Diagonal { from, to, logs } in self.diagonals {
            let distance = *from as i64 - *to as i64;
            let slots = self.scores[*to..].iter_mut().zip(&mut self.origins[*to..]);
            for ((score, origin), (before, log)) in slots.zip(self.before[*from..].iter().zip(logs)) {
                let candidate = before + log;
                let better = candidate > *score;
                *score = if better { candidate } else { *score };
                *origin = if better { distance } else { *origin };
            }
        }
    }
}

/// The regularised incomplete beta function I_x(a, b), by its continued fraction (Lentz's method; Abramowitz and Stegun,
/// 26.5.8).
fn beta_cdf(x: f64, a: f64, b: f64) -> f64 {
    if x <= 0.0 {
        return 0.0;
    }
    if x >= 1.0 {
        return 1.0;
    }
    if x > (a + 1.0) / (a + b + 2.0) {
        // The fraction converges quickly on this side.
        return 1.0 - beta_cdf(1.0 - x, b, a);
    }
    let front = (ln_gamma(a + b) - ln_gamma(a) - ln_gamma(b) + a * x.ln() + b * (1.0 - x).ln()).exp() / a;
    let guard = |value: f64| if value.abs() < 1e-300 { 1e-300 } else { value };
    let (mut c, mut d) = (1.0, 1.0 / guard(1.0 - (a + b) * x / (a + 1.0)));
    let mut fraction = d;
    for m in 1..500 {
        let m = f64::from(m);
        let even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        d = 1.0 / guard(1.0 + even * d);
        c = guard(1.0 + even / c);
        fraction *= d * c;
        let odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
        d = 1.0 / guard(1.0 + odd * d);
        c = guard(1.0 + odd / c);
        fraction *= d * c;
        if (d * c - 1.0).abs() < 1e-16 {
            break;
        }
    }
    front * fraction
}

/// ln Γ(x) for x > 0, by Stirling's series (Abramowitz and Stegun, 6.1.41) after moving x above 15.
fn ln_gamma(x: f64) -> f64 {
    let (mut x, mut product) = (x, 1.0);
    while x < 15.0 {
        product *= x;
        x += 1.0;
    }
    let square = 1.0 / (x * x);
    let series = (1.0 / 12.0 - square * (1.0 / 360.0 - square * (1.0 / 1260.0 - square / 1680.0))) / x;
    (x - 0.5) * x.ln() - x + 0.5 * (2.0 * std::f64::consts::PI).ln() + series - f64::ln(product)
}

#[cfg(test)]
mod tests {
    use std::f64::consts::TAU;

    use super::*;

    fn voice(frequency: f64, n: usize) -> Vec<f64> {
        (0..n)
            .map(|i| {
                (1..8).map(|k| (TAU * frequency * f64::from(k) * i as f64 / 22_050.0).sin() / f64::from(k)).sum::<f64>()
            })
            .collect()
    }

    #[test]
    fn beta_distribution_has_its_closed_form() {
        // With integers, I_x(2, 18) = 1 − (1 − x)^19 − 19·x·(1 − x)^18.
        for x in [0.01, 0.1, 0.3, 0.7, 0.99_f64] {
            let want = 1.0 - (1.0 - x).powi(19) - 19.0 * x * (1.0 - x).powi(18);
            assert!((beta_cdf(x, 2.0, 18.0) - want).abs() < 1e-13, "{x}");
        }
    }

    #[test]
    fn both_hear_a_steady_voice_and_pyin_hears_silence() {
        let mut samples = voice(140.0, 22_050);
        let pitch = yin(&samples, &YinConfig::default()).unwrap();
        assert!(pitch[5..38].iter().all(|f| (f / 140.0).log2().abs() < 0.01));
        samples.extend(vec![0.0; 22_050]);
        let track = pyin(&samples, &PyinConfig::default()).unwrap();
        assert!(track.f0[5..38].iter().all(|f| (f / 140.0).log2().abs() < 0.01));
        assert!(track.voiced[5..38].iter().all(|&voiced| voiced));
        assert!(track.voiced[50..].iter().all(|&voiced| !voiced) && track.f0[60].is_nan());
    }

    #[test]
    fn impossible_ranges_are_errors() {
        for (fmin, fmax) in [(500.0, 65.0), (0.0, 100.0), (5.0, 100.0), (65.0, 20_000.0), (f64::NAN, 100.0)] {
            let config = YinConfig { fmin, fmax, ..YinConfig::default() };
            assert!(yin(&[0.0_f32; 4000], &config).is_err(), "{fmin} to {fmax}");
        }
        assert!(yin(&[0.0_f32; 10], &YinConfig { center: false, ..YinConfig::default() }).is_err());
        assert!(pyin(&[0.0_f32; 10], &PyinConfig { resolution: 0.0, ..PyinConfig::default() }).is_err());
    }
}
