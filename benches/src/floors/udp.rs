//! The bare driver over UDP: so many requests under way, sent and received with the floor's own batches, each answer matched to
//! its request so that a lost one is known and does not shrink the window.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use shingle_udp::floor::{Incoming, Requests, socket};
use shingle_udp::{Socket, monotonic_ns};

use super::error::{Error, system};
use super::judge::Judge;
use super::limits::{BATCH, LOST_AFTER, SAMPLE, WARM_UP};
use super::requests::Built;

/// What one measurement brought.
#[derive(Debug, Clone, Copy, Default, PartialEq, serde::Serialize)]
pub struct Measured {
    /// Reads answered a second.
    pub reads_per_s: f64,
    /// Requests answered by whole.
    pub requests: u64,
    /// Answer datagrams that came.
    pub datagrams: u64,
    /// Requests given up for lost.
    pub lost: u64,
}

/// A socket towards one server, and what is asked of it.
pub struct Driver {
    server: String,
    socket: Socket,
    incoming: Incoming,
    requests: Requests,
    books: Books,
    in_flight: usize,
    gets: usize,
}

/// Which requests are under way.
struct Books {
    judge: Judge,
    items: Vec<u32>,
    gets: usize,
    /// Units each request still waits for; 0: it is not under way.
    left: Box<[u32]>,
    /// In which period of [`LOST_AFTER`] it was sent.
    period: Box<[u8]>,
    now: u8,
    under_way: usize,
    answered: u64,
    datagrams: u64,
    lost: u64,
    /// Answers that are not what they should be.
    wrong: u64,
}

/// Longest train of answers: what UDP_GRO may hand over in one piece.
const SLOT_BYTES: usize = 65_535;

impl Driver {
    /// A driver that sends these requests to `to` in trains of `train`, `in_flight` of them under way.
    ///
    /// # Errors
    /// Whatever the kernel says.
    pub fn new(
        server: &str,
        to: SocketAddr,
        built: Built,
        judge: Judge,
        train: usize,
        in_flight: usize,
    ) -> Result<Driver, Error> {
        let set_up = || -> io::Result<_> {
            let socket = socket(true)?;
            socket.connect(to)?;
            let requests = Requests::new(&socket, built.bytes, built.request_bytes, train, BATCH)?;
            Ok((socket, requests))
        };
        let (socket, requests) = set_up().or_else(system(format!("opening a socket towards {server}")))?;
        let gets = built.items.len() / requests.len();
        let books = Books {
            judge,
            items: built.items,
            gets,
            left: vec![0; requests.len()].into(),
            period: vec![0; requests.len()].into(),
            now: 0,
            under_way: 0,
            answered: 0,
            datagrams: 0,
            lost: 0,
            wrong: 0,
        };
        let incoming = Incoming::with_segments(BATCH, SLOT_BYTES);
        Ok(Driver { server: server.to_owned(), socket, incoming, requests, books, in_flight, gets })
    }

    /// Keeps the window full for the warm-up and `span`, and counts during `span`.
    ///
    /// # Errors
    /// No answers, wrong answers, or whatever the kernel says.
    pub fn closed_loop(&mut self, span: Duration) -> Result<Measured, Error> {
        let failed = format!("loading {}", self.server);
        let start_ns = monotonic_ns() + WARM_UP.as_nanos() as u64;
        self.load(start_ns).or_else(system(failed.clone()))?;
        let (answered, datagrams, lost) = (self.books.answered, self.books.datagrams, self.books.lost);
        let begin_ns = monotonic_ns();
        self.load(begin_ns + span.as_nanos() as u64).or_else(system(failed.clone()))?;
        let seconds = (monotonic_ns() - begin_ns) as f64 / 1e9;
        let measured = Measured {
            reads_per_s: ((self.books.answered - answered) * self.gets as u64) as f64 / seconds,
            requests: self.books.answered - answered,
            datagrams: self.books.datagrams - datagrams,
            lost: self.books.lost - lost,
        };
        self.drain().or_else(system(failed))?;
        if measured.requests == 0 {
            return Err(self.wrong("no answer came".into()));
        }
        if self.books.wrong > 0 {
            return Err(
                self.wrong(format!("{} answer datagrams were not what was asked for", self.books.wrong))
            );
        }
        Ok(measured)
    }

    fn wrong(&self, what: String) -> Error {
        Error::Wrong { server: self.server.clone(), what }
    }

