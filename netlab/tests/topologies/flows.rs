//! What hits some flows and spares others, and servers that fall silent.

use std::time::Duration;

use shingle_netlab::lab::Lab;

use crate::common::{End, Ends, FAMILIES, counter, lab};

#[test]
fn a_bad_path_swallows_the_flows_that_hash_to_it_and_no_other() {
    for family in FAMILIES {
        let Some(lab) = lab("bad-path", family, &["paths=4"]) else { return };
        let server = End::of(&lab, lab.server());
        let flows: Vec<End> = (0..64).map(|_| End::of(&lab, lab.client())).collect();
        let arrived: Vec<u64> = flows.iter().map(|client| server.pour(client, 10, 100).count()).collect();
        assert!(arrived.iter().all(|count| [0, 10].contains(count)), "a flow has one path: {arrived:?}");
        let lost = arrived.iter().filter(|count| **count == 0).count() as u64;
        assert!((2..=40).contains(&lost), "{lost} of 64 flows on one of 4 paths");
        let over = |path: &str| counter(&lab, &format!("far.{path}_down"));
        assert_eq!((over("p0"), counter(&lab, "far.bad_path_down")), (10 * lost, 10 * lost));
        assert_eq!(["p0", "p1", "p2", "p3"].map(over).iter().sum::<u64>(), 640);
        assert!(["p1", "p2", "p3"].iter().all(|path| over(path) > 0));
        // The way up is spread as well, and none of its paths is bad.
        assert!(flows.iter().all(|client| client.pour(&server, 2, 100).count() == 2));
        let over = |path: &str| counter(&lab, &format!("router.{path}_up"));
        assert!(["p0", "p1", "p2", "p3"].iter().all(|path| over(path) > 0));
        lab.down().unwrap();
    }
}

#[test]
fn a_bad_path_may_lose_but_a_share_and_up_as_well() {
    let Some(lab) = lab("bad-path", "4", &["paths=2", "rate=50%", "direction=both"]) else { return };
    let server = End::of(&lab, lab.server());
    let (mut up, mut down) = (0, 0);
    for _ in 0..32 {
        let client = End::of(&lab, lab.client());
        up += client.pour(&server, 20, 100).count();
        down += server.pour(&client, 20, 100).count();
    }
    assert_eq!(
        (640 - up, 640 - down),
        (counter(&lab, "router.bad_path_up"), counter(&lab, "far.bad_path_down"))
    );
    for (host, way) in [("router", "up"), ("far", "down")] {
        let (over, lost) =
            (counter(&lab, &format!("{host}.p0_{way}")), counter(&lab, &format!("{host}.bad_path_{way}")));
        assert!(crate::common::likely(lost, over, 0.5), "{lost} of {over} {way}");
    }
    lab.down().unwrap();
}

/// Waits until a datagram up is swallowed, or passes; the clock's scripts come when they come.
fn until(lab: &Lab, ends: &Ends, passes: bool) {
    for _ in 0..500 {
        if (ends.up(1, 100).count() == 1) == passes {
            return;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    panic!("nothing changed: {:?}", lab.counters());
}

#[test]
fn a_dead_server_is_silent_in_both_ways_and_may_come_back() {
    for family in FAMILIES {
        let Some(lab) = lab("dead-server", family, &["after=100ms", "back=4s"]) else { return };
        let ends = Ends::of(&lab);
        assert_eq!(
            (ends.up(10, 100).count(), ends.down(10, 100).count()),
            (10, 10),
            "before the clock starts"
        );
        lab.start_clock();
        until(&lab, &ends, false);
        let before = counter(&lab, "router.silenced");
        assert_eq!((ends.up(5, 100).count(), ends.down(5, 100).count()), (0, 0));
        assert_eq!(counter(&lab, "router.silenced") - before, 10);
        // TCP is as silent as UDP, and no ICMP says why: the connection is neither made nor refused.
        let address = ends.server.address;
        let listening = lab.server().run(|| std::net::TcpListener::bind(address).unwrap()).unwrap();
        let connect = || std::net::TcpStream::connect_timeout(&address, Duration::from_millis(200));
        let error = lab.client().run(connect).unwrap().unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::TimedOut);
        until(&lab, &ends, true);
        assert_eq!((ends.up(10, 100).count(), ends.down(10, 100).count()), (10, 10));
        drop(listening);
        lab.down().unwrap();
    }
}

#[test]
fn a_server_whose_workers_hang_still_speaks_tcp() {
    let Some(lab) = lab("dead-server", "4", &["after=0", "tcp=alive"]) else { return };
    let ends = Ends::of(&lab);
    lab.start_clock();
    until(&lab, &ends, false);
    let address = ends.server.address;
    let _listening = lab.server().run(|| std::net::TcpListener::bind(address).unwrap()).unwrap();
    let connect = || std::net::TcpStream::connect_timeout(&address, Duration::from_secs(5));
    lab.client().run(connect).unwrap().unwrap();
    assert_eq!(ends.down(5, 100).count(), 0);
    lab.down().unwrap();
}

#[test]
fn a_balancer_keeps_known_flows_on_the_dead_server_and_new_ones_live() {
    for family in FAMILIES {
        let Some(lab) = lab("balancer", family, &["after=0", "timeout=4s"]) else { return };
        let server = End::of(&lab, lab.server());
        let flows: Vec<End> = (0..8).map(|_| End::of(&lab, lab.client())).collect();
        let alive = |flows: &[End]| -> Vec<bool> {
            flows.iter().map(|client| client.pour(&server, 1, 100).count() == 1).collect()
        };
        assert_eq!(alive(&flows), [true; 8]);
        lab.start_clock();
        // Every other flow was the first server's.
        let known = [false, true, false, true, false, true, false, true];
        while alive(&flows[..1]) == [true] {
            std::thread::sleep(Duration::from_millis(10));
        }
        for _ in 0..3 {
            assert_eq!(alive(&flows), known);
        }
        let new: Vec<End> = (0..8).map(|_| End::of(&lab, lab.client())).collect();
        assert_eq!(alive(&new), [true; 8]);
        // What is silent for long enough is forgotten, and begins anew on a server that lives.
        std::thread::sleep(Duration::from_millis(4_500));
        assert_eq!(alive(&flows), [true; 8]);
        lab.down().unwrap();
    }
}
