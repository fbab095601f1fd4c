//! The first and the later large answers to a destination whose path MTU the server's kernel has just forgotten: one read at a time, on
//! a flow of its own. Load hides them, since the first read of thousands teaches the kernel for all others.

use std::io;
use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

use shingle_client::control::Control;
use shingle_proto::client::{Ended, Event, Join};

use shingle_udp::{RecvBatch, SendBatch, monotonic_ns};

use super::fresh::Fresh;
use crate::engine::{Flow, FlowSpec};
use crate::error::Error;
use crate::limits;
use crate::record::Cold;
use crate::workload::ItemSpace;

/// Room for what GRO may put together.
const GRO_BYTES_MAX: usize = 65_535;

/// What is read cold.
pub(super) struct ColdSpec<'a> {
    /// The stored items.
    pub(super) space: &'a ItemSpace,
    /// The one read.
    pub(super) item: u32,
    /// How long a read may take.
    pub(super) timeout: Duration,
}

/// Reads the item after each of several flushes; `None` where path MTUs cannot be flushed.
///
/// # Errors
/// No socket to be had, or the kernel fails.
pub(super) fn measure(
    spec: &ColdSpec<'_>,
    server: SocketAddr,
    (number, flow): (u32, &FlowSpec),
    control: &mut Control,
    fresh: &mut Fresh,
) -> Result<Option<Cold>, Error> {
    let mut reader = Reader::open(number, server, flow)?;
    let mut cold = Cold { value_bytes: spec.space.value_bytes(spec.item), ..Cold::default() };
    for _ in 0..limits::COLD_TRIES {
        if !fresh.flush(control) {
            return Ok(None);
        }
        let first = reader.read(spec)?;
        cold.first += 1;
        cold.first_lost += u32::from(!first.whole);
        cold.refused += u32::from(first.refused);
        // Whatever ICMP the first one caused has arrived by then.
        thread::sleep(limits::COLD_PAUSE);
        for _ in 0..limits::COLD_LATER {
            let later = reader.read(spec)?;
            cold.later += 1;
            cold.later_lost += u32::from(!later.whole);
            cold.refused += u32::from(later.refused);
        }
    }
    Ok(Some(cold))
}

/// How a read ended.
#[derive(Clone, Copy, Default)]
struct End {
    /// Its value came on the first try.
    whole: bool,
    refused: bool,
}

/// A flow that reads one item at a time.
struct Reader {
    flow: Flow,
    send: SendBatch,
    recv: RecvBatch,
    scratch: Vec<u8>,
}

impl Reader {
    fn open(number: u32, server: SocketAddr, spec: &FlowSpec) -> Result<Self, Error> {
        let flow = Flow::open(number, server, spec)?;
        let request_bytes = flow.core.transmit_bytes_max();
        Ok(Self {
            flow,
            send: SendBatch::new(limits::SEND_REQUESTS_MAX, limits::SEND_REQUESTS_MAX, 8 * request_bytes),
            recv: RecvBatch::new(limits::RECV_SLOTS, GRO_BYTES_MAX),
            scratch: vec![0; request_bytes],
        })
    }

    fn read(&mut self, spec: &ColdSpec<'_>) -> Result<End, Error> {
        self.try_read(spec).map_err(|error| Error::system("reading cold", error))
    }

    fn try_read(&mut self, spec: &ColdSpec<'_>) -> io::Result<End> {
        let mut buffer = [0; 250];
        let key = spec.space.key(spec.item, &mut buffer);
        let begun = monotonic_ns();
        let deadline = begun + spec.timeout.as_nanos() as u64;
        if self.flow.core.get(begun, key, 0, deadline, Join::Alone).is_err() {
            return Err(io::Error::other("no room for a read"));
        }
        let mut ended = None;
        while ended.is_none() {
            let now = monotonic_ns();
            let mut sink = |event: &Event<'_>| {
                // Late answers of reads before are no news.
                if event.deadline_ns == deadline && !matches!(event.end, Ended::Late { .. }) {
                    ended = Some(End {
                        whole: event.attempts == 0 && matches!(event.end, Ended::Value(_)),
                        refused: matches!(event.end, Ended::Refused { .. }),
                    });
                }
            };
            self.flow.core.handle_timeout(now, &mut |event| sink(&event));
            self.flow.send(now, &mut self.send, &mut self.scratch)?;
            let due = self.flow.core.poll_timeout().unwrap_or(deadline).min(deadline);
            self.flow.socket.wait(true, false, Duration::from_nanos(due.saturating_sub(now).max(1)))?;
            self.flow.receive(&mut self.recv, monotonic_ns, &mut |_, event| sink(&event))?;
        }
        Ok(ended.unwrap_or_default())
    }
}
