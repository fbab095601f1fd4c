//! Servers inside this process: where they run, what they are told, and how large they are.

use std::fs::{self, File};
use std::io::Read as _;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::thread;

use shingle_netlab::lab::Entered;
use shingle_proto::limits::{KEY_BYTES_MAX, VALUE_BYTES_MAX_DEFAULT};
use shingle_proto::wire::Strategy;
use shingle_server::{Config, Pause, PortConfig, Server, StartError, Token};
use shingle_store::StoreError;
use shingle_store::limits::BUDGET_BYTES_MAX;

use crate::error::Error;
use crate::lab::Laboratory;
use crate::options::Options;
use crate::progress::Progress;
use crate::record::LabFacts;
use crate::report::terminal;
use crate::target::Placement;
use crate::workload::ItemSpace;

/// Bytes of a token made here: as many as nobody guesses.
const TOKEN_BYTES: usize = 32;

/// The kernel's range of ports for sockets that ask for none, of the namespace of who writes it.
const PORT_RANGE_FILE: &str = "/proc/sys/net/ipv4/ip_local_port_range";
/// Ports of servers in laboratories: below those that Linux gives by default, from 32768 on.
const SERVER_PORTS: &str = "20000 29999";

/// Where servers inside this process run, and what they are told there.
#[derive(Clone, Debug)]
pub struct Site {
    /// Address they listen on.
    listen: IpAddr,
    /// What updates need; empty where the generator is on the server's host.
    token: Vec<u8>,
    /// Pauses injected on purpose.
    pause: Option<Pause>,
    /// The laboratory, if it is in one.
    lab: Option<Arc<Laboratory>>,
}

impl Site {
    /// Beside the generator, on this host's loopback.
    pub fn loopback() -> Self {
        Self { listen: IpAddr::V4(Ipv4Addr::LOCALHOST), token: Vec::new(), pause: None, lab: None }
    }

    /// At the far end of a laboratory, where updates from its client need a token: one that nobody else knows is made here.
    ///
    /// # Errors
    /// No random numbers.
    pub fn in_lab(lab: Arc<Laboratory>) -> Result<Self, Error> {
        let mut token = vec![0; TOKEN_BYTES];
        File::open("/dev/urandom")
            .and_then(|mut random| random.read_exact(&mut token))
            .map_err(|error| Error::system("cannot read /dev/urandom", error))?;
        let pause = lab.pauses().server.map(|(duration, interval)| Pause { duration, interval });
        // A server drops what comes from one of its own ports (reflected datagrams would circle between two of them): no port of the
        // generator, which is chosen in another namespace, may be one of these.
        lab.at_server(|| fs::write(PORT_RANGE_FILE, SERVER_PORTS))?
            .map_err(|error| Error::system("cannot set the server's range of ports", error))?;
        Ok(Self { listen: lab.server_address(), token, pause, lab: Some(lab) })
    }

    /// The place the options ask for: a laboratory is brought up now.
    ///
    /// # Errors
    /// No laboratory to be had.
    pub fn prepare(options: &Options, progress: &Progress) -> Result<Self, Error> {
        let Some(choice) = &options.lab else { return Ok(Self::loopback()) };
        let lab = Arc::new(Laboratory::up(choice)?);
        let LabFacts { topology, settings, packets_per_s_max } = lab.facts();
        let settings: Vec<_> = settings.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let range = terminal::lab_range(*packets_per_s_max);
        progress.note(&format!("laboratory {topology} ({}); it {range}", settings.join(", ")));
        Self::in_lab(lab)
    }

    /// Moves the calling thread to where the generator is, until the guard is dropped; threads begun and sockets opened meanwhile stay
    /// there.
    ///
    /// # Errors
    /// Those of the kernel.
    pub fn enter(&self) -> Result<Option<Entered>, Error> {
        Ok(self.lab.as_ref().map(|lab| lab.enter_client()).transpose()?)
    }

    /// The laboratory, if it is in one.
    pub fn lab(&self) -> Option<&Arc<Laboratory>> {
        self.lab.as_ref()
    }

    /// What the generator shares with a server here.
    pub fn placement(&self) -> Placement {
        if self.lab.is_some() { Placement::Lab } else { Placement::Embedded }
    }

    /// Does `work` where the server is; threads begun in it stay there.
    fn at_server<T>(&self, work: impl FnOnce() -> T) -> Result<T, Error> {
        match &self.lab {
            Some(lab) => Ok(lab.at_server(work)?),
            None => Ok(work()),
        }
    }
}

