//! The administrative connection to memcached: version, settings, statistics, storing and looking at items. Blocking, with timeouts.

use std::collections::BTreeMap;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs as _};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::limits::{ANSWER_TIMEOUT, LINE_BYTES_MAX, SET_BYTES_AT_ONCE, SETS_AT_ONCE, TTL_S_MAX, WORDS_MAX};
use super::text::{self, Line};
use crate::error::Error;
use crate::limits::CONNECT_TIMEOUT;
use crate::workload::VALUE_BYTES_CEILING;

/// What `stats` or `stats settings` say, by name.
pub type Words = BTreeMap<String, String>;

/// A connection.
pub struct Admin {
    server: String,
    stream: BufReader<Timed>,
    peer: SocketAddr,
}

/// A stream whose peer has until a moment to take or bring whatever it is: a byte now and then does not put that off.
struct Timed {
    stream: TcpStream,
    until: Instant,
}

impl Timed {
    fn left(&self) -> io::Result<Duration> {
        let left = self.until.saturating_duration_since(Instant::now());
        if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(left) }
    }
}

impl io::Read for Timed {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.stream.set_read_timeout(Some(self.left()?))?;
        self.stream.read(into)
    }
}

impl io::Write for Timed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.set_write_timeout(Some(self.left()?))?;
        self.stream.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

impl Admin {
    /// Connects to `HOST:PORT`.
    ///
    /// # Errors
    /// No such address, or nobody there.
    pub fn connect(server: &str) -> Result<Self, Error> {
        let fail = |source| Error::MemcachedConnect { server: server.to_owned(), source };
        let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
        for address in server.to_socket_addrs().map_err(fail)? {
            match TcpStream::connect_timeout(&address, CONNECT_TIMEOUT) {
                Ok(stream) => {
                    stream.set_nodelay(true).map_err(fail)?;
                    let stream = Timed { stream, until: Instant::now() };
                    let (server, peer) = (server.to_owned(), address);
                    return Ok(Self { server, stream: BufReader::with_capacity(64 << 10, stream), peer });
                }
                Err(error) => last = error,
            }
        }
        Err(fail(last))
    }

    /// The server's TCP address.
    pub fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// The server as it was given.
    pub fn server(&self) -> &str {
        &self.server
    }

    /// The version, such as `1.6.18`.
    ///
    /// # Errors
    /// The connection failed, or this is no memcached.
    pub fn version(&mut self) -> Result<String, Error> {
        self.send(b"version\r\n")?;
        let line = self.line()?;
        let version = line.strip_prefix(b"VERSION ").ok_or_else(|| self.unexpected("version", &line))?;
        Ok(String::from_utf8_lossy(version).into_owned())
    }

    /// `stats`, or with `settings` its part of that name.
    ///
    /// # Errors
    /// The connection failed, or the answer is no list of statistics.
    pub fn stats(&mut self, part: &str) -> Result<Words, Error> {
        let command = format!("stats {part}");
        self.send(format!("{}\r\n", command.trim_end()).as_bytes())?;
        let mut words = Words::new();
        loop {
            let line = self.line()?;
            if line == b"END" {
                return Ok(words);
            }
            let text = String::from_utf8_lossy(&line);
            let (name, value) = text
                .strip_prefix("STAT ")
                .map(|rest| rest.split_once(' ').unwrap_or((rest, "")))
                .ok_or_else(|| self.unexpected(&command, &line))?;
            if words.len() == WORDS_MAX {
                return Err(self.unexpected(&command, &line));
            }
            words.insert(name.to_owned(), value.to_owned());
        }
    }

    /// The value stored under a key.
    ///
    /// # Errors
    /// The connection failed, or the answer is none to a get.
    pub fn get(&mut self, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        let mut request = b"get ".to_vec();
        request.extend_from_slice(key);
        request.extend_from_slice(b"\r\n");
        self.send(&request)?;
        let mut line = self.line()?;
        line.extend_from_slice(b"\r\n");
        match text::line(&line) {
            Ok(Some((Line::End, _))) => Ok(None),
            Ok(Some((Line::Value { key: found, bytes }, _)))
                if found == key && bytes <= VALUE_BYTES_CEILING as usize =>
            {
                let mut value = vec![0; bytes + b"\r\nEND\r\n".len()];
                self.stream.read_exact(&mut value).map_err(|error| self.failed(error))?;
                let tail = value.split_off(bytes);
                if tail == b"\r\nEND\r\n" { Ok(Some(value)) } else { Err(self.unexpected("get", &tail)) }
            }
            _ => Err(self.unexpected("get", &line)),
        }
    }

