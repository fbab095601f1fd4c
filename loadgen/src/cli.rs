//! The command line as it is typed. What follows from it is in [`crate::options`].

use std::fmt::Display;
use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use shingle_proto::wire::Strategy;
use shingle_server::Pause;

use crate::limits;
use crate::plan;
use crate::protocol::Protocol;
use crate::slo::Slo;
use crate::workload::units::{self, Rate};
use crate::workload::{Arrivals, ContentSpec, KeySpec, ValueSpec, WorkloadError};

/// Proves how much a machine and its network path carry, and says who lost each read.
#[derive(Debug, Parser)]
#[command(name = "loadgen", version, arg_required_else_help = true)]
#[command(
    after_help = "Without --server a server is started inside this process; the first thing to try is `loadgen qualify`.\n\
Exit status: 0 service level met, 1 not met, 2 bad usage or set-up, 3 the generator itself was the limit."
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

impl Cli {
    /// Whether a laboratory is asked for.
    pub fn wants_lab(&self) -> bool {
        let common = match &self.command {
            Command::Seed(common) => common,
            Command::Run(run) => &run.common,
            Command::Qualify(qualify) => &qualify.common,
            Command::Compare(compare) => &compare.common,
            Command::Doctor(doctor) => return doctor.lab.is_some(),
            Command::Watch(watch) => &watch.common,
            Command::Report(_) => return false,
        };
        common.lab.is_some()
    }
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Store the items in a server.
    Seed(Common),
    /// Offer a fixed rate for a time.
    Run(Run),
    /// Search for the highest rate that meets the service level, and say what broke first.
    Qualify(Qualify),
    /// Compare strategies for answers that do not fit the path, side by side in one run, and say which to use.
    Compare(Compare),
    /// Say what on this host, and on the way to a server, will hurt UDP reads, and what to change.
    Doctor(Doctor),
    /// Read a running service at a low rate for hours, and say who lost what was lost.
    Watch(Watch),
    /// Show a record again: its table, and its page with --html.
    Report(Report),
}

/// Flags of `run`.
#[derive(Debug, Args)]
pub struct Run {
    #[command(flatten)]
    #[allow(missing_docs, reason = "flattened")]
    pub common: Common,
    /// Reads per second, such as 50k; or `max`: as many as --in-flight allow (closed loop).
    #[arg(long, default_value = "50k", help_heading = "Load")]
    pub rate: Rate,
    /// How long to offer the rate.
    #[arg(long, default_value = "10s", value_parser = units::parse_duration, help_heading = "Load")]
    pub duration: Duration,
    /// Reads in flight with --rate max.
    #[arg(long, default_value_t = 128, help_heading = "Load")]
    pub in_flight: usize,
}

/// Flags of `qualify`.
#[derive(Debug, Args)]
pub struct Qualify {
    #[command(flatten)]
    #[allow(missing_docs, reason = "flattened")]
    pub common: Common,
    /// First and lowest rate tried, reads per second.
    #[arg(long, default_value = limits::QUALIFY_RATE_DEFAULT, value_parser = units::parse_count, help_heading = "Load")]
    pub rate: u64,
    /// Length of each stage of the search.
    #[arg(long, default_value = limits::QUALIFY_STAGE_DEFAULT, value_parser = units::parse_duration, help_heading = "Load")]
    pub duration: Duration,
    /// How closely the highest rate is to be found, 1% to 50%: five runs agree within it in 95 of 100 cases, where the system itself is that
    /// steady. Half of it takes about half as many stages more.
    #[arg(long, value_name = "SHARE", default_value = limits::QUALIFY_RESOLUTION_DEFAULT, value_parser = parse_resolution, help_heading = "Load")]
    pub resolution: f64,
    /// Source address of a low-volume client beside the load, an address of this host that nothing else uses; may be given several times. It
    /// reads a large value once a second and shows what clients meet that read now and then. A laboratory brings its own.
    #[arg(long, value_name = "ADDR", help_heading = "Load")]
    pub canary_addr: Vec<IpAddr>,

