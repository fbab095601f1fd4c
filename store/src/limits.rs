//! The store's limits and constants, each with its reason.

/// Longest key in bytes. The protocol allows 250; one byte of a record's header holds the length.
pub const KEY_BYTES_MAX: usize = u8::MAX as usize;

/// Largest value limit a store can be made with, in bytes: offsets within a segment have 32 bits.
pub const VALUE_BYTES_MAX: usize = 1 << 30;

/// Largest budget in bytes (1 TiB): an index slot gives 40 of its 64 bits to the place of the record.
pub const BUDGET_BYTES_MAX: usize = 1 << LOCATION_BITS;

/// Bits of an index slot that name a byte of the arena.
pub(crate) const LOCATION_BITS: u32 = 40;

/// Bits of an index slot that hold the key's hash: all that decides its two buckets, so that a table grows
/// without looking at a record. 24 are enough for shards of a million items; keys that share them share their
/// buckets and are told apart by their records.
pub(crate) const HASH_BITS: u32 = 64 - LOCATION_BITS;

/// Bytes of a cache line: one bucket of the index.
pub(crate) const LINE_BYTES: usize = 64;

/// Index slots in a bucket.
pub(crate) const BUCKET_SLOTS: usize = LINE_BYTES / size_of::<u64>();

/// The index takes memory in blocks of this size: a page, so that tables of any size leave little unused.
pub(crate) const BLOCK_BYTES: usize = 4096;

/// Segments, and so blocks, begin at multiples of this: 32 bits number the blocks of the largest budget.
pub(crate) const BLOCK_UNIT_BYTES: usize = 256;

/// Buckets of a block.
pub(crate) const BLOCK_BUCKETS: usize = BLOCK_BYTES / LINE_BYTES;

/// A full table grows by one part in this many (and by one block at least): small steps keep the tables full,
/// 0.92 on average; each item is copied eight times over while a table grows by itself.
pub(crate) const TABLE_GROWTH_PARTS: usize = 8;

/// How many items in a row are pushed on to their second bucket to make room for a new one. Two fill a table
/// to 0.97 before it grows (one: 0.87, three: 0.99 with a third of the items in their second bucket).
pub(crate) const DISPLACEMENTS_MAX: u32 = 2;

/// Memory for each shard of the index, in bytes of budget: a shard's table is then some 64 blocks when values
/// are small, and growing it takes an update some 100 us.
pub(crate) const SHARD_BUDGET_BYTES: usize = 4 << 20;

/// Most shards.
pub(crate) const SHARDS_MAX: usize = 1 << 16;

/// A segment is this part of the budget ...
pub(crate) const SEGMENTS_AIM: usize = 512;

/// ... but not more than this, a huge page, as long as there are not more than [`SEGMENTS_MAX`] of them ...
pub(crate) const SEGMENT_BYTES_AIM_MAX: usize = 2 << 20;

/// ... because a writer that looks for a segment to clean looks at each.
pub(crate) const SEGMENTS_MAX: usize = 16_384;

/// Fewest segments a store works with: two of the index, two being filled, two ready to be filled, two that
/// hold records.
pub(crate) const SEGMENTS_MIN: usize = 8;

/// The index leaves at least so many segments to records.
pub(crate) const LOG_SEGMENTS_MIN: usize = 6;

/// Segments that are kept ready: one is being filled while readers leave the others. Small logs keep two.
pub(crate) const READY_SEGMENTS: usize = 4;

/// Where no segment is ready, cleaning is held to so many bytes for each byte that is stored: a segment that
/// is a twelfth garbage is worth cleaning, and so twelve are cleaned for one that is filled.
pub(crate) const CLEANED_PER_STORED: usize = 16;

/// And to so many bytes more for each update, so that small records see progress.
pub(crate) const CLEANED_PER_UPDATE_BYTES: usize = 2048;

/// Records looked up together while a segment is cleaned, so that their cache misses overlap.
pub(crate) const CLEANED_TOGETHER: usize = 16;

/// Live records are moved together rather than evicted while they take less than this part (in 1/1024) of the
/// log: above it, moving costs more than ten bytes for each byte won.
pub(crate) const COMPACT_BELOW_1024THS: u64 = 922;

/// A segment with this much garbage (a fourth) is always worth moving together ...
pub(crate) const GARBAGE_WORTH_PARTS: u32 = 4;

/// ... and one with less than this (a sixteenth) never.
pub(crate) const GARBAGE_LEAST_PARTS: u32 = 16;

/// Bytes of records that were read and are spared between two segments filled, or eight segments if they are
/// larger. When readers mark records faster than they are evicted, the next segment goes, read or not: an update
/// that finds nothing ready copies this much at most, in some 10 ms.
pub(crate) const SPARED_BYTES_MAX: usize = 8 * SEGMENT_BYTES_AIM_MAX;

/// How long a writer waits for readers to leave a segment, in milliseconds. Readers stay for a batch, some
/// 100 us, unless the scheduler takes their CPU.
pub const READERS_WAIT_MS_MAX: u64 = 1000;

/// What a store takes beside its segments, in bytes of budget for each: the table of segments, the index's
/// directories (4 B for each block of 4096 B) and its list of free blocks.
pub(crate) const DIRECTORY_BUDGET_PARTS: usize = 512;

/// Readers at once that have an epoch slot each, for each CPU; more share one.
pub(crate) const READER_SLOTS_PER_CPU: usize = 2;

/// Budget for each entry (4 B) of the ghost list, in bytes ...
pub(crate) const GHOST_BUDGET_BYTES: usize = 2048;

/// ... between these numbers: a sample of some thousand keys shows which way the shares of the logs should go.
pub(crate) const GHOSTS: std::ops::RangeInclusive<usize> = 1 << 8..=1 << 14;

/// Lines of a record that a batch asks for ahead: header, key and a value of some 100 B; the CPU goes on by
/// itself from there.
pub(crate) const RECORD_LINES_PREFETCHED: usize = 3;

/// Lines of a value that are asked for at most: 64 values of 4 KiB are an eighth of a second-level cache of 2 MiB, and what
/// follows is read in order, which the CPU foresees.
pub(crate) const VALUE_LINES_PREFETCHED_MAX: usize = 64;

const _: () = assert!(BLOCK_BYTES.is_multiple_of(LINE_BYTES) && BUCKET_SLOTS == 8);
const _: () =
    assert!(BUDGET_BYTES_MAX / BLOCK_UNIT_BYTES <= 1 << 32 && BLOCK_BYTES.is_multiple_of(BLOCK_UNIT_BYTES));
const _: () = assert!(CLEANED_PER_STORED > GARBAGE_LEAST_PARTS as usize - 2);
