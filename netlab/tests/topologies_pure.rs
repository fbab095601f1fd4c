//! The catalogue without a kernel: names, defaults, ranges, errors, and what plans are made of.

use std::time::Duration;

use shingle_netlab::{DropReason, Echo, Family, Network, Sender, Spec, SpecError, catalogue};

/// All of the design's table, and the balancer of the stories.
const NAMES: [&str; 19] = [
    "direct",
    "narrow",
    "fragment-limit",
    "fragments-blocked",
    "small-reassembly",
    "black-hole",
    "asymmetric",
    "lossy",
    "corrupting",
    "duplicating",
    "reordering",
    "packet-limit",
    "bandwidth-limit",
    "bad-path",
    "dead-server",
    "balancer",
    "slow-queue",
    "pause",
    "slow-server",
];

#[test]
fn the_catalogue_has_every_topology_and_explains_it() {
    let names: Vec<_> = catalogue().iter().map(|entry| entry.name).collect();
    assert_eq!(names, NAMES);
    for entry in catalogue() {
        assert!(!entry.sentence.is_empty() && !entry.story.is_empty(), "{}", entry.name);
        for common in ["delay", "family", "mtu"] {
            assert!(entry.parameter(common).is_some(), "{} lacks {common}", entry.name);
        }
        for parameter in entry.parameters {
            let text = [parameter.unit(), parameter.default(), parameter.range(), parameter.sentence.into()];
            assert!(text.iter().all(|text| !text.is_empty()), "{} {}", entry.name, parameter.name);
            let same = entry.parameters.iter().filter(|other| other.name == parameter.name);
            assert_eq!(same.count(), 1, "{} has {} twice", entry.name, parameter.name);
        }
    }
}

#[test]
fn defaults_stand_in_the_settings_and_can_be_set_again() {
    for entry in catalogue() {
        let spec = Spec::new(entry.name).unwrap();
        let settings = spec.settings();
        assert_eq!(settings.len(), entry.parameters.len());
        let again = Spec::new(entry.name)
            .unwrap()
            .set_all(settings.iter().map(|(name, value)| format!("{name}={value}")))
            .unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(again.plan(), spec.plan());
        assert_eq!((spec.plan().topology.as_str(), spec.plan().settings), (entry.name, settings));
    }
}

#[test]
fn what_the_table_of_the_design_promises_is_the_default() {
    for (topology, name, value) in [
        ("direct", "mtu", "9001"),
        ("narrow", "mtu", "1500"),
        ("narrow", "server-mtu", "9001"),
        ("fragment-limit", "limit", "1000/s"),
        ("fragment-limit", "charge", "rest"),
        ("fragment-limit", "burst", "5"),
        ("fragment-limit", "reassembly-memory", "256MiB"),
        ("fragment-limit", "reassembly-time", "1s"),
        ("black-hole", "size", "8500"),
        ("asymmetric", "direction", "down"),
    ] {
        assert_eq!(
            catalogue()
                .iter()
                .find(|entry| entry.name == topology)
                .unwrap()
                .parameter(name)
                .unwrap()
                .default(),
            value
        );
    }
}

#[test]
fn each_end_of_each_range_is_taken_and_one_beyond_is_refused() {
    for entry in catalogue() {
        for parameter in entry.parameters {
            let range = parameter.range();
            let ends: Vec<&str> =
                range.split([',', ' ']).filter(|word| !word.is_empty() && *word != "to").collect();
            for end in ends {
                let set = Spec::new(entry.name).unwrap().set(&format!("{}={end}", parameter.name));
                // An end may contradict the other defaults, and then says so.
                assert!(
                    matches!(set, Ok(_) | Err(SpecError::Combination { .. })),
                    "{} {}={end}: {set:?}",
                    entry.name,
                    parameter.name
                );
            }
        }
    }
    for (topology, setting) in [
        ("direct", "mtu=1279"),
        ("direct", "mtu=9217"),
        ("direct", "delay=501ms"),
        ("lossy", "rate=100.0001%"),
        ("fragment-limit", "limit=0"),
        ("bad-path", "paths=9"),
        ("slow-server", "share=99.1%"),
        ("narrow", "mtu-expires=0"),
    ] {
        let error = Spec::new(topology).unwrap().set(setting).unwrap_err();
        assert!(matches!(error, SpecError::Range { .. }), "{error}");
    }
}

