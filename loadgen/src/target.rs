//! The server under load: one given by address, or one started inside this process.

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use shingle_client::control::{Control, ControlError, Welcome};
use shingle_proto::limits::{DATAGRAM_BYTES_MAX, VALUE_BYTES_MAX_DEFAULT, datagram_bytes};
use shingle_proto::wire::{Port, Strategy};

use crate::embedded::{Embedded, Site};
use crate::error::Error;
use crate::lab::Laboratory;
use crate::limits::{self, ANSWER_OVERHEAD_BYTES};
use crate::options::Options;
use crate::probe::{self, Proved};
use crate::protocol::Protocol;
use crate::record::ServerFacts;
use crate::trials;
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
    /// The server, if it lives in this process: it runs until all who hold it are gone.
    embedded: Option<Arc<Embedded>>,
    address: String,
    dial: Dial,
}

/// What another control connection to a server takes.
#[derive(Clone, Debug)]
pub(crate) struct Dial {
    address: SocketAddr,
    token: Vec<u8>,
}

impl Dial {
    /// Connects, and waits at most so long for each answer.
    ///
    /// # Errors
    /// Those of [`Control::connect`].
    pub(crate) fn connect(&self, timeout: Duration) -> Result<Control, ControlError> {
        Control::connect(&self.address.to_string(), &self.token, timeout)
    }
}

/// Where the server runs, seen from the generator: what counters and CPUs they share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placement {
    /// In this process, on this host's loopback.
    Embedded,
    /// In this process, on another host of a laboratory.
    Lab,
    /// In another process of this host and network namespace.
    SameHost,
    /// Elsewhere.
    Apart,
}

impl Placement {
    /// Both ends count into the same kernel counters.
    pub fn shares_counters(self) -> bool {
        matches!(self, Self::Embedded | Self::SameHost)
    }

    /// Both ends use the same CPUs.
    pub fn shares_cpus(self) -> bool {
        self != Self::Apart
    }

    /// Its threads are this process's.
    pub fn is_inside(self) -> bool {
        matches!(self, Self::Embedded | Self::Lab)
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
                let target = Target::of_address(address, options.strategy, options)?;
                Ok(Self::Remote(Box::new(target)))
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

    /// The server, started now at `site` if it was not.
    ///
    /// # Errors
    /// It cannot be started: most likely the items do not fit the memory there is.
    pub fn realise(self, options: &Options, site: &Site, space: &ItemSpace) -> Result<Target, Error> {
        if let Self::Remote(target) = self {
            target.check_sizes(space)?;
            return Ok(*target);
        }
        let strategy = options.strategy.unwrap_or(Strategy::Chunked);
        let probed = trials::serves_probes(strategy);
        // Beside a port whose answers go without DF, one that serves probes: an experiment may ask for it, and until then it sleeps.
        let strategies = if probed { vec![strategy] } else { vec![strategy, Strategy::Chunked] };
        let server = Embedded::start(site, &strategies, options, space)?;
        Target::of_embedded(&server, strategy, options, space)
    }
}

impl Target {
    /// The ports of this strategy, or of that of its first port, of the server at this address.
    ///
    /// # Errors
    /// No server there, one without such a port, or no way leads to it.
    pub(crate) fn of_address(
        address: &str,
        strategy: Option<Strategy>,
        options: &Options,
    ) -> Result<Self, Error> {
        Self::connect(address, &options.token, strategy, options)
    }

    /// The ports of this strategy of a server inside this process, which runs while a target of it is there.
    ///
    /// # Errors
    /// It has no such port, no way leads to it, or values are too long for the strategy.
    pub fn of_embedded(
        server: &Arc<Embedded>,
        strategy: Strategy,
        options: &Options,
        space: &ItemSpace,
    ) -> Result<Self, Error> {
        let mut target = Self::connect(&server.address(), server.token(), Some(strategy), options)?;
        target.address.push_str(" (inside this process)");
        target.placement = server.site().placement();
        target.embedded = Some(Arc::clone(server));
        target.check_sizes(space)?;
        Ok(target)
    }

    fn connect(
        address: &str,
        token: &[u8],
        strategy: Option<Strategy>,
        options: &Options,
    ) -> Result<Self, Error> {
        let control = Control::connect(address, token, limits::CONNECT_TIMEOUT)?;
        let peer = control.peer()?;
        let ports = chosen_ports(control.welcome(), strategy, peer)?;
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
        // Only an address of this host can be bound.
        let is_here = UdpSocket::bind((peer.ip(), 0)).is_ok();
        let placement = if is_here { Placement::SameHost } else { Placement::Apart };
        let address = address.to_owned();
        let dial = Dial { address: peer, token: token.to_vec() };
        Ok(Self { control, ports, datagram_max, interface_mtu, placement, embedded: None, address, dial })
    }

    /// What another control connection takes.
    pub(crate) fn dial(&self) -> Dial {
        self.dial.clone()
    }

    /// Connects anew after the control connection was lost: to the server that is there now.
    ///
    /// # Errors
    /// There is none.
    pub(crate) fn redial(&mut self) -> Result<(), ControlError> {
        self.control = self.dial.connect(limits::CONNECT_TIMEOUT)?;
        Ok(())
    }

    /// Refuses values that no datagram takes on a port that answers in one: all their reads would fail.
    pub(crate) fn check_sizes(&self, space: &ItemSpace) -> Result<(), Error> {
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
        self.embedded.as_ref().map_or(Ok(()), |server| server.check_alive())
    }

    /// How many items the server holds, if it lives in this process.
    pub(crate) fn items_held_inside(&self) -> Option<u64> {
        self.embedded.as_ref().map(|server| server.items())
    }

    /// The laboratory that it and the generator stand in, if they do.
    pub fn lab(&self) -> Option<&Arc<Laboratory>> {
        self.embedded.as_ref().and_then(|server| server.site().lab())
    }

    /// For the record.
    pub fn facts(&self) -> ServerFacts {
        ServerFacts {
            address: self.address.clone(),
            protocol: Protocol::Shingle.name().to_owned(),
            version: None,
            embedded: self.embedded.is_some(),
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
