//! What a training leaves on the disk, and how it goes on from there.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::Trainer;
use super::config::TrainConfig;
use super::report::{Best, EpochRecord};
use crate::Error;
use crate::layers::Network;
use crate::schedule::Plateau;
use crate::weights::Weights;

/// What a checkpoint holds beside tensors.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct State {
    pub(super) config: TrainConfig,
    /// Finished epochs.
    pub(super) epoch: usize,
    /// Steps taken in the unfinished epoch.
    pub(super) step: u64,
    /// Sum of the losses of those steps.
    pub(super) loss_sum: f64,
    pub(super) best: Option<Best>,
    pub(super) plateau: Plateau,
    pub(super) history: Vec<EpochRecord>,
}

impl<N: Network> Trainer<N> {
    /// Goes on from `last.safetensors` in the folder of [`save_to`](Self::save_to); tells whether there was one.
    ///
    /// # Errors
    /// As [`resume`](Self::resume).
    pub fn resume_if_there(&mut self) -> Result<bool, Error> {
        match self.folder.as_ref().map(|folder| folder.join("last.safetensors")) {
            Some(path) if path.exists() => self.resume(&path).map(|()| true),
            _ => Ok(false),
        }
    }

    /// Goes on from a checkpoint.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Decode`], [`Error::Weights`] for another network, [`Error::InvalidConfig`] for other
    /// settings than the checkpoint's.
    pub fn resume(&mut self, path: &Path) -> Result<(), Error> {
        let weights = Weights::open(path)?;
        let undecodable =
            |source| Error::Decode { path: path.to_owned(), expected: "a training checkpoint".into(), source };
        let text = weights.metadata.get("training").ok_or_else(|| undecodable("it has no training state".into()))?;
        let state: State = serde_json::from_str(text).map_err(|error| undecodable(error.into()))?;
        if state.config != self.state.config {
            let show = |config| serde_json::to_string(config).unwrap_or_default();
            return Err(Error::config("resumed training", show(&state.config), show(&self.state.config)));
        }
        weights.strip_prefix("model.").load_into(&self.store)?;
        if let Some((_, store)) = &self.averaged {
            weights.strip_prefix("average.").load_into(store)?;
        }
        self.optimizer.load(&weights)?;
        self.state = state;
        self.last_checkpoint = Some(path.to_owned());
        Ok(())
    }

    pub(super) fn checkpoint(&mut self) -> Result<(), Error> {
        let Some(folder) = &self.folder else { return Ok(()) };
        let mut weights = Weights::default();
        weights.metadata = self.metadata.clone();
        weights.extend("model.", &self.store)?;
        if let Some((_, store)) = &self.averaged {
            weights.extend("average.", store)?;
        }
        self.optimizer.save(&mut weights)?;
        weights.metadata.insert("training".into(), self.state_text()?);
        let path = folder.join("last.safetensors");
        weights.save(&path)?;
        self.last_checkpoint = Some(path);
        Ok(())
    }

    pub(super) fn save_best(&self) -> Result<(), Error> {
        let Some(folder) = &self.folder else { return Ok(()) };
        let store = self.averaged.as_ref().map_or(&self.store, |(_, store)| store);
        let mut weights = Weights::from_store(store)?;
        weights.metadata = self.metadata.clone();
        weights.metadata.insert("training".into(), self.state_text()?);
        weights.save(&folder.join("best.safetensors"))
    }

    fn state_text(&self) -> Result<String, Error> {
        let unwritable = |error: serde_json::Error| Error::Decode {
            path: "last.safetensors".into(),
            expected: "a training state".into(),
            source: error.into(),
        };
        serde_json::to_string(&self.state).map_err(unwritable)
    }
}
