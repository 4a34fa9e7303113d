//! A trained model that answers: from samples to [`Scores`].

use std::path::Path;

use emotion_core::{BoxError, EmotionModel, LabelSet, Scores, TimeSpan};
use model_kit::device::Device;
use model_kit::export::{self, Description, Format};
use model_kit::generator::seeded;
use model_kit::layers::Network;
use model_kit::weights::Weights;
use ndarray::Array2;
use tch::nn::VarStore;
use tch::{Kind, Tensor, no_grad};

use crate::Error;
use crate::activity::{ActivityConfig, has_speech};
use crate::arch::MFCC_FRAMES;
use crate::config::{Features, ModelConfig};
use crate::dataset::set_image;
use crate::features::{Extractor, FeatureConfig};
use crate::input::{self, LogMel, MIN_SECONDS, SAMPLE_RATE};
use crate::prepared::set_frames;
use crate::statistics::Statistics;

/// Longer sound is answered in pieces of at most this many seconds, so that memory stays bounded.
const PIECE_SECONDS: usize = 8;

/// Windows over long sound.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct WindowConfig {
    /// The length of a window, in seconds, at least [`MIN_SECONDS`]. Default 2.
    pub length: f64,
    /// From the start of a window to the start of the next, in seconds, above 0. Default 1.
    pub hop: f64,
}

impl Default for WindowConfig {
    fn default() -> Self {
        Self { length: 2.0, hop: 1.0 }
    }
}

impl WindowConfig {
    /// Length and hop in samples at [`SAMPLE_RATE`].
    pub(crate) fn in_samples(&self) -> Result<(usize, usize), Error> {
        // An hour is longer than any window that means something, and far from overflowing.
        if !(MIN_SECONDS..=3600.0).contains(&self.length) {
            let got = self.length.to_string();
            return Err(Error::InvalidConfig { name: "the window length", expected: "0.25 to 3600 seconds", got });
        }
        if !(0.01..=3600.0).contains(&self.hop) {
            let got = self.hop.to_string();
            return Err(Error::InvalidConfig { name: "the window hop", expected: "0.01 to 3600 seconds", got });
        }
        let samples = |seconds: f64| (seconds * f64::from(SAMPLE_RATE)).round() as usize;
        Ok((samples(self.length), samples(self.hop)))
    }
}

/// Reads expressed emotion from speech.
///
/// ```
/// # #[cfg(feature = "pretrained")] {
/// use ser_model::SerModel;
///
/// let model = SerModel::pretrained()?;
/// // A second of silence holds no speech, so it gets no emotion.
/// assert_eq!(model.predict(&[0.0; 44_100], 44_100)?, None);
/// # }
/// # Ok::<(), ser_model::Error>(())
/// ```
#[derive(Debug)]
pub struct SerModel {
    config: ModelConfig,
    front: Front,
    network: Box<dyn Network>,
    store: VarStore,
    activity: ActivityConfig,
}

/// The planned features.
#[derive(Debug)]
enum Front {
    LogMel(Box<LogMel>),
    Standardized(Box<Extractor>, Statistics),
}

impl SerModel {
    /// The model that this crate ships, on the processor. Its card stands in `weights/README.md`.
    ///
    /// # Errors
    /// [`Error::NotEmbedded`] without the feature `pretrained`.
    pub fn pretrained() -> Result<Self, Error> {
        Self::pretrained_on(Device::Cpu)
    }

    /// The model that this crate ships, on a device.
    ///
    /// # Errors
    /// As [`pretrained`](Self::pretrained), and [`Error::Model`] for a device that is not there.
    #[cfg_attr(not(feature = "pretrained"), allow(unused_variables, reason = "there is nothing to put on the device"))]
    pub fn pretrained_on(device: Device) -> Result<Self, Error> {
        #[cfg(feature = "pretrained")]
        {
            let bytes = include_bytes!("../weights/masked_cnn.safetensors");
            Self::from_weights(&Weights::from_bytes(bytes, "masked_cnn.safetensors (embedded)")?, device)
        }
        #[cfg(not(feature = "pretrained"))]
        {
            Err(Error::NotEmbedded)
        }
    }

