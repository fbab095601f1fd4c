//! The datagrams of an answer, one after the other.

use core::iter::FusedIterator;

use super::AnswerSummary;
use super::cut::{Cut, CutChunks, capacity};
use super::datagram::Datagram;
use super::frames::{Piece, Prefix};
use super::plan::Reply;
use super::terms::Terms;

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
        padding: usize,
    ) -> Datagram<'a, 'd> {
        let bytes = self.prefix.len() + first.len() + more_bytes + padding;
        self.left -= 1;
        Datagram { prefix: self.prefix, first, more, bytes, padding }
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
            return Some(self.datagram(first.piece(), more, all_room - room, 0));
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
                let padding = if open.cut.level { open.chunks.short_by(range) } else { 0 };
                let piece = Piece::chunk(&open.cut.chunk(range));
                return Some(self.datagram(piece, &[], 0, padding));
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
