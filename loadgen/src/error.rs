//! What can go wrong before there is a result: bad usage and failing set-up. All end with exit status 2.

use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use shingle_client::control::ControlError;
use shingle_netlab::SpecError;
use shingle_netlab::lab::LabError;
use shingle_server::{ConfigError, Failure, StartError};

use crate::protocol::Protocol;
use crate::workload::WorkloadError;

/// Why a command could not do its work.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say what the fields are")]
pub enum Error {
    #[error("{flag} {value} is out of range; allowed are {range}")]
    OutOfRange { flag: String, value: String, range: String },
    #[error("the token in {} has {bytes} bytes; a token has 1 to 255 (white space around it does not count)", path.display())]
    Token { path: PathBuf, bytes: usize },
    #[error("{first} and {second} name the same file {}; give each its own", path.display())]
    SameFile { first: &'static str, second: &'static str, path: PathBuf },
    #[error("cannot {what} {}: {source}; check the path and its permissions", path.display())]
    File { what: &'static str, path: PathBuf, source: io::Error },
    #[error("{} is not a record of this program ({detail}); give a file written with --json", path.display())]
    Record { path: PathBuf, detail: String },
    #[error("{0}")]
    Workload(#[from] WorkloadError),
    #[error("{0}")]
    Control(#[from] ControlError),
    #[error("the server inside this process did not start: {0}")]
    Embedded(#[from] StartError),
    #[error(
        "the server inside this process stopped, {0}: what was read of it since says nothing about this machine, so there is no result"
    )]
    EmbeddedFailed(Failure),
    #[error(
        "the server has no UDP port with strategy {wanted}; it has {offered}: leave --strategy out, or start the server with --udp-port PORT={wanted}"
    )]
    NoSuchStrategy { wanted: String, offered: String },
    #[error("--canary-addr {address} will not do: {reason}")]
    CanaryAddress { address: IpAddr, reason: String },
    #[error("strategy {name} is given twice in --strategies; name each once")]
    StrategyTwice { name: &'static str },
    #[error(
        "there is only one strategy to compare, {name}: name two or more with --strategies (there are {all}; a server offers those of its --udp-port PORT=STRATEGY), or measure this one alone with `loadgen run --strategy {name}`"
    )]
    OneStrategy { name: &'static str, all: String },
    #[error(
        "the server has no UDP port with strategy {wanted}; it has {offered}: leave {wanted} out of --strategies, or start the server with --udp-port PORT={wanted}"
    )]
    NotOffered { wanted: &'static str, offered: String },
    #[error("{flag} has no meaning with `compare`: {way_out}")]
    NotWithCompare { flag: &'static str, way_out: &'static str },
    #[error("{flag} has no meaning with `watch`: {way_out}")]
    NotWithWatch { flag: &'static str, way_out: &'static str },
    #[error(
        "{server} does not keep all items: its memory is too small for {bytes} B of keys and values (each item costs about 32 B more); start it with more --memory, or use fewer --items"
    )]
    NotKept { server: String, bytes: u64 },
    #[error(
        "{values} of the values need datagrams of up to {bytes} B, and a {strategy} port answers in one datagram of at most {limit} B; use smaller --values, or --strategy chunked"
    )]
    TooLargeForStrategy { values: u32, bytes: usize, strategy: String, limit: usize },
    #[error(
        "these items need {budget_bytes} B of memory for the server inside this process, and at most {most_bytes} B can be had; use fewer --items or smaller --values, or a server on another host"
    )]
    EmbeddedMemory { budget_bytes: usize, most_bytes: u64 },
    #[error(
        "{server} does not answer over UDP on port {port}: TCP reaches it, so look for a firewall or security group that drops UDP"
    )]
    NoUdpAnswer { server: String, port: u16 },
    #[error(
        "nothing listens on UDP port {port} of {server}, or a firewall rejects it (ICMP): TCP reaches the server, so see whether it is being stopped, and what stands between"
    )]
    UdpUnreachable { server: String, port: u16 },
    #[error(
        "{server} does not hold the items of this workload and does not take updates from this host; seed it with --token-file FILE (the token it was started with), or from its own host"
    )]
    NotSeeded { server: String },
    #[error(
        "`seed` needs --server HOST:PORT; without a server, `run` and `qualify` start one inside themselves and seed it"
    )]
    SeedNeedsServer,
    #[error("{flag} belongs to a laboratory; give --lab TOPOLOGY with it (`netlab list` shows them all)")]
    NeedsLab { flag: &'static str },
    #[error(
        "--lab starts a server of its own at the far end of the laboratory, which no other server is part of; leave --server out, or --lab"
    )]
    LabWithServer,
    #[error("{0}")]
    LabSpec(#[from] SpecError),
    #[error("{0}")]
    Lab(#[from] LabError),
    #[error("--{0}")]
    Pause(ConfigError),
    #[error("{flag} has no meaning with --protocol {protocol}: {reason}; leave it out")]
    NotWithProtocol { flag: &'static str, protocol: Protocol, reason: &'static str },
    #[error(
        "--protocol {protocol} needs --server HOST:PORT, a memcached's TCP address; start one with memcached -U PORT"
    )]
    MemcachedNeedsServer { protocol: Protocol },
    #[error(
        "cannot connect to memcached at {server}: {source}; give HOST:PORT of its TCP port, and see that it runs"
    )]
    MemcachedConnect { server: String, source: io::Error },
    #[error("the connection to memcached at {server} failed: {source}; see that it still runs")]
    MemcachedConnection { server: String, source: io::Error },
    #[error(
        "{server} does not speak memcached's text protocol: it answered `{command}` with `{answer}`; give a memcached's TCP port, or leave --protocol out for a cache-server"
    )]
    NotMemcached { server: String, command: String, answer: String },
    #[error("memcached at {server} does not answer on UDP port {port}: {way_out}")]
    MemcachedUdpOff { server: String, port: u16, way_out: String },
    #[error(
        "memcached at {server} is version {version}, whose answers over UDP have another form than those of 1.6 and later; use --protocol memcached-tcp, or a newer one"
    )]
    MemcachedOld { server: String, version: String },
    #[error(
        "memcached at {server} did not store an item, it answered `{answer}`; give it more memory (-m), or see its log"
    )]
    MemcachedNotStored { server: String, answer: String },
    #[error(
        "memcached at {server} does not keep all items ({bytes} B of keys and values; it evicted {evictions} items meanwhile): start it with more memory (-m), or use fewer --items"
    )]
    MemcachedNotKept { server: String, bytes: u64, evictions: u64 },
    #[error(
        "{0}: memcached's limit on an item is {1} B, beside the value up to 320 B; start it with a larger -I, or choose smaller values"
    )]
    MemcachedItemSize(WorkloadError, u64),
    #[error("{what}: {source}")]
    System { what: String, source: io::Error },
}

impl Error {
    /// A failing system call, with what it was for.
    pub fn system(what: impl Into<String>, source: io::Error) -> Self {
        Self::System { what: what.into(), source }
    }

    /// A file that cannot be used.
    pub fn file(what: &'static str, path: &Path, source: io::Error) -> Self {
        Self::File { what, path: path.to_owned(), source }
    }
}
