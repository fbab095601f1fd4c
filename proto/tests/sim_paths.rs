//! The path-MTU search in the client core on simulated networks: exact sizes, reads on a path that shrinks, ordinary loss that must not
//! be taken for a small path (PROTOCOL.md, sections 4.1, 6.2 and 6.3).

mod sim_support;

use std::time::Duration;

use shingle_netlab::{Ending, Link, Network, Step, Topology};
use shingle_proto::client::{ClientConfig, ReceiveBuffer};
use shingle_proto::limits::PATH_MTUS;
use shingle_proto::search::{SearchConfig, SearchState};
use sim_support::{MS, Plan, Reader, Replies, addresses, overhead_bytes, values};

/// Interfaces of hosts: what the search is told as its cap.
const CAPS: [u32; 3] = [1500, 9001, 65_535];

fn config(cap: u32, ipv6: bool) -> ClientConfig {
    let overhead_bytes = overhead_bytes(ipv6);
    let datagram_max = (cap - u32::from(overhead_bytes)).min(65_507) as u16;
    ClientConfig {
        value_bytes_max: values::VALUE_BYTES_MAX,
        gap_ns: 10 * MS,
        retries: 3,
        search: Some(SearchConfig { datagram_max, overhead_bytes, ..SearchConfig::default() }),
        search_up: true,
        ..ClientConfig::default()
    }
}

fn both_mtus(up: u32, down: u32) -> Topology {
    let delay = Link::delay(Duration::from_micros(300));
    Topology::new()
        .both(delay)
        .up(Link::Mtu { mtu: up, icmp: false })
        .down(Link::Mtu { mtu: down, icmp: false })
}

/// Searches a path in both directions, with a few reads going on beside; gives the probes up and down.
fn search(up: u32, down: u32, cap: u32, ipv6: bool) -> (u64, u64) {
    let (client, server) = addresses(ipv6);
    let plan = Plan { reads: 50, stays: true, ..Plan::default() };
    let mut reader = Reader::new(config(cap, ipv6), plan, client, server);
    let mut replies = Replies::new(server, &plan);
    let mut network = Network::new(both_mtus(up, down), 1).expect("a network");
    network.run(&mut reader, &mut replies, Duration::from_secs(20));
    let path = reader.core.path();
    for (report, mtu) in [(path.up, up), (path.down, down)] {
        let exact = (mtu.min(cap) - u32::from(overhead_bytes(ipv6))).min(65_507);
        assert_eq!(
            u32::from(report.proved_bytes),
            exact,
            "path MTU {mtu}, cap {cap}, IPv6 {ipv6}: {report:?}"
        );
        assert_eq!(report.state, Some(SearchState::Complete), "path MTU {mtu}, cap {cap}");
    }
    assert_eq!(reader.books.timed_out, 0, "no read is lost to discovery: {:?}", reader.books);
    assert_eq!(reader.books.first_try, reader.books.begun, "nor its first exchange: {:?}", reader.books);
    (path.up.counters.probes, path.down.counters.probes)
}

#[test]
fn the_exact_path_mtu_is_proved_each_way_within_the_probes_promised() {
    let (mut most_table, mut most_other) = (0, 0);
    for ipv6 in [false, true] {
        for cap in CAPS {
            for (at, mtu) in PATH_MTUS.into_iter().map(u32::from).enumerate() {
                // The other way has another path MTU.
                let back = u32::from(PATH_MTUS[(at + 5) % PATH_MTUS.len()]);
                let (up, down) = search(mtu, back, cap, ipv6);
                most_table = most_table.max(up).max(down);
            }
            for mtu in [1248, 1249, 1300, 1441, 1501, 2000, 4321, 8999, 9002, 20_000, 65_000] {
                let (up, down) = search(mtu, mtu + 17, cap, ipv6);
                most_other = most_other.max(up).max(down);
            }
        }
    }
    println!("most probes: {most_table} on table values, {most_other} elsewhere");
    assert!(most_table <= 16, "{most_table} probes on a table value");
    assert!(most_other <= 40, "{most_other} probes on another value");
}

