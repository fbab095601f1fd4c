//! A client, a small server and a link between them that loses, doubles, reorders and flips; time is simulated, chance is seeded.
#![allow(dead_code, unreachable_pub, reason = "each test file uses its part")]

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::net::{IpAddr, Ipv4Addr};

use shingle_proto::chunk::{Chunks, Range};
use shingle_proto::client::{Client, ClientConfig, Ended, Event, Join, ReceiveBuffer};
use shingle_proto::cookie::{CookieKeys, CookieState};
use shingle_proto::limits::CREDIT_BYTES_MAX;
use shingle_proto::seal;
use shingle_proto::wire::{
    AnswerHeader, Carrier, Chunk, DatagramWriter, Frame, Probe, Refusal, Refused, Request, RequestHeader,
    Telemetry, Value,
};

pub const MS: u64 = 1_000_000;
const CLIENT_IP: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 18, 0, 1));
const UNIX_S: u32 = 1_700_000_000;

/// xorshift64*: enough chance for a test, the same everywhere.
pub struct Rng(pub u64);

impl Rng {
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    pub fn per_mille(&mut self, share: u64) -> bool {
        self.below(1000) < share
    }
}

/// A value that no other key, version or length has a part of in the same place.
pub fn value_of(key: &[u8], version: u64, bytes: usize) -> Vec<u8> {
    let mut rng = Rng(key.iter().fold(version.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1, |seed, byte| {
        seed.wrapping_mul(31).wrapping_add(u64::from(*byte)) | 1
    }));
    let mut value = Vec::with_capacity(bytes + 8);
    while value.len() < bytes {
        value.extend_from_slice(&rng.next().to_be_bytes());
    }
    value.truncate(bytes);
    value
}

/// The protocol's server side in its simplest form: one datagram a small answer, chunks as far as the credit goes.
pub struct Server {
    pub store: BTreeMap<Vec<u8>, (Vec<u8>, u64)>,
    pub datagram_max: u16,
    pub cookies: Option<CookieKeys>,
    pub draining: bool,
    /// Whether the port sets DF, so that probes mean something.
    pub probes_served: bool,
    /// Answers every request with VERSION_GONE or the like, where set.
    pub refuse: Option<Refusal>,
    pub requests: Vec<RequestHeader>,
}

impl Server {
    pub fn new() -> Self {
        Self {
            store: BTreeMap::new(),
            datagram_max: 65_507,
            cookies: None,
            draining: false,
            probes_served: true,
            refuse: None,
            requests: Vec::new(),
        }
    }

    pub fn set(&mut self, key: &[u8], version: u64, value: &[u8]) {
        let sealed = [&seal::seal(key, value)[..], value].concat();
        self.store.insert(key.to_vec(), (sealed, version));
    }

    pub fn answer(&mut self, datagram: &[u8]) -> Vec<Vec<u8>> {
        let Ok(request) = Request::parse(datagram, Carrier::Udp) else { return Vec::new() };
        self.requests.push(request.header);
        let mut answer = Answering {
            header: AnswerHeader::to(&request.header, self.draining),
            telemetry: request.header.telemetry,
            datagram_max: usize::from(request.header.datagram_max.min(self.datagram_max)),
            credit: (request.header.credit as usize).min(CREDIT_BYTES_MAX),
            out: Vec::new(),
        };
        let mut later = Vec::new();
        for frame in request.frames() {
            match frame {
                Frame::Get(get) => match self.store.get(get.key) {
                    _ if self.refuse.is_some() => answer.refuse(get.id, self.refuse),
                    None => answer.send(&Frame::Miss { id: get.id }),
                    Some((sealed, _)) if sealed.len() + 8 <= answer.room() => {
                        answer.send(&Frame::Value(Value { id: get.id, sealed }));
                    }
                    Some((sealed, version)) => {
                        let mut chunks = Chunks::new(sealed.len() as u32, answer.room() as u32 - 24);
                        chunks
                            .by_ref()
                            .take(1)
                            .for_each(|range| answer.chunk(get.id, sealed, *version, range));
                        later.push((get.id, sealed, *version, chunks));
                    }
                },
                Frame::Rerequest(again) => match self.store.get(again.key) {
                    None => answer.send(&Frame::Miss { id: again.id }),
                    Some((sealed, version))
                        if *version != again.version
                            || again.ranges.iter().any(|range| range.end() as usize > sealed.len()) =>
                    {
                        answer.refuse(again.id, Some(Refusal::VersionGone))
                    }
                    Some((sealed, version)) => {
                        for range in again.ranges.iter() {
                            let chunks = Chunks::of_range(range, answer.room() as u32 - 24);
                            later.push((again.id, sealed, *version, chunks));
                        }
                    }
                },
                Frame::Probe(probe) => answer.probe(probe, datagram.len(), self),
                _ => {}
            }
        }
        for (id, sealed, version, chunks) in later {
            chunks.for_each(|range| answer.chunk(id, sealed, version, range));
        }
        self.guard(&request, datagram.len(), answer.out)
    }

