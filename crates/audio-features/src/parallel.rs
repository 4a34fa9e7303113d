//! Several threads: over many clips, or over the frames of a long one. Needs the feature `rayon`.
//!
//! A frame's values do not depend on the frames beside it, and what looks at all frames (the loudest value, the tuning) does
//! not depend on their order. So every result is **bit for bit that of one thread**, however many there are. The threads are
//! those of the rayon pool that the call runs in.

use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};

use ndarray::{Array2, ArrayViewMut2, Axis, ShapeBuilder};
use rayon::prelude::*;

use crate::chroma::Chroma;
use crate::error::{Error, Result};
use crate::extractor::{FeatureExtractor, FeatureSet};
use crate::lanes::{LANES, Lanes, Largest, store, vectorized};
use crate::mel::MelSpectrogram;
use crate::mfcc::Mfcc;
use crate::sample::{Sample, check_finite};
use crate::stft::{Framed, Stft};
use crate::summary::{VECTOR_162, Vector162};
use crate::tuning::Peaks;

/// Calls `f` with every clip, on several threads, and returns the results in the order of the clips.
///
/// Planners are `Sync`: one serves all threads.
///
/// ```
/// use audio_features::{Mfcc, MfccConfig, process_clips};
///
/// let mfcc = Mfcc::new(&MfccConfig::default())?;
/// let clips: Vec<Vec<f32>> = (1..5).map(|k| (0..4000).map(|n| (n as f32 * 0.01 * k as f32).sin()).collect()).collect();
/// let features = process_clips(&clips, |clip| mfcc.process(clip))?;
/// assert_eq!(features[2], mfcc.process(&clips[2])?);
/// # Ok::<(), audio_features::Error>(())
/// ```
///
/// # Errors
/// One of those that `f` returned.
pub fn process_clips<C: Sync, O: Send>(clips: &[C], f: impl Fn(&C) -> Result<O> + Sync) -> Result<Vec<O>> {
    clips.par_iter().map(&f).collect()
}

/// Blocks of frames that one thread works on at a time.
const TOGETHER: usize = 32;

