//! Clips as the trainer wants them: decoded once, drawn evenly, changed at random each time.

use std::ops::Range;
use std::sync::Arc;

use emotion_core::{BoxError, LabelSet};
use model_kit::data::Dataset;
use ndarray::{Array2, s};
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::arch::MaskedCnn;
use crate::augment::{AugmentConfig, Babble};
use crate::cache::Cache;
use crate::corpus::{Clip, Corpus, Skipped};
use crate::input::{self, LogMel};
use crate::{Error, SAMPLE_RATE};

/// A clip with its sound.
#[derive(Debug, Clone)]
pub struct Sound {
    /// What is known of it.
    pub clip: Clip,
    /// Mono samples at [`SAMPLE_RATE`].
    pub samples: Arc<[f32]>,
}

/// Decodes clips on all cores (as many threads as rayon has), in the order of the list. A file that cannot be decoded is
/// set aside with the reason. `done` is called after each file, from any thread, and may drive a progress bar.
pub fn decode(clips: &[Clip], trim_db: f32, cache: &Cache, done: &(dyn Fn() + Sync)) -> (Vec<Sound>, Vec<Skipped>) {
    let config = format!("mono {} Hz, trimmed at {trim_db} dB", crate::SAMPLE_RATE);
    let results: Vec<Result<Sound, Skipped>> = clips
        .par_iter()
        .map(|clip| {
            let compute = || Ok(input::trim(&input::load(&clip.path)?, trim_db).to_vec());
            let samples = cache.get(&clip.path, &config, compute);
            done();
            match samples {
                Ok(samples) => Ok(Sound { clip: clip.clone(), samples }),
                Err(error) => Err(Skipped { path: clip.path.clone(), reason: error.chain() }),
            }
        })
        .collect();
    let (mut sounds, mut skipped) = (Vec::new(), Vec::new());
    for result in results {
        match result {
            Ok(sound) => sounds.push(sound),
            Err(file) => skipped.push(file),
        }
    }
    (sounds, skipped)
}

/// How often a corpus is heard in training.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Share {
    /// The corpus.
    pub corpus: Corpus,
    /// Its part of the training samples, relative to the other corpora's.
    pub weight: f32,
}

/// Draws clips so that no corpus and no class dominates: first a corpus by its [`Share`], then a class the corpus has,
/// then one of its clips, each class and clip as likely as the others.
#[derive(Debug, Clone)]
struct Draw {
    /// Per corpus: the cumulated share, and the indices of the clips of each class that occurs.
    corpora: Vec<(f32, Vec<Vec<usize>>)>,
}

impl Draw {
    fn new(sounds: &[Sound], labels: &LabelSet, shares: &[Share]) -> Result<Self, Error> {
        let mut corpora = Vec::new();
        let mut total = 0.0;
        for share in shares {
            if !(share.weight.is_finite() && share.weight >= 0.0) {
                let got = share.weight.to_string();
                return Err(Error::InvalidConfig { name: "the share of a corpus", expected: "at least 0", got });
            }
            let classes: Vec<Vec<usize>> = labels
                .iter()
                .map(|label| {
                    let wanted = |sound: &Sound| sound.clip.corpus == share.corpus && sound.clip.emotion == label;
                    (0..sounds.len()).filter(|&index| wanted(&sounds[index])).collect()
                })
                .filter(|clips: &Vec<usize>| !clips.is_empty())
                .collect();
            if share.weight > 0.0 && !classes.is_empty() {
                total += share.weight;
                corpora.push((total, classes));
            }
        }
        if corpora.is_empty() {
            let got = format!("{} clips of no corpus with a share", sounds.len());
            return Err(Error::InvalidConfig {
                name: "the training set",
                expected: "clips of the shared corpora",
                got,
            });
        }
        Ok(Self { corpora })
    }

