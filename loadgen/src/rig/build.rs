//! Building a rig: the server connected to or started, its items, and workers with their flows.

use shingle_proto::client::ClientConfig;

use super::linger_ns;
use crate::embedded::Site;
use crate::engine::{Flow, FlowSpec, Worker};
use crate::error::Error;
use crate::limits::{self, ANSWER_OVERHEAD_BYTES};
use crate::memcached::target::{Place, Server};
use crate::memcached::tcp_flow::TcpFlow;
use crate::memcached::udp_flow::UdpFlow;
use crate::memcached::worker::Worker as MemcachedWorker;
use crate::options::Options;
use crate::progress::Progress;
use crate::seeding;
use crate::target::{Plan, Target};
use crate::workload::{ItemSpace, KeySampler, Sizing, Stream, VALUE_BYTES_CEILING};

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
pub(super) fn connect_memcached(
    options: &Options,
    progress: &Progress,
) -> Result<(Server, ItemSpace), Error> {
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
pub(super) fn connect(
    options: &Options,
    site: &Site,
    progress: &Progress,
) -> Result<(Target, ItemSpace), Error> {
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

pub(super) fn shingle_workers(
    options: &Options,
    target: &Target,
    space: &ItemSpace,
) -> Result<Vec<Worker>, Error> {
    let spec = flow_spec(options, target);
    each_thread(options, space, |place, keys| {
        let flow = |index: usize| {
            let (server, _) = target.ports[index % target.ports.len()];
            Flow::open(place.first_flow.wrapping_add(index as u32), server, &spec)
        };
        Ok(Worker::new(place.cpu, (0..place.flows).map(flow).collect::<Result<Vec<_>, _>>()?, keys))
    })
}

pub(super) fn udp_workers(
    options: &Options,
    server: &Server,
    space: &ItemSpace,
) -> Result<Vec<MemcachedWorker<UdpFlow>>, Error> {
    each_thread(options, space, |place, keys| server.udp_worker(options, place, space, keys))
}

pub(super) fn tcp_workers(
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

/// Reads a flow can have in flight or in mind.
pub(crate) fn reads_a_flow(options: &Options) -> usize {
    (limits::READS_PER_THREAD_MAX / options.flows).max(64)
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
