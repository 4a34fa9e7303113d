//! The 162 classic numbers, standardised.

use std::collections::BTreeMap;

use audio_features::Precision;
use audio_features::summary::Vector162;
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::arch::VECTOR;
use crate::input::SAMPLE_RATE;

/// What the raw numbers are standardised with: the statistics of the training clips.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VectorConfig {
    /// The mean of each number, 162 of them.
    pub mean: Vec<f32>,
    /// The standard deviation of each number, 162 of them, above 0.
    pub deviation: Vec<f32>,
}

impl VectorConfig {
    /// The statistics of a list of vectors. A number that never varies gets the deviation 1.
    pub fn of(vectors: &[Vec<f32>]) -> Self {
        let count = vectors.len().max(1) as f64;
        let mut config = Self { mean: Vec::new(), deviation: Vec::new() };
        for index in 0..VECTOR as usize {
            let column = || vectors.iter().map(|vector| f64::from(vector[index]));
            let mean = column().sum::<f64>() / count;
            let variance = column().map(|value| (value - mean).powi(2)).sum::<f64>() / count;
            config.mean.push(mean as f32);
            config.deviation.push(if variance > 1e-12 { variance.sqrt() as f32 } else { 1.0 });
        }
        config
    }

    /// Standardises every speaker's vectors by that speaker's own mean and deviation. `speakers[i]` spoke `vectors[i]`.
    ///
    /// **What it costs in honesty.** It is not a figure for strangers: it takes all of a speaker's clips, of every emotion in
    /// about the same number, before the first is answered. A program that hears a voice for the first time cannot do
    /// it; one that knows its user can, after enrolment ([`SerModel::adapt_to`](crate::SerModel::adapt_to)). Where the
    /// test clips themselves are the enrolment, as in most papers that do it, the model has seen the test part (without
    /// its labels). Report such a figure beside the one without it, and say so.
    pub fn standardize_by_speaker(vectors: &mut [Vec<f32>], speakers: &[String]) {
        let mut members: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for (index, speaker) in speakers.iter().enumerate().take(vectors.len()) {
            members.entry(speaker).or_default().push(index);
        }
        for indices in members.into_values() {
            let own: Vec<Vec<f32>> = indices.iter().map(|&index| vectors[index].clone()).collect();
            let config = Self::of(&own);
            for (index, vector) in indices.into_iter().zip(own) {
                vectors[index] = config.standardize(&vector);
            }
        }
    }

    /// Subtracts the mean and divides by the deviation.
    pub fn standardize(&self, vector: &[f32]) -> Vec<f32> {
        let statistics = self.mean.iter().zip(&self.deviation);
        vector.iter().zip(statistics).map(|(value, (mean, deviation))| (value - mean) / deviation).collect()
    }
}

/// The published procedure hears 2.5 s from 0.6 s on.
const OFFSET: usize = SAMPLE_RATE as usize * 6 / 10;
const LENGTH: usize = SAMPLE_RATE as usize * 5 / 2;

/// A planned extraction of raw vectors: planned once, then used for any number of clips from any number of threads.
///
/// ```
/// let plan = ser_model::VectorPlan::new()?;
/// let samples: Vec<f32> = (0..48_000).map(|n| (n as f32 * 0.05).sin() * 0.1).collect();
/// assert_eq!(plan.vector(&samples)?.len(), 162);
/// # Ok::<(), ser_model::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct VectorPlan(Vector162);

impl VectorPlan {
    /// Plans for [`SAMPLE_RATE`].
    ///
    /// # Errors
    /// [`Error::Features`] when the transform cannot be planned.
    pub fn new() -> Result<Self, Error> {
        Ok(Self(Vector162::new(f64::from(SAMPLE_RATE), Precision::Parity)?))
    }

    /// The raw vector of mono sound at [`SAMPLE_RATE`]: of 2.5 s from 0.6 s on, or of the first 2.5 s when that would leave
    /// less than half a second.
    ///
    /// # Errors
    /// [`Error::Features`] for empty sound and samples that are not finite.
    pub fn vector(&self, samples: &[f32]) -> Result<Vec<f32>, Error> {
        let start = if samples.len() >= OFFSET + SAMPLE_RATE as usize / 2 { OFFSET } else { 0 };
        let piece = &samples[start..samples.len().min(start + LENGTH)];
        Ok(self.0.process(piece)?.to_vec())
    }
}

/// The raw vector of one clip, planned for this one call; see [`VectorPlan`].
///
/// # Errors
/// As [`VectorPlan::vector`].
pub fn vector(samples: &[f32]) -> Result<Vec<f32>, Error> {
    VectorPlan::new()?.vector(samples)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn standardised_vectors_have_mean_0_and_deviation_1() {
        let vectors: Vec<Vec<f32>> = (0..10).map(|i| (0..162).map(|k| (i * k) as f32).collect()).collect();
        let config = VectorConfig::of(&vectors);
        let sum: f32 = vectors.iter().map(|vector| config.standardize(vector)[100]).sum();
        let squares: f32 = vectors.iter().map(|vector| config.standardize(vector)[100].powi(2)).sum();
        assert!(sum.abs() < 1e-4 && (squares / 10.0 - 1.0).abs() < 1e-4);
        assert_eq!(config.deviation[0], 1.0);
    }

    #[test]
    fn every_speaker_is_standardised_alone() {
        let speakers: Vec<String> = (0..20).map(|i| format!("speaker {}", i % 2)).collect();
        // The second speaker is louder and varies more in everything.
        let mut vectors: Vec<Vec<f32>> = (0..20)
            .map(|i| {
                (0..162).map(|k| ((i * 7 + k) % 5) as f32 * (1 + i % 2 * 9) as f32 + (i % 2 * 100) as f32).collect()
            })
            .collect();
        VectorConfig::standardize_by_speaker(&mut vectors, &speakers);
        for speaker in 0..2 {
            let own: Vec<f32> = vectors.iter().skip(speaker).step_by(2).map(|vector| vector[50]).collect();
            let mean = own.iter().sum::<f32>() / 10.0;
            let variance = own.iter().map(|x| (x - mean).powi(2)).sum::<f32>() / 10.0;
            assert!(mean.abs() < 1e-4 && (variance - 1.0).abs() < 1e-3, "{mean} {variance}");
        }
    }

    #[test]
    fn one_plan_serves_clips_of_any_length() {
        let plan = VectorPlan::new().unwrap();
        let samples: Vec<f32> = (0..64_000).map(|i| (i as f32 * 0.03).sin() * 0.2).collect();
        for length in [1, 800, 12_000, 17_600, 64_000] {
            assert_eq!(plan.vector(&samples[..length]).unwrap(), vector(&samples[..length]).unwrap());
        }
        assert!(plan.vector(&[]).is_err());
    }
}
