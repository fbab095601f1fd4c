//! The server core: any datagram, any store, any proof of address. Sizes, credit and amplification stay in their bounds, and every
//! frame is an answer to what was asked.

mod coverage;

use std::net::{IpAddr, Ipv4Addr};

use arbitrary::{Result, Unstructured};
use shingle_proto::chunk::Range;
use shingle_proto::cookie::{Cookie, CookieKeys, CookieState, Proof};
use shingle_proto::limits::{
    CREDIT_BYTES_MAX, DATAGRAM_BYTES_MAX, DATAGRAM_BYTES_MIN, RANGE_BYTES, RANGES_MAX, SEGMENTS_MAX,
};
use shingle_proto::server::{
    self, AnswerSummary, Facts, Found, PortLimits, Train, Workspace, answer_over_tcp,
};
use shingle_proto::wire::{
    Answer, AnswerHeader, Carrier, DatagramWriter, Frame, Get, Probe, Ranges, Request, RequestHeader,
    Rerequest, Telemetry, next_message,
};

use crate::messages::repaired;
use crate::values::{key, sealed};

const IP: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7));
const NOW: u32 = 1_700_000_000;
const SECRET: [u8; 16] = *b"a fuzzed secret.";

/// Answers one request, over UDP and, where it may come that way, over TCP.
pub fn run(data: &[u8]) {
    let mut input = Unstructured::new(data);
    // Bytes that run out are no finding.
    let _ = scenario(&mut input);
}

fn scenario(input: &mut Unstructured<'_>) -> Result<()> {
    let port = port(input)?;
    let facts_wanted: u8 = input.arbitrary()?;
    let keys = CookieKeys::new(SECRET);
    let cookie = match facts_wanted & 3 {
        0 => None,
        1 => Some(keys.make(IP, NOW)),
        2 => Some(keys.make(IP, NOW - 2000)),
        _ => Some(Cookie(input.arbitrary()?)),
    };
    let store = Store::new(input)?;
    let bytes = if facts_wanted & 4 == 0 {
        let bytes = request(input, cookie)?;
        if facts_wanted & 64 == 0 { bytes } else { as_long_as_its_answer(input, bytes, &port, &store)? }
    } else {
        let raw = input.bytes(input.len())?;
        if facts_wanted & 8 == 0 { raw.to_vec() } else { repaired(raw) }
    };
    if let Ok(request) = Request::parse(&bytes, Carrier::Udp) {
        let facts = Facts {
            proof: keys.prove(request.cookie.as_ref(), IP, NOW),
            draining: facts_wanted & 16 != 0,
            telemetry: (facts_wanted & 32 != 0).then_some(TELEMETRY),
        };
        Case { request, port, facts, store: &store, keys }.check();
    }
    if let Ok(request) = Request::parse(&bytes, Carrier::Tcp) {
        check_tcp(&request, &store);
    }
    Ok(())
}

const TELEMETRY: Telemetry =
    Telemetry { worker: 1, port_index: 2, nonce: 3, received: 4, sent: 5, dropped: 6, residence_us: 7 };

fn port(input: &mut Unstructured<'_>) -> Result<PortLimits> {
    let (one, strict, probes) =
        [(false, false, true), (true, false, false), (true, true, true), (true, true, false)]
            [input.choose_index(4)?];
    let datagram_max = input.int_in_range(DATAGRAM_BYTES_MIN as u16..=u16::MAX)?;
    Ok(PortLimits {
        datagram_max,
        one_datagram_answers: one,
        too_big_is_refused: strict,
        probes_served: probes,
    })
}

/// Up to eight items under the keys of their places.
struct Store(Vec<Item>);

enum Item {
    Sealed { bytes: Vec<u8>, version: u64 },
    Unreadable,
}

impl Store {
    fn new(input: &mut Unstructured<'_>) -> Result<Self> {
        let items = input.int_in_range(0..=8)?;
        let item = |number| {
            let kind: u8 = input.arbitrary()?;
            let length = match kind % 5 {
                0 => return Ok(Item::Unreadable),
                1 => usize::from(input.arbitrary::<u8>()?),
                2 | 3 => usize::from(input.arbitrary::<u16>()?),
                _ => input.int_in_range(0..=400_000)?,
            };
            let version = u64::from(kind / 5);
            // Whatever is stored is sent, were it no sealed value at all.
            let bytes =
                if kind & 64 == 0 { sealed(&key(number), version, length) } else { vec![kind; length] };
            Ok(Item::Sealed { bytes, version })
        };
        (0..items).map(item).collect::<Result<_>>().map(Store)
    }

