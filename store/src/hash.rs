//! Hashes of keys: keyed, as keys come from clients, who must not be able to choose ones that collide.

use std::hash::{BuildHasher, RandomState};

use siphasher::sip::SipHasher13;

use crate::limits::HASH_BITS;

/// A key's hash in one store, made by [`Store::hash`](crate::Store::hash) and of no use in another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct KeyHash(u64);

impl KeyHash {
    /// Which of so many shards: the upper bits.
    #[inline]
    pub(crate) fn shard(self, shards: usize) -> usize {
        (((self.0 >> 32) * shards as u64) >> 32) as usize
    }

    /// What the shard's table keeps and finds its buckets by: the lower bits.
    #[inline]
    pub(crate) fn tag(self) -> Tag {
        Tag(self.0 & Tag::MASK)
    }

    /// For the ghost list: mixed anew, so that what is alike in shard and bucket is not alike there.
    pub(crate) fn ghost(self) -> u64 {
        self.0.wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }
}

/// The bits of a hash that are kept in the index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tag(pub(crate) u64);

impl Tag {
    pub(crate) const MASK: u64 = (1 << HASH_BITS) - 1;

    /// Its first bucket of so many.
    #[inline]
    pub(crate) fn primary(self, buckets: usize) -> usize {
        ((self.0 * buckets as u64) >> HASH_BITS) as usize
    }

    /// Its second bucket, as good as unrelated to the first: multiplying by an odd number spreads the bits that
    /// decide neighbours in the first over the upper ones.
    #[inline]
    pub(crate) fn secondary(self, buckets: usize) -> usize {
        Tag(self.0.wrapping_mul(0x2c92_77b5) & Tag::MASK).primary(buckets)
    }
}

/// SipHash-1-3 with a random key.
pub(crate) struct KeyHasher(SipHasher13);

impl KeyHasher {
    pub(crate) fn random() -> KeyHasher {
        // The standard library's keys come from the system; what it makes of them is as good as random.
        let seed = RandomState::new();
        KeyHasher(SipHasher13::new_with_keys(seed.hash_one(0), seed.hash_one(1)))
    }

    #[inline]
    pub(crate) fn hash(&self, key: &[u8]) -> KeyHash {
        KeyHash(self.0.hash(key))
    }
}