/// Reads every 10 ms while the path down shrinks after 3 s; gives reads from the change until the size was right again.
fn shrink(seed: u64, from: u32, to: u32, retries: u8) -> (u64, u64) {
    let (client, server) = addresses(false);
    let plan = Plan {
        reads: 1000,
        interval_ns: 10 * MS,
        first_key: values::LARGE_FROM,
        stays: true,
        ..Plan::default()
    };
    let config = ClientConfig { retries, ..config(9001, false) };
    let mut reader = Reader::new(config, plan, client, server);
    reader.hints = false;
    let mut replies = Replies::new(server, &plan);
    let change = Duration::from_millis(3000 + seed % 10);
    let mtu = |mtu| Some(Link::Mtu { mtu, icmp: false });
    let steps = vec![Step { from: Duration::ZERO, link: mtu(from) }, Step { from: change, link: mtu(to) }];
    let topology = Topology::new().both(Link::delay(Duration::from_micros(300))).down(Link::Schedule(steps));
    let mut network = Network::new(topology, seed).expect("a network");
    network.run(&mut reader, &mut replies, Duration::from_secs(20));
    let path = reader.core.path().down;
    assert_eq!(u32::from(path.proved_bytes), to - 28, "{from} to {to}: the size is right again: {path:?}");
    assert_eq!(path.counters.lowered, 1, "{from} to {to}");
    assert!(network.topology().down.mtu(Duration::from_secs(4)) == Some(to));
    let after = reader.announced.iter().filter(|(at, _)| *at >= change.as_nanos() as u64);
    let wrong = after.clone().filter(|(_, size)| u32::from(*size) > to - 28).count() as u64;
    let until_right = after.take_while(|(_, size)| u32::from(*size) != to - 28).count() as u64;
    assert_eq!(reader.books.timed_out, 0, "a base-size answer saves every read: {:?}", reader.books);
    (until_right, wrong)
}

#[test]
fn no_read_fails_on_a_path_that_shrinks_and_the_size_is_right_again_soon() {
    let (mut most_reads, mut most_wrong) = (0, 0);
    let mut seed = 0;
    for from in [9001, 8500, 1500] {
        for to in [8500, 4352, 1500, 1492, 1446, 1400, 1280, 1333, 2222, 7777] {
            if to < from {
                seed += 1;
                let (reads, wrong) = shrink(seed, from, to, 1 + (seed % 3) as u8);
                (most_reads, most_wrong) = (most_reads.max(reads), most_wrong.max(wrong));
            }
        }
    }
    println!(
        "right again after {most_reads} reads 10 ms apart at most, of which {most_wrong} asked for too much"
    );
    assert!(most_reads <= 200, "{most_reads} reads");
    assert!(most_wrong <= 60, "{most_wrong} reads asked for too much");
}

/// 20,000 reads a second of a few kB while the path down shrinks after 200 ms; gives how many failed.
fn failed_in_a_rush(seed: u64, retries: u8) -> u64 {
    let (client, server) = addresses(false);
    let first_key = values::KILOBYTES_FROM;
    let timeout_ns = 100 * MS;
    let plan =
        Plan { reads: 14_000, interval_ns: MS, together: 20, timeout_ns, first_key, ..Plan::default() };
    let config = ClientConfig {
        retries,
        in_flight_max: 8192,
        partial_max: 8192,
        reassembly_bytes: 256 << 20,
        receive_buffer: ReceiveBuffer::linux(64 << 20),
        timeout_ns,
        ..config(9001, false)
    };
    let mut reader = Reader::new(config, plan, client, server);
    let mut replies = Replies::new(server, &plan);
    let mtu = |mtu| Some(Link::Mtu { mtu, icmp: false });
    let change = Duration::from_micros(200_000 + seed * 100);
    let steps = vec![Step { from: Duration::ZERO, link: mtu(9001) }, Step { from: change, link: mtu(1500) }];
    let topology = Topology::new().both(Link::delay(Duration::from_micros(300))).down(Link::Schedule(steps));
    let mut network = Network::new(topology, seed).expect("a network");
    let ending = network.run(&mut reader, &mut replies, Duration::from_secs(5));
    assert_eq!(ending, Ending::Done, "seed {seed}");
    assert_eq!(reader.core.path().down.counters.lowered, 1, "seed {seed}");
    reader.books.timed_out
}

#[test]
fn no_read_of_thousands_under_way_fails_when_a_path_shrinks() {
    for retries in [1, 3] {
        for seed in 0..5 {
            let failed = failed_in_a_rush(seed, retries);
            assert_eq!(failed, 0, "seed {seed}, retries {retries}: a base-size answer saves every read");
        }
    }
}

/// Reads of a few kB every 10 ms for 20 s while this node stands on the way down; gives how many failed of 2000.
fn failed(link: Link, seed: u64, retries: u8) -> u64 {
    let (client, server) = addresses(false);
    let first_key = values::KILOBYTES_FROM;
    let plan = Plan { reads: 2000, interval_ns: 10 * MS, first_key, stays: true, ..Plan::default() };
    // A budget for every read: half of the answers are lost while the size is not in doubt.
    let config = ClientConfig { retries, retry_budget_percent: 100, ..config(9001, false) };
    let mut reader = Reader::new(config, plan, client, server);
    let mut replies = Replies::new(server, &plan);
    let topology = Topology::new().both(Link::delay(Duration::from_micros(300))).down(link);
    let mut network = Network::new(topology, seed).expect("a network");
    network.run(&mut reader, &mut replies, Duration::from_secs(21));
    assert!(reader.all_ended(), "seed {seed}");
    reader.books.timed_out
}

