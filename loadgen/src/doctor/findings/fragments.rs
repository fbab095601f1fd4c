//! What fragments cost where answers leave in them: the cloud card's limit, the receiver's memory for what never becomes whole, and the
//! queues they take.

use super::super::facts::{Card, Facts, Host};
use super::{Finding, HERE, Severity, Sureness, THERE, bytes, count};

/// Fragments a second that an ENA card lets out, unless its driver counts them as ordinary packets (ENA_Linux_Best_Practices.rst).
const ENA_FRAGMENTS_PER_S: f64 = 1024.0;
/// Lost reads that the usual service level leaves room for.
const FAILURES_ALLOWED: f64 = 0.005;
/// What a queue entry and its first fragment are charged at least (`struct ipq` and a socket buffer of 1500 B).
const ORPHAN_BYTES: f64 = 2304.0 + 256.0;

pub(super) fn find(facts: &Facts, findings: &mut Vec<Finding>) {
    let Some(fragmented) = per_s(facts) else { return };
    findings.extend(ena_there(facts, fragmented));
    findings.extend(ena_here(facts));
    if fragmented > 0.0 {
        findings.extend(reassembly(facts, fragmented));
        findings.extend(facts.here.cards.iter().filter_map(|card| hash(facts, card)));
    }
}

/// Answers a second that arrive here in fragments: those above the path, from ports that send whole datagrams. `None` where nothing is
/// known of path or ports.
pub(super) fn per_s(facts: &Facts) -> Option<f64> {
    let path = facts.path.as_ref()?;
    let server = facts.server.as_ref()?;
    // A datagram above the sender's own interface leaves in fragments as well.
    let mtu = path.down_mtu.or(path.server_mtu)?;
    let leaves = server.ports.iter().any(|port| port.leaves_fragments());
    let headers = if path.is_ipv6 { 48 } else { 28 };
    let share = facts.demand.share_above(mtu.saturating_sub(headers));
    Some(if leaves { share * facts.demand.rate_per_s } else { 0.0 })
}

fn bypass(host: &Host) -> Option<bool> {
    host.settings.get("ena.enable_frag_bypass").map(|value| !matches!(value.as_str(), "0" | "N"))
}

/// The server's card sends the fragments. Its driver shows by its parameter alone: statistics do not name it.
fn ena_there(facts: &Facts, fragmented: f64) -> Option<Finding> {
    let host = facts.server.as_ref()?.host.as_ref()?;
    if bypass(host)? {
        return None;
    }
    let lost = (fragmented - ENA_FRAGMENTS_PER_S).max(0.0);
    Some(Finding {
        name: "ena_fragment_limit",
        severity: if lost > 0.0 { Severity::Hurts } else { Severity::Note },
        place: THERE.to_owned(),
        what: "its ENA card lets out 1,024 IP fragments a second; the driver's enable_frag_bypass is off".to_owned(),
        why: format!(
            "{} answers a second would leave in fragments; {} of them a second are lost, and pps_allowance_exceeded rises",
            count(fragmented),
            count(lost)
        ),
        fix: ena_fix(),
        risk: "the parameter is read when the driver is loaded: the card is gone meanwhile, and with it a remote session; enable_bql goes off; fragments count as packets. Unsupported cards only log it".to_owned(),
        sureness: Sureness::Likely,
    })
}

fn ena_fix() -> Vec<String> {
    vec![
        "cache-server --udp-port 7400=chunked   # no fragments at all".to_owned(),
        "echo 'options ena enable_frag_bypass=1' > /etc/modprobe.d/ena.conf   # driver 2.13.3 or later; then reboot".to_owned(),
    ]
}

