//! Pitch peaks of a spectrogram, and how far the music is out of tune.

use ndarray::{Array2, ArrayView, ArrayView2, Axis, Dimension};

use crate::convert::{fft_frequencies, hz_to_octs};
use crate::decibel::{maximum, median};
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
    let mut peaks = Peaks::default();
    let mut frame = vec![T::zero(); spectrogram.len_of(bins)];
    for column in spectrogram.lanes(bins) {
        frame.iter_mut().zip(column).for_each(|(slot, value)| *slot = value.abs());
        peaks.collect(&finder, &frame);
    }
    peaks.tuning(resolution, bins_per_octave)
}

/// The peaks of all frames so far.
#[derive(Debug, Default)]
pub(crate) struct Peaks<T> {
    pitches: Vec<T>,
    magnitudes: Vec<T>,
    sorted: Vec<T>,
    counts: Vec<u32>,
    flags: Vec<[u8; LANES]>,
    places: Vec<(usize, usize)>,
}

impl<T: Sample> Peaks<T> {
    pub(crate) fn clear(&mut self) {
        self.pitches.clear();
        self.magnitudes.clear();
    }

    pub(crate) fn collect(&mut self, finder: &PeakFinder, frame: &[T]) {
        finder.peaks(frame, |_, pitch, magnitude| self.add(pitch, magnitude));
    }

    pub(crate) fn collect_block(&mut self, finder: &PeakFinder, block: &Block<'_, Lanes<T>>) {
        let Self { pitches, magnitudes, flags, places, .. } = self;
        finder.block_places(block, flags, places);
        pitches.reserve(places.len());
        magnitudes.reserve(places.len());
        for &(bin, lane) in &*places {
            let at = |bin: usize| block.bins.get(bin).map(|values| values.0[lane]);
            if let (Some(before), Some(here)) = (at(bin - 1), at(bin)) {
                finder.peak_at(bin, before, here, at(bin + 1), &mut |_, pitch, magnitude| {
                    if pitch > T::zero() {
                        pitches.push(pitch);
                        magnitudes.push(magnitude);
                    }
                });
            }
        }
    }

    /// Adds what was found elsewhere.
    #[cfg(feature = "rayon")]
    pub(crate) fn append(&mut self, mut other: Self) {
        self.pitches.append(&mut other.pitches);
        self.magnitudes.append(&mut other.magnitudes);
    }

    fn add(&mut self, pitch: T, magnitude: T) {
        if pitch > T::zero() {
            self.pitches.push(pitch);
            self.magnitudes.push(magnitude);
        }
    }

    /// The tuning by the louder half of the peaks.
    pub(crate) fn tuning(&mut self, resolution: f64, bins_per_octave: usize) -> Result<f64> {
        self.sorted.clear();
        self.sorted.extend_from_slice(&self.magnitudes);
        let threshold = if self.sorted.is_empty() { T::zero() } else { T::narrow(median(&mut self.sorted)) };
        self.sorted.clear();
        let loud = self.pitches.iter().zip(&self.magnitudes).filter(|&(_, &magnitude)| magnitude >= threshold);
        self.sorted.extend(loud.map(|(&pitch, _)| pitch));
        commonest_deviation(&self.sorted, resolution, bins_per_octave, &mut self.counts)
    }
}

/// How far frequencies (in Hz) lie from the equal-tempered scale on 440 Hz: the commonest deviation, in fractions of a bin
/// from −0.5 to 0.5 (librosa: `pitch_tuning`). Frequencies that are not above 0 are left out; of none at all the tuning is 0.
///
/// # Errors
/// [`Error::InvalidConfig`] when `resolution` is not 1e-6 to 1, or `bins_per_octave` is 0.
pub fn pitch_tuning<T: Sample>(frequencies: &[T], resolution: f64, bins_per_octave: usize) -> Result<f64> {
    commonest_deviation(frequencies, resolution, bins_per_octave, &mut Vec::new())
}

/// [`pitch_tuning`] with working memory for its histogram.
fn commonest_deviation<T: Sample>(
    frequencies: &[T],
    resolution: f64,
    bins_per_octave: usize,
    counts: &mut Vec<u32>,
) -> Result<f64> {
    if !(1e-6..=1.0).contains(&resolution) {
        return Err(Error::config("resolution", "1e-6 to 1", resolution));
    }
    if bins_per_octave == 0 {
        return Err(Error::config("bins_per_octave", "a positive integer", 0));
    }
    let cells = (1.0 / resolution).ceil() as usize;
    let edge = |cell: usize| -0.5 + cell as f64 * (1.0 / cells as f64);
    counts.clear();
    counts.resize(cells, 0);
    let reference = T::narrow(440.0 / 16.0);
    let bins = T::narrow(bins_per_octave as f64);
    let mut any = false;
    for &frequency in frequencies.iter().filter(|&&frequency| frequency > T::zero()) {
        any = true;
        let place = bins * (frequency / reference).log2();
        let mut residual = place - place.floor();
        if residual >= T::narrow(0.5) {
            residual -= T::one();
        }
        // The cell by arithmetic, then corrected against its edges, since those are what numpy compares with.
        let residual = residual.widen();
        let mut cell = (((residual + 0.5) * cells as f64) as usize).min(cells - 1);
        if residual < edge(cell) {
            cell = cell.saturating_sub(1);
        } else if cell + 1 < cells && residual >= edge(cell + 1) {
            cell += 1;
        }
        counts[cell] += 1;
    }
    if !any {
        return Ok(0.0);
    }
    let most = counts.iter().copied().max().unwrap_or(0);
    Ok(edge(counts.iter().position(|&count| count == most).unwrap_or(0)))
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
