//! memcached over UDP, one flow: requests by id, answers put together, no socket and no clock.
//!
//! Since 1.6 each key that is stored is answered by a message of its own under the request's id, in the order asked: in one or more
//! datagrams with sequences from 0 and a total of its own; the last carries `END`. Of keys that are not stored the first of a get is
//! told by a bare header of total 0 and the last by `END` alone; those between are passed over, so over UDP they look like answers
//! that were lost (seen with 1.6.18). Nothing can be asked for again: a datagram lost is a read failed.
//!
//! What can be told apart: an id is not used again while a read of it waits or is remembered, and a value has to have a key that its
//! request asked for. So an answer that comes later than that and meets a new request of its id for the same key passes for that one's.
//! Pieces of long values do not say which key they belong to: of a get with several keys they are taken in order or not at all, and
//! values made of them are marked.

use std::collections::VecDeque;

use super::assembly::{Assembly, Put};
use super::limits::{HEADER_BYTES, REQUEST_BYTES_MAX, REQUESTS_MAX};
use super::reads::NONE;
use super::requests::Table;
use super::text;
use super::{End, Ending};

/// Settings of a flow.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// Reads in flight or remembered.
    pub reads_max: usize,
    /// Keys in one get.
    pub gets_max: usize,
    /// Longest answer to one key, bytes.
    pub message_bytes_max: usize,
    /// Memory for answers of several datagrams, bytes.
    pub assembly_bytes: usize,
    /// How long a read that timed out is remembered, and its id not used.
    pub linger_ns: u64,
}

/// The core of one flow. All memory is taken by [`Datagrams::new`].
pub struct Datagrams {
    config: Config,
    table: Table,
    assembly: Assembly,
    unsent: VecDeque<u32>,
    sequence: u32,
    next_id: u16,
    counters: Counters,
}

/// What a flow counted since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Datagrams handed in.
    pub datagrams: u64,
    /// Datagrams that are no answer of memcached's.
    pub malformed: u64,
    /// Datagrams for no request known, or for a key not asked for, or out of an order that has to be kept.
    pub strays: u64,
    /// Pieces of an answer that came twice.
    pub duplicates: u64,
    /// Pieces for which there was no memory.
    pub assembly_full: u64,
    /// Answers that came after the deadline.
    pub late: u64,
    /// Keys sent.
    pub keys_sent: u64,
}

/// A request to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transmit {
    /// Bytes written.
    pub bytes: usize,
    /// Its name, for [`Datagrams::transmit_failed`].
    pub name: RequestName,
}

/// Names a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RequestName {
    index: u32,
    sequence: u32,
}

impl Datagrams {
    /// A flow with all its memory.
    pub fn new(config: Config) -> Self {
        let requests = config.reads_max.min(REQUESTS_MAX);
        Self {
            table: Table::new(config.reads_max, requests),
            assembly: Assembly::new(config.message_bytes_max, config.assembly_bytes),
            unsent: VecDeque::with_capacity(requests),
            sequence: 0,
            next_id: 0,
            counters: Counters::default(),
            config,
        }
    }

    /// Reads that wait for their answer.
    pub fn in_flight(&self) -> usize {
        self.table.reads.waiting()
    }

    /// What was counted.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Asks for a key, in the request of the read before if `join` and there is room. False if there is no room for the read.
    /// Deadlines must not fall from read to read.
    pub fn get(&mut self, key: &[u8], item: u32, deadline_ns: u64, join: bool) -> bool {
        let open = self.unsent.back().copied().filter(|_| join);
        let open = open.filter(|request| {
            let request = &self.table.requests[*request as usize];
            usize::from(request.asked) < self.config.gets_max
                && request.bytes + 1 + key.len() <= REQUEST_BYTES_MAX
        });
        if let Some(request) = open {
            return self.table.add(request, key, item, deadline_ns);
        }
        let Some(request) = self.table.begin(&mut self.next_id) else { return false };
        if !self.table.add(request, key, item, deadline_ns) {
            self.table.free(request);
            return false;
        }
        // 0 names no request.
        self.sequence = self.sequence.wrapping_add(1).max(1);
        self.table.requests[request as usize].sequence = self.sequence;
        self.unsent.push_back(request);
        true
    }

