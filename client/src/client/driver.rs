//! The one task that owns the socket: it hands reads to the core, sends and receives in batches, keeps the timers, and
//! tells each call what became of its read.

use std::io;
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use shingle_proto::client;
use shingle_udp::{Socket, monotonic_ns};
use tokio::io::{Interest, Ready};
use tokio::net::UdpSocket;
use tokio::sync::{mpsc, watch};
use tokio::time::sleep;

use super::reads::{Command, Reads};
use super::stats::{ServerState, Stats};
use crate::flow::Flow;
use crate::limits::SOCKET_FAILURE_PAUSE;

/// What the driver shares with the calls.
pub(super) struct Parts {
    pub(super) orders: mpsc::UnboundedReceiver<Command>,
    pub(super) publish: watch::Sender<ServerState>,
    /// Whether reads fail at once while the server is known not to answer: only where heartbeats would notice its return.
    pub(super) fail_fast: bool,
}

/// The task's state.
pub(super) struct Driver {
    socket: Socket,
    /// The same socket as the runtime sees it: it tells when there is something to take.
    readiness: UdpSocket,
    flow: Flow,
    reads: Reads,
    parts: Parts,
    stats: Arc<Mutex<Stats>>,
}

/// What ended a wait.
enum Woken {
    /// Something to do for a call; `None` when the last client is gone.
    Order(Option<Command>),
    /// The socket has something to read or an error, and the timer may have passed as well.
    Socket(io::Result<()>),
    Timer,
}

impl Driver {
    /// # Errors
    /// The runtime does not take the socket.
    pub(super) fn new(socket: Socket, flow: Flow, parts: Parts) -> io::Result<Driver> {
        let readiness = UdpSocket::from_std(socket.as_fd().try_clone_to_owned()?.into())?;
        let reads = Reads::new();
        let stats = Arc::new(Mutex::new(Stats::of(*parts.publish.borrow(), &reads, &flow)));
        Ok(Driver { socket, readiness, flow, reads, parts, stats })
    }

    /// Where each turn leaves its picture.
    pub(super) fn stats(&self) -> Arc<Mutex<Stats>> {
        Arc::clone(&self.stats)
    }

    /// Runs until the last client is gone. The runtime may end it at any time: then the turns of the reads in hand go back, and
    /// who gets one finds nobody to hand a read to.
    pub(super) async fn run(mut self) {
        loop {
            let failure = self.flow.send(&self.socket, monotonic_ns()).err();
            self.publish();
            let woken = match failure {
                Some(error) => Woken::Socket(Err(error)),
                None => self.wait().await,
            };
            match woken {
                Woken::Order(None) => return,
                Woken::Order(Some(order)) => self.take_orders(order),
                Woken::Socket(Ok(())) | Woken::Timer => {}
                Woken::Socket(Err(error)) => {
                    self.reads.fail_with(&mut self.flow.core, &error);
                    sleep(SOCKET_FAILURE_PAUSE).await;
                }
            }
            self.act_on_time();
        }
    }

    /// Lets the core do what is due. What has come by then is taken first: it may be just what the core would ask for again, when
    /// this task was kept waiting.
    fn act_on_time(&mut self) {
        if self.flow.core.poll_timeout().is_some_and(|due_ns| due_ns <= monotonic_ns()) {
            let reads = &mut self.reads;
            // A failure shows again when the socket is next waited for.
            let _ = self.flow.receive(&self.socket, &mut |event| reads.book(&event));
            self.flow.core.handle_timeout(monotonic_ns(), &mut |event| reads.book(&event));
        }
    }

    /// Waits for an order, for the socket, or for the time the core names; takes what came from the socket.
    async fn wait(&mut self) -> Woken {
        let until_ns = self.flow.core.poll_timeout();
        let timer = async {
            match until_ns {
                Some(until_ns) => sleep(Duration::from_nanos(until_ns.saturating_sub(monotonic_ns()))).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            order = self.parts.orders.recv() => Woken::Order(order),
            ready = self.readiness.ready(Interest::READABLE | Interest::ERROR) => {
                Woken::Socket(ready.and_then(|ready| self.take(ready)))
            }
            () = timer => Woken::Timer,
        }
    }

    /// Takes datagrams, then ICMP errors. An answer of WouldBlock tells the runtime that there are no more of them.
    fn take(&mut self, ready: Ready) -> io::Result<()> {
        let (flow, socket, reads) = (&mut self.flow, &self.socket, &mut self.reads);
        let no_more = || Err(io::ErrorKind::WouldBlock.into());
        would_block_is_fine(self.readiness.try_io(Interest::READABLE, || {
            match flow.receive(socket, &mut |event| reads.book(&event))? {
                true => no_more(),
                false => Ok(()),
            }
        }))?;
        if !ready.is_error() {
            return Ok(());
        }
        would_block_is_fine(self.readiness.try_io(Interest::ERROR, || {
            flow.drain_errors(socket)?;
            no_more()
        }))
    }

    /// Does what calls ask for, this and all that is there.
    fn take_orders(&mut self, first: Command) {
        let (now_ns, state) = (monotonic_ns(), *self.parts.publish.borrow());
        let mut next = Some(first);
        while let Some(order) = next {
            match order {
                Command::Begin(reads) if self.parts.fail_fast && !state.answers() => {
                    self.reads.turn_away(reads, state);
                }
                Command::Begin(reads) => {
                    if !self.parts.fail_fast {
                        // No heartbeat would notice that somebody listens again, so these reads find out.
                        self.flow.forget_port_unreachable(&self.socket);
                    }
                    self.reads.begin(&mut self.flow.core, now_ns, reads);
                }
                Command::Cancel(token) => self.reads.cancel(&mut self.flow.core, token),
            }
            next = self.parts.orders.try_recv().ok();
        }
    }

    /// Tells what changed. Reads under way end at once where the server has turned out not to answer.
    fn publish(&mut self) {
        let before = *self.parts.publish.borrow();
        let state = match (self.flow.port_unreachable(), self.flow.core.server_state()) {
            (true, _) => ServerState::Unreachable,
            (false, client::ServerState::Unheard) => ServerState::Unheard,
            (false, client::ServerState::Answering) => ServerState::Answering,
            (false, client::ServerState::Draining) => ServerState::Draining,
            // The time is worked out once, so that the state stays the same.
            (false, client::ServerState::Silent { .. }) if matches!(before, ServerState::Silent { .. }) => {
                before
            }
            (false, client::ServerState::Silent { since_ns }) => {
                ServerState::Silent { since: instant(since_ns) }
            }
        };
        if state != before {
            self.parts.publish.send_replace(state);
        }
        if !state.answers() {
            self.reads.fail(&mut self.flow.core, state);
        }
        let stats = Stats::of(state, &self.reads, &self.flow);
        *self.stats.lock().unwrap_or_else(PoisonError::into_inner) = stats;
    }
}

fn would_block_is_fine(result: io::Result<()>) -> io::Result<()> {
    result.or_else(|error| if error.kind() == io::ErrorKind::WouldBlock { Ok(()) } else { Err(error) })
}

/// A time of the flow's clock as the standard library has it.
fn instant(ns: u64) -> Instant {
    let now = Instant::now();
    now.checked_sub(Duration::from_nanos(monotonic_ns().saturating_sub(ns))).unwrap_or(now)
}
