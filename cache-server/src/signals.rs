//! Signals: SIGTERM drains, SIGINT drains in a hurry, and once more stops at once.

use std::io;
use std::thread;
use std::time::Duration;

use tokio::runtime::Builder;
use tokio::signal::unix::{SignalKind, signal};

use crate::limits::DRAIN_INTERRUPTED;
use crate::server::Server;

/// Catches both signals from now on, on a thread of its own that lasts as long as the process. For binaries: a library
/// leaves signals to its host.
///
/// # Errors
/// The handlers cannot be installed.
pub fn drain_on_signals(server: &Server) -> io::Result<()> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let entered = runtime.enter();
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    drop(entered);
    let drain = server.drainer();
    let watch = async move {
        let mut hurry = DRAIN_INTERRUPTED;
        loop {
            tokio::select! {
                _ = terminate.recv() => drain(Duration::MAX),
                _ = interrupt.recv() => drain(std::mem::take(&mut hurry)),
            }
        }
    };
    thread::Builder::new().name("signals".into()).spawn(move || runtime.block_on(watch)).map(drop)
}
