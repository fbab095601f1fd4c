//! What a client has left when everything ended: no read, no part and no credit leaked. Seen from outside: a faithful server brings it as
//! many of the largest values as its memory holds, twice, and its requests announce what those of a new client do.

use shingle_proto::client::{Client, ClientConfig, Ended, Join};
use shingle_proto::cookie::Proof;
use shingle_proto::limits::DATAGRAM_BYTES_MAX;
use shingle_proto::server::{self, Facts, Found, PortLimits, Workspace};
use shingle_proto::wire::{Carrier, Request};

use crate::values::{key, sealed};

/// Memory that one of the largest values takes: the next power of two.
const BLOCK_BYTES: usize = 1 << 15;
const VERSION: u64 = 1 << 40;
/// Requests in which all values come, were it a chunk each, and heartbeats and probes.
const REQUESTS_MAX: usize = 10_000;
const PORT: PortLimits = PortLimits {
    datagram_max: DATAGRAM_BYTES_MAX as u16,
    one_datagram_answers: false,
    too_big_is_refused: false,
    probes_served: true,
};

/// A request for reads: the datagrams it allows, and their credit.
#[derive(Debug, PartialEq)]
struct Announced {
    datagram_max: u16,
    credit: u32,
}

/// Checks a client of which every read ended and nothing lingers. `config` says what receive buffer it has by now.
pub(super) fn check(client: &mut Client, config: ClientConfig, now_ns: u64) {
    assert_eq!(client.in_flight(), 0, "every read has ended");
    let stored = stored(&config);
    let mut of_new: Option<Vec<Announced>> = None;
    for _ in 0..2 {
        let aged = read_largest(client, &config, &stored, now_ns);
        let datagram_max = aged[0].datagram_max;
        if of_new.as_ref().is_none_or(|of_new| of_new[0].datagram_max != datagram_max) {
            let alike = ClientConfig { datagram_max, search: None, ..config };
            let mut new = Client::new(alike).expect("settings in range");
            of_new = Some(read_largest(&mut new, &alike, &stored, now_ns));
        }
        let expected = of_new.as_deref().unwrap_or_default();
        // The search of the aged one may go on, and with another size come other credits.
        let same = aged.iter().take_while(|announced| announced.datagram_max == datagram_max).count();
        let same = same.min(expected.len());
        assert_eq!(aged[..same], expected[..same], "credit as that of a new client");
    }
}

/// As many of the largest values as there is memory for at once.
fn stored(config: &ClientConfig) -> Vec<Vec<u8>> {
    let count = config.partial_max.min(config.in_flight_max).min(config.reassembly_bytes / BLOCK_BYTES);
    (0..count as u8).map(|number| sealed(&key(number), VERSION, config.value_bytes_max)).collect()
}

/// Reads all values at once.
fn read_largest(
    client: &mut Client,
    config: &ClientConfig,
    stored: &[Vec<u8>],
    now_ns: u64,
) -> Vec<Announced> {
    let count = stored.len();
    let rerequests = client.counters().rerequests;
    for number in 0..count as u8 {
        client.get(now_ns, &key(number), number.into(), u64::MAX, Join::Alone).expect("room for a read");
    }
    let mut announced = Vec::new();
    let mut out = vec![0; client.transmit_bytes_max()];
    let mut ended = 0;
    // All that is to be sent goes out before the first answer comes: the reads share what there is.
    for _ in 0..REQUESTS_MAX {
        let mut requests = Vec::new();
        while let Some(sent) = client.poll_transmit(now_ns, &mut out) {
            requests.push(out[..sent.bytes].to_vec());
        }
        if requests.is_empty() {
            break;
        }
        for bytes in requests {
            let request = Request::parse(&bytes, Carrier::Udp).expect("what is sent can be read");
            if request.reads > 0 {
                let header = request.header;
                announced.push(Announced { datagram_max: header.datagram_max, credit: header.credit });
            }
            answer(&request, stored, |datagram| {
                client.handle_datagram(now_ns, datagram, &mut |event| {
                    let sealed = &stored[event.token as usize];
                    let wanted = &sealed[sealed.len() - config.value_bytes_max..];
                    match event.end {
                        Ended::Value(found) => assert!(found == wanted, "the value"),
                        other => panic!("from a faithful server: {other:?}"),
                    }
                    ended += 1;
                });
            });
        }
    }
    assert_eq!((ended, client.in_flight()), (count, 0), "all values come without any waiting");
    assert_eq!(client.counters().rerequests, rerequests, "nothing was lost");
    announced
}

/// What a server sends that has the values and knows the client.
fn answer(request: &Request<'_>, stored: &[Vec<u8>], mut deliver: impl FnMut(&[u8])) {
    let facts = Facts { proof: Proof::Valid, draining: false, telemetry: None };
    let mut workspace = Workspace::new();
    let find = |_, key: &[u8]| Found::Value { sealed: &stored[usize::from(key[1])], version: VERSION };
    for datagram in server::Answer::new(request, &PORT, &facts, &mut workspace, find) {
        let mut bytes = vec![0; datagram.len()];
        datagram.write(&mut bytes);
        deliver(&bytes);
    }
}
