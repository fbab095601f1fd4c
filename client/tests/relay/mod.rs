//! A hostile network between client and server, on real sockets: it forwards one client's datagrams and TCP connections,
//! and loses, doubles, delays and spoils datagrams as told.
//!
//! It listens on 127.0.0.1 with the ports that the server has on 127.0.0.2, so that what WELCOME says stays true.

#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use shingle_proto::wire::{Carrier, Frame, Request};
use shingle_udp::{Socket, SocketOptions};

/// IPv4 and UDP headers.
const OVERHEAD_BYTES: usize = 28;
/// How long a thread waits before it looks whether it is to stop, and lets go of what it holds back.
const TICK: Duration = Duration::from_millis(10);

/// What happens to datagrams. Shares are in thousandths.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Weather {
    pub(crate) path_mtu_up: usize,
    pub(crate) path_mtu_down: usize,
    pub(crate) lost: u64,
    pub(crate) doubled: u64,
    /// Held back until the next datagram has passed.
    pub(crate) reordered: u64,
    /// One bit flipped.
    pub(crate) corrupted: u64,
    /// Nothing passes, nothing is said.
    pub(crate) swallow: bool,
}

pub(crate) const FAIR: Weather = Weather {
    path_mtu_up: 65_535,
    path_mtu_down: 65_535,
    lost: 0,
    doubled: 0,
    reordered: 0,
    corrupted: 0,
    swallow: false,
};

/// What passed by.
#[derive(Default)]
pub(crate) struct Counts {
    pub(crate) requests: AtomicU64,
    pub(crate) answers: AtomicU64,
    /// PROBE requests of the base size and more that ask about the way up, and about the way down; heartbeats are smaller.
    pub(crate) probes_up: AtomicU64,
    pub(crate) probes_down: AtomicU64,
    /// Datagrams longer than the path MTU of the day.
    pub(crate) too_long: AtomicU64,
    /// Of those, requests that carried a read.
    pub(crate) reads_too_long: AtomicU64,
    /// Longest request with a read, and longest answer.
    pub(crate) longest_read: AtomicU64,
    pub(crate) longest_answer: AtomicU64,
}

pub(crate) struct Relay {
    pub(crate) tcp: SocketAddr,
    pub(crate) counts: Arc<Counts>,
    weather: Arc<Mutex<Weather>>,
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

struct Side {
    socket: UdpSocket,
    weather: Arc<Mutex<Weather>>,
    counts: Arc<Counts>,
    stop: Arc<AtomicBool>,
    seed: u64,
    up: bool,
}

impl Relay {
    /// A relay before the server at `tcp` and `udp_port` of 127.0.0.2; `None` where the port is taken on 127.0.0.1.
    pub(crate) fn start(tcp: SocketAddr, udp_port: u16, weather: Weather, seed: u64) -> Option<Relay> {
        let local = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let front = bind(local(udp_port))?;
        let back = bind(local(0))?;
        back.connect((Ipv4Addr::new(127, 0, 0, 2), udp_port)).unwrap();
        let listener = TcpListener::bind(local(0)).unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let (weather, counts) = (Arc::new(Mutex::new(weather)), Arc::new(Counts::default()));
        let stop = Arc::new(AtomicBool::new(false));
        let client = Arc::new(Mutex::new(None));
        let side = |socket: &UdpSocket, up| Side {
            socket: socket.try_clone().unwrap(),
            weather: Arc::clone(&weather),
            counts: Arc::clone(&counts),
            stop: Arc::clone(&stop),
            seed: seed * 2 + u64::from(up) + 1,
            up,
        };
        let (up, down) = (side(&front, true), side(&back, false));
        let (known, to_server) = (Arc::clone(&client), back);
        let up = std::thread::spawn(move || {
            up.run(|from, bytes| {
                *known.lock().unwrap() = Some(from);
                // A server that is down is the test's affair.
                let _ = to_server.send(bytes);
            });
        });
        let down = std::thread::spawn(move || {
            down.run(|_, bytes| {
                if let Some(client) = *client.lock().unwrap() {
                    let _ = front.send_to(bytes, client);
                }
            });
        });
        let ends = Arc::clone(&stop);
        let tcp = std::thread::spawn(move || forward_tcp(&listener, tcp, &ends));
        Some(Relay { tcp: address, counts, weather, stop, threads: vec![up, down, tcp] })
    }

    pub(crate) fn set(&self, weather: Weather) {
        *self.weather.lock().unwrap() = weather;
    }

    pub(crate) fn count(&self, counter: impl FnOnce(&Counts) -> &AtomicU64) -> u64 {
        counter(&self.counts).load(Ordering::Relaxed)
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            thread.join().unwrap();
        }
    }
}

