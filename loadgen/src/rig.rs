//! The rig: a seeded target, the generator's workers, and the running of one stage with both hosts' books around it.

use std::time::{Duration, SystemTime};

use shingle_proto::client::ClientConfig;
use shingle_server::Pause;
use shingle_server::stats::PathReport;

use crate::books::{Asker, ReceiptCursor, Risen, Watch};
use crate::embedded::Site;
use crate::engine::{Flow, FlowSpec, Pace, StageOutcome, StageSpec, Worker};
use crate::error::Error;
use crate::lab;
use crate::limits::{self, ANSWER_OVERHEAD_BYTES};
use crate::load::{Load, Workers};
use crate::memcached::target::{Place, Server};
use crate::memcached::tcp_flow::TcpFlow;
use crate::memcached::udp_flow::UdpFlow;
use crate::memcached::worker::Worker as MemcachedWorker;
use crate::options::Options;
use crate::progress::Progress;
use crate::protocol::Protocol;
use crate::record::{Host, LabFigures, Workload};
use crate::seeding;
use crate::stage::{self, PathFacts, StageResult};
use crate::target::{Plan, Target};
use crate::workload::{ItemSpace, KeySampler, KeySpec, Sizing, Stream, VALUE_BYTES_CEILING, units};

/// Everything a stage needs.
pub struct Rig {
    /// The options it was built from.
    pub options: Options,
    /// The server, and the workers that load it.
    pub load: Load,
    /// What is stored.
    pub space: ItemSpace,
    keys: KeySpec,
    host: Host,
    /// CPUs whose stalls fall into reads: the workers' own, and an embedded server's.
    watched_cpus: Vec<usize>,
    started: SystemTime,
    /// Stages run so far: each gets arrivals of its own.
    stages: u64,
    /// IP packets that a read took in the last stage.
    packets_a_read: f64,
    /// Asks the server meanwhile, where it can be asked.
    asker: Option<Asker>,
}

/// Connects or starts the server, and stores the items where they are not.
///
/// # Errors
/// Whatever keeps the command from doing its work.
pub fn prepare(options: &Options, reseed: bool, progress: &Progress) -> Result<(Target, ItemSpace), Error> {
    let (mut target, space) = connect(options, &Site::loopback(), progress)?;
    seeding::fill(&mut target, &space, reseed, progress)?;
    Ok((target, space))
}

/// Stores the items in a server of either protocol.
///
/// # Errors
/// Whatever keeps the command from doing its work.
pub fn seed(options: &Options, progress: &Progress) -> Result<ItemSpace, Error> {
    if !options.protocol.is_memcached() {
        return prepare(options, true, progress).map(|(_, space)| space);
    }
    let (mut server, space) = connect_memcached(options, progress)?;
    seeding::fill(&mut server, &space, true, progress)?;
    Ok(space)
}

/// Connects to a memcached; nothing is stored yet.
fn connect_memcached(options: &Options, progress: &Progress) -> Result<(Server, ItemSpace), Error> {
    let server = Server::connect(options)?;
    let item_space = |value_bytes_max| {
        // Shingle's, so that both are given the same values.
        let sizing = Sizing { answer_overhead_bytes: ANSWER_OVERHEAD_BYTES, value_bytes_max };
        ItemSpace::new(&options.values, options.items, options.seed, sizing)
            .map(|space| space.with_content(options.content))
    };
    let limit = server.value_bytes_max();
    let space = item_space(limit).map_err(|error| match item_space(VALUE_BYTES_CEILING) {
        // It is memcached's limit that is in the way.
        Ok(_) => Error::MemcachedItemSize(error, server.item_size_max()),
        Err(_) => error.into(),
    })?;
    remark(options, &space, limit, progress);
    let facts = server.facts();
    progress.note(&format!(
        "server {}: memcached {} with {} thread(s), reads to port {}",
        facts.address,
        facts.version.unwrap_or_default(),
        facts.workers,
        facts.ports.join(", "),
    ));
    Ok((server, space))
}

/// Says what of the workload is not as it was asked for.
fn remark(options: &Options, space: &ItemSpace, value_bytes_max: u32, progress: &Progress) {
    if let Some(trace) = space.trace().filter(|trace| trace.reads_left_out > 0) {
        progress.note(&format!(
            "the trace has more keys than --items {}: {} of its reads are left out",
            options.items, trace.reads_left_out
        ));
    }
    if space.values_cut() > 0 {
        progress.note(&format!(
            "{} values are longer than the server keeps, {value_bytes_max} B, and were cut to that",
            space.values_cut(),
        ));
    }
}