    /// A model from a weights file of this crate, on the processor.
    ///
    /// # Errors
    /// [`Error::NoModel`] for other files, [`Error::Model`] when the file cannot be read or its tensors do not fit.
    pub fn load(path: impl AsRef<Path>) -> Result<Self, Error> {
        Self::load_on(path, Device::Cpu)
    }

    /// A model from a weights file of this crate, on a device.
    ///
    /// # Errors
    /// As [`load`](Self::load), and [`Error::Model`] for a device that is not there.
    pub fn load_on(path: impl AsRef<Path>, device: Device) -> Result<Self, Error> {
        Self::from_weights(&Weights::open(path.as_ref())?, device)
    }

    /// A model from tensors and their configuration.
    ///
    /// # Errors
    /// As [`load`](Self::load), and when the device is not there.
    pub fn from_weights(weights: &Weights, device: Device) -> Result<Self, Error> {
        let config = ModelConfig::from_weights(weights)?;
        let standardized = |features: FeatureConfig, statistics: &Statistics| -> Result<(Front, usize), Error> {
            let extractor = Extractor::new(&features)?;
            let rows = extractor.names().len();
            Ok((Front::Standardized(Box::new(extractor), statistics.clone()), rows))
        };
        let (front, rows) = match &config.features {
            Features::LogMel(settings) => (Front::LogMel(Box::new(LogMel::new(settings.clone())?)), settings.n_mels),
            Features::Vector(statistics) => standardized(FeatureConfig::Vector, statistics)?,
            Features::Mfcc(settings) => {
                standardized(FeatureConfig::Tracks(settings.tracks.clone()), &settings.statistics)?
            }
        };
        let mut store = VarStore::new(device.open()?);
        let labels = config.labels.len() as i64;
        let mut network = seeded(0, || config.architecture.build(&store.root(), rows as i64, labels))?;
        weights.load_into(&store)?;
        store.freeze();
        network.fold()?;
        Ok(Self { config, front, network, store, activity: ActivityConfig::default() })
    }

    /// Replaces the settings of the gate that tells speech from silence and noise.
    #[must_use]
    pub fn with_activity(mut self, activity: ActivityConfig) -> Self {
        self.activity = activity;
        self
    }

    /// Makes it the model for one known speaker: from now on what a network on the 162-vector or on MFCCs hears is standardised
    /// with these utterances of that speaker (each at [`SAMPLE_RATE`], two or more) in place of the training set or of the
    /// speaker before. Networks on log-mel images stay as they are.
    ///
    /// See [`Statistics::standardize_by_speaker`] for what a figure measured so is worth.
    ///
    /// # Errors
    /// [`Error::InvalidConfig`] for fewer than two utterances, [`Error::Features`] for empty ones.
    pub fn adapt_to(&mut self, utterances: &[&[f32]]) -> Result<(), Error> {
        if utterances.len() < 2 {
            let got = utterances.len().to_string();
            return Err(Error::InvalidConfig { name: "utterances of the speaker", expected: "two or more", got });
        }
        if let Front::Standardized(extractor, statistics) = &mut self.front {
            let features =
                utterances.iter().map(|samples| extractor.extract(samples)).collect::<Result<Vec<_>, _>>()?;
            *statistics = Statistics::of(&features);
        }
        Ok(())
    }

    /// What the weights file said.
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// The labels of every answer, in order.
    pub fn labels(&self) -> &LabelSet {
        &self.config.labels
    }

    /// Writes the model as a file that other programs run, see [`model_kit::export`]. The file takes features and answers
    /// with logits; what to do before and after is in its description.
    ///
    /// ```
    /// # #[cfg(feature = "pretrained")] {
    /// use model_kit::export::Format;
    /// use ser_model::SerModel;
    ///
    /// # let folder = std::env::temp_dir();
    /// SerModel::pretrained()?.export(folder.join("voice.onnx"), Format::Onnx)?;
    /// # std::fs::remove_file(folder.join("voice.onnx"))?;
    /// # }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Model`] for a file that cannot be written and for a network that the format cannot say.
    pub fn export(&self, path: impl AsRef<Path>, format: Format) -> Result<(), Error> {
        Ok(export::write(&*self.network, self.store.device(), &self.description(), path.as_ref(), format)?)
    }

