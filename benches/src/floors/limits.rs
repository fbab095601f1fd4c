//! What the comparison is made of, each figure with its reason.

use std::time::Duration;

/// Rounds unless told otherwise: the least that issue and docs ask for.
pub const ROUNDS: usize = 15;
/// Least rounds: below six no two order statistics enclose the median with 95 % confidence.
pub const ROUNDS_MIN: usize = 6;
/// Most rounds, so that a typing error does not run for a day.
pub const ROUNDS_MAX: usize = 1001;
/// Time each contestant is measured in each round, unless told otherwise: long beside the stalls of a virtual machine (1 to 7 ms),
/// short beside what changes from minute to minute.
pub const ROUND: Duration = Duration::from_millis(250);
/// Shortest and longest of it.
pub const ROUND_MS: (u64, u64) = (20, 60_000);
/// Load before each measurement, so that caches, batches and the scheduler have settled.
pub const WARM_UP: Duration = Duration::from_millis(50);

/// Items stored, where a row does not say otherwise.
pub const ITEMS: u32 = 10_000;
/// Items of the large row.
pub const ITEMS_LARGE: u32 = 10_000_000;
/// Length of every key: 50 gets of it fit a request of 1472 B.
pub const KEY_BYTES: usize = 20;
/// Value of most rows.
pub const VALUE_BYTES: usize = 100;
/// Value of the chunked rows.
pub const VALUE_BYTES_CHUNKED: usize = 4000;
/// Gets in one datagram, where there are many.
pub const GETS: usize = 50;
/// Requests in one UDP_SEGMENT train.
pub const TRAIN: usize = 16;
/// Request datagrams under way, one get each.
pub const IN_FLIGHT: usize = 128;
/// Request datagrams under way, of 50 gets each, and connections of memcached over TCP: as many requests either way.
pub const IN_FLIGHT_MANY: usize = 32;

/// Prebuilt requests: as many as memcached's frame can number (16 bits).
pub const REQUESTS: usize = 1 << 16;
/// The same for the large row, so that its keys reach all of the store in a few rounds.
pub const REQUESTS_LARGE: usize = 1 << 20;
/// Messages of one system call of the driver.
pub const BATCH: usize = 64;
/// A request not answered for one to two of these is lost: its place in the window is used again, and it is counted. Far longer than
/// any stall, so that a late answer is not taken for a lost one.
pub const LOST_AFTER: Duration = Duration::from_millis(100);
/// One answer in this many is looked at byte by byte; of the others kind and length.
pub const SAMPLE: u64 = 1024;

/// Updates a second of the row with updates.
pub const UPDATES_PER_S: u64 = 100_000;
/// Share of them that must have been made for the row to count.
pub const UPDATES_SHARE_MIN: f64 = 0.95;

/// An A/A control whose interval is wider than this settles nothing within its width.
pub const CONTROL_WIDTH_MAX: f64 = 0.2;
/// Share of the CPUs that others may take before a row says so: a tenth of one of two CPUs.
pub const BESIDE_MAX: f64 = 0.05;
/// How long a server is waited for until it is ready.
pub const READY: Duration = Duration::from_secs(30);
/// Longest silence of a server over TCP: 10 million items take a while.
pub const TCP_TIMEOUT: Duration = Duration::from_secs(60);
/// Memory of a memcached, MiB: everything is kept.
pub const MEMCACHED_MIB: u32 = 1024;
/// Budget of our server where a row does not say otherwise.
pub const MEMORY_BYTES: usize = 256 << 20;
