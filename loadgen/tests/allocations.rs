//! The generator allocates nothing from a stage's first read to its last: over a million reads of every kind, with the counting allocator
//! installed.

mod relay;

use std::time::Duration;

use relay::{check_books, rig, server};
use shingle_loadgen::engine::Pace;
use shingle_loadgen::progress::Progress;
use shingle_store::counting::{CountingAllocator, process_allocated_bytes};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

/// What is read, how, and how many reads of it are to be watched.
const KINDS: [(&[&str], Pace, u64); 5] = [
    (&["--values", "fixed:100"], Pace::InFlight(128), 300_000),
    (&["--values", "fixed:100", "--train", "16"], Pace::InFlight(128), 200_000),
    (&["--values", "fixed:100", "--gets-per-datagram", "50", "--path-mtu", "1500"], OPEN, 300_000),
    (&["--values", "fixed:4000", "--path-mtu", "1500"], Pace::InFlight(32), 100_000),
    (&["--values", "object-metadata", "--path-mtu", "1500", "--train", "4"], OPEN, 100_000),
];
const OPEN: Pace = Pace::PerSecond(100_000.0);
/// Ends the test on a machine too slow for anything: fifty times what a slow one takes.
const STAGES_MAX: usize = 500;

#[test]
fn a_million_reads_of_every_kind_allocate_nothing() {
    assert!(process_allocated_bytes() > 0, "the counting allocator is installed");
    let mut watched = 0;
    for (flags, pace, wanted) in KINDS {
        let server = server();
        // A slow machine answers late; reads that time out allocate nothing either.
        let mut rig = rig(&server, &[flags, &["--items", "2k", "--timeout", "1s"]].concat());
        let (mut reads, mut stages) = (0, 0);
        while reads < wanted {
            let result = rig.stage(pace, Duration::from_millis(500), &Progress::new(true)).unwrap();
            check_books(&result);
            assert_eq!(result.stage.counters["client.read_path_allocations"], 0, "{flags:?}");
            assert!(result.stage.answered > 0, "{flags:?}");
            reads += result.stage.sent;
            stages += 1;
            assert!(stages < STAGES_MAX, "{reads} of {wanted} reads in {stages} stages");
        }
        watched += reads;
    }
    assert!(watched >= 1_000_000, "{watched}");
}