    /// What goes into an exported file beside the network.
    pub fn description(&self) -> Description {
        self.config.description()
    }

    /// The network's bare answer, which is also that of an exported file: features before and temperature after are the
    /// caller's.
    ///
    /// # Shapes
    /// As [`description`](Self::description) says → `[batch, labels]`
    ///
    /// # Errors
    /// [`Error::Model`] for input of another shape, kind or device.
    pub fn forward(&self, input: &Tensor) -> Result<Tensor, Error> {
        Ok(no_grad(|| self.network.forward(input, false))?)
    }

    /// How probable each emotion is in a stretch of mono sound, taken as one utterance; `None` when it holds no speech
    /// (see [`activity`](crate::activity)). Sound of more than 8 s is answered in equal pieces, whose probabilities are
    /// averaged.
    ///
    /// # Errors
    /// [`Error::EmptySound`], [`Error::NotFinite`], [`Error::SampleRate`], [`Error::TooShort`] below [`MIN_SECONDS`], and
    /// [`Error::Model`] when LibTorch fails.
    pub fn predict(&self, samples: &[f32], sample_rate: u32) -> Result<Option<Scores>, Error> {
        let samples = input::to_model_rate(samples, sample_rate)?;
        let seconds = samples.len() as f64 / f64::from(SAMPLE_RATE);
        if seconds < MIN_SECONDS {
            return Err(Error::TooShort { expected: MIN_SECONDS, got: seconds });
        }
        self.answer(&samples)
    }

    /// Answers for overlapping windows of mono sound, in order of time. A last window that would reach beyond the end is
    /// moved back to end there; sound shorter than a window is one window. A window without speech has `None`.
    ///
    /// # Errors
    /// As [`predict`](Self::predict), and [`Error::InvalidConfig`] for windows that cannot be.
    pub fn predict_windows(
        &self,
        samples: &[f32],
        sample_rate: u32,
        windows: WindowConfig,
    ) -> Result<Vec<(TimeSpan, Option<Scores>)>, Error> {
        let (length, hop) = windows.in_samples()?;
        let samples = input::to_model_rate(samples, sample_rate)?;
        let seconds = |sample: usize| sample as f64 / f64::from(SAMPLE_RATE);
        if seconds(samples.len()) < MIN_SECONDS {
            return Err(Error::TooShort { expected: MIN_SECONDS, got: seconds(samples.len()) });
        }
        starts(samples.len(), length, hop)
            .into_iter()
            .map(|start| {
                let end = (start + length).min(samples.len());
                let span = TimeSpan::new(seconds(start), seconds(end))?;
                Ok((span, self.answer(&samples[start..end])?))
            })
            .collect()
    }

    /// The answer for checked sound at [`SAMPLE_RATE`] of at least [`MIN_SECONDS`].
    pub(crate) fn answer(&self, samples: &[f32]) -> Result<Option<Scores>, Error> {
        let pieces = samples.len().div_ceil(PIECE_SECONDS * SAMPLE_RATE as usize);
        let mut sum = vec![0.0; self.labels().len()];
        let mut heard = false;
        for piece in samples.chunks(samples.len().div_ceil(pieces)) {
            if has_speech(piece, &self.activity) {
                heard = true;
                let scores = self.scores(piece)?;
                sum.iter_mut().zip(scores.values()).for_each(|(sum, value)| *sum += value);
            }
        }
        Ok(if heard { Some(Scores::from_weights(self.labels(), &sum)?) } else { None })
    }

    /// The network's answer, whatever the sound is.
    fn scores(&self, samples: &[f32]) -> Result<Scores, Error> {
        match &self.front {
            Front::LogMel(log_mel) => {
                let image = log_mel.image(samples)?;
                let (bands, frames) = image.dim();
                let mut values = vec![0.0; (bands + 1) * frames];
                set_image(&image, frames, &mut values);
                self.run(&values, &[1, bands as i64 + 1, frames as i64])
            }
            Front::Standardized(extractor, statistics) => {
                let mut features = extractor.extract(samples)?;
                statistics.standardize(&mut features);
                self.scores_of(&features)
            }
        }
    }

