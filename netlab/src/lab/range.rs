//! How much a laboratory on this machine carries without losing or delaying anything by itself.

use std::fmt;
use std::io::{self, ErrorKind};
use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use nix::sys::socket::{setsockopt, sockopt};

use super::{Lab, LabError, LabOptions};
use crate::limits::{
    RANGE_ATTEMPTS, RANGE_DATAGRAM_BYTES, RANGE_DRAIN, RANGE_P50_MAX, RANGE_P90_MAX, RANGE_RATES,
    RANGE_SOCKET_BYTES, RANGE_STEP,
};
use crate::plan::Family;
use crate::spec::Spec;

/// What a plain laboratory (client, router, server, no rules) carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// Datagrams/s each way, requests and their answers, that all arrived, and in time. 0: not even the lowest rate tried.
    pub datagrams_per_second: u32,
    /// The next rate that was tried, where they did not; none if the highest rate was reached.
    pub beyond: Option<u32>,
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a laboratory on this machine carries {} datagrams/s each way", self.datagrams_per_second)?;
        match self.beyond {
            Some(rate) => write!(f, ", and loses or delays some by itself at {rate}"),
            None => write!(f, ", and perhaps more"),
        }
    }
}

/// Measures it, in about half a second: small datagrams are echoed at rising rates in short steps. A rate counts when all came back, half
/// of them within 0.5 ms and nine of ten within 2 ms, at one of three attempts: a stall of the machine is no limit of the laboratory.
///
/// # Errors
/// No laboratory could be made.
pub fn range() -> Result<Range, LabError> {
    let plan = Spec::new("direct").expect("the catalogue has it").plan();
    let lab = Lab::up(&plan, &LabOptions::default())?;
    let address = SocketAddr::new(lab.server().address(Family::V4), 7);
    let server =
        lab.server().run(|| socket(address))?.map_err(LabError::system("bind a socket in the server"))?;
    let own = SocketAddr::new(lab.client().address(Family::V4), 0);
    let client =
        lab.client().run(|| socket(own))?.map_err(LabError::system("bind a socket in the client"))?;
    client.connect(address).map_err(LabError::system("connect a socket in the client"))?;
    let stop = AtomicBool::new(false);
    let range = std::thread::scope(|scope| {
        scope.spawn(|| echo(&server, &stop));
        let range = climb(&client);
        stop.store(true, Ordering::Relaxed);
        range
    });
    lab.down()?;
    Ok(range)
}

fn socket(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind(address)?;
    if setsockopt(&socket, sockopt::RcvBufForce, &RANGE_SOCKET_BYTES).is_err() {
        setsockopt(&socket, sockopt::RcvBuf, &RANGE_SOCKET_BYTES)?;
    }
    socket.set_read_timeout(Some(RANGE_DRAIN))?;
    Ok(socket)
}

/// Sends back what comes until told to stop.
fn echo(server: &UdpSocket, stop: &AtomicBool) {
    let mut datagram = [0; RANGE_DATAGRAM_BYTES];
    while !stop.load(Ordering::Relaxed) {
        if let Ok((length, peer)) = server.recv_from(&mut datagram) {
            // What is not sent is missed by the other end.
            let _ = server.send_to(&datagram[..length], peer);
        }
    }
}

fn climb(client: &UdpSocket) -> Range {
    let mut reached = 0;
    for rate in RANGE_RATES {
        if !(0..RANGE_ATTEMPTS).any(|_| carries(client, rate)) {
            return Range { datagrams_per_second: reached, beyond: Some(rate) };
        }
        reached = rate;
    }
    Range { datagrams_per_second: reached, beyond: None }
}

/// One step at a rate: whether all came back, and in time.
fn carries(client: &UdpSocket, rate: u32) -> bool {
    let count = (f64::from(rate) * RANGE_STEP.as_secs_f64()) as usize;
    let mut latencies = std::thread::scope(|scope| {
        let begin = Instant::now();
        let receiver = scope.spawn(move || receive(client, begin, count));
        send(client, begin, rate, count);
        receiver.join().unwrap_or_default()
    });
    if latencies.len() < count {
        return false;
    }
    latencies.sort_unstable();
    latencies[count / 2] <= RANGE_P50_MAX && latencies[count * 9 / 10] <= RANGE_P90_MAX
}

/// Each datagram at its time, or at once when that has passed; it carries its *intended* time in nanoseconds since the beginning.
fn send(client: &UdpSocket, begin: Instant, rate: u32, count: usize) {
    let mut datagram = [0; RANGE_DATAGRAM_BYTES];
    for number in 0..count {
        let due = Duration::from_nanos(number as u64 * 1_000_000_000 / u64::from(rate));
        if let Some(early) =
            due.checked_sub(begin.elapsed()).filter(|early| *early > Duration::from_micros(100))
        {
            std::thread::sleep(early);
        }
        datagram[..8].copy_from_slice(&(due.as_nanos() as u64).to_be_bytes());
        // What is not sent is missed by the receiver.
        let _ = client.send(&datagram);
    }
}

/// Latencies of what came back, until all did or nothing more comes.
fn receive(client: &UdpSocket, begin: Instant, count: usize) -> Vec<Duration> {
    let mut latencies = Vec::with_capacity(count);
    let mut datagram = [0; RANGE_DATAGRAM_BYTES];
    while latencies.len() < count {
        match client.recv(&mut datagram) {
            Ok(_) => {
                let sent = u64::from_be_bytes(*datagram.first_chunk().expect("a datagram holds its time"));
                latencies.push(begin.elapsed().saturating_sub(Duration::from_nanos(sent)));
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => break,
        }
    }
    latencies
}
