//! What readers and the writer of a store share.

use crossbeam_utils::CachePadded;

use crate::arena::Arena;
use crate::epoch::Epochs;
use crate::hash::{KeyHash, KeyHasher};
use crate::index::{Entry, Index, Slot, Table};
use crate::record::Record;
use crate::stats::Counters;

/// Memory, the way into it, and who is in it.
pub(crate) struct Shared {
    // The index before the arena that its tables lie in.
    pub(crate) index: Index,
    pub(crate) arena: Arena,
    pub(crate) epochs: Epochs,
    pub(crate) hasher: KeyHasher,
    pub(crate) instance_nonce: u32,
    /// Padded, as readers must not share a cache line with what the writer writes.
    pub(crate) counters: CachePadded<Counters>,
}

impl Shared {
    /// The table that a hash is looked up in.
    ///
    /// # Safety
    /// As [`Index::table`].
    #[inline]
    pub(crate) unsafe fn table(&self, hash: KeyHash) -> &Table {
        // SAFETY: as the caller promises.
        unsafe { self.index.table(hash) }
    }

    /// The record an entry leads to.
    ///
    /// # Safety
    /// The entry was found in the index since the caller was pinned, and the caller is pinned during the borrow;
    /// or the caller holds the writers' mutex, and it is still there.
    #[inline]
    pub(crate) unsafe fn record(&self, entry: Entry) -> Record<'_> {
        // SAFETY: who publishes an entry has written its record, and loading the slot acquired that. Its segment
        // is not written again before all who were pinned while the entry was in the index have left.
        unsafe { Record::at(self.arena.at(entry.location())) }
    }

    /// Where a key's entry is.
    ///
    /// # Safety
    /// As [`Index::table`].
    #[inline]
    pub(crate) unsafe fn find(&self, hash: KeyHash, key: &[u8]) -> Option<(&Slot, Record<'_>, Entry)> {
        // SAFETY: as the caller promises.
        let table = unsafe { self.table(hash) };
        table.candidates(&self.arena, hash.tag()).find_map(|(slot, entry)| {
            // SAFETY: just found, by a caller as `record` asks for.
            let record = unsafe { self.record(entry) };
            (record.key() == key).then_some((slot, record, entry))
        })
    }
}
