//! Randomness as a dependency.

use std::sync::Mutex;

/// A source of random bits.
pub trait Random: Send + Sync + std::fmt::Debug {
    /// 64 random bits.
    fn u64(&self) -> u64;

    /// 128 random bits.
    fn bytes16(&self) -> [u8; 16] {
        ((u128::from(self.u64()) << 64) | u128::from(self.u64())).to_be_bytes()
    }

    /// A number in `0..bound`; 0 for a bound of 0.
    fn below(&self, bound: u64) -> u64 {
        // The high half of a 128-bit product: no modulo, and a bias of at most bound / 2^64.
        ((u128::from(self.u64()) * u128::from(bound)) >> 64) as u64
    }
}

/// The operating system's source.
#[derive(Debug, Clone, Copy, Default)]
pub struct OsRandom;

impl Random for OsRandom {
    #[expect(clippy::expect_used, reason = "a system without a random source can keep no promise: stop")]
    fn u64(&self) -> u64 {
        getrandom::u64().expect("the operating system has a random source")
    }
}

/// A reproducible source: SplitMix64 of a seed.
#[derive(Debug)]
pub struct SeededRandom(Mutex<u64>);

impl SeededRandom {
    /// The sequence of this seed.
    pub const fn new(seed: u64) -> Self {
        Self(Mutex::new(seed))
    }
}

impl Random for SeededRandom {
    fn u64(&self) -> u64 {
        let mut state = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = *state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_reproduces_its_sequence_and_bounds_hold() {
        let (a, b) = (SeededRandom::new(7), SeededRandom::new(7));
        for bound in [1, 2, 10, 1 << 40] {
            let drawn = a.below(bound);
            assert_eq!(drawn, b.below(bound));
            assert!(drawn < bound);
        }
        assert_eq!(a.below(0), 0);
    }
}