    /// Rate that must meet the service level for exit status 0, reads per second.
    #[arg(long, value_name = "RATE", value_parser = units::parse_count, help_heading = "Conclusions")]
    pub target: Option<u64>,
    /// Load of the whole fleet, reads per second, such as 2M: say how many hosts it needs.
    #[arg(long, value_name = "RATE", value_parser = units::parse_count, help_heading = "Conclusions")]
    pub fleet_tps: Option<u64>,
    /// Share of each host's limit to be left unused, such as 1/3 or 25%.
    #[arg(long, value_name = "SHARE", default_value = limits::SPARE_DEFAULT, value_parser = plan::parse_spare, requires = "fleet_tps", help_heading = "Conclusions")]
    pub spare: f64,
    /// An earlier record (--json): say whether this run is better, worse, or no different within noise.
    #[arg(long, value_name = "RUN.json", help_heading = "Conclusions")]
    pub baseline: Option<PathBuf>,
}

/// Flags of `compare`.
#[derive(Debug, Args)]
pub struct Compare {
    #[command(flatten)]
    #[allow(missing_docs, reason = "flattened")]
    pub common: Common,
    /// Strategies to compare, such as chunked,kernel-pmtud. Default: all; with --server all that it offers.
    #[arg(long, value_name = "A,B,...", value_delimiter = ',', value_parser = parse_strategy, help_heading = "Server")]
    pub strategies: Vec<Strategy>,
    /// Rate of the rounds, reads per second.
    #[arg(long, default_value = limits::COMPARE_RATE_DEFAULT, value_parser = units::parse_count, help_heading = "Load")]
    pub rate: u64,
    /// Length of each strategy's turn in a round.
    #[arg(long, default_value = limits::COMPARE_TURN_DEFAULT, value_parser = units::parse_duration, help_heading = "Load")]
    pub duration: Duration,
    /// Rounds; figures are medians over them.
    #[arg(long, default_value_t = limits::COMPARE_ROUNDS_DEFAULT, help_heading = "Load")]
    pub rounds: usize,
    /// Do not search for the highest rate of each strategy within the service level, which takes half of the time.
    #[arg(long, help_heading = "Load")]
    pub no_search: bool,
}

/// Flags of `doctor`.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit status: 0 nothing found that will hurt, 1 something will, 2 bad usage or set-up."
)]
pub struct Doctor {
    /// The TCP address of the server whose path and host are looked at, HOST:PORT. Without it, this host alone.
    #[arg(long, value_name = "HOST:PORT", help_heading = "Server")]
    pub server: Option<String>,
    /// Look from one end of a laboratory to a server at the other (`netlab list` shows them all).
    #[arg(long, value_name = "TOPOLOGY", help_heading = "Laboratory")]
    pub lab: Option<String>,
    /// Set a parameter of the laboratory; may be given several times.
    #[arg(long, value_name = "NAME=VALUE", help_heading = "Laboratory")]
    pub set: Vec<String>,
    /// Reads per second that are to be carried.
    #[arg(long, default_value = limits::DOCTOR_RATE_DEFAULT, help_heading = "Load")]
    pub rate: Rate,
    /// How long a program may stand still without losing datagrams.
    #[arg(long, default_value = limits::DOCTOR_PAUSE_DEFAULT, value_parser = units::parse_duration, help_heading = "Load")]
    pub pause: Duration,
    /// Values read: object-metadata, etc, usr, fixed:N, bimodal:SMALL,LARGE,SHARE, histogram:FILE, trace:FILE, twitter:clusterNN.
    #[arg(long, value_name = "SPEC", default_value = "object-metadata", value_parser = spec::<ValueSpec>, help_heading = "Load")]
    pub values: ValueSpec,
    /// Write all findings and all facts to this file.
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub json: Option<PathBuf>,
}

/// Flags of `watch`.
#[derive(Debug, Args)]
pub struct Watch {
    #[command(flatten)]
    #[allow(missing_docs, reason = "flattened")]
    pub common: Common,
    /// Reads per second, never more.
    #[arg(long, default_value = limits::WATCH_RATE_DEFAULT, value_parser = units::parse_count, help_heading = "Load")]
    pub rate: u64,
    /// How often a line is due if something was lost, and the books of both hosts are read.
    #[arg(long, default_value = limits::WATCH_INTERVAL_DEFAULT, value_parser = units::parse_duration, help_heading = "Load")]
    pub interval: Duration,
    /// How long to watch. Default: until SIGINT or SIGTERM.
    #[arg(long = "for", value_name = "DURATION", value_parser = units::parse_duration, help_heading = "Load")]
    pub duration: Option<Duration>,
    /// Serve metrics for Prometheus on this address.
    #[arg(long, value_name = "ADDR:PORT", help_heading = "Output")]
    pub metrics: Option<std::net::SocketAddr>,
}

