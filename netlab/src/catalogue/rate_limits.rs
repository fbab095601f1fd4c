//! Networks that pass so many packets or bits a second and drop the rest.

use super::Entry;
use super::common::{DELAY, DIRECTION_DOWN, FAMILY, MTU, all_go_together, troubled, wide};
use super::layout::{
    CLIENT, CLIENT_DEVICE, Mtus, ROUTER, ROUTER_CLIENT, ROUTER_SERVER, SERVER, SERVER_DEVICE, through_router,
    token_bucket,
};
use super::parameter::{Kind, Parameter};
use crate::limits::{
    BITS_PER_SECOND, BITS_PER_SECOND_MAX, BITS_PER_SECOND_MIN, BURST_BYTES, BURST_BYTES_MAX, BURST_PACKETS,
    BURST_PACKETS_MAX, PACKETS_PER_SECOND, PACKETS_PER_SECOND_MAX, QUEUE_BYTES, QUEUE_BYTES_MIN,
};
use crate::plan::Plan;
use crate::rules::{Rules, loss};
use crate::spec::Spec;
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
    plan: |spec| {
        let (limit, burst) = (spec.number("limit"), spec.number("burst"));
        let mut rules = Rules::default();
        spec.ways().iter().for_each(|way| loss::policed(&mut rules, *way, limit, burst));
        through_router(spec, Mtus::of(spec), &rules)
    },
    simulated: |spec| {
        let excess = Excess::Police { burst: spec.number("burst") };
        Some(simulated(spec, Limit::Packets(spec.number("limit")), excess))
    },
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
    simulated: |spec| {
        // What waits passes as well: only drops are the same.
        let burst = (spec.number("burst") + spec.number("queue")) * 8;
        Some(simulated(spec, Limit::Bits(spec.number("limit")), Excess::Police { burst }))
    },
};

fn simulated(spec: &Spec, limit: Limit, excess: Excess) -> Topology {
    troubled(spec, wide(spec.bytes("mtu")), &Link::RateLimit { limit, excess })
}

/// The router's queue towards the end; nft's own limit of bytes is no use, for its bucket holds a second of the rate at least (nft_limit.c). What
/// came through is counted at the end.
fn shaped(spec: &Spec) -> Plan {
    let mut plan = through_router(spec, Mtus::of(spec), &Rules::default());
    for way in spec.ways() {
        let (device, end, at) = match way {
            Direction::Up => (ROUTER_SERVER, SERVER, SERVER_DEVICE),
            Direction::Down => (ROUTER_CLIENT, CLIENT, CLIENT_DEVICE),
        };
        let [limit, burst, queue] = ["limit", "burst", "queue"].map(|name| spec.number(name));
        plan.hosts[ROUTER].shaping.push(token_bucket(device, limit, burst, queue));
        plan.hosts[end].rules = Rules::arrivals(*way, at);
    }
    plan
}
