//! Vectors of requests and what a server answers them with.

use serde::Deserialize;
use shingle_proto::cookie::{Cookie, Proof};
use shingle_proto::limits::DATAGRAM_BYTES_MAX;
use shingle_proto::server::{Answer, Facts, Found, PortLimits, Workspace, answer_over_tcp};
use shingle_proto::wire::{Carrier, Request, next_message};

use super::Hex;
use super::frames::TelemetryFields;
use super::messages::CarrierName;

/// `answers.json`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AnswerVector {
    pub(crate) name: String,
    #[serde(rename = "section")]
    _section: String,
    carrier: CarrierName,
    port: PortFields,
    proof: ProofName,
    new_cookie: Option<Hex>,
    draining: bool,
    telemetry: Option<TaggedTelemetry>,
    store: Vec<Item>,
    request: Hex,
    pub(crate) answers: Vec<Hex>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PortFields {
    strategy: String,
    largest: u16,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum ProofName {
    Valid,
    Stale,
    Missing,
}

/// The frame to be sent, as in the messages.
#[derive(Deserialize)]
#[serde(tag = "type")]
enum TaggedTelemetry {
    #[serde(rename = "TELEMETRY")]
    Telemetry(TelemetryFields),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Item {
    key: Hex,
    version: Option<Hex>,
    sealed: Option<Hex>,
    #[serde(default)]
    unreadable: bool,
}

impl AnswerVector {
    fn find(&self, key: &[u8]) -> Found<'_> {
        match self.store.iter().find(|item| item.key.0 == key) {
            None => Found::Nothing,
            Some(Item { version: Some(version), sealed: Some(sealed), unreadable: false, .. }) => {
                Found::Value { sealed: &sealed.0, version: version.number() }
            }
            Some(Item { version: None, sealed: None, unreadable: true, .. }) => Found::Unreadable,
            Some(_) => panic!("{}: an item has version and sealed, or is unreadable", self.name),
        }
    }

    /// What section 4.1 says of this port's strategy.
    fn limits(&self) -> PortLimits {
        let (one_datagram, refuses, df) = match self.port.strategy.as_str() {
            "chunked" | "compressed" => (false, false, true),
            "kernel-pmtud" | "df-off" | "interface" => (true, false, false),
            "df-strict" => (true, true, true),
            other => panic!("{}: no such strategy: {other}", self.name),
        };
        PortLimits {
            datagram_max: self.port.largest,
            one_datagram_answers: one_datagram,
            too_big_is_refused: refuses,
            probes_served: df,
        }
    }

    fn facts(&self) -> Facts {
        let cookie = self.new_cookie.as_ref().map(|cookie| Cookie(cookie.array()));
        let proof = match (&self.proof, cookie) {
            (ProofName::Valid, None) => Proof::Valid,
            (ProofName::Stale, Some(fresh)) => Proof::Stale(fresh),
            (ProofName::Missing, Some(fresh)) => Proof::Missing(fresh),
            _ => panic!("{}: a new cookie where one is due", self.name),
        };
        let telemetry = self.telemetry.as_ref().map(|TaggedTelemetry::Telemetry(fields)| fields.telemetry());
        Facts { proof, draining: self.draining, telemetry }
    }
}

/// The datagrams, or messages with their lengths, that our server core answers with.
pub(crate) fn of(vector: &AnswerVector) -> Vec<Hex> {
    match vector.carrier {
        CarrierName::Udp => {
            let request = Request::parse(&vector.request.0, Carrier::Udp).expect(&vector.name);
            let (mut workspace, mut room) = (Workspace::new(), vec![0; DATAGRAM_BYTES_MAX]);
            let limits = vector.limits();
            let planned =
                Answer::new(&request, &limits, &vector.facts(), &mut workspace, |_, key| vector.find(key));
            planned
                .map(|datagram| {
                    let length = datagram.write(&mut room);
                    Hex::from(&room[..length])
                })
                .collect()
        }
        CarrierName::Tcp => {
            let (_, message) = next_message(&vector.request.0).expect(&vector.name).expect("a whole message");
            let request = Request::parse(message, Carrier::Tcp).expect(&vector.name);
            let mut stream = Vec::new();
            answer_over_tcp(&request, vector.draining, |_, key| vector.find(key), &mut stream);
            let mut rest = stream.as_slice();
            let mut out = Vec::new();
            while let Some((bytes, _)) = next_message(rest).expect("not too long") {
                let (message, behind) = rest.split_at(bytes);
                out.push(message.into());
                rest = behind;
            }
            assert!(rest.is_empty(), "{}: half a message", vector.name);
            out
        }
    }
}
