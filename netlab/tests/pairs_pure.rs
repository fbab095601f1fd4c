//! Two topologies in one network, without a kernel: which go together, whose parameters are whose, and the simulated network.

use std::time::Duration;

use shingle_netlab::{DropReason, Echo, Link, Network, Sender, Spec, SpecError, catalogue};

fn error(topology: &str, settings: &[&str]) -> String {
    Spec::new(topology).and_then(|spec| spec.set_all(settings)).unwrap_err().to_string()
}

#[test]
fn every_two_go_together_or_say_why_not() {
    let names: Vec<&str> = catalogue().iter().map(|entry| entry.name).collect();
    let mut refused = Vec::new();
    for (index, first) in names.iter().enumerate() {
        for second in &names[index + 1..] {
            match (Spec::new(&format!("{first}+{second}")), Spec::new(&format!("{second}+{first}"))) {
                (Ok(one), Ok(other)) => {
                    assert_eq!(one.name(), format!("{first}+{second}"));
                    let mut causes = (one.causes(), other.causes());
                    causes.0.sort_unstable();
                    causes.1.sort_unstable();
                    assert_eq!(causes.0, causes.1);
                    // The defaults make sense together, and are what they are alone.
                    let settings = one.settings();
                    let written = settings.iter().map(|(name, value)| format!("{name}={value}"));
                    let again = one.clone().set_all(written).unwrap_or_else(|error| panic!("{error}"));
                    assert_eq!(again.plan(), one.plan());
                    assert_eq!((one.plan().topology, one.plan().settings), (one.name(), settings));
                }
                (Err(SpecError::Pair { reason, .. }), Err(SpecError::Pair { reason: also, .. })) => {
                    assert_eq!(reason, also);
                    refused.push((*first, *second));
                }
                other => panic!("{first} {second}: {other:?}"),
            }
        }
    }
    refused.retain(|(first, _)| *first != "direct");
    assert_eq!(
        refused,
        [
            ("fragment-limit", "fragments-blocked"),
            ("fragment-limit", "small-reassembly"),
            ("fragments-blocked", "small-reassembly"),
            ("black-hole", "asymmetric"),
            ("bad-path", "balancer"),
            ("dead-server", "balancer"),
            ("pause", "slow-server"),
        ]
    );
}

#[test]
fn errors_of_pairs_say_what_to_do() {
    for (error, words) in [
        (error("lossy+direct", &[]), &["lossy+direct cannot be one network", "name the other alone"][..]),
        (error("lossy+lossy", &[]), &["name each once"]),
        (error("bad-path+balancer", &[]), &["bad-path+balancer", "by its flow", "take one of them"]),
        (error("lossy+slow-quue", &[]), &["no topology `slow-quue`", "did you mean `slow-queue`?"]),
        (error("lossy+", &[]), &["no topology ``"]),
        (
            error("lossy+corrupting", &["rate=2%"]),
            &["`rate`", "more than one topology of lossy+corrupting", "lossy.rate, corrupting.rate"],
        ),
        (error("lossy+pause", &["corrupting.rate=2%"]), &["lossy+pause has no corrupting", "`rate`"]),
        (error("lossy+pause", &["pause.rate=2%"]), &["pause has no parameter `rate`", "duration"]),
        (error("lossy+pause", &["raet=2%"]), &["lossy+pause has no parameter", "did you mean `lossy.rate`?"]),
        (error("lossy+pause", &["rate=2%", "lossy.rate=3%"]), &["lossy: rate is set twice"]),
        (error("lossy+pause", &["mtu=1500", "lossy.mtu=1500"]), &["lossy+pause: mtu is set twice"]),
        (error("lossy+pause", &["lossy.rate=101%"]), &["lossy: rate=101% is out of range"]),
        (error("lossy+narrow", &["mtu=9001"]), &["narrow: mtu=9001 is not below server-mtu=9001"]),
        (error("black-hole+narrow", &["size=9001"]), &["black-hole: size=9001 is not below mtu=9001"]),
        (error("narrow+asymmetric", &["direction=up"]), &["size=8500 is not below mtu=1500"]),
    ] {
        assert!(words.iter().all(|word| error.contains(word)), "{error}");
    }
}

