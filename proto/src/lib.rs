//! The Shingle protocol without sockets, clocks or threads: wire format, chunking, cookies, and the cores of server and client.
//!
//! `PROTOCOL.md` in the repository gives every byte; section numbers in these pages are its. The crate is sans-IO: bytes and the
//! time come from the caller, and what is to be sent goes back to the caller. It is `no_std` with `alloc`, so that no clock, socket or
//! thread can be named in it, and it contains no unsafe code.
//!
//! Parsing never panics, allocates or trusts a length it has not checked; whatever cannot be read ends on one [`wire::DropReason`].
//!
//! The feature `std` (default) lets the checksum use the CPU's CRC instructions, found at run time; nothing else needs it.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod checksum;
pub mod chunk;
pub mod client;
pub mod cookie;
pub mod limits;
mod reassembly;
mod round_trip;
pub mod seal;
pub mod search;
pub mod server;
pub mod wire;

/// The README's programs compile.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
