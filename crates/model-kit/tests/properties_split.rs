//! What must hold of every split.

use std::collections::BTreeSet;

use model_kit::split::{grouped, grouped_k_fold, stratified, stratified_k_fold};
use proptest::prelude::*;

fn flattened(parts: &[Vec<usize>]) -> Vec<usize> {
    let mut all = parts.concat();
    all.sort_unstable();
    all
}

proptest! {
    #[test]
    fn groups_stay_together_and_every_sample_is_dealt_once(
        groups in prop::collection::vec(0u8..12, 20..200),
        share in 0.1f64..0.9,
        seed: u64,
    ) {
        prop_assume!(groups.iter().collect::<BTreeSet<_>>().len() >= 3);
        let parts = grouped(&groups, &[share, 1.0 - share], seed).unwrap();
        prop_assert_eq!(flattened(&parts), (0..groups.len()).collect::<Vec<_>>());
        let of = |part: &[usize]| part.iter().map(|&sample| groups[sample]).collect::<BTreeSet<_>>();
        prop_assert!(of(&parts[0]).is_disjoint(&of(&parts[1])));
        prop_assert!(parts.iter().all(|part| !part.is_empty()));
        prop_assert_eq!(&parts, &grouped(&groups, &[share, 1.0 - share], seed).unwrap());

        for fold in grouped_k_fold(&groups, 3, seed).unwrap() {
            prop_assert!(of(&fold.train).is_disjoint(&of(&fold.test)));
            prop_assert_eq!(fold.train.len() + fold.test.len(), groups.len());
        }
    }

    #[test]
    fn classes_are_spread_within_one_sample(
        labels in prop::collection::vec(0u8..7, 1..300),
        share in 0.05f64..0.95,
        seed: u64,
    ) {
        let parts = stratified(&labels, &[share, 1.0 - share], seed).unwrap();
        prop_assert_eq!(flattened(&parts), (0..labels.len()).collect::<Vec<_>>());
        prop_assert!((parts[0].len() as f64 - share * labels.len() as f64).abs() <= 1.0 + 1e-6);
        for class in 0..7 {
            let all = labels.iter().filter(|&&label| label == class).count() as f64;
            let here = parts[0].iter().filter(|&&sample| labels[sample] == class).count() as f64;
            prop_assert!((here - share * all).abs() <= 1.0 + 1e-6, "{here} of {all} with share {share}");
        }
    }

    #[test]
    fn every_sample_is_measured_on_once(labels in prop::collection::vec(0u8..4, 10..100), k in 2usize..6, seed: u64) {
        let folds = stratified_k_fold(&labels, k, seed).unwrap();
        let tested: Vec<_> = folds.iter().map(|fold| fold.test.clone()).collect();
        prop_assert_eq!(flattened(&tested), (0..labels.len()).collect::<Vec<_>>());
        let sizes: Vec<_> = tested.iter().map(Vec::len).collect();
        prop_assert!(sizes.iter().max().unwrap() - sizes.iter().min().unwrap() <= k);
    }
}
