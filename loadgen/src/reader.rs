//! Single reads on a few flows of their own, at a gentle pace: for experiments, where each read's end matters and load would be in the way.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use shingle_proto::client::{Ended, Event, Join};
use shingle_udp::{PollSet, RecvBatch, SendBatch, monotonic_ns};

use crate::engine::{Flow, FlowSpec};
use crate::error::Error;
use crate::limits;

/// Room for what GRO may put together.
const GRO_BYTES_MAX: usize = 65_535;

/// How a read ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct End {
    /// Its value came.
    pub(crate) came: bool,
    /// Nothing had to be asked for twice.
    pub(crate) at_once: bool,
    /// The server answered, but would not give it.
    pub(crate) refused: bool,
    /// The server answered that nothing is stored under the key.
    pub(crate) missing: bool,
}

/// Flows that read one item here and one there.
pub(crate) struct Reader {
    flows: Vec<Flow>,
    poll: PollSet,
    send: SendBatch,
    recv: RecvBatch,
    scratch: Vec<u8>,
    /// Reads begun since it was opened: the name of the next one.
    begun: u64,
}

impl Reader {
    /// Opens so many flows towards the server, numbered from `first` on.
    ///
    /// # Errors
    /// No socket to be had.
    pub(crate) fn open(first: u32, flows: usize, server: SocketAddr, spec: &FlowSpec) -> Result<Self, Error> {
        Self::open_from(first, flows, None, server, spec)
    }

    /// The same from a certain address of this host, or from the one the kernel chooses.
    ///
    /// # Errors
    /// No socket to be had, or the address is none of this host.
    pub(crate) fn open_from(
        first: u32,
        flows: usize,
        source: Option<IpAddr>,
        server: SocketAddr,
        spec: &FlowSpec,
    ) -> Result<Self, Error> {
        let open = |index: usize| Flow::open_from(first.wrapping_add(index as u32), source, server, spec);
        let flows = (0..flows.max(1)).map(open).collect::<Result<Vec<_>, _>>()?;
        let request_bytes = flows[0].core.transmit_bytes_max();
        Ok(Self {
            poll: PollSet::new(flows.iter().map(|flow| &flow.socket)),
            flows,
            send: SendBatch::new(limits::SEND_REQUESTS_MAX, limits::SEND_REQUESTS_MAX, 8 * request_bytes),
            recv: RecvBatch::new(limits::RECV_SLOTS, GRO_BYTES_MAX),
            scratch: vec![0; request_bytes],
            begun: 0,
        })
    }

    /// Reads each key once, on the flows by turns, a read every `pace`, and gives their ends in the same order when all have one; each
    /// has this long. What is given up and comes later counts as come until then.
    ///
    /// # Errors
    /// The kernel fails.
    pub(crate) fn read(
        &mut self,
        keys: &[&[u8]],
        timeout: Duration,
        pace: Duration,
    ) -> Result<Vec<End>, Error> {
        self.try_read(keys, timeout, pace).map_err(|error| Error::system("reading one by one", error))
    }

    /// Reads one key.
    ///
    /// # Errors
    /// The kernel fails.
    pub(crate) fn read_one(&mut self, key: &[u8], timeout: Duration) -> Result<End, Error> {
        Ok(self.read(&[key], timeout, Duration::ZERO)?.pop().unwrap_or_default())
    }

    fn try_read(&mut self, keys: &[&[u8]], timeout: Duration, pace: Duration) -> io::Result<Vec<End>> {
        let first_token = self.begun;
        let mut ends: Vec<Option<End>> = vec![None; keys.len()];
        let (mut issued, mut next_ns) = (0, monotonic_ns());
        while ends.iter().any(Option::is_none) {
            let now = monotonic_ns();
            if issued < keys.len() && now >= next_ns {
                let turn = self.begun as usize % self.flows.len();
                let flow = &mut self.flows[turn];
                let deadline = now + timeout.as_nanos() as u64;
                if flow.core.get(now, keys[issued], self.begun, deadline, Join::Alone).is_err() {
                    return Err(io::Error::other("no room for a read"));
                }
                (self.begun, issued, next_ns) =
                    (self.begun + 1, issued + 1, next_ns.max(now) + pace.as_nanos() as u64);
            }
            let due_ns = self.pump(&mut |event| note(&mut ends, first_token, event))?;
            let next_ns = if issued < keys.len() { next_ns } else { u64::MAX };
            if ends.iter().any(Option::is_none) {
                let wait_ns = due_ns.min(next_ns).saturating_sub(monotonic_ns());
                self.poll.wait(Duration::from_nanos(wait_ns))?;
            }
        }
        Ok(ends.into_iter().flatten().collect())
    }

    /// Lets every flow send, receive and let time pass once; tells when the next timer is due.
    fn pump(&mut self, sink: &mut impl FnMut(&Event<'_>)) -> io::Result<u64> {
        let mut due_ns = u64::MAX;
        for flow in &mut self.flows {
            flow.receive(&mut self.recv, monotonic_ns, &mut |_, event| sink(&event))?;
            let now = monotonic_ns();
            flow.core.handle_timeout(now, &mut |event| sink(&event));
            flow.send(now, &mut self.send, &mut self.scratch)?;
            due_ns = due_ns.min(flow.core.poll_timeout().unwrap_or(u64::MAX));
        }
        Ok(due_ns)
    }
}

/// Notes the end of a read of this round; those of rounds before are no news.
fn note(ends: &mut [Option<End>], first_token: u64, event: &Event<'_>) {
    let Some(place) = event.token.checked_sub(first_token).and_then(|index| ends.get_mut(index as usize))
    else {
        return;
    };
    let came = matches!(event.end, Ended::Value(_));
    match event.end {
        // It came after all, while others were still waited for.
        Ended::Late { complete: true, .. } => *place = Some(End { came: true, ..End::default() }),
        _ if place.is_none() => {
            *place = Some(End {
                came,
                at_once: came && event.attempts == 0,
                refused: matches!(event.end, Ended::Refused { .. }),
                missing: matches!(event.end, Ended::Miss),
            });
        }
        _ => {}
    }
}
