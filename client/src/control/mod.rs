//! The blocking TCP client: updates, administration, and reads for whom UDP does not work.

mod error;
mod exchange;
mod link;
mod pipeline;
mod read;
mod receipts;
mod welcome;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use shingle_proto::wire::{Control as Request, Flush, Frame, Get, Hello, KeyRequest, Ping};

use self::exchange::{DELETE, SET};
use self::link::{Input, Link};
use self::read::GET;
use crate::limits::PROTOCOL_VERSION;

pub use self::error::ControlError;
pub use self::pipeline::Updates;
pub use self::receipts::ReceiptList;
pub use self::welcome::Welcome;
pub use shingle_proto::wire::{ErrorCode, FlushWhat, Outcome, Port, Receipt, Refusal, Strategy};

/// One TCP connection to a server. Calls block; none waits longer than the timeout given to [`connect`](Self::connect)
/// for the next byte. Buffers are kept and used again.
#[derive(Debug)]
pub struct Control {
    link: Link,
    welcome: Welcome,
    input: Input,
    output: Vec<u8>,
    next_id: u32,
}

/// A server's answer to PING.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pong {
    /// Time from before the request was written until its answer was read.
    pub round_trip: Duration,
    /// The server is about to leave.
    pub draining: bool,
}

impl Control {
    /// Connects to `address` (HOST:PORT; each address of the host is tried in turn) and says hello. `token` is what the
    /// server was started with, or empty: then updates are allowed from the server's own host only. `timeout` is the
    /// longest wait for a connection and, later, the longest silence in any call.
    ///
    /// # Errors
    /// See [`ControlError`]: the address does not resolve, nothing answers there, it is not a Shingle server or one of
    /// another version, or the token is wrong.
    pub fn connect(address: &str, token: &[u8], timeout: Duration) -> Result<Control, ControlError> {
        if token.len() > usize::from(u8::MAX) {
            return Err(ControlError::Token { bytes: token.len() });
        }
        let link = Link::connect(address, timeout)?;
        let (mut input, mut output) = (Input::default(), Vec::new());
        let id = 1;
        let hello = Hello { id, version_min: PROTOCOL_VERSION, version_max: PROTOCOL_VERSION, token };
        exchange::append(&mut output, id, &Frame::Control(Request::Hello(hello)));
        let welcome = say_hello(&link, &mut input, &output, id).map_err(not_shingle)?;
        Ok(Control { link, welcome, input, output, next_id: id + 1 })
    }

    /// What the server said about itself when the connection began.
    #[must_use]
    pub fn welcome(&self) -> &Welcome {
        &self.welcome
    }

    /// The server's address this connection leads to.
    ///
    /// # Errors
    /// When the connection is lost.
    pub fn peer(&self) -> Result<SocketAddr, ControlError> {
        self.link.peer().map_err(|source| ControlError::Io { address: self.link.address.clone(), source })
    }

    /// Stores a value for `ttl_s` seconds (0: until it is evicted) and returns its version.
    ///
    /// # Errors
    /// Key or value out of range, no right to update, store full, or the connection failed.
    pub fn set(&mut self, key: &[u8], value: &[u8], ttl_s: u32) -> Result<u64, ControlError> {
        exchange::check_key(key)?;
        exchange::check_value(value, self.welcome.value_bytes_max)?;
        let id = self.take_id();
        self.output.clear();
        exchange::append_set(&mut self.output, id, key, value, ttl_s);
        self.link.write(&self.output, &mut self.input, SET)?;
        exchange::read_done(&self.link, &mut self.input, SET, id)
    }

    /// Stores many values, given as (key, value, time to live in seconds), without waiting for each answer, and returns
    /// how many were stored. `progress` is called now and then with the number the server has confirmed, and at the end.
    ///
    /// # Errors
    /// The first value that could not be stored, or the failure of the connection. Nothing is sent after it, but
    /// values sent before it was known may have been stored.
    pub fn set_all<K: AsRef<[u8]>, V: AsRef<[u8]>>(
        &mut self,
        items: impl IntoIterator<Item = (K, V, u32)>,
        progress: impl FnMut(u64),
    ) -> Result<u64, ControlError> {
        pipeline::set_all(self, items.into_iter(), progress)
    }

