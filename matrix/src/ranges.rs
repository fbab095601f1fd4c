//! What runs are drawn from: each parameter's range, and why it is that one. The one place for these numbers; `matrix --list` and
//! docs/matrix.md show them.

/// A parameter's range, both ends included.
#[derive(Debug)]
pub struct Range {
    /// What it is.
    pub what: &'static str,
    /// Smallest value.
    pub low: f64,
    /// Largest value.
    pub high: f64,
    /// Unit of both.
    pub unit: &'static str,
    /// Why these.
    pub why: &'static str,
}

const fn range(what: &'static str, low: f64, high: f64, unit: &'static str, why: &'static str) -> Range {
    Range { what, low, high, unit, why }
}

/// Of any run.
pub const READS: Range =
    range("rate", 1_000.0, 20_000.0, "reads/s", "hundreds of losses in 2 s, and half of what two CPUs carry");
/// Of any run.
pub const FLOWS: Range =
    range("flows", 2.0, 32.0, "flows", "from few sockets to more than a server has queues");
/// Of any run.
pub const TIMEOUT: Range = range("timeout", 60.0, 200.0, "ms", "around the default of 100 ms");
/// Small values.
pub const SMALL_VALUE: Range =
    range("small values", 64.0, 1_100.0, "bytes", "one packet on every path (1280 bytes carry 1184 in IPv6)");
/// How many values are large.
pub const LARGE_SHARE: Range =
    range("share of large values", 3.5, 50.0, "%", "from the story's 3.5 % to every other");
/// Fragment limits.
pub const FRAGMENT_LIMIT: Range =
    range("limit", 200.0, 5_000.0, "fragments/s", "around the 1024/s that a provider names");
/// Fragment limits.
pub const FRAGMENT_EXCESS: Range =
    range("limit exceeded", 1.1, 5.0, "times", "from just above the knee to hopeless");
/// Fragment limits.
pub const FRAGMENT_BURST: Range =
    range("burst", 1.0, 50.0, "fragments", "a bucket of at most a quarter of a second of the lowest limit");
/// Narrow paths.
pub const NARROW_MTU: Range =
    range("mtu", 1_280.0, 4_000.0, "bytes", "from IPv6's least to more than any tunnel over Ethernet");
/// Values that are fragmented, in packets.
pub const FRAGMENTS: Range =
    range("fragments of a large answer", 2.0, 5.0, "packets", "from the story's two to 64 KiB over nine");
/// Small reassembly.
pub const REASSEMBLY_MEMORY: Range = range(
    "reassembly-memory",
    128.0,
    512.0,
    "KiB",
    "the catalogue's, halved and doubled: full within the warm-up or the stage",
);
/// Small reassembly.
pub const REASSEMBLY_TIME: Range =
    range("reassembly-time", 5.0, 30.0, "s", "longer than a run, up to the kernel's 30 s");
/// Small reassembly.
pub const FRAGMENT_LOSS: Range = range(
    "loss",
    2.0,
    20.0,
    "%",
    "what makes the orphans; larger shares of loss would be the main cause themselves",
);
/// Black holes.
pub const BLACK_HOLE_SIZE: Range =
    range("size", 1_400.0, 8_900.0, "bytes", "from tunnels over Ethernet to a jumbo path's own tunnels");
/// Chance loss.
pub const LOSS: Range = range("rate", 0.5, 20.0, "%", "from what breaks the service level to a dying link");
/// Chance loss.
pub const LOSS_BURST: Range =
    range("burst", 1.0, 8.0, "packets", "each alone, or in a row as a flapping link does");
/// Flipped bits.
pub const CORRUPTION: Range =
    range("rate", 0.5, 10.0, "%", "from what breaks the service level to a broken device");
/// Packet limits.
pub const PACKET_LIMIT: Range =
    range("limit", 1_000.0, 12_000.0, "packets/s", "three times it is what a laboratory carries");
/// Packet limits.
pub const PACKET_BURST: Range =
    range("burst", 5.0, 200.0, "packets", "at most a fifth of a second of the lowest limit");
/// Packet and bandwidth limits.
pub const RATE_EXCESS: Range =
    range("limit exceeded", 1.02, 3.0, "times", "from just above the knee to a fleet on one host");
/// Bandwidth limits and slow queues.
pub const BANDWIDTH: Range =
    range("limit", 4.0, 100.0, "Mbit/s", "what jumbo answers at some thousand reads/s exceed");
/// Bandwidth limits and slow queues.
pub const QUEUE_DELAY: Range =
    range("queue", 2.0, 30.0, "ms", "what waits must be in time: at most half of the shortest timeout");
/// Slow queues at the client: requests are small.
pub const REQUEST_BANDWIDTH: Range =
    range("rate", 1.0, 8.0, "Mbit/s", "what requests of 114 bytes at some thousand reads/s exceed");
/// Bad paths.
pub const PATHS: Range = range("paths", 2.0, 8.0, "paths", "the catalogue's whole range");
/// Bad paths.
pub const BAD_PATH_RATE: Range = range("rate", 20.0, 100.0, "%", "from a flapping member to a dead one");
/// Bad paths.
pub const FLOWS_OVER_PATHS: Range = range(
    "flows",
    8.0,
    48.0,
    "flows",
    "so many that the bad path seldom gets none, so few that each has 50 reads",
);
/// Silences.
pub const SILENT_AFTER: Range =
    range("after", 300.0, 1_200.0, "ms", "within the stage, with something to compare on either side");
/// Silences.
pub const SILENT_FOR: Range = range("back less after", 250.0, 700.0, "ms", "longer than any timeout drawn");
/// Balancers.
pub const SERVERS: Range =
    range("servers", 1.0, 4.0, "servers", "one that takes all flows along, to one of four");
/// Pauses of the client.
pub const CLIENT_PAUSE: Range =
    range("duration", 250.0, 450.0, "ms", "long enough that a socket buffer of 8 MiB overflows");
/// Pauses of the server.
pub const SERVER_PAUSE: Range = range(
    "duration",
    500.0,
    700.0,
    "ms",
    "long enough that small requests overflow a socket buffer of 8 MiB",
);
/// Pauses of either.
pub const PAUSE_TIMEOUT: Range =
    range("timeout", 1_500.0, 2_500.0, "ms", "what was kept must be in time: longer than pause and backlog");
/// A slow server.
pub const SLOW_SHARE: Range = range("share", 60.0, 95.0, "%", "of its time in which the server stands still");
/// A slow server.
pub const SLOW_INTERVAL: Range = range("interval", 150.0, 500.0, "ms", "pauses longer than the timeout");
/// Late answers.
pub const SLOWER_SHARE: Range =
    range("rate", 3.0, 30.0, "%", "of the packets on a path slower than the timeout");
/// Late answers.
pub const SLOWER_BY: Range =
    range("extra over timeout", 1.2, 2.5, "times", "within the second for which late answers are waited for");
/// Pairs.
pub const PAIR_RATIO: Range =
    range("losses of the second over the first", 0.5, 2.0, "times", "comparable: neither hides the other");

/// What every recipe draws from unless it says otherwise.
pub const OF_ALL: [&Range; 5] = [&READS, &FLOWS, &TIMEOUT, &SMALL_VALUE, &LARGE_SHARE];
