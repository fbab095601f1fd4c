//! A network between two endpoints, and the loop that runs it in virtual time.

use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

use crate::endpoint::{Endpoint, PacketTooBig};
use crate::error::TopologyError;
use crate::limits::STEPS_PER_INSTANT_MAX;
use crate::node::{Action, Outbox, nanoseconds};
use crate::packet::{Origin, Packet};
use crate::queue::Queue;
use crate::ranges::Ranges;
use crate::report::Report;
use crate::route::{Route, routes};
use crate::topology::{Direction, Topology};
use crate::trace::{Trace, TraceEvent, What};

/// A simulated network. The same topology, seed and endpoints give the same run, event for event.
pub struct Network {
    seed: u64,
    topology: Topology,
    now_ns: u64,
    /// Steps made at this instant.
    steps: u32,
    /// Up, down.
    routes: [Route; 2],
    queue: Queue<Planned>,
    trace: Trace,
    datagrams: u64,
    /// Packets about to reach a node now: (node, packet). Empty between steps, as is the next.
    ready: VecDeque<(usize, Packet)>,
    actions: Vec<Action>,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Both endpoints are done and nothing travels any more.
    Done,
    /// The time given is over.
    TimeLimit,
    /// Nothing travels and no endpoint waits for a time, yet not both are done: nothing would ever happen again.
    Stalled,
    /// An endpoint sends without end, or its timeout does not move on: a million steps at one instant.
    Spinning,
}

/// What is to happen later.
enum Planned {
    /// A packet leaves this node of its route.
    Leave(Direction, usize, Packet),
    /// The endpoint that sends in this direction hears of a packet too big.
    Hint(Direction, PacketTooBig),
}

/// The endpoints of a run: the one that sends up, the one that sends down.
struct Ends<'a> {
    ends: [&'a mut dyn Endpoint; 2],
    timeouts_ns: [Option<u64>; 2],
    /// Called since it was last asked what it wants.
    touched: [bool; 2],
}

impl Network {
    /// A network of this description, drawing from streams of this seed.
    ///
    /// # Errors
    /// What is wrong with the description.
    pub fn new(topology: Topology, seed: u64) -> Result<Self, TopologyError> {
        topology.check()?;
        let routes = routes(&topology, seed);
        let (queue, trace, ready, actions) = (Queue::new(), Trace::default(), VecDeque::new(), Vec::new());
        Ok(Self { seed, topology, now_ns: 0, steps: 0, routes, queue, trace, datagrams: 0, ready, actions })
    }

    /// A network drawn at random. The seed alone (with the same ranges) gives it again.
    ///
    /// # Errors
    /// If the ranges allow what no network can be, such as an MTU of 0.
    ///
    /// # Panics
    /// If a range ends before it begins.
    pub fn random(seed: u64, ranges: &Ranges) -> Result<Self, TopologyError> {
        Self::new(Topology::random(seed, ranges), seed)
    }

    /// Runs until both endpoints are done and nothing travels, or until this time since the network began. May be called again.
    pub fn run(&mut self, client: &mut dyn Endpoint, server: &mut dyn Endpoint, until: Duration) -> Ending {
        let until_ns = nanoseconds(until);
        let mut ends = Ends { ends: [client, server], timeouts_ns: [None; 2], touched: [true; 2] };
        self.steps = 0;
        loop {
            self.settle(&mut ends);
            if self.steps >= STEPS_PER_INSTANT_MAX {
                return Ending::Spinning;
            }
            let planned_ns = self.queue.next_ns();
            if planned_ns.is_none() && ends.ends.iter().all(|end| end.done()) {
                return Ending::Done;
            }
            let Some(next_ns) = planned_ns.into_iter().chain(ends.timeouts_ns.into_iter().flatten()).min()
            else {
                return Ending::Stalled;
            };
            if next_ns > until_ns {
                self.advance(until_ns);
                return Ending::TimeLimit;
            }
            self.advance(next_ns);
            self.step(&mut ends);
        }
    }

    /// Time since the network began, in nanoseconds.
    pub fn now_ns(&self) -> u64 {
        self.now_ns
    }

    /// The seed it draws from.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// What it was made of.
    pub fn topology(&self) -> &Topology {
        &self.topology
    }

    /// A hash of everything that happened so far: equal for equal runs.
    pub fn trace_hash(&self) -> u64 {
        self.trace.hash()
    }

    /// From now on this hears of everything that happens, to find out why a run fails.
    pub fn listen(&mut self, listener: impl FnMut(TraceEvent) + 'static) {
        self.trace.listen(Box::new(listener));
    }

    /// What each node did so far.
    pub fn report(&self) -> Report {
        let [up, down] = [Direction::Up, Direction::Down].map(|direction| {
            let travels =
                |planned: &&Planned| matches!(planned, Planned::Leave(way, ..) if *way == direction);
            self.routes[direction.index()].report(self.queue.iter().filter(travels).count() as u64)
        });
        Report { up, down }
    }

    fn advance(&mut self, to_ns: u64) {
        if to_ns > self.now_ns {
            self.now_ns = to_ns;
            self.steps = 0;
        }
    }