    fn pick(&self, rng: &mut impl Rng) -> usize {
        let total = self.corpora.last().map_or(0.0, |corpus| corpus.0);
        let place = rng.random::<f32>() * total;
        let corpus = self.corpora.iter().position(|corpus| place < corpus.0).unwrap_or(self.corpora.len() - 1);
        let classes = &self.corpora[corpus].1;
        let clips = &classes[rng.random_range(0..classes.len())];
        clips[rng.random_range(0..clips.len())]
    }
}

/// Writes the probability 1 for the clip's emotion.
fn set_target(labels: &LabelSet, clip: &Clip, target: &mut [f32]) -> Result<(), BoxError> {
    let class = labels.index_of(clip.emotion).ok_or_else(|| format!("{} is not among {labels}", clip.emotion))?;
    target[class] = 1.0;
    Ok(())
}

/// Writes an image and the mask of its frames into `[n_mels + 1, frames]`. `image` must not be longer.
pub(crate) fn set_image(image: &Array2<f32>, frames: usize, input: &mut [f32]) {
    let rows = image.rows().into_iter().zip(input.chunks_exact_mut(frames));
    for (row, out) in rows {
        out.iter_mut().zip(row).for_each(|(out, &value)| *out = value);
    }
    let mask = image.nrows() * frames;
    input[mask..mask + image.ncols()].fill(1.0);
}

/// Writes into `[n_mels, halves]` which share of the power of two frames at a time is the voice's, of parts in dB; −1,
/// which says nothing, where the normalised image is below its middle or over.
fn set_share(voice: &Array2<f32>, noise: &Array2<f32>, image: &Array2<f32>, halves: usize, target: &mut [f32]) {
    let share = |voice: f32, noise: f32| 1.0 / (1.0 + 10f32.powf((noise - voice) / 10.0));
    target.fill(-1.0);
    for (band, out) in target.chunks_exact_mut(halves).enumerate() {
        for (half, out) in out.iter_mut().enumerate().take(image.ncols().div_ceil(2)) {
            let frames = 2 * half..image.ncols().min(2 * half + 2);
            let count = frames.len() as f32;
            if frames.clone().map(|frame| image[[band, frame]]).sum::<f32>() > 0.0 {
                *out = frames.map(|frame| share(voice[[band, frame]], noise[[band, frame]])).sum::<f32>() / count;
            }
        }
    }
}

/// Frames over which the level of a voice is averaged: 0.14 s.
const SYLLABLE: usize = 9;

/// The part of its loudest level down to which a voice counts as speaking: 20 dB.
const SPEAKING: f32 = 0.01;

/// Writes for every second frame whether the voice, in dB, is nearly as loud as at its loudest; −1 where it is over.
fn set_speaking(voice: &Array2<f32>, target: &mut [f32]) {
    let levels: Vec<f32> =
        voice.columns().into_iter().map(|frame| frame.iter().map(|value| 10f32.powf(value / 10.0)).sum()).collect();
    let smooth = |frame: usize| -> f32 {
        let near = frame.saturating_sub(SYLLABLE / 2)..levels.len().min(frame + SYLLABLE / 2 + 1);
        levels[near].iter().sum()
    };
    let loudest = (0..levels.len()).map(smooth).fold(0.0, f32::max);
    target.fill(-1.0);
    for (out, frame) in target.iter_mut().zip((0..levels.len()).step_by(2)) {
        *out = f32::from(u8::from(smooth(frame) >= SPEAKING * loudest));
    }
}

/// Training clips as log-mel images, for [`LogMelCnn`](crate::arch::LogMelCnn) and [`MaskedCnn`].
#[derive(Debug)]
pub struct ImageTraining<'a> {
    sounds: &'a [Sound],
    /// Where in each clip the speech is.
    speech: Vec<Range<usize>>,
    labels: LabelSet,
    log_mel: LogMel,
    augment: AugmentConfig,
    babble: Babble<'a>,
    draw: Draw,
    shape: [i64; 2],
    frames: usize,
    samples: usize,
    /// The numbers of [`MaskedCnn`]'s auxiliary tasks, where they are wanted.
    auxiliary: Option<[usize; 2]>,
}