/// Connects or starts the server; nothing is stored yet.
fn connect(options: &Options, site: &Site, progress: &Progress) -> Result<(Target, ItemSpace), Error> {
    let plan = Plan::new(options)?;
    let sizing =
        Sizing { answer_overhead_bytes: ANSWER_OVERHEAD_BYTES, value_bytes_max: plan.value_bytes_max() };
    let space =
        ItemSpace::new(&options.values, options.items, options.seed, sizing)?.with_content(options.content);
    remark(options, &space, sizing.value_bytes_max, progress);
    let target = plan.realise(options, site, &space)?;
    let facts = target.facts();
    progress.note(&format!(
        "server {}: UDP {} with {} worker(s), answers of up to {} B a datagram{}",
        facts.address,
        facts.ports.join(", "),
        facts.workers,
        target.datagram_max,
        if facts.receipts {
            ", receipts kept"
        } else {
            ", no receipts (start it with --receipts to tell losses apart read by read)"
        },
    ));
    Ok((target, space))
}

impl Rig {
    /// Connects to the server, or starts one at `site`, opens the flows, and only when all that worked stores the items.
    ///
    /// # Errors
    /// Whatever keeps the command from doing its work.
    pub fn build(options: &Options, site: &Site, progress: &Progress) -> Result<Self, Error> {
        let mut rig = if options.protocol.is_memcached() {
            let (server, space) = connect_memcached(options, progress)?;
            Self::of_memcached(options, server, space)?
        } else {
            let (target, space) = connect(options, site, progress)?;
            Self::new(options, target, space)?
        };
        rig.load.fill(&rig.space, false, progress)?;
        rig.started = SystemTime::now();
        Ok(rig)
    }

    /// When the load began.
    pub fn started(&self) -> SystemTime {
        self.started
    }

    /// A rig on a prepared target.
    ///
    /// # Errors
    /// No sockets, or keys that do not go with the values.
    pub fn new(options: &Options, target: Target, space: ItemSpace) -> Result<Self, Error> {
        let workers = shingle_workers(options, &target, &space)?;
        Ok(Self::with(options, Load::Shingle(Box::new(target), workers), space))
    }

    /// A rig on a memcached.
    ///
    /// # Errors
    /// No sockets or connections, or keys that do not go with the values.
    pub fn of_memcached(options: &Options, server: Server, space: ItemSpace) -> Result<Self, Error> {
        let load = if options.protocol == Protocol::MemcachedTcp {
            let workers = tcp_workers(options, &server, &space)?;
            Load::MemcachedTcp(Box::new(server), workers)
        } else {
            let workers = udp_workers(options, &server, &space)?;
            Load::MemcachedUdp(Box::new(server), workers)
        };
        Ok(Self::with(options, load, space))
    }

    fn with(options: &Options, load: Load, space: ItemSpace) -> Self {
        let mut watched_cpus = options.generator_cpus.clone();
        if load.placement().is_inside() {
            watched_cpus.extend(&options.server_cpus);
        }
        watched_cpus.sort_unstable();
        watched_cpus.dedup();
        Self {
            options: options.clone(),
            keys: options.keys.unwrap_or(space.default_keys()),
            host: host_facts(options, &load),
            asker: load.dial().and_then(Asker::start),
            load,
            space,
            watched_cpus,
            started: SystemTime::now(),
            stages: 0,
            packets_a_read: 0.0,
        }
    }

    /// Watches these CPUs for stalls as well: those of a server that the caller runs on this machine.
    pub fn watch(&mut self, cpus: &[usize]) {
        self.watched_cpus.extend(cpus);
        self.watched_cpus.sort_unstable();
        self.watched_cpus.dedup();
    }

