//! Vectors of whole messages: read by our parsers, written by our writers.

use serde::Deserialize;
use shingle_proto::limits::{ANSWER_HEADER_BYTES, DATAGRAM_BYTES_MAX, REQUEST_HEADER_BYTES};
use shingle_proto::wire::{
    Answer, AnswerHeader, Carrier, DatagramWriter, DropReason, Frames, MessageWriter, Request, RequestHeader,
    next_message,
};

use super::Hex;
use super::frames::{FrameMeaning, Room};

#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    Request,
    Answer,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum CarrierName {
    Udp,
    Tcp,
}

impl CarrierName {
    pub(crate) fn carrier(self) -> Carrier {
        match self {
            CarrierName::Udp => Carrier::Udp,
            CarrierName::Tcp => Carrier::Tcp,
        }
    }
}

/// `messages-udp.json` and `messages-tcp.json`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct MessageVector {
    pub(crate) name: String,
    #[serde(rename = "section")]
    _section: String,
    pub(crate) carrier: CarrierName,
    /// What the receiver expects.
    pub(crate) kind: Kind,
    pub(crate) hex: Hex,
    meaning: Option<Meaning>,
    drop: Option<String>,
    stream: Option<String>,
    #[serde(default = "yes")]
    pub(crate) canonical: bool,
    source_port: Option<u16>,
    #[serde(default)]
    server_ports: Vec<u16>,
}

fn yes() -> bool {
    true
}

/// What is to come of a message.
pub(crate) enum Outcome<'v> {
    Meaning(&'v Meaning),
    Drop(&'v str),
    /// Not a whole message: `incomplete` or `too_long`.
    Stream(&'v str),
}

impl MessageVector {
    pub(crate) fn outcome(&self) -> Outcome<'_> {
        match (&self.meaning, &self.drop, &self.stream) {
            (Some(meaning), None, None) => Outcome::Meaning(meaning),
            (None, Some(reason), None) => Outcome::Drop(reason),
            (None, None, Some(state)) => Outcome::Stream(state),
            _ => panic!("{}: one of meaning, drop and stream", self.name),
        }
    }

    /// What our reader of a stream says where there is no whole message.
    pub(crate) fn stream_state(&self) -> Option<&'static str> {
        match next_message(&self.hex.0) {
            Ok(None) => Some("incomplete"),
            Ok(Some(_)) => None,
            Err(_) => Some("too_long"),
        }
    }

    /// The message without the length in front of it.
    pub(crate) fn message(&self) -> &[u8] {
        if self.carrier == CarrierName::Udp {
            return &self.hex.0;
        }
        let (bytes, message) = next_message(&self.hex.0).expect("not too long").expect("a whole message");
        assert_eq!(bytes, self.hex.0.len(), "{}: one message", self.name);
        message
    }

    pub(crate) fn read(&self) -> Result<Meaning, DropReason> {
        let (message, carrier) = (self.message(), self.carrier.carrier());
        match self.kind {
            Kind::Request => Request::parse(message, carrier).map(|request| {
                assert_eq!(request.message_bytes, message.len());
                let header = Header::from(&request.header);
                Meaning::new(header, request.frames(), message.len() - REQUEST_HEADER_BYTES)
            }),
            Kind::Answer => Answer::parse(message, carrier).map(|answer| {
                let header = Header::from(&answer.header);
                Meaning::new(header, answer.frames(), message.len() - ANSWER_HEADER_BYTES)
            }),
        }
    }

    /// What whoever received it drops it for, though it can be read.
    pub(crate) fn dropped_by_receiver(&self) -> Option<&'static str> {
        if self.hex.0.len() > DATAGRAM_BYTES_MAX {
            return Some("oversized");
        }
        let port = self.source_port?;
        (port == 0 || self.server_ports.contains(&port)).then_some("source")
    }

    pub(crate) fn frame_types(&self) -> Vec<String> {
        self.meaning.iter().flat_map(|meaning| meaning.frames.iter().map(FrameMeaning::name)).collect()
    }
}

/// A whole message, as the files describe it.
#[derive(PartialEq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Meaning {
    header: Header,
    frames: Vec<FrameMeaning>,
    pad: usize,
}

#[derive(PartialEq, Debug, Deserialize)]
#[serde(untagged)]
enum Header {
    Request(RequestFields),
    Answer(AnswerFields),
}

#[derive(PartialEq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RequestFields {
    attempt: u8,
    flow: u32,
    sequence: u32,
    telemetry: bool,
    datagram_max: u16,
    credit: u32,
}

#[derive(PartialEq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct AnswerFields {
    attempt: u8,
    flow: u32,
    sequence: u32,
    draining: bool,
}

impl From<&RequestHeader> for Header {
    fn from(header: &RequestHeader) -> Self {
        let RequestHeader { attempt, flow, sequence, telemetry, datagram_max, credit } = *header;
        Header::Request(RequestFields { attempt, flow, sequence, telemetry, datagram_max, credit })
    }
}

impl From<&AnswerHeader> for Header {
    fn from(header: &AnswerHeader) -> Self {
        let AnswerHeader { attempt, flow, sequence, draining } = *header;
        Header::Answer(AnswerFields { attempt, flow, sequence, draining })
    }
}

impl RequestFields {
    fn header(&self) -> RequestHeader {
        let RequestFields { attempt, flow, sequence, telemetry, datagram_max, credit } = *self;
        RequestHeader { attempt, flow, sequence, telemetry, datagram_max, credit }
    }
}

impl AnswerFields {
    fn header(&self) -> AnswerHeader {
        let AnswerFields { attempt, flow, sequence, draining } = *self;
        AnswerHeader { attempt, flow, sequence, draining }
    }
}

impl Meaning {
    fn new(header: Header, frames: Frames<'_>, bytes: usize) -> Self {
        let used: usize = frames.map(|frame| frame.wire_bytes()).sum();
        Meaning { header, frames: frames.map(|frame| FrameMeaning::of(&frame)).collect(), pad: bytes - used }
    }

    /// The message as our writers make it, over TCP with its length in front.
    pub(crate) fn write(&self, carrier: Carrier, message_bytes: usize) -> Vec<u8> {
        match carrier {
            Carrier::Udp => self.write_datagram(message_bytes),
            Carrier::Tcp => self.write_message(),
        }
    }

    fn write_datagram(&self, bytes: usize) -> Vec<u8> {
        let mut out = vec![0xFF; bytes];
        let mut writer = match &self.header {
            Header::Request(fields) => DatagramWriter::request(&mut out, &fields.header()).expect("room"),
            Header::Answer(fields) => DatagramWriter::answer(&mut out, &fields.header()).expect("room"),
        };
        for frame in &self.frames {
            writer.push(&frame.frame(&mut Room::default())).expect("room");
        }
        writer.pad_to(writer.len() + self.pad);
        let written = writer.finish();
        out.truncate(written);
        out
    }

    fn write_message(&self) -> Vec<u8> {
        let mut out = Vec::new();
        let mut writer = match &self.header {
            Header::Request(fields) => MessageWriter::request(&mut out, &fields.header()),
            Header::Answer(fields) => MessageWriter::answer(&mut out, &fields.header()),
        };
        for frame in &self.frames {
            writer.push(&frame.frame(&mut Room::default()));
        }
        writer.finish();
        out
    }
}
