//! The client core of one flow (one source port): reads go in, request datagrams come out, answers go in, events come out.
//!
//! The contract in one sentence: after any call that takes `&mut self`, and when the time of [`Client::poll_timeout`] has come (then after
//! [`Client::handle_timeout`]), send what [`Client::poll_transmit`] gives until it gives `None`, then wait for a datagram or for that time.
//! Heartbeats and the probes of the path-MTU search come the same way as reads, so a driver need not know of them.
//!
//! Each accepted read ends in exactly one [`Event`] that is not [`Ended::Late`], or with [`Client::cancel`]. A read is sent once; only what is
//! missing of an answer that came in part is asked for again, unless `retries` says otherwise. All memory is taken by
//! [`Client::new`]; nothing is allocated later, and every call is O(1) for each read it touches.

mod blocked;
mod config;
mod counters;
mod event;
mod groups;
mod heartbeat;
mod path;
mod receive;
mod receive_buffer;
mod receive_window;
mod requests;
mod retry;
mod slots;
mod timers;
mod transmit;
mod wheel;

use alloc::boxed::Box;
use alloc::vec;

pub use config::{ClientConfig, ConfigError};
pub use counters::ClientCounters;
pub use event::{Ended, Event};
pub use heartbeat::ServerState;
pub use path::{DirectionReport, PathReport};
pub use receive_buffer::{Charge, ReceiveBuffer};
pub use transmit::Transmit;

use crate::cookie::Cookie;
use crate::limits::KEY_BYTES_MAX;
use crate::reassembly::{NONE, Parts};
use crate::round_trip::RoundTrip;
use heartbeat::Heartbeat;
use path::Path;
use receive_window::ReceiveWindow;
use requests::Requests;
use retry::RetryBudget;
use slots::{Slots, State};
use wheel::Wheel;

/// The state of one flow. Times are nanoseconds of any monotonic clock of the caller's, the same in every call.
pub struct Client {
    config: ClientConfig,
    slots: Slots,
    wheel: Wheel,
    parts: Parts,
    requests: Requests,
    /// Where encoded values are decoded.
    scratch: Box<[u8]>,
    cookie: Option<Cookie>,
    counters: ClientCounters,
    next_sequence: u32,
    /// Newest sequence a first answer came for.
    newest_answered: Option<u32>,
    /// The read queued last is gone, with the datagram it began: who is to join it has one of its own.
    next_alone: bool,
    heartbeat: Heartbeat,
    path: Path,
    /// Of requests, probes among them, and their first answers.
    round_trip: RoundTrip,
    window: ReceiveWindow,
    retries: RetryBudget,
}

/// Whether a read shares the datagram of the one before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Join {
    /// Its own datagram.
    Alone,
    /// The datagram of the read accepted before it, if that is not sent yet and has room.
    WithPrevious,
}

/// Names a read to [`Client::cancel`]; never given to another read of the flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ReadId {
    index: u32,
    generation: u32,
}

/// Why a read was not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GetError {
    /// As many reads are under way as the flow was made for.
    #[error(
        "{in_flight_max} reads are under way, all this flow was made for: wait for one to end or raise in_flight_max"
    )]
    Full {
        /// The flow's limit.
        in_flight_max: usize,
    },
    /// The key is empty or too long.
    #[error("key has {found} bytes: allowed are 1 to 250")]
    Key {
        /// Length of the key.
        found: usize,
    },
}

impl Client {
    /// Makes a flow and takes all its memory.
    ///
    /// # Errors
    /// [`ConfigError`] names the setting that is out of range.
    pub fn new(config: ClientConfig) -> Result<Self, ConfigError> {
        config.check()?;
        Ok(Self {
            slots: Slots::new(config.in_flight_max, config.secret),
            wheel: Wheel::new(config.in_flight_max),
            parts: Parts::new(config.partial_max, config.reassembly_bytes),
            requests: Requests::new(config.in_flight_max),
            scratch: vec![0; config.value_bytes_max].into_boxed_slice(),
            cookie: None,
            counters: ClientCounters::default(),
            next_sequence: config.secret,
            newest_answered: None,
            next_alone: false,
            heartbeat: Heartbeat::new(config.heartbeat_ns),
            path: Path::new(&config),
            round_trip: RoundTrip::default(),
            window: ReceiveWindow::new(config.receive_buffer, config.credit_max),
            retries: RetryBudget::new(),
            config,
        })
    }

    /// Sets the cookie every later request carries; WELCOME brings the first.
    pub fn set_cookie(&mut self, cookie: Cookie) {
        self.cookie = Some(cookie);
    }