/// This host's card, for when it serves.
fn ena_here(facts: &Facts) -> Option<Finding> {
    let card = facts.here.cards.iter().find(|card| card.driver == "ena")?;
    if bypass(&facts.here) == Some(true) {
        return None;
    }
    let state = match bypass(&facts.here) {
        Some(_) => "enable_frag_bypass is off",
        None => "it has no enable_frag_bypass (before 2.13.3, or the kernel's own)",
    };
    Some(Finding {
        name: "ena_fragment_limit",
        severity: Severity::Note,
        place: HERE.to_owned(),
        what: format!("{} is an ENA card (driver {}): it lets out 1,024 IP fragments a second; {state}", card.name, card.driver_version),
        why: "a server on this host whose answers leave in fragments loses what is above; there is no counter of its own, pps_allowance_exceeded rises".to_owned(),
        fix: ena_fix(),
        risk: "the parameter is read when the driver is loaded: reboot with the host out of service".to_owned(),
        sureness: Sureness::Sure,
    })
}

/// Datagrams of which a fragment was lost stay in memory for the whole time; beyond the limit healthy ones are thrown out as well.
fn reassembly(facts: &Facts, fragmented: f64) -> Option<Finding> {
    let is_ipv6 = facts.path.as_ref().is_some_and(|path| path.is_ipv6);
    let (limit, time) = match is_ipv6 {
        false => ("net.ipv4.ipfrag_high_thresh", "net.ipv4.ipfrag_time"),
        true => ("net.ipv6.ip6frag_high_thresh", "net.ipv6.ip6frag_time"),
    };
    let memory = facts.here.number(limit)? as f64;
    let seconds = facts.here.number(time)? as f64;
    let broken_per_s = memory / (seconds * ORPHAN_BYTES);
    let share = broken_per_s / fragmented;
    if share >= FAILURES_ALLOWED {
        return None;
    }
    let needed = (2.0 * FAILURES_ALLOWED * fragmented * ORPHAN_BYTES) as u64;
    Some(Finding {
        name: "reassembly_memory",
        severity: Severity::MayHurt,
        place: HERE.to_owned(),
        what: format!("{limit} is {} and {time} {seconds:.0} s", bytes(memory)),
        why: format!(
            "{} answers a second arrive in fragments; one that lost a fragment is kept for {seconds:.0} s, so losing {:.2} % of them fills the memory, and then whole ones are lost too",
            count(fragmented),
            100.0 * share
        ),
        fix: vec![format!(
            "sysctl -w {time}=1 {limit}={}",
            needed.max(64 << 20).next_power_of_two()
        )],
        risk: "with a short time fragments that are slow are given up; memory that a flood of fragments can take".to_owned(),
        sureness: Sureness::Likely,
    })
}

/// Later fragments have no ports: with these in the hash they take another queue than the first, and come out of order.
fn hash(facts: &Facts, card: &Card) -> Option<Finding> {
    let is_ipv6 = facts.path.as_ref().is_some_and(|path| path.is_ipv6);
    let (fields, flow) = if is_ipv6 { (&card.hash_v6, "udp6") } else { (&card.hash_v4, "udp4") };
    let fields = fields.as_ref().filter(|fields| fields.contains(['f', 'n']))?;
    card.queues.filter(|queues| *queues > 1)?;
    Some(Finding {
        name: "rss_splits_fragments",
        severity: Severity::MayHurt,
        place: HERE.to_owned(),
        what: format!("{} chooses queues for {flow} by `{fields}`: addresses and ports", card.name),
        why: "later fragments of an answer carry no ports and take another queue than its first: they arrive out of order, and beyond net.ipv4.ipfrag_max_dist they are given up".to_owned(),
        fix: vec![format!("ethtool -N {} rx-flow-hash {flow} sd", card.name)],
        risk: "all datagrams between two hosts then take one queue, that is one CPU: right for many peers, wrong for few".to_owned(),
        sureness: Sureness::Likely,
    })
}

#[cfg(test)]
mod tests {
    use super::super::testing::{facts, finding, found};
    use super::*;
    use crate::doctor::facts::Icmp;

    fn fragmented() -> Facts {
        let mut facts = facts();
        let path = facts.path.as_mut().unwrap();
        (path.down_mtu, path.icmp_down) = (Some(1500), Some(Icmp::Arrives));
        facts
    }