    /// Does what is due: a packet or hint first, then the client's timeout, then the server's.
    fn step(&mut self, ends: &mut Ends<'_>) {
        self.steps += 1;
        if self.queue.next_ns().is_some_and(|at_ns| at_ns <= self.now_ns) {
            match self.queue.pop() {
                Some(Planned::Leave(direction, node, packet)) => {
                    let counts = &mut self.routes[direction.index()].places[node].counts;
                    counts.held -= 1;
                    counts.passed += 1;
                    self.travel(direction, node + 1, packet, ends);
                }
                Some(Planned::Hint(direction, hint)) => {
                    ends.touch(direction.index()).handle_icmp(self.now_ns, hint);
                }
                None => {}
            }
        } else if let Some(end) =
            ends.timeouts_ns.iter().position(|at| at.is_some_and(|at_ns| at_ns <= self.now_ns))
        {
            ends.touch(end).handle_timeout(self.now_ns);
        }
    }

    /// Lets endpoints that were called read and send until they want nothing but to wait.
    fn settle(&mut self, ends: &mut Ends<'_>) {
        while let Some(end) = ends.touched.iter().position(|&touched| touched) {
            ends.touched[end] = false;
            let (sends, receives) =
                if end == 0 { (Direction::Up, Direction::Down) } else { (Direction::Down, Direction::Up) };
            self.read(receives, end, ends);
            while let Some(packet) = ends.ends[end].poll_send(self.now_ns) {
                self.send(sends, packet, ends);
                if self.steps >= STEPS_PER_INSTANT_MAX {
                    return;
                }
            }
            ends.timeouts_ns[end] = ends.ends[end].poll_timeout();
        }
    }

    /// Gives an endpoint what its socket buffer holds, as long as it reads.
    fn read(&mut self, direction: Direction, end: usize, ends: &mut Ends<'_>) {
        let route = &mut self.routes[direction.index()];
        if !route.waits_for_reader {
            return;
        }
        let last = route.places.len() - 1;
        while ends.ends[end].reads() {
            let place = &mut self.routes[direction.index()].places[last];
            let Some(packet) = place.node.read() else { return };
            place.counts.passed += 1;
            self.note(direction, last, packet.origin.id, What::Passed(self.now_ns));
            self.deliver(direction, packet, ends);
        }
    }

    fn send(&mut self, direction: Direction, mut packet: Packet, ends: &mut Ends<'_>) {
        self.steps += 1;
        let (source, destination) = (packet.source, packet.destination);
        packet.origin = Origin { id: self.datagrams, sent_ns: self.now_ns, source, destination };
        self.datagrams += 1;
        let route = &mut self.routes[direction.index()];
        route.sent += 1;
        let outside = route.places.len();
        self.note(direction, outside, packet.origin.id, What::Sent(packet.ip_bytes()));
        self.travel(direction, 0, packet, ends);
    }

    /// Takes a packet from node to node, until all that became of it waits, is gone or has arrived.
    fn travel(&mut self, direction: Direction, node: usize, packet: Packet, ends: &mut Ends<'_>) {
        let nodes = self.routes[direction.index()].places.len();
        self.ready.push_back((node, packet));
        while let Some((node, packet)) = self.ready.pop_front() {
            if node == nodes {
                self.deliver(direction, packet, ends);
                continue;
            }
            let place = &mut self.routes[direction.index()].places[node];
            place.counts.taken += 1;
            let counts = &mut place.counts;
            place.node.push(packet, &mut Outbox { now_ns: self.now_ns, counts, actions: &mut self.actions });
            self.act(direction, node);
        }
        // What waits for its reader now may be read at once.
        ends.touched[direction.receiver()] |= self.routes[direction.index()].waits_for_reader;
    }

    /// Carries out what a node decided.
    fn act(&mut self, direction: Direction, node: usize) {
        let mut actions = std::mem::take(&mut self.actions);
        for action in actions.drain(..) {
            match action {
                Action::Pass { at_ns, packet } => {
                    self.note(direction, node, packet.origin.id, What::Passed(at_ns));
                    let counts = &mut self.routes[direction.index()].places[node].counts;
                    if at_ns > self.now_ns {
                        counts.held += 1;
                        self.queue.push(at_ns, Planned::Leave(direction, node, packet));
                    } else {
                        counts.passed += 1;
                        self.ready.push_back((node + 1, packet));
                    }
                }
                Action::Drop { datagram, reason } => {
                    self.note(direction, node, datagram, What::Dropped(reason))
                }
                Action::Hint { at_ns, datagram, hint } => {
                    self.note(direction, node, datagram, What::TooBig(hint.mtu));
                    self.queue.push(at_ns, Planned::Hint(direction, hint));
                }
            }
        }
        self.actions = actions;
    }

    fn deliver(&mut self, direction: Direction, packet: Packet, ends: &mut Ends<'_>) {
        let route = &mut self.routes[direction.index()];
        route.delivered += 1;
        let outside = route.places.len();
        self.note(direction, outside, packet.origin.id, What::Delivered(packet.ip_bytes()));
        ends.touch(direction.receiver()).receive(self.now_ns, packet);
    }

    fn note(&mut self, direction: Direction, node: usize, datagram: u64, what: What) {
        self.trace.note(TraceEvent { at_ns: self.now_ns, direction, node, datagram, what });
    }
}

impl Ends<'_> {
    /// The endpoint, which will be asked what it wants.
    fn touch(&mut self, end: usize) -> &mut dyn Endpoint {
        self.touched[end] = true;
        &mut *self.ends[end]
    }
}

impl Direction {
    /// Of its route, and of the endpoint that sends in it.
    fn index(self) -> usize {
        self as usize
    }

    /// The endpoint that receives in it.
    fn receiver(self) -> usize {
        1 - self.index()
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NETLAB_SEED={}\n{}", self.seed, self.topology)
    }
}

impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
