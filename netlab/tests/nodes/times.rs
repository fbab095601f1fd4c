//! Delay, rate limits, silence and changes over time: exact to the nanosecond.

use std::time::Duration;

use shingle_netlab::{DropReason, Excess, Limit, Link, Sender, Step, Topology, TopologyError};

use crate::{Run, run, through};

const MILLISECOND: Duration = Duration::from_millis(1);

/// When packets came, in microseconds, rounded up.
fn times_us(run: &Run) -> Vec<u64> {
    run.received.iter().map(|(at_ns, _)| at_ns.div_ceil(1000)).collect()
}

#[test]
fn a_delay_is_exact_and_jitter_keeps_the_order() {
    let exact = through(Link::delay(MILLISECOND), 100, 5);
    assert_eq!(times_us(&exact), [1000, 1001, 1002, 1003, 1004]);
    let delay = Link::Delay { delay: MILLISECOND, jitter: MILLISECOND };
    let jittery = through(delay.clone(), 100, 10_000);
    let times = times_us(&jittery);
    assert!(jittery.numbers.is_sorted() && times.last() > times.first());
    assert!(times.iter().zip(0..).all(|(at, sent)| (sent + 1000..=sent + 2000).contains(at)));
    // Far apart nothing holds the next one up, and the jitter is uniform.
    let apart = run(Topology::new().up(delay), Sender::of_bytes(100, 10_000, 10 * MILLISECOND));
    let sum: u64 = times_us(&apart).iter().zip(0..).map(|(at, i)| at - i * 10_000).sum();
    assert!((14_913_000..=15_087_000).contains(&sum), "{sum}");
}

#[test]
fn a_policer_passes_the_burst_and_the_limit() {
    let police = |limit, burst| Link::RateLimit { limit, excess: Excess::Police { burst } };
    // 10,000 packets in 10 ms: 100 a millisecond.
    let packets = through(police(Limit::Packets(100_000), 20), 100, 10_000);
    assert_eq!(packets.received.len(), 20 + 999);
    assert_eq!(packets.report.up.dropped(DropReason::RateLimit), 10_000 - 1019);
    // 1000 bits a packet (97 + 28 B): the same in bits.
    let bits = through(police(Limit::Bits(100_000_000), 20_000), 97, 10_000);
    assert_eq!(bits.received.len(), 20 + 999);
}

#[test]
fn a_queue_sends_at_its_pace_and_drops_what_finds_it_full() {
    let queue = |limit, size| Link::RateLimit { limit, excess: Excess::Queue { size } };
    let packets = through(queue(Limit::Packets(100_000), 1000), 100, 100);
    assert_eq!(times_us(&packets), (1..=100).map(|i| i * 10).collect::<Vec<_>>());
    let bits = through(queue(Limit::Bits(100_000_000), 1000), 97, 100);
    assert_eq!(times_us(&bits), times_us(&packets));
    // One sent each microsecond, one carried each ten: 7 fit, then one for each that leaves.
    let short = through(queue(Limit::Packets(100_000), 7), 100, 100);
    assert_eq!(short.received.len(), 7 + 9);
    assert_eq!(short.report.up.dropped(DropReason::QueueFull), 100 - 16);
    // Who leaves makes room at that moment.
    assert_eq!(through(queue(Limit::Packets(1_000_000), 1), 100, 100).received.len(), 100);
}

#[test]
fn silence_begins_and_ends_when_said() {
    let (from, until) = (Duration::from_micros(10), Duration::from_micros(13));
    let run = through(Link::Silence { from, until }, 100, 20);
    assert_eq!(times_us(&run), (0..10).chain(13..20).collect::<Vec<_>>());
    assert_eq!(run.report.up.dropped(DropReason::Silence), 3);
}

#[test]
fn a_path_shrinks_and_widens_again_on_schedule() {
    let step = |us, link| Step { from: Duration::from_micros(us), link };
    let narrow = Link::Mtu { mtu: 1400, icmp: false };
    let link = Link::Schedule(vec![step(10, Some(narrow)), step(15, None)]);
    let topology = Topology::new().up(Link::Mtu { mtu: 9001, icmp: false }).up(link.clone());
    let truth = |us| topology.up.mtu(Duration::from_micros(us));
    assert_eq!(
        [truth(0), truth(9), truth(10), truth(14), truth(15)],
        [9001, 9001, 1400, 1400, 9001].map(Some)
    );
    assert_eq!(topology.down.mtu(Duration::ZERO), None);
    assert_eq!(times_us(&through(link, 1400, 20)), (0..10).chain(15..20).collect::<Vec<_>>());
}

#[test]
fn schedules_must_be_in_order() {
    let step = |s| Step { from: Duration::from_secs(s), link: None };
    let error = Topology::new().up(Link::Schedule(vec![step(2), step(1)])).check().unwrap_err();
    assert_eq!(error.to_string(), "schedule: a step from 1s follows one from 2s; sort the steps by time");
    assert!(matches!(error, TopologyError::StepsUnsorted { .. }));
}
