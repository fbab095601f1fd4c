//! Any frame of the protocol, made from one bag of random fields.

use proptest::collection::vec;
use proptest::prelude::*;
use shingle_proto::chunk::Range;
use shingle_proto::cookie::Cookie;
use shingle_proto::limits::{RANGE_BYTES, RANGES_MAX};
use shingle_proto::wire::{
    Chunk, Control, Done, ErrorCode, ErrorText, Flush, FlushWhat, Frame, Get, Hello, KeyRequest, Outcome,
    Ping, Pong, Port, Ports, Probe, Ranges, Receipt, ReceiptList, Receipts, ReceiptsRequest, Refusal,
    Refused, Rerequest, Set, Strategy as PortStrategy, Telemetry, Text, Value, Welcome,
};

/// Room for the ranges of one REREQUEST.
type RangeRoom = [[u8; RANGE_BYTES]; RANGES_MAX];

/// Kinds of frames made here: every one there is.
const KINDS: u8 = 25;

/// The random fields a frame is made from.
#[derive(Clone, Debug)]
pub(crate) struct Fields {
    kind: u8,
    id: u32,
    small: u8,
    number: u64,
    key: Vec<u8>,
    value: Vec<u8>,
    text: String,
    ranges: Vec<Range>,
    ports: Vec<[u8; 8]>,
    receipts: Vec<[u8; 32]>,
}

/// Fields of any frame.
pub(crate) fn fields() -> impl Strategy<Value = Fields> {
    let steps = vec((1_u32..5000, 0_u32..3000), 1..=RANGES_MAX);
    let scalars = (0..KINDS, any::<u32>(), any::<u8>(), any::<u64>());
    (scalars, vec(any::<u8>(), 1..=250), vec(any::<u8>(), 1..2000), ".{0,40}", steps).prop_map(
        |((kind, id, small, number), key, value, text, steps)| {
            let mut end = 0;
            let rising = |(length, gap)| {
                let offset = end + gap;
                end = offset + length;
                Range { offset, length }
            };
            let ranges = steps.into_iter().map(rising).collect();
            let ports = (0..small % 65).map(|index| port(index, number).to_bytes()).collect();
            let receipts = (0..small % 9).map(|index| receipt(index, number).to_bytes()).collect();
            Fields { kind, id, small, number, key, value, text, ranges, ports, receipts }
        },
    )
}

fn port(index: u8, number: u64) -> Port {
    let strategy = PortStrategy::ALL[usize::from(index) % PortStrategy::ALL.len()];
    Port {
        port: number as u16 ^ u16::from(index),
        strategy,
        workers: index,
        datagram_max: (number >> 16) as u16,
    }
}

fn receipt(index: u8, number: u64) -> Receipt {
    let outcomes = [Outcome::Answered, Outcome::SendRefused, Outcome::Challenged];
    Receipt {
        flow: number as u32,
        sequence: (number >> 32) as u32,
        attempt: index,
        outcome: outcomes[usize::from(index) % 3],
        answer_datagrams: number as u16,
        answer_bytes: !number as u32,
        arrival_unix_us: number,
        residence_us: u32::from(index),
        port: (number >> 8) as u16,
        gets: index.into(),
    }
}

impl Fields {
    /// The frame these fields describe.
    pub(crate) fn frame<'a>(&'a self, room: &'a mut RangeRoom) -> Frame<'a> {
        let (id, number) = (self.id, self.number);
        match self.kind {
            0 => Frame::Get(Get { id, key: &self.key }),
            1 => {
                let ranges = Ranges::encode(self.ranges.iter().copied(), room).expect("ranges rise");
                Frame::Rerequest(Rerequest { id, version: number, ranges, key: &self.key })
            }
            2 => Frame::Probe(self.probe()),
            3 => Frame::Cookie(self.cookie()),
            4 => Frame::Value(Value { id, sealed: &self.value }),
            5 => {
                let (offset, length) = (number as u32 >> 1, self.value.len() as u32);
                let total = offset + length + u32::from(self.small);
                Frame::Chunk(Chunk { id, version: number, total, offset, bytes: &self.value })
            }
            6 => Frame::Miss { id },
            7 => Frame::Refused(self.refused()),
            8 => Frame::ProbeAck(self.probe()),
            9 => Frame::Challenge(self.cookie()),
            10 => Frame::Telemetry(self.telemetry()),
            kind => Frame::Control(self.control(kind)),
        }
    }

    fn control(&self, kind: u8) -> Control<'_> {
        let (id, number, small, key) = (self.id, self.number, self.small, self.key.as_slice());
        match kind {
            11 => Control::Hello(Hello { id, version_min: small, version_max: !small, token: key }),
            12 => {
                let (ttl_s, checksum) = (number as u32, (number >> 32) as u32);
                Control::Set(Set { id, ttl_s, checksum, key, value: &self.value })
            }
            13 => Control::Delete(KeyRequest { id, key }),
            14 => {
                let what = if small % 2 == 0 { FlushWhat::Values } else { FlushWhat::PathMtus };
                Control::Flush(Flush { id, what })
            }
            15 => Control::Stats { id },
            16 => Control::Receipts(ReceiptsRequest { id, worker: small, first: number }),
            17 => Control::Ping(Ping { id, payload: number }),
            18 => Control::Drain { id },
            19 => Control::Welcome(self.welcome()),
            20 => Control::Done(Done { id, result: number }),
            21 => {
                let code = ErrorCode::ALL[usize::from(small) % ErrorCode::ALL.len()];
                Control::Error(ErrorText { id, code, text: &self.text })
            }
            22 => Control::Text(Text { id, text: &self.text }),
            23 => {
                let receipts = Receipts::new(&self.receipts).expect("receipts");
                Control::ReceiptList(ReceiptList { id, worker: small, first: number, receipts })
            }
            _ => Control::Pong(Pong { id, draining: small % 2 == 1, payload: number }),
        }
    }

    fn probe(&self) -> Probe {
        let up = self.small.is_multiple_of(2);
        Probe { up, down: !up || self.small.is_multiple_of(3), size: self.number as u16, id: self.id }
    }

    fn cookie(&self) -> Cookie {
        let mut bytes = [self.small; 16];
        bytes[..8].copy_from_slice(&self.number.to_be_bytes());
        Cookie(bytes)
    }

    fn refused(&self) -> Refused {
        let reasons = [Refusal::VersionGone, Refusal::TooBig, Refusal::Unreadable, Refusal::NotServed];
        Refused { id: self.id, reason: reasons[usize::from(self.small) % 4], detail: self.number as u32 }
    }

    fn telemetry(&self) -> Telemetry {
        Telemetry {
            worker: self.small,
            port_index: self.number as u16,
            nonce: self.id,
            received: self.number as u32,
            sent: (self.number >> 32) as u32,
            dropped: !self.id,
            residence_us: u32::from(self.small),
        }
    }

    fn welcome(&self) -> Welcome<'_> {
        Welcome {
            id: self.id,
            receipts: self.small & 1 != 0,
            draining: self.small & 2 != 0,
            updates: self.small & 4 != 0,
            nonce: self.number as u32,
            value_bytes_max: (self.number >> 32) as u32,
            cookie: self.cookie(),
            ports: Ports::new(&self.ports).expect("ports"),
        }
    }
}
