//! The client's end: reads by a schedule, books what becomes of each, and checks every datagram that leaves.

use std::net::SocketAddr;

use shingle_netlab::{Endpoint, Packet, PacketTooBig};
use shingle_proto::client::{Client, ClientConfig, Ended, Event, Join, ReadId};
use shingle_proto::wire::{Answer, Carrier, Request, RequestHeader as Header};
use shingle_store::counting::thread_allocations;

use super::announced::Announced;
use super::{MS, overhead_bytes, values};

/// What is read, and when.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Reads in all.
    pub reads: u64,
    /// Time between two moments of reading.
    pub interval_ns: u64,
    /// Reads handed over together at each moment, to share a datagram.
    pub together: u64,
    /// Time each read has.
    pub timeout_ns: u64,
    /// Number of the first key.
    pub first_key: u64,
    /// Different keys; the one after the last is never stored.
    pub keys: u64,
    /// One read in so many is cancelled half an interval after it began; 0: none.
    pub cancel_every: u64,
    /// The kernel refuses to send one datagram in so many; 0: none.
    pub refuse_every: u64,
    /// Whether the client stays when its reads have ended, for late answers and the search.
    pub stays: bool,
}

impl Plan {
    /// The key that this read is of.
    fn key_number(&self, token: u64) -> u64 {
        self.first_key + (token.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) % (self.keys + 1)
    }
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            reads: 100,
            interval_ns: 5 * MS,
            together: 1,
            timeout_ns: 500 * MS,
            first_key: 0,
            keys: 20,
            cancel_every: 0,
            refuse_every: 0,
            stays: false,
        }
    }
}

/// What became of the reads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Books {
    pub begun: u64,
    pub not_begun: u64,
    pub values: u64,
    pub misses: u64,
    pub over_tcp: u64,
    pub refused: u64,
    pub not_sent: u64,
    pub timed_out: u64,
    pub cancelled: u64,
    pub late: u64,
    /// Values that came without any loss on their first exchange.
    pub first_try: u64,
    /// Request datagrams of reads, probes and heartbeats.
    pub read_datagrams: u64,
    pub other_datagrams: u64,
    /// Answer datagrams that arrived.
    pub answers: u64,
    /// Requests of reads that announced more than the base.
    pub large: u64,
    /// Requests of reads that the receive window left the credit of one datagram.
    pub window_limited: u64,
    /// Answers of a server that is about to leave.
    pub draining: u64,
}

impl Books {
    pub fn ended(&self) -> u64 {
        self.values
            + self.misses
            + self.over_tcp
            + self.refused
            + self.not_sent
            + self.timed_out
            + self.cancelled
    }
}

impl std::ops::Add for Books {
    type Output = Books;

