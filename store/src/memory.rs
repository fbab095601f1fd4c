//! Whether a budget makes sense: not under one item, not over what the machine has.

use crate::limits::{BUDGET_BYTES_MAX, KEY_BYTES_MAX};
use crate::record::cost_bytes;
use crate::{StoreConfig, StoreError};

/// Reads `MemAvailable` out of the text of `/proc/meminfo` (proc_meminfo(5)), in bytes.
///
/// None when the line is missing or not `MemAvailable: NUMBER kB`.
pub fn parse_mem_available(meminfo: &str) -> Option<u64> {
    let rest = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kib: u64 = rest.trim().strip_suffix("kB")?.trim_end().parse().ok()?;
    kib.checked_mul(1024)
}

/// `MemAvailable` of this machine in bytes; None where the kernel does not tell.
pub(crate) fn mem_available() -> Option<u64> {
    parse_mem_available(&std::fs::read_to_string("/proc/meminfo").ok()?)
}

/// Checks the budget against the largest item and the memory available (unknown: not checked).
pub(crate) fn check_budget(config: &StoreConfig, available_bytes: Option<u64>) -> Result<(), StoreError> {
    let budget_bytes = config.budget_bytes;
    let needed_bytes = cost_bytes(KEY_BYTES_MAX, config.value_bytes_max);
    if budget_bytes < needed_bytes {
        return Err(StoreError::BudgetTooSmall { budget_bytes, needed_bytes });
    }
    if budget_bytes > BUDGET_BYTES_MAX {
        return Err(StoreError::BudgetTooLarge { budget_bytes });
    }
    match available_bytes {
        Some(available_bytes) if budget_bytes as u64 > available_bytes => {
            Err(StoreError::BudgetAboveAvailable { budget_bytes, available_bytes })
        }
        _ => Ok(()),
    }
}