    /// No answer longer than the request without a valid cookie (PROTOCOL.md, section 7).
    fn guard(&self, request: &Request<'_>, request_bytes: usize, answers: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
        let Some(keys) = &self.cookies else { return answers };
        let known = request
            .cookie
            .is_some_and(|cookie| keys.check(&cookie, CLIENT_IP, UNIX_S) != CookieState::Invalid);
        if known || answers.iter().map(Vec::len).sum::<usize>() <= request_bytes {
            return answers;
        }
        let mut bytes = vec![0; 36];
        let mut writer =
            DatagramWriter::answer(&mut bytes, &AnswerHeader::to(&request.header, false)).unwrap();
        writer.push(&Frame::Challenge(keys.make(CLIENT_IP, UNIX_S))).unwrap();
        assert_eq!(writer.finish(), 36);
        vec![bytes]
    }
}

struct Answering {
    header: AnswerHeader,
    telemetry: bool,
    datagram_max: usize,
    credit: usize,
    out: Vec<Vec<u8>>,
}

impl Answering {
    fn room(&self) -> usize {
        self.datagram_max - 16 - if self.telemetry { 24 } else { 0 }
    }

    fn refuse(&mut self, id: u32, reason: Option<Refusal>) {
        let reason = reason.expect("asked to refuse");
        self.send(&Frame::Refused(Refused { id, reason, detail: 7 }));
    }

    /// A PROBE_ACK of the size asked for, or why there is none (PROTOCOL.md, section 6.1).
    fn probe(&mut self, probe: Probe, arrived: usize, server: &Server) {
        let refusal = match probe.size {
            _ if !server.probes_served => Some((Refusal::NotServed, 0)),
            size if probe.down && size > server.datagram_max => {
                Some((Refusal::TooBig, server.datagram_max.into()))
            }
            _ => None,
        };
        let mut bytes = vec![0; 65_535];
        let mut writer = DatagramWriter::answer(&mut bytes, &self.header).unwrap();
        match refusal {
            Some((reason, detail)) => {
                writer.push(&Frame::Refused(Refused { id: probe.id, reason, detail })).unwrap();
            }
            None => {
                writer.push(&Frame::ProbeAck(Probe { size: arrived as u16, ..probe })).unwrap();
                writer.pad_to(if probe.down { probe.size.into() } else { 0 });
            }
        }
        let length = writer.finish();
        bytes.truncate(length);
        self.out.push(bytes);
    }

    fn chunk(&mut self, id: u32, sealed: &[u8], version: u64, range: Range) {
        let bytes = &sealed[range.offset as usize..range.end() as usize];
        self.send(&Frame::Chunk(Chunk {
            id,
            version,
            total: sealed.len() as u32,
            offset: range.offset,
            bytes,
        }));
    }

