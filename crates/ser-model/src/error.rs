//! What can go wrong, by who is at fault.

use std::path::PathBuf;

use crate::corpus::Corpus;

/// An error of this crate. Every variant says what was expected and what came.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A setting that cannot work.
    #[error("{name} must be {expected}, got {got}")]
    InvalidConfig {
        /// The setting.
        name: &'static str,
        /// What would work.
        expected: &'static str,
        /// What was given.
        got: String,
    },
    /// A name that is no corpus's.
    #[error("unknown corpus {got:?}: expected ravdess, tess, savee, cremad, emodb or folders")]
    UnknownCorpus {
        /// The name that was given.
        got: String,
    },
    /// A name that is no network's.
    #[error("unknown architecture {got:?}: expected one of {expected}")]
    UnknownArchitecture {
        /// The names that exist.
        expected: String,
        /// The name that was given.
        got: String,
    },
    /// A sound file whose name does not follow its corpus's pattern.
    #[error("{}: the name tells no label: expected {expected}", path.display())]
    FileName {
        /// The file.
        path: PathBuf,
        /// The corpus's pattern.
        expected: &'static str,
    },
    /// A table beside the recordings that cannot be read.
    #[error("{}, line {line}: {reason}", path.display())]
    Table {
        /// The file.
        path: PathBuf,
        /// The line, from 1; 0 when the file could not be opened.
        line: usize,
        /// What is wrong there.
        reason: String,
    },
    /// A folder without a usable recording.
    #[error("{}: no clip of {corpus} found ({skipped} sound files did not fit)", path.display())]
    NoClips {
        /// The folder that was searched.
        path: PathBuf,
        /// The corpus that was looked for.
        corpus: Corpus,
        /// How many WAV or FLAC files were set aside.
        skipped: usize,
    },
    /// Sound without a single sample.
    #[error("expected sound, got no samples")]
    EmptySound,
    /// Sound shorter than the model's least.
    #[error("expected at least {expected} s of sound, got {got:.3} s")]
    TooShort {
        /// The least length, in seconds.
        expected: f64,
        /// The length that came, in seconds.
        got: f64,
    },
    /// A sample that is not a finite number.
    #[error("expected finite samples, got {value} at index {index}")]
    NotFinite {
        /// The index of the first such sample.
        index: usize,
        /// Its value.
        value: f32,
    },
    /// A sampling rate that no recording has.
    #[error("expected a sampling rate from {least} to {most} Hz, got {got} Hz")]
    SampleRate {
        /// The lowest rate taken.
        least: u32,
        /// The highest rate taken.
        most: u32,
        /// The rate that came.
        got: u32,
    },
    /// A file or folder that cannot be read or written.
    #[error("cannot access {}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The operating system's reason.
        #[source]
        source: std::io::Error,
    },
    /// A sound file that cannot be decoded.
    #[error("cannot read {} as sound", path.display())]
    Decode {
        /// The file.
        path: PathBuf,
        /// The decoder's reason.
        #[source]
        source: audio_features::Error,
    },
    /// A feature that cannot be computed.
    #[error("the features cannot be computed")]
    Features {
        /// The reason.
        #[from]
        source: audio_features::Error,
    },
    /// A weights file that is no speech model of this crate.
    #[error("{} holds no speech model: {reason}", path.display())]
    NoModel {
        /// The file, or the name of embedded bytes.
        path: PathBuf,
        /// What is missing or wrong.
        reason: String,
    },
    /// The embedded weights were left out of this build.
    #[error("this build has no pretrained weights: enable the feature `pretrained` of ser-model, or load a file")]
    NotEmbedded,
    /// A failing network, trainer or weights file.
    #[error("the speech network failed")]
    Model {
        /// What failed.
        #[from]
        source: model_kit::Error,
    },
    /// Labels or scores that do not fit.
    #[error(transparent)]
    Scores(#[from] emotion_core::Error),
}

impl Error {
    /// The message with those of its sources behind it, for lists of files that were set aside.
    pub fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut source = std::error::Error::source(self);
        while let Some(error) = source {
            let message = error.to_string();
            // Some sources repeat what stands before them.
            if !text.contains(&message) {
                text.push_str(": ");
                text.push_str(&message);
            }
            source = error.source();
        }
        text
    }
}

impl From<tch::TchError> for Error {
    fn from(source: tch::TchError) -> Self {
        Self::Model { source: source.into() }
    }
}