    fn find(&self, key: &[u8]) -> Found<'_> {
        match key.get(1).and_then(|&number| self.0.get(usize::from(number))) {
            None => Found::Nothing,
            Some(Item::Unreadable) => Found::Unreadable,
            Some(Item::Sealed { bytes, version }) => Found::Value { sealed: bytes, version: *version },
        }
    }
}

/// A good request of any frames.
fn request(input: &mut Unstructured<'_>, cookie: Option<Cookie>) -> Result<Vec<u8>> {
    let header = RequestHeader {
        attempt: input.arbitrary()?,
        flow: input.arbitrary()?,
        sequence: input.arbitrary()?,
        telemetry: input.arbitrary()?,
        datagram_max: input.int_in_range(DATAGRAM_BYTES_MIN as u16..=u16::MAX)?,
        credit: input.arbitrary()?,
    };
    let mut out = vec![0; DATAGRAM_BYTES_MAX];
    let mut writer = DatagramWriter::request(&mut out, &header).expect("room");
    if let Some(cookie) = cookie {
        writer.push(&Frame::Cookie(cookie)).expect("room");
    }
    if input.ratio(1, 8)? {
        let directions = input.int_in_range(1..=3)?;
        let probe = Probe {
            up: directions & 1 != 0,
            down: directions & 2 != 0,
            size: input.arbitrary()?,
            id: input.arbitrary()?,
        };
        writer.push(&Frame::Probe(probe)).expect("room");
    } else {
        for _ in 0..input.int_in_range(1..=64)? {
            push_read(input, &mut writer)?;
        }
    }
    writer.pad_to(usize::from(input.arbitrary::<u16>()?));
    let length = writer.finish();
    out.truncate(length);
    Ok(out)
}

/// Pads a request to about the length of what a proven client would get: where it is decided who is challenged.
fn as_long_as_its_answer(
    input: &mut Unstructured<'_>,
    mut bytes: Vec<u8>,
    port: &PortLimits,
    store: &Store,
) -> Result<Vec<u8>> {
    let Ok(request) = Request::parse(&bytes, Carrier::Udp) else { return Ok(bytes) };
    let facts = Facts { proof: Proof::Valid, draining: false, telemetry: Some(TELEMETRY) };
    let mut workspace = Workspace::new();
    let summary =
        server::Answer::new(&request, port, &facts, &mut workspace, |_, key| store.find(key)).summary();
    let wanted = summary.bytes.saturating_add_signed(input.int_in_range(-2..=2)?) as usize;
    bytes.resize(wanted.clamp(bytes.len(), DATAGRAM_BYTES_MAX.max(bytes.len())), 0);
    Ok(repaired(&bytes))
}

fn push_read(input: &mut Unstructured<'_>, writer: &mut DatagramWriter<'_>) -> Result<()> {
    let key = key(input.int_in_range(0..=9)?);
    let id = input.arbitrary()?;
    let count = input.int_in_range(0..=RANGES_MAX)?;
    if count == 0 {
        writer.push(&Frame::Get(Get { id, key: &key })).expect("room");
        return Ok(());
    }
    let mut ranges = Vec::new();
    let mut end = 0_u32;
    for _ in 0..count {
        let offset = end.saturating_add(input.arbitrary::<u16>()?.into());
        let length = input.int_in_range(1..=100_000)?;
        end = offset.saturating_add(length);
        ranges.push(Range { offset, length });
    }
    let mut room = [[0; RANGE_BYTES]; RANGES_MAX];
    if let Some(ranges) = Ranges::encode(ranges, &mut room) {
        let version = input.int_in_range(0..=51)?;
        writer.push(&Frame::Rerequest(Rerequest { id, version, ranges, key: &key })).expect("room");
    }
    Ok(())
}

/// One request and what the server knows.
struct Case<'c> {
    request: Request<'c>,
    port: PortLimits,
    facts: Facts,
    store: &'c Store,
    keys: CookieKeys,
}

