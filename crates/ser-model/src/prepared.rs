//! Clips whose features are computed before the training, for the networks on the 162-vector and on MFCCs.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use emotion_core::{BoxError, LabelSet};
use model_kit::audit::{ContentHash, Item};
use model_kit::data::{Dataset, mix_seed};
use ndarray::{Array2, s};
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use crate::Error;
use crate::arch::{MFCC_FRAMES, VECTOR};
use crate::augment::{AugmentConfig, Babble};
use crate::cache::Cache;
use crate::dataset::{Sound, set_image};
use crate::features::{Extractor, FeatureConfig};
use crate::statistics::Statistics;

/// Features of clips and of changed copies of them, standardised: 162 numbers each, or MFCCs of any length, of which
/// [`MFCC_FRAMES`] are looked at at a time.
#[derive(Debug)]
pub struct Prepared {
    features: Vec<Array2<f32>>,
    /// Of each sample: who speaks, the key of the clip that it was made of, and the probability of each class.
    speakers: Vec<String>,
    clips: Vec<String>,
    targets: Vec<Vec<f32>>,
    classes: usize,
    shape: Vec<i64>,
    piece: Piece,
}

/// The changed versions of each clip that a training also hears. None by default.
#[derive(Debug, Clone, Copy)]
pub struct Copies {
    /// How they are changed.
    pub augment: AugmentConfig,
    /// How many there are of each clip.
    pub count: usize,
    /// What the changes are drawn from.
    pub seed: u64,
}

impl Default for Copies {
    fn default() -> Self {
        Self { augment: AugmentConfig::none(), count: 0, seed: 0 }
    }
}

/// Is told, from several threads, how many of how many samples have their features; by default nobody is.
#[derive(Clone, Default)]
pub struct Progress(Option<Arc<dyn Fn(usize, usize) + Send + Sync>>);

impl Progress {
    /// Tells this function.
    pub fn new(tell: impl Fn(usize, usize) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(tell)))
    }

    fn tell(&self, done: usize, of: usize) {
        if let Some(tell) = &self.0 {
            tell(done, of);
        }
    }
}

impl fmt::Debug for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Progress(told)" } else { "Progress(untold)" })
    }
}

/// What is looked at of features with several frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Piece {
    /// All there is: one column.
    Whole,
    /// Frames from a place that is drawn each time.
    Drawn,
    /// Frames around the middle.
    Middle,
}

impl Prepared {
    /// The features of clips and of their changed copies, on all cores; what the cache has is not computed
    /// again. Clips of other emotions than the labels' are left out. **Changed copies belong in a training set alone, made
    /// after the split.**
    ///
    /// # Errors
    /// [`Error::EmptySound`] and [`Error::NotFinite`] for such clips, and as [`AugmentConfig::check`].
    pub fn extract(
        sounds: &[Sound],
        labels: &LabelSet,
        extractor: &Extractor,
        copies: &Copies,
        cache: &Cache,
        progress: &Progress,
    ) -> Result<Self, Error> {
        let Copies { augment, count: copies, seed } = *copies;
        augment.check()?;
        let known: Vec<&Sound> = sounds.iter().filter(|sound| labels.contains(sound.clip.emotion)).collect();
        let babble = Babble::new(sounds);
        // A copy with babble depends on the other clips of the training set: no cache entry can tell it.
        let alone = augment.noise_share == 0.0 || augment.babble_share == 0.0;
        let one = |index: usize| -> Result<Array2<f32>, Error> {
            let (sound, copy) = (known[index / (copies + 1)], index % (copies + 1));
            if copy == 0 {
                return extractor.extract_cached(&sound.samples, "", cache, || Ok(sound.samples.to_vec()));
            }
            let speaker = sound.clip.speaker_key();
            // The clip's own name, not its place: the same clip has the same copies in every fold.
            let key: Vec<u64> = sound.clip.key().bytes().map(u64::from).chain([copy as u64]).collect();
            let copy_seed = mix_seed(seed, &key);
            let changed =
                || augment.sound(&sound.samples, &speaker, &babble, &mut ChaCha8Rng::seed_from_u64(copy_seed));
            if alone {
                return extractor.extract_cached(&sound.samples, &format!("{augment:?}, {copy_seed}"), cache, changed);
            }
            extractor.extract(&changed()?)
        };
        let (samples, done) = (known.len() * (copies + 1), AtomicUsize::new(0));
        let one = |index| {
            let features = one(index);
            progress.tell(done.fetch_add(1, Ordering::Relaxed) + 1, samples);
            features
        };
        let features = (0..samples).into_par_iter().map(one).collect::<Result<_, _>>()?;
        let target = |sound: &&Sound| -> Vec<f32> {
            labels.iter().map(|label| f32::from(u8::from(label == sound.clip.emotion))).collect()
        };
        let (shape, piece) = match extractor.config() {
            FeatureConfig::Vector => (vec![VECTOR], Piece::Whole),
            _ => {
                let piece = if copies > 0 { Piece::Drawn } else { Piece::Middle };
                (vec![extractor.names().len() as i64 + 1, MFCC_FRAMES], piece)
            }
        };
        Ok(Self {
            features,
            speakers: known.iter().flat_map(|sound| vec![sound.clip.speaker_key(); copies + 1]).collect(),
            clips: known.iter().flat_map(|sound| vec![sound.clip.key(); copies + 1]).collect(),
            targets: known.iter().flat_map(|sound| vec![target(sound); copies + 1]).collect(),
            classes: labels.len(),
            shape,
            piece,
        })
    }

