//! Requests that go through the stages of a lookup together: all are checked, all keys hashed and looked up, and what a stage
//! will touch is fetched into the CPU's caches while the others are dealt with.

use std::net::SocketAddr;

use shingle_proto::limits::GETS_PER_DATAGRAM_MAX;
use shingle_proto::wire::Request;
use shingle_store::{Item, KeyHash, Lead, Reader, Seconds};
use shingle_udp::Datagram;

use crate::limits::GROUP_KEYS;

/// Most keys of a group: those of its last request may go beyond [`GROUP_KEYS`].
const KEYS_MAX: usize = GROUP_KEYS + GETS_PER_DATAGRAM_MAX;

/// Up to [`GROUP_KEYS`] requests, and what was found under their keys.
pub(super) struct Group<'r, 'd> {
    requests: [Option<Checked<'r>>; GROUP_KEYS],
    /// How many requests there are, and how many of these are answered.
    len: usize,
    answered: usize,
    keys: [(&'r [u8], KeyHash); KEYS_MAX],
    leads: [Lead<'d>; KEYS_MAX],
    items: [Option<Item<'d>>; KEYS_MAX],
}

/// A request that passed all checks.
pub(super) struct Checked<'r> {
    /// Place of its datagram in the receive batch.
    pub(super) index: usize,
    pub(super) source: SocketAddr,
    pub(super) kernel_time_ns: Option<u64>,
    pub(super) request: Request<'r>,
    /// Where its keys begin.
    first_key: usize,
}

impl<'r, 'd> Group<'r, 'd> {
    /// An empty group.
    pub(super) fn new() -> Self {
        Group {
            requests: [const { None }; GROUP_KEYS],
            len: 0,
            answered: 0,
            keys: [(&[], KeyHash::default()); KEYS_MAX],
            leads: [Lead::default(); KEYS_MAX],
            items: [None; KEYS_MAX],
        }
    }

    /// Replaces what is there by the next datagrams that `check` lets pass; false when there are no more.
    pub(super) fn fill(
        &mut self,
        datagrams: &mut impl Iterator<Item = (usize, Datagram<'r>)>,
        mut check: impl FnMut(&Datagram<'r>) -> Option<Request<'r>>,
        reader: &'d Reader<'_>,
        now: Seconds,
    ) -> bool {
        (self.len, self.answered) = (0, 0);
        let mut keys = 0;
        while self.len < GROUP_KEYS && keys < GROUP_KEYS {
            let Some((index, datagram)) = datagrams.next() else { break };
            let Some(request) = check(&datagram) else { continue };
            let first_key = keys;
            for key in request.keys() {
                let hash = reader.hash(key);
                reader.prefetch(hash);
                self.keys[keys] = (key, hash);
                keys += 1;
            }
            let (source, kernel_time_ns) = (datagram.source, datagram.kernel_time_ns);
            self.requests[self.len] = Some(Checked { index, source, kernel_time_ns, request, first_key });
            self.len += 1;
        }
        self.look_up(keys, reader, now);
        self.len > 0
    }

    fn look_up(&mut self, keys: usize, reader: &'d Reader<'_>, now: Seconds) {
        let keys = &self.keys[..keys];
        for ((_, hash), lead) in keys.iter().zip(&mut self.leads) {
            *lead = reader.prefetch_item(*hash);
        }
        for (((key, _), lead), item) in keys.iter().zip(&self.leads).zip(&mut self.items) {
            *item = reader.get_led(key, *lead, now);
            item.iter().for_each(Item::prefetch);
        }
    }

    /// The first request not answered, and what was found under each of its keys.
    #[inline]
    pub(super) fn next(&self) -> Option<(&Checked<'r>, &[Option<Item<'d>>])> {
        let checked = self.requests[..self.len].get(self.answered)?.as_ref()?;
        Some((checked, &self.items[checked.first_key..]))
    }

    /// The request that [`Group::next`] gives is answered.
    #[inline]
    pub(super) fn answered(&mut self) {
        self.answered += 1;
    }
}