/// Calls `fill(columns, part)` with parts of `out` by columns, on several threads. Parts are multiples of `unit` columns.
fn by_columns<T: Send>(
    out: ArrayViewMut2<'_, T>,
    first: usize,
    unit: usize,
    fill: &(impl Fn(Range<usize>, ArrayViewMut2<'_, T>) -> Result<()> + Sync),
) -> Result<()> {
    let columns = out.ncols();
    if columns <= TOGETHER * unit {
        return fill(first..first + columns, out);
    }
    let half = (columns / 2).next_multiple_of(unit);
    let (left, right) = out.split_at(Axis(1), half);
    let (left, right) =
        rayon::join(|| by_columns(left, first, unit, fill), || by_columns(right, first + half, unit, fill));
    left.and(right)
}

/// Samples whose soundness one thread checks at a time.
const CHECKED: usize = 1 << 16;

/// [`Stft::framed`], with the samples checked by several threads.
fn framed<'a, T: Sample>(stft: &'a Stft, samples: &'a [T]) -> Result<Framed<'a, T>> {
    if samples.par_chunks(CHECKED).all(|samples| check_finite(samples).is_ok()) {
        return stft.framed_unchecked(samples);
    }
    // It finds the first of all, and says so.
    stft.framed(samples)
}

impl MelSpectrogram {
    /// [`MelSpectrogram::process`] on several threads.
    ///
    /// # Errors
    /// As [`MelSpectrogram::process`].
    pub fn par_process<T: Sample>(&self, samples: &[T]) -> Result<Array2<T>> {
        let signal = framed(self.stft(), samples)?;
        let mut out = Array2::zeros((self.config().n_mels, signal.frames()));
        by_columns(out.view_mut(), 0, LANES, &|frames, mut out| {
            let start = frames.start;
            self.blocks(&signal, frames, |first, frames, bands| store(bands, frames, first - start, &mut out))
        })?;
        Ok(out)
    }
}

impl Mfcc {
    /// [`Mfcc::process`] on several threads.
    ///
    /// # Errors
    /// As [`Mfcc::process`].
    pub fn par_process<T: Sample>(&self, samples: &[T]) -> Result<Array2<T>> {
        let signal = framed(self.mel().stft(), samples)?;
        let (n_mels, total) = (self.config().mel.n_mels, signal.frames());
        let shape = (n_mels, total.div_ceil(LANES));
        // Kept between calls, since filling it and having the machine find it is work of one thread.
        let mut work = self.work::<T>();
        let bands = &mut work.bands;
        bands.resize(shape.0 * shape.1, Lanes::default());
        let blocks = ArrayViewMut2::from_shape(shape.f(), bands)
            .map_err(|error| Error::input("the mel spectrogram", format!("of shape {shape:?}"), error))?;
        by_columns(blocks, 0, 1, &|blocks, mut out| {
            let frames = blocks.start * LANES..total.min(blocks.end * LANES);
            self.energies(&signal, frames, |first, bands| {
                let mut column = out.column_mut(first / LANES - blocks.start);
                column.iter_mut().zip(bands).for_each(|(slot, &band)| *slot = band);
            })
        })?;
        let floor = self.floor(bands, total, |bands| {
            let parts = bands.par_chunks(TOGETHER * n_mels).map(|values| vectorized(Largest { values }));
            parts.reduce(|| Lanes([T::neg_infinity(); LANES]), Lanes::max)
        })?;
        let mut out = Array2::zeros((self.n_mfcc(), total));
        by_columns(out.view_mut(), 0, LANES, &|frames, out| {
            let blocks = frames.start / LANES * n_mels..frames.end.div_ceil(LANES) * n_mels;
            self.transform(&bands[blocks], floor, &mut Vec::new(), out);
            Ok(())
        })?;
        Ok(out)
    }
}

impl Chroma {
    /// [`Chroma::process`] on several threads.
    ///
    /// # Errors
    /// As [`Chroma::process`].
    pub fn par_process<T: Sample>(&self, samples: &[T]) -> Result<Array2<T>> {
        let signal = framed(self.stft(), samples)?;
        let mut out = Array2::zeros((self.config().n_chroma, signal.frames()));
        match self.config().tuning {
            Some(tuning) => self.pass(&signal, out.view_mut(), (0, LANES), Some(tuning), None)?,
            None => {
                if !self.par_hear(&signal, out.view_mut())? {
                    let peaks = Mutex::default();
                    self.pass(&signal, out.view_mut(), (0, LANES), None, Some(&peaks))?;
                    let tuning = self.tuning_of(&mut lock(&peaks));
                    self.pass(&signal, out.view_mut(), (0, LANES), Some(tuning), None)?;
                }
            }
        }
        Ok(out)
    }

    /// The classes by an estimated tuning, as [`Stft::spectrogram_twice`](crate::Stft) goes about it; but the sample of the
    /// signal is transformed again instead of kept. False when too few peaks were kept to tell the tuning.
    fn par_hear<T: Sample>(&self, signal: &Framed<'_, T>, mut out: ArrayViewMut2<'_, T>) -> Result<bool> {
        let sample = self.stft().sample_step(signal.frames());
        let peaks = Mutex::default();
        self.pass(signal, out.view_mut(), (0, sample), None, Some(&peaks))?;
        let (mut step, mut stale) = (sample, sample);
        let Some(mut tuning) = self.learn(&mut lock(&peaks), step > LANES) else { return Ok(false) };
        while step > LANES {
            self.pass(signal, out.view_mut(), (step / 2, step), Some(tuning), Some(&peaks))?;
            step /= 2;
            let Some(now) = self.learn(&mut lock(&peaks), step > LANES) else { return Ok(false) };
            if now != tuning {
                (tuning, stale) = (now, step);
            }
        }
        // Everything that went by another tuning.
        self.pass(signal, out, (0, stale), Some(tuning), None)?;
        Ok(true)
    }

    /// Goes through one block in every `step` frames from `offset` on: writes the classes by a tuning, and collects peaks.
    fn pass<T: Sample>(
        &self,
        signal: &Framed<'_, T>,
        out: ArrayViewMut2<'_, T>,
        (offset, step): (usize, usize),
        tuning: Option<f64>,
        peaks: Option<&Mutex<Peaks<T>>>,
    ) -> Result<()> {
        // Where few blocks are visited, a thread gets more frames at a time.
        by_columns(out, 0, (step / 4).max(LANES), &|frames, mut out| {
            let start = offset + frames.start.saturating_sub(offset).next_multiple_of(step);
            if start >= frames.end {
                return Ok(());
            }
            let mut found = peaks.map(|peaks| lock(peaks).fork());
            self.visit(signal, start..frames.end, step, tuning, found.as_mut(), |first, frames_of, classes| {
                store(classes, frames_of, first - frames.start, &mut out);
            })?;
            if let (Some(peaks), Some(found)) = (peaks, found) {
                lock(peaks).append(found);
            }
            Ok(())
        })
    }
}

fn lock<T>(peaks: &Mutex<Peaks<T>>) -> MutexGuard<'_, Peaks<T>> {
    // A thread that panicked takes the whole call with it.
    peaks.lock().unwrap_or_else(PoisonError::into_inner)
}

impl FeatureExtractor {
    /// [`FeatureExtractor::process`] of many clips, on several threads, in their order.
    ///
    /// # Errors
    /// One of those of [`FeatureExtractor::process`].
    pub fn par_process<T: Sample, C: AsRef<[T]> + Sync>(&self, clips: &[C]) -> Result<Vec<FeatureSet<T>>> {
        process_clips(clips, |clip| self.process(clip.as_ref()))
    }
}

impl Vector162 {
    /// [`Vector162::process`] of many clips, on several threads, in their order.
    ///
    /// # Errors
    /// One of those of [`Vector162::process`].
    pub fn par_process<C: AsRef<[f32]> + Sync>(&self, clips: &[C]) -> Result<Vec<[f32; VECTOR_162]>> {
        process_clips(clips, |clip| self.process(clip.as_ref()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ChromaConfig, ExtractorConfig, MelConfig, MfccConfig, Precision, StftConfig};

    fn clip() -> Vec<f32> {
        (0..150_000).map(|n| (n as f32 * 0.02).sin() * (n % 97) as f32 / 97.0 + (n as f32 * 0.31).cos() * 0.2).collect()
    }

    #[test]
    fn every_number_of_threads_gives_the_same_bits() {
        let clip = clip();
        let stft = StftConfig { n_fft: 512, hop_length: Some(100), ..StftConfig::default() };
        let mel = MelConfig { stft: stft.clone(), n_mels: 40, ..MelConfig::default() };
        let mfcc = Mfcc::new(&MfccConfig { mel, ..MfccConfig::default() }).unwrap();
        let heard = Chroma::new(&ChromaConfig { stft: stft.clone(), ..ChromaConfig::default() }).unwrap();
        let tuned = Chroma::new(&ChromaConfig { stft, tuning: Some(0.1), ..ChromaConfig::default() }).unwrap();
        for threads in [1, 2, 3, 7] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| {
                assert_eq!(mfcc.mel().par_process(&clip).unwrap(), mfcc.mel().process(&clip).unwrap());
                assert_eq!(mfcc.par_process(&clip).unwrap(), mfcc.process(&clip).unwrap());
                assert_eq!(heard.par_process(&clip).unwrap(), heard.process(&clip).unwrap());
                assert_eq!(tuned.par_process(&clip).unwrap(), tuned.process(&clip).unwrap());
            });
        }
    }

    #[test]
    fn a_long_signal_is_heard_the_same_by_all() {
        // So long that its tuning is guessed from a sample; the second changes it half-way, the third only at its end.
        let stft = StftConfig { n_fft: 256, hop_length: Some(64), ..StftConfig::default() };
        let chroma = Chroma::new(&ChromaConfig { stft, ..ChromaConfig::default() }).unwrap();
        let pool = rayon::ThreadPoolBuilder::new().num_threads(3).build().unwrap();
        for turn in [1_200_000, 600_000, 1_100_000] {
            let samples: Vec<f32> = (0..1_200_000)
                .map(|n| n as f32)
                .map(|n| if n < turn as f32 { 0.1 * (n % 20_000.0 * 0.13).sin() } else { (n % 20_000.0 * 0.11).sin() })
                .collect();
            let got = pool.install(|| chroma.par_process(&samples)).unwrap();
            assert_eq!(got, chroma.process(&samples).unwrap());
        }
    }

    #[test]
    fn many_clips_are_what_each_is_alone() {
        let clips: Vec<Vec<f32>> = (1..5).map(|k| clip()[..5000 * k].to_vec()).collect();
        let extractor = FeatureExtractor::new(&ExtractorConfig::default()).unwrap();
        let vector = Vector162::new(16_000.0, Precision::Parity).unwrap();
        let (sets, vectors) = (extractor.par_process(&clips).unwrap(), vector.par_process(&clips).unwrap());
        for (clip, (set, values)) in clips.iter().zip(sets.iter().zip(vectors)) {
            assert_eq!(*set, extractor.process(clip).unwrap());
            assert_eq!(values, vector.process(clip).unwrap());
        }
    }

    #[test]
    fn an_error_of_one_clip_is_the_error_of_all() {
        let mfcc = Mfcc::new(&MfccConfig::default()).unwrap();
        let clips = [vec![0.1_f32; 3000], vec![f32::NAN; 3000], vec![0.2; 3000]];
        assert!(process_clips(&clips, |clip| mfcc.process(clip)).is_err());
        assert_eq!(process_clips(&clips[2..], |clip| mfcc.process(clip)).unwrap().len(), 1);
        assert!(mfcc.par_process(&clips[1]).is_err());
    }
}
