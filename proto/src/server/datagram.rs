//! The datagrams of an answer, one after the other: each borrows the bytes of values and owns those before them.

use core::iter::FusedIterator;

use super::AnswerSummary;
use super::frames::{PREFIX_BYTES_MAX, Packed, Piece, Prefix};
use super::plan::{Cut, CutChunks, Reply, capacity};
use super::terms::Terms;
use crate::checksum::{Crc32c, crc32c};
use crate::limits::{CHUNK_BYTES, DATAGRAM_BYTES_MAX};

/// Longest datagram whose checksum is computed in one call where it was written. Of a longer one the start and the value bytes
/// are taken one by one, the latter where they are borrowed: they were not stored just now.
const ONE_CALL_BYTES_MAX: usize = 256;

/// One datagram of an answer.
#[derive(Clone, Debug)]
pub struct Datagram<'a, 'd> {
    prefix: &'a Prefix,
    first: Piece<'d>,
    /// Packed frames behind the first.
    more: &'a [Option<Reply<'a, 'd>>],
    bytes: usize,
    continues_train: bool,
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

    /// Whether it may leave in the same UDP_SEGMENT send as the datagram before it: all of a train have equal sizes but the last,
    /// which may be shorter, and there are at most 128 of them and at most 65,507 bytes together.
    #[inline]
    #[must_use]
    pub const fn continues_train(&self) -> bool {
        self.continues_train
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
        packed(self.more).fold(rest, |rest, piece| piece.write(rest));
        let start_bytes = self.prefix.len() + self.first.head_bytes;
        let checksum = if self.bytes <= ONE_CALL_BYTES_MAX || !self.more.is_empty() {
            crc32c(&out[4..])
        } else {
            let mut crc = Crc32c::of(&out[4..start_bytes]);
            crc.update(self.first.body);
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
    }
}

/// The answer to one request: its datagrams, packed frames first, then the chunks of each read.
#[derive(Clone, Debug)]
pub struct Answer<'a, 'd> {
    prefix: &'a Prefix,
    datagram_bytes: usize,
    /// Replies that packed frames are still to be taken from.
    packed: &'a [Option<Reply<'a, 'd>>],
    /// Replies that chunks are still to be taken from.
    cut: &'a [Option<Reply<'a, 'd>>],
    /// The chunks being sent.
    open: Option<Open<'a, 'd>>,
    left: u32,
    train: Train,
    summary: AnswerSummary,
}

/// A value of which some chunks are still to be sent.
#[derive(Clone, Debug)]
struct Open<'a, 'd> {
    cut: &'a Cut<'a, 'd>,
    chunks: CutChunks<'a>,
    left: usize,
}

impl<'a, 'd> Answer<'a, 'd> {
    #[inline]
    pub(super) fn of(
        prefix: &'a Prefix,
        terms: &Terms,
        replies: &'a [Option<Reply<'a, 'd>>],
        summary: AnswerSummary,
    ) -> Self {
        Answer {
            prefix,
            datagram_bytes: terms.datagram_bytes,
            packed: replies,
            cut: replies,
            open: None,
            left: summary.datagrams,
            train: Train { datagrams_max: terms.train_datagrams, datagrams: 0, segment_bytes: 0, bytes: 0 },
            summary,
        }
    }

    /// What the answer consists of, whatever of it was taken already.
    #[inline]
    #[must_use]
    pub const fn summary(&self) -> AnswerSummary {
        self.summary
    }

    /// One datagram, and the train it belongs to.
    #[inline]
    fn datagram(
        &mut self,
        first: Piece<'d>,
        more: &'a [Option<Reply<'a, 'd>>],
        more_bytes: usize,
    ) -> Datagram<'a, 'd> {
        let bytes = self.prefix.len() + first.len() + more_bytes;
        self.left -= 1;
        Datagram { prefix: self.prefix, first, more, bytes, continues_train: self.train.take(bytes) }
    }

    /// The next datagram of packed frames: as many as [`super::budget::Budget::pack`] put into it.
    #[inline]
    fn next_packed(&mut self) -> Option<Datagram<'a, 'd>> {
        while let Some((reply, mut rest)) = self.packed.split_first() {
            self.packed = rest;
            let Some(Reply::Packed(first)) = reply else { continue };
            let mut room = self.datagram_bytes.saturating_sub(self.prefix.len() + first.len());
            let all_room = room;
            let mut count = 0;
            while let Some((reply, behind)) = rest.split_first() {
                if let Some(Reply::Packed(frame)) = reply {
                    let Some(left) = room.checked_sub(frame.len()) else { break };
                    room = left;
                }
                count += 1;
                rest = behind;
            }
            let (more, behind) = self.packed.split_at(count);
            self.packed = behind;
            return Some(self.datagram(first.piece(), more, all_room - room));
        }
        None
    }

    /// The next chunk in a datagram of its own.
    #[inline]
    fn next_chunk(&mut self) -> Option<Datagram<'a, 'd>> {
        loop {
            if let Some(open) = &mut self.open
                && open.left > 0
                && let Some(range) = open.chunks.next()
            {
                open.left -= 1;
                let piece = Piece::chunk(&open.cut.chunk(range));
                return Some(self.datagram(piece, &[], 0));
            }
            let (reply, rest) = self.cut.split_first()?;
            self.cut = rest;
            if let Some(Reply::Cut(cut)) = reply {
                let chunks = cut.chunks(capacity(self.datagram_bytes, self.prefix.len()));
                self.open = Some(Open { cut, chunks, left: cut.send });
            }
        }
    }
}

impl<'a, 'd> Iterator for Answer<'a, 'd> {
    type Item = Datagram<'a, 'd>;

    #[inline]
    fn next(&mut self) -> Option<Datagram<'a, 'd>> {
        if self.left == 0 {
            return None;
        }
        self.next_packed().or_else(|| self.next_chunk())
    }

    #[inline]
    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left as usize, Some(self.left as usize))
    }
}

impl ExactSizeIterator for Answer<'_, '_> {}
impl FusedIterator for Answer<'_, '_> {}

/// What one UDP_SEGMENT send carries so far.
#[derive(Clone, Debug)]
struct Train {
    datagrams_max: usize,
    datagrams: usize,
    segment_bytes: usize,
    bytes: usize,
}

impl Train {
    /// Takes a datagram in; whether it joins those before it, or else begins a train.
    #[inline]
    fn take(&mut self, bytes: usize) -> bool {
        let all_equal = self.bytes == self.datagrams * self.segment_bytes;
        let joins = self.datagrams > 0
            && all_equal
            && bytes <= self.segment_bytes
            && self.datagrams < self.datagrams_max
            && self.bytes + bytes <= DATAGRAM_BYTES_MAX;
        if joins {
            self.datagrams += 1;
            self.bytes += bytes;
        } else {
            (self.datagrams, self.segment_bytes, self.bytes) = (1, bytes, bytes);
        }
        joins
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
