//! What follows from the facts: findings, each with why it hurts, the fix, the fix's risk and how sure it is. Pure functions.

mod buffers;
mod card;
mod conntrack;
mod cpu;
mod fragments;
mod path;
mod so_far;

use std::collections::BTreeMap;

use serde::Serialize;

use super::facts::{Facts, Host};

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Reads of this demand will fail, or be late, for it.
    Hurts,
    /// It hurts under conditions that the facts leave open.
    MayHurt,
    /// Worth knowing when something else goes wrong.
    Note,
}

/// How sure it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Sureness {
    /// Measured, or read from the kernel.
    Sure,
    /// It follows from what was read by a rule that has exceptions.
    Likely,
    /// A possibility among others.
    Possible,
}

/// One thing found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Its name, the same in every report; docs/doctor.md explains each.
    pub name: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// Where: `this host`, `the server's host`, or the path.
    pub place: String,
    /// What is.
    pub what: String,
    /// Why it hurts, with figures.
    pub why: String,
    /// What to do: commands, to be given as root at `place` unless they say otherwise.
    pub fix: Vec<String>,
    /// What the fix may break.
    pub risk: String,
    /// How sure it is.
    pub sureness: Sureness,
}

/// All that follows from these facts, the worst first; of the same severity in the order of the tests below.
pub fn of(facts: &Facts) -> Vec<Finding> {
    let mut findings = Vec::new();
    path::find(facts, &mut findings);
    buffers::find(facts, &mut findings);
    fragments::find(facts, &mut findings);
    let ports: Vec<_> = facts.server.iter().flat_map(|server| &server.ports).map(|port| port.port).collect();
    for (place, host) in hosts(facts) {
        conntrack::find(&place, host, &ports, &mut findings);
        so_far::find(&place, host, &ports, &mut findings);
        cpu::find(&place, host, &mut findings);
    }
    card::find(facts, &mut findings);
    findings.sort_by_key(|finding| finding.severity);
    findings
}

/// Settings that every kernel has and findings follow from; those of IPv6 matter on its paths alone.
const WANTED: [&str; 10] = [
    "net.core.rmem_max",
    "net.core.wmem_max",
    "net.core.netdev_max_backlog",
    "net.ipv4.udp_mem",
    "net.ipv4.ip_no_pmtu_disc",
    "net.ipv4.ipfrag_high_thresh",
    "net.ipv4.ipfrag_time",
    "net.ipv6.ip6frag_high_thresh",
    "net.ipv6.ip6frag_time",
    "clocksource",
];

/// What these facts leave open, beside what could not be read.
pub fn gaps(facts: &Facts) -> Vec<String> {
    let mut gaps: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let is_ipv6 = facts.path.as_ref().is_some_and(|path| path.is_ipv6);
    for (place, host) in hosts(facts) {
        // A server that tells no settings at all has been named already.
        if place == THERE && host.settings.is_empty() {
            continue;
        }
        let is_missed =
            |name: &&str| (is_ipv6 || !name.starts_with("net.ipv6.")) && !host.settings.contains_key(*name);
        let absent: Vec<_> = WANTED.into_iter().filter(is_missed).collect();
        if !absent.is_empty() {
            let gap = format!("{}: not readable in this network namespace", absent.join(", "));
            gaps.entry(gap).or_default().push(place.clone());
        }
        if !host.settings.contains_key("cpu.governor") {
            let gap = "the CPUs' governor: none is shown (usual in virtual machines)".to_owned();
            gaps.entry(gap).or_default().push(place);
        }
    }
    gaps.into_iter().map(|(gap, places)| format!("on {}: {gap}", places.join(" and "))).collect()
}

/// Both hosts by the names they have in findings.
fn hosts(facts: &Facts) -> Vec<(String, &Host)> {
    let server = facts.server.as_ref().and_then(|server| server.host.as_ref());
    // In one namespace they are one.
    let apart = facts.path.as_ref().is_none_or(|path| !path.shares_host);
    let mut hosts = vec![(HERE.to_owned(), &facts.here)];
    hosts.extend(server.filter(|_| apart).map(|host| (THERE.to_owned(), host)));
    hosts
}

const HERE: &str = "this host";
const THERE: &str = "the server's host";