    /// Writes the next request to `out`, which has [`REQUEST_BYTES_MAX`] bytes; `None` when there is none.
    pub fn poll_transmit(&mut self, now_ns: u64, out: &mut [u8]) -> Option<Transmit> {
        let index = self.unsent.pop_front()?;
        let request = &mut self.table.requests[index as usize];
        request.sent_ns = now_ns;
        self.counters.keys_sent += u64::from(request.asked);
        out[..2].copy_from_slice(&request.id.to_be_bytes());
        // Sequence 0 of 1, reserved.
        out[2..HEADER_BYTES].copy_from_slice(&[0, 0, 0, 1, 0, 0]);
        out[HEADER_BYTES..HEADER_BYTES + 3].copy_from_slice(b"get");
        let mut at = HEADER_BYTES + 3;
        let mut read = request.first;
        while read != NONE {
            let key = self.table.reads.get(read).key();
            out[at] = b' ';
            out[at + 1..at + 1 + key.len()].copy_from_slice(key);
            at += 1 + key.len();
            read = self.table.reads.get(read).sibling;
        }
        out[at..at + 2].copy_from_slice(b"\r\n");
        let name = RequestName { index, sequence: self.table.requests[index as usize].sequence };
        Some(Transmit { bytes: at + 2, name })
    }

