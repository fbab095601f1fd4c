//! What a host's kernel counted between two readings, and what of it may be put down to whom.

use std::collections::BTreeMap;

use crate::attribution::HostCounters;
use crate::target::Placement;

/// Counters by `PROTOCOL.Name`, as `shingle_udp::counters::Snapshot::flat` names them.
pub(super) type Named = BTreeMap<String, u64>;

/// What rose between two readings of a host's counters. One that went back was reset, or is another namespace's: what it rose by is not
/// known, and it is left out. `host` is whose it is, in words.
pub(super) fn risen(now: &Named, before: &Named, host: &str, gaps: &mut Vec<String>) -> Named {
    let mut risen = Named::new();
    for (name, now) in now {
        match before.get(name).map(|before| now.checked_sub(*before)) {
            Some(Some(growth)) => drop(risen.insert(name.clone(), growth)),
            Some(None) => gaps.push(went_back(name, host)),
            None => {}
        }
    }
    risen
}

/// Says that a counter went back.
pub(super) fn went_back(name: &str, host: &str) -> String {
    format!("what {name} of {host} rose by (it went back: reset, or that of another network namespace)")
}

/// What attribution may put down to one of the hosts: nothing where both ends count into the same counters.
pub(super) fn of_one_host(risen: &Named, placement: Placement) -> HostCounters {
    let mut host = HostCounters::default();
    if !placement.shares_counters() {
        host.risen.clone_from(risen);
    }
    if placement == Placement::Lab {
        host.risen.retain(|name, _| !is_of_the_machine(name));
    }
    host
}

/// Counters that the kernel keeps for the whole machine, not for a namespace: in a laboratory they are neither host's.
pub(super) fn is_of_the_machine(name: &str) -> bool {
    name.starts_with("Softnet.") || name.starts_with("Cpu.")
}

/// Of the drops at our own sockets, those for a wrong UDP checksum and those for want of buffer: the kernel counts both in one number
/// a socket. The namespace's counters, which others raise too, only split that number; want of buffer goes first.
pub(super) fn split_drops(socket_drops: u64, kernel: &HostCounters) -> (u64, u64) {
    let both = |name| kernel.both("Udp", name).unwrap_or(0);
    let beyond_buffer = socket_drops.saturating_sub(both("RcvbufErrors"));
    let corrupted = beyond_buffer.min(both("InCsumErrors"));
    (corrupted, socket_drops - corrupted)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(counters: &[(&str, u64)]) -> Named {
        counters.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect()
    }

    #[test]
    fn a_namespaces_counters_prove_nothing_that_our_sockets_do_not_show() {
        let counters = |rcvbuf_errors, csum_errors| HostCounters {
            risen: named(&[("Udp.RcvbufErrors", rcvbuf_errors), ("Udp6.InCsumErrors", csum_errors)]),
            ..HostCounters::default()
        };
        assert_eq!(split_drops(0, &counters(0, 1665)), (0, 0));
        assert_eq!(split_drops(10, &counters(0, 4)), (4, 6));
        assert_eq!(split_drops(10, &counters(10, 4)), (0, 10));
        assert_eq!(split_drops(10, &counters(7, 1665)), (3, 7));
    }

    #[test]
    fn what_went_back_or_is_in_one_reading_only_is_not_known() {
        let (now, before) = (named(&[("a", 5), ("b", 1), ("c", 1)]), named(&[("a", 2), ("b", 9), ("d", 1)]));
        let mut gaps = Vec::new();
        assert_eq!(risen(&now, &before, "the server's host", &mut gaps), named(&[("a", 3)]));
        assert!(gaps.len() == 1 && gaps[0].contains("what b of the server's host"), "{gaps:?}");
    }

    #[test]
    fn counters_are_put_down_to_a_host_that_has_its_own() {
        let risen = named(&[("Ip.ReasmFails", 3), ("Softnet.Dropped", 1), ("Cpu.steal_us", 1)]);
        assert_eq!(of_one_host(&risen, Placement::Apart).risen, risen);
        assert_eq!(of_one_host(&risen, Placement::Lab).risen, named(&[("Ip.ReasmFails", 3)]));
        assert!(of_one_host(&risen, Placement::SameHost).risen.is_empty());
        assert!(of_one_host(&risen, Placement::Embedded).risen.is_empty());
    }
}
