//! Features of sound that is still coming.

use std::collections::VecDeque;

use ndarray::{Array2, Axis};
use realfft::num_complex::Complex;

use crate::chroma::{Chroma, ChromaConfig};
use crate::decibel::{DbConfig, Reference, log_power, maximum, median};
use crate::error::{Error, Result};
use crate::frame::{PadMode, check_hop, check_length, frame_count, pad_into};
use crate::mel::{MelConfig, MelSpectrogram};
use crate::mfcc::{Mfcc, MfccConfig};
use crate::sample::{Sample, check_finite};
use crate::spectral::{
    Bands, BandwidthConfig, ContrastConfig, poly_features, spectral_bandwidth, spectral_centroid, spectral_contrast,
    spectral_flatness, spectral_rolloff,
};
use crate::stft::{Stft, StftConfig};
use crate::temporal::{RmsConfig, ZcrConfig, rms, zero_crossing_rate};
use crate::tuning::{PiptrackConfig, piptrack, pitch_tuning};

/// Takes samples as they come and hands out the frames that they complete, **bit for bit those of the batch function**, however
/// the signal is cut. It remembers a few frames of samples, so its memory does not grow with the signal.
///
/// A frame comes out as soon as its last sample is in; a centred frame therefore lags half a frame behind the signal, and the
/// first ones come once the padding before the start is known (all five padding modes of transforms work).
///
/// # What needs the whole signal
/// Two things in librosa look at all frames before they say anything of the first, so they cannot stream as they are:
///
/// - decibels with a `top_db` (the default of MFCCs), or over a reference such as the maximum: they hang on the loudest value;
/// - chroma with an estimated tuning: it is the commonest deviation of all peaks.
///
/// The plain constructors refuse them. Set `top_db: None` and give the `tuning`, or take the *running* variants
/// ([`log_mel_running`](Self::log_mel_running), [`mfcc_running`](Self::mfcc_running),
/// [`chroma_running`](Self::chroma_running), [`contrast_running`](FeatureStream::contrast_running)), which use what was heard
/// **so far**: the loudest value up to this frame, the tuning of the latest [`TUNING_FRAMES`] frames. Their first frames differ
/// from the batch result; what they say still does not depend on how the signal is cut, and never changes afterwards.
///
/// ```
/// use audio_features::{FeatureStream, MelConfig, MelSpectrogram};
///
/// let mel = MelSpectrogram::new(&MelConfig { sr: 16_000.0, ..MelConfig::default() })?;
/// let samples: Vec<f32> = (0..16_000).map(|n| (n as f32 * 0.01).sin()).collect();
/// let batch = mel.process(&samples)?;
///
/// let mut stream = FeatureStream::mel(&mel)?;
/// let mut frames = 0;
/// let mut check = |frame: &[f32]| {
///     assert_eq!(batch.column(frames).to_vec(), frame);
///     frames += 1;
/// };
/// for piece in samples.chunks(160) {
///     stream.push(piece, &mut check)?;
/// }
/// stream.finish(&mut check)?;
/// assert_eq!(frames, batch.ncols());
/// # Ok::<(), audio_features::Error>(())
/// ```
pub struct FeatureStream<T = f32, O = T> {
    framing: Framing,
    stage: Box<dyn Stage<T, O>>,
    /// Samples that frames still need, with the padding before them once it is known.
    waiting: Vec<T>,
    /// First sample of `waiting` that the next frame needs; beyond its end when the hop is longer than a frame.
    next: usize,
    /// Whether the padding before the signal stands in `waiting`.
    begun: bool,
    received: usize,
    row: Vec<O>,
}

/// How many frames [`FeatureStream::chroma_running`] hears the tuning of: about 24 s at librosa's defaults.
pub const TUNING_FRAMES: usize = 1024;

/// Frames that are computed together.
const TOGETHER: usize = 64;

/// Where frames lie.
#[derive(Debug, Clone, Copy)]
struct Framing {
    length: usize,
    hop: usize,
    /// Padding on both sides.
    half: usize,
    mode: PadMode,
    /// Whether the padding at the end is made of the samples of the last frames only, as a transform does it, or of all.
    ends_alone: bool,
}

