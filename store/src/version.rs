//! Versions of values: never the same twice, not even after a restart (design section 4).

use std::sync::atomic::{AtomicU64, Ordering};

use crate::StoreError;

/// Names one value of one key of one server instance: the instance's nonce in the upper 32 bits, a counter of
/// all updates in the lower 32.
///
/// Chunks of one answer carry it, so a reader can never put together pieces of two values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(pub u64);

impl Version {
    /// The version with this instance nonce and counter.
    pub const fn pack(instance_nonce: u32, counter: u32) -> Version {
        Version((instance_nonce as u64) << 32 | counter as u64)
    }

    /// The upper half: the nonce of the instance, or a later one once a counter was used up.
    pub const fn nonce(self) -> u32 {
        (self.0 >> 32) as u32
    }

    /// The lower half.
    pub const fn counter(self) -> u32 {
        self.0 as u32
    }
}

/// Hands out versions in increasing order, from counter 1 of the instance's nonce on.
///
/// When the 2^32 counters of a nonce are used up the carry takes the next larger nonce. Nonces that grow with
/// the time of start keep clear of that: 2^32 updates take longer than the nonce's unit of time; of random
/// ones, the next instance draws the borrowed nonce with a chance of 2^-32.
#[derive(Debug)]
pub(crate) struct Versions(AtomicU64);

impl Versions {
    pub(crate) fn new(instance_nonce: u32) -> Versions {
        Versions::after(Version::pack(instance_nonce, 0))
    }

    fn after(last: Version) -> Versions {
        Versions(AtomicU64::new(last.0))
    }

    /// The next version, or an error when 64 bits are used up (nonces near 2^32 only).
    pub(crate) fn next(&self) -> Result<Version, StoreError> {
        // Relaxed: the number alone matters; the value it names is published by the index.
        match self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |last| last.checked_add(1)) {
            Ok(last) => Ok(Version(last + 1)),
            Err(last) => Err(StoreError::VersionsExhausted { last }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn starts_in_its_nonce_and_carries_into_the_next() {
        assert_eq!(Versions::new(7).next(), Ok(Version::pack(7, 1)));

        let versions = Versions::after(Version::pack(7, u32::MAX - 1));
        let handed: Vec<_> = (0..3).map(|_| versions.next().unwrap()).collect();
        assert_eq!(handed, [Version::pack(7, u32::MAX), Version::pack(8, 0), Version::pack(8, 1)]);
        assert!(handed.is_sorted_by(|a, b| a < b));
        assert_eq!((handed[1].nonce(), handed[1].counter()), (8, 0));
    }

    #[test]
    fn ends_rather_than_repeats() {
        let versions = Versions::after(Version(u64::MAX - 1));
        assert_eq!(versions.next(), Ok(Version(u64::MAX)));
        for _ in 0..2 {
            assert_eq!(versions.next(), Err(StoreError::VersionsExhausted { last: u64::MAX }));
        }
    }

    #[test]
    fn threads_never_share_a_version() {
        let versions = Versions::after(Version::pack(1, u32::MAX - 500));
        let mut all: Vec<Version> = std::thread::scope(|scope| {
            let take = || (0..1000).map(|_| versions.next().unwrap()).collect::<Vec<_>>();
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(take)).collect();
            threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
        });
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 4000);
    }
}
