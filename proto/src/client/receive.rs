//! Answers on their way in.

use super::groups::next_of;
use super::slots::State;
use super::{Client, Ended, Event};
use crate::cookie::Cookie;
use crate::limits::{CREDIT_BYTES_MAX, DATAGRAM_BYTES_MAX, SEAL_BYTES, VERSION_RESTARTS_MAX};
use crate::reassembly::{Inserted, NONE, window_end};
use crate::seal::{self, SealError};
use crate::wire::{
    Answer, AnswerHeader, Carrier, Chunk, DropReason, Frame, Probe, Refusal, Refused, Telemetry,
};

/// What the frames of one datagram have in common.
#[derive(Clone, Copy)]
struct Arrival {
    now_ns: u64,
    header: AnswerHeader,
    datagram_bytes: u32,
    /// Credit of the request it answers; the most there is if that is forgotten.
    credit: u32,
    telemetry: Option<Telemetry>,
    /// It answers something that was sent, as far as the frames looked at show: a request or probe remembered, or a read.
    answers: bool,
}

impl Client {
    /// Takes one datagram that came to the flow's port. Whatever it holds, it does not panic and does not allocate; what cannot be read
    /// is counted by reason.
    pub fn handle_datagram(&mut self, now_ns: u64, bytes: &[u8], sink: &mut impl FnMut(Event<'_>)) {
        self.counters.datagrams_in += 1;
        self.counters.bytes_in += bytes.len() as u64;
        let answer = match Answer::parse(bytes, Carrier::Udp) {
            Ok(answer) if bytes.len() <= DATAGRAM_BYTES_MAX => answer,
            Ok(_) => return self.counters.drops[DropReason::Oversized.index()] += 1,
            Err(reason) => return self.counters.drops[reason.index()] += 1,
        };
        let header = answer.header;
        if header.flow != self.config.flow {
            self.counters.foreign += 1;
            return;
        }
        let (mut arrival, mut renewed) = (self.note_arrival(now_ns, header, bytes.len() as u32), None);
        for frame in answer.frames() {
            match frame {
                Frame::Telemetry(telemetry) => arrival.telemetry = Some(telemetry),
                Frame::Cookie(cookie) => renewed = Some(cookie),
                Frame::Challenge(cookie) => self.handle_challenge(&arrival, cookie),
                Frame::Value(value) => self.handle_value(&mut arrival, value.id, value.sealed, sink),
                Frame::Chunk(chunk) => self.handle_chunk(&mut arrival, &chunk, sink),
                Frame::Miss { id } => self.handle_miss(&mut arrival, id, sink),
                Frame::ProbeAck(probe) => self.handle_probe_ack(&arrival, &probe),
                Frame::Refused(refused) => self.handle_refused(&mut arrival, &refused, sink),
                _ => {}
            }
        }
        if arrival.answers {
            self.heartbeat.heard(now_ns, header.draining);
            self.note_order(&header);
            self.cookie = renewed.or(self.cookie);
        }
        self.note_credit(&arrival);
        self.serve_blocked_from_books(sink);
    }

    fn note_order(&mut self, header: &AnswerHeader) {
        if header.attempt != 0 {
            return;
        }
        match self.newest_answered {
            Some(newest) if is_before(header.sequence, newest) => self.counters.reordered += 1,
            _ => self.newest_answered = Some(header.sequence),
        }
    }

    /// Several reads of one datagram share its credit. Once one more datagram might not fit it, whatever does not come in time was left out by
    /// the server and is asked for as soon as the gap shows that nothing is on its way.
    fn note_credit(&mut self, arrival: &Arrival) {
        let Some(request) = self.requests.find(arrival.header.sequence) else { return };
        request.answer_bytes = request.answer_bytes.saturating_add(arrival.datagram_bytes);
        let used_up = request.answer_bytes.saturating_add(request.datagram_max.into()) > request.grant.credit;
        if request.reads < 2 || request.spent || !used_up {
            return;
        }
        request.spent = true;
        let mut next = self.group_of(arrival.header.sequence);
        while let Some(index) = next {
            next = next_of(&self.slots, index);
            if self.slots.get(index).state == State::Waiting {
                let slot = self.slots.get_mut(index);
                (slot.answered, slot.left_out) = (true, true);
                self.listen(arrival.now_ns, index);
            }
        }
    }

    /// A datagram has left the receive buffer, and shows what sizes pass.
    fn note_arrival(&mut self, now_ns: u64, header: AnswerHeader, datagram_bytes: u32) -> Arrival {
        let mut arrival = Arrival {
            now_ns,
            header,
            datagram_bytes,
            credit: CREDIT_BYTES_MAX as u32,
            telemetry: None,
            answers: true,
        };
        let Some(request) = self.requests.find(header.sequence) else {
            arrival.answers = self.path.find(header.sequence).is_some();
            return arrival;
        };
        if request.answer_bytes == 0 {
            self.round_trip.sample(now_ns.saturating_sub(request.sent_ns));
        }
        self.window.give_back(&mut request.grant, self.window.charge_of(datagram_bytes as u16));
        self.path.arrived(now_ns, datagram_bytes, request.bytes, request.sent_ns);
        arrival.credit = request.grant.credit;
        arrival
    }

    /// A probe came through, or a heartbeat, of which the datagram itself said all.
    fn handle_probe_ack(&mut self, arrival: &Arrival, probe: &Probe) {
        let sent = self.path.find(arrival.header.sequence).filter(|sent| sent.sequence == probe.id);
        let Some(sent) = sent else { return };
        let round_trip = self.path.acknowledge(arrival.now_ns, sent, arrival.datagram_bytes, probe.size);
        round_trip.into_iter().for_each(|ns| self.round_trip.sample(ns));
    }

    /// Sends the requests of the challenged datagram again, together as they were, now with the cookie.
    fn handle_challenge(&mut self, arrival: &Arrival, cookie: Cookie) {
        let sequence = arrival.header.sequence;
        if let Some(probe) = self.path.find(sequence) {
            self.cookie = Some(cookie);
            self.counters.challenges += u64::from(self.path.challenged(probe));
            return;
        }
        if self.requests.find(sequence).is_none() {
            return;
        }
        self.cookie = Some(cookie);
        let mut next = self.group_of(sequence);
        let mut asked = false;
        while let Some(index) = next {
            next = next_of(&self.slots, index);
            let slot = self.slots.get_mut(index);
            if slot.state == State::Waiting && slot.challenges < CHALLENGES_MAX {
                slot.challenges += 1;
                slot.joined = asked;
                asked = true;
                self.leave_group(index);
                self.slots.move_to(index, State::Queued);
            }
        }
        self.counters.challenges += u64::from(asked);
    }

    fn handle_value(
        &mut self,
        arrival: &mut Arrival,
        id: u32,
        sealed: &[u8],
        sink: &mut impl FnMut(Event<'_>),
    ) {
        if let Some(index) = self.find_live(arrival, id, sink) {
            self.slots.get_mut(index).note_help(arrival.header.attempt);
            self.open(index, Some(sealed), sink);
        }
    }

    fn handle_miss(&mut self, arrival: &mut Arrival, id: u32, sink: &mut impl FnMut(Event<'_>)) {
        if let Some(index) = self.find_live(arrival, id, sink) {
            self.slots.get_mut(index).note_help(arrival.header.attempt);
            self.end(index, Ended::Miss, sink);
        }
    }

    fn handle_refused(&mut self, arrival: &mut Arrival, refused: &Refused, sink: &mut impl FnMut(Event<'_>)) {
        if let Some(probe) = self.path.find(arrival.header.sequence) {
            match refused.reason {
                _ if refused.id != probe.sequence => {}
                Refusal::NotServed => self.path.not_served(probe),
                Refusal::TooBig => self.path.too_big(arrival.now_ns, probe, refused.detail),
                _ => {}
            }
            return;
        }
        let Some(index) = self.find_live(arrival, refused.id, sink) else { return };
        match refused.reason {
            Refusal::VersionGone => self.handle_version_gone(arrival, index, sink),
            Refusal::TooBig => self.end(index, Ended::OverTcp, sink),
            reason => self.end(index, Ended::Refused { reason, detail: refused.detail }, sink),
        }
    }

    /// Starts over, unless the refusal answers a request older than the newest, of a version that may not be held any more.
    fn handle_version_gone(&mut self, arrival: &Arrival, index: u32, sink: &mut impl FnMut(Event<'_>)) {
        let slot = self.slots.get(index);
        if slot.sequence != arrival.header.sequence || slot.part == NONE || slot.state != State::Waiting {
            self.counters.duplicates += 1;
            return;
        }
        let gone = self.parts.get(slot.part).version;
        if self.restart(index, gone.wrapping_add(1), sink) {
            self.ask(index);
        }
    }

    /// Drops what is held and takes no version before `floor` from now on. False when that was once too often and the read ended.
    fn restart(&mut self, index: u32, floor: u64, sink: &mut impl FnMut(Event<'_>)) -> bool {
        let slot = self.slots.get_mut(index);
        if slot.restarts == VERSION_RESTARTS_MAX {
            self.end(index, Ended::OverTcp, sink);
            return false;
        }
        slot.restarts += 1;
        slot.version_floor = floor;
        self.counters.version_restarts += 1;
        self.drop_part(index);
        true
    }

    fn handle_chunk(&mut self, arrival: &mut Arrival, chunk: &Chunk<'_>, sink: &mut impl FnMut(Event<'_>)) {
        let Some(index) = self.find(arrival, chunk.id) else { return };
        let slot = self.slots.get_mut(index);
        slot.chunks = slot.chunks.saturating_add(1);
        slot.telemetry = arrival.telemetry.or(slot.telemetry);
        if !slot.is_live() {
            return self.handle_late_chunk(arrival, index, chunk, sink);
        }
        slot.answered = true;
        if chunk.total as usize > self.config.value_bytes_max + SEAL_BYTES {
            return self.end(index, Ended::OverTcp, sink);
        }
        if self.is_stale(index, chunk) {
            self.counters.duplicates += 1;
        } else if chunk.bytes.len() == chunk.total as usize {
            self.slots.get_mut(index).note_help(arrival.header.attempt);
            self.open(index, Some(chunk.bytes), sink);
        } else if self.admit_version(index, chunk, sink) {
            self.keep(arrival, index, chunk, sink);
        }
    }

    /// Whether the chunk is of an older version than one seen before, or contradicts what is held.
    fn is_stale(&self, index: u32, chunk: &Chunk<'_>) -> bool {
        let slot = self.slots.get(index);
        if slot.part == NONE {
            return slot.restarts > 0 && version_is_before(chunk.version, slot.version_floor);
        }
        let part = self.parts.get(slot.part);
        !part.takes(chunk.version, chunk.total) && !version_is_before(part.version, chunk.version)
    }

    /// Drops what is held of an older version than the chunk's. False when that was once too often and the read ended.
    fn admit_version(&mut self, index: u32, chunk: &Chunk<'_>, sink: &mut impl FnMut(Event<'_>)) -> bool {
        let part = self.slots.get(index).part;
        let newer = part != NONE && self.parts.get(part).version != chunk.version;
        !newer || self.restart(index, chunk.version, sink)
    }

    /// Adds a chunk to what is held; delivers the value, or asks on, when that completes what was expected.
    fn keep(&mut self, arrival: &Arrival, index: u32, chunk: &Chunk<'_>, sink: &mut impl FnMut(Event<'_>)) {
        if self.slots.get(index).part == NONE
            && !self.begin_part(index, arrival.now_ns, chunk, arrival.datagram_bytes as u16, sink)
        {
            self.counters.reassembly_full += 1;
            return;
        }
        let slot = self.slots.get(index);
        let (part, asked_ranges, state) = (slot.part, slot.asked_ranges, slot.state);
        match self.parts.write(part, chunk.offset, chunk.bytes) {
            Inserted::New => {
                let slot = self.slots.get_mut(index);
                slot.fruitless = 0;
                slot.note_help(arrival.header.attempt);
            }
            // What brings nothing new does not put off asking for what is missing.
            Inserted::Known => return self.counters.duplicates += 1,
            Inserted::Full => return self.counters.reassembly_full += 1,
        }
        let end = chunk.offset + chunk.bytes.len() as u32;
        let part = self.parts.get_mut(part);
        part.datagram_bytes = part.datagram_bytes.max(arrival.datagram_bytes as u16);
        if !asked_ranges {
            let window = window_end(chunk.offset..end, chunk.total, arrival.datagram_bytes, arrival.credit);
            part.expected_end = part.expected_end.max(window);
        }
        if part.complete() {
            self.open(index, None, sink);
        } else if part.arrived.covers(part.expected_end) && state == State::Waiting {
            self.ask_on(index);
        } else {
            self.listen_unless_queued(arrival.now_ns, index);
        }
    }

    fn listen_unless_queued(&mut self, now_ns: u64, index: u32) {
        if self.slots.get(index).state == State::Waiting {
            self.listen(now_ns, index);
        }
    }

    /// Delivers a whole value (`sealed`, or else the part held) if it passes the end-to-end check; else asks for it from the start.
    fn open(&mut self, index: u32, sealed: Option<&[u8]>, sink: &mut impl FnMut(Event<'_>)) {
        let part = self.slots.get(index).part;
        let mut event = self.event(index, Ended::Miss);
        let sealed = sealed.unwrap_or_else(|| self.parts.sealed(part));
        let key = self.slots.key(index);
        match seal::open(key, sealed, self.config.value_bytes_max, &mut self.scratch) {
            Ok(value) => {
                event.end = Ended::Value(value);
                sink(event);
                self.forget(index);
            }
            Err(SealError::TooLong { .. }) => self.end(index, Ended::OverTcp, sink),
            Err(_) => {
                self.counters.corrupt_values += 1;
                let slot = self.slots.get_mut(index);
                slot.corrupt = slot.corrupt.saturating_add(1);
                // New bytes of no use are no progress: corrupt values count as re-requests in a row.
                slot.fruitless = slot.fruitless.max((slot.corrupt - 1).min(u8::MAX.into()) as u8);
                slot.answered = true;
                self.drop_part(index);
                self.ask_again(index);
            }
        }
    }

    /// The live read a frame belongs to. A late frame ends its read's lingering here, a duplicate is counted.
    fn find_live(&mut self, arrival: &mut Arrival, id: u32, sink: &mut impl FnMut(Event<'_>)) -> Option<u32> {
        let index = self.find(arrival, id)?;
        let slot = self.slots.get_mut(index);
        slot.telemetry = arrival.telemetry.or(slot.telemetry);
        if slot.is_live() {
            return Some(index);
        }
        self.end_late(index, arrival.now_ns, true, sink);
        None
    }

    /// The read with this id, late or not, if the datagram answers a request that may have asked for it: one between its first and its
    /// newest (section 9).
    fn find(&mut self, arrival: &mut Arrival, id: u32) -> Option<u32> {
        let sequence = arrival.header.sequence;
        let asked = self.slots.find(id).filter(|index| {
            let slot = self.slots.get(*index);
            slot.sent > 0 && !is_before(sequence, slot.first_sequence) && !is_before(slot.sequence, sequence)
        });
        arrival.answers |= asked.is_some();
        self.counters.duplicates += u64::from(asked.is_none());
        asked
    }

    /// Notes a chunk of a read that timed out, to tell later whether all of the answer came.
    fn handle_late_chunk(
        &mut self,
        arrival: &Arrival,
        index: u32,
        chunk: &Chunk<'_>,
        sink: &mut impl FnMut(Event<'_>),
    ) {
        let held = self.slots.get(index).part;
        if held != NONE && !self.parts.get(held).takes(chunk.version, chunk.total) {
            self.drop_part(index);
        }
        if self.slots.get(index).part == NONE {
            let Some(part) = self.parts.begin_books(chunk.version, chunk.total) else {
                return self.end_late(index, arrival.now_ns, false, sink);
            };
            self.slots.get_mut(index).part = part;
            self.slots.move_to(index, State::LingeringPart);
        }
        let slot = self.slots.get_mut(index);
        slot.act_at = arrival.now_ns;
        let part = slot.part;
        self.parts.write(part, chunk.offset, chunk.bytes);
        if self.parts.get(part).complete() {
            self.end_late(index, arrival.now_ns, true, sink);
        }
    }
}

/// Challenges a read answers; a server that goes on challenging does not take its own cookies.
const CHALLENGES_MAX: u8 = 2;

/// Serial number arithmetic (RFC 1982): whether `a` was counted before `b`.
fn is_before(a: u32, b: u32) -> bool {
    (a.wrapping_sub(b) as i32) < 0
}

/// The same for versions, whose upper half is the server instance's nonce.
fn version_is_before(a: u64, b: u64) -> bool {
    (a.wrapping_sub(b) as i64) < 0
}
