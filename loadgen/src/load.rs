//! A server and the workers that load it, in whichever protocol it speaks.

use std::sync::Arc;

use shingle_proto::wire::Strategy;

use crate::books::{Reading, ReceiptCursor};
use crate::engine::{self, StageOutcome, StageSpec};
use crate::error::Error;
use crate::lab::Laboratory;
use crate::memcached::limits;
use crate::memcached::target::Server;
use crate::memcached::tcp_flow::TcpFlow;
use crate::memcached::udp_flow::UdpFlow;
use crate::memcached::worker::{Carrier, Worker};
use crate::progress::Progress;
use crate::record::ServerFacts;
use crate::seeding;
use crate::stage::PathFacts;
use crate::target::{Dial, Placement, Target};
use crate::workload::ItemSpace;

/// A server with its workers.
pub enum Load {
    /// Shingle's protocol.
    Shingle(Box<Target>, Vec<engine::Worker>),
    /// memcached's over UDP.
    MemcachedUdp(Box<Server>, Vec<Worker<UdpFlow>>),
    /// memcached's over TCP.
    MemcachedTcp(Box<Server>, Vec<Worker<TcpFlow>>),
}

/// Workers without their server.
pub(crate) enum Workers {
    Shingle(Vec<engine::Worker>),
    MemcachedUdp(Vec<Worker<UdpFlow>>),
    MemcachedTcp(Vec<Worker<TcpFlow>>),
}

impl Load {
    /// Where the server runs, seen from here.
    pub fn placement(&self) -> Placement {
        match self {
            Self::Shingle(target, _) => target.placement,
            Self::MemcachedUdp(server, _) | Self::MemcachedTcp(server, _) => server.placement,
        }
    }

    /// The server, for the record.
    pub fn facts(&self) -> ServerFacts {
        match self {
            Self::Shingle(target, _) => target.facts(),
            Self::MemcachedUdp(server, _) | Self::MemcachedTcp(server, _) => server.facts(),
        }
    }

    /// The laboratory that both ends stand in, if they do.
    pub fn lab(&self) -> Option<&Arc<Laboratory>> {
        match self {
            Self::Shingle(target, _) => target.lab(),
            Self::MemcachedUdp(..) | Self::MemcachedTcp(..) => None,
        }
    }

    /// Largest answer datagram that the path from the server carries whole, as far as it is known.
    pub fn path_datagram_bytes(&self) -> usize {
        match self {
            Self::Shingle(target, _) => target.datagram_max.into(),
            // Its answers are cut to 1400 B.
            Self::MemcachedUdp(..) | Self::MemcachedTcp(..) => usize::MAX,
        }
    }

    /// What is known of the path from the server.
    pub(crate) fn path_facts(&self) -> PathFacts {
        let path = PathFacts {
            client_mtu: self.interface_mtu(),
            shared_counters: self.placement().shares_counters(),
            ..PathFacts::default()
        };
        match self {
            Self::Shingle(target, _) => {
                let (address, port) = &target.ports[0];
                let cut = matches!(port.strategy, Strategy::Chunked | Strategy::Compressed);
                let datagram_max = u32::from(target.datagram_max);
                let ipv6 = address.is_ipv6();
                let without_df = matches!(port.strategy, Strategy::DfOff | Strategy::Interface);
                PathFacts {
                    ipv6,
                    // No router cuts IPv6 (RFC 8200 section 5).
                    routers_cut: without_df && !ipv6,
                    chunk_datagram_bytes: cut.then_some(datagram_max),
                    ..path
                }
            }
            Self::MemcachedUdp(server, _) | Self::MemcachedTcp(server, _) => PathFacts {
                ipv6: server.reads_to.is_ipv6(),
                chunk_datagram_bytes: Some((limits::HEADER_BYTES + limits::PIECE_BYTES) as u32),
                ..path
            },
        }
    }

    /// MTU of the interface towards the server.
    pub fn interface_mtu(&self) -> u32 {
        match self {
            Self::Shingle(target, _) => target.interface_mtu,
            Self::MemcachedUdp(server, _) | Self::MemcachedTcp(server, _) => server.interface_mtu,
        }
    }

    /// Receive buffer the kernel granted a flow, as it accounts it.
    pub fn recv_buffer_granted_bytes(&self) -> usize {
        fn first<C: Carrier>(workers: &[Worker<C>]) -> usize {
            workers.first().and_then(|worker| worker.flows.first()).map_or(0, C::recv_buffer_granted_bytes)
        }
        match self {
            Self::Shingle(_, workers) => workers
                .first()
                .and_then(|worker| worker.flows.first()?.socket.recv_buffer_granted_bytes().ok())
                .unwrap_or(0),
            Self::MemcachedUdp(_, workers) => first(workers),
            Self::MemcachedTcp(_, workers) => first(workers),
        }
    }

