//! How a budget is divided before anything is taken, and whether it makes sense.

use std::thread;

use crossbeam_utils::CachePadded;

use crate::epoch::Epochs;
use crate::limits::{
    BLOCK_BYTES, BLOCK_UNIT_BYTES, BUDGET_BYTES_MAX, DIRECTORY_BUDGET_PARTS, GHOST_BUDGET_BYTES, GHOSTS,
    READER_SLOTS_PER_CPU, SEGMENT_BYTES_AIM_MAX, SEGMENTS_AIM, SEGMENTS_MAX, SEGMENTS_MIN,
    SHARD_BUDGET_BYTES, SHARDS_MAX, VALUE_BYTES_MAX,
};
use crate::policy::Policy;
use crate::record::largest_bytes;
use crate::segments::Segments;
use crate::{Store, StoreConfig, StoreError};

/// A budget, divided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) segment_bytes: usize,
    pub(crate) segments: usize,
    pub(crate) shards: usize,
    pub(crate) reader_slots: usize,
    pub(crate) ghosts: usize,
    /// What is taken beside the segments, at most.
    pub(crate) books_bytes: usize,
}

impl Plan {
    /// Checks the budget against the largest item and the memory available (unknown: not checked).
    pub(crate) fn new(config: &StoreConfig, available_bytes: Option<u64>) -> Result<Plan, StoreError> {
        let StoreConfig { budget_bytes, value_bytes_max, .. } = *config;
        // First, as what it would need may be more than any budget.
        if value_bytes_max > VALUE_BYTES_MAX {
            return Err(StoreError::ValueLimitTooLarge { value_bytes_max });
        }
        let needed_bytes = needed_bytes(value_bytes_max);
        if budget_bytes < needed_bytes {
            return Err(StoreError::BudgetTooSmall { budget_bytes, needed_bytes });
        }
        if budget_bytes > BUDGET_BYTES_MAX {
            return Err(StoreError::BudgetTooLarge { budget_bytes });
        }
        if let Some(available_bytes) = available_bytes.filter(|available| budget_bytes as u64 > *available) {
            return Err(StoreError::BudgetAboveAvailable { budget_bytes, available_bytes });
        }
        let segment_bytes = segment_bytes(budget_bytes, value_bytes_max);
        let books_bytes = books_bytes(budget_bytes, segment_bytes);
        Ok(Plan {
            segment_bytes,
            segments: (budget_bytes - books_bytes) / segment_bytes,
            shards: shards(budget_bytes),
            reader_slots: reader_slots(),
            ghosts: ghosts(budget_bytes),
            books_bytes,
        })
    }
}

/// The smallest budget that [`SEGMENTS_MIN`] segments and their books fit into. Budgets this small have the
/// smallest segments, so it is the least solution of budget = segments + books(budget).
fn needed_bytes(value_bytes_max: usize) -> usize {
    let segment_bytes = segment_bytes(0, value_bytes_max);
    let segments_bytes = segment_bytes.saturating_mul(SEGMENTS_MIN);
    let mut needed = segments_bytes;
    loop {
        let more = segments_bytes.saturating_add(books_bytes(needed, segment_bytes));
        if more <= needed {
            return needed;
        }
        needed = more;
    }
}

/// A multiple of the largest record, so that records of that size leave nothing unused.
fn segment_bytes(budget_bytes: usize, value_bytes_max: usize) -> usize {
    let aim = (budget_bytes / SEGMENTS_AIM).min(SEGMENT_BYTES_AIM_MAX).max(budget_bytes / SEGMENTS_MAX);
    let largest = largest_bytes(value_bytes_max);
    let records = aim.div_ceil(largest).max(1);
    let bytes = largest.saturating_mul(records).max(BLOCK_BYTES);
    bytes.checked_next_multiple_of(BLOCK_UNIT_BYTES).unwrap_or(usize::MAX)
}

/// Grows with the budget, but for steps of one segment's book.
fn books_bytes(budget_bytes: usize, segment_bytes: usize) -> usize {
    /// A table, its box and its pointer.
    const SHARD_BOOK_BYTES: usize = 96;
    let segments = budget_bytes / segment_bytes;
    size_of::<CachePadded<Store>>()
        + Policy::bytes(ghosts(budget_bytes))
        + Epochs::bytes(reader_slots())
        + segments * Segments::BOOK_BYTES
        + shards(budget_bytes) * SHARD_BOOK_BYTES
        + budget_bytes / DIRECTORY_BUDGET_PARTS
        // The mapping is rounded up to pages.
        + BLOCK_BYTES
}

fn shards(budget_bytes: usize) -> usize {
    (budget_bytes / SHARD_BUDGET_BYTES).next_power_of_two().min(SHARDS_MAX)
}

fn ghosts(budget_bytes: usize) -> usize {
    (budget_bytes / GHOST_BUDGET_BYTES).next_power_of_two().clamp(*GHOSTS.start(), *GHOSTS.end())
}

fn reader_slots() -> usize {
    let cpus = thread::available_parallelism().map_or(1, usize::from);
    (cpus * READER_SLOTS_PER_CPU).max(8)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(budget_bytes: usize, value_bytes_max: usize) -> Result<Plan, StoreError> {
        Plan::new(&StoreConfig { budget_bytes, value_bytes_max, instance_nonce: 1 }, None)
    }

    #[test]
    fn every_budget_is_divided_without_exceeding_it() {
        for value_bytes_max in [0, 100, 4096, 65_536, 1 << 20, 16 << 20] {
            for budget_bytes in (16..38).flat_map(|bits| [1 << bits, 3 << (bits - 1), (1 << bits) + 77_777]) {
                match plan(budget_bytes, value_bytes_max) {
                    Ok(plan) => {
                        assert!(plan.segments * plan.segment_bytes + plan.books_bytes <= budget_bytes);
                        assert!(plan.segments >= SEGMENTS_MIN && plan.segments <= SEGMENTS_MAX);
                        assert!(plan.segment_bytes >= largest_bytes(value_bytes_max));
                        assert!(plan.books_bytes <= 45_000 + budget_bytes / 50, "{budget_bytes} {plan:?}");
                    }
                    Err(StoreError::BudgetTooSmall { needed_bytes, .. }) => {
                        assert!(needed_bytes > budget_bytes);
                        assert_eq!(plan(needed_bytes, value_bytes_max).unwrap().segments, SEGMENTS_MIN);
                        assert!(plan(needed_bytes - 1, value_bytes_max).is_err());
                    }
                    Err(other) => panic!("{other}"),
                }
            }
        }
    }

    #[test]
    fn limits_are_refused_by_name() {
        for (budget_bytes, value_bytes_max) in
            [(BUDGET_BYTES_MAX, VALUE_BYTES_MAX + 1), (1 << 20, usize::MAX)]
        {
            let error = plan(budget_bytes, value_bytes_max).unwrap_err();
            assert_eq!(error, StoreError::ValueLimitTooLarge { value_bytes_max });
        }
        let config = StoreConfig { budget_bytes: 1 << 20, value_bytes_max: 100, instance_nonce: 1 };
        assert!(Plan::new(&config, Some(1 << 20)).is_ok());
        let error = Plan::new(&config, Some((1 << 20) - 1)).unwrap_err();
        let (budget_bytes, available_bytes) = (1 << 20, (1 << 20) - 1);
        assert_eq!(error, StoreError::BudgetAboveAvailable { budget_bytes, available_bytes });
        assert!(error.to_string().contains("1048576 B") && error.to_string().contains("1048575 B"));
    }
}
