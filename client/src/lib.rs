//! The Shingle client: the protocol of [`shingle_proto`] driven over UDP and TCP.
//!
#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

pub mod blocking;
mod client;
pub mod control;
mod error;
mod flow;
pub mod limits;
mod options;
mod receive_window;
mod setup;
mod tcp;

pub use client::{Client, Outcomes, ServerState, Stats};
pub use control::{Control, ControlError};
pub use error::{ConnectError, GetError};
pub use options::{Options, PathMtu};
