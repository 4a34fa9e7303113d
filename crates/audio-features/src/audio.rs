//! Sound files.

use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use crate::error::{Error, Result};

/// Decoded sound.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Audio {
    /// Samples, −1 to 1 for full scale, the channels interleaved.
    pub samples: Vec<f32>,
    /// Sampling rate, in Hz.
    pub sample_rate: u32,
    /// Number of channels, at least 1.
    pub channels: u16,
}

impl Audio {
    /// Samples of each channel.
    pub fn frames(&self) -> usize {
        self.samples.len() / usize::from(self.channels.max(1))
    }

    /// Length in seconds.
    pub fn duration(&self) -> f64 {
        self.frames() as f64 / f64::from(self.sample_rate)
    }

    /// The mean of the channels (librosa: `to_mono`).
    pub fn to_mono(&self) -> Vec<f32> {
        to_mono(&self.samples, self.channels)
    }

    /// The samples of one channel, counted from 0; `None` when there is no such channel.
    pub fn channel(&self, index: u16) -> Option<Vec<f32>> {
        (index < self.channels).then(|| {
            self.samples.iter().skip(usize::from(index)).step_by(usize::from(self.channels)).copied().collect()
        })
    }
}

/// The mean of interleaved channels (librosa: `to_mono`). Samples beyond the last whole frame are dropped.
pub fn to_mono(interleaved: &[f32], channels: u16) -> Vec<f32> {
    if channels <= 1 {
        return interleaved.to_vec();
    }
    let scale = f32::from(channels);
    interleaved.chunks_exact(usize::from(channels)).map(|frame| frame.iter().sum::<f32>() / scale).collect()
}

/// Reads a WAV or FLAC file whole (librosa: `load(path, sr=None, mono=False)`).
///
/// The format is told by the first bytes, not by the name. WAV: PCM of 8, 16, 24 and 32 bits, 32- and 64-bit float, any
/// number of channels. FLAC: everything up to 32 bits. Integers are divided by the full scale of their depth, so that −1 is
/// the lowest value, as libsndfile and librosa do.
///
/// ```no_run
/// use audio_features::{load, resample};
///
/// let audio = load("speech.wav")?;
/// let samples = resample(&audio.to_mono(), audio.sample_rate, 16_000)?;
/// # Ok::<(), audio_features::Error>(())
/// ```
///
/// # Errors
/// [`Error::Io`] when the file cannot be read, [`Error::UnsupportedFormat`] when it is neither WAV nor FLAC (or the crate
/// was built without the feature), [`Error::Decode`] when it is damaged or of a kind of WAV that is not read.
pub fn load(path: impl AsRef<Path>) -> Result<Audio> {
    let path = path.as_ref();
    let io = |source| Error::Io { path: path.to_owned(), source };
    let mut file = File::open(path).map_err(io)?;
    // A header may promise any number of samples; the file cannot hold more than it has bytes.
    let bytes = usize::try_from(file.metadata().map_err(io)?.len()).unwrap_or(usize::MAX);
    let mut magic = Vec::with_capacity(12);
    file.by_ref().take(12).read_to_end(&mut magic).map_err(io)?;
    file.seek(SeekFrom::Start(0)).map_err(io)?;
    decode(BufReader::new(file), bytes, &magic, path)
}

fn decode(reader: BufReader<File>, bytes: usize, magic: &[u8], path: &Path) -> Result<Audio> {
    match magic {
        #[cfg(feature = "wav")]
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'A', b'V', b'E'] => {
            let mut reader = reader;
            let decoded = crate::wav::decode(&mut reader, bytes).map_err(Failure::Io);
            decoded.and_then(|audio| audio.map_err(Failure::Format)).map_err(|error| at(path, error))
        }
        #[cfg(feature = "flac")]
        [b'f', b'L', b'a', b'C', ..] => flac::decode(reader, bytes).map_err(|error| at(path, error)),
        _ => {
            let _ = (reader, bytes);
            Err(Error::UnsupportedFormat {
                path: path.to_owned(),
                expected: match (cfg!(feature = "wav"), cfg!(feature = "flac")) {
                    (true, true) => "WAV, FLAC",
                    (true, false) => "WAV",
                    (false, true) => "FLAC",
                    (false, false) => "nothing (built without the features wav and flac)",
                },
                got: if magic.is_empty() {
                    "an empty file".to_owned()
                } else {
                    format!("a file that begins with {:?}", String::from_utf8_lossy(magic))
                },
            })
        }
    }
}

/// A decoder's failure: reading failed, or what was read made no sense.
#[cfg(any(feature = "wav", feature = "flac"))]
enum Failure {
    Io(std::io::Error),
    Format(Box<dyn std::error::Error + Send + Sync>),
}

#[cfg(any(feature = "wav", feature = "flac"))]
fn at(path: &Path, failure: Failure) -> Error {
    match failure {
        // A file that ends too early is damaged, not unreadable.
        Failure::Io(source) if source.kind() != std::io::ErrorKind::UnexpectedEof => {
            Error::Io { path: path.to_owned(), source }
        }
        Failure::Io(source) => Error::Decode { path: path.to_owned(), source: source.into() },
        Failure::Format(source) => Error::Decode { path: path.to_owned(), source },
    }
}

#[cfg(feature = "flac")]
mod flac {
    use claxon::FlacReader;

    use super::{Audio, Failure, Read};

    impl From<claxon::Error> for Failure {
        fn from(error: claxon::Error) -> Self {
            match error {
                claxon::Error::IoError(error) => Self::Io(error),
                error => Self::Format(error.into()),
            }
        }
    }

    pub(super) fn decode(reader: impl Read, bytes: usize) -> Result<Audio, Failure> {
        let mut reader = FlacReader::new(reader)?;
        let info = reader.streaminfo();
        let promised = info.samples.unwrap_or(0).saturating_mul(u64::from(info.channels));
        let mut samples = Vec::with_capacity(usize::try_from(promised).unwrap_or(bytes).min(bytes));
        let scale = 1.0 / (1_u64 << (info.bits_per_sample.clamp(1, 32) - 1)) as f32;
        for sample in reader.samples() {
            samples.push(sample? as f32 * scale);
        }
        let channels = u16::try_from(info.channels).unwrap_or(u16::MAX);
        Ok(Audio { samples, sample_rate: info.sample_rate, channels })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mono_is_the_mean() {
        let audio = Audio { samples: vec![1.0, 0.0, 0.5, -0.5], sample_rate: 8000, channels: 2 };
        assert_eq!(audio.to_mono(), [0.5, 0.0]);
        assert_eq!(audio.channel(1), Some(vec![0.0, -0.5]));
        assert_eq!(audio.channel(2), None);
        assert_eq!(audio.frames(), 2);
    }
}
