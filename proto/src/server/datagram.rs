//! The datagrams of an answer, one after the other: each borrows the bytes of values and owns those before them.

use core::iter::FusedIterator;

use super::AnswerSummary;
use super::frames::{PREFIX_BYTES_MAX, Packed, Piece, Prefix};
use super::plan::{Cut, CutChunks, Reply, capacity};
use super::terms::Terms;
use crate::checksum::{Crc32c, crc32c};
use crate::chunk::Range;
use crate::limits::{CHUNK_BYTES, DATAGRAM_BYTES_MAX};

/// The longest prefix and the longest first frame without its value bytes.
const START_BYTES_MAX: usize = PREFIX_BYTES_MAX + CHUNK_BYTES;

/// One datagram of an answer.
#[derive(Clone, Debug)]
pub struct Datagram<'a, 'd> {
    /// Prefix and fixed part of the first frame side by side: one checksum call and one copy for what all datagrams have.
    start: [u8; START_BYTES_MAX],
    start_bytes: usize,
    body: &'d [u8],
    /// Frames behind the first.
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
    #[inline]
    fn new(prefix: &Prefix, first: &Piece<'d>, more: &'a [Option<Reply<'a, 'd>>], more_bytes: usize) -> Self {
        let mut start = [0; START_BYTES_MAX];
        start[..PREFIX_BYTES_MAX].copy_from_slice(&prefix.bytes);
        start[prefix.len()..][..CHUNK_BYTES].copy_from_slice(&first.head);
        let start_bytes = prefix.len() + first.head_bytes;
        let bytes = start_bytes + first.body.len() + more_bytes;
        Datagram { start, start_bytes, body: first.body, more, bytes, continues_train: false }
    }

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
        let (start, rest) = out.split_at_mut(self.start_bytes);
        start.copy_from_slice(&self.start[..self.start_bytes]);
        let (body, mut rest) = rest.split_at_mut(self.body.len());
        body.copy_from_slice(self.body);
        for piece in packed(self.more) {
            for part in [piece.head(), piece.body] {
                rest.split_off_mut(..part.len()).expect("its length counts all frames").copy_from_slice(part);
            }
        }
        let (checksum, rest) = out.split_at_mut(4);
        checksum.copy_from_slice(&crc32c(rest).to_be_bytes());
        self.bytes
    }

    /// Hands out its parts in order, for those who gather: value bytes are not copied.
    #[inline]
    pub fn gather(&self, mut take: impl FnMut(Part<'_, 'd>)) {
        let mut start = self.start;
        start[..4].copy_from_slice(&self.checksum().to_be_bytes());
        take(Part::Copied(&start[..self.start_bytes]));
        if !self.body.is_empty() {
            take(Part::Borrowed(self.body));
        }
        for piece in packed(self.more) {
            take(Part::Copied(piece.head()));
            if !piece.body.is_empty() {
                take(Part::Borrowed(piece.body));
            }
        }
    }

    #[inline]
    fn checksum(&self) -> u32 {
        let mut crc = Crc32c::of(&self.start[4..self.start_bytes]);
        crc.update(self.body);
        for piece in packed(self.more) {
            crc.update(piece.head());
            crc.update(piece.body);
        }
        crc.finish()
    }
}

/// The answer to one request: its datagrams, packed frames first, then the chunks of each read.
#[derive(Clone, Debug)]
pub struct Answer<'a, 'd> {
    prefix: Prefix,
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
        prefix: Prefix,
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
            return Some(Datagram::new(&self.prefix, &first.piece(), more, all_room - room));
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
                return Some(chunk(&self.prefix, open.cut, range));
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

#[inline]
fn chunk<'a, 'd>(prefix: &Prefix, cut: &Cut<'_, 'd>, range: Range) -> Datagram<'a, 'd> {
    Datagram::new(prefix, &Piece::chunk(&cut.chunk(range)), &[], 0)
}

impl<'a, 'd> Iterator for Answer<'a, 'd> {
    type Item = Datagram<'a, 'd>;

    #[inline]
    fn next(&mut self) -> Option<Datagram<'a, 'd>> {
        if self.left == 0 {
            return None;
        }
        let mut datagram = self.next_packed().or_else(|| self.next_chunk())?;
        self.left -= 1;
        datagram.continues_train = self.train.take(datagram.bytes);
        Some(datagram)
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
