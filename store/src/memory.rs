//! How much memory the machine has to give.

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
}
