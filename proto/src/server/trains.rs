//! Datagrams in trains: header, checksum and frames go to the sink, equal sizes next to each other.

use super::Sink;
use crate::checksum::Crc32c;
use crate::cookie::Cookie;
use crate::limits::{
    ANSWER_HEADER_BYTES, CHUNK_BYTES, COOKIE_FRAME_BYTES, DATAGRAM_BYTES_MAX, MISS_BYTES, PROBE_BYTES,
    REFUSED_BYTES, TELEMETRY_BYTES, VALUE_BYTES,
};
use crate::wire::{
    AnswerHeader, Chunk, Probe, Refused, Telemetry, Value, cookie_bytes, frame_type, miss_bytes,
};

/// The longest prefix.
const PREFIX_BYTES_MAX: usize = ANSWER_HEADER_BYTES + TELEMETRY_BYTES + COOKIE_FRAME_BYTES;

/// Padding, which is never copied.
static ZEROES: [u8; DATAGRAM_BYTES_MAX] = [0; DATAGRAM_BYTES_MAX];

/// What every datagram of one answer begins with: header, telemetry where wanted, a new cookie where due. All datagrams carry all of
/// it, so that segments are equal and the loss of one does not take the cookie along.
#[derive(Clone, Copy)]
pub(super) struct Prefix {
    bytes: [u8; PREFIX_BYTES_MAX],
    length: usize,
}

impl Prefix {
    #[inline]
    pub(super) fn new(header: &AnswerHeader, telemetry: Option<&Telemetry>, cookie: Option<&Cookie>) -> Self {
        let mut bytes = [0; PREFIX_BYTES_MAX];
        bytes[..ANSWER_HEADER_BYTES].copy_from_slice(&header.to_bytes());
        let mut length = ANSWER_HEADER_BYTES;
        if let Some(telemetry) = telemetry {
            bytes[length..][..TELEMETRY_BYTES].copy_from_slice(&telemetry.to_bytes());
            length += TELEMETRY_BYTES;
        }
        if let Some(cookie) = cookie {
            bytes[length..][..COOKIE_FRAME_BYTES].copy_from_slice(&cookie_bytes(frame_type::COOKIE, cookie));
            length += COOKIE_FRAME_BYTES;
        }
        Prefix { bytes, length }
    }

    /// The header alone.
    pub(super) const fn without_frames(&self) -> Self {
        Prefix { length: ANSWER_HEADER_BYTES, ..*self }
    }

    /// Bytes every datagram begins with.
    #[inline]
    pub(super) const fn len(&self) -> usize {
        self.length
    }
}

/// One frame on its way to the sink: a fixed part that is copied, and bytes that are borrowed.
#[derive(Clone, Copy)]
pub(super) struct Piece<'d> {
    head: [u8; CHUNK_BYTES],
    head_bytes: usize,
    body: &'d [u8],
}

impl<'d> Piece<'d> {
    #[inline]
    fn new<const N: usize>(fixed: [u8; N], body: &'d [u8]) -> Self {
        const { assert!(N <= CHUNK_BYTES) };
        let mut head = [0; CHUNK_BYTES];
        head[..N].copy_from_slice(&fixed);
        Piece { head, head_bytes: N, body }
    }

    #[inline]
    pub(super) fn value(value: Value<'d>) -> Self {
        Self::new::<VALUE_BYTES>(value.head(), value.sealed)
    }

    #[inline]
    pub(super) fn chunk(chunk: Chunk<'d>) -> Self {
        Self::new::<CHUNK_BYTES>(chunk.head(), chunk.bytes)
    }

    #[inline]
    pub(super) fn miss(id: u32) -> Self {
        Self::new::<MISS_BYTES>(miss_bytes(id), &[])
    }

    #[inline]
    pub(super) fn refused(refused: Refused) -> Self {
        Self::new::<REFUSED_BYTES>(refused.to_bytes(), &[])
    }

    pub(super) fn challenge(cookie: &Cookie) -> Self {
        Self::new::<COOKIE_FRAME_BYTES>(cookie_bytes(frame_type::CHALLENGE, cookie), &[])
    }

