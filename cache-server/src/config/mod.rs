//! What the server is to do: resolved, checked, and apart from what was typed (that is `args`).

mod pause;
mod port;
mod steer;
mod token;
pub(crate) mod units;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use shingle_proto::limits::{PATH_MTU_BYTES_MIN, PORTS_MAX, VALUE_BYTES_LIMIT, VALUE_BYTES_MAX_DEFAULT};
use shingle_proto::wire::Strategy;

pub use pause::Pause;
pub use port::PortConfig;
pub use steer::Steer;
pub use token::Token;

use crate::limits::{
    BUSY_POLL_MAX, DRAIN, DRAIN_MAX, MEMORY_BYTES, PATH_MTU_BYTES_MAX, TCP_PORT, UDP_PORT, WORKERS_MAX,
};

/// Everything a server is started with.
#[derive(Debug, Clone)]
pub struct Config {
    /// Address all ports listen on. `::` takes IPv4 as well.
    pub listen: IpAddr,
    /// UDP ports, 1 to 64; each number once, 0 as often as wanted.
    pub udp_ports: Vec<PortConfig>,
    /// TCP port; 0: a free one.
    pub tcp_port: u16,
    /// Budget of the store in bytes: keys, values and what they cost beside.
    pub memory_bytes: usize,
    /// Longest value stored, in bytes; at most 16 MiB.
    pub value_bytes_max: usize,
    /// Threads that serve each UDP port; of all ports together at most 256.
    pub workers_per_port: usize,
    /// Which of the threads of a port takes a datagram.
    pub steer: Steer,
    /// Caps the path MTU, in bytes of an IP packet; `None`: the smaller of the interface's MTU and 9001.
    pub path_mtu_bytes: Option<usize>,
    /// Keep receipts of every request datagram, 32 MiB a worker.
    pub receipts: bool,
    /// Where Prometheus text is served over HTTP.
    pub metrics: Option<SocketAddr>,
    /// What peers on other hosts must present before they may update; `None`: they may not.
    pub token: Option<Token>,
    /// Pauses injected on purpose.
    pub inject_pause: Option<Pause>,
    /// How long a draining server tells everybody before it goes.
    pub drain_for: Duration,
    /// How long a worker that finds no request looks again before it sleeps, and network cards are polled for it
    /// (SO_BUSY_POLL) where they can be; at most 1 s, zero: not at all.
    pub busy_poll: Duration,
}

impl Default for Config {
    /// What `cache-server` does when nothing is typed.
    fn default() -> Config {
        Config {
            listen: IpAddr::V4(Ipv4Addr::LOCALHOST),
            udp_ports: vec![PortConfig::new(UDP_PORT, Strategy::Chunked)],
            tcp_port: TCP_PORT,
            memory_bytes: MEMORY_BYTES,
            value_bytes_max: VALUE_BYTES_MAX_DEFAULT,
            workers_per_port: 1,
            steer: Steer::Flow,
            path_mtu_bytes: None,
            receipts: false,
            metrics: None,
            token: None,
            inject_pause: None,
            drain_for: DRAIN,
            busy_poll: Duration::ZERO,
        }
    }
}

/// A configuration that cannot be: what was wrong, the value found, what is allowed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A number out of its range.
    #[error("{name} is {found}: allowed are {min} to {max}")]
    Range {
        /// Flag or key.
        name: &'static str,
        /// Value found, with its unit.
        found: String,
        /// Least value, with its unit.
        min: String,
        /// Largest value, with its unit.
        max: String,
    },
    /// A UDP port given twice.
    #[error(
        "udp-port {port} is given twice: leave one out, or use workers-per-port for several threads on one port"
    )]
    PortTwice {
        /// The port.
        port: u16,
    },
    /// A pause that leaves no time to work.
    #[error(
        "inject-pause is {duration:?} every {interval:?}: the duration must be above 0 and below the interval"
    )]
    Pause {
        /// Duration found.
        duration: Duration,
        /// Interval found.
        interval: Duration,
    },
    /// The token file is of no use.
    #[error("token file {path} {problem}", path = path.display())]
    Token {
        /// The file.
        path: PathBuf,
        /// What is wrong and what to do.
        problem: String,
    },
    /// The configuration file cannot be read or understood.
    #[error("configuration file {path}: {problem}", path = path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong, where.
        problem: String,
    },
}