#[test]
fn errors_say_what_was_given_what_is_allowed_and_what_to_do() {
    let error = |topology: &str, settings: &[&str]| {
        Spec::new(topology).and_then(|spec| spec.set_all(settings)).unwrap_err().to_string()
    };
    for (error, words) in [
        (
            error("fragmnt-limit", &[]),
            &["`fragmnt-limit`", "did you mean `fragment-limit`?", "direct, narrow"][..],
        ),
        (error("zzz", &[]), &["`zzz`; there are direct"]),
        (error("lossy", &["raet=1%"]), &["lossy has no parameter `raet`", "did you mean `rate`?", "burst"]),
        (error("lossy", &["rate"]), &["`rate` is no setting", "NAME=VALUE"]),
        (error("lossy", &["rate=0.035"]), &["rate=0.035 cannot be read", "3.5%", "0% to 100%"]),
        (error("fragment-limit", &["limit=2M/s"]), &["limit=2M/s is out of range", "1/s to 1000000/s"]),
        (error("fragment-limit", &["charge=none"]), &["charge=none", "one of first, rest, all"]),
        (error("black-hole", &["size=9001"]), &["size=9001 is not below mtu=9001", "lower size"]),
        (error("narrow", &["mtu=9001"]), &["mtu=9001 is not below server-mtu=9001", "take direct"]),
        (error("lossy", &["rate=90%", "burst=2"]), &["rate=90%", "burst=2", "lower rate to 66%"]),
        (
            error("bandwidth-limit", &["limit=100"]),
            &["limit=100 cannot be read", "100mbit", "1mbit to 100gbit"],
        ),
        (error("dead-server", &["back=1s", "after=3s"]), &["back=1s is not later than after=3s"]),
        (error("direct", &["family=4", "family=6"]), &["direct: family is set twice", "give one value"]),
        (error("pause", &["duration=1s"]), &["duration=1s is not below interval=500ms"]),
    ] {
        assert!(words.iter().all(|word| error.contains(word)), "{error}");
    }
}

#[test]
fn settings_that_make_sense_only_together_may_come_in_any_order() {
    for settings in [["mtu=9100", "server-mtu=9200"], ["server-mtu=9200", "mtu=9100"]] {
        let plan = Spec::new("narrow").unwrap().set_all(settings).unwrap().plan();
        let mut mtus: Vec<_> = plan.wires.iter().map(|wire| wire.ends[0].mtu).collect();
        mtus.sort_unstable();
        assert_eq!(mtus, [9100, 9200]);
    }
}

#[test]
fn every_plan_has_both_ends_both_families_and_the_delay_in_both_ways() {
    for entry in catalogue() {
        for family in ["4", "6"] {
            let spec = Spec::new(entry.name)
                .unwrap()
                .set_all([format!("family={family}"), "delay=2ms".into()])
                .unwrap();
            let plan = spec.plan();
            assert_eq!((plan.hosts[0].name.as_str(), plan.hosts[1].name.as_str()), ("client", "server"));
            assert_eq!(plan.family, if family == "6" { Family::V6 } else { Family::V4 });
            for host in &plan.hosts[..2] {
                assert!(host.addresses.iter().any(|(_, address, _)| address.is_ipv4()));
                assert!(host.addresses.iter().any(|(_, address, _)| address.is_ipv6()));
            }
            assert_eq!(plan.hosts[0].addresses.len(), 10, "four further addresses for low-volume clients");
            let held: Duration = plan.hosts.iter().flat_map(|host| &host.holds).map(|hold| hold.delay).sum();
            assert!(held >= Duration::from_millis(4), "{}: {held:?}", entry.name);
        }
    }
}

