//! Whether a figure can be believed: the same sample, a near copy of it, or the same person on both sides of a split.
//!
//! A model remembers what it was trained on. A test sample that also stands in the training part, or a flipped, cropped or
//! recompressed copy of it, measures memory; so does a speaker who stands in both. [`audit`] looks for:
//!
//! - **exact copies**: the same decoded content, by SHA-256 ([`ContentHash`]);
//! - **near copies** of pictures, mirrored ones too: by a 256-bit difference hash and the correlation of thumbnails
//!   ([`ImageHash`]), with the thresholds of [`AuditConfig`]; copies that were moved or turned too where an item brings the
//!   looks of its changed versions;
//! - **near copies** of recordings: by the course of their bands' energies ([`SoundHash`]), which another level, silence at
//!   the ends and faint noise leave as it is, but not a stretch in time, a change of pitch or audible noise;
//! - **shared groups**: a speaker or person in several parts.
//!
//! ```
//! use model_kit::audit::{AuditConfig, ContentHash, Item, audit};
//!
//! let item = |name: &str, split: &str, content: &[u8]| Item {
//!     name: name.to_owned(),
//!     split: split.to_owned(),
//!     label: None,
//!     group: None,
//!     content: ContentHash::of_bytes(content),
//!     look: None,
//!     changed: Vec::new(),
//!     sound: None,
//! };
//! let report = audit(&[item("a", "train", b"x"), item("b", "test", b"x")], &AuditConfig::default())?;
//! assert!(!report.is_clean());
//! assert_eq!(report.exact.groups, [["a", "b"]]);
//! # Ok::<(), model_kit::Error>(())
//! ```

mod hash;
mod report;
mod search;
mod sound;

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::{Error, Result};

pub use hash::{ContentHash, ImageHash};
pub use report::{AuditReport, Crossing, ExactCopies, NearCopies, NearPair, NearSound, NearSounds, SharedGroups};
pub use sound::SoundHash;

/// A sample as the audit sees it.
#[derive(Debug, Clone)]
pub struct Item {
    /// Its name in the report, such as a path or a row number; best unlike all others.
    pub name: String,
    /// The part of the split that it stands in, such as `training`.
    pub split: String,
    /// Its label, if known: exact copies with different labels are counted.
    pub label: Option<String>,
    /// Its speaker or person, if known.
    pub group: Option<String>,
    /// The hash of its content.
    pub content: ContentHash,
    /// For pictures: what it looks like, to find near copies.
    pub look: Option<ImageHash>,
    /// For pictures: what versions of it look like that were moved, turned or otherwise changed as an augmentation would.
    /// A sample that looks like one of them counts as a near copy. Mostly empty: it takes a search for each.
    pub changed: Vec<ImageHash>,
    /// For recordings: how it sounds, to find near copies.
    pub sound: Option<SoundHash>,
}

/// When two pictures or two recordings count as near copies.
///
/// The defaults for pictures were chosen on FER-2013, whose 48×48 faces, all framed alike, are harder to tell apart than most
/// pictures; that for recordings on RAVDESS, whose actors say two sentences again and again.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct AuditConfig {
    /// The largest number of the 256 hash bits that may differ, 0 to 31. Default: 24.
    pub max_distance: u32,
    /// The smallest correlation of the thumbnails, -1 to 1: keeps pictures apart that are almost all of one tone, whose
    /// hashes are noise. Default: 0.8.
    pub min_correlation: f32,
    /// Whether mirrored copies are looked for too. Default: true.
    pub mirrored: bool,
    /// The smallest correlation of two recordings' [`SoundHash`]es, -1 to 1. Default: 0.9.
    pub min_sound_correlation: f32,
}

impl Default for AuditConfig {
    fn default() -> Self {
        Self { max_distance: 24, min_correlation: 0.8, mirrored: true, min_sound_correlation: 0.9 }
    }
}

