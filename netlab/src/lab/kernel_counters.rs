//! The kernel's counters of a host that speak of losses and of what leads to them.

use std::collections::BTreeMap;

use super::{Host, LabError};

/// Of `/proc/net/snmp`, by protocol and name; `/proc/net/snmp6` writes the same names without the space, after Ip6 and Udp6.
const NAMES: [&str; 18] = [
    "Ip InHdrErrors",
    "Ip InAddrErrors",
    "Ip InDiscards",
    "Ip InTooBigErrors",
    "Ip OutDiscards",
    "Ip OutNoRoutes",
    "Ip ReasmTimeout",
    "Ip ReasmFails",
    "Ip FragFails",
    "Ip FragCreates",
    "Udp NoPorts",
    "Udp InErrors",
    "Udp RcvbufErrors",
    "Udp SndbufErrors",
    "Udp InCsumErrors",
    "Udp MemErrors",
    "Icmp InDestUnreachs",
    "Icmp InPktTooBigs",
];

/// Those that are not 0, as `UdpRcvbufErrors` or `Ip6ReasmFails`.
pub(super) fn read(host: &Host) -> Result<BTreeMap<String, u64>, LabError> {
    let mut counters = ipv4(&host.proc_net("snmp")?);
    counters.extend(ipv6(&host.proc_net("snmp6").unwrap_or_default()));
    counters.retain(|_, count| *count > 0);
    Ok(counters)
}

/// Pairs of lines: `Udp: InDatagrams NoPorts ...` and `Udp: 7 0 ...`.
fn ipv4(text: &str) -> BTreeMap<String, u64> {
    let lines: Vec<&str> = text.lines().collect();
    let pairs =
        lines.chunks_exact(2).filter_map(|pair| Some((pair[0].split_once(": ")?, pair[1].split_once(": ")?)));
    pairs
        .flat_map(|((protocol, names), (_, figures))| {
            let named = names.split_whitespace().zip(figures.split_whitespace());
            named.filter_map(move |(name, figure)| {
                let known = NAMES.contains(&format!("{protocol} {name}").as_str());
                known.then_some((format!("{protocol}{name}"), figure.parse().ok()?))
            })
        })
        .collect()
}

/// A line each: `Udp6RcvbufErrors 0`.
fn ipv6(text: &str) -> BTreeMap<String, u64> {
    let names: Vec<String> = NAMES.iter().map(|name| name.replacen(' ', "6", 1)).collect();
    let figures = text.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        let name = words.next()?.to_owned();
        names.contains(&name).then_some((name, words.next()?.parse().ok()?))
    });
    figures.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_found_by_name_whatever_stands_beside_them() {
        let snmp =
            "Ip: Forwarding ReasmFails\nIp: 1 3\nUdp: InDatagrams NoPorts RcvbufErrors New\nUdp: 9 0 5 1\n";
        assert_eq!(ipv4(snmp)["IpReasmFails"], 3);
        assert_eq!(ipv4(snmp)["UdpRcvbufErrors"], 5);
        assert!(!ipv4(snmp).contains_key("UdpInDatagrams"));
        assert_eq!(
            ipv6("Ip6InReceives  \t4\nUdp6RcvbufErrors\t7\n").into_iter().collect::<Vec<_>>(),
            [("Udp6RcvbufErrors".to_owned(), 7)]
        );
    }
}
