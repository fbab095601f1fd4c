//! What the tests share: a server on free ports, a TCP peer and a UDP reader made of hand-made messages.
#![allow(dead_code, unreachable_pub, reason = "each test binary uses its part")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use shingle_proto::checksum::crc32c_of;
use shingle_proto::chunk::Range;
use shingle_proto::cookie::Cookie;
use shingle_proto::limits::RANGES_MAX;
use shingle_proto::seal;
use shingle_proto::wire::{
    Answer, Carrier, Control, DatagramWriter, Done, ErrorCode, Frame, Get, Hello, MessageWriter, Ranges,
    Refusal, RequestHeader, Rerequest, Set, next_message,
};
use shingle_server::stats::StatsReport;
use shingle_server::{Config, PortConfig, Server, Strategy};
use shingle_udp::{RecvBatch, Socket, SocketOptions};

/// Longer than any answer takes; tests fail by it, they never pass by it.
pub const PATIENCE: Duration = Duration::from_secs(20);
pub const VALUE_BYTES_MAX: usize = 1 << 20;

/// Free ports with these strategies, 16 MiB.
pub fn config(strategies: &[Strategy]) -> Config {
    let udp_ports = strategies.iter().map(|&strategy| PortConfig::new(0, strategy)).collect();
    Config { udp_ports, tcp_port: 0, memory_bytes: 16 << 20, ..Config::default() }
}

pub fn start(strategies: &[Strategy]) -> Server {
    Server::start(config(strategies)).unwrap()
}

/// The statistics once the workers have counted `requests` datagrams and settled every answer: an answer arrives a moment
/// before it is counted.
pub fn settled_stats(server: &Server, requests: u64) -> StatsReport {
    let start = Instant::now();
    loop {
        let stats = server.stats();
        let received: u64 = stats.workers().map(|worker| worker.requests).sum();
        let dropped: u64 = stats.drops.values().sum();
        let answered: u64 =
            stats.workers().flat_map(|worker| &worker.size_classes).map(|class| class.answers).sum();
        if received >= requests && received == dropped + answered {
            return stats;
        }
        assert!(start.elapsed() < PATIENCE, "{requests} requests expected: {:?}", stats.ports);
        std::thread::yield_now();
    }
}

/// The binary with these arguments, what it prints piped.
pub fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cache-server"));
    command.args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).env_remove("RUST_LOG");
    command
}

/// The binary, which has said where it is ready; killed when dropped.
pub struct Running {
    pub child: Child,
    /// Its ready line.
    pub ready: String,
    pub tcp: SocketAddr,
    pub udp: Vec<SocketAddr>,
}

