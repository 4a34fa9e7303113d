//! What features are standardised with.

use std::collections::BTreeMap;

use ndarray::{Array2, Axis};
use serde::{Deserialize, Serialize};

/// The mean and the deviation of each row of the training clips' features: of each of the 162 numbers, or of each
/// coefficient over all frames.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Statistics {
    /// The mean of each row.
    pub mean: Vec<f32>,
    /// The standard deviation of each row, above 0.
    pub deviation: Vec<f32>,
}

impl Statistics {
    /// The statistics over all columns of features `[rows, columns]` with as many rows each. A row that never varies gets
    /// the deviation 1; of no features at all nothing is known, and the lists are empty.
    pub fn of(features: &[Array2<f32>]) -> Self {
        let rows = features.first().map_or(0, Array2::nrows);
        let count = features.iter().map(Array2::ncols).sum::<usize>().max(1) as f64;
        let mut statistics = Self { mean: Vec::with_capacity(rows), deviation: Vec::with_capacity(rows) };
        for row in 0..rows {
            let values = || features.iter().flat_map(|features| features.row(row).into_iter().map(|&x| f64::from(x)));
            let mean = values().sum::<f64>() / count;
            let variance = values().map(|value| (value - mean).powi(2)).sum::<f64>() / count;
            statistics.mean.push(mean as f32);
            statistics.deviation.push(if variance > 1e-12 { variance.sqrt() as f32 } else { 1.0 });
        }
        statistics
    }

    /// Subtracts the mean of each row and divides by its deviation. Rows without statistics stay as they are.
    pub fn standardize(&self, features: &mut Array2<f32>) {
        let statistics = self.mean.iter().zip(&self.deviation);
        for (mut row, (mean, deviation)) in features.axis_iter_mut(Axis(0)).zip(statistics) {
            row.mapv_inplace(|value| (value - mean) / deviation);
        }
    }

    /// Standardises every speaker's features by that speaker's own mean and deviation. `speakers[i]` spoke `features[i]`.
    ///
    /// **What it costs in honesty.** It is not a figure for strangers: it takes all of a speaker's clips, of every emotion in
    /// about the same number, before the first is answered. A program that hears a voice for the first time cannot do
    /// it; one that knows its user can, after enrolment ([`SerModel::adapt_to`](crate::SerModel::adapt_to)). Where the
    /// test clips themselves are the enrolment, as in most papers that do it, the model has seen the test part (without
    /// its labels). Report such a figure beside the one without it, and say so.
    pub fn standardize_by_speaker(features: &mut [Array2<f32>], speakers: &[String]) {
        let mut members: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for (index, speaker) in speakers.iter().enumerate().take(features.len()) {
            members.entry(speaker).or_default().push(index);
        }
        for indices in members.into_values() {
            let own: Vec<Array2<f32>> = indices.iter().map(|&index| features[index].clone()).collect();
            let statistics = Self::of(&own);
            indices.into_iter().for_each(|index| statistics.standardize(&mut features[index]));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn standardised_rows_have_mean_0_and_deviation_1() {
        let mut features: Vec<Array2<f32>> =
            (0..10).map(|i| Array2::from_shape_fn((162, 1 + i % 3), |(k, t)| (i * k + t) as f32)).collect();
        let statistics = Statistics::of(&features);
        features.iter_mut().for_each(|features| statistics.standardize(features));
        let values: Vec<f32> = features.iter().flat_map(|features| features.row(100).to_vec()).collect();
        let count = values.len() as f32;
        let (sum, squares): (f32, f32) = (values.iter().sum(), values.iter().map(|x| x * x).sum());
        assert!(sum.abs() < 1e-3 && (squares / count - 1.0).abs() < 1e-4, "{sum} {squares}");
        let constant = Statistics::of(&[Array2::from_elem((1, 5), 3.0)]);
        assert_eq!((constant.mean[0], constant.deviation[0]), (3.0, 1.0));
        assert!(Statistics::of(&[]).mean.is_empty());
    }

    #[test]
    fn every_speaker_is_standardised_alone() {
        let speakers: Vec<String> = (0..20).map(|i| format!("speaker {}", i % 2)).collect();
        // The second speaker is louder and varies more in everything.
        let value = |i: usize, k: usize| ((i * 7 + k) % 5) as f32 * (1 + i % 2 * 9) as f32 + (i % 2 * 100) as f32;
        let mut features: Vec<Array2<f32>> =
            (0..20).map(|i| Array2::from_shape_fn((162, 1), |(k, _)| value(i, k))).collect();
        Statistics::standardize_by_speaker(&mut features, &speakers);
        for speaker in 0..2 {
            let own: Vec<f32> = features.iter().skip(speaker).step_by(2).map(|features| features[[50, 0]]).collect();
            let mean = own.iter().sum::<f32>() / 10.0;
            let variance = own.iter().map(|x| (x - mean).powi(2)).sum::<f32>() / 10.0;
            assert!(mean.abs() < 1e-4 && (variance - 1.0).abs() < 1e-3, "{mean} {variance}");
        }
    }
}
