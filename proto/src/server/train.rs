//! Datagrams of one size to one client that leave in one UDP_SEGMENT send (`PROTOCOL.md`, section 4.1).

use super::{Datagram, PortLimits};
use crate::limits::{DATAGRAM_BYTES_MAX, SEGMENTS_MAX};

/// What one UDP_SEGMENT send to one client carries so far, whichever of its requests each datagram answers.
///
/// All datagrams of a train have equal sizes but the last, which may be shorter; there are at most
/// [`SEGMENTS_MAX`](crate::limits::SEGMENTS_MAX), and at most 65,507 bytes together.
#[derive(Clone, Copy, Debug)]
pub struct Train {
    datagrams_max: usize,
    datagrams: usize,
    segment_bytes: usize,
    bytes: usize,
}

impl Train {
    /// An empty train of a port. Where an answer is one datagram, whatever the path carries, trains have one as well: a segment
    /// that the kernel would have to fragment is refused, or loses its DF (UDP_SEGMENT with IP_PMTUDISC_WANT).
    #[inline]
    #[must_use]
    pub const fn new(port: &PortLimits) -> Self {
        let datagrams_max = if port.sends_whole_values() { 1 } else { SEGMENTS_MAX };
        Train { datagrams_max, datagrams: 0, segment_bytes: 0, bytes: 0 }
    }

    /// Takes the next datagram in, if it can leave with those before it. False: the train is to be sent as it is, and the datagram
    /// begins the next one.
    #[inline]
    #[must_use]
    pub fn join(&mut self, datagram: &Datagram<'_, '_>) -> bool {
        let bytes = datagram.len();
        let all_equal = self.bytes == self.datagrams * self.segment_bytes;
        let joins = self.datagrams > 0
            && all_equal
            && bytes <= self.segment_bytes
            && self.datagrams < self.datagrams_max
            && self.bytes + bytes <= DATAGRAM_BYTES_MAX;
        if joins {
            self.datagrams += 1;
            self.bytes += bytes;
        }
        joins
    }

    /// Begins anew with this datagram.
    #[inline]
    pub const fn begin(&mut self, datagram: &Datagram<'_, '_>) {
        (self.datagrams, self.segment_bytes, self.bytes) = (1, datagram.len(), datagram.len());
    }

    /// Bytes of each datagram but the last; 0 where there is one datagram, or none.
    #[inline]
    #[must_use]
    pub const fn segment_bytes(&self) -> usize {
        if self.datagrams > 1 { self.segment_bytes } else { 0 }
    }

    /// Leaves nothing that a datagram could join.
    #[inline]
    pub const fn clear(&mut self) {
        (self.datagrams, self.segment_bytes, self.bytes) = (0, 0, 0);
    }
}
