//! What a weights file says about its network.

use std::fs;
use std::path::Path;

use emotion_core::LabelSet;
use model_kit::trainer::Score;
use model_kit::weights::Weights;
use serde::{Deserialize, Serialize};

use crate::arch::{Arch, ScriptConfig};
use crate::dataset::SIDE;
use crate::error::{Error, Result};
use crate::train::Recipe;

/// The metadata key of [`ModelConfig`] in a weights file.
const KEY: &str = "fer_model";

/// Everything that turns named tensors into a face model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelConfig {
    /// Name and version, for reports.
    #[serde(default)]
    pub name: String,
    /// The network.
    pub arch: Arch,
    /// What its outputs mean, in order.
    pub labels: LabelSet,
    /// What is done to pixels before.
    pub normalisation: Normalisation,
    /// What logits are divided by before the softmax, above 0: more than 1 makes answers less sure. Default 1.
    #[serde(default = "one")]
    pub temperature: f32,
    /// How it was trained and what that came to, if it is known.
    #[serde(default)]
    pub training: Option<TrainingFacts>,
}

/// How a model was trained and what that came to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrainingFacts {
    /// Pictures that it learned from.
    pub training_pictures: usize,
    /// Pictures that the epoch and the temperature were chosen by.
    pub selection_pictures: usize,
    /// The chosen epoch, from 1.
    pub epoch: usize,
    /// The network's figures on the pictures of the selection, before the temperature.
    pub selection: Score,
    /// The recipe.
    pub recipe: Recipe,
}

fn one() -> f32 {
    1.0
}

impl ModelConfig {
    /// Key and value for a weights file.
    pub fn to_metadata(&self) -> (String, String) {
        let text =
            serde_json::to_string(self).unwrap_or_else(|error| unreachable!("plain data turns into JSON: {error}"));
        (KEY.to_owned(), text)
    }

    /// Reads the configuration out of a weights file.
    ///
    /// # Errors
    /// [`Error::NoModel`] when it has none or one that cannot be read.
    pub fn from_weights(weights: &Weights) -> Result<Self> {
        let wrong = |reason: String| Error::NoModel { path: weights.path().to_owned(), reason };
        let text = weights.metadata.get(KEY).ok_or_else(|| wrong(format!("no metadata `{KEY}`")))?;
        let config: Self = serde_json::from_str(text).map_err(|error| wrong(format!("metadata `{KEY}`: {error}")))?;
        config.checked().map_err(wrong)
    }

    /// Reads what stands beside a TorchScript file `model.pt`, in `model.pt.json`: an object of `name`, `labels` (a list of
    /// words), `normalisation` (`mean` and `deviation`), and, if they are not the default, `temperature` and `input`
    /// (`["batch", channels, side, side]`).
    ///
    /// # Errors
    /// [`Error::NoModel`] when there is none or one that cannot be read.
    pub fn beside_script(script: &Path) -> Result<Self> {
        let mut beside = script.as_os_str().to_owned();
        beside.push(".json");
        let wrong = |reason: String| Error::NoModel {
            path: script.to_owned(),
            reason: format!("what it takes and gives is read from {}: {reason}", Path::new(&beside).display()),
        };
        let text = fs::read_to_string(&beside).map_err(|error| wrong(error.to_string()))?;
        let Description { name, labels, normalisation, temperature, input } =
            serde_json::from_str(&text).map_err(|error| wrong(error.to_string()))?;
        let arch = match input[..] {
            [_, Dim::Fixed(channels), Dim::Fixed(side), Dim::Fixed(width)]
                if side == width && side > 0 && channels > 0 =>
            {
                Arch::TorchScript(ScriptConfig { side, channels })
            }
            _ => return Err(wrong(r#"`input` must be ["batch", channels, side, side]"#.to_owned())),
        };
        Self { name, arch, labels, normalisation, temperature, training: None }.checked().map_err(wrong)
    }

    fn checked(self) -> Result<Self, String> {
        let Normalisation { mean, deviation } = self.normalisation;
        let usable = |value: f32| value.is_finite() && value > 0.0;
        if mean.is_finite() && usable(deviation) && usable(self.temperature) {
            Ok(self)
        } else {
            Err("mean, deviation and temperature must be finite, the latter two above 0".to_owned())
        }
    }
}

/// What stands beside a TorchScript file.
#[derive(Deserialize)]
struct Description {
    name: String,
    labels: LabelSet,
    normalisation: Normalisation,
    #[serde(default = "one")]
    temperature: f32,
    #[serde(default = "small_and_grey")]
    input: Vec<Dim>,
}

/// A dimension of a network's input: a size, or the name of one that may change.
#[derive(Deserialize)]
#[serde(untagged)]
enum Dim {
    Fixed(i64),
    Free(#[allow(dead_code, reason = "only that it is a name counts")] String),
}

fn small_and_grey() -> Vec<Dim> {
    vec![Dim::Free("batch".to_owned()), Dim::Fixed(1), Dim::Fixed(SIDE as i64), Dim::Fixed(SIDE as i64)]
}

/// Standardisation of pixels: `(pixel / 255 − mean) / deviation`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Normalisation {
    /// The mean of the training pixels on the scale 0..1.
    pub mean: f32,
    /// Their standard deviation on the same scale.
    pub deviation: f32,
}

impl Normalisation {
    /// Writes the standardised pixels; both slices have the same length.
    pub fn apply(&self, pixels: &[u8], output: &mut [f32]) {
        let (scale, shift) = (1.0 / (255.0 * self.deviation), self.mean / self.deviation);
        for (value, &pixel) in output.iter_mut().zip(pixels) {
            *value = f32::from(pixel) * scale - shift;
        }
    }
}