    /// Runs a stage and puts both hosts' books to it.
    ///
    /// # Errors
    /// A generator thread that could not go on, or a server in this process that lost a thread.
    pub fn stage(
        &mut self,
        pace: Pace,
        duration: Duration,
        progress: &Progress,
    ) -> Result<StageResult, Error> {
        let spec = self.next_spec(pace, duration);
        let lab_before = self.lab_reading()?;
        let before = self.load.reading();
        let cursor = self.load.keeps_receipts().then(|| ReceiptCursor::at_end(before.server())).flatten();
        let ticker = progress.stage(pace, duration);
        let watch = Watch::begin(&before, self.load.placement(), self.asker.as_ref(), spec.duration_ns);
        let tick = |elapsed_s| {
            ticker.at(elapsed_s);
            watch.tick(elapsed_s);
        };
        let outcome = self.load.run_stage(&spec, &self.space, &self.watched_cpus, &tick)?;
        ticker.finish_quietly();
        self.load.check_alive()?;
        let lab = self.lab_reading()?.zip(lab_before).map(|(now, before)| now.since(&before));
        let after = self.load.reading();
        let mut risen = after.since(&before, self.load.placement());
        watch.end(outcome.start_ns, &mut risen);
        Ok(self.settle(&spec, outcome, (risen, after.path()), cursor, lab))
    }

    /// Runs a stage without books: what books cost is measured against it.
    ///
    /// # Errors
    /// Those of [`stage`](Self::stage).
    pub fn bare_stage(&mut self, pace: Pace, duration: Duration) -> Result<StageOutcome, Error> {
        let spec = StageSpec { books: false, ..self.next_spec(pace, duration) };
        self.load.run_stage(&spec, &self.space, &self.watched_cpus, &|_| ())
    }

    fn next_spec(&mut self, pace: Pace, duration: Duration) -> StageSpec {
        self.stages += 1;
        let timeout_ns = self.options.timeout.as_nanos() as u64;
        StageSpec {
            pace,
            arrivals: self.options.arrivals,
            duration_ns: duration.as_nanos() as u64,
            start_ns: 0,
            timeout_ns,
            linger_ns: linger_ns(timeout_ns),
            gets_per_datagram: self.options.gets_per_datagram.into(),
            seed: self.options.seed.wrapping_add(self.stages),
            bound_ns: self.options.slo.p99_us * 1000,
            path_datagram_bytes: self.load.path_datagram_bytes(),
            pause: self.pause(),
            stall_ns: stall_ns(self.options.slo.p99_us),
            books: true,
        }
    }

    /// Lets the load go on for a moment without a word of it. In a laboratory nothing of what ran before is felt after it: both ends
    /// forget the path MTUs they learned, and no fragment waits for others any more.
    ///
    /// # Errors
    /// Those of [`stage`](Self::stage).
    pub fn warm_up(&mut self, pace: Pace, progress: &Progress) -> Result<(), Error> {
        if let Some(lab) = self.load.lab()
            && lab.forget()?
        {
            progress.note("fragments of what ran before still wait for others at one of the hosts");
        }
        self.stage(pace, limits::WARM_UP, &Progress::new(true)).map(drop)
    }

    /// Does `work` while so many flows on new source ports, all of one thread, stand for those of the rig.
    ///
    /// # Errors
    /// No sockets to be had, or those of `work`.
    pub(crate) fn on_new_flows<T>(
        &mut self,
        flows: usize,
        work: impl FnOnce(&mut Self) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let one_thread = self.options.generator_cpus[..1].to_vec();
        let options = Options { flows, generator_cpus: one_thread, ..self.options.clone() };
        let mut others = match &self.load {
            Load::Shingle(target, _) => Workers::Shingle(shingle_workers(&options, target, &self.space)?),
            Load::MemcachedUdp(server, _) => {
                Workers::MemcachedUdp(udp_workers(&options, server, &self.space)?)
            }
            Load::MemcachedTcp(server, _) => {
                Workers::MemcachedTcp(tcp_workers(&options, server, &self.space)?)
            }
        };
        self.load.swap_workers(&mut others);
        let done = work(self);
        self.load.swap_workers(&mut others);
        done
    }

    /// Reads a second, of the kind that the last stage had, up to which a laboratory neither loses nor delays packets by itself.
    pub fn lab_tps_max(&self) -> Option<f64> {
        Some(self.load.lab()?.facts().packets_per_s_max / self.packets_a_read.max(1.0))
    }

    /// Starts the clock of what comes later in a laboratory.
    pub fn start_clock(&self) {
        if let Some(lab) = self.load.lab() {
            lab.start_clock();
        }
    }

