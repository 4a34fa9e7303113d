//! One number for a whole signal: features averaged over time.

use ndarray::{Array2, ArrayView2, ArrayViewMut2};

use crate::chroma::{Chroma, ChromaConfig, ChromaWork};
use crate::decibel::log_lanes;
use crate::error::{Error, Result};
use crate::floored::{FlooredSums, Sums};
use crate::lanes::{Kernel, LANES, Lanes, vectorized};
use crate::mel::{MelConfig, check_rate};
use crate::mfcc::{Mfcc, MfccConfig};
use crate::sample::Sample;
use crate::scratch::Pool;
use crate::stft::{Precision, Stft, StftConfig};
use crate::temporal::{RmsConfig, ZcrConfig, rms_into, zero_crossing_rate_into};

/// What becomes of a feature's values over time.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Statistic {
    /// The mean.
    Mean,
    /// The standard deviation of the values themselves (numpy's `ddof=0`).
    Std,
    /// The smallest value.
    Min,
    /// The largest value.
    Max,
    /// The value that this share of the values, 0 to 100 percent, lies below (numpy's `percentile`, linear between values).
    Percentile(f64),
}

/// Statistics over time: a row for every feature, a column for every statistic, `[n_features, n_statistics]`.
///
/// ```
/// use audio_features::summary::{Statistic, summarize};
/// use ndarray::array;
///
/// let loudness = array![[1.0_f32, 2.0, 3.0, 6.0]];
/// let summary = summarize(loudness.view(), &[Statistic::Mean, Statistic::Percentile(50.0)])?;
/// assert_eq!(summary, array![[3.0, 2.5]]);
/// # Ok::<(), audio_features::Error>(())
/// ```
///
/// # Errors
/// [`Error::InvalidInput`] when there are no frames, [`Error::InvalidConfig`] for a percentile outside 0 to 100.
pub fn summarize<T: Sample>(features: ArrayView2<'_, T>, statistics: &[Statistic]) -> Result<Array2<f64>> {
    if features.ncols() == 0 {
        return Err(Error::input("the feature", "at least one frame long", 0));
    }
    let mut out = Array2::zeros((features.nrows(), statistics.len()));
    for (row, mut target) in features.rows().into_iter().zip(out.rows_mut()) {
        let mut sorted: Vec<f64> = row.iter().map(|x| x.widen()).collect();
        sorted.sort_unstable_by(f64::total_cmp);
        let mean = sorted.iter().sum::<f64>() / sorted.len() as f64;
        for (statistic, slot) in statistics.iter().zip(&mut target) {
            *slot = match *statistic {
                Statistic::Mean => mean,
                Statistic::Std => (sorted.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / sorted.len() as f64).sqrt(),
                Statistic::Min => sorted[0],
                Statistic::Max => sorted[sorted.len() - 1],
                Statistic::Percentile(percent) => percentile(&sorted, percent)?,
            };
        }
    }
    Ok(out)
}

fn percentile(sorted: &[f64], percent: f64) -> Result<f64> {
    if !(0.0..=100.0).contains(&percent) {
        return Err(Error::config("percentile", "0 to 100", percent));
    }
    let place = percent / 100.0 * (sorted.len() - 1) as f64;
    let (low, share) = (place.floor() as usize, place.fract());
    let high = (low + 1).min(sorted.len() - 1);
    Ok(sorted[low] + (sorted[high] - sorted[low]) * share)
}

/// Length of the vector of [`vector_162`].
pub const VECTOR_162: usize = 162;

/// The 162 numbers that classic speech-emotion systems start from: each feature's mean over time, in the order zero-crossing
/// rate (1), chroma (12), MFCC (20), RMS (1), mel power (128), all with librosa's defaults.
///
/// As the published notebooks compute it, with `np.mean(feature.T, axis=0)` of `zero_crossing_rate(y)`,
/// `chroma_stft(S=np.abs(stft(y)), sr=sr)`, `mfcc(y, sr=sr)`, `rms(y)` and `melspectrogram(y, sr=sr)`: the chroma comes from the
/// **magnitude**, and so does its tuning.
///
/// This plans everything anew on every call; for many clips make one [`Vector162`].
///
/// ```
/// let samples: Vec<f32> = (0..16_000).map(|n| (n as f32 * 0.05).sin() * 0.1).collect();
/// let vector = audio_features::summary::vector_162(&samples, 16_000)?;
/// assert!(vector.iter().all(|x| x.is_finite()));
/// # Ok::<(), audio_features::Error>(())
/// ```
///
/// # Errors
/// [`Error::InvalidConfig`] when the rate is 0, [`Error::InvalidInput`] for an empty signal, [`Error::NotFinite`] for NaN or
/// infinite samples.
pub fn vector_162(samples: &[f32], sample_rate: u32) -> Result<[f32; VECTOR_162]> {
    Vector162::new(f64::from(sample_rate), Precision::Parity)?.process(samples)
}

