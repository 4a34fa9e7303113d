//! The twelve pitch classes.

use std::ops::Range;

use ndarray::{Array2, ArrayView2, ArrayViewMut2};

use crate::convert::hz_to_octs;
use crate::error::{Error, Result};
use crate::frame::LONGEST_FRAME;
use crate::lanes::{Block, LANES, Lanes, blocks_of, store};
use crate::linalg::{GROUP, multiply_bins};
use crate::mel::check_rate;
use crate::normalize::Norm;
use crate::sample::{Sample, check_finite};
use crate::scratch::Pool;
use crate::stft::{Framed, Stft, StftConfig};
use crate::tuning::{Deviations, PeakFinder, Peaks, PiptrackConfig};

/// Settings of a chroma filter bank, by librosa's names and with its defaults.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(default))]
pub struct ChromaFilterConfig {
    /// Sampling rate, in Hz. Default 22,050.
    pub sr: f64,
    /// Length of the transform, in samples, at least 2. Default 2048.
    pub n_fft: usize,
    /// Number of pitch classes. Default 12.
    pub n_chroma: usize,
    /// Deviation from 440 Hz, in fractions of a class. Default 0.
    pub tuning: f64,
    /// Centre of the bell curve over octaves, in octaves above 27.5 Hz. Default 5 (880 Hz).
    pub ctroct: f64,
    /// Half width of that bell curve, in octaves; `None` weighs all octaves alike. Default 2.
    pub octwidth: Option<f64>,
    /// Norm of every bin's weights. Default: the Euclidean length.
    pub norm: Norm,
    /// Whether the classes start at C (else at A). Default true.
    pub base_c: bool,
}

impl Default for ChromaFilterConfig {
    fn default() -> Self {
        Self {
            sr: 22_050.0,
            n_fft: 2048,
            n_chroma: 12,
            tuning: 0.0,
            ctroct: 5.0,
            octwidth: Some(2.0),
            norm: Norm::P(2.0),
            base_c: true,
        }
    }
}

/// More classes than any scale has; a mistake beyond it would only exhaust memory.
const MOST_CLASSES: usize = 1 << 12;

/// A chroma filter bank, shape `[n_chroma, n_bins]` (librosa: `filters.chroma`; its dtype is `float32` too).
///
/// # Errors
/// [`Error::InvalidConfig`] when `sr` is not above 0, `n_fft` is below 2, `n_chroma` is 0, or a number is not finite.
pub fn chroma_filters(config: &ChromaFilterConfig) -> Result<Array2<f32>> {
    let design = FilterDesign::new(config)?;
    let mut bank = Array2::zeros((config.n_chroma, config.n_fft / 2 + 1));
    design.draw(config.tuning, &mut Vec::new(), |bin, weights| {
        for (class, &weight) in weights.iter().enumerate() {
            bank[[class, bin]] = weight as f32;
        }
    })?;
    Ok(bank)
}

/// Everything of a filter bank that does not depend on the tuning, which may be known only after a signal was seen.
#[derive(Debug, Clone)]
struct FilterDesign {
    config: ChromaFilterConfig,
    bins: Vec<BinDesign>,
}

/// A bin weighs every class by a bell curve of their distance d: e^(−2·(d/width)²).
#[derive(Debug, Clone, Copy)]
struct BinDesign {
    /// Its place on the scale of classes when the tuning is 0.
    place: f64,
    /// 2/width², where the width is in classes and at least 1.
    steepness: f64,
    /// e^(−steepness).
    fall: f64,
}

impl FilterDesign {
    fn new(config: &ChromaFilterConfig) -> Result<Self> {
        let ChromaFilterConfig { sr, n_fft, n_chroma, ctroct, octwidth, norm, .. } = *config;
        check_rate(sr)?;
        norm.check()?;
        if !(2..=LONGEST_FRAME).contains(&n_fft) {
            return Err(Error::config("n_fft", format!("2 to {LONGEST_FRAME}"), n_fft));
        }
        if !(1..=MOST_CLASSES).contains(&n_chroma) {
            return Err(Error::config("n_chroma", format!("1 to {MOST_CLASSES}"), n_chroma));
        }
        if !ctroct.is_finite() {
            return Err(Error::config("ctroct", "a finite number", ctroct));
        }
        if let Some(width) = octwidth
            && !(width.is_finite() && width != 0.0)
        {
            return Err(Error::config("octwidth", "a finite number that is not 0", width));
        }
        let classes = n_chroma as f64;
        let place = |bin: usize| classes * hz_to_octs(bin as f64 * (sr / n_fft as f64), 0.0, n_chroma);
        // One bin more than is drawn, for the width of the last. The bin at 0 Hz has no place; it gets one far below.
        let mut places: Vec<f64> = (0..=n_fft / 2 + 1).map(|bin| place(bin.max(1))).collect();
        places[0] -= 1.5 * classes;
        let mut bins: Vec<BinDesign> =
            places.windows(2).map(|pair| BinDesign::new(pair[0], (pair[1] - pair[0]).max(1.0))).collect();
        if n_fft == 2 {
            // The transform has no bin beyond the last one; librosa takes its width to be 1.
            bins[1] = BinDesign::new(places[1], 1.0);
        }
        Ok(Self { config: config.clone(), bins })
    }

