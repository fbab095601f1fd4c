//! Whether the server lives: heartbeats when it is quiet, and what the caller is told (section 11).

/// Intervals without a valid answer after which a server counts as silent: three heartbeats were lost by then, which one loss in a
/// hundred round trips does once in a million times.
const SILENT_INTERVALS: u64 = 4;
/// Heartbeats that must be unanswered by then, so that a driver that was stopped itself blames nobody.
const SILENT_HEARTBEATS: u8 = 3;

/// What is known of the server (section 11).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServerState {
    /// No valid answer has come yet.
    Unheard,
    /// It answers.
    Answering,
    /// It answers, and says that it is about to leave.
    Draining,
    /// Nothing valid came for four heartbeat intervals; only with heartbeats on. Heartbeats go on, so that its return is noticed.
    Silent {
        /// Time of the last valid answer, or of the first call where none ever came; ns of the caller's clock.
        since_ns: u64,
    },
}

/// When to send the next heartbeat.
pub(super) struct Heartbeat {
    /// 0: none.
    interval_ns: u64,
    /// Time of the newest valid answer; before the first one, of the first call.
    heard_ns: Option<u64>,
    /// `None`: never, with none wanted or at the end of time.
    next_ns: Option<u64>,
    unanswered: u8,
    silent: bool,
    state: ServerState,
}

impl Heartbeat {
    pub(super) fn new(interval_ns: u64) -> Self {
        Self {
            interval_ns,
            heard_ns: None,
            next_ns: (interval_ns > 0).then_some(0),
            unanswered: 0,
            silent: false,
            state: ServerState::Unheard,
        }
    }

    /// A valid answer came.
    pub(super) fn heard(&mut self, now_ns: u64, draining: bool) {
        self.state = if draining { ServerState::Draining } else { ServerState::Answering };
        self.begin(now_ns);
    }

    /// Time passed: begins the clock, or finds the server silent.
    #[inline]
    pub(super) fn tick(&mut self, now_ns: u64) {
        if self.interval_ns > 0 {
            self.look(now_ns);
        }
    }

    fn look(&mut self, now_ns: u64) {
        let Some(heard_ns) = self.heard_ns else { return self.begin(now_ns) };
        let quiet = now_ns >= heard_ns.saturating_add(self.interval_ns.saturating_mul(SILENT_INTERVALS));
        self.silent |= quiet && self.unanswered >= SILENT_HEARTBEATS;
    }

    /// Whether a heartbeat is to be sent now; the next one is due an interval later.
    #[inline]
    pub(super) fn take_due(&mut self, now_ns: u64) -> bool {
        self.tick(now_ns);
        if self.next_ns.is_none_or(|next_ns| now_ns < next_ns) {
            return false;
        }
        self.unanswered = self.unanswered.saturating_add(1);
        self.next_ns = now_ns.checked_add(self.interval_ns);
        true
    }

    /// When to look again.
    pub(super) fn next_ns(&self) -> Option<u64> {
        self.next_ns
    }

    pub(super) fn state(&self) -> ServerState {
        match self.heard_ns {
            Some(since_ns) if self.silent => ServerState::Silent { since_ns },
            _ => self.state,
        }
    }

    fn begin(&mut self, now_ns: u64) {
        self.heard_ns = Some(now_ns);
        self.next_ns = now_ns.checked_add(self.interval_ns).filter(|_| self.interval_ns > 0);
        self.unanswered = 0;
        self.silent = false;
    }
}