/// Flags of `report`.
#[derive(Debug, Args)]
pub struct Report {
    /// A record written with --json.
    pub record: PathBuf,
    /// Write a self-contained page to this file.
    #[arg(long)]
    pub html: Option<PathBuf>,
}

/// Flags common to the commands.
#[derive(Clone, Debug, Args)]
pub struct Common {
    /// The server's TCP address, HOST:PORT; a Shingle server's UDP ports are learned from it.
    #[arg(long, value_name = "HOST:PORT", help_heading = "Server")]
    pub server: Option<String>,
    /// What the server speaks: shingle, memcached-udp, memcached-tcp.
    #[arg(long, value_name = "NAME", default_value_t, help_heading = "Server")]
    pub protocol: Protocol,
    /// memcached's UDP port. Default: the number of its TCP port.
    #[arg(long, value_name = "PORT", value_parser = parse_port, help_heading = "Server")]
    pub udp_port: Option<u16>,
    /// File with the token that updates from another host need.
    #[arg(long, value_name = "FILE", help_heading = "Server")]
    pub token_file: Option<PathBuf>,
    /// Load only ports with this strategy (chunked, kernel-pmtud, df-off, df-strict, interface, compressed).
    #[arg(long, value_name = "NAME", value_parser = parse_strategy, help_heading = "Server")]
    pub strategy: Option<Strategy>,
    /// Largest IP packet to announce to the server; never more than the interface's MTU. Default: 9001.
    #[arg(long, value_name = "BYTES", value_parser = parse_path_mtu, help_heading = "Server")]
    pub path_mtu: Option<u32>,

    /// Put server and generator at the two ends of a laboratory, a network with real packets inside this machine (`netlab list` shows
    /// them all); several in one: A+B, such as fragment-limit+lossy.
    #[arg(long, value_name = "TOPOLOGY", help_heading = "Laboratory")]
    pub lab: Option<String>,
    /// Set a parameter of the laboratory; may be given several times. Of several topologies in one: TOPOLOGY.NAME=VALUE.
    #[arg(long, value_name = "NAME=VALUE", help_heading = "Laboratory")]
    pub set: Vec<String>,
    /// Write captures of all wires of the laboratory to this directory.
    #[arg(long, value_name = "DIR", help_heading = "Laboratory")]
    pub pcap: Option<PathBuf>,

    /// Items stored and read.
    #[arg(long, default_value = limits::ITEMS_DEFAULT, value_parser = units::parse_count, help_heading = "Workload")]
    pub items: u64,
    /// Values: object-metadata, etc, usr, fixed:N, bimodal:SMALL,LARGE,SHARE, histogram:FILE, trace:FILE, twitter:clusterNN.
    #[arg(long, value_name = "SPEC", default_value = "object-metadata", value_parser = spec::<ValueSpec>, help_heading = "Workload")]
    pub values: ValueSpec,
    /// Keys: uniform, zipf:S, or trace (the trace's order). Default: what the values bring, else uniform.
    #[arg(long, value_name = "SPEC", value_parser = spec::<KeySpec>, help_heading = "Workload")]
    pub keys: Option<KeySpec>,
    /// Bytes of values: noise, which nothing compresses, or metadata, text that compresses as metadata of objects does.
    #[arg(long, value_name = "SPEC", default_value = "noise", value_parser = spec::<ContentSpec>, help_heading = "Workload")]
    pub content: ContentSpec,
    /// Seed of all random numbers.
    #[arg(long, default_value_t = 1, help_heading = "Workload")]
    pub seed: u64,

