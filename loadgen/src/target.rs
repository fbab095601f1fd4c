//! The server under load: one given by address, or one started inside this process.

use std::net::{SocketAddr, UdpSocket};

use shingle_client::control::{Control, Welcome};
use shingle_proto::limits::{DATAGRAM_BYTES_MAX, KEY_BYTES_MAX, VALUE_BYTES_MAX_DEFAULT, datagram_bytes};
use shingle_proto::wire::{Port, Strategy};
use shingle_server::{Config, PortConfig, Server, StartError};
use shingle_store::StoreError;
use shingle_store::limits::BUDGET_BYTES_MAX;

use crate::error::Error;
use crate::limits::{self, ANSWER_OVERHEAD_BYTES};
use crate::options::Options;
use crate::probe::{self, Proved};
use crate::protocol::Protocol;
use crate::record::ServerFacts;
use crate::workload::ItemSpace;

/// A server, a control connection to it, and what was learned of it.
pub struct Target {
    /// The control connection.
    pub control: Control,
    /// The UDP ports under load.
    pub ports: Vec<(SocketAddr, Port)>,
    /// Largest datagram the path from it brings here.
    pub datagram_max: u16,
    /// MTU of the interface towards it.
    pub interface_mtu: u32,
    /// Where the server runs.
    pub placement: Placement,
    /// The server, if it lives in this process: it runs until this is dropped.
    embedded: Option<Server>,
    address: String,
}

/// Where the server runs, seen from the generator: what counters and CPUs they share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placement {
    /// In this process.
    Embedded,
    /// In another process of this host and network namespace.
    SameHost,
    /// Elsewhere.
    Apart,
}

impl Placement {
    /// Both ends count into the same kernel counters and use the same CPUs.
    pub fn is_shared(self) -> bool {
        self != Self::Apart
    }
}

/// The server of this name, or none yet: an embedded one is sized by what it is to hold.
pub enum Plan {
    /// Connected to.
    Remote(Box<Target>),
    /// To be started.
    Embedded,
}

impl Plan {
    /// Connects to the server given, if one was.
    ///
    /// # Errors
    /// No server there, or not one this generator can load.
    pub fn new(options: &Options) -> Result<Self, Error> {
        match &options.server {
            None => Ok(Self::Embedded),
            Some(address) => {
                Target::connect(address, options, None).map(|target| Self::Remote(Box::new(target)))
            }
        }
    }

    /// Longest value the server takes.
    pub fn value_bytes_max(&self) -> u32 {
        match self {
            Self::Remote(target) => target.welcome().value_bytes_max,
            Self::Embedded => VALUE_BYTES_MAX_DEFAULT as u32,
        }
    }

    /// The server, started now if it was not.
    ///
    /// # Errors
    /// It cannot be started: most likely the items do not fit the memory there is.
    pub fn realise(self, options: &Options, space: &ItemSpace) -> Result<Target, Error> {
        if let Self::Remote(target) = self {
            target.check_sizes(space)?;
            return Ok(*target);
        }
        let config = Config {
            udp_ports: vec![PortConfig::new(0, options.strategy.unwrap_or(Strategy::Chunked))],
            tcp_port: 0,
            memory_bytes: memory_for(space),
            workers_per_port: options.server_cpus.len(),
            receipts: true,
            ..Config::default()
        };
        let server = Server::start(config).map_err(|error| match error {
            StartError::Store(StoreError::BudgetAboveAvailable { budget_bytes, available_bytes }) => {
                Error::EmbeddedMemory { budget_bytes, most_bytes: available_bytes }
            }
            StartError::Store(StoreError::BudgetTooLarge { budget_bytes }) => {
                Error::EmbeddedMemory { budget_bytes, most_bytes: BUDGET_BYTES_MAX as u64 }
            }
            other => other.into(),
        })?;
        let address = server.tcp_addr().to_string();
        let target = Target::connect(&address, options, Some(server))?;
        target.check_sizes(space)?;
        Ok(target)
    }
}

/// Room for all items with what the store takes beside them (some 24 B) and the seal (8 B), and a tenth to spare.
/// Records do not cross the store's segments, which hold one record of the largest size or a few: large values leave
/// room unused at the end of each.
fn memory_for(space: &ItemSpace) -> usize {
    const BESIDE_BYTES: u64 = 40;
    const LEAST_BYTES: u64 = 16 << 20;
    const SEGMENT_BYTES: u64 = VALUE_BYTES_MAX_DEFAULT as u64;
    let items = u64::from(space.items());
    let bytes = space.stored_bytes() + items * BESIDE_BYTES;
    let whole_segments = items * (SEGMENT_BYTES + BESIDE_BYTES + KEY_BYTES_MAX as u64);
    let largest = (0..space.items()).map(|item| space.value_bytes(item)).max().unwrap_or(0) as u64;
    let packed = if largest < SEGMENT_BYTES / 2 {
        bytes + bytes * largest / (SEGMENT_BYTES - largest)
    } else {
        whole_segments.min(2 * bytes)
    };
    (packed + packed / 10 + LEAST_BYTES) as usize
}

