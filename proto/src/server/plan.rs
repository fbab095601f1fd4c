//! What the reads of one request are answered with, and how much of it the credit allows: decided before the first byte is sent,
//! because an unproven client may get no more than it sent.

use super::trains::{Piece, Prefix, Trains};
use super::{AnswerSummary, Found, Sink, Terms};
use crate::chunk::{Chunks, Range};
use crate::limits::{CHUNK_BYTES, VALUE_BYTES};
use crate::wire::{Chunk, Frame, Ranges, Refusal, Refused, Request, Value};

/// The answer to one read.
#[derive(Clone, Copy)]
enum Reply<'q, 'd> {
    /// A frame that shares its datagram with others.
    Packed(Packed<'d>),
    /// Chunks, each in a datagram of its own.
    Cut(Cut<'q, 'd>),
}

/// A frame that shares its datagram with others.
#[derive(Clone, Copy)]
enum Packed<'d> {
    Miss(u32),
    Refused(Refused),
    Value(Value<'d>),
}

impl<'d> Packed<'d> {
    #[inline]
    fn piece(&self) -> Piece<'d> {
        match *self {
            Packed::Miss(id) => Piece::miss(id),
            Packed::Refused(refused) => Piece::refused(refused),
            Packed::Value(value) => Piece::value(value),
        }
    }
}

/// The chunks of a value, or of ranges of it.
#[derive(Clone, Copy)]
struct Cut<'q, 'd> {
    id: u32,
    version: u64,
    sealed: &'d [u8],
    /// What was asked for again; `None` for the whole value.
    ranges: Option<Ranges<'q>>,
    /// How many chunks are sent, from the first on.
    send: usize,
}

impl<'q, 'd> Cut<'q, 'd> {
    /// All chunks, none longer than `capacity`. Each range is balanced by itself; what lies past the value is left out.
    #[inline]
    fn chunks(&self, capacity: usize) -> impl Iterator<Item = Range> + use<'q> {
        let total = self.sealed.len() as u32;
        let whole = self.ranges.is_none().then_some(Range { offset: 0, length: total });
        let asked = self.ranges.into_iter().flat_map(Ranges::iter);
        whole.into_iter().chain(asked).flat_map(move |range| {
            let offset = range.offset.min(total);
            Chunks::of_range(Range { offset, length: range.end().min(total) - offset }, capacity as u32)
        })
    }

    #[inline]
    fn chunk(&self, range: Range) -> Chunk<'d> {
        let bytes = &self.sealed[range.offset as usize..range.end() as usize];
        Chunk {
            id: self.id,
            version: self.version,
            total: self.sealed.len() as u32,
            offset: range.offset,
            bytes,
        }
    }
}

/// The answer to at most `N` reads.
pub(super) struct Plan<'q, 'd, const N: usize> {
    replies: [Option<Reply<'q, 'd>>; N],
    reads: usize,
    /// Bytes of a chunk that fit a datagram.
    capacity: usize,
    budget: Budget,
    summary: AnswerSummary,
}

impl<'q, 'd, const N: usize> Plan<'q, 'd, N> {
    /// Looks every read up and fits the answers into the credit.
    #[inline]
    pub(super) fn new(
        request: &Request<'q>,
        terms: &Terms,
        prefix: &Prefix,
        mut lookup: impl FnMut(&[u8]) -> Found<'d>,
    ) -> Self {
        let mut plan = Plan {
            replies: [None; N],
            reads: 0,
            capacity: terms.datagram_bytes.saturating_sub(prefix.len() + CHUNK_BYTES),
            budget: Budget::new(terms, prefix),
            summary: AnswerSummary { gets: u16::from(request.reads), ..AnswerSummary::default() },
        };
        for frame in request.frames() {
            let reply = match frame {
                Frame::Get(get) => reply_to_get(get.id, lookup(get.key), terms, prefix),
                Frame::Rerequest(again) => {
                    reply_to_rerequest(again.id, again.version, again.ranges, lookup(again.key))
                }
                _ => continue,
            };
            plan.count(&reply);
            // A request has no more reads than `N`; were it otherwise, the rest would be left out.
            if let Some(slot) = plan.replies.get_mut(plan.reads) {
                *slot = Some(reply);
                plan.reads += 1;
            }
        }
        plan.fit();
        plan
    }

    /// Bytes of all datagrams that will be sent.
    #[inline]
    pub(super) const fn bytes(&self) -> usize {
        self.budget.spent
    }

    /// What the answer consists of; datagrams and bytes are not filled in.
    #[inline]
    pub(super) const fn summary(&self) -> AnswerSummary {
        self.summary
    }

    #[inline]
    fn count(&mut self, reply: &Reply<'_, '_>) {
        match reply {
            Reply::Packed(Packed::Miss(_)) => self.summary.misses += 1,
            Reply::Packed(Packed::Refused(_)) => self.summary.refused += 1,
            Reply::Packed(Packed::Value(_)) | Reply::Cut(_) => self.summary.hits += 1,
        }
    }

    /// Spends the credit: first on one datagram for every read, then on further chunks (section 4).
    #[inline]
    fn fit(&mut self) {
        for slot in &mut self.replies[..self.reads] {
            let fits = match slot {
                Some(Reply::Packed(packed)) => self.budget.pack(packed.piece().len()),
                Some(Reply::Cut(cut)) => {
                    let first = cut.chunks(self.capacity).next();
                    cut.send = usize::from(first.is_some_and(|first| self.budget.chunk(first)));
                    cut.send == 1
                }
                None => continue,
            };
            if !fits {
                *slot = None;
                self.summary.left_out += 1;
            }
        }
        for slot in &mut self.replies[..self.reads] {
            if let Some(Reply::Cut(cut)) = slot {
                let more =
                    cut.chunks(self.capacity).skip(1).take_while(|&chunk| self.budget.chunk(chunk)).count();
                cut.send += more;
            }
        }
    }