/// Looks for what stands on several sides of a split.
///
/// # Errors
/// [`Error::InvalidConfig`] for thresholds out of their range.
pub fn audit(items: &[Item], config: &AuditConfig) -> Result<AuditReport> {
    if config.max_distance > search::MAX_DISTANCE {
        let expected = format!("0 to {}", search::MAX_DISTANCE);
        return Err(Error::config("max_distance", expected, config.max_distance));
    }
    for (name, value) in
        [("min_correlation", config.min_correlation), ("min_sound_correlation", config.min_sound_correlation)]
    {
        if !(-1.0..=1.0).contains(&value) {
            return Err(Error::config(name, "-1 to 1", value));
        }
    }

    let mut splits: BTreeMap<String, u64> = BTreeMap::new();
    for item in items {
        *splits.entry(item.split.clone()).or_default() += 1;
    }
    let same = same_content(items);
    Ok(AuditReport {
        schema: AuditReport::SCHEMA,
        samples: items.len() as u64,
        splits,
        settings: *config,
        exact: exact_copies(items, &same),
        near: near_copies(items, &same, config),
        near_sounds: near_sounds(items, &same, config),
        shared_groups: shared_groups(items),
    })
}

/// The items of each content, in the order of the first of them.
fn same_content(items: &[Item]) -> Vec<Vec<usize>> {
    let mut places: BTreeMap<&ContentHash, usize> = BTreeMap::new();
    let mut same: Vec<Vec<usize>> = Vec::new();
    for (index, item) in items.iter().enumerate() {
        let place = *places.entry(&item.content).or_insert(same.len());
        if place == same.len() {
            same.push(Vec::new());
        }
        same[place].push(index);
    }
    same
}

fn exact_copies(items: &[Item], same: &[Vec<usize>]) -> ExactCopies {
    let copies: Vec<&Vec<usize>> = same.iter().filter(|members| members.len() > 1).collect();
    let conflicting = |members: &[usize]| {
        members.iter().filter_map(|&index| items[index].label.as_ref()).collect::<BTreeSet<_>>().len() > 1
    };
    // Each copy beside each other one, both ways round.
    let touching = copies.iter().flat_map(|members| {
        members
            .iter()
            .flat_map(|&one| members.iter().filter(move |&&other| other != one).map(move |&other| (one, other)))
    });
    ExactCopies {
        samples: copies.iter().map(|members| members.len() as u64).sum(),
        conflicting_labels: copies.iter().filter(|members| conflicting(members)).count() as u64,
        across: crossings(items, touching),
        groups: copies.iter().map(|members| members.iter().map(|&index| items[index].name.clone()).collect()).collect(),
    }
}

fn near_copies(items: &[Item], same: &[Vec<usize>], config: &AuditConfig) -> Option<NearCopies> {
    // Exact copies look alike too; one of each is enough to find the near ones of all.
    let looks: Vec<(usize, &ImageHash)> = same
        .iter()
        .enumerate()
        .filter_map(|(place, members)| items[members[0]].look.as_ref().map(|look| (place, look)))
        .collect();
    if looks.is_empty() {
        return None;
    }
    let hashes: Vec<&ImageHash> = looks.iter().map(|(_, look)| *look).collect();
    let changed: Vec<&[ImageHash]> = looks.iter().map(|(place, _)| &*items[same[*place][0]].changed).collect();
    let found = search::near_pairs(&hashes, &changed, config);
    let members = |hash: usize| &same[looks[hash].0];

    let touching = found.iter().flat_map(|pair| {
        let (first, second) = (members(pair.first), members(pair.second));
        first.iter().flat_map(move |&one| second.iter().flat_map(move |&other| [(one, other), (other, one)]))
    });
    let across = crossings(items, touching);
    let name = |hash: usize| items[members(hash)[0]].name.clone();
    let pairs = found.iter().map(|pair| NearPair {
        first: name(pair.first),
        second: name(pair.second),
        distance: pair.distance,
        correlation: pair.correlation,
        mirrored: pair.mirrored,
        changed: pair.changed,
    });
    Some(NearCopies { across, pairs: pairs.collect() })
}