    /// The kernel refused this request.
    pub fn transmit_failed(&mut self, name: RequestName, sink: &mut impl FnMut(&Ending<'_>)) {
        let request = &self.table.requests[name.index as usize];
        if request.sequence == name.sequence && request.first != NONE {
            self.table.end_all(name.index, End::NotSent, sink);
            if self.table.requests[name.index as usize].first == NONE {
                self.release(name.index);
            }
        }
    }

    /// Takes a datagram.
    pub fn handle_datagram(&mut self, bytes: &[u8], sink: &mut impl FnMut(&Ending<'_>)) {
        self.counters.datagrams += 1;
        let Some((header, payload)) = Header::parse(bytes) else {
            self.counters.malformed += 1;
            return;
        };
        let request = self.table.by_id[usize::from(header.id)];
        if request == NONE || self.table.requests[request as usize].sent_ns == 0 {
            self.counters.strays += 1;
            return;
        }
        self.table.requests[request as usize].heard = true;
        match header.total {
            0 => {
                let read = self.table.requests[request as usize].first_asked;
                self.table.miss(request, read, sink);
            }
            1 => self.whole(request, payload, sink),
            _ => self.piece(request, &header, payload, sink),
        }
        if self.table.requests[request as usize].first == NONE {
            self.release(request);
        }
    }

    /// Ends reads whose deadline has passed, and forgets those remembered long enough.
    pub fn handle_timeout(&mut self, now_ns: u64, sink: &mut impl FnMut(&Ending<'_>)) {
        while let Some(read) = self.table.reads.oldest_waiting()
            && self.table.reads.get(read).deadline_ns <= now_ns
        {
            let index = self.table.reads.get(read).request;
            let request = &self.table.requests[index as usize];
            let end = End::TimedOut { part_arrived: request.heard, no_memory: request.no_memory };
            sink(&self.table.ending(read, 0, end));
            self.table.reads.linger(read, now_ns + self.config.linger_ns);
            let request = &mut self.table.requests[index as usize];
            request.waiting -= 1;
            if request.waiting == 0 {
                self.drop_buffer(index);
            }
        }
        while let Some(read) = self.table.reads.oldest_lingering()
            && self.table.reads.get(read).lingers_until_ns.is_some_and(|until_ns| until_ns <= now_ns)
        {
            let index = self.table.reads.get(read).request;
            self.table.remove(index, read);
            if self.table.requests[index as usize].first == NONE {
                self.release(index);
            }
        }
    }

    /// When [`handle_timeout`](Self::handle_timeout) has something to do; `u64::MAX` if nothing is under way.
    pub fn next_timeout_ns(&self) -> u64 {
        let reads = &self.table.reads;
        let waiting = reads.oldest_waiting().map(|read| reads.get(read).deadline_ns);
        let lingering = reads.oldest_lingering().and_then(|read| reads.get(read).lingers_until_ns);
        waiting.unwrap_or(u64::MAX).min(lingering.unwrap_or(u64::MAX))
    }

    fn whole(&mut self, request: u32, payload: &[u8], sink: &mut impl FnMut(&Ending<'_>)) {
        match text::message(payload) {
            Ok(message) => self.table.message(request, message, 0, &mut self.counters, sink),
            Err(_) => self.counters.malformed += 1,
        }
    }

    fn piece(&mut self, index: u32, header: &Header, payload: &[u8], sink: &mut impl FnMut(&Ending<'_>)) {
        if !self.assembly.takes(header.total) {
            self.counters.malformed += 1;
            return;
        }
        if self.table.requests[index as usize].waiting == 0 {
            return self.table.tell_late(index, &mut self.counters, sink);
        }
        // Of several keys: only the first piece says which it belongs to, so the others must follow it.
        let ordered = self.table.requests[index as usize].asked > 1;
        if ordered && header.sequence == 0 {
            self.drop_buffer(index);
            let key = text::key_of_first_piece(payload);
            if key.is_none_or(|key| self.table.find(index, key).is_none()) {
                self.counters.strays += 1;
                return;
            }
        }
        let Some(buffer) = self.buffer(index, header, ordered) else { return };
        if ordered && header.sequence > self.assembly.pieces(buffer) {
            self.counters.strays += 1;
            return self.drop_buffer(index);
        }
        match self.assembly.put(buffer, header.sequence, header.total, payload) {
            Put::Kept => {}
            Put::Duplicate => self.counters.duplicates += 1,
            Put::Malformed => self.counters.malformed += 1,
            Put::Complete => {
                match text::message(self.assembly.message(buffer)) {
                    Ok(message) => {
                        self.table.message(index, message, header.total, &mut self.counters, sink);
                    }
                    Err(_) => self.counters.malformed += 1,
                }
                self.drop_buffer(index);
            }
        }
    }

    /// The buffer of this request's answer, begun now if there is none and a piece may begin one.
    fn buffer(&mut self, index: u32, header: &Header, ordered: bool) -> Option<u16> {
        let request = &mut self.table.requests[index as usize];
        if request.buffer.is_none() {
            if ordered && header.sequence != 0 {
                self.counters.strays += 1;
                return None;
            }
            request.buffer = self.assembly.begin(header.total);
            request.no_memory = request.buffer.is_none();
            self.counters.assembly_full += u64::from(request.no_memory);
        }
        request.buffer
    }

    fn drop_buffer(&mut self, index: u32) {
        if let Some(buffer) = self.table.requests[index as usize].buffer.take() {
            self.assembly.end(buffer);
        }
    }

    /// Gives back all a request of which nothing is left to be told has.
    fn release(&mut self, index: u32) {
        self.drop_buffer(index);
        if self.table.requests[index as usize].sent_ns == 0 {
            self.unsent.retain(|unsent| *unsent != index);
        }
        self.table.free(index);
    }
}

/// What a datagram begins with.
struct Header {
    id: u16,
    sequence: u16,
    total: u16,
}

impl Header {
    fn parse(bytes: &[u8]) -> Option<(Self, &[u8])> {
        let (header, payload) = bytes.split_first_chunk::<HEADER_BYTES>()?;
        let field = |at: usize| u16::from_be_bytes([header[at], header[at + 1]]);
        let header = Self { id: field(0), sequence: field(2), total: field(4) };
        let is_bare = header.total == 0 && header.sequence == 0 && payload.is_empty();
        let is_piece = header.sequence < header.total && !payload.is_empty();
        (field(6) == 0 && (is_bare || is_piece)).then_some((header, payload))
    }
}
