//! Requests on their way out: which reads share a datagram, what is asked for, and how much may come back.

use super::Client;
use super::groups::next_of;
use super::path::{Sent, Way};
use super::receive_window::{Grant, Share};
use super::requests::Request;
use super::slots::State;
use crate::limits::{RANGE_BYTES, RANGES_MAX};
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

/// Sizes of one request: its own, and that of the datagrams it asks for.
#[derive(Clone, Copy)]
pub(super) struct Sizes {
    pub(super) up: u16,
    pub(super) down: u16,
}

impl Client {
    /// Writes the next request datagram into `out`: reads, a heartbeat that is due, or a probe of the path-MTU search. `None` when nothing
    /// is to be sent, which holds until the next call that takes `&mut self`, or until [`Client::poll_timeout`].
    ///
    /// What is given out is stale after any other call that takes `&mut self`: send it first.
    ///
    /// # Panics
    /// If `out` is shorter than [`Client::transmit_bytes_max`].
    pub fn poll_transmit(&mut self, now_ns: u64, out: &mut [u8]) -> Option<Transmit> {
        if self.heartbeat.take_due(now_ns) {
            let heartbeat = self.path.heartbeat(now_ns, self.next_sequence);
            return self.write_probe(heartbeat, out);
        }
        if let Some(first) = self.slots.first(State::Queued) {
            return self.write_reads(now_ns, first, out);
        }
        let probe = self.path.poll_probe(now_ns, self.next_sequence)?;
        self.write_probe(probe, out)
    }

    /// Says that the kernel refused the datagram with this sequence, given out by [`Client::poll_transmit`] just before. Its reads end with
    /// [`Ended::NotSent`](super::Ended::NotSent) at the next [`Client::handle_timeout`], which is due at once, unless the kernel took an earlier
    /// request of theirs, which may still be answered. Reads in a datagram longer than the base are sent again in the base size instead: it may have been too long.
    pub fn transmit_failed(&mut self, sequence: u32) {
        self.counters.datagrams_not_sent += 1;
        if let Some(probe) = self.path.find(sequence) {
            return self.path.not_sent(probe);
        }
        let Some(request) = self.requests.find(sequence).copied() else { return };
        let too_long = request.bytes > self.config.base_datagram;
        if too_long {
            self.path.suspect(request.sent_ns, Way::Up);
        }
        let mut next = Some(request.first).filter(|first| *first != NONE);
        while let Some(index) = next {
            next = next_of(&self.slots, index);
            let slot = self.slots.get_mut(index);
            if slot.state != State::Waiting || slot.answered {
                continue;
            }
            slot.refused = true;
            if too_long {
                slot.count_attempt();
                self.ask(index);
            } else if !slot.taken {
                self.wheel.set(index, 0);
            }
        }
    }

    /// Writes a request for `first`, and for the reads that joined it.
    fn write_reads(&mut self, now_ns: u64, first: u32, out: &mut [u8]) -> Option<Transmit> {
        let sequence = self.take_sequence();
        let slot = self.slots.get(first);
        let (attempt, first_token, holds_part) = (slot.sent, slot.token, slot.part != NONE);
        // Of an answer that found no memory nobody looked whether all of it came.
        let doubtful = slot.attempts > 0 || holds_part && self.parts.get(slot.part).arrived.bytes() == 0;
        let mut sizes = if doubtful { self.sizes_after_loss(slot.part) } else { self.sizes() };
        self.window.set_aside(self.slots.live(), self.config.base_datagram);
        let share = if holds_part { Share::Rest } else { Share::First };
        if !self.window.has_room(share, sizes.down) {
            sizes.down = self.config.base_datagram;
        }
        let (grant, plan) = if holds_part {
            let (grant, plan) = self.plan_rest(first, sizes.down);
            (grant, Some(plan))
        } else {
            let joined = self.slots.next(first).is_some_and(|next| self.slots.get(next).joined);
            (self.window.first(sizes.down, joined), None)
        };
        let header = self.header(attempt, sequence, sizes.down, grant.credit, self.config.telemetry);
        let mut writer = DatagramWriter::request(&mut out[..usize::from(sizes.up)], &header).ok()?;
        if let Some(cookie) = self.cookie {
            push(&mut writer, &Frame::Cookie(cookie));
        }
        let reads = match plan {
            Some(plan) => self.write_rerequest(&mut writer, first, &plan),
            None => self.write_gets(&mut writer, first),
        };
        let bytes = writer.finish() as u16;
        let request = Request {
            sequence,
            first,
            sent_ns: now_ns,
            grant,
            answer_bytes: 0,
            datagram_max: sizes.down,
            bytes,
            reads,
            spent: false,
        };
        self.note_sent(request, sizes);
        self.count_out(bytes.into());
        Some(Transmit { bytes: bytes.into(), sequence, attempt, reads, first_token })
    }

    /// The base: what was lost may have been too big for the path. For more of a value of which something came in answer to the request
    /// before, the size of that, which has just shown to pass (section 4.1).
    fn sizes_after_loss(&self, part: u32) -> Sizes {
        let base = self.config.base_datagram;
        let came = if part == NONE { 0 } else { self.parts.get(part).datagram_bytes };
        let proved = self.path.down_proved().unwrap_or(self.config.datagram_max);
        Sizes { up: base, down: came.min(proved).max(base) }
    }