impl Case<'_> {
    fn check(&self) {
        let mut workspace = Workspace::new();
        let mut lookups = Vec::new();
        let find = |number: usize, key: &[u8]| {
            assert_eq!(number, lookups.len(), "reads are numbered in order");
            lookups.push(key.to_vec());
            self.store.find(key)
        };
        let planned = server::Answer::new(&self.request, &self.port, &self.facts, &mut workspace, find);
        let summary = planned.summary();
        let out = Datagrams::take(planned, &self.port);
        assert!(self.request.keys().eq(lookups.iter().map(Vec::as_slice)), "one look-up a read, in order");
        let bytes: usize = out.datagrams.iter().map(Vec::len).sum();
        assert_eq!((summary.datagrams as usize, summary.bytes as usize), (out.datagrams.len(), bytes));
        assert!(!out.datagrams.is_empty(), "no request stays without an answer");
        self.check_bounds(&out, bytes);
        self.check_summary(&summary);
        let parsed = out.datagrams.iter().map(|datagram| Answer::parse(datagram, Carrier::Udp));
        let answers: Vec<_> = parsed.map(|answer| answer.expect("what is sent can be read")).collect();
        for (answer, datagram) in answers.iter().zip(&out.datagrams) {
            assert_eq!(answer.header, AnswerHeader::to(&self.request.header, self.facts.draining));
            self.check_prefix(answer, summary.challenged, datagram.len());
            self.check_frames(answer, summary.challenged);
        }
        if !summary.challenged {
            let proven = !matches!(self.facts.proof, Proof::Missing(_));
            let credit_left = proven && bytes + self.largest() <= self.credit();
            let without = coverage::check(&self.request, self.store, &answers, credit_left);
            assert!(without.is_none_or(|without| without == summary.left_out), "{without:?} got nothing");
        }
    }

    /// Sections 4.1, 4.2 and 7.
    fn check_bounds(&self, out: &Datagrams, bytes: usize) {
        if let Proof::Missing(_) = self.facts.proof {
            assert!(bytes <= self.request.message_bytes, "amplified to {bytes} B");
            assert_eq!(out.datagrams.len(), 1, "datagrams to one who is not proven");
        }
        for datagram in &out.datagrams {
            assert!(datagram.len() <= self.largest(), "{} B in one datagram", datagram.len());
        }
        let credit = self.credit();
        assert!(out.datagrams.len() == 1 || bytes <= credit, "{bytes} B for a credit of {credit}");
    }

    fn credit(&self) -> usize {
        (self.request.header.credit as usize).min(CREDIT_BYTES_MAX)
    }

    /// The largest datagram that may be sent.
    fn largest(&self) -> usize {
        let own = usize::from(self.port.datagram_max);
        let largest = if self.request.reads == 0 || self.port.too_big_is_refused {
            own
        } else if self.port.one_datagram_answers {
            DATAGRAM_BYTES_MAX
        } else {
            own.min(usize::from(self.request.header.datagram_max))
        };
        largest.min(DATAGRAM_BYTES_MAX)
    }

    fn check_summary(&self, summary: &AnswerSummary) {
        let ended = summary.hits + summary.misses + summary.refused;
        assert_eq!(summary.gets, u16::from(self.request.reads));
        assert!(summary.left_out <= summary.gets);
        match (summary.challenged, self.request.reads) {
            (true, _) => assert_eq!((ended, summary.datagrams), (0, 1)),
            (false, 0) => assert_eq!((summary.hits, summary.misses), (0, 0)),
            (false, reads) => assert_eq!(ended, u16::from(reads)),
        }
    }

    /// Telemetry where it was asked for, the new cookie where one is due: in every datagram, first.
    fn check_prefix(&self, answer: &Answer<'_>, challenged: bool, bytes: usize) {
        let wanted = self.request.header.telemetry && self.facts.telemetry.is_some();
        let found = answer.frames().filter(|frame| matches!(frame, Frame::Telemetry(_))).count();
        if challenged {
            let room = self.request.message_bytes >= bytes - 24 * found + 24;
            assert_eq!(found, usize::from(wanted && room), "telemetry in a challenge where there is room");
        } else {
            let first = answer.frames().next() == Some(Frame::Telemetry(TELEMETRY));
            assert_eq!((first, found), (wanted, usize::from(wanted)));
            let renewed = answer.frames().any(|frame| matches!(frame, Frame::Cookie(_)));
            assert_eq!(renewed, matches!(self.facts.proof, Proof::Stale(_)));
        }
    }

    fn check_frames(&self, answer: &Answer<'_>, challenged: bool) {
        let chunks = answer.frames().filter(|frame| matches!(frame, Frame::Chunk(_))).count();
        let prefix =
            answer.frames().filter(|frame| matches!(frame, Frame::Telemetry(_) | Frame::Cookie(_))).count();
        assert!(chunks == 0 || answer.frames().count() == chunks + prefix && chunks == 1, "a CHUNK is alone");
        for frame in answer.frames() {
            match frame {
                Frame::Cookie(cookie) => assert_eq!(self.keys.check(&cookie, IP, NOW), CookieState::Valid),
                Frame::Challenge(cookie) => {
                    assert!(challenged && matches!(self.facts.proof, Proof::Missing(_)));
                    assert_eq!(self.keys.check(&cookie, IP, NOW), CookieState::Valid);
                }
                Frame::Telemetry(_) => {}
                _ => assert!(!challenged && answers(&self.request, self.store, &frame), "{frame:?}"),
            }
        }
    }
}

