//! Floor, ours and memcached, interleaved in one run: the table of what the read path must reach.
//!
//! [`serve`] are the servers that run as children, [`udp`] and [`tcp`] the drivers, [`contest`] their turns, [`rows`] the table.

pub mod args;
mod books;
pub mod case;
pub mod contest;
pub mod error;
pub mod generator;
pub mod host;
pub mod items;
pub mod judge;
pub mod limits;
pub mod open_loop;
pub mod report;
pub mod requests;
pub mod rows;
pub mod serve;
pub mod servers;
pub mod setup;
pub mod short;
pub mod statistics;
pub mod tcp;
pub mod udp;
