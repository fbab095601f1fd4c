//! What was typed, resolved and checked: everything a command needs, and nothing half-started if it does not fit.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::cli::Common;
use crate::error::Error;
use crate::limits;
use crate::protocol::Protocol;
use crate::slo::Slo;
use crate::workload::units::{self, Rate};
use crate::workload::{Arrivals, ContentSpec, ITEMS_MAX, KeySpec, RATE_PER_S_MAX, ValueSpec};
use shingle_netlab::Spec;
use shingle_proto::wire::Strategy;
use shingle_server::Pause;

/// Options common to all commands, checked.
#[derive(Clone, Debug)]
pub struct Options {
    /// TCP address of the server; `None` starts one inside this process.
    pub server: Option<String>,
    /// What the server speaks.
    pub protocol: Protocol,
    /// memcached's UDP port, where it was given.
    pub udp_port: Option<u16>,
    /// Token for updates; empty if none was given.
    pub token: Vec<u8>,
    /// Load only ports of this strategy.
    pub strategy: Option<Strategy>,
    /// Largest IP packet announced, bytes.
    pub path_mtu: u32,
    /// Items stored and read.
    pub items: u32,
    /// What is stored.
    pub values: ValueSpec,
    /// What the bytes of values are like.
    pub content: ContentSpec,
    /// Popularity, where it was given.
    pub keys: Option<KeySpec>,
    /// Seed of all random numbers.
    pub seed: u64,
    /// Arrival process.
    pub arrivals: Arrivals,
    /// Timeout of a read from its intended time.
    pub timeout: Duration,
    /// Whole requests sent again.
    pub retries: u8,
    /// Gets in one datagram.
    pub gets_per_datagram: u8,
    /// Most requests that share a send.
    pub train: u8,
    /// CPUs of the generator threads, one each.
    pub generator_cpus: Vec<usize>,
    /// CPUs left for an embedded server's workers.
    pub server_cpus: Vec<usize>,
    /// Flows of each thread.
    pub flows: usize,
    /// Times in which the generator receives nothing, on purpose.
    pub pause: Option<Pause>,
    /// The laboratory asked for.
    pub lab: Option<LabChoice>,
    /// Experiments are made where the books leave open who lost reads.
    pub experiments: bool,
    /// Service level.
    pub slo: Slo,
    /// Output files and whether to be quiet.
    pub output: Output,
}

/// A laboratory as asked for.
#[derive(Clone, Debug)]
pub struct LabChoice {
    /// Topology and settings.
    pub spec: Spec,
    /// Where captures go.
    pub pcap: Option<PathBuf>,
}

/// Where results go beside the terminal.
#[derive(Clone, Debug, Default)]
pub struct Output {
    /// The record.
    pub json: Option<PathBuf>,
    /// The page.
    pub html: Option<PathBuf>,
    /// The interval log.
    pub hdr: Option<PathBuf>,
    /// No progress.
    pub quiet: bool,
}

impl Options {
    /// Checks what was typed.
    ///
    /// # Errors
    /// A value out of its range, an unreadable token file, an output file that cannot be written.
    pub fn resolve(typed: &Common) -> Result<Self, Error> {
        if !(1..=ITEMS_MAX).contains(&typed.items) {
            return Err(out_of_range("--items", typed.items, format!("1 to {ITEMS_MAX}")));
        }
        check_range("--flows", typed.flows, 1, limits::FLOWS_MAX)?;
        let timeout_ms = typed.timeout.as_millis();
        if !(1..=60_000).contains(&timeout_ms) {
            return Err(out_of_range("--timeout", units::format_duration(typed.timeout), "1ms to 60s"));
        }
        let output = Output {
            json: typed.json.clone(),
            html: typed.html.clone(),
            hdr: typed.hdr.clone(),
            quiet: typed.quiet,
        };
        output.check_writable()?;
        check_protocol(typed)?;
        let lab = LabChoice::resolve(typed)?;
        typed.inject_pause.as_ref().map_or(Ok(()), Pause::check).map_err(Error::Pause)?;
        let (generator_cpus, server_cpus) = split_cpus(typed)?;
        Ok(Self {
            server: typed.server.clone(),
            protocol: typed.protocol,
            udp_port: typed.udp_port,
            token: typed.token_file.as_ref().map_or(Ok(Vec::new()), read_token)?,
            strategy: typed.strategy,
            path_mtu: typed.path_mtu.unwrap_or(limits::PATH_MTU_DEFAULT),
            items: typed.items as u32,
            values: typed.values.clone(),
            content: typed.content,
            keys: typed.keys,
            seed: typed.seed,
            arrivals: typed.arrivals,
            timeout: typed.timeout,
            retries: typed.retries.unwrap_or(0),
            gets_per_datagram: typed.gets_per_datagram,
            train: typed.train.unwrap_or(limits::TRAIN_DEFAULT),
            generator_cpus,
            server_cpus,
            flows: typed.flows,
            pause: typed.inject_pause,
            lab,
            experiments: !typed.no_experiments,
            slo: typed.slo,
            output,
        })
    }
}

impl LabChoice {
    fn resolve(typed: &Common) -> Result<Option<Self>, Error> {
        let Some(topology) = &typed.lab else {
            return match (typed.set.first(), &typed.pcap) {
                (Some(_), _) => Err(Error::NeedsLab { flag: "--set" }),
                (None, Some(_)) => Err(Error::NeedsLab { flag: "--pcap" }),
                (None, None) => Ok(None),
            };
        };
        if typed.server.is_some() {
            return Err(Error::LabWithServer);
        }
        let spec = Spec::new(topology)?.set_all(&typed.set)?;
        Ok(Some(Self { spec, pcap: typed.pcap.clone() }))
    }
}

