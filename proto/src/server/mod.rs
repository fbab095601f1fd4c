//! The stateless core of a server: one checked request in, the datagrams of its answer out (`PROTOCOL.md`, sections 3 to 7).
//!
//! Parse with [`Request::parse`], judge the address with [`crate::cookie::CookieKeys::prove`], then call [`answer`] with a closure that
//! finds values and a [`Sink`] that takes the datagrams. Nothing is allocated; value bytes are borrowed for `'d`, the time for which
//! the caller keeps what it looked up (a batch), and never copied.

mod plan;
mod stream;
mod trains;

use crate::cookie::{Cookie, Proof};
use crate::limits::{CREDIT_BYTES_MAX, DATAGRAM_BYTES_MAX, GETS_PER_DATAGRAM_MAX, PROBE_BYTES, SEGMENTS_MAX};
use crate::wire::{AnswerHeader, Frame, Probe, Refusal, Refused, Request, Telemetry};
use plan::Plan;
use trains::{Piece, Prefix, Trains};

pub use stream::answer_over_tcp;

/// Takes the datagrams of an answer, as trains.
///
/// One `begin` .. `end` is one train: datagrams of equal size (the last may be shorter), at most 128 of them and at most 65,507 bytes
/// together, so that one UDP_SEGMENT send carries it. A single datagram is a train of one.
pub trait Sink<'d> {
    /// A train begins.
    fn begin(&mut self);
    /// The next bytes of the train; gone after the call.
    fn copy(&mut self, bytes: &[u8]);
    /// The next bytes of the train; they stay where they are for `'d`.
    fn borrow(&mut self, bytes: &'d [u8]);
    /// The train is complete: `datagrams` of `segment_bytes` each but the last, which may be shorter.
    fn end(&mut self, segment_bytes: usize, datagrams: usize);
}

/// What a port may send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortLimits {
    /// Largest datagram; bytes of UDP payload, at least [`crate::limits::DATAGRAM_BYTES_MIN`].
    pub datagram_max: u16,
    /// An answer is one datagram of up to 65,507 bytes whatever the client announced, and the kernel fragments it: what the
    /// strategies we compare with do.
    pub one_datagram_answers: bool,
    /// An answer is one datagram of up to `datagram_max` bytes whatever the client announced, and what is bigger is refused.
    pub too_big_is_refused: bool,
    /// The port sets DF, so that probes mean something.
    pub probes_served: bool,
}

/// What the server knows besides the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    /// What the request's cookie proved.
    pub proof: Proof,
    /// The server is about to leave.
    pub draining: bool,
    /// The worker's counters; sent where the request asked for them.
    pub telemetry: Option<Telemetry>,
}

/// What was found under a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found<'d> {
    /// A sealed value ([`crate::seal`]), in the encoding this port is to send.
    Value {
        /// Seal and value.
        sealed: &'d [u8],
        /// Version of the value.
        version: u64,
    },
    /// Nothing, or nothing any more.
    Nothing,
    /// A value that does not decode.
    Unreadable,
}

/// What an answer consisted of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AnswerSummary {
    /// Reads (GET and REREQUEST) in the request.
    pub gets: u16,
    /// Reads whose value was found (and the version asked for again was there); some of it may be left to a later request.
    pub hits: u16,
    /// Reads answered with MISS.
    pub misses: u16,
    /// Reads and probes answered with REFUSED.
    pub refused: u16,
    /// Reads that the credit left out altogether.
    pub left_out: u16,
    /// The answer was a CHALLENGE; nothing else of it was sent and no read is counted as hit, miss or refused.
    pub challenged: bool,
    /// Datagrams (over TCP: messages).
    pub datagrams: u32,
    /// Bytes of those datagrams (UDP payload).
    pub bytes: u32,
}

/// Answers a request that came in a datagram.
///
/// `lookup` is called once for every read, in the order of the request ([`Request::keys`]).
#[inline]
pub fn answer<'d, S: Sink<'d>>(
    request: &Request<'_>,
    port: &PortLimits,
    facts: &Facts,
    lookup: impl FnMut(&[u8]) -> Found<'d>,
    sink: &mut S,
) -> AnswerSummary {
    let header = AnswerHeader::to(&request.header, facts.draining);
    let telemetry = if request.header.telemetry { facts.telemetry } else { None };
    let renewed = match facts.proof {
        Proof::Stale(fresh) => Some(fresh),
        Proof::Valid | Proof::Missing(_) => None,
    };
    let prefix = Prefix::new(&header, telemetry.as_ref(), renewed.as_ref());
    let terms = Terms::over_udp(request, port, &facts.proof);
    // One read to a datagram is the rule; it should not pay for the room that 64 take.
    match request.reads {
        0 => answer_probe(request, port, &terms, &prefix, sink),
        1 => answer_reads::<1, _>(request, &terms, &prefix, lookup, sink),
        _ => answer_reads::<GETS_PER_DATAGRAM_MAX, _>(request, &terms, &prefix, lookup, sink),
    }
}

