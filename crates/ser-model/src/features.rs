//! Features of many clips: planned once, computed on all cores, kept by content.
//!
//! | [`FeatureConfig`] | rows | what for |
//! |---|---|---|
//! | [`Vector`](FeatureConfig::Vector) | 162, one column | the classic networks |
//! | [`LogMel`](FeatureConfig::LogMel) | mel bands | [`MaskedCnn`](crate::arch::MaskedCnn), [`LogMelCnn`](crate::arch::LogMelCnn) |
//! | [`Tracks`](FeatureConfig::Tracks) | MFCCs, their slopes, pitch, voicing, energy | sequence networks, and eyes |
//!
//! All of them are `audio-features`' own, over mono sound at [`SAMPLE_RATE`].
//!
//! ```
//! use ser_model::features::{Extractor, FeatureConfig, TrackConfig};
//!
//! let config = TrackConfig { deltas: 1, ..TrackConfig::default() };
//! let extractor = Extractor::new(&FeatureConfig::Tracks(config))?;
//! let samples: Vec<f32> = (0..16_000).map(|n| (n as f32 * 0.06).sin() * 0.1).collect();
//! let tracks = extractor.extract(&samples)?;
//! assert_eq!(tracks.dim(), (83, 63)); // 40 MFCCs, 40 slopes, pitch, voicing, energy; a frame every 16 ms
//! assert_eq!(extractor.names()[80], "pitch");
//! # Ok::<(), ser_model::Error>(())
//! ```

use std::sync::Arc;

use audio_features::{
    DeltaConfig, DeltaMode, MelConfig, Mfcc, MfccConfig, Pyin, PyinConfig, RmsConfig, StftConfig, YinConfig, delta, rms,
};
use ndarray::{Array2, ArrayView1, Axis, concatenate};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::cache::Cache;
use crate::dataset::Sound;
use crate::input::{self, LogMel, LogMelConfig};
use crate::vector::VectorPlan;
use crate::{Error, SAMPLE_RATE};

/// What is computed of a clip. Written as JSON it is what a cache entry is found by.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum FeatureConfig {
    /// The 162 classic numbers, not standardised: `[162, 1]`.
    Vector,
    /// The log-mel image, trimmed and normalised: `[n_mels, frames]`.
    LogMel(LogMelConfig),
    /// Tracks on a common time line: `[rows, frames]`.
    Tracks(TrackConfig),
}

/// Settings of [`FeatureConfig::Tracks`]. Frame `t` is centred on sample `t · hop_length`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TrackConfig {
    /// Length of a frame, in samples. Default 512 (32 ms). Pitch is looked for in frames of 1024.
    pub n_fft: usize,
    /// Samples from frame to frame. Default 256 (16 ms).
    pub hop_length: usize,
    /// Number of MFCCs, as librosa computes them from 128 mel bands; 0 for none. Default 40.
    pub n_mfcc: usize,
    /// How many derivatives of the MFCCs follow them, 0 to 2, each over 9 frames. Default 0.
    pub deltas: usize,
    /// Whether two rows tell the pitch: in octaves above 65 Hz (0 where there is none), and how probable it is that the
    /// frame is voiced, 0 to 1, by pYIN from 65 to 500 Hz. Default true.
    pub pitch: bool,
    /// Whether a row tells the energy: RMS in dB against full scale, at least −100. Default true.
    pub energy: bool,
    /// Leading and trailing sound this many dB below the loudest frame is cut off; 0 keeps all. Default 35.
    pub trim_db: f32,
}

impl Default for TrackConfig {
    fn default() -> Self {
        Self { n_fft: 512, hop_length: 256, n_mfcc: 40, deltas: 0, pitch: true, energy: true, trim_db: 35.0 }
    }
}

/// Goes up whenever the same settings give other numbers, so that no cache answers with old ones.
const VERSION: u32 = 1;

/// Planned features. May be used from several threads.
#[derive(Debug)]
pub struct Extractor {
    config: FeatureConfig,
    plan: Plan,
}

#[derive(Debug)]
enum Plan {
    Vector(Box<VectorPlan>),
    LogMel(Box<LogMel>),
    Tracks { mfcc: Option<Box<Mfcc>>, pitch: Option<Box<Pyin>> },
}

