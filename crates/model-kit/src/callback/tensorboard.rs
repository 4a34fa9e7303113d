//! A training's course as a TensorBoard event file.
//!
//! Such a file is a row of TFRecords, each the length of its data (u64), the masked CRC-32C of that length, the data, and the
//! masked CRC-32C of the data, all little-endian; the data is a protocol buffer, `tensorflow.Event`.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use emotion_core::BoxError;

use super::{Callback, Flow, StepInfo};
use crate::Error;
use crate::trainer::EpochRecord;

/// Writes a training's course for TensorBoard (`tensorboard --logdir FOLDER`) and whatever else reads its event files.
///
/// Over steps, counted from 1 over all epochs: `step/loss`, `step/learning_rate`, `step/samples_per_second`. Over epochs:
/// `loss/…`, `accuracy/…` and `uar/…`, each for `train` (no recall there), `validation` and `averaged`, the network with
/// averaged weights.
///
/// A resumed training adds a file of its own to the folder, which tells its readers to forget the steps that are taken
/// again.
#[derive(Debug)]
pub struct TensorBoard {
    path: PathBuf,
    file: File,
    every: u64,
    started: bool,
}

impl TensorBoard {
    /// A new event file in this folder, which is made if it is missing.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn new(folder: impl AsRef<Path>) -> Result<Self, Error> {
        let folder = folder.as_ref();
        fs::create_dir_all(folder).map_err(Error::io(folder))?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        // Readers know the files by the middle of their name and read them in the order of the times behind it.
        let name = format!("events.out.tfevents.{:010}.{:09}", now.as_secs(), now.subsec_nanos());
        let path = folder.join(name);
        let file = OpenOptions::new().append(true).create_new(true).open(&path).map_err(Error::io(&path))?;
        let mut log = Self { path, file, every: 10, started: false };
        log.write(&record(&event(0, &field(3, b"brain.Event:2"))))?;
        Ok(log)
    }

    /// Writes every so many steps, at least 1. Default 10.
    #[must_use]
    pub fn every(mut self, steps: u64) -> Self {
        self.every = steps.max(1);
        self
    }

    /// The file that is written.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whole records at once: a reader never sees half of one for long.
    fn write(&mut self, records: &[u8]) -> Result<(), Error> {
        self.file.write_all(records).map_err(Error::io(&self.path))
    }

    fn scalars(&mut self, step: u64, values: &[(&str, f64)]) -> Result<(), Error> {
        let mut summary = Vec::new();
        for (tag, value) in values {
            let mut one = field(1, tag.as_bytes());
            one.push(2 << 3 | 5);
            one.extend((*value as f32).to_le_bytes());
            summary.extend(field(1, &one));
        }
        self.write(&record(&event(step, &field(5, &summary))))
    }
}

impl Callback for TensorBoard {
    fn on_step(&mut self, info: &StepInfo) -> Result<Flow, BoxError> {
        let step = (info.epoch as u64 - 1) * info.steps_per_epoch + info.step;
        if !self.started {
            self.started = true;
            // A session log of status START: events of this step and later ones, from before, no longer count.
            self.write(&record(&event(step, &field(7, &[1 << 3, 1]))))?;
        }
        if step.is_multiple_of(self.every) {
            let values = [
                ("step/loss", info.step_loss),
                ("step/learning_rate", info.learning_rate),
                ("step/samples_per_second", info.samples_per_second),
            ];
            self.scalars(step, &values)?;
        }
        Ok(Flow::Continue)
    }

    fn on_epoch(&mut self, history: &[EpochRecord]) -> Result<Flow, BoxError> {
        let Some(record) = history.last() else { return Ok(Flow::Continue) };
        let mut values = vec![("loss/train", record.train_loss)];
        values.extend(record.train_accuracy.map(|accuracy| ("accuracy/train", accuracy)));
        if let Some(score) = record.validation {
            values.push(("loss/validation", score.loss));
            values.push(("accuracy/validation", score.accuracy));
            values.push(("uar/validation", score.uar));
        }
        if let Some(score) = record.averaged {
            values.push(("loss/averaged", score.loss));
            values.push(("accuracy/averaged", score.accuracy));
            values.push(("uar/averaged", score.uar));
        }
        self.scalars(record.epoch as u64, &values)?;
        Ok(Flow::Continue)
    }
}

/// An event of now: `wall_time` (1, double), `step` (2, int64), and one field more.
fn event(step: u64, content: &[u8]) -> Vec<u8> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
    let mut bytes = vec![1 << 3 | 1];
    bytes.extend(now.to_le_bytes());
    bytes.push(2 << 3);
    varint(&mut bytes, step);
    bytes.extend(content);
    bytes
}

/// A field of bytes, a text or a message.
fn field(number: u8, content: &[u8]) -> Vec<u8> {
    let mut bytes = vec![number << 3 | 2];
    varint(&mut bytes, content.len() as u64);
    bytes.extend(content);
    bytes
}

/// Seven bits a byte, the lowest first; the highest bit says that there are more.
fn varint(bytes: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}

fn record(data: &[u8]) -> Vec<u8> {
    let length = (data.len() as u64).to_le_bytes();
    let mut bytes = length.to_vec();
    bytes.extend(masked_crc(&length).to_le_bytes());
    bytes.extend(data);
    bytes.extend(masked_crc(data).to_le_bytes());
    bytes
}