impl Running {
    pub fn start(arguments: &[&str]) -> Running {
        let mut child = command(arguments).spawn().unwrap();
        let mut ready = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut ready).unwrap();
        let (tcp, udp) = ready.trim_end().strip_prefix("ready tcp=").unwrap().split_once(" udp=").unwrap();
        let tcp: SocketAddr = tcp.parse().unwrap();
        let port = |port: &str| port.split('=').next().unwrap().parse().unwrap();
        let udp = udp.split(',').map(|text| SocketAddr::new(tcp.ip(), port(text))).collect();
        Running { child, ready, tcp, udp }
    }

    pub fn signal(&self, name: &str) {
        let killed = Command::new("kill").args(["-s", name, &self.child.id().to_string()]).status().unwrap();
        assert!(killed.success());
    }

    /// Waits for the end; exit status and what was printed on stderr.
    pub fn end(mut self) -> (Option<i32>, String) {
        let mut errors = String::new();
        self.child.stderr.as_mut().unwrap().read_to_string(&mut errors).unwrap();
        (self.child.wait().unwrap().code(), errors)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A value that is different for every length and does not compress.
pub fn noise(bytes: usize) -> Vec<u8> {
    let mut state = 0x9E37_79B9_7F4A_7C15u64 ^ bytes as u64;
    let mut step = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    (0..bytes).map(|_| step()).collect()
}

pub const HEADER: RequestHeader = RequestHeader {
    attempt: 0,
    flow: 7,
    sequence: 1,
    telemetry: false,
    datagram_max: 1472,
    credit: 64 << 10,
};

/// A TCP connection that speaks the protocol.
pub struct Tcp {
    pub stream: TcpStream,
    received: Vec<u8>,
    taken: usize,
}

impl Tcp {
    /// Connects without HELLO.
    pub fn open(addr: SocketAddr) -> Tcp {
        Tcp::over(TcpStream::connect(addr).unwrap())
    }

    /// Over a connection made already, without HELLO.
    pub fn over(stream: TcpStream) -> Tcp {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Tcp { stream, received: Vec::new(), taken: 0 }
    }

    /// Connects and says HELLO.
    pub fn hello(addr: SocketAddr) -> Tcp {
        let mut tcp = Tcp::open(addr);
        let hello = Hello { id: 1, version_min: 1, version_max: 1, token: b"" };
        let welcomed = tcp.ask(Control::Hello(hello), |answer| matches!(answer, Control::Welcome(_)));
        assert!(welcomed);
        tcp
    }

    pub fn send(&mut self, frame: &Frame<'_>) {
        let mut bytes = Vec::new();
        let mut message = MessageWriter::request(&mut bytes, &HEADER);
        message.push(frame);
        message.finish();
        self.stream.write_all(&bytes).unwrap();
    }

    /// The next message; `None` when the server closed.
    pub fn receive<R>(&mut self, read: impl FnOnce(Answer<'_>) -> R) -> Option<R> {
        self.received.drain(..self.taken);
        self.taken = 0;
        let mut chunk = vec![0; 64 << 10];
        while next_message(&self.received).unwrap().is_none() {
            match self.stream.read(&mut chunk).unwrap() {
                0 => return None,
                bytes => self.received.extend_from_slice(&chunk[..bytes]),
            }
        }
        let (taken, message) = next_message(&self.received).unwrap().unwrap();
        self.taken = taken;
        Some(read(Answer::parse(message, Carrier::Tcp).unwrap()))
    }

    pub fn ask<R>(&mut self, request: Control<'_>, read: impl FnOnce(Control<'_>) -> R) -> R {
        self.send(&Frame::Control(request));
        self.receive(|answer| read(control(answer))).expect("an answer")
    }

    /// For requests answered with DONE or ERROR.
    pub fn done(&mut self, request: Control<'_>) -> Result<u64, (ErrorCode, String)> {
        self.ask(request, done)
    }

    pub fn set(&mut self, key: &[u8], value: &[u8]) -> u64 {
        self.done(Control::Set(set(key, value))).unwrap()
    }

    /// Sends many requests with one write, then waits for all answers; they come in the order of the requests.
    pub fn pipeline<'r>(
        &mut self,
        requests: impl IntoIterator<Item = Control<'r>>,
    ) -> Vec<Result<u64, (ErrorCode, String)>> {
        let (mut bytes, mut count) = (Vec::new(), 0);
        for request in requests {
            let mut message = MessageWriter::request(&mut bytes, &HEADER);
            message.push(&Frame::Control(request));
            message.finish();
            count += 1;
        }
        self.stream.write_all(&bytes).unwrap();
        (0..count).map(|_| self.receive(|answer| done(control(answer))).expect("an answer")).collect()
    }

    pub fn stats(&mut self) -> StatsReport {
        self.ask(Control::Stats { id: 3 }, |answer| match answer {
            Control::Text(text) => serde_json::from_str(text.text).unwrap(),
            other => panic!("{other:?}"),
        })
    }

    pub fn cookie(&mut self, addr: SocketAddr) -> Cookie {
        Tcp::open(addr).greet(b"")
    }

    /// Says HELLO with a token and gives the cookie.
    pub fn greet(&mut self, token: &[u8]) -> Cookie {
        let hello = Hello { id: 1, version_min: 1, version_max: 1, token };
        self.ask(Control::Hello(hello), |answer| match answer {
            Control::Welcome(welcome) => welcome.cookie,
            other => panic!("{other:?}"),
        })
    }
}

pub fn set<'a>(key: &'a [u8], value: &'a [u8]) -> Set<'a> {
    Set { id: 2, ttl_s: 0, checksum: crc32c_of(&[key, value]), key, value }
}

