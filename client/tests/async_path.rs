//! The client for tokio on hostile paths, over real sockets: loss, doubles, reordering, flipped bits, and datagrams that are
//! too long for the path.

mod relay;
mod stage;

use relay::{FAIR, Weather};
use shingle_client::{Client, Options};
use shingle_proto::search::SearchState;
use stage::{PATIENT, connect_through, server_behind, store, until, value};

const SIZES: [usize; 7] = [0, 1, 500, 1400, 5000, 60_000, 300_000];

/// With retries enough that only what never arrives fails, the first one late enough for a slow machine.
fn patient() -> Options {
    Options { timeout: PATIENT, retries: 7, retry_budget_percent: 255, ..Options::default() }
}

/// Path MTUs met in the field, those of the search's table up to 9001, and some that are nowhere.
const TABLE: [usize; 14] =
    [1280, 1400, 1420, 1446, 1460, 1492, 1500, 3900, 4352, 8500, 8896, 8900, 9000, 9001];
const OTHERS: [usize; 6] = [1249, 1300, 1477, 2000, 5001, 8973];

fn found(client: &Client, path_mtu: usize) -> bool {
    let down = client.stats().path.down;
    down.state == Some(SearchState::Complete) && usize::from(down.proved_bytes) + 28 == path_mtu
}

#[tokio::test]
async fn nothing_wrong_is_delivered_and_nothing_is_missed() {
    for seed in 10..13 {
        let weather = Weather { lost: 50, doubled: 50, reordered: 100, corrupted: 20, ..FAIR };
        let (server, relay) = server_behind(weather, seed);
        store(&server, SIZES);
        let client = connect_through(&relay, patient()).await;
        let keys: Vec<String> = (0..300).map(|read| SIZES[read % SIZES.len()].to_string()).collect();
        for (key, result) in keys.iter().zip(client.get_many(&keys).await) {
            match result {
                Ok(found) => assert!(found == Some(value(key.parse().unwrap())), "{key} B, seed {seed}"),
                Err(error) => panic!("{key} B, seed {seed}: {error}; {:?}", client.stats()),
            }
        }
        let counters = client.stats().counters;
        assert!(counters.drops.iter().sum::<u64>() > 0 && counters.duplicates > 0, "{counters:?}");
        assert!(counters.rerequests + counters.retries > 0, "{counters:?}");
    }
}

#[tokio::test]
async fn the_exact_path_mtu_is_proved_within_the_probes_promised() {
    for (path_mtu, probes_max) in TABLE.map(|mtu| (mtu, 16)).into_iter().chain(OTHERS.map(|mtu| (mtu, 40))) {
        // A machine that stalls for longer than a probe is waited for makes one look lost that was not: that is another path.
        let mut tries = (0..5).rev();
        let probes = loop {
            let (probes, stalled) = prove(path_mtu).await;
            if !stalled || tries.next().is_none() {
                break probes;
            }
        };
        println!("path MTU {path_mtu}: {probes} probes");
        assert!(
            probes <= probes_max,
            "{probes} probes for a path MTU of {path_mtu}; {probes_max} are promised"
        );
    }
}

/// Probes that it takes to prove this path MTU of the way down, and whether an answer to one came after it was given up.
async fn prove(path_mtu: usize) -> (u64, bool) {
    let (server, relay) = server_behind(Weather { path_mtu_down: path_mtu, ..FAIR }, 20);
    store(&server, [300_000]);
    let client = connect_through(&relay, patient()).await;
    until(&format!("path MTU {path_mtu} is proved"), || found(&client, path_mtu)).await;
    let probes = relay.count(|counts| &counts.probes_down);
    assert_eq!(client.get("300000").await.unwrap(), Some(value(300_000)));
    let longest = relay.count(|counts| &counts.longest_answer) as usize;
    assert!(path_mtu == 9001 || longest + 28 > path_mtu, "larger sizes were tried");
    (probes, client.stats().path.down.counters.late > 0)
}

#[tokio::test]
async fn the_way_up_is_searched_where_requests_may_be_long() {
    let (server, relay) = server_behind(Weather { path_mtu_up: 1500, ..FAIR }, 30);
    store(&server, 0..64);
    let options = Options { gets_per_datagram_max: 64, ..patient() };
    let client = connect_through(&relay, options).await;
    until("the way up is proved", || client.stats().path.up.state == Some(SearchState::Complete)).await;
    assert_eq!(usize::from(client.stats().path.up.proved_bytes) + 28, 1500);
    assert!(relay.count(|counts| &counts.probes_up) <= 16);
    // Keys so long that 64 gets are far more than a datagram.
    let keys: Vec<String> = (0..64).map(|key| format!("{key:0>200}")).collect();
    assert!(client.get_many(&keys).await.into_iter().all(|result| matches!(result, Ok(None))));
    assert_eq!(relay.count(|counts| &counts.reads_too_long), 0, "reads never pay for the search");
    assert!(relay.count(|counts| &counts.longest_read) > 1200);
}

#[tokio::test]
async fn a_path_that_shrinks_costs_no_read_and_is_measured_again() {
    let (server, relay) = server_behind(FAIR, 40);
    store(&server, SIZES);
    let client = connect_through(&relay, patient()).await;
    until("9001 is proved", || found(&client, 9001)).await;
    let keys: Vec<String> = SIZES.iter().map(usize::to_string).collect();
    for path_mtu in [8500, 1500] {
        relay.set(Weather { path_mtu_down: path_mtu, path_mtu_up: path_mtu, ..FAIR });
        let mut rounds = 0;
        while !found(&client, path_mtu) {
            rounds += 1;
            assert!(
                rounds <= 1000,
                "{path_mtu} is not proved after {rounds} rounds: {:?}",
                client.stats().path
            );
            for (key, result) in keys.iter().zip(client.get_many(&keys).await) {
                match result {
                    Ok(found) => assert!(found == Some(value(key.parse().unwrap())), "{key} B at {path_mtu}"),
                    Err(error) => {
                        panic!("{key} B at {path_mtu}, round {rounds}: {error}; {:?}", client.stats())
                    }
                }
            }
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
    }
    assert!(client.stats().path.down.counters.lowered >= 2, "{:?}", client.stats().path);
}
