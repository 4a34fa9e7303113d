//! Pitch peaks of a spectrogram, and how far the music is out of tune.

use ndarray::{Array2, ArrayView, ArrayView2, Axis, Dimension};

use crate::convert::{fft_frequencies, hz_to_octs};
use crate::decibel::maximum;
use crate::error::{Error, Result};
use crate::lanes::{Block, Kernel, LANES, Lanes, Largest, vectorized};
use crate::mel::check_rate;
use crate::sample::Sample;

/// Settings of [`piptrack`], by librosa's names and with its defaults.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(default))]
pub struct PiptrackConfig {
    /// Sampling rate, in Hz. Default 22,050.
    pub sr: f64,
    /// Lowest frequency, in Hz. Default 150.
    pub fmin: f64,
    /// Highest frequency, in Hz. Default 4000.
    pub fmax: f64,
    /// A peak is higher than this share of the frame's largest value. Default 0.1.
    pub threshold: f64,
    /// A peak is higher than this value, whatever `threshold` says (`ref` as a number). Default: none.
    pub reference: Option<f64>,
}

impl Default for PiptrackConfig {
    fn default() -> Self {
        Self { sr: 22_050.0, fmin: 150.0, fmax: 4000.0, threshold: 0.1, reference: None }
    }
}

/// Finds the peaks of one frame after another.
#[derive(Debug, Clone)]
pub(crate) struct PeakFinder {
    bins: std::ops::Range<usize>,
    bin_width: f64,
    threshold: f64,
    reference: Option<f64>,
}

impl PeakFinder {
    pub(crate) fn new(config: &PiptrackConfig, n_bins: usize) -> Result<Self> {
        check_rate(config.sr)?;
        if n_bins < 2 {
            return Err(Error::input("the spectrogram", "at least 2 bins high", n_bins));
        }
        // As librosa: the transform's length is read off the spectrogram, so it counts as even.
        let n_fft = 2 * (n_bins - 1);
        let (low, high) = (config.fmin.max(0.0), config.fmax.min(config.sr / 2.0));
        let frequencies = fft_frequencies(config.sr, n_fft);
        let first = frequencies.iter().position(|&f| f >= low).unwrap_or(n_bins);
        let end = frequencies.iter().position(|&f| f >= high).unwrap_or(n_bins);
        Ok(Self {
            // The first bin has no left neighbour and is never a peak.
            bins: first.max(1)..end.max(first.max(1)),
            bin_width: config.sr / n_fft as f64,
            threshold: config.threshold,
            reference: config.reference,
        })
    }

    /// Calls `found(bin, frequency, magnitude)` for every peak of a frame of a spectrogram.
    ///
    /// Rounds to the samples' type wherever librosa does, since the tuning is read from a histogram of the results.
    #[inline]
    pub(crate) fn peaks<T: Sample>(&self, frame: &[T], mut found: impl FnMut(usize, T, T)) {
        let limit = match self.reference {
            Some(reference) => T::narrow(reference.abs()),
            None => T::narrow(self.threshold) * maximum(frame),
        };
        for bin in self.bins.clone() {
            let (before, here) = (frame[bin - 1], frame[bin]);
            if here > limit && here > before {
                self.peak_at(bin, before, here, frame.get(bin + 1).copied(), &mut found);
            }
        }
    }

    /// Calls `found` if a value that exceeds the one before it is a peak.
    #[inline]
    fn peak_at<T: Sample>(
        &self,
        bin: usize,
        before: T,
        here: T,
        after: Option<T>,
        found: &mut impl FnMut(usize, T, T),
    ) {
        let (half, two) = (T::narrow(0.5), T::narrow(2.0));
        let Some(after) = after else {
            // The last bin: a one-sided slope, and no parabola.
            found(bin, T::narrow(bin as f64 * self.bin_width), here);
            return;
        };
        if here < after {
            return;
        }
        // The top of the parabola through the three values.
        let curvature = (after + before).widen() - 2.0 * here.widen();
        let slope = (after - before).widen() / 2.0;
        let shift = if slope.abs() >= curvature.abs() { T::zero() } else { T::narrow(-slope / curvature) };
        let skew = half * ((after - before) / two) * shift;
        found(bin, T::narrow((bin as f64 + shift.widen()) * self.bin_width), here + skew);
    }

