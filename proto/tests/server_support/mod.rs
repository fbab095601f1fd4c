//! A server core with a store of a few values, its answers as datagrams, and the rules that every train must keep.

use std::collections::HashMap;

use shingle_proto::chunk::Range;
use shingle_proto::cookie::{Cookie, Proof};
use shingle_proto::limits::{DATAGRAM_BYTES_MAX, RANGE_BYTES, RANGES_MAX, SEGMENTS_MAX};
use shingle_proto::seal::{open, seal};
use shingle_proto::server::{self, AnswerSummary, Facts, Found, Part, PortLimits, Train, Workspace};
use shingle_proto::wire::{
    Answer, Carrier, DatagramWriter, Frame, Get, Ranges, Request, RequestHeader, Rerequest, Telemetry,
};

pub(crate) const VERSION: u64 = 77;
pub(crate) const FRESH: Cookie = Cookie([0xC0; 16]);
pub(crate) const CHUNKED: PortLimits = PortLimits {
    datagram_max: 8972,
    one_datagram_answers: false,
    too_big_is_refused: false,
    probes_served: true,
};
pub(crate) const ONE_DATAGRAM: PortLimits =
    PortLimits { one_datagram_answers: true, probes_served: false, ..CHUNKED };
pub(crate) const STRICT: PortLimits = PortLimits { too_big_is_refused: true, ..CHUNKED };

pub(crate) const HEADER: RequestHeader =
    RequestHeader { attempt: 1, flow: 2, sequence: 3, telemetry: false, datagram_max: 1472, credit: 262_144 };
pub(crate) const TELEMETRY: Telemetry =
    Telemetry { worker: 1, port_index: 2, nonce: 3, received: 4, sent: 5, dropped: 6, residence_us: 7 };
pub(crate) const PROVEN: Facts = Facts { proof: Proof::Valid, draining: false, telemetry: Some(TELEMETRY) };
pub(crate) const UNPROVEN: Facts = Facts { proof: Proof::Missing(FRESH), ..PROVEN };

/// Sealed values by key.
#[derive(Default)]
pub(crate) struct Store(HashMap<Vec<u8>, Vec<u8>>);

impl Store {
    /// A store of values of these lengths, each under the key [`key`] makes of its place.
    pub(crate) fn of(lengths: &[usize]) -> Self {
        let item = |(index, &length): (usize, &usize)| {
            let (key, value) = (key(index), value(index, length));
            (key.clone(), [seal(&key, &value).as_slice(), &value].concat())
        };
        Store(lengths.iter().enumerate().map(item).collect())
    }

    pub(crate) fn find(&self, key: &[u8]) -> Found<'_> {
        match self.0.get(key) {
            _ if key.starts_with(b"broken") => Found::Unreadable,
            Some(sealed) => Found::Value { sealed, version: VERSION },
            None => Found::Nothing,
        }
    }

    /// Checks a sealed value that came back.
    pub(crate) fn assert_opens(&self, index: usize, sealed: &[u8]) {
        let length = sealed.len() - 8;
        assert_eq!(open(&key(index), sealed, length, &mut []), Ok(value(index, length).as_slice()));
    }
}

pub(crate) fn key(index: usize) -> Vec<u8> {
    format!("key-{index}").into_bytes()
}

fn value(index: usize, length: usize) -> Vec<u8> {
    (0..length).map(|at| (at * 31 + index) as u8).collect()
}

/// Gets for the values at these places; the place is the id.
pub(crate) fn gets(
    header: &RequestHeader,
    indexes: impl IntoIterator<Item = usize>,
    padded_to: usize,
) -> Vec<u8> {
    request(header, padded_to, |writer| {
        for index in indexes {
            writer.push(&Frame::Get(Get { id: index as u32, key: &key(index) })).unwrap();
        }
    })
}

/// A REREQUEST of the value at this place.
pub(crate) fn rerequest(
    header: &RequestHeader,
    index: usize,
    version: u64,
    ranges: &[(u32, u32)],
) -> Vec<u8> {
    rerequest_with(header, None, index, version, ranges)
}

pub(crate) fn rerequest_with(
    header: &RequestHeader,
    cookie: Option<Cookie>,
    index: usize,
    version: u64,
    ranges: &[(u32, u32)],
) -> Vec<u8> {
    let mut room = [[0; RANGE_BYTES]; RANGES_MAX];
    let ranges = ranges.iter().map(|&(offset, length)| Range { offset, length });
    let ranges = Ranges::encode(ranges, &mut room).unwrap();
    let again = Rerequest { id: index as u32, version, ranges, key: &key(index) };
    request(header, 0, |writer| {
        cookie.iter().for_each(|cookie| writer.push(&Frame::Cookie(*cookie)).unwrap());
        writer.push(&Frame::Rerequest(again)).unwrap();
    })
}