impl Extractor {
    /// Plans the transforms.
    ///
    /// # Errors
    /// [`Error::InvalidConfig`] for settings that cannot work or give no row, [`Error::Features`] for those that a transform
    /// refuses.
    pub fn new(config: &FeatureConfig) -> Result<Self, Error> {
        let plan = match config {
            FeatureConfig::Vector => Plan::Vector(Box::new(VectorPlan::new()?)),
            FeatureConfig::LogMel(config) => Plan::LogMel(Box::new(LogMel::new(config.clone())?)),
            FeatureConfig::Tracks(config) => {
                config.check()?;
                let mfcc = (config.n_mfcc > 0).then(|| Mfcc::new(&config.mfcc())).transpose()?;
                let pitch = config.pitch.then(|| Pyin::new(&config.pyin())).transpose()?;
                Plan::Tracks { mfcc: mfcc.map(Box::new), pitch: pitch.map(Box::new) }
            }
        };
        Ok(Self { config: config.clone(), plan })
    }

    /// The settings they were planned with.
    pub fn config(&self) -> &FeatureConfig {
        &self.config
    }

    /// What each row is: `mfcc_0`, `mfcc_0_delta1`, `pitch`, `voicing`, `energy`, `mel_0`, or the number in the vector.
    pub fn names(&self) -> Vec<String> {
        let numbered = |name: &str, count: usize| (0..count).map(|row| format!("{name}_{row}")).collect::<Vec<_>>();
        match &self.config {
            FeatureConfig::Vector => numbered("vector", audio_features::summary::VECTOR_162),
            FeatureConfig::LogMel(config) => numbered("mel", config.n_mels),
            FeatureConfig::Tracks(config) => {
                let mut names = numbered("mfcc", config.n_mfcc);
                for order in 1..=config.deltas {
                    names.extend((0..config.n_mfcc).map(|row| format!("mfcc_{row}_delta{order}")));
                }
                names.extend(
                    [("pitch", config.pitch), ("voicing", config.pitch), ("energy", config.energy)]
                        .into_iter()
                        .filter(|(_, wanted)| *wanted)
                        .map(|(name, _)| name.to_owned()),
                );
                names
            }
        }
    }

    /// The features of mono sound at [`SAMPLE_RATE`], `[rows, frames]`.
    ///
    /// # Errors
    /// [`Error::EmptySound`], [`Error::NotFinite`].
    pub fn extract(&self, samples: &[f32]) -> Result<Array2<f32>, Error> {
        input::check(samples)?;
        match (&self.plan, &self.config) {
            (Plan::Vector(plan), _) => {
                let vector = plan.vector(samples)?;
                Ok(ArrayView1::from(&vector).insert_axis(Axis(1)).to_owned())
            }
            (Plan::LogMel(log_mel), _) => log_mel.image(samples),
            (Plan::Tracks { mfcc, pitch }, FeatureConfig::Tracks(config)) => {
                config.tracks(input::trim(samples, config.trim_db), mfcc.as_deref(), pitch.as_deref())
            }
            (Plan::Tracks { .. }, _) => unreachable!("plan and settings are made together"),
        }
    }

    /// The features of many clips, in their order, on all cores (as many threads as rayon has); what the cache has is not
    /// computed again. A clip that has none, such as an empty one, has its error in its place, and the rest goes on.
    /// `done` is called after each clip, from any thread, and may drive a progress bar.
    pub fn extract_all(
        &self,
        sounds: &[Sound],
        cache: &Cache,
        done: &(dyn Fn() + Sync),
    ) -> Vec<Result<Array2<f32>, Error>> {
        sounds
            .par_iter()
            .map(|sound| {
                let features = self.extract_cached(&sound.samples, "", cache, || Ok(sound.samples.to_vec()));
                done();
                features
            })
            .collect()
    }

    /// The features of what `change` makes of the samples, computed only if the cache does not have them yet. `changed`
    /// tells all that decides the change; it is empty for none.
    pub(crate) fn extract_cached(
        &self,
        samples: &[f32],
        changed: &str,
        cache: &Cache,
        change: impl Fn() -> Result<Vec<f32>, Error>,
    ) -> Result<Array2<f32>, Error> {
        let config = serde_json::to_string(&self.config)
            .unwrap_or_else(|error| unreachable!("plain data turns into JSON: {error}"));
        let separator = if changed.is_empty() { "" } else { ", changed: " };
        let config = format!("features {VERSION}: {config}{separator}{changed}");
        let rows = self.names().len();
        let compute = || Ok(self.extract(&change()?)?.into_raw_vec_and_offset().0);
        let values: Arc<[f32]> = cache.of_samples(samples, &config, compute)?;
        // An entry of another shape cannot have this key, but a file may have been put in its place.
        Array2::from_shape_vec((rows, values.len() / rows), values.to_vec()).or_else(|_| self.extract(&change()?))
    }
}

