//! What a search is told when it is made, and what it tells.

use crate::limits::{DATAGRAM_BYTES_MAX, IPV4_OVERHEAD_BYTES, RAISE_NS_DEFAULT};

/// Settings of the search of one direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SearchConfig {
    /// Largest datagram ever probed, bytes of UDP payload: the least of what the interface, the receiver's buffers and the other side's
    /// port can take. Up to the base there is nothing to search. Default 65,507.
    pub datagram_max: u16,
    /// IP and UDP headers, bytes: 28 for IPv4, 48 for IPv6. Turns the path MTUs tried first into datagram sizes. Default 28.
    pub overhead_bytes: u16,
    /// How long after a search has ended larger sizes are tried again, ns; default 600 s (RFC 8899, section 5.1.1, PMTU_RAISE_TIMER).
    pub raise_ns: u64,
}

impl Default for SearchConfig {
    fn default() -> Self {
        Self {
            datagram_max: DATAGRAM_BYTES_MAX as u16,
            overhead_bytes: IPV4_OVERHEAD_BYTES as u16,
            raise_ns: RAISE_NS_DEFAULT,
        }
    }
}

/// What a search is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SearchState {
    /// Not even a probe of the base size was acknowledged yet.
    Base,
    /// Looking for a size above the proved one.
    Searching,
    /// The proved size is the cap, or one byte more was lost too often for chance.
    Complete,
    /// A lowering test runs: the proved size is in doubt, and reads keep to the base size.
    Suspected,
    /// Stopped: the port does not serve probes. The base size stands.
    Disabled,
}

/// What a search has done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SearchCounters {
    /// Probes handed out.
    pub probes: u64,
    /// Probes acknowledged, late ones included.
    pub acknowledged: u64,
    /// Of them, those nobody waited for any more: the probe is in `lost` as well, or a suspicion had begun or ended meanwhile.
    pub late: u64,
    /// Probes given up for lost, or refused by the kernel.
    pub lost: u64,
    /// Lowering tests begun.
    pub tests: u64,
    /// Lowering tests that lowered the proved size.
    pub lowered: u64,
    /// Times the proved size grew.
    pub raised: u64,
}
