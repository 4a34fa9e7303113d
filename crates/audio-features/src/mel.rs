//! The mel filter bank and the mel spectrogram.

use std::ops::Range;

use ndarray::{Array2, ArrayView2, ArrayViewMut2};

use crate::convert::{fft_frequencies, mel_frequencies};
use crate::error::{Error, Result};
use crate::frame::check_length;
use crate::lanes::{Kernel, Lanes, blocks_of, store, vectorized};
use crate::normalize::Norm;
use crate::sample::{Sample, Table};
use crate::scratch::Pool;
use crate::stft::{Framed, Stft, StftConfig};

/// How the triangles of a mel filter bank are scaled (librosa's `norm`, `mel_norm` in `mfcc`).
#[derive(Debug, Clone, Copy, PartialEq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum MelNorm {
    /// Every triangle has the same area (`'slaney'`), the default.
    #[default]
    Slaney,
    /// Every triangle has norm 1; [`Norm::None`] leaves their tops at 1 (`None`, HTK's way).
    Norm(Norm),
}

/// Settings of a mel spectrogram, by librosa's names and with its defaults.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(default))]
pub struct MelConfig {
    /// Sampling rate, in Hz. Default 22,050.
    pub sr: f64,
    /// The transform that the spectrogram comes from.
    pub stft: StftConfig,
    /// Exponent of the magnitude: 1 magnitude, 2 power. Default 2.
    pub power: f64,
    /// Number of mel bands. Default 128.
    pub n_mels: usize,
    /// Lowest frequency, in Hz. Default 0.
    pub fmin: f64,
    /// Highest frequency, in Hz. Default: half of `sr`.
    pub fmax: Option<f64>,
    /// HTK's mel scale instead of Slaney's. Default false.
    pub htk: bool,
    /// Scale of the triangles. Default: equal area.
    pub norm: MelNorm,
}

impl Default for MelConfig {
    fn default() -> Self {
        Self {
            sr: 22_050.0,
            stft: StftConfig::default(),
            power: 2.0,
            n_mels: 128,
            fmin: 0.0,
            fmax: None,
            htk: false,
            norm: MelNorm::Slaney,
        }
    }
}

/// More bands than anyone draws; a mistake beyond it would only exhaust memory.
const MOST_MELS: usize = 1 << 16;

/// The mel filter bank of a config, shape `[n_mels, n_bins]` (librosa: `filters.mel`; its dtype is `float32` too).
///
/// Bands narrower than a bin are empty (all zero), as in librosa, which warns of them: see [`MelSpectrogram::empty_bands`].
///
/// # Errors
/// [`Error::InvalidConfig`] when `sr` or `n_fft` is not above 0, a frequency is not finite, or `n_mels` is 0.
pub fn mel_filters(config: &MelConfig) -> Result<Array2<f32>> {
    let MelConfig { sr, n_mels, fmin, fmax, htk, norm, .. } = *config;
    let n_fft = config.stft.n_fft;
    let fmax = fmax.unwrap_or(sr / 2.0);
    check_rate(sr)?;
    check_length("n_fft", n_fft)?;
    if !(1..=MOST_MELS).contains(&n_mels) {
        return Err(Error::config("n_mels", format!("1 to {MOST_MELS}"), n_mels));
    }
    for (name, value) in [("fmin", fmin), ("fmax", fmax)] {
        // HTK's scale has a pole at −700 Hz; below 0 there is nothing to hear anyway, but librosa allows it.
        if !value.is_finite() || (htk && value <= -700.0) {
            return Err(Error::config(name, "a finite frequency in Hz", value));
        }
    }
    if let MelNorm::Norm(norm) = norm {
        norm.check()?;
    }

    let bins = fft_frequencies(sr, n_fft);
    let edges = mel_frequencies(n_mels + 2, fmin, fmax, htk);
    let mut filters = Array2::zeros((n_mels, bins.len()));
    for (mut row, edge) in filters.rows_mut().into_iter().zip(edges.windows(3)) {
        let (rise, fall) = (edge[1] - edge[0], edge[2] - edge[1]);
        for (weight, &bin) in row.iter_mut().zip(&bins) {
            let (lower, upper) = ((bin - edge[0]) / rise, (edge[2] - bin) / fall);
            *weight = lower.min(upper).max(0.0) as f32;
        }
        match norm {
            MelNorm::Slaney => {
                let scale = 2.0 / (edge[2] - edge[0]);
                row.mapv_inplace(|weight| (f64::from(weight) * scale) as f32);
            }
            MelNorm::Norm(norm) => {
                if let Some(row) = row.as_slice_mut() {
                    norm.apply(row);
                }
            }
        }
    }
    Ok(filters)
}

