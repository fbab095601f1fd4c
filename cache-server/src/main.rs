//! The binary: arguments, the ready line, and waiting for the end; everything else is the library's.

use std::io::{self, IsTerminal as _, Write};
use std::process::ExitCode;

use clap::Parser;
use shingle_server::args::Args;
use shingle_server::signals::drain_on_signals;
use shingle_server::{Failure, Server, StartError};
use shingle_store::counting::CountingAllocator;

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

/// Status for bad usage and failed set-up.
const EXIT_SETUP: u8 = 2;
/// Status of a server of which a thread failed while it served.
const EXIT_FAILED: u8 = 101;

/// Why the process does not end with status 0.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error(transparent)]
    Start(#[from] StartError),
    #[error(transparent)]
    Failed(#[from] Failure),
}

fn main() -> ExitCode {
    let args = Args::parse();
    log_to_stderr();
    match run(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(match error {
                Error::Start(_) => EXIT_SETUP,
                Error::Failed(_) => EXIT_FAILED,
            })
        }
    }
}

fn run(args: Args) -> Result<(), Error> {
    #[cfg(feature = "fault-injection")]
    tracing::warn!(
        "built for tests: anybody's datagram `fault: panic` ends this server; build it with `cargo build`, not `cargo test`"
    );
    let config = args.resolve().map_err(StartError::from)?;
    let server = Server::start(config)?;
    drain_on_signals(&server).map_err(|source| StartError::System { what: "catching signals", source })?;
    // Whoever reads the line may be gone; the server serves all the same.
    let _ = writeln!(io::stdout(), "{}", ready_line(&server));
    Ok(server.wait()?)
}

/// `ready tcp=ADDR:PORT udp=PORT=STRATEGY,...`: scripts wait for it.
fn ready_line(server: &Server) -> String {
    let ports: Vec<_> =
        server.ports().iter().map(|port| format!("{}={}", port.port, port.strategy.name())).collect();
    format!("ready tcp={} udp={}", server.tcp_addr(), ports.join(","))
}

/// `RUST_LOG` chooses what is logged; warnings and errors unless told otherwise.
fn log_to_stderr() {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env();
    tracing_subscriber::fmt()
        .with_env_filter(filter.unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("warn")))
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        .init();
}
