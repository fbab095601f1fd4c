//! Two topologies in one network: both do what they do alone, and each counts its own.

use std::collections::BTreeSet;
use std::time::Duration;

use shingle_netlab::lab::Lab;
use shingle_netlab::{Spec, catalogue};

use crate::common::{Ends, FAMILIES, counter, kernel, lab, likely};
use crate::every::taken_by_nft;

/// All that go together, in both orders.
fn pairs() -> Vec<Spec> {
    let names = || catalogue().iter().map(|entry| entry.name);
    names().flat_map(|a| names().filter_map(move |b| Spec::new(&format!("{a}+{b}")).ok())).collect()
}

#[test]
fn nft_takes_the_rules_of_every_pair() {
    let Some(lab) = lab("bad-path", "4", &["paths=8"]) else { return };
    let scripts: BTreeSet<String> =
        pairs().iter().flat_map(|spec| spec.plan().hosts).map(|host| host.rules).collect();
    assert!(scripts.len() > 150, "{}", scripts.len());
    taken_by_nft(&lab, &scripts);
    lab.down().unwrap();
}

#[test]
fn small_datagrams_pass_every_pair_that_spares_them() {
    for (index, spec) in
        pairs().into_iter().filter(|spec| spec.entries()[0].name < spec.entries()[1].name).enumerate()
    {
        let Some(lab) = lab(&spec.name(), FAMILIES[index % 2], &[]) else { return };
        let ends = Ends::of(&lab);
        let (down, up) = (ends.down(8, 100).count(), ends.up(8, 100).count());
        let by_chance = ["lossy", "corrupting", "duplicating", "bad-path"];
        let spares = spec.entries().iter().all(|entry| !by_chance.contains(&entry.name));
        assert!(!spares || (down, up) == (8, 8), "{}: {down} {up}", spec.name());
        lab.down().unwrap();
    }
}

#[test]
fn limited_fragments_and_lost_packets_are_counted_apart() {
    for family in FAMILIES {
        let settings = ["limit=1/s", "fragment-limit.burst=20", "rate=10%", "lossy.direction=down"];
        let Some(lab) = lab("fragment-limit+lossy", family, &settings) else { return };
        let ends = Ends::of(&lab);
        while counter(&lab, "router.too_big_sent") == 0 {
            ends.down(1, 4000);
        }
        let lost = || counter(&lab, "router.lost_down");
        let limited = || counter(&lab, "router.fragments_dropped");
        // Small ones are lost by chance alone.
        let before = (lost(), limited());
        let arrived = ends.down(2_000, 100).count();
        assert_eq!((2_000 - arrived, limited()), (lost() - before.0, before.1));
        assert!(likely(2_000 - arrived, 2_000, 0.1), "{arrived}");
        // Of large ones the card passes a few, and the path loses some of these.
        let arrived = ends.down(200, 2000).count();
        assert!(limited() - before.1 > 150 && arrived < 50, "{} {arrived}", limited());
        lab.down().unwrap();
    }
}

#[test]
fn what_vanishes_by_size_and_what_is_lost_by_chance_are_counted_apart() {
    for family in FAMILIES {
        let Some(lab) = lab("black-hole+lossy", family, &["lossy.rate=20%", "size=4000"]) else { return };
        let ends = Ends::of(&lab);
        assert_eq!(ends.down(100, 5000).count(), 0);
        assert_eq!((counter(&lab, "router.oversize_down"), counter(&lab, "router.lost_down")), (100, 0));
        let arrived = ends.down(1_000, 3000).count();
        assert_eq!(counter(&lab, "router.lost_down"), 1_000 - arrived);
        assert!(likely(1_000 - arrived, 1_000, 0.2), "{arrived}");
        lab.down().unwrap();
    }
}

#[test]
fn a_limit_and_flipped_bits_are_counted_apart() {
    for family in FAMILIES {
        let settings = ["limit=1/s", "packet-limit.burst=500", "corrupting.rate=10%"];
        let Some(lab) = lab("packet-limit+corrupting", family, &settings) else { return };
        let ends = Ends::of(&lab);
        let arrived = ends.down(1_000, 100).count();
        let (limited, corrupted) =
            (counter(&lab, "router.limited_down"), counter(&lab, "router.corrupted_down"));
        assert_eq!(arrived + limited + corrupted, 1_000);
        assert!(limited > 400 && likely(corrupted, 1_000 - limited, 0.1), "{limited} {corrupted}");
        lab.down().unwrap();
    }
}