impl Framing {
    fn of(stft: &Stft) -> Self {
        let StftConfig { n_fft, center, pad_mode, .. } = *stft.config();
        let half = if center { n_fft / 2 } else { 0 };
        Self { length: n_fft, hop: stft.hop_length(), half, mode: pad_mode, ends_alone: true }
    }

    fn of_waveform(length: usize, hop: usize, center: bool, mode: PadMode) -> Result<Self> {
        check_length("frame_length", length)?;
        check_hop(hop)?;
        if center && !mode.is_local() {
            let expected = "constant, edge, reflect, symmetric or linear_ramp in a stream";
            return Err(Error::config("pad_mode", expected, format!("{mode:?}")));
        }
        Ok(Self { length, hop, half: if center { length / 2 } else { 0 }, mode, ends_alone: false })
    }
}

/// What becomes of samples that hold some whole frames, which are not centred.
trait Stage<T, O>: Send {
    /// The frames, `[n_rows, n_frames]`.
    fn frames(&mut self, samples: &[T]) -> Result<Array2<O>>;

    /// Another signal begins.
    fn restart(&mut self) {}
}

/// A stage that remembers nothing.
struct Plain<F>(F);

impl<T, O, F: FnMut(&[T]) -> Result<Array2<O>> + Send> Stage<T, O> for Plain<F> {
    fn frames(&mut self, samples: &[T]) -> Result<Array2<O>> {
        (self.0)(samples)
    }
}

fn uncentred(config: &StftConfig) -> StftConfig {
    StftConfig { center: false, ..config.clone() }
}

impl<T, O> std::fmt::Debug for FeatureStream<T, O> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FeatureStream").field("framing", &self.framing).field("received", &self.received).finish()
    }
}

impl<T: Sample, O: Clone> FeatureStream<T, O> {
    fn with(framing: Framing, stage: impl Stage<T, O> + 'static) -> Self {
        let begun = framing.half == 0;
        Self { framing, stage: Box::new(stage), waiting: Vec::new(), next: 0, begun, received: 0, row: Vec::new() }
    }

    fn plain(framing: Framing, f: impl FnMut(&[T]) -> Result<Array2<O>> + Send + 'static) -> Self {
        Self::with(framing, Plain(f))
    }

    /// Samples from one frame to the next.
    pub fn hop_length(&self) -> usize {
        self.framing.hop
    }

    /// Takes the next samples, and calls `sink` with every frame that they complete, in order.
    ///
    /// # Errors
    /// [`Error::NotFinite`] for NaN or infinite samples; nothing is taken then.
    pub fn push(&mut self, samples: &[T], mut sink: impl FnMut(&[O])) -> Result<()> {
        check_finite(samples)?;
        let Framing { length, hop, .. } = self.framing;
        // However much comes at once, only so much of it is kept at a time.
        for piece in samples.chunks(TOGETHER * length.max(hop)) {
            self.received += piece.len();
            self.waiting.extend_from_slice(piece);
            if self.begin()? {
                self.emit(&mut sink)?;
            }
        }
        Ok(())
    }

    /// Calls `sink` with the frames that reach beyond the end, and makes the stream ready for another signal.
    ///
    /// # Errors
    /// [`Error::TooShort`] when not even one frame came together; [`Error::InvalidInput`] when nothing came at all and the
    /// padding is made of samples. The stream is ready for another signal then, too.
    pub fn finish(&mut self, mut sink: impl FnMut(&[O])) -> Result<()> {
        let outcome = self.pad_end().and_then(|()| self.emit(&mut sink));
        self.waiting.clear();
        self.stage.restart();
        (self.next, self.received, self.begun) = (0, 0, self.framing.half == 0);
        outcome
    }

    /// Puts the padding before the signal as soon as it is known, and says whether it is there.
    fn begin(&mut self) -> Result<bool> {
        if self.begun {
            return Ok(true);
        }
        let Framing { length, hop, half, mode, .. } = self.framing;
        // A transform of a signal that is so short that every frame touches an end pads it whole: wait until it is longer.
        let start = half.div_ceil(hop);
        if self.received + half < length + start * hop {
            return Ok(false);
        }
        let mut padded = Vec::new();
        pad_into(&self.waiting, half, 0, mode, &mut padded)?;
        (self.waiting, self.begun) = (padded, true);
        Ok(true)
    }

