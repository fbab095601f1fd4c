//! How runs end, and what is heard of them.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use shingle_netlab::{Echo, Ending, Endpoint, Link, Network, Packet, Sender, Topology, What};

const SECOND: Duration = Duration::from_secs(1);

fn perfect() -> Network {
    Network::new(Topology::new(), 0).unwrap()
}

/// An endpoint with a timer, and without much sense.
struct Odd {
    timeout_ns: Option<u64>,
    sends: bool,
    done: bool,
}

impl Endpoint for Odd {
    fn receive(&mut self, _: u64, _: Packet) {}
    fn poll_send(&mut self, _: u64) -> Option<Packet> {
        self.sends.then(|| Packet::new(([127, 0, 0, 1], 1).into(), ([127, 0, 0, 1], 2).into(), Vec::new()))
    }
    fn poll_timeout(&self) -> Option<u64> {
        self.timeout_ns
    }
    fn handle_timeout(&mut self, _: u64) {}
    fn done(&self) -> bool {
        self.done
    }
}

#[test]
fn a_run_is_done_when_both_are_and_nothing_travels() {
    let mut network = Network::new(Topology::new().up(Link::delay(SECOND)), 0).unwrap();
    let mut server = Echo::new();
    assert_eq!(network.run(&mut Sender::of_bytes(10, 1, SECOND), &mut server, 5 * SECOND), Ending::Done);
    assert_eq!((network.now_ns(), server.received), (1_000_000_000, 1));
}

#[test]
fn timers_of_those_who_are_done_keep_nothing_up() {
    let mut client = Odd { timeout_ns: Some(9), sends: false, done: true };
    assert_eq!(perfect().run(&mut client, &mut Echo::new(), SECOND), Ending::Done);
}

#[test]
fn a_time_limit_is_reported_as_one_and_the_run_goes_on_from_there() {
    let mut network = perfect();
    let mut client = Sender::of_bytes(10, 10, SECOND);
    let mut server = Echo::new();
    assert_eq!(network.run(&mut client, &mut server, 4 * SECOND), Ending::TimeLimit);
    assert_eq!((server.received, network.now_ns()), (5, 4_000_000_000));
    assert_eq!(network.run(&mut client, &mut server, 10 * SECOND), Ending::Done);
    assert_eq!(server.received, 10);
}

#[test]
fn who_waits_for_nothing_has_stalled() {
    let mut client = Odd { timeout_ns: None, sends: false, done: false };
    assert_eq!(perfect().run(&mut client, &mut Echo::new(), SECOND), Ending::Stalled);
}

#[test]
fn who_never_lets_time_pass_is_stopped() {
    let mut insists = Odd { timeout_ns: Some(0), sends: false, done: false };
    assert_eq!(perfect().run(&mut insists, &mut Echo::new(), SECOND), Ending::Spinning);
    let mut floods = Odd { timeout_ns: None, sends: true, done: false };
    assert_eq!(perfect().run(&mut floods, &mut Sender::of_bytes(0, 0, SECOND), SECOND), Ending::Spinning);
}

#[test]
fn listeners_hear_each_event_in_order() {
    let topology = Topology::new().up(Link::delay(SECOND)).up(Link::Loss { rate: 1.0 });
    let mut network = Network::new(topology, 0).unwrap();
    let heard = Rc::new(RefCell::new(Vec::new()));
    let writer = Rc::clone(&heard);
    network.listen(move |event| writer.borrow_mut().push((event.at_ns, event.what)));
    network.run(&mut Sender::of_bytes(72, 1, SECOND), &mut Echo::new(), 5 * SECOND);
    let later = 1_000_000_000;
    let expected = [
        (0, What::Sent(100)),
        (0, What::Passed(later)),
        (later, What::Dropped(shingle_netlab::DropReason::Loss)),
    ];
    assert_eq!(*heard.borrow(), expected);
}

#[test]
fn a_network_is_printed_with_all_it_was_made_of() {
    let topology = Topology::new()
        .up(Link::Mtu { mtu: 1500, icmp: true })
        .up(Link::Loss { rate: 0.25 })
        .down(Link::Delay { delay: Duration::from_millis(20), jitter: Duration::ZERO });
    let network = Network::new(topology, 77).unwrap();
    assert_eq!(
        network.to_string(),
        "NETLAB_SEED=77\n\
         up:   mtu mtu=1500 icmp=true | loss rate=0.25 | reassembly memory=4194304 time=30s\n\
         down: delay delay=20ms jitter=0ns | reassembly memory=4194304 time=30s"
    );
}