impl<'a> ImageTraining<'a> {
    /// `frames` is the length of the piece of a clip that is heard at a time, `samples` the number drawn in an epoch.
    ///
    /// # Errors
    /// [`Error::InvalidConfig`] for a share below 0, when no clip belongs to a corpus with a share, and as
    /// [`AugmentConfig::check`].
    pub fn new(
        sounds: &'a [Sound],
        labels: &LabelSet,
        log_mel: LogMel,
        augment: AugmentConfig,
        shares: &[Share],
        frames: usize,
        samples: usize,
    ) -> Result<Self, Error> {
        augment.check()?;
        let draw = Draw::new(sounds, labels, shares)?;
        let shape = [log_mel.config().n_mels as i64 + 1, frames as i64];
        let babble = Babble::new(sounds);
        let speech = sounds.iter().map(|sound| input::speech_range(&sound.samples, log_mel.config().trim_db)).collect();
        let (labels, auxiliary) = (labels.clone(), None);
        Ok(Self { sounds, speech, labels, log_mel, augment, babble, draw, shape, frames, samples, auxiliary })
    }

    /// Has every sample also tell what part of it is the speaker's, as [`MaskedCnn`] learns it, for two frames at a time:
    /// band by band the share of the power that is not noise, but nothing below 40 dB under the loud frames; and whether
    /// somebody speaks there: whether the voice is at most 20 dB softer than at its loudest, over 0.14 s each. Of padding
    /// nothing is told.
    #[must_use]
    pub fn telling_speech(mut self) -> Self {
        self.auxiliary = Some(MaskedCnn::auxiliary(self.log_mel.config().n_mels, self.frames));
        self
    }
}

impl ImageTraining<'_> {
    /// The speech of a clip with some of what is before and after it.
    fn window(&self, index: usize, rng: &mut impl Rng) -> Range<usize> {
        let Range { start, end } = self.speech[index];
        let AugmentConfig { margin, margin_share, .. } = self.augment;
        // Nothing is drawn where all keep one.
        let kept = margin_share == 1.0 || rng.random::<f32>() < margin_share;
        let most = if kept { margin * SAMPLE_RATE as f32 } else { 0.0 };
        let mut margin = |there: usize| (rng.random::<f32>() * most.min(there as f32)) as usize;
        start - margin(start)..end + margin(self.sounds[index].samples.len() - end)
    }
}

impl Dataset for ImageTraining<'_> {
    fn len(&self) -> usize {
        self.samples
    }

    fn input_shape(&self) -> &[i64] {
        &self.shape
    }

    fn classes(&self) -> usize {
        self.labels.len()
    }

    fn auxiliary(&self) -> &[usize] {
        self.auxiliary.as_ref().map_or(&[], |tasks| tasks)
    }

    /// The index says nothing here: the clip, too, is drawn from the seed.
    fn sample(&self, _index: usize, seed: u64, input: &mut [f32], target: &mut [f32]) -> Result<(), BoxError> {
        let rng = &mut ChaCha8Rng::seed_from_u64(seed);
        let index = self.draw.pick(rng);
        let Sound { clip, samples } = &self.sounds[index];
        set_target(&self.labels, clip, target)?;

        // A piece somewhat longer than what is heard, so that faster speech still fills it.
        let room = self.frames * self.log_mel.config().hop_length;
        let faster = self.augment.speed + self.augment.tempo + self.augment.stretch;
        let want = (room as f32 * 2f32.powf(faster)) as usize + 1;
        let window = self.window(index, rng);
        let start = window.start + rng.random_range(0..=window.len().saturating_sub(want));
        let piece = &samples[start..(start + want).min(window.end)];
        let [sound, voice] = self.augment.sound_and_speech(piece, &clip.speaker_key(), &self.babble, rng)?;
        // As the model does with what it is asked about.
        let Range { start, end } = input::speech_range(&sound, self.log_mel.config().trim_db);
        let heard = start..end.min(start + room + room / 4);
        let sound = &sound[heard.clone()];

        let again = rng.clone();
        let image = self.augment.tempo(self.log_mel.decibels(sound)?, rng);
        let spare = image.ncols().saturating_sub(self.frames);
        let start = if spare > 0 { rng.random_range(0..=spare) } else { 0 };
        let frames = start..image.ncols().min(start + self.frames);
        let mut image = image.slice(s![.., frames.clone()]).to_owned();
        self.log_mel.normalize(&mut image);
        if let Some([mask, _]) = self.auxiliary {
            let voice = &voice[heard];
            let noise: Vec<f32> = sound.iter().zip(voice).map(|(sound, voice)| sound - voice).collect();
            // The same change of tempo as that of the sound.
            let part = |samples: &[f32]| -> Result<Array2<f32>, Error> {
                let image = self.augment.tempo(self.log_mel.decibels(samples)?, &mut again.clone());
                Ok(image.slice(s![.., frames.clone()]).to_owned())
            };
            let (voice, noise) = (part(voice)?, part(&noise)?);
            let (share, speaking) = target[self.labels.len()..].split_at_mut(mask);
            set_share(&voice, &noise, &image, self.frames.div_ceil(2), share);
            set_speaking(&voice, speaking);
        }
        self.augment.mask(&mut image, rng);
        set_image(&image, self.frames, input);
        Ok(())
    }
}

