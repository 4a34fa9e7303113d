//! Tables about a model: by corpus, by sex, by speaker, in noise.
//!
//! One figure over all clips hides who is understood and who is not. [`Answers`] holds what a model said of each clip;
//! [`Answers::by`] makes a [`Table`] of it by anything a clip tells, and [`in_noise`] asks the model again in bad company.
//!
//! ```
//! # #[cfg(feature = "pretrained")] {
//! use std::path::Path;
//!
//! use ser_model::corpus::Corpus;
//! use ser_model::dataset::Sound;
//! use ser_model::evaluate::Answers;
//! use ser_model::SerModel;
//!
//! let model = SerModel::pretrained()?;
//! let clip = Corpus::Ravdess.clip(Path::new(""), Path::new("03-01-05-02-01-01-12.wav"))?;
//! let silence = Sound { clip, samples: vec![0.0; 16_000].into() };
//! let mut answers = Answers::new(model.labels());
//! answers.ask(&model, &silence)?;
//! let table = answers.by("mean recall by sex", |clip| clip.sex.map(|sex| sex.to_string()));
//! assert_eq!((table.rows[0].name.as_str(), table.rows[0].unanswered), ("female", 1));
//! # }
//! # Ok::<(), ser_model::Error>(())
//! ```

use std::collections::BTreeMap;
use std::fmt;

use emotion_core::{Emotion, LabelSet, Scores};
use model_kit::data::mix_seed;
use model_kit::metrics::{Confusion, bootstrap_uar, bootstrap_uar_by_group, wilson_interval};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde::{Serialize, Serializer};

use crate::augment::{Babble, NoiseKind, with_noise};
use crate::corpus::Clip;
use crate::dataset::Sound;
use crate::model::SerModel;
use crate::{Error, SAMPLE_RATE};

/// How often clips or speakers are drawn again for an interval, and from which seed.
const BOOTSTRAP: (usize, u64) = (1000, 0);

/// What a model said of clips.
#[derive(Debug, Clone)]
pub struct Answers {
    labels: LabelSet,
    /// `None` where the model heard no speech, or too little sound.
    list: Vec<(Clip, Option<Scores>)>,
}

impl Answers {
    /// None yet, over these labels.
    pub fn new(labels: &LabelSet) -> Self {
        Self { labels: labels.clone(), list: Vec::new() }
    }

    /// Asks a model about a clip and keeps the answer, folded into the labels of this list ([`Scores::project`]; a calm clip
    /// counts as neutral where they name no calm). Returns whether the clip's emotion is among them; if not, it is not
    /// asked about.
    ///
    /// # Errors
    /// As [`SerModel::predict`], but for sound that is too short, which is no answer; [`Error::Scores`] when the model knows
    /// none of the labels.
    pub fn ask(&mut self, model: &SerModel, sound: &Sound) -> Result<bool, Error> {
        self.ask_about(model, &sound.clip, &sound.samples)
    }

    fn ask_about(&mut self, model: &SerModel, clip: &Clip, samples: &[f32]) -> Result<bool, Error> {
        let emotion = match clip.emotion {
            Emotion::Calm if !self.labels.contains(Emotion::Calm) => Emotion::Neutral,
            emotion => emotion,
        };
        if !self.labels.contains(emotion)
            || !(model.labels().contains(clip.emotion) || model.labels().contains(emotion))
        {
            return Ok(false);
        }
        let scores = match model.predict(samples, SAMPLE_RATE) {
            Ok(scores) => scores.map(|scores| scores.project(&self.labels)).transpose()?,
            Err(Error::TooShort { .. }) => None,
            Err(error) => return Err(error),
        };
        self.list.push((Clip { emotion, ..clip.clone() }, scores));
        Ok(true)
    }

    /// Asks a model about clips, in order; see [`ask`](Self::ask). With `by_speaker` the model is first
    /// [adapted](SerModel::adapt_to) to each speaker by all of that speaker's clips, these very ones, and the clips of a
    /// speaker with fewer than two are left out.
    ///
    /// # Errors
    /// As [`ask`](Self::ask) and [`SerModel::adapt_to`].
    pub fn ask_all(&mut self, model: &mut SerModel, sounds: &[Sound], by_speaker: bool) -> Result<(), Error> {
        if !by_speaker {
            return sounds.iter().try_for_each(|sound| self.ask(model, sound).map(drop));
        }
        let mut speakers: BTreeMap<String, Vec<&Sound>> = BTreeMap::new();
        for sound in sounds.iter().filter(|sound| !sound.samples.is_empty()) {
            speakers.entry(sound.clip.speaker_key()).or_default().push(sound);
        }
        for own in speakers.into_values().filter(|own| own.len() > 1) {
            model.adapt_to(&own.iter().map(|sound| &*sound.samples).collect::<Vec<_>>())?;
            own.into_iter().try_for_each(|sound| self.ask(model, sound).map(drop))?;
        }
        Ok(())
    }

