//! Reads by the client for tokio against the server itself: values, order, many tasks, turns, cancellation, its end.

mod relay;
mod stage;

use std::time::Duration;

use shingle_client::control::Strategy;
use shingle_client::{Client, GetError, Options, PathMtu, ServerState};
use shingle_server::{Config, PortConfig, Server};
use stage::{PATIENT, connect, server, store, until, value};
use tokio::task::JoinSet;

const SIZES: [usize; 8] = [0, 1, 500, 1200, 1400, 5000, 300_000, 1 << 20];

fn patient() -> Options {
    Options { timeout: PATIENT, ..Options::default() }
}

#[tokio::test]
async fn values_of_all_sizes_and_none() {
    let server = server();
    store(&server, SIZES);
    let client = connect(&server, patient()).await;
    for bytes in SIZES {
        let found = client.get(bytes.to_string()).await.unwrap();
        assert!(found.is_some_and(|found| found == value(bytes)), "value of {bytes} B");
    }
    assert_eq!(client.get("not stored").await.unwrap(), None);
    assert_eq!(client.state(), ServerState::Answering);
    let counted = || {
        let outcomes = client.stats().outcomes;
        (outcomes.values, outcomes.misses, outcomes.over_tcp)
    };
    until("all reads are counted", || counted() == (SIZES.len() as u64, 1, 0)).await;
    assert!(client.server_stats().await.unwrap().starts_with('{'));
    client.set("small", "changed", 0).await.unwrap();
    let many = (0..1000_u32).map(|number| (number.to_be_bytes(), number.to_le_bytes(), 0)).collect();
    assert_eq!(client.set_all(many).await.unwrap(), 1000);
    assert_eq!(client.get(999_u32.to_be_bytes()).await.unwrap().unwrap(), 999_u32.to_le_bytes());
    assert_eq!(client.get("small").await.unwrap().as_deref(), Some(&b"changed"[..]));
    assert!(client.delete("small").await.unwrap());
    assert_eq!(client.get("small").await.unwrap(), None);
}