    /// The network's answer to standardised features. Of MFCCs of more frames than it looks at, the mean of the answers to
    /// as few stretches as cover them, evenly placed.
    pub(crate) fn scores_of(&self, features: &Array2<f32>) -> Result<Scores, Error> {
        let (rows, columns) = features.dim();
        if !self.config.architecture.reads_mfcc() {
            let values: Vec<f32> = features.iter().copied().collect();
            return self.run(&values, &[columns as i64, rows as i64]);
        }
        let size = (rows + 1) * MFCC_FRAMES as usize;
        let pieces = columns.div_ceil(MFCC_FRAMES as usize);
        let spare = columns.saturating_sub(MFCC_FRAMES as usize);
        let mut values = vec![0.0; pieces * size];
        for (index, piece) in values.chunks_exact_mut(size).enumerate() {
            set_frames(features, index * spare / (pieces - 1).max(1), piece);
        }
        self.run(&values, &[pieces as i64, rows as i64 + 1, MFCC_FRAMES])
    }

    /// The mean of the network's answers to a batch.
    fn run(&self, values: &[f32], shape: &[i64]) -> Result<Scores, Error> {
        let input = Tensor::f_from_slice(values)?.f_view(shape)?.f_to_device(self.store.device())?;
        let logits =
            no_grad(|| self.network.forward(&input, false))?.f_div_scalar(f64::from(self.config.temperature))?;
        let logits: Vec<f32> = Vec::try_from(logits.f_flatten(0, -1)?.f_to_kind(Kind::Float)?)?;
        let labels = self.labels();
        let mut sum = vec![0.0; labels.len()];
        for logits in logits.chunks_exact(labels.len()) {
            let answer = Scores::from_logits(labels, logits)?;
            sum.iter_mut().zip(answer.values()).for_each(|(sum, value)| *sum += value);
        }
        Ok(Scores::from_weights(labels, &sum)?)
    }
}

/// Where windows start: every `hop`, and once more at the end when sound would be left over.
fn starts(samples: usize, length: usize, hop: usize) -> Vec<usize> {
    let Some(last) = samples.checked_sub(length) else { return vec![0] };
    let mut starts: Vec<usize> = (0..=last).step_by(hop).collect();
    if starts.last() != Some(&last) {
        starts.push(last);
    }
    starts
}

/// At 16 kHz. Sound without speech gets the same probability for every emotion, which says that nothing is known;
/// [`SerModel::predict`] tells the two apart.
impl EmotionModel for SerModel {
    type Input = Vec<f32>;

    fn labels(&self) -> &LabelSet {
        &self.config.labels
    }

    fn name(&self) -> &str {
        &self.config.name
    }