    /// The newest cookie the server gave.
    #[must_use]
    pub fn cookie(&self) -> Option<Cookie> {
        self.cookie
    }

    /// Reads that have not ended.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.slots.live()
    }

    /// What is known of the server: whether it answers, is about to leave, or is silent (section 11). Changes with
    /// [`Client::handle_datagram`], [`Client::handle_timeout`] and [`Client::poll_transmit`].
    #[must_use]
    pub fn server_state(&self) -> ServerState {
        self.heartbeat.state()
    }

    /// Takes new numbers about the socket's receive buffer; later requests announce what fits it.
    pub fn set_receive_buffer(&mut self, buffer: ReceiveBuffer) {
        self.window.set_buffer(buffer);
    }

    /// What was counted so far.
    #[must_use]
    pub fn counters(&self) -> &ClientCounters {
        &self.counters
    }

    /// Accepts a read of `key`; its request is ready for [`Client::poll_transmit`]. `token` comes back in the [`Event`].
    /// The read ends with [`Ended::TimedOut`] at the first [`Client::handle_timeout`] at or after `deadline_ns`.
    ///
    /// When the table is full, the read that timed out longest ago is forgotten early.
    ///
    /// # Errors
    /// [`GetError`]; nothing was changed then.
    pub fn get(
        &mut self,
        now_ns: u64,
        key: &[u8],
        token: u64,
        deadline_ns: u64,
        join: Join,
    ) -> Result<ReadId, GetError> {
        if !(1..=KEY_BYTES_MAX).contains(&key.len()) {
            return Err(GetError::Key { found: key.len() });
        }
        if self.slots.is_full() {
            let oldest = self.slots.oldest_lingering();
            self.forget(oldest.ok_or(GetError::Full { in_flight_max: self.config.in_flight_max })?);
        }
        let full = GetError::Full { in_flight_max: self.config.in_flight_max };
        let index = self.slots.claim(key, token, deadline_ns).ok_or(full)?;
        let alone = core::mem::take(&mut self.next_alone);
        self.slots.get_mut(index).joined = join == Join::WithPrevious && !alone;
        self.counters.gets += 1;
        self.retries.earn(self.config.retry_budget_percent);
        self.listen(now_ns, index);
        self.serve_blocked();
        Ok(self.slots.read_id(index))
    }

    /// Ends a read without an event; true if it was under way. Nothing of it stays behind: a queued request is not sent, and a late
    /// answer counts as a duplicate. A read that has ended is not harmed, whoever has its slot now.
    pub fn cancel(&mut self, read: ReadId) -> bool {
        let Some(index) = self.slots.find_read(read).filter(|index| self.slots.get(*index).is_live()) else {
            return false;
        };
        self.counters.cancelled += 1;
        self.forget(index);
        self.serve_blocked();
        true
    }

    /// What `Event` says of a read that ends in this way.
    fn event<'a>(&self, index: u32, end: Ended<'a>) -> Event<'a> {
        let slot = self.slots.get(index);
        Event {
            token: slot.token,
            attempts: slot.attempts,
            spurious: slot.attempts > 0 && !slot.helped,
            continuations: slot.continuations,
            challenged: slot.challenges > 0,
            chunks: slot.chunks,
            first_sequence: slot.first_sequence,
            first_sent_ns: slot.first_sent,
            deadline_ns: slot.deadline,
            telemetry: slot.telemetry,
            end,
        }
    }

    /// Reports the end of a read and forgets it. Values are delivered where they are verified instead.
    fn end(&mut self, index: u32, end: Ended<'_>, sink: &mut impl FnMut(Event<'_>)) {
        sink(self.event(index, end));
        self.forget(index);
    }

    /// Frees all that belongs to a read.
    fn forget(&mut self, index: u32) {
        self.wheel.cancel(index);
        self.leave_queue(index);
        self.leave_group(index);
        self.drop_part(index);
        self.slots.release(index);
    }

    /// A queued read that goes takes its datagram along only if nobody joined it: who did begins it now.
    fn leave_queue(&mut self, index: u32) {
        let slot = self.slots.get(index);
        if slot.state != State::Queued || slot.joined {
            return;
        }
        match self.slots.next(index) {
            Some(next) => self.slots.get_mut(next).joined = false,
            None => self.next_alone = true,
        }
    }

    /// Gives back what is held of a value; what comes next begins with its first window again.
    fn drop_part(&mut self, index: u32) {
        let slot = self.slots.get_mut(index);
        slot.asked_ranges = false;
        let part = core::mem::replace(&mut slot.part, NONE);
        if part != NONE {
            self.parts.release(part);
        }
    }
}
