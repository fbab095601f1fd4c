//! The search for the largest datagram one direction of a path carries (`PROTOCOL.md`, sections 6.2 to 6.4; RFC 8899, DPLPMTUD).
//!
//! A [`Search`] knows sizes and times, no frames and no sockets: the caller sends a probe of the size [`Search::poll_probe`] names, tells
//! what became of it, and asks [`Search::size`] how large reads may be. It allocates nothing.
//!
//! **Searching.** A probe of the base size shows that the other side answers at all. Then the cap is tried, the path MTUs met in the
//! field ([`PATH_MTUS`](crate::limits::PATH_MTUS)) by halves, one byte more than the best of them, and what is left by halves. One lost
//! probe is enough to look lower, until probes turn out to be lost by chance: then a bound takes a few. Where the proved size and the
//! bound meet both are probed in turns until chance is ruled out, by at least 5 losses of the bound. A bound that passes after all
//! reopens what lies above it. One probe is in flight at a time; its loss is no sign of congestion.
//!
//! **Timers.** A probe is waited for 1 s until a round trip was measured, then 4 x (smoothed round trip + 4 x variation), at least
//! 25 ms; doubled up to 60 s with each probe lost that should have passed, up to 1 s while other datagrams arrive. RFC 8899, section 5.1.1
//! wants 1 s at least. We do not, because a late acknowledgement still proves its size: a timer too short costs probes, never a
//! wrong verdict that lasts.
//!
//! **Lowering** is a decision of its own (section 6.3). After [`Search::suspect`] reads keep to the base size at once, and the proved
//! size and the base size are probed side by side. If the proved size arrives once, the suspicion is over. With n of its probes lost,
//! and m of the c probes of the base size, the proved size is lowered when n x log2(1 / p) reaches 30 bits, p = (m + 1) / (c + 2) being the
//! ordinary loss: p^n is the chance that such loss alone did it. That takes 9 losses if no other probe is lost, more if some
//! are, and never comes if all are: a silent server lowers nothing. Because p is an estimate, the chance that a test lowers a size that passes is
//! 1e-12 at 5 % loss, 4e-10 at 10 % and 7e-8 at 20 % (added up over all ways a test can go, in the tests of `evidence`).
//!
//! ```
//! use shingle_proto::search::{Search, SearchConfig, SearchState};
//!
//! // A path that carries 1500 bytes, to a host whose interface takes 9001.
//! let mut search = Search::new(1200, SearchConfig { datagram_max: 9001 - 28, ..SearchConfig::default() });
//! let (mut now_ns, mut id) = (0, 0);
//! loop {
//!     while let Some(bytes) = search.poll_probe(now_ns, id) {
//!         if bytes <= 1500 - 28 {
//!             now_ns += 200_000;
//!             search.handle_ack(now_ns, id);
//!         }
//!         id += 1;
//!     }
//!     if search.state() == SearchState::Complete {
//!         break;
//!     }
//!     now_ns = search.poll_timeout().expect("a lost probe is waited for");
//!     search.handle_timeout(now_ns);
//! }
//! assert_eq!(search.size(), 1472);
//! assert!(search.counters().probes <= 16);
//! ```

mod bounds;
mod candidates;
mod config;
mod evidence;
mod lowering;
mod outcome;
mod probes;

pub use config::{SearchConfig, SearchCounters, SearchState};

use crate::limits::{CONTROLS_LOST_MAX, DATAGRAM_BYTES_MAX};
use bounds::Bounds;
use evidence::Controls;
use lowering::Test;
use probes::{Probes, Timer};

const NEVER: u64 = u64::MAX;

/// What the search does beside a lowering test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Base,
    Searching,
    Complete { raise_ns: u64 },
    Disabled,
}

