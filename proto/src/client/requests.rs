//! The newest request datagrams: which reads each carried and how much came back.

use alloc::boxed::Box;
use alloc::vec;

use crate::reassembly::NONE;

/// A small flow remembers this many: repeated requests of one read must not push out those of the others.
const REQUESTS_MIN: usize = 256;

/// One request datagram.
#[derive(Clone, Copy)]
pub(super) struct Request {
    sequence: u32,
    /// First of its reads; the others follow by `Slot::group_next`.
    pub(super) first: u32,
    /// Bytes of datagrams that came in answer.
    pub(super) answer_bytes: u32,
    /// Reads it carried; 0 in an entry never used.
    pub(super) reads: u8,
    /// The answers used the credit up: what did not come was left out, not lost.
    pub(super) spent: bool,
}

/// A ring of request datagrams by sequence; the oldest are overwritten.
pub(super) struct Requests(Box<[Request]>);

impl Requests {
    /// Room for `reads` under way, each of which has a newest request.
    pub(super) fn new(reads: usize) -> Self {
        let never = Request { sequence: 0, first: NONE, answer_bytes: 0, reads: 0, spent: false };
        Self(vec![never; (reads * 2).next_power_of_two().max(REQUESTS_MIN)].into_boxed_slice())
    }

    pub(super) fn sent(&mut self, sequence: u32, first: u32, reads: u8) {
        let at = self.at(sequence);
        self.0[at] = Request { sequence, first, answer_bytes: 0, reads, spent: false };
    }

    pub(super) fn find(&mut self, sequence: u32) -> Option<&mut Request> {
        let at = self.at(sequence);
        Some(&mut self.0[at]).filter(|request| request.sequence == sequence && request.reads > 0)
    }

    fn at(&self, sequence: u32) -> usize {
        sequence as usize & (self.0.len() - 1)
    }
}
