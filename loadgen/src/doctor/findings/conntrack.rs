//! Connection tracking: each flow takes an entry, and where the table is full new flows are dropped.

use shingle_server::limits::UDP_PORT;

use super::super::facts::Host;
use super::{Finding, Severity, Sureness, count};

/// Above this share of the table new entries begin to displace others (`nf_conntrack_early_drop` is tried when it is full), and little is
/// left for a burst of clients.
const FULL: f64 = 0.9;

/// `ports`: those the server answers on; none known: its default.
pub(super) fn find(place: &str, host: &Host, ports: &[u16], findings: &mut Vec<Finding>) {
    // Absent where conntrack is not loaded; an empty table where nothing in this namespace uses it.
    let (Some(used), Some(most)) =
        (host.number("net.netfilter.nf_conntrack_count"), host.number("net.netfilter.nf_conntrack_max"))
    else {
        return;
    };
    if used == 0 {
        return;
    }
    let is_full = used as f64 > FULL * most as f64;
    let timeout = |name: &str| {
        let name = format!("net.netfilter.nf_conntrack_{name}");
        host.number(&name).map_or("?".to_owned(), |seconds| format!("{seconds} s"))
    };
    findings.push(Finding {
        name: "conntrack",
        severity: if is_full { Severity::Hurts } else { Severity::Note },
        place: place.to_owned(),
        what: format!(
            "connections are tracked: {} of {} entries are in use; one of UDP is kept for {}, with traffic both ways for {}",
            count(used as f64),
            count(most as f64),
            timeout("udp_timeout"),
            timeout("udp_timeout_stream"),
        ),
        why: if is_full {
            "the table is nearly full: datagrams of new flows are dropped (`nf_conntrack: table full` in dmesg), whatever room sockets have".to_owned()
        } else {
            "every new source port of a client takes an entry, and every datagram a look-up; clients that change ports often can fill the table".to_owned()
        },
        fix: vec![
            notrack(ports),
            format!("sysctl -w net.netfilter.nf_conntrack_max={}   # room for twice as many", 2 * most),
        ],
        risk: "untracked datagrams match no `ct state` rule: accept the port before such rules, and do not use it behind NAT on this host".to_owned(),
        sureness: Sureness::Sure,
    });
}

/// A table of its own, so that no other rule has to be touched.
fn notrack(ports: &[u16]) -> String {
    let ports: Vec<_> = ports.iter().map(u16::to_string).collect();
    let ports = if ports.is_empty() { UDP_PORT.to_string() } else { ports.join(", ") };
    let both = format!("udp dport {{ {ports} }} notrack; udp sport {{ {ports} }} notrack;");
    format!(
        "nft 'table inet shingle_notrack {{ chain in {{ type filter hook prerouting priority raw; {both} }}; chain out {{ type filter hook output priority raw; {both} }}; }}'   # undo: nft delete table inet shingle_notrack"
    )
}

#[cfg(test)]
mod tests {
    use super::super::super::facts::Port;
    use super::super::testing::{facts, finding, found};
    use super::*;

    #[test]
    fn a_table_in_use_is_noted_and_a_full_one_hurts() {
        let mut facts = facts();
        let mut set = |used: &str| {
            for (name, value) in [("count", used), ("max", "1000"), ("udp_timeout", "30")] {
                facts.here.settings.insert(format!("net.netfilter.nf_conntrack_{name}"), value.to_owned());
            }
            facts.clone()
        };
        assert_eq!(found(&set("100")), [("conntrack", Severity::Note)]);
        let full = finding(&set("950"), "conntrack");
        assert_eq!(full.severity, Severity::Hurts);
        assert!(
            full.what.contains("950 of 1,000") && full.what.contains("30 s") && full.what.contains("for ?")
        );
        assert_eq!(found(&set("0")), [], "nothing here uses it");
        let mut facts = set("950");
        assert!(finding(&facts, "conntrack").fix[0].contains("udp dport { 7400 } notrack;"));
        let server = facts.server.as_mut().expect("there is one");
        server.ports.push(Port { port: 9400, ..server.ports[0].clone() });
        assert!(finding(&facts, "conntrack").fix[0].contains("udp sport { 7400, 9400 } notrack;"));
    }
}
