//! The kernel's counters for one network namespace, that of the calling thread: who dropped what.
//!
//! Every file has a pure parser that takes its text and never fails: what it does not understand it leaves out, so
//! that files of older and newer kernels read alike. A last line without its newline is left out too: cut inside a
//! number it would be a wrong number. [`Snapshot::read`] is the thin reader over them.
//!
//! Two things to know when adding up: `Udp.RcvbufErrors`, `Udp.InCsumErrors` and `Udp.MemErrors` are all counted in
//! `Udp.InErrors` as well, and a lost fragment shows in `Ip.ReasmTimeout` only after ipfrag_time (30 s).

mod cpu;
mod devices;
mod snapshot;
mod snmp;
mod snmp6;
mod sockets;
mod softnet;

pub use self::cpu::{CpuTime, TICK_US, cpu_counters};
pub use self::devices::device_counters;
pub use self::snapshot::{Delta, Snapshot};
pub use self::snmp::Snmp;
pub use self::snmp6::Snmp6;
pub use self::sockets::{UdpSocket, UdpSockets};
pub use self::softnet::{Softnet, SoftnetCpu};

/// The lines of `text` that are complete.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n'))
}