    /// Adds the answers of another list, such as those of another fold's model.
    ///
    /// # Errors
    /// [`Error::InvalidConfig`] when it is over other labels.
    pub fn append(&mut self, other: Answers) -> Result<(), Error> {
        if other.labels != self.labels {
            let got = other.labels.to_string();
            return Err(Error::InvalidConfig { name: "the answers' labels", expected: "those of this list", got });
        }
        self.list.extend(other.list);
        Ok(())
    }

    /// The answers to some of the clips.
    pub fn only(&self, wanted: impl Fn(&Clip) -> bool) -> Self {
        let list = self.list.iter().filter(|(clip, _)| wanted(clip)).cloned().collect();
        Self { labels: self.labels.clone(), list }
    }

    /// The labels of every answer.
    pub fn labels(&self) -> &LabelSet {
        &self.labels
    }

    /// The number of clips that were asked about.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether no clip was asked about.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// The number of clips without an answer.
    pub fn unanswered(&self) -> usize {
        self.list.iter().filter(|(_, scores)| scores.is_none()).count()
    }

    /// The emotions and the scores of the clips that were answered, for
    /// [`Evaluation::new`](model_kit::metrics::Evaluation::new).
    pub fn answered(&self) -> (Vec<Emotion>, Vec<Scores>) {
        self.list.iter().filter_map(|(clip, scores)| Some((clip.emotion, scores.clone()?))).unzip()
    }

    /// All of them in one row.
    pub fn row(&self, name: impl Into<String>) -> Row {
        Row::new(name.into(), self.list.iter(), &self.labels)
    }

    /// A row for each value of a property, in order of the values. Clips without the property are in none.
    pub fn by(&self, title: &str, property: impl Fn(&Clip) -> Option<String>) -> Table {
        let mut groups: BTreeMap<String, Vec<&(Clip, Option<Scores>)>> = BTreeMap::new();
        for answer in &self.list {
            if let Some(value) = property(&answer.0) {
                groups.entry(value).or_default().push(answer);
            }
        }
        let rows = groups.into_iter().map(|(name, answers)| Row::new(name, answers.into_iter(), &self.labels));
        Table { title: title.to_owned(), rows: rows.collect() }
    }

    /// The 95 % interval of the mean recall when whole speakers are drawn again ([`bootstrap_uar_by_group`]): how far it may
    /// lie from that of other speakers. `[0, 1]` for fewer than two.
    pub fn interval_by_speaker(&self) -> [f64; 2] {
        let mut speakers: BTreeMap<String, Vec<&(Clip, Option<Scores>)>> = BTreeMap::new();
        for answer in &self.list {
            speakers.entry(answer.0.speaker_key()).or_default().push(answer);
        }
        let confusions: Vec<Confusion> =
            speakers.into_values().map(|answers| confusion(answers.into_iter(), &self.labels)).collect();
        bootstrap_uar_by_group(&confusions, BOOTSTRAP.0, BOOTSTRAP.1)
    }
}

/// Noise of one kind at one level.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Condition {
    /// What is added.
    pub noise: NoiseKind,
    /// The ratio of the [active speech](crate::augment::active_power) to it, in dB.
    pub snr: f32,
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} dB", self.noise, self.snr)
    }
}

/// Asks a model about a clip in noise, as [`Answers::ask`]. The noise is drawn from `seed` and the clip's key, so it is the
/// same in every run and for every model. `babble` should be the voices of the training part; the clip's own speaker takes
/// no part in it.
///
/// # Errors
/// As [`Answers::ask`], and [`Error::Features`] when the level is not finite.
pub fn in_noise(
    answers: &mut Answers,
    model: &SerModel,
    sound: &Sound,
    condition: Condition,
    babble: &Babble<'_>,
    seed: u64,
) -> Result<bool, Error> {
    let key: Vec<u64> = sound.clip.key().bytes().map(u64::from).collect();
    let rng = &mut ChaCha8Rng::seed_from_u64(mix_seed(seed, &key));
    let speaker = sound.clip.speaker_key();
    let noisy = with_noise(&sound.samples, condition.noise, condition.snr, babble, &speaker, rng)?;
    answers.ask_about(model, &sound.clip, &noisy)
}

/// The figures of some clips. Shares are from 0 to 1; **a clip without an answer counts as wrong**.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row {
    /// What the clips have in common.
    #[serde(skip)]
    pub name: String,
    /// The number of clips.
    pub samples: u64,
    /// How many of them got no answer.
    pub unanswered: u64,
    /// The share of clips whose most probable label is the true one.
    pub accuracy: f64,
    /// The mean recall over the classes that occur.
    pub uar: f64,
    /// The 95 % interval of the accuracy (Wilson), as if clips were independent.
    pub accuracy_interval: [f64; 2],
    /// The 95 % interval of the mean recall (bootstrap over clips), as if clips were independent.
    pub uar_interval: [f64; 2],
}

