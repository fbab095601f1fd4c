//! Requests on their way out: which reads share a datagram, and what is asked for.

use super::Client;
use super::slots::State;
use crate::limits::{RANGE_BYTES, RANGES_MAX, REQUEST_BYTES_MIN};
use crate::reassembly::{NONE, Plan};
use crate::wire::{DatagramWriter, Frame, Get, Probe, Ranges, RequestHeader, Rerequest};

/// One request datagram to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transmit {
    /// Length of the datagram in the buffer given.
    pub bytes: usize,
    /// Its sequence in the flow; names it to [`Client::transmit_failed`].
    pub sequence: u32,
    /// 0 for the first request of its reads, counting up for each one after it.
    pub attempt: u8,
    /// Reads it carries; 0 for a probe or a heartbeat.
    pub reads: u8,
    /// Token of the first of them; 0 where there is none.
    pub first_token: u64,
}

impl Client {
    /// Writes the next request datagram into `out`; `None` when nothing is to be sent. `out` has at least `base_datagram` bytes, which
    /// no request exceeds. The answer is stale after any other call that takes `&mut self`: send it first.
    ///
    /// # Panics
    /// If `out` is shorter than `base_datagram`.
    pub fn poll_transmit(&mut self, now_ns: u64, out: &mut [u8]) -> Option<Transmit> {
        if self.heartbeat.take_due(now_ns) {
            return self.write_heartbeat(out);
        }
        let first = self.slots.first(State::Queued)?;
        let sequence = self.take_sequence();
        let slot = self.slots.get(first);
        let (attempt, first_token, holds_part) = (slot.sent, slot.token, slot.part != NONE);
        // After a loss in the base size: what was lost may have been too big for the path (PROTOCOL.md, section 4).
        let datagram_max =
            if slot.attempts > 0 { self.config.base_datagram } else { self.config.datagram_max };
        let header = RequestHeader {
            attempt,
            flow: self.config.flow,
            sequence,
            telemetry: self.config.telemetry,
            datagram_max,
            credit: self.config.credit_max,
        };
        let out = &mut out[..usize::from(self.config.base_datagram)];
        let mut writer = DatagramWriter::request(out, &header).ok()?;
        if let Some(cookie) = self.cookie {
            push(&mut writer, &Frame::Cookie(cookie));
        }
        let reads = if holds_part {
            self.write_rerequest(&mut writer, first, datagram_max);
            self.sent(now_ns, first, sequence, NONE);
            1
        } else {
            self.write_gets(&mut writer, now_ns, first, sequence)
        };
        let bytes = writer.finish();
        self.requests.sent(sequence, first, reads);
        self.count_out(bytes);
        Some(Transmit { bytes, sequence, attempt, reads, first_token })
    }

    /// Writes the shortest probe there is: it needs no cookie, and its answer, also a refusal, is a sign of life.
    #[cold]
    fn write_heartbeat(&mut self, out: &mut [u8]) -> Option<Transmit> {
        let sequence = self.take_sequence();
        let header = RequestHeader {
            attempt: 0,
            flow: self.config.flow,
            sequence,
            telemetry: false,
            datagram_max: self.config.base_datagram,
            credit: self.config.base_datagram.into(),
        };
        let mut writer = DatagramWriter::request(out, &header).ok()?;
        let size = REQUEST_BYTES_MIN as u16;
        push(&mut writer, &Frame::Probe(Probe { up: true, down: false, size, id: sequence }));
        let bytes = writer.finish();
        self.counters.heartbeats += 1;
        self.count_out(bytes);
        Some(Transmit { bytes, sequence, attempt: 0, reads: 0, first_token: 0 })
    }

    fn take_sequence(&mut self) -> u32 {
        let sequence = self.next_sequence;
        self.next_sequence = sequence.wrapping_add(1);
        sequence
    }

