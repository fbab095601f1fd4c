//! The writers' side of a store, behind their mutex: updates, and the index's growth.

use std::collections::VecDeque;

use crate::StoreError;
use crate::arena::Arena;
use crate::epoch::Epoch;
use crate::expiry::{Expiry, Seconds, Ttl};
use crate::hash::KeyHash;
use crate::index::{Block, Entry, Index, RetiredTable, Table};
use crate::limits::{BLOCK_BYTES, LOG_SEGMENTS_MIN, TABLE_GROWTH_PARTS};
use crate::plan::Plan;
use crate::policy::Policy;
use crate::record::{Parts, Record};
use crate::segments::{Class, Segments};
use crate::shared::Shared;
use crate::version::{Version, Versions};

use cleaning::Cleaning;

mod cleaning;

/// What only the writer of the moment touches.
pub(crate) struct Writer {
    segments: Segments,
    free_blocks: Vec<Block>,
    retired_tables: VecDeque<(Epoch, RetiredTable)>,
    policy: Policy,
    versions: Versions,
    cleaning: Cleaning,
    books_bytes: usize,
}

impl Writer {
    /// With an index of a block for each shard.
    pub(crate) fn new(plan: &Plan, arena: &Arena, instance_nonce: u32) -> (Writer, Index) {
        let mut writer = Writer {
            segments: Segments::new(plan.segments, plan.segment_bytes),
            free_blocks: Vec::new(),
            retired_tables: VecDeque::new(),
            policy: Policy::new(plan.ghosts),
            versions: Versions::new(instance_nonce),
            cleaning: Cleaning::default(),
            books_bytes: plan.books_bytes,
        };
        while writer.free_blocks.len() < plan.shards {
            let taken = writer.take_index_segment();
            assert!(taken, "a block for each shard is a thousandth of the budget");
        }
        let first = writer.free_blocks.split_off(writer.free_blocks.len() - plan.shards);
        // SAFETY: each block is given to one table.
        let tables = first.into_iter().map(|block| unsafe { Table::new([block].into(), arena) });
        (writer, Index::new(tables))
    }

    pub(crate) fn set(
        &mut self,
        shared: &Shared,
        key: &[u8],
        value: &[u8],
        ttl: Ttl,
        now: Seconds,
    ) -> Result<Version, StoreError> {
        let version = self.versions.next()?;
        let hash = shared.hasher.hash(key);
        self.make_index_room(shared, hash, key, now);
        // SAFETY: the writers' mutex is held, and no table is retired while these borrows live.
        let found = unsafe { shared.find(hash, key) };
        let (class, read) = found.map_or((Class::Small, false), |(_, old, entry)| {
            (self.segments.class(self.segments.of(entry.location())), old.was_read())
        });
        let mut parts = Parts { key, value, version: 0, expiry: Expiry::new(ttl, now), read };
        let bytes = parts.bytes();
        self.make_room(shared, class, bytes, now)?;
        parts.version = self.versions.take();
        let location = self.segments.append(class, bytes, parts.expiry);
        // SAFETY: these bytes of the open segment were never handed out since it was opened, and no reader was
        // left in it then.
        unsafe { parts.write(shared.arena.at(location)) };
        self.link(shared, hash, key, location, bytes);
        self.clean_a_little(shared, bytes, now);
        Ok(version)
    }

    pub(crate) fn delete(&mut self, shared: &Shared, key: &[u8]) -> bool {
        // SAFETY: the writers' mutex is held, and no table is retired while the borrow lives.
        let found = unsafe { shared.find(shared.hasher.hash(key), key) };
        let Some((slot, record, entry)) = found else { return false };
        slot.clear();
        shared.counters.items.down();
        self.unlinked(shared, entry.location(), record.bytes());
        true
    }

    /// Everything goes; the index keeps its size.
    pub(crate) fn flush(&mut self, shared: &Shared) -> usize {
        for shard in 0..shared.index.shards() {
            // SAFETY: the writers' mutex is held, and no table is retired here.
            let table = unsafe { shared.index.table_of_shard(shard) };
            table.slots(&shared.arena).filter(|slot| slot.get().is_some()).for_each(|slot| slot.clear());
        }
        self.segments.retire_all(shared.epochs.advance());
        self.cleaning = Cleaning::default();
        let items = shared.counters.items.get();
        shared.counters.items.put(0);
        items
    }

    /// Bytes of the budget in use, as [`StoreStats`](crate::StoreStats) gives them.
    pub(crate) fn bytes_used(&self) -> usize {
        self.books_bytes + self.segments.index_bytes() + self.segments.live_bytes() as usize
    }

    /// Puts a record that was written at `location` in place of the key's, or as a new one.
    fn link(&mut self, shared: &Shared, hash: KeyHash, key: &[u8], location: usize, bytes: usize) {
        let entry = Entry::new(hash.tag(), location);
        self.segments.add_live(location, bytes);
        // SAFETY: the writers' mutex is held, and no table is retired while the borrows live.
        if let Some((slot, old, old_entry)) = unsafe { shared.find(hash, key) } {
            let old_bytes = old.bytes();
            slot.put(entry);
            self.unlinked(shared, old_entry.location(), old_bytes);
        } else {
            // SAFETY: as above.
            let room = unsafe { shared.table(hash) }.room(&shared.arena, hash.tag());
            room.expect("made before, and only removals since").put(entry);
            shared.counters.items.up();
            self.policy.inserted(hash, shared.counters.items.get());
        }
    }

