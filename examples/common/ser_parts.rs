//! Which clips `train_ser` learns from, watches and measures on.

use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use emotion_core::Emotion;
use model_kit::audit::{AuditConfig, ContentHash, Item, audit};
use model_kit::split::SavedSplit;
use ser_model::SAMPLE_RATE;
use ser_model::corpus::split::from_saved;
use ser_model::corpus::{Clip, Corpus};
use ser_model::dataset::Sound;

/// The places of clips in a list, by what they are for.
#[derive(Default)]
pub(crate) struct Parts {
    pub(crate) train: Vec<usize>,
    pub(crate) validation: Vec<usize>,
    pub(crate) test: Vec<usize>,
}

impl Parts {
    /// By RAVDESS actors; everything else is learnt from.
    pub(crate) fn by_actors(clips: &[Clip], test: &[String], validation: &[String]) -> Self {
        let mut parts = Self::default();
        for (place, clip) in clips.iter().enumerate() {
            let is_by =
                |actors: &[String]| clip.corpus == Corpus::Ravdess && actors.iter().any(|actor| clip.is_by(actor));
            if is_by(test) {
                parts.test.push(place);
            } else if is_by(validation) {
                parts.validation.push(place);
            } else {
                parts.train.push(place);
            }
        }
        parts
    }

    /// Those of a file: `train`, `validation` where there is one, and `test`.
    pub(crate) fn load(path: &Path, clips: &[Clip]) -> Result<Self> {
        let split = SavedSplit::load(path)?;
        let mut parts = Self::default();
        for (name, places) in from_saved(&split, clips)? {
            match name.as_str() {
                "train" => parts.train = places,
                "validation" => parts.validation = places,
                "test" => parts.test = places,
                _ => bail!("{}: the parts are train, validation and test, got {name:?}", path.display()),
            }
        }
        ensure!(!parts.train.is_empty(), "{} has no part `train`", path.display());
        Ok(parts)
    }

    /// Writes the file that [`load`](Self::load) reads; returns its hash.
    pub(crate) fn save(&self, path: &Path, description: &str, clips: &[Clip]) -> Result<String> {
        let keys: Vec<String> = clips.iter().map(Clip::key).collect();
        let all: [(&str, &[usize]); 3] =
            [("train", &self.train), ("validation", &self.validation), ("test", &self.test)];
        let there: Vec<(&str, &[usize])> = all.into_iter().filter(|(_, places)| !places.is_empty()).collect();
        let split = SavedSplit::new(description, &keys, &there)?;
        split.save(path)?;
        Ok(split.hash().to_owned())
    }

    /// What stands on several sides, in one line: exact copies of recordings, and speakers.
    pub(crate) fn audit(&self, sounds: &[Sound]) -> Result<String> {
        let parts = [("train", &self.train), ("validation", &self.validation), ("test", &self.test)];
        let items: Vec<Item> = parts
            .into_iter()
            .flat_map(|(part, places)| places.iter().map(move |&place| (part, &sounds[place])))
            .map(|(part, sound)| Item {
                name: sound.clip.key(),
                split: part.to_owned(),
                label: Some(sound.clip.emotion.to_string()),
                group: Some(sound.clip.speaker_key()),
                content: ContentHash::of_sound(SAMPLE_RATE, &sound.samples),
                look: None,
                changed: Vec::new(),
                sound: None,
            })
            .collect();
        let report = audit(&items, &AuditConfig::default())?;
        let copies: u64 =
            report.exact.across.iter().filter(|found| found.split == "test").map(|found| found.samples).sum();
        let speakers: usize = report.shared_groups.iter().flatten().map(|shared| shared.groups.len()).sum();
        Ok(match (copies, speakers) {
            (0, 0) => "no recording and no speaker on two sides".to_owned(),
            _ => format!("{copies} test recordings also outside the test part, {speakers} speakers on two sides"),
        })
    }
}

/// Numbers and ranges of numbers, separated by commas: `1-4,9` is 1, 2, 3, 4, 9.
pub(crate) fn actors(list: &str) -> Result<Vec<String>> {
    let mut actors = Vec::new();
    for part in list.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let number = |text: &str| text.parse::<u32>().with_context(|| format!("{text:?} is no number of an actor"));
        actors.extend((number(first)?..=number(last)?).map(|actor| actor.to_string()));
    }
    Ok(actors)
}

/// Counts calm clips as neutral: RAVDESS alone has calm.
pub(crate) fn without_calm(clip: Clip) -> Clip {
    let emotion = if clip.emotion == Emotion::Calm { Emotion::Neutral } else { clip.emotion };
    Clip { emotion, ..clip }
}
