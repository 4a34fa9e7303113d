//! Draws that stay the same for a seed whatever version of a random-number crate is linked: saved splits and published
//! intervals must not change with a dependency.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// A generator whose stream depends on the seed alone.
pub(crate) fn seeded(seed: u64) -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(seed)
}

/// A whole number from 0 to `bound - 1`; `bound` must be at least 1. Multiply-and-shift: its bias, at most
/// `bound / 2^64`, is beyond notice.
pub(crate) fn below(rng: &mut ChaCha8Rng, bound: usize) -> usize {
    ((u128::from(rng.next_u64()) * bound as u128) >> 64) as usize
}

/// Fisher and Yates' shuffle: every order equally likely.
pub(crate) fn shuffle<T>(rng: &mut ChaCha8Rng, items: &mut [T]) {
    for last in (1..items.len()).rev() {
        items.swap(last, below(rng, last + 1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_names_one_order_for_ever() {
        let mut order: Vec<u8> = (0..10).collect();
        shuffle(&mut seeded(7), &mut order);
        assert_eq!(order, PINNED);
        let mut sorted = order.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, (0..10).collect::<Vec<u8>>());
    }

    /// What this seed gave when it was written down; splits that users saved rest on it.
    const PINNED: [u8; 10] = [4, 6, 2, 0, 8, 3, 7, 5, 9, 1];

    #[test]
    fn draws_reach_both_ends_and_no_further() {
        let mut rng = seeded(1);
        let draws: Vec<usize> = (0..1000).map(|_| below(&mut rng, 3)).collect();
        assert!((0..3).all(|value| draws.iter().filter(|&&draw| draw == value).count() > 250));
        assert!(draws.iter().all(|&draw| draw < 3));
    }
}
