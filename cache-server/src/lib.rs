//! The Shingle cache server: reads over UDP on pinned threads that take no lock and allocate nothing, updates and
//! administration over TCP on one thread of their own.
#![forbid(unsafe_code)]

pub mod args;
pub mod config;
mod cookies;
pub mod limits;
pub mod stats;
mod strategy;
mod worker;

pub use config::{Config, ConfigError, Pause, PortConfig, Token};
pub use shingle_proto::wire::Strategy;