/// The path-MTU search of one direction. After each call [`poll_probe`](Search::poll_probe) may have a probe to send and
/// [`poll_timeout`](Search::poll_timeout) another time to wait for. All times are of one clock that does not go back, ns; all sizes are
/// datagram sizes, bytes of UDP payload.
#[derive(Clone, Debug)]
pub struct Search {
    base: u16,
    config: SearchConfig,
    /// Never probed above: the configured size, or what the other side's port sends.
    ceiling: u16,
    /// Never probed above in this search: below the ceiling after a lowering.
    cap: u16,
    proved: u16,
    hint: u16,
    bounds: Bounds,
    /// A bound being confirmed was probed last: the proved size is next.
    control_next: bool,
    controls: Controls,
    phase: Phase,
    test: Option<Test>,
    /// Start of the last lowering test: what was sent before it proves nothing any more.
    since_ns: u64,
    /// No new lowering test before.
    calm_until_ns: u64,
    /// No probe before, after the kernel refused one that should pass.
    wait_until_ns: u64,
    probes: Probes,
    timer: Timer,
    counters: SearchCounters,
}

impl Search {
    /// A search from `base` (1200, section 1), which every path is taken to carry, up to `config.datagram_max`. Sizes out of range are
    /// clamped: the base to 65,507, the cap to the base and to what an IP packet holds.
    #[must_use]
    pub fn new(base: u16, config: SearchConfig) -> Self {
        let base = base.min(DATAGRAM_BYTES_MAX as u16);
        let packet = (u16::MAX - config.overhead_bytes).min(DATAGRAM_BYTES_MAX as u16);
        let ceiling = config.datagram_max.min(packet).max(base);
        let phase = if ceiling == base { Phase::Complete { raise_ns: NEVER } } else { Phase::Base };
        Self {
            base,
            config,
            ceiling,
            cap: ceiling,
            proved: base,
            hint: 0,
            bounds: Bounds::new(),
            control_next: false,
            controls: Controls::default(),
            phase,
            test: None,
            since_ns: 0,
            calm_until_ns: 0,
            wait_until_ns: 0,
            probes: Probes::new(),
            timer: Timer::default(),
            counters: SearchCounters::default(),
        }
    }

    /// Size reads use now: the proved one, or the base while that is in doubt.
    #[inline]
    #[must_use]
    pub fn size(&self) -> u16 {
        if self.test.is_some() { self.base } else { self.proved }
    }

    /// Largest size shown to pass since the last lowering; the base before anything was.
    #[must_use]
    pub fn proved(&self) -> u16 {
        self.proved
    }

    /// No probe will be longer.
    #[must_use]
    pub fn size_max(&self) -> u16 {
        self.ceiling
    }

    /// What the search is doing.
    #[must_use]
    pub fn state(&self) -> SearchState {
        match self.phase {
            Phase::Disabled => SearchState::Disabled,
            _ if self.test.is_some() => SearchState::Suspected,
            Phase::Base => SearchState::Base,
            Phase::Searching => SearchState::Searching,
            Phase::Complete { .. } => SearchState::Complete,
        }
    }

    /// What the search has done so far.
    #[must_use]
    pub fn counters(&self) -> &SearchCounters {
        &self.counters
    }

    /// Size of a probe to send now; `id`, never used before, is then its name. Call until `None`: at most two probes are in flight.
    pub fn poll_probe(&mut self, now_ns: u64, id: u32) -> Option<u16> {
        if now_ns < self.wait_until_ns {
            return None;
        }
        let wait_ns = self.timer.wait_ns();
        let size = match &mut self.test {
            Some(test) => test.next(now_ns, wait_ns, self.base)?,
            None if self.probes.none_in_flight() => self.next_size()?,
            None => return None,
        };
        self.control_next = size > self.proved;
        self.probes.send(id, size, now_ns, wait_ns);
        self.counters.probes += 1;
        Some(size)
    }