#[test]
fn the_rules_of_another_topology_stand_at_both_routers_of_several_paths() {
    for family in FAMILIES {
        let settings = ["lossy.rate=20%", "lossy.direction=both", "bad-path.direction=up", "paths=2"];
        let Some(lab) = lab("bad-path+lossy", family, &settings) else { return };
        let (mut up, mut down) = (0, 0);
        for _ in 0..24 {
            let ends = Ends::of(&lab);
            up += ends.up(50, 100).count();
            down += ends.down(50, 100).count();
        }
        let (lost_up, lost_down) = (counter(&lab, "far.lost_up"), counter(&lab, "router.lost_down"));
        assert_eq!(1_200 - down, lost_down);
        assert_eq!(1_200 - up, lost_up + counter(&lab, "router.bad_path_up"));
        assert!(likely(lost_up, 1_200, 0.2) && likely(lost_down, 1_200, 0.2), "{lost_up} {lost_down}");
        assert!(counter(&lab, "router.bad_path_up") > 0);
        lab.down().unwrap();
    }
}

#[test]
fn copies_queues_and_slower_packets_are_where_they_leave_two_routers() {
    for second in ["duplicating", "reordering", "bandwidth-limit"] {
        let settings = if second == "bandwidth-limit" { &[][..] } else { &["direction=both"] };
        let settings: Vec<String> = settings.iter().map(|it| format!("{second}.{it}")).collect();
        let settings: Vec<&str> = settings.iter().map(String::as_str).chain(["bad-path.rate=0%"]).collect();
        let Some(lab) = lab(&format!("{second}+bad-path"), "6", &settings) else { return };
        let ends = Ends::of(&lab);
        let (down, up) = (ends.down(2_000, 100), ends.up(2_000, 100));
        match second {
            "duplicating" => {
                assert_eq!(down.repeated(), counter(&lab, "far.duplicated_down"));
                assert_eq!(up.repeated(), counter(&lab, "router.duplicated_up"));
                assert!(down.repeated() > 0 && up.repeated() > 0);
            }
            "reordering" => {
                assert_eq!((down.count(), up.count()), (2_000, 2_000));
                assert!(down.overtaken() > 0 && up.overtaken() > 0);
            }
            _ => assert_eq!(counter(&lab, "client.down_arrived"), down.count()),
        }
        lab.down().unwrap();
    }
}

#[test]
fn a_narrow_path_and_loss_keep_the_narrow_paths_mtus() {
    for family in FAMILIES {
        let Some(lab) = lab("lossy+narrow", family, &["rate=10%", "lossy.direction=down"]) else { return };
        let mtus: Vec<u32> = lab.plan().wires.iter().map(|wire| wire.ends[0].mtu).collect();
        assert_eq!(mtus, [9001, 1500]);
        let ends = Ends::of(&lab);
        while counter(&lab, "router.too_big_sent") == 0 {
            ends.down(1, 4000);
        }
        let before = counter(&lab, "router.lost_down");
        let arrived = ends.down(500, 2000).count();
        // Two fragments each, and either may be lost.
        let lost = counter(&lab, "router.lost_down") - before;
        assert!(likely(lost, 1_000, 0.1) && (lost / 2..=lost).contains(&(500 - arrived)), "{lost} {arrived}");
        lab.down().unwrap();
    }
}

/// Waits until the clock's script has silenced the server.
fn silent(lab: &Lab, ends: &Ends) {
    for _ in 0..500 {
        ends.up(8, 100);
        if counter(lab, "router.silenced") > 0 {
            return;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    panic!("never silent: {:?}", lab.counters());
}

#[test]
fn a_server_dies_behind_a_lossy_path() {
    for family in FAMILIES {
        let Some(lab) = lab("dead-server+lossy", family, &["rate=10%", "after=50ms"]) else { return };
        let ends = Ends::of(&lab);
        let arrived = ends.up(500, 100).count();
        assert_eq!(500 - arrived, counter(&lab, "router.lost_up"));
        assert!(likely(500 - arrived, 500, 0.1));
        lab.start_clock();
        silent(&lab, &ends);
        let lost = counter(&lab, "router.lost_up");
        assert_eq!(
            (ends.up(50, 100).count(), counter(&lab, "router.lost_up")),
            (0, lost),
            "the dead lose no more by chance"
        );
        lab.down().unwrap();
    }
}

#[test]
fn a_slow_queue_loses_before_a_lossy_path_does() {
    for family in FAMILIES {
        let settings = ["slow-queue.rate=1mbit", "queue=16KiB", "lossy.rate=10%", "direction=down"];
        let Some(lab) = lab("slow-queue+lossy", family, &settings) else { return };
        let ends = Ends::of(&lab);
        let arrived = ends.down(500, 1000).count();
        let errors = if family == "4" { "Udp.SndbufErrors" } else { "Udp6SndbufErrors" };
        let (dropped, lost) = (kernel(lab.server(), errors), counter(&lab, "router.lost_down"));
        assert_eq!(arrived + dropped + lost, 500);
        assert!(dropped > 0, "{dropped} {lost}");
        lab.down().unwrap();
    }
}
