//! What was typed, on the command line or in the configuration file; `config` is what it comes to.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::marker::PhantomData;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use clap::Parser;
use serde::de::{Deserialize, Deserializer, Error, Visitor};

use crate::config::units::{ByteSize, Span};
use crate::config::{Config, ConfigError, Pause, PortConfig, Steer, Token};
use crate::limits::FILE_BYTES_MAX;

/// A UDP read cache that never relies on IP fragmentation.
#[derive(Debug, Parser)]
#[command(name = "cache-server", version)]
pub struct Args {
    /// TOML file with the same names; what is typed here wins
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    settings: Settings,
}

/// The settings both sources have.
#[derive(Debug, Default, clap::Args, serde::Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
struct Settings {
    /// Address to listen on; `::` takes IPv4 too [default: 127.0.0.1]
    #[arg(long, value_name = "ADDR")]
    listen: Option<IpAddr>,
    /// UDP port to serve, repeatable; 0: a free one. Strategies: chunked, kernel-pmtud, df-off, df-strict, interface,
    /// compressed [default: 7400=chunked]
    #[arg(long = "udp-port", value_name = "PORT[=STRATEGY[,mtu=N]]")]
    udp_port: Vec<Typed<PortConfig>>,
    /// TCP port for updates and administration; 0: a free one [default: 7401]
    #[arg(long, value_name = "PORT")]
    tcp_port: Option<u16>,
    /// Memory for keys and values, taken as a fixed budget [default: 256MiB]
    #[arg(long, value_name = "SIZE")]
    memory: Option<Typed<ByteSize>>,
    /// Longest value stored, at most 16MiB [default: 1MiB]
    #[arg(long, value_name = "SIZE")]
    value_max: Option<Typed<ByteSize>>,
    /// Threads for each UDP port [default: 1]
    #[arg(long, value_name = "N")]
    workers_per_port: Option<usize>,
    /// Which thread of a port takes a datagram: flow (a hash of addresses and ports) or cpu (the one that handles it; for
    /// cards with a queue a CPU) [default: flow]
    #[arg(long, value_name = "BY")]
    steer: Option<Typed<Steer>>,
    /// Caps the path MTU in bytes of an IP packet [default: the interface's MTU, at most 9001]
    #[arg(long, value_name = "N")]
    path_mtu: Option<usize>,
    /// Keep a receipt of every request datagram, readable over TCP; 32 MiB a worker
    #[arg(long, num_args = 0, default_missing_value = "true")]
    receipts: Option<bool>,
    /// Serve Prometheus text over HTTP there
    #[arg(long, value_name = "ADDR:PORT")]
    metrics: Option<SocketAddr>,
    /// File with the token that peers on other hosts need for updates and administration
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Stop all workers on purpose, such as 200ms/10s
    #[arg(long, value_name = "DURATION/INTERVAL")]
    inject_pause: Option<Typed<Pause>>,
    /// How long to announce leaving before going [default: 1s]
    #[arg(long, value_name = "DURATION")]
    drain_for: Option<Typed<Span>>,
    /// How long idle workers look for requests before they sleep, such as 50us [default: 0s]
    #[arg(long, value_name = "DURATION")]
    busy_poll: Option<Typed<Span>>,
}

impl Args {
    /// Reads the files named and puts everything together; figures are checked by [`Config::check`].
    ///
    /// # Errors
    /// A file that cannot be read or understood.
    pub fn resolve(self) -> Result<Config, ConfigError> {
        let file = self.config.as_deref().map(read_file).transpose()?;
        self.settings.or(file.unwrap_or_default()).resolve()
    }
}

impl Settings {
    /// Takes from `other` what is not given here.
    fn or(self, other: Settings) -> Settings {
        Settings {
            listen: self.listen.or(other.listen),
            udp_port: if self.udp_port.is_empty() { other.udp_port } else { self.udp_port },
            tcp_port: self.tcp_port.or(other.tcp_port),
            memory: self.memory.or(other.memory),
            value_max: self.value_max.or(other.value_max),
            workers_per_port: self.workers_per_port.or(other.workers_per_port),
            steer: self.steer.or(other.steer),
            path_mtu: self.path_mtu.or(other.path_mtu),
            receipts: self.receipts.or(other.receipts),
            metrics: self.metrics.or(other.metrics),
            token_file: self.token_file.or(other.token_file),
            inject_pause: self.inject_pause.or(other.inject_pause),
            drain_for: self.drain_for.or(other.drain_for),
            busy_poll: self.busy_poll.or(other.busy_poll),
        }
    }

    fn resolve(self) -> Result<Config, ConfigError> {
        let default = Config::default();
        let typed_ports: Vec<PortConfig> = self.udp_port.into_iter().map(|port| port.0).collect();
        Ok(Config {
            listen: self.listen.unwrap_or(default.listen),
            udp_ports: if typed_ports.is_empty() { default.udp_ports } else { typed_ports },
            tcp_port: self.tcp_port.unwrap_or(default.tcp_port),
            memory_bytes: self.memory.map_or(default.memory_bytes, |size| size.0.0),
            value_bytes_max: self.value_max.map_or(default.value_bytes_max, |size| size.0.0),
            workers_per_port: self.workers_per_port.unwrap_or(default.workers_per_port),
            steer: self.steer.map_or(default.steer, |steer| steer.0),
            path_mtu_bytes: self.path_mtu,
            receipts: self.receipts.unwrap_or(default.receipts),
            metrics: self.metrics,
            token: self.token_file.as_deref().map(Token::read).transpose()?,
            inject_pause: self.inject_pause.map(|pause| pause.0),
            drain_for: self.drain_for.map_or(default.drain_for, |span| span.0.0),
            busy_poll: self.busy_poll.map_or(default.busy_poll, |span| span.0.0),
        })
    }
}

