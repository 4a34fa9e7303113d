//! WAV files of 64-bit floats, as NumPy and SciPy write them by default; hound reads every other kind.

use std::io::{Error, ErrorKind, Read, Result, Seek, SeekFrom};

use crate::Audio;

/// The format tags of floats, and of a header that tells the format further on.
const FLOAT: u16 = 3;
const EXTENSIBLE: u16 = 0xfffe;

/// What a `fmt ` chunk says.
struct Format {
    channels: u16,
    sample_rate: u32,
}

/// Reads a file of `bytes` bytes from its start; `None` when it is a WAV file of another kind.
///
/// # Errors
/// When reading fails; [`ErrorKind::UnexpectedEof`] when the file ends before its header says.
pub(crate) fn decode(reader: &mut (impl Read + Seek), bytes: usize) -> Result<Option<Audio>> {
    reader.seek(SeekFrom::Start(12))?;
    let mut format = None;
    loop {
        let mut header = [0; 8];
        if let Err(error) = reader.read_exact(&mut header) {
            // No samples at all: hound says what is missing.
            return if error.kind() == ErrorKind::UnexpectedEof { Ok(None) } else { Err(error) };
        }
        let size = u64::from(u32::from_le_bytes([header[4], header[5], header[6], header[7]]));
        match (&header[..4], format) {
            (b"fmt ", _) => {
                let mut fields = Vec::with_capacity(40);
                reader.take(size).read_to_end(&mut fields)?;
                format = match float64(&fields) {
                    Some(float64) => Some(float64),
                    None => return Ok(None),
                };
                reader.seek(SeekFrom::Current((size & 1) as i64))?;
            }
            (b"data", None) => return Ok(None),
            (b"data", Some(Format { channels, sample_rate })) => {
                // A header may promise any number of samples; the file cannot hold more than it has bytes.
                let mut data = Vec::with_capacity(usize::try_from(size).unwrap_or(bytes).min(bytes));
                if reader.take(size).read_to_end(&mut data)? as u64 != size {
                    return Err(Error::new(ErrorKind::UnexpectedEof, "the file ends before its last sample"));
                }
                let (samples, _) = data.as_chunks::<8>();
                let samples = samples.iter().map(|sample| f64::from_le_bytes(*sample) as f32).collect();
                return Ok(Some(Audio { samples, sample_rate, channels }));
            }
            (_, kept) => {
                format = kept;
                reader.seek(SeekFrom::Current((size + (size & 1)) as i64))?;
            }
        }
    }
}

/// The fields of a `fmt ` chunk of 64-bit floats; `None` for another kind, or for a rate or a number of channels of 0.
fn float64(fields: &[u8]) -> Option<Format> {
    let word = |at: usize| Some(u16::from_le_bytes([*fields.get(at)?, *fields.get(at + 1)?]));
    let tag = match word(0)? {
        EXTENSIBLE => word(24)?,
        tag => tag,
    };
    let (channels, bits) = (word(2)?, word(14)?);
    let sample_rate = u32::from(word(4)?) | u32::from(word(6)?) << 16;
    (tag == FLOAT && bits == 64 && channels > 0 && sample_rate > 0).then_some(Format { channels, sample_rate })
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    fn file(tag: u16, bits: u16, channels: u16, samples: &[f64], promised: u32) -> Cursor<Vec<u8>> {
        let mut bytes = b"RIFF\0\0\0\0WAVELIST\x03\0\0\0abc\0fmt \x10\0\0\0".to_vec();
        bytes.extend(tag.to_le_bytes());
        bytes.extend(channels.to_le_bytes());
        bytes.extend(22_050u32.to_le_bytes());
        bytes.extend([0; 4]);
        bytes.extend((channels * bits / 8).to_le_bytes());
        bytes.extend(bits.to_le_bytes());
        bytes.extend(b"data");
        bytes.extend(promised.to_le_bytes());
        bytes.extend(samples.iter().flat_map(|sample| sample.to_le_bytes()));
        Cursor::new(bytes)
    }

    #[test]
    fn samples_rate_and_channels_are_read() {
        let audio = decode(&mut file(3, 64, 2, &[0.5, -0.25, 1.0, 0.0], 32), 1000).unwrap().unwrap();
        assert_eq!(audio, Audio { samples: vec![0.5, -0.25, 1.0, 0.0], sample_rate: 22_050, channels: 2 });
        assert_eq!(decode(&mut file(3, 64, 1, &[], 0), 1000).unwrap().unwrap().samples, []);
    }

    #[test]
    fn other_kinds_are_left_alone_and_short_files_are_errors() {
        for (tag, bits, channels) in [(1, 16, 1), (3, 32, 1), (1, 64, 1), (3, 64, 0)] {
            assert!(decode(&mut file(tag, bits, channels, &[0.5], 8), 1000).unwrap().is_none());
        }
        let error = decode(&mut file(3, 64, 1, &[0.5], u32::MAX), 1000).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
        let whole = file(3, 64, 1, &[0.5], 8).into_inner();
        for length in 0..whole.len() {
            assert!(!matches!(decode(&mut Cursor::new(&whole[..length]), 1000), Ok(Some(_))), "{length} bytes");
        }
    }
}
