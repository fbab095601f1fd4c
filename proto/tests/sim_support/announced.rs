//! The rules for the sizes that requests announce (PROTOCOL.md, section 4.1), checked from outside: by what arrived for each read.

use std::collections::HashMap;

use shingle_proto::client::PathReport;
use shingle_proto::wire::{Answer, Carrier, Frame, Request, RequestHeader};

/// The base: what every path is taken to carry.
const BASE: u16 = 1200;

/// The newest request of a read, and what arrived for the read since.
#[derive(Clone, Copy)]
struct Read {
    sequence: u32,
    /// Length of the largest datagram with a chunk of it; 0 for none.
    largest: u16,
    /// Which request the newest chunk answered: an older one, if it was late or the network had doubled it.
    answered: u32,
}

/// What one request datagram was told to bring at most, and what it brought.
#[derive(Clone, Copy)]
struct Exchange {
    announced: u16,
    credit: u64,
    /// Bytes of values asked for, where it named ranges.
    range_bytes: Option<u64>,
    answer_bytes: u64,
    chunk_bytes: u64,
    challenged: bool,
}

impl Exchange {
    /// Whether it brought all it could: the ranges asked for, or all that the credit allowed.
    fn complete(&self) -> bool {
        match self.range_bytes {
            Some(asked) => self.chunk_bytes >= asked,
            None => self.answer_bytes + u64::from(self.announced) > self.credit,
        }
    }
}

/// What was asked for and what came, of the reads and requests of one flow.
pub struct Announced {
    flow: u32,
    reads: HashMap<u32, Read>,
    exchanges: HashMap<u32, Exchange>,
}

impl Announced {
    pub fn new(flow: u32) -> Self {
        Self { flow, reads: HashMap::new(), exchanges: HashMap::new() }
    }

    /// A datagram arrived.
    pub fn arrived(&mut self, answer: &Answer<'_>, bytes: usize) {
        let (flow, sequence) = (answer.header.flow, answer.header.sequence);
        let Some(exchange) = self.exchanges.get_mut(&sequence).filter(|_| flow == self.flow) else { return };
        exchange.answer_bytes += bytes as u64;
        for frame in answer.frames() {
            match frame {
                Frame::Challenge(_) => exchange.challenged = true,
                Frame::Chunk(chunk) => {
                    exchange.chunk_bytes += chunk.bytes.len() as u64;
                    if let Some(read) = self.reads.get_mut(&chunk.id) {
                        read.largest = read.largest.max(bytes as u16);
                        read.answered = sequence;
                    }
                }
                _ => {}
            }
        }
    }

    /// Checks a request of reads that leaves, and notes it. `no_memory`: the flow has thrown chunks away for want of room.
    pub fn check(&mut self, request: &Request<'_>, bytes: usize, path: &PathReport, no_memory: bool) {
        let header = request.header;
        assert!(bytes <= path.up.datagram_bytes.into(), "a read of {bytes} B left on {path:?}");
        assert!(header.datagram_max <= path.down.proved_bytes, "{header:?} on {path:?}");
        let mut range_bytes = None;
        for frame in request.frames() {
            let id = match frame {
                Frame::Get(get) => {
                    self.check_get(&header, get.id, bytes, path);
                    get.id
                }
                Frame::Rerequest(rest) => {
                    self.check_rest(&header, rest.id, path, no_memory);
                    range_bytes = Some(rest.ranges.iter().map(|range| u64::from(range.length)).sum());
                    rest.id
                }
                _ => continue,
            };
            self.reads.insert(id, Read { sequence: header.sequence, largest: 0, answered: header.sequence });
        }
        let (announced, credit) = (header.datagram_max, header.credit.into());
        let (answer_bytes, chunk_bytes, challenged) = (0, 0, false);
        let exchange = Exchange { announced, credit, range_bytes, answer_bytes, chunk_bytes, challenged };
        self.exchanges.insert(header.sequence, exchange);
    }

    /// A GET announces what is in use; one that repeats a request to which nothing came announces the base and is no longer.
    fn check_get(&self, header: &RequestHeader, id: u32, bytes: usize, path: &PathReport) {
        assert!(header.datagram_max <= path.down.datagram_bytes, "{header:?} on {path:?}");
        let Some(read) = self.reads.get(&id).filter(|_| header.attempt > 0) else { return };
        if read.largest == 0 && self.exchanges[&read.sequence].answer_bytes == 0 {
            assert!(header.datagram_max == BASE && bytes <= BASE.into(), "{bytes} B: {header:?}");
        }
    }

    /// A REREQUEST announces at most the largest datagram that brought a part of the read since its last request, or the base. Where
    /// nothing was lost, or the last one was challenged, or found no memory (which a flow may be short of), it may announce what is in use.
    fn check_rest(&self, header: &RequestHeader, id: u32, path: &PathReport, no_memory: bool) {
        let read = self.reads[&id];
        let nothing_lost = no_memory
            || self.exchanges[&read.sequence].challenged
            || self.exchanges[&read.answered].complete();
        let in_use = if nothing_lost { path.down.datagram_bytes } else { 0 };
        let allowed = read.largest.max(in_use).max(BASE);
        let Read { sequence, largest, .. } = read;
        assert!(
            header.datagram_max <= allowed,
            "{header:?}: at most {largest} B came since {sequence}, {path:?}"
        );
    }
}