    fn add(self, other: Books) -> Books {
        Books {
            begun: self.begun + other.begun,
            not_begun: self.not_begun + other.not_begun,
            values: self.values + other.values,
            misses: self.misses + other.misses,
            over_tcp: self.over_tcp + other.over_tcp,
            refused: self.refused + other.refused,
            not_sent: self.not_sent + other.not_sent,
            timed_out: self.timed_out + other.timed_out,
            cancelled: self.cancelled + other.cancelled,
            late: self.late + other.late,
            first_try: self.first_try + other.first_try,
            read_datagrams: self.read_datagrams + other.read_datagrams,
            other_datagrams: self.other_datagrams + other.other_datagrams,
            answers: self.answers + other.answers,
            large: self.large + other.large,
            window_limited: self.window_limited + other.window_limited,
            draining: self.draining + other.draining,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Life {
    UnderWay,
    TimedOut,
    Ended,
}

/// A client core at one end of a network.
pub struct Reader {
    pub core: Client,
    pub books: Books,
    local: SocketAddr,
    server: SocketAddr,
    plan: Plan,
    next_ns: u64,
    number: u64,
    /// Life of every read, by token.
    lives: Vec<Life>,
    to_cancel: Option<(u64, ReadId, u64)>,
    out: Vec<u8>,
    sizes: Announced,
    /// ICMP hints are given to the core.
    pub hints: bool,
    /// Allocations seen inside calls of the core.
    pub allocations: u64,
    /// Notes `(time, size announced)` of each first request.
    pub announced: Vec<(u64, u16)>,
}

impl Reader {
    pub fn new(config: ClientConfig, plan: Plan, local: SocketAddr, server: SocketAddr) -> Self {
        let core = Client::new(config).expect("settings in range");
        let out = vec![0; core.transmit_bytes_max()];
        let lives = Vec::with_capacity(plan.reads as usize);
        Self {
            core,
            books: Books::default(),
            local,
            server,
            plan,
            next_ns: 0,
            number: 0,
            lives,
            to_cancel: None,
            out,
            sizes: Announced::new(config.flow),
            hints: true,
            allocations: 0,
            announced: Vec::with_capacity(plan.reads as usize * 4),
        }
    }

    /// Sends nothing more: heartbeats would keep a slow network busy for ever.
    fn rests(&self) -> bool {
        self.all_ended() && !self.plan.stays
    }

    /// Whether all reads have been begun and have ended.
    pub fn all_ended(&self) -> bool {
        self.number == self.plan.reads && self.books.ended() == self.books.begun
    }

    fn begin_reads(&mut self, now_ns: u64) {
        for at in 0..self.plan.together.min(self.plan.reads - self.number) {
            let (token, key) = (self.number, values::key(self.plan.key_number(self.number)));
            self.number += 1;
            self.lives.push(Life::UnderWay);
            let join = if at == 0 { Join::Alone } else { Join::WithPrevious };
            let before = thread_allocations();
            let read = self.core.get(now_ns, &key, token, now_ns + self.plan.timeout_ns, join);
            self.allocations += thread_allocations() - before;
            match read {
                Ok(read) => {
                    self.books.begun += 1;
                    if self.plan.cancel_every > 0 && token % self.plan.cancel_every == 0 {
                        self.to_cancel = Some((now_ns + self.plan.interval_ns / 2, read, token));
                    }
                }
                Err(_) => {
                    self.books.not_begun += 1;
                    self.lives[token as usize] = Life::Ended;
                }
            }
        }
    }

    fn cancel(&mut self, read: ReadId, token: u64) {
        let was = self.core.cancel(read);
        let life = &mut self.lives[token as usize];
        assert_eq!(was, *life == Life::UnderWay, "cancel tells whether read {token} was under way");
        if was {
            *life = Life::Ended;
            self.books.cancelled += 1;
        }
    }

    /// Runs one call of the core that gives events.
    fn call(&mut self, call: impl FnOnce(&mut Client, &mut dyn FnMut(Event<'_>))) {
        let (plan, lives, books) = (self.plan, &mut self.lives, &mut self.books);
        let before = thread_allocations();
        call(&mut self.core, &mut |event| {
            book(
                &event,
                &mut lives[event.token as usize],
                books,
                plan.key_number(event.token),
                plan.first_key + plan.keys,
            );
        });
        self.allocations += thread_allocations() - before;
    }

    /// The rules for what leaves (PROTOCOL.md, section 4.1).
    fn check_request(&mut self, now_ns: u64, bytes: usize) {
        let path = self.core.path();
        let request =
            Request::parse(&self.out[..bytes], Carrier::Udp).expect("the core writes valid requests");
        if request.reads == 0 {
            self.books.other_datagrams += 1;
            return;
        }
        let Header { datagram_max, credit, .. } = request.header;
        self.books.read_datagrams += 1;
        self.books.large += u64::from(datagram_max > 1200);
        self.books.window_limited += u64::from(credit <= datagram_max.into());
        let no_memory = self.core.counters().reassembly_full > 0;
        self.sizes.check(&request, bytes, &path, no_memory);
        if request.header.attempt == 0 {
            self.announced.push((now_ns, datagram_max));
        }
    }

    /// Books what says something of the server.
    fn note_answer(&mut self, datagram: &[u8]) {
        self.books.answers += 1;
        let Ok(answer) = Answer::parse(datagram, Carrier::Udp) else { return };
        self.books.draining += u64::from(answer.header.draining);
        self.sizes.arrived(&answer, datagram.len());
    }
}

fn book(event: &Event<'_>, life: &mut Life, books: &mut Books, key: u64, missing: u64) {
    let token = event.token;
    if let Ended::Late { .. } = event.end {
        assert_eq!(*life, Life::TimedOut, "read {token} was late without a timeout");
        *life = Life::Ended;
        books.late += 1;
        return;
    }
    assert_eq!(*life, Life::UnderWay, "read {token} ended twice");
    *life = Life::Ended;
    match event.end {
        Ended::Value(bytes) => {
            assert!(values::check(key, bytes).is_some(), "read {token} got a corrupt value");
            books.values += 1;
            books.first_try += u64::from(event.attempts == 0);
        }
        Ended::Miss => {
            assert_eq!(key, missing, "read {token} missed a stored key");
            books.misses += 1;
            books.first_try += u64::from(event.attempts == 0);
        }
        Ended::Refused { .. } => books.refused += 1,
        Ended::OverTcp => books.over_tcp += 1,
        Ended::NotSent => books.not_sent += 1,
        Ended::TimedOut { .. } => {
            books.timed_out += 1;
            *life = Life::TimedOut;
        }
        Ended::Late { .. } => unreachable!("handled above"),
    }
}

impl Endpoint for Reader {
    fn receive(&mut self, now_ns: u64, packet: Packet) {
        assert_eq!(packet.destination, self.local, "the network delivers to the address that asked");
        self.note_answer(&packet.payload);
        self.call(|core, sink| core.handle_datagram(now_ns, &packet.payload, &mut |event| sink(event)));
    }

    fn poll_send(&mut self, now_ns: u64) -> Option<Packet> {
        if self.rests() {
            return None;
        }
        let before = thread_allocations();
        let transmit = self.core.poll_transmit(now_ns, &mut self.out);
        self.allocations += thread_allocations() - before;
        let transmit = transmit?;
        let bytes = transmit.bytes;
        self.check_request(now_ns, bytes);
        let sent = self.books.read_datagrams + self.books.other_datagrams;
        if self.plan.refuse_every > 0 && sent.is_multiple_of(self.plan.refuse_every) {
            self.core.transmit_failed(transmit.sequence);
            return self.poll_send(now_ns);
        }
        Some(Packet::new(self.local, self.server, self.out[..bytes].to_vec()))
    }

    fn poll_timeout(&self) -> Option<u64> {
        if self.rests() {
            return None;
        }
        let read = (self.number < self.plan.reads).then_some(self.next_ns);
        let cancel = self.to_cancel.map(|(at, _, _)| at);
        read.into_iter().chain(cancel).chain(self.core.poll_timeout()).min()
    }

    fn handle_timeout(&mut self, now_ns: u64) {
        if let Some((at, read, token)) = self.to_cancel
            && now_ns >= at
        {
            self.to_cancel = None;
            self.cancel(read, token);
        }
        self.call(|core, sink| core.handle_timeout(now_ns, &mut |event| sink(event)));
        if self.number < self.plan.reads && now_ns >= self.next_ns {
            self.begin_reads(now_ns);
            self.next_ns = now_ns + self.plan.interval_ns;
        }
    }

    fn handle_icmp(&mut self, now_ns: u64, hint: PacketTooBig) {
        if self.hints {
            let bytes = hint.mtu.saturating_sub(u32::from(overhead_bytes(self.local.is_ipv6())));
            self.core.hint_path_mtu(now_ns, bytes.min(u32::from(u16::MAX)) as u16);
        }
    }

    fn done(&self) -> bool {
        self.rests()
    }
}
