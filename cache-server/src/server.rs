//! A running server: started whole, stopped whole.

use std::net::SocketAddr;
use std::sync::mpsc;
use std::sync::{Arc, OnceLock};
use std::thread::{self, JoinHandle};
use std::time::Duration;
use std::{fmt, io};

use mio::{Poll, Waker};
use shingle_proto::limits::SEAL_BYTES;
use shingle_proto::wire::Strategy;
use shingle_store::{Store, StoreConfig};
use shingle_udp::{Socket, allowed_cpus};

use crate::config::Config;
use crate::control::ControlPlane;
use crate::cookies::SharedSecrets;
use crate::error::StartError;
use crate::failure::{self, Failure};
use crate::limits::RECEIPTS_PER_WORKER;
use crate::shared::{Parts, PortState, Shared, instance_nonce};
use crate::stats::StatsReport;
use crate::worker::{ReceiptRing, WAKER, Worker, WorkerState};
use crate::{listen, report};

/// A server whose threads run. Dropping it stops it.
pub struct Server {
    shared: Arc<Shared>,
    tcp_addr: SocketAddr,
    metrics_addr: Option<SocketAddr>,
    threads: Vec<JoinHandle<()>>,
}

/// A UDP port being served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServedPort {
    /// The number bound, never 0.
    pub port: u16,
    /// Its strategy.
    pub strategy: Strategy,
}

impl Server {
    /// Binds everything, then starts the threads; returns when all of them run.
    ///
    /// # Errors
    /// Any [`StartError`]; nothing is left bound or running.
    pub fn start(config: Config) -> Result<Server, StartError> {
        config.check()?;
        let nonce = instance_nonce();
        let store = Store::new(StoreConfig {
            budget_bytes: config.memory_bytes,
            value_bytes_max: config.value_bytes_max + SEAL_BYTES,
            instance_nonce: nonce,
        })
        .map_err(StartError::store(config.value_bytes_max))?;
        let tcp = listen::tcp(SocketAddr::new(config.listen, config.tcp_port))?;
        let tcp_addr = tcp.local_addr().map_err(StartError::system("address of the TCP port"))?;
        let metrics = config.metrics.map(listen::tcp).transpose()?;
        let metrics_addr = metrics.as_ref().and_then(|listener| listener.local_addr().ok());
        let (ports, seeds) = bind_ports(&config)?;
        let shared = Arc::new(Shared::new(Parts {
            store,
            nonce,
            value_bytes_max: config.value_bytes_max,
            secrets: SharedSecrets::random().map_err(StartError::system("reading /dev/urandom"))?,
            token: config.token,
            pause: config.inject_pause,
            busy_poll: config.busy_poll,
            drain_for: config.drain_for,
            ports,
        }));
        let workers = seeds
            .into_iter()
            .map(|seed| Worker::new(&shared, seed.at, seed.socket, seed.poll))
            .collect::<io::Result<Vec<_>>>()
            .map_err(StartError::system("preparing a worker"))?;
        let control = ControlPlane::new(&shared, tcp, metrics)
            .map_err(StartError::system("preparing the control plane"))?;
        let mut server = Server { shared, tcp_addr, metrics_addr, threads: Vec::new() };
        server.run(workers, control)?;
        Ok(server)
    }

    /// Where the control plane listens.
    #[must_use]
    pub fn tcp_addr(&self) -> SocketAddr {
        self.tcp_addr
    }

    /// Where metrics are served, if they are.
    #[must_use]
    pub fn metrics_addr(&self) -> Option<SocketAddr> {
        self.metrics_addr
    }

    /// The UDP ports, in the order of the configuration and of WELCOME. Their address is that of [`Server::tcp_addr`].
    #[must_use]
    pub fn ports(&self) -> Vec<ServedPort> {
        let served = |port: &PortState| ServedPort { port: port.port, strategy: port.strategy };
        self.shared.ports.iter().map(served).collect()
    }

    /// The statistics, as STATS gives them. The kernel's counters are those of the calling thread's network namespace.
    #[must_use]
    pub fn stats(&self) -> StatsReport {
        report::report(&self.shared)
    }

    /// Begins to leave: every answer says so for the time configured, then the server stops.
    pub fn drain(&self) {
        self.shared.drain(self.shared.drain_for);
    }

    /// As [`Server::drain`], for at most this long.
    pub fn drain_for(&self, span: Duration) {
        self.shared.drain(span.min(self.shared.drain_for));
    }

    /// A handle that can drain the server while somebody else waits for its end.
    pub fn drainer(&self) -> impl Fn(Duration) + Send + Sync + use<> {
        let shared = Arc::clone(&self.shared);
        move |span| shared.drain(span.min(shared.drain_for))
    }

    /// Why the server stops or has stopped by itself, if it did. Its ports stay bound until it is dropped or waited for.
    #[must_use]
    pub fn failure(&self) -> Option<&Failure> {
        self.shared.failure()
    }

