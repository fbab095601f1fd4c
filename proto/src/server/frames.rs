//! The bytes that datagrams of an answer consist of: what all begin with, and one frame each or several.

use crate::cookie::Cookie;
use crate::limits::{
    ANSWER_HEADER_BYTES, CHUNK_BYTES, COOKIE_FRAME_BYTES, DATAGRAM_BYTES_MAX, MISS_BYTES, PROBE_BYTES,
    REFUSED_BYTES, TELEMETRY_BYTES, VALUE_BYTES,
};
use crate::wire::{
    AnswerHeader, Chunk, Probe, Refused, Telemetry, Value, cookie_bytes, frame_type, miss_bytes,
};

/// The longest prefix.
pub(super) const PREFIX_BYTES_MAX: usize = ANSWER_HEADER_BYTES + TELEMETRY_BYTES + COOKIE_FRAME_BYTES;

/// Padding, which is never copied.
static ZEROES: [u8; DATAGRAM_BYTES_MAX] = [0; DATAGRAM_BYTES_MAX];

/// What every datagram of one answer begins with: header, telemetry where wanted, a new cookie where due. All datagrams carry all of
/// it, so that segments are equal and the loss of one does not take the cookie along.
#[derive(Clone, Copy, Debug)]
pub(super) struct Prefix {
    /// The header in words: see [`Piece`].
    header: [u64; ANSWER_HEADER_BYTES / 8],
    frames: [u8; TELEMETRY_BYTES + COOKIE_FRAME_BYTES],
    frames_bytes: usize,
}

impl Prefix {
    /// Of no answer.
    pub(super) const EMPTY: Self = Prefix {
        header: [0; ANSWER_HEADER_BYTES / 8],
        frames: [0; TELEMETRY_BYTES + COOKIE_FRAME_BYTES],
        frames_bytes: 0,
    };

    /// Makes it that of another answer, where it is.
    #[inline]
    pub(super) fn set(
        &mut self,
        header: &AnswerHeader,
        telemetry: Option<&Telemetry>,
        cookie: Option<&Cookie>,
    ) {
        self.header = header.to_words().map(u64::to_be);
        self.frames_bytes = 0;
        if let Some(telemetry) = telemetry {
            self.frames[..TELEMETRY_BYTES].copy_from_slice(&telemetry.to_bytes());
            self.frames_bytes = TELEMETRY_BYTES;
        }
        if let Some(cookie) = cookie {
            self.frames[self.frames_bytes..][..COOKIE_FRAME_BYTES]
                .copy_from_slice(&cookie_bytes(frame_type::COOKIE, cookie));
            self.frames_bytes += COOKIE_FRAME_BYTES;
        }
    }

    /// Leaves the header alone.
    pub(super) const fn drop_frames(&mut self) {
        self.frames_bytes = 0;
    }

    /// Bytes every datagram begins with.
    #[inline]
    pub(super) const fn len(&self) -> usize {
        ANSWER_HEADER_BYTES + self.frames_bytes
    }

    /// Writes it to the front of `out` and gives what is behind it.
    ///
    /// # Panics
    /// If `out` is shorter.
    #[inline]
    pub(super) fn write<'b>(&self, out: &'b mut [u8]) -> &'b mut [u8] {
        let (header, behind) = out.split_at_mut(ANSWER_HEADER_BYTES);
        for (bytes, word) in header.as_chunks_mut().0.iter_mut().zip(self.header) {
            *bytes = word.to_ne_bytes();
        }
        // Mostly it is the header alone.
        if self.frames_bytes == 0 {
            return behind;
        }
        let (frames, behind) = behind.split_at_mut(self.frames_bytes);
        frames.copy_from_slice(&self.frames[..self.frames_bytes]);
        behind
    }
}

/// A frame that shares its datagram with others, or has it for itself.
#[derive(Clone, Copy, Debug)]
pub(super) enum Packed<'d> {
    Miss(u32),
    Refused(Refused),
    Value(Value<'d>),
    Challenge(Cookie),
    /// With this many bytes of padding behind it.
    ProbeAck(Probe, usize),
}

