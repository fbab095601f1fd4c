//! One batch of answers: requests parsed, looked up and answered into a send batch, and what became of each.

use std::io;
use std::net::SocketAddr;

use shingle_proto::cookie::CookieKeys;
use shingle_proto::server::{AnswerSummary, Facts, Found, PortLimits, Sink, answer};
use shingle_proto::wire::{Carrier, DropReason, Outcome, Receipt, Request, Telemetry};
use shingle_store::{Reader, Seconds};
use shingle_udp::{Datagram, Outgoing, SendCounts, Socket, realtime_ns};

use super::decode::Decoder;
use super::{Counters, WorkerState};
use crate::limits::{COPIED_PER_REQUEST_BYTES, MESSAGES_PER_REQUEST, SEND_MESSAGES, SLICES_PER_REQUEST};

/// What a worker knows that no request changes.
pub(super) struct Place {
    pub(super) nonce: u32,
    pub(super) port: u16,
    pub(super) port_index: u16,
    pub(super) worker: u8,
    /// For IPv4 peers, then for IPv6 peers.
    pub(super) limits: [PortLimits; 2],
    /// Values are sent in the encoding they are stored in.
    pub(super) as_stored: bool,
    /// The server's own UDP ports: whoever sends from one of these is not a client.
    pub(super) own_ports: Vec<u16>,
}

/// What the worker looks up once a batch.
pub(super) struct Moment<'a> {
    pub(super) now: Seconds,
    pub(super) unix_s: u32,
    pub(super) draining: bool,
    pub(super) keys: &'a CookieKeys,
}

/// A batch of answers on its way.
pub(super) struct Answers<'a, 'b, 'd> {
    pub(super) place: &'a Place,
    pub(super) moment: &'a Moment<'a>,
    pub(super) counters: &'a Counters,
    pub(super) reader: &'d Reader<'d>,
    pub(super) decoder: Decoder<'d>,
    pub(super) outgoing: Outgoing<'b, 'd>,
    pub(super) queued: &'a mut Vec<Queued>,
    /// Datagrams queued so far.
    pub(super) datagrams: u64,
}

/// An answer that waits for the send, and its messages in the send batch.
pub(super) struct Queued {
    receipt: Receipt,
    arrival_ns: u64,
    messages_end: usize,
}

/// Whether a request was dealt with, or needs an empty batch.
#[derive(PartialEq, Eq)]
pub(super) enum Room {
    Enough,
    SendFirst,
}

impl<'d> Answers<'_, '_, 'd> {
    /// Answers one datagram, or drops and counts it.
    pub(super) fn take(&mut self, datagram: &Datagram<'_>) -> Room {
        if !self.has_room() {
            return Room::SendFirst;
        }
        match self.check(datagram) {
            Ok(request) if !self.decoder.has_room(self.place.as_stored, request.reads) => {
                return Room::SendFirst;
            }
            Ok(request) => {
                self.counters.requests.add(1);
                self.answer(datagram, &request);
            }
            Err(reason) => {
                self.counters.requests.add(1);
                self.counters.drop(reason);
            }
        }
        Room::Enough
    }

    fn has_room(&self) -> bool {
        self.outgoing.len() + MESSAGES_PER_REQUEST <= SEND_MESSAGES
            && self.outgoing.has_room(SLICES_PER_REQUEST, COPIED_PER_REQUEST_BYTES)
    }