/// Small datagrams, well within every MTU, must be lost in no topology but those that lose by chance, number or flow.
#[test]
fn the_simulated_back_end_takes_every_description_but_those_of_slow_hosts() {
    for entry in catalogue() {
        let spec = Spec::new(entry.name).unwrap();
        let Some(topology) = spec.simulated() else {
            assert!(["slow-queue", "pause", "slow-server"].contains(&entry.name));
            continue;
        };
        let mut network = Network::new(topology, 1).unwrap();
        let (mut client, mut server) = (Sender::of_bytes(100, 100, Duration::from_millis(1)), Echo::new());
        network.run(&mut client, &mut server, Duration::from_secs(60));
        network.report().check().unwrap();
        let spares_the_small = !["lossy", "corrupting", "bad-path"].contains(&entry.name);
        assert!(!spares_the_small || client.received.len() >= 100, "{} {}", entry.name, network.report());
    }
}

#[test]
fn a_simulated_fragment_limit_takes_what_the_formula_says() {
    let spec = Spec::new("fragment-limit").unwrap().set_all(["limit=100/s", "mtu=1500"]).unwrap();
    let mut network = Network::new(spec.simulated().unwrap(), 1).unwrap();
    let (mut client, mut server) =
        (Sender::of_bytes(1472, 1, Duration::from_secs(1)), Answers::of(2000, 1000));
    network.run(&mut client, &mut server, Duration::from_secs(60));
    // A thousand answers of two fragments in a second: burst 5, and 100 tokens a second.
    let dropped = network.report().down.dropped(DropReason::FragmentLimit);
    assert!((894..=896).contains(&dropped), "{dropped}");
}

/// Sends so many fragmentable datagrams in the second after it was asked.
struct Answers {
    bytes: usize,
    left: u64,
    to: Option<shingle_netlab::Packet>,
    next_ns: u64,
}

impl Answers {
    fn of(bytes: usize, left: u64) -> Self {
        Self { bytes, left, to: None, next_ns: 0 }
    }
}

impl shingle_netlab::Endpoint for Answers {
    fn receive(&mut self, now_ns: u64, packet: shingle_netlab::Packet) {
        let (from, to) = (packet.destination, packet.source);
        self.to = Some(shingle_netlab::Packet::new(from, to, vec![7; self.bytes]).fragmentable());
        self.next_ns = now_ns;
    }

    fn poll_send(&mut self, now_ns: u64) -> Option<shingle_netlab::Packet> {
        let packet = self.to.as_ref().filter(|_| self.left > 0 && self.next_ns <= now_ns)?;
        self.left -= 1;
        self.next_ns += 1_000_000;
        Some(packet.clone())
    }

    fn poll_timeout(&self) -> Option<u64> {
        (self.to.is_some() && self.left > 0).then_some(self.next_ns)
    }

    fn handle_timeout(&mut self, _: u64) {}

    fn done(&self) -> bool {
        self.left == 0
    }
}

#[test]
fn the_page_names_every_topology_with_its_parameters_and_defaults() {
    let page = include_str!("../../docs/netlab.md");
    let of_narrow = ["mtu", "server-mtu", "mtu-expires", "delay", "family"];
    for entry in catalogue() {
        let row = page.lines().find(|line| line.starts_with(&format!("| `{}` |", entry.name)));
        let row = row.unwrap_or_else(|| panic!("{} has no row", entry.name));
        for parameter in entry.parameters.iter().filter(|parameter| !of_narrow.contains(&parameter.name)) {
            let default = parameter.default();
            let default = default.strip_suffix("/s").unwrap_or(&default);
            let told = row.contains(&format!("`{}` {default}", parameter.name));
            assert!(told || default == "0s", "{}: {} {default}", entry.name, parameter.name);
        }
    }
}

#[test]
fn a_slow_server_stands_still_for_its_share_of_every_interval() {
    let spec = Spec::new("slow-server").unwrap().set_all(["share=75%", "interval=40ms"]).unwrap();
    let [pause, interval] = [30, 40].map(std::time::Duration::from_millis);
    assert_eq!((spec.plan().pauses.server, spec.plan().pauses.client), (Some((pause, interval)), None));
}
