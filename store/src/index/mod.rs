//! The index: from a key's hash to where its record lies. Shards by hash, each a table that is replaced by a
//! larger one as it fills.

mod table;

use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

pub(crate) use table::{Block, Entry, Slot, Table};

use crate::hash::KeyHash;

/// The shards' tables, as readers find them.
pub(crate) struct Index {
    shards: Box<[AtomicPtr<Table>]>,
}

impl Index {
    pub(crate) fn new(tables: impl Iterator<Item = Table>) -> Index {
        Index { shards: tables.map(|table| AtomicPtr::new(Box::into_raw(Box::new(table)))).collect() }
    }

    pub(crate) fn shards(&self) -> usize {
        self.shards.len()
    }

    /// The table that a hash is looked up in.
    ///
    /// # Safety
    /// The caller is pinned during the borrow, or holds the writers' mutex and retires no table.
    #[inline]
    pub(crate) unsafe fn table(&self, hash: KeyHash) -> &Table {
        // SAFETY: as the caller promises.
        unsafe { self.table_of_shard(hash.shard(self.shards.len())) }
    }

    /// # Safety
    /// As [`Index::table`].
    #[inline]
    pub(crate) unsafe fn table_of_shard(&self, shard: usize) -> &Table {
        // Acquire, paired with the Release in `replace`: the table is whole.
        let table = self.shards[shard].load(Ordering::Acquire);
        // SAFETY: never null; a table that was replaced is freed after all readers pinned at the time have
        // left, and only under the writers' mutex.
        unsafe { &*table }
    }

    /// Puts a table in place of a shard's, which the caller keeps until readers have left it.
    pub(crate) fn replace(&self, shard: usize, table: Box<Table>) -> RetiredTable {
        RetiredTable(self.shards[shard].swap(Box::into_raw(table), Ordering::AcqRel))
    }
}

impl Drop for Index {
    fn drop(&mut self) {
        for shard in &mut self.shards {
            let table = std::mem::replace(shard.get_mut(), ptr::null_mut());
            // SAFETY: from `Box::into_raw`, and nobody borrows from an index that is dropped.
            drop(unsafe { Box::from_raw(table) });
        }
    }
}

/// A table that readers may still be in.
pub(crate) struct RetiredTable(*mut Table);

// SAFETY: a table is blocks' numbers; whoever owns it may free it.
unsafe impl Send for RetiredTable {}

impl RetiredTable {
    /// The table itself.
    ///
    /// # Safety
    /// All readers that were pinned when it was replaced have left.
    pub(crate) unsafe fn into_table(self) -> Box<Table> {
        // SAFETY: from `Box::into_raw`, taken once; nobody else can reach it any more.
        let table = unsafe { Box::from_raw(self.0) };
        std::mem::forget(self);
        table
    }
}

impl Drop for RetiredTable {
    /// Only with the store: nobody is pinned.
    fn drop(&mut self) {
        // SAFETY: as in `into_table`.
        drop(unsafe { Box::from_raw(self.0) });
    }
}