    /// One datagram, if the credit pays for it or it is the first.
    fn send(&mut self, frame: &Frame<'_>) {
        let mut bytes = vec![0; self.datagram_max];
        let mut writer = DatagramWriter::answer(&mut bytes, &self.header).unwrap();
        if self.telemetry {
            writer.push(&Frame::Telemetry(Telemetry { worker: 3, ..Telemetry::default() })).unwrap();
        }
        writer.push(frame).unwrap();
        let length = writer.finish();
        bytes.truncate(length);
        if bytes.len() > self.credit && !self.out.is_empty() {
            self.credit = 0;
            return;
        }
        self.credit = self.credit.saturating_sub(bytes.len());
        self.out.push(bytes);
    }
}

/// Shares of datagrams, in thousandths, and the one-way delay.
#[derive(Clone, Copy)]
pub struct Link {
    pub lost: u64,
    pub doubled: u64,
    pub reordered: u64,
    pub flipped: u64,
    pub delay_ns: u64,
    /// Longer datagrams are lost without a word, up and down; bytes.
    pub up_max: usize,
    pub down_max: usize,
}

pub const CLEAN: Link = Link {
    lost: 0,
    doubled: 0,
    reordered: 0,
    flipped: 0,
    delay_ns: MS / 4,
    up_max: 65_535,
    down_max: 65_535,
};

/// Default settings, with a receive buffer that holds whatever comes.
pub fn wide() -> ClientConfig {
    ClientConfig { receive_buffer: ReceiveBuffer::new(u32::MAX, &[]), ..ClientConfig::default() }
}

/// An event as the caller keeps it.
#[derive(Clone, Debug, PartialEq)]
pub struct Seen {
    pub at_ns: u64,
    pub token: u64,
    pub attempts: u8,
    pub spurious: bool,
    pub continuations: u8,
    pub challenged: bool,
    pub chunks: u16,
    pub worker: Option<u8>,
    pub end: End,
}

#[derive(Clone, Debug, PartialEq)]
pub enum End {
    Value(Vec<u8>),
    Miss,
    Refused(Refusal, u32),
    OverTcp,
    NotSent,
    TimedOut { received_bytes: u32, total_bytes: u32, corrupt: u32 },
    Late { complete: bool, after_ns: u64 },
}

impl Seen {
    pub fn new(at_ns: u64, event: &Event<'_>) -> Self {
        let end = match event.end {
            Ended::Value(value) => End::Value(value.to_vec()),
            Ended::Miss => End::Miss,
            Ended::Refused { reason, detail } => End::Refused(reason, detail),
            Ended::OverTcp => End::OverTcp,
            Ended::NotSent => End::NotSent,
            Ended::TimedOut { received_bytes, total_bytes, corrupt } => {
                End::TimedOut { received_bytes, total_bytes, corrupt }
            }
            Ended::Late { complete, after_ns } => End::Late { complete, after_ns },
        };
        Self {
            at_ns,
            token: event.token,
            attempts: event.attempts,
            spurious: event.spurious,
            continuations: event.continuations,
            challenged: event.challenged,
            chunks: event.chunks,
            worker: event.telemetry.map(|telemetry| telemetry.worker),
            end,
        }
    }
}

/// One datagram between the ends.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct OnTheWay {
    arrives_ns: u64,
    nth: u64,
    to_server: bool,
    /// Carries a probe or answers one.
    probe: bool,
    bytes: Vec<u8>,
}

/// Both ends and what is on its way between them.
pub struct World {
    pub client: Client,
    pub server: Server,
    pub link: Link,
    pub rng: Rng,
    pub now: u64,
    pub events: Vec<Seen>,
    /// Datagrams sent both ways, whatever became of them.
    pub datagrams: u64,
    /// Datagrams of reads that were lost for their length.
    pub too_long: u64,
    /// What the kernel here would charge.
    pub buffer: ReceiveBuffer,
    /// The most that answers on their way here would be charged together.
    pub charged_max: u64,
    charged: u64,
    on_the_way: BinaryHeap<Reverse<OnTheWay>>,
    sent: u64,
}