/// The share of reads that fail without retries; none may with two of them.
fn share_failed(name: &str, link: &Link) -> f64 {
    const SEEDS: u64 = 10;
    for seed in 0..SEEDS {
        assert_eq!(failed(link.clone(), seed, 2), 0, "{name}, seed {seed}: with two retries no read fails");
    }
    let failed: u64 = (0..SEEDS).map(|seed| failed(link.clone(), seed, 0)).sum();
    let share = failed as f64 / (SEEDS * 2000) as f64;
    println!("{name}: {:.2} % of reads fail without retries, none with two", share * 100.0);
    share
}

#[test]
fn a_path_that_loses_half_of_what_is_large_costs_retries_and_no_reads() {
    let share = share_failed("50 % loss above 1500 B", &Link::SizeLoss { above: 1500, rate: 0.5 });
    // Half of the large answers pass, so the size is not given up (section 6.3).
    assert!((0.2..0.6).contains(&share), "{share}");
}

#[test]
fn a_path_that_flaps_between_two_sizes_costs_retries_and_no_reads() {
    let step = |second: u64| {
        let mtu = if second.is_multiple_of(2) { 9001 } else { 1500 };
        Step { from: Duration::from_secs(second), link: Some(Link::Mtu { mtu, icmp: false }) }
    };
    let share =
        share_failed("9001 B and 1500 B in turns of 1 s", &Link::Schedule((0..21).map(step).collect()));
    assert!(share < 0.6, "{share}");
}

#[test]
fn ordinary_loss_never_lowers_the_size() {
    const RUNS: u64 = 1000;
    let (client, server) = addresses(false);
    let (mut tests, mut wrong_sizes) = (0, 0);
    for seed in 0..RUNS {
        let rate = (1 + seed % 20) as f64 / 100.0;
        let plan = Plan { reads: 400, interval_ns: 20 * MS, keys: 20, stays: true, ..Plan::default() };
        let mut reader = Reader::new(config(9001, false), plan, client, server);
        let mut replies = Replies::new(server, &plan);
        let topology = both_mtus(8500, 8500).both(Link::Loss { rate });
        let mut network = Network::new(topology, seed).expect("a network");
        network.run(&mut reader, &mut replies, Duration::from_secs(12));
        let path = reader.core.path();
        for report in [path.up, path.down] {
            assert_eq!(report.counters.lowered, 0, "seed {seed}, loss {rate}: {report:?}");
            tests += report.counters.tests;
            wrong_sizes +=
                u64::from(report.proved_bytes != 8472 && report.state == Some(SearchState::Complete));
        }
    }
    println!(
        "{RUNS} runs, {tests} lowering tests, none lowered; {wrong_sizes} searches ended on another size"
    );
    assert!(tests > RUNS, "loss made the client suspect: {tests}");
    assert!(wrong_sizes <= 2, "{wrong_sizes} searches of {} ended on another size", 2 * RUNS);
}

/// Datagrams both ways for the same reads at this loss, and how many reads failed.
fn datagrams(seed: u64, first_key: u64, datagram_max: u16, rate: f64) -> (u64, u64) {
    let (client, server) = addresses(false);
    let plan = Plan { reads: 2000, interval_ns: 2 * MS, first_key, keys: 200, ..Plan::default() };
    let config = ClientConfig { search: None, datagram_max, ..config(9001, false) };
    let mut reader = Reader::new(config, plan, client, server);
    let mut replies = Replies::new(server, &plan);
    let topology = Topology::new().both(Link::delay(Duration::from_micros(300))).both(Link::Loss { rate });
    let mut network = Network::new(topology, seed).expect("a network");
    assert_eq!(network.run(&mut reader, &mut replies, Duration::from_secs(60)), Ending::Done);
    (reader.books.read_datagrams + replies.datagrams, reader.books.timed_out)
}

/// The most datagrams that 5 % loss each way costs over 20 seeds, beside those of a perfect network.
fn cost_of_loss(first_key: u64, datagram_max: u16) -> f64 {
    let mut most = 0.0_f64;
    for seed in 0..20 {
        let (perfect, _) = datagrams(seed, first_key, datagram_max, 0.0);
        let (lossy, failed) = datagrams(seed, first_key, datagram_max, 0.05);
        most = most.max(lossy as f64 / perfect as f64);
        assert!(failed <= 2, "seed {seed}: {failed} of 2000 reads failed with three retries");
    }
    println!(
        "keys from {first_key}, {datagram_max} B, 5 % loss each way: at most {most:.3} of the datagrams"
    );
    most
}

#[test]
fn five_percent_of_loss_costs_at_most_a_quarter_more_datagrams() {
    for (first_key, datagram_max) in [(values::METADATA_FROM, 1472), (values::METADATA_FROM, 8973), (0, 1472)]
    {
        let most = cost_of_loss(first_key, datagram_max);
        assert!(most <= 1.25, "keys from {first_key}, {datagram_max} B: {most}");
    }
    // Values up to 96 KiB in large datagrams: what was lost whole comes back in base-size datagrams (section 4.1), seven for one.
    let most = cost_of_loss(0, 8973);
    assert!(most <= 1.5, "{most}");
}
