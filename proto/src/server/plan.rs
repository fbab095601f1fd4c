//! What one request is answered with, and how much of it the credit allows: decided before the first byte is sent, because an
//! unproven client may get no more than it sent.

use super::budget::Budget;
use super::datagram::Answer;
use super::frames::{Packed, Prefix};
use super::terms::{PortLimits, Terms};
use super::{AnswerSummary, Facts, Found};
use crate::chunk::{Chunks, Range};
use crate::cookie::{Cookie, Proof};
use crate::limits::{CHUNK_BYTES, DATAGRAM_BYTES_MAX, GETS_PER_DATAGRAM_MAX, PROBE_BYTES, VALUE_BYTES};
use crate::wire::{AnswerHeader, Chunk, Frame, Probe, Ranges, Refusal, Refused, Request, Rerequest, Value};

/// Memory in which one answer is planned, to be used again for the next; 4 KiB.
#[derive(Clone, Debug)]
pub struct Workspace<'a, 'd> {
    prefix: Prefix,
    replies: [Option<Reply<'a, 'd>>; GETS_PER_DATAGRAM_MAX],
}

/// The answer to one read.
#[derive(Clone, Copy, Debug)]
pub(super) enum Reply<'a, 'd> {
    /// A frame that may share its datagram with others.
    Packed(Packed<'d>),
    /// Chunks, each in a datagram of its own.
    Cut(Cut<'a, 'd>),
}

/// The chunks of a value, or of ranges of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cut<'a, 'd> {
    id: u32,
    version: u64,
    sealed: &'d [u8],
    /// What was asked for again; `None` for the whole value.
    ranges: Option<Ranges<'a>>,
    /// How many chunks are sent, from the first on.
    pub(super) send: usize,
}

impl Workspace<'_, '_> {
    /// Memory without an answer in it.
    #[inline]
    #[must_use]
    pub const fn new() -> Self {
        Workspace { prefix: Prefix::EMPTY, replies: [None; GETS_PER_DATAGRAM_MAX] }
    }
}

impl Default for Workspace<'_, '_> {
    fn default() -> Self {
        Self::new()
    }
}

impl<'p, 'd> Answer<'p, 'd> {
    /// Plans the answer to a request that came in a datagram.
    ///
    /// `lookup` is called once for every read, in the order of the request ([`Request::keys`]).
    #[inline]
    pub fn new<'a: 'p>(
        request: &Request<'a>,
        port: &PortLimits,
        facts: &Facts,
        workspace: &'p mut Workspace<'a, 'd>,
        lookup: impl FnMut(&[u8]) -> Found<'d>,
    ) -> Self {
        let header = AnswerHeader::to(&request.header, facts.draining);
        let telemetry = facts.telemetry.as_ref().filter(|_| request.header.telemetry);
        let renewed = match &facts.proof {
            Proof::Stale(fresh) => Some(fresh),
            Proof::Valid | Proof::Missing(_) => None,
        };
        let terms = Terms::over_udp(request, port, &facts.proof);
        let mut plan = Plan::new(request, Prefix::new(&header, telemetry, renewed), workspace);
        if request.reads > 0 {
            plan.read(request, &terms, lookup);
        } else {
            plan.probe(request, port);
        }
        if let Some(cookie) = terms.challenge(plan.summary.bytes as usize) {
            plan.challenge(request, cookie);
        }
        plan.finish(&terms)
    }

    /// Plans the answer to the reads of a request that came over TCP: each datagram is a message.
    pub(super) fn over_tcp<'a: 'p>(
        request: &Request<'a>,
        draining: bool,
        workspace: &'p mut Workspace<'a, 'd>,
        lookup: impl FnMut(&[u8]) -> Found<'d>,
    ) -> Self {
        let prefix = Prefix::new(&AnswerHeader::to(&request.header, draining), None, None);
        let mut plan = Plan::new(request, prefix, workspace);
        plan.read(request, &Terms::TCP, lookup);
        plan.finish(&Terms::TCP)
    }
}

/// An answer in the making.
struct Plan<'p, 'a, 'd> {
    workspace: &'p mut Workspace<'a, 'd>,
    /// How many replies there are.
    count: usize,
    summary: AnswerSummary,
}