    /// Books a record that is not in the index any more, and retires its segment if it was the last.
    fn unlinked(&mut self, shared: &Shared, location: usize, bytes: usize) {
        if let Some(dead) = self.segments.remove_live(location, bytes) {
            self.retire(shared, dead);
        }
    }

    fn retire(&mut self, shared: &Shared, segment: u32) {
        self.cleaning.is_done_with(segment);
        self.segments.retire(segment, shared.epochs.advance());
    }

    /// Takes back what readers have left.
    fn collect(&mut self, shared: &Shared) {
        let oldest = shared.epochs.oldest();
        self.segments.collect(oldest);
        while self.retired_tables.front().is_some_and(|(epoch, _)| *epoch < oldest) {
            if let Some((_, table)) = self.retired_tables.pop_front() {
                // SAFETY: it was replaced before `epoch` ended, and no reader of that epoch is left.
                let table = unsafe { table.into_table() };
                self.free_blocks.extend(table.blocks());
            }
        }
    }

    /// Sees to it that a key is in the index or finds room there. Where the index cannot grow any more, a
    /// neighbour goes.
    fn make_index_room(&mut self, shared: &Shared, hash: KeyHash, key: &[u8], now: Seconds) {
        loop {
            // SAFETY: the writers' mutex is held; the borrows end before `grow` retires the table.
            let fits = unsafe {
                shared.find(hash, key).is_some()
                    || shared.table(hash).room(&shared.arena, hash.tag()).is_some()
            };
            if fits {
                return;
            }
            if !self.grow(shared, hash.shard(shared.index.shards()), now) {
                break;
            }
        }
        // SAFETY: as above, and nothing is retired any more.
        let neighbour = unsafe { shared.table(hash) }.neighbour(&shared.arena, hash.tag());
        if let Some((slot, entry)) = neighbour {
            // SAFETY: just found under the mutex.
            let bytes = unsafe { shared.record(entry) }.bytes();
            slot.clear();
            shared.counters.items.down();
            shared.counters.evictions.up();
            self.unlinked(shared, entry.location(), bytes);
        }
    }

    /// Replaces a shard's table by a larger one; false when there is no memory for it.
    fn grow(&mut self, shared: &Shared, shard: usize, now: Seconds) -> bool {
        // SAFETY: the writers' mutex is held.
        let mut blocks = unsafe { shared.index.table_of_shard(shard) }.blocks().len();
        loop {
            blocks += (blocks / TABLE_GROWTH_PARTS).max(1);
            let Some(taken) = self.take_blocks(shared, blocks, now) else { return false };
            // SAFETY: the blocks were free: no table has them, and readers have left the last that did.
            let table = unsafe { Table::new(taken, &shared.arena) };
            // SAFETY: the writers' mutex is held, and the borrow ends before the table is retired. Asked for
            // only now: making room may have emptied slots.
            let old = unsafe { shared.index.table_of_shard(shard) };
            let moved = old
                .slots(&shared.arena)
                .filter_map(|slot| slot.get())
                .all(|entry| table.room(&shared.arena, entry.tag()).map(|slot| slot.put(entry)).is_some());
            if moved {
                let retired = shared.index.replace(shard, Box::new(table));
                self.retired_tables.push_back((shared.epochs.advance(), retired));
                return true;
            }
            // Bad luck: no reader has seen it.
            self.free_blocks.extend(table.blocks());
        }
    }

    /// So many blocks for a table. The index never takes more than leaves the log its least.
    fn take_blocks(&mut self, shared: &Shared, count: usize, now: Seconds) -> Option<Box<[Block]>> {
        self.collect(shared);
        while self.free_blocks.len() < count {
            if self.segments.log_segments() <= LOG_SEGMENTS_MIN
                || self.reclaim(shared, now).is_err()
                || !self.take_index_segment()
            {
                return None;
            }
        }
        Some(self.free_blocks.split_off(self.free_blocks.len() - count).into())
    }

    fn take_index_segment(&mut self) -> bool {
        let Some(start) = self.segments.take_for_index() else { return false };
        let blocks = (0..self.segments.segment_bytes() / BLOCK_BYTES).rev();
        self.free_blocks.extend(blocks.map(|block| Block::at(start + block * BLOCK_BYTES)));
        true
    }

    /// The record at a place of a segment that is being cleaned.
    fn record_at<'a>(&self, shared: &'a Shared, location: usize) -> Record<'a> {
        // SAFETY: cleaning goes from record to record of a sealed segment, all of which were written under the
        // mutex that is held now, and which is not used again before it is retired and collected.
        unsafe { Record::at(shared.arena.at(location)) }
    }
}