    /// The sizes proved, or given.
    pub(super) fn sizes(&self) -> Sizes {
        let base = self.config.base_datagram;
        Sizes {
            up: self.path.up_bytes().unwrap_or(base),
            down: self.path.down_bytes().unwrap_or(self.config.datagram_max),
        }
    }

    /// What is asked for of a value that `index` holds a part of, and what may come.
    fn plan_rest(&mut self, index: u32, datagram_max: u16) -> (Grant, Plan) {
        let part = self.parts.get(self.slots.get(index).part);
        let datagram_bytes = datagram_max.min(part.datagram_bytes.max(self.config.base_datagram));
        let mut grant = self.window.rest(datagram_bytes, self.parts.holding());
        let plan = Plan::new(part.arrived.gaps(part.total), datagram_bytes.into(), grant.credit);
        grant.charge =
            grant.charge.min(plan.datagrams().saturating_mul(self.window.charge_of(datagram_bytes)));
        (grant, plan)
    }

    /// Writes the GET of `first` and of the reads that joined it, as far as they fit; gives their number.
    fn write_gets(&mut self, writer: &mut DatagramWriter<'_>, first: u32) -> u8 {
        let attempt = self.slots.get(first).sent;
        let (mut reads, mut previous) = (0, NONE);
        let mut next = Some(first);
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
            self.join_group(index, previous);
            previous = index;
            reads += 1;
        }
        reads
    }

    /// Writes the REREQUEST for what was planned.
    fn write_rerequest(&mut self, writer: &mut DatagramWriter<'_>, index: u32, plan: &Plan) -> u8 {
        let part = self.slots.get(index).part;
        let mut encoded = [[0; RANGE_BYTES]; RANGES_MAX];
        if let Some(ranges) = Ranges::encode(plan.ranges().iter().copied(), &mut encoded) {
            let (id, key) = (self.slots.id(index), self.slots.key(index));
            push(
                writer,
                &Frame::Rerequest(Rerequest { id, version: self.parts.get(part).version, ranges, key }),
            );
        }
        let part = self.parts.get_mut(part);
        (part.expected_end, part.datagram_bytes) = (plan.end(), 0);
        self.join_group(index, NONE);
        1
    }

    /// Notes a request and that its reads wait for the answer.
    fn note_sent(&mut self, request: Request, sizes: Sizes) {
        self.window.reserve(request.grant);
        let mut forgotten = self.requests.put(request);
        self.window.give_back(&mut forgotten.grant, u32::MAX);
        let base = self.config.base_datagram;
        let mut next = Some(request.first);
        while let Some(index) = next {
            next = next_of(&self.slots, index);
            self.slots.move_to(index, State::Waiting);
            let slot = self.slots.get_mut(index);
            if slot.sent == 0 {
                (slot.first_sequence, slot.first_sent) = (request.sequence, request.sent_ns);
            }
            slot.taken |= slot.sent > 0 && !slot.refused;
            slot.refused = false;
            slot.sequence = request.sequence;
            slot.sent = slot.sent.saturating_add(1);
            slot.asked_ranges = slot.part != NONE;
            slot.left_out = false;
            (slot.asked_large, slot.sent_large) = (sizes.down > base, request.bytes > base);
            self.listen(request.sent_ns, index);
        }
    }

    /// Writes a probe or a heartbeat. A heartbeat needs no cookie: its answer, also a refusal, is not longer than itself.
    #[cold]
    fn write_probe(&mut self, sent: Sent, out: &mut [u8]) -> Option<Transmit> {
        let sequence = self.take_sequence();
        let base = self.config.base_datagram;
        let header = self.header(0, sequence, base, base.into(), false);
        let (up, down) = (sent.way != Some(Way::Down), sent.way == Some(Way::Down));
        let longest = if up { sent.size.max(base) } else { base };
        let mut writer = DatagramWriter::request(&mut out[..usize::from(longest)], &header).ok()?;
        if let Some(cookie) = self.cookie.filter(|_| sent.way.is_some()) {
            push(&mut writer, &Frame::Cookie(cookie));
        }
        push(&mut writer, &Frame::Probe(Probe { up, down, size: sent.size, id: sequence }));
        if up {
            writer.pad_to(sent.size.into());
        }
        let bytes = writer.finish();
        match sent.way {
            Some(_) => self.counters.probes += 1,
            None => self.counters.heartbeats += 1,
        }
        self.count_out(bytes);
        Some(Transmit { bytes, sequence, attempt: 0, reads: 0, first_token: 0 })
    }

    fn header(
        &self,
        attempt: u8,
        sequence: u32,
        datagram_max: u16,
        credit: u32,
        telemetry: bool,
    ) -> RequestHeader {
        RequestHeader { attempt, flow: self.config.flow, sequence, telemetry, datagram_max, credit }
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
}

/// Adds a frame that fits whatever came before it: the longest REREQUEST with a cookie fits the base datagram (asserted in `limits`).
fn push(writer: &mut DatagramWriter<'_>, frame: &Frame<'_>) {
    let pushed = writer.push(frame);
    debug_assert!(pushed.is_ok(), "a request outgrew the base datagram");
}