fn near_sounds(items: &[Item], same: &[Vec<usize>], config: &AuditConfig) -> Option<NearSounds> {
    let sounds: Vec<(&Vec<usize>, &SoundHash)> =
        same.iter().filter_map(|members| items[members[0]].sound.as_ref().map(|sound| (members, sound))).collect();
    if sounds.is_empty() {
        return None;
    }
    let hashes: Vec<&SoundHash> = sounds.iter().map(|(_, sound)| *sound).collect();
    let found = sound::near_pairs(&hashes, config.min_sound_correlation);
    let touching = found.iter().flat_map(|&(first, second, _)| {
        let (first, second) = (sounds[first].0, sounds[second].0);
        first.iter().flat_map(move |&one| second.iter().flat_map(move |&other| [(one, other), (other, one)]))
    });
    let across = crossings(items, touching);
    let name = |sound: usize| items[sounds[sound].0[0]].name.clone();
    let pairs = found.iter().map(|&(first, second, correlation)| NearSound {
        first: name(first),
        second: name(second),
        correlation,
    });
    Some(NearSounds { across, pairs: pairs.collect() })
}

/// For each two parts, how many samples of the one are touched by a sample of the other.
fn crossings(items: &[Item], touching: impl Iterator<Item = (usize, usize)>) -> Vec<Crossing> {
    let mut touched: BTreeMap<(&str, &str), BTreeSet<usize>> = BTreeMap::new();
    for (sample, other) in touching {
        let (split, other) = (items[sample].split.as_str(), items[other].split.as_str());
        if split != other {
            touched.entry((split, other)).or_default().insert(sample);
        }
    }
    touched
        .into_iter()
        .map(|((split, other), samples)| Crossing {
            split: split.to_owned(),
            also_in: other.to_owned(),
            samples: samples.len() as u64,
        })
        .collect()
}

