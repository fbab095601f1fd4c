//! Socket buffers, rebinding NATs and paths chosen by address.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use shingle_netlab::{
    Change, Drain, DropReason, Echo, Ending, Endpoint, Link, Network, Packet, ReceiveBuffer, Sender,
    Topology, TopologyError, Trigger,
};

use crate::{LIMIT, fragmentable, fragmentables, run};

/// A buffer of Linux's default size before the server.
fn buffered(drain: Drain) -> Topology {
    let mut topology = Topology::new();
    topology.up.receive_buffer = Some(ReceiveBuffer::linux_default(drain));
    topology
}

#[test]
fn a_buffer_holds_what_the_kernel_charges_not_what_is_sent() {
    // All at once, before anything is read: 212,992 B over the charge of each size.
    for (bytes, charge) in [(0, 832), (199, 832), (200, 1280), (1472, 2304), (8000, 16_640), (65_507, 16_640)]
    {
        let run = run(buffered(Drain::Rate(1)), Sender::of_bytes(bytes, 500, Duration::ZERO));
        assert_eq!(run.received.len(), 212_992 / charge, "{bytes} B");
        assert_eq!(run.report.up.dropped(DropReason::ReceiveBuffer) as usize, 500 - 212_992 / charge);
    }
}

#[test]
fn a_buffer_gives_back_what_is_read() {
    // One each microsecond, one read each two: 92 fit at 2304 B, and every second one beyond.
    let run = run(buffered(Drain::Rate(500_000)), Sender::of_bytes(1000, 1000, Duration::from_micros(1)));
    assert_eq!(run.received.len(), 92 + 499);
    assert!(run.received.windows(2).all(|pair| pair[1].0 - pair[0].0 == 2000));
}

#[test]
fn what_is_read_makes_room_at_that_moment() {
    let mut topology = buffered(Drain::Rate(1000));
    topology.up.receive_buffer.as_mut().unwrap().size = 2304;
    let run = run(topology, Sender::of_bytes(1000, 10, Duration::from_millis(1)));
    assert_eq!(run.received.len(), 10);
}

#[test]
fn who_always_reads_receives_at_once() {
    let run = run(buffered(Drain::Endpoint), Sender::of_bytes(1000, 1000, Duration::from_micros(1)));
    assert!(run.received.iter().zip(0..).all(|((at_ns, _), i)| *at_ns == i * 1000));
    assert_eq!(run.received.len(), 1000);
}

#[test]
fn a_buffer_too_small_for_any_takes_one() {
    let mut topology = buffered(Drain::Rate(1000));
    topology.up.receive_buffer.as_mut().unwrap().size = 100;
    assert_eq!(run(topology, Sender::of_bytes(1000, 3, Duration::ZERO)).received.len(), 1);
}

#[test]
fn a_buffer_charges_whole_datagrams_not_fragments() {
    let topology = buffered(Drain::Rate(1)).up(Link::Mtu { mtu: 1500, icmp: false });
    assert_eq!(run(topology, fragmentables(3000, 100)).received.len(), 212_992 / 4352);
}

/// Reads so many datagrams each millisecond.
struct Reader {
    each: usize,
    left: usize,
    next_ns: u64,
    received: Vec<u64>,
    expects: usize,
}

impl Endpoint for Reader {
    fn receive(&mut self, now_ns: u64, _: Packet) {
        self.left -= 1;
        self.received.push(now_ns);
    }
    fn poll_send(&mut self, _: u64) -> Option<Packet> {
        None
    }
    fn poll_timeout(&self) -> Option<u64> {
        (!self.done()).then_some(self.next_ns)
    }
    fn handle_timeout(&mut self, now_ns: u64) {
        self.next_ns = now_ns + 1_000_000;
        self.left = self.each;
    }
    fn reads(&self) -> bool {
        self.left > 0
    }
    fn done(&self) -> bool {
        self.received.len() >= self.expects
    }
}

