//! How much may be sent in answer to one request, and how (`PROTOCOL.md`, sections 4.1 and 7).

use super::AnswerSummary;
use crate::cookie::{Cookie, Proof};
use crate::limits::{CREDIT_BYTES_MAX, DATAGRAM_BYTES_MAX};
use crate::wire::Request;

/// What a port may send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortLimits {
    /// Largest datagram; bytes of UDP payload, at least [`crate::limits::DATAGRAM_BYTES_MIN`].
    pub datagram_max: u16,
    /// An answer is one datagram of up to 65,507 bytes whatever the client announced, and the kernel fragments it: what the
    /// strategies we compare with do.
    pub one_datagram_answers: bool,
    /// An answer is one datagram of up to `datagram_max` bytes whatever the client announced, and what is bigger is refused.
    pub too_big_is_refused: bool,
    /// The port sets DF, so that probes mean something.
    pub probes_served: bool,
}

impl PortLimits {
    /// Whether a value is never cut: what does not fit one datagram is refused, or left to the kernel's fragments.
    #[inline]
    #[must_use]
    pub const fn sends_whole_values(&self) -> bool {
        self.one_datagram_answers || self.too_big_is_refused
    }
}

/// What one answer must keep to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Terms {
    /// Largest datagram.
    pub(super) datagram_bytes: usize,
    /// All datagrams together, unless there is only one.
    pub(super) credit_bytes: usize,
    /// Datagrams may be padded to equal lengths.
    pub(super) levels: bool,
    /// A value that does not fit one datagram is refused, not cut.
    pub(super) whole_values: bool,
    /// Without a proven address: length of the request, which the answer must not exceed, and the cookie of the challenge.
    unproven: Option<(usize, Cookie)>,
}

impl Terms {
    /// Over TCP, which has flow control of its own.
    pub(super) const TCP: Self = Terms {
        datagram_bytes: DATAGRAM_BYTES_MAX,
        credit_bytes: usize::MAX,
        levels: false,
        whole_values: false,
        unproven: None,
    };

    #[inline]
    pub(super) fn over_udp(request: &Request<'_>, port: &PortLimits, proof: &Proof) -> Self {
        let port_bytes = usize::from(port.datagram_max);
        let datagram_bytes = if port.too_big_is_refused {
            port_bytes
        } else if port.one_datagram_answers {
            DATAGRAM_BYTES_MAX
        } else {
            port_bytes.min(usize::from(request.header.datagram_max))
        };
        Terms {
            datagram_bytes: datagram_bytes.min(DATAGRAM_BYTES_MAX),
            credit_bytes: CREDIT_BYTES_MAX.min(request.header.credit as usize),
            levels: true,
            whole_values: port.sends_whole_values(),
            unproven: match *proof {
                Proof::Missing(cookie) => Some((request.message_bytes, cookie)),
                Proof::Valid | Proof::Stale(_) => None,
            },
        }
    }

    /// The cookie to challenge with where this answer must not be sent: some value was withheld, or it is longer than the request, or
    /// has more datagrams, each of which costs its path headers and a packet.
    #[inline]
    pub(super) fn challenge(&self, answer: &AnswerSummary, withheld: bool) -> Option<Cookie> {
        let (request_bytes, cookie) = self.unproven?;
        (withheld || answer.datagrams > 1 || answer.bytes as usize > request_bytes).then_some(cookie)
    }
}