    /// Writes the places of the peaks of a block of frames to `places`; `flags` is working memory.
    fn block_places<T: Sample>(
        &self,
        block: &Block<'_, Lanes<T>>,
        flags: &mut Vec<[u8; LANES]>,
        places: &mut Vec<(usize, usize)>,
    ) {
        let bins = &*block.bins;
        let limits = match self.reference {
            Some(reference) => Lanes([T::narrow(reference.abs()); LANES]),
            None => vectorized(Largest { values: bins }) * T::narrow(self.threshold),
        };
        flags.resize(self.bins.len(), [0; LANES]);
        vectorized(Flags { bins, first: self.bins.start, limits, flags });
        // The flags of a bin are a number with a byte for every frame.
        let valid = u64::MAX >> (8 * (LANES - block.frames));
        places.clear();
        for (bin, flags) in self.bins.clone().zip(&*flags) {
            let mut found = u64::from_le_bytes(*flags) & valid;
            while found != 0 {
                places.push((bin, found.trailing_zeros() as usize / 8));
                found &= found - 1;
            }
        }
    }
}

/// Says of every bin from `first` on which frames of a block have a peak there: 1 where there is one.
struct Flags<'a, T> {
    bins: &'a [Lanes<T>],
    first: usize,
    limits: Lanes<T>,
    flags: &'a mut [[u8; LANES]],
}

impl<T: Sample> Kernel for Flags<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self { bins, first, limits, flags } = self;
        for (bin, flags) in (first..).zip(flags) {
            let (before, here) = (&bins[bin - 1], &bins[bin]);
            // The last bin has no neighbour that could be higher.
            let after = bins.get(bin + 1).unwrap_or(here);
            for (lane, flag) in flags.iter_mut().enumerate() {
                let x = here.0[lane];
                *flag = u8::from((x > limits.0[lane]) & (x > before.0[lane]) & (x >= after.0[lane]));
            }
        }
    }
}

/// Frequencies and magnitudes of the peaks of a spectrogram, both `[n_bins, n_frames]` and 0 where there is no peak
/// (librosa: `piptrack(S=...)`; its frequencies are interpolated by a parabola).
///
/// # Errors
/// [`Error::InvalidConfig`] when `sr` is not above 0, [`Error::InvalidInput`] when the spectrogram has fewer than 2 bins.
pub fn piptrack<T: Sample>(spectrogram: ArrayView2<'_, T>, config: &PiptrackConfig) -> Result<(Array2<T>, Array2<T>)> {
    let finder = PeakFinder::new(config, spectrogram.nrows())?;
    let (mut pitches, mut magnitudes) = (Array2::zeros(spectrogram.raw_dim()), Array2::zeros(spectrogram.raw_dim()));
    let mut frame = vec![T::zero(); spectrogram.nrows()];
    for (t, column) in spectrogram.columns().into_iter().enumerate() {
        frame.iter_mut().zip(column).for_each(|(slot, value)| *slot = value.abs());
        finder.peaks(&frame, |bin, pitch, magnitude| {
            pitches[[bin, t]] = pitch;
            magnitudes[[bin, t]] = magnitude;
        });
    }
    Ok((pitches, magnitudes))
}

