//! Cross-validation: a network trained and measured once per fold.
//!
//! ```no_run
//! use model_kit::cross_validation::{Round, cross_validate};
//! use model_kit::device::Device;
//! use model_kit::split::grouped_k_fold;
//! use model_kit::trainer::{Criterion, TrainConfig, Trainer};
//! # fn run<D: model_kit::data::Dataset>(samples: D, speakers: &[String]) -> Result<(), model_kit::Error> {
//! # #[derive(Debug)] struct MyNetwork;
//! # impl MyNetwork { fn new(_: &tch::nn::Path) -> Result<Self, tch::TchError> { Ok(Self) } }
//! # impl model_kit::layers::Network for MyNetwork {
//! #     fn forward(&self, input: &tch::Tensor, _: bool) -> Result<tch::Tensor, tch::TchError> { input.f_relu() }
//! # }
//! let rounds: Vec<Round> = grouped_k_fold(speakers, 5, 0)?.into_iter().map(Round::from).collect();
//! let trainer = |round| Trainer::new(TrainConfig { seed: round, ..TrainConfig::default() }, Device::best(), MyNetwork::new);
//! let result = cross_validate(&rounds, (&samples, &samples), trainer, &mut [])?;
//! println!("{}", result.spread(Criterion::Accuracy)); // 0.6480 ± 0.0120
//! # Ok(())
//! # }
//! ```

use std::fmt;

use emotion_core::BoxError;
use tch::Tensor;

use crate::callback::Callback;
use crate::data::Dataset;
use crate::layers::Network;
use crate::split::{Fold, grouped, stratified};
use crate::trainer::{Criterion, Report, Score, Trainer};
use crate::{Error, Result};

/// The samples of one training of a cross-validation.
///
/// What chooses the epoch must not be what measures the result: a network chosen by its own test looks better than it is.
/// So the samples to choose by are taken from those to train on; without any, the last epoch is the result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Round {
    /// Samples to train on.
    pub train: Vec<usize>,
    /// Samples to choose the epoch by, and for schedules and early stopping to watch; may be empty.
    pub select: Vec<usize>,
    /// Samples to measure on.
    pub test: Vec<usize>,
}

impl From<Fold> for Round {
    /// A round that chooses no epoch.
    fn from(fold: Fold) -> Self {
        Self { train: fold.train, select: Vec::new(), test: fold.test }
    }
}

impl Round {
    /// A round that chooses by a `share` (0..1) of the fold's training samples, each class spread alike; sample `i` of all
    /// is of class `labels[i]`.
    ///
    /// # Errors
    /// As [`stratified`].
    pub fn choosing<L: Ord + Clone>(fold: Fold, labels: &[L], share: f64, seed: u64) -> Result<Self> {
        let own: Vec<L> = fold.train.iter().map(|&sample| labels[sample].clone()).collect();
        Self::divide(fold, stratified(&own, &[1.0 - share, share], seed)?)
    }

    /// The same with every group, a speaker or a person, wholly on one side; sample `i` of all is of group `groups[i]`.
    ///
    /// # Errors
    /// As [`grouped`].
    pub fn choosing_by_group<G: Ord + Clone>(fold: Fold, groups: &[G], share: f64, seed: u64) -> Result<Self> {
        let own: Vec<G> = fold.train.iter().map(|&sample| groups[sample].clone()).collect();
        Self::divide(fold, grouped(&own, &[1.0 - share, share], seed)?)
    }

    fn divide(fold: Fold, parts: Vec<Vec<usize>>) -> Result<Self> {
        let of = |part: &[usize]| part.iter().map(|&place| fold.train[place]).collect();
        let [train, select] = [of(&parts[0]), of(&parts[1])];
        Ok(Self { train, select, test: fold.test })
    }
}

/// Some samples of a data set, in a given order.
#[derive(Debug)]
pub struct Subset<'a, D: ?Sized> {
    dataset: &'a D,
    samples: &'a [usize],
}

impl<'a, D: Dataset + ?Sized> Subset<'a, D> {
    /// # Errors
    /// [`Error::InvalidInput`] for a sample that the data set does not have.
    pub fn new(dataset: &'a D, samples: &'a [usize]) -> Result<Self> {
        match samples.iter().find(|&&sample| sample >= dataset.len()) {
            Some(sample) => Err(Error::input("sample", format!("below {}", dataset.len()), sample)),
            None => Ok(Self { dataset, samples }),
        }
    }
}

impl<D: Dataset + ?Sized> Dataset for Subset<'_, D> {
    fn len(&self) -> usize {
        self.samples.len()
    }

    fn input_shape(&self) -> &[i64] {
        self.dataset.input_shape()
    }

    fn classes(&self) -> usize {
        self.dataset.classes()
    }

    fn class(&self, index: usize) -> Option<usize> {
        self.dataset.class(self.samples[index])
    }

    fn sample(&self, index: usize, seed: u64, input: &mut [f32], target: &mut [f32]) -> Result<(), BoxError> {
        self.dataset.sample(self.samples[index], seed, input, target)
    }

    fn batch(&self, samples: &[(usize, u64)]) -> Result<Option<(Tensor, Tensor)>, BoxError> {
        let own: Vec<_> = samples.iter().map(|&(index, seed)| (self.samples[index], seed)).collect();
        self.dataset.batch(&own)
    }
}