pub(crate) fn check_rate(sr: f64) -> Result<()> {
    if sr > 0.0 && sr.is_finite() { Ok(()) } else { Err(Error::config("sr", "a sampling rate above 0 Hz", sr)) }
}

/// A filter bank whose rows are mostly zero: only the stretch of each row that is not is kept.
#[derive(Debug, Clone)]
pub(crate) struct SparseBank {
    /// First bin of each row, and where its weights lie in `weights`.
    rows: Vec<(usize, std::ops::Range<usize>)>,
    weights: Table,
}

impl SparseBank {
    pub(crate) fn new(dense: &Array2<f32>) -> Self {
        let (mut rows, mut weights) = (Vec::with_capacity(dense.nrows()), Vec::new());
        for row in dense.rows() {
            let first = row.iter().position(|&w| w != 0.0).unwrap_or(0);
            let end = row.iter().rposition(|&w| w != 0.0).map_or(first, |last| last + 1);
            let start = weights.len();
            weights.extend(row.iter().skip(first).take(end - first).map(|&w| f64::from(w)));
            rows.push((first, start..weights.len()));
        }
        Self { rows, weights: weights.into_iter().collect() }
    }

    pub(crate) fn n_rows(&self) -> usize {
        self.rows.len()
    }
}

/// The bank times a block of frames of a spectrogram.
struct Apply<'a, T> {
    bank: &'a SparseBank,
    bins: &'a [Lanes<T>],
    out: &'a mut [Lanes<T>],
}

impl<T: Sample> Kernel for Apply<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self { bank, bins, out } = self;
        let weights = bank.weights.get::<T>();
        for (slot, (first, range)) in out.iter_mut().zip(&bank.rows) {
            let weights = &weights[range.clone()];
            let mut sum = Lanes::default();
            for (&bin, &weight) in bins[*first..].iter().zip(weights) {
                sum = sum + bin * weight;
            }
            *slot = sum;
        }
    }
}

/// A planned mel spectrogram (librosa: `feature.melspectrogram`).
///
/// ```
/// use audio_features::{MelConfig, MelSpectrogram, StftConfig};
///
/// let mel = MelSpectrogram::new(&MelConfig { sr: 16_000.0, n_mels: 64, ..MelConfig::default() })?;
/// let energies = mel.process(&vec![0.1_f32; 16_000])?; // power, [n_mels, n_frames]
/// assert_eq!(energies.dim(), (64, 32));
/// # Ok::<(), audio_features::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct MelSpectrogram {
    config: MelConfig,
    stft: Stft,
    bank: SparseBank,
    pool: Pool,
}

/// The working memory of one call: a block of a spectrogram, and its bands.
#[derive(Default)]
struct Work<T> {
    bins: Vec<Lanes<T>>,
    bands: Vec<Lanes<T>>,
}

impl MelSpectrogram {
    /// Plans the transform and draws the filter bank.
    ///
    /// # Errors
    /// [`Error::InvalidConfig`] as [`Stft::new`] and [`mel_filters`], and when `power` is not finite.
    pub fn new(config: &MelConfig) -> Result<Self> {
        if !config.power.is_finite() {
            return Err(Error::config("power", "a finite number", config.power));
        }
        let stft = Stft::new(&config.stft)?;
        let bank = SparseBank::new(&mel_filters(config)?);
        Ok(Self { config: config.clone(), stft, bank, pool: Pool::default() })
    }

    /// The settings it was planned with.
    pub fn config(&self) -> &MelConfig {
        &self.config
    }

    /// The transform it starts from.
    pub fn stft(&self) -> &Stft {
        &self.stft
    }

