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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_reach_both_ends_and_no_further() {
        let mut rng = seeded(1);
        let draws: Vec<usize> = (0..1000).map(|_| below(&mut rng, 3)).collect();
        assert!((0..3).all(|value| draws.iter().filter(|&&draw| draw == value).count() > 250));
        assert!(draws.iter().all(|&draw| draw < 3));
    }
}
