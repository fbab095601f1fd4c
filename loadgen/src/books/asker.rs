//! Asks the server for its statistics while a stage runs: on a thread and a connection of its own, so that a server that answers late or
//! never holds up neither the load nor the end of the stage.

use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use shingle_client::control::Control;
use shingle_udp::monotonic_ns;

use super::server::Report;
use crate::limits;
use crate::target::Dial;

/// The thread; it ends when this is dropped, or soon after where the server does not answer just then.
pub(crate) struct Asker {
    orders: Sender<Order>,
}

/// What came of a time of asking.
#[derive(Clone, Debug, Default)]
pub(super) struct Asked(Arc<Mutex<Vec<Look>>>);

/// One answer, or none.
#[derive(Clone, Debug)]
pub(super) struct Look {
    /// When it was asked for, on the monotonic clock.
    pub(super) asked_ns: u64,
    /// When it was here, or given up.
    pub(super) ended_ns: u64,
    /// The statistics, or why there are none.
    pub(super) answer: Result<Report, String>,
}

enum Order {
    /// Ask, and put the answers there.
    Begin(Asked),
    /// Ask no more.
    End,
}

impl Asker {
    /// Starts the thread in the network namespace of the calling one. None where the host gives no thread: a series less.
    pub(crate) fn start(dial: Dial) -> Option<Self> {
        let (orders, taken) = mpsc::channel();
        let work = move || {
            let mut control = None;
            while let Ok(order) = taken.recv() {
                let Order::Begin(asked) = order else { continue };
                loop {
                    match taken.recv_timeout(limits::SERVER_LOOK_INTERVAL) {
                        Err(RecvTimeoutError::Timeout) => asked.put(look(&dial, &mut control)),
                        Ok(_) => break,
                        Err(RecvTimeoutError::Disconnected) => return,
                    }
                }
            }
        };
        thread::Builder::new().name("statistics".to_owned()).spawn(work).ok()?;
        Some(Self { orders })
    }

    /// Asks from now on.
    pub(super) fn begin(&self) -> Asked {
        let asked = Asked::default();
        // A thread that ended leaves an empty list.
        let _ = self.orders.send(Order::Begin(asked.clone()));
        asked
    }

    /// Asks no more, and gives what there is: an answer still under way is not waited for.
    pub(super) fn end(&self, asked: &Asked) -> Vec<Look> {
        let _ = self.orders.send(Order::End);
        std::mem::take(&mut *asked.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Asked {
    fn put(&self, look: Look) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(look);
    }
}

/// Asks once, over a new connection where the old one is lost.
fn look(dial: &Dial, control: &mut Option<Control>) -> Look {
    let asked_ns = monotonic_ns();
    let answer = ask(dial, control);
    if answer.is_err() {
        *control = None;
    }
    Look { asked_ns, ended_ns: monotonic_ns(), answer }
}

fn ask(dial: &Dial, control: &mut Option<Control>) -> Result<Report, String> {
    let control = match control {
        Some(control) => control,
        None => control.insert(dial.connect(limits::SERVER_LOOK_TIMEOUT).map_err(|error| error.to_string())?),
    };
    Report::ask(control).map_err(|unanswered| unanswered.words)
}
