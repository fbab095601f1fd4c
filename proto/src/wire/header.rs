//! The two headers: 24 bytes before a request's frames, 16 before an answer's (`PROTOCOL.md`, section 2.1).

use super::bytes::{put, u16_at, u32_at};
use crate::limits::{ANSWER_HEADER_BYTES, REQUEST_HEADER_BYTES};

/// Byte 4 of every message.
pub(super) const MAGIC: u8 = 0x5E;
/// Byte 5: the version of the protocol.
pub(super) const VERSION: u8 = 1;
/// Byte 6, bit 7: the message is an answer.
pub(super) const ANSWER: u8 = 0x80;
/// Byte 6, bit 0: telemetry wanted, or draining.
const FLAG: u8 = 0x01;

/// Header of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestHeader {
    /// 0 for a first request, then 1, 2, ... for each re-request of the same reads.
    pub attempt: u8,
    /// The client's number for this flow (one source port).
    pub flow: u32,
    /// Counts the request datagrams of the flow.
    pub sequence: u32,
    /// Every datagram of the answer is to carry TELEMETRY.
    pub telemetry: bool,
    /// Largest datagram (UDP payload) the client believes the path brings to it; bytes.
    pub datagram_max: u16,
    /// Bytes of datagrams the client is ready to take in answer to this datagram.
    pub credit: u32,
}

impl RequestHeader {
    /// The header with its checksum still 0.
    #[inline]
    #[must_use]
    pub fn to_bytes(&self) -> [u8; REQUEST_HEADER_BYTES] {
        let mut bytes = [0; REQUEST_HEADER_BYTES];
        bytes[4..8].copy_from_slice(&[MAGIC, VERSION, u8::from(self.telemetry), self.attempt]);
        put::<8, 4, _>(&mut bytes, self.flow.to_be_bytes());
        put::<12, 4, _>(&mut bytes, self.sequence.to_be_bytes());
        put::<16, 2, _>(&mut bytes, self.datagram_max.to_be_bytes());
        put::<20, 4, _>(&mut bytes, self.credit.to_be_bytes());
        bytes
    }

    #[inline]
    pub(super) const fn from_bytes(bytes: &[u8; REQUEST_HEADER_BYTES]) -> Self {
        RequestHeader {
            attempt: bytes[7],
            flow: u32_at::<8, _>(bytes),
            sequence: u32_at::<12, _>(bytes),
            telemetry: bytes[6] & FLAG != 0,
            datagram_max: u16_at::<16, _>(bytes),
            credit: u32_at::<20, _>(bytes),
        }
    }
}

/// Header of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AnswerHeader {
    /// As in the request.
    pub attempt: u8,
    /// As in the request.
    pub flow: u32,
    /// As in the request.
    pub sequence: u32,
    /// The server is about to leave.
    pub draining: bool,
}

impl AnswerHeader {
    /// The header of answers to this request.
    #[inline]
    #[must_use]
    pub const fn to(request: &RequestHeader, draining: bool) -> Self {
        AnswerHeader { attempt: request.attempt, flow: request.flow, sequence: request.sequence, draining }
    }

    /// The header with its checksum still 0.
    #[inline]
    #[must_use]
    pub fn to_bytes(&self) -> [u8; ANSWER_HEADER_BYTES] {
        let [first, second] = self.to_words();
        ((first as u128) << 64 | second as u128).to_be_bytes()
    }

    /// The two words of the header, for those who write each with one store.
    #[inline]
    pub(crate) fn to_words(self) -> [u64; 2] {
        let kind = ANSWER | u8::from(self.draining);
        let first = u32::from_be_bytes([MAGIC, VERSION, kind, self.attempt]);
        [first.into(), u64::from(self.flow) << 32 | u64::from(self.sequence)]
    }

    #[inline]
    pub(super) const fn from_bytes(bytes: &[u8; ANSWER_HEADER_BYTES]) -> Self {
        AnswerHeader {
            attempt: bytes[7],
            flow: u32_at::<8, _>(bytes),
            sequence: u32_at::<12, _>(bytes),
            draining: bytes[6] & FLAG != 0,
        }
    }
}