/// What one round came to.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The network on the round's test samples.
    pub score: Score,
    /// The course of its training.
    pub report: Report,
}

/// What a cross-validation came to.
#[derive(Debug, Clone)]
pub struct CrossValidation {
    /// One for each round, in their order.
    pub outcomes: Vec<Outcome>,
}

impl CrossValidation {
    /// Mean and deviation of a figure over the rounds.
    pub fn spread(&self, criterion: Criterion) -> Spread {
        Spread::of(self.outcomes.iter().map(|outcome| outcome.score.value(criterion)))
    }
}

/// A mean and how much the values scatter about it. Written `0.6480 ± 0.0120`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spread {
    /// The mean.
    pub mean: f64,
    /// The standard deviation of the sample (n − 1 in the denominator); 0 for fewer than two values.
    pub deviation: f64,
}

impl Spread {
    /// The spread of values; not a number for none.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let values: Vec<f64> = values.into_iter().collect();
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        let deviation = if values.len() < 2 { 0.0 } else { (squares / (values.len() - 1) as f64).sqrt() };
        Self { mean, deviation }
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.4} ± {:.4}", self.mean, self.deviation)
    }
}

/// Trains and measures one round. `sets` are the samples as training sees them, augmented, and as they are; both with the
/// same numbers. Where the round has samples to choose by, [`restore_best`](crate::trainer::TrainConfig::restore_best)
/// decides whether the best epoch is measured or the last one.
///
/// # Errors
/// As [`Trainer::fit`], and [`Error::InvalidInput`] for samples that the sets do not have, or for a training that a callback
/// stopped.
pub fn train_round<N: Network, D: Dataset, E: Dataset>(
    trainer: &mut Trainer<N>,
    round: &Round,
    (augmented, plain): (&D, &E),
    callbacks: &mut [&mut dyn Callback],
) -> Result<Outcome> {
    let train = Subset::new(augmented, &round.train)?;
    let (select, test) = (Subset::new(plain, &round.select)?, Subset::new(plain, &round.test)?);
    let report = trainer.fit(&train, (!select.is_empty()).then_some(&select), callbacks)?;
    if !report.complete {
        return Err(Error::input("cross-validation", "trainings that come to their end", "one that was stopped"));
    }
    let score = trainer.measure(&test)?;
    Ok(Outcome { score, report })
}

/// Trains and measures every round, each with a trainer of its own, given the round's number from 0. `sets` as in
/// [`train_round`]. The callbacks see all trainings, one after the other.
///
/// # Errors
/// As [`train_round`], and whatever `trainer` says.
pub fn cross_validate<N: Network, D: Dataset, E: Dataset>(
    rounds: &[Round],
    sets: (&D, &E),
    mut trainer: impl FnMut(u64) -> Result<Trainer<N>>,
    callbacks: &mut [&mut dyn Callback],
) -> Result<CrossValidation> {
    let mut outcomes = Vec::with_capacity(rounds.len());
    for (number, round) in rounds.iter().enumerate() {
        outcomes.push(train_round(&mut trainer(number as u64)?, round, sets, callbacks)?);
    }
    Ok(CrossValidation { outcomes })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::split::stratified_k_fold;

    #[test]
    fn a_spread_is_that_of_a_sample() {
        let spread = Spread::of([0.62, 0.64, 0.66]);
        assert!((spread.mean - 0.64).abs() < 1e-12 && (spread.deviation - 0.02).abs() < 1e-12);
        assert_eq!(spread.to_string(), "0.6400 ± 0.0200");
        assert_eq!(Spread::of([0.5]).deviation, 0.0);
    }

    #[test]
    fn samples_to_choose_by_come_out_of_training_alone() {
        let labels: Vec<usize> = (0..90).map(|sample| sample % 3).collect();
        for fold in stratified_k_fold(&labels, 3, 1).unwrap() {
            let round = Round::choosing(fold.clone(), &labels, 0.2, 7).unwrap();
            assert_eq!((round.train.len(), round.select.len()), (48, 12));
            assert_eq!(round.test, fold.test);
            let mut both = [round.train, round.select].concat();
            both.sort_unstable();
            assert_eq!(both, fold.train);
        }
        let people: Vec<usize> = (0..90).map(|sample| sample / 5).collect();
        let fold = Fold { train: (0..60).collect(), test: (60..90).collect() };
        let round = Round::choosing_by_group(fold, &people, 0.25, 7).unwrap();
        assert!(round.select.iter().all(|&one| round.train.iter().all(|&other| people[one] != people[other])));
    }
}
