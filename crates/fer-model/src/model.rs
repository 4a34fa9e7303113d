//! The face predictor.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use emotion_core::{BoxError, EmotionModel, LabelSet, Scores};
use face_prep::{Filter, resize};
use image::GrayImage;
use model_kit::device::Device;
use model_kit::export::{self, Description, Dim, Format};
use model_kit::generator::seeded;
use model_kit::layers::Network;
use model_kit::weights::Weights;
use tch::nn::VarStore;
use tch::{CModule, Kind, Tensor, no_grad};

use crate::arch::{Arch, Script};
use crate::config::ModelConfig;
use crate::dataset::SIDE;
use crate::error::{Error, Result};

/// Pictures that go through the network together on a processor: more gain nothing and cost memory.
const BATCH: usize = 32;

/// The same on a GPU, which wants more work at once.
const GPU_BATCH: usize = 512;

/// What a TorchScript file starts with, for it is a ZIP archive.
const ZIP: &[u8; 4] = b"PK\x03\x04";

/// Reads the expression of faces cut out of pictures, framed as FER-2013 frames them.
///
/// Made for inference: batch norms are merged into the convolutions, no gradients are kept, and the answers are
/// calibrated by the temperature in the weights file. Threads may predict with one model at the same time, and a clone
/// shares the weights of its original.
///
/// LibTorch uses as many threads as there are cores, for each of the callers, unless [`model_kit::device::set_threads`] says
/// otherwise; a program that keeps cores busy with other work is faster with fewer, and one that predicts in as many
/// threads as there are cores with one.
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
#[derive(Clone)]
pub struct FerModel {
    network: Arc<dyn Network>,
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
    /// Reads a model file onto the processor: safetensors such as `train_fer` writes, or a TorchScript file `model.pt` with
    /// `model.pt.json` beside it ([`ModelConfig::beside_script`]).
    ///
    /// # Errors
    /// [`Error::Model`] for a file that cannot be read or whose tensors do not fit, [`Error::NoModel`] for one that does
    /// not say what it is, or does not give one logit per label.
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        Self::load_on(path, Device::Cpu)
    }

    /// Reads a model file onto a device.
    ///
    /// # Errors
    /// As [`load`](Self::load), and [`Error::Model`] for a device that is not there.
    pub fn load_on(path: impl AsRef<Path>, device: Device) -> Result<Self> {
        let path = path.as_ref();
        let mut start = [0; ZIP.len()];
        // What cannot be opened or is shorter is no ZIP archive; the reader of weights says what is wrong with it.
        let zip = File::open(path).and_then(|mut file| file.read_exact(&mut start)).is_ok_and(|()| start == *ZIP);
        if zip {
            Self::from_script(path, ModelConfig::beside_script(path)?, device)
        } else {
            Self::from_weights(&Weights::open(path)?, device)
        }
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
        Ok(Self { network: Arc::from(network), config, device, mirror: false, side: SIDE as u32 })
    }

    /// Any network in a TorchScript file, with what the file does not say. The network is run once to see what it gives.
    ///
    /// # Errors
    /// [`Error::InvalidConfig`] when `config.arch` is not [`Arch::TorchScript`], [`Error::NoModel`] for a file that LibTorch
    /// cannot read or run or that does not give one logit per label, [`Error::Model`] for a device that is not there.
    pub fn from_script(path: impl AsRef<Path>, config: ModelConfig, device: Device) -> Result<Self> {
        let path = path.as_ref();
        let Arch::TorchScript(input) = &config.arch else {
            return Err(Error::InvalidConfig {
                field: "arch",
                expected: "torch_script, for a TorchScript file".to_owned(),
                got: config.arch.to_string(),
            });
        };
        let wrong = |reason: String| Error::NoModel { path: path.to_owned(), reason };
        let device = device.open()?;
        let unusable = |error: tch::TchError| wrong(format!("LibTorch cannot use it: {error}"));
        let mut module = CModule::load_on_device(path, device).map_err(unusable)?;
        module.f_set_eval().map_err(unusable)?;
        let network = Script::new(module, input.clone());
        let side =
            u32::try_from(input.side).map_err(|_| wrong(format!("a picture cannot be {} pixels wide", input.side)))?;
        let picture = Tensor::f_zeros([2, 1, i64::from(side), i64::from(side)], (Kind::Float, device))?;
        let output = no_grad(|| network.forward(&picture, false)).map_err(unusable)?.size();
        if output != [2, config.labels.len() as i64] {
            return Err(wrong(format!("it gives {output:?} for two pictures and {} labels", config.labels.len())));
        }
        Ok(Self { network: Arc::new(network), config, device, mirror: false, side })
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

    /// Writes the model as a file that other programs run, see [`model_kit::export`]. The file takes normalised pictures
    /// (48×48, grey) and answers with logits; what to do before and after is in its description. [`load`](Self::load) reads
    /// what was written as TorchScript.
    ///
    /// ```
    /// # #[cfg(feature = "pretrained")] {
    /// use fer_model::FerModel;
    /// use model_kit::export::Format;
    ///
    /// # let folder = std::env::temp_dir();
    /// FerModel::pretrained()?.export(folder.join("face.onnx"), Format::Onnx)?;
    /// # std::fs::remove_file(folder.join("face.onnx"))?;
    /// # }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Model`] for a file that cannot be written and for a network that the format cannot say.
    pub fn export(&self, path: impl AsRef<Path>, format: Format) -> Result<()> {
        Ok(export::write(&*self.network, self.device, &self.description(), path.as_ref(), format)?)
    }

    /// What goes into an exported file beside the network.
    pub fn description(&self) -> Description {
        let ModelConfig { name, labels, temperature, normalisation, .. } = &self.config;
        let side = Dim::Fixed(i64::from(self.side));
        Description {
            name: name.clone(),
            labels: labels.iter().map(|label| label.name().to_owned()).collect(),
            temperature: *temperature,
            input: vec![Dim::Free("batch"), Dim::Fixed(1), side.clone(), side],
            normalisation: serde_json::json!({
                "kind": "pixels",
                "picture": "a face framed as FER-2013 frames it, grey, 0 to 255, resized by area averaging",
                "formula": "(pixel / 255 - mean) / deviation",
                "mean": normalisation.mean,
                "deviation": normalisation.deviation,
            }),
        }
    }

    /// The network's bare answer, which is also that of an exported file: no normalisation before, no temperature after.
    ///
    /// # Shapes
    /// `[batch, 1, 48, 48]` → `[batch, labels]`
    ///
    /// # Errors
    /// [`Error::Model`] for input of another shape, kind or device.
    pub fn forward(&self, input: &Tensor) -> Result<Tensor> {
        Ok(no_grad(|| self.network.forward(input, false))?)
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
        let temperature = f64::from(self.config.temperature);
        let rows = self.run(faces, |input| self.network.forward(input, false)?.f_div_scalar(temperature))?;
        rows.iter().map(|logits| Ok(Scores::from_logits(&self.config.labels, logits)?)).collect()
    }

    /// What the network's last layer sees of each face: numbers that describe its expression, as many for every face, for
    /// other classifiers to work on (256 for the pretrained model). Those of a TorchScript file are its logits.
    ///
    /// # Errors
    /// As [`predict_batch`](Self::predict_batch).
    pub fn embed(&self, faces: &[GrayImage]) -> Result<Vec<Vec<f32>>> {
        self.run(faces, |input| self.network.features(input, false))
    }

    /// The rows that `compute` makes of the faces, one for each.
    fn run(
        &self,
        faces: &[GrayImage],
        compute: impl Fn(&Tensor) -> Result<Tensor, tch::TchError>,
    ) -> Result<Vec<Vec<f32>>> {
        let together = if self.device.is_cuda() { GPU_BATCH } else { BATCH };
        let side = i64::from(self.side);
        let area = (self.side * self.side) as usize;
        let mut rows = Vec::with_capacity(faces.len());
        let mut pixels = vec![0.0; together.min(faces.len()) * area];
        for batch in faces.chunks(together) {
            for (face, values) in batch.iter().zip(pixels.chunks_exact_mut(area)) {
                if face.dimensions() == (self.side, self.side) {
                    self.config.normalisation.apply(face.as_raw(), values);
                } else {
                    let face = resize(face, self.side, self.side, Filter::Area)?;
                    self.config.normalisation.apply(face.as_raw(), values);
                }
            }
            let input = Tensor::f_from_slice(&pixels[..batch.len() * area])?;
            let input = input.f_view([-1, 1, side, side])?.f_to_device(self.device)?;
            let output = no_grad(|| {
                let output = compute(&input)?;
                if !self.mirror {
                    return Ok(output);
                }
                output.f_add(&compute(&input.f_flip([3])?)?)?.f_mul_scalar(0.5)
            })?;
            let width = output.size().last().map_or(1, |&width| width.max(1) as usize);
            let output = output.f_to_kind(Kind::Float)?.f_flatten(0, -1)?.f_to_device(tch::Device::Cpu)?;
            rows.extend(Vec::<f32>::try_from(output)?.chunks_exact(width).map(<[f32]>::to_vec));
        }
        Ok(rows)
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
