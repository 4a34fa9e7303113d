//! Rows of numbers as CSV, JSON or numpy's `.npy`.

use std::io::{self, Write};

use anyhow::Result;
use ndarray::Array2;
use serde_json::{Map, Value, json};

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    Npy,
    Csv,
    Json,
}

impl Format {
    pub(crate) const ALL: [Self; 3] = [Self::Npy, Self::Csv, Self::Json];

    pub(crate) fn ending(self) -> &'static str {
        match self {
            Self::Npy => "npy",
            Self::Csv => "csv",
            Self::Json => "json",
        }
    }
}

/// What stands before the numbers of a row, in CSV and JSON.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Label {
    Name(String),
    Seconds(f64),
}

/// Numbers with a name for every column and a label for every row.
#[derive(Debug, Clone)]
pub(crate) struct Table {
    /// The name of the labels' column.
    pub(crate) heading: &'static str,
    pub(crate) labels: Vec<Label>,
    pub(crate) columns: Vec<String>,
    pub(crate) values: Array2<f32>,
    /// Whether an array holds the columns first, as librosa's `[n_features, n_frames]` does.
    pub(crate) columns_first: bool,
}

impl Table {
    pub(crate) fn write(&self, format: Format, mut out: impl Write) -> Result<()> {
        match format {
            Format::Npy if self.columns_first => write_npy(&self.values.t().to_owned(), &mut out)?,
            Format::Npy => write_npy(&self.values, &mut out)?,
            Format::Csv => self.write_csv(&mut out)?,
            Format::Json => self.write_json(&mut out)?,
        }
        Ok(out.flush()?)
    }

    fn write_csv(&self, out: &mut impl Write) -> Result<()> {
        writeln!(out, "{},{}", self.heading, self.columns.join(","))?;
        for (label, row) in self.labels.iter().zip(self.values.outer_iter()) {
            let label = match label {
                Label::Name(name) if name.contains([',', '"', '\n']) => format!("\"{}\"", name.replace('"', "\"\"")),
                Label::Name(name) => name.clone(),
                Label::Seconds(seconds) => microseconds(*seconds).to_string(),
            };
            let cells: Vec<String> = row.iter().map(|&x| cell(x)).collect();
            writeln!(out, "{label},{}", cells.join(","))?;
        }
        Ok(())
    }

    fn write_json(&self, out: &mut impl Write) -> Result<()> {
        let rows = self.labels.iter().zip(self.values.outer_iter()).map(|(label, row)| {
            let label = match label {
                Label::Name(name) => json!(name),
                Label::Seconds(seconds) => json!(microseconds(*seconds)),
            };
            // The shortest decimal that is this `f32`; what is not finite becomes null.
            let cells = row.iter().map(|x| json!(x.to_string().parse::<f64>().ok()));
            let pairs =
                std::iter::once((self.heading.to_owned(), label)).chain(self.columns.iter().cloned().zip(cells));
            Value::Object(pairs.collect::<Map<_, _>>())
        });
        writeln!(out, "{}", serde_json::to_string_pretty(&rows.collect::<Vec<_>>())?)?;
        Ok(())
    }
}

fn microseconds(seconds: f64) -> f64 {
    (seconds * 1e6).round() / 1e6
}

/// A number with as many digits as its `f32` holds; nothing for NaN.
fn cell(x: f32) -> String {
    match x {
        _ if x.is_nan() => String::new(),
        _ if x != 0.0 && !(1e-4..1e7).contains(&x.abs()) => format!("{x:e}"),
        _ => x.to_string(),
    }
}

/// A `.npy` file, version 1.0: a header padded so that the numbers start at a multiple of 64 bytes, then the numbers in
/// little-endian `f32`, row by row (NEP 1).
fn write_npy(values: &Array2<f32>, out: &mut impl Write) -> io::Result<()> {
    // Magic, version, and the header's length take 10 bytes, the newline at its end one.
    let shape = format!("({}, {})", values.nrows(), values.ncols());
    let mut header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}");
    let padding = (header.len() + 11).next_multiple_of(64) - header.len() - 11;
    header.extend(std::iter::repeat_n(' ', padding));
    header.push('\n');
    let length = u16::try_from(header.len()).map_err(io::Error::other)?;
    out.write_all(b"\x93NUMPY\x01\x00")?;
    out.write_all(&length.to_le_bytes())?;
    out.write_all(header.as_bytes())?;
    values.iter().try_for_each(|x| out.write_all(&x.to_le_bytes()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test")]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn an_array_file_is_what_numpy_writes() {
        let table = Table {
            heading: "time",
            labels: vec![Label::Seconds(0.0), Label::Seconds(0.5)],
            columns: vec!["a".to_owned(), "b".to_owned(), "c".to_owned()],
            values: array![[1.0, 2.0, 3.0], [4.0, f32::NAN, 6.0]],
            columns_first: true,
        };
        let mut bytes = Vec::new();
        table.write(Format::Npy, &mut bytes).unwrap();
        assert_eq!(&bytes[..10], b"\x93NUMPY\x01\x00\x76\x00");
        let header = std::str::from_utf8(&bytes[10..128]).unwrap();
        assert!(header.starts_with("{'descr': '<f4', 'fortran_order': False, 'shape': (3, 2), }"));
        assert!(header.ends_with(" \n"));
        let numbers: Vec<f32> =
            bytes[128..].chunks_exact(4).map(|x| f32::from_le_bytes(x.try_into().unwrap())).collect();
        assert_eq!(numbers[..3], [1.0, 4.0, 2.0]);
        assert!(numbers[3].is_nan() && numbers.len() == 6);

        let mut csv = Vec::new();
        table.write(Format::Csv, &mut csv).unwrap();
        assert_eq!(String::from_utf8(csv).unwrap(), "time,a,b,c\n0,1,2,3\n0.5,4,,6\n");
        let mut json = Vec::new();
        table.write(Format::Json, &mut json).unwrap();
        let rows: Value = serde_json::from_slice(&json).unwrap();
        assert_eq!(rows[1], json!({ "time": 0.5, "a": 4.0, "b": null, "c": 6.0 }));
    }
}
