//! A path whose second link is narrower than the first.

use super::Entry;
use super::common::{DELAY, FAMILY};
use super::layout::{CLIENT, Mtus, SERVER, through_router};
use super::parameter::{Kind, Parameter};
use crate::limits::{
    LAB_MTU_BYTES_MAX, LAB_MTU_BYTES_MIN, MTU_BYTES_DEFAULT, MTU_EXPIRES_S_MAX, NARROW_MTU_BYTES,
};
use crate::plan::Plan;
use crate::rules::Rules;
use crate::spec::Spec;
use crate::topology::{Link, Topology};

pub(super) const NARROW: Entry = Entry {
    name: "narrow",
    sentence: "the client's link carries smaller packets than the server's, and the router says so",
    story: "a low-volume client loses its first large answer each time the learned path MTU has expired (story b); switching discovery \
            off under a running server makes it worse (story c)",
    causes: &["pmtu_discovery"],
    parameters: &[CLIENT_MTU, SERVER_MTU, ICMP, MTU_EXPIRES, DELAY, FAMILY],
    check: narrows,
    plan: |spec| {
        let mut rules = Rules::default();
        too_big(&mut rules, spec.word("icmp") == "on");
        narrowed(spec, &rules)
    },
    simulated: |spec| Some(simulated(spec, spec.word("icmp") == "on")),
};

pub(super) const CLIENT_MTU: Parameter = Parameter {
    name: "mtu",
    sentence: "MTU of the client's link",
    kind: Kind::Bytes,
    default: NARROW_MTU_BYTES,
    range: (LAB_MTU_BYTES_MIN, LAB_MTU_BYTES_MAX),
};

pub(super) const SERVER_MTU: Parameter = Parameter {
    name: "server-mtu",
    sentence: "MTU of the server's link, larger than the client's",
    default: MTU_BYTES_DEFAULT,
    ..CLIENT_MTU
};

pub(super) const MTU_EXPIRES: Parameter = Parameter {
    name: "mtu-expires",
    sentence: "how long both hosts remember a path MTU they learned",
    kind: Kind::Seconds,
    default: MTU_EXPIRES_S_MAX,
    range: (1, MTU_EXPIRES_S_MAX),
};

const ICMP: Parameter = Parameter {
    name: "icmp",
    sentence: "whether the router tells the sender of a packet that is too big",
    kind: Kind::Choice(&["on", "off"]),
    default: 0,
    range: (0, 1),
};

/// A narrow path with these rules at its router.
pub(super) fn narrowed(spec: &Spec, rules: &Rules) -> Plan {
    let mtus = Mtus { server: spec.bytes("server-mtu"), client: spec.bytes("mtu") };
    let mut plan = through_router(spec, mtus, rules);
    let expires = spec.number("mtu-expires").to_string();
    for host in [CLIENT, SERVER] {
        let keys = ["net.ipv4.route.mtu_expires", "net.ipv6.route.mtu_expires"];
        plan.hosts[host].sysctls.extend(keys.map(|key| (key.into(), expires.clone())));
    }
    plan
}

/// The same simulated.
pub(super) fn simulated(spec: &Spec, icmp: bool) -> Topology {
    let (server, client) = (spec.bytes("server-mtu"), spec.bytes("mtu"));
    let topology = Topology::new().up(Link::Mtu { mtu: client, icmp: true });
    topology.down(Link::Mtu { mtu: server, icmp: true }).down(Link::Mtu { mtu: client, icmp })
}

pub(super) fn narrows(spec: &Spec) -> Result<(), String> {
    let (server, client) = (spec.number("server-mtu"), spec.number("mtu"));
    if client < server {
        return Ok(());
    }
    Err(format!(
        "mtu={client} is not below server-mtu={server}, so nothing is narrow; lower mtu, raise server-mtu, or take direct"
    ))
}

/// Counts what the router says of packets that are too big, and lets it be heard or not.
pub(super) fn too_big(rules: &mut Rules, heard: bool) {
    let (counter, verdict) = if heard { ("too_big_sent", "") } else { ("too_big_silenced", " drop") };
    rules.table(&format!(
        "table inet too_big {{\ncounter {counter} {{ }}\nchain out {{\n  type filter hook output priority 0; policy accept;\n  \
         icmp type destination-unreachable icmp code frag-needed counter name {counter}{verdict}\n  \
         icmpv6 type packet-too-big counter name {counter}{verdict}\n}}\n}}\n"
    ));
}
