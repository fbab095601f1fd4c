//! Versions of values: never the same twice, not even after a restart (design section 4).

use crate::StoreError;
use crate::record::VERSION_BITS;

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
pub(crate) struct Versions {
    first: u64,
    handed_out: u64,
}

impl Versions {
    pub(crate) fn new(instance_nonce: u32) -> Versions {
        Versions { first: Version::pack(instance_nonce, 0).0, handed_out: 0 }
    }

    /// What the next version will be, or an error when 64 bits are used up (nonces near 2^32 only), or the bits
    /// that a record keeps of it.
    pub(crate) fn next(&self) -> Result<Version, StoreError> {
        let last = self.first + self.handed_out;
        if self.handed_out + 1 == 1 << VERSION_BITS {
            return Err(StoreError::VersionsExhausted { last });
        }
        last.checked_add(1).map(Version).ok_or(StoreError::VersionsExhausted { last })
    }

    /// Hands out the next version; returns it as a record keeps it.
    pub(crate) fn take(&mut self) -> u64 {
        self.handed_out += 1;
        self.handed_out
    }
}

/// A version as a record keeps it, whole again.
#[inline]
pub(crate) fn restore(instance_nonce: u32, kept: u64) -> Version {
    Version(Version::pack(instance_nonce, 0).0 + kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(versions: &mut Versions) -> Version {
        let next = versions.next().unwrap();
        assert_eq!(restore((versions.first >> 32) as u32, versions.take()), next);
        next
    }

    #[test]
    fn starts_in_its_nonce_and_carries_into_the_next() {
        assert_eq!(take(&mut Versions::new(7)), Version::pack(7, 1));

        let mut versions = Versions { handed_out: u64::from(u32::MAX) - 1, ..Versions::new(7) };
        let handed: Vec<_> = (0..3).map(|_| take(&mut versions)).collect();
        assert_eq!(handed, [Version::pack(7, u32::MAX), Version::pack(8, 0), Version::pack(8, 1)]);
        assert!(handed.is_sorted_by(|a, b| a < b));
        assert_eq!((handed[1].nonce(), handed[1].counter()), (8, 0));
    }

    #[test]
    fn ends_rather_than_repeats() {
        let mut at_the_top = Versions { handed_out: u64::from(u32::MAX) - 1, ..Versions::new(u32::MAX) };
        assert_eq!(take(&mut at_the_top), Version(u64::MAX));
        let mut of_48_bits = Versions { handed_out: (1 << VERSION_BITS) - 2, ..Versions::new(7) };
        let last = take(&mut of_48_bits);
        assert_eq!(last, Version::pack(7 + (1 << 16) - 1, u32::MAX));
        for _ in 0..2 {
            assert_eq!(at_the_top.next(), Err(StoreError::VersionsExhausted { last: u64::MAX }));
            assert_eq!(of_48_bits.next(), Err(StoreError::VersionsExhausted { last: last.0 }));
        }
    }
}
