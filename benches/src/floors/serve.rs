//! What a child process serves: the floor's echo, or our server as a library. Says when it is ready, and where.

use std::fmt::Write as _;
use std::io::Write as _;

use clap::{Args, Subcommand};
use shingle_proto::wire::Strategy;
use shingle_server::{Config, PortConfig, Server};
use shingle_udp::floor::{AnswerShape, Echo};

use super::error::{Error, system};

/// One server, as the driver starts it.
#[derive(Debug, Clone, Copy, Subcommand)]
pub enum Serve {
    /// The bare echo.
    Echo(EchoArgs),
    /// Our server.
    Shingle(ShingleArgs),
}

/// What an echo answers.
#[derive(Debug, Clone, Copy, Args)]
pub struct EchoArgs {
    /// Length of every request.
    #[arg(long)]
    pub request_bytes: usize,
    /// Requests in one train.
    #[arg(long)]
    pub train: usize,
    /// Bytes that answer one request.
    #[arg(long)]
    pub answer_bytes: usize,
    /// Length of each datagram of it.
    #[arg(long)]
    pub segment_bytes: usize,
}

/// How our server is set up.
#[derive(Debug, Clone, Copy, Args, PartialEq, Eq)]
pub struct ShingleArgs {
    /// Budget of the store, bytes.
    #[arg(long)]
    pub memory_bytes: usize,
    /// Path MTU.
    #[arg(long)]
    pub path_mtu: usize,
    /// UDP ports.
    #[arg(long, default_value_t = 1)]
    pub ports: usize,
    /// Workers of each port.
    #[arg(long, default_value_t = 1)]
    pub workers: usize,
    /// Keep receipts.
    #[arg(long)]
    pub receipts: bool,
}

impl Serve {
    /// Serves until the process is killed.
    ///
    /// # Errors
    /// What keeps it from serving.
    pub fn run(self) -> Result<(), Error> {
        match self {
            Serve::Echo(args) => args.run().or_else(system("serving the bare echo")),
            Serve::Shingle(args) => args.run(),
        }
    }

    /// The command line that [`Serve::run`] is started by.
    #[must_use]
    pub fn to_args(self) -> Vec<String> {
        let (name, flags) = match self {
            Serve::Echo(args) => (
                "echo",
                vec![
                    ("--request-bytes", args.request_bytes),
                    ("--train", args.train),
                    ("--answer-bytes", args.answer_bytes),
                    ("--segment-bytes", args.segment_bytes),
                ],
            ),
            Serve::Shingle(args) => (
                "shingle",
                vec![
                    ("--memory-bytes", args.memory_bytes),
                    ("--path-mtu", args.path_mtu),
                    ("--ports", args.ports),
                    ("--workers", args.workers),
                ],
            ),
        };
        let mut words = vec!["serve".to_owned(), name.to_owned()];
        words.extend(flags.into_iter().flat_map(|(flag, number)| [flag.to_owned(), number.to_string()]));
        if matches!(self, Serve::Shingle(ShingleArgs { receipts: true, .. })) {
            words.push("--receipts".into());
        }
        words
    }
}

impl EchoArgs {
    fn run(self) -> std::io::Result<()> {
        let EchoArgs { request_bytes, train, answer_bytes, segment_bytes } = self;
        let mut echo = Echo::bind(AnswerShape { request_bytes, train, answer_bytes, segment_bytes })?;
        ready(&format!("udp={}", echo.local_addr()?))?;
        loop {
            echo.turn()?;
        }
    }
}

impl ShingleArgs {
    fn run(self) -> Result<(), Error> {
        let config = Config {
            udp_ports: vec![PortConfig::new(0, Strategy::Chunked); self.ports],
            tcp_port: 0,
            memory_bytes: self.memory_bytes,
            path_mtu_bytes: Some(self.path_mtu),
            workers_per_port: self.workers,
            receipts: self.receipts,
            ..Config::default()
        };
        let not_ready = |why: String| Error::NotReady { server: "the cache server".into(), why };
        let server = Server::start(config).map_err(|error| not_ready(error.to_string()))?;
        let mut line = format!("tcp={}", server.tcp_addr());
        for served in server.ports() {
            let _ = write!(line, " udp={}:{}", server.tcp_addr().ip(), served.port);
        }
        ready(&line).or_else(system("saying that the server is ready"))?;
        server.wait().map_err(|failure| not_ready(failure.to_string()))
    }
}

fn ready(places: &str) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "ready {places}")?;
    out.flush()
}
