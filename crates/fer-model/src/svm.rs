//! What faces were read with before deep learning, and the yardstick that papers put beside it: a linear support vector
//! machine on pixels, on gradient histograms, or on what a CNN has learnt to see.

use std::path::Path;

use emotion_core::{BoxError, EmotionModel, LabelSet, Scores};
use face_prep::{Filter, resize};
use image::GrayImage;
use model_kit::svm::{LinearSvm, SvmConfig, SvmFit};
use model_kit::weights::Weights;
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor, no_grad};

use crate::dataset::{FaceSet, SIDE};
use crate::error::{Error, Result};
use crate::hog::Hog;
use crate::model::FerModel;

/// The metadata key of the settings in a file.
const KEY: &str = "fer_svm";

/// Faces whose features are computed together.
const TOGETHER: usize = 512;

/// What the machine looks at.
#[derive(Debug, Clone)]
pub enum FaceFeatures {
    /// The 2,304 pixels.
    Pixels,
    /// Histograms of oriented gradients.
    Hog(Hog),
    /// What the last layer of a network sees ([`FerModel::embed`]).
    Cnn(Box<FerModel>),
}

impl FaceFeatures {
    /// One row for each face: `[faces, features]`, single precision, on the processor. Pictures of another size are resized
    /// to 48×48 by area averaging.
    ///
    /// # Errors
    /// [`Error::Picture`] for a picture without pixels, [`Error::Model`] for a failing backend.
    pub fn compute(&self, faces: &[GrayImage]) -> Result<Tensor> {
        let rows = match self {
            Self::Cnn(model) => model.embed(faces)?,
            Self::Pixels => self.each(faces, |pixels| Ok(pixels.iter().map(|&pixel| f32::from(pixel)).collect()))?,
            Self::Hog(hog) => self.each(faces, |pixels| hog.describe(pixels, SIDE))?,
        };
        Ok(Tensor::f_from_slice(&rows.concat())?.f_view([faces.len() as i64, -1])?)
    }

    fn each(&self, faces: &[GrayImage], describe: impl Fn(&[u8]) -> Result<Vec<f32>>) -> Result<Vec<Vec<f32>>> {
        let side = SIDE as u32;
        let row = |face: &GrayImage| {
            if face.dimensions() == (side, side) {
                describe(face.as_raw())
            } else {
                describe(resize(face, side, side, Filter::Area)?.as_raw())
            }
        };
        faces.iter().map(row).collect()
    }

    fn name(&self) -> Features {
        match self {
            Self::Pixels => Features::Pixels,
            Self::Hog(hog) => Features::Hog(*hog),
            Self::Cnn(model) => Features::Cnn { model: model.config().name.clone() },
        }
    }
}

/// [`FaceFeatures`] as a file tells of them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "snake_case")]
enum Features {
    Pixels,
    Hog(Hog),
    Cnn { model: String },
}

#[derive(Serialize, Deserialize)]
struct Header {
    features: Features,
    labels: LabelSet,
    temperature: f32,
}

/// Features of a set of faces, standardised: what [`SvmBaseline::fit`] learns from, kept so that several fits can share them.
#[derive(Debug)]
pub struct SvmData {
    rows: Tensor,
    classes: Vec<usize>,
    labels: LabelSet,
    scaling: Scaling,
}

/// The mean and the deviation of each feature, both `[1, features]`.
#[derive(Debug)]
struct Scaling {
    mean: Tensor,
    deviation: Tensor,
}

impl Scaling {
    fn of(rows: &Tensor) -> Result<Self> {
        let mean = rows.f_mean_dim([0i64].as_slice(), true, None::<Kind>)?;
        let deviation = rows.f_std_dim([0i64].as_slice(), false, true)?;
        // A feature that never changes says nothing, whatever it is divided by.
        let still = deviation.f_eq(0.0)?.f_to_kind(Kind::Float)?;
        Ok(Self { mean, deviation: deviation.f_add(&still)? })
    }

