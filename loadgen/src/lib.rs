//! Shingle's load generator: open-loop reads at a chosen rate, the search for the highest rate that meets a service level, and the
//! attribution of every lost read to one cause.
//!
//! A read's way through the code: [`workload`] says which item is read when, [`engine`] sends it on a flow and books how it ended,
//! [`books`] read both hosts' counters around the stage, [`stage`] turns ledger and counters into figures with [`attribution`], and
//! [`verdict`], [`record`] and [`report`] tell people.
#![forbid(unsafe_code)]

pub mod attribution;
pub mod baseline;
pub mod belief;
pub mod books;
pub mod canary;
pub mod chance;
pub mod cli;
pub mod cold;
pub mod commands;
pub mod compare;
pub mod doctor;
pub mod embedded;
pub mod engine;
pub mod error;
pub mod hdr;
pub mod hostload;
pub mod interrupt;
pub mod lab;
pub mod limits;
pub mod load;
pub mod memcached;
pub mod options;
pub mod plan;
pub mod probe;
pub mod progress;
pub mod protocol;
mod reader;
pub mod record;
pub mod report;
pub mod rig;
pub mod search;
pub mod seeding;
pub mod slo;
pub mod stage;
pub mod statistics;
pub mod target;
pub mod trials;
pub mod verdict;
pub mod watch;
pub mod workload;
