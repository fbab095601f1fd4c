//! The same description in the kernel and simulated: the same counts where nothing is left to chance.

use std::time::{Duration, Instant};

use shingle_netlab::{DropReason, Endpoint, Network, Packet, Sender, Spec};

use crate::common::{Ends, counter, lab};

/// What the simulated network drops of datagrams that a server sends, at once, with DF clear.
fn simulated(
    topology: &str,
    settings: &[&str],
    datagrams: u64,
    payload_bytes: usize,
    reason: DropReason,
) -> u64 {
    let spec = Spec::new(topology).unwrap().set_all(settings).unwrap();
    let mut network = Network::new(spec.simulated().unwrap(), 1).unwrap();
    let (server, client) = ("198.18.1.2:7400".parse().unwrap(), "198.18.2.2:1000".parse().unwrap());
    let packet = Packet::new(server, client, vec![0; payload_bytes]).fragmentable();
    let mut sender = Sender::new(packet, datagrams, Duration::ZERO);
    network.run(
        &mut Sender::of_bytes(0, 0, Duration::ZERO) as &mut dyn Endpoint,
        &mut sender,
        Duration::from_secs(1),
    );
    network.report().check().unwrap();
    network.report().down.dropped(reason)
}

#[test]
fn both_back_ends_drop_the_same_packets() {
    for (topology, settings, bytes, reason, counted) in [
        ("fragment-limit", &["limit=1/s"][..], 2000, DropReason::FragmentLimit, "router.fragments_dropped"),
        (
            "fragment-limit",
            &["limit=1/s", "charge=first"],
            4000,
            DropReason::FragmentLimit,
            "router.fragments_dropped",
        ),
        (
            "fragment-limit",
            &["limit=1/s", "charge=all", "burst=50"],
            4000,
            DropReason::FragmentLimit,
            "router.fragments_dropped",
        ),
        ("fragments-blocked", &[], 4000, DropReason::FragmentLimit, "router.fragments_dropped"),
        ("black-hole", &[], 8472, DropReason::Loss, "router.oversize_down"),
        ("black-hole", &[], 8473, DropReason::Loss, "router.oversize_down"),
        ("asymmetric", &[], 8473, DropReason::Loss, "router.oversize_down"),
        ("packet-limit", &["limit=1/s", "burst=20"], 100, DropReason::RateLimit, "router.limited_down"),
    ] {
        let Some(lab) = lab(topology, "4", settings) else { return };
        let ends = Ends::of(&lab);
        if topology.starts_with("fragment") {
            ends.learn();
        }
        let begin = Instant::now();
        ends.down(100, bytes);
        let real = counter(&lab, counted);
        let simulated = simulated(topology, settings, 100, bytes, reason);
        // Real time went by: a token a second.
        let refilled = begin.elapsed().as_secs() + 1;
        assert!(
            real <= simulated && simulated - real <= refilled,
            "{topology} {settings:?}: {real} and {simulated}"
        );
        assert!(refilled < simulated || simulated == 0, "the comparison says nothing");
        lab.down().unwrap();
    }
}