impl<'p, 'a: 'p, 'd> Plan<'p, 'a, 'd> {
    #[inline]
    fn new(request: &Request<'_>, prefix: Prefix, workspace: &'p mut Workspace<'a, 'd>) -> Self {
        workspace.prefix = prefix;
        let summary = AnswerSummary { gets: u16::from(request.reads), ..AnswerSummary::default() };
        Plan { workspace, count: 0, summary }
    }

    #[inline]
    fn finish(self, terms: &Terms) -> Answer<'p, 'd> {
        let Workspace { prefix, replies } = self.workspace;
        Answer::of(prefix, terms, &replies[..self.count], self.summary)
    }

    /// Looks every read up and fits the answers into the credit.
    #[inline]
    fn read(&mut self, request: &Request<'a>, terms: &Terms, mut lookup: impl FnMut(&[u8]) -> Found<'d>) {
        let prefix_bytes = self.workspace.prefix.len();
        let capacity = capacity(terms.datagram_bytes, prefix_bytes);
        let mut budget = Budget::new(terms, prefix_bytes);
        let mut cuts = false;
        // The credit goes to one datagram for every read first.
        for frame in request.frames() {
            let mut reply = match frame {
                Frame::Get(get) => reply_to_get(get.id, lookup(get.key), terms, prefix_bytes),
                Frame::Rerequest(again) => reply_to_rerequest(&again, lookup(again.key)),
                _ => continue,
            };
            self.summary.count(&reply);
            let fits = match &mut reply {
                Reply::Packed(packed) => budget.pack(packed.len()),
                Reply::Cut(cut) => {
                    cut.fit_first(capacity, &mut budget);
                    cuts |= cut.send == 1;
                    cut.send == 1
                }
            };
            // A checked request has no more reads than there are slots.
            match self.workspace.replies.get_mut(self.count) {
                Some(slot) if fits => {
                    *slot = Some(reply);
                    self.count += 1;
                }
                _ => self.summary.left_out += 1,
            }
        }
        if cuts {
            for reply in &mut self.workspace.replies[..self.count] {
                if let Some(Reply::Cut(cut)) = reply {
                    cut.fit_rest(capacity, &mut budget);
                }
            }
        }
        (self.summary.datagrams, self.summary.bytes) = (budget.datagrams, budget.spent as u32);
    }

    /// Answers a probe: the size asked for downwards is what it probes, so only the port limits it.
    #[cold]
    fn probe(&mut self, request: &Request<'_>, port: &PortLimits) {
        let Some(probe) = request.frames().find_map(|frame| match frame {
            Frame::Probe(probe) => Some(probe),
            _ => None,
        }) else {
            return;
        };
        let wanted = if probe.down { usize::from(probe.size) } else { 0 };
        let port_bytes = port.datagram_max.min(DATAGRAM_BYTES_MAX as u16);
        let refused = |reason, detail| Packed::Refused(Refused { id: probe.id, reason, detail });
        let frame = if !port.probes_served {
            refused(Refusal::NotServed, 0)
        } else if wanted > usize::from(port_bytes) {
            refused(Refusal::TooBig, u32::from(port_bytes))
        } else {
            let arrived = request.message_bytes.min(usize::from(u16::MAX)) as u16;
            let padding = wanted.saturating_sub(self.workspace.prefix.len() + PROBE_BYTES);
            Packed::ProbeAck(Probe { size: arrived, ..probe }, padding)
        };
        self.summary.refused = u16::from(matches!(frame, Packed::Refused(_)));
        self.only(frame);
    }

    /// A CHALLENGE and nothing else. Telemetry comes along where the request is long enough for it.
    #[cold]
    fn challenge(&mut self, request: &Request<'_>, cookie: Cookie) {
        let frame = Packed::Challenge(cookie);
        if self.workspace.prefix.len() + frame.len() > request.message_bytes {
            self.workspace.prefix.drop_frames();
        }
        self.summary =
            AnswerSummary { gets: u16::from(request.reads), challenged: true, ..AnswerSummary::default() };
        self.only(frame);
    }

    /// One datagram of one frame.
    fn only(&mut self, frame: Packed<'d>) {
        (self.summary.datagrams, self.summary.bytes) =
            (1, (self.workspace.prefix.len() + frame.len()) as u32);
        self.workspace.replies[0] = Some(Reply::Packed(frame));
        self.count = 1;
    }
}

