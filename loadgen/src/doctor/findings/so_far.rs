//! What the kernel's counters say was lost since the host was started: not when, and not whose, but that it happens.

use super::super::facts::Host;
use super::{Finding, Severity, Sureness, count};

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

pub(super) fn find(place: &str, host: &Host, findings: &mut Vec<Finding>) {
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
    fn the_servers_counters_are_not_this_hosts() {
        let mut facts = facts();
        let counters = &mut facts.server.as_mut().unwrap().host.as_mut().unwrap().counters;
        counters.insert("Udp.RcvbufErrors".to_owned(), 5);
        assert_eq!(finding(&facts, "receive_buffer_drops").place, "the server's host");
        facts.path.as_mut().unwrap().shares_host = true;
        assert_eq!(found(&facts), [], "in one namespace it is told once, as this host's");
    }
}