fn read_file(path: &Path) -> Result<Settings, ConfigError> {
    let wrong = |problem: String| ConfigError::File { path: path.to_owned(), problem };
    let mut text = String::new();
    File::open(path)
        .and_then(|file| file.take(FILE_BYTES_MAX).read_to_string(&mut text))
        .map_err(|error| wrong(format!("cannot be read ({error}); check its name and owner")))?;
    toml::from_str(&text).map_err(|error| wrong(error.to_string()))
}

/// A value with a textual form, which a file may also give as a whole number (`udp-port = [7400]`).
#[derive(Debug, Clone, Copy)]
struct Typed<T>(T);

impl<T: FromStr> FromStr for Typed<T> {
    type Err = T::Err;

    fn from_str(text: &str) -> Result<Self, T::Err> {
        text.parse().map(Typed)
    }
}

impl<'de, T: FromStr<Err = String>> Deserialize<'de> for Typed<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TypedVisitor(PhantomData))
    }
}

struct TypedVisitor<T>(PhantomData<T>);

impl<T: FromStr<Err = String>> Visitor<'_> for TypedVisitor<T> {
    type Value = Typed<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string as on the command line, or a whole number")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Typed<T>, E> {
        text.parse().map_err(E::custom)
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Typed<T>, E> {
        self.visit_str(&number.to_string())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use shingle_proto::wire::Strategy;

    fn resolve(arguments: &[&str]) -> Result<Config, String> {
        let args = Args::try_parse_from(["cache-server"].iter().chain(arguments))
            .map_err(|error| error.to_string())?;
        args.resolve().map_err(|error| error.to_string())
    }

    fn file(text: &str) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        file
    }

    #[test]
    fn nothing_typed_is_the_default() {
        assert_eq!(format!("{:?}", resolve(&[]).unwrap()), format!("{:?}", Config::default()));
    }

    #[test]
    fn everything_typed_arrives() {
        let config = resolve(&[
            "--listen=::1",
            "--udp-port=0",
            "--udp-port=7402=df-off,mtu=1500",
            "--tcp-port=9",
            "--memory=64MiB",
            "--value-max=2MiB",
            "--workers-per-port=3",
            "--steer=cpu",
            "--path-mtu=8500",
            "--receipts",
            "--metrics=127.0.0.1:9100",
            "--inject-pause=1ms/1s",
            "--drain-for=50ms",
            "--busy-poll=20us",
        ])
        .unwrap();
        assert_eq!(config.listen.to_string(), "::1");
        let capped = PortConfig { path_mtu_bytes: Some(1500), ..PortConfig::new(7402, Strategy::DfOff) };
        assert_eq!(config.udp_ports, [PortConfig::new(0, Strategy::Chunked), capped]);
        assert_eq!((config.tcp_port, config.memory_bytes, config.value_bytes_max), (9, 64 << 20, 2 << 20));
        assert_eq!((config.workers_per_port, config.path_mtu_bytes, config.receipts), (3, Some(8500), true));
        assert_eq!(config.steer, Steer::Cpu);
        assert_eq!(config.metrics, "127.0.0.1:9100".parse().ok());
        assert_eq!(
            (config.inject_pause.unwrap().duration, config.drain_for, config.busy_poll),
            (Duration::from_millis(1), Duration::from_millis(50), Duration::from_micros(20))
        );
    }

    #[test]
    fn the_command_line_wins_over_the_file() {
        let file = file(
            "udp-port = [7500, \"7501=interface\"]\ntcp-port = 7502\nmemory = \"32MiB\"\nreceipts = true\n",
        );
        let path = file.path().to_str().unwrap();
        let config = resolve(&["--config", path]).unwrap();
        assert_eq!(config.udp_ports.iter().map(|port| port.port).collect::<Vec<_>>(), [7500, 7501]);
        assert_eq!((config.tcp_port, config.memory_bytes, config.receipts), (7502, 32 << 20, true));
        let config = resolve(&["--config", path, "--udp-port=1", "--memory=33MiB"]).unwrap();
        assert_eq!((config.udp_ports.len(), config.memory_bytes, config.tcp_port), (1, 33 << 20, 7502));
    }

    #[test]
    fn errors_name_the_key_or_flag() {
        for (text, wrong) in [
            ("memroy = \"1GiB\"", "memroy"),
            ("memory = \"lots\"", "`lots`"),
            ("tcp-port = 70000", "tcp-port"),
            ("steer = \"queue\"", "`queue`"),
            ("udp-port = [\"7400=fast\"]", "`fast`"),
            ("memory", "memory"),
        ] {
            let file = file(text);
            let error = resolve(&["--config", file.path().to_str().unwrap()]).unwrap_err();
            assert!(error.contains(wrong) && error.contains(file.path().to_str().unwrap()), "{error}");
        }
        for (flag, wrong) in
            [("--memory=lots", "--memory"), ("--tcp-port=70000", "--tcp-port"), ("--fast", "--fast")]
        {
            let error = resolve(&[flag]).unwrap_err();
            assert!(error.contains(wrong), "{error}");
        }
        assert!(resolve(&["--config=/nonexistent/file"]).unwrap_err().contains("/nonexistent/file"));
    }
}
