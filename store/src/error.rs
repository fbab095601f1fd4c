//! Why the store refuses a configuration or an update.

use crate::limits::{BUDGET_BYTES_MAX, KEY_BYTES_MAX, VALUE_BYTES_MAX};

/// A refusal. The key keeps the value it had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The budget does not hold the few segments that a store works with.
    #[error(
        "memory budget of {budget_bytes} B is too small: with values of this size {needed_bytes} B are needed; raise \
         the budget or lower the value limit"
    )]
    BudgetTooSmall {
        /// The budget asked for.
        budget_bytes: usize,
        /// The smallest that is taken with this value limit.
        needed_bytes: usize,
    },
    /// The budget is more than the machine can give now.
    #[error(
        "memory budget of {budget_bytes} B is more than the {available_bytes} B this machine has available \
         (MemAvailable in /proc/meminfo); lower the budget"
    )]
    BudgetAboveAvailable {
        /// The budget asked for.
        budget_bytes: usize,
        /// `MemAvailable`.
        available_bytes: u64,
    },
    /// The budget is more than the index can address.
    #[error(
        "memory budget of {budget_bytes} B is above the largest supported, {BUDGET_BYTES_MAX} B; lower the \
         budget"
    )]
    BudgetTooLarge {
        /// The budget asked for.
        budget_bytes: usize,
    },
    /// The value limit is more than a segment can hold.
    #[error(
        "value limit of {value_bytes_max} B is above the largest supported, {VALUE_BYTES_MAX} B; lower the value limit"
    )]
    ValueLimitTooLarge {
        /// The limit asked for.
        value_bytes_max: usize,
    },
    /// The system does not give the memory.
    #[error(
        "the system refuses {budget_bytes} B of memory (mmap: {reason}); lower the budget or raise ulimit -v"
    )]
    MemoryRefused {
        /// The budget asked for.
        budget_bytes: usize,
        /// What the system says.
        reason: String,
    },
    /// Readers did not leave the memory that the value would be written to.
    #[error(
        "no memory is free: readers have held what was replaced or evicted for {waited_ms} ms; try again, and drop \
         a Reader after each batch"
    )]
    HeldByReaders {
        /// How long the update waited.
        waited_ms: u64,
    },
    /// The key has no bytes.
    #[error("the key is empty: keys have 1 to {KEY_BYTES_MAX} B")]
    KeyEmpty,
    /// The key is too long.
    #[error("the key has {key_bytes} B: keys have 1 to {KEY_BYTES_MAX} B")]
    KeyTooLong {
        /// Length of the key given.
        key_bytes: usize,
    },
    /// The value is above the configured limit.
    #[error(
        "the value has {value_bytes} B: at most {value_bytes_max} B are stored; raise the value limit or split \
         the value"
    )]
    ValueTooLarge {
        /// Length of the value given.
        value_bytes: usize,
        /// The configured limit.
        value_bytes_max: usize,
    },
    /// All versions that can be told apart were handed out: 2^48 of them, or up to 2^64 - 1.
    #[error("no version above {last:#x} is left; restart with an instance nonce below {}", .last >> 32)]
    VersionsExhausted {
        /// The last version handed out.
        last: u64,
    },
}