/// Whether a frame of the request is answered by this one.
fn answers(request: &Request<'_>, store: &Store, frame: &Frame<'_>) -> bool {
    request.frames().any(|asked| match (asked, frame) {
        (Frame::Probe(probe), Frame::ProbeAck(ack)) => {
            (probe.id, probe.up, probe.down) == (ack.id, ack.up, ack.down)
                && usize::from(ack.size) == request.message_bytes
        }
        (Frame::Probe(probe), Frame::Refused(refused)) => probe.id == refused.id,
        (Frame::Get(get), _) => answers_read(get.id, store.find(get.key), None, frame),
        (Frame::Rerequest(again), _) => {
            let ranges = (again.version, again.ranges);
            answers_read(again.id, store.find(again.key), Some(ranges), frame)
        }
        _ => false,
    })
}

fn answers_read(id: u32, found: Found<'_>, again: Option<(u64, Ranges<'_>)>, frame: &Frame<'_>) -> bool {
    match (frame, found) {
        (Frame::Miss { id: missed }, Found::Nothing) => *missed == id,
        (Frame::Refused(refused), Found::Unreadable | Found::Value { .. }) => refused.id == id,
        (Frame::Value(value), Found::Value { sealed, .. }) => {
            value.id == id && again.is_none() && value.sealed == sealed
        }
        (Frame::Chunk(chunk), Found::Value { sealed, version }) => {
            let place = chunk.offset as usize..chunk.offset as usize + chunk.bytes.len();
            let within = again.is_none_or(|(wanted, ranges)| {
                let covers = |range: Range| range.offset <= chunk.offset && place.end <= range.end() as usize;
                wanted == version && ranges.iter().any(covers)
            });
            (chunk.id, chunk.version, chunk.total as usize) == (id, version, sealed.len())
                && within
                && sealed.get(place) == Some(chunk.bytes)
        }
        _ => false,
    }
}

/// Over TCP nothing is left out.
fn check_tcp(request: &Request<'_>, store: &Store) {
    let mut stream = Vec::new();
    let summary = answer_over_tcp(request, false, |_, key| store.find(key), &mut stream);
    let mut rest = stream.as_slice();
    let mut messages = 0;
    while let Some((taken, message)) = next_message(rest).expect("not too long") {
        let answer = Answer::parse(message, Carrier::Tcp).expect("what is sent can be read");
        assert!(message.len() <= DATAGRAM_BYTES_MAX);
        assert!(answer.frames().all(|frame| answers(request, store, &frame)));
        rest = &rest[taken..];
        messages += 1;
    }
    assert!(rest.is_empty() && messages == summary.datagrams && summary.left_out == 0);
    assert_eq!(summary.hits + summary.misses + summary.refused, u16::from(request.reads));
}

/// Datagrams as they are sent, the rules of trains checked.
struct Datagrams {
    datagrams: Vec<Vec<u8>>,
}

impl Datagrams {
    fn take(planned: server::Answer<'_, '_>, port: &PortLimits) -> Self {
        let mut open = Train::new(port);
        let mut datagrams: Vec<Vec<u8>> = Vec::with_capacity(planned.len());
        let stated = planned.len();
        // Of the open train: size of its first datagram, of its last, how many, their bytes.
        let mut train = (0, 0, 0, 0);
        for datagram in planned {
            let mut bytes = vec![0xEE; datagram.len()];
            assert_eq!(datagram.write(&mut bytes), bytes.len());
            train = if open.join(&datagram) {
                let (first, last, count, sum) = train;
                assert!(count > 0 && last == first && bytes.len() <= first, "equal segments but the last");
                (first, bytes.len(), count + 1, sum + bytes.len())
            } else {
                open.begin(&datagram);
                (bytes.len(), bytes.len(), 1, bytes.len())
            };
            assert!(train.2 <= SEGMENTS_MAX && train.3 <= DATAGRAM_BYTES_MAX, "{train:?}");
            datagrams.push(bytes);
        }
        assert_eq!(datagrams.len(), stated, "as many as it said");
        Self { datagrams }
    }
}
