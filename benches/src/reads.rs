//! What a read of 64 KiB costs server and client beside its floor.

use std::hint::black_box;

use shingle_proto::checksum::crc32c;
use shingle_proto::client::{Client, ClientConfig, Ended, Join, ReceiveBuffer};
use shingle_proto::limits::{ANSWER_HEADER_BYTES, CHUNK_BYTES, DATAGRAM_BYTES_MIN, SEAL_BYTES};
use shingle_proto::server::{Answer, Found, Workspace};
use shingle_proto::wire::{Carrier, Request};

use crate::Scenario;
use crate::small::{FACTS, KEY, PORT, cookie, request, sealed};

/// Bytes of the value.
const VALUE_BYTES: usize = 64 << 10;

/// Answers a request and writes the datagrams one behind the other; their bytes.
pub(crate) fn send<'a, 'd>(
    request: &Request<'a>,
    sealed: &'d [u8],
    workspace: &mut Workspace<'a, 'd>,
    out: &mut [u8],
) -> usize {
    let answer = Answer::new(request, &PORT, &FACTS, workspace, |_, _| Found::Value { sealed, version: 1 });
    let mut bytes = 0;
    for datagram in answer {
        bytes += datagram.write(&mut out[bytes..]);
    }
    bytes
}

/// How many datagrams of at most so many bytes the value takes.
fn datagrams(datagram_max: u16) -> usize {
    (SEAL_BYTES + VALUE_BYTES).div_ceil(usize::from(datagram_max) - ANSWER_HEADER_BYTES - CHUNK_BYTES)
}

/// The datagrams of one answer, each behind the other; all but the last have the same length.
fn split(answer: &[u8], datagrams: usize) -> impl Iterator<Item = &[u8]> {
    answer.chunks(answer.len().div_ceil(datagrams))
}

/// One side of the read: a value that is cut into datagrams.
pub(crate) struct Cut {
    request: Vec<u8>,
    stored: Vec<u8>,
    out: Vec<u8>,
}

impl Cut {
    pub(crate) fn new(datagram_max: u16) -> Self {
        Cut { request: request(1, datagram_max), stored: sealed(VALUE_BYTES), out: vec![0; 2 * VALUE_BYTES] }
    }
}

impl Scenario for Cut {
    fn run(&mut self) {
        let request = Request::parse(black_box(&self.request), Carrier::Udp).expect("valid");
        send(&request, black_box(&self.stored), &mut Workspace::new(), &mut self.out);
    }
}

/// The checksum passes that [`Cut`] makes, in as many pieces.
pub(crate) struct Checksums {
    answer: Vec<u8>,
    datagrams: usize,
}

impl Checksums {
    pub(crate) fn new(datagram_max: u16) -> Self {
        let Cut { request, stored, out: mut answer } = Cut::new(datagram_max);
        let request = Request::parse(&request, Carrier::Udp).expect("valid");
        let bytes = send(&request, &stored, &mut Workspace::new(), &mut answer);
        answer.truncate(bytes);
        Checksums { answer, datagrams: datagrams(datagram_max) }
    }
}

impl Scenario for Checksums {
    fn run(&mut self) {
        for datagram in split(&self.answer, self.datagrams) {
            black_box(crc32c(black_box(&datagram[4..])));
        }
    }
}

/// The other side: its datagrams are put together and checked end to end.
pub(crate) struct Reassemble {
    client: Client,
    stored: Vec<u8>,
    out: Vec<u8>,
    /// Places of the datagrams in the order they arrive.
    order: Vec<usize>,
    bytes: usize,
}

impl Reassemble {
    pub(crate) fn in_order(datagram_max: u16) -> Self {
        Reassemble {
            client: client(datagram_max),
            stored: sealed(VALUE_BYTES),
            out: vec![0; 2 * VALUE_BYTES],
            order: (0..datagrams(datagram_max)).collect(),
            bytes: 0,
        }
    }

    /// In one order that looks random and is always the same.
    pub(crate) fn shuffled(datagram_max: u16) -> Self {
        let mut shuffled = Self::in_order(datagram_max);
        let mut random = 1_u64;
        for last in (1..shuffled.order.len()).rev() {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            shuffled.order.swap(last, (random >> 33) as usize % (last + 1));
        }
        shuffled
    }
}

impl Scenario for Reassemble {
    fn has_preparation(&self) -> bool {
        true
    }

    fn prepare(&mut self) {
        self.bytes = ask(&mut self.client, &self.stored, &mut self.out);
    }

    fn run(&mut self) {
        take(&mut self.client, &self.out[..self.bytes], &self.order);
    }
}

/// Both sides of the read.
pub(crate) struct CutAndReassemble(Reassemble);

impl CutAndReassemble {
    pub(crate) fn new(datagram_max: u16) -> Self {
        CutAndReassemble(Reassemble::in_order(datagram_max))
    }
}

impl Scenario for CutAndReassemble {
    fn run(&mut self) {
        self.0.prepare();
        self.0.run();
    }
}

/// The least that copies a value into datagrams and out of them, and checks it on both sides.
pub(crate) struct Floor {
    stored: Vec<u8>,
    copy: Vec<u8>,
    checksums: bool,
    /// Bytes copied and checked at a time.
    piece_bytes: usize,
}

impl Floor {
    pub(crate) fn copies() -> Self {
        let stored = sealed(VALUE_BYTES);
        Floor { copy: vec![0; stored.len()], piece_bytes: stored.len(), stored, checksums: false }
    }

    pub(crate) fn copies_and_checksums() -> Self {
        Floor { checksums: true, ..Self::copies() }
    }

    pub(crate) fn in_pieces(bytes: u16) -> Self {
        Floor { piece_bytes: bytes.into(), ..Self::copies_and_checksums() }
    }
}

impl Scenario for Floor {
    fn run(&mut self) {
        for _ in 0..2 {
            let pieces = self.stored.chunks(self.piece_bytes);
            for (copy, stored) in self.copy.chunks_mut(self.piece_bytes).zip(pieces) {
                copy.copy_from_slice(black_box(stored));
                if self.checksums {
                    black_box(crc32c(black_box(stored)));
                }
            }
        }
        black_box(&mut self.copy);
    }
}

/// A client that reads such values.
fn client(datagram_max: u16) -> Client {
    let config = ClientConfig {
        datagram_max,
        receive_buffer: ReceiveBuffer::linux(4 << 20),
        ..ClientConfig::default()
    };
    let mut client = Client::new(config).expect("settings in range");
    client.set_cookie(cookie());
    client
}

/// A read's request and its whole answer; bytes of the answer.
fn ask(client: &mut Client, stored: &[u8], out: &mut [u8]) -> usize {
    let mut request = [0; DATAGRAM_BYTES_MIN];
    client.get(0, KEY, 1, 1_000_000_000, Join::Alone).expect("room");
    let sent = client.poll_transmit(0, &mut request).expect("a request");
    let parsed = Request::parse(&request[..sent.bytes], Carrier::Udp).expect("valid");
    send(&parsed, stored, &mut Workspace::new(), out)
}

/// The datagrams of an answer reach the client in this order, and the read ends.
fn take(client: &mut Client, answer: &[u8], order: &[usize]) {
    let each = answer.len().div_ceil(order.len());
    let mut ended = 0;
    for place in order {
        let end = answer.len().min((place + 1) * each);
        client.handle_datagram(1, black_box(&answer[place * each..end]), &mut |event| {
            assert!(matches!(event.end, Ended::Value(_)), "{event:?}");
            ended += 1;
        });
    }
    assert_eq!(ended, 1, "the read ended");
}
