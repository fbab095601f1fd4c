//! Every frame of the protocol as one value that parses and is written (`PROTOCOL.md`, section 2.2).

use super::bytes::put;
use super::control::Control;
use super::probe::Probe;
use super::reads::{self, Chunk, Get, Refused, Rerequest, Value};
use super::telemetry::Telemetry;
use crate::cookie::Cookie;
use crate::limits::COOKIE_FRAME_BYTES;

/// First bytes of frames.
pub(crate) mod frame_type {
    pub(crate) const PAD: u8 = 0x00;
    pub(crate) const GET: u8 = 0x01;
    pub(crate) const REREQUEST: u8 = 0x02;
    pub(crate) const PROBE: u8 = 0x03;
    pub(crate) const COOKIE: u8 = 0x04;
    pub(crate) const VALUE: u8 = 0x11;
    pub(crate) const CHUNK: u8 = 0x12;
    pub(crate) const MISS: u8 = 0x13;
    pub(crate) const REFUSED: u8 = 0x14;
    pub(crate) const PROBE_ACK: u8 = 0x15;
    pub(crate) const CHALLENGE: u8 = 0x16;
    pub(crate) const TELEMETRY: u8 = 0x17;
    pub(crate) const HELLO: u8 = 0x21;
    pub(crate) const SET: u8 = 0x22;
    pub(crate) const DELETE: u8 = 0x23;
    pub(crate) const FLUSH: u8 = 0x24;
    pub(crate) const STATS: u8 = 0x25;
    pub(crate) const RECEIPTS: u8 = 0x26;
    pub(crate) const PING: u8 = 0x27;
    pub(crate) const DRAIN: u8 = 0x28;
    pub(crate) const WELCOME: u8 = 0x31;
    pub(crate) const DONE: u8 = 0x32;
    pub(crate) const ERROR: u8 = 0x33;
    pub(crate) const TEXT: u8 = 0x34;
    pub(crate) const RECEIPT_LIST: u8 = 0x35;
    pub(crate) const PONG: u8 = 0x36;
}

/// What carries a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carrier {
    /// One datagram is one message.
    Udp,
    /// A stream; each message is preceded by its length.
    Tcp,
}

