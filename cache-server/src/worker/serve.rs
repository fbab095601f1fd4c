//! A worker's loop: sleep, receive a batch, answer it, send a batch.

use std::io;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::time::Duration;

use mio::event::Event;
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use shingle_proto::limits::SEGMENTS_MAX;
use shingle_proto::server::Workspace;
use shingle_proto::wire::Strategy;
use shingle_store::counting::thread_allocations;
use shingle_udp::{RecvBatch, SendBatch, Socket, monotonic_ns, pin_thread_to, realtime_ns, thread_cpu_time};

use super::answer::{Answers, Moment, Pass, Place, check};
use super::decode::{Decoder, scratch};
use super::departures::Departures;
use super::group::Group;
use super::proofs::Proofs;
use super::queued::Queued;
use super::stamps::Stamps;
use super::{Counters, WorkerState, growth};
use crate::cookies::WorkerKeys;
use crate::limits::{
    IDLE, PUBLISH_NS, RECV_FAILING_NS_MAX, RECV_SLOT_BYTES, RECV_SLOTS, REQUEST_BYTES_MAX, SEND_ARENA_BYTES,
    SEND_DATAGRAMS, SEND_MESSAGES, SEND_SLICES,
};
use crate::shared::{PortState, Shared};
use crate::strategy;

/// The token of the worker's socket.
const SOCKET: Token = Token(0);
/// The token of the worker's waker.
pub(crate) const WAKER: Token = Token(1);

/// A worker before and while it runs. Everything it needs is allocated by [`Worker::new`].
pub(crate) struct Worker {
    shared: Arc<Shared>,
    /// Where its state is in `shared`.
    port_index: usize,
    index: usize,
    place: Place,
    socket: Arc<Socket>,
    poll: Poll,
    events: Events,
    keys: WorkerKeys,
    incoming: RecvBatch,
    outgoing: SendBatch,
    queued: Vec<Queued>,
    /// Datagrams of the receive batch whose answers were too long, in order.
    too_long: Vec<usize>,
    scratch: Vec<u8>,
    stamps: Stamps,
    busy_poll: Duration,
    /// When the socket was first found empty, if it was the last time.
    idle_since_ns: Option<u64>,
    published_ns: u64,
    /// Since when every receive has failed.
    failing_since_ns: Option<u64>,
}

impl Worker {
    /// Takes all memory the worker will need. `poll` is the one its waker belongs to.
    ///
    /// # Errors
    /// The socket cannot be registered.
    pub(crate) fn new(
        shared: &Arc<Shared>,
        at: (usize, usize),
        socket: Arc<Socket>,
        poll: Poll,
    ) -> io::Result<Worker> {
        let (port_index, index) = at;
        let port = &shared.ports[port_index];
        poll.registry().register(&mut SourceFd(&socket.as_raw_fd()), SOCKET, Interest::READABLE)?;
        let place = place(shared, port_index, index);
        Ok(Worker {
            port_index,
            index,
            socket,
            poll,
            events: Events::with_capacity(8),
            keys: shared.secrets.keys(),
            incoming: RecvBatch::new(RECV_SLOTS, RECV_SLOT_BYTES),
            outgoing: SendBatch::new(SEND_MESSAGES, SEND_SLICES, SEND_ARENA_BYTES),
            queued: Vec::with_capacity(SEND_DATAGRAMS),
            too_long: Vec::with_capacity(RECV_SLOTS * SEGMENTS_MAX),
            stamps: Stamps::new(port.workers[index].receipts.is_some()),
            busy_poll: shared.busy_poll,
            idle_since_ns: None,
            scratch: if place.as_stored { Vec::new() } else { scratch(shared.value_bytes_max) },
            place,
            published_ns: 0,
            failing_since_ns: None,
            shared: Arc::clone(shared),
        })
    }

    /// The UDP port it serves.
    pub(crate) fn port(&self) -> u16 {
        self.place.port
    }

