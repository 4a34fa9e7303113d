//! All pairs of hashes within a Hamming distance, without comparing each with each.
//!
//! M. Norouzi, A. Punjani and D. J. Fleet, "Fast Search in Hamming Space with Multi-Index Hashing", CVPR 2012: of two
//! hashes that differ in at most 31 of 256 bits, at least one of their sixteen 16-bit chunks differs in at most one bit.
//! So each hash meets only those that share a chunk but for one bit.

use super::{AuditConfig, ImageHash};

const CHUNKS: usize = 16;
const CHUNK_BITS: u32 = 16;

/// With a larger distance, every chunk could differ in two bits.
pub(super) const MAX_DISTANCE: u32 = 2 * CHUNKS as u32 - 1;

/// Two pictures that look alike, `first < second`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Near {
    pub(super) first: usize,
    pub(super) second: usize,
    pub(super) distance: u32,
    pub(super) correlation: f32,
    pub(super) mirrored: bool,
    /// Found by the look of a changed version of one of them.
    pub(super) changed: bool,
}

/// Every pair within the thresholds, once, in the order of the pictures. A pair that is alike both as it is and mirrored
/// (a symmetrical picture) is given as it is; one that is alike only after a change (`changed`, for each picture the looks of
/// its changed versions) comes with the change that brings it nearest.
pub(super) fn near_pairs(hashes: &[&ImageHash], changed: &[&[ImageHash]], config: &AuditConfig) -> Vec<Near> {
    let tables: Vec<Table> = (0..CHUNKS).map(|chunk| Table::new(hashes, chunk)).collect();
    // The pictures numbered `least` and above that are near to a look of picture `from`.
    let found = |from: usize, look: &ImageHash, least: usize, mirrored: bool, changed: bool| -> Vec<Near> {
        let mut others: Vec<(usize, u32)> = Vec::new();
        for (chunk, table) in tables.iter().enumerate() {
            for other in table.meet(chunk_of(look, chunk)).filter(|&other| other >= least && other != from) {
                let distance = look.distance(hashes[other]);
                if distance <= config.max_distance {
                    others.push((other, distance));
                }
            }
        }
        // A pair meets in every chunk that it shares.
        others.sort_unstable();
        others.dedup();
        let near = others.into_iter().map(|(other, distance)| {
            let correlation = look.correlation(hashes[other]);
            Near { first: from.min(other), second: from.max(other), distance, correlation, mirrored, changed }
        });
        near.filter(|near| near.correlation >= config.min_correlation).collect()
    };

    let mut pairs = Vec::new();
    for (first, hash) in hashes.iter().enumerate() {
        pairs.extend(found(first, hash, first + 1, false, false));
        if config.mirrored {
            pairs.extend(found(first, &hash.mirrored(), first + 1, true, false));
        }
        for look in changed[first] {
            pairs.extend(found(first, look, 0, false, true));
            if config.mirrored {
                pairs.extend(found(first, &look.mirrored(), 0, true, true));
            }
        }
    }
    pairs.sort_by_key(|near| {
        (near.first, near.second, near.changed, near.changed as u32 * near.distance, near.mirrored)
    });
    pairs.dedup_by_key(|near| (near.first, near.second));
    pairs
}

/// The hashes of a collection, sorted by one of their chunks.
struct Table {
    /// Where the hashes with each chunk value start in `hashes`, and where the last ones end.
    starts: Vec<u32>,
    hashes: Vec<u32>,
}

impl Table {
    fn new(hashes: &[&ImageHash], chunk: usize) -> Self {
        let mut starts = vec![0u32; (1 << CHUNK_BITS) + 1];
        for hash in hashes {
            starts[chunk_of(hash, chunk) + 1] += 1;
        }
        for key in 1..starts.len() {
            starts[key] += starts[key - 1];
        }
        let mut next = starts.clone();
        let mut sorted = vec![0; hashes.len()];
        for (index, hash) in hashes.iter().enumerate() {
            let place = &mut next[chunk_of(hash, chunk)];
            sorted[*place as usize] = index as u32;
            *place += 1;
        }
        Self { starts, hashes: sorted }
    }

    /// The hashes whose chunk is this one, or differs from it in one bit.
    fn meet(&self, key: usize) -> impl Iterator<Item = usize> {
        let keys = std::iter::once(key).chain((0..CHUNK_BITS).map(move |bit| key ^ (1 << bit)));
        keys.flat_map(|key| &self.hashes[self.starts[key] as usize..self.starts[key + 1] as usize])
            .map(|&index| index as usize)
    }
}

fn chunk_of(hash: &ImageHash, chunk: usize) -> usize {
    const PER_WORD: usize = CHUNKS / 4;
    (hash.bits[chunk / PER_WORD] >> (chunk % PER_WORD * CHUNK_BITS as usize)) as usize & ((1 << CHUNK_BITS) - 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{below, seeded};

    /// Hashes in families: each family's members differ from its first in a few bits.
    fn families() -> Vec<ImageHash> {
        let mut rng = seeded(4);
        let mut hashes = Vec::new();
        for family in 0..60u32 {
            let pixels: Vec<u8> = (0..17 * 16).map(|_| below(&mut rng, 256) as u8).collect();
            for member in 0..5 {
                let mut changed = pixels.clone();
                for _ in 0..member * 5 {
                    let pixel = below(&mut rng, changed.len());
                    changed[pixel] = below(&mut rng, 256) as u8;
                }
                if (family + member) % 3 == 0 {
                    changed.chunks_exact_mut(17).for_each(<[u8]>::reverse);
                }
                hashes.push(ImageHash::of_gray(17, 16, &changed).unwrap());
            }
        }
        hashes
    }

    #[test]
    fn no_pair_is_missed_and_none_is_given_twice() {
        let owned = families();
        let hashes: Vec<&ImageHash> = owned.iter().collect();
        for max_distance in [0, 10, 24, MAX_DISTANCE] {
            let config = AuditConfig { max_distance, min_correlation: 0.7, ..AuditConfig::default() };
            let mut wanted = Vec::new();
            for first in 0..hashes.len() {
                for second in first + 1..hashes.len() {
                    let near = |look: &ImageHash| {
                        look.distance(hashes[second]) <= max_distance && look.correlation(hashes[second]) >= 0.7
                    };
                    if near(hashes[first]) {
                        wanted.push((first, second, false));
                    } else if near(&hashes[first].mirrored()) {
                        wanted.push((first, second, true));
                    }
                }
            }
            let got: Vec<_> = near_pairs(&hashes, &vec![&[][..]; hashes.len()], &config)
                .iter()
                .map(|near| (near.first, near.second, near.mirrored))
                .collect();
            assert_eq!(got, wanted);
            assert!(max_distance < 24 || got.len() > 100, "{}", got.len());
        }
    }
}