    fn pad_end(&mut self) -> Result<()> {
        let Framing { length, hop, half, mode, ends_alone } = self.framing;
        if frame_count(self.received + 2 * half, length, hop) == 0 {
            return Err(Error::TooShort { expected: length - 2 * half, got: self.received });
        }
        let mut padded = Vec::new();
        if !self.begun {
            pad_into(&self.waiting, half, half, mode, &mut padded)?;
            (self.waiting, self.begun) = (padded, true);
            return Ok(());
        }
        if half == 0 || self.next > self.waiting.len() {
            return Ok(());
        }
        // Whether there is a frame that reaches beyond the end at all.
        if self.waiting.len() - self.next + half < length {
            return Ok(());
        }
        let from = if ends_alone { self.next } else { self.waiting.len() - self.received.min(self.waiting.len()) };
        pad_into(&self.waiting[from..], 0, half, mode, &mut padded)?;
        self.waiting.truncate(from);
        self.waiting.extend_from_slice(&padded);
        Ok(())
    }

    /// Hands out frames while there are samples for them.
    fn emit(&mut self, sink: &mut impl FnMut(&[O])) -> Result<()> {
        let Framing { length, hop, half, .. } = self.framing;
        loop {
            let ready = self.waiting.len().saturating_sub(self.next);
            let frames = frame_count(ready, length, hop).min(TOGETHER);
            if frames == 0 {
                break;
            }
            let values = self.stage.frames(&self.waiting[self.next..][..(frames - 1) * hop + length])?;
            for frame in values.columns() {
                self.row.clear();
                self.row.extend(frame.iter().cloned());
                sink(&self.row);
            }
            self.next += frames * hop;
        }
        // What no padding can be made of any more is dropped once it is most of the buffer, so that a sample is moved only a
        // few times.
        let behind = self.next.min(self.waiting.len()).saturating_sub(half + 1);
        if behind > length.max(self.waiting.len() / 2) {
            self.waiting.drain(..behind);
            self.next -= behind;
        }
        Ok(())
    }
}

impl<T: Sample> FeatureStream<T, Complex<T>> {
    /// Complex spectra, as [`Stft::process`] gives them.
    ///
    /// # Errors
    /// As [`Stft::new`].
    pub fn stft(stft: &Stft) -> Result<Self> {
        let plan = Stft::new(&uncentred(stft.config()))?;
        Ok(Self::plain(Framing::of(stft), move |samples| plan.process(samples)))
    }
}

impl<T: Sample> FeatureStream<T, T> {
    /// |STFT|^`power`, as [`Stft::spectrogram`] gives it.
    ///
    /// # Errors
    /// As [`Stft::new`].
    pub fn spectrogram(stft: &Stft, power: f64) -> Result<Self> {
        let plan = Stft::new(&uncentred(stft.config()))?;
        Ok(Self::plain(Framing::of(stft), move |samples| plan.spectrogram(samples, power)))
    }

    /// Mel energies, as [`MelSpectrogram::process`] gives them.
    ///
    /// # Errors
    /// As [`MelSpectrogram::new`].
    pub fn mel(mel: &MelSpectrogram) -> Result<Self> {
        let plan = uncentred_mel(mel.config())?;
        Ok(Self::plain(Framing::of(mel.stft()), move |samples| plan.process(samples)))
    }

    /// Mel energies in decibels: [`power_to_db`](crate::power_to_db) of [`MelSpectrogram::process`].
    ///
    /// # Errors
    /// As [`MelSpectrogram::new`], and [`Error::InvalidConfig`] when the decibels have a `top_db` or a reference taken from the
    /// signal: both need all of it.
    pub fn log_mel(mel: &MelSpectrogram, db: &DbConfig) -> Result<Self> {
        needs_no_whole(db)?;
        Self::log_mel_running(mel, db)
    }

    /// Like [`FeatureStream::log_mel`], with a `top_db` (and a [`Reference::Max`]) by the loudest value so far.
    ///
    /// # Errors
    /// As [`MelSpectrogram::new`], and [`Error::InvalidConfig`] for a reference other than a number or the maximum.
    pub fn log_mel_running(mel: &MelSpectrogram, db: &DbConfig) -> Result<Self> {
        let stage =
            RunningLogMel { mel: uncentred_mel(mel.config())?, decibels: RunningDecibels::new(db)?, mfcc: None };
        Ok(Self::with(Framing::of(mel.stft()), stage))
    }

