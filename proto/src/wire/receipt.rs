//! Receipts: what became of one request datagram, kept by the server and read over TCP (`PROTOCOL.md`, section 8.2).

use super::bytes::{put, u16_at, u32_at, u64_at};
use crate::limits::RECEIPT_BYTES;

/// What the server did with a request datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// The answer was handed to the kernel.
    Answered,
    /// The kernel refused the send.
    SendRefused,
    /// The client had no valid cookie and the answer would have been longer than the request.
    Challenged,
}

/// What became of one request datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// Flow of the request.
    pub flow: u32,
    /// Sequence of the request.
    pub sequence: u32,
    /// Attempt of the request.
    pub attempt: u8,
    /// What was done with it.
    pub outcome: Outcome,
    /// Datagrams of the answer.
    pub answer_datagrams: u16,
    /// Bytes of those datagrams (UDP payload).
    pub answer_bytes: u32,
    /// The kernel's receive timestamp; microseconds since 1970.
    pub arrival_unix_us: u64,
    /// From arrival to the send; microseconds.
    pub residence_us: u32,
    /// UDP port it came in on.
    pub port: u16,
    /// Reads in the datagram.
    pub gets: u16,
}

impl Receipt {
    /// The receipt as it travels.
    #[inline]
    #[must_use]
    pub fn to_bytes(&self) -> [u8; RECEIPT_BYTES] {
        let mut bytes = [0; RECEIPT_BYTES];
        put::<0, 4, _>(&mut bytes, self.flow.to_be_bytes());
        put::<4, 4, _>(&mut bytes, self.sequence.to_be_bytes());
        bytes[8] = self.attempt;
        bytes[9] = match self.outcome {
            Outcome::Answered => 1,
            Outcome::SendRefused => 2,
            Outcome::Challenged => 3,
        };
        put::<10, 2, _>(&mut bytes, self.answer_datagrams.to_be_bytes());
        put::<12, 4, _>(&mut bytes, self.answer_bytes.to_be_bytes());
        put::<16, 8, _>(&mut bytes, self.arrival_unix_us.to_be_bytes());
        put::<24, 4, _>(&mut bytes, self.residence_us.to_be_bytes());
        put::<28, 2, _>(&mut bytes, self.port.to_be_bytes());
        put::<30, 2, _>(&mut bytes, self.gets.to_be_bytes());
        bytes
    }

    /// Reads a receipt; `None` for an outcome this version does not know.
    #[inline]
    #[must_use]
    pub fn from_bytes(bytes: &[u8; RECEIPT_BYTES]) -> Option<Self> {
        let outcome = match bytes[9] {
            1 => Outcome::Answered,
            2 => Outcome::SendRefused,
            3 => Outcome::Challenged,
            _ => return None,
        };
        Some(Receipt {
            flow: u32_at::<0, _>(bytes),
            sequence: u32_at::<4, _>(bytes),
            attempt: bytes[8],
            outcome,
            answer_datagrams: u16_at::<10, _>(bytes),
            answer_bytes: u32_at::<12, _>(bytes),
            arrival_unix_us: u64_at::<16, _>(bytes),
            residence_us: u32_at::<24, _>(bytes),
            port: u16_at::<28, _>(bytes),
            gets: u16_at::<30, _>(bytes),
        })
    }
}

/// The receipts of a RECEIPT_LIST, as they travel. Every one of them has been checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receipts<'a>(&'a [[u8; RECEIPT_BYTES]]);

impl<'a> Receipts<'a> {
    /// Wraps receipts made by [`Receipt::to_bytes`]; `None` where one of them is not a receipt or there are more than 1024.
    #[must_use]
    pub fn new(receipts: &'a [[u8; RECEIPT_BYTES]]) -> Option<Self> {
        let fits = receipts.len() <= crate::limits::RECEIPTS_PER_LIST_MAX;
        (fits && receipts.iter().all(|bytes| Receipt::from_bytes(bytes).is_some()))
            .then_some(Receipts(receipts))
    }

    pub(super) fn parse(bytes: &'a [u8]) -> Option<Self> {
        let (receipts, []) = bytes.as_chunks::<RECEIPT_BYTES>() else { return None };
        Self::new(receipts)
    }

    pub(super) fn as_bytes(self) -> &'a [u8] {
        self.0.as_flattened()
    }

    /// How many there are.
    #[must_use]
    pub const fn len(self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0.is_empty()
    }

    /// The receipts in order.
    pub fn iter(self) -> impl Iterator<Item = Receipt> + 'a {
        self.0.iter().filter_map(Receipt::from_bytes)
    }
}
