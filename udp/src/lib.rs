//! UDP as the Linux kernel offers it: sockets with every MTU-discovery mode, batches of datagrams received and sent
//! with few system calls and memory taken once, segmentation offload with fallback, the error queue, and the
//! counters of namespace, network card and queueing disciplines that say where datagrams were dropped. The crate knows nothing of any protocol above UDP.
//!
//! ```
//! use shingle_udp::{RecvBatch, SendBatch, Socket, SocketOptions};
//! use std::time::Duration;
//!
//! let options = SocketOptions { timestamps: true, ..SocketOptions::default() };
//! let socket = Socket::bind("127.0.0.1:0".parse().unwrap(), &options)?;
//! let (mut incoming, mut batch) = (RecvBatch::new(32, 2048), SendBatch::new(32, 64, 4096));
//!
//! let payload = b"payload, read where it is";
//! let mut outgoing = batch.fill();
//! assert!(outgoing.begin(socket.local_addr()?));
//! outgoing.copy(b"header ");
//! outgoing.borrow(payload);
//! outgoing.end(0).expect("one datagram of 32 bytes");
//! let counts = outgoing.send(&socket, &mut |message, error| eprintln!("message {message}: {error}"))?;
//! assert_eq!((counts.datagrams, counts.system_calls), (1, 1));
//!
//! socket.wait(true, false, Duration::from_secs(1))?;
//! assert_eq!(incoming.recv(&socket)?, 1);
//! assert_eq!(incoming.iter().next().unwrap().bytes, b"header payload, read where it is");
//! # Ok::<(), std::io::Error>(())
//! ```

mod address;
mod calibrate;
pub mod clock;
mod cmsg;
pub mod counters;
mod cpu;
mod device;
mod error_queue;
#[cfg(feature = "floor")]
pub mod floor;
pub mod limits;
mod meminfo;
mod mtu;
pub mod netlink;
pub mod nic;
mod options;
mod poll_set;
pub mod qdisc;
mod recv;
pub mod route;
mod send;
pub mod settings;
mod socket;
mod sockopt;
mod steering;
mod wait;

pub use calibrate::receive_charges;
pub use clock::{monotonic_ns, process_cpu_time, realtime_ns, thread_cpu_time};
pub use cpu::{allowed_cpus, keep_thread_to, pin_thread_to};
pub use device::{Device, devices};
pub use error_queue::{ErrorOrigin, SocketError};
pub use meminfo::MemInfo;
pub use mtu::{MtuDiscovery, interface_mtu};
pub use options::SocketOptions;
pub use poll_set::{PollSet, tighten_timer_slack};
pub use recv::{Datagram, RecvBatch};
pub use send::{MessageError, Outgoing, SendBatch, SendCounts};
pub use socket::{Readiness, Socket};
pub use wait::wait;
