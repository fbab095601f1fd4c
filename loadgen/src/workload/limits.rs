//! Limits of a workload, each with its reason.

/// Longest key, in bytes: the protocol's limit (and memcached's).
pub const KEY_BYTES_MAX: usize = 250;

/// Largest value any spec may name, in bytes: the protocol's hard limit of 16 MiB. A server's own limit is
/// usually lower and is given in [`Sizing`](super::Sizing).
pub const VALUE_BYTES_CEILING: u32 = 16 << 20;

/// Most items: sizes take up to 5 bytes an item here, so 5 GB at this limit, and an index fits 32 bits.
pub const ITEMS_MAX: u64 = 1_000_000_000;

/// Highest rate, in reads per second, that can be asked for: above what any single host sends.
pub const RATE_PER_S_MAX: u64 = 100_000_000;

/// Most reads kept of a trace: 4 bytes each, so 800 MB at this limit.
pub const TRACE_READS_MAX: usize = 200_000_000;

/// Largest Zipf exponent: at 10 the second most popular item gets one read in a thousand, so more says
/// nothing.
pub const ZIPF_EXPONENT_MAX: f64 = 10.0;

/// Longest line of a histogram or trace, in bytes: a trace line holds a key and six numbers. Stops a file
/// that is no text from being read into memory whole.
pub(super) const LINE_BYTES_MAX: usize = 4096;

/// Largest per-answer overhead, in bytes: the base datagram of 1200 bytes has to keep room for a value.
pub(super) const ANSWER_OVERHEAD_BYTES_MAX: u32 = 512;
