//! PROBE and PROBE_ACK: does a datagram of this size pass, and in which direction (`PROTOCOL.md`, section 6; RFC 8899).

use super::bytes::{put, u16_at, u32_at};
use crate::limits::PROBE_BYTES;

/// Direction bit: the request is padded to the size probed.
const UP: u8 = 0x01;
/// Direction bit: the answer is to be padded to the size probed.
const DOWN: u8 = 0x02;

/// A PROBE or its PROBE_ACK. At least one direction is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probe {
    /// The request is padded to the size probed.
    pub up: bool,
    /// The answer is padded to the size probed.
    pub down: bool,
    /// In PROBE the datagram size probed, in PROBE_ACK that of the request as it arrived; bytes of UDP payload.
    pub size: u16,
    /// Chosen by the client, echoed.
    pub id: u32,
}

impl Probe {
    #[inline]
    pub(crate) fn to_bytes(self, frame_type: u8) -> [u8; PROBE_BYTES] {
        let mut bytes = [0; PROBE_BYTES];
        bytes[0] = frame_type;
        bytes[1] = (u8::from(self.up) * UP) | (u8::from(self.down) * DOWN);
        put::<2, 2, _>(&mut bytes, self.size.to_be_bytes());
        put::<4, 4, _>(&mut bytes, self.id.to_be_bytes());
        bytes
    }

    #[inline]
    pub(super) fn parse(bytes: &[u8]) -> Option<(Self, &[u8])> {
        let (head, rest) = bytes.split_first_chunk::<PROBE_BYTES>()?;
        let (up, down) = (head[1] & UP != 0, head[1] & DOWN != 0);
        let probe = Probe { up, down, size: u16_at::<2, _>(head), id: u32_at::<4, _>(head) };
        (up || down).then_some((probe, rest))
    }
}