fn shared_groups(items: &[Item]) -> Option<Vec<SharedGroups>> {
    let mut groups: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for item in items {
        if let Some(group) = &item.group {
            groups.entry(group).or_default().insert(&item.split);
        }
    }
    if groups.is_empty() {
        return None;
    }
    let mut shared: BTreeMap<(&str, &str), Vec<String>> = BTreeMap::new();
    for (group, splits) in groups {
        for first in &splits {
            for second in splits.iter().filter(|second| *second > first) {
                shared.entry((first, second)).or_default().push(group.to_owned());
            }
        }
    }
    let shared = shared
        .into_iter()
        .map(|((first, second), groups)| SharedGroups { splits: [first.to_owned(), second.to_owned()], groups });
    Some(shared.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(name: &str, split: &str, label: &str, group: &str, pixels: &[u8]) -> Item {
        Item {
            name: name.to_owned(),
            split: split.to_owned(),
            label: Some(label.to_owned()),
            group: Some(group.to_owned()),
            content: ContentHash::of_gray(16, pixels),
            look: Some(ImageHash::of_gray(16, 16, pixels).unwrap()),
            changed: Vec::new(),
            sound: None,
        }
    }

    /// A picture without symmetry, and one of other content.
    fn picture(factor: u32) -> Vec<u8> {
        (0..256u32).map(|pixel| (pixel * pixel * factor / 37 % 251) as u8).collect()
    }

    #[test]
    fn each_kind_of_leak_is_found_and_counted_by_samples() {
        let mut watermarked = picture(3);
        watermarked[40] = 255;
        let mut flipped = picture(5);
        flipped.chunks_exact_mut(16).for_each(<[u8]>::reverse);
        let items = [
            item("a", "train", "happy", "ann", &picture(3)),
            item("b", "train", "sad", "ann", &picture(3)),
            item("c", "test", "happy", "bob", &picture(3)),
            item("d", "test", "happy", "ann", &watermarked),
            item("e", "train", "fear", "cem", &picture(5)),
            item("f", "test", "fear", "dee", &flipped),
            item("g", "test", "fear", "dee", &picture(7)),
        ];
        let report = audit(&items, &AuditConfig::default()).unwrap();
        assert_eq!(report.exact.groups, [["a", "b", "c"]]);
        assert_eq!((report.exact.samples, report.exact.conflicting_labels), (3, 1));
        let crossing = |split: &str, also_in: &str, samples| Crossing {
            split: split.to_owned(),
            also_in: also_in.to_owned(),
            samples,
        };
        assert_eq!(report.exact.across, [crossing("test", "train", 1), crossing("train", "test", 2)]);

        let near = report.near.clone().unwrap();
        let pairs: Vec<_> =
            near.pairs.iter().map(|pair| (pair.first.as_str(), pair.second.as_str(), pair.mirrored)).collect();
        assert_eq!(pairs, [("a", "d", false), ("e", "f", true)]);
        // "d" is near to "c" as well, but that stands in its own part.
        assert_eq!(near.across, [crossing("test", "train", 2), crossing("train", "test", 3)]);

        let shared = report.shared_groups.clone().unwrap();
        assert_eq!(shared, [SharedGroups { splits: ["test".into(), "train".into()], groups: vec!["ann".into()] }]);
        assert!(!report.is_clean() && report.to_string().contains("2 of train also stand in test"));
        assert_eq!(serde_json::to_value(&report).unwrap()["exact"]["groups"][0][2], "c");
    }

    #[test]
    fn copies_that_were_changed_are_found_by_the_looks_that_an_item_brings() {
        // Moved by four pixels, which the hash alone does not forgive.
        let moved: Vec<u8> = (0..256).map(|pixel| picture(3)[(pixel + 252) % 256]).collect();
        let mut items = [item("a", "train", "happy", "ann", &picture(3)), item("b", "test", "happy", "bob", &moved)];
        assert!(audit(&items, &AuditConfig::default()).unwrap().is_clean());
        items[1].changed.push(items[0].look.clone().unwrap());
        let report = audit(&items, &AuditConfig::default()).unwrap();
        let pair = &report.near.as_ref().unwrap().pairs[0];
        assert_eq!((pair.first.as_str(), pair.second.as_str(), pair.changed, pair.distance), ("a", "b", true, 0));
        assert!(!report.is_clean() && report.to_string().contains("1 of them changed"));
    }

    #[test]
    fn recordings_that_sound_alike_are_found_across_parts() {
        let sound = |name: &str, split: &str, seed: f32, level: f32| {
            let bands: Vec<f32> = (0..90 * 20)
                .map(|value| ((value / 20) as f32 * (0.15 + seed) + (value % 20) as f32 * seed).sin() * 9.0 + level)
                .collect();
            Item {
                sound: Some(SoundHash::of_bands(&bands, 20).unwrap()),
                look: None,
                ..item(name, split, "happy", name, name.repeat(256).as_bytes())
            }
        };
        let items = [sound("a", "train", 0.3, -30.0), sound("b", "test", 0.3, -5.0), sound("c", "test", 0.7, -30.0)];
        let report = audit(&items, &AuditConfig::default()).unwrap();
        let sounds = report.near_sounds.clone().unwrap();
        assert_eq!(
            (sounds.pairs.len(), sounds.pairs[0].first.as_str(), sounds.pairs[0].second.as_str()),
            (1, "a", "b")
        );
        assert_eq!(sounds.across.len(), 2);
        assert!(!report.is_clean() && report.to_string().contains("near copies of recordings: 1 pairs"));
        assert!(audit(&[], &AuditConfig { min_sound_correlation: 1.5, ..Default::default() }).is_err());
    }

    #[test]
    fn parts_that_share_nothing_are_clean() {
        let items = [
            item("a", "train", "happy", "ann", &picture(3)),
            item("b", "train", "happy", "ann", &picture(3)),
            item("c", "test", "happy", "bob", &picture(7)),
        ];
        let report = audit(&items, &AuditConfig::default()).unwrap();
        assert!(report.is_clean() && report.exact.groups.len() == 1);
        assert!(report.to_string().ends_with("clean: nothing found on two sides\n"));
        assert!(audit(&[], &AuditConfig::default()).unwrap().is_clean());
    }

    #[test]
    fn thresholds_are_checked() {
        assert!(audit(&[], &AuditConfig { max_distance: 32, ..Default::default() }).is_err());
        assert!(audit(&[], &AuditConfig { min_correlation: f32::NAN, ..Default::default() }).is_err());
    }
}
