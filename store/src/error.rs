//! Why the store refuses a configuration or an update.

use crate::limits::{BUDGET_BYTES_MAX, KEY_BYTES_MAX};

/// A refusal. Nothing was changed: no item is lost to an update that fails.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The budget does not hold even one item of the largest size.
    #[error(
        "memory budget of {budget_bytes} B is too small: one item of the largest size needs {needed_bytes} B; raise \
         the budget or lower the value limit"
    )]
    BudgetTooSmall {
        /// The budget asked for.
        budget_bytes: usize,
        /// Longest key, largest value and the overhead of an item.
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
    /// The budget is more than the eviction queue can number items for.
    #[error(
        "memory budget of {budget_bytes} B is above the largest supported, {BUDGET_BYTES_MAX} B; lower the \
         budget"
    )]
    BudgetTooLarge {
        /// The budget asked for.
        budget_bytes: usize,
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
    /// All versions up to 2^64 - 1 were handed out.
    #[error("no version above {last:#x} is left; restart with an instance nonce below {}", .last >> 32)]
    VersionsExhausted {
        /// The last version handed out.
        last: u64,
    },
}
