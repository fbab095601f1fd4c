//! Which log pays for room: the shares of the small and the main log, moved by what comes back.
//!
//! New records go to the small log. What was read by the time it is first in line moves to the main log, what
//! was not goes; the main log gives what was read another turn. That is S3-FIFO (Yang et al., "FIFO queues are
//! all you need for cache eviction", SOSP 2023). Its fixed small share of a tenth suits stable popularity and
//! scans, and loses to LRU by far where popularity moves; so the share is moved as ARC's is (Megiddo and Modha,
//! FAST 2003): a key that returns soon after the small log let it go says that this log is too short, one that
//! the main log let go says the opposite. "Soon" is a twentieth of the items, so that it is the next item gained
//! or lost that decides, and a sample of the keys is enough.

use crate::hash::KeyHash;
use crate::segments::Class;

/// The share moves by this many items for each returning key.
const STEP_ITEMS: f32 = 16.0;

/// Bounds of the small log's share, and where it begins: the least.
const SMALL_SHARE_MIN: f32 = 0.1;
const SMALL_SHARE_MAX: f32 = 0.98;

/// How many evictions of a log ago still count as soon: so many parts of the items.
const SOON_PARTS: usize = 20;

/// A ghost's bits: fingerprint of the key, log, number of the eviction.
const NUMBER_BITS: u32 = 16;
const CLASS_BIT: u32 = 1 << NUMBER_BITS;
const FINGERPRINT_BITS: u32 = !0 << (NUMBER_BITS + 1);
const FINGERPRINT_LOWEST: u32 = 1 << (NUMBER_BITS + 1);
const EMPTY: u32 = 0;

/// The shares, and a sample of the keys evicted lately.
pub(crate) struct Policy {
    small_share: f32,
    /// By hash; a later ghost takes the place of an earlier one.
    ghosts: Box<[u32]>,
    /// Evictions of sampled keys, by log.
    evicted: [u16; 2],
}

impl Policy {
    /// With a ghost list of so many entries.
    pub(crate) fn new(ghosts: usize) -> Policy {
        Policy { small_share: SMALL_SHARE_MIN, ghosts: vec![EMPTY; ghosts].into(), evicted: [0; 2] }
    }

    /// Bytes that so many entries take.
    pub(crate) fn bytes(ghosts: usize) -> usize {
        ghosts * size_of::<u32>()
    }

    /// The log to evict from, by the live bytes in each.
    pub(crate) fn pays(&self, small_bytes: u64, main_bytes: u64) -> Class {
        let small_aim = (small_bytes + main_bytes) as f32 * self.small_share;
        if small_bytes as f32 >= small_aim { Class::Small } else { Class::Main }
    }

    /// A live record of this key was evicted.
    pub(crate) fn evicted(&mut self, hash: KeyHash, class: Class, items: usize) {
        let Some(sampled) = Sampled::new(hash, items, self.ghosts.len()) else { return };
        let number = &mut self.evicted[class as usize];
        *number = number.wrapping_add(1);
        let class_bit = if class == Class::Main { CLASS_BIT } else { 0 };
        self.ghosts[sampled.index] = sampled.fingerprint | class_bit | u32::from(*number);
    }

    /// A key was stored that was absent.
    pub(crate) fn inserted(&mut self, hash: KeyHash, items: usize) {
        let Some(sampled) = Sampled::new(hash, items, self.ghosts.len()) else { return };
        let ghost = self.ghosts[sampled.index];
        if ghost == EMPTY || ghost & FINGERPRINT_BITS != sampled.fingerprint {
            return;
        }
        self.ghosts[sampled.index] = EMPTY;
        let class = if ghost & CLASS_BIT == 0 { Class::Small } else { Class::Main };
        let ago = self.evicted[class as usize].wrapping_sub(ghost as u16);
        if usize::from(ago) > sampled.soon {
            return;
        }
        let step = STEP_ITEMS * sampled.one_in as f32 / items as f32;
        let moved = if class == Class::Small { step } else { -step };
        self.small_share = (self.small_share + moved).clamp(SMALL_SHARE_MIN, SMALL_SHARE_MAX);
    }
}

/// A key of the sample.
struct Sampled {
    index: usize,
    /// In the bits above class and number; never all zero.
    fingerprint: u32,
    one_in: usize,
    /// How many evictions ago is soon.
    soon: usize,
}

impl Sampled {
    /// The sample is as large as the list holds half full: a fourth of it for each log.
    fn new(hash: KeyHash, items: usize, ghosts: usize) -> Option<Sampled> {
        let soon = (items / SOON_PARTS).max(1);
        let one_in = soon.div_ceil(ghosts / 4).next_power_of_two();
        let bits = hash.ghost();
        if bits as usize & (one_in - 1) != 0 {
            return None;
        }
        // Bits 25 to 39: neither those that chose the sample nor those of the index.
        let fingerprint = (bits >> 8) as u32 & FINGERPRINT_BITS | FINGERPRINT_LOWEST;
        let index = (bits >> 48) as usize % ghosts;
        Some(Sampled { index, fingerprint, one_in, soon: soon / one_in })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash::KeyHasher;

    /// Evicts keys from a log and brings them back at once, or after too long.
    fn share_after(class: Class, soon: bool) -> f32 {
        const ITEMS: usize = 1_000_000;
        let (hasher, mut policy) = (KeyHasher::random(), Policy::new(1 << 14));
        policy.small_share = 0.5;
        let hash = |n: u32| hasher.hash(&n.to_be_bytes());
        for n in 0..200_000 {
            policy.evicted(hash(n), class, ITEMS);
            if let Some(back) = n.checked_sub(if soon { 25_000 } else { 75_000 }) {
                policy.inserted(hash(back), ITEMS);
            }
        }
        policy.small_share
    }

    #[test]
    fn the_log_whose_keys_come_back_soon_gains() {
        assert!(share_after(Class::Small, true) > 0.8);
        assert!(share_after(Class::Main, true) < 0.2);
        for class in [Class::Small, Class::Main] {
            assert!((share_after(class, false) - 0.5).abs() < 0.02);
        }
    }

    /// As many strangers as there are items, beside a full list of ghosts.
    #[test]
    fn keys_that_never_were_here_say_nothing() {
        const ITEMS: u32 = 1_000_000;
        let (hasher, mut policy) = (KeyHasher::random(), Policy::new(1 << 14));
        policy.small_share = 0.5;
        for n in 0..ITEMS {
            policy.evicted(hasher.hash(&n.to_be_bytes()), Class::Small, ITEMS as usize);
            policy.inserted(hasher.hash(&(ITEMS + n).to_be_bytes()), ITEMS as usize);
        }
        assert!((policy.small_share - 0.5).abs() < 0.005, "{}", policy.small_share);
    }

    #[test]
    fn the_log_above_its_share_pays() {
        let policy = Policy::new(256);
        assert_eq!(policy.pays(10, 90), Class::Small);
        assert_eq!(policy.pays(9, 91), Class::Main);
        assert_eq!(policy.pays(0, 0), Class::Small);
    }
}
