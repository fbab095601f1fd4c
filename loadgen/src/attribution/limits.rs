//! Numbers of attribution, each with its unit last in the name and the reason beside it. They are error rates and least counts of tests,
//! not figures of any network.

/// Log of the likelihood ratio from which on one model is taken over another: wrong once in e^12, some 160,000, cases, so that a few hundred
/// tests of hundreds of stages accuse nobody by chance.
pub(super) const LOG_ODDS_MIN: f64 = 12.0;
/// Fewest losses that are called a pattern: below it any two of them make one.
pub(super) const LOSSES_MIN: u64 = 12;
/// Fewest separate moments of loss that are called chance: what happened once or twice may be anything.
pub(super) const EPISODES_MIN: u64 = 5;
/// Losses closer than this are one moment: as long as a busy host holds a thread back.
pub(super) const EPISODE_NS: u64 = 10_000_000;
/// Confidence in a cause that each read itself proves.
pub(super) const PROVEN: f64 = 0.99;
/// Confidence in a cause that a counter of a host speaks for, alone.
pub(super) const COUNTED_ALONE: f64 = 0.95;
/// The same when several counters rose and the reads had to be shared out between them.
pub(super) const COUNTED_SHARED: f64 = 0.7;
/// Confidence that a generator which was late lost what nothing else explains.
pub(super) const BLAMED: f64 = 0.8;
/// Highest confidence in what a test says: its model may be wrong where its odds are not.
pub(super) const TESTED_MAX: f64 = 0.97;
/// Fewest reads in a row that all were lost before that is called silence.
pub(super) const SILENT_READS_MIN: u64 = 20;
/// Chance of one read being lost that silence must be told from: the share lost outside of it, but at least this.
pub(super) const SILENT_CHANCE_MIN: f64 = 0.05;
/// Shortest silence: shorter ones are pauses and queues, which a deadline outlasts.
pub(super) const SILENT_NS_MIN: u64 = 100_000_000;
/// Loss above which everything counts as lost: what is left may be a route that changed, or an answer just before.
pub(super) const ALL_LOST: f64 = 0.97;
/// Losses that what is replayed to find a bucket's depth holds, and how much it is at least: enough to know it, few enough to cost
/// milliseconds.
pub(super) const LOSSES_FOR_DEPTH: usize = 300;
/// See [`LOSSES_FOR_DEPTH`].
pub(super) const REPLAYED_FOR_DEPTH_MIN: usize = 3_000;
/// Things sent that are replayed to find a limit: by then it is known to a thousandth, and more would cost tenths of a second.
pub(super) const REPLAYED_MAX: usize = 60_000;
/// Halvings of an interval of rates, which end within a millionth of it.
pub(super) const BISECTIONS: u32 = 20;
/// The same while the depth is not known yet: within a four-thousandth.
pub(super) const BISECTIONS_FOR_DEPTH: u32 = 12;
/// Share by which the losses of a bucket that fits may differ from those seen: what is left when halving ends, and no more.
pub(super) const OFF_TARGET_MAX: f64 = 0.02;
/// Bytes of an IPv4 header and of UDP's.
pub(super) const IPV4_UDP_BYTES: u32 = 28;
/// Bytes of an IPv6 header and of UDP's.
pub(super) const IPV6_UDP_BYTES: u32 = 48;
/// Bytes of an Ethernet header, which shapers of links count.
pub(super) const ETHERNET_BYTES: u32 = 14;
/// Where nobody told an MTU: that of Ethernet.
pub(super) const MTU_BYTES_DEFAULT: u32 = 1500;
/// Confidence below which an experiment is worth its seconds.
pub(super) const DOUBT_BELOW: f64 = 0.9;
