//! Path MTU, fragments, and putting them together.

use std::time::Duration;

use shingle_netlab::{Charge, DropReason, Link, Packet, Reassembly, Sender, Topology, TopologyError};

use crate::{fragmentable, fragmentables, run, through};

const NARROW: Link = Link::Mtu { mtu: 1500, icmp: true };

#[test]
fn mtu_is_bytes_of_an_ip_packet_in_both_families() {
    for (from, to, largest) in [("198.18.0.1:1", "198.18.0.2:2", 1472), ("[fd00::1]:1", "[fd00::2]:2", 1452)]
    {
        for (bytes, passes) in [(largest, 1), (largest + 1, 0)] {
            let packet = Packet::new(from.parse().unwrap(), to.parse().unwrap(), vec![0; bytes]);
            let run = run(Topology::new().up(NARROW), Sender::new(packet, 1, Duration::ZERO));
            assert_eq!(run.received.len(), passes, "{from} {bytes}");
            assert_eq!(run.report.up.dropped(DropReason::TooBig), 1 - passes as u64);
        }
    }
}

#[test]
fn icmp_comes_after_the_way_there_and_back_and_only_where_it_is_on() {
    let delay = Link::delay(Duration::from_millis(7));
    let big = || Sender::of_bytes(1473, 1, Duration::ZERO);
    let told = run(Topology::new().up(delay.clone()).up(NARROW).up(delay.clone()), big()).client.hints;
    assert_eq!(told.len(), 1);
    let (at_ns, hint) = told[0];
    assert_eq!((at_ns, hint.mtu), (14_000_000, 1500));
    assert_eq!((hint.source.port(), hint.destination.port()), (1000, 7400));
    let black_hole = Link::Mtu { mtu: 1500, icmp: false };
    assert!(run(Topology::new().up(delay).up(black_hole), big()).client.hints.is_empty());
}

#[test]
fn ipv6_is_not_fragmented_with_or_without_df() {
    let packet = Packet::new("[fd00::1]:1".parse().unwrap(), "[fd00::2]:2".parse().unwrap(), vec![0; 1500]);
    let run = run(Topology::new().up(NARROW), Sender::new(packet.fragmentable(), 1, Duration::ZERO));
    assert_eq!(run.report.up.dropped(DropReason::TooBig), 1);
}

#[test]
fn fragments_arrive_as_the_datagram_they_were_also_out_of_order_and_split_twice() {
    let narrower = Link::Mtu { mtu: 600, icmp: false };
    let shuffled = Link::Reorder { rate: 0.5, delay: Duration::from_micros(3) };
    let topology = Topology::new().up(NARROW).up(narrower).up(shuffled);
    let run = run(topology, fragmentables(4000, 500));
    assert_eq!(run.received.len(), 500);
    let sent = fragmentable(4000);
    for (_, packet) in run.received {
        assert_eq!((packet.payload, packet.fragment), (sent.payload.clone(), None));
    }
    // 4008 B make 3 pieces of at most 1480, and these 3 + 3 + 2 of at most 576.
    assert_eq!(run.report.up.node("reassembly").unwrap().taken, 500 * 8);
    assert_eq!(run.report.up.node("reassembly").unwrap().joined, 500 * 7);
}

#[test]
fn a_datagram_is_lost_whole_with_any_of_its_fragments() {
    let mut topology = Topology::new().up(NARROW).up(Link::Loss { rate: 0.1 });
    topology.up.reassembly.memory = 1 << 30;
    let run = run(topology, fragmentables(4000, 10_000));
    // 0.9^3 of 10,000, three standard deviations either side.
    assert!((7_157..=7_423).contains(&run.received.len()), "{}", run.received.len());
    let lost = run.report.up.dropped(DropReason::Loss);
    let inside = run.report.up.node("reassembly").unwrap().held;
    assert_eq!(lost + inside + 3 * run.received.len() as u64, 30_000);
}

#[test]
fn unfinished_datagrams_are_given_up_in_time_and_refused_without_memory() {
    // No later fragment passes: each datagram leaves its first one, of 1500 B.
    let first_only = Link::FragmentLimit { limit: 0, charge: Charge::Rest, burst: 0 };
    let mut topology = Topology::new().up(NARROW).up(first_only);
    let second = Duration::from_secs(1);
    topology.up.reassembly = Reassembly { memory: 1 << 20, time: second };
    let late = run(topology.clone(), Sender::new(fragmentable(2000), 3, second));
    assert_eq!(late.report.up.dropped(DropReason::ReassemblyTimeout), 2);
    assert_eq!(late.report.up.node("reassembly").unwrap().held, 1);

    topology.up.reassembly.memory = 15_000;
    let full = run(topology, fragmentables(2000, 100));
    // The eleventh finds 15,000 B held, which is not above the limit.
    assert_eq!(full.report.up.node("reassembly").unwrap().held, 11);
    assert_eq!(full.report.up.dropped(DropReason::ReassemblyMemory), 89);
}

#[test]
fn doubled_fragments_change_nothing() {
    let doubling = Link::Duplicate { rate: 1.0, delay: Duration::ZERO };
    let run = run(
        Topology::new().up(NARROW).up(doubling),
        Sender::new(fragmentable(4000), 10, Duration::from_millis(1)),
    );
    // The last fragment's copy comes after the datagram is complete, and waits for more.
    assert_eq!(run.received.len(), 10);
    assert_eq!(run.report.up.dropped(DropReason::FragmentOverlap), 20);
    assert_eq!(run.report.up.node("reassembly").unwrap().held, 10);
}

#[test]
fn a_fragment_limit_counts_what_it_charges_and_never_whole_datagrams() {
    // 3 fragments a datagram, 10,000 datagrams in 10 ms: a limit of 1000 a second.
    for (charge, charged) in [(Charge::First, 1), (Charge::Rest, 2), (Charge::All, 3)] {
        let limit = Link::FragmentLimit { limit: 1000, charge, burst: 5 };
        let limited = run(Topology::new().up(NARROW).up(limit.clone()), fragmentables(4000, 10_000));
        let passed = limited.report.up.node("fragment_limit").unwrap().passed;
        let free = (3 - charged) * 10_000;
        assert_eq!(passed, free + 14, "{charge:?}: 5 at once, and 9.999 in 9.999 ms");
        let dropped = limited.report.up.dropped(DropReason::FragmentLimit);
        assert_eq!(dropped, 30_000 - passed);
        assert_eq!(through(limit, 1000, 10_000).received.len(), 10_000);
    }
}

#[test]
fn fragment_loss_spares_whole_datagrams_and_fragments_of_the_other_kind() {
    // 3 fragments a datagram; three standard deviations either side.
    for (charge, lost) in
        [(Charge::First, 910..=1_090), (Charge::Rest, 1_872..=2_128), (Charge::All, 2_844..=3_156)]
    {
        let link = Link::FragmentLoss { rate: 0.1, charge };
        let run = run(Topology::new().up(NARROW).up(link.clone()), fragmentables(4000, 10_000));
        let found = run.report.up.dropped(DropReason::Loss);
        assert!(lost.contains(&found), "{charge:?}: {found}");
        assert_eq!(through(link, 1000, 1_000).received.len(), 1_000);
    }
}

#[test]
fn impossible_mtus_are_refused_with_the_range() {
    let error = Topology::new().down(Link::Mtu { mtu: 67, icmp: false }).check().unwrap_err();
    assert_eq!(error, TopologyError::Range { link: "mtu", name: "mtu", value: 67, range: 68..=65_535 });
    assert_eq!(error.to_string(), "mtu: mtu is 67; give 68 to 65535");
}
