//! Networks that pass so many packets or bits a second and drop the rest.

use super::Entry;
use super::common::{DELAY, DIRECTION_DOWN, FAMILY, MTU, all_go_together, troubled};
use super::draft::Draft;
use super::layout::{
    CLIENT, CLIENT_DEVICE, ROUTER_CLIENT, ROUTER_SERVER, SERVER, SERVER_DEVICE, token_bucket,
};
use super::parameter::{Kind, Parameter};
use crate::limits::{
    BITS_PER_SECOND, BITS_PER_SECOND_MAX, BITS_PER_SECOND_MIN, BURST_BYTES, BURST_BYTES_MAX, BURST_PACKETS,
    BURST_PACKETS_MAX, PACKETS_PER_SECOND, PACKETS_PER_SECOND_MAX, QUEUE_BYTES, QUEUE_BYTES_MIN,
};
use crate::part::Part;
use crate::rules::{Rules, loss};
use crate::topology::{Direction, Excess, Limit, Link, Topology};

pub(super) const PACKET_LIMIT: Entry = Entry {
    name: "packet-limit",
    sentence: "so many packets pass in a second, and the rest is dropped",
    story: "the packets-per-second allowance of an instance type",
    causes: &["packet_rate_limit"],
    parameters: &[
        Parameter {
            name: "limit",
            sentence: "packets that pass in a second",
            kind: Kind::PerSecond,
            default: PACKETS_PER_SECOND,
            range: (1, PACKETS_PER_SECOND_MAX),
        },
        Parameter {
            name: "burst",
            sentence: "packets that may pass at once after a pause",
            kind: Kind::Count("packets, such as 100"),
            default: BURST_PACKETS,
            range: (1, BURST_PACKETS_MAX),
        },
        DIRECTION_DOWN,
        MTU,
        DELAY,
        FAMILY,
    ],
    check: all_go_together,
    plan: |part, draft| {
        let (limit, burst) = (part.number("limit"), part.number("burst"));
        part.ways().iter().for_each(|way| loss::policed(&mut draft.rules, *way, limit, burst));
    },
    simulated: Some(|part, topology| {
        let excess = Excess::Police { burst: part.number("burst") };
        limited(part, topology, Limit::Packets(part.number("limit")), excess)
    }),
};

pub(super) const BANDWIDTH_LIMIT: Entry = Entry {
    name: "bandwidth-limit",
    sentence: "so many bits pass in a second, a few more wait, and the rest is dropped",
    story: "the bandwidth allowance of an instance type, after its burst credits are used up",
    causes: &["bandwidth_limit"],
    parameters: &[
        Parameter {
            name: "limit",
            sentence: "bits that pass in a second, of packets with their 14 bytes of Ethernet header",
            kind: Kind::Bits,
            default: BITS_PER_SECOND,
            range: (BITS_PER_SECOND_MIN, BITS_PER_SECOND_MAX),
        },
        Parameter {
            name: "burst",
            sentence: "bytes that may pass at once after a pause",
            kind: Kind::Memory,
            default: BURST_BYTES,
            range: (QUEUE_BYTES_MIN, BURST_BYTES_MAX),
        },
        Parameter {
            name: "queue",
            sentence: "bytes that may wait",
            kind: Kind::Memory,
            default: QUEUE_BYTES,
            range: (QUEUE_BYTES_MIN, BURST_BYTES_MAX),
        },
        DIRECTION_DOWN,
        MTU,
        DELAY,
        FAMILY,
    ],
    check: all_go_together,
    plan: shaped,
    simulated: Some(|part, topology| {
        // What waits passes as well: only drops are the same.
        let burst = (part.number("burst") + part.number("queue")) * 8;
        limited(part, topology, Limit::Bits(part.number("limit")), Excess::Police { burst })
    }),
};

fn limited(part: &Part<'_>, topology: Topology, limit: Limit, excess: Excess) -> Topology {
    troubled(part, topology, &Link::RateLimit { limit, excess })
}

/// The router's queue towards the end; nft's own limit of bytes is no use, for its bucket holds a second of the rate at least (nft_limit.c). What
/// came through is counted at the end.
fn shaped(part: &Part<'_>, draft: &mut Draft) {
    for way in part.ways() {
        let (device, end, at) = match way {
            Direction::Up => (ROUTER_SERVER, SERVER, SERVER_DEVICE),
            Direction::Down => (ROUTER_CLIENT, CLIENT, CLIENT_DEVICE),
        };
        let [limit, burst, queue] = ["limit", "burst", "queue"].map(|name| part.number(name));
        draft.queues.push((device, token_bucket(device, limit, burst, queue)));
        draft.ends[end].rules += &Rules::arrivals(*way, at);
    }
}