    /// Waits until the server has stopped, as it does at the end of a drain.
    ///
    /// # Errors
    /// The thread that failed, where that is why it stopped: a server that has lost one would serve half.
    pub fn wait(mut self) -> Result<(), Failure> {
        self.join();
        self.shared.failure().cloned().map_or(Ok(()), Err)
    }

    /// Stops at once: threads end, ports are closed.
    pub fn stop(self) {
        drop(self);
    }

    fn run(&mut self, workers: Vec<Worker>, control: ControlPlane) -> Result<(), StartError> {
        let cpus = allowed_cpus().unwrap_or_default();
        let (running, runs) = mpsc::channel();
        let count = workers.len();
        for (number, worker) in workers.into_iter().enumerate() {
            let cpu = cpu_of(number, &cpus);
            let running = running.clone();
            let label = format!("worker {number} (UDP port {})", worker.port());
            self.spawn(format!("worker-{number}"), label, move || {
                // The receiver is gone only when the start has failed.
                worker.run(cpu, move || {
                    let _ = running.send(());
                })
            })?;
        }
        self.spawn("control".into(), "the control plane".into(), move || {
            control.run();
            Ok(())
        })?;
        drop(running);
        match runs.iter().count() == count {
            true => Ok(()),
            false => Err(self.failed_to_run()),
        }
    }

    /// Why not every worker has come to run.
    fn failed_to_run(&mut self) -> StartError {
        self.shared.stop();
        self.join();
        let failure = self.shared.failure().expect("a worker ends before it runs by failing");
        StartError::Failed(failure.clone())
    }

    /// Starts a thread whose failure ends the server; `label` is what people call it.
    fn spawn(
        &mut self,
        name: String,
        label: String,
        body: impl FnOnce() -> io::Result<()> + Send + 'static,
    ) -> Result<(), StartError> {
        let shared = Arc::clone(&self.shared);
        let thread = thread::Builder::new()
            .name(name)
            .spawn(move || failure::guard(&shared, label, body))
            .map_err(StartError::system("starting a thread"))?;
        self.threads.push(thread);
        Ok(())
    }

    fn join(&mut self) {
        for thread in self.threads.drain(..) {
            // Panics are caught, and kept as the failure.
            let _ = thread.join();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shared.stop();
        self.join();
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("tcp_addr", &self.tcp_addr)
            .field("ports", &self.ports())
            .finish_non_exhaustive()
    }
}

/// What a worker is made of, and where its state is in [`Shared::ports`].
struct Seed {
    at: (usize, usize),
    socket: Arc<Socket>,
    poll: Poll,
}

/// The CPU a worker is pinned to, from the lowest up; `None` where the kernel does not tell which there are.
fn cpu_of(number: usize, cpus: &[usize]) -> Option<usize> {
    cpus.get(number % cpus.len().max(1)).copied()
}

fn bind_ports(config: &Config) -> Result<(Vec<PortState>, Vec<Seed>), StartError> {
    let interface_mtu = listen::interface_mtu(config.listen);
    let cpus = allowed_cpus().unwrap_or_default();
    let (mut ports, mut seeds) = (Vec::new(), Vec::new());
    for (port_index, port) in config.udp_ports.iter().enumerate() {
        let mut workers = Vec::new();
        let mut bound = port.port;
        let numbers = seeds.len()..seeds.len() + config.workers_per_port;
        let worker_cpus: Vec<_> = numbers.filter_map(|number| cpu_of(number, &cpus)).collect();
        for (index, socket) in listen::udp(config, port, &worker_cpus)?.into_iter().map(Arc::new).enumerate()
        {
            bound = socket.local_addr().map_err(StartError::system("address of a UDP port"))?.port();
            let poll = Poll::new().map_err(StartError::system("making a worker's poll"))?;
            workers.push(worker_state(config, seeds.len(), &socket, &poll)?);
            seeds.push(Seed { at: (port_index, index), socket, poll });
        }
        ports.push(PortState {
            port: bound,
            strategy: port.strategy,
            path_mtu_bytes: listen::path_mtu_bytes(config, port, interface_mtu),
            workers,
        });
    }
    Ok((ports, seeds))
}

fn worker_state(
    config: &Config,
    number: usize,
    socket: &Arc<Socket>,
    poll: &Poll,
) -> Result<WorkerState, StartError> {
    let granted =
        socket.recv_buffer_granted_bytes().map_err(StartError::system("asking for a receive buffer"))?;
    Ok(WorkerState {
        number: u8::try_from(number).expect("Config::check keeps to 256 workers"),
        cpu: OnceLock::new(),
        counters: Default::default(),
        receipts: config.receipts.then(|| ReceiptRing::new(RECEIPTS_PER_WORKER)),
        recv_buffer_granted_bytes: granted as u64,
        waker: Waker::new(poll.registry(), WAKER).map_err(StartError::system("making a worker's waker"))?,
        socket: Arc::clone(socket),
    })
}
