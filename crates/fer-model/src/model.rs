//! The face predictor.

use std::fmt;
use std::path::Path;

use emotion_core::{BoxError, EmotionModel, LabelSet, Scores};
use face_prep::{Filter, resize};
use image::GrayImage;
use model_kit::device::Device;
use model_kit::generator::seeded;
use model_kit::layers::Network;
use model_kit::weights::Weights;
use tch::nn::VarStore;
use tch::{Kind, Tensor, no_grad};

use crate::config::ModelConfig;
use crate::dataset::SIDE;
use crate::error::{Error, Result};

/// Pictures that go through the network together: more gain nothing on a processor and cost memory.
const BATCH: usize = 64;

/// Reads the expression of faces cut out of pictures, framed as FER-2013 frames them.
///
/// Made for inference: batch norms are merged into the convolutions, no gradients are kept, and the answers are
/// calibrated by the temperature in the weights file. It is `Send` but not `Sync`: give each thread its own.
///
/// LibTorch uses as many threads as there are cores unless [`model_kit::device::set_threads`] says otherwise; a program
/// that keeps cores busy with other work is faster with fewer.
///
/// ```no_run
/// use fer_model::FerModel;
///
/// let model = FerModel::load("runs/fer/model.safetensors")?;
/// let face = image::open("face.png")?.to_luma8();
/// let (emotion, probability) = model.predict(&face)?.top();
/// println!("{emotion} with {:.0} %", 100.0 * probability);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct FerModel {
    network: Box<dyn Network>,
    config: ModelConfig,
    device: tch::Device,
    mirror: bool,
    side: u32,
}

impl fmt::Debug for FerModel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FerModel").field("config", &self.config).field("device", &self.device).finish_non_exhaustive()
    }
}

impl FerModel {
    /// The model that this workspace trained, on the processor. Its card is `weights/README.md` in this crate.
    ///
    /// # Errors
    /// [`Error::NotEmbedded`] when the feature `pretrained` is off.
    pub fn pretrained() -> Result<Self> {
        Self::pretrained_on(Device::Cpu)
    }

    /// The model that this workspace trained, on a device.
    ///
    /// # Errors
    /// As [`pretrained`](Self::pretrained), and [`Error::Model`] for a device that is not there.
    #[cfg_attr(not(feature = "pretrained"), allow(unused_variables, reason = "there is nothing to put on the device"))]
    pub fn pretrained_on(device: Device) -> Result<Self> {
        #[cfg(feature = "pretrained")]
        {
            let bytes = include_bytes!("../weights/compact.safetensors");
            Self::from_weights(&Weights::from_bytes(bytes, "<pretrained>")?, device)
        }
        #[cfg(not(feature = "pretrained"))]
        Err(Error::NotEmbedded)
    }

