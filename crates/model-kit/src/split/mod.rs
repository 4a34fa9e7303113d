//! Who trains and who measures: splits of samples that can be repeated, saved and checked.
//!
//! A **part** is a list of sample numbers in ascending order; a [`Fold`] is a part to train on and one to measure on.
//! Whoever stands in both makes a figure too good to be true, so the splits **by group** ([`grouped`], [`grouped_k_fold`],
//! [`leave_one_group_out`], [`published_folds`]) keep each speaker or person wholly in one part: these are the honest ones
//! for people that a model has not met. The splits **by sample** ([`stratified`], [`stratified_k_fold`]) keep the share of
//! each class; take them where samples have no person, or to compare with papers that split so.
//!
//! The same samples in the same order, with the same seed, give the same split on every machine and in every version.
//! A [`SavedSplit`] holds one by the samples' names.
//!
//! ```
//! use model_kit::split::grouped;
//!
//! let speakers = ["ann", "ann", "bob", "cem", "cem", "dee"];
//! let parts = grouped(&speakers, &[0.5, 0.5], 7)?;
//! assert_eq!(parts.iter().map(Vec::len).sum::<usize>(), 6);
//! assert!(parts[0].iter().all(|&here| parts[1].iter().all(|&there| speakers[here] != speakers[there])));
//! # Ok::<(), model_kit::Error>(())
//! ```

mod by_group;
mod by_sample;
mod saved;

pub use by_group::{grouped, grouped_k_fold, leave_one_group_out, published_folds};
pub use by_sample::{stratified, stratified_k_fold};
pub use saved::{Part, SavedSplit};

use crate::{Error, Result};

/// Samples to train on and samples to measure on; together all of them, and no sample in both.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fold {
    /// The numbers of the samples to train on, ascending.
    pub train: Vec<usize>,
    /// The numbers of the samples to measure on, ascending.
    pub test: Vec<usize>,
}

impl Fold {
    /// One fold for each part: it is measured on that part and trained on all the others.
    fn each_part_once(parts: &[Vec<usize>]) -> Vec<Self> {
        (0..parts.len())
            .map(|test| {
                let others = parts.iter().enumerate().filter(|(part, _)| *part != test);
                let mut train: Vec<usize> = others.flat_map(|(_, samples)| samples).copied().collect();
                train.sort_unstable();
                Self { train, test: parts[test].clone() }
            })
            .collect()
    }
}

/// Checks that there are parts and that their shares are finite, above 0, and sum to 1.
fn check_shares(shares: &[f64]) -> Result<()> {
    let sum: f64 = shares.iter().sum();
    if shares.is_empty() || shares.iter().any(|share| !(share.is_finite() && *share > 0.0)) || (sum - 1.0).abs() > 1e-6
    {
        return Err(Error::config("shares", "above 0 and sum to 1", format!("{shares:?}")));
    }
    Ok(())
}

/// The shares of `k` equal parts.
fn equal_shares(k: usize) -> Result<Vec<f64>> {
    if k < 2 {
        return Err(Error::config("k", "at least 2", k));
    }
    Ok(vec![1.0 / k as f64; k])
}

/// The part that lacks most of what it is due: `due - held` is largest there, and the earliest of equals wins.
fn neediest(due: &[f64], held: &[usize]) -> usize {
    let lacks = |part: usize| due[part] - held[part] as f64;
    (1..due.len()).fold(0, |best, part| if lacks(part) > lacks(best) + 1e-9 { part } else { best })
}