    /// Mean and deviation of each row.
    pub fn statistics(&self) -> Statistics {
        Statistics::of(&self.features)
    }

    /// Standardises everything, by the statistics of the training set.
    pub fn standardize(&mut self, statistics: &Statistics) {
        self.features.iter_mut().for_each(|features| statistics.standardize(features));
    }

    /// Standardises every speaker's features by that speaker's own statistics. Read what that costs:
    /// [`Statistics::standardize_by_speaker`].
    pub fn standardize_by_speaker(&mut self) {
        Statistics::standardize_by_speaker(&mut self.features, &self.speakers);
    }

    /// **The papers' procedure, which leaks**: draws `share` of the samples, copies like originals, as the held-out part, so
    /// that most of them have been heard in the training part in another version. Returns the training part and the
    /// held-out part.
    #[must_use]
    pub fn part_by_sample(self, share: f64, seed: u64) -> (Self, Self) {
        let mut order: Vec<usize> = (0..self.features.len()).collect();
        order.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
        let held_out = (share.clamp(0.0, 1.0) * order.len() as f64) as usize;
        let part = |places: &[usize], piece| Self {
            features: places.iter().map(|&place| self.features[place].clone()).collect(),
            speakers: places.iter().map(|&place| self.speakers[place].clone()).collect(),
            clips: places.iter().map(|&place| self.clips[place].clone()).collect(),
            targets: places.iter().map(|&place| self.targets[place].clone()).collect(),
            classes: self.classes,
            shape: self.shape.clone(),
            piece,
        };
        let middle = if self.piece == Piece::Whole { Piece::Whole } else { Piece::Middle };
        (part(&order[held_out..], self.piece), part(&order[..held_out], middle))
    }

    /// The features of every sample and the place of its class, for a model to be asked about.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Array2<f32>, usize)> {
        let class = |target: &Vec<f32>| target.iter().position(|&share| share > 0.5).unwrap_or(0);
        self.features.iter().zip(self.targets.iter().map(class))
    }

    /// Every sample for an audit, in the part of this name. All versions of a clip count as copies of each other.
    pub fn items(&self, part: &str) -> Vec<Item> {
        let item = |(number, (clip, speaker)): (usize, (&String, &String))| Item {
            name: format!("{part} {number}: {clip}"),
            split: part.to_owned(),
            label: None,
            group: Some(speaker.clone()),
            content: ContentHash::of_bytes(clip.as_bytes()),
            look: None,
            changed: Vec::new(),
            sound: None,
        };
        self.clips.iter().zip(&self.speakers).enumerate().map(item).collect()
    }
}

impl Dataset for Prepared {
    fn len(&self) -> usize {
        self.features.len()
    }

    fn input_shape(&self) -> &[i64] {
        &self.shape
    }

    fn classes(&self) -> usize {
        self.classes
    }

    fn sample(&self, index: usize, seed: u64, input: &mut [f32], target: &mut [f32]) -> Result<(), BoxError> {
        let features = &self.features[index];
        let spare = features.ncols().saturating_sub(MFCC_FRAMES as usize);
        match self.piece {
            Piece::Whole => input.iter_mut().zip(features).for_each(|(out, &value)| *out = value),
            Piece::Drawn => {
                set_frames(features, ChaCha8Rng::seed_from_u64(seed).random_range(0..=spare), input);
            }
            Piece::Middle => set_frames(features, spare / 2, input),
        }
        target.copy_from_slice(&self.targets[index]);
        Ok(())
    }
}