    fn lab_reading(&self) -> Result<Option<lab::Reading>, Error> {
        Ok(self.load.lab().map(|lab| lab.reading()).transpose()?)
    }

    fn settle(
        &mut self,
        spec: &StageSpec,
        outcome: StageOutcome,
        (mut risen, path): (Risen, PathReport),
        cursor: Option<ReceiptCursor>,
        mut lab: Option<LabFigures>,
    ) -> StageResult {
        self.packets_a_read = risen.packets() as f64 / outcome.tally.scheduled.max(1) as f64;
        if let Some(lab) = &mut lab {
            lab.packets_per_s = risen.packets() as f64 / (spec.duration_ns as f64 / 1e9);
        }
        // Receipts are only looked at where something was lost.
        let receipts = cursor
            .filter(|_| outcome.tally.first_try_lost > 0 && risen.server.is_some())
            .and_then(|cursor| self.load.receipts(&cursor, &mut risen.gaps));
        stage::settle(stage::Facts {
            spec,
            outcome,
            risen,
            receipts,
            slo: self.options.slo,
            receipts_kept: self.load.keeps_receipts(),
            protocol: self.options.protocol,
            items_expire: self.space.ttl(0).is_some(),
            lab,
            flows: self.load.flows(),
            path: PathFacts {
                server_mtu: path.interface_mtu,
                path_mtu_down: path.path_mtu,
                ..self.load.path_facts()
            },
        })
    }

    /// Pauses of the generator: those asked for, else those the laboratory asks for.
    fn pause(&self) -> Option<Pause> {
        let of_lab = || self.load.lab().and_then(|lab| lab.pauses().client);
        self.options.pause.or_else(|| of_lab().map(|(duration, interval)| Pause { duration, interval }))
    }

    /// Facts of this host, for the record.
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// The workload, for the record.
    pub fn workload(&self) -> Workload {
        let items = u64::from(self.space.items());
        Workload {
            items,
            values: self.options.values.to_string(),
            content: self.options.content.to_string(),
            keys: self.keys.to_string(),
            arrivals: self.options.arrivals.to_string(),
            seed: self.options.seed,
            value_bytes_mean: (0..self.space.items())
                .map(|item| self.space.value_bytes(item) as f64)
                .sum::<f64>()
                / items as f64,
            gets_per_datagram: self.options.gets_per_datagram.into(),
            train: self.options.train.into(),
            timeout_us: self.options.timeout.as_micros() as u64,
            retries: self.options.retries,
        }
    }

    /// The options as words, for the record.
    pub fn command(&self, name: &str, load: &str) -> String {
        let options = &self.options;
        let server = options.server.as_ref().map_or(String::new(), |server| format!(" --server {server}"));
        let lab = options.lab.as_ref().map_or(String::new(), |lab| {
            let set = lab.spec.settings().into_iter().map(|(name, value)| format!(" --set {name}={value}"));
            format!(" --lab {}{}", lab.spec.name(), set.collect::<String>())
        });
        let pause = options.pause.map_or(String::new(), |pause| format!(" --inject-pause {pause}"));
        let strategy =
            options.strategy.map_or(String::new(), |strategy| format!(" --strategy {}", strategy.name()));
        let (protocol, own) = match options.protocol {
            Protocol::Shingle => {
                let Options { train, retries, path_mtu, .. } = options;
                (String::new(), format!(" --train {train} --retries {retries} --path-mtu {path_mtu}"))
            }
            memcached => {
                let port = options.udp_port.map_or(String::new(), |port| format!(" --udp-port {port}"));
                (format!(" --protocol {memcached}{port}"), String::new())
            }
        };
        let experiments = if options.experiments { "" } else { " --no-experiments" };
        format!(
            "loadgen {name}{server}{lab}{protocol}{strategy} {load} --items {} --values {} --content {} --keys {} --arrivals {} --timeout {} --gets-per-datagram {} --threads {} --flows {} --seed {} --slo {}{pause}{experiments}{own}",
            options.items,
            options.values,
            options.content,
            self.keys,
            options.arrivals,
            units::format_duration(options.timeout),
            options.gets_per_datagram,
            options.generator_cpus.len(),
            options.flows,
            options.seed,
            options.slo,
        )
    }
}