/// How far the peaks of a spectrogram lie from the equal-tempered scale on 440 Hz, in fractions of a bin from −0.5 to 0.5,
/// in steps of `resolution` (librosa: `estimate_tuning(S=...)`). Silence is in tune: 0. Of several channels,
/// `[channels…, n_bins, n_frames]`, it is one tuning over all.
///
/// # Errors
/// As [`piptrack`] and [`pitch_tuning`].
pub fn estimate_tuning<T: Sample, D: Dimension>(
    spectrogram: ArrayView<'_, T, D>,
    config: &PiptrackConfig,
    resolution: f64,
    bins_per_octave: usize,
) -> Result<f64> {
    let Some(bins) = spectrogram.ndim().checked_sub(2).map(Axis) else {
        return Err(Error::input("the spectrogram", "an array of at least two axes", spectrogram.ndim()));
    };
    let finder = PeakFinder::new(config, spectrogram.len_of(bins))?;
    let deviations = Deviations::new(resolution, bins_per_octave)?;
    let mut peaks = Peaks::default();
    let mut frame = vec![T::zero(); spectrogram.len_of(bins)];
    for column in spectrogram.lanes(bins) {
        frame.iter_mut().zip(column).for_each(|(slot, value)| *slot = value.abs());
        peaks.collect(&finder, &frame);
    }
    // Nothing was narrowed, so the answer is there.
    Ok(peaks.tuning(deviations).unwrap_or(0.0))
}

/// The peaks of all frames so far.
///
/// What is wanted of them is the commonest deviation of the louder half, so all must be seen before any can be judged. But
/// once a fair share of a long signal was seen, it is clear of most which half they will be in: see [`Peaks::narrow`].
#[derive(Debug, Default)]
pub(crate) struct Peaks<T> {
    /// Those that may be on either side of the median.
    pitches: Vec<T>,
    magnitudes: Vec<T>,
    /// How many blocks of frames they come from.
    blocks: usize,
    /// Between which magnitudes the median is looked for; `None` while all peaks are kept.
    bracket: Option<(T, T)>,
    /// How many were less loud than that, and the deviations of those that were louder.
    below: usize,
    above: Vec<u32>,
    sorted: Vec<T>,
    counts: Vec<u32>,
    flags: Vec<[u8; LANES]>,
    places: Vec<(usize, usize)>,
}

impl<T: Sample> Peaks<T> {
    pub(crate) fn clear(&mut self) {
        self.pitches.clear();
        self.magnitudes.clear();
        (self.blocks, self.below, self.bracket) = (0, 0, None);
        self.above.clear();
    }

    pub(crate) fn collect(&mut self, finder: &PeakFinder, frame: &[T]) {
        finder.peaks(frame, |_, pitch, magnitude| {
            if pitch > T::zero() {
                self.pitches.push(pitch);
                self.magnitudes.push(magnitude);
            }
        });
    }

    /// Adds the peaks of a block of frames. `deviations` are those of the tuning that will be asked for.
    pub(crate) fn collect_block(&mut self, finder: &PeakFinder, deviations: Deviations, block: &Block<'_, Lanes<T>>) {
        let Self { pitches, magnitudes, flags, places, bracket, below, above, .. } = self;
        finder.block_places(block, flags, places);
        let (low, high) = bracket.unwrap_or((T::neg_infinity(), T::infinity()));
        for &(bin, lane) in &*places {
            let at = |bin: usize| block.bins.get(bin).map(|values| values.0[lane]);
            if let (Some(before), Some(here)) = (at(bin - 1), at(bin)) {
                finder.peak_at(bin, before, here, at(bin + 1), &mut |_, pitch, magnitude| {
                    if pitch <= T::zero() {
                        // A bin beside 0 Hz: librosa leaves it out, too.
                    } else if magnitude < low {
                        *below += 1;
                    } else if magnitude > high {
                        above[deviations.cell(pitch)] += 1;
                    } else {
                        pitches.push(pitch);
                        magnitudes.push(magnitude);
                    }
                });
            }
        }
        self.blocks += 1;
    }

    /// None yet, narrowed as these are.
    #[cfg(feature = "rayon")]
    pub(crate) fn fork(&self) -> Self {
        Self { bracket: self.bracket, above: vec![0; self.above.len()], ..Self::default() }
    }

    /// Adds what a fork has found.
    #[cfg(feature = "rayon")]
    pub(crate) fn append(&mut self, mut fork: Self) {
        self.pitches.append(&mut fork.pitches);
        self.magnitudes.append(&mut fork.magnitudes);
        self.blocks += fork.blocks;
        self.below += fork.below;
        self.above.iter_mut().zip(fork.above).for_each(|(count, more)| *count += more);
    }