/// A socket with room enough that nothing is lost in the relay itself.
fn bind(address: SocketAddr) -> Option<UdpSocket> {
    let options = SocketOptions {
        recv_buffer_bytes: 8 << 20,
        recv_error_queue: false,
        drop_counter: false,
        ..SocketOptions::default()
    };
    let socket = Socket::bind(address, &options).ok()?;
    let socket = UdpSocket::from(socket.as_fd().try_clone_to_owned().unwrap());
    socket.set_nonblocking(false).unwrap();
    socket.set_read_timeout(Some(TICK)).unwrap();
    Some(socket)
}

impl Side {
    fn run(mut self, mut forward: impl FnMut(SocketAddr, &[u8])) {
        let mut buffer = vec![0; 65_536];
        let mut held: Option<(SocketAddr, Vec<u8>)> = None;
        while !self.stop.load(Ordering::Relaxed) {
            match self.socket.recv_from(&mut buffer) {
                Ok((length, from)) => {
                    let weather = *self.weather.lock().unwrap();
                    let bytes = &mut buffer[..length];
                    if self.count(bytes, &weather) || weather.swallow || self.happens(weather.lost) {
                        continue;
                    }
                    if self.happens(weather.corrupted) {
                        let bit = self.random() as usize % (length * 8);
                        bytes[bit / 8] ^= 1 << (bit % 8);
                    }
                    if held.is_none() && self.happens(weather.reordered) {
                        held = Some((from, bytes.to_vec()));
                        continue;
                    }
                    forward(from, bytes);
                    if self.happens(weather.doubled) {
                        forward(from, bytes);
                    }
                }
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                // The process was stopped and let go on (signal(7)).
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // The server's port is closed for now.
                Err(error) if error.kind() == ErrorKind::ConnectionRefused => {}
                Err(error) => panic!("relay: {error}"),
            }
            if let Some((from, bytes)) = held.take() {
                forward(from, &bytes);
            }
        }
    }

    /// Counts a datagram; true if it is too long for the path.
    fn count(&self, bytes: &[u8], weather: &Weather) -> bool {
        let counts = &*self.counts;
        let add = |counter: &AtomicU64| counter.fetch_add(1, Ordering::Relaxed);
        let path_mtu = if self.up { weather.path_mtu_up } else { weather.path_mtu_down };
        let too_long = bytes.len() + OVERHEAD_BYTES > path_mtu;
        if too_long {
            add(&counts.too_long);
        }
        if !self.up {
            add(&counts.answers);
            counts.longest_answer.fetch_max(bytes.len() as u64, Ordering::Relaxed);
            return too_long;
        }
        add(&counts.requests);
        let Ok(request) = Request::parse(bytes, Carrier::Udp) else { return too_long };
        for frame in request.frames() {
            match frame {
                Frame::Probe(probe) => {
                    let counted = u64::from(probe.size >= 1200);
                    counts.probes_up.fetch_add(counted * u64::from(probe.up), Ordering::Relaxed);
                    counts.probes_down.fetch_add(counted * u64::from(probe.down), Ordering::Relaxed);
                }
                Frame::Get(_) | Frame::Rerequest(_) => {
                    counts.reads_too_long.fetch_add(u64::from(too_long), Ordering::Relaxed);
                    counts.longest_read.fetch_max(bytes.len() as u64, Ordering::Relaxed);
                    break;
                }
                _ => {}
            }
        }
        too_long
    }

    fn happens(&mut self, thousandths: u64) -> bool {
        thousandths > 0 && self.random() % 1000 < thousandths
    }

    /// xorshift64* (Vigna 2016).
    fn random(&mut self) -> u64 {
        self.seed ^= self.seed >> 12;
        self.seed ^= self.seed << 25;
        self.seed ^= self.seed >> 27;
        self.seed.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 16
    }
}

fn forward_tcp(listener: &TcpListener, server: SocketAddr, stop: &AtomicBool) {
    let mut open = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let Ok((client, _)) = listener.accept() else {
            std::thread::sleep(TICK);
            continue;
        };
        let Ok(server) = TcpStream::connect(server) else { continue };
        client.set_nonblocking(false).unwrap();
        for (from, to) in [(&client, &server), (&server, &client)] {
            let (mut from, mut to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
            std::thread::spawn(move || {
                // Either end may go at any time.
                let _ = io::copy(&mut from, &mut to);
                let _ = to.shutdown(Shutdown::Both);
            });
        }
        open.push((client, server));
    }
    for (client, server) in open {
        let _ = client.shutdown(Shutdown::Both);
        let _ = server.shutdown(Shutdown::Both);
    }
}
