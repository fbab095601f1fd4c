//! What each node does, counted at both of its sides.

mod chance;
mod hosts;
mod sizes;
mod times;

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use shingle_netlab::{Direction, Ending, Link, Network, Packet, Report, Sender, Topology, What};

/// How long a run may take: longer than any of these tests needs.
const LIMIT: Duration = Duration::from_secs(1000);

/// What came of a run in one direction.
struct Run {
    report: Report,
    /// What the server received: when (ns), and the packet.
    received: Vec<(u64, Packet)>,
    /// The numbers of these datagrams, in the order in which they were sent.
    numbers: Vec<u64>,
    client: Sender,
}

/// Sends up through a topology to a server that only listens, with one seed for all tests.
fn run(topology: Topology, mut client: Sender) -> Run {
    let mut network = Network::new(topology, 1).unwrap();
    let mut server = Sender::of_bytes(0, 0, Duration::ZERO);
    let numbers = Rc::new(RefCell::new(Vec::new()));
    let heard = Rc::clone(&numbers);
    network.listen(move |event| {
        if let (Direction::Up, What::Delivered(_)) = (event.direction, event.what) {
            heard.borrow_mut().push(event.datagram);
        }
    });
    let ending = network.run(&mut client, &mut server, LIMIT);
    let report = network.report();
    assert_eq!((ending, report.check()), (Ending::Done, Ok(())), "{network}\n{report}");
    let numbers = numbers.take();
    Run { report, received: server.received, numbers, client }
}

/// The same through one node, with so many datagrams of so many bytes, one each microsecond.
fn through(link: Link, payload_bytes: usize, count: u64) -> Run {
    run(Topology::new().up(link), Sender::of_bytes(payload_bytes, count, Duration::from_micros(1)))
}

/// An IPv4 packet without DF, each byte of its payload its own index mod 256.
fn fragmentable(payload_bytes: usize) -> Packet {
    let payload = (0..payload_bytes).map(|i| i as u8).collect();
    Packet::new("198.18.0.1:1000".parse().unwrap(), "198.18.0.2:7400".parse().unwrap(), payload)
        .fragmentable()
}

/// A sender of such packets, one each microsecond.
fn fragmentables(payload_bytes: usize, count: u64) -> Sender {
    Sender::new(fragmentable(payload_bytes), count, Duration::from_micros(1))
}