/// Pitch is searched in this range, in Hz, in frames of 64 ms, which hold four periods of the lowest.
const PITCH: (f64, f64) = (65.0, 500.0);
const PITCH_FRAME: usize = 1024;

impl TrackConfig {
    fn check(&self) -> Result<(), Error> {
        if self.hop_length == 0 || self.n_fft < 2 {
            let got = format!("{} and {}", self.hop_length, self.n_fft);
            return Err(Error::InvalidConfig { name: "hop_length and n_fft", expected: "above 0 and above 1", got });
        }
        if self.deltas > 2 {
            let got = self.deltas.to_string();
            return Err(Error::InvalidConfig { name: "deltas", expected: "0 to 2", got });
        }
        if self.n_mfcc > N_MELS || (self.n_mfcc == 0 && !self.pitch && !self.energy) {
            let got = self.n_mfcc.to_string();
            return Err(Error::InvalidConfig { name: "n_mfcc", expected: "0 to 128, not 0 without other tracks", got });
        }
        if !(self.trim_db.is_finite() && self.trim_db >= 0.0) {
            let got = self.trim_db.to_string();
            return Err(Error::InvalidConfig { name: "trim_db", expected: "at least 0", got });
        }
        Ok(())
    }

    fn mfcc(&self) -> MfccConfig {
        let stft = StftConfig { n_fft: self.n_fft, hop_length: Some(self.hop_length), ..StftConfig::default() };
        let mel = MelConfig { sr: f64::from(SAMPLE_RATE), stft, n_mels: N_MELS, ..MelConfig::default() };
        MfccConfig { mel, n_mfcc: self.n_mfcc, ..MfccConfig::default() }
    }

    fn pyin(&self) -> PyinConfig {
        let yin = YinConfig {
            sr: f64::from(SAMPLE_RATE),
            fmin: PITCH.0,
            fmax: PITCH.1,
            frame_length: PITCH_FRAME,
            hop_length: Some(self.hop_length),
            ..YinConfig::default()
        };
        // Half a semitone is as fine as a network needs, and five times as fast as the default.
        PyinConfig { yin, resolution: 0.5, ..PyinConfig::default() }
    }

    fn tracks(&self, samples: &[f32], mfcc: Option<&Mfcc>, pitch: Option<&Pyin>) -> Result<Array2<f32>, Error> {
        let mut tracks = Vec::new();
        if let Some(mfcc) = mfcc {
            let coefficients = mfcc.process(samples)?;
            for order in 1..=self.deltas {
                // Short clips have fewer frames than a slope is fitted to: their ends are repeated.
                let config = DeltaConfig { order, mode: DeltaMode::Nearest, ..DeltaConfig::default() };
                tracks.push(delta(&coefficients, &config)?);
            }
            tracks.insert(0, coefficients);
        }
        if let Some(pitch) = pitch {
            let track = pitch.process(samples)?;
            let octaves = track.f0.iter().map(|&f0| if f0.is_finite() { (f0 / PITCH.0).log2() as f32 } else { 0.0 });
            tracks.push(row(octaves.collect()));
            tracks.push(row(track.voiced_probability.iter().map(|&probability| probability as f32).collect()));
        }
        if self.energy {
            let config = RmsConfig { frame_length: self.n_fft, hop_length: self.hop_length, ..RmsConfig::default() };
            tracks.push(rms(samples, &config)?.mapv(|level| 20.0 * level.max(1e-5).log10()));
        }
        // Transforms of even and odd length may differ by a frame at the very end.
        let frames = tracks.iter().map(|track| track.ncols()).min().unwrap_or(0);
        let views: Vec<_> = tracks.iter().map(|track| track.slice(ndarray::s![.., ..frames])).collect();
        Ok(concatenate(Axis(0), &views).unwrap_or_else(|error| unreachable!("the tracks are equally long: {error}")))
    }
}

/// Mel bands under the MFCCs, librosa's default.
const N_MELS: usize = 128;

