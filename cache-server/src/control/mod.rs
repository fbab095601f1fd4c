//! The control plane: updates and administration over TCP, metrics over HTTP, and the server's life, on one thread.
//!
//! The thread is not pinned. Where a CPU is idle the scheduler puts it there. On two CPUs, beside a worker on one and a
//! generator on the other, 100,000 updates/s cost the reads the same (7 to 10 %) on the worker's CPU, on the other, and on
//! either; an update costs least on the worker's (0.8 us against 1.2 us), whose caches hold what it touches, but there a long
//! update would keep reads waiting.

mod auth;
mod connection;
mod handlers;
mod path_mtus;
mod reads;
mod seats;

use std::io;
use std::net::TcpListener;
use std::panic::resume_unwind;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use shingle_proto::limits::COOKIE_SECRET_S;
use tokio::runtime::Runtime;
use tokio::task::{JoinSet, LocalSet};
use tokio::time::{MissedTickBehavior, interval, sleep, sleep_until};

use crate::limits::CONNECTIONS_MAX;
use crate::metrics;
use crate::shared::{Phase, Shared};
use crate::worker::Counter;
use connection::Budget;
use seats::Seats;

/// The control plane's books, written by its thread alone.
#[derive(Debug, Default)]
pub(crate) struct ControlCounters {
    pub(crate) connections: Counter,
    pub(crate) accepted: Counter,
    pub(crate) evicted: Counter,
    pub(crate) malformed: Counter,
    pub(crate) messages: Counter,
    pub(crate) reads: Counter,
}

/// The control plane before it runs: everything that can fail has been done.
pub(crate) struct ControlPlane {
    shared: Arc<Shared>,
    runtime: Runtime,
    tcp: tokio::net::TcpListener,
    metrics: Option<tokio::net::TcpListener>,
}

impl ControlPlane {
    /// # Errors
    /// The runtime cannot be made, or a listener cannot be registered with it.
    pub(crate) fn new(
        shared: &Arc<Shared>,
        tcp: TcpListener,
        metrics: Option<TcpListener>,
    ) -> io::Result<ControlPlane> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let _entered = runtime.enter();
        let tcp = tokio::net::TcpListener::from_std(tcp)?;
        let metrics = metrics.map(tokio::net::TcpListener::from_std).transpose()?;
        drop(_entered);
        Ok(ControlPlane { shared: Arc::clone(shared), runtime, tcp, metrics })
    }

    /// Serves until the server stops; a drain that comes to its end stops it.
    pub(crate) fn run(self) {
        let shared = self.shared;
        LocalSet::new().block_on(&self.runtime, async {
            tokio::select! {
                () = lifetime(&shared) => {}
                () = rotate_secrets(&shared) => {}
                () = accept(&shared, self.tcp) => {}
                () = serve_metrics(&shared, self.metrics) => {}
            }
        });
        shared.stop();
    }
}

/// Ends when the server is to stop.
async fn lifetime(shared: &Shared) {
    let mut phases = shared.phases();
    loop {
        let phase = *phases.borrow_and_update();
        let changed = phases.changed();
        match phase {
            Phase::Stopping => return,
            Phase::Running => drop(changed.await),
            Phase::Draining(until) => tokio::select! {
                () = sleep_until(until) => return,
                _ = changed => {}
            },
        }
    }
}

async fn rotate_secrets(shared: &Shared) {
    let mut hours = interval(Duration::from_secs(COOKIE_SECRET_S.into()));
    hours.set_missed_tick_behavior(MissedTickBehavior::Delay);
    hours.tick().await;
    loop {
        hours.tick().await;
        if let Err(error) = shared.secrets.rotate() {
            tracing::error!("the cookie secret stays as it is for another hour: /dev/urandom: {error}");
        }
    }
}

async fn accept(shared: &Arc<Shared>, listener: tokio::net::TcpListener) {
    let (seats, budget) = (Rc::new(Seats::default()), Rc::new(Budget::default()));
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            never = reap(&mut connections) => never,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of descriptors, most likely; some come back as connections end.
                tracing::warn!("no connection accepted: {error}");
                sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let (seat, evicted) = seats.take(CONNECTIONS_MAX);
        shared.control.accepted.add(1);
        shared.control.evicted.add(evicted.into());
        shared.control.connections.set(seats.count() as u64);
        let (shared, seats, budget) = (Arc::clone(shared), Rc::clone(&seats), Rc::clone(&budget));
        connections.spawn_local(async move {
            let ended = tokio::select! {
                ended = connection::serve(stream, peer, &shared, &seat, &budget) => ended,
                () = seat.leave.notified() => Err(io::Error::other("somebody else needed the seat")),
            };
            if let Err(error) = ended {
                shared.control.malformed.add((error.kind() == io::ErrorKind::TimedOut).into());
                tracing::debug!(%peer, "connection ended: {error}");
            }
            drop(seat);
            shared.control.connections.set(seats.count() as u64);
        });
    }
}

/// Takes the ends of tasks. One that panicked may have left the store unfit for updates, so its panic becomes the thread's.
pub(crate) async fn reap(tasks: &mut JoinSet<()>) -> ! {
    loop {
        match tasks.join_next().await {
            Some(Err(error)) => {
                if let Ok(panic) = error.try_into_panic() {
                    resume_unwind(panic);
                }
            }
            Some(Ok(())) => {}
            None => std::future::pending().await,
        }
    }
}

async fn serve_metrics(shared: &Arc<Shared>, listener: Option<tokio::net::TcpListener>) {
    match listener {
        Some(listener) => metrics::serve(shared, listener).await,
        None => std::future::pending().await,
    }
}