impl Target {
    fn connect(address: &str, options: &Options, embedded: Option<Server>) -> Result<Self, Error> {
        let control = Control::connect(address, &options.token, limits::CONNECT_TIMEOUT)?;
        let peer = control.peer()?;
        let ports = chosen_ports(control.welcome(), options.strategy, peer)?;
        let interface_mtu = shingle_udp::interface_mtu(peer.ip())
            .map_err(|error| Error::system(format!("cannot find the interface towards {peer}"), error))?;
        let path_mtu = options.path_mtu.min(interface_mtu);
        let server = ports[0].0;
        let proved = probe::datagram_from(server, control.welcome().cookie, path_mtu)
            .map_err(|error| Error::system(format!("cannot probe the path from {server}"), error))?;
        let datagram_max = match proved {
            Proved::Size(size) => size,
            Proved::NotServed => datagram_bytes(path_mtu as usize, server.is_ipv6()) as u16,
            Proved::Unreachable => {
                return Err(Error::UdpUnreachable { server: peer.ip().to_string(), port: server.port() });
            }
            Proved::Silence => {
                return Err(Error::NoUdpAnswer { server: peer.ip().to_string(), port: server.port() });
            }
        };
        let address =
            if embedded.is_some() { format!("{address} (inside this process)") } else { address.to_owned() };
        let placement = match &embedded {
            Some(_) => Placement::Embedded,
            // Only an address of this host can be bound.
            None if UdpSocket::bind((peer.ip(), 0)).is_ok() => Placement::SameHost,
            None => Placement::Apart,
        };
        Ok(Self { control, ports, datagram_max, interface_mtu, placement, embedded, address })
    }

    /// Refuses values that no datagram takes on a port that answers in one: all their reads would fail.
    fn check_sizes(&self, space: &ItemSpace) -> Result<(), Error> {
        let strategy = self.ports[0].1.strategy;
        let room = DATAGRAM_BYTES_MAX - ANSWER_OVERHEAD_BYTES as usize;
        let values = space.values_above(room);
        if values == 0 || matches!(strategy, Strategy::Chunked | Strategy::Compressed) {
            return Ok(());
        }
        let largest = (0..space.items()).map(|item| space.value_bytes(item)).max().unwrap_or(0);
        Err(Error::TooLargeForStrategy {
            values,
            bytes: largest + ANSWER_OVERHEAD_BYTES as usize,
            strategy: strategy.name().to_owned(),
            limit: DATAGRAM_BYTES_MAX,
        })
    }

    /// What the server said of itself.
    pub fn welcome(&self) -> &Welcome {
        self.control.welcome()
    }

    /// Whether the server in this process still serves; of one elsewhere nothing is known here.
    ///
    /// # Errors
    /// It stopped by itself: what reads lost since is not the path's doing.
    pub fn check_alive(&self) -> Result<(), Error> {
        match self.embedded.as_ref().and_then(Server::failure) {
            Some(failure) => Err(Error::EmbeddedFailed(failure.clone())),
            None => Ok(()),
        }
    }

    /// For the record.
    pub fn facts(&self) -> ServerFacts {
        ServerFacts {
            address: self.address.clone(),
            protocol: Protocol::Shingle.name().to_owned(),
            version: None,
            embedded: self.placement == Placement::Embedded,
            instance: self.welcome().nonce,
            ports: self
                .ports
                .iter()
                .map(|(_, port)| format!("{}={}", port.port, port.strategy.name()))
                .collect(),
            workers: self.ports.iter().map(|(_, port)| usize::from(port.workers)).sum(),
            receipts: self.welcome().receipts,
        }
    }
}

fn chosen_ports(
    welcome: &Welcome,
    strategy: Option<Strategy>,
    peer: SocketAddr,
) -> Result<Vec<(SocketAddr, Port)>, Error> {
    let wanted = strategy.or(welcome.ports.first().map(|port| port.strategy));
    let ports: Vec<_> = welcome
        .ports
        .iter()
        .filter(|port| Some(port.strategy) == wanted)
        .map(|port| (SocketAddr::new(peer.ip(), port.port), *port))
        .collect();
    if ports.is_empty() {
        let names: Vec<_> =
            welcome.ports.iter().map(|port| format!("{}={}", port.port, port.strategy.name())).collect();
        let wanted = wanted.map_or("any", Strategy::name).to_owned();
        let offered = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
        return Err(Error::NoSuchStrategy { wanted, offered });
    }
    Ok(ports)
}
