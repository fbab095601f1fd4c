//! The client for tokio: a handle that many tasks share, and behind it one task that owns the socket.

mod driver;
mod over_tcp;
mod pending;
mod reads;
mod stats;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use shingle_udp::monotonic_ns;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::time::{Instant, timeout_at};

use self::driver::{Driver, Parts};
use self::over_tcp::on_blocking_thread;
use self::pending::Pending;
use self::reads::{Begin, Command, End};
use crate::control::Welcome;
use crate::error::{ConnectError, GetError};
use crate::options::Options;
use crate::setup::{self, Connected};
use crate::tcp::Tcp;

pub use self::stats::{Outcomes, ServerState, Stats};

/// Reads from one server over UDP, and over TCP what UDP does not serve; for tokio.
///
/// Clones are cheap and share one socket and one driver task; the task ends when the last of them is dropped. All
/// futures may be dropped at any time: the read is cancelled, its place is free again, and a late answer is thrown away.
#[derive(Clone)]
pub struct Client {
    shared: Arc<Shared>,
}

struct Shared {
    options: Options,
    welcome: Welcome,
    server: SocketAddr,
    /// Not longer than two for each turn given: a read begun, and the same read cancelled.
    commands: mpsc::UnboundedSender<Command>,
    /// Turns of reads, given in the order asked for; the driver gives each back when its read has ended.
    turns: Arc<Semaphore>,
    state: watch::Receiver<ServerState>,
    stats: Arc<Mutex<Stats>>,
    next_token: AtomicU64,
    /// The server's TCP port as the caller named it.
    tcp_address: String,
    tcp: Arc<tokio::sync::Mutex<Tcp>>,
}

/// One call: when it ends.
#[derive(Clone, Copy)]
struct Call {
    deadline: Instant,
    deadline_ns: u64,
}

/// Why a read got no turn, or has no use for it.
#[derive(Clone, Copy)]
enum NoTurn {
    TimedOut,
    /// There was a turn, and no time for it.
    TooLate,
    /// The server is known not to answer.
    Fails(ServerState),
    Stopped,
}

impl Client {
    /// Connects to `address` (HOST:PORT of the server's TCP port) with the default [`Options`].
    ///
    /// # Errors
    /// See [`ConnectError`].
    ///
    /// # Panics
    /// Outside of a tokio runtime with its I/O and time drivers enabled.
    pub async fn connect(address: &str) -> Result<Client, ConnectError> {
        Client::connect_with(address, Options::default()).await
    }

    /// Connects to `address` (HOST:PORT of the server's TCP port). The TCP hello brings the UDP ports and the cookie that
    /// proves this host's address; then a UDP socket is opened to the port chosen, and the driver task begins.
    ///
    /// # Errors
    /// See [`ConnectError`].
    ///
    /// # Panics
    /// As [`connect`](Self::connect).
    pub async fn connect_with(address: &str, options: Options) -> Result<Client, ConnectError> {
        let (name, settings) = (address.to_owned(), options.clone());
        let connect = move || setup::connect(&name, &settings, settings.heartbeat);
        let Connected { control, socket, flow } = on_blocking_thread(connect).await?;
        let welcome = control.welcome().clone();
        let server = flow.server();
        let (commands, orders) = mpsc::unbounded_channel();
        let (publish, state) = watch::channel(ServerState::Unheard);
        let turns = Arc::new(Semaphore::new(options.in_flight_max));
        let fail_fast = !options.heartbeat.is_zero();
        let parts = Parts { orders, publish, fail_fast };
        let driver = Driver::new(socket, flow, parts)
            .map_err(|source| ConnectError::Socket { address: server.to_string(), source })?;
        let stats = driver.stats();
        tokio::spawn(driver.run());
        let tcp = Tcp::new(address, &options.token, options.timeout, control);
        let shared = Shared {
            options,
            welcome,
            server,
            commands,
            turns,
            state,
            stats,
            next_token: AtomicU64::new(0),
            tcp_address: address.to_owned(),
            tcp: Arc::new(tokio::sync::Mutex::new(tcp)),
        };
        Ok(Client { shared: Arc::new(shared) })
    }

    /// Reads a value; `None` where the key is not stored. The value is verified end to end.
    ///
    /// Where [`Options::in_flight_max`] reads are under way it waits for its turn, first come first served; the time
    /// counts from the call.
    ///
    /// # Errors
    /// See [`GetError`].
    pub async fn get(&self, key: impl AsRef<[u8]>) -> Result<Option<Vec<u8>>, GetError> {
        let (key, call) = (key.as_ref(), self.call());
        match self.begin(&[key], call).await {
            Ok(mut pending) => match pending.pop() {
                Some(pending) => self.end(pending, key, call).await,
                None => Err(GetError::Stopped),
            },
            Err(reason) => Err(self.no_turn(reason)),
        }
    }

    /// Reads many values, [`Options::gets_per_datagram_max`] in a request datagram. The results are in the order of the
    /// keys; the time of all of them counts from the call.
    pub async fn get_many<K: AsRef<[u8]>>(&self, keys: &[K]) -> Vec<Result<Option<Vec<u8>>, GetError>> {
        let call = self.call();
        let group =
            usize::from(self.shared.options.gets_per_datagram_max).min(self.shared.options.in_flight_max);
        let mut begun = Vec::with_capacity(keys.len());
        for keys in keys.chunks(group) {
            match self.begin(keys, call).await {
                Ok(pending) => begun.extend(pending.into_iter().map(Ok)),
                Err(reason) => begun.extend(keys.iter().map(|_| Err(reason))),
            }
        }
        let mut results = Vec::with_capacity(keys.len());
        for (pending, key) in begun.into_iter().zip(keys) {
            results.push(match pending {
                Ok(pending) => self.end(pending, key.as_ref(), call).await,
                Err(reason) => Err(self.no_turn(reason)),
            });
        }
        results
    }