/// A number with thousands set off, for people.
fn count(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut grouped = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// Bytes in the largest binary unit that leaves something before the point.
fn bytes(number: f64) -> String {
    match number {
        ..1024.0 => format!("{number:.0} B"),
        ..1_048_576.0 => format!("{:.0} KiB", number / 1024.0),
        ..1_073_741_824.0 => format!("{:.1} MiB", number / 1_048_576.0),
        _ => format!("{:.1} GiB", number / 1_073_741_824.0),
    }
}

#[cfg(test)]
mod testing {
    //! Made-up facts, and what is found in them.

    use std::collections::BTreeMap;

    use super::*;
    use crate::doctor::facts::{Buffers, Card, Cpu, Demand, Host, Path, Port, Server};

    /// A host on which nothing is wrong.
    pub(super) fn host() -> Host {
        let settings = [
            ("net.core.rmem_max", "16777216"),
            ("net.core.wmem_max", "16777216"),
            ("net.core.netdev_max_backlog", "1000"),
            ("net.ipv4.udp_mem", "500000 700000 1000000"),
            ("net.ipv4.ip_no_pmtu_disc", "0"),
            ("net.ipv4.ipfrag_high_thresh", "4194304"),
            ("net.ipv4.ipfrag_time", "30"),
            ("net.ipv6.ip6frag_high_thresh", "4194304"),
            ("net.ipv6.ip6frag_time", "60"),
            ("net.ipv4.route.mtu_expires", "600"),
            ("net.ipv6.route.mtu_expires", "600"),
            ("clocksource", "tsc"),
            ("cpu.governor", "performance"),
        ];
        Host {
            settings: settings.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
            buffers: Some(Buffers {
                asked_bytes: 4 << 20,
                receive_granted_bytes: 8 << 20,
                send_granted_bytes: 2 << 20,
                charges: BTreeMap::from([(199, 832), (512, 1280), (1472, 2304), (8973, 16640)]),
            }),
            cards: vec![Card {
                name: "eth0".to_owned(),
                mtu_bytes: 9001,
                driver: "veth".to_owned(),
                ..Card::default()
            }],
            cpu: Some(Cpu::default()),
            has_ipv6: true,
            ..Host::default()
        }
    }

    /// Two hosts on which nothing is wrong, nor between them: 100,000 reads/s, of which 3.5 % are answered with 1600 bytes.
    pub(super) fn facts() -> Facts {
        let whole = Some(9001);
        Facts {
            demand: Demand {
                rate_per_s: 100_000.0,
                pause_s: 0.05,
                sockets: 8,
                answers: BTreeMap::from([(400, 0.965), (1600, 0.035)]),
            },
            here: host(),
            path: Some(Path {
                peer: "10.0.0.1".to_owned(),
                device: "eth0".to_owned(),
                interface_mtu: whole,
                server_mtu: whole,
                down_mtu: whole,
                up_mtu: whole,
                udp_answers: Some(true),
                ..Path::default()
            }),
            server: Some(Server {
                address: "10.0.0.1:7401".to_owned(),
                ports: vec![Port {
                    port: 7400,
                    strategy: "kernel-pmtud".to_owned(),
                    receive_granted_bytes: vec![32 << 20],
                }],
                host: Some(Host { cpu: None, buffers: None, cards: Vec::new(), ..host() }),
                ..Server::default()
            }),
            unknown: Vec::new(),
        }
    }

    /// Names and severities of what is found.
    pub(super) fn found(facts: &Facts) -> Vec<(&'static str, Severity)> {
        of(facts).iter().map(|finding| (finding.name, finding.severity)).collect()
    }

    /// The finding of this name.
    pub(super) fn finding(facts: &Facts, name: &str) -> Finding {
        let all = of(facts);
        let found = all.iter().find(|finding| finding.name == name);
        found.unwrap_or_else(|| panic!("no {name} in {all:#?}")).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::testing::{facts, found};
    use super::*;

    #[test]
    fn nothing_is_found_where_nothing_is_wrong() {
        assert_eq!(found(&facts()), []);
        assert_eq!(gaps(&facts()), Vec::<String>::new());
    }

    #[test]
    fn no_facts_accuse_nobody() {
        assert!(of(&Facts::default()).iter().all(|finding| finding.severity != Severity::Hurts));
        let bare = Facts { demand: facts().demand, ..Facts::default() };
        assert!(of(&bare).iter().all(|finding| finding.severity != Severity::Hurts));
    }

    #[test]
    fn settings_that_could_not_be_read_are_told() {
        let mut facts = facts();
        for name in WANTED {
            facts.here.settings.remove(name);
        }
        let gap = |facts: &Facts| gaps(facts).concat();
        for name in WANTED {
            assert_eq!(gap(&facts).contains(name), !name.starts_with("net.ipv6."), "{name}");
        }
        facts.path.as_mut().unwrap().is_ipv6 = true;
        assert!(WANTED.iter().all(|name| gap(&facts).contains(name)));
        facts.here.settings.clear();
        assert!(gap(&facts).contains("on this host: net.core.rmem_max"), "{}", gap(&facts));
        facts.server.as_mut().unwrap().host.as_mut().unwrap().settings.clear();
        assert!(!gap(&facts).contains(THERE), "a server that tells none has been named already");
    }

    #[test]
    fn the_worst_comes_first() {
        let mut facts = facts();
        facts.here.has_ipv6 = false;
        facts.path.as_mut().unwrap().udp_answers = Some(false);
        let found = found(&facts);
        assert_eq!(found.first().unwrap().1, Severity::Hurts);
        assert_eq!(found.last().unwrap().1, Severity::Note);
    }

    #[test]
    fn figures_read_well() {
        assert_eq!((count(1_234_567.0), count(999.0)), ("1,234,567".to_owned(), "999".to_owned()));
        assert_eq!((bytes(4_194_304.0), bytes(100.0)), ("4.0 MiB".to_owned(), "100 B".to_owned()));
    }
}
