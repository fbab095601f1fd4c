//! What is known of the path: datagram sizes each way.

use super::Client;

/// What one direction carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DirectionReport {
    /// Largest datagram used for reads; bytes of UDP payload.
    pub datagram_bytes: u16,
}

/// Datagram sizes in both directions (section 6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PathReport {
    /// From here to the server.
    pub up: DirectionReport,
    /// From the server to here.
    pub down: DirectionReport,
}

impl Client {
    /// The sizes in use.
    #[must_use]
    pub fn path(&self) -> PathReport {
        PathReport {
            up: DirectionReport { datagram_bytes: self.config.base_datagram },
            down: DirectionReport { datagram_bytes: self.config.datagram_max },
        }
    }

    /// Says that a host on the way up reported a path MTU ("fragmentation needed", or the kernel's EMSGSIZE), as the largest datagram it
    /// leaves. A hint, never a verdict: anybody can send ICMP (section 6.4).
    pub fn hint_path_mtu(&mut self, _now_ns: u64, _datagram_bytes: u16) {}

    /// Bytes that the buffer given to [`Client::poll_transmit`] needs.
    #[must_use]
    pub fn transmit_bytes_max(&self) -> usize {
        self.config.base_datagram.into()
    }
}