    /// When [`handle_timeout`](Search::handle_timeout) is to be called next; `None` when there is nothing to wait for.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<u64> {
        if let Some(due_ns) = self.probes.next_due_ns() {
            return Some(due_ns);
        }
        let raise_ns = match self.phase {
            Phase::Complete { raise_ns } if self.test.is_none() => Some(raise_ns),
            _ => None,
        };
        let wait_ns = Some(self.wait_until_ns).filter(|&wait_ns| wait_ns > 0);
        let round_ns = self.test.as_ref().and_then(Test::round_opens_ns);
        raise_ns.into_iter().chain(wait_ns).chain(round_ns).filter(|&at_ns| at_ns != NEVER).min()
    }

    /// Does what is due: gives up probes, opens the next round of a test, looks for larger sizes again.
    pub fn handle_timeout(&mut self, now_ns: u64) {
        while let Some(sent) = self.probes.expire(now_ns) {
            self.probe_lost(now_ns, sent.size);
        }
        if self.wait_until_ns <= now_ns {
            self.wait_until_ns = 0;
        }
        let idle = self.probes.none_in_flight();
        match &mut self.test {
            Some(test) if idle => test.open_round(now_ns),
            None if matches!(self.phase, Phase::Complete { raise_ns } if raise_ns <= now_ns) => {
                self.raise(now_ns)
            }
            _ => {}
        }
    }

    /// The probe of this id was acknowledged, however late. Returns whether there was such a probe.
    pub fn handle_ack(&mut self, now_ns: u64, id: u32) -> bool {
        let Some((sent, in_time)) = self.probes.acknowledge(id) else { return false };
        self.counters.acknowledged += 1;
        self.counters.late += u64::from(!in_time);
        self.timer.sample(now_ns.saturating_sub(sent.sent_ns));
        self.probe_passed(now_ns, sent);
        true
    }

    /// The kernel refused to send the probe of this id (EMSGSIZE): lost at once. Ids of other datagrams are ignored.
    pub fn probe_not_sent(&mut self, now_ns: u64, id: u32) {
        let Some(sent) = self.probes.recall(id) else { return };
        if sent.size <= self.proved && self.test.is_none() {
            self.wait_until_ns = now_ns.saturating_add(self.timer.wait_ns());
        }
        self.probe_lost(now_ns, sent.size);
    }

    /// A request or an answer larger than the base was lost: begins a lowering test, unless one runs, there is nothing to lower, or
    /// another one was cleared less than 1 s ago.
    pub fn suspect(&mut self, now_ns: u64) {
        let idle = self.test.is_none() && self.phase != Phase::Disabled;
        if idle && self.proved > self.base && now_ns >= self.calm_until_ns {
            self.begin_test(now_ns);
        }
    }

    /// A datagram of this size came through. `asked_ns` is the earliest it can have been sent (when its request was): proof of the
    /// size, and the end of a suspicion of it that is not younger. Where probes were lost in a row it is a sign of life: the next
    /// one is then sent within 1 s.
    #[inline]
    pub fn arrived(&mut self, now_ns: u64, bytes: u16, asked_ns: u64) {
        if bytes > self.size() {
            self.passed(now_ns, bytes, asked_ns);
        }
        if self.timer.silent >= CONTROLS_LOST_MAX {
            self.hasten(now_ns);
        }
    }

    /// Somebody (ICMP, the kernel) says that the path carries datagrams of this size. Never believed (RFC 8899, section 4.6.1): a size below the
    /// one in use begins a lowering test as [`suspect`](Search::suspect) does, and any size is the next one the search tries.
    pub fn hint(&mut self, now_ns: u64, bytes: u16) {
        self.hint = bytes;
        if bytes < self.proved {
            self.suspect(now_ns);
        }
    }

    /// The other side's port takes or sends no more than this (REFUSED `too_big`): lowers the cap for good.
    pub fn limit(&mut self, now_ns: u64, bytes: u16) {
        let bytes = bytes.max(self.base);
        if bytes >= self.ceiling {
            return;
        }
        self.ceiling = bytes;
        self.cap = self.cap.min(bytes);
        self.bounds.cap(self.cap);
        self.probes.abandon();
        if self.proved > bytes {
            self.proved = bytes;
            self.test = None;
        }
        if self.phase == Phase::Base && bytes == self.base {
            self.phase = Phase::Searching;
        }
        self.settle(now_ns);
    }

    /// Probing means nothing on this port (REFUSED `not_served`): the base size stands, for good.
    pub fn stop(&mut self) {
        self.phase = Phase::Disabled;
        self.test = None;
        self.proved = self.base;
        self.wait_until_ns = 0;
        self.probes = Probes::new();
    }
}
