//! The store's limits and constants, each with its reason.

/// Longest key in bytes. The protocol allows 250; one byte in front of the record holds the length.
pub const KEY_BYTES_MAX: usize = u8::MAX as usize;

/// What an item is charged beside its key and value, in bytes: the record's header (17), the index entry (56),
/// its share of the index table (10..24), its slot in the eviction queue (32..64), and some 30 that glibc's
/// allocator adds to two blocks. Resident memory measured 150 to 160 an item; `tests/accounting.rs` holds the
/// figure against the bytes asked for.
pub const ITEM_OVERHEAD_BYTES: usize = 160;

/// Most items in a store: slots of the eviction queue are numbered with 32 bits, and one number means "none".
pub const ITEMS_MAX: usize = u32::MAX as usize - 1;

/// Largest budget in bytes (about 640 GiB): with more, items could outnumber [`ITEMS_MAX`].
pub const BUDGET_BYTES_MAX: usize = ITEMS_MAX.saturating_mul(ITEM_OVERHEAD_BYTES);

/// How many items the hand looks at for expired ones before it evicts a live one. Each look costs one slot,
/// not an index lookup; a dead item further away than this waits for the hand to come closer.
pub const EXPIRY_LOOKAHEAD_ITEMS: usize = 8;

/// How many items that were read the hand spares in one update; the next one goes, read or not. It bounds how
/// long an update holds up other writers (a full turn over millions of items takes seconds), and ends it for
/// sure where readers mark a few hot items faster than the hand comes round.
pub const CHANCES_PER_UPDATE_MAX: usize = 1024;

/// A replaced or removed record of this size or more is handed to reclamation at once. Smaller ones wait in
/// batches of 32 for each writing thread, so that at most 128 KiB a thread lie idle, and the barrier between
/// all CPUs that a batch costs is shared.
pub const RECLAIM_AT_ONCE_BYTES: usize = 4096;
