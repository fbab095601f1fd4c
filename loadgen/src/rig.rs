//! The rig: a seeded target with the generator's workers, and the running of one stage with both hosts' books around it.

mod build;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use shingle_server::Pause;
use shingle_server::stats::PathReport;

use crate::books::{Asker, ReceiptCursor, Risen, Watch};
use crate::embedded::Site;
use crate::engine::{Pace, StageOutcome, StageSpec};
use crate::error::Error;
use crate::lab;
use crate::limits;
use crate::load::{Load, Workers};
use crate::memcached::target::Server;
use crate::options::Options;
use crate::progress::Progress;
use crate::protocol::Protocol;
use crate::record::{Host, LabFigures, Workload};
use crate::stage::{self, PathFacts, StageResult};
use crate::target::Target;
use crate::workload::{ItemSpace, KeySpec, units};

use build::{connect, connect_memcached, shingle_workers, tcp_workers, udp_workers};
pub(crate) use build::{flow_spec, reads_a_flow};
pub use build::{prepare, seed};

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
    cut: Option<&'static AtomicBool>,
    keeps_books: bool,
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
            cut: None,
            keeps_books: false,
        }
    }

    /// Lets stages end early once this is set.
    pub fn end_early_on(&mut self, cut: &'static AtomicBool) {
        self.cut = Some(cut);
    }

    /// What stages end early on is set.
    pub fn is_cut_short(&self) -> bool {
        self.cut.is_some_and(|cut| cut.load(Ordering::Relaxed))
    }

    /// Lets results have their books also where nothing was lost.
    pub fn keep_books(&mut self) {
        self.keeps_books = true;
    }

    /// Lets flows on new source ports take the place of those of a Shingle server; nothing changes on an error.
    ///
    /// # Errors
    /// No sockets to be had.
    pub(crate) fn reopen_flows(&mut self) -> Result<(), Error> {
        if let Load::Shingle(target, workers) = &mut self.load {
            *workers = shingle_workers(&self.options, target, &self.space)?;
        }
        Ok(())
    }

    /// Reads from this server from now on; nothing changes on an error.
    ///
    /// # Errors
    /// No sockets to be had.
    pub(crate) fn aim_at(&mut self, target: Target) -> Result<(), Error> {
        let workers = shingle_workers(&self.options, &target, &self.space)?;
        self.load = Load::Shingle(Box::new(target), workers);
        self.asker = self.load.dial().and_then(Asker::start);
        Ok(())
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
        let mut outcome = self.load.run_stage(&spec, &self.space, &self.watched_cpus, &tick)?;
        ticker.finish_quietly();
        self.load.check_alive()?;
        let cut_ns = outcome.tally.cut_short();
        if cut_ns.is_some() {
            progress.note("a signal ended this early: what was measured until then follows, and another signal ends the program at once");
        }
        let spec = StageSpec { duration_ns: cut_ns.unwrap_or(spec.duration_ns), ..spec };
        let lab = self.lab_reading()?.zip(lab_before).map(|(now, before)| now.since(&before));
        let after = self.load.reading();
        let mut risen = after.since(&before, self.load.placement());
        watch.end(outcome.start_ns, &mut risen);
        let mut result = self.settle(&spec, outcome, (risen, after.path()), cursor, lab);
        result.stage.cut_short_of_s = cut_ns.map(|_| duration.as_secs_f64());
        Ok(result)
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
            cut: self.cut,
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
        self.on_other_workers(&options, work)
    }

    /// Does `work` while these items, read evenly on flows of their own, stand for those of the rig.
    ///
    /// # Errors
    /// No sockets to be had, or those of `work`.
    pub(crate) fn on_items<T>(
        &mut self,
        items: &ItemSpace,
        work: impl FnOnce(&mut Self) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let options = Options { keys: Some(KeySpec::Uniform), ..self.options.clone() };
        let own = std::mem::replace(&mut self.space, items.clone());
        let done = self.on_other_workers(&options, work);
        self.space = own;
        done
    }

    fn on_other_workers<T>(
        &mut self,
        options: &Options,
        work: impl FnOnce(&mut Self) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let mut others = match &self.load {
            Load::Shingle(target, _) => Workers::Shingle(shingle_workers(options, target, &self.space)?),
            Load::MemcachedUdp(server, _) => {
                Workers::MemcachedUdp(udp_workers(options, server, &self.space)?)
            }
            Load::MemcachedTcp(server, _) => {
                Workers::MemcachedTcp(tcp_workers(options, server, &self.space)?)
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
        let receipts = cursor
            .filter(|_| outcome.tally.needs_receipts() && risen.server.is_some())
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
            keeps_books: self.keeps_books,
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

fn stall_ns(p99_us: u64) -> u64 {
    ((p99_us * 1000) as f64 * limits::STALL_SHARE_OF_P99).max(limits::STALL_NS_MIN as f64) as u64
}

/// How long late answers are waited for.
pub(crate) fn linger_ns(timeout_ns: u64) -> u64 {
    timeout_ns.max(limits::LINGER_NS_MIN)
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