fn shingle_workers(options: &Options, target: &Target, space: &ItemSpace) -> Result<Vec<Worker>, Error> {
    let spec = flow_spec(options, target);
    each_thread(options, space, |place, keys| {
        let flow = |index: usize| {
            let (server, _) = target.ports[index % target.ports.len()];
            Flow::open(place.first_flow.wrapping_add(index as u32), server, &spec)
        };
        Ok(Worker::new(place.cpu, (0..place.flows).map(flow).collect::<Result<Vec<_>, _>>()?, keys))
    })
}

fn udp_workers(
    options: &Options,
    server: &Server,
    space: &ItemSpace,
) -> Result<Vec<MemcachedWorker<UdpFlow>>, Error> {
    each_thread(options, space, |place, keys| server.udp_worker(options, place, space, keys))
}

fn tcp_workers(
    options: &Options,
    server: &Server,
    space: &ItemSpace,
) -> Result<Vec<MemcachedWorker<TcpFlow>>, Error> {
    each_thread(options, space, |place, keys| server.tcp_worker(options, place, space, keys))
}

/// Makes a worker for each generator thread, with its own draws of keys.
fn each_thread<W>(
    options: &Options,
    space: &ItemSpace,
    worker: impl Fn(&Place, KeySampler) -> Result<W, Error>,
) -> Result<Vec<W>, Error> {
    let keys = options.keys.unwrap_or(space.default_keys());
    let threads = options.generator_cpus.len();
    // Receipts name reads by flow and sequence: another generator on the same server must not use the same flows.
    let base = shingle_udp::realtime_ns() as u32 & !0xFFFF;
    let one = |(thread, cpu): (usize, &usize)| {
        let stream = Stream::new(thread as u32, threads as u32);
        let sampler = KeySampler::new(&keys, space, options.seed, stream)?;
        let first_flow = base.wrapping_add((thread * options.flows) as u32);
        worker(&Place { cpu: *cpu, first_flow, flows: options.flows }, sampler)
    };
    options.generator_cpus.iter().enumerate().map(one).collect()
}

fn stall_ns(p99_us: u64) -> u64 {
    ((p99_us * 1000) as f64 * limits::STALL_SHARE_OF_P99).max(limits::STALL_NS_MIN as f64) as u64
}

/// Reads a flow can have in flight or in mind.
pub(crate) fn reads_a_flow(options: &Options) -> usize {
    (limits::READS_PER_THREAD_MAX / options.flows).max(64)
}

/// How long late answers are waited for.
pub(crate) fn linger_ns(timeout_ns: u64) -> u64 {
    timeout_ns.max(limits::LINGER_NS_MIN)
}

/// What all flows to a target have in common.
pub(crate) fn flow_spec(options: &Options, target: &Target) -> FlowSpec {
    let timeout_ns = options.timeout.as_nanos() as u64;
    let value_bytes_max = target.welcome().value_bytes_max as usize;
    let base_datagram = shingle_proto::limits::DATAGRAM_BYTES_MIN as u16;
    let core = ClientConfig {
        in_flight_max: reads_a_flow(options),
        value_bytes_max,
        reassembly_bytes: limits::REASSEMBLY_BYTES.max(4 * (value_bytes_max + 8).next_power_of_two()),
        partial_max: limits::PARTIAL_MAX,
        datagram_max: target.datagram_max.max(base_datagram),
        base_datagram,
        timeout_ns,
        gap_ns: limits::GAP_NS.min(timeout_ns / 4).max(1),
        rerequests_max: limits::REREQUESTS_MAX,
        retries: options.retries,
        linger_ns: linger_ns(timeout_ns),
        telemetry: true,
        gets_per_datagram_max: options.gets_per_datagram,
        ..ClientConfig::default()
    };
    FlowSpec { core, cookie: target.welcome().cookie, train: options.train.into() }
}

fn host_facts(options: &Options, load: &Load) -> Host {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let cpuinfo = read("/proc/cpuinfo");
    let model = cpuinfo
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "))
        .map_or("unknown", |pair| pair.1);
    Host {
        kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
        cpu_model: model.to_owned(),
        cpus: shingle_udp::allowed_cpus().unwrap_or_default(),
        threads: options.generator_cpus.len(),
        flows_per_thread: options.flows,
        recv_buffer_granted_bytes: load.recv_buffer_granted_bytes(),
        interface_mtu: load.interface_mtu(),
    }
}
