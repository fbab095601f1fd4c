//! Values arrive right, and every read ends once, over a link that drops, duplicates, reorders and flips bits.

mod relay;

use std::io::Write;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use relay::{Faults, lost_by, rig_behind, server, steady};
use shingle_loadgen::attribution::{Cause, Direction};

/// What issue 2 asks for, in each direction.
const FAULTS: Faults = Faults { drop: 0.1, duplicate: 0.05, reorder: 0.2, flip: 0.01, delay: Duration::ZERO };
const READS_A_SECOND: f64 = 10_000.0;
/// Nothing at all up to fifty datagrams an answer, at a path MTU of 1500.
const SIZES: &str = "0 1\n1-100 20\n100-1400 60\n1400-1500 10\n1500-9000 8\n40000-70000 1\n";

#[test]
fn a_hundred_thousand_reads_end_once_and_right() {
    let mut sizes = tempfile::NamedTempFile::new().unwrap();
    sizes.write_all(SIZES.as_bytes()).unwrap();
    let values = format!("histogram:{}", sizes.path().display());
    // A timeout that no busy machine eats up: what fails here, fails by the link.
    let flags = ["--values", &values, "--items", "2k", "--path-mtu", "1500", "--timeout", "1s"];
    let flags: Vec<_> = flags.into_iter().chain(["--arrivals", "constant"]).collect();
    let server = server();

    let (relay, mut rig) = rig_behind(&server, FAULTS, FAULTS, &flags);
    let once = steady(&mut rig, READS_A_SECOND, Duration::from_secs(10));
    assert!(once.stage.sent >= 100_000, "{}", once.stage.sent);
    assert!(once.stage.rerequests > 0 && once.stage.reordered > 0 && once.stage.duplicates > 0);
    for direction in [Direction::Up, Direction::Down] {
        assert!(lost_by(&once, Cause::PathCorruption, direction) > 0, "{direction:?}");
        assert!(lost_by(&once, Cause::PathLoss, direction) > 0, "{direction:?}");
    }
    for counts in [&relay.up, &relay.down] {
        let faults = [&counts.dropped, &counts.duplicated, &counts.reordered, &counts.flipped];
        assert!(faults.iter().all(|fault| fault.load(Relaxed) > 0), "{counts:?}");
    }
    drop((relay, rig));

    let flags: Vec<_> = flags.into_iter().chain(["--retries", "4"]).collect();
    let (_relay, mut rig) = rig_behind(&server, FAULTS, FAULTS, &flags);
    let retried = steady(&mut rig, READS_A_SECOND, Duration::from_secs(2));
    assert!(
        retried.stage.failure_rate < once.stage.failure_rate / 5.0,
        "with retries {} failed, without {}",
        retried.stage.failure_rate,
        once.stage.failure_rate
    );
}
