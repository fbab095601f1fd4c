//! Random networks: each builds, ends, conserves its packets, and runs the same way twice.

use std::time::Duration;

use shingle_netlab::{Echo, Ending, Link, Network, Packet, Ranges, Sender, Topology, seeds};

const LIMIT: Duration = Duration::from_secs(100);

/// A hundred datagrams in half a second: DF set or not, both families, all sizes in turn.
fn client(seed: u64) -> Sender {
    let (from, to) = if seed.is_multiple_of(2) {
        ("198.18.0.1:1000", "198.18.0.2:7400")
    } else {
        ("[fd00::1]:1000", "[fd00::2]:7400")
    };
    let bytes = [40, 1200, 1473, 4000, 8953, 20_000][seed as usize % 6];
    let packet = Packet::new(from.parse().unwrap(), to.parse().unwrap(), vec![seed as u8; bytes]);
    let packet = if seed.is_multiple_of(4) { packet.fragmentable() } else { packet };
    Sender::new(packet, 100, Duration::from_millis(5))
}

/// Whether one run is being repeated: what holds for many need not hold for it.
fn one_seed() -> bool {
    std::env::var_os("NETLAB_SEED").is_some()
}

fn run(seed: u64) -> (Network, Sender, Ending) {
    let mut network =
        Network::random(seed, &Ranges::default()).unwrap_or_else(|e| panic!("seed {seed}: {e}"));
    let (mut client, mut server) = (client(seed), Echo::new());
    let ending = network.run(&mut client, &mut server, LIMIT);
    (network, client, ending)
}

#[test]
fn ten_thousand_networks_build_end_and_conserve() {
    let (mut sent, mut arrived) = (0, 0);
    for seed in seeds(10_000) {
        let (network, client, ending) = run(seed);
        let report = network.report();
        assert_eq!(ending, Ending::Done, "{network}\n{report}");
        assert_eq!(report.check(), Ok(()), "{network}\n{report}");
        assert_eq!(report.up.sent, 100, "{network}\n{report}");
        assert_eq!(client.received.len() as u64, report.down.delivered, "{network}\n{report}");
        sent += 100;
        arrived += client.received.len();
    }
    // Neither a network that loses all nor one that loses nothing would test anything.
    let fair = arrived > sent / 5 && arrived < sent * 4 / 5;
    assert!(fair || one_seed(), "{arrived} of {sent} answers came");
}

#[test]
fn packets_are_conserved_at_every_moment() {
    for seed in seeds(300) {
        let mut network = Network::random(seed, &Ranges::default()).unwrap();
        let (mut client, mut server) = (client(seed), Echo::new());
        let mut time = Duration::ZERO;
        while network.run(&mut client, &mut server, time) == Ending::TimeLimit {
            let report = network.report();
            assert_eq!(report.check(), Ok(()), "{network}\n{report}");
            time += Duration::from_millis(7);
        }
    }
}

#[test]
fn the_same_seed_gives_the_same_run_and_another_another() {
    let mut hashes = std::collections::BTreeSet::new();
    for seed in seeds(200) {
        let (one, first, _) = run(seed);
        let (two, second, _) = run(seed);
        assert_eq!(one.trace_hash(), two.trace_hash(), "{one}");
        assert_eq!(one.to_string(), two.to_string());
        assert_eq!(first.received, second.received, "{one}");
        hashes.insert(one.trace_hash());
    }
    assert!(hashes.len() == 200 || one_seed(), "{} different runs", hashes.len());
}

#[test]
fn a_run_in_pieces_is_the_run_in_one() {
    for seed in seeds(100) {
        let (whole, ..) = run(seed);
        let mut pieces = Network::random(seed, &Ranges::default()).unwrap();
        let (mut client, mut server) = (client(seed), Echo::new());
        let mut time = Duration::ZERO;
        while pieces.run(&mut client, &mut server, time) == Ending::TimeLimit {
            time += Duration::from_millis(13);
        }
        assert_eq!(whole.trace_hash(), pieces.trace_hash(), "{whole}");
    }
}

#[test]
fn a_new_node_leaves_the_draws_of_the_others() {
    let lossy = || Topology::new().up(Link::Loss { rate: 0.3 });
    let wide = Link::Mtu { mtu: 9001, icmp: true };
    let corrupting = Link::Corrupt { rate: 0.5, bits: 3 };
    let alone = arrivals(lossy());
    assert_eq!(alone, arrivals(lossy().up(wide.clone()).up(corrupting.clone())));
    assert_eq!(alone, arrivals(Topology::new().up(corrupting).up(wide).up(Link::Loss { rate: 0.3 })));
    // Two nodes of one name draw apart from each other: 0.7 x 0.7.
    let twice = arrivals(lossy().up(Link::Loss { rate: 0.3 })).len();
    assert!((420..560).contains(&twice), "{twice}");
}

/// When the answers to 1000 datagrams came.
fn arrivals(topology: Topology) -> Vec<u64> {
    let mut network = Network::new(topology, 5).unwrap();
    let (mut client, mut server) = (Sender::of_bytes(100, 1000, Duration::from_micros(10)), Echo::new());
    assert_eq!(network.run(&mut client, &mut server, LIMIT), Ending::Done);
    client.received.iter().map(|(at_ns, _)| *at_ns).collect()
}

#[test]
fn a_narrower_range_leaves_the_rest_of_what_a_seed_draws() {
    for seed in seeds(300) {
        let all = Topology::random(seed, &Ranges::default());
        let without = Topology::random(seed, &Ranges { silence: None, ..Ranges::default() });
        for (all, without) in [(all.up, without.up), (all.down, without.down)] {
            let rest: Vec<Link> =
                all.links.into_iter().filter(|link| !matches!(link, Link::Silence { .. })).collect();
            assert_eq!(rest, without.links, "seed {seed}");
        }
    }
}

#[test]
fn every_kind_is_drawn_and_nothing_where_nothing_may_be() {
    let mut seen = std::collections::BTreeSet::new();
    for seed in 0..1000 {
        let topology = Topology::random(seed, &Ranges::default());
        seen.extend(topology.up.links.iter().chain(&topology.down.links).map(Link::name));
        assert_eq!(Topology::random(seed, &Ranges::nothing()), Topology::new());
    }
    assert_eq!(seen.len(), 13, "{seen:?}");
    // Kinds are drawn apart from each other: a third of a third of the paths has both.
    let has = |seed: &u64, name| {
        Topology::random(*seed, &Ranges::default()).up.links.iter().any(|link| link.name() == name)
    };
    let both = (0..3000).filter(|seed| has(seed, "loss") && has(seed, "silence")).count();
    assert!((281..=385).contains(&both), "{both} of 3000");
}
