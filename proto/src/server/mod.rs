//! The stateless core of a server: one checked request in, the datagrams of its answer out (`PROTOCOL.md`, sections 3 to 7).
//!
//! [`accept`] checks a datagram, [`crate::cookie::CookieKeys::prove`] judges the address it came from, and [`Answer::new`] looks the
//! keys up and plans everything before the first byte is sent: how many datagrams and bytes it takes is known, because an
//! unproven client may get no more than it sent. The answer is an iterator of [`Datagram`]s, which borrow the bytes of values for
//! `'d`, the time for which the caller keeps what it looked up. Nothing is allocated.
//!
//! ```
//! # use std::{collections::BTreeMap, net::UdpSocket, io};
//! # use shingle_proto::{cookie::CookieKeys, server::{self, Answer, Facts, Found, Workspace, PortLimits}};
//! # fn serve(socket: &UdpSocket, port: &PortLimits, keys: &CookieKeys, values: &BTreeMap<Vec<u8>, Vec<u8>>, now_s: u32,
//! #     own_port: u16) -> io::Result<()> {
//! # let (mut bytes, mut out) = ([0; 1500], [0; 1500]);
//! let (length, from) = socket.recv_from(&mut bytes)?;
//! if let Ok(request) = server::accept(&bytes[..length], from, &[own_port]) {
//!     let proof = keys.prove(request.cookie.as_ref(), from.ip(), now_s);
//!     let facts = Facts { proof, draining: false, telemetry: None };
//!     let mut workspace = Workspace::new();
//!     let answer = Answer::new(&request, port, &facts, &mut workspace, |_, key| match values.get(key) {
//!         Some(sealed) => Found::Value { sealed, version: 1 },
//!         None => Found::Nothing,
//!     });
//!     for datagram in answer {
//!         let length = datagram.write(&mut out);
//!         let _ = socket.send_to(&out[..length], from); // one bad peer must not stop the others
//!     }
//! }
//! # Ok(())
//! # }
//! ```

mod answer;
mod budget;
mod cut;
mod datagram;
mod frames;
mod plan;
mod stream;
mod terms;
mod train;

use core::net::SocketAddr;

use crate::cookie::Proof;
use crate::wire::{Carrier, DropReason, Request, Telemetry};

pub use answer::Answer;
pub use datagram::{Datagram, Part};
pub use plan::Workspace;
pub use stream::answer_over_tcp;
pub use terms::PortLimits;
pub use train::Train;

/// What the server knows besides the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    /// What the request's cookie proved.
    pub proof: Proof,
    /// The server is about to leave.
    pub draining: bool,
    /// The worker's counters; sent where the request asked for them.
    pub telemetry: Option<Telemetry>,
}

/// What was found under a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found<'d> {
    /// A sealed value ([`crate::seal`]), in the encoding this port is to send.
    Value {
        /// Seal and value.
        sealed: &'d [u8],
        /// Version of the value.
        version: u64,
    },
    /// Nothing, or nothing any more.
    Nothing,
    /// A value that does not decode.
    Unreadable,
    /// A value not looked at, because that costs more than a client without a proven address ([`Proof::Missing`]) is worth: it is
    /// challenged.
    Withheld,
}

/// What an answer consists of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AnswerSummary {
    /// Reads (GET and REREQUEST) in the request.
    pub gets: u16,
    /// Reads whose value was found (and the version asked for again was there); some of it may be left to a later request.
    pub hits: u16,
    /// Reads answered with MISS.
    pub misses: u16,
    /// Reads and probes answered with REFUSED.
    pub refused: u16,
    /// Reads that the credit left out altogether.
    pub left_out: u16,
    /// The answer is a CHALLENGE and nothing else; no read is counted as hit, miss or refused.
    pub challenged: bool,
    /// Datagrams (over TCP: messages).
    pub datagrams: u32,
    /// Bytes of those datagrams (UDP payload).
    pub bytes: u32,
}

/// Checks a datagram that came from `source`. `own_ports` are the UDP ports of this server: what comes from one of them was not
/// sent by a client, and two servers must not answer each other.
///
/// # Errors
/// The first check that failed, to be counted; nothing that failed is answered.
#[inline]
pub fn accept<'a>(bytes: &'a [u8], source: SocketAddr, own_ports: &[u16]) -> Result<Request<'a>, DropReason> {
    let request = Request::parse(bytes, Carrier::Udp)?;
    let port = source.port();
    if port == 0 || own_ports.contains(&port) { Err(DropReason::Source) } else { Ok(request) }
}