    /// Pins the thread, then serves until the server stops.
    ///
    /// # Errors
    /// The socket is of no more use.
    pub(crate) fn run(mut self, cpu: Option<usize>, running: impl FnOnce()) -> io::Result<()> {
        let shared = Arc::clone(&self.shared);
        let state = &shared.ports[self.port_index].workers[self.index];
        if let Some(cpu) = cpu {
            match pin_thread_to(cpu) {
                Ok(()) => state.cpu.set(cpu as u32).expect("set here alone"),
                Err(error) => tracing::warn!("worker {} is not pinned: {error}", state.number),
            }
        }
        running();
        while !shared.is_stopping() {
            let allocations = thread_allocations();
            self.turn(state)?;
            state.counters.allocations.add(thread_allocations() - allocations);
        }
        Ok(())
    }

    /// One batch, or a sleep where there is none.
    fn turn(&mut self, state: &WorkerState) -> io::Result<()> {
        let counters = &state.counters;
        self.pause();
        counters.recv_system_calls.add(1);
        let received = self.receive(state.number)?;
        if let Some(drops) = self.incoming.drops() {
            set_drops(counters, drops);
        }
        if received > 0 {
            self.idle_since_ns = None;
            self.answer(state)?;
        } else {
            self.idle(counters)?;
        }
        self.publish(counters);
        Ok(())
    }