    /// Flow number, source port and server port of every flow, in the ledger's order.
    pub fn flows(&self) -> Vec<(u32, u16, u16)> {
        fn all<C: Carrier>(workers: &[Worker<C>]) -> Vec<(u32, u16, u16)> {
            let flows = workers.iter().flat_map(|worker| &worker.flows);
            let names = flows.map(|flow| {
                let (source, server) = flow.ports();
                (flow.number(), source, server)
            });
            names.collect()
        }
        match self {
            Self::Shingle(_, workers) => {
                let port = |flow: &engine::Flow| flow.socket.local_addr().map_or(0, |addr| addr.port());
                let flows = workers.iter().flat_map(|worker| &worker.flows);
                flows.map(|flow| (flow.number, port(flow), flow.server.port())).collect()
            }
            Self::MemcachedUdp(_, workers) => all(workers),
            Self::MemcachedTcp(_, workers) => all(workers),
        }
    }

    /// Whether the server keeps receipts.
    pub fn keeps_receipts(&self) -> bool {
        matches!(self, Self::Shingle(target, _) if target.welcome().receipts)
    }

    /// What another control connection to the server takes, where there are such.
    pub(crate) fn dial(&self) -> Option<Dial> {
        match self {
            Self::Shingle(target, _) => Some(target.dial()),
            Self::MemcachedUdp(..) | Self::MemcachedTcp(..) => None,
        }
    }

    /// Stores the items unless the server holds them already.
    ///
    /// # Errors
    /// Those of [`seeding::fill`].
    pub(crate) fn fill(&mut self, space: &ItemSpace, reseed: bool, progress: &Progress) -> Result<(), Error> {
        match self {
            Self::Shingle(target, _) => seeding::fill(&mut **target, space, reseed, progress),
            Self::MemcachedUdp(server, _) | Self::MemcachedTcp(server, _) => {
                seeding::fill(&mut **server, space, reseed, progress)
            }
        }
    }

    /// Other workers for the same server take the place of the present ones, which are given back in a way that brings them back.
    pub(crate) fn swap_workers(&mut self, others: &mut Workers) {
        match (self, others) {
            (Self::Shingle(_, mine), Workers::Shingle(theirs)) => std::mem::swap(mine, theirs),
            (Self::MemcachedUdp(_, mine), Workers::MemcachedUdp(theirs)) => std::mem::swap(mine, theirs),
            (Self::MemcachedTcp(_, mine), Workers::MemcachedTcp(theirs)) => std::mem::swap(mine, theirs),
            _ => unreachable!("workers are made for the load they serve"),
        }
    }

    /// Runs one stage on all workers.
    ///
    /// # Errors
    /// Those of [`engine::run_stage`].
    pub(crate) fn run_stage(
        &mut self,
        spec: &StageSpec,
        space: &ItemSpace,
        watched_cpus: &[usize],
        on_tick: &dyn Fn(f64),
    ) -> Result<StageOutcome, Error> {
        match self {
            Self::Shingle(_, workers) => engine::run_stage(workers, spec, space, watched_cpus, on_tick),
            Self::MemcachedUdp(_, workers) => engine::run_stage(workers, spec, space, watched_cpus, on_tick),
            Self::MemcachedTcp(_, workers) => engine::run_stage(workers, spec, space, watched_cpus, on_tick),
        }
    }

    /// Whether the server still serves, where that is known.
    ///
    /// # Errors
    /// Those of [`Target::check_alive`].
    pub(crate) fn check_alive(&self) -> Result<(), Error> {
        match self {
            Self::Shingle(target, _) => target.check_alive(),
            Self::MemcachedUdp(..) | Self::MemcachedTcp(..) => Ok(()),
        }
    }

    /// Both hosts' counters now.
    pub(crate) fn reading(&mut self) -> Reading {
        fn counters<C: Carrier>(workers: &[Worker<C>]) -> impl Iterator<Item = (&'static str, u64)> {
            workers.iter().flat_map(|worker| &worker.flows).flat_map(C::counters)
        }
        match self {
            Self::Shingle(target, workers) => Reading::take(workers, target),
            Self::MemcachedUdp(server, workers) => Reading::of_memcached(counters(workers), server),
            Self::MemcachedTcp(server, workers) => Reading::of_memcached(counters(workers), server),
        }
    }

    /// The server's receipts since `cursor`, where it keeps them.
    pub(crate) fn receipts(
        &mut self,
        cursor: &ReceiptCursor,
        gaps: &mut Vec<String>,
    ) -> Option<crate::attribution::Receipts> {
        let mut flows: Vec<_> = self.flows().into_iter().map(|(number, ..)| number).collect();
        flows.sort_unstable();
        match self {
            Self::Shingle(target, _) => cursor.fetch(&mut target.control, &flows, gaps),
            Self::MemcachedUdp(..) | Self::MemcachedTcp(..) => None,
        }
    }
}
