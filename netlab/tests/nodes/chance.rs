//! Loss, bursts, reordering, copies and flipped bits: counted with one seed, within three standard deviations.

use std::time::Duration;

use shingle_netlab::{DropReason, Echo, Link, Network, Packet, Sender, Topology, TopologyError};

use crate::{Run, run, through};

/// Payload bytes and number of datagrams of most of these tests.
const BYTES: usize = 100;
const COUNT: u64 = 100_000;

#[test]
fn loss_has_its_rate_and_spares_nobody_at_one() {
    let lost = through(Link::Loss { rate: 0.05 }, BYTES, COUNT).report.up.dropped(DropReason::Loss);
    assert!((4_794..=5_206).contains(&lost), "{lost}");
    assert!(through(Link::Loss { rate: 1.0 }, BYTES, 1000).received.is_empty());
    assert_eq!(through(Link::Loss { rate: 0.0 }, BYTES, 1000).received.len(), 1000);
}

#[test]
fn loss_above_a_size_spares_what_is_not_larger() {
    let link = || Link::SizeLoss { above: 1500, rate: 0.5 };
    assert_eq!(through(link(), 1472, 1000).received.len(), 1000);
    let lost = through(link(), 1473, COUNT).report.up.dropped(DropReason::Loss);
    assert!((49_525..=50_475).contains(&lost), "{lost}");
}

#[test]
fn bursts_have_their_share_and_their_length() {
    let link = Link::BurstLoss { enter: 0.01, leave: 0.2, rate: 1.0 };
    let run = through(link, BYTES, COUNT);
    // One each microsecond: gaps between arrivals are bursts.
    let gaps = run.received.windows(2).map(|pair| (pair[1].0 - pair[0].0) / 1000 - 1);
    let bursts: Vec<u64> = gaps.filter(|&gap| gap > 0).collect();
    let mean = bursts.iter().sum::<u64>() as f64 / bursts.len() as f64;
    assert!((4.5..5.5).contains(&mean), "bursts of {mean} on average, 1 / 0.2 expected");
    let share = run.report.up.dropped(DropReason::BurstLoss) as f64 / COUNT as f64;
    assert!((0.043..0.053).contains(&share), "{share} lost, 0.01 / 0.21 expected");
}

#[test]
fn a_burst_that_always_ends_has_one_packet() {
    let run = through(Link::BurstLoss { enter: 0.5, leave: 1.0, rate: 1.0 }, BYTES, 1000);
    assert!(run.received.windows(2).all(|pair| pair[1].0 - pair[0].0 <= 2000));
    assert!(run.received.len() < 1000);
}

#[test]
fn within_a_burst_a_rate_may_spare_some() {
    let lost = through(Link::BurstLoss { enter: 1.0, leave: 0.0, rate: 0.5 }, BYTES, COUNT);
    let lost = lost.report.up.dropped(DropReason::BurstLoss);
    assert!((49_525..=50_475).contains(&lost), "{lost}");
}

#[test]
fn reordering_holds_back_its_share_and_no_longer_than_it_may() {
    let run = through(Link::Reorder { rate: 0.1, delay: Duration::from_micros(10) }, BYTES, 10_000);
    let held_back = run.report.up.node("reorder").unwrap().changed;
    assert!((910..=1_090).contains(&held_back), "{held_back}");
    assert_eq!(run.numbers.len(), 10_000);
    let overtaken = run.numbers.windows(2).filter(|pair| pair[0] > pair[1]).count();
    assert!((400..1_090).contains(&overtaken), "{overtaken}");
    assert!(lateness_ns(&run).all(|late| late <= 10_000));
    let at_once = through(Link::Reorder { rate: 1.0, delay: Duration::ZERO }, BYTES, 100);
    assert!(lateness_ns(&at_once).all(|late| late == 0));
}

/// How long after it was sent each datagram came: number i was sent at i microseconds.
fn lateness_ns(run: &Run) -> impl Iterator<Item = u64> {
    run.received.iter().zip(&run.numbers).map(|((at_ns, _), number)| at_ns - number * 1000)
}

#[test]
fn copies_are_equal_counted_and_late_by_no_more_than_said() {
    let run = through(Link::Duplicate { rate: 0.1, delay: Duration::from_micros(50) }, BYTES, 10_000);
    let made = run.report.up.node("duplicate").unwrap().made;
    assert!((910..=1_090).contains(&made), "{made}");
    assert_eq!(run.received.len() as u64, 10_000 + made);
    let payload: &Vec<u8> = &run.received[0].1.payload;
    assert!(run.received.iter().all(|(_, packet)| &packet.payload == payload));
    let late: Vec<u64> = lateness_ns(&run).filter(|&late| late > 0).collect();
    let mean = late.iter().sum::<u64>() / late.len() as u64;
    assert!(
        late.iter().all(|&late| late <= 50_000) && (23_500..26_500).contains(&mean),
        "{mean} ns late on average"
    );
}

#[test]
fn nodes_of_one_kind_and_both_directions_draw_apart() {
    // The same draws twice would flip each bit back.
    let corrupt = || Link::Corrupt { rate: 1.0, bits: 1 };
    let twice =
        run(Topology::new().up(corrupt()).up(corrupt()), Sender::of_bytes(BYTES, 100, Duration::ZERO));
    let unchanged = twice.received.iter().filter(|(_, packet)| bits_flipped(packet) == 0).count();
    assert!(unchanged < 5, "{unchanged}");

    let mut client = Sender::of_bytes(BYTES, 100, Duration::ZERO);
    let mut network = Network::new(Topology::new().both(corrupt()), 1).unwrap();
    network.run(&mut client, &mut Echo::new(), crate::LIMIT);
    let unchanged = client.received.iter().filter(|(_, packet)| bits_flipped(packet) == 0).count();
    assert!(unchanged < 5, "{unchanged}");
}

#[test]
fn corruption_flips_exactly_so_many_bits_and_delivers() {
    for bits in [1, 3, 8] {
        let run = through(Link::Corrupt { rate: 0.1, bits }, BYTES, 10_000);
        assert_eq!(run.received.len(), 10_000);
        let flipped: Vec<u32> = run.received.iter().map(|(_, packet)| bits_flipped(packet)).collect();
        assert!(flipped.iter().all(|&n| n == 0 || n == bits));
        let corrupted = flipped.iter().filter(|&&n| n > 0).count() as u64;
        assert_eq!(corrupted, run.report.up.node("corrupt").unwrap().changed);
        assert!((910..=1_090).contains(&corrupted), "{corrupted}");
    }
    // More bits than there are: all of them flip.
    assert_eq!(bits_flipped(&through(Link::Corrupt { rate: 1.0, bits: 100 }, 2, 1).received[0].1), 16);
    assert!(through(Link::Corrupt { rate: 1.0, bits: 1 }, 0, 1).received[0].1.payload.is_empty());
}

fn bits_flipped(packet: &Packet) -> u32 {
    packet.payload.iter().enumerate().map(|(i, byte)| (byte ^ i as u8).count_ones()).sum()
}

#[test]
fn what_is_no_probability_is_refused() {
    for rate in [-0.1, 1.1, f64::NAN] {
        let error = Topology::new().up(Link::Loss { rate }).check().unwrap_err();
        assert!(matches!(error, TopologyError::Probability { link: "loss", name: "rate", .. }), "{error}");
    }
}