    /// MFCCs, as [`Mfcc::process`] gives them.
    ///
    /// # Errors
    /// As [`Mfcc::new`], and [`Error::InvalidConfig`] when the decibels have a `top_db` or a reference taken from the signal:
    /// both need all of it.
    pub fn mfcc(mfcc: &Mfcc) -> Result<Self> {
        needs_no_whole(&mfcc.config().db)?;
        let plan = uncentred_mfcc(mfcc.config())?;
        Ok(Self::plain(Framing::of(mfcc.mel().stft()), move |samples| plan.process(samples)))
    }

    /// Like [`FeatureStream::mfcc`], with a `top_db` (and a [`Reference::Max`]) by the loudest value so far.
    ///
    /// # Errors
    /// As [`Mfcc::new`], and [`Error::InvalidConfig`] for a reference other than a number or the maximum.
    pub fn mfcc_running(mfcc: &Mfcc) -> Result<Self> {
        let plan = uncentred_mfcc(mfcc.config())?;
        let stage = RunningLogMel {
            mel: plan.mel().clone(),
            decibels: RunningDecibels::new(&mfcc.config().db)?,
            mfcc: Some(plan),
        };
        Ok(Self::with(Framing::of(mfcc.mel().stft()), stage))
    }

    /// Pitch classes, as [`Chroma::process`] gives them.
    ///
    /// # Errors
    /// As [`Chroma::new`], and [`Error::InvalidConfig`] when the tuning is to be estimated, which needs the whole signal.
    pub fn chroma(chroma: &Chroma) -> Result<Self> {
        if chroma.config().tuning.is_none() {
            return Err(Error::config("tuning", "given in a stream, or use chroma_running", "None"));
        }
        let plan = uncentred_chroma(chroma.config())?;
        Ok(Self::plain(Framing::of(chroma.stft()), move |samples| plan.process(samples)))
    }

    /// Like [`FeatureStream::chroma`], with a tuning that is heard from the latest [`TUNING_FRAMES`] frames: anew with every
    /// frame at first, and with every eighth later. A tuning that the config gives is used as it is.
    ///
    /// # Errors
    /// As [`Chroma::new`].
    pub fn chroma_running(chroma: &Chroma) -> Result<Self> {
        if chroma.config().tuning.is_some() {
            return Self::chroma(chroma);
        }
        let config =
            ChromaConfig { stft: uncentred(&chroma.config().stft), tuning: Some(0.0), ..chroma.config().clone() };
        let stage = RunningChroma { chroma: Chroma::new(&config)?, peaks: VecDeque::new(), seen: 0 };
        Ok(Self::with(Framing::of(chroma.stft()), stage))
    }

    /// Noise or tone, as [`spectral_flatness`] gives it.
    ///
    /// # Errors
    /// As [`Stft::new`], and [`Error::InvalidConfig`] as [`spectral_flatness`].
    pub fn flatness(stft: &Stft, amin: f64, power: f64) -> Result<Self> {
        crate::spectral::Shape::flatness(amin, power)?;
        let plan = Stft::new(&uncentred(stft.config()))?;
        let of = move |samples: &[T]| spectral_flatness(plan.spectrogram(samples, 1.0)?.view(), amin, power);
        Ok(Self::plain(Framing::of(stft), of))
    }
}

impl<T: Sample> FeatureStream<T, f32> {
    /// Loudness, as [`rms`] gives it.
    ///
    /// # Errors
    /// [`Error::InvalidConfig`] when a length is 0, or the padding is made of the whole signal.
    pub fn rms(config: &RmsConfig) -> Result<Self> {
        let framing = Framing::of_waveform(config.frame_length, config.hop_length, config.center, config.pad_mode)?;
        let config = RmsConfig { center: false, ..config.clone() };
        Ok(Self::plain(framing, move |samples| rms(samples, &config)))
    }
}

impl<T: Sample> FeatureStream<T, f64> {
    /// The share of sign changes, as [`zero_crossing_rate`] gives it.
    ///
    /// # Errors
    /// [`Error::InvalidConfig`] when a length is 0 or the threshold negative.
    pub fn zero_crossing_rate(config: &ZcrConfig) -> Result<Self> {
        let framing = Framing::of_waveform(config.frame_length, config.hop_length, config.center, PadMode::Edge)?;
        let config = ZcrConfig { center: false, ..config.clone() };
        config.check()?;
        Ok(Self::plain(framing, move |samples| zero_crossing_rate(samples, &config)))
    }

