//! Text tables with named columns: what `fer2013.csv` and FER+'s votes are.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::Split;
use crate::error::{Error, Result};

/// A table that is read row by row. Columns may stand in any order, with or without spaces around names and values.
pub(super) struct Table {
    path: PathBuf,
    reader: csv::Reader<File>,
    header: csv::StringRecord,
    record: csv::StringRecord,
}

impl Table {
    pub(super) fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).map_err(|source| Error::Io { path: path.to_owned(), source })?;
        let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(file);
        let header = reader.headers().map_err(|error| broken(path, error))?.clone();
        Ok(Self { path: path.to_owned(), reader, header, record: csv::StringRecord::new() })
    }

    /// The place of a column, by its name in any case. `columns` says what was expected.
    pub(super) fn column(&self, name: &str, columns: &str) -> Result<usize> {
        let found = self.header.iter().position(|column| column.eq_ignore_ascii_case(name));
        found.ok_or_else(|| self.wrong(Some(1), columns))
    }

    /// Goes to the next row; `false` after the last.
    pub(super) fn next_row(&mut self) -> Result<bool> {
        self.reader.read_record(&mut self.record).map_err(|error| broken(&self.path, error))
    }

    /// What the row holds in a column.
    pub(super) fn text(&self, column: usize) -> &str {
        &self.record[column]
    }

    /// The same as a number or another value.
    pub(super) fn value<T: FromStr>(&self, column: usize, expected: &str) -> Result<T> {
        self.text(column).parse().map_err(|_| self.wrong_row(expected))
    }

    /// The part of FER-2013 that the row belongs to.
    pub(super) fn usage(&self, column: usize) -> Result<Split> {
        let split = Split::from_usage(self.text(column));
        split.ok_or_else(|| self.wrong_row("Training, PublicTest or PrivateTest as Usage"))
    }

    /// The error for the row at hand.
    pub(super) fn wrong_row(&self, expected: &str) -> Error {
        self.wrong(self.record.position().map(csv::Position::line), expected)
    }

    /// The error for the whole file, or one line of it.
    pub(super) fn wrong(&self, line: Option<u64>, expected: &str) -> Error {
        Error::Decode { path: self.path.clone(), line, expected: expected.into(), source: None }
    }
}

fn broken(path: &Path, error: csv::Error) -> Error {
    Error::Decode {
        path: path.to_owned(),
        line: error.position().map(csv::Position::line),
        expected: "CSV text".into(),
        source: Some(error.into()),
    }
}