    #[test]
    fn the_limit_of_ena_is_set_against_the_rate() {
        let mut facts = fragmented();
        let settings = &mut facts.server.as_mut().unwrap().host.as_mut().unwrap().settings;
        settings.insert("ena.enable_frag_bypass".to_owned(), "0".to_owned());
        let limit = finding(&facts, "ena_fragment_limit");
        assert_eq!(limit.severity, Severity::Hurts);
        assert!(limit.why.contains("3,500") && limit.why.contains("2,476"), "{}", limit.why);
        facts.demand.rate_per_s = 10_000.0;
        assert_eq!(finding(&facts, "ena_fragment_limit").severity, Severity::Note);
        let settings = &mut facts.server.as_mut().unwrap().host.as_mut().unwrap().settings;
        settings.insert("ena.enable_frag_bypass".to_owned(), "1".to_owned());
        assert!(found(&facts).iter().all(|(name, _)| *name != "ena_fragment_limit"));
    }

    #[test]
    fn this_hosts_card_is_named_for_when_it_serves() {
        let mut facts = facts();
        facts.here.cards[0].driver = "ena".to_owned();
        assert_eq!(found(&facts), [("ena_fragment_limit", Severity::Note)]);
    }

    #[test]
    fn memory_for_orphans_is_set_against_the_rate() {
        let mut facts = fragmented();
        facts.demand.rate_per_s = 1_000_000.0;
        let memory = finding(&facts, "reassembly_memory");
        assert!(memory.fix[0].starts_with("sysctl -w net.ipv4.ipfrag_time=1"), "{memory:?}");
        facts.here.settings.insert("net.ipv4.ipfrag_time".to_owned(), "1".to_owned());
        assert!(found(&facts).iter().all(|(name, _)| *name != "reassembly_memory"));
    }

    #[test]
    fn ports_in_the_hash_matter_to_fragments_alone() {
        let mut whole = facts();
        whole.here.cards[0].hash_v4 = Some("sdfn".to_owned());
        whole.here.cards[0].queues = Some(8);
        assert_eq!(found(&whole), []);
        let mut cut = fragmented();
        cut.here.cards = whole.here.cards;
        assert_eq!(finding(&cut, "rss_splits_fragments").fix, ["ethtool -N eth0 rx-flow-hash udp4 sd"]);
        cut.here.cards[0].queues = None;
        assert!(found(&cut).iter().all(|(name, _)| *name != "rss_splits_fragments"), "queues not known");
    }

    #[test]
    fn who_follows_one_finding_on_the_hash_is_not_sent_back_by_the_other() {
        let names = |facts: &Facts| -> Vec<_> {
            let names = found(facts).into_iter().map(|(name, _)| name);
            names.filter(|name| ["rss_splits_fragments", "one_queue_per_peer"].contains(name)).collect()
        };
        for (mut facts, advised) in
            [(fragmented(), ["sdfn", "rss_splits_fragments"]), (facts(), ["sd", "one_queue_per_peer"])]
        {
            facts.here.cards[0].queues = Some(8);
            facts.here.cards[0].hash_v4 = Some(advised[0].to_owned());
            assert_eq!(names(&facts), [advised[1]]);
            let fix = finding(&facts, advised[1]).fix.remove(0);
            facts.here.cards[0].hash_v4 = fix.split(' ').next_back().map(str::to_owned);
            assert_eq!(names(&facts), [""; 0], "after `{fix}`");
        }
    }

    #[test]
    fn chunked_ports_leave_no_fragments() {
        let mut facts = fragmented();
        facts.demand.rate_per_s = 1_000_000.0;
        facts.server.as_mut().unwrap().ports[0].strategy = "chunked".to_owned();
        facts.server.as_mut().unwrap().ports[0].receive_granted_bytes = Vec::new();
        assert!(found(&facts).iter().all(|(name, _)| *name != "reassembly_memory"));
    }
}
