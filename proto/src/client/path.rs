//! What is known of the path: the datagram sizes reads use each way, and the probes that find them out (section 6).

use super::{Client, ClientConfig};
use crate::limits::{
    COOKIE_FRAME_BYTES, DATAGRAM_BYTES_MAX, GET_BYTES, KEY_BYTES_MAX, REQUEST_BYTES_MIN, REQUEST_HEADER_BYTES,
};
use crate::search::{Search, SearchCounters, SearchState};

/// Probes remembered, so that late answers are told apart from those to reads: two lowering tests on a clean path.
const PROBES_KEPT: usize = 64;
/// Challenges a probe answers.
const CHALLENGES_MAX: u8 = 2;

/// What one direction carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DirectionReport {
    /// Largest datagram reads use now; bytes of UDP payload. The base while the proved size is in doubt.
    pub datagram_bytes: u16,
    /// Largest datagram shown to pass; the size given where nothing is searched.
    pub proved_bytes: u16,
    /// What the search is doing; `None` where there is none.
    pub state: Option<SearchState>,
    /// What it has done.
    pub counters: SearchCounters,
}

/// Datagram sizes in both directions (section 6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PathReport {
    /// From here to the server.
    pub up: DirectionReport,
    /// From the server to here.
    pub down: DirectionReport,
}

impl Client {
    /// Datagram sizes in use and proved, and how the search for them stands.
    #[must_use]
    pub fn path(&self) -> PathReport {
        let report = |search: &Option<Search>, fixed| DirectionReport {
            datagram_bytes: search.as_ref().map_or(fixed, Search::size),
            proved_bytes: search.as_ref().map_or(fixed, Search::proved),
            state: search.as_ref().map(Search::state),
            counters: search.as_ref().map_or(SearchCounters::default(), |search| *search.counters()),
        };
        PathReport {
            up: report(&self.path.up, self.config.base_datagram),
            down: report(&self.path.down, self.config.datagram_max),
        }
    }

    /// Says that a host on the way up, or the kernel, reported a path MTU ("fragmentation needed", EMSGSIZE), as the largest datagram it
    /// leaves; bytes of UDP payload. A hint, never a verdict: anybody can send ICMP (section 6.4). Without a search up it changes nothing.
    pub fn hint_path_mtu(&mut self, now_ns: u64, datagram_bytes: u16) {
        if let Some(up) = &mut self.path.up {
            up.hint(now_ns, datagram_bytes);
        }
    }

    /// Bytes that the buffer given to [`Client::poll_transmit`] needs: the base datagram, or the largest probe up. Never changes.
    #[must_use]
    pub fn transmit_bytes_max(&self) -> usize {
        self.path.transmit_bytes_max.into()
    }
}

/// A direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    Up,
    Down,
}

/// A datagram without reads that was handed out.
#[derive(Clone, Copy)]
pub(super) struct Sent {
    pub(super) sequence: u32,
    /// Name of the probe in its search: the sequence it was sent with first.
    id: u32,
    pub(super) size: u16,
    /// `None`: a heartbeat.
    pub(super) way: Option<Way>,
    sent_ns: u64,
    challenges: u8,
}

/// The searches of both directions and their probes.
pub(super) struct Path {
    /// The largest probe up that there may ever be, or the base: a challenged probe goes out again whatever was learned meanwhile.
    transmit_bytes_max: u16,
    down: Option<Search>,
    up: Option<Search>,
    /// Probes that were challenged and go out again, one a direction.
    again: [Option<Sent>; 2],
    kept: [Option<Sent>; PROBES_KEPT],
    kept_next: usize,
}

impl Path {
    pub(super) fn new(config: &ClientConfig) -> Self {
        let base = config.base_datagram;
        let down = config.search.map(|search| Search::new(base, search));
        let longest = if config.search_up { DATAGRAM_BYTES_MAX } else { request_bytes_max(config) };
        let up = config
            .search
            .map(|search| Search::new(base, with_cap(search, longest as u16)))
            .filter(|up| up.size_max() > base);
        let transmit_bytes_max = up.as_ref().map_or(base, Search::size_max);
        Self { transmit_bytes_max, down, up, again: [None; 2], kept: [None; PROBES_KEPT], kept_next: 0 }
    }

    /// Largest datagram a first request may be; `None` where nothing is searched.
    #[inline]
    pub(super) fn up_bytes(&self) -> Option<u16> {
        self.up.as_ref().map(Search::size)
    }

    /// Largest datagram a first request announces; `None` where nothing is searched.
    #[inline]
    pub(super) fn down_bytes(&self) -> Option<u16> {
        self.down.as_ref().map(Search::size)
    }

    /// No datagram for reads that is larger is asked for; `None` where nothing is searched.
    pub(super) fn down_proved(&self) -> Option<u16> {
        self.down.as_ref().map(Search::proved)
    }

    /// The next probe to send, which has this sequence then.
    #[inline]
    pub(super) fn poll_probe(&mut self, now_ns: u64, sequence: u32) -> Option<Sent> {
        // The way up is never searched alone.
        self.down.as_ref()?;
        self.poll_searches(now_ns, sequence)
    }