impl World {
    pub fn new(config: ClientConfig) -> Self {
        Self {
            client: Client::new(config).expect("settings in range"),
            server: Server::new(),
            link: CLEAN,
            rng: Rng(0x5EED),
            now: 1_000 * MS,
            events: Vec::new(),
            datagrams: 0,
            too_long: 0,
            buffer: config.receive_buffer,
            charged_max: 0,
            charged: 0,
            on_the_way: BinaryHeap::new(),
            sent: 0,
        }
    }

    pub fn get(&mut self, key: &[u8], token: u64, timeout_ns: u64) {
        self.client.get(self.now, key, token, self.now + timeout_ns, Join::Alone).expect("accepted");
    }

    /// Lets `duration_ns` pass.
    pub fn run(&mut self, duration_ns: u64) {
        let end = self.now + duration_ns;
        loop {
            self.send_requests();
            let arrival = self.on_the_way.peek().map(|Reverse(first)| first.arrives_ns);
            let timer = self.client.poll_timeout();
            let next = arrival.into_iter().chain(timer).min().unwrap_or(u64::MAX);
            if next > end {
                self.now = end;
                return;
            }
            self.now = self.now.max(next);
            if arrival.is_some_and(|at| at <= self.now) {
                self.deliver();
            }
            let (events, now) = (&mut self.events, self.now);
            self.client.handle_timeout(now, &mut |event| events.push(Seen::new(now, &event)));
        }
    }

    /// Sends what the client has to send. What carries reads is never longer, and asks for nothing longer, than was proved.
    pub fn send_requests(&mut self) {
        let mut out = vec![0; self.client.transmit_bytes_max()];
        while let Some(transmit) = self.client.poll_transmit(self.now, &mut out) {
            let bytes = &out[..transmit.bytes];
            let request = Request::parse(bytes, Carrier::Udp).expect("what the client sends is valid");
            let path = self.client.path();
            assert_eq!(request.reads, transmit.reads);
            if transmit.reads > 0 {
                assert!(transmit.bytes <= path.up.proved_bytes.into(), "{transmit:?} on {path:?}");
                assert!(request.header.datagram_max <= path.down.proved_bytes, "{request:?} on {path:?}");
            }
            self.put(true, transmit.reads == 0, out[..transmit.bytes].to_vec());
        }
    }

    /// Gives the client a datagram at once.
    pub fn feed(&mut self, datagram: &[u8]) {
        let (events, now) = (&mut self.events, self.now);
        self.client.handle_datagram(now, datagram, &mut |event| events.push(Seen::new(now, &event)));
    }

    fn deliver(&mut self) {
        let Some(Reverse(OnTheWay { to_server, probe, bytes, .. })) = self.on_the_way.pop() else { return };
        if to_server {
            for answer in self.server.answer(&bytes) {
                self.put(false, probe, answer);
            }
        } else {
            self.charged -= u64::from(self.buffer.charge_of(bytes.len() as u16));
            self.feed(&bytes);
        }
    }

    fn put(&mut self, to_server: bool, probe: bool, mut bytes: Vec<u8>) {
        self.datagrams += 1;
        if bytes.len() > if to_server { self.link.up_max } else { self.link.down_max } {
            self.too_long += u64::from(!probe);
            return;
        }
        let copies = 1 + u32::from(self.rng.per_mille(self.link.doubled));
        if self.rng.per_mille(self.link.flipped) {
            let bit = self.rng.below(bytes.len() as u64 * 8);
            bytes[bit as usize / 8] ^= 1 << (bit % 8);
        }
        for _ in 0..copies {
            if self.rng.per_mille(self.link.lost) {
                continue;
            }
            let late = if self.rng.per_mille(self.link.reordered) { self.rng.below(MS) } else { 0 };
            if !to_server {
                self.charged += u64::from(self.buffer.charge_of(bytes.len() as u16));
                self.charged_max = self.charged_max.max(self.charged);
            }
            self.sent += 1;
            self.on_the_way.push(Reverse(OnTheWay {
                arrives_ns: self.now + self.link.delay_ns + late,
                nth: self.sent,
                to_server,
                probe,
                bytes: bytes.clone(),
            }));
        }
    }
}
