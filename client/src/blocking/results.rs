//! What becomes of the reads of one call: the core's events, sorted by token.

use std::io;
use std::time::Duration;

use shingle_proto::client::{self, Ended, Event};

use crate::error::{GetError, copy_of};

/// One read, as far as UDP goes.
pub(super) enum Outcome {
    UnderWay,
    OverTcp,
    Ended(Result<Option<Vec<u8>>, GetError>),
}

/// The reads of one call, in the order of its keys.
pub(super) struct Results {
    outcomes: Vec<Outcome>,
    /// Token of the first of them; the others follow. Events of earlier calls' reads have lower ones.
    first_token: u64,
    /// Time each read has.
    timeout: Duration,
    /// The server's host said that nothing listens on the port, and no datagram came since.
    pub(super) port_unreachable: bool,
}

impl Results {
    pub(super) fn new(reads: usize, first_token: u64, timeout: Duration) -> Results {
        let outcomes = (0..reads).map(|_| Outcome::UnderWay).collect();
        Results { outcomes, first_token, timeout, port_unreachable: false }
    }

    /// Books what the core says became of a read.
    pub(super) fn book(&mut self, event: &Event<'_>) {
        let outcome = match event.end {
            Ended::Value(value) => Outcome::Ended(Ok(Some(value.to_vec()))),
            Ended::Miss => Outcome::Ended(Ok(None)),
            Ended::OverTcp => Outcome::OverTcp,
            Ended::Refused { reason, .. } => Outcome::Ended(Err(GetError::Refused { reason })),
            Ended::NotSent => Outcome::Ended(Err(GetError::NotSent)),
            Ended::TimedOut { .. } if self.port_unreachable => Outcome::Ended(Err(GetError::Unreachable)),
            Ended::TimedOut { received_bytes, total_bytes, corrupt } => {
                Outcome::Ended(Err(GetError::TimedOut {
                    after: self.timeout,
                    received_bytes,
                    total_bytes,
                    corrupt,
                }))
            }
            // Its read has been reported as timed out.
            Ended::Late { .. } => return,
        };
        self.set(event.token, outcome);
    }

    /// Books a read the core did not accept.
    pub(super) fn book_not_begun(&mut self, token: u64, error: client::GetError) {
        self.set(token, Outcome::Ended(Err(GetError::NotBegun(error))));
    }

    /// Books a failure of the socket for all reads that it left without an outcome.
    pub(super) fn book_failure(&mut self, failure: &io::Error) {
        for outcome in self.outcomes.iter_mut().filter(|outcome| matches!(outcome, Outcome::UnderWay)) {
            *outcome = Outcome::Ended(Err(GetError::Socket(copy_of(failure))));
        }
    }

    /// The outcomes, in the order of the keys.
    pub(super) fn into_outcomes(self) -> Vec<Outcome> {
        self.outcomes
    }

    fn set(&mut self, token: u64, outcome: Outcome) {
        let index = token.checked_sub(self.first_token).and_then(|index| usize::try_from(index).ok());
        if let Some(slot) = index.and_then(|index| self.outcomes.get_mut(index)) {
            *slot = outcome;
        }
    }
}
