//! What an audit found.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use super::AuditConfig;

/// What an audit found. Serialised as an object of the schema `emotion.audit/1`; [`fmt::Display`] prints a summary for
/// people.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AuditReport {
    /// [`AuditReport::SCHEMA`].
    pub schema: &'static str,
    /// The number of samples.
    pub samples: u64,
    /// The number of samples of each part.
    pub splits: BTreeMap<String, u64>,
    /// The thresholds for near copies.
    pub settings: AuditConfig,
    /// Exact copies.
    pub exact: ExactCopies,
    /// Near copies; `null` when no sample came with a look.
    pub near: Option<NearCopies>,
    /// Near copies of recordings; `null` when no sample came with a sound.
    pub near_sounds: Option<NearSounds>,
    /// For each two parts that share speakers or persons, which; `null` when no sample's group is known.
    pub shared_groups: Option<Vec<SharedGroups>>,
}

/// Samples of the same content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ExactCopies {
    /// The number of samples that have at least one exact copy.
    pub samples: u64,
    /// The number of groups whose samples carry different labels.
    pub conflicting_labels: u64,
    /// What stands on two sides.
    pub across: Vec<Crossing>,
    /// The names of the samples of each content that occurs more than once.
    pub groups: Vec<Vec<String>>,
}

/// Pictures that look alike without being the same.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct NearCopies {
    /// What stands on two sides.
    pub across: Vec<Crossing>,
    /// The pairs; of exact copies only the first is named.
    pub pairs: Vec<NearPair>,
}

/// Two pictures that look alike.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct NearPair {
    /// One of them.
    pub first: String,
    /// The other.
    pub second: String,
    /// The number of the 256 hash bits that differ.
    pub distance: u32,
    /// The correlation of their thumbnails.
    pub correlation: f32,
    /// Whether one is seen in a mirror.
    pub mirrored: bool,
    /// Whether one looks like a changed version of the other, moved or turned.
    pub changed: bool,
}

/// Recordings that sound alike without being the same.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct NearSounds {
    /// What stands on two sides.
    pub across: Vec<Crossing>,
    /// The pairs; of exact copies only the first is named.
    pub pairs: Vec<NearSound>,
}

/// Two recordings that sound alike.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct NearSound {
    /// One of them.
    pub first: String,
    /// The other.
    pub second: String,
    /// The correlation of their courses.
    pub correlation: f32,
}

/// How many samples of one part have a copy in another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Crossing {
    /// The part whose samples are counted.
    pub split: String,
    /// The part in which their copies stand.
    pub also_in: String,
    /// The number of samples.
    pub samples: u64,
}

/// Speakers or persons who stand in two parts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SharedGroups {
    /// The two parts.
    pub splits: [String; 2],
    /// Who stands in both.
    pub groups: Vec<String>,
}

impl AuditReport {
    /// The name and version of the file format.
    pub const SCHEMA: &str = "emotion.audit/1";

    /// Whether nothing was found on two sides of the split. Copies within one part do not count.
    pub fn is_clean(&self) -> bool {
        self.exact.across.is_empty()
            && self.near.as_ref().is_none_or(|near| near.across.is_empty())
            && self.near_sounds.as_ref().is_none_or(|near| near.across.is_empty())
            && self.shared_groups.as_ref().is_none_or(Vec::is_empty)
    }
}

impl fmt::Display for AuditReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let splits: Vec<String> = self.splits.iter().map(|(split, samples)| format!("{split} {samples}")).collect();
        writeln!(f, "{} samples: {}", self.samples, splits.join(", "))?;

        let ExactCopies { samples, conflicting_labels, across, groups } = &self.exact;
        writeln!(
            f,
            "\nexact copies: {} groups of {samples} samples, {conflicting_labels} with different labels",
            groups.len()
        )?;
        crossings(f, across)?;

        if let Some(NearCopies { across, pairs }) = &self.near {
            let AuditConfig { max_distance, min_correlation, .. } = self.settings;
            let mirrored = pairs.iter().filter(|pair| pair.mirrored).count();
            let changed = match pairs.iter().filter(|pair| pair.changed).count() {
                0 => String::new(),
                changed => format!(", {changed} of them changed"),
            };
            writeln!(
                f,
                "\nnear copies: {} pairs, {mirrored} of them mirrored{changed} (at most {max_distance} of 256 bits apart, thumbnails \
                 correlating at least {min_correlation})",
                pairs.len()
            )?;
            crossings(f, across)?;
        }
        if let Some(NearSounds { across, pairs }) = &self.near_sounds {
            let least = self.settings.min_sound_correlation;
            writeln!(f, "\nnear copies of recordings: {} pairs (courses correlating at least {least})", pairs.len())?;
            crossings(f, across)?;
        }
        match &self.shared_groups {
            None => {}
            Some(shared) if shared.is_empty() => writeln!(f, "\nspeakers or persons: none in two parts")?,
            Some(shared) => {
                writeln!(f, "\nspeakers or persons in two parts:")?;
                for SharedGroups { splits: [first, second], groups } in shared {
                    writeln!(f, "  {first} and {second}: {}", groups.join(", "))?;
                }
            }
        }
        let verdict = if self.is_clean() {
            "clean: nothing found on two sides"
        } else {
            "NOT clean: figures across these parts are too good"
        };
        writeln!(f, "\n{verdict}")
    }
}

fn crossings(f: &mut fmt::Formatter<'_>, across: &[Crossing]) -> fmt::Result {
    if across.is_empty() {
        writeln!(f, "  none across parts")?;
    }
    across.iter().try_for_each(|Crossing { split, also_in, samples }| {
        writeln!(f, "  {samples} of {split} also stand in {also_in}")
    })
}