    /// Begins a stream of updates that do not wait for each other's answers. `outcome` is told what became of each, in their
    /// order: its number from 0 on and its result.
    ///
    /// ```no_run
    /// # let mut control = shingle_client::control::Control::connect("127.0.0.1:7401", b"", std::time::Duration::from_secs(1))?;
    /// let mut updates = control.updates(|number, outcome| {
    ///     if let Err(refusal) = outcome {
    ///         eprintln!("update {number}: {refusal}");
    ///     }
    /// });
    /// updates.set(b"greeting", b"hello", 60)?;
    /// updates.delete(b"farewell")?;
    /// updates.finish()?;
    /// # Ok::<(), shingle_client::control::ControlError>(())
    /// ```
    pub fn updates<F: FnMut(u64, Result<u64, ControlError>)>(&mut self, outcome: F) -> Updates<'_, F> {
        Updates::new(self, outcome)
    }

    /// Reads a value; `None` where the key is not stored. The value is verified end to end.
    ///
    /// # Errors
    /// Key out of range, a value that fails its check, or the connection failed.
    pub fn get(&mut self, key: &[u8]) -> Result<Option<Vec<u8>>, ControlError> {
        exchange::check_key(key)?;
        let id = self.send(GET, |id| Frame::Get(Get { id, key }))?;
        read::read_value(&self.link, &mut self.input, id, key, self.welcome.value_bytes_max)
    }

    /// Removes a key and tells whether it was stored.
    ///
    /// # Errors
    /// Key out of range, no right to update, or the connection failed.
    pub fn delete(&mut self, key: &[u8]) -> Result<bool, ControlError> {
        exchange::check_key(key)?;
        Ok(self.done(DELETE, |id| Request::Delete(KeyRequest { id, key }))? != 0)
    }

    /// Empties the cache, or what the server's kernel has learned about path MTUs; returns the number of items.
    ///
    /// # Errors
    /// No right to do so (the server needs rights of its own to flush path MTUs), or the connection failed.
    pub fn flush(&mut self, what: FlushWhat) -> Result<u64, ControlError> {
        self.done("FLUSH", |id| Request::Flush(Flush { id, what }))
    }

    /// The server's statistics, a JSON document.
    ///
    /// # Errors
    /// When the connection failed.
    pub fn stats(&mut self) -> Result<String, ControlError> {
        match self.call("STATS", |id| Request::Stats { id })? {
            Request::Text(text) => Ok(text.text.to_owned()),
            _ => Err(self.link.unexpected("STATS")),
        }
    }

    /// Asks whether the server is there, and whether it is about to leave.
    ///
    /// # Errors
    /// When the connection failed.
    pub fn ping(&mut self) -> Result<Pong, ControlError> {
        let begin = Instant::now();
        let payload = u64::from(self.next_id);
        match self.call("PING", |id| Request::Ping(Ping { id, payload }))? {
            Request::Pong(pong) if pong.payload == payload => {
                Ok(Pong { round_trip: begin.elapsed(), draining: pong.draining })
            }
            _ => Err(self.link.unexpected("PING")),
        }
    }

    /// Tells the server to leave: it says so in every answer and goes when its clients had time to notice.
    ///
    /// # Errors
    /// No right to do so, or the connection failed.
    pub fn drain(&mut self) -> Result<(), ControlError> {
        self.done("DRAIN", |id| Request::Drain { id }).map(|_zero| ())
    }

    fn take_id(&mut self) -> u32 {
        let id = self.next_id;
        self.next_id = id.wrapping_add(1);
        id
    }

    /// Sends a request of one frame and returns its id.
    fn send<'f>(
        &mut self,
        request: &'static str,
        frame: impl FnOnce(u32) -> Frame<'f>,
    ) -> Result<u32, ControlError> {
        let id = self.take_id();
        self.output.clear();
        exchange::append(&mut self.output, id, &frame(id));
        self.link.write(&self.output, &mut self.input, request)?;
        Ok(id)
    }

    /// Sends a request and waits for the frame that answers it.
    fn call<'f>(
        &mut self,
        request: &'static str,
        frame: impl FnOnce(u32) -> Request<'f>,
    ) -> Result<Request<'_>, ControlError> {
        let id = self.send(request, |id| Frame::Control(frame(id)))?;
        exchange::read_control(&self.link, &mut self.input, request, id)
    }

    /// Sends a request and waits for its DONE.
    fn done<'f>(
        &mut self,
        request: &'static str,
        frame: impl FnOnce(u32) -> Request<'f>,
    ) -> Result<u64, ControlError> {
        let id = self.send(request, |id| Frame::Control(frame(id)))?;
        exchange::read_done(&self.link, &mut self.input, request, id)
    }
}

fn say_hello(link: &Link, input: &mut Input, hello: &[u8], id: u32) -> Result<Welcome, ControlError> {
    link.write(hello, input, "HELLO")?;
    match exchange::read_control(link, input, "HELLO", id)? {
        Request::Welcome(welcome) => {
            Welcome::from_wire(&welcome).map_err(|found| link.invalid("HELLO", found))
        }
        _ => Err(link.unexpected("HELLO")),
    }
}

/// Nothing is known about the peer yet: what cannot be understood is another service rather than a broken server.
fn not_shingle(error: ControlError) -> ControlError {
    match error {
        ControlError::Invalid { address, found, .. } => {
            ControlError::NotShingle { address, found: format!("it answers HELLO with {found}") }
        }
        ControlError::Closed { address, .. } => ControlError::NotShingle {
            address,
            found: "it closed the connection instead of answering HELLO".into(),
        },
        other => other,
    }
}
