//! One batch of answers: requests looked up and answered into a send batch, and what became of each.

use std::io;

use shingle_proto::cookie::{CookieKeys, Proof};
use shingle_proto::limits::DATAGRAM_BYTES_MIN;
use shingle_proto::server::{self, Answer, Found, PortLimits, Workspace};
use shingle_proto::wire::{DropReason, Request, Telemetry};
use shingle_store::{Item, Seconds};
use shingle_udp::{Datagram, Socket, realtime_ns};

use super::Counters;
use super::decode::Decoder;
use super::departures::Departures;
use super::group::{Checked, Group};
use super::proofs::Proofs;
use super::queued::{Queued, note_refusal, residence_us};

/// What a worker knows that no request changes.
pub(super) struct Place {
    pub(super) nonce: u32,
    pub(super) port: u16,
    pub(super) port_index: u16,
    pub(super) worker: u8,
    /// For IPv4 peers, then for IPv6 peers.
    pub(super) limits: [PortLimits; 2],
    /// A value that does not fit is refused, so that the client reads it over TCP.
    pub(super) refuses: bool,
    /// Values are sent in the encoding they are stored in.
    pub(super) as_stored: bool,
    /// The server's own UDP ports: whoever sends from one of these is not a client.
    pub(super) own_ports: Vec<u16>,
    /// Longest request looked at.
    pub(super) request_bytes_max: usize,
}

/// What the worker looks up once a batch.
pub(super) struct Moment {
    pub(super) now: Seconds,
    /// When the batch was received, on the clock of the kernel's timestamps.
    pub(super) received_ns: u64,
    pub(super) draining: bool,
    pub(super) keys: CookieKeys,
}

/// Why a batch is answered.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Pass {
    /// It was received.
    First,
    /// Answers were longer than the kernel thinks the path carries: what fits the smallest path is sent, the rest
    /// refused as too big, so that clients need not wait for their timeouts.
    Again,
}

/// A batch of answers on its way.
pub(super) struct Answers<'a, 'r, 'b, 'd> {
    pub(super) pass: Pass,
    pub(super) place: &'a Place,
    pub(super) moment: &'a Moment,
    pub(super) counters: &'a Counters,
    pub(super) decoder: Decoder<'d>,
    pub(super) departures: Departures<'b, 'd>,
    pub(super) queued: &'a mut Vec<Queued>,
    pub(super) workspace: Workspace<'r, 'd>,
    pub(super) proofs: Proofs<'a>,
    /// When the first answer of the group with telemetry was planned: those behind it are sent together with it. `None`: none wanted
    /// any yet.
    pub(super) telemetry_ns: Option<u64>,
}

/// Checks a datagram; counts what is dropped.
pub(super) fn check<'r>(place: &Place, counters: &Counters, datagram: &Datagram<'r>) -> Option<Request<'r>> {
    let checked = if datagram.truncated || datagram.bytes.len() > place.request_bytes_max {
        Err(DropReason::Oversized)
    } else {
        server::accept(datagram.bytes, datagram.source, &place.own_ports)
    };
    let dropped = |reason| {
        counters.requests.add(1);
        counters.drop(reason);
    };
    checked.map_err(dropped).ok()
}

impl<'a, 'r, 'd> Answers<'a, 'r, '_, 'd> {
    /// Answers the requests of a group in order; false when the batch is full before all are answered.
    pub(super) fn take<'i: 'd>(&mut self, group: &mut Group<'r, 'i>) -> bool {
        self.telemetry_ns = None;
        while let Some((checked, items)) = group.next() {
            if !self.answer(checked, items) {
                return false;
            }
            group.answered();
        }
        true
    }

    /// Answers one request, unless the batch has to be sent first.
    fn answer(&mut self, checked: &Checked<'r>, items: &[Option<Item<'d>>]) -> bool {
        let request = &checked.request;
        if self.queued.len() == self.queued.capacity()
            || !self.decoder.has_room(self.place.as_stored, request.reads)
        {
            return false;
        }
        let ip = checked.source.ip();
        let arrival_ns = checked.kernel_time_ns.unwrap_or(self.moment.received_ns);
        let telemetry = request.header.telemetry.then(|| self.telemetry(arrival_ns));
        let facts = self.proofs.facts(request.cookie.as_ref(), ip, telemetry);
        let mut limits = self.place.limits[usize::from(ip.to_canonical().is_ipv6())];
        if self.pass == Pass::Again {
            limits.datagram_max = DATAGRAM_BYTES_MIN as u16;
        }
        let (decoder, as_stored) = (&mut self.decoder, self.place.as_stored);
        let proven = !matches!(facts.proof, Proof::Missing(_));
        let lookup = |number: usize, _: &[u8]| match items[number] {
            None => Found::Nothing,
            Some(item) if as_stored => Found::Value { sealed: item.value, version: item.version.0 },
            Some(item) => decoder.decode(item, proven),
        };
        let answer = Answer::new(request, &limits, facts, &mut self.workspace, lookup);
        let summary = answer.summary();
        if !self.departures.has_room(&summary) {
            return false;
        }
        let messages = self.departures.push(checked.source, answer);
        self.counters.requests.add(u64::from(self.pass == Pass::First));
        self.queued.push(Queued::new(request, checked.index, arrival_ns, summary, messages));
        true
    }

    fn telemetry(&mut self, arrival_ns: u64) -> Telemetry {
        let now_ns = *self.telemetry_ns.get_or_insert_with(realtime_ns);
        // This request is counted when it is answered.
        let received = self.counters.requests.get() + u64::from(self.pass == Pass::First);
        Telemetry {
            worker: self.place.worker,
            port_index: self.place.port_index,
            nonce: self.place.nonce,
            received: received as u32,
            sent: (self.counters.answers.get() + self.departures.datagrams()) as u32,
            dropped: self.counters.socket_drops.get() as u32,
            residence_us: residence_us(arrival_ns, now_ns),
        }
    }

    /// Sends everything and says what there is to settle. What the kernel refuses costs no other client's answer.
    ///
    /// # Errors
    /// Only what makes the socket useless.
    pub(super) fn send(self, socket: &Socket) -> io::Result<&'a mut Vec<Queued>> {
        let queued = self.queued;
        let refused = |message, error| note_refusal(queued, message, &error);
        let counts = self.departures.send(socket, refused)?;
        self.counters.answers.add(counts.datagrams);
        self.counters.answer_bytes.add(counts.bytes);
        self.counters.send_system_calls.add(counts.system_calls);
        self.counters.send_retried.add(counts.retried);
        self.counters.send_failed.add(counts.failed);
        self.counters.socket_errors.add(counts.errors_drained);
        Ok(queued)
    }
}
