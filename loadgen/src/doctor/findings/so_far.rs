//! What the kernel's counters say was lost since the host was started: not when, and not whose, but that it happens.

use std::cmp::Reverse;

use super::super::facts::Host;
use super::{Finding, Severity, Sureness, count};
use crate::limits::RECV_BUFFER_BYTES;

/// So many ports are named, those that dropped most.
const PORTS_NAMED: usize = 5;

/// A counter, the finding's name, what it counts, why that hurts, the fix, the fix's risk.
struct Told {
    counters: &'static [&'static str],
    name: &'static str,
    what: &'static str,
    why: &'static str,
    fix: &'static str,
    risk: &'static str,
}

const TOLD: [Told; 5] = [
    Told {
        counters: &["Udp.RcvbufErrors", "Udp6.RcvbufErrors"],
        name: "receive_buffer_drops",
        what: "datagrams were dropped because a socket's receive buffer was full",
        why: "some program did not receive as fast as datagrams came, or stood still; if it was the one that serves reads, they were lost",
        fix: "ss -ulmn   # `d` after skmem tells each socket's drops",
        risk: "none: it only looks",
    },
    Told {
        counters: &["Udp.SndbufErrors", "Udp6.SndbufErrors"],
        name: "send_queue_drops",
        what: "datagrams were refused on their way out",
        why: "a send buffer or the device's queue was full: bursts are longer than the queue",
        fix: "tc -s qdisc show   # which queue dropped",
        risk: "none: it only looks",
    },
    Told {
        counters: &["Softnet.Dropped"],
        name: "backlog_drops",
        what: "packets were dropped because a CPU's backlog was full",
        why: "a CPU takes packets of loopback, virtual devices and RPS from a queue of net.core.netdev_max_backlog packets, and was too slow",
        fix: "sysctl -w net.core.netdev_max_backlog=16384   # on the host itself, not in a container",
        risk: "packets that wait longer: latency instead of loss",
    },
    Told {
        counters: &["Ip.ReasmFails", "Ip6.ReasmFails"],
        name: "reassembly_failures",
        what: "datagrams in fragments never became whole",
        why: "a fragment was lost, or there was no memory for them; each costs a whole answer",
        fix: "nstat -az IpReasmTimeout IpReasmFails Ip6ReasmTimeout Ip6ReasmFails   # fails without timeouts: no memory",
        risk: "none: it only looks",
    },
    Told {
        counters: &["Udp.InCsumErrors", "Udp6.InCsumErrors"],
        name: "checksum_errors",
        what: "datagrams arrived with a wrong checksum",
        why: "something on the way changes bits; what UDP's 16 bits do not catch gets through to programs that do not check",
        fix: "nstat -az UdpInCsumErrors Udp6InCsumErrors   # see whether it still rises, and with which peers (tcpdump -vv udp)",
        risk: "none: it only looks",
    },
];

/// `served`: the ports that the server answers on.
pub(super) fn find(place: &str, host: &Host, served: &[u16], findings: &mut Vec<Finding>) {
    findings.extend(sockets(place, host, served));
    for told in &TOLD {
        let total: u64 = told.counters.iter().filter_map(|name| host.counters.get(*name)).sum();
        if total == 0 {
            continue;
        }
        findings.push(Finding {
            name: told.name,
            severity: Severity::Note,
            place: place.to_owned(),
            what: format!("so far {} {} ({})", count(total as f64), told.what, told.counters.join(", ")),
            why: told.why.to_owned(),
            fix: vec![told.fix.to_owned()],
            risk: told.risk.to_owned(),
            sureness: Sureness::Possible,
        });
    }
}

