//! Features of sound that is still coming.

use ndarray::ArrayViewMut2;

use crate::decibel::log_power;
use crate::error::{Error, Result};
use crate::frame::PadMode;
use crate::mel::MelSpectrogram;
use crate::mfcc::Mfcc;
use crate::sample::{Sample, check_finite};
use crate::stft::Stft;

/// What is computed of every frame.
#[derive(Debug, Clone)]
enum Stage {
    Spectrogram(Stft, f64),
    Mel(Box<MelSpectrogram>),
    Mfcc(Box<Mfcc>),
}

/// Takes samples as they come and hands out the frames that they complete, bit for bit those of the batch `process`.
///
/// Only what needs no later frames can stream: decibels with a `top_db` and an estimated tuning need the whole signal.
///
/// ```
/// use audio_features::{FeatureStream, MelConfig, MelSpectrogram};
///
/// let mel = MelSpectrogram::new(&MelConfig { sr: 16_000.0, ..MelConfig::default() })?;
/// let samples: Vec<f32> = (0..16_000).map(|n| (n as f32 * 0.01).sin()).collect();
/// let batch = mel.process(&samples)?;
///
/// let mut stream = FeatureStream::mel(mel)?;
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
#[derive(Debug, Clone)]
pub struct FeatureStream<T = f32> {
    stage: Stage,
    /// Samples that frames still need, the padding of the start included.
    waiting: Vec<T>,
    /// First sample of `waiting` that the next frame needs; beyond its end when the hop is longer than a frame.
    next: usize,
    received: usize,
    frames: usize,
    spectrum: Vec<T>,
    mel: Vec<T>,
    row: Vec<T>,
}

impl<T: Sample> FeatureStream<T> {
    /// Frames of |STFT|^`power`, as [`Stft::spectrogram`] gives them.
    ///
    /// # Errors
    /// [`Error::InvalidConfig`] when frames are centred with a padding mode other than zeros, which would need samples that
    /// have not come.
    pub fn spectrogram(stft: Stft, power: f64) -> Result<Self> {
        Self::new(Stage::Spectrogram(stft, power))
    }

    /// Frames of mel energies, as [`MelSpectrogram::process`] gives them.
    ///
    /// # Errors
    /// As [`FeatureStream::spectrogram`].
    pub fn mel(mel: MelSpectrogram) -> Result<Self> {
        Self::new(Stage::Mel(Box::new(mel)))
    }

    /// Frames of MFCCs, as [`Mfcc::process`] gives them.
    ///
    /// # Errors
    /// As [`FeatureStream::spectrogram`], and [`Error::InvalidConfig`] when the decibels have a `top_db` or a reference taken
    /// from the signal: both need all of it.
    pub fn mfcc(mfcc: Mfcc) -> Result<Self> {
        let db = &mfcc.config().db;
        if let Some(top_db) = db.top_db {
            return Err(Error::config("top_db", "None in a stream, whose loudest frame may still come", top_db));
        }
        if !matches!(db.reference, crate::Reference::Value(_)) {
            return Err(Error::config("ref", "a number in a stream", format!("{:?}", db.reference)));
        }
        Self::new(Stage::Mfcc(Box::new(mfcc)))
    }

    fn new(stage: Stage) -> Result<Self> {
        let mut stream = Self {
            stage,
            waiting: Vec::new(),
            next: 0,
            received: 0,
            frames: 0,
            spectrum: Vec::new(),
            mel: Vec::new(),
            row: Vec::new(),
        };
        let config = stream.stft().config();
        if config.center && config.pad_mode != PadMode::Constant {
            return Err(Error::config("pad_mode", "Constant in a stream", format!("{:?}", config.pad_mode)));
        }
        stream.restart();
        Ok(stream)
    }

    fn stft(&self) -> &Stft {
        match &self.stage {
            Stage::Spectrogram(stft, _) => stft,
            Stage::Mel(mel) => mel.stft(),
            Stage::Mfcc(mfcc) => mfcc.mel().stft(),
        }
    }

    /// Zeros before and after a centred signal.
    fn padding(&self) -> usize {
        let config = self.stft().config();
        if config.center { config.n_fft / 2 } else { 0 }
    }

    fn restart(&mut self) {
        self.waiting.clear();
        self.waiting.resize(self.padding(), T::zero());
        (self.next, self.received, self.frames) = (0, 0, 0);
    }

    /// Number of values of a frame.
    pub fn frame_size(&self) -> usize {
        match &self.stage {
            Stage::Spectrogram(stft, _) => stft.n_bins(),
            Stage::Mel(mel) => mel.config().n_mels,
            Stage::Mfcc(mfcc) => mfcc.n_mfcc(),
        }
    }

    /// Takes the next samples, and calls `sink` with every frame that they complete, in order.
    ///
    /// # Errors
    /// [`Error::NotFinite`] for NaN or infinite samples; nothing is taken then.
    pub fn push(&mut self, samples: &[T], sink: impl FnMut(&[T])) -> Result<()> {
        check_finite(samples)?;
        self.received += samples.len();
        self.waiting.extend_from_slice(samples);
        self.emit(usize::MAX, sink)
    }

