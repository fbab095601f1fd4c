//! What happens by chance: counted by the router and seen at the ends alike, and as often as was asked for.

use crate::common::{Ends, FAMILIES, counter, kernel, lab, likely};

const DATAGRAMS: u64 = 10_000;

#[test]
fn loss_has_its_rate_in_each_way() {
    for family in FAMILIES {
        let Some(lab) = lab("lossy", family, &["rate=5%"]) else { return };
        let ends = Ends::of(&lab);
        for (way, arrived) in [("down", ends.down(DATAGRAMS, 100)), ("up", ends.up(DATAGRAMS, 100))] {
            let lost = counter(&lab, &format!("router.lost_{way}"));
            assert_eq!(lost, DATAGRAMS - arrived.count());
            assert!(likely(lost, DATAGRAMS, 0.05), "{lost} {way}");
        }
        lab.down().unwrap();
    }
    let Some(lab) = lab("lossy", "4", &["rate=100%", "direction=up"]) else { return };
    let ends = Ends::of(&lab);
    assert_eq!((ends.up(100, 100).count(), ends.down(100, 100).count()), (0, 100));
    lab.down().unwrap();
}

#[test]
fn bursts_have_their_share_and_their_length() {
    for family in FAMILIES {
        let Some(lab) = lab("lossy", family, &["rate=5%", "burst=5", "direction=down"]) else { return };
        let ends = Ends::of(&lab);
        // A whole row of a thousand bursts and more.
        let sent = 12 * DATAGRAMS;
        let arrived = ends.down(sent, 100);
        let lost = counter(&lab, "router.lost_down");
        assert_eq!(lost, sent - arrived.count());
        let share = lost as f64 / sent as f64;
        assert!((0.045..0.055).contains(&share), "{share}");
        let gaps = arrived.numbers.windows(2).filter(|pair| pair[1] - pair[0] > 1).count();
        let mean = lost as f64 / gaps as f64;
        assert!((4.5..5.5).contains(&mean), "{mean} lost in a row");
        lab.down().unwrap();
    }
}

/// Datagrams that the host dropped for their UDP checksum. Sockets read through poll count IPv6 ones in the table of IPv4.
fn checksum_errors(host: &shingle_netlab::lab::Host) -> u64 {
    kernel(host, "Udp.InCsumErrors") + kernel(host, "Udp6InCsumErrors")
}

#[test]
fn a_flipped_bit_is_caught_by_the_udp_checksum() {
    for family in FAMILIES {
        let Some(lab) = lab("corrupting", family, &["rate=2%"]) else { return };
        let ends = Ends::of(&lab);
        for bytes in [40, 100, 1000, 8000] {
            let before = (counter(&lab, "router.corrupted_down"), checksum_errors(lab.client()));
            let arrived = ends.down(2_000, bytes);
            let corrupted = counter(&lab, "router.corrupted_down") - before.0;
            assert!(likely(corrupted, 2_000, 0.02), "{corrupted} of {bytes} B");
            assert_eq!((arrived.count(), arrived.altered), (2_000 - corrupted, 0));
            assert_eq!(checksum_errors(lab.client()) - before.1, corrupted);
        }
        assert_eq!(counter(&lab, "router.spared_down"), 0);
        lab.down().unwrap();
    }
}

#[test]
fn two_flipped_bits_that_cancel_out_reach_the_application() {
    for family in FAMILIES {
        let Some(lab) = lab("corrupting", family, &["rate=10%", "checksum=right"]) else { return };
        let ends = Ends::of(&lab);
        for bytes in [40, 100, 1000, 8000] {
            let before = counter(&lab, "router.corrupted_down");
            let arrived = ends.down(1_000, bytes);
            let corrupted = counter(&lab, "router.corrupted_down") - before;
            assert!(likely(corrupted, 1_000, 0.1), "{corrupted} of {bytes} B");
            assert_eq!((arrived.count(), arrived.altered), (1_000, corrupted));
        }
        assert_eq!(checksum_errors(lab.client()), 0);
        lab.down().unwrap();
    }
}

#[test]
fn fragments_are_corrupted_too() {
    for family in FAMILIES {
        let Some(lab) = lab("corrupting", family, &["rate=100%", "mtu=1500", "direction=down"]) else {
            return;
        };
        let ends = Ends::of(&lab);
        let arrived = ends.down(50, 2000);
        assert_eq!(counter(&lab, "router.corrupted_down"), 100);
        // A bit in each fragment: half of these pairs cancel out.
        assert_eq!(arrived.altered, arrived.count());
        assert_eq!(arrived.count() + checksum_errors(lab.client()), 50);
        lab.down().unwrap();
    }
}

#[test]
fn copies_are_equal_and_as_many_as_were_counted() {
    for family in FAMILIES {
        let Some(lab) = lab("duplicating", family, &["rate=10%"]) else { return };
        let ends = Ends::of(&lab);
        let down = ends.down(DATAGRAMS, 1000);
        // The way of counting stops when as many came as were sent: the last few copies are taken up here.
        let up = ends.up(DATAGRAMS, 1000);
        for (way, arrived) in [("down", down), ("up", up)] {
            let made = counter(&lab, &format!("router.duplicated_{way}"));
            assert!(likely(made, DATAGRAMS, 0.1), "{made} {way}");
            assert_eq!((arrived.repeated(), arrived.altered), (made, 0), "{way}");
            assert_eq!(arrived.count(), DATAGRAMS + made);
        }
        lab.down().unwrap();
    }
}

#[test]
fn packets_on_the_slower_path_are_overtaken_and_none_is_lost() {
    for family in FAMILIES {
        let Some(lab) = lab("reordering", family, &["rate=10%", "extra=20ms"]) else { return };
        let ends = Ends::of(&lab);
        let arrived = ends.down(2_000, 100);
        let slower = counter(&lab, "router.slower_down");
        assert!(likely(slower, 2_000, 0.1), "{slower}");
        assert_eq!((arrived.count(), arrived.repeated()), (2_000, 0));
        // Only what was held back can be late; of it all but the last few.
        assert!((1..=slower).contains(&arrived.overtaken()), "{} of {slower}", arrived.overtaken());
        assert!(arrived.overtaken() > slower / 2, "{} of {slower}", arrived.overtaken());
        assert_eq!(ends.up(500, 100).overtaken(), 0, "the other way keeps its order");
        lab.down().unwrap();
    }
}
