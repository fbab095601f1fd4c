//! Answers on their way into the send batch: datagrams of one size to one client share a UDP_SEGMENT send, whichever
//! requests they answer.

use std::io;
use std::net::SocketAddr;
use std::ops::Range;

use shingle_proto::limits::DATAGRAM_BYTES_MIN;
use shingle_proto::server::{Answer, AnswerSummary, Datagram, Part, PortLimits, Train};
use shingle_udp::{Outgoing, SendCounts, Socket};

use crate::limits::{COPIED_DATAGRAM_BYTES_MAX, SEND_DATAGRAMS, SEND_MESSAGES, SLICES_PER_DATAGRAM};

/// A send batch being filled.
pub(super) struct Departures<'b, 'd> {
    outgoing: Outgoing<'b, 'd>,
    /// Where the open message goes.
    open: Option<SocketAddr>,
    /// Length of the open message's first datagram, than which none in it is longer.
    longest_bytes: usize,
    train: Train,
    /// Datagrams in the batch.
    datagrams: u64,
}

impl<'b, 'd> Departures<'b, 'd> {
    pub(super) fn new(outgoing: Outgoing<'b, 'd>, port: &PortLimits) -> Self {
        Departures { outgoing, open: None, longest_bytes: 0, train: Train::new(port), datagrams: 0 }
    }

    /// Whether an answer fits, each datagram a message of its own and of as many slices as there may be. Any fits an empty batch.
    #[inline]
    pub(super) fn has_room(&self, answer: &AnswerSummary) -> bool {
        let datagrams = answer.datagrams as usize;
        let few = self.datagrams == 0 || self.datagrams as usize + datagrams <= SEND_DATAGRAMS;
        few && self.outgoing.len() + 1 + datagrams <= SEND_MESSAGES
            && self.outgoing.has_room(SLICES_PER_DATAGRAM * datagrams, answer.bytes as usize)
    }

    /// Datagrams in the batch.
    pub(super) fn datagrams(&self) -> u64 {
        self.datagrams
    }

    /// Takes an answer in, for which there is room. Returns the numbers of the messages that carry it, others' answers perhaps as
    /// well.
    #[inline]
    pub(super) fn push(&mut self, to: SocketAddr, answer: Answer<'_, 'd>) -> Range<usize> {
        if self.open != Some(to) {
            self.end();
        }
        let mut first = None;
        for datagram in answer {
            if (first.is_none() && self.may_be_refused_for_others(&datagram)) || !self.train.join(&datagram) {
                self.end();
                self.begin(to, &datagram);
            }
            first.get_or_insert(self.outgoing.len());
            self.datagrams += 1;
            self.add(&datagram);
        }
        let end = self.outgoing.len() + usize::from(self.open.is_some());
        first.unwrap_or(end)..end
    }

    /// Sends everything; `refused` gets the number of each message that the kernel refused for good, and why.
    ///
    /// # Errors
    /// Only what makes the socket useless.
    pub(super) fn send(
        mut self,
        socket: &Socket,
        mut refused: impl FnMut(usize, io::Error),
    ) -> io::Result<SendCounts> {
        self.end();
        self.outgoing.send(socket, &mut refused)
    }

    /// Whether the kernel might find the open message too long for the path where it would let this datagram pass alone.
    #[inline]
    fn may_be_refused_for_others(&self, datagram: &Datagram<'_, '_>) -> bool {
        self.longest_bytes > DATAGRAM_BYTES_MIN && datagram.len() < self.longest_bytes
    }

    /// Begins a message with this datagram.
    fn begin(&mut self, to: SocketAddr, first: &Datagram<'_, '_>) {
        self.train.begin(first);
        self.longest_bytes = first.len();
        assert!(self.outgoing.begin(to), "has_room left room for every datagram");
        self.open = Some(to);
    }

    /// Ends the open message, if there is one.
    fn end(&mut self) {
        if self.open.take().is_some() {
            self.outgoing.end(self.train.segment_bytes()).expect("trains keep to the limits of UDP_SEGMENT");
        }
        self.train.clear();
    }

    /// Adds a datagram to the open message.
    #[inline]
    fn add(&mut self, datagram: &Datagram<'_, 'd>) {
        if datagram.len() <= COPIED_DATAGRAM_BYTES_MAX || !datagram.is_one_frame() {
            datagram.write(self.outgoing.write(datagram.len()));
            return;
        }
        let outgoing = &mut self.outgoing;
        datagram.gather(|part| match part {
            Part::Copied(bytes) => outgoing.copy(bytes),
            Part::Borrowed(bytes) => outgoing.borrow(bytes),
        });
    }
}

