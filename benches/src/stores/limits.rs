//! Limits of the comparison of stores.

/// Most items: all candidates together would then need some 40 GiB.
pub(super) const ITEMS_MAX: u32 = 10_000_000;

/// Most rounds: half an hour.
pub(super) const ROUNDS_MAX: u32 = 101;

/// What an item of 120 B takes in the hungriest candidate while it is filled, its share of a second, full copy (`sets`) included.
pub(super) const BYTES_AN_ITEM: u64 = 600;

/// Items of the small store of `reads`: what fits a core's second-level cache, nearly.
pub(super) const SMALL_ITEMS: u32 = 10_000;
