//! What the face trainer and the face evaluator read: the same options, the same layouts, the same errors.

use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use clap::{Args, ValueEnum};
use fer_model::dataset::{FaceData, FaceDataOptions, PathPattern};

#[derive(Args)]
pub(crate) struct Source {
    /// Whose labels to take.
    #[arg(long, value_enum, default_value_t = Labels::Fer2013)]
    pub(crate) labels: Labels,
    /// fer2013new.csv, for the labels of FER+.
    #[arg(long, required_if_eq("labels", "ferplus"))]
    votes: Option<PathBuf>,
    /// Read a folder as a tree of pictures whose paths name person and label, such as '{label}/{subject}_*'.
    #[arg(long, value_parser = PathPattern::new)]
    pattern: Option<PathPattern>,
    /// Keep fer2013.csv decoded in this file, and read it from there the next time.
    #[arg(long)]
    cache: Option<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
pub(crate) enum Labels {
    /// FER-2013's own seven, or those of the folders.
    Fer2013,
    /// FER+'s ten votes, eight classes.
    Ferplus,
}

impl Source {
    pub(crate) fn open(&self, path: &Path) -> Result<FaceData> {
        let ferplus = self.labels == Labels::Ferplus;
        ensure!(ferplus || self.votes.is_none(), "--votes are only read with --labels ferplus");
        let options =
            FaceDataOptions { votes: self.votes.clone(), pattern: self.pattern.clone(), cache: self.cache.clone() };
        Ok(FaceData::open(path, &options)?)
    }
}