/// A server inside this process; dropping it stops it.
pub struct Embedded {
    server: Server,
    site: Site,
}

impl Embedded {
    /// Starts a server with a UDP port for each strategy, with room for the items, its workers on the CPUs that the options leave to it.
    ///
    /// Several targets may share it. Where `compressed` is among the strategies, values are kept compressed for all of them: to compare
    /// it with others, start a server of its own for it.
    ///
    /// # Errors
    /// It cannot be started: most likely the items do not fit the memory there is.
    pub fn start(
        site: &Site,
        strategies: &[Strategy],
        options: &Options,
        space: &ItemSpace,
    ) -> Result<Arc<Self>, Error> {
        let token = (!site.token.is_empty()).then(|| Token::new(&site.token));
        let config = Config {
            listen: site.listen,
            udp_ports: strategies.iter().map(|strategy| PortConfig::new(0, *strategy)).collect(),
            tcp_port: 0,
            memory_bytes: memory_for(space),
            workers_per_port: options.server_cpus.len(),
            receipts: true,
            token: token.transpose().expect("a site's token has a token's length"),
            inject_pause: site.pause,
            ..Config::default()
        };
        // Workers take CPUs in turn: those of each port shall have the same, whichever port comes first.
        let start = || site.at_server(|| Server::start(config));
        let server = keep_to(&options.server_cpus, start)??.map_err(refused)?;
        Ok(Arc::new(Self { server, site: site.clone() }))
    }

    /// Its TCP address, HOST:PORT.
    pub fn address(&self) -> String {
        self.server.tcp_addr().to_string()
    }

    /// What updates need.
    pub fn token(&self) -> &[u8] {
        &self.site.token
    }

    /// How many items it holds.
    pub fn items(&self) -> u64 {
        self.server.stats().store.items
    }

    /// Where it runs.
    pub fn site(&self) -> &Site {
        &self.site
    }

    /// Whether it still serves.
    ///
    /// # Errors
    /// It stopped by itself: what reads lost since is not the path's doing.
    pub fn check_alive(&self) -> Result<(), Error> {
        match self.server.failure() {
            Some(failure) => Err(Error::EmbeddedFailed(failure.clone())),
            None => Ok(()),
        }
    }
}

/// Does `work` on a thread that these CPUs alone are for, as are those begun in it.
fn keep_to<T: Send>(cpus: &[usize], work: impl FnOnce() -> T + Send) -> Result<T, Error> {
    let kept = || {
        shingle_udp::keep_thread_to(cpus)?;
        Ok(work())
    };
    let done = thread::scope(|scope| scope.spawn(kept).join().expect("starting a server does not panic"));
    done.map_err(|error| Error::system("cannot keep the server to its CPUs", error))
}

fn refused(error: StartError) -> Error {
    match error {
        StartError::Store(StoreError::BudgetAboveAvailable { budget_bytes, available_bytes }) => {
            Error::EmbeddedMemory { budget_bytes, most_bytes: available_bytes }
        }
        StartError::Store(StoreError::BudgetTooLarge { budget_bytes }) => {
            Error::EmbeddedMemory { budget_bytes, most_bytes: BUDGET_BYTES_MAX as u64 }
        }
        other => other.into(),
    }
}

/// Room for all items with what the store takes beside them (some 24 B) and the seal (8 B), and a tenth to spare.
/// Records do not cross the store's segments, which hold one record of the largest size or a few: large values leave
/// room unused at the end of each.
fn memory_for(space: &ItemSpace) -> usize {
    const BESIDE_BYTES: u64 = 40;
    const LEAST_BYTES: u64 = 16 << 20;
    const SEGMENT_BYTES: u64 = VALUE_BYTES_MAX_DEFAULT as u64;
    let items = u64::from(space.items());
    let bytes = space.stored_bytes() + items * BESIDE_BYTES;
    let whole_segments = items * (SEGMENT_BYTES + BESIDE_BYTES + KEY_BYTES_MAX as u64);
    let largest = (0..space.items()).map(|item| space.value_bytes(item)).max().unwrap_or(0) as u64;
    let packed = if largest < SEGMENT_BYTES / 2 {
        bytes + bytes * largest / (SEGMENT_BYTES - largest)
    } else {
        whole_segments.min(2 * bytes)
    };
    (packed + packed / 10 + LEAST_BYTES) as usize
}
