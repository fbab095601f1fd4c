//! The server's end: the stateless core over a small store whose values are replaced while they are read.

use std::collections::BTreeMap;
use std::collections::VecDeque;
use std::net::SocketAddr;

use shingle_netlab::{Endpoint, Packet};
use shingle_proto::cookie::CookieKeys;
use shingle_proto::limits::DATAGRAM_BYTES_MAX;
use shingle_proto::seal;
use shingle_proto::server::{self, Answer, Facts, Found, PortLimits, Workspace};
use shingle_proto::wire::Telemetry;

use super::{Plan, SECOND, values};

const UNIX_S: u32 = 1_700_000_000;

/// A server of `keys` values at the other end of a network.
pub struct Replies {
    pub port: PortLimits,
    /// When it begins to say that it leaves.
    pub drains_from_ns: u64,
    /// Answers nothing, as a server that a balancer does not reach any more.
    pub silent: bool,
    /// Requests that passed the checks, answer datagrams and their bytes.
    pub requests: u64,
    pub datagrams: u64,
    pub challenges: u64,
    /// Challenges of requests whose cookie was of another address or another secret.
    pub cookies_refused: u64,
    local: SocketAddr,
    cookies: CookieKeys,
    store: BTreeMap<[u8; 16], (Vec<u8>, u64)>,
    first_key: u64,
    keys: u64,
    out: VecDeque<Packet>,
    /// Time between two updates, and when the next is due.
    update_ns: u64,
    next_update_ns: u64,
    updates: u64,
    /// Cookies are rotated whenever so many requests came; 0: never.
    pub rotate_every: u64,
}

impl Replies {
    pub fn new(local: SocketAddr, plan: &Plan) -> Self {
        let port = PortLimits {
            datagram_max: DATAGRAM_BYTES_MAX as u16,
            one_datagram_answers: false,
            too_big_is_refused: false,
            probes_served: true,
        };
        let mut replies = Self {
            port,
            drains_from_ns: u64::MAX,
            silent: false,
            requests: 0,
            datagrams: 0,
            challenges: 0,
            cookies_refused: 0,
            local,
            cookies: CookieKeys::new([7; 16]),
            store: BTreeMap::new(),
            first_key: plan.first_key,
            keys: plan.keys,
            out: VecDeque::new(),
            update_ns: 0,
            next_update_ns: u64::MAX,
            updates: 0,
            rotate_every: 0,
        };
        (plan.first_key..plan.first_key + plan.keys).for_each(|number| replies.set(number, 1));
        replies
    }

    /// Replaces a value each `every_ns`, one key after the other.
    pub fn updating(mut self, every_ns: u64) -> Self {
        (self.update_ns, self.next_update_ns) = (every_ns, every_ns);
        self
    }

    /// Stores this version of a value.
    pub fn set(&mut self, number: u64, version: u64) {
        let (key, value) = (values::key(number), values::value(number, version));
        let sealed = [seal::seal(&key, &value).as_slice(), &value].concat();
        self.store.insert(key, (sealed, version));
    }

    fn answer(&mut self, now_ns: u64, packet: &Packet) {
        let Ok(request) = server::accept(&packet.payload, packet.source, &[self.local.port()]) else {
            return;
        };
        self.requests += 1;
        if self.rotate_every > 0 && self.requests.is_multiple_of(self.rotate_every) {
            self.cookies.rotate([self.requests as u8; 16]);
        }
        let unix_s = UNIX_S + (now_ns / SECOND) as u32;
        let facts = Facts {
            proof: self.cookies.prove(request.cookie.as_ref(), packet.source.ip(), unix_s),
            draining: now_ns >= self.drains_from_ns,
            telemetry: Some(Telemetry::default()),
        };
        let store = &self.store;
        let mut workspace = Workspace::new();
        let answer =
            Answer::new(&request, &self.port, &facts, &mut workspace, |_, key| match store.get(key) {
                Some((sealed, version)) => Found::Value { sealed, version: *version },
                None => Found::Nothing,
            });
        let challenged = answer.summary().challenged;
        self.challenges += u64::from(challenged);
        self.cookies_refused += u64::from(challenged && request.cookie.is_some());
        let limit = if request.reads == 0 { u16::MAX } else { request.header.datagram_max };
        for datagram in answer {
            let mut bytes = vec![0; DATAGRAM_BYTES_MAX];
            let length = datagram.write(&mut bytes);
            bytes.truncate(length);
            assert!(length <= usize::from(limit), "an answer datagram of {length} B, {limit} were announced");
            self.datagrams += 1;
            self.out.push_back(Packet::new(self.local, packet.source, bytes));
        }
    }
}

impl Endpoint for Replies {
    fn receive(&mut self, now_ns: u64, packet: Packet) {
        if !self.silent {
            self.answer(now_ns, &packet);
        }
    }

    fn poll_send(&mut self, _now_ns: u64) -> Option<Packet> {
        self.out.pop_front()
    }

    fn poll_timeout(&self) -> Option<u64> {
        (self.next_update_ns != u64::MAX).then_some(self.next_update_ns)
    }

    fn handle_timeout(&mut self, now_ns: u64) {
        self.updates += 1;
        self.set(self.first_key + self.updates % self.keys, 1 + self.updates);
        self.next_update_ns = now_ns + self.update_ns;
    }

    fn done(&self) -> bool {
        self.out.is_empty()
    }
}
