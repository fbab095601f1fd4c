//! The bare driver over UDP: so many requests under way, sent and received with the floor's own batches, each answer matched to
//! its request so that a lost one is known and does not shrink the window.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use shingle_udp::floor::{Incoming, Requests, socket};
use shingle_udp::{Socket, monotonic_ns};

use super::books::Books;
use super::error::{Error, system};
use super::judge::Judge;
use super::limits::{BATCH, LOST_AFTER, WARM_UP};
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
    pub(super) server: String,
    pub(super) socket: Socket,
    pub(super) incoming: Incoming,
    pub(super) requests: Requests,
    pub(super) books: Books,
    in_flight: usize,
    period_end_ns: u64,
}

/// Longest train of answers: what UDP_GRO may hand over in one piece.
const SLOT_BYTES: usize = 65_535;
/// How long answers are waited for that must come.
const BURST_NS: u64 = 5_000_000_000;

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
        let books = Books::new(judge, built.items, requests.len(), built.gets);
        let incoming = Incoming::with_segments(BATCH, SLOT_BYTES);
        Ok(Driver {
            server: server.to_owned(),
            socket,
            incoming,
            requests,
            books,
            in_flight,
            period_end_ns: 0,
        })
    }

    /// Keeps the window full for the warm-up and `span`, and counts during `span`.
    ///
    /// # Errors
    /// No answers, wrong answers, or whatever the kernel says.
    pub fn closed_loop(&mut self, span: Duration) -> Result<Measured, Error> {
        closed_loop(std::slice::from_mut(self), span)
    }

    /// Looks at every byte of every answer from now on.
    pub fn look_at_all(&mut self) {
        self.books.sample = 1;
    }

    /// Sends so many requests at once.
    ///
    /// # Errors
    /// Whatever the kernel says, or it does not take them all.
    pub fn burst(&mut self, requests: usize) -> Result<(), Error> {
        let trains = requests / self.requests.train();
        let mut left = trains;
        while left > 0 {
            let first = self.requests.next();
            let sent = self.requests.send(&self.socket, left).or_else(system("sending a burst"))?;
            if sent == 0 {
                return Err(self.wrong("the kernel takes no more requests".into()));
            }
            self.books.sent(first, sent * self.requests.train());
            left -= sent;
        }
        Ok(())
    }

    /// Waits for all answers; how many datagrams came.
    ///
    /// # Errors
    /// Some are missing or wrong, or whatever the kernel says.
    pub fn collect(&mut self) -> Result<u64, Error> {
        let before = self.books.datagrams;
        let end_ns = monotonic_ns() + BURST_NS;
        while self.books.under_way > 0 && monotonic_ns() < end_ns {
            self.receive().or_else(system("receiving answers"))?;
        }
        self.judged()?;
        match self.books.under_way {
            0 => Ok(self.books.datagrams - before),
            missing => Err(self.wrong(format!("{missing} requests are not answered"))),
        }
    }

    /// Whether all answers so far were right.
    pub(super) fn judged(&self) -> Result<(), Error> {
        match (self.books.wrong, self.books.answered) {
            (0, 1..) => Ok(()),
            (0, 0) => Err(self.wrong("no answer came".into())),
            (wrong, _) => Err(self.wrong(format!("{wrong} answer datagrams were not what was asked for"))),
        }
    }

    fn wrong(&self, what: String) -> Error {
        Error::Wrong { server: self.server.clone(), what }
    }

    /// Receives what is there and fills the window again. Nothing but system calls and books.
    #[inline]
    fn turn(&mut self, now_ns: u64) -> io::Result<()> {
        if now_ns >= self.period_end_ns {
            self.period_end_ns = now_ns + LOST_AFTER.as_nanos() as u64;
            self.books.next_period();
        }
        self.receive()?;
        let room = self.in_flight.saturating_sub(self.books.under_way) / self.requests.train();
        if room > 0 {
            let first = self.requests.next();
            let sent = self.requests.send(&self.socket, room)?;
            self.books.sent(first, sent * self.requests.train());
        }
        Ok(())
    }

    #[inline]
    fn receive(&mut self) -> io::Result<()> {
        if self.incoming.recv(&self.socket)? > 0 {
            let books = &mut self.books;
            self.incoming.each(|datagram| {
                books.take(datagram);
            });
        }
        Ok(())
    }

    fn counts(&self) -> Counts {
        let Books { answered, datagrams, lost, .. } = self.books;
        Counts { reads: answered * self.books.gets() as u64, answered, datagrams, lost }
    }
}

#[derive(Clone, Copy)]
struct Counts {
    reads: u64,
    answered: u64,
    datagrams: u64,
    lost: u64,
}

/// Drivers in turns on this thread, each with its window full for the warm-up and `span`; what all of them brought during `span`.
///
/// # Errors
/// No answers, wrong answers, or whatever the kernel says.
pub fn closed_loop(drivers: &mut [Driver], span: Duration) -> Result<Measured, Error> {
    let loading = format!("loading {}", drivers[0].server);
    load(drivers, monotonic_ns() + WARM_UP.as_nanos() as u64).or_else(system(loading.as_str()))?;
    let before: Vec<Counts> = drivers.iter().map(Driver::counts).collect();
    let begin_ns = monotonic_ns();
    let mut end_ns = begin_ns + span.as_nanos() as u64;
    load(drivers, end_ns).or_else(system(loading.as_str()))?;
    // A host that stood still for all of the span is waited for: a rate of nothing could not be compared with anything.
    while drivers.iter().map(|driver| driver.books.answered).sum::<u64>()
        == before.iter().map(|before| before.answered).sum::<u64>()
    {
        if end_ns > begin_ns + BURST_NS {
            return Err(drivers[0].wrong("no answer comes any more".into()));
        }
        end_ns = monotonic_ns() + LOST_AFTER.as_nanos() as u64;
        load(drivers, end_ns).or_else(system(loading.as_str()))?;
    }
    let seconds = (monotonic_ns() - begin_ns) as f64 / 1e9;
    let mut measured = Measured::default();
    for (driver, before) in drivers.iter_mut().zip(before) {
        let now = driver.counts();
        measured.reads_per_s += (now.reads - before.reads) as f64 / seconds;
        measured.requests += now.answered - before.answered;
        measured.datagrams += now.datagrams - before.datagrams;
        measured.lost += now.lost - before.lost;
        drain(driver).or_else(system(loading.as_str()))?;
        driver.judged()?;
    }
    Ok(measured)
}

fn load(drivers: &mut [Driver], end_ns: u64) -> io::Result<()> {
    loop {
        let now_ns = monotonic_ns();
        if now_ns >= end_ns {
            return Ok(());
        }
        for driver in &mut *drivers {
            driver.turn(now_ns)?;
        }
    }
}

/// Waits for what is under way; what does not come any more is forgotten, not lost: the time to find out is not over.
fn drain(driver: &mut Driver) -> io::Result<()> {
    let end_ns = monotonic_ns() + LOST_AFTER.as_nanos() as u64;
    while driver.books.under_way > 0 && monotonic_ns() < end_ns {
        driver.receive()?;
    }
    driver.books.forget();
    Ok(())
}
