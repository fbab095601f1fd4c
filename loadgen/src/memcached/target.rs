//! A memcached under load: what was learned of it, and the flows towards it.

use std::net::{SocketAddr, UdpSocket};

use super::admin::{Admin, Words};
use super::datagrams::{self, Datagrams};
use super::limits::{
    ANSWER_BESIDE_BYTES, INPUT_BYTES, ITEM_BESIDE_BYTES, PROBE_TIMEOUT, PROBE_TRIES, VERSION_MIN,
};
use super::stream;
use super::tcp_flow::TcpFlow;
use super::udp_flow::UdpFlow;
use super::worker::{Carrier, Worker};
use crate::error::Error;
use crate::limits;
use crate::options::Options;
use crate::protocol::Protocol;
use crate::record::ServerFacts;
use crate::rig;
use crate::seeding::Store;
use crate::target::Placement;
use crate::workload::{ItemSpace, KeySampler, VALUE_BYTES_CEILING};

/// A memcached, and the administrative connection to it.
pub struct Server {
    /// Where it runs, seen from here.
    pub placement: Placement,
    /// MTU of the interface towards it.
    pub interface_mtu: u32,
    pub(super) admin: Admin,
    pub(super) protocol: Protocol,
    /// Where the reads go.
    pub(crate) reads_to: SocketAddr,
    version: String,
    item_size_max: u64,
    threads: usize,
    pid: u32,
    evictions_before: u64,
}

impl Server {
    /// Connects, asks what there is to know, and makes sure that it answers in the protocol asked for.
    ///
    /// # Errors
    /// Nobody there, no memcached, or one without UDP.
    pub fn connect(options: &Options) -> Result<Self, Error> {
        let name = options.server.as_deref().unwrap_or_default();
        let mut admin = Admin::connect(name)?;
        let version = admin.version()?;
        let settings = admin.stats("settings")?;
        let general = admin.stats("")?;
        let peer = admin.peer();
        let mut reads_to = peer;
        if options.protocol == Protocol::MemcachedUdp {
            reads_to.set_port(options.udp_port.unwrap_or(peer.port()));
            check_version(name, &version)?;
            check_udp(name, reads_to, &settings)?;
        }
        let interface_mtu = shingle_udp::interface_mtu(peer.ip())
            .map_err(|error| Error::system(format!("cannot find the interface towards {peer}"), error))?;
        // Only an address of this host can be bound.
        let is_here = UdpSocket::bind((peer.ip(), 0)).is_ok();
        Ok(Self {
            placement: if is_here { Placement::SameHost } else { Placement::Apart },
            interface_mtu,
            admin,
            protocol: options.protocol,
            reads_to,
            version,
            item_size_max: number(&settings, "item_size_max").unwrap_or(1 << 20),
            threads: number(&settings, "num_threads").unwrap_or(0) as usize,
            pid: number(&general, "pid").unwrap_or(0) as u32,
            evictions_before: 0,
        })
    }

    /// Longest value it takes.
    pub fn value_bytes_max(&self) -> u32 {
        let most = self.item_size_max.saturating_sub(ITEM_BESIDE_BYTES.into());
        most.min(VALUE_BYTES_CEILING.into()) as u32
    }

    /// Its limit on items, as `-I` sets it.
    pub fn item_size_max(&self) -> u64 {
        self.item_size_max
    }

    /// For the record.
    pub fn facts(&self) -> ServerFacts {
        ServerFacts {
            address: self.admin.server().to_owned(),
            protocol: self.protocol.name().to_owned(),
            version: Some(self.version.clone()),
            embedded: false,
            instance: self.pid,
            ports: vec![format!("{}={}", self.reads_to.port(), self.protocol)],
            workers: self.threads,
            receipts: false,
        }
    }

    /// One thread's UDP flows.
    ///
    /// # Errors
    /// No sockets to be had.
    pub fn udp_worker(
        &self,
        options: &Options,
        place: &Place,
        space: &ItemSpace,
        keys: KeySampler,
    ) -> Result<Worker<UdpFlow>, Error> {
        let timeout_ns = options.timeout.as_nanos() as u64;
        let message_bytes_max = largest_answer(space);
        let config = datagrams::Config {
            reads_max: rig::reads_a_flow(options),
            gets_max: options.gets_per_datagram.into(),
            message_bytes_max,
            assembly_bytes: limits::REASSEMBLY_BYTES.max(4 * message_bytes_max),
            linger_ns: rig::linger_ns(timeout_ns),
        };
        self.worker(place, keys, |number| UdpFlow::open(number, self.reads_to, config))
    }

    /// One thread's connections.
    ///
    /// # Errors
    /// No connections to be had.
    pub fn tcp_worker(
        &self,
        options: &Options,
        place: &Place,
        space: &ItemSpace,
        keys: KeySampler,
    ) -> Result<Worker<TcpFlow>, Error> {
        let timeout_ns = options.timeout.as_nanos() as u64;
        let config = stream::Config {
            reads_max: rig::reads_a_flow(options),
            gets_max: options.gets_per_datagram.into(),
            input_bytes: INPUT_BYTES + largest_answer(space),
            linger_ns: rig::linger_ns(timeout_ns),
        };
        self.worker(place, keys, |number| TcpFlow::open(number, self.reads_to, config))
    }

