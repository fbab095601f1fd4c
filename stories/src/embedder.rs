//! A program with the client for tokio in it: it reads a key at an interval, and looks at what the client says of its server.

use std::time::{Duration, Instant};

use shingle_client::{Client, GetError, ServerState};
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinSet;
use tokio::time::interval;

use crate::error::StoryError;
use crate::scene::Scene;

/// Between reads.
pub(crate) const EACH: Duration = Duration::from_millis(10);
/// How long all is well before the server goes.
const WELL: Duration = Duration::from_millis(300);
/// Longer than any way of going takes to be noticed.
const PATIENCE: Duration = Duration::from_secs(5);
const KEY: &str = "key";

/// A server that goes, as its client sees it.
pub(crate) struct Going {
    /// What the client said in the end.
    pub(crate) state: ServerState,
    /// How long after it went the client said so.
    pub(crate) noticed: Duration,
    /// Reads begun until then.
    pub(crate) reads: usize,
    /// Those of them that brought nothing.
    pub(crate) lost: usize,
}

impl Going {
    /// The state in a word.
    pub(crate) fn word(&self) -> &'static str {
        match self.state {
            ServerState::Unheard => "unheard",
            ServerState::Answering => "answering",
            ServerState::Draining => "draining",
            ServerState::Silent { .. } => "silent",
            ServerState::Unreachable => "unreachable",
        }
    }
}

/// A runtime for the host that the calling thread is in: its threads stay where they began, so each scene needs its own.
pub(crate) fn runtime() -> Result<Runtime, StoryError> {
    Builder::new_current_thread().enable_all().build().map_err(StoryError::system("tokio's runtime"))
}

/// A client of the server with this TCP address, which has answered it.
pub(crate) async fn connected(address: &str) -> Result<Client, StoryError> {
    let client = Client::connect_with(address, Scene::client_options(PATIENCE)).await?;
    client.set(KEY, "value", 0).await?;
    client.get(KEY).await?;
    Ok(client)
}

/// Reads at each interval, lets the server go after a while, and goes on until the client says that it is gone or about to be.
pub(crate) async fn read_until_noticed(client: &Client, go: impl FnOnce()) -> Going {
    let (mut reads, mut state) = (JoinSet::new(), client.watch_state());
    let mut ticks = interval(EACH);
    let mut go = Some(go);
    let mut went = Instant::now() + WELL;
    let until = went + PATIENCE;
    while Instant::now() < until {
        if Instant::now() >= went
            && let Some(go) = go.take()
        {
            go();
            went = Instant::now();
        }
        tokio::select! {
            biased;
            _ = state.changed() => {}
            _ = ticks.tick() => { reads.spawn(read(client.clone())); }
        }
        if !matches!(*state.borrow(), ServerState::Unheard | ServerState::Answering) {
            break;
        }
    }
    let noticed = went.elapsed();
    let (reads, lost) = ended(reads).await;
    Going { state: *state.borrow(), noticed, reads, lost }
}

/// Reads at each interval for so long; how many were lost.
pub(crate) async fn read_for(client: &Client, time: Duration) -> usize {
    let mut reads = JoinSet::new();
    let mut ticks = interval(EACH);
    for _ in 0..time.as_millis() / EACH.as_millis() {
        ticks.tick().await;
        reads.spawn(read(client.clone()));
    }
    ended(reads).await.1
}

async fn read(client: Client) -> Result<(), GetError> {
    client.get(KEY).await.map(drop)
}

/// How many there were, and how many of them were lost.
async fn ended(mut reads: JoinSet<Result<(), GetError>>) -> (usize, usize) {
    let (mut count, mut lost) = (0, 0);
    while let Some(read) = reads.join_next().await {
        count += 1;
        lost += usize::from(!matches!(read, Ok(Ok(()))));
    }
    (count, lost)
}
