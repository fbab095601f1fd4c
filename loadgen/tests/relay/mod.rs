//! A UDP relay between generator and server that injects faults, and rigs that send through it.
//!
//! The relay works like an address translator: one port towards the clients, and for each client port a socket of its own towards the
//! server. Both stand on 127.0.0.1, so cookies stay valid.
#![allow(dead_code, unreachable_pub, reason = "each test binary uses its part")]

mod link;
mod setup;

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use link::Link;
pub use link::{FaultCounts, Faults};
use shingle_udp::{RecvBatch, SendBatch, Socket, SocketOptions};

pub use setup::*;

/// How soon an idle relay sees that it is to stop.
const IDLE: Duration = Duration::from_millis(20);
const BATCH: usize = 64;

/// A running relay; it ends when dropped.
pub struct Relay {
    /// Where clients send to.
    pub address: SocketAddr,
    /// What became of requests.
    pub up: Arc<FaultCounts>,
    /// What became of answers.
    pub down: Arc<FaultCounts>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Relay {
    /// Starts relaying to `server`. All that happens by chance follows from `seed`, which a failing test shows.
    pub fn start(server: SocketAddr, up: Faults, down: Faults, seed: u64) -> Relay {
        println!("relay: seed {seed} (set {SEED_VARIABLE} to choose), up {up:?}, down {down:?}");
        let front = Arc::new(open());
        let address = front.local_addr().unwrap();
        let [up_counts, down_counts] = [(); 2].map(|()| Arc::new(FaultCounts::default()));
        let stop = Arc::new(AtomicBool::new(false));
        let hub = Hub {
            server,
            front,
            faults: [up, down],
            counts: [Arc::clone(&up_counts), Arc::clone(&down_counts)],
            seed,
            stop: Arc::clone(&stop),
        };
        let thread = Some(thread::spawn(move || hub.run()));
        Relay { address, up: up_counts, down: down_counts, stop, thread }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let ended = self.thread.take().map(JoinHandle::join);
        assert!(thread::panicking() || matches!(ended, Some(Ok(()))), "the relay panicked");
    }
}

/// The thread that takes requests, and what it starts a thread for each client with.
struct Hub {
    server: SocketAddr,
    front: Arc<Socket>,
    faults: [Faults; 2],
    counts: [Arc<FaultCounts>; 2],
    seed: u64,
    stop: Arc<AtomicBool>,
}

impl Hub {
    fn run(&self) {
        let mut lanes: HashMap<SocketAddr, Lane> = HashMap::new();
        let mut batches = Batches::new();
        thread::scope(|scope| {
            while !self.stop.load(Ordering::Relaxed) {
                let next = lanes.values().filter_map(|lane| lane.link.next()).min();
                batches.receive(&self.front, next);
                let now = Instant::now();
                for datagram in batches.recv.iter() {
                    let lane = lanes.entry(datagram.source).or_insert_with(|| {
                        let (up, down) = self.lanes(datagram.source);
                        scope.spawn(move || self.answers(down.0, down.1));
                        up
                    });
                    lane.link.take(now, datagram.bytes, &self.counts[0]);
                }
                lanes.values_mut().for_each(|lane| lane.send(now, &mut batches.send));
            }
        });
    }

    /// Both ways of a new client, and the socket its answers come to.
    fn lanes(&self, client: SocketAddr) -> (Lane, (Arc<Socket>, Lane)) {
        let back = Arc::new(open());
        let [up, down] = [0, 1].map(|direction| {
            let seed = self.seed ^ u64::from(client.port()) << 8 ^ direction as u64;
            Link::new(self.faults[direction], seed)
        });
        let up = Lane { link: up, via: Arc::clone(&back), to: self.server };
        (up, (back, Lane { link: down, via: Arc::clone(&self.front), to: client }))
    }

    /// Takes the answers to one client.
    fn answers(&self, back: Arc<Socket>, mut lane: Lane) {
        let mut batches = Batches::new();
        while !self.stop.load(Ordering::Relaxed) {
            batches.receive(&back, lane.link.next());
            let now = Instant::now();
            for datagram in batches.recv.iter() {
                lane.link.take(now, datagram.bytes, &self.counts[1]);
            }
            lane.send(now, &mut batches.send);
        }
    }
}

/// One direction of one client: its link, and where it leads.
struct Lane {
    link: Link,
    via: Arc<Socket>,
    to: SocketAddr,
}

impl Lane {
    fn send(&mut self, now: Instant, batch: &mut SendBatch) {
        let mut due = Vec::new();
        self.link.give(now, &mut due);
        for due in due.chunks(BATCH) {
            let mut outgoing = batch.fill();
            for bytes in due {
                assert!(outgoing.begin(self.to));
                outgoing.borrow(bytes);
                outgoing.end(0).unwrap();
            }
            outgoing.send(&self.via, &mut |_, _| ()).unwrap();
        }
    }
}

struct Batches {
    recv: RecvBatch,
    send: SendBatch,
}

impl Batches {
    fn new() -> Self {
        Self { recv: RecvBatch::new(BATCH, 65_535), send: SendBatch::new(BATCH, BATCH, 0) }
    }

    /// Receives what there is, waiting for it until `next`.
    fn receive(&mut self, socket: &Socket, next: Option<Instant>) {
        let patience = next.map_or(IDLE, |next| next.saturating_duration_since(Instant::now()).min(IDLE));
        socket.wait(true, false, patience).unwrap();
        self.recv.recv(socket).unwrap();
        if self.recv.met_errors() {
            socket.drain_errors(&mut |_| ()).unwrap();
        }
    }
}

fn open() -> Socket {
    let options =
        SocketOptions { recv_buffer_bytes: 4 << 20, send_buffer_bytes: 4 << 20, ..SocketOptions::default() };
    Socket::bind((Ipv4Addr::LOCALHOST, 0).into(), &options).unwrap()
}