    /// Of the peaks so far, a fair sample of all, and of those to come keeps only what may be on either side of the median:
    /// those whose rank lies within four standard errors of the middle, where each block of frames counts as one
    /// observation. Of the rest it is enough to count them.
    ///
    /// Should the signal be so unlike its sample that the median comes to lie elsewhere after all, [`Peaks::tuning`] says so.
    pub(crate) fn narrow(&mut self, deviations: Deviations) {
        let total = self.total();
        let share = 2.0 / (self.blocks as f64).sqrt();
        if share >= 0.5 || self.magnitudes.is_empty() {
            return;
        }
        // A rank among all peaks, as one among those that are kept.
        let rank =
            |share: f64| ((total as f64 * share) as usize).saturating_sub(self.below).min(self.magnitudes.len() - 1);
        let (low, high) = (rank(0.5 - share), rank(0.5 + share));
        self.sorted.clear();
        self.sorted.extend_from_slice(&self.magnitudes);
        let low = *self.sorted.select_nth_unstable_by(low, order).1;
        let high = *self.sorted.select_nth_unstable_by(high, order).1;
        self.above.resize(deviations.cells, 0);
        let mut kept = 0;
        for index in 0..self.magnitudes.len() {
            let (pitch, magnitude) = (self.pitches[index], self.magnitudes[index]);
            if magnitude < low {
                self.below += 1;
            } else if magnitude > high {
                self.above[deviations.cell(pitch)] += 1;
            } else {
                (self.pitches[kept], self.magnitudes[kept]) = (pitch, magnitude);
                kept += 1;
            }
        }
        self.pitches.truncate(kept);
        self.magnitudes.truncate(kept);
        self.bracket = Some((low, high));
    }

    /// Number of all peaks, kept or counted.
    fn total(&self) -> usize {
        let above: u32 = self.above.iter().sum();
        self.below + self.magnitudes.len() + above as usize
    }

    /// The tuning by the louder half of the peaks; `None` when too much was narrowed to tell.
    pub(crate) fn tuning(&mut self, deviations: Deviations) -> Option<f64> {
        let (total, kept) = (self.total(), self.magnitudes.len());
        self.counts.clear();
        self.counts.resize(deviations.cells, 0);
        if total > 0 {
            // The middle one, or the two whose mean is the median, must be among those that are kept.
            let upper = (total / 2).checked_sub(self.below).filter(|&upper| upper < kept)?;
            let lower = if total % 2 == 0 { upper.checked_sub(1)? } else { upper };
            self.sorted.clear();
            self.sorted.extend_from_slice(&self.magnitudes);
            let (low, &mut middle, _) = self.sorted.select_nth_unstable_by(upper, order);
            let threshold = if lower < upper {
                let beside = low.iter().copied().fold(T::neg_infinity(), T::max);
                (beside + middle) / T::narrow(2.0)
            } else {
                middle
            };
            for (&pitch, &magnitude) in self.pitches.iter().zip(&self.magnitudes) {
                if magnitude >= threshold {
                    self.counts[deviations.cell(pitch)] += 1;
                }
            }
            self.counts.iter_mut().zip(&self.above).for_each(|(count, above)| *count += above);
        }
        Some(deviations.commonest(&self.counts))
    }
}

fn order<T: Sample>(a: &T, b: &T) -> std::cmp::Ordering {
    a.partial_cmp(b).unwrap_or(std::cmp::Ordering::Equal)
}

/// How far frequencies (in Hz) lie from the equal-tempered scale on 440 Hz: the commonest deviation, in fractions of a bin
/// from −0.5 to 0.5 (librosa: `pitch_tuning`). Frequencies that are not above 0 are left out; of none at all the tuning is 0.
///
/// # Errors
/// [`Error::InvalidConfig`] when `resolution` is not 1e-6 to 1, or `bins_per_octave` is 0.
pub fn pitch_tuning<T: Sample>(frequencies: &[T], resolution: f64, bins_per_octave: usize) -> Result<f64> {
    let deviations = Deviations::new(resolution, bins_per_octave)?;
    let mut counts = vec![0; deviations.cells];
    for &frequency in frequencies.iter().filter(|&&frequency| frequency > T::zero()) {
        counts[deviations.cell(frequency)] += 1;
    }
    Ok(deviations.commonest(&counts))
}