    /// Calls `write(bin, weights)` with the weights of every class, bin by bin; `weights` is working memory.
    fn draw(&self, tuning: f64, weights: &mut Vec<f64>, mut write: impl FnMut(usize, &[f64])) -> Result<()> {
        let ChromaFilterConfig { n_chroma, ctroct, octwidth, norm, base_c, .. } = self.config;
        if !tuning.is_finite() {
            return Err(Error::config("tuning", "a finite number", tuning));
        }
        let classes = n_chroma as f64;
        let half = (classes / 2.0).round_ties_even();
        let turn = if base_c { 3 * (n_chroma / 12) } else { 0 };
        weights.resize(2 * n_chroma, 0.0);
        let (curve, weights) = weights.split_at_mut(n_chroma);
        for (bin, design) in self.bins.iter().enumerate() {
            let place = design.place - tuning;
            // The distance from class c is whole + part − half − c, wrapped round so that it lies between −half and half.
            let distance = (place + half).rem_euclid(classes);
            let (whole, part) = ((distance.floor() as usize).min(n_chroma - 1), distance.fract());
            design.curve(part, curve, half as usize);
            // Row `class` of the bank from A, whose distance is `whole − class` wrapped round, is row `class − turn` of the bank
            // from C.
            let mut distance = (whole + n_chroma - turn) % n_chroma;
            for weight in &mut *weights {
                *weight = curve[distance];
                distance = distance.checked_sub(1).unwrap_or(n_chroma - 1);
            }
            norm.apply(weights);
            if let Some(octwidth) = octwidth {
                let octave = (-0.5 * ((place / classes - ctroct) / octwidth).powi(2)).exp();
                weights.iter_mut().for_each(|weight| *weight *= octave);
            }
            write(bin, weights);
        }
        Ok(())
    }
}

impl BinDesign {
    fn new(place: f64, width: f64) -> Self {
        let steepness = 2.0 / (width * width);
        Self { place, steepness, fall: (-steepness).exp() }
    }

    /// The bell curve at `part − half`, `part − half + 1`, and so on.
    ///
    /// From one value to the next it changes by a factor which itself changes by the same factor every time, so two
    /// exponentials are enough for all of it.
    fn curve(self, part: f64, curve: &mut [f64], half: usize) {
        let (below, above) = curve.split_at_mut(half.min(curve.len() - 1));
        let top = (-self.steepness * part * part).exp();
        let tilt = (-2.0 * self.steepness * part).exp();
        let change = self.fall * self.fall;
        let (mut value, mut factor) = (top, tilt * self.fall);
        for slot in above {
            *slot = value;
            value *= factor;
            factor *= change;
        }
        factor = self.fall / tilt;
        value = top;
        for slot in below.iter_mut().rev() {
            value *= factor;
            factor *= change;
            *slot = value;
        }
    }
}

/// Settings of a chromagram, by librosa's names and with its defaults.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(default))]
pub struct ChromaConfig {
    /// Sampling rate, in Hz. Default 22,050.
    pub sr: f64,
    /// The transform that the chromagram comes from.
    pub stft: StftConfig,
    /// Norm of every frame. Default: the largest class is 1.
    pub norm: Norm,
    /// Deviation from 440 Hz, in fractions of a class. Default `None`: estimated from the whole signal.
    pub tuning: Option<f64>,
    /// Number of pitch classes. Default 12.
    pub n_chroma: usize,
    /// Centre of the bell curve over octaves, in octaves above 27.5 Hz. Default 5.
    pub ctroct: f64,
    /// Half width of that bell curve, in octaves; `None` weighs all octaves alike. Default 2.
    pub octwidth: Option<f64>,
    /// Whether the classes start at C (else at A). Default true.
    pub base_c: bool,
}