    /// Mean frequencies, as [`spectral_centroid`] gives them; `freq` is the frequency of every bin, in Hz.
    ///
    /// # Errors
    /// As [`Stft::new`], and [`Error::WrongShape`] when there is not a frequency for every bin.
    pub fn centroid(stft: &Stft, freq: Vec<f64>) -> Result<Self> {
        Self::of_magnitude(stft, freq, spectral_centroid)
    }

    /// Spreads around the mean frequency, as [`spectral_bandwidth`] gives them.
    ///
    /// # Errors
    /// As [`FeatureStream::centroid`], and [`Error::InvalidConfig`] as [`spectral_bandwidth`].
    pub fn bandwidth(stft: &Stft, freq: Vec<f64>, config: &BandwidthConfig) -> Result<Self> {
        crate::spectral::Shape::bandwidth(config)?;
        let config = config.clone();
        Self::of_magnitude(stft, freq, move |magnitude, freq| spectral_bandwidth(magnitude, freq, &config))
    }

    /// Roll-off frequencies, as [`spectral_rolloff`] gives them.
    ///
    /// # Errors
    /// As [`FeatureStream::centroid`], and [`Error::InvalidConfig`] as [`spectral_rolloff`].
    pub fn rolloff(stft: &Stft, freq: Vec<f64>, roll_percent: f64) -> Result<Self> {
        crate::spectral::Shape::rolloff(roll_percent)?;
        Self::of_magnitude(stft, freq, move |magnitude, freq| spectral_rolloff(magnitude, freq, roll_percent))
    }

    /// Coefficients of polynomials, as [`poly_features`] gives them.
    ///
    /// # Errors
    /// As [`FeatureStream::centroid`], and [`Error::InvalidConfig`] as [`poly_features`].
    pub fn poly_features(stft: &Stft, freq: Vec<f64>, order: usize) -> Result<Self> {
        crate::spectral::Shape::polynomial(&freq, order)?;
        Self::of_magnitude(stft, freq, move |magnitude, freq| poly_features(magnitude, freq, order))
    }

    /// Peaks over valleys, as [`spectral_contrast`] gives them with `linear`.
    ///
    /// # Errors
    /// As [`FeatureStream::centroid`], and [`Error::InvalidConfig`] as [`spectral_contrast`] and when the config is not linear:
    /// its decibels are cut off below the largest value of the whole signal.
    pub fn contrast(stft: &Stft, freq: Vec<f64>, config: &ContrastConfig) -> Result<Self> {
        if !config.linear {
            return Err(Error::config("linear", "true in a stream, or use contrast_running", false));
        }
        Bands::new(config, &freq)?;
        let config = config.clone();
        Self::of_magnitude(stft, freq, move |magnitude, freq| spectral_contrast(magnitude, freq, &config))
    }

    /// Like [`FeatureStream::contrast`] in decibels, cut off 80 dB below the largest value so far.
    ///
    /// # Errors
    /// As [`FeatureStream::centroid`], and [`Error::InvalidConfig`] as [`spectral_contrast`].
    pub fn contrast_running(stft: &Stft, freq: Vec<f64>, config: &ContrastConfig) -> Result<Self> {
        if config.linear {
            return Self::contrast(stft, freq, config);
        }
        check_bins(stft, &freq)?;
        let stage = RunningContrast {
            stft: Stft::new(&uncentred(stft.config()))?,
            bands: Bands::new(config, &freq)?,
            peaks: RunningDecibels::new(&DbConfig::default())?,
            valleys: RunningDecibels::new(&DbConfig::default())?,
        };
        Ok(Self::with(Framing::of(stft), stage))
    }

