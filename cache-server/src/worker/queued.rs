//! Answers between being queued and being sent: what is counted and put on record once the kernel has spoken.

use std::io;
use std::ops::Range;

use shingle_proto::server::AnswerSummary;
use shingle_proto::wire::{Outcome, Receipt, Request, RequestHeader};

use super::{Counters, ReceiptRing};

/// An answer in the send batch.
pub(super) struct Queued {
    /// Place of its request in the receive batch.
    pub(super) datagram: usize,
    /// Messages that carry it. The first and the last may carry others' datagrams, too.
    messages: Range<usize>,
    arrival_ns: u64,
    header: RequestHeader,
    summary: AnswerSummary,
    refused: bool,
    too_long: bool,
}

impl Queued {
    pub(super) fn new(
        request: &Request<'_>,
        datagram: usize,
        arrival_ns: u64,
        summary: AnswerSummary,
        messages: Range<usize>,
    ) -> Queued {
        let header = request.header;
        Queued { datagram, messages, arrival_ns, header, summary, refused: false, too_long: false }
    }

    /// Some message was longer than the kernel thinks the path carries (EMSGSIZE).
    pub(super) fn is_too_long(&self) -> bool {
        self.too_long
    }

    /// Counts the answer and writes its receipt.
    pub(super) fn settle(&self, counters: &Counters, ring: Option<&ReceiptRing>, port: u16, sent_ns: u64) {
        counters.gets.add(self.summary.gets.into());
        counters.hits.add(self.summary.hits.into());
        counters.misses.add(self.summary.misses.into());
        counters.refused.add(self.summary.refused.into());
        counters.challenged.add(self.summary.challenged.into());
        counters.classify(self.summary.bytes.into());
        if let Some(ring) = ring {
            ring.push(&self.receipt(port, sent_ns));
        }
    }

    fn receipt(&self, port: u16, sent_ns: u64) -> Receipt {
        Receipt {
            flow: self.header.flow,
            sequence: self.header.sequence,
            attempt: self.header.attempt,
            outcome: match self.summary.challenged {
                _ if self.refused => Outcome::SendRefused,
                true => Outcome::Challenged,
                false => Outcome::Answered,
            },
            answer_datagrams: self.summary.datagrams as u16,
            answer_bytes: self.summary.bytes,
            arrival_unix_us: self.arrival_ns / 1000,
            residence_us: residence_us(self.arrival_ns, sent_ns),
            port,
            gets: self.summary.gets,
        }
    }
}

/// Notes that the kernel refused a message for good: that costs every answer with a datagram in it.
pub(super) fn note_refusal(queued: &mut [Queued], message: usize, error: &io::Error) {
    let first = queued.partition_point(|queued| queued.messages.end <= message);
    for queued in queued[first..].iter_mut().take_while(|queued| queued.messages.start <= message) {
        queued.refused = true;
        queued.too_long |= error.raw_os_error() == Some(libc::EMSGSIZE);
    }
}

/// From arrival to send in microseconds; 0 when the clock was set back in between.
pub(super) fn residence_us(arrival_ns: u64, sent_ns: u64) -> u32 {
    u32::try_from(sent_ns.saturating_sub(arrival_ns) / 1000).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use shingle_proto::limits::DATAGRAM_BYTES_MIN;
    use shingle_proto::wire::{Carrier, DatagramWriter, Frame, Get};

    use super::*;

    #[test]
    fn a_refused_message_costs_the_answers_in_it_and_no_other() {
        let header = RequestHeader {
            attempt: 0,
            flow: 1,
            sequence: 1,
            telemetry: false,
            datagram_max: DATAGRAM_BYTES_MIN as u16,
            credit: 0,
        };
        let mut bytes = [0; 100];
        let mut writer = DatagramWriter::request(&mut bytes, &header).unwrap();
        writer.push(&Frame::Get(Get { id: 1, key: b"key" })).unwrap();
        let length = writer.finish();
        let request = Request::parse(&bytes[..length], Carrier::Udp).unwrap();
        // Message 0 carries three answers and the start of the next, which goes on through 1 and 2; 3 carries two.
        let messages = [0..1, 0..1, 0..1, 0..3, 2..3, 3..4, 3..4];
        for (message, hit) in [(0, 0..4), (1, 3..4), (2, 3..5), (3, 5..7), (4, 7..7)] {
            let mut queued: Vec<Queued> = messages
                .iter()
                .map(|messages| Queued::new(&request, 0, 0, AnswerSummary::default(), messages.clone()))
                .collect();
            for (errno, too_long) in [(libc::ENOBUFS, false), (libc::EMSGSIZE, true)] {
                note_refusal(&mut queued, message, &io::Error::from_raw_os_error(errno));
                for (index, queued) in queued.iter().enumerate() {
                    let outcome = queued.receipt(7400, 0).outcome;
                    assert_eq!(outcome == Outcome::SendRefused, hit.contains(&index), "{message}, {index}");
                    assert_eq!(queued.is_too_long(), too_long && hit.contains(&index));
                }
            }
        }
    }
}