/// A planned [`vector_162`]: one transform for all five features, nothing allocated per frame, nothing planned per clip.
#[derive(Debug, Clone)]
pub struct Vector162 {
    mfcc: Mfcc,
    chroma: Chroma,
    pool: Pool,
}

/// The working memory of one call.
#[derive(Default)]
struct Work {
    chroma: ChromaWork<f32>,
    /// Mel bands: of the sample of the signal that is seen first, block by block, and of one block.
    sample: Vec<Lanes<f32>>,
    sampled: Vec<usize>,
    bands: Vec<Lanes<f32>>,
    /// Whether the sample is complete.
    is_sampled: bool,
    mel: Sums,
    decibels: FlooredSums,
    mean_db: Vec<f32>,
    /// Sums over time of the pitch classes, for each block by itself.
    chroma_sums: Vec<f64>,
    crossings: Vec<f64>,
    loudness: Vec<f32>,
}

impl Vector162 {
    /// Plans the transform and the filter banks for a sampling rate in Hz.
    ///
    /// # Errors
    /// [`Error::InvalidConfig`] when the rate is not above 0.
    pub fn new(sr: f64, precision: Precision) -> Result<Self> {
        check_rate(sr)?;
        let stft = StftConfig { precision, ..StftConfig::default() };
        let mel = MelConfig { sr, stft: stft.clone(), ..MelConfig::default() };
        Ok(Self {
            mfcc: Mfcc::new(&MfccConfig { mel, ..MfccConfig::default() })?,
            chroma: Chroma::new(&ChromaConfig { sr, stft, ..ChromaConfig::default() })?,
            pool: Pool::default(),
        })
    }

    fn stft(&self) -> &Stft {
        self.chroma.stft()
    }

    /// The vector of one clip.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] for an empty signal, [`Error::NotFinite`] for NaN or infinite samples.
    pub fn process(&self, samples: &[f32]) -> Result<[f32; VECTOR_162]> {
        let frames = self.stft().n_frames(samples.len())?;
        let n_mels = self.mfcc.config().mel.n_mels;
        let mut work = self.pool.take::<Work>();
        let work = &mut *work;
        let mut vector = [0.0; VECTOR_162];
        let (zcr, rest) = vector.split_at_mut(1);
        let (chroma, rest) = rest.split_at_mut(12);
        let (mfcc, rest) = rest.split_at_mut(20);
        let (rms, mel) = rest.split_at_mut(1);

        work.crossings.resize(frames, 0.0);
        zero_crossing_rate_into(samples, &ZcrConfig::default(), row(&mut work.crossings)?)?;
        zcr[0] = mean(work.crossings.iter().copied());
        work.loudness.resize(frames, 0.0);
        rms_into(samples, &RmsConfig::default(), row(&mut work.loudness)?)?;
        rms[0] = mean(work.loudness.iter().map(|&x| f64::from(x)));

        work.chroma_sums.resize(frames.div_ceil(LANES) * chroma.len(), 0.0);
        work.bands.resize(n_mels, Lanes::default());
        work.chroma.forget_peaks();
        let mut floor = None;
        loop {
            let is_heard = self.transform(samples, floor, work)?;
            // What was guessed from a sample of the signal may have been wrong; then it is known now, and nothing is left to guess.
            match (is_heard, work.decibels.is_sound()) {
                (true, true) => break,
                (false, _) => work.chroma.forget_peaks_and_keep_all(),
                (true, false) => {
                    floor = Some(work.decibels.floor());
                    work.chroma.forget_peaks_and_keep_all();
                }
            }
        }
        for (class, slot) in chroma.iter_mut().enumerate() {
            let sum: f64 = work.chroma_sums.iter().skip(class).step_by(12).sum();
            *slot = (sum / frames as f64) as f32;
        }
        work.mel.means(frames, mel);
        // The cosine transform is linear, so the mean of the MFCCs is the transform of the mean decibels.
        work.mean_db.resize(n_mels, 0.0);
        work.decibels.means(frames, &mut work.mean_db);
        self.mfcc.of_column(&work.mean_db, mfcc);
        Ok(vector)
    }

