//! Networks that pass so many packets or bits a second and drop the rest.

use super::Entry;
use super::common::{DELAY, DIRECTION_DOWN, FAMILY, MTU, all_go_together, troubled, wide};
use super::layout::{Mtus, through_router};
use super::parameter::{Kind, Parameter};
use crate::limits::{
    BITS_PER_SECOND, BITS_PER_SECOND_MAX, BITS_PER_SECOND_MIN, BURST_BYTES, BURST_BYTES_MAX, BURST_PACKETS,
    BURST_PACKETS_MAX, LAB_MTU_BYTES_MIN, PACKETS_PER_SECOND, PACKETS_PER_SECOND_MAX,
};
use crate::plan::Plan;
use crate::rules::{Rules, loss};
use crate::spec::Spec;
use crate::topology::{Excess, Limit, Link, Topology};

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
        policed(spec, &format!("{}/second burst {} packets", spec.number("limit"), spec.number("burst")))
    },
    simulated: |spec| simulated(spec, Limit::Packets(spec.number("limit")), spec.number("burst")),
};

pub(super) const BANDWIDTH_LIMIT: Entry = Entry {
    name: "bandwidth-limit",
    sentence: "so many bits of IP packets pass in a second, and the rest is dropped",
    story: "the bandwidth allowance of an instance type, after its burst credits are used up",
    causes: &["bandwidth_limit"],
    parameters: &[
        Parameter {
            name: "limit",
            sentence: "bits of IP packets that pass in a second",
            kind: Kind::Bits,
            default: BITS_PER_SECOND,
            range: (BITS_PER_SECOND_MIN, BITS_PER_SECOND_MAX),
        },
        Parameter {
            name: "burst",
            sentence: "bytes that may pass at once after a pause",
            kind: Kind::Memory,
            default: BURST_BYTES,
            range: (LAB_MTU_BYTES_MIN, BURST_BYTES_MAX),
        },
        DIRECTION_DOWN,
        MTU,
        DELAY,
        FAMILY,
    ],
    check: burst_holds_a_packet,
    plan: |spec| {
        policed(
            spec,
            &format!("{} bytes/second burst {} bytes", spec.number("limit") / 8, spec.number("burst")),
        )
    },
    simulated: |spec| simulated(spec, Limit::Bits(spec.number("limit")), spec.number("burst") * 8),
};

fn policed(spec: &Spec, limit: &str) -> Plan {
    let mut rules = Rules::default();
    spec.ways().iter().for_each(|way| loss::policed(&mut rules, *way, limit));
    through_router(spec, Mtus::of(spec), &rules)
}

fn simulated(spec: &Spec, limit: Limit, burst: u64) -> Option<Topology> {
    let link = Link::RateLimit { limit, excess: Excess::Police { burst } };
    Some(troubled(spec, wide(spec.bytes("mtu")), &link))
}

fn burst_holds_a_packet(spec: &Spec) -> Result<(), String> {
    let (burst, mtu) = (spec.number("burst"), spec.number("mtu"));
    if burst >= mtu {
        return Ok(());
    }
    Err(format!(
        "burst={burst} is below mtu={mtu}, so the largest packets would never pass; raise burst or lower mtu"
    ))
}
