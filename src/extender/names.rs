//! From the names of nodes to their numbers, quickly: 5,000 names are looked up a request.

use std::{
    collections::HashMap,
    hash::{BuildHasherDefault, Hasher},
    sync::Arc,
};

/// Numbers by name.
pub(super) type Names = HashMap<Arc<str>, u32, BuildHasherDefault<NameHasher>>;

/// Multiplies and folds eight bytes at a time. Names come from the cluster itself, so nobody gains by
/// choosing them to collide.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct NameHasher(u64);

const FACTOR: u64 = 0x9E37_79B9_7F4A_7C15;

impl NameHasher {
    fn mix(&mut self, word: u64) {
        let product = u128::from(self.0 ^ word) * u128::from(FACTOR);
        self.0 = (product as u64) ^ ((product >> 64) as u64) ^ word.rotate_left(32);
    }
}

impl Hasher for NameHasher {
    fn write(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            self.mix(u64::from_le_bytes(*word));
        }
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        self.mix(u64::from_le_bytes(last) ^ bytes.len() as u64);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{collections::BTreeSet, hash::Hash};

    #[test]
    fn names_that_differ_in_a_digit_spread() {
        let hash = |name: &str| {
            let mut hasher = NameHasher::default();
            name.hash(&mut hasher);
            hasher.finish()
        };
        let names = (0..10_000).map(|nth| format!("gpu-pool-a100-md-0-{nth:05}-x7k2p"));
        let hashes: Vec<u64> = names.map(|name| hash(&name)).collect();
        let low: BTreeSet<u64> = hashes.iter().map(|hash| hash & 0xFFFF).collect();
        let high: BTreeSet<u64> = hashes.iter().map(|hash| hash >> 48).collect();
        // 10,000 random numbers below 65,536 take 9,274 different values on average.
        assert!(low.len() > 8_500 && high.len() > 8_500, "{} {}", low.len(), high.len());
        assert_eq!(hashes.iter().collect::<BTreeSet<_>>().len(), 10_000);
    }
}