#[tokio::test]
async fn results_stand_in_the_order_of_the_keys() {
    let server = server();
    store(&server, 0..500);
    let client = connect(&server, patient()).await;
    let mut keys: Vec<Vec<u8>> = (0..500).map(|bytes| bytes.to_string().into_bytes()).collect();
    keys[70] = b"not stored".to_vec();
    keys[80] = Vec::new();
    for (bytes, result) in client.get_many(&keys).await.into_iter().enumerate() {
        match bytes {
            70 => assert_eq!(result.unwrap(), None),
            80 => assert!(matches!(result, Err(GetError::NotBegun(_))), "{result:?}"),
            _ => assert!(result.unwrap() == Some(value(bytes)), "value of {bytes} B"),
        }
    }
    assert!(client.get_many::<&str>(&[]).await.is_empty());
    let counters = client.stats().counters;
    assert!(counters.gets == 499 && counters.datagrams_out < 499 / 4, "gets share datagrams: {counters:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_tasks_share_one_client() {
    const TASKS: usize = 64;
    const READS: usize = 1000;
    let server = server();
    store(&server, 0..READS);
    let client = connect(&server, Options { in_flight_max: 32, ..patient() }).await;
    let mut tasks = JoinSet::new();
    for task in 0..TASKS {
        let client = client.clone();
        tasks.spawn(async move {
            for read in 0..READS {
                let bytes = (read * 7 + task * 13) % READS;
                let found = client.get(bytes.to_string()).await.unwrap();
                assert!(
                    found.is_some_and(|found| found == value(bytes)),
                    "value of {bytes} B in task {task}"
                );
            }
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended.unwrap();
    }
    // The picture follows the replies.
    let all = (TASKS * READS) as u64;
    until("all reads are counted", || {
        let stats = client.stats();
        stats.outcomes.values == all && stats.under_way == 0
    })
    .await;
}

#[tokio::test]
async fn every_strategy_and_path_mtu() {
    let udp_ports = Strategy::ALL.map(|strategy| PortConfig::new(0, strategy)).to_vec();
    let config = Config { udp_ports, tcp_port: 0, memory_bytes: 32 << 20, ..Config::default() };
    let server = Server::start(config).unwrap();
    store(&server, SIZES);
    for port in server.ports() {
        for path_mtu in [PathMtu::SearchUpTo(9001), PathMtu::SMALLEST, PathMtu::Known(9001)] {
            let options = Options { udp_port: Some(port.port), path_mtu, ..patient() };
            let client = connect(&server, options).await;
            let keys = SIZES.map(|bytes| bytes.to_string());
            for (bytes, result) in SIZES.into_iter().zip(client.get_many(&keys).await) {
                let found = result.unwrap();
                assert!(
                    found.is_some_and(|found| found == value(bytes)),
                    "{bytes} B over {:?}",
                    port.strategy
                );
            }
        }
    }
}

/// What does not fit one place waits for it; the time of a read counts from the call.
#[tokio::test]
async fn turns_are_waited_for_and_end() {
    let (server, relay) = stage::server_behind(relay::FAIR, 1);
    store(&server, 0..100);
    let options = Options {
        in_flight_max: 2,
        timeout: Duration::from_millis(500),
        // Silence is to be found by the reads.
        heartbeat: Duration::ZERO,
        ..Options::default()
    };
    let client = stage::connect_through(&relay, options).await;
    let keys: Vec<String> = (0..100).map(|bytes: u32| bytes.to_string()).collect();
    assert!(client.get_many(&keys).await.into_iter().all(|result| result.is_ok()));
    relay.set(relay::Weather { swallow: true, ..relay::FAIR });
    let results = client.get_many(&keys[..6]).await;
    let timed_out = |result: &Result<_, GetError>| matches!(result, Err(GetError::TimedOut { .. }));
    assert!(results[..2].iter().all(timed_out), "{results:?}");
    // The turns of the others came when their time was over as well, or not at all.
    let late =
        |result: &Result<_, GetError>| timed_out(result) || matches!(result, Err(GetError::NoTurn { .. }));
    assert!(results[2..].iter().all(late), "{results:?}");
    assert!(results.iter().any(|result| matches!(result, Err(GetError::NoTurn { .. }))), "{results:?}");
    relay.set(relay::FAIR);
    assert!(client.get_many(&keys).await.into_iter().all(|result| result.is_ok()));
}

/// A read without any time is not begun, and does not blame other reads.
#[tokio::test]
async fn no_time_is_no_lack_of_turns() {
    let server = server();
    let options = Options { timeout: Duration::ZERO, ..Options::default() };
    // The connection itself has a millisecond for each answer.
    let mut tries = 0;
    let client = loop {
        match Client::connect_with(&server.tcp_addr().to_string(), options.clone()).await {
            Ok(client) => break client,
            Err(error) => assert!(tries < 1000, "{error}"),
        }
        tries += 1;
    };
    let error = client.get("1").await.unwrap_err();
    assert!(matches!(error, GetError::TimedOut { total_bytes: 0, .. }), "{error}");
    // Were it begun, the driver would have counted it by the time it has ended.
    drop(client.get_many(&["1", "2"]).await);
    assert_eq!(client.stats().counters.gets, 0);
}

/// Futures dropped at every stage of a read leave nothing behind: no read under way, no turn taken, no wrong answer later.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dropped_reads_leave_nothing_behind() {
    const TASKS: u64 = 16;
    const DROPS: u64 = 500;
    let server = server();
    store(&server, SIZES);
    // Answers to dropped reads still arrive, and may take another's place in the socket's buffer (section 10.4).
    let client = connect(&server, Options { in_flight_max: 8, retries: 2, ..patient() }).await;
    let mut tasks = JoinSet::new();
    for seed in 1..=TASKS {
        let client = client.clone();
        tasks.spawn(async move {
            let mut random = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15);
            let mut dropped = 0;
            for _ in 0..DROPS {
                random ^= random << 13;
                random ^= random >> 7;
                random ^= random << 17;
                let bytes = SIZES[random as usize % SIZES.len()];
                let keys = [bytes.to_string(), "1".into(), "not stored".into()];
                let read = async {
                    if random & 64 == 0 {
                        client
                            .get(&keys[0])
                            .await
                            .map(|found| found.is_some_and(|found| found == value(bytes)))
                    } else {
                        client.get_many(&keys).await.swap_remove(0).map(|found| found.is_some())
                    }
                };
                tokio::select! {
                    biased;
                    found = read => assert!(found.unwrap(), "value of {bytes} B, seed {seed}"),
                    () = polls(random >> 32 & 15) => dropped += 1,
                }
            }
            dropped
        });
    }
    let mut dropped = 0;
    while let Some(ended) = tasks.join_next().await {
        dropped += ended.unwrap();
    }
    assert!(dropped > TASKS * DROPS / 10, "{dropped} of {} were dropped", TASKS * DROPS);
    until("no read is under way", || client.stats().under_way == 0).await;
    // All turns are free again, and answers are right.
    let keys: Vec<String> = (0..64).map(|turn| SIZES[turn % SIZES.len()].to_string()).collect();
    for (key, result) in keys.iter().zip(client.get_many(&keys).await) {
        assert!(result.unwrap() == Some(value(key.parse().unwrap())), "value of {key} B");
    }
    let outcomes = client.stats().outcomes;
    assert!(outcomes.cancelled > 0 && outcomes.timed_out == 0, "{outcomes:?}");
}

/// Ready after it was polled so many times.
async fn polls(count: u64) {
    for _ in 0..count {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn the_last_clone_ends_the_driver() {
    let server = server();
    store(&server, [1]);
    let client = connect(&server, patient()).await;
    let mut state = client.watch_state();
    let clone = client.clone();
    drop(client);
    assert_eq!(clone.get("1").await.unwrap(), Some(value(1)));
    drop(clone);
    // The driver holds the sender.
    while state.changed().await.is_ok() {}
}

/// A client outlives its runtime as an error, not as a wait without end.
#[test]
fn a_runtime_that_is_gone_is_an_error() {
    let server = server();
    let first = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let client = first.block_on(connect(&server, patient()));
    first.block_on(client.get("not stored")).unwrap();
    drop(first);
    let second = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let error = second.block_on(client.get("1")).unwrap_err();
    assert!(matches!(error, GetError::Stopped), "{error}");
    assert!(error.to_string().contains("connect again"), "{error}");
}

/// Nor does a call wait for a turn that never comes.
#[test]
fn a_runtime_that_goes_ends_calls_that_wait_for_their_turn() {
    let (_server, relay) = stage::server_behind(relay::FAIR, 5);
    let first = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let options = Options { in_flight_max: 1, heartbeat: Duration::ZERO, ..patient() };
    let client = first.block_on(stage::connect_through(&relay, options));
    relay.set(relay::Weather { swallow: true, ..relay::FAIR });
    let second = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let calls = [(); 3].map(|()| {
        let client = client.clone();
        second.spawn(async move { client.get("1").await })
    });
    second.block_on(until("one read has its turn", || client.stats().under_way == 1));
    drop(first);
    for call in calls {
        let error = second.block_on(call).unwrap().unwrap_err();
        assert!(matches!(error, GetError::Stopped), "{error}");
    }
}

#[tokio::test]
async fn settings_and_keys_out_of_range() {
    let server = server();
    let address = server.tcp_addr().to_string();
    for (options, name) in [
        (Options { in_flight_max: 0, ..patient() }, "in_flight_max is 0"),
        (Options { gets_per_datagram_max: 65, ..patient() }, "gets_per_datagram_max is 65"),
        (
            Options { path_mtu: PathMtu::Known(0), ..patient() },
            "path_mtu is Known(0): allowed are 1248 and more",
        ),
        (Options { path_mtu: PathMtu::Known(1247), ..patient() }, "path_mtu is Known(1247)"),
        (Options { retries: 11, ..patient() }, "retries is 11"),
    ] {
        let error = Client::connect_with(&address, options).await.unwrap_err();
        assert!(error.to_string().contains(name), "{error}");
    }
    let client = connect(&server, patient()).await;
    let error = client.get([0; 251]).await.unwrap_err();
    assert_eq!(error.to_string(), "key has 251 bytes: allowed are 1 to 250");
}