    fn of_magnitude(
        stft: &Stft,
        freq: Vec<f64>,
        f: impl Fn(ndarray::ArrayView2<'_, T>, &[f64]) -> Result<Array2<f64>> + Send + 'static,
    ) -> Result<Self> {
        check_bins(stft, &freq)?;
        let plan = Stft::new(&uncentred(stft.config()))?;
        Ok(Self::plain(Framing::of(stft), move |samples| f(plan.spectrogram(samples, 1.0)?.view(), &freq)))
    }
}

fn check_bins(stft: &Stft, freq: &[f64]) -> Result<()> {
    if freq.len() == stft.n_bins() {
        Ok(())
    } else {
        Err(Error::shape("the frequencies", &[stft.n_bins()], &[freq.len()]))
    }
}

fn uncentred_mel(config: &MelConfig) -> Result<MelSpectrogram> {
    MelSpectrogram::new(&MelConfig { stft: uncentred(&config.stft), ..config.clone() })
}

fn uncentred_mfcc(config: &MfccConfig) -> Result<Mfcc> {
    let mel = MelConfig { stft: uncentred(&config.mel.stft), ..config.mel.clone() };
    Mfcc::new(&MfccConfig { mel, ..config.clone() })
}

fn uncentred_chroma(config: &ChromaConfig) -> Result<Chroma> {
    Chroma::new(&ChromaConfig { stft: uncentred(&config.stft), ..config.clone() })
}

fn needs_no_whole(db: &DbConfig) -> Result<()> {
    if let Some(top_db) = db.top_db {
        let expected = "None in a stream, whose loudest frame may still come; or use the running variant";
        return Err(Error::config("top_db", expected, top_db));
    }
    if !matches!(db.reference, Reference::Value(_)) {
        return Err(Error::config("ref", "a number in a stream", format!("{:?}", db.reference)));
    }
    Ok(())
}

/// Decibels by what was heard so far.
struct RunningDecibels {
    config: DbConfig,
    /// The largest power.
    loudest: f64,
    /// The largest decibels.
    top: f64,
}

impl RunningDecibels {
    fn new(config: &DbConfig) -> Result<Self> {
        config.check()?;
        if !matches!(config.reference, Reference::Value(_) | Reference::Max) {
            return Err(Error::config("ref", "a number or the maximum in a stream", format!("{:?}", config.reference)));
        }
        Ok(Self { config: config.clone(), loudest: 0.0, top: f64::NEG_INFINITY })
    }

    fn restart(&mut self) {
        (self.loudest, self.top) = (0.0, f64::NEG_INFINITY);
    }

    /// Turns the powers of the next frame to decibels, in place.
    fn convert<T: Sample>(&mut self, power: &mut [T]) {
        let reference = match self.config.reference {
            Reference::Value(value) => value.abs(),
            _ => {
                let louder = self.loudest.max(maximum(power).widen());
                // What was the top so far lies lower over a larger reference.
                let amin = self.config.amin;
                self.top -= 10.0 * (louder.max(amin) / self.loudest.max(amin)).log10();
                self.loudest = louder;
                louder
            }
        };
        log_power(power, self.config.amin, reference);
        self.top = self.top.max(maximum(power).widen());
        if let Some(top_db) = self.config.top_db {
            let floor = T::narrow(self.top) - T::narrow(top_db);
            for value in power {
                *value = if *value < floor { floor } else { *value };
            }
        }
    }
}

/// Mel decibels, or the MFCCs of them.
struct RunningLogMel {
    mel: MelSpectrogram,
    decibels: RunningDecibels,
    mfcc: Option<Mfcc>,
}

impl<T: Sample> Stage<T, T> for RunningLogMel {
    fn frames(&mut self, samples: &[T]) -> Result<Array2<T>> {
        let mut mel = self.mel.process(samples)?;
        let mut frame = Vec::new();
        for mut column in mel.columns_mut() {
            frame.clear();
            frame.extend(column.iter().copied());
            self.decibels.convert(&mut frame);
            column.iter_mut().zip(&frame).for_each(|(slot, &value)| *slot = value);
        }
        match &self.mfcc {
            Some(mfcc) => mfcc.from_log_mel(mel.view()),
            None => Ok(mel),
        }
    }