/// Writes [`MFCC_FRAMES`] from `start` on, and the mask that tells them from padding, into `[rows + 1, MFCC_FRAMES]`.
pub(crate) fn set_frames(features: &Array2<f32>, start: usize, input: &mut [f32]) {
    let end = features.ncols().min(start + MFCC_FRAMES as usize);
    set_image(&features.slice(s![.., start..end]).to_owned(), MFCC_FRAMES as usize, input);
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use model_kit::audit::{AuditConfig, audit};

    use super::*;
    use crate::corpus::Corpus;
    use crate::features::TrackConfig;

    fn sounds() -> Vec<Sound> {
        let sound = |actor: usize, seconds: f32| {
            let clip = Corpus::Ravdess.clip(Path::new(""), Path::new(&format!("03-01-05-01-01-01-{actor:02}.wav")));
            let step = 0.05 * actor as f32;
            let samples = (0..(seconds * 16_000.0) as usize).map(|i| (i as f32 * step).sin() * 0.3).collect();
            Sound { clip: clip.unwrap(), samples }
        };
        vec![sound(1, 2.5), sound(2, 0.6), sound(3, 4.0), sound(4, 1.0), sound(5, 1.0)]
    }

    fn prepared(config: &FeatureConfig, copies: usize, augment: &AugmentConfig) -> Prepared {
        let extractor = Extractor::new(config).unwrap();
        let (told, last) = (Arc::new(AtomicUsize::new(0)), sounds().len() * (copies + 1));
        let heard = told.clone();
        let progress = Progress::new(move |done, of| {
            assert!(done <= of && of == last);
            heard.fetch_add(1, Ordering::Relaxed);
        });
        let (copies, cache) = (Copies { augment: *augment, count: copies, seed: 1 }, Cache::in_memory());
        let set = Prepared::extract(&sounds(), &LabelSet::speech8(), &extractor, &copies, &cache, &progress).unwrap();
        assert_eq!(told.load(Ordering::Relaxed), last);
        set
    }

    #[test]
    fn samples_are_one_a_clip_and_copy_and_standardised() {
        for augment in [AugmentConfig::default(), AugmentConfig { babble_share: 0.0, ..AugmentConfig::default() }] {
            let mut vectors = prepared(&FeatureConfig::Vector, 2, &augment);
            assert_eq!(vectors.len(), 15);
            assert_eq!(vectors.features, prepared(&FeatureConfig::Vector, 2, &augment).features);
            assert_ne!(vectors.features[0], vectors.features[1]);
            let statistics = vectors.statistics();
            vectors.standardize(&statistics);
            let mean: f32 = vectors.features.iter().map(|features| features[[20, 0]]).sum::<f32>() / 15.0;
            assert!(mean.abs() < 1e-4, "{mean}");
            let (mut input, mut target) = (vec![0.0; 162], vec![0.0; 8]);
            vectors.sample(14, 0, &mut input, &mut target).unwrap();
            assert_eq!((target[0], input[7]), (1.0, vectors.features[14][[7, 0]]));
        }
    }

    #[test]
    fn frames_are_drawn_for_training_and_taken_from_the_middle_else() {
        let config = FeatureConfig::Tracks(TrackConfig { pitch: false, energy: false, ..TrackConfig::default() });
        let sample = |set: &Prepared, index, seed| {
            assert_eq!(set.input_shape(), [41, MFCC_FRAMES]);
            let (mut input, mut target) = (vec![0.0; 41 * MFCC_FRAMES as usize], vec![0.0; 8]);
            set.sample(index, seed, &mut input, &mut target).unwrap();
            input
        };
        let (training, held_out) =
            (prepared(&config, 1, &AugmentConfig::default()), prepared(&config, 0, &AugmentConfig::none()));
        // The third clip is the longest.
        assert_ne!(sample(&training, 4, 1), sample(&training, 4, 2));
        assert_eq!(sample(&held_out, 2, 1), sample(&held_out, 2, 2));
        let mask: f32 = sample(&held_out, 1, 0)[40 * MFCC_FRAMES as usize..].iter().sum();
        assert_eq!(mask, held_out.features[1].ncols() as f32);
        assert!(mask < MFCC_FRAMES as f32);
    }

    #[test]
    fn parting_by_sample_puts_copies_of_a_clip_on_both_sides() {
        let (training, held_out) =
            prepared(&FeatureConfig::Vector, 2, &AugmentConfig::default()).part_by_sample(0.4, 3);
        assert_eq!((training.len(), held_out.len()), (9, 6));
        let items = [training.items("train"), held_out.items("test")].concat();
        let found = audit(&items, &AuditConfig::default()).unwrap();
        let leaked = found.exact.across.iter().find(|crossing| crossing.split == "test").unwrap();
        assert!(leaked.samples > 0 && leaked.also_in == "train");
    }
}