impl<'d> Packed<'d> {
    #[inline]
    pub(super) fn piece(&self) -> Piece<'d> {
        match *self {
            Packed::Miss(id) => Piece::new::<MISS_BYTES>(miss_bytes(id), &[]),
            Packed::Refused(refused) => Piece::new::<REFUSED_BYTES>(refused.to_bytes(), &[]),
            Packed::Value(value) => Piece::new::<VALUE_BYTES>(value.head(), value.sealed),
            Packed::Challenge(cookie) => {
                Piece::new::<COOKIE_FRAME_BYTES>(cookie_bytes(frame_type::CHALLENGE, &cookie), &[])
            }
            Packed::ProbeAck(probe, padding) => Piece::new::<PROBE_BYTES>(
                probe.to_bytes(frame_type::PROBE_ACK),
                &ZEROES[..padding.min(ZEROES.len())],
            ),
        }
    }

    /// Bytes of the frame.
    #[inline]
    pub(super) const fn len(&self) -> usize {
        match self {
            Packed::Miss(_) => MISS_BYTES,
            Packed::Refused(_) => REFUSED_BYTES,
            Packed::Value(value) => VALUE_BYTES + value.sealed.len(),
            Packed::Challenge(_) => COOKIE_FRAME_BYTES,
            Packed::ProbeAck(_, padding) => PROBE_BYTES + *padding,
        }
    }
}

/// One frame as bytes: a fixed part, and bytes that are borrowed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Piece<'d> {
    /// The fixed part in words, which stay in registers: what is stored in small fields and loaded in larger ones has to leave
    /// the store buffer first.
    head: [u64; CHUNK_BYTES / 8],
    pub(super) head_bytes: usize,
    pub(super) body: &'d [u8],
}

impl<'d> Piece<'d> {
    #[inline]
    fn new<const N: usize>(fixed: [u8; N], body: &'d [u8]) -> Self {
        const { assert!(N <= CHUNK_BYTES) };
        let mut bytes = [0; CHUNK_BYTES];
        bytes[..N].copy_from_slice(&fixed);
        let [a, b, c] = bytes.as_chunks::<8>().0 else { unreachable!("24 bytes are three words") };
        let head = [u64::from_ne_bytes(*a), u64::from_ne_bytes(*b), u64::from_ne_bytes(*c)];
        Piece { head, head_bytes: N, body }
    }

    #[inline]
    pub(super) fn chunk(chunk: &Chunk<'d>) -> Self {
        Self::new::<CHUNK_BYTES>(chunk.head(), chunk.bytes)
    }

    /// The fixed part, with zeroes behind it.
    #[inline]
    pub(super) const fn head(&self) -> [u8; CHUNK_BYTES] {
        let [a, b, c] = self.head;
        let mut bytes = [0; CHUNK_BYTES];
        let (words, _) = bytes.as_chunks_mut::<8>();
        (words[0], words[1], words[2]) = (a.to_ne_bytes(), b.to_ne_bytes(), c.to_ne_bytes());
        bytes
    }

    /// Bytes of the frame.
    #[inline]
    pub(super) const fn len(&self) -> usize {
        self.head_bytes + self.body.len()
    }

    /// Writes the frame to the front of `out` and gives what is behind it.
    ///
    /// # Panics
    /// If `out` is shorter than the frame.
    #[inline]
    pub(super) fn write<'b>(&self, out: &'b mut [u8]) -> &'b mut [u8] {
        let head = self.head();
        match out.first_chunk_mut::<CHUNK_BYTES>() {
            // What this writes too much is written over by the body or the next frame, or is not part of the datagram yet.
            Some(front) => *front = head,
            None => out[..self.head_bytes].copy_from_slice(&head[..self.head_bytes]),
        }
        let (body, behind) = out[self.head_bytes..].split_at_mut(self.body.len());
        body.copy_from_slice(self.body);
        behind
    }
}