    /// The bands that no bin falls into, and which are therefore always 0: there are too many bands for `n_fft`.
    pub fn empty_bands(&self) -> Vec<usize> {
        (0..self.bank.n_rows()).filter(|&m| self.bank.rows[m].1.is_empty()).collect()
    }

    /// Energies of the mel bands, shape `[n_mels, n_frames]`.
    ///
    /// # Errors
    /// As [`Stft::process`].
    pub fn process<T: Sample>(&self, samples: &[T]) -> Result<Array2<T>> {
        let mut out = Array2::zeros((self.bank.n_rows(), self.stft.n_frames(samples.len())?));
        self.process_into(samples, out.view_mut())?;
        Ok(out)
    }

    /// Like [`MelSpectrogram::process`], into memory of the caller; nothing is allocated after the first call.
    ///
    /// # Errors
    /// As [`Stft::process`], and [`Error::WrongShape`] when `out` is not `[n_mels, n_frames]`.
    pub fn process_into<T: Sample>(&self, samples: &[T], mut out: ArrayViewMut2<'_, T>) -> Result<()> {
        self.stft.check_out(samples.len(), self.bank.n_rows(), out.shape())?;
        let signal = self.stft.framed(samples)?;
        self.blocks(&signal, 0..signal.frames(), |first, frames, bands| store(bands, frames, first, &mut out))
    }

    /// Calls `sink(first frame, number of frames, bands)` with the bands of some frames of a signal, block by block.
    pub(crate) fn blocks<T: Sample>(
        &self,
        signal: &Framed<'_, T>,
        frames: Range<usize>,
        mut sink: impl FnMut(usize, usize, &mut [Lanes<T>]),
    ) -> Result<()> {
        let mut work = self.pool.take::<Work<T>>();
        let bands = &mut work.bands;
        bands.resize(self.bank.n_rows(), Lanes::default());
        self.stft.spectrogram_blocks(signal, frames, self.config.power, |block| {
            self.apply(block.bins, bands);
            sink(block.first, block.frames, bands);
        })
    }

    /// Mel bands of a spectrogram that is already there, shape `[n_bins, n_frames]` (librosa: `melspectrogram(S=...)`).
    ///
    /// # Errors
    /// [`Error::WrongShape`] when the spectrogram has another number of bins than the config's `n_fft`.
    pub fn from_spectrogram<T: Sample>(&self, spectrogram: ArrayView2<'_, T>) -> Result<Array2<T>> {
        let mut out = Array2::zeros((self.bank.n_rows(), spectrogram.ncols()));
        self.from_spectrogram_into(spectrogram, out.view_mut())?;
        Ok(out)
    }

    /// Like [`MelSpectrogram::from_spectrogram`], into memory of the caller; nothing is allocated after the first call.
    ///
    /// # Errors
    /// As [`MelSpectrogram::from_spectrogram`], and [`Error::WrongShape`] when `out` is not `[n_mels, n_frames]`.
    pub fn from_spectrogram_into<T: Sample>(
        &self,
        spectrogram: ArrayView2<'_, T>,
        mut out: ArrayViewMut2<'_, T>,
    ) -> Result<()> {
        let (n_bins, n_mels) = (self.stft.n_bins(), self.bank.n_rows());
        if spectrogram.nrows() != n_bins {
            return Err(Error::shape("the spectrogram", &[n_bins, spectrogram.ncols()], spectrogram.shape()));
        }
        if out.dim() != (n_mels, spectrogram.ncols()) {
            return Err(Error::shape("the output", &[n_mels, spectrogram.ncols()], out.shape()));
        }
        let mut work = self.pool.take::<Work<T>>();
        let Work { bins, bands } = &mut *work;
        bands.resize(n_mels, Lanes::default());
        blocks_of(spectrogram, bins, |block| {
            self.apply(block.bins, bands);
            store(bands, block.frames, block.first, &mut out);
        });
        Ok(())
    }

    /// The bands of a block of frames of the spectrogram.
    pub(crate) fn apply<T: Sample>(&self, bins: &[Lanes<T>], bands: &mut [Lanes<T>]) {
        vectorized(Apply { bank: &self.bank, bins, out: bands });
    }
}