    /// Sends it: packed frames first, then the chunks of each read.
    #[inline]
    pub(super) fn send<S: Sink<'d>>(&self, trains: &mut Trains<'_, S>) {
        let mut rest = &self.replies[..self.reads];
        while !rest.is_empty() {
            let (group, behind) = rest.split_at(self.budget.group(rest.iter().map(packed_bytes)).max(1));
            trains.datagram(group.iter().filter_map(packed));
            rest = behind;
        }
        for reply in &self.replies[..self.reads] {
            if let Some(Reply::Cut(cut)) = reply {
                for range in cut.chunks(self.capacity).take(cut.send) {
                    trains.datagram(core::iter::once(Piece::chunk(cut.chunk(range))));
                }
            }
        }
    }
}

/// The frame of a reply that is packed.
#[inline]
fn packed<'d>(reply: &Option<Reply<'_, 'd>>) -> Option<Piece<'d>> {
    match reply {
        Some(Reply::Packed(packed)) => Some(packed.piece()),
        _ => None,
    }
}

/// Bytes a reply adds to the datagram of packed frames.
#[inline]
fn packed_bytes(reply: &Option<Reply<'_, '_>>) -> usize {
    packed(reply).map_or(0, |piece| piece.len())
}

#[inline]
fn reply_to_get<'q, 'd>(id: u32, found: Found<'d>, terms: &Terms, prefix: &Prefix) -> Reply<'q, 'd> {
    match found {
        Found::Nothing => Reply::Packed(Packed::Miss(id)),
        Found::Unreadable => refuse(id, Refusal::Unreadable, 0),
        Found::Value { sealed, .. } if prefix.len() + VALUE_BYTES + sealed.len() <= terms.datagram_bytes => {
            Reply::Packed(Packed::Value(Value { id, sealed }))
        }
        Found::Value { .. } if terms.whole_values => refuse(id, Refusal::TooBig, terms.datagram_bytes as u32),
        Found::Value { sealed, version } => Reply::Cut(Cut { id, version, sealed, ranges: None, send: 0 }),
    }
}

#[inline]
fn reply_to_rerequest<'q, 'd>(id: u32, version: u64, ranges: Ranges<'q>, found: Found<'d>) -> Reply<'q, 'd> {
    match found {
        Found::Nothing => Reply::Packed(Packed::Miss(id)),
        Found::Unreadable => refuse(id, Refusal::Unreadable, 0),
        // Ranges that all lie past the value are about another value, whatever the version says.
        Found::Value { sealed, version: stored }
            if stored == version && ranges.iter().any(|range| (range.offset as usize) < sealed.len()) =>
        {
            Reply::Cut(Cut { id, version, sealed, ranges: Some(ranges), send: 0 })
        }
        Found::Value { .. } => refuse(id, Refusal::VersionGone, 0),
    }
}

#[inline]
fn refuse<'q, 'd>(id: u32, reason: Refusal, detail: u32) -> Reply<'q, 'd> {
    Reply::Packed(Packed::Refused(Refused { id, reason, detail }))
}

/// What has been promised of the credit. The first datagram is always allowed.
struct Budget {
    datagram_bytes: usize,
    credit_bytes: usize,
    prefix_bytes: usize,
    /// All datagrams so far.
    spent: usize,
    /// Of these, the one that packed frames go into; 0: none yet.
    open: usize,
}

impl Budget {
    #[inline]
    const fn new(terms: &Terms, prefix: &Prefix) -> Self {
        Budget {
            datagram_bytes: terms.datagram_bytes,
            credit_bytes: terms.credit_bytes,
            prefix_bytes: prefix.len(),
            spent: 0,
            open: 0,
        }
    }

    /// Packs a frame of this length into the open datagram, or into a new one.
    #[inline]
    fn pack(&mut self, frame_bytes: usize) -> bool {
        let joins = self.open > 0 && self.open + frame_bytes <= self.datagram_bytes;
        let bytes = if joins { frame_bytes } else { self.prefix_bytes + frame_bytes };
        let only_one = joins && self.open == self.spent;
        if !only_one && !self.affords(bytes) {
            return false;
        }
        self.open = if joins { self.open + bytes } else { bytes };
        self.spent += bytes;
        true
    }

    /// Takes one more chunk.
    #[inline]
    fn chunk(&mut self, chunk: Range) -> bool {
        let bytes = self.prefix_bytes + CHUNK_BYTES + chunk.length as usize;
        let fits = self.affords(bytes);
        if fits {
            self.spent += bytes;
        }
        fits
    }

    #[inline]
    const fn affords(&self, bytes: usize) -> bool {
        self.spent == 0 || self.spent + bytes <= self.credit_bytes
    }

    /// How many replies of these lengths, from the first on, share one datagram: as [`Budget::pack`] packed them.
    #[inline]
    fn group(&self, lengths: impl Iterator<Item = usize>) -> usize {
        let mut bytes = self.prefix_bytes;
        lengths
            .take_while(|length| {
                bytes += length;
                bytes <= self.datagram_bytes
            })
            .count()
    }
}