#[test]
fn an_endpoint_reads_when_it_likes_and_the_rest_waits_or_is_dropped() {
    let mut network = Network::new(buffered(Drain::Endpoint), 1).unwrap();
    let mut client = Sender::of_bytes(1000, 100, Duration::from_nanos(1));
    let mut server = reader(92);
    assert_eq!(network.run(&mut client, &mut server, Duration::from_micros(3500)), Ending::TimeLimit);
    let report = network.report();
    assert_eq!(report.check(), Ok(()));
    assert_eq!(server.received.len(), 30);
    let buffer = report.up.node("receive_buffer").unwrap();
    assert_eq!((buffer.held, buffer.dropped(DropReason::ReceiveBuffer)), (62, 8));
    assert_eq!(network.run(&mut client, &mut server, LIMIT), Ending::Done);
    assert!(server.received.iter().zip(0..).all(|(at_ns, i)| *at_ns == 1_000_000 * (1 + i / 10)));
}

fn reader(expects: usize) -> Reader {
    Reader { each: 10, left: 0, next_ns: 1_000_000, received: Vec::new(), expects }
}

#[test]
fn an_endpoint_that_keeps_up_reads_all() {
    let mut network = Network::new(buffered(Drain::Endpoint), 1).unwrap();
    let mut client = Sender::of_bytes(1000, 1000, Duration::from_micros(100));
    assert_eq!(network.run(&mut client, &mut reader(1000), LIMIT), Ending::Done);
    assert_eq!(network.report().up.dropped(DropReason::ReceiveBuffer), 0);
}

/// Echoes through a NAT with a delay of 5 µs each way; what the client got back, and the sources the server saw.
fn through_nat(
    trigger: Trigger,
    change: Change,
    keeps: u32,
    count: u64,
) -> (Sender, BTreeSet<SocketAddr>, u64) {
    let delay = Link::delay(Duration::from_micros(5));
    let topology = Topology::new().up(Link::AddressChange { trigger, change, keeps }).both(delay);
    let mut network = Network::new(topology, 1).unwrap();
    let mut client = Sender::of_bytes(100, count, Duration::from_micros(1));
    let mut server = Watch::default();
    assert_eq!(network.run(&mut client, &mut server, LIMIT), Ending::Done);
    let report = network.report();
    assert_eq!(report.check(), Ok(()));
    (client, server.sources, report.down.dropped(DropReason::OldAddress))
}

/// An echo that notes whom it answers.
#[derive(Default)]
struct Watch {
    echo: Echo,
    sources: BTreeSet<SocketAddr>,
}

impl Endpoint for Watch {
    fn receive(&mut self, now_ns: u64, packet: Packet) {
        self.sources.insert(packet.source);
        self.echo.receive(now_ns, packet);
    }
    fn poll_send(&mut self, now_ns: u64) -> Option<Packet> {
        self.echo.poll_send(now_ns)
    }
    fn poll_timeout(&self) -> Option<u64> {
        None
    }
    fn handle_timeout(&mut self, _: u64) {}
    fn done(&self) -> bool {
        true
    }
}

#[test]
fn a_nat_changes_the_source_and_translates_answers_back() {
    let (client, sources, old) = through_nat(Trigger::At(Duration::from_micros(50)), Change::Port, 1, 100);
    assert_eq!((client.received.len(), old), (100, 0));
    let inside: SocketAddr = "198.18.0.1:1000".parse().unwrap();
    assert!(client.received.iter().all(|(_, packet)| packet.destination == inside));
    assert_eq!(sources.len(), 2);
    assert!(sources.iter().all(|source| source.ip() == inside.ip()));
    assert!(sources.contains(&inside), "before the change everyone keeps their own");

    let (_, sources, _) = through_nat(Trigger::At(Duration::ZERO), Change::Address, 0, 100);
    assert_eq!(sources.iter().map(ToString::to_string).collect::<Vec<_>>(), ["198.19.1.1:1000"]);
}