    fn restart(&mut self) {
        self.decibels.restart();
    }
}

/// Contrast in decibels.
struct RunningContrast {
    stft: Stft,
    bands: Bands,
    peaks: RunningDecibels,
    valleys: RunningDecibels,
}

impl<T: Sample> Stage<T, f64> for RunningContrast {
    fn frames(&mut self, samples: &[T]) -> Result<Array2<f64>> {
        let magnitude = self.stft.spectrogram(samples, 1.0)?;
        let mut out = Array2::zeros((self.bands.rows(), magnitude.ncols()));
        let (mut frame, mut sorted) = (Vec::new(), Vec::new());
        let (mut peaks, mut valleys) = (vec![0.0; self.bands.rows()], vec![0.0; self.bands.rows()]);
        for (column, mut target) in magnitude.columns().into_iter().zip(out.columns_mut()) {
            frame.clear();
            frame.extend(column.iter().copied());
            self.bands.of(&frame, &mut sorted, &mut peaks, &mut valleys);
            self.peaks.convert(&mut peaks);
            self.valleys.convert(&mut valleys);
            for ((slot, peak), valley) in target.iter_mut().zip(&peaks).zip(&valleys) {
                *slot = peak - valley;
            }
        }
        Ok(out)
    }

    fn restart(&mut self) {
        self.peaks.restart();
        self.valleys.restart();
    }
}

/// Pitch classes by the tuning that was heard so far.
struct RunningChroma<T> {
    chroma: Chroma,
    /// Frame, pitch and magnitude of the latest peaks.
    peaks: VecDeque<(usize, T, T)>,
    seen: usize,
}

impl<T: Sample> RunningChroma<T> {
    /// Frames from one estimate to the next, after as many frames.
    const EVERY: usize = 8;

    fn retune(&mut self) -> Result<()> {
        let mut magnitudes: Vec<T> = self.peaks.iter().map(|peak| peak.2).collect();
        let mut loud = Vec::new();
        if !magnitudes.is_empty() {
            let threshold = T::narrow(median(&mut magnitudes));
            loud.extend(self.peaks.iter().filter(|peak| peak.2 >= threshold).map(|peak| peak.1));
        }
        let tuning = Some(pitch_tuning(&loud, 0.01, self.chroma.config().n_chroma)?);
        if self.chroma.config().tuning != tuning {
            self.chroma = Chroma::new(&ChromaConfig { tuning, ..self.chroma.config().clone() })?;
        }
        Ok(())
    }
}

impl<T: Sample> Stage<T, T> for RunningChroma<T> {
    fn frames(&mut self, samples: &[T]) -> Result<Array2<T>> {
        let power = self.chroma.stft().spectrogram(samples, 2.0)?;
        let config = PiptrackConfig { sr: self.chroma.config().sr, ..PiptrackConfig::default() };
        let mut out = Array2::zeros((self.chroma.config().n_chroma, power.ncols()));
        for (t, mut target) in out.columns_mut().into_iter().enumerate() {
            let frame = power.column(t).insert_axis(Axis(1));
            let (pitches, magnitudes) = piptrack(frame, &config)?;
            let heard = pitches.iter().zip(&magnitudes).filter(|&(&pitch, _)| pitch > T::zero());
            self.peaks.extend(heard.map(|(&pitch, &magnitude)| (self.seen, pitch, magnitude)));
            while self.peaks.front().is_some_and(|peak| peak.0 + TUNING_FRAMES <= self.seen) {
                self.peaks.pop_front();
            }
            if self.seen < Self::EVERY || self.seen.is_multiple_of(Self::EVERY) {
                self.retune()?;
            }
            self.seen += 1;
            target.assign(&self.chroma.from_spectrogram(frame)?.column(0));
        }
        Ok(out)
    }

    fn restart(&mut self) {
        self.peaks.clear();
        self.seen = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_does_not_grow_with_the_signal() {
        let stft = Stft::new(&StftConfig::default()).unwrap();
        let mut stream = FeatureStream::<f32>::spectrogram(&stft, 1.0).unwrap();
        let mut frames = 0;
        let piece = vec![0.1_f32; 10_000];
        for _ in 0..100 {
            stream.push(&piece, |_| frames += 1).unwrap();
        }
        // However small the pieces are or however large: a few frames, and what is worked on at once.
        assert!(stream.waiting.capacity() < 50_000, "{}", stream.waiting.capacity());
        stream.push(&vec![0.1_f32; 2_000_000], |_| frames += 1).unwrap();
        assert!(stream.waiting.capacity() < 4 * TOGETHER * 2048, "{}", stream.waiting.capacity());
        stream.finish(|_| frames += 1).unwrap();
        assert_eq!(frames, stft.n_frames(3_000_000).unwrap());
    }
}
