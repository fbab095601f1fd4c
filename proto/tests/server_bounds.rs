//! What no answer may exceed, over many mixes of reads, lengths, sizes and credits.

use proptest::collection::vec;
use proptest::prelude::*;
use shingle_proto::cookie::Proof;
use shingle_proto::limits::{CREDIT_BYTES_MAX, DATAGRAM_BYTES_MAX};
use shingle_proto::server::Facts;
use shingle_proto::wire::{Frame, RequestHeader};

mod server_support;

use server_support::{
    CHUNKED, FRESH, HEADER, ONE_DATAGRAM, PROVEN, STRICT, Store, UNPROVEN, VERSION, ask, assemble, frames,
    gets, rerequest,
};

fn config() -> ProptestConfig {
    ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() }
}

/// Lengths of stored values: mostly small, some that take many chunks.
fn lengths() -> impl Strategy<Value = Vec<usize>> {
    vec(prop_oneof![3 => 0_usize..1500, 1 => 0_usize..70_000], 1..20)
}

fn header(credit: u32) -> impl Strategy<Value = RequestHeader> {
    (any::<bool>(), 1200_u16..=65_507, 0..credit).prop_map(|(telemetry, datagram_max, credit)| {
        RequestHeader { telemetry, datagram_max, credit, ..HEADER }
    })
}

proptest! {
    #![proptest_config(config())]

    /// Per datagram: what the port and the client allow. In all: the credit, or one datagram.
    #[test]
    fn answers_keep_to_datagram_size_and_credit(
        lengths in lengths(),
        header in header(400_000),
        port_max in 1200_u16..=65_507,
        stale in any::<bool>(),
    ) {
        let store = Store::of(&lengths);
        let proof = if stale { Proof::Stale(FRESH) } else { Proof::Valid };
        let facts = Facts { proof, ..PROVEN };
        // One key more than there are values: a miss.
        let request = gets(&header, 0..=lengths.len(), 0);
        for port in [CHUNKED, ONE_DATAGRAM, STRICT] {
            let port = shingle_proto::server::PortLimits { datagram_max: port_max, ..port };
            let (summary, out) = ask(&store, &request, &port, &facts);
            let datagram_max = match (port.one_datagram_answers, port.too_big_is_refused) {
                (true, _) => DATAGRAM_BYTES_MAX,
                (_, true) => usize::from(port_max),
                _ => usize::from(port_max.min(header.datagram_max)),
            };
            let longest = out.datagrams.iter().map(Vec::len).max();
            prop_assert!(longest <= Some(datagram_max));
            let credit = CREDIT_BYTES_MAX.min(header.credit as usize);
            prop_assert!(out.datagrams.len() == 1 || summary.bytes as usize <= credit);
            prop_assert!(!out.datagrams.is_empty());
        }
    }

    /// With credit enough every value comes whole, and each read has its answer.
    #[test]
    fn with_credit_every_value_comes_whole(lengths in vec(0_usize..12_000, 1..16), header in header(1)) {
        let store = Store::of(&lengths);
        let header = RequestHeader { credit: u32::MAX, ..header };
        let (summary, out) = ask(&store, &gets(&header, 0..lengths.len(), 0), &CHUNKED, &PROVEN);
        prop_assert_eq!((usize::from(summary.hits), summary.left_out), (lengths.len(), 0));
        let mut whole = 0;
        for frame in frames(&out) {
            if let Frame::Value(value) = frame {
                store.assert_opens(value.id as usize, value.sealed);
                whole += 1;
            }
        }
        for index in 0..lengths.len() {
            let chunks = assemble(&out, index as u32);
            if !chunks.is_empty() {
                store.assert_opens(index, &chunks);
                whole += 1;
            }
        }
        prop_assert_eq!(whole, lengths.len());
    }

    /// Without a valid cookie an answer is never longer than its request: all reads, lengths, paddings and ports.
    #[test]
    fn nothing_is_amplified(lengths in lengths(), header in header(400_000), padded_to in 0_usize..9000) {
        let store = Store::of(&lengths);
        let mut requests = vec![gets(&header, 0..=lengths.len(), padded_to)];
        requests.extend((0..=lengths.len()).map(|index| gets(&header, [index], padded_to)));
        requests.extend((0..=lengths.len()).map(|index| rerequest(&header, index, VERSION, &[(0, 900), (1000, 50_000)])));
        for request in requests {
            for port in [CHUNKED, ONE_DATAGRAM, STRICT] {
                let (summary, _) = ask(&store, &request, &port, &UNPROVEN);
                prop_assert!(summary.bytes as usize <= request.len(), "{} > {}", summary.bytes, request.len());
                prop_assert!(summary.datagrams > 0);
            }
        }
    }

    /// What the credit left out comes when it is asked for again: reads end after a bounded number of requests.
    #[test]
    fn the_rest_can_be_asked_for(length in 1500_usize..100_000, credit in 1472_u32..20_000) {
        let store = Store::of(&[length]);
        let header = RequestHeader { credit, ..HEADER };
        let (_, out) = ask(&store, &gets(&header, [0], 0), &CHUNKED, &PROVEN);
        let mut value = assemble(&out, 0);
        for _ in 0..100 {
            if value.len() == length + 8 {
                break;
            }
            let missing = (value.len() as u32, (length + 8 - value.len()) as u32);
            let (_, out) = ask(&store, &rerequest(&header, 0, VERSION, &[missing]), &CHUNKED, &PROVEN);
            for frame in frames(&out) {
                let Frame::Chunk(chunk) = frame else { panic!("{frame:?}") };
                prop_assert_eq!(chunk.offset as usize, value.len());
                value.extend_from_slice(chunk.bytes);
            }
        }
        store.assert_opens(0, &value);
    }
}