/// The cells of a histogram of how far frequencies lie from the equal-tempered scale.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Deviations {
    cells: usize,
    bins_per_octave: usize,
}

impl Deviations {
    pub(crate) fn new(resolution: f64, bins_per_octave: usize) -> Result<Self> {
        if !(1e-6..=1.0).contains(&resolution) {
            return Err(Error::config("resolution", "1e-6 to 1", resolution));
        }
        if bins_per_octave == 0 {
            return Err(Error::config("bins_per_octave", "a positive integer", 0));
        }
        Ok(Self { cells: (1.0 / resolution).ceil() as usize, bins_per_octave })
    }

    /// Where a cell begins.
    fn edge(self, cell: usize) -> f64 {
        -0.5 + cell as f64 * (1.0 / self.cells as f64)
    }

    /// The cell of a frequency above 0.
    fn cell<T: Sample>(self, frequency: T) -> usize {
        let place = T::narrow(self.bins_per_octave as f64) * (frequency / T::narrow(440.0 / 16.0)).log2();
        let mut residual = place - place.floor();
        if residual >= T::narrow(0.5) {
            residual -= T::one();
        }
        // The cell by arithmetic, then corrected against its edges, since those are what numpy compares with.
        let residual = residual.widen();
        let cell = (((residual + 0.5) * self.cells as f64) as usize).min(self.cells - 1);
        if residual < self.edge(cell) {
            cell.saturating_sub(1)
        } else if cell + 1 < self.cells && residual >= self.edge(cell + 1) {
            cell + 1
        } else {
            cell
        }
    }

    /// The deviation of the fullest cell, the first of several; 0 when all are empty.
    fn commonest(self, counts: &[u32]) -> f64 {
        let most = counts.iter().copied().max().unwrap_or(0);
        if most == 0 { 0.0 } else { self.edge(counts.iter().position(|&count| count == most).unwrap_or(0)) }
    }
}

/// How far a concert pitch is from 440 Hz, in fractions of a bin (librosa: `A4_to_tuning`).
pub fn a4_to_tuning(a4: f64, bins_per_octave: usize) -> f64 {
    bins_per_octave as f64 * (hz_to_octs(a4, 0.0, bins_per_octave) - hz_to_octs(440.0, 0.0, bins_per_octave))
}

#[cfg(test)]
mod tests {
    use std::f64::consts::TAU;

    use super::*;
    use crate::{Stft, StftConfig};

    #[test]
    fn a_detuned_chord_is_heard_as_such() {
        for tuning in [-0.4, -0.1, 0.0, 0.25] {
            let samples: Vec<f64> = (0..22_050)
                .map(|n| {
                    let t = f64::from(n) / 22_050.0;
                    [0.0, 4.0, 7.0, 12.0]
                        .iter()
                        .map(|step| (TAU * 440.0 * ((step + tuning) / 12.0_f64).exp2() * t).sin())
                        .sum::<f64>()
                        / 4.0
                })
                .collect();
            let spectrogram = Stft::new(&StftConfig::default()).unwrap().spectrogram(&samples, 1.0).unwrap();
            let got = estimate_tuning(spectrogram.view(), &PiptrackConfig::default(), 0.01, 12).unwrap();
            assert!((got - tuning).abs() < 0.021, "got {got}, want {tuning}");
        }
    }

    #[test]
    fn silence_is_in_tune_and_octaves_do_not_matter() {
        assert_eq!(pitch_tuning::<f32>(&[], 0.01, 12).unwrap(), 0.0);
        assert_eq!(pitch_tuning(&[0.0_f64], 0.01, 12).unwrap(), 0.0);
        assert!(pitch_tuning(&[440.0_f64, 880.0, 220.0], 0.01, 12).unwrap().abs() < 1e-12);
        assert!(pitch_tuning(&[440.0_f64], 0.0, 12).is_err());
    }
}