#[test]
fn each_has_its_own_parameters_and_the_network_has_one_mtu_delay_and_family() {
    let set = [
        "lossy.rate=2%",
        "fragment-limit.burst=7",
        "lossy.burst=3",
        "limit=10/s",
        "delay=3ms",
        "lossy.family=6",
    ];
    let spec = Spec::new("lossy+fragment-limit").unwrap().set_all(set).unwrap();
    let value = |name: &str| {
        let settings = spec.settings();
        let found: Vec<_> =
            settings.iter().filter(|(it, _)| it == name).map(|(_, value)| value.clone()).collect();
        assert_eq!(found.len(), 1, "{name} in {settings:?}");
        found[0].clone()
    };
    for (name, expected) in [
        ("lossy.rate", "2%"),
        ("lossy.burst", "3"),
        ("fragment-limit.burst", "7"),
        ("fragment-limit.limit", "10/s"),
        ("delay", "3ms"),
        ("family", "6"),
        ("mtu", "1500"),
        ("server-mtu", "9001"),
    ] {
        assert_eq!(value(name), expected, "{name}");
    }
    assert_eq!(spec.causes(), ["path_loss", "fragment_rate_limit"]);
    // Alone, its name may stand before it too.
    let alone = Spec::new("lossy").unwrap().set("lossy.rate=2%").unwrap();
    assert_eq!(alone.settings()[0], ("rate".into(), "2%".into()));
}

#[test]
fn the_plan_has_what_both_ask_of_hosts() {
    let plan =
        Spec::new("pause+slow-queue").unwrap().set_all(["pause.end=client", "delay=1ms"]).unwrap().plan();
    assert!(plan.pauses.client.is_some() && plan.pauses.server.is_none());
    assert_eq!((plan.hosts[1].shaping.len(), plan.hosts[2].holds.len()), (1, 2));
    let plan = Spec::new("dead-server+fragment-limit").unwrap().plan();
    assert_eq!(plan.hosts[2].later.len(), 1);
    assert!(plan.hosts[0].sysctls.iter().any(|(key, _)| key == "net.ipv4.ipfrag_high_thresh"));
    // A narrow path without ICMP stays so with other topologies in it, and says so once.
    let plan = Spec::new("fragment-limit+narrow").unwrap().set("icmp=off").unwrap().plan();
    assert_eq!(plan.hosts[2].rules.matches("counter too_big_silenced {").count(), 1);
    assert_eq!(
        plan.hosts[0].sysctls.iter().filter(|(key, _)| key == "net.ipv4.route.mtu_expires").count(),
        1
    );
}

#[test]
fn the_simulated_network_has_the_nodes_of_both_unless_one_is_of_a_host() {
    let spec = Spec::new("black-hole+lossy")
        .unwrap()
        .set_all(["lossy.rate=50%", "size=8000", "black-hole.direction=down"])
        .unwrap();
    let mut network = Network::new(spec.simulated().unwrap(), 1).unwrap();
    let (mut client, mut server) = (Sender::of_bytes(100, 1_000, Duration::from_millis(1)), Echo::new());
    network.run(&mut client, &mut server, Duration::from_secs(60));
    let report = network.report();
    assert!((400..600).contains(&report.up.dropped(DropReason::Loss)), "{report}");
    assert!((150..350).contains(&client.received.len()), "{}", client.received.len());
    let topology =
        Spec::new("lossy+narrow").unwrap().set_all(["delay=1ms", "icmp=off"]).unwrap().simulated().unwrap();
    let names: Vec<_> = topology.down.links.iter().map(Link::name).collect();
    assert_eq!(names, ["delay", "mtu", "mtu", "loss"]);
    assert_eq!(topology.down.links[2], Link::Mtu { mtu: 1500, icmp: false });
    for of_a_host in ["lossy+pause", "slow-queue+lossy"] {
        assert_eq!(Spec::new(of_a_host).unwrap().simulated(), None);
    }
}