/// The middle of each clip as a log-mel image, unchanged: what a training is watched on. (Whole clips of any length are
/// evaluated by [`SerModel`](crate::SerModel).)
#[derive(Debug)]
pub struct ImageEvaluation {
    images: Vec<Array2<f32>>,
    targets: Vec<Vec<f32>>,
    shape: [i64; 2],
    classes: usize,
}

impl ImageEvaluation {
    /// Computes the images.
    ///
    /// # Errors
    /// [`Error::EmptySound`] for a clip without samples.
    pub fn new(sounds: &[Sound], labels: &LabelSet, log_mel: &LogMel, frames: usize) -> Result<Self, Error> {
        let mut images = Vec::with_capacity(sounds.len());
        let mut targets = Vec::with_capacity(sounds.len());
        for sound in sounds.iter().filter(|sound| labels.contains(sound.clip.emotion)) {
            let image = log_mel.image(&sound.samples)?;
            let start = image.ncols().saturating_sub(frames) / 2;
            images.push(image.slice(s![.., start..image.ncols().min(start + frames)]).to_owned());
            targets.push(labels.iter().map(|label| f32::from(u8::from(label == sound.clip.emotion))).collect());
        }
        let shape = [log_mel.config().n_mels as i64 + 1, frames as i64];
        Ok(Self { images, targets, shape, classes: labels.len() })
    }
}

impl Dataset for ImageEvaluation {
    fn len(&self) -> usize {
        self.images.len()
    }

    fn input_shape(&self) -> &[i64] {
        &self.shape
    }

    fn classes(&self) -> usize {
        self.classes
    }

