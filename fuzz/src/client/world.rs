//! The client and the books beside it: what is under way, what was sent, what may still come.

use std::collections::{BTreeMap, HashMap};

use shingle_proto::client::{
    Client, ClientConfig, Ended, Event, GetError, Join, PathReport, ReadId, ReceiveBuffer,
};
use shingle_proto::limits::DATAGRAM_BYTES_MAX;
use shingle_proto::wire::{Answer, Carrier, Frame, Request};

use super::answers::{VERSIONS, stored_value};
use super::leaks;
use crate::values::key;

/// Timers may be late by their resolution: 65.5 µs.
const RESOLUTION_NS: u64 = 1 << 16;
/// Requests remembered to be answered.
const REQUESTS_KEPT: usize = 24;
/// Wake-ups until all reads of a run have ended: each read asks, waits and lingers a bounded number of times.
const WAKE_UPS_MAX: usize = 100_000;
/// By then nothing lingers: an hour.
const FAR_NS: u64 = 3600 * 1_000_000_000;

#[derive(Clone, Copy, PartialEq, Debug)]
enum State {
    Live,
    /// May still be reported as late.
    TimedOut,
    Ended,
}

struct Read {
    id: ReadId,
    key: Vec<u8>,
    deadline: u64,
    state: State,
}

pub(super) struct World {
    pub(super) client: Client,
    pub(super) now: u64,
    config: ClientConfig,
    /// By token.
    reads: BTreeMap<u64, Read>,
    requests: Vec<(u32, Vec<u8>)>,
    next_sequence: u32,
    values: HashMap<(Vec<u8>, u64), Vec<u8>>,
    /// A datagram of no known making brought bytes of values: what is delivered cannot be foretold.
    raw_values: bool,
}

impl World {
    pub(super) fn new(config: ClientConfig, now: u64) -> Self {
        let client = Client::new(config).expect("settings in range");
        Self {
            client,
            now,
            config,
            reads: BTreeMap::new(),
            requests: Vec::new(),
            next_sequence: 0,
            values: HashMap::new(),
            raw_values: false,
        }
    }

    pub(super) fn set_receive_buffer(&mut self, buffer: ReceiveBuffer) {
        self.client.set_receive_buffer(buffer);
        self.config.receive_buffer = buffer;
    }

    fn live(&self) -> usize {
        self.reads.values().filter(|read| read.state == State::Live).count()
    }

    pub(super) fn get(&mut self, number: u8, timeout_ns: u64, join: Join) {
        let (key, token) = (key(number), self.reads.len() as u64);
        let deadline = self.now.saturating_add(timeout_ns);
        match self.client.get(self.now, &key, token, deadline, join) {
            Ok(id) => {
                assert!(self.reads.values().all(|read| read.id != id), "an id is never given twice");
                self.reads.insert(token, Read { id, key, deadline, state: State::Live });
            }
            Err(GetError::Full { .. }) => assert_eq!(self.live(), self.config.in_flight_max),
            Err(error) => panic!("{error}"),
        }
    }

    pub(super) fn cancel(&mut self, back: usize) {
        let Some(read) = self.reads.values_mut().nth_back(back) else { return };
        let was_live = self.client.cancel(read.id);
        assert_eq!(was_live, read.state == State::Live, "cancel says whether it was under way");
        if was_live {
            read.state = State::Ended;
        }
    }

    /// The request sent so many requests ago.
    pub(super) fn request(&self, back: usize) -> Option<&[u8]> {
        self.requests.iter().rev().nth(back).map(|(_, bytes)| bytes.as_slice())
    }

    pub(super) fn deliver(&mut self, datagram: &[u8]) {
        let now = self.now;
        self.watch(|client, sink| client.handle_datagram(now, datagram, &mut |event| sink(event)));
    }

    pub(super) fn deliver_raw(&mut self, datagram: &[u8]) {
        self.raw_values |= Answer::parse(datagram, Carrier::Udp).is_ok_and(|answer| {
            answer.frames().any(|frame| matches!(frame, Frame::Value(_) | Frame::Chunk(_)))
        });
        self.deliver(datagram);
    }

    pub(super) fn pass(&mut self, ns: u64) {
        self.now = self.now.saturating_add(ns);
    }

    /// Whatever is due happens: no read outlives its deadline.
    pub(super) fn wake(&mut self) {
        let now = self.now;
        self.watch(|client, sink| client.handle_timeout(now, &mut |event| sink(event)));
        let overdue =
            |read: &Read| read.state == State::Live && read.deadline.saturating_add(2 * RESOLUTION_NS) <= now;
        assert!(!self.reads.values().any(overdue), "a read outlives its deadline");
    }

    /// Waits for the client's own time. Once all is done and sent, the next time lies ahead.
    pub(super) fn wake_when_due(&mut self) {
        let Some(due) = self.client.poll_timeout() else { return };
        self.now = self.now.max(due);
        self.wake();
        self.send();
        let next = self.client.poll_timeout();
        assert!(next.is_none_or(|next| next > self.now), "called at {}, to be called at {next:?}", self.now);
    }

    pub(super) fn transmit_failed(&mut self, back: usize) {
        if let Some((sequence, _)) = self.requests.iter().rev().nth(back) {
            self.client.transmit_failed(*sequence);
        }
    }