impl Default for ChromaConfig {
    fn default() -> Self {
        let filters = ChromaFilterConfig::default();
        Self {
            sr: filters.sr,
            stft: StftConfig::default(),
            norm: Norm::Max,
            tuning: None,
            n_chroma: filters.n_chroma,
            ctroct: filters.ctroct,
            octwidth: filters.octwidth,
            base_c: filters.base_c,
        }
    }
}

/// A planned chromagram (librosa: `feature.chroma_stft`).
///
/// ```
/// use audio_features::{Chroma, ChromaConfig};
///
/// let chroma = Chroma::new(&ChromaConfig { tuning: Some(0.0), ..ChromaConfig::default() })?;
/// let tone: Vec<f32> = (0..22_050).map(|n| (n as f32 * 440.0 / 22_050.0 * 6.283_185).sin()).collect();
/// let classes = chroma.process(&tone)?; // [n_chroma, n_frames], from C
/// assert_eq!(classes[[9, 20]], 1.0); // A
/// # Ok::<(), audio_features::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Chroma {
    config: ChromaConfig,
    stft: Stft,
    design: FilterDesign,
    finder: PeakFinder,
    deviations: Deviations,
    pool: Pool,
}

/// A filter bank, bin by bin, in groups of classes; the last group is filled up with zeros.
#[derive(Debug, Default)]
struct Bank<T> {
    tuning: Option<f64>,
    groups: Vec<Vec<[T; GROUP]>>,
}

/// Weights below this are left out. The largest weight of a bin is near 1, and `f32` holds seven digits.
const NEGLIGIBLE: f64 = 1e-17;

/// The working memory of one call.
#[derive(Debug, Default)]
pub(crate) struct ChromaWork<T> {
    weights: Vec<f64>,
    bank: Bank<T>,
    peaks: Peaks<T>,
    /// Whether to keep even the peaks that are clear of the median.
    keeps_all: bool,
    classes: Vec<Lanes<T>>,
    frame: Vec<T>,
}

impl<T: Sample> ChromaWork<T> {
    pub(crate) fn forget_peaks(&mut self) {
        self.peaks.clear();
        self.keeps_all = false;
    }

    /// For a second try, when the first one kept too few.
    pub(crate) fn forget_peaks_and_keep_all(&mut self) {
        self.peaks.clear();
        self.keeps_all = true;
    }
}

impl Chroma {
    /// Plans the transform and the filter bank.
    ///
    /// # Errors
    /// [`Error::InvalidConfig`] as [`Stft::new`] and [`chroma_filters`].
    pub fn new(config: &ChromaConfig) -> Result<Self> {
        let stft = Stft::new(&config.stft)?;
        config.norm.check()?;
        let design = FilterDesign::new(&ChromaFilterConfig {
            sr: config.sr,
            n_fft: config.stft.n_fft,
            n_chroma: config.n_chroma,
            tuning: config.tuning.unwrap_or(0.0),
            ctroct: config.ctroct,
            octwidth: config.octwidth,
            base_c: config.base_c,
            ..ChromaFilterConfig::default()
        })?;
        if let Some(tuning) = config.tuning
            && !tuning.is_finite()
        {
            return Err(Error::config("tuning", "a finite number", tuning));
        }
        let finder = PeakFinder::new(&PiptrackConfig { sr: config.sr, ..PiptrackConfig::default() }, stft.n_bins())?;
        let deviations = Deviations::new(0.01, config.n_chroma)?;
        Ok(Self { config: config.clone(), stft, design, finder, deviations, pool: Pool::default() })
    }

    /// The settings it was planned with.
    pub fn config(&self) -> &ChromaConfig {
        &self.config
    }

    /// The transform it starts from.
    pub fn stft(&self) -> &Stft {
        &self.stft
    }

    /// The energy of the pitch classes, shape `[n_chroma, n_frames]`.
    ///
    /// Unless the config names a tuning, it is estimated from the **power** spectrogram of the whole signal, as librosa does
    /// when it is given samples. Given the magnitude spectrogram, [`Chroma::from_spectrogram`] may hear another tuning.
    ///
    /// # Errors
    /// As [`Stft::process`].
    pub fn process<T: Sample>(&self, samples: &[T]) -> Result<Array2<T>> {
        let mut out = Array2::zeros((self.config.n_chroma, self.stft.n_frames(samples.len())?));
        self.process_into(samples, out.view_mut())?;
        Ok(out)
    }