    /// One transform for all: sums up mel bands, decibels and pitch classes. False when the tuning could not be told.
    ///
    /// The decibels are cut off at `floor`. Without one, where that will be is guessed from the sample of the signal that
    /// comes first.
    fn transform(&self, samples: &[f32], floor: Option<f32>, work: &mut Work) -> Result<bool> {
        let signal = self.stft().framed(samples)?;
        let n_mels = self.mfcc.config().mel.n_mels;
        let db = &self.mfcc.config().db;
        let top_db = db.top_db.map_or(f32::INFINITY, |top_db| top_db as f32);
        work.sample.clear();
        work.sampled.clear();
        work.is_sampled = false;
        work.mel.start(n_mels);
        work.decibels.start(n_mels, top_db);
        self.stft().spectrogram_twice(
            &signal,
            1.0,
            work,
            |work, block| {
                self.chroma.collect_peaks(&block, &mut work.chroma);
                vectorized(Square { bins: block.bins });
                self.mfcc.mel().apply(block.bins, &mut work.bands);
                work.mel.add(&work.bands, block.frames);
                log_lanes(&mut work.bands, db.amin, 1.0);
                if work.is_sampled {
                    work.decibels.add(&work.bands, block.frames);
                } else {
                    work.decibels.hear(&work.bands, block.frames);
                    work.sample.extend_from_slice(&work.bands);
                    work.sampled.push(block.frames);
                }
            },
            |work, more| {
                if !work.is_sampled {
                    work.is_sampled = true;
                    work.decibels.expect(floor, more);
                    for (bands, &frames) in work.sample.chunks_exact(n_mels).zip(&work.sampled) {
                        work.decibels.add(bands, frames);
                    }
                }
                self.chroma.tune_to_peaks(&mut work.chroma, more)
            },
            |work, block| {
                let classes = self.chroma.classes(&block, &mut work.chroma);
                let sums = &mut work.chroma_sums[block.first / LANES * classes.len()..];
                for (sum, class) in sums.iter_mut().zip(classes) {
                    *sum = class.0[..block.frames].iter().map(|&x| f64::from(x)).sum();
                }
            },
        )
    }
}

/// A slice as a feature of one row.
fn row<T>(values: &mut [T]) -> Result<ArrayViewMut2<'_, T>> {
    let shape = (1, values.len());
    ArrayViewMut2::from_shape(shape, values)
        .map_err(|error| Error::input("the feature", format!("of shape {shape:?}"), error))
}

fn mean(values: impl ExactSizeIterator<Item = f64>) -> f32 {
    let n = values.len() as f64;
    (values.sum::<f64>() / n) as f32
}

/// From magnitudes to powers, in place.
struct Square<'a> {
    bins: &'a mut [Lanes<f32>],
}

impl Kernel for Square<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        for bin in self.bins {
            *bin = *bin * *bin;
        }
    }
}

#[cfg(test)]
mod tests {
    use approx::assert_relative_eq;
    use ndarray::{Axis, array, concatenate};

    use super::*;
    use crate::{rms, zero_crossing_rate};

    #[test]
    fn the_vector_is_the_means_of_its_features() {
        let samples: Vec<f32> =
            (0..30_000).map(|n| (n as f32 * 0.07).sin() * 0.3 + (n as f32 * 0.9).cos() * 0.05).collect();
        let got = vector_162(&samples, 16_000).unwrap();

        let mel = MelConfig { sr: 16_000.0, ..MelConfig::default() };
        let mfcc = Mfcc::new(&MfccConfig { mel, ..MfccConfig::default() }).unwrap();
        let chroma = Chroma::new(&ChromaConfig { sr: 16_000.0, ..ChromaConfig::default() }).unwrap();
        let magnitude = chroma.stft().spectrogram(&samples, 1.0).unwrap();
        let features = concatenate![
            Axis(0),
            zero_crossing_rate(&samples, &ZcrConfig::default()).unwrap().mapv(|x| x as f32),
            chroma.from_spectrogram(magnitude.view()).unwrap(),
            mfcc.process(&samples).unwrap(),
            rms(&samples, &RmsConfig::default()).unwrap(),
            mfcc.mel().process(&samples).unwrap()
        ];
        let want = summarize(features.view(), &[Statistic::Mean]).unwrap();
        assert_eq!(want.nrows(), VECTOR_162);
        for (got, want) in got.iter().zip(want.iter()) {
            assert_relative_eq!(f64::from(*got), *want, max_relative = 2e-5, epsilon = 1e-4);
        }
    }

    #[test]
    fn statistics_equal_numpys() {
        let got = summarize(
            array![[4.0_f64, 1.0, 3.0, 2.0]].view(),
            &[
                Statistic::Mean,
                Statistic::Std,
                Statistic::Min,
                Statistic::Max,
                Statistic::Percentile(25.0),
                Statistic::Percentile(100.0),
            ],
        )
        .unwrap();
        for (got, want) in got.iter().zip([2.5, 1.25_f64.sqrt(), 1.0, 4.0, 1.75, 4.0]) {
            assert_relative_eq!(*got, want, max_relative = 1e-14);
        }
        assert!(summarize(array![[1.0_f32]].view(), &[Statistic::Percentile(101.0)]).is_err());
        assert!(summarize(Array2::<f32>::zeros((2, 0)).view(), &[Statistic::Mean]).is_err());
    }

    #[test]
    fn silence_and_single_samples_have_a_vector_and_nothing_has_none() {
        assert!(vector_162(&[0.0; 5000], 16_000).unwrap().iter().all(|x| x.is_finite()));
        assert!(vector_162(&[0.5], 16_000).unwrap().iter().all(|x| x.is_finite()));
        assert!(vector_162(&[], 16_000).is_err());
        assert!(vector_162(&[0.0; 100], 0).is_err());
        assert!(vector_162(&[f32::NAN], 16_000).is_err());
    }
}