    /// Stores items (key, value, seconds to live or 0), many at once, every reply looked at. `progress` is told how many so far.
    ///
    /// # Errors
    /// The connection failed, or an item was not stored.
    pub fn set_all(
        &mut self,
        items: impl Iterator<Item = (Vec<u8>, Vec<u8>, u64)>,
        mut progress: impl FnMut(u64),
    ) -> Result<u64, Error> {
        let (mut batch, mut unanswered, mut stored) = (Vec::with_capacity(2 * SET_BYTES_AT_ONCE), 0, 0);
        for (key, value, ttl_s) in items {
            text::write_set(&key, &value, expires(ttl_s), &mut batch);
            unanswered += 1;
            if unanswered == SETS_AT_ONCE || batch.len() >= SET_BYTES_AT_ONCE {
                stored += self.flush(&mut batch, &mut unanswered)?;
                progress(stored);
            }
        }
        stored += self.flush(&mut batch, &mut unanswered)?;
        progress(stored);
        Ok(stored)
    }

    fn flush(&mut self, batch: &mut Vec<u8>, unanswered: &mut usize) -> Result<u64, Error> {
        self.send(batch)?;
        batch.clear();
        let sets = std::mem::take(unanswered);
        for _ in 0..sets {
            let line = self.line()?;
            if line != b"STORED" {
                let answer = String::from_utf8_lossy(&line).into_owned();
                return Err(Error::MemcachedNotStored { server: self.server.clone(), answer });
            }
        }
        Ok(sets as u64)
    }

    fn send(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let stream = self.stream.get_mut();
        stream.until = Instant::now() + ANSWER_TIMEOUT;
        stream.write_all(bytes).map_err(|error| self.failed(error))
    }

    /// A line without its end.
    fn line(&mut self) -> Result<Vec<u8>, Error> {
        let mut line = Vec::new();
        let most = LINE_BYTES_MAX as u64;
        self.stream.by_ref().take(most).read_until(b'\n', &mut line).map_err(|error| self.failed(error))?;
        match line.strip_suffix(b"\r\n") {
            Some(text) => Ok(text.to_vec()),
            None if line.is_empty() => {
                Err(self.failed(io::Error::new(io::ErrorKind::UnexpectedEof, "it closed the connection")))
            }
            None => Err(self.unexpected("a command", &line)),
        }
    }

    fn failed(&self, source: io::Error) -> Error {
        let source = match source.kind() {
            // What a read timeout looks like.
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
                io::Error::new(io::ErrorKind::TimedOut, format!("no whole answer within {ANSWER_TIMEOUT:?}"))
            }
            _ => source,
        };
        Error::MemcachedConnection { server: self.server.clone(), source }
    }

    fn unexpected(&self, command: &str, answer: &[u8]) -> Error {
        let answer: String = answer[..answer.len().min(60)].escape_ascii().to_string();
        Error::NotMemcached { server: self.server.clone(), command: command.trim_end().to_owned(), answer }
    }
}

/// What a `set` says for a time to live: memcached takes long ones for dates.
fn expires(ttl_s: u64) -> u64 {
    match ttl_s {
        0..=TTL_S_MAX => ttl_s,
        _ => SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs()) + ttl_s,
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    /// Connects to somebody who takes a command and then says `word(0)`, `word(1)` and so on, as long as anybody listens.
    fn endless(pause: Duration, word: fn(usize) -> String) -> Admin {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            for number in 0.. {
                if stream.write_all(word(number).as_bytes()).is_err() {
                    return;
                }
                thread::sleep(pause);
            }
        });
        Admin::connect(&address).unwrap()
    }

    #[test]
    fn statistics_without_end_are_none() {
        let mut admin = endless(Duration::ZERO, |number| format!("STAT {number} x\r\n"));
        assert!(matches!(admin.stats(""), Err(Error::NotMemcached { .. })));
    }

    #[test]
    fn an_answer_in_drips_is_none_in_time() {
        let mut admin = endless(Duration::from_millis(50), |_| "x".to_owned());
        // Far fewer bytes than a line may have: it is the time that ends it.
        assert!(matches!(admin.version(), Err(Error::MemcachedConnection { .. })));
        let mut admin = endless(Duration::from_millis(50), |_| "STAT same x\r\n".to_owned());
        assert!(matches!(admin.stats(""), Err(Error::MemcachedConnection { .. })));
    }

    #[test]
    fn a_long_time_to_live_is_given_as_a_date() {
        assert_eq!((expires(0), expires(60), expires(TTL_S_MAX)), (0, 60, TTL_S_MAX));
        assert!(expires(TTL_S_MAX + 1) > 1_700_000_000 + TTL_S_MAX);
    }
}