/// Refuses flags that mean nothing in the protocol chosen, rather than leave people to think that they did.
fn check_protocol(typed: &Common) -> Result<(), Error> {
    let protocol = typed.protocol;
    let refused: &[(&'static str, bool, &'static str)] = match protocol {
        Protocol::Shingle => {
            &[("--udp-port", typed.udp_port.is_some(), "a Shingle server tells its UDP ports")]
        }
        Protocol::MemcachedUdp | Protocol::MemcachedTcp => &[
            ("--token-file", typed.token_file.is_some(), "memcached's text protocol takes no token"),
            ("--strategy", typed.strategy.is_some(), "memcached answers in one way only"),
            (
                "--path-mtu",
                typed.path_mtu.is_some(),
                "memcached's datagrams have 1400 bytes at most, whatever the path carries",
            ),
            ("--retries", typed.retries.is_some(), "each read of memcached is sent once"),
            ("--lab", typed.lab.is_some(), "the server in the laboratory is Shingle's own"),
            ("--train", typed.train.is_some(), "each request of memcached is a send of its own"),
            (
                "--udp-port",
                typed.udp_port.is_some() && protocol == Protocol::MemcachedTcp,
                "reads go to the TCP port",
            ),
        ],
    };
    if let Some((flag, _, reason)) = refused.iter().find(|(_, given, _)| *given) {
        return Err(Error::NotWithProtocol { flag, protocol, reason });
    }
    if protocol.is_memcached() && typed.server.is_none() {
        return Err(Error::MemcachedNeedsServer { protocol });
    }
    Ok(())
}

/// Checks the rate and length of a stage.
///
/// # Errors
/// Either out of its range.
pub fn check_load(rate: Rate, duration: Duration) -> Result<(), Error> {
    if let Rate::PerSecond(tps) = rate
        && !(1..=RATE_PER_S_MAX).contains(&tps)
    {
        return Err(out_of_range("--rate", tps, format!("1 to {RATE_PER_S_MAX} reads/s, or `max`")));
    }
    let seconds = duration.as_secs_f64();
    if !(0.1..=86_400.0).contains(&seconds) {
        return Err(out_of_range("--duration", units::format_duration(duration), "100ms to 24h"));
    }
    Ok(())
}

/// Checks that a number lies in a range.
///
/// # Errors
/// If it does not.
pub fn check_range(flag: &str, value: usize, lowest: usize, highest: usize) -> Result<(), Error> {
    if (lowest..=highest).contains(&value) {
        Ok(())
    } else {
        Err(out_of_range(flag, value, format!("{lowest} to {highest}")))
    }
}

fn out_of_range(flag: &str, value: impl ToString, range: impl Into<String>) -> Error {
    Error::OutOfRange { flag: flag.to_owned(), value: value.to_string(), range: range.into() }
}

/// Generators are pinned from the highest CPU down, servers from the lowest up.
fn split_cpus(typed: &Common) -> Result<(Vec<usize>, Vec<usize>), Error> {
    let cpus = shingle_udp::allowed_cpus()
        .map_err(|error| Error::system("cannot read the CPUs this process may use", error))?;
    let default = if typed.server.is_some() { cpus.len() - 1 } else { cpus.len() / 2 };
    let threads = typed.threads.unwrap_or(default.max(1));
    check_range("--threads", threads, 1, limits::THREADS_MAX.min(cpus.len()))?;
    let generator = cpus.iter().rev().copied().take(threads).collect();
    let left = (cpus.len() - threads).max(1);
    Ok((generator, cpus.into_iter().take(left).collect()))
}

fn read_token(path: &PathBuf) -> Result<Vec<u8>, Error> {
    let text = fs::read(path).map_err(|error| Error::file("read the token file", path, error))?;
    let token = text.trim_ascii().to_vec();
    if (1..=255).contains(&token.len()) {
        Ok(token)
    } else {
        Err(Error::Token { path: path.clone(), bytes: token.len() })
    }
}

impl Output {
    /// A run of minutes must not end on a file that cannot be written. Leaves behind no file that was not there: the run may still
    /// not begin.
    pub(crate) fn check_writable(&self) -> Result<(), Error> {
        let named = [("--json", &self.json), ("--html", &self.html), ("--hdr", &self.hdr)];
        for (index, (first, path)) in named.iter().enumerate() {
            let is_same = |other: &Option<PathBuf>| {
                path.as_ref().zip(other.as_ref()).is_some_and(|(a, b)| same_file(a, b))
            };
            let same = named[index + 1..].iter().find(|(_, other)| is_same(other));
            if let (Some((second, _)), Some(path)) = (same, path) {
                return Err(Error::SameFile { first, second, path: path.clone() });
            }
        }
        for path in [&self.json, &self.html, &self.hdr].into_iter().flatten() {
            let fail = |error| Error::file("write", path, error);
            let was_there = path.symlink_metadata().is_ok();
            fs::OpenOptions::new().append(true).create(true).open(path).map_err(fail)?;
            if !was_there {
                fs::remove_file(path).map_err(fail)?;
            }
        }
        Ok(())
    }
}

/// Whether two names lead to one file: the same path, or links to the same.
fn same_file(a: &Path, b: &Path) -> bool {
    let identity = |path: &Path| path.metadata().ok().map(|metadata| (metadata.dev(), metadata.ino()));
    a == b || identity(a).is_some_and(|file| !a.starts_with("/dev") && identity(b) == Some(file))
}
