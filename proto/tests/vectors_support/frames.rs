//! Frames as the files describe them, from and to ours.

use serde::Deserialize;
use shingle_proto::chunk::Range;
use shingle_proto::cookie::Cookie;
use shingle_proto::limits::{PORT_BYTES, RANGE_BYTES, RANGES_MAX, RECEIPT_BYTES};
use shingle_proto::wire::{
    Chunk, Control, Done, ErrorCode, ErrorText, Flush, FlushWhat, Frame, Get, Hello, KeyRequest, Outcome,
    Ping, Pong, Port, Ports, Probe, Ranges, Receipt, ReceiptList, Receipts, ReceiptsRequest, Refusal,
    Refused, Rerequest, Set, Strategy, Telemetry, Text, Value, Welcome,
};

use super::Hex;

/// A frame, its fields under the names and in the order of PROTOCOL.md.
#[derive(PartialEq, Debug, Deserialize)]
#[serde(tag = "type", rename_all = "SCREAMING_SNAKE_CASE", deny_unknown_fields)]
pub(crate) enum FrameMeaning {
    Get { id: u32, key: Hex },
    Rerequest { id: u32, version: Hex, ranges: Vec<(u32, u32)>, key: Hex },
    Probe { id: u32, up: bool, down: bool, size: u16 },
    Cookie { cookie: Hex },
    Value { id: u32, sealed: Hex },
    Chunk { id: u32, version: Hex, total: u32, offset: u32, bytes: Hex },
    Miss { id: u32 },
    Refused { id: u32, reason: String, detail: u32 },
    ProbeAck { id: u32, up: bool, down: bool, size: u16 },
    Challenge { cookie: Hex },
    Telemetry(TelemetryFields),
    Hello { id: u32, version_min: u8, version_max: u8, token: Hex },
    Set { id: u32, ttl_s: u32, checksum: Hex, key: Hex, value: Hex },
    Delete { id: u32, key: Hex },
    Flush { id: u32, what: String },
    Stats { id: u32 },
    Receipts { id: u32, worker: u8, first: Hex },
    Ping { id: u32, payload: Hex },
    Drain { id: u32 },
    Welcome(Box<WelcomeFields>),
    Done { id: u32, result: Hex },
    Error { id: u32, code: u8, text: Hex },
    Text { id: u32, text: Hex },
    ReceiptList { id: u32, worker: u8, first: Hex, receipts: Vec<ReceiptFields> },
    Pong { id: u32, draining: bool, payload: Hex },
}

#[derive(PartialEq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TelemetryFields {
    worker: u8,
    port_index: u16,
    nonce: u32,
    received: u32,
    sent: u32,
    dropped: u32,
    residence_us: u32,
}

#[derive(PartialEq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct WelcomeFields {
    id: u32,
    receipts: bool,
    draining: bool,
    updates: bool,
    nonce: u32,
    value_limit: u32,
    cookie: Hex,
    ports: Vec<(u16, String, u8, u16)>,
}

/// Flow, sequence, attempt, outcome, answer datagrams, answer bytes, arrival, residence, port, gets.
type ReceiptFields = (u32, u32, u8, String, u16, u32, Hex, u32, u16, u16);

/// Where what a frame borrows is kept.
#[derive(Default)]
pub(crate) struct Room {
    ranges: [[u8; RANGE_BYTES]; RANGES_MAX],
    ports: Vec<[u8; PORT_BYTES]>,
    receipts: Vec<[u8; RECEIPT_BYTES]>,
}

const REFUSALS: [(Refusal, &str); 4] = [
    (Refusal::VersionGone, "version_gone"),
    (Refusal::TooBig, "too_big"),
    (Refusal::Unreadable, "unreadable"),
    (Refusal::NotServed, "not_served"),
];
const OUTCOMES: [(Outcome, &str); 3] = [
    (Outcome::Answered, "answered"),
    (Outcome::SendRefused, "send_refused"),
    (Outcome::Challenged, "challenged"),
];
const FLUSHED: [(FlushWhat, &str); 2] = [(FlushWhat::Values, "values"), (FlushWhat::PathMtus, "path_mtus")];

