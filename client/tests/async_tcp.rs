//! What the client for tokio does over TCP, against a peer that follows a script.

mod peer;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use peer::{Peer, port};
use shingle_client::{Client, ControlError, Options};
use tokio::task::JoinSet;

/// Calls behind one that a silent server does not answer end with it, instead of being silent one after the other.
#[tokio::test]
async fn calls_do_not_queue_up_behind_a_silent_server() {
    const CALLS: u32 = 21;
    let requests = Arc::new(AtomicU32::new(0));
    let seen = Arc::clone(&requests);
    // As many connections as calls could make one after the other.
    let server = Peer::serve(CALLS as usize, move |mut connection| {
        connection.welcome(&[port(9)]);
        while connection.next().is_some() {
            seen.fetch_add(1, Ordering::Relaxed);
        }
    });
    let options =
        Options { timeout: Duration::from_millis(300), heartbeat: Duration::ZERO, ..Options::default() };
    let client = Client::connect_with(&server.host_port(), options).await.unwrap();
    let mut calls = JoinSet::new();
    for call in 0..CALLS {
        let client = client.clone();
        calls.spawn(async move {
            match call % 3 {
                0 => client.set("key", "value", 0).await.map(drop),
                1 => client.delete("key").await.map(drop),
                _ => client.server_stats().await.map(drop),
            }
        });
    }
    while let Some(result) = calls.join_next().await {
        let error = result.unwrap().unwrap_err();
        assert!(matches!(error, ControlError::TimedOut { .. }), "{error}");
    }
    // The second one's turn may come together with the end of its time.
    let requests = requests.load(Ordering::Relaxed);
    assert!((1..=2).contains(&requests), "{requests} of {CALLS} calls waited for an answer of their own");
}
