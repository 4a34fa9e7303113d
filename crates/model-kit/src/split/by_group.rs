//! Splits that keep every group, a speaker or a person, wholly in one part.

use std::collections::BTreeMap;
use std::fmt::Debug;

use super::{Fold, check_shares, equal_shares, neediest};
use crate::random::{seeded, shuffle};
use crate::{Error, Result};

/// Parts of about these shares of the samples, with no group in two of them. Sample `i` is of group `groups[i]`.
///
/// Groups are taken in an order drawn from the seed, largest first, each by the part that lacks most; every part gets at
/// least one. With few or unequal groups the shares are met only roughly.
///
/// # Errors
/// [`Error::InvalidConfig`] for shares that are not above 0 or do not sum to 1, [`Error::InvalidInput`] for fewer groups
/// than parts.
pub fn grouped<G: Ord + Clone>(groups: &[G], shares: &[f64], seed: u64) -> Result<Vec<Vec<usize>>> {
    check_shares(shares)?;
    let mut members: Vec<Vec<usize>> = members(groups).into_values().collect();
    if members.len() < shares.len() {
        return Err(Error::input(
            "number of groups",
            format!("at least {}, one for each part", shares.len()),
            members.len(),
        ));
    }
    shuffle(&mut seeded(seed), &mut members);
    members.sort_by_key(|samples| std::cmp::Reverse(samples.len()));

    let due: Vec<f64> = shares.iter().map(|share| share * groups.len() as f64).collect();
    let mut parts: Vec<Vec<usize>> = vec![Vec::new(); shares.len()];
    let mut left = members.len();
    for samples in members {
        let empty = parts.iter().filter(|part| part.is_empty()).count();
        let held: Vec<usize> = parts.iter().map(Vec::len).collect();
        let part = match held.iter().position(|&len| len == 0) {
            // The last groups are kept for the parts that still have none.
            Some(first_empty) if left == empty => first_empty,
            _ => neediest(&due, &held),
        };
        parts[part].extend(samples);
        left -= 1;
    }
    parts.iter_mut().for_each(|part| part.sort_unstable());
    Ok(parts)
}

/// `k` folds of about equal size, measured on once each, with no group on both sides of one.
///
/// # Errors
/// [`Error::InvalidConfig`] for `k` below 2, [`Error::InvalidInput`] for fewer groups than folds.
pub fn grouped_k_fold<G: Ord + Clone>(groups: &[G], k: usize, seed: u64) -> Result<Vec<Fold>> {
    Ok(Fold::each_part_once(&grouped(groups, &equal_shares(k)?, seed)?))
}

/// A fold for each group, measured on that group alone, in the order of the groups.
///
/// # Errors
/// [`Error::InvalidInput`] for fewer than two groups.
pub fn leave_one_group_out<G: Ord + Clone>(groups: &[G]) -> Result<Vec<(G, Fold)>> {
    let members = members(groups);
    if members.len() < 2 {
        return Err(Error::input("number of groups", "at least 2", members.len()));
    }
    let parts: Vec<Vec<usize>> = members.values().cloned().collect();
    Ok(members.into_keys().zip(Fold::each_part_once(&parts)).collect())
}

/// Folds that others have published as lists of groups, such as those of RAVDESS's actors, restricted to the groups that
/// occur: a list of which no group occurs gives no fold.
///
/// # Errors
/// [`Error::InvalidInput`] for a group that no list names, and when fewer than two folds are left.
pub fn published_folds<G: Ord + Clone + Debug>(groups: &[G], lists: &[&[G]]) -> Result<Vec<Fold>> {
    let mut parts = vec![Vec::new(); lists.len()];
    for (group, samples) in members(groups) {
        let Some(list) = lists.iter().position(|list| list.contains(&group)) else {
            return Err(Error::input("group", "one that a fold names", format!("{group:?}")));
        };
        parts[list].extend(samples);
    }
    parts.retain(|part| !part.is_empty());
    if parts.len() < 2 {
        return Err(Error::input("groups", "some of at least two folds", format!("some of {}", parts.len())));
    }
    parts.iter_mut().for_each(|part| part.sort_unstable());
    Ok(Fold::each_part_once(&parts))
}

/// The samples of each group, ascending, in the order of the groups.
fn members<G: Ord + Clone>(groups: &[G]) -> BTreeMap<G, Vec<usize>> {
    let mut members: BTreeMap<G, Vec<usize>> = BTreeMap::new();
    for (sample, group) in groups.iter().enumerate() {
        members.entry(group.clone()).or_default().push(sample);
    }
    members
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_folds_are_restricted_to_the_groups_that_occur() {
        const LISTS: [&[u8]; 3] = [&[2, 5], &[3, 6], &[1, 4, 9]];
        let folds = published_folds(&[1, 2, 2, 4, 5], &LISTS).unwrap();
        let tested: Vec<_> = folds.iter().map(|fold| fold.test.clone()).collect();
        assert_eq!(tested, [vec![1, 2, 4], vec![0, 3]]);
        assert_eq!(folds[0].train, [0, 3]);

        assert!(published_folds(&[25, 1], &LISTS).unwrap_err().to_string().contains("got 25"));
        assert!(published_folds(&[1, 4], &LISTS).is_err());
    }

    #[test]
    fn every_part_gets_a_group_even_when_its_share_is_tiny() {
        let parts = grouped(&["a", "b", "c"], &[0.9, 0.05, 0.05], 0).unwrap();
        assert!(parts.iter().all(|part| part.len() == 1));
        assert!(grouped(&["a", "a"], &[0.5, 0.5], 0).is_err());
    }

    #[test]
    fn shares_are_met_where_groups_allow_it() {
        let groups: Vec<usize> = (0..1000).map(|sample| sample % 100).collect();
        let sizes: Vec<usize> = grouped(&groups, &[0.7, 0.2, 0.1], 3).unwrap().iter().map(Vec::len).collect();
        assert_eq!(sizes, [700, 200, 100]);
        assert_ne!(grouped(&groups, &[0.5, 0.5], 1).unwrap(), grouped(&groups, &[0.5, 0.5], 2).unwrap());
    }

    #[test]
    fn leaving_one_out_visits_each_group_once() {
        let folds = leave_one_group_out(&["JE", "DC", "JE", "KL"]).unwrap();
        let tests: Vec<_> = folds.iter().map(|(group, fold)| (*group, fold.test.clone())).collect();
        assert_eq!(tests, [("DC", vec![1]), ("JE", vec![0, 2]), ("KL", vec![3])]);
        assert_eq!(folds[1].1.train, [1, 3]);
        assert!(leave_one_group_out(&["JE"]).is_err());
    }
}
