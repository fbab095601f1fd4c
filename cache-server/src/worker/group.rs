//! Requests that go through the stages of a lookup together: all are checked, all keys hashed, and what the lookups will
//! touch is fetched into the CPU's caches while the others are dealt with.

use std::net::SocketAddr;

use shingle_proto::limits::GETS_PER_DATAGRAM_MAX;
use shingle_proto::wire::Request;
use shingle_store::{KeyHash, Reader};
use shingle_udp::Datagram;

use crate::limits::GROUP_KEYS;

/// Up to [`GROUP_KEYS`] requests; their keys are as many, but for those of the last request that go beyond.
pub(super) struct Group<'r, 'h> {
    requests: [Option<Checked<'r>>; GROUP_KEYS],
    /// How many requests there are, and how many of these are answered.
    len: usize,
    answered: usize,
    hashes: &'h mut Vec<KeyHash>,
}

/// A request that passed all checks.
pub(super) struct Checked<'r> {
    /// Place of its datagram in the receive batch.
    pub(super) index: usize,
    pub(super) source: SocketAddr,
    pub(super) kernel_time_ns: Option<u64>,
    pub(super) request: Request<'r>,
    /// Where its keys' hashes begin.
    first_hash: usize,
}

/// Memory for the hashes of a group.
pub(super) fn hashes() -> Vec<KeyHash> {
    Vec::with_capacity(GROUP_KEYS + GETS_PER_DATAGRAM_MAX)
}

impl<'r, 'h> Group<'r, 'h> {
    /// An empty group; `hashes` are those of [`hashes`].
    pub(super) fn new(hashes: &'h mut Vec<KeyHash>) -> Self {
        hashes.clear();
        Group { requests: [const { None }; GROUP_KEYS], len: 0, answered: 0, hashes }
    }

    /// Replaces what is there by the next datagrams that `check` lets pass; false when there are no more.
    pub(super) fn fill(
        &mut self,
        datagrams: &mut impl Iterator<Item = (usize, Datagram<'r>)>,
        reader: &Reader<'_>,
        mut check: impl FnMut(&Datagram<'r>) -> Option<Request<'r>>,
    ) -> bool {
        (self.len, self.answered) = (0, 0);
        self.hashes.clear();
        while self.len < GROUP_KEYS && self.hashes.len() < GROUP_KEYS {
            let Some((index, datagram)) = datagrams.next() else { break };
            let Some(request) = check(&datagram) else { continue };
            let first_hash = self.hashes.len();
            for key in request.keys() {
                let hash = reader.hash(key);
                reader.prefetch(hash);
                self.hashes.push(hash);
            }
            let (source, kernel_time_ns) = (datagram.source, datagram.kernel_time_ns);
            self.requests[self.len] = Some(Checked { index, source, kernel_time_ns, request, first_hash });
            self.len += 1;
        }
        self.hashes.iter().for_each(|&hash| reader.prefetch_item(hash));
        self.len > 0
    }

    /// The first request not answered, and the hashes of its keys.
    #[inline]
    pub(super) fn next(&self) -> Option<(&Checked<'r>, &[KeyHash])> {
        let checked = self.requests[..self.len].get(self.answered)?.as_ref()?;
        Some((checked, &self.hashes[checked.first_hash..]))
    }

    /// The request that [`Group::next`] gives is answered.
    #[inline]
    pub(super) fn answered(&mut self) {
        self.answered += 1;
    }
}