/// TFRecord's mask, so that data that holds checksums does not check by chance.
fn masked_crc(data: &[u8]) -> u32 {
    crc32c(data).rotate_right(15).wrapping_add(0xa282_ead8)
}

/// CRC-32C (Castagnoli, reflected polynomial 0x82f63b78; RFC 3720, appendix B.4).
fn crc32c(data: &[u8]) -> u32 {
    !data.iter().fold(!0, |crc, &byte| TABLE[usize::from(crc as u8 ^ byte)] ^ (crc >> 8))
}

const TABLE: [u32; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut value = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            value = if value & 1 == 1 { value >> 1 ^ 0x82f6_3b78 } else { value >> 1 };
            bit += 1;
        }
        table[byte] = value;
        byte += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trainer::Score;

    /// The data of every record, after both checksums of each were compared.
    fn records(mut bytes: &[u8]) -> Vec<Vec<u8>> {
        let mut all = Vec::new();
        while !bytes.is_empty() {
            let (length, rest) = bytes.split_at(8);
            assert_eq!(rest[..4], masked_crc(length).to_le_bytes());
            let (data, rest) = rest[4..].split_at(u64::from_le_bytes(length.try_into().unwrap()) as usize);
            assert_eq!(rest[..4], masked_crc(data).to_le_bytes());
            all.push(data.to_vec());
            bytes = &rest[4..];
        }
        all
    }

    /// The fields of a message: number and content, numbers as eight bytes.
    fn fields(mut bytes: &[u8]) -> Vec<(u8, Vec<u8>)> {
        fn number(bytes: &mut &[u8]) -> u64 {
            let mut value = 0;
            for place in 0.. {
                let byte = bytes[0];
                *bytes = &bytes[1..];
                value |= u64::from(byte & 0x7f) << (7 * place);
                if byte < 0x80 {
                    break;
                }
            }
            value
        }
        let mut all = Vec::new();
        while !bytes.is_empty() {
            let key = number(&mut bytes);
            let content = match key & 7 {
                0 => number(&mut bytes).to_le_bytes().to_vec(),
                kind => {
                    let length = match kind {
                        1 => 8,
                        2 => number(&mut bytes) as usize,
                        5 => 4,
                        other => panic!("unknown wire type {other}"),
                    };
                    let (content, rest) = bytes.split_at(length);
                    bytes = rest;
                    content.to_vec()
                }
            };
            all.push(((key >> 3) as u8, content));
        }
        all
    }

    /// `(step, [(tag, value)])` of every summary in a file.
    fn summaries(path: &Path) -> Vec<(u64, Vec<(String, f32)>)> {
        let mut all = Vec::new();
        for data in records(&fs::read(path).unwrap()) {
            let event = fields(&data);
            assert_eq!((event[0].0, event[1].0), (1, 2));
            if event[2].0 == 5 {
                let value = |(_, value): (u8, Vec<u8>)| {
                    let parts = fields(&value);
                    let number = f32::from_le_bytes(parts[1].1.clone().try_into().unwrap());
                    (String::from_utf8(parts[0].1.clone()).unwrap(), number)
                };
                let step = u64::from_le_bytes(event[1].1.clone().try_into().unwrap());
                all.push((step, fields(&event[2].1).into_iter().map(value).collect()));
            }
        }
        all
    }

    #[test]
    fn checksums_are_the_published_ones() {
        // RFC 3720, appendix B.4, and the usual check value.
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
        assert_eq!(crc32c(&[0xff; 32]), 0x62a8_ab43);
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
    }

    #[test]
    fn a_file_holds_what_was_told() {
        let folder = tempfile::tempdir().unwrap();
        let mut log = TensorBoard::new(folder.path().join("new")).unwrap().every(2);
        let step = |step| StepInfo {
            epoch: 3,
            epochs: 4,
            step,
            steps_per_epoch: 100,
            loss: 1.0,
            step_loss: 0.5,
            accuracy: 0.25,
            learning_rate: 0.125,
            samples_per_second: 640.0,
        };
        assert!((1..=4).all(|number| log.on_step(&step(number)).unwrap() == Flow::Continue));
        let score = Score { loss: 0.75, accuracy: 0.5, uar: 0.375 };
        let record = EpochRecord {
            epoch: 3,
            learning_rate: 0.1,
            train_loss: 2.0,
            train_accuracy: Some(0.625),
            validation: Some(score),
            averaged: None,
            samples_per_second: 1.0,
            seconds: 1.0,
        };
        log.on_epoch(&[record]).unwrap();

        let events = records(&fs::read(log.path()).unwrap());
        assert_eq!(fields(&events[0])[2], (3, b"brain.Event:2".to_vec()));
        assert_eq!(fields(&events[1])[1..], [(2, 201u64.to_le_bytes().to_vec()), (7, vec![8, 1])]);
        let told = summaries(log.path());
        assert_eq!(told.iter().map(|(step, _)| *step).collect::<Vec<_>>(), [202, 204, 3]);
        let of = |index: usize| told[index].1.iter().map(|(tag, value)| (tag.as_str(), *value)).collect::<Vec<_>>();
        assert_eq!(of(1), [("step/loss", 0.5), ("step/learning_rate", 0.125), ("step/samples_per_second", 640.0)]);
        let validation = [("loss/validation", 0.75), ("accuracy/validation", 0.5), ("uar/validation", 0.375)];
        assert_eq!(of(2)[..2], [("loss/train", 2.0), ("accuracy/train", 0.625)]);
        assert_eq!(of(2)[2..], validation);
    }
}
