//! What becomes of fragments: the server has learned the path MTU and makes them itself.

use std::time::Instant;

use crate::common::{Ends, FAMILIES, counter, kernel, lab};

/// Datagrams of 2000 B, of two fragments each, as fast as they go.
const DATAGRAMS: u64 = 200;

#[test]
fn a_fragment_limit_takes_its_tokens_from_the_fragments_it_charges() {
    for family in FAMILIES {
        // Dropped without refill; then delivered: a datagram needs both.
        for (charge, charged) in [("first", 1), ("rest", 1), ("all", 2)] {
            for burst in [1, 5, 100] {
                let settings = ["limit=1/s".into(), format!("charge={charge}"), format!("burst={burst}")];
                let settings = settings.each_ref().map(String::as_str);
                let Some(lab) = lab("fragment-limit", family, &settings) else { return };
                let ends = Ends::of(&lab);
                ends.learn();
                let begin = Instant::now();
                let arrived = ends.down(DATAGRAMS, 2000).count();
                let refilled = begin.elapsed().as_secs() + 1;
                let dropped = counter(&lab, "router.fragments_dropped");
                let least = DATAGRAMS * charged - burst;
                let what = format!("family {family}, {charge}, burst {burst}: {:?}", lab.counters());
                assert!((least - refilled..=least).contains(&dropped), "{what}");
                assert_eq!(counter(&lab, "router.fragments_first"), DATAGRAMS);
                assert_eq!(counter(&lab, "router.fragments_rest"), DATAGRAMS);
                assert_eq!(counter(&lab, "router.fragments_passed"), 2 * DATAGRAMS - dropped);
                // Where all are charged, an odd token buys half a datagram, and so may one that came late.
                let tokens = DATAGRAMS * charged - dropped;
                assert!((burst / charged..=tokens / charged).contains(&arrived), "{arrived} arrived, {what}");
                assert_eq!(ends.down(50, 1000).count(), 50, "whole datagrams are free");
                lab.down().unwrap();
            }
        }
    }
}

#[test]
fn the_client_has_the_reassembly_memory_and_time_that_were_set() {
    for (topology, settings, memory, time) in [
        ("fragment-limit", &[][..], "268435456", "1"),
        ("fragment-limit", &["reassembly-memory=4MiB", "reassembly-time=30s"], "4194304", "30"),
        ("small-reassembly", &[], "262144", "30"),
    ] {
        let Some(lab) = lab(topology, "4", settings) else { return };
        for family in ["ipv4.ip", "ipv6.ip6"] {
            let of = |key: &str| lab.client().sysctl(&format!("net.{family}frag_{key}")).unwrap();
            assert_eq!(
                (of("high_thresh").as_str(), of("time").as_str()),
                (memory, time),
                "{topology} {family}"
            );
        }
        lab.down().unwrap();
    }
}

#[test]
fn blocked_fragments_never_pass_and_whole_datagrams_do() {
    for family in FAMILIES {
        let Some(lab) = lab("fragments-blocked", family, &[]) else { return };
        let ends = Ends::of(&lab);
        ends.learn();
        assert_eq!(ends.down(50, 2000).count(), 0);
        assert_eq!((ends.down(50, 1000).count(), ends.up(50, 1000).count()), (50, 50));
        assert_eq!(counter(&lab, "router.fragments_dropped"), 100);
        assert_eq!(counter(&lab, "router.fragments_passed"), 0);
        // A client's own fragments, of what exceeds its own link.
        assert_eq!(ends.up(10, 2000).count(), 0);
        assert_eq!(counter(&lab, "router.fragments_dropped"), 120);
        lab.down().unwrap();
    }
}

/// Datagrams die of which the path lost no fragment, once orphans have filled the memory.
#[test]
fn a_small_reassembly_memory_loses_more_than_the_path_does() {
    for family in FAMILIES {
        let Some(lab) = lab("small-reassembly", family, &["loss=30%", "reassembly-memory=128KiB"]) else {
            return;
        };
        let ends = Ends::of(&lab);
        ends.learn();
        let (sent, errors) = (1_000, if family == "4" { "Ip.ReasmFails" } else { "Ip6ReasmFails" });
        let arrived = ends.down(sent, 2000).count();
        let lost_by_the_path = counter(&lab, "router.fragments_dropped");
        assert!(arrived + lost_by_the_path < sent, "{arrived} arrived, {lost_by_the_path} lost on the path");
        assert!(kernel(lab.client(), errors) >= sent - arrived - lost_by_the_path);
        lab.down().unwrap();

        let Some(lab) = self::lab("small-reassembly", family, &["loss=30%", "reassembly-memory=256MiB"])
        else {
            return;
        };
        let ends = Ends::of(&lab);
        ends.learn();
        let arrived = ends.down(sent, 2000).count();
        assert_eq!(
            arrived + counter(&lab, "router.fragments_dropped"),
            sent,
            "with memory, only what the path lost"
        );
        lab.down().unwrap();
    }
}
