//! What a training leaves on the disk, and how it goes on from there.

use std::path::Path;

use serde::{Deserialize, Serialize};
use tch::nn::VarStore;

use super::Trainer;
use super::config::TrainConfig;
use super::precision::LossScale;
use super::report::{Best, EpochRecord};
use super::stopping::Waiting;
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
    /// Of how many samples of those steps the accuracy is known, and how many were right.
    pub(super) seen: u64,
    pub(super) right: u64,
    pub(super) best: Option<Best>,
    pub(super) plateau: Plateau,
    pub(super) waiting: Waiting,
    pub(super) loss_scale: LossScale,
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
        self.best_weights = state.config.restore_best.then(|| weights.strip_prefix("best."));
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
        for (name, tensor) in self.best_weights.iter().flat_map(|best| &best.tensors) {
            weights.insert(format!("best.{name}"), tensor)?;
        }
        self.optimizer.save(&mut weights)?;
        weights.metadata.insert("training".into(), self.state_text()?);
        let path = folder.join("last.safetensors");
        weights.save(&path)?;
        self.last_checkpoint = Some(path);
        Ok(())
    }

    /// Keeps the weights of the epoch that is the best so far.
    pub(super) fn keep_best(&mut self) -> Result<(), Error> {
        let mut weights = Weights::from_store(self.shown())?;
        if let Some(folder) = &self.folder {
            weights.metadata = self.metadata.clone();
            weights.metadata.insert("training".into(), self.state_text()?);
            weights.save(&folder.join("best.safetensors"))?;
        }
        self.best_weights = self.state.config.restore_best.then_some(weights);
        Ok(())
    }

    /// Gives the network the weights of the best epoch.
    pub(super) fn restore_best(&self) -> Result<(), Error> {
        match &self.best_weights {
            Some(best) if !best.tensors.is_empty() => best.load_into(self.shown()),
            _ => Ok(()),
        }
    }

    /// The tensors of [`network`](Self::network).
    fn shown(&self) -> &VarStore {
        self.averaged.as_ref().map_or(&self.store, |(_, store)| store)
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
