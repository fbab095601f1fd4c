//! A tiny memcached that misbehaves on demand: enough of the text protocol for seeding, statistics and gets.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// What it does with gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mood {
    Well,
    /// Datagrams of an answer in the opposite order, each twice.
    ReversedAndTwice,
    /// The last byte of each answer is missing; over TCP the connection then closes.
    CutShort,
    /// An error line for each get.
    Errors,
    /// No answer at all; over TCP the connection closes.
    Gone,
    /// Nothing is stored.
    Empty,
}

/// The fake; its threads end soon after it is dropped.
pub(crate) struct Fake {
    pub(crate) address: SocketAddr,
    state: Arc<State>,
}

struct State {
    mood: Mutex<Mood>,
    items: Mutex<HashMap<Vec<u8>, Vec<u8>>>,
    udp_port: u16,
    over: AtomicBool,
}

impl Fake {
    /// With UDP on the same port, or without UDP.
    pub(crate) fn start(with_udp: bool) -> Self {
        let (listener, udp) = ports();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State {
            mood: Mutex::new(Mood::Well),
            items: Mutex::default(),
            udp_port: if with_udp { address.port() } else { 0 },
            over: AtomicBool::new(false),
        });
        if with_udp {
            let state = state.clone();
            thread::spawn(move || serve_udp(&udp, &state));
        }
        let accepting = state.clone();
        thread::spawn(move || {
            for stream in listener.incoming() {
                if accepting.over.load(Ordering::Relaxed) {
                    return;
                }
                let state = accepting.clone();
                // A client that goes away ends its thread with an error.
                thread::spawn(move || serve_tcp(&stream.unwrap(), &state));
            }
        });
        Self { address, state }
    }

    pub(crate) fn set(&self, mood: Mood) {
        *self.state.mood.lock().unwrap() = mood;
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.state.over.store(true, Ordering::Relaxed);
        // Wakes the thread that accepts.
        let _ = TcpStream::connect(self.address);
    }
}

/// A TCP and a UDP port of one number.
fn ports() -> (TcpListener, UdpSocket) {
    loop {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        if let Ok(udp) = UdpSocket::bind(listener.local_addr().unwrap()) {
            return (listener, udp);
        }
    }
}

fn serve_udp(socket: &UdpSocket, state: &State) {
    socket.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    let mut buffer = [0; 2000];
    while !state.over.load(Ordering::Relaxed) {
        let Ok((bytes, client)) = socket.recv_from(&mut buffer) else { continue };
        let line = buffer[8..bytes].strip_suffix(b"\r\n").expect("a request ends its line");
        let mood = *state.mood.lock().unwrap();
        let mut datagrams = Vec::new();
        for message in messages(state, line) {
            let total = message.len().div_ceil(1392) as u16;
            let pieces: Vec<&[u8]> = if total == 0 { vec![&[]] } else { message.chunks(1392).collect() };
            for (sequence, piece) in pieces.into_iter().enumerate() {
                let header = [&buffer[..2], &(sequence as u16).to_be_bytes(), &total.to_be_bytes(), &[0, 0]];
                datagrams.push([&header.concat(), piece].concat());
            }
        }
        match mood {
            Mood::Gone => continue,
            Mood::ReversedAndTwice => {
                datagrams.reverse();
                datagrams = datagrams.into_iter().flat_map(|datagram| [datagram.clone(), datagram]).collect();
            }
            Mood::CutShort => datagrams.iter_mut().for_each(|datagram| _ = datagram.pop()),
            Mood::Well | Mood::Errors | Mood::Empty => {}
        }
        for datagram in datagrams {
            socket.send_to(&datagram, client).unwrap();
        }
    }
}

/// One message a key, the last with END; keys that are not stored are passed over, but for the first and the last.
fn messages(state: &State, line: &[u8]) -> Vec<Vec<u8>> {
    let mood = *state.mood.lock().unwrap();
    if mood == Mood::Errors {
        return vec![b"SERVER_ERROR out of memory writing get response\r\n".to_vec()];
    }
    let items = state.items.lock().unwrap();
    let keys = line.split(|byte| *byte == b' ').skip(1);
    let one = |key: &[u8]| match items.get(key).filter(|_| mood != Mood::Empty) {
        None => Vec::new(),
        Some(value) => {
            let head = format!("VALUE {} 0 {}\r\n", String::from_utf8_lossy(key), value.len());
            [head.as_bytes(), value, b"\r\n"].concat()
        }
    };
    let mut all: Vec<_> = keys.map(one).collect();
    all.last_mut().expect("a get has a key").extend(b"END\r\n");
    let last = all.len() - 1;
    let mut position = 0;
    all.retain(|message| {
        position += 1;
        position == 1 || position > last || !message.is_empty()
    });
    all
}

fn serve_tcp(stream: &TcpStream, state: &State) -> Option<()> {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut writer = stream;
    loop {
        let mut line = Vec::new();
        reader.read_until(b'\n', &mut line).ok()?;
        let line = line.strip_suffix(b"\r\n")?;
        let words: Vec<_> = line.split(|byte| *byte == b' ').collect();
        let answer = match words[0] {
            b"version" => b"VERSION 1.6.99-fake\r\n".to_vec(),
            b"stats" if words.len() > 1 => format!(
                "STAT item_size_max 1048576\r\nSTAT num_threads 1\r\nSTAT udpport {}\r\nEND\r\n",
                state.udp_port
            )
            .into_bytes(),
            b"stats" => b"STAT pid 7\r\nSTAT uptime 1\r\nSTAT evictions 0\r\nEND\r\n".to_vec(),
            b"set" => {
                let length: usize = String::from_utf8_lossy(words[4]).parse().unwrap();
                let mut value = vec![0; length + 2];
                reader.read_exact(&mut value).ok()?;
                value.truncate(length);
                state.items.lock().unwrap().insert(words[1].to_vec(), value);
                b"STORED\r\n".to_vec()
            }
            b"get" => {
                let mut answer = messages(state, line).concat();
                match *state.mood.lock().unwrap() {
                    Mood::Gone => return None,
                    Mood::CutShort => {
                        answer.pop();
                        writer.write_all(&answer).ok()?;
                        return None;
                    }
                    _ => answer,
                }
            }
            _ => b"ERROR\r\n".to_vec(),
        };
        writer.write_all(&answer).ok()?;
    }
}
