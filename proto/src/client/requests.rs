//! The newest request datagrams: which reads each carried, what it may bring, and how much came back.

use alloc::boxed::Box;
use alloc::vec;

use super::receive_window::{Grant, Share};
use crate::reassembly::NONE;

/// A small flow remembers this many: repeated requests of one read must not push out those of the others.
const REQUESTS_MIN: usize = 256;

/// One request datagram.
#[derive(Clone, Copy)]
pub(super) struct Request {
    pub(super) sequence: u32,
    /// First of the reads that still wait for its answer; the others follow by `Slot::group_next`.
    pub(super) first: u32,
    pub(super) sent_ns: u64,
    /// Its credit, and what is still reserved for it.
    pub(super) grant: Grant,
    /// Bytes of datagrams that came in answer.
    pub(super) answer_bytes: u32,
    /// Largest datagram it asked for.
    pub(super) datagram_max: u16,
    /// Its own length.
    pub(super) bytes: u16,
    /// Reads it carried; 0 in an entry never used.
    pub(super) reads: u8,
    /// The answers used the credit up, and its reads were told.
    pub(super) spent: bool,
}

/// A ring of request datagrams by sequence; the oldest are overwritten.
pub(super) struct Requests(Box<[Request]>);

impl Requests {
    /// Room for `reads` under way, each of which has a newest request.
    pub(super) fn new(reads: usize) -> Self {
        let never = Request {
            sequence: 0,
            first: NONE,
            sent_ns: 0,
            grant: Grant { share: Share::First, credit: 0, charge: 0 },
            answer_bytes: 0,
            datagram_max: 0,
            bytes: 0,
            reads: 0,
            spent: false,
        };
        Self(vec![never; Self::count(reads)].into_boxed_slice())
    }

    /// Bytes [`Requests::new`] takes.
    pub(super) fn memory_bytes(reads: usize) -> usize {
        Self::count(reads) * size_of::<Request>()
    }

    /// Puts a request in and gives back the one that had its place.
    pub(super) fn put(&mut self, request: Request) -> Request {
        let at = self.at(request.sequence);
        core::mem::replace(&mut self.0[at], request)
    }

    pub(super) fn find(&mut self, sequence: u32) -> Option<&mut Request> {
        let at = self.at(sequence);
        Some(&mut self.0[at]).filter(|request| request.sequence == sequence && request.reads > 0)
    }

    fn count(reads: usize) -> usize {
        (reads * 2).next_power_of_two().max(REQUESTS_MIN)
    }

    fn at(&self, sequence: u32) -> usize {
        sequence as usize & (self.0.len() - 1)
    }
}