    fn poll_searches(&mut self, now_ns: u64, sequence: u32) -> Option<Sent> {
        if let Some(again) = self.again.iter_mut().find_map(Option::take) {
            return Some(self.keep(Sent { sequence, ..again }));
        }
        let sizes = [(Way::Down, &mut self.down), (Way::Up, &mut self.up)];
        let (way, size) = sizes.into_iter().find_map(|(way, search)| {
            let size = search.as_mut()?.poll_probe(now_ns, sequence)?;
            Some((way, size))
        })?;
        let probe = Sent { sequence, id: sequence, size, way: Some(way), sent_ns: now_ns, challenges: 0 };
        Some(self.keep(probe))
    }

    /// A heartbeat to send.
    pub(super) fn heartbeat(&mut self, now_ns: u64, sequence: u32) -> Sent {
        let size = REQUEST_BYTES_MIN as u16;
        self.keep(Sent { sequence, id: sequence, size, way: None, sent_ns: now_ns, challenges: 0 })
    }

    /// The probe or heartbeat that was sent with this sequence.
    pub(super) fn find(&self, sequence: u32) -> Option<Sent> {
        self.kept.iter().flatten().find(|sent| sent.sequence == sequence).copied()
    }

    /// A PROBE_ACK of `answer_bytes` came that says that `arrived_bytes` arrived: it proves what was probed if that is as long. Gives the
    /// round trip where it is the first.
    pub(super) fn acknowledge(
        &mut self,
        now_ns: u64,
        sent: Sent,
        answer_bytes: u32,
        arrived_bytes: u16,
    ) -> Option<u64> {
        let shown = match sent.way {
            Some(Way::Down) => answer_bytes,
            Some(Way::Up) => arrived_bytes.into(),
            None => return None,
        };
        let long_enough = shown >= u32::from(sent.size);
        let first = long_enough && self.search(sent)?.handle_ack(now_ns, sent.id);
        first.then(|| now_ns.saturating_sub(sent.sent_ns))
    }

    /// The port serves no probes: what they would find out means nothing, either way.
    pub(super) fn not_served(&mut self, sent: Sent) {
        if sent.way.is_some() {
            self.down.iter_mut().chain(&mut self.up).for_each(Search::stop);
        }
    }

    /// The port sends no more than this.
    pub(super) fn too_big(&mut self, now_ns: u64, sent: Sent, detail: u32) {
        if let Some(search) = self.search(sent) {
            search.limit(now_ns, detail.min(u16::MAX.into()) as u16);
        }
    }

    /// The probe needs a cookie: it goes out again. False where it was challenged too often, or is a heartbeat.
    pub(super) fn challenged(&mut self, sent: Sent) -> bool {
        let Some(way) = sent.way.filter(|_| sent.challenges < CHALLENGES_MAX) else { return false };
        self.forget(sent.sequence);
        self.again[way as usize] = Some(Sent { challenges: sent.challenges + 1, ..sent });
        true
    }

    /// The kernel did not take the probe.
    pub(super) fn not_sent(&mut self, sent: Sent) {
        self.forget(sent.sequence);
        if let Some(search) = self.search(sent) {
            search.probe_not_sent(sent.sent_ns, sent.id);
        }
    }

    /// An answer of this size came to a request of that size: both passed.
    #[inline]
    pub(super) fn arrived(&mut self, now_ns: u64, answer_bytes: u32, request_bytes: u16, asked_ns: u64) {
        if let Some(down) = &mut self.down {
            down.arrived(now_ns, answer_bytes as u16, asked_ns);
        }
        if let Some(up) = &mut self.up {
            up.arrived(now_ns, request_bytes, asked_ns);
        }
    }

    /// A datagram larger than the base seems to be lost on this way.
    pub(super) fn suspect(&mut self, now_ns: u64, way: Way) {
        let search = if way == Way::Down { &mut self.down } else { &mut self.up };
        if let Some(search) = search {
            search.suspect(now_ns);
        }
    }

    pub(super) fn next_ns(&self) -> Option<u64> {
        self.down.iter().chain(&self.up).filter_map(Search::poll_timeout).min()
    }

    pub(super) fn handle_timeout(&mut self, now_ns: u64) {
        self.down.iter_mut().chain(&mut self.up).for_each(|search| search.handle_timeout(now_ns));
    }

    fn search(&mut self, sent: Sent) -> Option<&mut Search> {
        match sent.way? {
            Way::Up => self.up.as_mut(),
            Way::Down => self.down.as_mut(),
        }
    }

    fn keep(&mut self, sent: Sent) -> Sent {
        self.kept[self.kept_next] = Some(sent);
        self.kept_next = (self.kept_next + 1) % PROBES_KEPT;
        sent
    }

    fn forget(&mut self, sequence: u32) {
        self.kept
            .iter_mut()
            .filter(|kept| kept.is_some_and(|sent| sent.sequence == sequence))
            .for_each(|kept| *kept = None);
    }
}

/// The longest request of this flow: as many gets as go into one datagram, with the longest keys.
fn request_bytes_max(config: &ClientConfig) -> usize {
    let gets = usize::from(config.gets_per_datagram_max) * (GET_BYTES + KEY_BYTES_MAX);
    REQUEST_HEADER_BYTES + COOKIE_FRAME_BYTES + gets
}

fn with_cap(search: crate::search::SearchConfig, cap: u16) -> crate::search::SearchConfig {
    crate::search::SearchConfig { datagram_max: search.datagram_max.min(cap), ..search }
}