    /// Like [`Chroma::process`], into memory of the caller; nothing is allocated after the first call with the longest signal.
    ///
    /// # Errors
    /// As [`Chroma::process`], and [`Error::WrongShape`] when `out` is not `[n_chroma, n_frames]`.
    pub fn process_into<T: Sample>(&self, samples: &[T], mut out: ArrayViewMut2<'_, T>) -> Result<()> {
        self.stft.check_out(samples.len(), self.config.n_chroma, out.shape())?;
        let signal = self.stft.framed(samples)?;
        if let Some(tuning) = self.config.tuning {
            return self.tuned(&signal, tuning, out);
        }
        let mut work = self.pool.take::<ChromaWork<T>>();
        let work = &mut *work;
        work.forget_peaks();
        let hear = |work: &mut ChromaWork<T>, block: Block<'_, Lanes<T>>| self.collect_peaks(&block, work);
        let tune = |work: &mut ChromaWork<T>, more| self.tune_to_peaks(work, more);
        let mut write = |work: &mut ChromaWork<T>, block: Block<'_, Lanes<T>>| {
            store(self.classes(&block, work), block.frames, block.first, &mut out);
        };
        while !self.stft.spectrogram_twice(&signal, 2.0, work, hear, tune, &mut write)? {
            work.forget_peaks_and_keep_all();
        }
        Ok(())
    }

    /// The classes of a spectrogram that is already there, shape `[n_bins, n_frames]` (librosa: `chroma_stft(S=...)`).
    /// Unless the config names a tuning, it is estimated from this spectrogram.
    ///
    /// # Errors
    /// [`Error::WrongShape`] when the spectrogram has another number of bins than the config's `n_fft`, [`Error::NotFinite`]
    /// when a value is not finite.
    pub fn from_spectrogram<T: Sample>(&self, spectrogram: ArrayView2<'_, T>) -> Result<Array2<T>> {
        let mut out = Array2::zeros((self.config.n_chroma, spectrogram.ncols()));
        self.from_spectrogram_into(spectrogram, out.view_mut())?;
        Ok(out)
    }

    /// Like [`Chroma::from_spectrogram`], into memory of the caller; nothing is allocated after the first call with the longest
    /// spectrogram.
    ///
    /// # Errors
    /// As [`Chroma::from_spectrogram`], and [`Error::WrongShape`] when `out` is not `[n_chroma, n_frames]`.
    pub fn from_spectrogram_into<T: Sample>(
        &self,
        spectrogram: ArrayView2<'_, T>,
        mut out: ArrayViewMut2<'_, T>,
    ) -> Result<()> {
        let (n_bins, n_chroma) = (self.stft.n_bins(), self.config.n_chroma);
        if spectrogram.nrows() != n_bins {
            return Err(Error::shape("the spectrogram", &[n_bins, spectrogram.ncols()], spectrogram.shape()));
        }
        if out.dim() != (n_chroma, spectrogram.ncols()) {
            return Err(Error::shape("the output", &[n_chroma, spectrogram.ncols()], out.shape()));
        }
        if spectrogram.iter().any(|x| !x.is_finite()) {
            check_finite(&spectrogram.t().iter().copied().collect::<Vec<T>>())?;
        }
        let mut work = self.pool.take::<ChromaWork<T>>();
        let mut bins = self.pool.take::<Vec<Lanes<T>>>();
        match self.config.tuning {
            Some(tuning) => self.tune(&mut work, tuning)?,
            None => {
                work.forget_peaks();
                blocks_of(spectrogram, &mut bins, |block| self.collect_peaks(&block, &mut work));
                self.tune_to_peaks(&mut work, false)?;
            }
        }
        blocks_of(spectrogram, &mut bins, |block| {
            store(self.classes(&block, &mut work), block.frames, block.first, &mut out);
        });
        Ok(())
    }

    /// The classes of a signal whose tuning is known.
    fn tuned<T: Sample>(&self, signal: &Framed<'_, T>, tuning: f64, mut out: ArrayViewMut2<'_, T>) -> Result<()> {
        self.visit(signal, 0..signal.frames(), LANES, Some(tuning), None, |first, frames, classes| {
            store(classes, frames, first, &mut out);
        })
    }

    /// Goes through one block of frames in every `step`: calls `write(first frame, frames, classes)` with its classes by a
    /// tuning, if there is one, and collects its peaks.
    pub(crate) fn visit<T: Sample>(
        &self,
        signal: &Framed<'_, T>,
        frames: Range<usize>,
        step: usize,
        tuning: Option<f64>,
        mut peaks: Option<&mut Peaks<T>>,
        mut write: impl FnMut(usize, usize, &[Lanes<T>]),
    ) -> Result<()> {
        let mut work = self.pool.take::<ChromaWork<T>>();
        if let Some(tuning) = tuning {
            self.tune(&mut work, tuning)?;
        }
        self.stft.spectrogram_every(signal, frames, step, 2.0, |block| {
            if tuning.is_some() {
                write(block.first, block.frames, self.classes(&block, &mut work));
            }
            if let Some(peaks) = &mut peaks {
                peaks.collect_block(&self.finder, self.deviations, &block);
            }
        })
    }

    /// Adds the peaks of a block of frames to those found so far.
    pub(crate) fn collect_peaks<T: Sample>(&self, block: &Block<'_, Lanes<T>>, work: &mut ChromaWork<T>) {
        work.peaks.collect_block(&self.finder, self.deviations, block);
    }

    /// Tunes the bank by the peaks found so far, and returns the tuning; `None` when too few were kept. When `more` are to
    /// come, keeps from now on only those that matter.
    pub(crate) fn tune_to_peaks<T: Sample>(&self, work: &mut ChromaWork<T>, more: bool) -> Result<Option<f64>> {
        let may_narrow = more && !work.keeps_all;
        let Some(tuning) = self.learn(&mut work.peaks, may_narrow) else { return Ok(None) };
        self.tune(work, tuning)?;
        Ok(Some(tuning))
    }

    /// The tuning by some peaks, if enough of them were kept. From now on perhaps only those are kept that matter.
    pub(crate) fn learn<T: Sample>(&self, peaks: &mut Peaks<T>, may_narrow: bool) -> Option<f64> {
        let tuning = peaks.tuning(self.deviations)?;
        if may_narrow {
            peaks.narrow(self.deviations);
        }
        Some(tuning)
    }

    /// Working memory that holds no peaks yet, for a tuning over several signals.
    pub(crate) fn start_tuning<T: Sample>(&self) -> ChromaWork<T> {
        ChromaWork::default()
    }

    /// The tuning by all peaks found so far.
    pub(crate) fn heard_tuning<T: Sample>(&self, work: &mut ChromaWork<T>) -> f64 {
        self.tuning_of(&mut work.peaks)
    }

    /// The tuning by peaks of which none was left out.
    pub(crate) fn tuning_of<T: Sample>(&self, peaks: &mut Peaks<T>) -> f64 {
        peaks.tuning(self.deviations).unwrap_or(0.0)
    }

    pub(crate) fn tune<T: Sample>(&self, work: &mut ChromaWork<T>, tuning: f64) -> Result<()> {
        if work.bank.tuning == Some(tuning) {
            return Ok(());
        }
        work.bank.tuning = None;
        let groups = self.config.n_chroma.div_ceil(GROUP);
        work.bank.groups.resize_with(groups, Vec::new);
        for group in &mut work.bank.groups {
            group.resize(self.stft.n_bins(), [T::zero(); GROUP]);
        }
        let ChromaWork { bank, weights, .. } = &mut *work;
        self.design.draw(tuning, weights, |bin, weights| {
            for (group, weights) in bank.groups.iter_mut().zip(weights.chunks(GROUP)) {
                for (slot, &weight) in group[bin].iter_mut().zip(weights) {
                    // The bank is f32 even where the spectrogram is f64, as in librosa. What is too small to be seen in a
                    // result is left out: its products are subnormal numbers, which take a hundred times as long.
                    let seen = if weight < NEGLIGIBLE { 0.0 } else { weight };
                    *slot = T::narrow(f64::from(seen as f32));
                }
            }
        })?;
        work.bank.tuning = Some(tuning);
        Ok(())
    }

    /// The normalised classes of a block of frames.
    pub(crate) fn classes<'w, T: Sample>(
        &self,
        block: &Block<'_, Lanes<T>>,
        work: &'w mut ChromaWork<T>,
    ) -> &'w [Lanes<T>] {
        let ChromaWork { bank, classes, frame, .. } = work;
        let n_chroma = self.config.n_chroma;
        classes.clear();
        for group in &bank.groups {
            classes.extend_from_slice(&multiply_bins(group, block.bins));
        }
        classes.truncate(n_chroma);
        frame.resize(n_chroma, T::zero());
        for lane in 0..block.frames {
            frame.iter_mut().zip(&*classes).for_each(|(x, class)| *x = class.0[lane]);
            self.config.norm.apply(frame);
            frame.iter().zip(&mut *classes).for_each(|(&x, class)| class.0[lane] = x);
        }
        classes
    }
}

