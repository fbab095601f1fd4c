//! What is counted, and where: each laboratory and each host has figures of its own.

use std::time::Duration;

use shingle_netlab::lab::{Lab, LabOptions};
use shingle_netlab::{Family, Later};

use crate::common::{FAMILIES, lab, plan, receive, sockets, wait_until};

const COUNTING: &str = r#"
table netdev seen {
  counter datagrams { }
  chain seen {
    type filter hook ingress device "rc" priority 0; policy accept;
    meta l4proto udp counter name datagrams
  }
}
"#;

fn exchange(lab: &Lab, count: u64) {
    let (client, server, address) = sockets(lab, Family::V4);
    for _ in 0..count {
        client.send_to(b"x", address).unwrap();
        receive(&server);
    }
}

#[test]
fn two_side_by_side_count_apart() {
    let mut plan = plan(1500, 1500);
    plan.hosts[2].rules = COUNTING.to_owned();
    let Some(first) = lab(&plan, &LabOptions::default()) else { return };
    let second = lab(&plan, &LabOptions::default()).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| exchange(&first, 10));
        scope.spawn(|| exchange(&second, 25));
    });
    assert_eq!(first.counters().unwrap()["router.datagrams"], 10);
    first.down().unwrap();
    exchange(&second, 5);
    assert_eq!(second.counters().unwrap()["router.datagrams"], 30);
}

#[test]
fn hosts_count_apart() {
    let Some(lab) = lab(&plan(1500, 1500), &LabOptions::default()) else { return };
    let (client, server, address) = sockets(&lab, Family::V4);
    drop(server);
    for _ in 0..3 {
        client.send_to(b"x", address).unwrap();
    }
    let count =
        |host: &str, name: &str| lab.host(host).kernel_counters().unwrap().get(name).copied().unwrap_or(0);
    assert_eq!(count("server", "UdpNoPorts"), 3);
    assert_eq!(count("client", "UdpNoPorts"), 0);
    assert_eq!(count("client", "IcmpInDestUnreachs"), 3);
    assert_eq!(count("router", "IcmpInDestUnreachs"), 0);
}

#[test]
fn learned_path_mtus_are_forgotten_on_request() {
    let Some(lab) = lab(&plan(1500, 9001), &LabOptions::default()) else { return };
    for family in FAMILIES {
        let (client, server, _) = sockets(&lab, family);
        let peer = client.local_addr().unwrap();
        let learned = || {
            let words = ["route", "get", &peer.ip().to_string()];
            lab.server().ip(&words).unwrap().contains("mtu 1500")
        };
        assert!(!learned());
        server.send_to(&[1; 4000], peer).unwrap();
        wait_until("the server has learned the path MTU", learned);
        lab.flush_path_mtus().unwrap();
        assert!(!learned());
    }
}

#[test]
fn later_rules_come_when_the_clock_runs() {
    let mut plan = plan(1500, 1500);
    plan.hosts[2].later = vec![Later {
        after: Duration::from_millis(10),
        rules: "table ip late {\n  counter came { }\n}\n".to_owned(),
    }];
    let Some(lab) = lab(&plan, &LabOptions::default()) else { return };
    assert!(lab.counters().unwrap().is_empty());
    lab.start_clock();
    wait_until("the rules come", || lab.counters().unwrap().contains_key("router.came"));
    lab.down().unwrap();
}

#[test]
fn rules_that_fail_later_are_reported_at_the_end() {
    let mut plan = plan(1500, 1500);
    plan.hosts[2].later = vec![Later { after: Duration::ZERO, rules: "nonsense".to_owned() }];
    let Some(lab) = lab(&plan, &LabOptions::default()) else { return };
    lab.start_clock();
    // However early the end comes, what is due has been tried.
    let error = lab.down().unwrap_err().to_string();
    assert!(error.contains("router") && error.contains("nft"), "{error}");
}

#[test]
fn what_the_end_of_a_wire_drops_is_the_laboratorys_own_loss() {
    let mut plan = plan(9001, 1500);
    // The two ends of one wire disagree: what is too large for the other end is lost without a word.
    plan.wires[0].ends[1].mtu = 1500;
    let Some(lab) = lab(&plan, &LabOptions::default()) else { return };
    let (client, _server, address) = sockets(&lab, Family::V4);
    assert_eq!(lab.own_losses().unwrap().get("router.rc.rx_dropped"), None);
    client.send_to(&[1; 5000], address).unwrap();
    assert_eq!(lab.own_losses().unwrap()["router.rc.rx_dropped"], 1);
}
