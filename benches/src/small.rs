//! What a small read costs a server: parsing, cookie, answer.

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};

use shingle_proto::checksum::crc32c;
use shingle_proto::cookie::{Cookie, CookieKeys, Proof};
use shingle_proto::seal::seal;
use shingle_proto::server::{Facts, PortLimits, Workspace};
use shingle_proto::wire::{Carrier, DatagramWriter, Frame, Get, Request, RequestHeader};

use crate::reads::send;
use crate::{ETHERNET, Scenario};

const ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const NOW_S: u32 = 1_800_000_000;
pub(crate) const KEY: &[u8] = b"item:000000000000001";
pub(crate) const PORT: PortLimits = PortLimits {
    datagram_max: 8973,
    one_datagram_answers: false,
    too_big_is_refused: false,
    probes_served: true,
};
pub(crate) const FACTS: Facts = Facts { proof: Proof::Valid, draining: false, telemetry: None };
/// Bytes of a small value.
const SMALL_BYTES: usize = 100;
/// Reads of the packed answer.
const PACKED_READS: u32 = 8;

pub(crate) fn sealed(value_bytes: usize) -> Vec<u8> {
    let value = vec![7; value_bytes];
    [seal(KEY, &value).as_slice(), &value].concat()
}

fn keys() -> CookieKeys {
    CookieKeys::new([3; 16])
}

pub(crate) fn cookie() -> Cookie {
    keys().make(ADDRESS, NOW_S)
}

/// A request of this many gets, answered in datagrams of at most so many bytes.
pub(crate) fn request(gets: u32, datagram_max: u16) -> Vec<u8> {
    let header =
        RequestHeader { attempt: 0, flow: 1, sequence: 1, telemetry: false, datagram_max, credit: 256 << 10 };
    let mut bytes = vec![0; 1472];
    let mut writer = DatagramWriter::request(&mut bytes, &header).expect("room for a header");
    writer.push(&Frame::Cookie(cookie())).expect("room for a cookie");
    for id in 0..gets {
        writer.push(&Frame::Get(Get { id, key: KEY })).expect("room for a get");
    }
    let length = writer.finish();
    bytes.truncate(length);
    bytes
}

/// Checking and parsing a request of one get with a cookie.
pub(crate) struct Parse {
    request: Vec<u8>,
}

impl Parse {
    pub(crate) fn new() -> Self {
        Parse { request: request(1, ETHERNET) }
    }
}

impl Scenario for Parse {
    fn run(&mut self) {
        black_box(Request::parse(black_box(&self.request), Carrier::Udp)).expect("valid");
    }
}

/// A small answer's request and value, which live as long as the process, and the memory it is planned and written in.
struct Small {
    request: &'static [u8],
    stored: &'static [u8],
    workspace: Workspace<'static, 'static>,
    out: Vec<u8>,
}

impl Small {
    fn new(gets: u32) -> Self {
        Small {
            request: request(gets, ETHERNET).leak(),
            stored: sealed(SMALL_BYTES).leak(),
            workspace: Workspace::new(),
            out: vec![0; ETHERNET.into()],
        }
    }

    /// Writes the answer to a parsed request; its bytes.
    fn send(&mut self, request: &Request<'static>) -> usize {
        send(request, black_box(self.stored), &mut self.workspace, &mut self.out)
    }
}

/// Answering a parsed request whose values share one datagram.
pub(crate) struct Emit {
    small: Small,
    parsed: Request<'static>,
}

impl Emit {
    pub(crate) fn new() -> Self {
        let small = Small::new(PACKED_READS);
        Emit { parsed: Request::parse(small.request, Carrier::Udp).expect("valid"), small }
    }
}

impl Scenario for Emit {
    fn run(&mut self) {
        self.small.send(black_box(&self.parsed));
    }
}

/// All a small read costs the core of a server, but the cookie check. Memory is used again, as a server does within a batch.
pub(crate) struct ParseAndEmit(Small);

impl ParseAndEmit {
    pub(crate) fn new() -> Self {
        ParseAndEmit(Small::new(1))
    }
}

impl Scenario for ParseAndEmit {
    fn run(&mut self) {
        let request = Request::parse(black_box(self.0.request), Carrier::Udp).expect("valid");
        self.0.send(&request);
    }
}

/// The two checksum passes that [`ParseAndEmit`] makes.
pub(crate) struct Checksums {
    request: &'static [u8],
    answer: Vec<u8>,
}

impl Checksums {
    pub(crate) fn new() -> Self {
        let mut small = Small::new(1);
        let parsed = Request::parse(small.request, Carrier::Udp).expect("valid");
        let bytes = small.send(&parsed);
        small.out.truncate(bytes);
        Checksums { request: small.request, answer: small.out }
    }
}

impl Scenario for Checksums {
    fn run(&mut self) {
        black_box(crc32c(black_box(&self.request[4..])));
        black_box(crc32c(black_box(&self.answer[4..])));
    }
}

/// Proving a client's address.
pub(crate) struct CookieCheck {
    keys: CookieKeys,
    cookie: Cookie,
}

impl CookieCheck {
    pub(crate) fn new() -> Self {
        CookieCheck { keys: keys(), cookie: cookie() }
    }
}

impl Scenario for CookieCheck {
    fn run(&mut self) {
        let proof = self.keys.prove(Some(black_box(&self.cookie)), black_box(ADDRESS), NOW_S);
        assert_eq!(black_box(proof), Proof::Valid);
    }
}