#[test]
fn answers_to_an_address_given_up_are_lost() {
    // 10 µs there and back at one a microsecond: ten are under way when the address changes at 50 µs.
    let (client, _, old) = through_nat(Trigger::At(Duration::from_micros(50)), Change::Port, 0, 100);
    assert_eq!((client.received.len(), old), (90, 10));
    // Every 20 packets: each time the last ten.
    let (client, sources, old) = through_nat(Trigger::Every(20), Change::Address, 0, 100);
    assert_eq!((client.received.len(), old, sources.len()), (50, 50, 5));
    let (client, _, old) = through_nat(Trigger::Every(20), Change::Address, 1, 100);
    assert_eq!((client.received.len(), old), (100, 0));
}

#[test]
fn answers_find_back_through_two_nats() {
    let nat = |change| Link::AddressChange { trigger: Trigger::At(Duration::ZERO), change, keeps: 0 };
    let topology = Topology::new().up(nat(Change::Port)).up(nat(Change::Address));
    let mut network = Network::new(topology, 1).unwrap();
    let mut client = Sender::of_bytes(100, 10, Duration::ZERO);
    assert_eq!(network.run(&mut client, &mut Echo::new(), LIMIT), Ending::Done);
    let inside: SocketAddr = "198.18.0.1:1000".parse().unwrap();
    assert!(client.received.iter().all(|(_, packet)| packet.destination == inside));
    assert_eq!(client.received.len(), 10);
}

#[test]
fn icmp_finds_its_way_through_a_nat_and_to_a_server() {
    let nat = Link::AddressChange { trigger: Trigger::At(Duration::ZERO), change: Change::Port, keeps: 0 };
    let narrow = Link::Mtu { mtu: 1400, icmp: true };
    let hints = run(Topology::new().up(nat).up(narrow.clone()), Sender::of_bytes(1373, 1, Duration::ZERO))
        .client
        .hints;
    assert_eq!(hints[0].1.source, "198.18.0.1:1000".parse().unwrap());

    let mut network = Network::new(Topology::new().down(narrow), 1).unwrap();
    let mut server = Sender::of_bytes(1373, 2, Duration::ZERO);
    network.run(&mut Sender::of_bytes(0, 0, Duration::ZERO), &mut server, LIMIT);
    assert_eq!(server.hints.len(), 2);
}

#[test]
fn a_nat_stands_before_the_client_and_not_in_a_schedule() {
    let nat = || Link::AddressChange { trigger: Trigger::Every(1), change: Change::Port, keeps: 0 };
    assert_eq!(Topology::new().down(nat()).check(), Err(TopologyError::AddressChangeDown));
    let step = shingle_netlab::Step { from: Duration::ZERO, link: Some(nat()) };
    let scheduled = Topology::new().up(Link::Schedule(vec![step])).check();
    assert_eq!(scheduled, Err(TopologyError::Scheduled { link: "address_change" }));
}

#[test]
fn a_bad_path_takes_whole_flows_and_about_its_share_of_them() {
    let mut lost = 0;
    for port in 1..=1000 {
        let client = SocketAddr::from(([198, 18, 0, 1], port));
        let packet = Packet::new(client, "198.18.0.2:7400".parse().unwrap(), vec![0; 100]);
        let topology = Topology::new().up(Link::BadPath { paths: 4, rate: 1.0 });
        let run = run(topology, Sender::new(packet, 10, Duration::from_micros(1)));
        assert!([0, 10].contains(&run.received.len()), "a flow has one path");
        lost += usize::from(run.received.is_empty());
    }
    assert!((209..=291).contains(&lost), "{lost} of 1000 flows on one of 4 paths");
}

#[test]
fn fragments_take_the_path_of_their_addresses_whatever_the_port() {
    let outcomes: BTreeSet<bool> = (1..=50)
        .map(|port| {
            let mut packet = fragmentable(3000);
            packet.source.set_port(port);
            let topology = Topology::new().up(Link::Mtu { mtu: 1500, icmp: false });
            let run = run(
                topology.up(Link::BadPath { paths: 2, rate: 1.0 }),
                Sender::new(packet, 1, Duration::ZERO),
            );
            run.received.is_empty()
        })
        .collect();
    assert_eq!(outcomes.len(), 1, "all on one path");
}