impl Row {
    fn new<'a>(
        name: String,
        answers: impl Iterator<Item = &'a (Clip, Option<Scores>)> + Clone,
        labels: &LabelSet,
    ) -> Self {
        let confusion = confusion(answers.clone(), labels);
        Self {
            name,
            samples: confusion.samples(),
            unanswered: answers.filter(|(_, scores)| scores.is_none()).count() as u64,
            accuracy: confusion.accuracy(),
            uar: confusion.uar(),
            accuracy_interval: wilson_interval(confusion.correct(), confusion.samples()),
            uar_interval: bootstrap_uar(&confusion, BOOTSTRAP.0, BOOTSTRAP.1),
        }
    }
}

/// Hits and misses by class; a clip without an answer is a miss. Which wrong label a miss counts for means nothing.
fn confusion<'a>(answers: impl Iterator<Item = &'a (Clip, Option<Scores>)>, labels: &LabelSet) -> Confusion {
    let mut confusion = Confusion::new(labels);
    for (clip, scores) in answers {
        let other = || labels.iter().find(|&label| label != clip.emotion).unwrap_or(clip.emotion);
        let predicted = scores.as_ref().map_or_else(other, |scores| scores.top().0);
        confusion.add(clip.emotion, predicted).unwrap_or_else(|_| unreachable!("both are among the labels"));
    }
    confusion
}

/// Rows under a title. [`fmt::Display`] prints them for people, in per cent; serialised, it is a map from name to figures.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    /// What it shows.
    pub title: String,
    /// The rows, in order.
    pub rows: Vec<Row>,
}

/// A mean and how far single figures lie from it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct MeanDeviation {
    /// The mean.
    pub mean: f64,
    /// The deviation of the sample (with n − 1); 0 for a single figure.
    pub deviation: f64,
}

impl MeanDeviation {
    /// Of figures; `None` of none.
    pub fn of(figures: &[f64]) -> Option<Self> {
        let count = figures.len() as f64;
        let mean = figures.iter().sum::<f64>() / count;
        let squares: f64 = figures.iter().map(|figure| (figure - mean).powi(2)).sum();
        (!figures.is_empty()).then(|| Self { mean, deviation: (squares / (count - 1.0).max(1.0)).sqrt() })
    }
}

/// In per cent: `62.3 ± 1.2 %`.
impl fmt::Display for MeanDeviation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.1} ± {:.1} %", 100.0 * self.mean, 100.0 * self.deviation)
    }
}

impl Table {
    /// Mean and deviation over the rows of the mean recall and of the accuracy; `None` without rows.
    pub fn means(&self) -> Option<[MeanDeviation; 2]> {
        let of = |figure: fn(&Row) -> f64| MeanDeviation::of(&self.rows.iter().map(figure).collect::<Vec<_>>());
        Some([of(|row| row.uar)?, of(|row| row.accuracy)?])
    }

    /// The least and the largest mean recall; `None` without rows.
    pub fn spread(&self) -> Option<[f64; 2]> {
        let recalls = self.rows.iter().map(|row| row.uar);
        recalls.fold(None, |so_far, uar| {
            let [least, largest] = so_far.unwrap_or([uar, uar]);
            Some([uar.min(least), uar.max(largest)])
        })
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.rows.iter().map(|row| row.name.chars().count()).chain([self.title.chars().count()]).max();
        let width = width.unwrap_or(0);
        writeln!(
            f,
            "{:<width$} {:>7} {:>9} {:>8} {:>14} {:>9}",
            self.title, "clips", "no answer", "UAR", "95 %", "accuracy"
        )?;
        for row in &self.rows {
            let [uar, low, high, accuracy] =
                [row.uar, row.uar_interval[0], row.uar_interval[1], row.accuracy].map(|share| 100.0 * share);
            let interval = format!("{low:.1} to {high:.1}");
            let Row { name, samples, unanswered, .. } = row;
            writeln!(f, "{name:<width$} {samples:>7} {unanswered:>9} {uar:>6.2} % {interval:>14} {accuracy:>7.2} %")?;
        }
        Ok(())
    }
}