fn row(values: Vec<f32>) -> Array2<f32> {
    ArrayView1::from(&values).insert_axis(Axis(0)).to_owned()
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::corpus::Corpus;

    fn voice(pitch: f32, seconds: f32) -> Vec<f32> {
        let step = std::f32::consts::TAU * pitch / SAMPLE_RATE as f32;
        let wave = |i: usize| (1..6).map(|k| (i as f32 * step * k as f32).sin() / k as f32).sum::<f32>();
        (0..(seconds * SAMPLE_RATE as f32) as usize).map(|i| 0.2 * wave(i)).collect()
    }

    fn all() -> Vec<FeatureConfig> {
        vec![
            FeatureConfig::Vector,
            FeatureConfig::LogMel(LogMelConfig::default()),
            FeatureConfig::Tracks(TrackConfig { deltas: 2, ..TrackConfig::default() }),
            FeatureConfig::Tracks(TrackConfig { n_mfcc: 0, pitch: false, hop_length: 100, ..TrackConfig::default() }),
            FeatureConfig::Tracks(TrackConfig { n_mfcc: 13, pitch: false, energy: false, ..TrackConfig::default() }),
        ]
    }

    #[test]
    fn every_row_has_a_name_and_every_sound_features() {
        for config in all() {
            let extractor = Extractor::new(&config).unwrap();
            let cases = [voice(150.0, 1.0), vec![0.0; 5000], vec![0.3; 5000], vec![0.5], vec![1.0; 90]];
            for samples in cases {
                let features = extractor.extract(&samples).unwrap();
                assert_eq!(features.nrows(), extractor.names().len(), "{config:?}");
                assert!(features.ncols() > 0 && features.iter().all(|x| x.is_finite()), "{config:?}");
            }
            assert!(matches!(extractor.extract(&[]), Err(Error::EmptySound)));
            assert!(matches!(extractor.extract(&[0.0, f32::INFINITY]), Err(Error::NotFinite { index: 1, .. })));
        }
    }

    #[test]
    fn pitch_and_energy_are_those_of_the_sound() {
        let config = TrackConfig { n_mfcc: 0, trim_db: 0.0, ..TrackConfig::default() };
        let extractor = Extractor::new(&FeatureConfig::Tracks(config)).unwrap();
        let mut samples = voice(200.0, 1.0);
        samples.extend(vec![0.0; 16_000]);
        let tracks = extractor.extract(&samples).unwrap();
        assert_eq!(extractor.names(), ["pitch", "voicing", "energy"]);
        for frame in 5..55 {
            // Bins are half a semitone wide.
            assert!((tracks[[0, frame]] - (200.0f32 / 65.0).log2()).abs() < 0.03, "{}", tracks[[0, frame]]);
            assert!(tracks[[1, frame]] > 0.5);
            assert!((-25.0..-10.0).contains(&tracks[[2, frame]]), "{}", tracks[[2, frame]]);
        }
        for frame in 75..120 {
            assert_eq!((tracks[[0, frame]], tracks[[2, frame]]), (0.0, -100.0));
        }
    }

    #[test]
    fn lists_keep_their_order_and_are_computed_once() {
        let sound = |actor: u8, samples: Vec<f32>| {
            let name = format!("03-01-05-01-01-01-{actor:02}.wav");
            Sound { clip: Corpus::Ravdess.clip(Path::new(""), Path::new(&name)).unwrap(), samples: samples.into() }
        };
        let sounds = [sound(1, voice(100.0, 0.5)), sound(2, vec![]), sound(3, voice(200.0, 0.7))];
        let folder = tempfile::tempdir().unwrap();
        for config in all() {
            let extractor = Extractor::new(&config).unwrap();
            let cache = Cache::in_folder(folder.path()).unwrap();
            let count = AtomicUsize::new(0);
            let done = || {
                count.fetch_add(1, Ordering::Relaxed);
            };
            let first = extractor.extract_all(&sounds, &cache, &done);
            assert_eq!(count.into_inner(), 3);
            assert!(matches!(first[1], Err(Error::EmptySound)), "the empty one alone fails");
            for index in [0, 2] {
                assert_eq!(first[index].as_ref().unwrap(), extractor.extract(&sounds[index].samples).unwrap());
            }
            let again = extractor.extract_all(&sounds, &Cache::in_folder(folder.path()).unwrap(), &|| ());
            assert_eq!(again[2].as_ref().unwrap(), first[2].as_ref().unwrap());
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2 * all().len());
    }

    #[test]
    fn settings_that_cannot_work_are_refused() {
        let default = TrackConfig::default();
        for wrong in [
            TrackConfig { hop_length: 0, ..default },
            TrackConfig { deltas: 3, ..default },
            TrackConfig { n_mfcc: 0, pitch: false, energy: false, ..default },
            TrackConfig { n_mfcc: 129, ..default },
            TrackConfig { trim_db: f32::NAN, ..default },
        ] {
            assert!(matches!(Extractor::new(&FeatureConfig::Tracks(wrong)), Err(Error::InvalidConfig { .. })));
        }
    }
}
