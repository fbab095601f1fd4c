//! Added latency: every packet arrives, in order, not before its time.

use std::time::{Duration, Instant};

use shingle_netlab::Hold;
use shingle_netlab::lab::LabOptions;

use crate::common::{FAMILIES, lab, plan, receive, sockets};

#[test]
fn held_packets_arrive_in_order_and_not_before_their_time() {
    const DELAY: Duration = Duration::from_millis(20);
    let mut plan = plan(9001, 9001);
    plan.hosts[2].holds = vec![Hold { device: "rc".to_owned(), mark: None, delay: DELAY }];
    let Some(lab) = lab(&plan, &LabOptions::default()) else { return };
    for family in FAMILIES {
        let (client, server, address) = sockets(&lab, family);
        let begin = Instant::now();
        for number in 0..100_u32 {
            client.send_to(&number.to_be_bytes(), address).unwrap();
        }
        for number in 0..100_u32 {
            assert_eq!(receive(&server).0, number.to_be_bytes());
            assert!(begin.elapsed() >= DELAY);
        }
    }
    let losses = lab.own_losses().unwrap();
    assert!(!losses.keys().any(|name| name.ends_with("hold0.dropped")), "{losses:?}");
}
