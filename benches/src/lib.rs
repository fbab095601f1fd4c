//! What the benches share: a sink that gathers answers in memory taken once, and requests to answer.
#![forbid(unsafe_code)]

use shingle_proto::server::Sink;
use shingle_proto::wire::{DatagramWriter, Frame, Get, RequestHeader};

/// Gathers the datagrams of answers one after the other.
#[derive(Debug, Default)]
pub struct Gathered {
    bytes: Vec<u8>,
    datagrams: Vec<(usize, usize)>,
    begin: usize,
}

impl Gathered {
    /// Room for this many bytes, so that gathering allocates nothing.
    #[must_use]
    pub fn with_room(bytes: usize) -> Self {
        Self { bytes: Vec::with_capacity(bytes), datagrams: Vec::with_capacity(bytes / 64), begin: 0 }
    }

    /// Empties it.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.datagrams.clear();
    }

    /// The datagrams gathered.
    pub fn datagrams(&self) -> impl DoubleEndedIterator<Item = &[u8]> + ExactSizeIterator {
        self.datagrams.iter().map(|(from, to)| &self.bytes[*from..*to])
    }
}

impl<'d> Sink<'d> for Gathered {
    fn begin(&mut self) {
        self.begin = self.bytes.len();
    }

    fn copy(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    fn borrow(&mut self, bytes: &'d [u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    fn end(&mut self, segment_bytes: usize, datagrams: usize) {
        for datagram in 0..datagrams {
            let from = self.begin + datagram * segment_bytes;
            self.datagrams.push((from, (from + segment_bytes).min(self.bytes.len())));
        }
    }
}

/// A request datagram for one key.
///
/// # Panics
/// If the key is longer than 250 bytes.
#[must_use]
pub fn get_datagram(key: &[u8], datagram_max: u16, cookie: shingle_proto::cookie::Cookie) -> Vec<u8> {
    let mut bytes = vec![0; 512];
    let header =
        RequestHeader { attempt: 0, flow: 1, sequence: 1, telemetry: false, datagram_max, credit: 256 << 10 };
    let mut writer = DatagramWriter::request(&mut bytes, &header).expect("room for a header");
    writer.push(&Frame::Cookie(cookie)).expect("room for a cookie");
    writer.push(&Frame::Get(Get { id: 1, key })).expect("room for a get");
    let length = writer.finish();
    bytes.truncate(length);
    bytes
}
