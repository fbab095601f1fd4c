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

#[cfg(test)]
mod tests {
    use super::*;

    /// Linux 6.18, cut to its first lines.
    const MEMINFO: &str = "MemTotal:        7906316 kB\nMemFree:          339360 kB\n\
                           MemAvailable:    5103232 kB\nBuffers:          214096 kB\nHugePages_Total:       0\n";

    #[test]
    fn finds_mem_available_and_takes_nothing_else_for_it() {
        assert_eq!(parse_mem_available(MEMINFO), Some(5_103_232 * 1024));
        for wrong in [
            "",
            "MemFree: 1 kB",
            "MemAvailable:",
            "MemAvailable: 12",
            "MemAvailable: -1 kB",
            "XMemAvailable: 1 kB",
        ] {
            assert_eq!(parse_mem_available(wrong), None, "{wrong:?}");
        }
        assert_eq!(
            parse_mem_available("MemAvailable: 18446744073709551615 kB"),
            None,
            "more than 64 bits of bytes"
        );
    }

    #[test]
    fn names_budget_and_memory_when_the_machine_has_less() {
        let config = StoreConfig { budget_bytes: 1 << 20, value_bytes_max: 100, instance_nonce: 1 };
        assert_eq!(check_budget(&config, Some(1 << 20)), Ok(()));
        assert_eq!(check_budget(&config, None), Ok(()));
        let error = check_budget(&config, Some((1 << 20) - 1)).unwrap_err();
        let (budget_bytes, available_bytes) = (1 << 20, (1 << 20) - 1);
        assert_eq!(error, StoreError::BudgetAboveAvailable { budget_bytes, available_bytes });
        assert!(error.to_string().contains("1048576 B") && error.to_string().contains("1048575 B"));
    }
}