impl Serialize for Table {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.rows.iter().map(|row| (&row.name, row)))
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::corpus::Corpus;

    fn clip(name: &str) -> Clip {
        Corpus::Ravdess.clip(Path::new(""), Path::new(name)).unwrap()
    }

    /// Four angry and four sad clips of two actors; actor 1 is always understood, actor 2 never, and once not answered.
    fn answers() -> Answers {
        let labels = LabelSet::new(&[Emotion::Angry, Emotion::Sad, Emotion::Neutral]).unwrap();
        let mut answers = Answers::new(&labels);
        for (actor, right) in [(1, true), (2, false)] {
            for (code, emotion) in [(4, Emotion::Sad), (5, Emotion::Angry)] {
                for take in 1..=2 {
                    let clip = clip(&format!("03-01-{code:02}-01-01-{take:02}-{actor:02}.wav"));
                    let heard = if right { emotion } else { Emotion::Neutral };
                    let values: Vec<f32> = labels.iter().map(|label| f32::from(u8::from(label == heard))).collect();
                    let scores = Scores::new(&labels, &values).unwrap();
                    let silent = actor == 2 && code == 4 && take == 1;
                    answers.list.push((clip, (!silent).then_some(scores)));
                }
            }
        }
        answers
    }

    #[test]
    fn rows_split_what_one_figure_hides() {
        let answers = answers();
        assert_eq!((answers.len(), answers.unanswered(), answers.answered().0.len()), (8, 1, 7));
        let all = answers.row("all");
        assert_eq!((all.samples, all.unanswered, all.accuracy, all.uar), (8, 1, 0.5, 0.5));
        let table = answers.by("by sex", |clip| clip.sex.map(|sex| sex.to_string()));
        let figures: Vec<_> = table.rows.iter().map(|row| (row.name.as_str(), row.uar, row.unanswered)).collect();
        assert_eq!(figures, [("female", 0.0, 1), ("male", 1.0, 0)]);
        assert_eq!(table.spread(), Some([0.0, 1.0]));
        let [uar, _] = table.means().unwrap();
        assert_eq!(uar, MeanDeviation { mean: 0.5, deviation: 0.5f64.sqrt() });
        assert_eq!(uar.to_string(), "50.0 ± 70.7 %");
        assert_eq!(MeanDeviation::of(&[0.3]).unwrap().deviation, 0.0);
        assert_eq!(MeanDeviation::of(&[]), None);
        let mut both = answers.clone();
        both.append(answers.clone()).unwrap();
        assert_eq!((both.len(), both.unanswered()), (16, 2));
        assert!(both.append(Answers::new(&LabelSet::speech8())).is_err());
        assert!(answers.by("", |_| None).rows.is_empty());
        let men = answers.only(|clip| clip.speaker_key() == "ravdess/01");
        assert_eq!((men.len(), men.row("").uar), (4, 1.0));
        // Two speakers, one understood and one not: nothing is known of a third.
        assert_eq!(answers.interval_by_speaker(), [0.0, 1.0]);
        let [low, high] = all.uar_interval;
        assert!(low > 0.05 && high < 0.95, "{low} {high}");
    }

    #[test]
    fn tables_line_up_and_serialise_by_name() {
        let table = answers().by("mean recall by speaker", |clip| Some(clip.speaker_key()));
        let text = table.to_string();
        let widths: Vec<usize> = text.lines().map(|line| line.chars().count()).collect();
        assert!(widths.len() == 3 && widths.iter().all(|width| *width == widths[0]), "{text}");
        let json = serde_json::to_value(&table).unwrap();
        assert_eq!(json["ravdess/02"]["unanswered"], 1);
        assert_eq!(json["ravdess/01"]["uar"], 1.0);
    }

    #[test]
    #[cfg(feature = "pretrained")]
    fn noise_is_the_same_in_every_run_and_calm_folds_into_neutral() {
        let model = SerModel::pretrained().unwrap();
        let samples: Vec<f32> = (0..24_000)
            .map(|i| {
                let time = i as f32 / 16_000.0;
                let wave: f32 =
                    (1..9).map(|k| (time * 150.0 * k as f32 * std::f32::consts::TAU).sin() / k as f32).sum();
                0.2 * wave * (time * 9.0).sin().powi(2)
            })
            .collect();
        let sound = Sound { clip: clip("03-01-02-01-01-01-01.wav"), samples: samples.into() };
        let ask = |seed| {
            let mut answers = Answers::new(&LabelSet::face7());
            let condition = Condition { noise: NoiseKind::White, snr: 10.0 };
            assert!(in_noise(&mut answers, &model, &sound, condition, &Babble::default(), seed).unwrap());
            answers
        };
        assert_eq!(ask(1).list, ask(1).list);
        assert_ne!(ask(1).list, ask(2).list);
        assert_eq!(ask(1).answered().0, [Emotion::Neutral]);

        let mut sad_or_happy = Answers::new(&LabelSet::new(&[Emotion::Sad, Emotion::Happy]).unwrap());
        assert!(!sad_or_happy.ask(&model, &sound).unwrap());
        assert!(sad_or_happy.is_empty());
    }
}
