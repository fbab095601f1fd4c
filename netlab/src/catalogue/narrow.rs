//! A path whose second link is narrower than the first.

use super::Entry;
use super::common::{DELAY, FAMILY};
use super::draft::Draft;
use super::parameter::{Kind, Parameter};
use crate::limits::{
    LAB_MTU_BYTES_MAX, LAB_MTU_BYTES_MIN, MTU_BYTES_DEFAULT, MTU_EXPIRES_S_MAX, NARROW_MTU_BYTES,
};
use crate::part::Part;
use crate::rules::Rules;

pub(super) const NARROW: Entry = Entry {
    name: "narrow",
    sentence: "the client's link carries smaller packets than the server's, and the router says so",
    story: "a low-volume client loses its first large answer each time the learned path MTU has expired (story b); switching discovery \
            off under a running server makes it worse (story c)",
    causes: &["pmtu_discovery"],
    parameters: &[CLIENT_MTU, SERVER_MTU, ICMP, MTU_EXPIRES, DELAY, FAMILY],
    check: narrows,
    plan: narrowed,
    simulated: Some(|_, topology| topology),
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

/// Lets both hosts remember for so long; the MTUs are the network's.
pub(super) fn narrowed(part: &Part<'_>, draft: &mut Draft) {
    let expires = part.number("mtu-expires").to_string();
    for host in &mut draft.ends {
        let keys = ["net.ipv4.route.mtu_expires", "net.ipv6.route.mtu_expires"]
            .map(|key| (key.into(), expires.clone()));
        // Another part of the network may have said so before.
        host.sysctls.retain(|known| !keys.contains(known));
        host.sysctls.extend(keys);
    }
}

pub(super) fn narrows(part: &Part<'_>) -> Result<(), String> {
    let (server, client) = (part.number("server-mtu"), part.number("mtu"));
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