#[cfg(test)]
mod tests {
    use shingle_proto::cookie::Proof;
    use shingle_proto::server::{Facts, Found, Workspace};
    use shingle_proto::wire::{Carrier, DatagramWriter, Frame, Get, Request, RequestHeader, Strategy};
    use shingle_udp::{SendBatch, SocketOptions};

    use super::*;
    use crate::strategy;

    /// Sends an answer of so many value bytes to each of `to`, in datagrams of the size given, and returns the messages that
    /// carried each, and what was sent.
    fn sent(
        strategy: Strategy,
        datagram_max: usize,
        answers: &[(usize, usize)],
        to: &[&Socket],
    ) -> (Vec<Range<usize>>, SendCounts) {
        let header = RequestHeader {
            attempt: 0,
            flow: 1,
            sequence: 1,
            telemetry: false,
            datagram_max: datagram_max as u16,
            credit: 1 << 20,
        };
        let mut bytes = [0; 100];
        let mut writer = DatagramWriter::request(&mut bytes, &header).unwrap();
        writer.push(&Frame::Get(Get { id: 1, key: b"key" })).unwrap();
        let length = writer.finish();
        let request = Request::parse(&bytes[..length], Carrier::Udp).unwrap();
        let port = strategy::limits(strategy, 8972);
        let facts = Facts { proof: Proof::Valid, draining: false, telemetry: None };
        let sealed = vec![0; 1 << 16];
        let mut batch = SendBatch::new(100, 1000, 1 << 18);
        let mut departures = Departures::new(batch.fill(), &port);
        let mut messages = Vec::new();
        for &(client, value_bytes) in answers {
            let mut workspace = Workspace::new();
            let found = Found::Value { sealed: &sealed[..value_bytes], version: 1 };
            let answer = Answer::new(&request, &port, &facts, &mut workspace, |_, _| found);
            assert!(departures.has_room(&answer.summary()));
            messages.push(departures.push(to[client].local_addr().unwrap(), answer));
        }
        let counts = departures.send(to[0], |_, error| panic!("{error}")).unwrap();
        (messages, counts)
    }

    #[test]
    fn answers_to_one_client_share_messages_while_their_lengths_allow() {
        let client = || Socket::bind("127.0.0.1:0".parse().unwrap(), &SocketOptions::default()).unwrap();
        let to = [&client(), &client()];
        // Equal, equal, shorter: one train, which the shorter closes. Another client's between. Four chunks of 1136 B; three of
        // 1160 B, which are longer, and three more of these.
        let answers =
            [(0, 100), (0, 100), (0, 90), (0, 90), (1, 90), (0, 90), (0, 4 * 1136), (0, 3480), (0, 3480)];
        let (messages, counts) = sent(Strategy::Chunked, DATAGRAM_BYTES_MIN, &answers, &to);
        assert_eq!(messages, [0..1, 0..1, 0..1, 1..2, 2..3, 3..4, 4..5, 5..6, 5..6]);
        assert_eq!((counts.messages, counts.datagrams, counts.failed), (6, 6 + 4 + 6, 0));
        assert_eq!(counts.system_calls, 1);
        // Where the kernel may fragment, every datagram is a message.
        let (messages, counts) =
            sent(Strategy::DfOff, DATAGRAM_BYTES_MIN, &[(0, 100), (0, 100), (0, 3480)], &to);
        assert_eq!((messages, counts.datagrams), (vec![0..1, 1..2, 2..3], 3));
    }
    #[test]
    fn an_answer_is_not_refused_with_longer_ones_before_it() {
        let to = Socket::bind("127.0.0.1:0".parse().unwrap(), &SocketOptions::default()).unwrap();
        // Longer than every path carries, as long, shorter; then two chunks and one of which 72 bytes are missing, which is of the
        // same answer, so that it is lost with the others anyway.
        let answers = [(0, 2000), (0, 2000), (0, 1900), (0, 100), (0, 20_008), (0, 100)];
        let (messages, counts) = sent(Strategy::Chunked, 8972, &answers, &[&to]);
        assert_eq!(messages, [0..1, 0..1, 1..2, 2..3, 3..4, 4..5]);
        assert_eq!((counts.messages, counts.datagrams), (5, 5 + 3));
    }
    #[test]
    fn trains_end_at_what_one_send_carries() {
        let to = Socket::bind("127.0.0.1:0".parse().unwrap(), &SocketOptions::default()).unwrap();
        // By datagrams: 128. By bytes: 57 of 1132 B are 64,524.
        for (value_bytes, in_one) in [(100, 128), (1108, 57)] {
            let (messages, _) =
                sent(Strategy::Chunked, DATAGRAM_BYTES_MIN, &vec![(0, value_bytes); 2 * in_one + 1], &[&to]);
            for (number, message) in messages.into_iter().enumerate() {
                assert_eq!(message, number / in_one..number / in_one + 1, "{value_bytes} B");
            }
        }
    }
}