/// A frame. Padding is no frame: it ends the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frame<'a> {
    /// The value of a key is wanted.
    Get(Get<'a>),
    /// The missing parts of a value are wanted.
    Rerequest(Rerequest<'a>),
    /// Does this size pass?
    Probe(Probe),
    /// The client's cookie in a request, a new one in an answer.
    Cookie(Cookie),
    /// A whole value.
    Value(Value<'a>),
    /// A piece of a value.
    Chunk(Chunk<'a>),
    /// The key is not stored.
    Miss {
        /// Id of the read.
        id: u32,
    },
    /// The read or probe is not answered otherwise.
    Refused(Refused),
    /// The probe arrived.
    ProbeAck(Probe),
    /// Ask again with this cookie.
    Challenge(Cookie),
    /// What the worker knows about itself.
    Telemetry(Telemetry),
    /// A frame that only TCP carries.
    Control(Control<'a>),
}

/// The longest fixed part of any frame (WELCOME's).
const HEAD_BYTES_MAX: usize = 32;

/// A frame as bytes: its fixed part, then up to two borrowed parts.
pub(super) struct Parts<'a> {
    head: [u8; HEAD_BYTES_MAX],
    head_bytes: usize,
    bodies: [&'a [u8]; 2],
}

impl<'a> Parts<'a> {
    #[inline]
    pub(super) fn new<const N: usize>(fixed: [u8; N], bodies: [&'a [u8]; 2]) -> Self {
        const { assert!(N <= HEAD_BYTES_MAX) };
        let mut head = [0; HEAD_BYTES_MAX];
        head[..N].copy_from_slice(&fixed);
        Parts { head, head_bytes: N, bodies }
    }

    /// The three slices in order.
    #[inline]
    pub(super) fn slices(&self) -> [&[u8]; 3] {
        [&self.head[..self.head_bytes], self.bodies[0], self.bodies[1]]
    }

    /// Bytes of the frame.
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.head_bytes + self.bodies[0].len() + self.bodies[1].len()
    }
}

impl<'a> Frame<'a> {
    /// Reads the frame at the front of `bytes` and gives what is behind it. `None` where it is truncated, unknown, out of its range,
    /// or padding. Who may send it over what is checked by [`super::Request::parse`] and [`super::Answer::parse`].
    #[inline]
    #[must_use]
    pub fn parse(bytes: &'a [u8]) -> Option<(Self, &'a [u8])> {
        /// Wraps what a frame's own parser found.
        macro_rules! wrap {
            ($parsed:expr, $frame:path) => {
                $parsed.map(|(parsed, rest)| ($frame(parsed), rest))
            };
        }
        match *bytes.first()? {
            frame_type::GET => wrap!(Get::parse(bytes), Frame::Get),
            frame_type::REREQUEST => wrap!(Rerequest::parse(bytes), Frame::Rerequest),
            frame_type::PROBE => wrap!(Probe::parse(bytes), Frame::Probe),
            frame_type::COOKIE => wrap!(parse_cookie(bytes), Frame::Cookie),
            frame_type::VALUE => wrap!(Value::parse(bytes), Frame::Value),
            frame_type::CHUNK => wrap!(Chunk::parse(bytes), Frame::Chunk),
            frame_type::MISS => reads::parse_miss(bytes).map(|(id, rest)| (Frame::Miss { id }, rest)),
            frame_type::REFUSED => wrap!(Refused::parse(bytes), Frame::Refused),
            frame_type::PROBE_ACK => wrap!(Probe::parse(bytes), Frame::ProbeAck),
            frame_type::CHALLENGE => wrap!(parse_cookie(bytes), Frame::Challenge),
            frame_type::TELEMETRY => wrap!(Telemetry::parse(bytes), Frame::Telemetry),
            _ => wrap!(Control::parse(bytes), Frame::Control),
        }
    }

    /// Bytes the frame takes.
    #[must_use]
    pub fn wire_bytes(&self) -> usize {
        self.parts().len()
    }

    #[inline]
    pub(super) fn parts(&self) -> Parts<'a> {
        match self {
            Frame::Get(get) => Parts::new(get.head(), [get.key, &[]]),
            Frame::Rerequest(again) => Parts::new(again.head(), [again.ranges.as_bytes(), again.key]),
            Frame::Probe(probe) => Parts::new(probe.to_bytes(frame_type::PROBE), [&[], &[]]),
            Frame::Cookie(cookie) => Parts::new(cookie_bytes(frame_type::COOKIE, cookie), [&[], &[]]),
            Frame::Value(value) => Parts::new(value.head(), [value.sealed, &[]]),
            Frame::Chunk(chunk) => Parts::new(chunk.head(), [chunk.bytes, &[]]),
            Frame::Miss { id } => Parts::new(reads::miss_bytes(*id), [&[], &[]]),
            Frame::Refused(refused) => Parts::new(refused.to_bytes(), [&[], &[]]),
            Frame::ProbeAck(probe) => Parts::new(probe.to_bytes(frame_type::PROBE_ACK), [&[], &[]]),
            Frame::Challenge(cookie) => Parts::new(cookie_bytes(frame_type::CHALLENGE, cookie), [&[], &[]]),
            Frame::Telemetry(telemetry) => Parts::new(telemetry.to_bytes(), [&[], &[]]),
            Frame::Control(control) => control.parts(),
        }
    }
}

/// Whether a frame of this type may stand in a request or an answer on this carrier (table of section 2.2).
#[inline]
pub(super) const fn allowed(frame_type: u8, carrier: Carrier, in_answer: bool) -> bool {
    let udp = matches!(carrier, Carrier::Udp);
    match frame_type {
        frame_type::GET | frame_type::REREQUEST => !in_answer,
        frame_type::PROBE => !in_answer && udp,
        frame_type::COOKIE => true,
        frame_type::VALUE | frame_type::CHUNK | frame_type::MISS | frame_type::REFUSED => in_answer,
        frame_type::PROBE_ACK | frame_type::CHALLENGE | frame_type::TELEMETRY => in_answer && udp,
        frame_type::HELLO..=frame_type::DRAIN => !in_answer && !udp,
        frame_type::WELCOME..=frame_type::PONG => in_answer && !udp,
        _ => false,
    }
}

/// A COOKIE or CHALLENGE frame.
#[inline]
pub(crate) fn cookie_bytes(frame_type: u8, cookie: &Cookie) -> [u8; COOKIE_FRAME_BYTES] {
    let mut bytes = [0; COOKIE_FRAME_BYTES];
    bytes[0] = frame_type;
    put::<4, 16, _>(&mut bytes, cookie.0);
    bytes
}

#[inline]
fn parse_cookie(bytes: &[u8]) -> Option<(Cookie, &[u8])> {
    let ([_, _, _, _, cookie @ ..], rest) = bytes.split_first_chunk::<COOKIE_FRAME_BYTES>()?;
    Some((Cookie(*cookie), rest))
}