/// Tonal centroids of a chromagram, shape `[n_chroma, n_frames]` → `[6, n_frames]`: fifths, minor and major thirds, as x and y
/// (librosa: `feature.tonnetz(chroma=...)`; C. Harte, M. Sandler, M. Gasser, "Detecting harmonic change in musical
/// audio", 2006).
///
/// # Errors
/// [`Error::InvalidInput`] when the chromagram has no classes.
pub fn tonnetz<T: Sample>(chroma: ArrayView2<'_, T>) -> Result<Array2<f64>> {
    const SCALES: [f64; 6] = [7.0 / 6.0, 7.0 / 6.0, 3.0 / 2.0, 3.0 / 2.0, 2.0 / 3.0, 2.0 / 3.0];
    const RADII: [f64; 6] = [1.0, 1.0, 1.0, 1.0, 0.5, 0.5];
    let n_chroma = chroma.nrows();
    if n_chroma == 0 {
        return Err(Error::input("the chromagram", "at least one class high", 0));
    }
    let mut out = Array2::zeros((6, chroma.ncols()));
    for (t, column) in chroma.columns().into_iter().enumerate() {
        let mut classes = column.to_vec();
        Norm::P(1.0).apply(&mut classes);
        for axis in 0..6 {
            let offset = if axis % 2 == 0 { 0.5 } else { 0.0 };
            out[[axis, t]] = (0..n_chroma)
                .map(|class| {
                    let angle = SCALES[axis] * 12.0 * class as f64 / n_chroma as f64 - offset;
                    RADII[axis] * (std::f64::consts::PI * angle).cos() * classes[class].widen()
                })
                .sum();
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_has_no_pitch_class() {
        let chroma = Chroma::new(&ChromaConfig::default()).unwrap();
        let classes = chroma.process(&vec![0.0_f32; 4000]).unwrap();
        assert!(classes.iter().all(|&x| x == 0.0));
    }

    #[test]
    fn a_long_signal_has_one_tuning_even_when_its_end_decides_it() {
        let stft = StftConfig { n_fft: 256, hop_length: Some(64), ..StftConfig::default() };
        let config = ChromaConfig { stft, ..ChromaConfig::default() };
        let chroma = Chroma::new(&config).unwrap();
        let tone = |n: usize, step: f32| (n as f32 * step).sin();
        // Past the limit of what is kept, 129 bins for every 64 samples; the second is louder and lower from its middle on.
        let steady: Vec<f32> = (0..20_000).map(|n| tone(n, 0.13)).cycle().take(1_200_000).collect();
        let turning: Vec<f32> =
            (0..1_200_000).map(|n| if n < 650_000 { 0.1 * tone(n % 20_000, 0.13) } else { tone(n, 0.11) }).collect();
        for samples in [&steady, &turning, &turning[..560_000].to_vec()] {
            let power = chroma.stft().spectrogram(samples, 2.0).unwrap();
            let peaks = PiptrackConfig::default();
            let tuning = crate::estimate_tuning(power.view(), &peaks, 0.01, 12).unwrap();
            let tuned = Chroma::new(&ChromaConfig { tuning: Some(tuning), ..config.clone() }).unwrap();
            assert_eq!(chroma.process(samples).unwrap(), tuned.process(samples).unwrap());
        }
        let tuning = |samples: &[f32]| {
            let power = chroma.stft().spectrogram(samples, 2.0).unwrap();
            crate::estimate_tuning(power.view(), &PiptrackConfig::default(), 0.01, 12).unwrap()
        };
        assert_ne!(tuning(&turning[..520_000]), tuning(&turning));
    }

    #[test]
    fn impossible_settings_are_errors() {
        for config in [
            ChromaConfig { n_chroma: 0, ..ChromaConfig::default() },
            ChromaConfig { sr: 0.0, ..ChromaConfig::default() },
            ChromaConfig { tuning: Some(f64::NAN), ..ChromaConfig::default() },
            ChromaConfig { norm: Norm::P(-1.0), ..ChromaConfig::default() },
        ] {
            assert!(matches!(Chroma::new(&config), Err(Error::InvalidConfig { .. })), "{config:?}");
        }
    }
}