    /// Sleeps until there is something to do; where busy polling was asked for, looks again for that long first.
    fn idle(&mut self, counters: &Counters) -> io::Result<()> {
        if !self.busy_poll.is_zero() {
            let now_ns = monotonic_ns();
            let since_ns = *self.idle_since_ns.get_or_insert(now_ns);
            if u128::from(now_ns - since_ns) < self.busy_poll.as_nanos() {
                std::hint::spin_loop();
                return Ok(());
            }
        }
        match self.poll.poll(&mut self.events, Some(IDLE)) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
            _ => {}
        }
        if self.events.iter().any(Event::is_error) {
            self.drain_errors(counters);
        }
        Ok(())
    }

    /// Receives a batch. A receive that fails is tried again at the next turn, as what waits is still there: most likely the
    /// kernel is short of memory.
    ///
    /// # Errors
    /// When that goes on for too long.
    fn receive(&mut self, number: u8) -> io::Result<usize> {
        match self.incoming.recv(&self.socket) {
            Ok(received) => {
                self.failing_since_ns = None;
                #[cfg(feature = "fault-injection")]
                self.incoming.iter().try_for_each(|datagram| crate::fault::strike(datagram.bytes))?;
                Ok(received)
            }
            Err(error) => {
                let now_ns = monotonic_ns();
                let since_ns = *self.failing_since_ns.get_or_insert(now_ns);
                if now_ns - since_ns > RECV_FAILING_NS_MAX {
                    return Err(io::Error::new(error.kind(), format!("its socket is of no use: {error}")));
                }
                tracing::warn!("worker {number} could not receive: {error}");
                Ok(0)
            }
        }
    }

    /// Answers what was received.
    fn answer(&mut self, state: &WorkerState) -> io::Result<()> {
        let moment = Moment {
            now: self.shared.now(),
            received_ns: realtime_ns(),
            draining: self.shared.is_draining(),
            keys: *self.keys.refresh(&self.shared.secrets),
        };
        self.too_long.clear();
        self.pass(state, &moment, Pass::First, &[])?;
        if !self.too_long.is_empty() {
            let again = std::mem::take(&mut self.too_long);
            self.pass(state, &moment, Pass::Again, &again)?;
            self.too_long = again;
        }
        self.stamps.apply(&self.socket, moment.received_ns);
        Ok(())
    }

    /// Answers the datagrams of the receive batch: all of them, or those at the places `again`, whose answers were too long and
    /// are not settled yet. Each group is sent before the next is looked at, so that clients go on with the first answers while the
    /// rest of a long batch is dealt with.
    fn pass(&mut self, state: &WorkerState, moment: &Moment, pass: Pass, again: &[usize]) -> io::Result<()> {
        let received = self.incoming.iter().enumerate();
        let mut datagrams =
            received.filter(|(index, _)| pass == Pass::First || again.binary_search(index).is_ok());
        let check = |datagram: &_| check(&self.place, &state.counters, datagram);
        loop {
            let reader = self.shared.store.pin();
            let mut group = Group::new();
            if !group.fill(&mut datagrams, check, &reader, moment.now) {
                return Ok(());
            }
            let mut more = true;
            while more {
                self.queued.clear();
                let mut answers = Answers {
                    pass,
                    place: &self.place,
                    moment,
                    counters: &state.counters,
                    decoder: Decoder::new(&mut self.scratch, self.shared.value_bytes_max),
                    departures: Departures::new(self.outgoing.fill(), &self.place.limits[0]),
                    queued: &mut self.queued,
                    workspace: Workspace::new(),
                    proofs: Proofs::new(
                        &moment.keys,
                        (moment.received_ns / 1_000_000_000) as u32,
                        moment.draining,
                    ),
                    telemetry_ns: None,
                };
                // What finds no room in the batch goes with the next one.
                more = !answers.take(&mut group);
                self.stamps.wanted |= answers.telemetry_ns.is_some();
                let queued = answers.send(&self.socket)?;
                let sent_ns = realtime_ns();
                for queued in queued {
                    let too_long = queued.is_too_long() && self.place.refuses && pass == Pass::First;
                    if too_long && self.too_long.len() < self.too_long.capacity() {
                        self.too_long.push(queued.datagram);
                    } else {
                        queued.settle(&state.counters, state.receipts.as_ref(), self.place.port, sent_ns);
                    }
                }
            }
        }
    }

    /// Stands still where a pause was asked for.
    fn pause(&self) {
        if let Some(pause) = &self.shared.pause
            && let Some(left) = pause.remaining(self.shared.elapsed_ns())
        {
            std::thread::sleep(left);
        }
    }

    /// Empties the error queue, whose entries are charged to the receive buffer: clients that vanish (ICMP port
    /// unreachable) must not take the room of others.
    fn drain_errors(&self, counters: &Counters) {
        if let Ok(drained) = self.socket.drain_errors(&mut |_| ()) {
            counters.socket_errors.add(drained as u64);
        }
    }

    /// Publishes what costs a system call to learn, now and then.
    fn publish(&mut self, counters: &Counters) {
        let now_ns = monotonic_ns();
        if now_ns - self.published_ns < PUBLISH_NS {
            return;
        }
        self.published_ns = now_ns;
        counters.cpu_time_us.set(thread_cpu_time().as_micros() as u64);
        self.drain_errors(counters);
        if let Ok(info) = self.socket.mem_info() {
            set_drops(counters, info.drops);
        }
    }
}

/// Takes over the kernel's count of drops.
fn set_drops(counters: &Counters, drops: u32) {
    counters.socket_drops.add(growth(counters.socket_drops.get(), drops));
}

fn place(shared: &Shared, port_index: usize, index: usize) -> Place {
    let port: &PortState = &shared.ports[port_index];
    Place {
        nonce: shared.nonce,
        port: port.port,
        port_index: port_index as u16,
        worker: port.workers[index].number,
        refuses: strategy::limits(port.strategy, 0).too_big_is_refused,
        limits: [false, true].map(|ipv6| strategy::limits(port.strategy, port.datagram_bytes_max(ipv6))),
        as_stored: !shared.compress || port.strategy == Strategy::Compressed,
        own_ports: shared.ports.iter().map(|port| port.port).collect(),
        request_bytes_max: port.datagram_bytes_carried(false).max(REQUEST_BYTES_MAX),
    }
}
