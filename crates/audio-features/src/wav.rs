//! WAV files: RIFF chunks, of which `fmt ` says what the samples are and `data` holds them.
//!
//! "Multimedia Programming Interface and Data Specifications 1.0", IBM and Microsoft, 1991, and its extension by
//! `WAVE_FORMAT_EXTENSIBLE`, Microsoft, 2001.

use std::error::Error;
use std::io::{Read, Result, Seek, SeekFrom};

use crate::Audio;

/// The format tags of integers, of floats, and of a header that tells the format further on.
const PCM: u16 = 1;
const FLOAT: u16 = 3;
const EXTENSIBLE: u16 = 0xfffe;

/// What is wrong with the file's content.
pub(crate) type Problem = Box<dyn Error + Send + Sync>;

/// What a `fmt ` chunk says.
#[derive(Clone, Copy)]
struct Format {
    decode: fn(&[u8]) -> Vec<f32>,
    bytes_per_sample: usize,
    channels: u16,
    sample_rate: u32,
}

/// Reads a file of `bytes` bytes from its start. Samples that the header promises beyond the file's end are not there; a
/// length of 0, which a writer leaves that never came back to the header, means all the rest.
pub(crate) fn decode(reader: &mut (impl Read + Seek), bytes: usize) -> Result<std::result::Result<Audio, Problem>> {
    let mut position = reader.seek(SeekFrom::Start(12))?;
    let mut format: Option<Format> = None;
    while position + 8 <= bytes as u64 {
        let mut header = [0; 8];
        reader.read_exact(&mut header)?;
        let size = u64::from(u32::from_le_bytes([header[4], header[5], header[6], header[7]]));
        match &header[..4] {
            b"fmt " => {
                let mut fields = Vec::new();
                reader.take(size.min(64)).read_to_end(&mut fields)?;
                format = match parse(&fields) {
                    Ok(format) => Some(format),
                    Err(problem) => return Ok(Err(problem)),
                };
            }
            b"data" => {
                let Some(format) = format else { return Ok(Err("the format must stand before the samples".into())) };
                let mut data = Vec::new();
                reader.take(if size == 0 { u64::MAX } else { size }).read_to_end(&mut data)?;
                let frame = format.bytes_per_sample * usize::from(format.channels);
                let samples = (format.decode)(&data[..data.len() - data.len() % frame]);
                return Ok(Ok(Audio { samples, sample_rate: format.sample_rate, channels: format.channels }));
            }
            _ => {}
        }
        // A chunk of odd length is followed by a byte that means nothing.
        position = reader.seek(SeekFrom::Start(position + 8 + size + size % 2))?;
    }
    Ok(Err("no samples: the file ends before its data chunk".into()))
}

fn parse(fields: &[u8]) -> std::result::Result<Format, Problem> {
    let word = |at: usize| match fields.get(at..at + 2) {
        Some(bytes) => Ok(u16::from_le_bytes([bytes[0], bytes[1]])),
        None => Err(format!("a format of at least {} bytes was expected, got {}", at + 2, fields.len())),
    };
    let (channels, bits) = (word(2)?, word(14)?);
    let sample_rate = u32::from(word(4)?) | u32::from(word(6)?) << 16;
    let tag = match word(0)? {
        EXTENSIBLE => word(24)?,
        tag => tag,
    };
    if channels == 0 || sample_rate == 0 {
        return Err(format!("channels and a rate were expected, got {channels} at {sample_rate} Hz").into());
    }
    let decode: fn(&[u8]) -> Vec<f32> = match (tag, bits) {
        // Bytes count from 0, with silence at 128; wider integers have a sign.
        (PCM, 8) => |data| data.iter().map(|&x| (f32::from(x) - 128.0) / 128.0).collect(),
        (PCM, 16) => |data| each(data, |x| f32::from(i16::from_le_bytes(x)) / 32_768.0),
        (PCM, 24) => |data| each(data, |[a, b, c]| (i32::from_le_bytes([0, a, b, c]) >> 8) as f32 / 8_388_608.0),
        (PCM, 32) => |data| each(data, |x| i32::from_le_bytes(x) as f32 / 2_147_483_648.0),
        (FLOAT, 32) => |data| each(data, f32::from_le_bytes),
        (FLOAT, 64) => |data| each(data, |x| f64::from_le_bytes(x) as f32),
        _ => {
            let expected = "integers of 8, 16, 24 or 32 bits or floats of 32 or 64";
            return Err(format!("{expected} were expected, got {bits} bits of format {tag}").into());
        }
    };
    Ok(Format { decode, bytes_per_sample: usize::from(bits / 8), channels, sample_rate })
}

/// Every sample of `N` bytes.
fn each<const N: usize>(data: &[u8], sample: impl Fn([u8; N]) -> f32) -> Vec<f32> {
    data.as_chunks::<N>().0.iter().map(|&bytes| sample(bytes)).collect()
}
