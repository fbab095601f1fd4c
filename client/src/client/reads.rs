//! The reads that the driver has in hand: who waits for each, and what became of it.

use std::collections::HashMap;
use std::io;

use shingle_proto::client::{self, Ended, Event, Join, ReadId};
use shingle_proto::wire::Refusal;
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::stats::{Outcomes, ServerState};
use crate::error::copy_of;

/// What calls tell the driver.
pub(super) enum Command {
    /// Begin these reads, whose requests may share datagrams.
    Begin(Vec<Begin>),
    /// Nobody waits for this read any more.
    Cancel(u64),
}

/// A read to be begun.
pub(super) struct Begin {
    token: u64,
    key: Box<[u8]>,
    deadline_ns: u64,
    waiter: Waiter,
}

/// Who waits for a read, and the turn it has. Both go when it ends.
struct Waiter {
    reply: oneshot::Sender<End>,
    _turn: Option<OwnedSemaphorePermit>,
}

/// How a read ended, as far as the driver goes.
pub(super) enum End {
    Value(Vec<u8>),
    Miss,
    OverTcp,
    Refused(Refusal),
    NotSent,
    NotBegun(client::GetError),
    TimedOut {
        received_bytes: u32,
        total_bytes: u32,
        corrupt: u32,
    },
    /// The server is known not to answer.
    Fails(ServerState),
    Socket(io::Error),
    /// The driver is gone.
    Stopped,
}

impl Begin {
    /// Reads to be begun together, each given as token, key and where its end is waited for; `turns` holds one for each.
    pub(super) fn group<'k>(
        reads: impl Iterator<Item = (u64, &'k [u8], oneshot::Sender<End>)>,
        deadline_ns: u64,
        mut turns: OwnedSemaphorePermit,
    ) -> Vec<Begin> {
        let begin = |(token, key, reply): (u64, &[u8], _)| Begin {
            token,
            key: key.into(),
            deadline_ns,
            waiter: Waiter { reply, _turn: turns.split(1) },
        };
        reads.map(begin).collect()
    }
}

/// The reads under way by token.
pub(super) struct Reads {
    under_way: HashMap<u64, (ReadId, Waiter)>,
    outcomes: Outcomes,
}

impl Reads {
    pub(super) fn new() -> Reads {
        Reads { under_way: HashMap::new(), outcomes: Outcomes::default() }
    }

    /// How many there are.
    pub(super) fn under_way(&self) -> usize {
        self.under_way.len()
    }

    /// How those ended that are not among them any more.
    pub(super) fn outcomes(&self) -> &Outcomes {
        &self.outcomes
    }

    /// Hands reads to the core; all but the first may share the datagram of the one before.
    pub(super) fn begin(&mut self, core: &mut client::Client, now_ns: u64, reads: Vec<Begin>) {
        let mut join = Join::Alone;
        for Begin { token, key, deadline_ns, waiter } in reads {
            match core.get(now_ns, &key, token, deadline_ns, join) {
                Ok(read) => {
                    self.under_way.insert(token, (read, waiter));
                    join = Join::WithPrevious;
                }
                Err(error) => waiter.end(End::NotBegun(error)),
            }
        }
    }

    /// Ends reads that are not worth beginning.
    pub(super) fn turn_away(&mut self, reads: Vec<Begin>, state: ServerState) {
        for read in reads {
            self.outcomes.not_answering += 1;
            read.waiter.end(End::Fails(state));
        }
    }

    /// Forgets a read for which nobody waits any more, if it is still under way.
    pub(super) fn cancel(&mut self, core: &mut client::Client, token: u64) {
        if let Some((read, _waiter)) = self.under_way.remove(&token) {
            core.cancel(read);
            self.outcomes.cancelled += 1;
        }
    }

    /// Ends the read that the core speaks of.
    pub(super) fn book(&mut self, event: &Event<'_>) {
        let outcomes = &mut self.outcomes;
        let (count, end) = match event.end {
            Ended::Value(value) => (&mut outcomes.values, End::Value(value.to_vec())),
            Ended::Miss => (&mut outcomes.misses, End::Miss),
            Ended::OverTcp => (&mut outcomes.over_tcp, End::OverTcp),
            Ended::Refused { reason, .. } => (&mut outcomes.refused, End::Refused(reason)),
            Ended::NotSent => (&mut outcomes.not_sent, End::NotSent),
            Ended::TimedOut { received_bytes, total_bytes, corrupt } => {
                (&mut outcomes.timed_out, End::TimedOut { received_bytes, total_bytes, corrupt })
            }
            // Its read has been reported as timed out.
            Ended::Late { .. } => return,
        };
        if let Some((_read, waiter)) = self.under_way.remove(&event.token) {
            *count += 1;
            waiter.end(end);
        }
    }

    /// Ends all reads because the server is known not to answer.
    pub(super) fn fail(&mut self, core: &mut client::Client, state: ServerState) {
        for (read, waiter) in self.take_all() {
            core.cancel(read);
            self.outcomes.not_answering += 1;
            waiter.end(End::Fails(state));
        }
    }

    /// Ends all reads because the socket failed.
    pub(super) fn fail_with(&mut self, core: &mut client::Client, error: &io::Error) {
        for (read, waiter) in self.take_all() {
            core.cancel(read);
            self.outcomes.socket_failed += 1;
            waiter.end(End::Socket(copy_of(error)));
        }
    }

    fn take_all(&mut self) -> Vec<(ReadId, Waiter)> {
        self.under_way.drain().map(|(_token, read)| read).collect()
    }
}

impl Waiter {
    fn end(self, end: End) {
        // Who has given up meanwhile needs no answer.
        let _ = self.reply.send(end);
    }
}
