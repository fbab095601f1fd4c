//! The Shingle client: the protocol of [`shingle_proto`] driven over TCP and UDP.
#![forbid(unsafe_code)]

pub mod blocking;
pub mod control;
pub mod limits;

pub use control::{Control, ControlError};
