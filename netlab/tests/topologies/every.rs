//! All topologies alike: each comes up with its defaults in both families and carries small datagrams, with a delay if asked for; and nft takes
//! the rules of every end of every range.

use std::collections::BTreeSet;
use std::io::Write;
use std::process::Stdio;
use std::time::{Duration, Instant};

use shingle_netlab::lab::Lab;
use shingle_netlab::{Spec, catalogue};

use crate::common::{Ends, FAMILIES, counter, lab};

#[test]
fn every_topology_comes_up_with_its_defaults_and_counts_what_passes() {
    for entry in catalogue() {
        for family in FAMILIES {
            let Some(lab) = lab(entry.name, family, &[]) else { return };
            let ends = Ends::of(&lab);
            let (down, up) = (ends.down(20, 100), ends.up(20, 100));
            let by_chance = ["lossy", "corrupting", "duplicating", "bad-path"].contains(&entry.name);
            assert!(
                by_chance || (down.count(), up.count()) == (20, 20),
                "{} {family}: {down:?} {up:?}",
                entry.name
            );
            let far = if entry.name == "bad-path" { "far" } else { "router" };
            assert_eq!(
                (counter(&lab, "router.down_seen"), counter(&lab, &format!("{far}.up_seen"))),
                (20, 20)
            );
            // The backlog is the whole machine's, and other tests work it too.
            let losses = lab.own_losses().unwrap();
            assert!(losses.keys().all(|name| name.starts_with("machine.")), "{}: {losses:?}", entry.name);
            lab.down().unwrap();
        }
    }
}

#[test]
fn every_topology_delays_each_way() {
    for entry in catalogue() {
        let Some(lab) = lab(entry.name, "4", &["delay=20ms"]) else { return };
        let ends = Ends::of(&lab);
        for way in [Ends::down, Ends::up] {
            let begin = Instant::now();
            // One may be lost by chance, or all; then the wait was longer anyhow.
            way(&ends, 1, 100);
            assert!(begin.elapsed() >= Duration::from_millis(20), "{}", entry.name);
        }
        lab.down().unwrap();
    }
}

#[test]
fn nft_takes_the_rules_of_every_end_of_every_range() {
    // A router with every device that any topology's has.
    let Some(lab) = lab("bad-path", "4", &["paths=8"]) else { return };
    let scripts = scripts();
    assert!(scripts.len() > 40, "{}", scripts.len());
    taken_by_nft(&lab, &scripts);
    lab.down().unwrap();
}

/// Lets nft check scripts in a laboratory of bad-path with eight paths.
pub(crate) fn taken_by_nft(lab: &Lab, scripts: &BTreeSet<String>) {
    let router = lab.host("router");
    router.ip(&["link", "add", "rc", "type", "veth", "peer", "name", "cr"]).unwrap();
    // The scripts of the ends are among them.
    router.ip(&["link", "add", "c0", "type", "veth", "peer", "name", "s0"]).unwrap();
    for script in scripts {
        let mut nft = router.command("nft").args(["-c", "-f", "-"]).stdin(Stdio::piped()).spawn().unwrap();
        nft.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
        assert!(nft.wait().unwrap().success(), "{script}");
    }
}

/// The scripts of all hosts, later ones after the first, of each topology with one parameter at a time at an end of its range.
fn scripts() -> BTreeSet<String> {
    let mut scripts = BTreeSet::new();
    for entry in catalogue() {
        for parameter in entry.parameters {
            let range = parameter.range();
            for end in range.split([',', ' ']).filter(|word| !["", "to"].contains(word)) {
                let setting = format!("{}={end}", parameter.name);
                // Ends that contradict the other defaults have no plan.
                let Ok(spec) = Spec::new(entry.name).unwrap().set(&setting) else { continue };
                for host in spec.plan().hosts {
                    // A set with elements cannot be flushed before it is there: nft checks them one after the other.
                    let later: String = host.later.iter().map(|later| format!("\n{}", later.rules)).collect();
                    scripts.insert(host.rules + &later);
                }
            }
        }
    }
    scripts
}
