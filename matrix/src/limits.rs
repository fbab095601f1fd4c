//! Numbers of the matrix, each with its unit last in the name and the reason beside it.

use std::time::Duration;

/// Length of a run's stage: some thousands of reads, of which hundreds are lost.
pub const STAGE: Duration = Duration::from_secs(2);
/// Warm-up of `loadgen run`, during which a small memory for fragments begins to fill.
pub const WARM_UP_S: f64 = 0.5;
/// Items stored: sizes are known well enough, and storing them takes milliseconds.
pub const ITEMS: u32 = 1000;
/// Fewest reads that a drawn cause is expected to lose: below it, shares and estimates are noise.
pub const LOST_MIN: f64 = 150.0;
/// Fewest reads lost for a run to be judged at all: fewer than half of what any drawn cause loses says that the cause did not strike (no flow
/// met the bad path).
pub const LOST_JUDGED_MIN: u64 = 75;
/// Packets/s of both ways together that a run may offer: half of what a laboratory of two CPUs carries without losses of its own.
pub const PACKETS_PER_S_MAX: f64 = 50_000.0;
/// Fewest reads/s offered.
pub const READS_PER_S_MIN: f64 = 250.0;
/// Most reads/s offered, both ways' packets and both ends' work on two CPUs.
pub const READS_PER_S_MAX: f64 = 25_000.0;
/// Draws tried until one fits all bounds. The narrowest recipe fits once in some ten draws.
pub const DRAWS_MAX: u32 = 20_000;
/// Times a run is repeated whose stage was disturbed by the machine.
pub const REPEATS_MAX: u32 = 3;
/// UDP payload of a request with a key of 20 bytes and a cookie (PROTOCOL.md).
pub const REQUEST_BYTES: u32 = 72;
/// Ethernet header that token buckets charge.
pub const ETHERNET_BYTES: u32 = 14;
/// Receive buffer of a socket as the kernel accounts it: both programs ask for 4 MiB and it grants twice that to the superuser.
pub const SOCKET_BUFFER_BYTES: f64 = 8_388_608.0;
/// Least that the kernel charges for a small datagram (struct sk_buff and 512 bytes of data).
pub const SMALL_DATAGRAM_CHARGE_BYTES: f64 = 768.0;
/// What it charges for a fragment of up to 1500 bytes (2 KiB of data and struct sk_buff).
pub const FRAGMENT_CHARGE_BYTES: f64 = 2304.0;
/// A healthy run is accused when a cause is named for so many reads,
pub const ACCUSED_READS_MIN: u64 = 10;
/// or for so large a share of them, 0.1 %: a fifth of what the service level lets fail.
pub const ACCUSED_SHARE_MIN: f64 = 0.001;
/// Of a pair, each cause's named share of the losses may be off by so much.
pub const PAIR_SHARE_BOUND: f64 = 0.15;
/// Share of the losses from which on one of a pair must be the main one.
pub const PAIR_MAIN_SHARE: f64 = 0.65;
/// Relative error allowed of rates: fragments, packets, bits a second.
pub const RATE_BOUND: f64 = 0.05;
/// Relative error allowed of a probability
pub const PROBABILITY_BOUND: f64 = 0.1;
/// that is estimated from at least so many losses.
pub const PROBABILITY_LOSSES_MIN: u64 = 1000;
/// Error allowed of when a silence begins and how long it is: between the laboratory's clock and the stage's start lie the reading of both
/// hosts' counters.
pub const SILENCE_BOUND_S: f64 = 0.15;
/// Relative error allowed of the length of pauses: reads tell of a pause only what outlasts their way.
pub const PAUSE_BOUND: f64 = 0.2;
/// Service level of the runs: stalls of the host from half of this p99 on count as disturbances, and shorter ones lose no read.
pub const SLO: &str = "failures=0.5%,p99=20ms";
/// Wrong runs that the sample may have: at 95 % right, more of its runs are wrong once in some hundred samples.
pub const SAMPLE_WRONG_MAX: usize = 3;
/// Seed of the sample.
pub const SAMPLE_SEED: u64 = 6;
/// Healthy runs of the sample.
pub const SAMPLE_HEALTHY: u32 = 3;
/// Searches for a knee on each laboratory.
pub const KNEE_SEARCHES: usize = 5;
/// How far apart they may be where the limit is a policer's.
pub const KNEE_SPREAD: f64 = 0.05;
/// MTU of the laboratories' links where none is set: the jumbo frames of a cloud's network.
pub const WIDE_MTU: u32 = 9001;
/// Share of the runs that may stay without a judgement: more of them are no busy moments of the machine.
pub const NOT_JUDGED_MAX: f64 = 0.05;
