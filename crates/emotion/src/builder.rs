//! The settings of an analyser, with their defaults.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use emotion_core::{BoxError, EmotionModel};
use face_prep::{Cascade, CascadeConfig, CascadeDetector, FaceDetector, TrackerConfig};
use fer_model::FerModel;
use fusion::{Fuser, MaxFuser, MeanFuser, ProductFuser, QualityFuser, WeightedFuser};
use image::GrayImage;
use model_kit::device::{Device, set_threads};
use ser_model::SerModel;

use crate::pipeline::Progress;
use crate::{Analyzer, Error};

/// How the scores of face and voice become one.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum Fusion {
    /// The mean of both: Algorithm 3 of the every-tenth-frame method. The default.
    #[default]
    Mean,
    /// A mean in which the face weighs `face` (0 to 1) and the voice the rest.
    Weighted {
        /// The face's weight.
        face: f32,
    },
    /// Each weighs its own quality times its certainty ([`fusion::QualityFuser`]).
    Quality,
    /// The normalised product.
    Product,
    /// The normalised maximum.
    Max,
}

impl fmt::Display for Fusion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Fusion::Mean => "mean",
            Fusion::Weighted { .. } => "weighted",
            Fusion::Quality => "quality",
            Fusion::Product => "product",
            Fusion::Max => "max",
        })
    }
}

impl FromStr for Fusion {
    type Err = Error;

    /// Reads the names; `weighted` alone gives the face 0.6, `weighted:0.7` another weight.
    fn from_str(text: &str) -> Result<Self, Error> {
        let weighted = || text.strip_prefix("weighted:").and_then(|face| face.parse().ok());
        match text {
            "mean" => Ok(Fusion::Mean),
            "weighted" => Ok(Fusion::Weighted { face: FACE_WEIGHT }),
            "quality" => Ok(Fusion::Quality),
            "product" => Ok(Fusion::Product),
            "max" => Ok(Fusion::Max),
            _ => weighted().map(|face| Fusion::Weighted { face }).ok_or_else(|| Error::InvalidConfig {
                field: "fusion",
                expected: "mean, weighted, weighted:FACE, quality, product or max",
                got: text.to_owned(),
            }),
        }
    }
}

/// The face's weight where none is given: faces are read somewhat more reliably than voices.
const FACE_WEIGHT: f32 = 0.6;

impl Fusion {
    fn fuser(self) -> Result<Box<dyn Fuser>, Error> {
        Ok(match self {
            Fusion::Mean => Box::new(MeanFuser),
            Fusion::Weighted { face } => Box::new(WeightedFuser::new(&[face, 1.0 - face])?),
            Fusion::Quality => Box::new(QualityFuser),
            Fusion::Product => Box::new(ProductFuser),
            Fusion::Max => Box::new(MaxFuser),
        })
    }
}

/// A face model: gray crops in, scores out.
pub type FaceModel = Box<dyn EmotionModel<Input = GrayImage>>;

/// A speech model: mono sound at 16 kHz in, scores out.
pub type SpeechModel = Box<dyn EmotionModel<Input = Vec<f32>>>;

pub(crate) type ProgressFn = Box<dyn FnMut(Progress) + Send>;

/// Which model to use.
enum Choice<M> {
    /// The one that is embedded.
    Pretrained,
    /// One in a weights file.
    Path(PathBuf),
    /// One that is loaded already.
    Given(M),
}

/// Settings of an [`Analyzer`]. What is not set has the default that its method names.
pub struct AnalyzerBuilder {
    stride: u64,
    window: f64,
    hop: f64,
    annotate: bool,
    threads: usize,
    device: Device,
    detector: Option<Box<dyn FaceDetector>>,
    tracker: TrackerConfig,
    face_model: Choice<FaceModel>,
    speech_model: Choice<SpeechModel>,
    fusion: Fusion,
    fuser: Option<Box<dyn Fuser>>,
    progress: Option<ProgressFn>,
}

impl Default for AnalyzerBuilder {
    fn default() -> Self {
        Self {
            stride: 10,
            window: 2.0,
            hop: 1.0,
            annotate: true,
            threads: 1,
            device: Device::Cpu,
            detector: None,
            tracker: TrackerConfig::default(),
            face_model: Choice::Pretrained,
            speech_model: Choice::Pretrained,
            fusion: Fusion::Mean,
            fuser: None,
            progress: None,
        }
    }
}

impl AnalyzerBuilder {
    /// Classify every `stride`-th frame; 1 is every frame. Default 10.
    pub fn stride(mut self, stride: u64) -> Self {
        self.stride = stride;
        self
    }

    /// The length of a window of speech and the distance between the starts of two windows, in seconds. Default 2 and 1.
    pub fn window(mut self, length: f64, hop: f64) -> Self {
        (self.window, self.hop) = (length, hop);
        self
    }

    /// Whether [`Analyzer::analyze_to`] also writes the annotated video. Default yes.
    pub fn annotate(mut self, annotate: bool) -> Self {
        self.annotate = annotate;
        self
    }

    /// How many threads LibTorch computes with, in the whole process. Default 1: the shipped models are small, and beside
    /// decoding and encoding more threads mostly wait for each other (two on two cores take twice as long as one).
    pub fn threads(mut self, threads: usize) -> Self {
        self.threads = threads;
        self
    }

    /// Where the models that are loaded by path or by default run. Default [`Device::Cpu`].
    pub fn device(mut self, device: Device) -> Self {
        self.device = device;
        self
    }