    fn apply(&self, rows: &Tensor) -> Result<Tensor> {
        Ok(rows.f_sub(&self.mean)?.f_div(&self.deviation)?)
    }

    fn shallow_clone(&self) -> Self {
        Self { mean: self.mean.shallow_clone(), deviation: self.deviation.shallow_clone() }
    }
}

impl SvmData {
    /// The features of a set and the mean and deviation that standardise them. Soft labels count as their most probable
    /// class. 28,709 faces of FER-2013 take 265 MB as pixels, 103 MB as histograms.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] for fewer than two faces, and those of [`FaceFeatures::compute`].
    pub fn new(features: &FaceFeatures, faces: &FaceSet) -> Result<Self> {
        if faces.len() < 2 {
            return Err(Error::input("training set", "at least two faces", faces.len()));
        }
        let mut rows = Vec::new();
        for start in (0..faces.len()).step_by(TOGETHER) {
            let images: Vec<_> = (start..faces.len().min(start + TOGETHER)).map(|index| faces.image(index)).collect();
            rows.push(features.compute(&images)?);
        }
        let rows = Tensor::f_cat(&rows, 0)?;
        let scaling = Scaling::of(&rows)?;
        Ok(Self {
            rows: scaling.apply(&rows)?,
            classes: (0..faces.len()).map(|index| faces.class(index)).collect(),
            labels: faces.labels().clone(),
            scaling,
        })
    }
}

/// A linear L2-SVM (squared hinge, primal, one class against the rest) on features of a face, "the traditional SVM" that
/// CNNs are measured against; on a CNN's features it is what Tang 2013 put in the place of the softmax.
///
/// Its margins are no log-probabilities: the [`Scores`] are their softmax after a division by a temperature, 1 unless
/// [`with_temperature`](Self::with_temperature) says otherwise, and rank the classes.
#[derive(Debug)]
pub struct SvmBaseline {
    features: FaceFeatures,
    scaling: Scaling,
    svm: LinearSvm,
    labels: LabelSet,
    temperature: f32,
}

impl SvmBaseline {
    /// Learns from a set; `start`, fitted with another C on the same set, saves time.
    ///
    /// # Errors
    /// [`Error::Model`] for settings out of their ranges and a `start` from other features.
    pub fn fit(
        features: &FaceFeatures,
        data: &SvmData,
        config: &SvmConfig,
        start: Option<&Self>,
    ) -> Result<(Self, SvmFit)> {
        let start = start.map(|start| &start.svm);
        let (svm, fit) = LinearSvm::fit(&data.rows, &data.classes, data.labels.len(), config, start)?;
        let labels = data.labels.clone();
        Ok((
            Self { features: features.clone(), scaling: data.scaling.shallow_clone(), svm, labels, temperature: 1.0 },
            fit,
        ))
    }

    /// What margins are divided by before the softmax, above 0, such as
    /// [`fit_temperature`](model_kit::metrics::fit_temperature) finds it.
    ///
    /// # Errors
    /// [`Error::InvalidConfig`] for one that is not finite and above 0.
    pub fn with_temperature(mut self, temperature: f32) -> Result<Self> {
        if !(temperature.is_finite() && temperature > 0.0) {
            let expected = "finite and above 0".to_owned();
            return Err(Error::InvalidConfig { field: "temperature", expected, got: temperature.to_string() });
        }
        self.temperature = temperature;
        Ok(self)
    }

    /// The expressions of several faces, in their order.
    ///
    /// # Errors
    /// Those of [`FaceFeatures::compute`].
    pub fn predict_batch(&self, faces: &[GrayImage]) -> Result<Vec<Scores>> {
        let mut scores = Vec::with_capacity(faces.len());
        for faces in faces.chunks(TOGETHER) {
            scores.extend(self.predict_features(&self.features.compute(faces)?)?);
        }
        Ok(scores)
    }