    /// What the client counted, and what it knows of the path: a picture of the driver's last turn.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.shared.stats.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What is known of the server right now.
    #[must_use]
    pub fn state(&self) -> ServerState {
        *self.shared.state.borrow()
    }

    /// What is known of the server, and each change of it.
    #[must_use]
    pub fn watch_state(&self) -> watch::Receiver<ServerState> {
        self.shared.state.clone()
    }

    /// What the server said about itself when the client connected.
    #[must_use]
    pub fn welcome(&self) -> &Welcome {
        &self.shared.welcome
    }

    /// Where the reads go: the server's UDP port.
    #[must_use]
    pub fn server(&self) -> SocketAddr {
        self.shared.server
    }

    fn call(&self) -> Call {
        let timeout = self.shared.options.timeout;
        // A timeout beyond what the clock can count is a wish for a very long one.
        let deadline = Instant::now().checked_add(timeout).unwrap_or_else(|| Instant::now() + A_LONG_TIME);
        Call { deadline, deadline_ns: monotonic_ns().saturating_add(setup::nanoseconds(timeout)) }
    }

    /// Waits for the turns of a group of reads and hands them to the driver together.
    async fn begin<K: AsRef<[u8]>>(&self, keys: &[K], call: Call) -> Result<Vec<Pending>, NoTurn> {
        let shared = &*self.shared;
        self.may_begin()?;
        let waits = shared.turns.available_permits() < keys.len();
        let count = u32::try_from(keys.len()).unwrap_or(u32::MAX);
        let turns = match timeout_at(call.deadline, Arc::clone(&shared.turns).acquire_many_owned(count)).await
        {
            Ok(Ok(turns)) => turns,
            Ok(Err(_closed)) => return Err(NoTurn::Stopped),
            Err(_elapsed) => return Err(NoTurn::TimedOut),
        };
        // The turn may have come with the end of the time, or of the server.
        if monotonic_ns() >= call.deadline_ns {
            return Err(if waits { NoTurn::TimedOut } else { NoTurn::TooLate });
        }
        self.may_begin()?;
        let mut pending = Vec::with_capacity(keys.len());
        let reads = keys.iter().map(|key| {
            let token = shared.next_token.fetch_add(1, Ordering::Relaxed);
            let (guard, reply) = Pending::new(token, shared.commands.clone());
            pending.push(guard);
            (token, key.as_ref(), reply)
        });
        let reads = Begin::group(reads, call.deadline_ns, turns);
        shared.commands.send(Command::Begin(reads)).map_err(|_closed| NoTurn::Stopped)?;
        Ok(pending)
    }

    /// Whether reads are worth beginning: not while heartbeats say that nobody would answer.
    fn may_begin(&self) -> Result<(), NoTurn> {
        let state = self.state();
        let fails = !state.answers() && !self.shared.options.heartbeat.is_zero();
        if fails { Err(NoTurn::Fails(state)) } else { Ok(()) }
    }

    /// Waits for the end of a read, over TCP where UDP does not serve it.
    async fn end(&self, pending: Pending, key: &[u8], call: Call) -> Result<Option<Vec<u8>>, GetError> {
        let after = self.shared.options.timeout;
        match pending.await {
            End::Value(value) => Ok(Some(value)),
            End::Miss => Ok(None),
            End::OverTcp => {
                let key = key.to_vec();
                let read = self.over_tcp("GET", move |control| control.get(&key));
                match timeout_at(call.deadline, read).await {
                    Ok(result) => Ok(result?),
                    Err(_elapsed) => Err(nothing_came(after)),
                }
            }
            End::TimedOut { received_bytes, total_bytes, corrupt } => {
                Err(GetError::TimedOut { after, received_bytes, total_bytes, corrupt })
            }
            End::Refused(reason) => Err(GetError::Refused { reason }),
            End::NotSent => Err(GetError::NotSent),
            End::NotBegun(error) => Err(error.into()),
            End::Fails(state) => Err(self.no_turn(NoTurn::Fails(state))),
            End::Socket(error) => Err(GetError::Socket(error)),
            End::Stopped => Err(GetError::Stopped),
        }
    }

    fn no_turn(&self, reason: NoTurn) -> GetError {
        let options = &self.shared.options;
        match reason {
            NoTurn::TimedOut => {
                GetError::NoTurn { after: options.timeout, in_flight_max: options.in_flight_max }
            }
            NoTurn::TooLate => nothing_came(options.timeout),
            NoTurn::Fails(ServerState::Silent { since }) => GetError::Silent { silence: since.elapsed() },
            NoTurn::Fails(_) => GetError::Unreachable,
            NoTurn::Stopped => GetError::Stopped,
        }
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client")
            .field("server", &self.shared.server)
            .field("state", &self.state())
            .field("options", &self.shared.options)
            .finish_non_exhaustive()
    }
}

/// The end of a read that brought nothing in its time.
fn nothing_came(after: Duration) -> GetError {
    GetError::TimedOut { after, received_bytes: 0, total_bytes: 0, corrupt: 0 }
}

/// Longer than any program waits, shorter than clocks overflow.
const A_LONG_TIME: Duration = Duration::from_secs(365 * 86_400);
