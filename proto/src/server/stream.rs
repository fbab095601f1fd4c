//! Reads answered over TCP: the same frames, in messages of at most 65,507 bytes, without credit (`PROTOCOL.md`, section 8).

use alloc::vec::Vec;

use super::trains::Prefix;
use super::{AnswerSummary, Found, Sink, Terms, answer_reads};
use crate::limits::{DATAGRAM_BYTES_MAX, GETS_PER_DATAGRAM_MAX, TCP_LENGTH_BYTES};
use crate::wire::{AnswerHeader, Request};

/// Answers the reads of a request that came over TCP: appends complete messages, each with its length, to `out`.
///
/// `lookup` is called once for every read, in the order of the request. A request without reads appends nothing.
pub fn answer_over_tcp<'d>(
    request: &Request<'_>,
    draining: bool,
    lookup: impl FnMut(&[u8]) -> Found<'d>,
    out: &mut Vec<u8>,
) -> AnswerSummary {
    let terms = Terms {
        datagram_bytes: DATAGRAM_BYTES_MAX,
        credit_bytes: usize::MAX,
        train_datagrams: 1,
        whole_values: false,
        unproven: None,
    };
    let prefix = Prefix::new(&AnswerHeader::to(&request.header, draining), None, None);
    let mut sink = MessageSink { out, start: 0 };
    answer_reads::<GETS_PER_DATAGRAM_MAX, _>(request, &terms, &prefix, lookup, &mut sink)
}

/// Makes a message of each train, which is always one datagram long.
struct MessageSink<'v> {
    out: &'v mut Vec<u8>,
    start: usize,
}

impl<'d> Sink<'d> for MessageSink<'_> {
    fn begin(&mut self) {
        self.start = self.out.len();
        self.out.extend_from_slice(&[0; TCP_LENGTH_BYTES]);
    }

    fn copy(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }

    fn borrow(&mut self, bytes: &'d [u8]) {
        self.out.extend_from_slice(bytes);
    }

    fn end(&mut self, segment_bytes: usize, _datagrams: usize) {
        self.out[self.start..][..TCP_LENGTH_BYTES].copy_from_slice(&(segment_bytes as u32).to_be_bytes());
    }
}