fn named<T: PartialEq + Copy>(names: &[(T, &'static str)], wanted: T) -> String {
    names.iter().find(|(found, _)| *found == wanted).expect("a name for each").1.into()
}

fn of_name<T: Copy>(names: &[(T, &str)], name: &str) -> T {
    names.iter().find(|(_, found)| *found == name).unwrap_or_else(|| panic!("no such name: {name}")).0
}

impl From<Telemetry> for TelemetryFields {
    fn from(telemetry: Telemetry) -> Self {
        let Telemetry { worker, port_index, nonce, received, sent, dropped, residence_us } = telemetry;
        TelemetryFields { worker, port_index, nonce, received, sent, dropped, residence_us }
    }
}

impl TelemetryFields {
    pub(crate) fn telemetry(&self) -> Telemetry {
        let TelemetryFields { worker, port_index, nonce, received, sent, dropped, residence_us } = *self;
        Telemetry { worker, port_index, nonce, received, sent, dropped, residence_us }
    }
}

impl FrameMeaning {
    /// What our reader made of a frame.
    pub(crate) fn of(frame: &Frame<'_>) -> Self {
        match *frame {
            Frame::Get(Get { id, key }) => FrameMeaning::Get { id, key: key.into() },
            Frame::Rerequest(Rerequest { id, version, ranges, key }) => FrameMeaning::Rerequest {
                id,
                version: version.into(),
                ranges: ranges.iter().map(|range| (range.offset, range.length)).collect(),
                key: key.into(),
            },
            Frame::Probe(Probe { id, up, down, size }) => FrameMeaning::Probe { id, up, down, size },
            Frame::Cookie(cookie) => FrameMeaning::Cookie { cookie: cookie.0[..].into() },
            Frame::Value(Value { id, sealed }) => FrameMeaning::Value { id, sealed: sealed.into() },
            Frame::Chunk(Chunk { id, version, total, offset, bytes }) => {
                FrameMeaning::Chunk { id, version: version.into(), total, offset, bytes: bytes.into() }
            }
            Frame::Miss { id } => FrameMeaning::Miss { id },
            Frame::Refused(Refused { id, reason, detail }) => {
                FrameMeaning::Refused { id, reason: named(&REFUSALS, reason), detail }
            }
            Frame::ProbeAck(Probe { id, up, down, size }) => FrameMeaning::ProbeAck { id, up, down, size },
            Frame::Challenge(cookie) => FrameMeaning::Challenge { cookie: cookie.0[..].into() },
            Frame::Telemetry(telemetry) => FrameMeaning::Telemetry(telemetry.into()),
            Frame::Control(control) => Self::of_control(&control),
        }
    }

    fn of_control(control: &Control<'_>) -> Self {
        match *control {
            Control::Hello(Hello { id, version_min, version_max, token }) => {
                FrameMeaning::Hello { id, version_min, version_max, token: token.into() }
            }
            Control::Set(Set { id, ttl_s, checksum, key, value }) => {
                let checksum = checksum.to_be_bytes()[..].into();
                FrameMeaning::Set { id, ttl_s, checksum, key: key.into(), value: value.into() }
            }
            Control::Delete(KeyRequest { id, key }) => FrameMeaning::Delete { id, key: key.into() },
            Control::Flush(Flush { id, what }) => FrameMeaning::Flush { id, what: named(&FLUSHED, what) },
            Control::Stats { id } => FrameMeaning::Stats { id },
            Control::Receipts(ReceiptsRequest { id, worker, first }) => {
                FrameMeaning::Receipts { id, worker, first: first.into() }
            }
            Control::Ping(Ping { id, payload }) => FrameMeaning::Ping { id, payload: payload.into() },
            Control::Drain { id } => FrameMeaning::Drain { id },
            Control::Welcome(welcome) => FrameMeaning::Welcome(Box::new(welcome.into())),
            Control::Done(Done { id, result }) => FrameMeaning::Done { id, result: result.into() },
            Control::Error(ErrorText { id, code, text }) => {
                FrameMeaning::Error { id, code: code as u8 + 1, text: text.as_bytes().into() }
            }
            Control::Text(Text { id, text }) => FrameMeaning::Text { id, text: text.as_bytes().into() },
            Control::ReceiptList(ReceiptList { id, worker, first, receipts }) => FrameMeaning::ReceiptList {
                id,
                worker,
                first: first.into(),
                receipts: receipts.iter().map(receipt_fields).collect(),
            },
            Control::Pong(Pong { id, draining, payload }) => {
                FrameMeaning::Pong { id, draining, payload: payload.into() }
            }
        }
    }

    /// The frame to write.
    pub(crate) fn frame<'a>(&'a self, room: &'a mut Room) -> Frame<'a> {
        match self {
            FrameMeaning::Get { id, key } => Frame::Get(Get { id: *id, key: &key.0 }),
            FrameMeaning::Rerequest { id, version, ranges, key } => {
                let ranges = ranges.iter().map(|&(offset, length)| Range { offset, length });
                let ranges = Ranges::encode(ranges, &mut room.ranges).expect("good ranges");
                Frame::Rerequest(Rerequest { id: *id, version: version.number(), ranges, key: &key.0 })
            }
            &FrameMeaning::Probe { id, up, down, size } => Frame::Probe(Probe { up, down, size, id }),
            FrameMeaning::Cookie { cookie } => Frame::Cookie(Cookie(cookie.array())),
            FrameMeaning::Value { id, sealed } => Frame::Value(Value { id: *id, sealed: &sealed.0 }),
            FrameMeaning::Chunk { id, version, total, offset, bytes } => Frame::Chunk(Chunk {
                id: *id,
                version: version.number(),
                total: *total,
                offset: *offset,
                bytes: &bytes.0,
            }),
            &FrameMeaning::Miss { id } => Frame::Miss { id },
            FrameMeaning::Refused { id, reason, detail } => {
                Frame::Refused(Refused { id: *id, reason: of_name(&REFUSALS, reason), detail: *detail })
            }
            &FrameMeaning::ProbeAck { id, up, down, size } => Frame::ProbeAck(Probe { up, down, size, id }),
            FrameMeaning::Challenge { cookie } => Frame::Challenge(Cookie(cookie.array())),
            FrameMeaning::Telemetry(fields) => Frame::Telemetry(fields.telemetry()),
            control => Frame::Control(control.control(room)),
        }
    }

    fn control<'a>(&'a self, room: &'a mut Room) -> Control<'a> {
        match self {
            &FrameMeaning::Hello { id, version_min, version_max, ref token } => {
                Control::Hello(Hello { id, version_min, version_max, token: &token.0 })
            }
            &FrameMeaning::Set { id, ttl_s, ref checksum, ref key, ref value } => {
                let checksum = u32::from_be_bytes(checksum.array());
                Control::Set(Set { id, ttl_s, checksum, key: &key.0, value: &value.0 })
            }
            FrameMeaning::Delete { id, key } => Control::Delete(KeyRequest { id: *id, key: &key.0 }),
            FrameMeaning::Flush { id, what } => {
                Control::Flush(Flush { id: *id, what: of_name(&FLUSHED, what) })
            }
            &FrameMeaning::Stats { id } => Control::Stats { id },
            &FrameMeaning::Receipts { id, worker, ref first } => {
                Control::Receipts(ReceiptsRequest { id, worker, first: first.number() })
            }
            FrameMeaning::Ping { id, payload } => Control::Ping(Ping { id: *id, payload: payload.number() }),
            &FrameMeaning::Drain { id } => Control::Drain { id },
            FrameMeaning::Welcome(fields) => Control::Welcome(fields.welcome(room)),
            FrameMeaning::Done { id, result } => Control::Done(Done { id: *id, result: result.number() }),
            FrameMeaning::Error { id, code, text } => Control::Error(ErrorText {
                id: *id,
                code: ErrorCode::ALL[usize::from(*code) - 1],
                text: utf8(text),
            }),
            FrameMeaning::Text { id, text } => Control::Text(Text { id: *id, text: utf8(text) }),
            &FrameMeaning::ReceiptList { id, worker, ref first, ref receipts } => {
                room.receipts = receipts.iter().map(|fields| receipt(fields).to_bytes()).collect();
                let receipts = Receipts::new(&room.receipts).expect("good receipts");
                Control::ReceiptList(ReceiptList { id, worker, first: first.number(), receipts })
            }
            &FrameMeaning::Pong { id, draining, ref payload } => {
                Control::Pong(Pong { id, draining, payload: payload.number() })
            }
            read => panic!("not a control frame: {read:?}"),
        }
    }

    /// The name in PROTOCOL.md, section 2.2.
    pub(crate) fn name(&self) -> String {
        let debug = format!("{self:?}");
        debug.split([' ', '(']).next().unwrap_or_default().into()
    }
}

fn utf8(text: &Hex) -> &str {
    std::str::from_utf8(&text.0).expect("UTF-8")
}

impl From<Welcome<'_>> for WelcomeFields {
    fn from(welcome: Welcome<'_>) -> Self {
        let Welcome { id, receipts, draining, updates, nonce, value_bytes_max, cookie, ports } = welcome;
        let port = |port: Port| (port.port, port.strategy.name().into(), port.workers, port.datagram_max);
        WelcomeFields {
            id,
            receipts,
            draining,
            updates,
            nonce,
            value_limit: value_bytes_max,
            cookie: cookie.0[..].into(),
            ports: ports.iter().map(port).collect(),
        }
    }
}

impl WelcomeFields {
    fn welcome<'a>(&self, room: &'a mut Room) -> Welcome<'a> {
        let port = |(port, strategy, workers, datagram_max): &(u16, String, u8, u16)| {
            let strategy = Strategy::from_name(strategy).expect("a strategy");
            Port { port: *port, strategy, workers: *workers, datagram_max: *datagram_max }.to_bytes()
        };
        room.ports = self.ports.iter().map(port).collect();
        Welcome {
            id: self.id,
            receipts: self.receipts,
            draining: self.draining,
            updates: self.updates,
            nonce: self.nonce,
            value_bytes_max: self.value_limit,
            cookie: Cookie(self.cookie.array()),
            ports: Ports::new(&room.ports).expect("good ports"),
        }
    }
}

fn receipt_fields(receipt: Receipt) -> ReceiptFields {
    let outcome = named(&OUTCOMES, receipt.outcome);
    let Receipt { flow, sequence, attempt, answer_datagrams, answer_bytes, residence_us, port, gets, .. } =
        receipt;
    let arrival = receipt.arrival_unix_us.into();
    (flow, sequence, attempt, outcome, answer_datagrams, answer_bytes, arrival, residence_us, port, gets)
}

fn receipt(fields: &ReceiptFields) -> Receipt {
    let (flow, sequence, attempt, outcome, answer_datagrams, answer_bytes, arrival, residence_us, port, gets) =
        fields;
    Receipt {
        flow: *flow,
        sequence: *sequence,
        attempt: *attempt,
        outcome: of_name(&OUTCOMES, outcome),
        answer_datagrams: *answer_datagrams,
        answer_bytes: *answer_bytes,
        arrival_unix_us: arrival.number(),
        residence_us: *residence_us,
        port: *port,
        gets: *gets,
    }
}
