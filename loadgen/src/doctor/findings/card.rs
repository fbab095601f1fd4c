//! The network card and its queues: what a cloud's limits held back, rings that ran over, offloads that are off.

use super::super::facts::{Card, Facts};
use super::{Finding, HERE, Severity, Sureness, count, fragments};

pub(super) fn find(facts: &Facts, findings: &mut Vec<Finding>) {
    for card in &facts.here.cards {
        findings.extend(allowances(card));
        findings.extend(ring(card));
        findings.extend(qdisc(card));
        findings.extend(offloads(card));
        findings.extend(one_queue(facts, card));
    }
}

fn allowances(card: &Card) -> Option<Finding> {
    let exceeded: Vec<_> = shingle_udp::nic::allowances_exceeded(&card.counters)
        .filter(|(_, packets)| *packets > 0)
        .map(|(name, packets)| format!("{name} {}", count(packets as f64)))
        .collect();
    if exceeded.is_empty() {
        return None;
    }
    Some(Finding {
        name: "allowance_exceeded",
        severity: Severity::MayHurt,
        place: HERE.to_owned(),
        what: format!("{}: packets held back or dropped by the instance's limits so far: {}", card.name, exceeded.join(", ")),
        why: "the instance sends or receives more packets or bits, or more IP fragments (they count as pps), than its type is allowed; what is above is queued, then lost".to_owned(),
        fix: vec![format!("ethtool -S {} | grep allowance   # see whether it still rises under load; then a larger instance, or fewer packets", card.name)],
        risk: "cost".to_owned(),
        sureness: Sureness::Sure,
    })
}

/// Counters by which drivers tell that a receive ring had no room; each driver has its own words.
fn is_ring_overrun(name: &str) -> bool {
    // A queue's own counters are part of the card's, where drivers have both.
    let is_of_a_queue = name.starts_with("queue_") || name.starts_with("rx_queue_");
    let words = [
        "rx_drops",
        "rx_dropped",
        "rx_missed_errors",
        "rx_no_buffer_count",
        "rx_overruns",
        "rx_out_of_buffer",
        "rx_fifo_errors",
    ];
    !is_of_a_queue && words.contains(&name)
}

fn ring(card: &Card) -> Option<Finding> {
    let over: Vec<_> =
        card.counters.iter().filter(|(name, packets)| is_ring_overrun(name) && **packets > 0).collect();
    let (worst, packets) = over.into_iter().max_by_key(|(_, packets)| **packets)?;
    let holds =
        card.ring.map_or(String::new(), |(now, most)| format!("; a ring holds {now} of at most {most}"));
    let fix = match card.ring {
        Some((now, most)) if now < most => format!("ethtool -G {} rx {most}", card.name),
        _ => format!("ethtool -l {}   # more queues spread the load over more CPUs", card.name),
    };
    Some(Finding {
        name: "ring_overruns",
        severity: Severity::MayHurt,
        place: HERE.to_owned(),
        what: format!(
            "{} dropped {} packets so far for want of room ({worst}){holds}",
            card.name,
            count(*packets as f64)
        ),
        why: "the CPU that empties the ring came too late: such losses show in no counter of UDP".to_owned(),
        fix: vec![fix],
        risk: "setting rings or queues takes the card down for a moment; longer rings cost cache".to_owned(),
        sureness: Sureness::Likely,
    })
}

fn qdisc(card: &Card) -> Option<Finding> {
    let kind = card.qdisc.as_ref().filter(|_| card.qdisc_drops > 0)?;
    Some(Finding {
        name: "qdisc_drops",
        severity: Severity::MayHurt,
        place: HERE.to_owned(),
        what: format!(
            "the queue in front of {} ({kind}) dropped {} packets so far",
            card.name,
            count(card.qdisc_drops as f64)
        ),
        why: "what leaves in bursts faster than the device takes it is lost inside this host".to_owned(),
        fix: vec![format!(
            "tc -s qdisc show dev {}   # which one, its limit; then `tc qdisc change` with a larger one",
            card.name
        )],
        risk: "a longer queue is more latency for everything behind it".to_owned(),
        sureness: Sureness::Sure,
    })
}

/// Offloads that make datagrams dear where they are off.
fn offloads(card: &Card) -> Vec<Finding> {
    let off = |name: &str| card.offloads.get(name) == Some(&false);
    let mut findings = Vec::new();
    if off("rx-gro") {
        findings.push(Finding {
            name: "gro_off",
            severity: Severity::MayHurt,
            place: HERE.to_owned(),
            what: format!("generic receive offload is off on {}", card.name),
            why: "trains of equal datagrams (UDP_GRO) reach a socket one by one, which costs a CPU more for each".to_owned(),
            fix: vec![format!("ethtool -K {} gro on", card.name)],
            risk: "on a router or bridge merged packets may be unwanted; not on an end".to_owned(),
            sureness: Sureness::Sure,
        });
    }
    let sums = ["tx-checksum-ip-generic", "tx-checksum-ipv4"];
    if sums.iter().any(|name| card.offloads.contains_key(*name))
        && sums.iter().all(|name| !card.offloads.get(*name).copied().unwrap_or(false))
    {
        findings.push(Finding {
            name: "checksum_offload_off",
            severity: Severity::MayHurt,
            place: HERE.to_owned(),
            what: format!("{} does not compute checksums of what is sent", card.name),
            why: "the CPU reads every byte once more, and UDP_SEGMENT, which needs it, is refused (EIO): a system call for each datagram".to_owned(),
            fix: vec![format!("ethtool -K {} tx on", card.name)],
            risk: "some virtual devices have it off because what is behind them cannot do it".to_owned(),
            sureness: Sureness::Sure,
        });
    }
    if card.driver == "ena" && off("tx-udp-segmentation") {
        findings.push(Finding {
            name: "udp_segmentation_in_software",
            severity: Severity::Note,
            place: HERE.to_owned(),
            what: format!("{} (ENA) does not cut trains of datagrams itself", card.name),
            why: "UDP_SEGMENT saves system calls there and no packets: the allowance counts each datagram"
                .to_owned(),
            fix: vec![
                "nothing: the card has no such feature; larger datagrams (path MTU 9001) save packets"
                    .to_owned(),
            ],
            risk: "none".to_owned(),
            sureness: Sureness::Sure,
        });
    }
    findings
}

