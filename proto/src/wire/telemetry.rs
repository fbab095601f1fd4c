//! TELEMETRY: what the worker that answered knows about itself (`PROTOCOL.md`, section 5).

use super::bytes::{put, u16_at, u32_at};
use super::frame::frame_type;
use crate::limits::TELEMETRY_BYTES;

/// Counters of the worker that sent an answer. All wrap at 2^32.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Telemetry {
    /// The worker's number.
    pub worker: u8,
    /// The UDP port's number in the server's list, from 0.
    pub port_index: u16,
    /// Nonce of the server instance: another one means that the server was restarted.
    pub nonce: u32,
    /// Request datagrams this worker received.
    pub received: u32,
    /// Answer datagrams this worker sent.
    pub sent: u32,
    /// Datagrams the kernel dropped at this worker's socket (SO_RXQ_OVFL).
    pub dropped: u32,
    /// Microseconds from the kernel's receive timestamp to the send of this answer.
    pub residence_us: u32,
}

impl Telemetry {
    #[inline]
    pub(crate) fn to_bytes(self) -> [u8; TELEMETRY_BYTES] {
        let mut bytes = [0; TELEMETRY_BYTES];
        bytes[0] = frame_type::TELEMETRY;
        bytes[1] = self.worker;
        put::<2, 2, _>(&mut bytes, self.port_index.to_be_bytes());
        put::<4, 4, _>(&mut bytes, self.nonce.to_be_bytes());
        put::<8, 4, _>(&mut bytes, self.received.to_be_bytes());
        put::<12, 4, _>(&mut bytes, self.sent.to_be_bytes());
        put::<16, 4, _>(&mut bytes, self.dropped.to_be_bytes());
        put::<20, 4, _>(&mut bytes, self.residence_us.to_be_bytes());
        bytes
    }

    #[inline]
    pub(super) fn parse(bytes: &[u8]) -> Option<(Self, &[u8])> {
        let (head, rest) = bytes.split_first_chunk::<TELEMETRY_BYTES>()?;
        let telemetry = Telemetry {
            worker: head[1],
            port_index: u16_at::<2, _>(head),
            nonce: u32_at::<4, _>(head),
            received: u32_at::<8, _>(head),
            sent: u32_at::<12, _>(head),
            dropped: u32_at::<16, _>(head),
            residence_us: u32_at::<20, _>(head),
        };
        Some((telemetry, rest))
    }
}
