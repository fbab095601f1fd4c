//! What one request is answered with, and how much of it the credit allows: decided before the first byte is sent, because an
//! unproven client may get no more than it sent.

use super::answer::Answer;
use super::budget::Budget;
use super::cut::{Cut, capacity};
use super::frames::{Packed, Prefix};
use super::terms::{PortLimits, Terms};
use super::{AnswerSummary, Facts, Found};
use crate::cookie::{Cookie, Proof};
use crate::limits::{DATAGRAM_BYTES_MAX, GETS_PER_DATAGRAM_MAX, PROBE_BYTES, VALUE_BYTES};
use crate::wire::{AnswerHeader, Frame, Probe, Read, Refusal, Refused, Request, Rerequest, Value};

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
    /// `lookup` is called once for every read, in the order of the request ([`Request::keys`]), with its number in the request,
    /// from 0, and its key: who hashed the keys beforehand finds each hash by the number.
    #[inline]
    pub fn new<'a: 'p>(
        request: &Request<'a>,
        port: &PortLimits,
        facts: &Facts,
        workspace: &'p mut Workspace<'a, 'd>,
        lookup: impl FnMut(usize, &[u8]) -> Found<'d>,
    ) -> Self {
        let header = AnswerHeader::to(&request.header, facts.draining);
        let telemetry = facts.telemetry.as_ref().filter(|_| request.header.telemetry);
        let renewed = match &facts.proof {
            Proof::Stale(fresh) => Some(fresh),
            Proof::Valid | Proof::Missing(_) => None,
        };
        let terms = Terms::over_udp(request, port, &facts.proof);
        workspace.prefix.set(&header, telemetry, renewed);
        let mut plan = Plan::new(request, workspace);
        if request.reads > 0 {
            plan.read(request, &terms, lookup);
        } else {
            plan.probe(request, port);
        }
        if let Some(cookie) = terms.challenge(&plan.summary, plan.withheld) {
            plan.challenge(request, cookie);
        }
        plan.finish(&terms)
    }

    /// Plans the answer to the reads of a request that came over TCP: each datagram is a message.
    pub(super) fn over_tcp<'a: 'p>(
        request: &Request<'a>,
        draining: bool,
        workspace: &'p mut Workspace<'a, 'd>,
        lookup: impl FnMut(usize, &[u8]) -> Found<'d>,
    ) -> Self {
        workspace.prefix.set(&AnswerHeader::to(&request.header, draining), None, None);
        let mut plan = Plan::new(request, workspace);
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
    /// Some value was [`Found::Withheld`].
    withheld: bool,
}

impl<'p, 'a: 'p, 'd> Plan<'p, 'a, 'd> {
    #[inline]
    fn new(request: &Request<'_>, workspace: &'p mut Workspace<'a, 'd>) -> Self {
        let summary = AnswerSummary { gets: u16::from(request.reads), ..AnswerSummary::default() };
        Plan { workspace, count: 0, summary, withheld: false }
    }

    #[inline]
    fn finish(self, terms: &Terms) -> Answer<'p, 'd> {
        let Workspace { prefix, replies } = self.workspace;
        Answer::of(prefix, terms, &replies[..self.count], self.summary)
    }

    /// Looks every read up and fits the answers into the credit.
    #[inline]
    fn read(
        &mut self,
        request: &Request<'a>,
        terms: &Terms,
        mut lookup: impl FnMut(usize, &[u8]) -> Found<'d>,
    ) {
        let prefix_bytes = self.workspace.prefix.len();
        let capacity = capacity(terms.datagram_bytes, prefix_bytes);
        let mut budget = Budget::new(terms, prefix_bytes);
        let mut cuts = false;
        // The credit goes to one datagram for every read first.
        for read in request.reads() {
            let number = self.count + usize::from(self.summary.left_out);
            let found = lookup(number, read.key());
            self.withheld |= matches!(found, Found::Withheld);
            let mut reply = match read {
                Read::Get(get) => reply_to_get(get.id, found, terms, prefix_bytes),
                Read::Rerequest(again) => reply_to_rerequest(&again, found),
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

#[inline]
fn reply_to_get<'a, 'd>(id: u32, found: Found<'d>, terms: &Terms, prefix_bytes: usize) -> Reply<'a, 'd> {
    match found {
        Found::Nothing => Reply::Packed(Packed::Miss(id)),
        Found::Unreadable | Found::Withheld => refuse(id, Refusal::Unreadable, 0),
        Found::Value { sealed, .. } if prefix_bytes + VALUE_BYTES + sealed.len() <= terms.datagram_bytes => {
            Reply::Packed(Packed::Value(Value { id, sealed }))
        }
        Found::Value { .. } if terms.whole_values => refuse(id, Refusal::TooBig, terms.datagram_bytes as u32),
        Found::Value { sealed, version } => {
            Reply::Cut(Cut { id, version, sealed, ranges: None, send: 0, level: false })
        }
    }
}

#[inline]
fn reply_to_rerequest<'a, 'd>(again: &Rerequest<'a>, found: Found<'d>) -> Reply<'a, 'd> {
    let Rerequest { id, version, ranges, .. } = *again;
    match found {
        Found::Nothing => Reply::Packed(Packed::Miss(id)),
        Found::Unreadable | Found::Withheld => refuse(id, Refusal::Unreadable, 0),
        // Ranges that all lie past the value are about another value, whatever the version says.
        Found::Value { sealed, version: stored }
            if stored == version && ranges.iter().any(|range| (range.offset as usize) < sealed.len()) =>
        {
            Reply::Cut(Cut { id, version, sealed, ranges: Some(ranges), send: 0, level: false })
        }
        Found::Value { .. } => refuse(id, Refusal::VersionGone, 0),
    }
}

#[inline]
fn refuse<'a, 'd>(id: u32, reason: Refusal, detail: u32) -> Reply<'a, 'd> {
    Reply::Packed(Packed::Refused(Refused { id, reason, detail }))
}