    /// Reads a model file, such as `train_fer` writes, onto the processor.
    ///
    /// # Errors
    /// [`Error::Model`] for a file that cannot be read or whose tensors do not fit, [`Error::NoModel`] for one that does
    /// not say what it is.
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        Self::load_on(path, Device::Cpu)
    }

    /// Reads a model file onto a device.
    ///
    /// # Errors
    /// As [`load`](Self::load), and [`Error::Model`] for a device that is not there.
    pub fn load_on(path: impl AsRef<Path>, device: Device) -> Result<Self> {
        Self::from_weights(&Weights::open(path.as_ref())?, device)
    }

    /// A model of weights with a [`ModelConfig`] in their metadata.
    ///
    /// # Errors
    /// As [`load_on`](Self::load_on).
    pub fn from_weights(weights: &Weights, device: Device) -> Result<Self> {
        let config = ModelConfig::from_weights(weights)?;
        let device = device.open()?;
        let mut store = VarStore::new(device);
        let mut network = seeded(0, || config.arch.build(&store.root(), config.labels.len()))?;
        weights.load_into(&store)?;
        store.freeze();
        network.fold()?;
        Ok(Self { network, config, device, mirror: false, side: SIDE as u32 })
    }

    /// Whether each face is also seen mirrored and the answers averaged: slightly more accurate at twice the time.
    /// Off at first.
    #[must_use]
    pub fn mirrored(mut self, mirror: bool) -> Self {
        self.mirror = mirror;
        self
    }

    /// The width and height, in pixels, at which the network sees every picture, from 16 to 224. Default 48, which is what
    /// it was trained with. For networks that take pictures of any size: the compact one does; for others
    /// [`predict_batch`](Self::predict_batch) fails.
    ///
    /// # Errors
    /// [`Error::InvalidConfig`] for a side out of that range.
    pub fn at_size(mut self, side: u32) -> Result<Self> {
        if !(16..=224).contains(&side) {
            return Err(Error::InvalidConfig { field: "side", expected: "16 to 224".into(), got: side.to_string() });
        }
        self.side = side;
        Ok(self)
    }

    /// What the weights file says about the model.
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// The expression of one face, a picture of any size (see [`predict_batch`](Self::predict_batch)).
    ///
    /// # Errors
    /// As [`predict_batch`](Self::predict_batch).
    pub fn predict(&self, face: &GrayImage) -> Result<Scores> {
        let [scores] = self
            .predict_batch(std::slice::from_ref(face))?
            .try_into()
            .map_err(|scores: Vec<_>| Error::input("answer", "one", scores.len()))?;
        Ok(scores)
    }

    /// The expressions of several faces, in their order. Pictures that are not 48×48 pixels (or as wide and high as
    /// [`at_size`](Self::at_size) says) are resized to it by area averaging, whatever their proportions.
    ///
    /// # Errors
    /// [`Error::Picture`] for a picture without pixels, [`Error::Model`] for a failing backend, [`Error::Scores`] when
    /// the network's answer is not finite.
    pub fn predict_batch(&self, faces: &[GrayImage]) -> Result<Vec<Scores>> {
        let mut scores = Vec::with_capacity(faces.len());
        let width = (self.side * self.side) as usize;
        let mut pixels = vec![0.0; BATCH.min(faces.len()) * width];
        for batch in faces.chunks(BATCH) {
            for (face, values) in batch.iter().zip(pixels.chunks_exact_mut(width)) {
                if face.dimensions() == (self.side, self.side) {
                    self.config.normalisation.apply(face.as_raw(), values);
                } else {
                    let face = resize(face, self.side, self.side, Filter::Area)?;
                    self.config.normalisation.apply(face.as_raw(), values);
                }
            }
            let logits = self.logits(&pixels[..batch.len() * width])?;
            for logits in logits.chunks_exact(self.config.labels.len()) {
                scores.push(Scores::from_logits(&self.config.labels, logits)?);
            }
        }
        Ok(scores)
    }

    /// The network's outputs divided by the temperature, one row per face.
    fn logits(&self, pixels: &[f32]) -> Result<Vec<f32>> {
        let side = i64::from(self.side);
        let input = Tensor::f_from_slice(pixels)?.f_view([-1, 1, side, side])?.f_to_device(self.device)?;
        let logits = no_grad(|| {
            let mut logits = self.network.forward(&input, false)?;
            if self.mirror {
                let mirrored = self.network.forward(&input.f_flip([3])?, false)?;
                logits = logits.f_add(&mirrored)?.f_mul_scalar(0.5)?;
            }
            logits.f_div_scalar(f64::from(self.config.temperature))?.f_to_kind(Kind::Float)?.f_flatten(0, -1)
        })?;
        Ok(Vec::try_from(logits.f_to_device(tch::Device::Cpu)?)?)
    }
}

impl EmotionModel for FerModel {
    type Input = GrayImage;

    fn labels(&self) -> &LabelSet {
        &self.config.labels
    }

    fn name(&self) -> &str {
        &self.config.name
    }

    fn predict_batch(&self, faces: &[GrayImage]) -> Result<Vec<Scores>, BoxError> {
        Ok(FerModel::predict_batch(self, faces)?)
    }
}
