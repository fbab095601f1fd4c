//! What limits packets or bits a second: exactly so many pass, whatever the machine's pace.

use std::time::{Duration, Instant};

use crate::common::{Ends, FAMILIES, counter, lab, payload_of};

#[test]
fn a_packet_limit_passes_its_burst_and_its_rate() {
    for family in FAMILIES {
        let Some(lab) = lab("packet-limit", family, &["limit=10/s", "burst=100"]) else { return };
        let ends = Ends::of(&lab);
        let begin = Instant::now();
        let arrived = ends.down(1_000, 100).count();
        let refilled = (begin.elapsed().as_secs_f64() * 10.0) as u64 + 1;
        assert!((100..=100 + refilled).contains(&arrived), "{arrived}");
        assert_eq!(counter(&lab, "router.limited_down"), 1_000 - arrived);
        assert_eq!(ends.up(500, 100).count(), 500);
        lab.down().unwrap();
    }
}

#[test]
fn a_bandwidth_limit_passes_bytes_and_not_packets() {
    for family in FAMILIES {
        let settings = ["limit=1mbit", "burst=32KiB", "queue=64KiB", "direction=both"];
        let Some(lab) = lab("bandwidth-limit", family, &settings) else { return };
        let ends = Ends::of(&lab);
        for (way, ip_bytes, end) in [("down", 1000, "client"), ("up", 5000, "server")] {
            let (begin, payload, wire) = (Instant::now(), payload_of(&lab, ip_bytes), ip_bytes + 14);
            if way == "down" {
                ends.down(500, payload)
            } else {
                ends.up(500, payload)
            };
            // What waits longer than the last read's patience is still counted.
            std::thread::sleep(Duration::from_millis(600));
            let at_once = (32 << 10) + (64 << 10);
            let refilled = (begin.elapsed().as_secs_f64() * 125_000.0) as usize;
            let arrived = counter(&lab, &format!("{end}.{way}_arrived"));
            let bytes = arrived as usize * wire;
            assert!(
                (at_once - 2 * wire..=at_once + refilled).contains(&bytes),
                "{arrived} of {wire} B {way}"
            );
            assert_eq!(counter(&lab, &format!("router.{way}_passed")), 500);
        }
        lab.down().unwrap();
    }
}

/// What the server's own queue drops never reaches the wire.
#[test]
fn a_slow_queue_drops_in_its_own_host() {
    for family in FAMILIES {
        for (end, way) in [("server", "down"), ("client", "up")] {
            let settings = [format!("end={end}"), "rate=1mbit".into(), "queue=16KiB".into()];
            let Some(lab) = lab("slow-queue", family, &settings.each_ref().map(String::as_str)) else {
                return;
            };
            let ends = Ends::of(&lab);
            let (slow, fast) =
                if end == "server" { (&ends.server, &ends.client) } else { (&ends.client, &ends.server) };
            let arrived = slow.pour(fast, 500, 1000).count();
            assert!((16..500).contains(&arrived), "{arrived}");
            assert_eq!(counter(&lab, &format!("router.{way}_seen")), arrived);
            let errors = if family == "4" { "Udp.SndbufErrors" } else { "Udp6SndbufErrors" };
            let host = lab.host(end);
            assert_eq!(crate::common::kernel(host, errors), 500 - arrived, "the host says so itself");
            assert_eq!(fast.pour(slow, 200, 1000).count(), 200);
            lab.down().unwrap();
        }
    }
}

/// The curve of the story at a tenth of its rates: of T datagrams a second a share p is large, N of these pass, so p - N/T is lost.
#[test]
fn the_loss_of_large_datagrams_follows_the_fragment_limit() {
    for family in FAMILIES {
        for per_second in [2_000, 4_000, 8_000] {
            let Some(lab) = lab("fragment-limit", family, &["limit=100/s"]) else { return };
            let ends = Ends::of(&lab);
            ends.learn();
            let mut bucket = Bucket { level: Bucket::DEPTH, filled_s: 0.0, unused: 0.0 };
            let (mut sent, mut large, mut arrived, mut passing, mut seconds) = (0, 0, 0, 0, 0.0);
            let begin = Instant::now();
            while seconds < 1.0 {
                sent += 1;
                let is_large = sent % LARGE_EVERY == 0;
                if is_large {
                    large += 1;
                    passing += u64::from(bucket.take(begin.elapsed().as_secs_f64()));
                }
                arrived += ends.server.send_one(&ends.client, sent, if is_large { 2000 } else { 100 });
                let next = Duration::from_secs_f64(sent as f64 / f64::from(per_second));
                std::thread::sleep(next.saturating_sub(begin.elapsed()));
                seconds = begin.elapsed().as_secs_f64();
            }
            let lost = counter(&lab, "router.fragments_dropped");
            assert_eq!(arrived + lost, sent, "nothing is lost but what the limit dropped");
            let formula = (large as f64 - LIMIT * seconds).max(0.0);
            let what = format!("family {family}, {per_second}/s: {lost} of {large} lost, {formula} expected");
            // To the token, but for what passes between the two clocks.
            assert!(lost.abs_diff(large - passing) <= 3, "{what}, {passing} had a token");
            // The bucket begins full, and what a stalled sender did not use is gone.
            assert!((lost as f64 - formula).abs() <= Bucket::DEPTH + 3.0 + bucket.unused, "{what}");
            lab.down().unwrap();
        }
    }
}

/// Charged fragments a second.
const LIMIT: f64 = 100.0;
/// One datagram in so many is large.
const LARGE_EVERY: u64 = 25;

/// The limit as it should be.
struct Bucket {
    level: f64,
    filled_s: f64,
    /// Tokens that found it full.
    unused: f64,
}

impl Bucket {
    const DEPTH: f64 = 5.0;

    fn take(&mut self, at_s: f64) -> bool {
        let filled = self.level + (at_s - self.filled_s) * LIMIT;
        self.unused += (filled - Self::DEPTH).max(0.0);
        self.level = filled.min(Self::DEPTH);
        self.filled_s = at_s;
        let passes = self.level >= 1.0;
        self.level -= f64::from(u8::from(passes));
        passes
    }
}