    fn sample(&self, index: usize, _seed: u64, input: &mut [f32], target: &mut [f32]) -> Result<(), BoxError> {
        set_image(&self.images[index], self.shape[1] as usize, input);
        target.copy_from_slice(&self.targets[index]);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::input::LogMelConfig;

    use super::*;

    fn sound(name: &str, corpus: Corpus, frequency: f32, seconds: f32) -> Sound {
        let clip = corpus.clip(Path::new(""), Path::new(name)).unwrap();
        let samples = (0..(seconds * 16_000.0) as usize).map(|i| (i as f32 * frequency).sin() * 0.3).collect();
        Sound { clip, samples }
    }

    fn sounds() -> Vec<Sound> {
        vec![
            sound("03-01-05-01-01-01-01.wav", Corpus::Ravdess, 0.05, 2.5),
            sound("03-01-03-01-01-01-02.wav", Corpus::Ravdess, 0.07, 0.6),
            sound("OAF_dog_sad.wav", Corpus::Tess, 0.1, 1.0),
            sound("OAF_cat_sad.wav", Corpus::Tess, 0.1, 1.0),
            sound("OAF_bar_sad.wav", Corpus::Tess, 0.1, 1.0),
        ]
    }

    fn shares(ravdess: f32, tess: f32) -> [Share; 2] {
        [Share { corpus: Corpus::Ravdess, weight: ravdess }, Share { corpus: Corpus::Tess, weight: tess }]
    }

    #[test]
    fn corpora_are_drawn_by_their_shares_and_classes_evenly() {
        let sounds = sounds();
        let draw = Draw::new(&sounds, &LabelSet::speech8(), &shares(3.0, 1.0)).unwrap();
        let mut rng = ChaCha8Rng::seed_from_u64(2);
        let mut counts = [0usize; 5];
        (0..8000).for_each(|_| counts[draw.pick(&mut rng)] += 1);
        assert!((2800..3200).contains(&counts[0]) && (2800..3200).contains(&counts[1]), "{counts:?}");
        assert!(counts[2..].iter().all(|count| (550..780).contains(count)), "{counts:?}");
        assert!(Draw::new(&sounds, &LabelSet::speech8(), &shares(-1.0, 1.0)).is_err());
        assert!(Draw::new(&sounds, &LabelSet::speech8(), &shares(0.0, 0.0)).is_err());
    }

    #[test]
    fn samples_reproduce_and_masks_tell_the_length() {
        let sounds = sounds();
        let labels = LabelSet::speech8();
        let log_mel = LogMel::new(LogMelConfig::default()).unwrap();
        let config = AugmentConfig::default();
        let set = ImageTraining::new(&sounds, &labels, log_mel.clone(), config, &shares(1.0, 1.0), 125, 64).unwrap();
        let draw = |seed| {
            let (mut input, mut target) = (vec![0.0; 65 * 125], vec![0.0; 8]);
            set.sample(0, seed, &mut input, &mut target).unwrap();
            (input, target)
        };
        assert_eq!(draw(5), draw(5));
        assert_ne!(draw(5).0, draw(6).0);
        for seed in 0..20 {
            let (input, target) = draw(seed);
            assert_eq!(target.iter().sum::<f32>(), 1.0);
            assert!(input.iter().all(|value| value.is_finite()));
            let mask = &input[64 * 125..];
            let heard = mask.iter().filter(|&&value| value == 1.0).count();
            assert!(heard > 30 && mask[..heard].iter().all(|&value| value == 1.0));
        }

        let held_out = ImageEvaluation::new(&sounds, &labels, &log_mel, 125).unwrap();
        let (mut input, mut target) = (vec![0.0; 65 * 125], vec![0.0; 8]);
        held_out.sample(1, 0, &mut input, &mut target).unwrap();
        assert_eq!(input[64 * 125..].iter().sum::<f32>(), 38.0);
        assert_eq!(target[3], 1.0);
    }

    #[test]
    fn the_share_of_the_speaker_is_told_where_something_sounds() {
        let sounds = sounds();
        let told = |snr: f32, seed: u64| {
            let augment = AugmentConfig {
                speed: 0.2,
                noise_share: 1.0,
                babble_share: 0.0,
                snr: [snr, snr],
                stretch: 0.2,
                gain: 6.0,
                ..AugmentConfig::none()
            };
            let log_mel = LogMel::new(LogMelConfig::default()).unwrap();
            let labels = LabelSet::speech8();
            let set = ImageTraining::new(&sounds, &labels, log_mel, augment, &shares(1.0, 0.0), 125, 1).unwrap();
            let set = set.telling_speech();
            assert_eq!(set.auxiliary(), [64 * 63, 63]);
            let (mut input, mut target) = (vec![0.0; 65 * 125], vec![0.0; 8 + 65 * 63]);
            set.sample(0, seed, &mut input, &mut target).unwrap();
            assert_eq!(target[..8].iter().sum::<f32>(), 1.0);
            let mask = &input[64 * 125..];
            for (row, band) in target[8..8 + 64 * 63].chunks_exact(63).enumerate() {
                for (half, &share) in band.iter().enumerate() {
                    assert!(share == -1.0 || (0.0..=1.0).contains(&share));
                    let image = &input[row * 125 + 2 * half..row * 125 + (2 * half + 2).min(125)];
                    let sounding = mask[2 * half] == 1.0 && image.iter().sum::<f32>() > 0.0;
                    assert!(sounding || share == -1.0, "band {row}, frame {half}");
                }
            }
            let speaking = &target[8 + 64 * 63..];
            let frames = mask.iter().sum::<f32>() as usize;
            assert!(speaking[frames.div_ceil(2)..].iter().all(|&value| value == -1.0));
            assert!(speaking[..frames.div_ceil(2)].iter().all(|&value| value == 0.0 || value == 1.0));
            // Of tones all but what the trimming leaves before and after.
            let spoken = speaking.iter().filter(|&&value| value == 1.0).count();
            assert!(spoken + 8 >= frames.div_ceil(2) || snr < 50.0, "{spoken} of {frames}");
            let known: Vec<f32> = target[8..8 + 64 * 63].iter().copied().filter(|&share| share >= 0.0).collect();
            assert!(known.len() > 20, "{}", known.len());
            // The tones lie below 200 Hz; the hiss everywhere.
            let low = &target[8..8 + 6 * 63];
            let low: Vec<f32> = low.iter().copied().filter(|&share| share >= 0.0).collect();
            let mean = |shares: &[f32]| shares.iter().sum::<f32>() / shares.len() as f32;
            (mean(&low), mean(&known))
        };
        for seed in 0..8 {
            let (clean, faint, loud) = (told(60.0, seed), told(0.0, seed), told(-30.0, seed));
            assert!(clean.0 > 0.95 && loud.1 < 0.1, "{clean:?} {loud:?}");
            assert!(faint.0 > faint.1, "{faint:?}");
        }
    }

    #[test]
    fn noise_sounds_around_the_speech_and_quiet_margins_are_cut() {
        let mut sounds = sounds();
        sounds.truncate(1);
        let silence = vec![0.0; 16_000];
        sounds[0].samples = [&silence[..], &sounds[0].samples[..16_000], &silence[..]].concat().into();
        let heard = |augment: AugmentConfig| {
            let log_mel = LogMel::new(LogMelConfig::default()).unwrap();
            let shares = shares(1.0, 0.0);
            let set = ImageTraining::new(&sounds, &LabelSet::speech8(), log_mel, augment, &shares, 250, 1).unwrap();
            let frames = |seed| {
                let (mut input, mut target) = (vec![0.0; 65 * 250], vec![0.0; 8]);
                set.sample(0, seed, &mut input, &mut target).unwrap();
                input[64 * 250..].iter().sum::<f32>() as usize
            };
            (0..20).map(frames).collect::<Vec<_>>()
        };
        // One second of tone with 50 ms on either side, a frame every 16 ms.
        let quiet = heard(AugmentConfig { margin: 1.0, ..AugmentConfig::none() });
        assert!(quiet.iter().all(|frames| (63..=72).contains(frames)), "{quiet:?}");
        let crowd = AugmentConfig { margin: 1.0, noise_share: 1.0, snr: [0.0, 0.0], ..AugmentConfig::none() };
        let noisy = heard(crowd);
        assert!(
            noisy.iter().max() > Some(&140) && noisy.iter().all(|&frames| (63..=191).contains(&frames)),
            "{noisy:?}"
        );
        let half = AugmentConfig { margin_share: 0.5, ..crowd };
        let without = heard(half).iter().filter(|&&frames| frames <= 72).count();
        assert!((5..=15).contains(&without), "{without} of 20");
    }
}