    /// Takes all there is to send, and checks it.
    pub(super) fn send(&mut self) {
        let mut out = vec![0xEE; self.client.transmit_bytes_max()];
        // Each read has one request to send; beside them a heartbeat and the probes of two directions.
        for _ in 0..self.config.in_flight_max + 16 {
            let before = self.client.path();
            let Some(sent) = self.client.poll_transmit(self.now, &mut out) else { return };
            let bytes = &out[..sent.bytes];
            let request = Request::parse(bytes, Carrier::Udp).expect("what is sent can be read");
            assert_eq!((sent.sequence, request.header.sequence), (self.next_sequence, self.next_sequence));
            assert_eq!((request.header.flow, request.header.attempt), (self.config.flow, sent.attempt));
            assert_eq!(request.reads, sent.reads);
            assert!(request.reads <= self.config.gets_per_datagram_max);
            if request.reads > 0 {
                let after = self.client.path();
                let up = before.up.datagram_bytes.max(after.up.datagram_bytes).max(self.config.base_datagram);
                // A re-request may name the size that has just come, which is never above the proved one (section 4.1).
                let again = request.frames().any(|frame| matches!(frame, Frame::Rerequest(_)));
                let down_of =
                    |path: &PathReport| if again { path.down.proved_bytes } else { path.down.datagram_bytes };
                let down = down_of(&before).max(down_of(&after));
                assert!(sent.bytes <= up.into(), "{} B for reads where {up} B are in use", sent.bytes);
                assert!(request.header.datagram_max <= down, "announced above what is in use");
                let least = u32::from(request.header.datagram_max);
                assert!(request.header.credit <= self.config.credit_max.max(least));
            }
            let asked =
                |key: &[u8]| self.reads.values().any(|read| read.state == State::Live && read.key == key);
            assert!(request.keys().all(asked), "nothing is asked for that nobody waits for");
            self.next_sequence = self.next_sequence.wrapping_add(1);
            self.requests.push((sent.sequence, bytes.to_vec()));
            if self.requests.len() > REQUESTS_KEPT {
                self.requests.remove(0);
            }
        }
        panic!("there is no end of what is to be sent");
    }

    pub(super) fn check(&self) {
        assert_eq!(self.client.in_flight(), self.live(), "reads under way");
        let path = self.client.path();
        for way in [path.up, path.down] {
            assert!(
                way.datagram_bytes >= self.config.base_datagram && way.proved_bytes >= way.datagram_bytes
            );
            assert!(usize::from(way.proved_bytes) <= DATAGRAM_BYTES_MAX || way.state.is_none());
        }
        let _ = self.client.server_state();
    }

    /// Nothing comes any more: every read ends, and nothing is reported twice.
    pub(super) fn finish(&mut self) {
        let endless: Vec<usize> = (0..self.reads.len())
            .filter(|back| self.reads.values().nth_back(*back).is_some_and(|read| read.deadline == u64::MAX))
            .collect();
        endless.into_iter().for_each(|back| self.cancel(back));
        let last =
            self.reads.values().filter(|read| read.deadline < u64::MAX).map(|read| read.deadline).max();
        let end =
            last.unwrap_or(self.now).max(self.now).saturating_add(self.config.linger_ns + 4 * RESOLUTION_NS);
        self.send();
        for _ in 0..WAKE_UPS_MAX {
            if self.client.poll_timeout().is_none_or(|due| due > end) {
                self.now = end;
                self.wake();
                assert_eq!((self.live(), self.client.in_flight()), (0, 0), "every read has ended");
                self.pass(FAR_NS);
                self.wake();
                leaks::check(&mut self.client, self.config, self.now);
                return;
            }
            self.wake_when_due();
        }
        panic!("busy without an end");
    }

    /// Books every event of a call.
    fn watch(&mut self, call: impl FnOnce(&mut Client, &mut dyn FnMut(Event<'_>))) {
        let (now, limit, raw_values) = (self.now, self.config.value_bytes_max, self.raw_values);
        let (reads, values) = (&mut self.reads, &mut self.values);
        let mut sink = |event: Event<'_>| {
            let read = reads.get_mut(&event.token).expect("a token that was given");
            let late = matches!(event.end, Ended::Late { .. });
            assert_eq!(
                read.state,
                if late { State::TimedOut } else { State::Live },
                "{:?} once",
                event.token
            );
            assert_eq!(event.deadline_ns, read.deadline);
            read.state = State::Ended;
            match event.end {
                Ended::TimedOut { received_bytes, total_bytes, .. } => {
                    assert!(now >= read.deadline, "timed out {} ns early", read.deadline - now);
                    assert!(received_bytes <= total_bytes);
                    read.state = State::TimedOut;
                }
                Ended::Value(value) => {
                    assert!(value.len() <= limit);
                    let known = (0..VERSIONS).any(|version| {
                        let stored = values
                            .entry((read.key.clone(), version))
                            .or_insert_with(|| stored_value(&read.key, version));
                        stored.as_slice() == value
                    });
                    assert!(known || raw_values, "a value of {} B that is none of this key's", value.len());
                }
                _ => {}
            }
        };
        call(&mut self.client, &mut sink);
    }
}