impl Config {
    /// Workers of all ports together.
    #[must_use]
    pub fn workers(&self) -> usize {
        self.udp_ports.len().saturating_mul(self.workers_per_port)
    }

    /// Checks every figure against its range.
    ///
    /// # Errors
    /// The first [`ConfigError`] found.
    pub fn check(&self) -> Result<(), ConfigError> {
        range("number of udp-port", self.udp_ports.len(), 1, PORTS_MAX, "")?;
        range("workers-per-port", self.workers_per_port, 1, WORKERS_MAX / self.udp_ports.len(), "")?;
        range("value-max", self.value_bytes_max, 1, VALUE_BYTES_LIMIT, " B")?;
        let port_mtus =
            self.udp_ports.iter().filter_map(|port| port.path_mtu_bytes).map(|mtu| ("mtu of udp-port", mtu));
        for (name, mtu) in self.path_mtu_bytes.map(|mtu| ("path-mtu", mtu)).into_iter().chain(port_mtus) {
            range(name, mtu, PATH_MTU_BYTES_MIN, PATH_MTU_BYTES_MAX, " B")?;
        }
        for (index, port) in self.udp_ports.iter().enumerate() {
            if port.port != 0 && self.udp_ports[..index].iter().any(|earlier| earlier.port == port.port) {
                return Err(ConfigError::PortTwice { port: port.port });
            }
        }
        self.inject_pause.as_ref().map_or(Ok(()), Pause::check)?;
        at_most("drain-for", self.drain_for, DRAIN_MAX)?;
        at_most("busy-poll", self.busy_poll, BUSY_POLL_MAX)
    }
}

fn at_most(name: &'static str, found: Duration, max: Duration) -> Result<(), ConfigError> {
    if found <= max {
        return Ok(());
    }
    let [found, min, max] = [found, Duration::ZERO, max].map(|span| format!("{span:?}"));
    Err(ConfigError::Range { name, found, min, max })
}

fn range(name: &'static str, found: usize, min: usize, max: usize, unit: &str) -> Result<(), ConfigError> {
    if (min..=max).contains(&found) {
        return Ok(());
    }
    let [found, min, max] = [found, min, max].map(|number| format!("{number}{unit}"));
    Err(ConfigError::Range { name, found, min, max })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error_of(change: impl FnOnce(&mut Config)) -> String {
        let mut config = Config::default();
        change(&mut config);
        config.check().unwrap_err().to_string()
    }

    #[test]
    fn defaults_are_in_range() {
        assert_eq!(Config::default().check(), Ok(()));
    }

    #[test]
    fn errors_name_value_and_range() {
        let ports = |count| {
            move |config: &mut Config| config.udp_ports = vec![PortConfig::new(0, Strategy::Chunked); count]
        };
        assert_eq!(error_of(ports(0)), "number of udp-port is 0: allowed are 1 to 64");
        assert_eq!(error_of(ports(65)), "number of udp-port is 65: allowed are 1 to 64");
        assert_eq!(error_of(|c| c.workers_per_port = 257), "workers-per-port is 257: allowed are 1 to 256");
        assert_eq!(
            error_of(|c| c.path_mtu_bytes = Some(576)),
            "path-mtu is 576 B: allowed are 1248 B to 65535 B"
        );
        assert_eq!(
            error_of(|c| c.udp_ports[0].path_mtu_bytes = Some(70_000)),
            "mtu of udp-port is 70000 B: allowed are 1248 B to 65535 B"
        );
        assert_eq!(error_of(|c| c.value_bytes_max = 0), "value-max is 0 B: allowed are 1 B to 16777216 B");
        assert_eq!(
            error_of(|c| c.drain_for = Duration::from_secs(601)),
            "drain-for is 601s: allowed are 0ns to 600s"
        );
        assert_eq!(
            error_of(|c| c.busy_poll = Duration::from_millis(1001)),
            "busy-poll is 1.001s: allowed are 0ns to 1s"
        );
        assert!(error_of(|c| c.udp_ports.push(c.udp_ports[0])).starts_with("udp-port 7400 is given twice"));
        let pause =
            |ms| Some(Pause { duration: Duration::from_millis(ms), interval: Duration::from_millis(10) });
        assert!(error_of(|c| c.inject_pause = pause(10)).starts_with("inject-pause is 10ms every 10ms"));
        assert!(error_of(|c| c.inject_pause = pause(0)).starts_with("inject-pause is 0ns every 10ms"));
    }
}