/// How much may be sent in answer to one request, and how.
#[derive(Clone, Copy, Debug)]
struct Terms {
    /// Largest datagram.
    datagram_bytes: usize,
    /// All datagrams together, unless there is only one.
    credit_bytes: usize,
    /// Most datagrams of a train.
    train_datagrams: usize,
    /// A value that does not fit one datagram is refused, not cut.
    whole_values: bool,
    /// Without a proven address: length of the request, which the answer must not exceed, and the cookie of the challenge.
    unproven: Option<(usize, Cookie)>,
}

impl Terms {
    #[inline]
    fn over_udp(request: &Request<'_>, port: &PortLimits, proof: &Proof) -> Self {
        let port_bytes = usize::from(port.datagram_max);
        let whole_values = port.one_datagram_answers || port.too_big_is_refused;
        let datagram_bytes = if port.too_big_is_refused {
            port_bytes
        } else if port.one_datagram_answers {
            DATAGRAM_BYTES_MAX
        } else {
            port_bytes.min(usize::from(request.header.datagram_max))
        };
        Terms {
            datagram_bytes: datagram_bytes.min(DATAGRAM_BYTES_MAX),
            credit_bytes: CREDIT_BYTES_MAX.min(request.header.credit as usize),
            // A segment that the kernel would have to fragment is refused, or loses its DF (UDP_SEGMENT with IP_PMTUDISC_WANT).
            train_datagrams: if whole_values { 1 } else { SEGMENTS_MAX },
            whole_values,
            unproven: match *proof {
                Proof::Missing(cookie) => Some((request.message_bytes, cookie)),
                Proof::Valid | Proof::Stale(_) => None,
            },
        }
    }

    /// The cookie to challenge with where an answer of this length must not be sent.
    #[inline]
    fn challenge(&self, answer_bytes: usize) -> Option<&Cookie> {
        self.unproven
            .as_ref()
            .filter(|(request_bytes, _)| answer_bytes > *request_bytes)
            .map(|(_, cookie)| cookie)
    }
}

/// Finds, plans, and sends what at most `N` reads are answered with.
#[inline]
fn answer_reads<'d, const N: usize, S: Sink<'d>>(
    request: &Request<'_>,
    terms: &Terms,
    prefix: &Prefix,
    lookup: impl FnMut(&[u8]) -> Found<'d>,
    sink: &mut S,
) -> AnswerSummary {
    let plan = Plan::<N>::new(request, terms, prefix, lookup);
    if let Some(cookie) = terms.challenge(plan.bytes()) {
        return challenge(request, prefix, cookie, sink);
    }
    let mut trains = Trains::new(sink, prefix, terms.train_datagrams);
    plan.send(&mut trains);
    let (datagrams, bytes) = trains.finish();
    AnswerSummary { datagrams, bytes, ..plan.summary() }
}

/// A CHALLENGE and nothing else. Telemetry comes along where the request is long enough for it.
#[cold]
fn challenge<'d, S: Sink<'d>>(
    request: &Request<'_>,
    prefix: &Prefix,
    cookie: &Cookie,
    sink: &mut S,
) -> AnswerSummary {
    let piece = Piece::challenge(cookie);
    let bare = prefix.without_frames();
    let prefix = if prefix.len() + piece.len() > request.message_bytes { &bare } else { prefix };
    let mut trains = Trains::new(sink, prefix, 1);
    trains.datagram(core::iter::once(piece));
    let (datagrams, bytes) = trains.finish();
    AnswerSummary {
        gets: u16::from(request.reads),
        challenged: true,
        datagrams,
        bytes,
        ..AnswerSummary::default()
    }
}

/// Answers a probe: the size asked for downwards is what it probes, so only the port limits it.
#[cold]
fn answer_probe<'d, S: Sink<'d>>(
    request: &Request<'_>,
    port: &PortLimits,
    terms: &Terms,
    prefix: &Prefix,
    sink: &mut S,
) -> AnswerSummary {
    let Some(probe) = request.frames().find_map(|frame| match frame {
        Frame::Probe(probe) => Some(probe),
        _ => None,
    }) else {
        return AnswerSummary::default();
    };
    let wanted = if probe.down { usize::from(probe.size) } else { 0 };
    let port_bytes = port.datagram_max.min(DATAGRAM_BYTES_MAX as u16);
    let refusal = if !port.probes_served {
        Some(Refused { id: probe.id, reason: Refusal::NotServed, detail: 0 })
    } else if wanted > usize::from(port_bytes) {
        Some(Refused { id: probe.id, reason: Refusal::TooBig, detail: u32::from(port_bytes) })
    } else {
        None
    };
    let piece = match refusal {
        Some(refused) => Piece::refused(refused),
        None => {
            let arrived = request.message_bytes.min(usize::from(u16::MAX)) as u16;
            Piece::probe_ack(
                Probe { size: arrived, ..probe },
                wanted.saturating_sub(prefix.len() + PROBE_BYTES),
            )
        }
    };
    if let Some(cookie) = terms.challenge(prefix.len() + piece.len()) {
        return challenge(request, prefix, cookie, sink);
    }
    let mut trains = Trains::new(sink, prefix, 1);
    trains.datagram(core::iter::once(piece));
    let (datagrams, bytes) = trains.finish();
    AnswerSummary { refused: u16::from(refusal.is_some()), datagrams, bytes, ..AnswerSummary::default() }
}
