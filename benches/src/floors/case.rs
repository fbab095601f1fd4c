//! One workload, and what it looks like on the wire in our protocol: the sizes every floor has to match.

use shingle_proto::limits::{
    ANSWER_HEADER_BYTES, CHUNK_BYTES, COOKIE_FRAME_BYTES, GET_BYTES, REQUEST_HEADER_BYTES, SEAL_BYTES,
    TELEMETRY_BYTES, VALUE_BYTES as VALUE_FRAME_BYTES, datagram_bytes,
};
use shingle_udp::floor::AnswerShape;

use super::limits::{IN_FLIGHT, ITEMS, KEY_BYTES, REQUESTS, VALUE_BYTES};

/// A workload of reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Case {
    /// Items stored; those read are drawn from them uniformly, as many as there are prebuilt requests.
    pub items: u32,
    /// Length of every value.
    pub value_bytes: usize,
    /// Gets in one request datagram.
    pub gets: usize,
    /// Requests in one UDP_SEGMENT train.
    pub train: usize,
    /// Path MTU that server and requests keep to.
    pub path_mtu: usize,
    /// Request datagrams under way.
    pub in_flight: usize,
    /// Prebuilt requests, sent round and round.
    pub requests: usize,
    /// Telemetry is asked for.
    pub telemetry: bool,
}

impl Case {
    /// One get a datagram, 100 B values, path MTU 1500, 128 in flight.
    pub const PLAIN: Case = Case {
        items: ITEMS,
        value_bytes: VALUE_BYTES,
        gets: 1,
        train: 1,
        path_mtu: 1500,
        in_flight: IN_FLIGHT,
        requests: REQUESTS,
        telemetry: false,
    };

    /// Largest datagram the requests announce.
    #[must_use]
    pub fn datagram_max(&self) -> usize {
        datagram_bytes(self.path_mtu, false)
    }

    /// Length of a sealed value.
    #[must_use]
    pub fn sealed_bytes(&self) -> usize {
        SEAL_BYTES + self.value_bytes
    }

    /// Sizes of requests and answers in our protocol. Values that fit a datagram are packed, others chunked.
    #[must_use]
    pub fn shape(&self) -> AnswerShape {
        let head = ANSWER_HEADER_BYTES + if self.telemetry { TELEMETRY_BYTES } else { 0 };
        let room = self.datagram_max() - head;
        let frame = VALUE_FRAME_BYTES + self.sealed_bytes();
        let (segments, answer_bytes, segment_bytes) = if frame <= room {
            let packed = (room / frame).min(self.gets);
            let segments = self.gets.div_ceil(packed);
            (segments, segments * head + self.gets * frame, head + packed * frame)
        } else {
            let chunks = self.sealed_bytes().div_ceil(room - CHUNK_BYTES);
            let chunk = self.sealed_bytes().div_ceil(chunks);
            let each = chunks * (head + CHUNK_BYTES) + self.sealed_bytes();
            (chunks * self.gets, self.gets * each, head + CHUNK_BYTES + chunk)
        };
        debug_assert_eq!(segments, answer_bytes.div_ceil(segment_bytes));
        AnswerShape {
            request_bytes: REQUEST_HEADER_BYTES + COOKIE_FRAME_BYTES + self.gets * (GET_BYTES + KEY_BYTES),
            train: self.train,
            answer_bytes,
            segment_bytes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::floors::limits::{GETS, VALUE_BYTES_CHUNKED};

    #[test]
    fn sizes_are_those_of_the_protocol() {
        let plain = Case::PLAIN.shape();
        assert_eq!((plain.request_bytes, plain.answer_bytes, plain.segments()), (72, 132, 1));
        let many = Case { gets: GETS, ..Case::PLAIN }.shape();
        assert_eq!((many.request_bytes, many.segment_bytes, many.segments()), (1444, 1408, 5));
        assert_eq!(many.answer_bytes, 4 * 1408 + 16 + 2 * 116);
        let jumbo = Case { gets: GETS, path_mtu: 9001, ..Case::PLAIN }.shape();
        assert_eq!((jumbo.answer_bytes, jumbo.segments()), (16 + 50 * 116, 1));
        let chunked = Case { value_bytes: VALUE_BYTES_CHUNKED, ..Case::PLAIN }.shape();
        assert_eq!((chunked.segment_bytes, chunked.answer_bytes), (1376, 3 * 1376));
    }
}