    fn check<'r>(&self, datagram: &Datagram<'r>) -> Result<Request<'r>, DropReason> {
        if datagram.truncated {
            return Err(DropReason::Oversized);
        }
        let request = Request::parse(datagram.bytes, Carrier::Udp)?;
        let port = datagram.source.port();
        if port == 0 || self.place.own_ports.contains(&port) {
            return Err(DropReason::Source);
        }
        Ok(request)
    }

    fn answer(&mut self, datagram: &Datagram<'_>, request: &Request<'_>) {
        let ip = datagram.source.ip();
        let arrival_ns = datagram.kernel_time_ns.unwrap_or_else(realtime_ns);
        let facts = Facts {
            proof: self.moment.keys.prove(request.cookie.as_ref(), ip, self.moment.unix_s),
            draining: self.moment.draining,
            telemetry: request.header.telemetry.then(|| self.telemetry(arrival_ns)),
        };
        let limits = &self.place.limits[usize::from(ip.to_canonical().is_ipv6())];
        let (reader, now, as_stored) = (self.reader, self.moment.now, self.place.as_stored);
        let decoder = &mut self.decoder;
        let lookup = |key: &[u8]| match reader.get(key, now) {
            None => Found::Nothing,
            Some(item) if as_stored => Found::Value { sealed: item.value, version: item.version.0 },
            Some(item) => decoder.decode(item),
        };
        let mut sink = Train { outgoing: &mut self.outgoing, to: datagram.source };
        let summary = answer(request, limits, &facts, lookup, &mut sink);
        self.count(&summary);
        self.queued.push(Queued {
            receipt: receipt(request, &summary, arrival_ns, self.place.port),
            arrival_ns,
            messages_end: self.outgoing.len(),
        });
    }

    fn telemetry(&self, arrival_ns: u64) -> Telemetry {
        Telemetry {
            worker: self.place.worker,
            port_index: self.place.port_index,
            nonce: self.place.nonce,
            received: self.counters.requests.get() as u32,
            sent: (self.counters.answers.get() + self.datagrams) as u32,
            dropped: self.counters.socket_drops.get() as u32,
            residence_us: residence_us(arrival_ns, realtime_ns()),
        }
    }

    fn count(&mut self, summary: &AnswerSummary) {
        self.datagrams += u64::from(summary.datagrams);
        self.counters.gets.add(summary.gets.into());
        self.counters.hits.add(summary.hits.into());
        self.counters.misses.add(summary.misses.into());
        self.counters.refused.add(summary.refused.into());
        self.counters.challenged.add(summary.challenged.into());
        self.counters.classify(summary.bytes.into());
    }

    /// Sends everything and writes the receipts. What the kernel refuses is counted and costs no other answer.
    ///
    /// # Errors
    /// Only what makes the socket useless.
    pub(super) fn send(self, socket: &Socket, state: &WorkerState) -> io::Result<()> {
        let (queued, counters) = (self.queued, self.counters);
        let counts = self.outgoing.send(socket, &mut |message, _error| {
            let index = queued.partition_point(|queued| queued.messages_end <= message);
            if let Some(queued) = queued.get_mut(index) {
                queued.receipt.outcome = Outcome::SendRefused;
            }
        })?;
        count_sent(counters, &counts);
        if let Some(ring) = &state.receipts {
            let sent_ns = realtime_ns();
            for queued in queued.iter_mut() {
                queued.receipt.residence_us = residence_us(queued.arrival_ns, sent_ns);
                ring.push(&queued.receipt);
            }
        }
        Ok(())
    }
}

fn count_sent(counters: &Counters, counts: &SendCounts) {
    counters.answers.add(counts.datagrams);
    counters.answer_bytes.add(counts.bytes);
    counters.send_system_calls.add(counts.system_calls);
    counters.send_retried.add(counts.retried);
    counters.send_failed.add(counts.failed);
}

fn receipt(request: &Request<'_>, summary: &AnswerSummary, arrival_ns: u64, port: u16) -> Receipt {
    Receipt {
        flow: request.header.flow,
        sequence: request.header.sequence,
        attempt: request.header.attempt,
        outcome: if summary.challenged { Outcome::Challenged } else { Outcome::Answered },
        answer_datagrams: summary.datagrams as u16,
        answer_bytes: summary.bytes,
        arrival_unix_us: arrival_ns / 1000,
        residence_us: 0,
        port,
        gets: summary.gets,
    }
}

/// From arrival to send in microseconds; 0 when the clock was set back in between.
fn residence_us(arrival_ns: u64, sent_ns: u64) -> u32 {
    u32::try_from(sent_ns.saturating_sub(arrival_ns) / 1000).unwrap_or(u32::MAX)
}

/// Puts the trains of one answer into the send batch.
struct Train<'o, 'b, 'd> {
    outgoing: &'o mut Outgoing<'b, 'd>,
    to: SocketAddr,
}

impl<'d> Sink<'d> for Train<'_, '_, 'd> {
    #[inline]
    fn begin(&mut self) {
        assert!(self.outgoing.begin(self.to), "Answers::has_room left room for every train of a request");
    }

    #[inline]
    fn copy(&mut self, bytes: &[u8]) {
        self.outgoing.copy(bytes);
    }

    #[inline]
    fn borrow(&mut self, bytes: &'d [u8]) {
        self.outgoing.borrow(bytes);
    }

    #[inline]
    fn end(&mut self, segment_bytes: usize, datagrams: usize) {
        let segment_bytes = if datagrams == 1 { 0 } else { segment_bytes };
        self.outgoing.end(segment_bytes).expect("trains keep to the limits of UDP_SEGMENT");
    }
}
