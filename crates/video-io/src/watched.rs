//! Files that remember why they failed: FFmpeg passes on no more than a number, and often none at all.

use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use crate::error::{Cause, Error};

/// The system's reason for the last failure, shared between a file that FFmpeg owns and the one who asks.
#[derive(Debug, Clone, Default)]
pub(crate) struct Failure(Arc<Mutex<Option<io::Error>>>);

impl Failure {
    /// The failure, if there was one since the last call.
    pub(crate) fn take(&self) -> Option<io::Error> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Notes a failure and passes on a copy.
    fn note<T>(&self, result: io::Result<T>) -> io::Result<T> {
        result.map_err(|error| {
            if error.kind() == io::ErrorKind::Interrupted {
                return error; // FFmpeg's binding tries again
            }
            let copy = error.raw_os_error().map_or_else(|| error.kind().into(), io::Error::from_raw_os_error);
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
            copy
        })
    }

    /// The error to report: the system's reason where there is one, FFmpeg's where not.
    pub(crate) fn or_encode(&self, path: &Path, cause: ffmpeg_next::Error) -> Error {
        match self.take() {
            Some(source) => Error::Io { path: path.to_owned(), action: "writing", source },
            None => Error::Encode { path: path.to_owned(), source: Cause(cause) },
        }
    }
}

/// A file whose reads and writes are watched. A seek that fails is not: it is an answer ("not before the start").
pub(crate) struct Watched<T> {
    inner: T,
    failure: Failure,
}

impl<T> Watched<T> {
    pub(crate) fn new(inner: T, failure: &Failure) -> Self {
        Watched { inner, failure: failure.clone() }
    }
}

impl<T: Read> Read for Watched<T> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.failure.note(self.inner.read(buffer))
    }
}

impl<T: Write> Write for Watched<T> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.failure.note(self.inner.write(buffer))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.failure.note(self.inner.flush())
    }
}

impl<T: Seek> Seek for Watched<T> {
    fn seek(&mut self, position: SeekFrom) -> io::Result<u64> {
        self.inner.seek(position)
    }
}