    fn worker<C: Carrier>(
        &self,
        place: &Place,
        keys: KeySampler,
        open: impl Fn(u32) -> Result<C, Error>,
    ) -> Result<Worker<C>, Error> {
        let numbers = (0..place.flows as u32).map(|index| place.first_flow.wrapping_add(index));
        Ok(Worker::new(place.cpu, numbers.map(open).collect::<Result<_, _>>()?, keys))
    }
}

/// Where a thread runs and how its flows are numbered.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// CPU it is pinned to.
    pub cpu: usize,
    /// Number of its first flow.
    pub first_flow: u32,
    /// Its flows.
    pub flows: usize,
}

fn largest_answer(space: &ItemSpace) -> usize {
    let largest = (0..space.items()).map(|item| space.value_bytes(item)).max().unwrap_or(0);
    largest + ANSWER_BESIDE_BYTES
}

pub(super) fn number(words: &Words, name: &str) -> Option<u64> {
    words.get(name)?.parse().ok()
}

/// Before 1.6 all keys of a get came in one message.
fn check_version(server: &str, version: &str) -> Result<(), Error> {
    let mut parts = version.split('.').map(|part| part.parse::<u32>().unwrap_or(0));
    let found = (parts.next().unwrap_or(0), parts.next().unwrap_or(0));
    if found >= VERSION_MIN {
        return Ok(());
    }
    Err(Error::MemcachedOld { server: server.to_owned(), version: version.to_owned() })
}

/// Asks over UDP for a key that nobody stores.
fn check_udp(server: &str, to: SocketAddr, settings: &Words) -> Result<(), Error> {
    let port = to.port();
    let silent = Error::NoUdpAnswer { server: to.ip().to_string(), port };
    let unreachable = || Error::MemcachedUdpOff {
        server: server.to_owned(),
        port,
        way_out: match number(settings, "udpport") {
            Some(0) => {
                format!("it was started without -U: start it with -U {port}, or use --protocol memcached-tcp")
            }
            Some(other) if other != u64::from(port) => {
                format!("its settings say that UDP is served on port {other}: give --udp-port {other}")
            }
            _ => "its settings say it does serve UDP there: look for a firewall that rejects it".to_owned(),
        },
    };
    if number(settings, "udpport") == Some(0) {
        return Err(unreachable());
    }
    let fail = |error| Error::system(format!("cannot ask {to} over UDP"), error);
    let any = if to.is_ipv6() { "[::]:0" } else { "0.0.0.0:0" };
    let socket = UdpSocket::bind(any).map_err(fail)?;
    socket.connect(to).map_err(fail)?;
    socket.set_read_timeout(Some(PROBE_TIMEOUT)).map_err(fail)?;
    let config = datagrams::Config {
        reads_max: PROBE_TRIES,
        gets_max: 1,
        message_bytes_max: 0,
        assembly_bytes: 0,
        linger_ns: 1,
    };
    let mut core = Datagrams::new(config);
    let mut buffer = [0; super::limits::REQUEST_BYTES_MAX];
    for _ in 0..PROBE_TRIES {
        core.get(b"shingle:is-anybody-there", 0, u64::MAX, false);
        let request = core.poll_transmit(1, &mut buffer).expect("a read was just asked for");
        let answer = socket.send(&buffer[..request.bytes]).and_then(|_| socket.recv(&mut buffer));
        match answer {
            Ok(bytes) => {
                let mut answered = false;
                core.handle_datagram(&buffer[..bytes], &mut |_| answered = true);
                if answered {
                    return Ok(());
                }
            }
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionRefused => return Err(unreachable()),
            Err(_) => {}
        }
    }
    Err(silent)
}

impl Store for Server {
    fn get(&mut self, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        self.admin.get(key)
    }

    fn set_all(
        &mut self,
        items: &mut dyn Iterator<Item = (Vec<u8>, Vec<u8>, u64)>,
        progress: &mut dyn FnMut(u64),
    ) -> Result<u64, Error> {
        self.evictions_before = self.evictions()?;
        self.admin.set_all(items, progress)
    }

    fn check_may_update(&self) -> Result<(), Error> {
        Ok(())
    }

    fn not_kept(&mut self, bytes: u64) -> Error {
        let evictions = self.evictions().map_or(0, |now| now.saturating_sub(self.evictions_before));
        Error::MemcachedNotKept { server: self.admin.server().to_owned(), bytes, evictions }
    }

    fn remark(&mut self) -> Result<Option<String>, Error> {
        let evicted = self.evictions()?.saturating_sub(self.evictions_before);
        Ok((evicted > 0).then(|| {
            format!("memcached evicted {evicted} items meanwhile: if they were of this workload, reads of them will miss (start it with more memory, -m)")
        }))
    }
}

impl Server {
    fn evictions(&mut self) -> Result<u64, Error> {
        Ok(number(&self.admin.stats("")?, "evictions").unwrap_or(0))
    }
}