    fn predict_batch(&self, inputs: &[Vec<f32>]) -> Result<Vec<Scores>, BoxError> {
        inputs
            .iter()
            .map(|samples| {
                let scores = self.predict(samples, SAMPLE_RATE)?;
                Ok(scores.unwrap_or_else(|| Scores::uniform(&self.config.labels)))
            })
            .collect()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use crate::arch::Architecture;
    use crate::input::LogMelConfig;

    use super::*;

    /// A model with random weights: what it says means nothing, but everything around the network is real.
    pub(crate) fn untrained() -> SerModel {
        tch::manual_seed(1);
        let store = VarStore::new(tch::Device::Cpu);
        Architecture::LogMelCnn.build(&store.root(), 64, 8).unwrap();
        let mut weights = Weights::from_store(&store).unwrap();
        let config = ModelConfig {
            name: "untrained".into(),
            architecture: Architecture::LogMelCnn,
            labels: LabelSet::speech8(),
            features: Features::LogMel(LogMelConfig::default()),
            temperature: 1.0,
        };
        weights.metadata.extend([config.to_metadata()]);
        SerModel::from_weights(&weights, Device::Cpu).unwrap()
    }

    /// Syllables of a gliding voice, at any rate.
    pub(crate) fn voice(seconds: f64, rate: u32) -> Vec<f32> {
        let mut phase = 0.0f64;
        (0..(seconds * f64::from(rate)) as usize)
            .map(|i| {
                let time = i as f64 / f64::from(rate);
                phase += (150.0 + 40.0 * (time * 3.0).sin()) / f64::from(rate);
                let wave: f64 =
                    (1..12).map(|k| (phase * f64::from(k) * std::f64::consts::TAU).sin() / f64::from(k)).sum();
                (0.2 * wave * (time * 10.0).sin().powi(2)) as f32
            })
            .collect()
    }

    #[test]
    fn bad_sound_is_refused_with_the_reason() {
        let model = untrained();
        assert!(matches!(model.predict(&[], 16_000), Err(Error::EmptySound)));
        assert!(matches!(model.predict(&[0.1; 100], 16_000), Err(Error::TooShort { .. })));
        assert!(matches!(model.predict(&[0.1; 16_000], 0), Err(Error::SampleRate { got: 0, .. })));
        let mut broken = voice(1.0, 16_000);
        broken[77] = f32::NAN;
        assert!(matches!(model.predict(&broken, 16_000), Err(Error::NotFinite { index: 77, .. })));
        broken[77] = f32::INFINITY;
        assert!(matches!(model.predict(&broken, 16_000), Err(Error::NotFinite { index: 77, .. })));
        assert!(model.predict_windows(&voice(1.0, 16_000), 16_000, WindowConfig { length: 0.0, hop: 1.0 }).is_err());
        assert!(
            model.predict_windows(&voice(1.0, 16_000), 16_000, WindowConfig { length: 2.0, hop: f64::NAN }).is_err()
        );
    }

    #[test]
    fn silence_has_no_emotion_and_clipped_or_offset_speech_has() {
        let model = untrained();
        assert_eq!(model.predict(&[0.0; 16_000], 16_000).unwrap(), None);
        assert_eq!(model.predict(&[0.5; 48_000], 48_000).unwrap(), None);
        let clipped: Vec<f32> = voice(1.5, 16_000).iter().map(|x| (x * 20.0).clamp(-1.0, 1.0)).collect();
        let offset: Vec<f32> = voice(1.5, 16_000).iter().map(|x| x + 0.3).collect();
        assert!(model.predict(&clipped, 16_000).unwrap().is_some());
        assert!(model.predict(&offset, 16_000).unwrap().is_some());
        assert!(model.predict(&voice(MIN_SECONDS, 16_000), 16_000).is_ok());
        let silent = model.predict_batch(&[vec![0.0; 16_000]]).unwrap();
        assert_eq!(silent[0], Scores::uniform(&LabelSet::speech8()));
    }

    #[test]
    fn a_sound_gets_the_same_answer_at_any_rate() {
        let model = untrained();
        let answer = |rate| model.predict(&voice(2.0, rate), rate).unwrap().unwrap();
        let reference = answer(16_000);
        for rate in [22_050, 44_100, 48_000] {
            for (got, want) in answer(rate).values().iter().zip(reference.values()) {
                assert!((got - want).abs() < 0.02, "{rate} Hz: got {got}, want {want}");
            }
        }
    }

    #[test]
    fn windows_cover_the_sound_and_mark_silence() {
        let model = untrained();
        let mut samples = voice(3.0, 16_000);
        samples.extend(vec![0.0; 16_000 * 3]);
        samples.truncate(16_000 * 11 / 2);
        let windows = model.predict_windows(&samples, 16_000, WindowConfig::default()).unwrap();
        let starts: Vec<f64> = windows.iter().map(|(span, _)| span.start).collect();
        assert_eq!(starts, [0.0, 1.0, 2.0, 3.0, 3.5]);
        assert!(windows[0].1.is_some() && windows[3].1.is_none() && windows[4].1.is_none());
        assert_eq!(windows[4].0.end, 5.5);
        let short = model.predict_windows(&voice(0.5, 16_000), 16_000, WindowConfig::default()).unwrap();
        assert_eq!((short.len(), short[0].0.end), (1, 0.5));
    }

    #[test]
    fn long_sound_is_answered_in_pieces() {
        let model = untrained();
        let long = model.predict(&voice(20.0, 16_000), 16_000).unwrap().unwrap();
        assert!((long.values().iter().sum::<f32>() - 1.0).abs() < 1e-5);
    }
}