    /// Keeps the window full until `end_ns`. Nothing but system calls and books.
    fn load(&mut self, end_ns: u64) -> io::Result<()> {
        let period_ns = LOST_AFTER.as_nanos() as u64;
        let mut period_end_ns = monotonic_ns() + period_ns;
        loop {
            let now_ns = monotonic_ns();
            if now_ns >= end_ns {
                return Ok(());
            }
            if now_ns >= period_end_ns {
                period_end_ns = now_ns + period_ns;
                self.books.next_period();
            }
            self.receive()?;
            let room = self.in_flight.saturating_sub(self.books.under_way) / self.requests.train();
            if room > 0 {
                let first = self.requests.next();
                let sent = self.requests.send(&self.socket, room)?;
                self.books.sent(first, sent * self.requests.train());
            }
        }
    }

    fn receive(&mut self) -> io::Result<()> {
        if self.incoming.recv(&self.socket)? > 0 {
            let books = &mut self.books;
            self.incoming.each(|datagram| books.take(datagram));
        }
        Ok(())
    }

    /// Waits for what is under way; what does not come any more is forgotten, not lost: the time to find out is not over.
    fn drain(&mut self) -> io::Result<()> {
        let end_ns = monotonic_ns() + LOST_AFTER.as_nanos() as u64;
        while self.books.under_way > 0 && monotonic_ns() < end_ns {
            self.receive()?;
        }
        self.books.left.fill(0);
        self.books.under_way = 0;
        Ok(())
    }
}

impl Books {
    #[inline]
    fn sent(&mut self, first: usize, count: usize) {
        for request in first..first + count {
            // Still under way after a whole round of all requests: it is lost.
            if self.left[request] > 0 {
                self.lost += 1;
                self.under_way -= 1;
            }
            self.left[request] = self.judge.units();
            self.period[request] = self.now;
        }
        self.under_way += count;
    }

    #[inline]
    fn take(&mut self, datagram: &[u8]) {
        self.datagrams += 1;
        let Some(brought) = self.judge.look(datagram).filter(|found| found.request < self.left.len()) else {
            self.wrong += 1;
            return;
        };
        if self.datagrams.is_multiple_of(SAMPLE) {
            let items = &self.items[brought.request * self.gets..][..self.gets];
            self.wrong += u64::from(!self.judge.is_right(datagram, items));
        }
        let left = &mut self.left[brought.request];
        // Later than lost, or more than was asked for: either way it answers nothing that is under way.
        if *left == 0 {
            return;
        }
        *left = left.saturating_sub(brought.units);
        if *left == 0 {
            self.under_way -= 1;
            self.answered += 1;
        }
    }

    /// A period is over: what was sent before the one that ends now is lost.
    fn next_period(&mut self) {
        for (left, period) in self.left.iter_mut().zip(&self.period) {
            if *left > 0 && *period != self.now {
                *left = 0;
                self.lost += 1;
                self.under_way -= 1;
            }
        }
        self.now = self.now.wrapping_add(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::floors::case::Case;

    fn books() -> Books {
        Books {
            judge: Judge::echo(&Case::PLAIN),
            items: vec![0; 8],
            gets: 1,
            left: vec![0; 8].into(),
            period: vec![0; 8].into(),
            now: 0,
            under_way: 0,
            answered: 0,
            datagrams: 0,
            lost: 0,
            wrong: 0,
        }
    }

    fn echo(request: u8) -> [u8; 132] {
        let mut datagram = [0; 132];
        datagram[15] = request;
        datagram
    }

    #[test]
    fn each_answer_ends_its_request_once() {
        let mut books = books();
        books.sent(0, 3);
        for request in [1, 1, 2, 7] {
            books.take(&echo(request));
        }
        assert_eq!((books.under_way, books.answered, books.wrong), (1, 2, 0));
    }

    #[test]
    fn what_does_not_come_is_lost_and_frees_its_place() {
        let mut books = books();
        books.sent(0, 2);
        books.next_period();
        assert_eq!((books.under_way, books.lost), (2, 0));
        books.sent(2, 1);
        books.next_period();
        assert_eq!((books.under_way, books.lost), (1, 2));
        books.take(&echo(0));
        assert_eq!((books.under_way, books.answered), (1, 0), "an answer later than lost counts for nothing");
    }

    #[test]
    fn a_request_still_under_way_when_its_turn_comes_again_is_lost() {
        let mut books = books();
        books.sent(0, 8);
        books.sent(0, 1);
        assert_eq!((books.under_way, books.lost), (8, 1));
    }

    #[test]
    fn answers_to_nobody_are_wrong() {
        let mut books = books();
        books.sent(0, 1);
        books.take(&echo(8));
        books.take(&[0; 133]);
        books.take(&[0; 3]);
        assert_eq!(books.wrong, 3);
    }
}