pub fn control(answer: Answer<'_>) -> Control<'_> {
    match answer.frames().next() {
        Some(Frame::Control(control)) => control,
        other => panic!("no control frame but {other:?}"),
    }
}

pub fn done(answer: Control<'_>) -> Result<u64, (ErrorCode, String)> {
    match answer {
        Control::Done(Done { result, .. }) => Ok(result),
        Control::Error(error) => Err((error.code, error.text.to_owned())),
        other => panic!("{other:?}"),
    }
}

/// What a read over UDP came to.
#[derive(Debug, PartialEq, Eq)]
pub enum Read1 {
    Value(Vec<u8>),
    Miss,
    Refused(Refusal, u32),
    Challenged,
}

/// One flow over UDP, one read at a time.
pub struct Udp {
    pub socket: Socket,
    pub cookie: Option<Cookie>,
    pub header: RequestHeader,
    incoming: RecvBatch,
    /// Sizes of the datagrams of the latest read, in the order they came.
    pub sizes: Vec<usize>,
}

impl Udp {
    pub fn connect(server: &Server, port: usize, cookie: Option<Cookie>) -> Udp {
        Udp::to(SocketAddr::new(server.tcp_addr().ip(), server.ports()[port].port), cookie)
    }

    pub fn to(to: SocketAddr, cookie: Option<Cookie>) -> Udp {
        Udp::from(to.ip(), to, cookie)
    }

    /// From this address of the calling thread's host.
    pub fn from(local: IpAddr, to: SocketAddr, cookie: Option<Cookie>) -> Udp {
        let options = SocketOptions { recv_buffer_bytes: 4 << 20, ..SocketOptions::default() };
        let socket = Socket::bind(SocketAddr::new(local, 0), &options).unwrap();
        socket.connect(to).unwrap();
        Udp { socket, cookie, header: HEADER, incoming: RecvBatch::new(64, 65_535), sizes: Vec::new() }
    }

    /// With a cookie of the server's.
    pub fn proven(server: &Server, port: usize) -> Udp {
        let cookie = Tcp::hello(server.tcp_addr()).cookie(server.tcp_addr());
        Udp::connect(server, port, Some(cookie))
    }

    pub fn request(&mut self, frames: &[Frame<'_>]) -> Vec<u8> {
        self.header.sequence += 1;
        let mut bytes = vec![0; 60_000];
        let mut writer = DatagramWriter::request(&mut bytes, &self.header).unwrap();
        self.cookie.iter().for_each(|&cookie| writer.push(&Frame::Cookie(cookie)).unwrap());
        frames.iter().for_each(|frame| writer.push(frame).unwrap());
        let length = writer.finish();
        bytes.truncate(length);
        bytes
    }

    pub fn send_bytes(&self, bytes: &[u8]) {
        socket2::SockRef::from(&self.socket).send(bytes).unwrap();
    }

    /// Receives one batch; false when nothing came in time.
    pub fn receive(&mut self, patience: Duration, mut read: impl FnMut(&[u8])) -> bool {
        if !self.socket.wait(true, false, patience).unwrap().readable {
            return false;
        }
        self.incoming.recv(&self.socket).unwrap();
        self.incoming.iter().for_each(|datagram| read(datagram.bytes));
        true
    }

    /// Reads a key, asking again for what the credit left out.
    pub fn get(&mut self, key: &[u8]) -> Read1 {
        self.get_within(key, PATIENCE).expect("no answer")
    }

    /// The same on a path that may lose the answer: `None` when nothing came for so long.
    pub fn get_within(&mut self, key: &[u8], patience: Duration) -> Option<Read1> {
        self.sizes.clear();
        let get = self.request(&[Frame::Get(Get { id: 5, key })]);
        self.send_bytes(&get);
        let (mut version, mut parts, mut have) = (0, Parts::default(), Vec::new());
        loop {
            let (mut end, mut sizes) = (None, Vec::new());
            let came = self.receive(patience, |bytes| {
                sizes.push(bytes.len());
                for frame in Answer::parse(bytes, Carrier::Udp).unwrap().frames() {
                    match frame {
                        Frame::Value(value) => end = Some(Read1::Value(opened(key, value.sealed))),
                        Frame::Miss { .. } => end = Some(Read1::Miss),
                        Frame::Refused(refused) => end = Some(Read1::Refused(refused.reason, refused.detail)),
                        Frame::Challenge(_) => end = Some(Read1::Challenged),
                        Frame::Chunk(chunk) => {
                            have.resize(chunk.total as usize, 0);
                            have[chunk.offset as usize..][..chunk.bytes.len()].copy_from_slice(chunk.bytes);
                            version = chunk.version;
                            parts.add(chunk.offset, chunk.bytes.len() as u32);
                        }
                        Frame::Cookie(_) | Frame::Telemetry(_) => {}
                        other => panic!("{other:?}"),
                    }
                }
            });
            if !came {
                return None;
            }
            self.sizes.extend(sizes);
            if end.is_some() {
                return end;
            }
            let missing = parts.missing(have.len() as u32);
            if missing.is_empty() {
                return Some(Read1::Value(opened(key, &have)));
            }
            // Chunks come in one burst; when the socket is empty, the burst is over.
            if !self.socket.wait(true, false, Duration::from_millis(5)).unwrap().readable {
                let mut room = [[0; 8]; RANGES_MAX];
                let ranges = Ranges::encode(missing.into_iter().take(RANGES_MAX), &mut room).unwrap();
                let again = self.request(&[Frame::Rerequest(Rerequest { id: 5, version, ranges, key })]);
                self.send_bytes(&again);
            }
        }
    }
}

fn opened(key: &[u8], sealed: &[u8]) -> Vec<u8> {
    let mut scratch = vec![0; VALUE_BYTES_MAX];
    seal::open(key, sealed, VALUE_BYTES_MAX, &mut scratch).unwrap().to_vec()
}

/// Which bytes of a value have come.
#[derive(Default)]
struct Parts(Vec<(u32, u32)>);

impl Parts {
    fn add(&mut self, offset: u32, length: u32) {
        self.0.push((offset, offset + length));
    }

    fn missing(&mut self, total: u32) -> Vec<Range> {
        self.0.sort_unstable();
        let (mut missing, mut end) = (Vec::new(), 0);
        for &(from, to) in self.0.iter().chain([&(total, total)]) {
            if from > end {
                missing.push(Range { offset: end, length: from - end });
            }
            end = end.max(to);
        }
        missing
    }
}