/// Which of the sockets that are open dropped datagrams. Those of the server lost requests of reads.
fn sockets(place: &str, host: &Host, served: &[u16]) -> Option<Finding> {
    let mut ports: Vec<_> = host.socket_drops.iter().map(|(port, drops)| (*port, *drops)).collect();
    ports.sort_by_key(|(_, drops)| Reverse(*drops));
    let total = ports.iter().map(|(_, drops)| drops).sum::<u64>();
    if total == 0 {
        return None;
    }
    let is_served = ports.iter().any(|(port, _)| served.contains(port));
    let named = &ports[..ports.len().min(PORTS_NAMED)];
    let each: Vec<_> =
        named.iter().map(|(port, drops)| format!("{} at port {port}", count(*drops as f64))).collect();
    let more = if ports.len() > named.len() { ", ..." } else { "" };
    let filter: Vec<_> = named.iter().map(|(port, _)| format!("sport = :{port}")).collect();
    let mut fix = vec![format!(
        "ss -ulmnp '{}'   # whose they are; after skmem `rb` is the buffer, `d` the drops: whether they still rise",
        filter.join(" or ")
    )];
    if host.number("net.core.rmem_max").is_some_and(|most| most < RECV_BUFFER_BYTES as u64) {
        fix.push(format!(
            "sysctl -w net.core.rmem_max={RECV_BUFFER_BYTES}   # then start again who asks for more than `rb`"
        ));
    }
    Some(Finding {
        name: "socket_drops",
        severity: if is_served { Severity::MayHurt } else { Severity::Note },
        place: place.to_owned(),
        what: format!("UDP sockets dropped {} datagrams since they were opened: {}{more}", count(total as f64), each.join(", ")),
        why: "the receive buffer was full, as its program stood still or had too little CPU, or a checksum was wrong; at a server's port each was a request, and its reads were lost".to_owned(),
        fix,
        risk: "memory: a socket may hold so much when its program stands still".to_owned(),
        sureness: Sureness::Sure,
    })
}

#[cfg(test)]
mod tests {
    use super::super::testing::{facts, finding, found};
    use super::*;

    #[test]
    fn each_counter_that_rose_is_told_with_its_figure() {
        for told in &TOLD {
            for counter in told.counters {
                let mut facts = facts();
                facts.here.counters.insert((*counter).to_owned(), 0);
                assert_eq!(found(&facts), []);
                facts.here.counters.insert((*counter).to_owned(), 1234);
                assert_eq!(found(&facts), [(told.name, Severity::Note)]);
                assert!(finding(&facts, told.name).what.contains("1,234"));
            }
        }
    }

    #[test]
    fn sockets_that_dropped_are_told_by_their_ports_and_the_servers_weigh_more() {
        let mut facts = facts();
        facts.here.socket_drops = [(5353, 1234), (9999, 1)].into();
        assert_eq!(found(&facts), [("socket_drops", Severity::Note)]);
        let other = finding(&facts, "socket_drops");
        assert!(
            other.what.contains("1,235 datagrams")
                && other.what.ends_with("1,234 at port 5353, 1 at port 9999")
        );
        assert!(
            other.fix.len() == 1 && other.fix[0].starts_with("ss -ulmnp 'sport = :5353 or sport = :9999'")
        );
        facts.here.socket_drops.clear();
        let host = facts.server.as_mut().unwrap().host.as_mut().unwrap();
        host.socket_drops = [(7400, 5)].into();
        host.settings.insert("net.core.rmem_max".to_owned(), "212992".to_owned());
        let servers = finding(&facts, "socket_drops");
        assert_eq!((servers.severity, servers.place.as_str()), (Severity::MayHurt, "the server's host"));
        assert!(servers.fix[1].contains("rmem_max=4194304"), "{:?}", servers.fix);
        facts.server.as_mut().unwrap().host.as_mut().unwrap().socket_drops =
            (1..=9).map(|port| (port, 1)).collect();
        let many = finding(&facts, "socket_drops").what;
        assert!(many.ends_with("1 at port 5, ...") && many.contains(" 9 datagrams"), "{many}");
    }

    #[test]
    fn the_servers_counters_are_not_this_hosts() {
        let mut facts = facts();
        let counters = &mut facts.server.as_mut().unwrap().host.as_mut().unwrap().counters;
        counters.insert("Udp.RcvbufErrors".to_owned(), 5);
        assert_eq!(finding(&facts, "receive_buffer_drops").place, "the server's host");
        facts.path.as_mut().unwrap().shares_host = true;
        assert_eq!(found(&facts), [], "in one namespace it is told once, as this host's");
    }
}
