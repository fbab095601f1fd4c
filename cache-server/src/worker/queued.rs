//! Answers between being queued and being sent: what is counted and put on record once the kernel has spoken.

use std::io;

use shingle_proto::server::AnswerSummary;
use shingle_proto::wire::{Outcome, Receipt, Request};

use super::{Counters, ReceiptRing};

/// An answer in the send batch.
pub(super) struct Queued {
    /// Place of its request in the receive batch.
    pub(super) datagram: usize,
    /// Number of the message after its last one.
    messages_end: usize,
    arrival_ns: u64,
    summary: AnswerSummary,
    receipt: Receipt,
    too_long: bool,
}

impl Queued {
    pub(super) fn new(
        request: &Request<'_>,
        datagram: usize,
        arrival_ns: u64,
        port: u16,
        summary: AnswerSummary,
        messages_end: usize,
    ) -> Queued {
        let receipt = Receipt {
            flow: request.header.flow,
            sequence: request.header.sequence,
            attempt: request.header.attempt,
            outcome: if summary.challenged { Outcome::Challenged } else { Outcome::Answered },
            answer_datagrams: summary.datagrams as u16,
            answer_bytes: summary.bytes,
            arrival_unix_us: arrival_ns / 1000,
            residence_us: 0,
            port,
            gets: summary.gets,
        };
        Queued { datagram, messages_end, arrival_ns, summary, receipt, too_long: false }
    }

    /// Some message was longer than the kernel thinks the path carries (EMSGSIZE).
    pub(super) fn is_too_long(&self) -> bool {
        self.too_long
    }

    /// Counts the answer and writes its receipt.
    pub(super) fn settle(&mut self, counters: &Counters, ring: Option<&ReceiptRing>, sent_ns: u64) {
        counters.gets.add(self.summary.gets.into());
        counters.hits.add(self.summary.hits.into());
        counters.misses.add(self.summary.misses.into());
        counters.refused.add(self.summary.refused.into());
        counters.challenged.add(self.summary.challenged.into());
        counters.classify(self.summary.bytes.into());
        if let Some(ring) = ring {
            self.receipt.residence_us = residence_us(self.arrival_ns, sent_ns);
            ring.push(&self.receipt);
        }
    }
}

/// Notes that the kernel refused a message for good.
pub(super) fn note_refusal(queued: &mut [Queued], message: usize, error: &io::Error) {
    let index = queued.partition_point(|queued| queued.messages_end <= message);
    if let Some(queued) = queued.get_mut(index) {
        queued.receipt.outcome = Outcome::SendRefused;
        queued.too_long |= error.raw_os_error() == Some(libc::EMSGSIZE);
    }
}

/// From arrival to send in microseconds; 0 when the clock was set back in between.
pub(super) fn residence_us(arrival_ns: u64, sent_ns: u64) -> u32 {
    u32::try_from(sent_ns.saturating_sub(arrival_ns) / 1000).unwrap_or(u32::MAX)
}