/// Bytes of a chunk that fit a datagram.
#[inline]
pub(super) const fn capacity(datagram_bytes: usize, prefix_bytes: usize) -> u32 {
    datagram_bytes.saturating_sub(prefix_bytes + CHUNK_BYTES) as u32
}

impl AnswerSummary {
    #[inline]
    fn count(&mut self, reply: &Reply<'_, '_>) {
        match reply {
            Reply::Packed(Packed::Miss(_)) => self.misses += 1,
            Reply::Packed(Packed::Refused(_)) => self.refused += 1,
            Reply::Packed(_) | Reply::Cut(_) => self.hits += 1,
        }
    }
}

impl<'a, 'd> Cut<'a, 'd> {
    /// Takes the first chunk if the budget allows.
    #[inline]
    fn fit_first(&mut self, capacity: u32, budget: &mut Budget) {
        let first = self.chunks(capacity).next();
        self.send = usize::from(first.is_some_and(|first| budget.chunk(first)));
    }

    /// Takes the chunks behind the first as far as the budget goes.
    #[inline]
    fn fit_rest(&mut self, capacity: u32, budget: &mut Budget) {
        let mut chunks = self.chunks(capacity);
        chunks.next();
        loop {
            // Mostly the credit pays for all of a range, which need not be counted chunk by chunk.
            let (count, bytes) = chunks.current.left();
            if budget.chunks(count, bytes) {
                self.send += count as usize;
                chunks.current = Chunks::new(0, 1);
            }
            if !chunks.next().is_some_and(|chunk| budget.chunk(chunk)) {
                return;
            }
            self.send += 1;
        }
    }

    /// All chunks, none longer than `capacity`. Each range is balanced by itself; what lies past the value is left out.
    #[inline]
    pub(super) fn chunks(&self, capacity: u32) -> CutChunks<'a> {
        let whole = Range { offset: 0, length: self.sealed.len() as u32 };
        let current = if self.ranges.is_none() { whole } else { Range { length: 0, ..whole } };
        CutChunks {
            current: Chunks::of_range(current, capacity),
            ranges: self.ranges,
            total: whole.length,
            capacity,
        }
    }

    #[inline]
    pub(super) fn chunk(&self, range: Range) -> Chunk<'d> {
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

/// The chunks of a [`Cut`].
#[derive(Clone, Debug)]
pub(super) struct CutChunks<'a> {
    current: Chunks,
    /// The ranges behind the current one.
    ranges: Option<Ranges<'a>>,
    total: u32,
    capacity: u32,
}

impl Iterator for CutChunks<'_> {
    type Item = Range;

    #[inline]
    fn next(&mut self) -> Option<Range> {
        loop {
            if let Some(chunk) = self.current.next() {
                return Some(chunk);
            }
            let (range, behind) = self.ranges?.split_first();
            self.ranges = behind;
            let offset = range.offset.min(self.total);
            let length = range.end().min(self.total) - offset;
            self.current = Chunks::of_range(Range { offset, length }, self.capacity);
        }
    }
}

#[inline]
fn reply_to_get<'a, 'd>(id: u32, found: Found<'d>, terms: &Terms, prefix_bytes: usize) -> Reply<'a, 'd> {
    match found {
        Found::Nothing => Reply::Packed(Packed::Miss(id)),
        Found::Unreadable => refuse(id, Refusal::Unreadable, 0),
        Found::Value { sealed, .. } if prefix_bytes + VALUE_BYTES + sealed.len() <= terms.datagram_bytes => {
            Reply::Packed(Packed::Value(Value { id, sealed }))
        }
        Found::Value { .. } if terms.whole_values => refuse(id, Refusal::TooBig, terms.datagram_bytes as u32),
        Found::Value { sealed, version } => Reply::Cut(Cut { id, version, sealed, ranges: None, send: 0 }),
    }
}

#[inline]
fn reply_to_rerequest<'a, 'd>(again: &Rerequest<'a>, found: Found<'d>) -> Reply<'a, 'd> {
    let Rerequest { id, version, ranges, .. } = *again;
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
fn refuse<'a, 'd>(id: u32, reason: Refusal, detail: u32) -> Reply<'a, 'd> {
    Reply::Packed(Packed::Refused(Refused { id, reason, detail }))
}
