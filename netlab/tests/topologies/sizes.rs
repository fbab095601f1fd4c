//! What is too large: told to the sender, or swallowed, one way or both.

use crate::common::{Ends, FAMILIES, counter, lab, payload_of};

#[test]
fn direct_carries_the_largest_packets_both_ways() {
    for family in FAMILIES {
        let Some(lab) = lab("direct", family, &[]) else { return };
        let (ends, largest) = (Ends::of(&lab), payload_of(&lab, 9001));
        assert_eq!(ends.down(50, largest).numbers, (0..50).collect::<Vec<_>>());
        assert_eq!(ends.up(50, largest).numbers, (0..50).collect::<Vec<_>>());
        for counted in ["down_seen", "down_passed", "up_seen", "up_passed"] {
            assert_eq!(counter(&lab, &format!("router.{counted}")), 50, "{counted}");
        }
        assert!(lab.own_losses().unwrap().is_empty(), "{:?}", lab.own_losses());
        lab.down().unwrap();
    }
}

#[test]
fn narrow_loses_the_first_large_datagram_and_says_why() {
    for family in FAMILIES {
        let Some(lab) = lab("narrow", family, &["mtu-expires=1s"]) else { return };
        let ends = Ends::of(&lab);
        assert_eq!(ends.down(10, 1000).count(), 10);
        assert_eq!(ends.down(10, 4000).numbers, (1..10).collect::<Vec<_>>(), "fragments from the second on");
        assert_eq!(counter(&lab, "router.too_big_sent"), 1);
        // What was learned is forgotten, and lost again.
        std::thread::sleep(std::time::Duration::from_millis(2_500));
        ends.learn();
        assert_eq!(counter(&lab, "router.too_big_sent"), 2);
        lab.flush_path_mtus().unwrap();
        ends.learn();
        lab.down().unwrap();
    }
}

#[test]
fn narrow_without_icmp_loses_every_large_datagram() {
    for family in FAMILIES {
        let Some(lab) = lab("narrow", family, &["icmp=off"]) else { return };
        let ends = Ends::of(&lab);
        assert_eq!(ends.down(10, 4000).count(), 0);
        assert_eq!(ends.down(10, payload_of(&lab, 1500)).count(), 10);
        assert_eq!(counter(&lab, "router.too_big_silenced"), 10);
        lab.down().unwrap();
    }
}

/// What passes down and up of ten datagrams of IP packets of these sizes.
fn passes(topology: &str, settings: &[&str], expected: [(usize, u64, u64); 3], swallowed: [u64; 2]) {
    for family in FAMILIES {
        let Some(lab) = lab(topology, family, settings) else { return };
        let ends = Ends::of(&lab);
        for (ip_bytes, down, up) in expected {
            let bytes = payload_of(&lab, ip_bytes);
            let found = (ends.down(10, bytes).count(), ends.up(10, bytes).count());
            assert_eq!(found, (down, up), "{topology} {settings:?} family {family}: {ip_bytes}");
        }
        let counters = lab.counters().unwrap();
        let lost =
            ["down", "up"].map(|way| counters.get(&format!("router.oversize_{way}")).copied().unwrap_or(0));
        assert_eq!(lost, swallowed);
        // Nobody learned anything: the second large datagram is as lost as the first.
        let server = lab.server().ip(&["route", "get", &ends.client.address.ip().to_string()]).unwrap();
        assert!(!server.contains("expires"), "{server}");
        lab.down().unwrap();
    }
}

#[test]
fn a_black_hole_swallows_what_exceeds_its_size_and_nothing_else() {
    passes("black-hole", &[], [(8500, 10, 10), (8501, 0, 0), (9001, 0, 0)], [20, 20]);
    passes("black-hole", &["direction=down"], [(8500, 10, 10), (8501, 0, 10), (9001, 0, 10)], [20, 0]);
    passes(
        "black-hole",
        &["direction=up", "size=1400"],
        [(1400, 10, 10), (1401, 10, 0), (9001, 10, 0)],
        [0, 20],
    );
}

#[test]
fn an_asymmetric_path_swallows_one_way_alone() {
    passes("asymmetric", &[], [(8500, 10, 10), (8501, 0, 10), (9001, 0, 10)], [20, 0]);
    passes("asymmetric", &["direction=up"], [(8500, 10, 10), (8501, 10, 0), (9001, 10, 0)], [0, 20]);
}
