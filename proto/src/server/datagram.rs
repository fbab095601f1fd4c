//! One datagram of an answer: it borrows the bytes of values and owns those before them.

use super::frames::{PREFIX_BYTES_MAX, Packed, Piece, Prefix};
use super::plan::Reply;
use crate::checksum::{Crc32c, crc32c};
use crate::limits::{CHUNK_BYTES, LEVEL_BYTES_MAX};

/// Longest datagram whose checksum is computed in one call where it was written. Of a longer one the start and the value bytes
/// are taken one by one, the latter where they are borrowed: they were not stored just now.
const ONE_CALL_BYTES_MAX: usize = 256;

/// What levels the last chunk of a value.
static LEVEL_ZEROES: [u8; LEVEL_BYTES_MAX] = [0; LEVEL_BYTES_MAX];

/// One datagram of an answer.
#[derive(Clone, Debug)]
pub struct Datagram<'a, 'd> {
    pub(super) prefix: &'a Prefix,
    pub(super) first: Piece<'d>,
    /// Packed frames behind the first.
    pub(super) more: &'a [Option<Reply<'a, 'd>>],
    pub(super) bytes: usize,
    /// Of these, zeroes at the end.
    pub(super) padding: usize,
}

/// A part of a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part<'t, 'd> {
    /// To be copied: gone after the call.
    Copied(&'t [u8]),
    /// Bytes of a value, which stay where they are for `'d`.
    Borrowed(&'d [u8]),
}

impl<'a, 'd> Datagram<'a, 'd> {
    /// Length; bytes of UDP payload.
    #[inline]
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "never empty")]
    pub const fn len(&self) -> usize {
        self.bytes
    }

    /// Whether it has one frame (beside TELEMETRY and COOKIE), whose value bytes may be worth borrowing: packed values are short.
    #[inline]
    #[must_use]
    pub const fn is_one_frame(&self) -> bool {
        self.more.is_empty()
    }

    /// Writes it and gives its length.
    ///
    /// # Panics
    /// If `out` is shorter than [`Datagram::len`], which the port's limits bound.
    #[inline]
    pub fn write(&self, out: &mut [u8]) -> usize {
        let room = out.len();
        let Some(out) = out.get_mut(..self.bytes) else {
            panic!(
                "a datagram of {} bytes for a buffer of {room}: make it as long as the port's datagrams",
                self.bytes
            );
        };
        let rest = self.first.write(self.prefix.write(out));
        packed(self.more).fold(rest, |rest, piece| piece.write(rest)).fill(0);
        let start_bytes = self.prefix.len() + self.first.head_bytes;
        let checksum = if self.bytes <= ONE_CALL_BYTES_MAX || !self.more.is_empty() {
            crc32c(&out[4..])
        } else {
            let mut crc = Crc32c::of(&out[4..start_bytes]);
            crc.update(self.first.body);
            crc.update(self.padding());
            crc.finish()
        };
        out[..4].copy_from_slice(&checksum.to_be_bytes());
        self.bytes
    }

    /// Hands out its parts in order, for those who gather: value bytes are not copied.
    #[inline]
    pub fn gather(&self, mut take: impl FnMut(Part<'_, 'd>)) {
        let mut start = [0; PREFIX_BYTES_MAX + CHUNK_BYTES];
        let start_bytes = self.prefix.len() + self.first.head_bytes;
        *self.prefix.write(&mut start).first_chunk_mut().expect("room for the longest") = self.first.head();
        let mut crc = Crc32c::of(&start[4..start_bytes]);
        crc.update(self.first.body);
        for piece in packed(self.more) {
            crc.update(&piece.head()[..piece.head_bytes]);
            crc.update(piece.body);
        }
        crc.update(self.padding());
        start[..4].copy_from_slice(&crc.finish().to_be_bytes());
        take(Part::Copied(&start[..start_bytes]));
        if !self.first.body.is_empty() {
            take(Part::Borrowed(self.first.body));
        }
        for piece in packed(self.more) {
            take(Part::Copied(&piece.head()[..piece.head_bytes]));
            if !piece.body.is_empty() {
                take(Part::Borrowed(piece.body));
            }
        }
        if self.padding > 0 {
            take(Part::Copied(self.padding()));
        }
    }

    /// The zeroes at the end.
    #[inline]
    fn padding(&self) -> &'static [u8] {
        &LEVEL_ZEROES[..self.padding]
    }
}

/// The packed frames among these replies.
#[inline]
fn packed<'a, 'd>(replies: &'a [Option<Reply<'_, 'd>>]) -> impl Iterator<Item = Piece<'d>> + use<'a, 'd> {
    replies.iter().filter_map(|reply| match reply {
        Some(Reply::Packed(frame)) => Some(Packed::piece(frame)),
        _ => None,
    })
}
