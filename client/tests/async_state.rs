//! The server's life as the client for tokio sees it: silence, return, absence, a new start, a drain.
//!
//! Times asserted are promises (silence is noticed within a second); the bounds leave room for a slow machine.

mod relay;
mod stage;

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use relay::{FAIR, Weather};
use shingle_client::{Client, GetError, Options, ServerState};
use stage::{PATIENT, connect, connect_through, server_behind, server_on, store, until, until_state, value};

const SWALLOWED: Weather = Weather { swallow: true, ..FAIR };
/// A second is promised; a machine that does ten other things may take longer.
const NOTICED_WITHIN: Duration = Duration::from_secs(4);

/// With a timeout so long that only the notice of silence ends reads.
fn patient() -> Options {
    Options { timeout: PATIENT, ..Options::default() }
}

fn is_silent(client: &Client) -> bool {
    matches!(client.state(), ServerState::Silent { .. })
}

#[tokio::test]
async fn silence_is_noticed_ends_reads_and_is_over_when_the_server_answers() {
    let (server, relay) = server_behind(FAIR, 2);
    store(&server, 0..100);
    let client = connect_through(&relay, patient()).await;
    assert_eq!(client.get("7").await.unwrap(), Some(value(7)));
    assert_eq!(client.state(), ServerState::Answering);
    // Quiet is no silence: heartbeats are answered.
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert_eq!(client.state(), ServerState::Answering);

    relay.set(SWALLOWED);
    let begin = Instant::now();
    let keys: Vec<String> = (0..100).map(|bytes: u32| bytes.to_string()).collect();
    for result in client.get_many(&keys).await {
        let error = result.unwrap_err();
        assert!(matches!(error, GetError::Silent { .. }), "{error}");
        assert!(error.to_string().contains("has been silent for"), "{error}");
    }
    assert!(begin.elapsed() < NOTICED_WITHIN, "{:?}", begin.elapsed());
    assert!(is_silent(&client));
    // Now reads fail without being sent.
    let gets = client.stats().counters.gets;
    let error = client.get("7").await.unwrap_err();
    assert!(
        matches!(error, GetError::Silent { silence } if silence >= Duration::from_millis(900)),
        "{error}"
    );
    assert_eq!(client.stats().counters.gets, gets);

    relay.set(FAIR);
    let begin = Instant::now();
    until_state(&client, ServerState::Answering).await;
    assert!(begin.elapsed() < NOTICED_WITHIN, "{:?}", begin.elapsed());
    assert_eq!(client.get("7").await.unwrap(), Some(value(7)));
    until("no read is under way", || client.stats().under_way == 0).await;
}

#[tokio::test]
async fn a_server_silent_from_the_beginning_is_noticed() {
    let (server, relay) = server_behind(SWALLOWED, 3);
    store(&server, [1]);
    let client = connect_through(&relay, patient()).await;
    assert_eq!(client.state(), ServerState::Unheard);
    let begin = Instant::now();
    let error = client.get("1").await.unwrap_err();
    assert!(matches!(error, GetError::Silent { .. }), "{error}");
    assert!(begin.elapsed() < NOTICED_WITHIN, "{:?}", begin.elapsed());
}

#[tokio::test]
async fn a_server_that_is_gone_is_unreachable_and_one_started_again_is_read_from() {
    let server = server_on(Ipv4Addr::LOCALHOST, 0, 0);
    let (tcp, udp) = (server.tcp_addr().port(), server.ports()[0].port);
    store(&server, [1, 5000]);
    let client = connect(&server, patient()).await;
    assert_eq!(client.get("5000").await.unwrap(), Some(value(5000)));
    server.stop();
    // A read finds it out, or a heartbeat has.
    let begin = Instant::now();
    let error = client.get("1").await.unwrap_err();
    assert!(matches!(error, GetError::Unreachable), "{error}");
    assert!(begin.elapsed() < NOTICED_WITHIN, "{:?}", begin.elapsed());
    assert_eq!(client.state(), ServerState::Unreachable);
    let error = client.get("1").await.unwrap_err();
    assert!(error.to_string().contains("nothing listens"), "{error}");
    assert!(client.server_stats().await.is_err());

    let server = server_on(Ipv4Addr::LOCALHOST, tcp, udp);
    store(&server, [2, 300_000]);
    until_state(&client, ServerState::Answering).await;
    // The old cookie proves nothing to the new instance; a challenge brings one of its own.
    assert_eq!(client.get("300000").await.unwrap(), Some(value(300_000)));
    assert_eq!(client.get("1").await.unwrap(), None);
    assert!(client.stats().counters.challenges > 0, "{:?}", client.stats());
    // The TCP connection is made again when it is needed.
    assert!(client.server_stats().await.unwrap().starts_with('{'));
    client.set("3", value(3), 0).await.unwrap();
    assert_eq!(client.get("3").await.unwrap(), Some(value(3)));
}

#[tokio::test]
async fn without_heartbeats_each_read_finds_out_for_itself() {
    let server = server_on(Ipv4Addr::LOCALHOST, 0, 0);
    let (tcp, udp) = (server.tcp_addr().port(), server.ports()[0].port);
    store(&server, [1]);
    let client = connect(&server, Options { heartbeat: Duration::ZERO, ..patient() }).await;
    assert_eq!(client.get("1").await.unwrap(), Some(value(1)));
    server.stop();
    for _ in 0..3 {
        let error = client.get("1").await.unwrap_err();
        assert!(matches!(error, GetError::Unreachable), "{error}; {:?}", client.stats());
    }
    let server = server_on(Ipv4Addr::LOCALHOST, tcp, udp);
    store(&server, [1]);
    assert_eq!(client.get("1").await.unwrap(), Some(value(1)));
}

#[tokio::test]
async fn a_drain_is_seen_and_reads_go_on_until_the_end() {
    let server = stage::server();
    store(&server, [1, 300_000]);
    let client = connect(&server, patient()).await;
    assert_eq!(client.get("1").await.unwrap(), Some(value(1)));
    server.drain();
    // Nobody reads: a heartbeat's answer brings the word.
    until_state(&client, ServerState::Draining).await;
    assert_eq!(client.get("300000").await.unwrap(), Some(value(300_000)));
    tokio::task::spawn_blocking(move || server.wait()).await.unwrap().unwrap();
    until("the server is seen to be gone", || client.state() == ServerState::Unreachable).await;
}
