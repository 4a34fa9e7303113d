//! What a weights file says about its network.

use emotion_core::LabelSet;
use model_kit::export::{Description, Dim};
use model_kit::weights::Weights;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::Error;
use crate::arch::{Architecture, MFCC_FRAMES, VECTOR};
use crate::features::TrackConfig;
use crate::input::{FIXED_LEVEL, FLOOR, LogMelConfig, PEAK_MIDDLE, PEAK_QUANTILE, PEAK_RANGE, SAMPLE_RATE, SCALE};
use crate::statistics::Statistics;

/// The metadata key of [`ModelConfig`] in a weights file.
const KEY: &str = "ser_model";

/// Everything that turns named tensors into a speech model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelConfig {
    /// Name and version, for reports.
    pub name: String,
    /// The network.
    pub architecture: Architecture,
    /// What its outputs mean, in order.
    pub labels: LabelSet,
    /// What it listens to.
    pub features: Features,
    /// What logits are divided by before the softmax, above 0: more than 1 makes answers less sure.
    pub temperature: f32,
}

/// What a network listens to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Features {
    /// A log-mel image.
    LogMel(LogMelConfig),
    /// The 162 classic numbers, standardised.
    Vector(Statistics),
    /// MFCCs, standardised.
    Mfcc(SequenceConfig),
}

/// The MFCCs of the networks that read them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SequenceConfig {
    /// What is computed.
    pub tracks: TrackConfig,
    /// What each row is standardised with.
    pub statistics: Statistics,
}

impl ModelConfig {
    /// Key and value for a weights file.
    pub fn to_metadata(&self) -> (String, String) {
        let text =
            serde_json::to_string(self).unwrap_or_else(|error| unreachable!("plain data turns into JSON: {error}"));
        (KEY.to_owned(), text)
    }

    /// What goes into an exported file beside the network.
    pub(crate) fn description(&self) -> Description {
        let features = serde_json::to_value(&self.features)
            .unwrap_or_else(|error| unreachable!("plain data turns into JSON: {error}"));
        let mut normalisation = json!({ "sample_rate": SAMPLE_RATE, "features": features });
        let mut input = vec![Dim::Free("batch")];
        match &self.features {
            Features::LogMel(settings) => {
                normalisation["steps"] = json!([
                    "trim: drop what lies before and after the frames of 25 ms within trim_db of the loudest, but for 50 ms",
                    "mel power spectrogram: Hann window, centred frames with zeros at the ends, mel scale and bands as librosa with htk=True",
                    "10 * log10(max(power, floor))",
                    "peak: minus the level of the loud frames (of the sums over the bands, sorted, that at peak_quantile of their number), at least -peak_range, plus peak_middle; level: minus the mean of the image; band: minus the mean of each band; fixed: minus fixed_level; then divided by scale",
                    "one more row below: 1 for every frame of sound, 0 for padding behind it",
                ]);
                normalisation["floor"] = json!(FLOOR);
                normalisation["peak_quantile"] = json!(PEAK_QUANTILE);
                normalisation["peak_middle"] = json!(PEAK_MIDDLE);
                normalisation["peak_range"] = json!(PEAK_RANGE);
                normalisation["fixed_level"] = json!(FIXED_LEVEL);
                normalisation["scale"] = json!(SCALE);
                input.extend([Dim::Fixed(settings.n_mels as i64 + 1), Dim::Free("frames")]);
            }
            Features::Vector(_) => {
                normalisation["steps"] = json!(["the 162 classic numbers", "(number - mean) / deviation"]);
                input.push(Dim::Fixed(VECTOR));
            }
            Features::Mfcc(settings) => {
                normalisation["steps"] = json!([
                    "MFCCs, one row for each coefficient, one column for each frame",
                    "(row - mean) / deviation",
                    "one more row below: 1 for every frame of sound, 0 for padding behind it, where the rest is 0 too",
                ]);
                let frames = match self.architecture {
                    Architecture::MfccCnn => Dim::Fixed(MFCC_FRAMES),
                    _ => Dim::Free("frames"),
                };
                input.extend([Dim::Fixed(settings.statistics.mean.len() as i64 + 1), frames]);
            }
        }
        Description {
            name: self.name.clone(),
            labels: self.labels.iter().map(|label| label.name().to_owned()).collect(),
            temperature: self.temperature,
            input,
            normalisation,
        }
    }

    /// Reads the configuration out of a weights file.
    ///
    /// # Errors
    /// [`Error::NoModel`] when the file has none, or one that cannot be used.
    pub fn from_weights(weights: &Weights) -> Result<Self, Error> {
        let wrong = |reason: String| Error::NoModel { path: weights.path().into(), reason };
        let text = weights.metadata.get(KEY).ok_or_else(|| wrong(format!("no metadata `{KEY}`")))?;
        let config: Self = serde_json::from_str(text).map_err(|error| wrong(format!("metadata `{KEY}`: {error}")))?;
        if !(config.temperature.is_finite() && config.temperature > 0.0) {
            return Err(wrong(format!("the temperature must be above 0, got {}", config.temperature)));
        }
        let fits = match &config.features {
            Features::LogMel(_) => config.architecture.reads_log_mel(),
            Features::Mfcc(_) => config.architecture.reads_mfcc(),
            Features::Vector(_) => !config.architecture.reads_log_mel() && !config.architecture.reads_mfcc(),
        };
        if !fits {
            return Err(wrong(format!("{} cannot read these features", config.architecture)));
        }
        Ok(config)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> ModelConfig {
        ModelConfig {
            name: "test".into(),
            architecture: Architecture::LogMelCnn,
            labels: LabelSet::speech8(),
            features: Features::LogMel(LogMelConfig::default()),
            temperature: 1.3,
        }
    }

    fn file(config: &ModelConfig) -> Weights {
        let mut weights = Weights::default();
        weights.metadata.extend([config.to_metadata()]);
        weights
    }

    #[test]
    fn round_trips_through_a_file() {
        assert_eq!(ModelConfig::from_weights(&file(&config())).unwrap(), config());
    }

    #[test]
    fn unusable_files_are_refused() {
        let cold = ModelConfig { temperature: 0.0, ..config() };
        let deaf = ModelConfig { architecture: Architecture::Mlp, ..config() };
        for weights in [Weights::default(), file(&cold), file(&deaf)] {
            assert!(matches!(ModelConfig::from_weights(&weights), Err(Error::NoModel { .. })));
        }
    }
}
