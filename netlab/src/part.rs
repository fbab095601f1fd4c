//! One topology of a network, as its recipe sees it: the values of its own parameters, and of those that all topologies there share.

use std::time::Duration;

use crate::catalogue::{Entry, WHOLE_PPM};
use crate::limits::SECOND_NS;
use crate::spec::Setting;
use crate::topology::Direction;

/// A topology with its settings.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Part<'a> {
    entry: &'static Entry,
    /// Of the whole network.
    settings: &'a [Setting],
}

/// MTUs of the two wires, in bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mtus {
    pub(crate) server: u32,
    pub(crate) client: u32,
}

impl<'a> Part<'a> {
    pub(crate) fn new(entry: &'static Entry, settings: &'a [Setting]) -> Self {
        Self { entry, settings }
    }

    pub(crate) fn entry(&self) -> &'static Entry {
        self.entry
    }

    /// The value of a parameter in its own unit.
    pub(crate) fn number(&self, name: &str) -> u64 {
        self.asked(name).value
    }

    pub(crate) fn bytes(&self, name: &str) -> u32 {
        u32::try_from(self.number(name)).expect("packets have at most 65535 bytes")
    }

    pub(crate) fn share(&self, name: &str) -> f64 {
        self.number(name) as f64 / WHOLE_PPM as f64
    }

    pub(crate) fn duration(&self, name: &str) -> Duration {
        Duration::from_nanos(self.number(name))
    }

    pub(crate) fn seconds(&self, name: &str) -> Duration {
        Duration::from_nanos(self.number(name).saturating_mul(SECOND_NS))
    }

    /// As it would be set: for choices, the word.
    pub(crate) fn word(&self, name: &str) -> String {
        let asked = self.asked(name);
        asked.parameter.written(asked.value)
    }

    /// The ways that the parameter `direction` names.
    pub(crate) fn ways(&self) -> &'static [Direction] {
        match self.word("direction").as_str() {
            "up" => &[Direction::Up],
            "down" => &[Direction::Down],
            _ => &[Direction::Up, Direction::Down],
        }
    }

    /// Those of the network, whichever topology of it they come from.
    pub(crate) fn mtus(&self) -> Mtus {
        let client = self.bytes("mtu");
        let server = self.find("server-mtu").map_or(client, |_| self.bytes("server-mtu"));
        Mtus { server, client }
    }

    /// Whether routers of the network tell who sends what is too big.
    pub(crate) fn hears_of_mtus(&self) -> bool {
        let icmp = self.settings.iter().find(|it| it.parameter.name == "icmp");
        icmp.is_none_or(|it| it.parameter.written(it.value) == "on")
    }

    fn asked(&self, name: &str) -> &'a Setting {
        self.find(name).expect("recipes ask for parameters of their own entries")
    }

    fn find(&self, name: &str) -> Option<&'a Setting> {
        let is_own = |it: &&Setting| it.owner.is_none_or(|owner| owner == self.entry);
        self.settings.iter().filter(is_own).find(|it| it.parameter.name == name)
    }
}

impl Mtus {
    /// Of the wire by which packets that go this way reach the router.
    pub(crate) fn before_the_router(self, way: Direction) -> u32 {
        if way == Direction::Up { self.client } else { self.server }
    }
}