    fn count_out(&mut self, bytes: usize) {
        self.counters.datagrams_out += 1;
        self.counters.bytes_out += bytes as u64;
    }

    /// Says that the kernel refused the datagram with this sequence, given out by [`Client::poll_transmit`] just before. Its reads end with
    /// [`Ended::NotSent`](super::Ended::NotSent) at the next [`Client::handle_timeout`], which is due at once, unless an earlier request of theirs
    /// may still be answered.
    pub fn transmit_failed(&mut self, sequence: u32) {
        self.counters.datagrams_not_sent += 1;
        let Some(request) = self.requests.find(sequence) else { return };
        let (mut index, reads) = (request.first, request.reads);
        for _ in 0..reads {
            if index == NONE || self.slots.get(index).sequence != sequence {
                return;
            }
            let slot = self.slots.get_mut(index);
            if slot.state == State::Waiting && slot.attempts == 0 && !slot.answered {
                slot.not_sent = true;
                self.wheel.set(index, 0);
            }
            index = self.slots.get(index).group_next;
        }
    }

    /// Writes the GET of `first` and of the reads that joined it, as far as they fit.
    fn write_gets(&mut self, writer: &mut DatagramWriter<'_>, now_ns: u64, first: u32, sequence: u32) -> u8 {
        let attempt = self.slots.get(first).sent;
        let mut reads = 0;
        let mut next = Some(first);
        let mut last = NONE;
        while let Some(index) = next {
            let slot = self.slots.get(index);
            let joins = slot.joined && slot.sent == attempt && slot.part == NONE;
            if index != first && (!joins || reads == self.config.gets_per_datagram_max) {
                break;
            }
            if writer.push(&Frame::Get(Get { id: self.slots.id(index), key: self.slots.key(index) })).is_err()
            {
                break;
            }
            next = self.slots.next(index);
            self.sent(now_ns, index, sequence, last);
            last = index;
            reads += 1;
        }
        reads
    }

    /// Writes the REREQUEST for what is missing of the value that `index` holds a part of.
    fn write_rerequest(&mut self, writer: &mut DatagramWriter<'_>, index: u32, datagram_max: u16) {
        let part = self.parts.get(self.slots.get(index).part);
        let datagram_bytes = u32::from(datagram_max.min(part.datagram_bytes.max(self.config.base_datagram)));
        let plan = Plan::new(part.arrived.gaps(part.total), datagram_bytes, self.config.credit_max);
        let mut encoded = [[0; RANGE_BYTES]; RANGES_MAX];
        if let Some(ranges) = Ranges::encode(plan.ranges().iter().copied(), &mut encoded) {
            let id = self.slots.id(index);
            let key = self.slots.key(index);
            push(writer, &Frame::Rerequest(Rerequest { id, version: part.version, ranges, key }));
        }
        let part = self.slots.get(index).part;
        self.parts.get_mut(part).expected_end = plan.end();
    }

    /// Notes that a request of `index` is in the datagram `sequence`, after that of `previous`.
    fn sent(&mut self, now_ns: u64, index: u32, sequence: u32, previous: u32) {
        self.slots.move_to(index, State::Waiting);
        let slot = self.slots.get_mut(index);
        if slot.sent == 0 {
            (slot.first_sequence, slot.first_sent) = (sequence, now_ns);
        }
        slot.sequence = sequence;
        slot.group_next = NONE;
        slot.sent = slot.sent.saturating_add(1);
        slot.asked_ranges = slot.part != NONE;
        if previous != NONE {
            self.slots.get_mut(previous).group_next = index;
        }
        self.listen(now_ns, index);
    }
}

/// Adds a frame that fits whatever came before it: the longest REREQUEST with a cookie fits the base datagram (asserted in `limits`).
fn push(writer: &mut DatagramWriter<'_>, frame: &Frame<'_>) {
    let pushed = writer.push(frame);
    debug_assert!(pushed.is_ok(), "a request outgrew the base datagram");
}
