//! What a host's kernel counted between two readings, and what of it may be put down to whom.

use std::collections::{BTreeMap, BTreeSet};

use shingle_udp::counters::Delta;

use crate::attribution::HostCounters;
use crate::target::Placement;

/// Counters by `PROTOCOL.Name`, as `shingle_udp::counters::Snapshot::flat` names them.
pub(super) type Named = BTreeMap<String, u64>;

/// Families of counters of which one went back, and which and when, in words: what its neighbours rose by is not known either.
pub(super) type Back = BTreeMap<String, String>;

/// The counters that this one is read and reset together with: a namespace's, a device's, or the host's of one kind.
pub(super) fn family(name: &str) -> &str {
    match name.split_once('.') {
        Some(("Ip" | "IpExt" | "Icmp" | "Udp" | "Ip6" | "Icmp6" | "Udp6", _)) => "IP, ICMP and UDP",
        _ => name.rsplit_once('.').map_or(name, |(family, _)| family),
    }
}

/// What rose between two readings of a host's counters, as far as it is known. `host` is whose they are, in words.
pub(super) fn risen(now: &Named, before: &Named, host: &str, gaps: &mut Vec<String>) -> Named {
    let mut delta = Delta::default();
    for name in now.keys().chain(before.keys().filter(|name| !now.contains_key(*name))) {
        match now.get(name).zip(before.get(name)).map(|(now, before)| now.checked_sub(*before)) {
            Some(Some(growth)) => drop(delta.counters.insert(name.clone(), growth)),
            Some(None) => delta.reset.push(name.clone()),
            None => delta.unknown.push(name.clone()),
        }
    }
    known(delta, host, gaps)
}

/// The same of what is worked out already.
pub(super) fn known(delta: Delta, host: &str, gaps: &mut Vec<String>) -> Named {
    let Delta { mut counters, reset, unknown, .. } = delta;
    let once: BTreeSet<_> = unknown.iter().map(|name| family(name)).collect();
    if !once.is_empty() {
        let families = Vec::from_iter(once).join("; ");
        gaps.push(format!("some counters of {host} ({families}: there at one end of the stage only)"));
    }
    let told = |name: String| (family(&name).to_owned(), format!("{name} went back during the stage"));
    let back: Back = reset.into_iter().map(told).collect();
    forget(&mut counters, "", &back);
    tell(&back, host, gaps);
    counters
}

/// Takes what went back out of counters whose names begin with `side`.
pub(super) fn forget(counters: &mut Named, side: &str, back: &Back) {
    let stays = |name: &str| !back.contains_key(family(name));
    counters.retain(|name, _| name.strip_prefix(side).is_none_or(stays));
}

/// Says what went back.
pub(super) fn tell(back: &Back, host: &str, gaps: &mut Vec<String>) {
    for (family, how) in back {
        let what = format!("what the {family} counters of {host} rose by (");
        // Looks in mid-run know the time better than the readings at the ends, which spoke first.
        gaps.retain(|gap| !gap.starts_with(&what));
        gaps.push(format!("{what}{how}: reset, wrapped, or another network namespace's)"));
    }
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
/// a socket. The namespace's counters, which others raise too, only split that number; want of buffer goes first. Where one of them is not
/// known, what the other leaves open is neither, and a gap. `host` is whose sockets they are, in words.
pub(super) fn split_drops(
    socket_drops: u64,
    kernel: &Named,
    host: &str,
    gaps: &mut Vec<String>,
) -> (u64, u64) {
    let kernel = HostCounters { risen: kernel.clone(), ..HostCounters::default() };
    let [full, wrong] = ["RcvbufErrors", "InCsumErrors"].map(|name| kernel.both("Udp", name));
    let (corrupted, unbuffered) = match (full, wrong) {
        (Some(full), Some(wrong)) => {
            let corrupted = socket_drops.saturating_sub(full).min(wrong);
            (corrupted, socket_drops - corrupted)
        }
        (Some(full), None) => (0, socket_drops.min(full)),
        (None, Some(wrong)) => (0, socket_drops.saturating_sub(wrong)),
        (None, None) => (0, 0),
    };
    let open = socket_drops - corrupted - unbuffered;
    let gap = format!(
        "why {open} datagrams were dropped at sockets of {host}: for want of buffer, or for a wrong checksum (Udp.RcvbufErrors and Udp.InCsumErrors are not both known)"
    );
    if open > 0 && !gaps.contains(&gap) {
        gaps.push(gap);
    }
    (corrupted, unbuffered)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(counters: &[(&str, u64)]) -> Named {
        counters.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect()
    }

    #[test]
    fn a_namespaces_counters_prove_nothing_that_our_sockets_do_not_show() {
        let split = |drops, rcvbuf_errors, csum_errors| {
            let kernel = named(&[("Udp.RcvbufErrors", rcvbuf_errors), ("Udp6.InCsumErrors", csum_errors)]);
            let mut gaps = Vec::new();
            let split = split_drops(drops, &kernel, "this host", &mut gaps);
            assert!(gaps.is_empty(), "{gaps:?}");
            split
        };
        assert_eq!(split(0, 0, 1665), (0, 0));
        assert_eq!(split(10, 0, 4), (4, 6));
        assert_eq!(split(10, 10, 4), (0, 10));
        assert_eq!(split(10, 7, 1665), (3, 7));
    }

    #[test]
    fn drops_whose_reason_the_kernel_does_not_tell_are_put_down_to_none() {
        for (known, split) in [
            (named(&[]), (0, 0)),
            (named(&[("Udp.RcvbufErrors", 4)]), (0, 4)),
            (named(&[("Udp.InCsumErrors", 4)]), (0, 6)),
        ] {
            let mut gaps = Vec::new();
            assert_eq!(split_drops(10, &known, "this host", &mut gaps), split, "{known:?}");
            let open = format!("why {} datagrams", 10 - split.1);
            assert!(gaps.len() == 1 && gaps[0].starts_with(&open), "{gaps:?}");
            assert_eq!(split_drops(0, &known, "this host", &mut gaps), (0, 0));
            assert_eq!(gaps.len(), 1, "nothing was dropped, nothing is open: {gaps:?}");
        }
    }

    #[test]
    fn what_went_back_or_is_in_one_reading_only_is_not_known() {
        let now = named(&[("a.a", 5), ("b.b", 1), ("b.c", 9), ("c.c", 1)]);
        let before = named(&[("a.a", 2), ("b.b", 9), ("b.c", 1), ("d.d", 1)]);
        let mut gaps = Vec::new();
        assert_eq!(risen(&now, &before, "the server's host", &mut gaps), named(&[("a.a", 3)]));
        assert_eq!(gaps.len(), 2, "{gaps:?}");
        assert!(gaps[0].contains("of the server's host (c; d:"), "{gaps:?}");
        assert!(
            gaps[1].contains("what the b counters of the server's host") && gaps[1].contains("b.b went back")
        );
    }

    #[test]
    fn counters_of_one_namespace_or_device_belong_together() {
        let families =
            ["Udp.InErrors", "Ip6.ReasmFails", "Nic.eth0.7.rx_drops", "Cpu.steal_us", "b"].map(family);
        assert_eq!(families, ["IP, ICMP and UDP", "IP, ICMP and UDP", "Nic.eth0.7", "Cpu", "b"]);
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
