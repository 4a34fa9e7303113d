//! A trained face model as the teacher of another.

use std::path::Path;

use model_kit::device::Device;
use model_kit::generator::seeded;
use model_kit::layers::{Network, Result as TorchResult};
use model_kit::weights::Weights;
use tch::Tensor;
use tch::nn::VarStore;

use crate::config::ModelConfig;
use crate::error::{Error, Result};

/// A network whose answers another one learns.
pub(super) struct Teacher {
    network: Box<dyn Network>,
    /// What turns pixels standardised for the pupil into pixels standardised for the teacher.
    scale: f64,
    shift: f64,
}

impl Teacher {
    /// Reads a model file for a pupil with this configuration.
    ///
    /// # Errors
    /// [`Error::Model`], [`Error::NoModel`] for a file that is no model, [`Error::InvalidInput`] for one with other labels.
    pub(super) fn load(path: &Path, device: Device, pupil: &ModelConfig) -> Result<Self> {
        let weights = Weights::open(path)?;
        let config = ModelConfig::from_weights(&weights)?;
        if config.labels != pupil.labels {
            return Err(Error::input("teacher", format!("{:?}", pupil.labels), format!("{:?}", config.labels)));
        }
        let mut store = VarStore::new(device.open()?);
        let mut network = seeded(0, || config.arch.build(&store.root(), config.labels.len()))?;
        weights.load_into(&store)?;
        store.freeze();
        network.fold()?;
        let (own, theirs) = (config.normalisation, pupil.normalisation);
        let scale = f64::from(theirs.deviation) / f64::from(own.deviation);
        let shift = (f64::from(theirs.mean) - f64::from(own.mean)) / f64::from(own.deviation);
        Ok(Self { network, scale, shift })
    }

    /// # Shapes
    /// `[batch, 1, 48, 48]` → `[batch, classes]`
    ///
    /// # Errors
    /// LibTorch's.
    pub(super) fn logits(&self, inputs: &Tensor) -> TorchResult<Tensor> {
        self.network.forward(&inputs.f_mul_scalar(self.scale)?.f_add_scalar(self.shift)?, false)
    }
}
