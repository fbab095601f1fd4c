//! How fast a network runs: packets a second of wall time, through one node and through many, and small random networks a second.
//!
//! `cargo run --release -p shingle-netlab --example throughput`

use std::time::{Duration, Instant};

use shingle_netlab::{Echo, Link, Network, Ranges, Sender, Topology};

const DATAGRAMS: u64 = 1_000_000;
const NETWORKS: u64 = 10_000;

fn main() {
    let one = Topology::new().both(Link::Loss { rate: 0.01 });
    let seven = one
        .clone()
        .both(Link::Mtu { mtu: 9001, icmp: true })
        .both(Link::Delay { delay: Duration::from_millis(1), jitter: Duration::from_micros(100) })
        .both(Link::Reorder { rate: 0.01, delay: Duration::from_millis(1) })
        .both(Link::Duplicate { rate: 0.01, delay: Duration::ZERO })
        .both(Link::Corrupt { rate: 0.01, bits: 1 })
        .both(Link::BadPath { paths: 4, rate: 0.1 });
    for (name, topology) in [("loss alone", one), ("seven nodes", seven)] {
        let mut network = Network::new(topology, 1).expect("these settings are within their ranges");
        let begin = Instant::now();
        network.run(
            &mut Sender::of_bytes(100, DATAGRAMS, Duration::from_micros(1)),
            &mut Echo::new(),
            Duration::from_secs(1000),
        );
        let report = network.report();
        let packets = report.up.sent + report.down.sent;
        let rate = packets as f64 / begin.elapsed().as_secs_f64();
        println!("{name}: {packets} datagrams there and back, {:.2} million/s", rate / 1e6);
    }
    let begin = Instant::now();
    for seed in 0..NETWORKS {
        let mut network = Network::random(seed, &Ranges::default()).expect("the default ranges are possible");
        let mut client = Sender::of_bytes(1200, 300, Duration::from_millis(1));
        network.run(&mut client, &mut Echo::new(), Duration::from_secs(100));
    }
    println!("{NETWORKS} random networks with 300 datagrams up: {:.1} s", begin.elapsed().as_secs_f64());
}
