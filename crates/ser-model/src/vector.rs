//! The 162 classic numbers, standardised.

use audio_features::summary::vector_162;
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

    /// Subtracts the mean and divides by the deviation.
    pub fn standardize(&self, vector: &[f32]) -> Vec<f32> {
        let statistics = self.mean.iter().zip(&self.deviation);
        vector.iter().zip(statistics).map(|(value, (mean, deviation))| (value - mean) / deviation).collect()
    }
}

/// The published procedure hears 2.5 s from 0.6 s on.
const OFFSET: usize = SAMPLE_RATE as usize * 6 / 10;
const LENGTH: usize = SAMPLE_RATE as usize * 5 / 2;

/// The raw vector of mono sound at [`SAMPLE_RATE`]: of 2.5 s from 0.6 s on, or of all of it when that would leave less
/// than half a second.
///
/// # Errors
/// [`Error::Features`] for empty sound and samples that are not finite.
pub fn vector(samples: &[f32]) -> Result<Vec<f32>, Error> {
    let start = if samples.len() >= OFFSET + SAMPLE_RATE as usize / 2 { OFFSET } else { 0 };
    let piece = &samples[start..samples.len().min(start + LENGTH)];
    Ok(vector_162(piece, SAMPLE_RATE)?.to_vec())
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
}
