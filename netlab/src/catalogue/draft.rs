//! A network being put together: each of its topologies adds its part, and then it is laid out once.

use std::time::Duration;

use super::equal_paths::EqualPaths;
use super::layout::{
    CLIENT, CLIENT_DEVICE, CLIENT_NET, ROUTER, ROUTER_CLIENT, ROUTER_SERVER, SERVER, SERVER_DEVICE,
    SERVER_NET, address, ends, router, wire,
};
use super::narrow::too_big;
use crate::part::{Mtus, Part};
use crate::plan::{Hold, HostPlan, Later, Pauses, Plan};
use crate::rules::Rules;
use crate::topology::Direction;

/// What the topologies of a network ask for.
#[derive(Debug)]
pub(crate) struct Draft {
    /// Client and server.
    pub(super) ends: [HostPlan; 2],
    /// What the router does to packets; of two routers, each does it to those that reach it from an end.
    pub(super) rules: Rules,
    /// Queues of the router, each with the device it is at.
    pub(super) queues: Vec<(&'static str, String)>,
    /// Scripts for the router.
    pub(super) later: Vec<Later>,
    pub(super) pauses: Pauses,
    /// Several paths instead of the one router.
    pub(super) paths: Option<EqualPaths>,
    /// That some packets take longer.
    pub(super) slower: Option<Slower>,
    mtus: Mtus,
    delay: Duration,
    hears_of_mtus: bool,
}

/// Packets told apart by their marks, of which some take longer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slower {
    pub(super) ways: &'static [Direction],
    pub(super) faster_mark: u32,
    pub(super) slower_mark: u32,
    pub(super) extra: Duration,
}

impl Draft {
    /// A network in which nothing happens, with the MTUs and the delay of this part's network.
    pub(crate) fn new(part: &Part<'_>) -> Self {
        Self {
            ends: ends(),
            rules: Rules::default(),
            queues: Vec::new(),
            later: Vec::new(),
            pauses: Pauses::default(),
            paths: None,
            slower: None,
            mtus: part.mtus(),
            delay: part.duration("delay"),
            hears_of_mtus: part.hears_of_mtus(),
        }
    }

    /// The network as it is to be built.
    pub(crate) fn plan(mut self) -> Plan {
        if self.mtus.client < self.mtus.server {
            too_big(&mut self.rules, self.hears_of_mtus);
        }
        let routers = match &self.paths {
            None => vec![self.only_router()],
            Some(paths) => {
                let near = self.router_of(paths, "router", ROUTER_SERVER);
                vec![near, self.router_of(paths, "far", ROUTER_CLIENT)]
            }
        };
        let clients_router = ROUTER + routers.len() - 1;
        let mut wires = vec![
            wire((SERVER, SERVER_DEVICE), (ROUTER, ROUTER_SERVER), self.mtus.server),
            wire((CLIENT, CLIENT_DEVICE), (clients_router, ROUTER_CLIENT), self.mtus.client),
        ];
        if let Some(paths) = &self.paths {
            let between = |path: String| wire((ROUTER, &path), (clients_router, &path), self.mtus.server);
            wires.extend(paths.devices().map(between));
        }
        let hosts = self.ends.into_iter().chain(routers).collect();
        Plan { hosts, wires, pauses: self.pauses, ..Plan::default() }
    }

    fn only_router(&self) -> HostPlan {
        let mut host = self.router("router", &[ROUTER_SERVER, ROUTER_CLIENT]);
        host.rules = self.rules.text(Some(ROUTER_CLIENT), Some(ROUTER_SERVER));
        host
    }

    /// One of two routers, with this device at its end.
    fn router_of(&self, paths: &EqualPaths, name: &str, device: &'static str) -> HostPlan {
        let mut host = self.router(name, &[device]);
        let (up, down) = if device == ROUTER_CLIENT { (Some(device), None) } else { (None, Some(device)) };
        host.rules = self.rules.text(up, down);
        paths.join(&mut host, if up.is_some() { Direction::Up } else { Direction::Down });
        host
    }

    /// A router with these of its devices: their addresses, queues, and what waits at them.
    fn router(&self, name: &str, devices: &[&str]) -> HostPlan {
        let mut host = router(name);
        for device in devices {
            let net = if *device == ROUTER_SERVER { SERVER_NET } else { CLIENT_NET };
            host.addresses.extend(address(device, net, 1));
            host.holds.extend(self.holds(device));
            let here = self.queues.iter().filter(|(at, _)| at == device);
            host.shaping.extend(here.map(|(_, queue)| queue.clone()));
        }
        host.later = self.later.clone();
        host
    }

    /// What waits at a device for the delay, and what waits longer.
    fn holds(&self, device: &str) -> Vec<Hold> {
        let way = if device == ROUTER_CLIENT { Direction::Up } else { Direction::Down };
        let hold = |mark, delay| Hold { device: device.into(), mark, delay };
        let mut holds = vec![hold(self.slower.map(|it| it.faster_mark), self.delay)];
        if let Some(slower) = self.slower.filter(|it| it.ways.contains(&way)) {
            holds.push(hold(Some(slower.slower_mark), self.delay + slower.extra));
        }
        holds.retain(|hold| !hold.delay.is_zero());
        holds
    }
}