    /// Calls `sink` with the frames that reach beyond the end, and makes the stream ready for another signal.
    ///
    /// # Errors
    /// [`Error::TooShort`] when not even one frame came together.
    pub fn finish(&mut self, sink: impl FnMut(&[T])) -> Result<()> {
        let total = self.stft().n_frames(self.received)?;
        self.waiting.resize(self.waiting.len() + self.padding(), T::zero());
        self.emit(total, sink)?;
        self.restart();
        Ok(())
    }

    /// Hands out frames while there are samples for them, up to frame number `total`.
    fn emit(&mut self, total: usize, mut sink: impl FnMut(&[T])) -> Result<()> {
        let Self { stage, waiting, next, frames, spectrum, mel, row, .. } = self;
        let stft = match &*stage {
            Stage::Spectrogram(stft, _) => stft,
            Stage::Mel(mel) => mel.stft(),
            Stage::Mfcc(mfcc) => mfcc.mel().stft(),
        };
        let n_fft = stft.config().n_fft;
        spectrum.resize(stft.n_bins(), T::zero());
        while *frames < total && *next + n_fft <= waiting.len() {
            let frame = &waiting[*next..*next + n_fft];
            match &*stage {
                Stage::Spectrogram(stft, power) => {
                    stft.one_frame(frame, *power, spectrum)?;
                    sink(spectrum);
                }
                Stage::Mel(plan) => {
                    plan.one_frame(frame, spectrum, mel)?;
                    sink(mel);
                }
                Stage::Mfcc(plan) => {
                    plan.mel().one_frame(frame, spectrum, mel)?;
                    let db = &plan.config().db;
                    let crate::Reference::Value(reference) = db.reference else {
                        return Err(Error::config("ref", "a number in a stream", format!("{:?}", db.reference)));
                    };
                    log_power(mel, db.amin, reference.abs());
                    row.resize(plan.n_mfcc(), T::zero());
                    let shape = (row.len(), 1);
                    let column = ArrayViewMut2::from_shape(shape, row)
                        .map_err(|error| Error::input("the coefficients", format!("of shape {shape:?}"), error))?;
                    plan.of_column(mel, column);
                    sink(row);
                }
            }
            *frames += 1;
            *next += stft.hop_length();
        }
        // What lies behind is dropped once it is most of the buffer, so that a sample is moved only a few times.
        let behind = (*next).min(waiting.len());
        if behind > n_fft.max(waiting.len() / 2) {
            waiting.drain(..behind);
            *next -= behind;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{DbConfig, MelConfig, MfccConfig, StftConfig};

    #[test]
    fn streams_equal_batches_bit_for_bit() {
        let samples: Vec<f32> = (0..7001).map(|n| (n as f32 * 0.02).sin() * (n % 97) as f32 / 97.0).collect();
        for (n_fft, hop, center, n) in [
            (512, 128, true, 7001),
            (512, 128, false, 7001),
            (255, 300, true, 7001),
            (512, 100, true, 3),
            (512, 700, true, 0),
        ] {
            let stft = StftConfig { n_fft, hop_length: Some(hop), center, ..StftConfig::default() };
            let mel = MelConfig { stft, n_mels: 40, ..MelConfig::default() };
            let db = DbConfig { top_db: None, ..DbConfig::default() };
            let mfcc = Mfcc::new(&MfccConfig { mel, db, n_mfcc: 13, ..MfccConfig::default() }).unwrap();
            let samples = &samples[..n];
            let streams = [
                (FeatureStream::mfcc(mfcc.clone()).unwrap(), mfcc.process(samples).unwrap()),
                (FeatureStream::mel(mfcc.mel().clone()).unwrap(), mfcc.mel().process(samples).unwrap()),
                (
                    FeatureStream::spectrogram(mfcc.mel().stft().clone(), 1.0).unwrap(),
                    mfcc.mel().stft().spectrogram(samples, 1.0).unwrap(),
                ),
            ];
            for (mut stream, batch) in streams {
                for piece in [1, 160, 5000] {
                    let mut frames: Vec<Vec<f32>> = Vec::new();
                    for samples in samples.chunks(piece) {
                        stream.push(samples, |frame| frames.push(frame.to_vec())).unwrap();
                    }
                    stream.finish(|frame| frames.push(frame.to_vec())).unwrap();
                    assert_eq!(frames.len(), batch.ncols(), "{n_fft} {hop} {center} {n}");
                    for (frame, column) in frames.iter().zip(batch.columns()) {
                        assert_eq!(*frame, column.to_vec());
                    }
                }
            }
        }
    }

    #[test]
    fn what_needs_the_whole_signal_cannot_stream() {
        assert!(FeatureStream::<f32>::mfcc(Mfcc::new(&MfccConfig::default()).unwrap()).is_err());
        let stft = StftConfig { pad_mode: PadMode::Reflect, ..StftConfig::default() };
        assert!(FeatureStream::<f32>::spectrogram(Stft::new(&stft).unwrap(), 2.0).is_err());
        let stft = StftConfig { center: false, ..StftConfig::default() };
        let mut stream = FeatureStream::<f32>::spectrogram(Stft::new(&stft).unwrap(), 2.0).unwrap();
        assert!(stream.finish(|_| {}).is_err());
        assert!(stream.push(&[f32::NAN], |_| {}).is_err());
    }
}