pub(crate) fn request(
    header: &RequestHeader,
    padded_to: usize,
    frames: impl FnOnce(&mut DatagramWriter<'_>),
) -> Vec<u8> {
    let mut out = vec![0; DATAGRAM_BYTES_MAX];
    let mut writer = DatagramWriter::request(&mut out, header).unwrap();
    frames(&mut writer);
    writer.pad_to(padded_to);
    let length = writer.finish();
    out.truncate(length);
    out
}

/// The datagrams of one answer.
#[derive(Debug, Default)]
pub(crate) struct Datagrams {
    pub(crate) datagrams: Vec<Vec<u8>>,
    pub(crate) trains: usize,
    pub(crate) copied: usize,
}

impl Datagrams {
    /// Takes an answer, and checks that its datagrams are as many as stated, that both ways to send them give the same bytes,
    /// and that every train is one that UDP_SEGMENT sends.
    fn take(answer: server::Answer<'_, '_>, port: &PortLimits) -> Self {
        let (mut out, mut train) = (Datagrams::default(), Vec::<usize>::new());
        let mut open = Train::new(port);
        let stated = answer.len();
        for (index, datagram) in answer.clone().enumerate() {
            assert_eq!(answer.clone().skip(index).len(), stated - index);
            let mut written = vec![0xA5; datagram.len() + 1];
            assert_eq!(datagram.write(&mut written), datagram.len());
            assert_eq!(written.pop(), Some(0xA5), "nothing is written past the datagram");
            assert_eq!(out.gather(&datagram), written);
            if !open.join(&datagram) {
                open.begin(&datagram);
                train.clear();
                out.trains += 1;
            }
            train.push(written.len());
            assert_eq!(open.segment_bytes(), if train.len() > 1 { train[0] } else { 0 });
            let (last, all) = train.split_last().expect("just pushed");
            assert!(
                all.iter().all(|size| *size == all[0] && size >= last),
                "equal segments but the last: {train:?}"
            );
            assert!(train.len() <= SEGMENTS_MAX && train.iter().sum::<usize>() <= DATAGRAM_BYTES_MAX);
            out.datagrams.push(written);
        }
        assert_eq!(out.datagrams.len(), stated);
        out
    }

    fn gather(&mut self, datagram: &server::Datagram<'_, '_>) -> Vec<u8> {
        let mut gathered = Vec::new();
        datagram.gather(|part| {
            let (Part::Copied(bytes) | Part::Borrowed(bytes)) = part;
            self.copied += usize::from(matches!(part, Part::Copied(_))) * bytes.len();
            gathered.extend_from_slice(bytes);
        });
        gathered
    }
}

/// Answers a request and checks what holds for every answer: it parses, its books balance, it echoes the request, and it
/// has telemetry first in every datagram where that was asked for.
pub(crate) fn ask(
    store: &Store,
    request: &[u8],
    port: &PortLimits,
    facts: &Facts,
) -> (AnswerSummary, Datagrams) {
    let request = Request::parse(request, Carrier::Udp).expect("a good request");
    let mut workspace = Workspace::new();
    let answer = server::Answer::new(&request, port, facts, &mut workspace, |_, key| store.find(key));
    let summary = answer.summary();
    let out = Datagrams::take(answer, port);
    assert_eq!(summary.datagrams as usize, out.datagrams.len());
    assert_eq!(summary.bytes as usize, out.datagrams.iter().map(Vec::len).sum::<usize>());
    let read = summary.hits + summary.misses + summary.refused;
    assert!(summary.challenged && read == 0 || request.reads == 0 || read == u16::from(request.reads));
    for datagram in &out.datagrams {
        let answer = Answer::parse(datagram, Carrier::Udp).expect("a good answer");
        let header = answer.header;
        assert_eq!((header.attempt, header.flow, header.sequence), (1, 2, 3));
        assert_eq!(header.draining, facts.draining);
        if !summary.challenged {
            let first = answer.frames().next();
            assert_eq!(request.header.telemetry, first == Some(Frame::Telemetry(TELEMETRY)));
        }
    }
    (summary, out)
}

/// All frames of an answer, telemetry left out, in owned form: what each says and for which id.
pub(crate) fn frames(out: &Datagrams) -> impl Iterator<Item = Frame<'_>> {
    let frames = |datagram| Answer::parse(datagram, Carrier::Udp).expect("a good answer").frames();
    out.datagrams
        .iter()
        .flat_map(move |datagram| frames(datagram))
        .filter(|frame| !matches!(frame, Frame::Telemetry(_)))
}

/// Puts the chunks of one value together; each byte must come exactly once.
pub(crate) fn assemble(out: &Datagrams, id: u32) -> Vec<u8> {
    let mut value = Vec::new();
    for frame in frames(out) {
        if let Frame::Chunk(chunk) = frame
            && chunk.id == id
        {
            assert_eq!((chunk.version, chunk.offset as usize), (VERSION, value.len()));
            value.extend_from_slice(chunk.bytes);
        }
    }
    value
}