    /// Arrivals: poisson or constant.
    #[arg(long, default_value = "poisson", value_parser = spec::<Arrivals>, help_heading = "Load")]
    pub arrivals: Arrivals,
    /// Timeout of a read, from its intended time.
    #[arg(long, default_value = "100ms", value_parser = units::parse_duration, help_heading = "Load")]
    pub timeout: Duration,
    /// Whole requests sent again when nothing of an answer arrived. Default: 0.
    #[arg(long, value_parser = parse_retries, help_heading = "Load")]
    pub retries: Option<u8>,
    /// Gets in one request datagram; over TCP, keys in one get.
    #[arg(long, default_value_t = 1, value_parser = parse_gets, help_heading = "Load")]
    pub gets_per_datagram: u8,
    /// Requests due together that share one send (UDP_SEGMENT), 1 to 64; 1 unless told otherwise. On loopback they reach the server in one piece, which costs it
    /// less than requests of many clients.
    #[arg(long, value_parser = parse_train, help_heading = "Load")]
    pub train: Option<u8>,
    /// Generator threads, each pinned to a CPU from the highest down. Default: half of the CPUs, with --server all but one.
    #[arg(long, help_heading = "Load")]
    pub threads: Option<usize>,
    /// Flows (source ports; over TCP connections) of each thread.
    #[arg(long, default_value_t = limits::FLOWS_DEFAULT, help_heading = "Load")]
    pub flows: usize,
    /// Pauses made on purpose: for DURATION at the end of each INTERVAL the threads receive nothing, while reads leave as scheduled.
    #[arg(long, value_name = "DURATION/INTERVAL", help_heading = "Load")]
    pub inject_pause: Option<Pause>,
    /// Make no experiments where counters leave open who lost reads: those take a few seconds each, after the load, at no more reads/s than there
    /// were, but with up to eight times the fragments or bytes where those are in doubt.
    #[arg(long, help_heading = "Load")]
    pub no_experiments: bool,
    /// Service level.
    #[arg(long, default_value = "failures=0.5%,p99=1ms", help_heading = "Load")]
    pub slo: Slo,

    /// Write the record of the run to this file.
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub json: Option<PathBuf>,
    /// Write a self-contained page with the curves to this file.
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub html: Option<PathBuf>,
    /// Write the latency of each interval as an HdrHistogram V2 interval log to this file.
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub hdr: Option<PathBuf>,
    /// No progress, only the final table.
    #[arg(long, help_heading = "Output")]
    pub quiet: bool,
}

fn parse_strategy(name: &str) -> Result<Strategy, String> {
    Strategy::from_name(name).ok_or_else(|| {
        let names = Strategy::ALL.map(Strategy::name).join(", ");
        format!("`{name}` is no strategy; choose one of {names}")
    })
}

fn number<T: FromStr + PartialOrd + Display>(
    text: &str,
    lowest: T,
    highest: T,
    what: &str,
) -> Result<T, String> {
    let number = text.parse().ok().filter(|number| (&lowest..=&highest).contains(&number));
    number.ok_or_else(|| format!("give {what} from {lowest} to {highest}"))
}

fn parse_resolution(text: &str) -> Result<f64, String> {
    let (finest, coarsest) = limits::QUALIFY_RESOLUTIONS;
    units::parse_percent(text).ok().filter(|share| (finest..=coarsest).contains(share)).ok_or_else(|| {
        format!(
            "give a percentage from {} to {}, such as {}",
            units::format_percent(finest),
            units::format_percent(coarsest),
            limits::QUALIFY_RESOLUTION_DEFAULT
        )
    })
}

fn parse_path_mtu(text: &str) -> Result<u32, String> {
    number(text, shingle_proto::limits::PATH_MTU_BYTES_MIN as u32, 65_535, "the bytes of an IP packet")
}

fn parse_port(text: &str) -> Result<u16, String> {
    number(text, 1, u16::MAX, "a port")
}

fn parse_retries(text: &str) -> Result<u8, String> {
    number(text, 0, 10, "a number of repetitions")
}

fn parse_gets(text: &str) -> Result<u8, String> {
    number(text, 1, 64, "a number of gets")
}

fn parse_train(text: &str) -> Result<u8, String> {
    number(text, 1, limits::TRAIN_MAX, "the requests of one send")
}

/// Parses part of a workload; the flag and the value are named by whoever shows the error.
fn spec<T: FromStr<Err = WorkloadError>>(text: &str) -> Result<T, String> {
    text.parse().map_err(|error| match error {
        WorkloadError::Invalid { way_out, .. } => way_out,
        other => other.to_string(),
    })
}
