//! Limits of the generator, each with its unit last in the name and the reason beside it.

use std::time::Duration;

/// Items offered by default: enough that a read rarely finds its value in a CPU cache, seeded in a second.
pub const ITEMS_DEFAULT: &str = "100k";
/// Most generator threads: more than any host this was thought for has CPUs to spare.
pub const THREADS_MAX: usize = 256;
/// Most flows of one thread: each takes a socket, its buffers and a slot in `ppoll`.
pub const FLOWS_MAX: usize = 1024;
/// Flows of one thread by default: enough to spread over a server's queues and its workers.
pub const FLOWS_DEFAULT: usize = 8;
/// Reads one thread can have in flight over all its flows, lingering ones included: 300,000 reads/s times 200 ms.
pub const READS_PER_THREAD_MAX: usize = 65_536;
/// Lost reads one thread lists one by one; beyond it they are only counted. 40 B each: 40 MB, of which only what is used is ever touched.
pub const LOSSES_PER_THREAD_MAX: usize = 1_000_000;
/// Reads issued in one turn of a worker's loop before it looks for answers again: some 10 us of work.
pub const BURST_READS_MAX: usize = 64;
/// Full requests issued in one turn where several reads share one: below it, a burst would often end in one that is not full.
pub const BURST_REQUESTS_MIN: usize = 4;
/// Requests handed to the kernel at once: a burst of single reads.
pub const SEND_REQUESTS_MAX: usize = 64;
/// Most requests of a train: what kernels before 6.9 cut at most, and all of a burst.
pub const TRAIN_MAX: u8 = 64;
/// Requests that share a send by default: none. A train may reach the server's socket in one piece (always on loopback), which
/// then costs the server less than requests of many clients do, and is dropped whole where its buffer is full.
pub const TRAIN_DEFAULT: u8 = 1;
/// Sizes of values are told apart in bins of so many bytes: finer than any MTU differs from another.
pub const SIZE_BIN_BYTES: u32 = 16;
/// Number of those bins: up to 64 KiB, beyond which an answer is many datagrams whatever the path (100 kB a thread).
pub const SIZE_BINS: usize = 4097;
/// Shortest window in which reads are counted over time: a few times what a busy host holds threads back.
pub const WINDOW_NS_MIN: u64 = 20_000_000;
/// Most windows of a stage (100 kB a thread).
pub const WINDOWS_MAX: u64 = 4096;
/// Datagrams a flow hands to its core in one turn before other flows and new reads have theirs: some 100 us of work.
pub const RECV_TURN_DATAGRAMS: usize = 512;
/// Datagrams received in one system call.
pub const RECV_SLOTS: usize = 32;
/// Receive buffer asked of the kernel for each flow. What it grants is read back and reported.
pub const RECV_BUFFER_BYTES: usize = 4 << 20;
/// Send buffer asked of the kernel for each flow: requests are small.
pub const SEND_BUFFER_BYTES: usize = 1 << 20;
/// A worker with nothing due for this long sleeps; below it, it polls. About a wake-up's cost on a virtual machine.
pub const SPIN_NS: u64 = 50_000;
/// Shortest interval of a record, and how many a stage has at most: their histograms take 220 kB each and thread.
pub const INTERVAL_NS_MIN: u64 = 1_000_000_000;
/// See [`INTERVAL_NS_MIN`].
pub const INTERVALS_MAX: u64 = 120;
/// Silence after the last chunk of a partly received answer before the missing ranges are asked for: a few times the
/// latency aimed at, so that reordering and batches of a busy receiver do not look like loss.
pub const GAP_NS: u64 = 4_000_000;
/// Re-requests for one read: its deadline ends it, not their number. A megabyte takes 900 datagrams of the base size, so
/// a small loss rate hits each window.
pub const REREQUESTS_MAX: u8 = u8::MAX;
/// How long a read is remembered beyond its timeout, to recognise late answers: a server that stood still for a second is no lossy path.
pub const LINGER_NS_MIN: u64 = 1_000_000_000;
/// The stall watch sleeps this long and measures how long it slept: what is shorter can hide in a sleep.
pub const STALL_WATCH_SLEEP: Duration = Duration::from_micros(500);
/// A stall matters from this share of the p99 bound on: with what hides in the watch's sleep, none longer than the bound goes unseen.
pub const STALL_SHARE_OF_P99: f64 = 0.5;
/// Shortest stall noted: below it, wake-ups of a virtual machine look like stalls.
pub const STALL_NS_MIN: u64 = 300_000;
/// Stalls noted in a stage; more make it invalid.
pub const STALLS_MAX: usize = 16_384;
/// How long a read is held back after its end, until the stall watch has spoken for its time: its sleep and a scheduler's slice or two.
pub const HOLD_NS: u64 = 10_000_000;
/// Reads held back at most: 10 ms at 3 million reads/s.
pub const HOLD_READS_MAX: usize = 32_768;
/// Share of disturbed reads from which on the verdict mentions them.
pub const DISTURBED_WORTH_SAYING: f64 = 0.01;
/// Share of a stage's reads disturbed by stalls of the host above which too little is left to judge it by.
pub const DISTURBED_SHARE_MAX: f64 = 0.1;
/// Share of reads that left later than their stage ended, above which the generator did not offer the rate.
pub const BACKLOG_SHARE_MAX: f64 = 0.01;
/// Share of the reads lost that the generator lost itself from which on it is what limits: of fewer it is not, whoever lost the others.
pub const GENERATOR_LOSSES_SHARE_MIN: f64 = 0.05;
/// First and lowest rate `qualify` tries by default, reads/s.
pub const QUALIFY_RATE_DEFAULT: &str = "5k";
/// Highest rate `qualify` tries, reads/s: beyond what one host's sockets carry.
pub const QUALIFY_RATE_MAX_TPS: f64 = 10_000_000.0;
/// `qualify` ends when the knee is known to so much of it, with 95 % probability: twice what fleets are sized to.
pub const QUALIFY_RESOLUTION_DEFAULT: &str = "5%";
/// The same as a share.
pub const QUALIFY_RESOLUTION: f64 = 0.05;
/// Finest and coarsest resolution: below the one, hours; above the other, doubling alone.
pub const QUALIFY_RESOLUTIONS: (f64, f64) = (0.01, 0.5);
/// Stages of `qualify` after the climb at most: within them a sharp limit is known to 5 % (seen: twelve), and a default run ends within two
/// minutes. A finer resolution takes more.
pub const QUALIFY_STAGES_MAX: usize = 14;
/// Stages in which a rate breaks, or meets, the service level before the climb turns round at it, or ends.
pub const BROKEN_TWICE: usize = 2;
/// Sizes that the scatter of a system's limit from stage to stage may have (one standard deviation as a share of the rate), and how
/// likely each is thought to be at first: from policers to machines that others use too. Halving and doubling loses nothing that a dozen
/// stages could tell; large ones are rarer, but what the stages show outweighs that.
pub const SCATTERS: [(f64, f64); 7] =
    [(0.003, 0.2), (0.01, 0.18), (0.02, 0.17), (0.04, 0.16), (0.08, 0.13), (0.16, 0.1), (0.32, 0.06)];
