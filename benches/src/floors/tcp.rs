//! memcached over TCP: one request under way on each connection, answers of a known length.

use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::time::Duration;

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use shingle_udp::monotonic_ns;

use super::case::Case;
use super::error::{Error, system};
use super::items::{draw, key, value};
use super::limits::{SAMPLE, WARM_UP};
use super::requests::memcached_text;
use super::udp::Measured;

/// Connections to one memcached.
pub struct TcpDriver {
    poll: Poll,
    events: Events,
    /// Connections that can be read.
    ready: Vec<usize>,
    connections: Vec<Connection>,
    case: Case,
    /// Requests as text, sent round and round, and their items.
    requests: Vec<Vec<u8>>,
    items: Vec<u32>,
    next: usize,
    answer_bytes: usize,
    answered: u64,
    wrong: u64,
}

struct Connection {
    stream: TcpStream,
    /// The answer so far.
    buffer: Vec<u8>,
    filled: usize,
    request: usize,
}

/// Requests built; far more than connections.
const REQUESTS: usize = 4096;
/// Longest sleep, so that a silent server does not hold the driver.
const WAIT: Duration = Duration::from_millis(10);

impl TcpDriver {
    /// Connects as often as the case has requests in flight.
    ///
    /// # Errors
    /// Whatever the kernel says.
    pub fn new(to: SocketAddr, case: Case) -> Result<TcpDriver, Error> {
        TcpDriver::connect(to, case).or_else(system("connecting to memcached"))
    }

    fn connect(to: SocketAddr, case: Case) -> io::Result<TcpDriver> {
        let items = draw(case.items, REQUESTS * case.gets);
        let one = format!("VALUE  0 {}\r\n\r\n", case.value_bytes).len() + key(0).len() + case.value_bytes;
        let answer_bytes = case.gets * one + b"END\r\n".len();
        let poll = Poll::new()?;
        let mut connections = Vec::new();
        for token in 0..case.in_flight {
            let stream = std::net::TcpStream::connect(to)?;
            stream.set_nodelay(true)?;
            stream.set_nonblocking(true)?;
            let mut stream = TcpStream::from_std(stream);
            poll.registry().register(&mut stream, Token(token), Interest::READABLE)?;
            connections.push(Connection { stream, buffer: vec![0; answer_bytes], filled: 0, request: 0 });
        }
        Ok(TcpDriver {
            poll,
            events: Events::with_capacity(case.in_flight),
            ready: Vec::with_capacity(case.in_flight),
            connections,
            case,
            requests: items.chunks_exact(case.gets).map(memcached_text).collect(),
            items,
            next: 0,
            answer_bytes,
            answered: 0,
            wrong: 0,
        })
    }

    /// Keeps every connection busy for the warm-up and `span`, and counts during `span`.
    ///
    /// # Errors
    /// Wrong answers, none, or whatever the kernel says.
    pub fn closed_loop(&mut self, span: Duration) -> Result<Measured, Error> {
        let fail = || system("loading memcached over TCP");
        for index in 0..self.connections.len() {
            self.ask(index).or_else(system("loading memcached over TCP"))?;
        }
        self.load(monotonic_ns() + WARM_UP.as_nanos() as u64, true).or_else(fail())?;
        let (answered, begin_ns) = (self.answered, monotonic_ns());
        self.load(begin_ns + span.as_nanos() as u64, true).or_else(system("loading memcached over TCP"))?;
        let seconds = (monotonic_ns() - begin_ns) as f64 / 1e9;
        let requests = self.answered - answered;
        self.load(monotonic_ns() + 10 * WARM_UP.as_nanos() as u64, false)
            .or_else(system("loading memcached over TCP"))?;
        if self.wrong > 0 || requests == 0 {
            let what = format!("{requests} answers over TCP, {} of them wrong", self.wrong);
            return Err(Error::Wrong { server: "memcached".into(), what });
        }
        let reads_per_s = (requests * self.case.gets as u64) as f64 / seconds;
        Ok(Measured { reads_per_s, requests, ..Measured::default() })
    }

    /// Serves the connections until `end_ns`, or, with `again` false, until all have their answer.
    fn load(&mut self, end_ns: u64, again: bool) -> io::Result<()> {
        let mut waiting = self.connections.len();
        while monotonic_ns() < end_ns && (again || waiting > 0) {
            if let Err(error) = self.poll.poll(&mut self.events, Some(WAIT))
                && error.kind() != io::ErrorKind::Interrupted
            {
                return Err(error);
            }
            self.ready.clear();
            self.ready.extend(self.events.iter().map(|event| event.token().0));
            for at in 0..self.ready.len() {
                let index = self.ready[at];
                if self.read(index)? {
                    self.check(index);
                    waiting = waiting.saturating_sub(1);
                    if again {
                        self.ask(index)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Reads what there is; whether the answer is whole.
    fn read(&mut self, index: usize) -> io::Result<bool> {
        let connection = &mut self.connections[index];
        while connection.filled < self.answer_bytes {
            match connection.stream.read(&mut connection.buffer[connection.filled..]) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(bytes) => connection.filled += bytes,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    /// An answer has the length of hits, begins as one and ends where it should; of some every byte is looked at.
    fn check(&mut self, index: usize) {
        let Connection { buffer, request, .. } = &self.connections[index];
        self.answered += 1;
        let mut right = buffer.starts_with(b"VALUE ") && buffer.ends_with(b"\r\nEND\r\n");
        if self.answered.is_multiple_of(SAMPLE) {
            let items = &self.items[request * self.case.gets..][..self.case.gets];
            right &= *buffer == answer(items, self.case.value_bytes);
        }
        self.wrong += u64::from(!right);
    }

    fn ask(&mut self, index: usize) -> io::Result<()> {
        let connection = &mut self.connections[index];
        (connection.filled, connection.request) = (0, self.next);
        let request = &self.requests[self.next];
        self.next = (self.next + 1) % self.requests.len();
        // A request is far shorter than an empty send buffer.
        connection.stream.write_all(request)
    }
}

/// What memcached answers to a get of these items.
fn answer(items: &[u32], value_bytes: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    for item in items {
        bytes.extend([b"VALUE ", &key(*item)[..], format!(" 0 {value_bytes}\r\n").as_bytes()].concat());
        bytes.extend(value(*item, value_bytes));
        bytes.extend(b"\r\n");
    }
    bytes.extend(b"END\r\n");
    bytes
}
