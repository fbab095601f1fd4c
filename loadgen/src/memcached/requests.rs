//! Requests of a UDP flow by their id, each with its reads: what is known of a read and what ends it, whatever datagram told so.

use super::datagrams::Counters;
use super::limits::{HEADER_BYTES, ID_TRIES_MAX};
use super::reads::{NONE, Reads};
use super::text::Message;
use super::{End, Ending};

/// Requests by id, and their reads.
pub(super) struct Table {
    pub(super) reads: Reads,
    pub(super) requests: Box<[Request]>,
    free: Vec<u32>,
    pub(super) by_id: Box<[u32]>,
}

/// A request under way, or one whose reads are remembered.
#[derive(Clone, Copy)]
pub(super) struct Request {
    pub(super) id: u16,
    /// Keys asked for, and of them the first and the last while nothing is known of them.
    pub(super) asked: u8,
    pub(super) first_asked: u32,
    pub(super) last_asked: u32,
    /// Reads that wait.
    pub(super) waiting: u8,
    pub(super) heard: bool,
    pub(super) no_memory: bool,
    pub(super) late_told: bool,
    pub(super) buffer: Option<u16>,
    /// First and last read that is not answered.
    pub(super) first: u32,
    pub(super) last: u32,
    pub(super) sequence: u32,
    pub(super) sent_ns: u64,
    /// Length of its datagram.
    pub(super) bytes: usize,
}

impl Request {
    const EMPTY: Self = Self {
        id: 0,
        asked: 0,
        first_asked: NONE,
        last_asked: NONE,
        waiting: 0,
        heard: false,
        no_memory: false,
        late_told: false,
        buffer: None,
        first: NONE,
        last: NONE,
        sequence: 0,
        sent_ns: 0,
        bytes: 0,
    };
}

impl Table {
    pub(super) fn new(reads_max: usize, requests_max: usize) -> Self {
        Self {
            reads: Reads::new(reads_max),
            requests: vec![Request::EMPTY; requests_max].into(),
            free: (0..requests_max as u32).rev().collect(),
            by_id: vec![NONE; 1 << 16].into(),
        }
    }

    /// Begins a request without reads under an id that is free.
    pub(super) fn begin(&mut self, next_id: &mut u16) -> Option<u32> {
        let index = *self.free.last()?;
        let id = (0..ID_TRIES_MAX as u16)
            .map(|offset| next_id.wrapping_add(offset))
            .find(|id| self.by_id[usize::from(*id)] == NONE)?;
        *next_id = id.wrapping_add(1);
        self.free.pop();
        self.by_id[usize::from(id)] = index;
        self.requests[index as usize] =
            Request { id, bytes: HEADER_BYTES + b"get\r\n".len(), ..Request::EMPTY };
        Some(index)
    }

    pub(super) fn free(&mut self, index: u32) {
        self.by_id[usize::from(self.requests[index as usize].id)] = NONE;
        self.free.push(index);
    }

    pub(super) fn add(&mut self, index: u32, key: &[u8], item: u32, deadline_ns: u64) -> bool {
        let Some(read) = self.reads.add(key, item, deadline_ns, index) else { return false };
        let request = &mut self.requests[index as usize];
        match request.first {
            NONE => (request.first, request.first_asked) = (read, read),
            _ => self.reads.chain(request.last, read),
        }
        (request.last, request.last_asked) = (read, read);
        request.asked += 1;
        request.waiting += 1;
        request.bytes += 1 + key.len();
        true
    }

    pub(super) fn ending<'a>(&self, read: u32, pieces: u16, end: End<'a>) -> Ending<'a> {
        let read = self.reads.get(read);
        let request = &self.requests[read.request as usize];
        Ending {
            item: read.item,
            deadline_ns: read.deadline_ns,
            sent_ns: request.sent_ns,
            sequence: request.sequence,
            pieces,
            end,
        }
    }

    /// The read of this request that asks for `key`: the first that waits, else one that is remembered.
    pub(super) fn find(&self, index: u32, key: &[u8]) -> Option<u32> {
        let mut remembered = None;
        let mut read = self.requests[index as usize].first;
        while read != NONE {
            let this = self.reads.get(read);
            if this.key() == key {
                if this.lingers_until_ns.is_none() {
                    return Some(read);
                }
                remembered = remembered.or(Some(read));
            }
            read = this.sibling;
        }
        remembered
    }

    /// Takes a read out of its request.
    pub(super) fn remove(&mut self, index: u32, read: u32) {
        let request = &mut self.requests[index as usize];
        let (mut before, mut at) = (NONE, request.first);
        while at != read {
            (before, at) = (at, self.reads.get(at).sibling);
        }
        let after = self.reads.get(read).sibling;
        match before {
            NONE => request.first = after,
            before => self.reads.chain(before, after),
        }
        if after == NONE {
            request.last = before;
        }
        if request.first_asked == read {
            request.first_asked = NONE;
        }
        if request.last_asked == read {
            request.last_asked = NONE;
        }
        request.waiting -= u8::from(self.reads.get(read).lingers_until_ns.is_none());
        self.reads.remove(read);
    }

    pub(super) fn message(
        &mut self,
        index: u32,
        message: Message<'_>,
        pieces: u16,
        counters: &mut Counters,
        sink: &mut impl FnMut(&Ending<'_>),
    ) {
        match message {
            Message::Value { key, value } => {
                let Some(read) = self.find(index, key) else {
                    counters.strays += 1;
                    return;
                };
                if self.reads.get(read).lingers_until_ns.is_some() {
                    self.tell_late(index, counters, sink);
                } else {
                    let ambiguous = pieces > 0 && self.requests[index as usize].asked > 1;
                    sink(&self.ending(read, pieces, End::Value { bytes: value, ambiguous }));
                    self.remove(index, read);
                }
            }
            Message::End => {
                if self.requests[index as usize].waiting == 0 {
                    self.tell_late(index, counters, sink);
                }
                self.miss(index, self.requests[index as usize].last_asked, sink);
            }
            Message::Error => self.end_all(index, End::ServerError, sink),
        }
    }

    /// Ends a read whose key is not stored, if it waits.
    pub(super) fn miss(&mut self, index: u32, read: u32, sink: &mut impl FnMut(&Ending<'_>)) {
        if read != NONE && self.reads.get(read).lingers_until_ns.is_none() {
            sink(&self.ending(read, 0, End::Miss));
            self.remove(index, read);
        }
    }

    /// Ends all reads of a request that wait.
    pub(super) fn end_all(&mut self, index: u32, end: End<'_>, sink: &mut impl FnMut(&Ending<'_>)) {
        let mut read = self.requests[index as usize].first;
        while read != NONE {
            let next = self.reads.get(read).sibling;
            if self.reads.get(read).lingers_until_ns.is_none() {
                sink(&self.ending(read, 0, end));
                self.remove(index, read);
            }
            read = next;
        }
    }

    /// Says once of a request that an answer to it came too late.
    pub(super) fn tell_late(
        &mut self,
        index: u32,
        counters: &mut Counters,
        sink: &mut impl FnMut(&Ending<'_>),
    ) {
        let request = &mut self.requests[index as usize];
        if request.first != NONE && !request.late_told {
            request.late_told = true;
            counters.late += 1;
            let first = request.first;
            sink(&self.ending(first, 0, End::Late));
        }
    }
}