/// Probability that a stage far below the limit breaks by a bad moment of the host, and that one far above it is met by luck.
pub const BROKEN_BY_ACCIDENT: f64 = 0.02;
/// See [`BROKEN_BY_ACCIDENT`].
pub const MET_BY_LUCK: f64 = 0.005;
/// Between these chances of having met the service level a stage is called close.
pub const CLOSE_CHANCES: (f64, f64) = (0.025, 0.975);
/// Share of the host's CPU time that others may take before the verdict says so: what little daemons use is below it.
pub const CPU_OTHERS_MAX: f64 = 0.1;
/// Times `qualify` repeats a stage that a stall of the host made invalid.
pub const INVALID_REPEATS_MAX: usize = 3;
/// Length of a stage of `qualify` by default: some fifteen of them end within two minutes.
pub const QUALIFY_STAGE_DEFAULT: &str = "3s";
/// Rate of the rounds of `compare` by default, reads/s: where the failures began that this program was written to explain.
pub const COMPARE_RATE_DEFAULT: &str = "40k";
/// Length of a turn of `compare` by default: six strategies, three rounds and the search end within some 80 s.
pub const COMPARE_TURN_DEFAULT: &str = "1500ms";
/// Rounds of `compare` by default: the fewest that have a median.
pub const COMPARE_ROUNDS_DEFAULT: usize = 3;
/// Most rounds of `compare`.
pub const COMPARE_ROUNDS_MAX: usize = 100;
/// Rate that `doctor` measures buffers against, reads/s: what a host of a busy cache carries.
pub const DOCTOR_RATE_DEFAULT: &str = "100k";
/// Pause that `doctor` expects buffers to absorb: a garbage collection, or a stall of a virtual machine.
pub const DOCTOR_PAUSE_DEFAULT: &str = "50ms";
/// Longest pause that buffers are measured against: what is longer is an outage.
pub const DOCTOR_PAUSE_MAX: Duration = Duration::from_secs(60);
/// Warm-up of each strategy before the first round.
pub const COMPARE_WARM_UP: Duration = Duration::from_millis(200);
/// What a turn takes beside its length: threads that come up, the last answers, the drain, both hosts' books.
pub const TURN_BESIDE: Duration = Duration::from_millis(350);
/// Length of a stage of the search of `compare`: half a thousand reads beyond the 99th percentile at the default rate are plenty.
pub const CLIMB_STAGE: Duration = Duration::from_millis(500);
/// That search ends when the lowest failing rate is within this factor of the knee: it is to rank strategies, not to size fleets.
pub const CLIMB_RESOLUTION: f64 = 1.25;
/// Stages of that search at most: the time it takes is bounded, whatever the host does.
pub const CLIMB_STAGES_MAX: usize = 14;
/// Stages it takes most often: two steps up, two of bisection, broken ones twice, and the knee once more.
pub const CLIMB_STAGES_TYPICAL: u32 = 8;
/// Path MTU that most narrow paths have: Ethernet's, bytes of an IP packet. What is longer may be cut somewhere.
pub const PATH_MTU_COMMON_BYTES: usize = 1500;
/// Times the first large answer to a cold destination is asked for, and later ones after each.
pub const COLD_TRIES: u32 = 3;
/// See [`COLD_TRIES`].
pub const COLD_LATER: u32 = 3;
/// Quiet time after a first large answer: ICMP that it caused arrives within a round trip.
pub const COLD_PAUSE: Duration = Duration::from_millis(50);
/// Longest wait of a turn until this host holds no fragments of the turn before: twice as long as they are held where that was set to
/// 1 s. The kernel's 30 s would make hours of a comparison.
pub const TURN_REASSEMBLY_WAIT_MAX: Duration = Duration::from_secs(2);
/// How often a canary reads a large value: load it is not.
pub const CANARY_INTERVAL: Duration = Duration::from_secs(1);
/// Most canary clients: each takes a socket and its buffers.
pub const CANARIES_MAX: usize = 64;
/// How long a kernel keeps the path MTU it learned, unless told otherwise (net.ipv4.route.mtu_expires, net.ipv6.route.mtu_expires).
pub const MTU_EXPIRES_DEFAULT: Duration = Duration::from_secs(600);
/// Largest share of a host's capacity that may be left to spare: with more, a fleet is mostly idle.
pub const SPARE_MAX: f64 = 0.9;
/// Share left to spare by default: one host in three may fail, or the load grow by half, before the service level breaks.
pub const SPARE_DEFAULT: &str = "1/3";
/// Probability that `--baseline` calls two equal runs different: spread over all it tests.
pub const BASELINE_ERROR_RATE: f64 = 0.05;
/// Rates that two records must have in common for their latencies to be compared: a pair more than a variance needs.
pub const BASELINE_RATES_MIN: usize = 4;
/// Values compressed to tell what a compressed port stores.
pub const COMPRESSED_SAMPLE_ITEMS: usize = 2000;
/// Quiet time between two stages, beside the wait for answers: queues and buffers run empty.
pub const DRAIN: Duration = Duration::from_millis(200);
/// Warm-up before the first stage: page faults, caches, learned routes.
pub const WARM_UP: Duration = Duration::from_millis(500);
/// How long the next stage in a laboratory waits for fragments of the one before that wait for others: the kernel's default for how long
/// they do (net.ipv4.ipfrag_time), and a little more.
pub const REASSEMBLY_WAIT_MAX: Duration = Duration::from_secs(31);
/// How long a TCP connection to the server may take.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// How often this host's counters are looked at while a stage runs: often enough to see bursts of a pause, at 50 us a look.
pub const CLIENT_LOOK_INTERVAL_NS: u64 = 100_000_000;
/// Most looks of a stage, longer ones being looked at less often: 1 MB.
pub const SERIES_ROWS_MAX: u64 = 1200;
/// How often the server is asked for its statistics while a stage runs: each time costs it some 300 us.
pub const SERVER_LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// How long it may take to answer: silence is news after that.
pub const SERVER_LOOK_TIMEOUT: Duration = Duration::from_secs(1);
/// Longest search for the datagram size before the first stage: a clean path takes well under a second, one that loses a fifth about
/// three.
pub const SEARCH_TIME_MAX: Duration = Duration::from_secs(5);
/// How long late acknowledgements are waited for once a search has ended below its cap: as long as a busy machine was seen to keep threads
/// from its CPUs, twice over.
pub const SEARCH_LINGER: Duration = Duration::from_millis(200);
/// A server that answers no probe for four of these is not there.
pub const SEARCH_HEARTBEAT: Duration = Duration::from_millis(250);
/// Source ports tried at once where a first one brought nothing: with one path of four bad, they and the first all miss once in 260,000 times.
pub const OTHER_PORTS: usize = 8;
/// Largest IP packet a generator expects by default: jumbo frames, so that chunking is exercised on loopback too.
pub const PATH_MTU_DEFAULT: u32 = 9001;
/// Memory of one flow for values partly there; touched only as far as it is used.
pub const REASSEMBLY_BYTES: usize = 8 << 20;
/// Values of one flow partly there at a time: 2,000 large reads/s times a round trip of 100 ms, with room to spare.
pub const PARTIAL_MAX: usize = 512;
/// Bytes of an answer datagram beside a small value: header, telemetry, VALUE frame and seal (PROTOCOL.md 2.1, 5, 3.2).
pub const ANSWER_OVERHEAD_BYTES: u32 = 16 + 24 + 16;
/// Receipts that the stages of a search keep together until one of them is explained, some 40 bytes each.
pub const QUALIFY_RECEIPTS_MAX: usize = 2_000_000;
/// Experiments after a stage at most: what three do not decide, a fourth may; each takes a second or two.
pub const TRIALS_MAX: usize = 4;
/// Shortest stage of an experiment, which is enough at the rates people qualify with.
pub const TRIAL_LENGTH_MIN: Duration = Duration::from_secs(1);
/// Longest stage of an experiment: nobody waits for what is in doubt more than for what is measured.
pub const TRIAL_LENGTH_MAX: Duration = Duration::from_secs(3);
/// Losses by chance that the stage of an experiment is made long enough for: none or all of them are then no accident.
pub const TRIAL_LOSSES_WANTED: f64 = 40.0;
/// Items made for an experiment with answers of one size: enough for all of a server's workers and shards.
pub const TRIAL_ITEMS: u32 = 256;
/// How their keys begin.
pub const TRIAL_KEY_PREFIX: &[u8; 5] = b"trial";
/// Most flows of an experiment: a path in a hundred shows.
pub const TRIAL_FLOWS_MAX: usize = 256;
/// Reads/s on each of them: one that loses half of them is told from one that loses none in a second.
pub const TRIAL_FLOW_TPS_MAX: f64 = 50.0;
/// Flows of single reads: if one of four paths is bad, three others are not.
pub const TRIAL_READER_FLOWS: usize = 4;
/// Reads of small answers where a stage had none: if all come, at most one in ten is lost by chance.
pub const TRIAL_SMALL_READS: usize = 40;
/// Shortest wait for a single read or a probe: as long as a busy machine was seen to keep threads from its CPUs, twice over.
pub const TRIAL_PATIENCE_MIN: Duration = Duration::from_millis(200);
/// Longest.
pub const TRIAL_PATIENCE_MAX: Duration = Duration::from_secs(1);
/// Shortest time between two single reads: a device's queue and burst have emptied.
pub const TRIAL_READ_INTERVAL_MIN: Duration = Duration::from_millis(1);
/// Longest: at loads so small that this is more than they were, an experiment of minutes would help nobody.
pub const TRIAL_READ_INTERVAL_MAX: Duration = Duration::from_millis(10);
/// Longest search for the largest answer.
pub const TRIAL_SEARCH_MAX: Duration = Duration::from_secs(10);
/// Items stored for an experiment are deleted after it, and expire where that fails.
pub const TRIAL_KEYS_TTL_S: u32 = 120;
/// Probes of one size: of eight, chance loss of a fifth takes all once in 400,000 times, and half of them leave ICMP limited by rate time.
pub const TRIAL_PROBES: u32 = 8;
/// Longest wait for fragments of the stage before, as between the turns of a comparison.
pub const TRIAL_DRAIN_MAX: Duration = Duration::from_secs(2);
/// Rate of `watch` by default, reads/s: a hundred reads a second cost nobody anything, and show a loss of one in a thousand within seconds.
pub const WATCH_RATE_DEFAULT: &str = "100";
/// Highest rate of `watch`, reads/s: what needs more is a load, and `run` has the figures for it.
pub const WATCH_RATE_MAX_TPS: usize = 10_000;
/// Length of an interval of `watch` by default.
pub const WATCH_INTERVAL_DEFAULT: &str = "10s";
/// Shortest and longest interval of `watch`: pauses between intervals are a fifth of a second, and a record's memory is taken anew for each.
pub const WATCH_INTERVAL_MIN: Duration = Duration::from_secs(1);
/// See [`WATCH_INTERVAL_MIN`].
pub const WATCH_INTERVAL_MAX: Duration = Duration::from_secs(600);
/// Items `watch` stores for itself where the server does not hold the workload's: a few hundred kB, with some ten large ones among them.
pub const WATCH_ITEMS: u32 = 256;
/// Begin of their keys: no other workload's.
pub const WATCH_KEY_PREFIX: &[u8; 5] = b"watch";
/// How long they live if nobody deletes them, seconds: a watch that was killed leaves nothing for ever. They are stored again in time.
pub const WATCH_TTL_S: u32 = 86_400;
/// A window of [`WATCH_SLICES`] slices of so long is what causes are judged by: an hour.
pub const WATCH_SLICE_NS: u64 = 300_000_000_000;
/// See [`WATCH_SLICE_NS`].
pub const WATCH_SLICES: usize = 12;
/// Different kinds of books in one slice: a server that goes and comes, a path that changes now and then.
pub const WATCH_KINDS_MAX: usize = 8;
/// Losses listed in merged books, of an hour at most; what is lost beyond is counted.
pub const WATCH_LOSSES_MAX: usize = 200_000;
/// Receipts in merged books: an hour at the default rate.
pub const WATCH_RECEIPTS_MAX: usize = 360_000;
/// Flows in merged books: flows opened anew in every interval of an hour without an answer, eight at a time.
pub const WATCH_FLOWS_MAX: usize = 4096;
/// Rows of counters in merged books: two an interval of an hour at the default length.
pub const WATCH_ROWS_MAX: usize = 720;
/// Experiments remembered in merged books.
pub const WATCH_TRIALS_MAX: usize = 16;
/// Different gaps in the evidence that merged books name.
pub const WATCH_GAPS_MAX: usize = 16;
/// Confidence below which `watch` accuses nobody: at it one accusation in five would be wrong.
pub const WATCH_CONFIDENCE_MIN: f64 = 0.8;
/// How often `watch` says that all is well.
pub const WATCH_HEARTBEAT: Duration = Duration::from_secs(600);
/// How often `watch` looks again which datagrams the path carries: path MTUs change with routes, which is rare, and a search takes a second.
pub const WATCH_SEARCH_EVERY: Duration = Duration::from_secs(60);
/// Time from one attempt to connect to the next.
pub const WATCH_RECONNECT_EVERY: Duration = Duration::from_secs(5);
/// Longest request of a scraper that is read, bytes.
pub const WATCH_HTTP_REQUEST_BYTES_MAX: usize = 8192;
/// How long a scraper may take: one that stands still must not keep others out.
pub const WATCH_HTTP_TIMEOUT: Duration = Duration::from_secs(2);
