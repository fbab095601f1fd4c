//! Trains: requests that are due together and of equal length share one send, which the kernel cuts into datagrams again (UDP_SEGMENT).
//!
//! Each datagram stays a request of its own, with its own sequence, and is booked on its own. Nothing waits for a train to fill.

use shingle_udp::limits::MESSAGE_BYTES_MAX;
use shingle_udp::{Outgoing, SendBatch};

use crate::limits::SEND_REQUESTS_MAX;

/// A batch of requests on their way to the kernel, in trains.
pub(super) struct Trains<'b> {
    outgoing: Outgoing<'b, 'static>,
    names: Names,
    /// Most requests of one train.
    longest: usize,
    train: Train,
}

/// Which requests each train carries.
pub(super) struct Names {
    sequences: [u32; SEND_REQUESTS_MAX],
    /// Where each train begins among the sequences.
    firsts: [usize; SEND_REQUESTS_MAX],
    trains: usize,
    requests: usize,
}

/// The train that is open.
#[derive(Clone, Copy, Default)]
struct Train {
    requests: usize,
    /// Length of its first request, and so of all but the last.
    request_bytes: usize,
    bytes: usize,
}

impl<'b> Trains<'b> {
    /// An empty batch of trains of at most `longest` requests; 1 sends each by itself.
    pub(super) fn new(batch: &'b mut SendBatch, longest: usize) -> Self {
        let names = Names {
            sequences: [0; SEND_REQUESTS_MAX],
            firsts: [0; SEND_REQUESTS_MAX],
            trains: 0,
            requests: 0,
        };
        Self { outgoing: batch.fill(), names, longest, train: Train::default() }
    }

    /// Whether no further request fits.
    pub(super) fn is_full(&self) -> bool {
        self.names.requests == SEND_REQUESTS_MAX
    }

    /// Adds a request that is sent under this sequence.
    pub(super) fn push(&mut self, request: &[u8], sequence: u32) {
        if !self.train.takes(request.len(), self.longest) {
            self.end();
            let begun = self.outgoing.begin_connected();
            debug_assert!(begun, "there is room for as many messages as requests");
            self.names.firsts[self.names.trains] = self.names.requests;
            self.train = Train { request_bytes: request.len(), ..Train::default() };
        }
        self.outgoing.copy(request);
        self.train.requests += 1;
        self.train.bytes += request.len();
        self.names.sequences[self.names.requests] = sequence;
        self.names.requests += 1;
    }

    /// What is to be sent, and whose it is.
    pub(super) fn finish(mut self) -> (Outgoing<'b, 'static>, Names) {
        self.end();
        (self.outgoing, self.names)
    }

    fn end(&mut self) {
        if self.train.requests > 0 {
            let segment_bytes = if self.train.requests > 1 { self.train.request_bytes } else { 0 };
            self.outgoing.end(segment_bytes).expect("a train keeps to what one message may carry");
            self.names.trains += 1;
        }
    }
}

impl Train {
    /// Whether a request of this length may follow: all are as long as the first, only the last may be shorter.
    fn takes(&self, bytes: usize, longest: usize) -> bool {
        (1..longest).contains(&self.requests)
            && self.bytes == self.requests * self.request_bytes
            && bytes <= self.request_bytes
            && self.bytes + bytes <= MESSAGE_BYTES_MAX
    }
}

impl Names {
    /// How many requests there are.
    pub(super) fn requests(&self) -> usize {
        self.requests
    }

    /// Sequences of the requests that left, or did not, as this message.
    pub(super) fn of(&self, message: usize) -> &[u32] {
        let end = if message + 1 < self.trains { self.firsts[message + 1] } else { self.requests };
        &self.sequences[self.firsts[message]..end]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Trains made of requests of these lengths, as the sequences in each.
    fn trains(longest: usize, lengths: &[usize]) -> Vec<Vec<u32>> {
        let mut batch = SendBatch::new(SEND_REQUESTS_MAX, SEND_REQUESTS_MAX, SEND_REQUESTS_MAX * 1472);
        let mut trains = Trains::new(&mut batch, longest);
        for (length, sequence) in lengths.iter().zip(0..) {
            assert!(!trains.is_full());
            trains.push(&vec![0; *length], sequence);
        }
        let (outgoing, names) = trains.finish();
        (0..outgoing.len()).map(|message| names.of(message).to_vec()).collect()
    }

    #[test]
    fn equal_requests_share_a_train_and_a_shorter_one_ends_it() {
        assert_eq!(trains(4, &[84; 6]), [vec![0, 1, 2, 3], vec![4, 5]]);
        assert_eq!(trains(4, &[84, 84, 60, 60, 84]), [vec![0, 1, 2], vec![3], vec![4]]);
        assert_eq!(trains(1, &[84; 3]), [vec![0], vec![1], vec![2]]);
        assert!(trains(4, &[]).is_empty());
    }

    #[test]
    fn a_train_is_no_longer_than_one_message() {
        let sent = trains(64, &[1472; SEND_REQUESTS_MAX]);
        assert_eq!(sent.iter().map(Vec::len).collect::<Vec<_>>(), [44, 20]);
    }
}
