//! One batch of answers: requests parsed, looked up and answered into a send batch, and what became of each.

use std::io;
use std::net::SocketAddr;

use shingle_proto::cookie::CookieKeys;
use shingle_proto::limits::DATAGRAM_BYTES_MIN;
use shingle_proto::server::{self, Answer, Facts, Found, Part, PortLimits, Workspace};
use shingle_proto::wire::{DropReason, Request, Telemetry};
use shingle_store::{Reader, Seconds};
use shingle_udp::{Datagram, Outgoing, Socket, realtime_ns};

use super::Counters;
use super::decode::Decoder;
use super::queued::{Queued, note_refusal, residence_us};
use crate::limits::{COPIED_PER_REQUEST_BYTES, MESSAGES_PER_REQUEST, SEND_MESSAGES, SLICES_PER_REQUEST};

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
}

/// What the worker looks up once a batch.
pub(super) struct Moment {
    pub(super) now: Seconds,
    pub(super) unix_s: u32,
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
    pub(super) reader: &'d Reader<'d>,
    pub(super) decoder: Decoder<'d>,
    pub(super) outgoing: Outgoing<'b, 'd>,
    pub(super) queued: &'a mut Vec<Queued>,
    pub(super) workspace: Workspace<'r, 'd>,
    /// Datagrams queued so far.
    pub(super) datagrams: u64,
}

/// Whether a request was dealt with, or needs an empty batch.
#[derive(PartialEq, Eq)]
pub(super) enum Room {
    Enough,
    SendFirst,
}

impl<'a, 'r, 'd> Answers<'a, 'r, '_, 'd> {
    /// Answers the datagram at this place of the receive batch, or drops and counts it.
    pub(super) fn take(&mut self, index: usize, datagram: &Datagram<'r>) -> Room {
        if !self.has_room() {
            return Room::SendFirst;
        }
        match self.check(datagram) {
            Ok(request) if !self.decoder.has_room(self.place.as_stored, request.reads) => {
                return Room::SendFirst;
            }
            Ok(request) => {
                self.counters.requests.add(u64::from(self.pass == Pass::First));
                self.answer(index, datagram, &request);
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

    fn check(&self, datagram: &Datagram<'r>) -> Result<Request<'r>, DropReason> {
        if datagram.truncated {
            return Err(DropReason::Oversized);
        }
        server::accept(datagram.bytes, datagram.source, &self.place.own_ports)
    }

    fn answer(&mut self, index: usize, datagram: &Datagram<'_>, request: &Request<'r>) {
        let ip = datagram.source.ip();
        let arrival_ns = datagram.kernel_time_ns.unwrap_or_else(realtime_ns);
        let facts = Facts {
            proof: self.moment.keys.prove(request.cookie.as_ref(), ip, self.moment.unix_s),
            draining: self.moment.draining,
            telemetry: request.header.telemetry.then(|| self.telemetry(arrival_ns)),
        };
        let mut limits = self.place.limits[usize::from(ip.to_canonical().is_ipv6())];
        if self.pass == Pass::Again {
            limits.datagram_max = DATAGRAM_BYTES_MIN as u16;
        }
        let (reader, now, as_stored) = (self.reader, self.moment.now, self.place.as_stored);
        let decoder = &mut self.decoder;
        let lookup = |key: &[u8]| match reader.get(key, now) {
            None => Found::Nothing,
            Some(item) if as_stored => Found::Value { sealed: item.value, version: item.version.0 },
            Some(item) => decoder.decode(item),
        };
        let answer = Answer::new(request, &limits, &facts, &mut self.workspace, lookup);
        let summary = answer.summary();
        queue(&mut self.outgoing, datagram.source, answer);
        self.datagrams += u64::from(summary.datagrams);
        let messages_end = self.outgoing.len();
        self.queued.push(Queued::new(request, index, arrival_ns, self.place.port, summary, messages_end));
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

    /// Sends everything and says what there is to settle. What the kernel refuses costs no other answer.
    ///
    /// # Errors
    /// Only what makes the socket useless.
    pub(super) fn send(self, socket: &Socket) -> io::Result<&'a mut Vec<Queued>> {
        let queued = self.queued;
        let counts =
            self.outgoing.send(socket, &mut |message, error| note_refusal(queued, message, &error))?;
        self.counters.answers.add(counts.datagrams);
        self.counters.answer_bytes.add(counts.bytes);
        self.counters.send_system_calls.add(counts.system_calls);
        self.counters.send_retried.add(counts.retried);
        self.counters.send_failed.add(counts.failed);
        self.counters.socket_errors.add(counts.errors_drained);
        Ok(queued)
    }
}

/// Puts an answer into the send batch, each train as one message.
#[inline]
fn queue<'d>(outgoing: &mut Outgoing<'_, 'd>, to: SocketAddr, answer: Answer<'_, 'd>) {
    // Of the message that is open: size of its first datagram, and how many there are.
    let (mut segment_bytes, mut datagrams) = (0, 0);
    for datagram in answer {
        if !datagram.continues_train() {
            end(outgoing, segment_bytes, datagrams);
            assert!(outgoing.begin(to), "Answers::has_room left room for every train of a request");
            (segment_bytes, datagrams) = (datagram.len(), 0);
        }
        datagrams += 1;
        datagram.gather(|part| match part {
            Part::Copied(bytes) => outgoing.copy(bytes),
            Part::Borrowed(bytes) => outgoing.borrow(bytes),
        });
    }
    end(outgoing, segment_bytes, datagrams);
}

/// Ends a message of so many datagrams, if one is open.
#[inline]
fn end(outgoing: &mut Outgoing<'_, '_>, segment_bytes: usize, datagrams: usize) {
    if datagrams > 0 {
        let segment_bytes = if datagrams == 1 { 0 } else { segment_bytes };
        outgoing.end(segment_bytes).expect("trains keep to the limits of UDP_SEGMENT");
    }
}
