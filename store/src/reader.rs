//! Reading: one look-up at a time, or a batch whose cache misses overlap.

use crate::epoch::Pin;
use crate::expiry::Seconds;
use crate::hash::KeyHash;
use crate::limits::{LINE_BYTES, RECORD_LINES_PREFETCHED, VALUE_LINES_PREFETCHED_MAX};
use crate::prefetch::{prefetch, prefetch_lines};
use crate::record::Record;
use crate::shared::Shared;
use crate::version::{Version, restore};

/// Keeps what it reads in place: values stay as they are while it lives, also when they are replaced, deleted
/// or evicted.
///
/// Hold one for a batch of reads and drop it between batches. Memory that held a replaced or evicted value in
/// its time is not used again before; a writer that finds no other waits for it, up to
/// [`READERS_WAIT_MS_MAX`](crate::limits::READERS_WAIT_MS_MAX).
///
/// A batch hides the latency of memory if it goes over its keys three times:
///
/// ```
/// # use shingle_store::{KeyHash, Seconds, Store, StoreConfig, Ttl};
/// # let store = Store::new(StoreConfig { budget_bytes: 1 << 20, value_bytes_max: 4096, instance_nonce: 7 }).unwrap();
/// # store.set(b"b", b"value", Ttl::NEVER, Seconds(0)).unwrap();
/// # let (keys, now) = ([b"a", b"b"], Seconds(1));
/// let reader = store.pin();
/// let hashes = keys.map(|key| {
///     let hash = reader.hash(key);
///     reader.prefetch(hash);
///     hash
/// });
/// let leads = hashes.map(|hash| reader.prefetch_item(hash));
/// let found = keys.iter().zip(leads).filter_map(|(key, lead)| reader.get_led(*key, lead, now));
/// # assert_eq!(found.count(), 1);
/// ```
pub struct Reader<'s> {
    shared: &'s Shared,
    _pin: Pin<'s>,
}

/// A value found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Item<'g> {
    /// The bytes stored.
    pub value: &'g [u8],
    /// Their version.
    pub version: Version,
}

/// Where the record of a key should be, as found in the second step of a batch.
#[derive(Clone, Copy, Default)]
pub struct Lead<'r> {
    hash: KeyHash,
    record: Option<Record<'r>>,
}

impl Item<'_> {
    /// Asks for the rest of a long value, as the last step of a batch: the CPU goes on by itself from what
    /// [`Reader::prefetch_item`] asked for only once somebody reads there.
    #[inline]
    pub fn prefetch(&self) {
        let lines = self.value.len().div_ceil(LINE_BYTES);
        if lines > RECORD_LINES_PREFETCHED {
            prefetch_lines(self.value.as_ptr(), lines.min(VALUE_LINES_PREFETCHED_MAX));
        }
    }
}

impl<'s> Reader<'s> {
    #[inline]
    pub(crate) fn new(shared: &'s Shared) -> Self {
        Reader { shared, _pin: shared.epochs.pin() }
    }

    /// The value of a key; None when it is absent or expired at `now`. Takes no lock, waits for nobody and
    /// allocates nothing.
    #[inline]
    pub fn get(&self, key: &[u8], now: Seconds) -> Option<Item<'_>> {
        self.get_hashed(key, self.hash(key), now)
    }

    /// A key's hash, as the other methods take it.
    #[inline]
    pub fn hash(&self, key: &[u8]) -> KeyHash {
        self.shared.hasher.hash(key)
    }

    /// Asks for the two lines of the index that a key may be in, as the first step of a batch.
    #[inline]
    pub fn prefetch(&self, hash: KeyHash) {
        // SAFETY: pinned while `self` lives.
        let table = unsafe { self.shared.table(hash) };
        prefetch(table.first_bucket(&self.shared.arena, hash.tag()));
        prefetch(table.second_bucket(&self.shared.arena, hash.tag()));
    }

    /// Looks into the index, which [`Reader::prefetch`] has asked for, and asks for the record, as the second
    /// step of a batch.
    #[inline]
    pub fn prefetch_item(&self, hash: KeyHash) -> Lead<'_> {
        // SAFETY: pinned while `self` lives.
        let table = unsafe { self.shared.table(hash) };
        let record = table.candidates(&self.shared.arena, hash.tag()).next().map(|(_, entry)| {
            prefetch_lines(self.shared.arena.at(entry.location()), RECORD_LINES_PREFETCHED);
            // SAFETY: just found, and pinned while `self` is borrowed.
            unsafe { self.shared.record(entry) }
        });
        Lead { hash, record }
    }

    /// As [`Reader::get`], from where [`Reader::prefetch_item`] was led, as the third step of a batch. What it finds was right when
    /// the lead was taken.
    #[inline]
    pub fn get_led<'r>(&'r self, key: &[u8], lead: Lead<'r>, now: Seconds) -> Option<Item<'r>> {
        let record = lead.record?;
        // Another key may have the same tag.
        if record.key() == key { self.item(record, now) } else { self.get_hashed(key, lead.hash, now) }
    }

    #[inline]
    fn get_hashed(&self, key: &[u8], hash: KeyHash, now: Seconds) -> Option<Item<'_>> {
        // SAFETY: pinned while `self` lives, and the item does not outlive `self`.
        let (_, record, _) = unsafe { self.shared.find(hash, key) }?;
        self.item(record, now)
    }

    #[inline]
    fn item<'r>(&self, record: Record<'r>, now: Seconds) -> Option<Item<'r>> {
        if record.is_expired(now) {
            return None;
        }
        record.mark_read();
        let version = restore(self.shared.instance_nonce, record.version());
        Some(Item { value: record.value(), version })
    }
}
