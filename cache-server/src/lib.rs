//! The Shingle cache server: reads over UDP on pinned threads that take no lock and allocate nothing, updates and
//! administration over TCP on one thread of their own.
//!
//! ```
//! use shingle_server::{Config, PortConfig, Server, Strategy};
//!
//! let udp_ports = vec![PortConfig::new(0, Strategy::Chunked)];
//! let server = Server::start(Config { udp_ports, tcp_port: 0, memory_bytes: 16 << 20, ..Config::default() })?;
//! assert_ne!(server.ports()[0].port, 0);
//! server.stop();
//! # Ok::<(), shingle_server::StartError>(())
//! ```
//!
//! Threads: `worker-N` (one for each worker of each UDP port, see `worker`) and `control` (TCP, metrics, the server's
//! life, see `control`). They share the store, whose readers never wait, counters with one writer each, and flags.
#![forbid(unsafe_code)]

pub mod args;
pub mod config;
mod control;
mod cookies;
mod error;
mod failure;
#[cfg(feature = "fault-injection")]
mod fault;
pub mod limits;
mod listen;
mod metrics;
mod report;
mod server;
mod shared;
pub mod signals;
pub mod stats;
mod strategy;
mod worker;

pub use config::{Config, ConfigError, Pause, PortConfig, Steer, Token};
pub use error::StartError;
pub use failure::Failure;
pub use server::{ServedPort, Server};
pub use shingle_proto::wire::Strategy;