/// Addresses alone in the hash, and one peer. Where answers arrive in fragments that is what keeps them in order.
fn one_queue(facts: &Facts, card: &Card) -> Option<Finding> {
    if fragments::per_s(facts).is_some_and(|fragmented| fragmented > 0.0) {
        return None;
    }
    let is_ipv6 = facts.path.as_ref()?.is_ipv6;
    let (fields, flow) = if is_ipv6 { (&card.hash_v6, "udp6") } else { (&card.hash_v4, "udp4") };
    let fields = fields.as_ref().filter(|fields| !fields.is_empty() && !fields.contains(['f', 'n']))?;
    let queues = card.queues.filter(|queues| *queues > 1)?;
    Some(Finding {
        name: "one_queue_per_peer",
        severity: Severity::MayHurt,
        place: HERE.to_owned(),
        what: format!(
            "{} chooses among its {queues} queues for {flow} by `{fields}`: addresses alone",
            card.name
        ),
        why: "all answers of one server take one queue and one CPU, however many flows read from it"
            .to_owned(),
        fix: vec![format!("ethtool -N {} rx-flow-hash {flow} sdfn", card.name)],
        risk: "later fragments, which carry no ports, then take another queue than first ones".to_owned(),
        sureness: Sureness::Likely,
    })
}

#[cfg(test)]
mod tests {
    use super::super::testing::{facts, finding, found};
    use super::*;

    fn with(change: impl FnOnce(&mut Card)) -> Facts {
        let mut facts = facts();
        change(&mut facts.here.cards[0]);
        facts
    }

    #[test]
    fn allowances_are_told_by_their_names() {
        let card =
            |packets| with(|card| card.counters = [("pps_allowance_exceeded".to_owned(), packets)].into());
        assert_eq!(found(&card(0)), []);
        assert!(finding(&card(7000), "allowance_exceeded").what.contains("pps_allowance_exceeded 7,000"));
        let gauge = with(|card| card.counters = [("conntrack_allowance_available".to_owned(), 9)].into());
        assert_eq!(found(&gauge), [], "a gauge is no loss");
    }

    #[test]
    fn rings_that_ran_over_are_made_longer_where_they_can() {
        let card = |ring| {
            with(|card| {
                card.counters = [("rx_drops".to_owned(), 5), ("rx_queue_0_drops".to_owned(), 9)].into();
                card.ring = Some(ring);
            })
        };
        assert_eq!(finding(&card((256, 4096)), "ring_overruns").fix, ["ethtool -G eth0 rx 4096"]);
        assert!(finding(&card((256, 256)), "ring_overruns").fix[0].starts_with("ethtool -l eth0"));
        assert_eq!(found(&with(|card| card.ring = Some((256, 4096)))), []);
        let unread =
            finding(&with(|card| card.counters = [("rx_drops".to_owned(), 5)].into()), "ring_overruns");
        assert!(unread.what.ends_with("(rx_drops)"), "a ring that was not read: {}", unread.what);
    }

    #[test]
    fn a_queue_in_front_of_the_card_that_dropped_is_told() {
        let card = |drops| with(|card| (card.qdisc, card.qdisc_drops) = (Some("fq_codel".to_owned()), drops));
        assert_eq!(found(&card(0)), []);
        assert_eq!(found(&card(3)), [("qdisc_drops", Severity::MayHurt)]);
    }

    #[test]
    fn offloads_matter_where_they_are_known_to_be_off() {
        let set = |name: &str, on| with(|card| card.offloads = [(name.to_owned(), on)].into());
        assert_eq!(found(&set("rx-gro", true)), []);
        assert_eq!(found(&set("rx-gro", false)), [("gro_off", Severity::MayHurt)]);
        assert_eq!(found(&set("tx-checksum-ip-generic", true)), []);
        assert_eq!(
            found(&set("tx-checksum-ip-generic", false)),
            [("checksum_offload_off", Severity::MayHurt)]
        );
        let mut ena = set("tx-udp-segmentation", false);
        assert_eq!(found(&ena), []);
        ena.here.cards[0].driver = "ena".to_owned();
        assert_eq!(finding(&ena, "udp_segmentation_in_software").severity, Severity::Note);
    }

    #[test]
    fn one_queue_for_one_peer_is_told() {
        let hash =
            |fields: &str| with(|card| (card.hash_v4, card.queues) = (Some(fields.to_owned()), Some(8)));
        assert_eq!(found(&hash("sd")), [("one_queue_per_peer", Severity::MayHurt)]);
        assert_eq!(found(&hash("sdfn")), []);
    }
}