    /// The expressions of faces whose features, `[faces, features]`, [`FaceFeatures::compute`] has computed.
    ///
    /// # Errors
    /// [`Error::Model`] for another number of features.
    pub fn predict_features(&self, rows: &Tensor) -> Result<Vec<Scores>> {
        let margins = no_grad(|| {
            let margins = self.svm.margins(&self.scaling.apply(rows)?)?;
            Ok::<_, Error>(margins.f_div_scalar(f64::from(self.temperature))?.f_flatten(0, -1)?)
        })?;
        let margins = Vec::<f32>::try_from(margins)?;
        margins.chunks_exact(self.labels.len()).map(|row| Ok(Scores::from_logits(&self.labels, row)?)).collect()
    }

    /// Writes the machine as safetensors: `svm.weight`, `svm.bias`, `mean`, `deviation`, and the settings as metadata. The
    /// network of [`FaceFeatures::Cnn`] is not part of it.
    ///
    /// # Errors
    /// [`Error::Model`] for a file that cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let mut weights = Weights::default();
        self.svm.save_into(&mut weights)?;
        weights.insert("mean".into(), &self.scaling.mean)?;
        weights.insert("deviation".into(), &self.scaling.deviation)?;
        let header =
            Header { features: self.features.name(), labels: self.labels.clone(), temperature: self.temperature };
        let text =
            serde_json::to_string(&header).unwrap_or_else(|error| unreachable!("plain data turns into JSON: {error}"));
        weights.metadata.insert(KEY.to_owned(), text);
        Ok(weights.save(path.as_ref())?)
    }

    /// Reads a machine. One on a network's features needs that network as `cnn`.
    ///
    /// # Errors
    /// [`Error::Model`] for a file that cannot be read or holds other tensors, [`Error::NoModel`] for one that is no such
    /// machine or was fitted on the features of another network than `cnn`.
    pub fn load(path: impl AsRef<Path>, cnn: Option<FerModel>) -> Result<Self> {
        let weights = Weights::open(path.as_ref())?;
        let wrong = |reason: String| Error::NoModel { path: path.as_ref().to_owned(), reason };
        let text = weights.metadata.get(KEY).ok_or_else(|| wrong(format!("no metadata `{KEY}`")))?;
        let Header { features, labels, temperature } =
            serde_json::from_str(text).map_err(|error| wrong(format!("metadata `{KEY}`: {error}")))?;
        let features = match (features, cnn) {
            (Features::Pixels, _) => FaceFeatures::Pixels,
            (Features::Hog(hog), _) => FaceFeatures::Hog(hog),
            (Features::Cnn { model }, Some(cnn)) if cnn.config().name == model => FaceFeatures::Cnn(Box::new(cnn)),
            (Features::Cnn { model }, cnn) => {
                let got = cnn.map_or("none".to_owned(), |cnn| format!("`{}`", cnn.config().name));
                return Err(wrong(format!("it works on the features of the network `{model}`, and got {got}")));
            }
        };
        let svm = LinearSvm::from_weights(&weights, labels.len())?;
        let find = |name: &str| {
            weights.tensors.get(name).map(Tensor::shallow_clone).ok_or_else(|| wrong(format!("no tensor `{name}`")))
        };
        let scaling = Scaling { mean: find("mean")?, deviation: find("deviation")? };
        Self { features, scaling, svm, labels, temperature: 1.0 }.with_temperature(temperature)
    }
}

impl EmotionModel for SvmBaseline {
    type Input = GrayImage;

    fn labels(&self) -> &LabelSet {
        &self.labels
    }

    fn name(&self) -> &str {
        match &self.features {
            FaceFeatures::Pixels => "svm on pixels",
            FaceFeatures::Hog(_) => "svm on hog",
            FaceFeatures::Cnn(_) => "svm on cnn features",
        }
    }

    fn predict_batch(&self, faces: &[GrayImage]) -> Result<Vec<Scores>, BoxError> {
        Ok(SvmBaseline::predict_batch(self, faces)?)
    }
}