    /// What finds faces. Default: the frontal-face cascade of OpenCV ([`CascadeDetector`]).
    pub fn detector(mut self, detector: impl FaceDetector + 'static) -> Self {
        self.detector = Some(Box::new(detector));
        self
    }

    /// How faces are followed between detections. Default: [`TrackerConfig::default`].
    pub fn tracker(mut self, tracker: TrackerConfig) -> Self {
        self.tracker = tracker;
        self
    }

    /// A face model, such as a [`FerModel`] or one of your own. Default: the pretrained one.
    pub fn face_model(mut self, model: impl EmotionModel<Input = GrayImage> + 'static) -> Self {
        self.face_model = Choice::Given(Box::new(model));
        self
    }

    /// The face model of a weights file, read by [`build`](Self::build).
    pub fn face_weights(mut self, path: impl Into<PathBuf>) -> Self {
        self.face_model = Choice::Path(path.into());
        self
    }

    /// A speech model, such as a [`SerModel`] or one of your own; it hears mono sound at 16 kHz. Default: the pretrained one.
    pub fn speech_model(mut self, model: impl EmotionModel<Input = Vec<f32>> + 'static) -> Self {
        self.speech_model = Choice::Given(Box::new(model));
        self
    }

    /// The speech model of a weights file, read by [`build`](Self::build).
    pub fn speech_weights(mut self, path: impl Into<PathBuf>) -> Self {
        self.speech_model = Choice::Path(path.into());
        self
    }

    /// How face and voice are fused. Default [`Fusion::Mean`].
    pub fn fusion(mut self, fusion: Fusion) -> Self {
        (self.fusion, self.fuser) = (fusion, None);
        self
    }

    /// A fuser of your own, of face and voice in this order.
    pub fn fuser(mut self, fuser: impl Fuser + 'static) -> Self {
        self.fuser = Some(Box::new(fuser));
        self
    }

    /// Called as the analysis goes on, several times a second.
    pub fn progress(mut self, progress: impl FnMut(Progress) + Send + 'static) -> Self {
        self.progress = Some(Box::new(progress));
        self
    }

    /// Loads what was not given and checks the settings.
    ///
    /// # Errors
    /// [`Error::InvalidConfig`] for a setting out of its range, [`Error::Model`] when a model cannot be loaded,
    /// [`Error::Face`] when the cascade cannot be read.
    pub fn build(self) -> Result<Analyzer, Error> {
        let invalid = |field, expected, got: String| Err(Error::InvalidConfig { field, expected, got });
        if self.stride == 0 {
            return invalid("stride", "at least 1", self.stride.to_string());
        }
        if !(0.5..=60.0).contains(&self.window) {
            return invalid("window", "from 0.5 to 60 seconds", self.window.to_string());
        }
        if !(0.1..=self.window).contains(&self.hop) {
            return invalid("hop", "from 0.1 seconds to the window's length", self.hop.to_string());
        }
        set_threads(self.threads).map_err(|source| failed("setting of threads", source))?;
        let detector = match self.detector {
            Some(detector) => detector,
            None => Box::new(CascadeDetector::new(Cascade::frontal_default(), CascadeConfig::default())?),
        };
        Ok(Analyzer {
            stride: self.stride,
            window: self.window,
            hop: self.hop,
            annotate: self.annotate,
            detector,
            tracker: self.tracker,
            face_model: face_model(self.face_model, self.device)?,
            speech_model: speech_model(self.speech_model, self.device)?,
            fuser: self.fuser.map_or_else(|| self.fusion.fuser(), Ok)?,
            progress: self.progress,
        })
    }
}

fn face_model(choice: Choice<FaceModel>, device: Device) -> Result<FaceModel, Error> {
    let loaded = match choice {
        Choice::Given(model) => return Ok(model),
        Choice::Path(path) => FerModel::load_on(path, device),
        Choice::Pretrained => FerModel::pretrained_on(device),
    };
    Ok(Box::new(loaded.map_err(|source| failed("face model", source))?))
}

fn speech_model(choice: Choice<SpeechModel>, device: Device) -> Result<SpeechModel, Error> {
    let loaded = match choice {
        Choice::Given(model) => return Ok(model),
        Choice::Path(path) => SerModel::load_on(path, device),
        Choice::Pretrained => SerModel::pretrained_on(device),
    };
    Ok(Box::new(loaded.map_err(|source| failed("speech model", source))?))
}

fn failed(what: &str, source: impl Into<BoxError>) -> Error {
    Error::Model { what: what.to_owned(), source: source.into() }
}

impl fmt::Debug for AnalyzerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { stride, window, hop, annotate, threads, device, fusion, .. } = self;
        f.debug_struct("AnalyzerBuilder")
            .field("stride", stride)
            .field("window", window)
            .field("hop", hop)
            .field("annotate", annotate)
            .field("threads", threads)
            .field("device", device)
            .field("fusion", fusion)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fusions_are_named() {
        for name in ["mean", "weighted", "quality", "product", "max"] {
            let fusion: Fusion = name.parse().unwrap();
            assert_eq!(fusion.to_string(), name);
            assert_eq!(fusion.fuser().unwrap().name(), name);
        }
        assert_eq!("weighted:0.75".parse::<Fusion>().unwrap(), Fusion::Weighted { face: 0.75 });
        assert!("weighted:much".parse::<Fusion>().is_err());
        assert!("median".parse::<Fusion>().is_err());
        assert!(Fusion::Weighted { face: 1.5 }.fuser().is_err());
    }
}
