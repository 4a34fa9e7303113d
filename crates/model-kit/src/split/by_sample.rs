//! Splits sample by sample that keep the share of each class.

use std::collections::BTreeMap;

use super::{Fold, check_shares, equal_shares, neediest};
use crate::Result;
use crate::random::{seeded, shuffle};

/// Parts of these shares of the samples, each class spread over them alike. Sample `i` is of class `labels[i]`.
///
/// A part's size, and its number of samples of a class, is within one of what its share asks for. Rare classes may miss
/// from a part, and a part from the split of very few samples.
///
/// # Errors
/// [`Error::InvalidConfig`](crate::Error::InvalidConfig) for shares that are not above 0 or do not sum to 1.
pub fn stratified<L: Ord>(labels: &[L], shares: &[f64], seed: u64) -> Result<Vec<Vec<usize>>> {
    check_shares(shares)?;
    let mut classes: BTreeMap<&L, Vec<usize>> = BTreeMap::new();
    for (sample, label) in labels.iter().enumerate() {
        classes.entry(label).or_default().push(sample);
    }

    let mut rng = seeded(seed);
    let mut parts: Vec<Vec<usize>> = vec![Vec::new(); shares.len()];
    let mut seen = 0;
    for mut samples in classes.into_values() {
        shuffle(&mut rng, &mut samples);
        seen += samples.len();
        // Whole samples of the class first; those that rounding leaves go where most is lacking over all classes so far.
        let whole: Vec<usize> = shares.iter().map(|share| (share * samples.len() as f64 + 1e-9) as usize).collect();
        for (part, count) in parts.iter_mut().zip(whole) {
            part.extend(samples.drain(..count));
        }
        let due: Vec<f64> = shares.iter().map(|share| share * seen as f64).collect();
        for sample in samples {
            let held: Vec<usize> = parts.iter().map(Vec::len).collect();
            parts[neediest(&due, &held)].push(sample);
        }
    }
    parts.iter_mut().for_each(|part| part.sort_unstable());
    Ok(parts)
}

/// `k` folds of equal size, measured on once each, each class spread over them alike.
///
/// # Errors
/// [`Error::InvalidConfig`](crate::Error::InvalidConfig) for `k` below 2.
pub fn stratified_k_fold<L: Ord>(labels: &[L], k: usize, seed: u64) -> Result<Vec<Fold>> {
    Ok(Fold::each_part_once(&stratified(labels, &equal_shares(k)?, seed)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_spread_alike() {
        let labels: Vec<u8> = (0..100).map(|sample| if sample < 70 { 0 } else { 1 }).collect();
        let parts = stratified(&labels, &[0.8, 0.2], 5).unwrap();
        let rare = |part: &Vec<usize>| part.iter().filter(|&&sample| labels[sample] == 1).count();
        assert_eq!((parts[0].len(), rare(&parts[0])), (80, 24));
        assert_eq!((parts[1].len(), rare(&parts[1])), (20, 6));
    }

    #[test]
    fn what_rounding_leaves_does_not_pile_up_in_one_part() {
        // Seven classes of three samples in two halves: one of each class is left over.
        let labels: Vec<usize> = (0..21).map(|sample| sample / 3).collect();
        let sizes: Vec<usize> = stratified(&labels, &[0.5, 0.5], 0).unwrap().iter().map(Vec::len).collect();
        assert!(sizes == [11, 10] || sizes == [10, 11], "{sizes:?}");
    }
}