    /// A PROBE_ACK with `padding` zero bytes behind it.
    pub(super) fn probe_ack(probe: Probe, padding: usize) -> Self {
        Self::new::<PROBE_BYTES>(probe.to_bytes(frame_type::PROBE_ACK), &ZEROES[..padding.min(ZEROES.len())])
    }

    /// Bytes of the frame.
    #[inline]
    pub(super) const fn len(&self) -> usize {
        self.head_bytes + self.body.len()
    }

    #[inline]
    fn head(&self) -> &[u8] {
        &self.head[..self.head_bytes]
    }
}

/// Puts datagrams into trains.
pub(super) struct Trains<'s, S> {
    sink: &'s mut S,
    prefix: &'s Prefix,
    datagrams_max: usize,
    /// The open train: size of its datagrams, how many, their bytes. No datagrams: no train is open.
    segment_bytes: usize,
    train_datagrams: usize,
    train_bytes: usize,
    datagrams: u32,
    bytes: u32,
}

impl<'s, 'd, S: Sink<'d>> Trains<'s, S> {
    #[inline]
    pub(super) fn new(sink: &'s mut S, prefix: &'s Prefix, datagrams_max: usize) -> Self {
        Trains {
            sink,
            prefix,
            datagrams_max,
            segment_bytes: 0,
            train_datagrams: 0,
            train_bytes: 0,
            datagrams: 0,
            bytes: 0,
        }
    }

    /// One datagram with these frames; none without frames.
    #[inline]
    pub(super) fn datagram(&mut self, mut frames: impl Iterator<Item = Piece<'d>> + Clone) {
        let Some(first) = frames.next() else { return };
        // Prefix and first head lie side by side: one checksum call and one copy for what all answers have.
        let mut start = [0; PREFIX_BYTES_MAX + CHUNK_BYTES];
        let start_bytes = self.prefix.length + first.head_bytes;
        start[..PREFIX_BYTES_MAX].copy_from_slice(&self.prefix.bytes);
        start[self.prefix.length..][..CHUNK_BYTES].copy_from_slice(&first.head);
        let mut crc = Crc32c::of(&start[4..start_bytes]);
        crc.update(first.body);
        let mut bytes = start_bytes + first.body.len();
        for piece in frames.clone() {
            crc.update(piece.head());
            crc.update(piece.body);
            bytes += piece.len();
        }
        self.make_room(bytes);
        start[..4].copy_from_slice(&crc.finish().to_be_bytes());
        self.sink.copy(&start[..start_bytes]);
        self.borrow(first.body);
        for piece in frames {
            self.sink.copy(piece.head());
            self.borrow(piece.body);
        }
    }

    #[inline]
    fn borrow(&mut self, body: &'d [u8]) {
        if !body.is_empty() {
            self.sink.borrow(body);
        }
    }

    /// Ends the last train; datagrams and bytes sent in all.
    #[inline]
    pub(super) fn finish(mut self) -> (u32, u32) {
        self.end_train();
        (self.datagrams, self.bytes)
    }

    /// Sees to it that a datagram of this size can join the open train, or opens another.
    #[inline]
    fn make_room(&mut self, bytes: usize) {
        let all_equal = self.train_bytes == self.train_datagrams * self.segment_bytes;
        let joins = self.train_datagrams > 0
            && all_equal
            && bytes <= self.segment_bytes
            && self.train_datagrams < self.datagrams_max
            && self.train_bytes + bytes <= DATAGRAM_BYTES_MAX;
        if !joins {
            self.end_train();
            self.sink.begin();
            self.segment_bytes = bytes;
        }
        self.train_datagrams += 1;
        self.train_bytes += bytes;
    }

    #[inline]
    fn end_train(&mut self) {
        if self.train_datagrams > 0 {
            self.sink.end(self.segment_bytes, self.train_datagrams);
            self.datagrams += self.train_datagrams as u32;
            self.bytes += self.train_bytes as u32;
            (self.train_datagrams, self.train_bytes) = (0, 0);
        }
    }
}
