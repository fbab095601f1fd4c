//! The nodes of one direction with their counts.

use crate::node::{Node, address_change, build, reassembly::Reassembly, receive_buffer::ReceiveBuffer};
use crate::random::derive;
use crate::report::{Counts, NodeReport, PathReport};
use crate::topology::{Drain, Link, Path, Topology};

/// One direction, ready to run.
pub(crate) struct Route {
    pub(crate) places: Vec<Place>,
    pub(crate) sent: u64,
    pub(crate) delivered: u64,
    /// Whether the last node waits until its endpoint reads.
    pub(crate) waits_for_reader: bool,
}

/// A node in its place.
pub(crate) struct Place {
    name: &'static str,
    pub(crate) node: Box<dyn Node>,
    pub(crate) counts: Counts,
}

impl Place {
    fn new(name: &'static str, node: impl Node + 'static) -> Self {
        Self { name, node: Box::new(node), counts: Counts::default() }
    }
}

/// Both directions of a topology that was checked.
pub(crate) fn routes(topology: &Topology, seed: u64) -> [Route; 2] {
    let mut nats = Vec::new();
    let mut streams = Streams { seed: derive(seed, "up", 0), given: Vec::new() };
    let up = topology.up.links.iter().map(|link| match *link {
        Link::AddressChange { trigger, change, keeps } => {
            let (rewrite, restore) = address_change::pair(trigger, change, keeps);
            nats.push(restore);
            Place::new(link.name(), rewrite)
        }
        _ => streams.place(link),
    });
    let up = up.collect();
    let mut streams = Streams { seed: derive(seed, "down", 0), given: Vec::new() };
    let down = topology.down.links.iter().map(|link| streams.place(link));
    // The NAT nearest the client is the last on the way back.
    let back = nats.into_iter().rev().map(|restore| Place::new("address_change", restore));
    let down = down.chain(back).collect();
    [finish(up, &topology.up), finish(down, &topology.down)]
}

/// Adds the host at the end.
fn finish(mut places: Vec<Place>, path: &Path) -> Route {
    places.push(Place::new("reassembly", Reassembly::new(path.reassembly)));
    places.extend(
        path.receive_buffer.iter().map(|buffer| Place::new("receive_buffer", ReceiveBuffer::new(buffer))),
    );
    let waits_for_reader = path.receive_buffer.as_ref().is_some_and(|buffer| buffer.drain == Drain::Endpoint);
    Route { places, sent: 0, delivered: 0, waits_for_reader }
}

/// Gives each node a stream by its name and its number among nodes of that name.
struct Streams {
    seed: u64,
    given: Vec<&'static str>,
}

impl Streams {
    fn place(&mut self, link: &Link) -> Place {
        let name = link.name();
        let number = self.given.iter().filter(|given| **given == name).count();
        self.given.push(name);
        Place { name, node: build(link, derive(self.seed, name, number as u64)), counts: Counts::default() }
    }
}

impl Route {
    /// What happened here, `queued` packets being on their way.
    pub(crate) fn report(&self, queued: u64) -> PathReport {
        let inside = self.places.iter().map(|place| place.node.held()).sum();
        let node = |place: &Place| {
            let mut counts = place.counts.clone();
            counts.held += place.node.held();
            NodeReport { name: place.name, counts }
        };
        let nodes = self.places.iter().map(node).collect();
        PathReport { sent: self.sent, delivered: self.delivered, queued, inside, nodes }
    }
}
