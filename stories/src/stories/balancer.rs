//! A server that goes: behind a balancer that goes on sending its known flows nowhere, without a word; by stopping; and by leaving properly.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use shingle_client::ServerState;
use shingle_loadgen::record::Stage;
use shingle_proto::wire::Strategy;

use crate::embedder::{EACH, Going, connected, read_for, read_until_noticed, runtime};
use crate::error::StoryError;
use crate::expectation::{Bound, Expectation, Unit};
use crate::scene::{self, Scene};
use crate::story::Story;
use crate::telling::Telling;
use crate::watch::Watch;

/// See the head of the file.
pub(super) static STORY: Story = Story {
    name: "balancer",
    sentence: "one of two servers behind a balancer is gone, and the balancer goes on sending its known flows there, where nobody answers",
    expectations: &[
        &DEAD_FLOWS,
        &DEAD_READS,
        &STILL_DEAD,
        &NEW_FLOWS,
        &FORGOTTEN,
        &TOLD_APART,
        &NOTICED,
        &LOST,
        &COST_OF_SILENCE,
        &STAYS,
        &CONNECTED_AGAIN,
    ],
    tell,
};

static DEAD_FLOWS: Expectation = Expectation {
    what: "flows that lost reads",
    formula: "half of them",
    bound: Bound::Exactly,
    unit: Unit::Count("flows"),
    reason: "the balancer gave new flows to its two servers in turn",
    full_only: false,
};

static DEAD_READS: Expectation = Expectation {
    what: "failed reads",
    formula: "requests that the balancer sent to the server that is gone",
    bound: Bound::Exactly,
    unit: Unit::Count("reads"),
    reason: "nobody answers them, and nobody says so: no ICMP, no other counter of either host",
    full_only: false,
};

static STILL_DEAD: Expectation = Expectation {
    what: "failed reads in a second that begins when the balancer has forgotten who was silent since",
    formula: "as in the second before",
    bound: Bound::WithinShare(0.25),
    unit: Unit::Count("reads"),
    reason: "the old flows are not silent: each request makes the balancer remember their flow for longer. They take turns with bursts of reads, not \
             with reads",
    full_only: false,
};

static NEW_FLOWS: Expectation = Expectation {
    what: "failed reads of flows that began after the server was gone",
    formula: "0",
    bound: Bound::Exactly,
    unit: Unit::Count("reads"),
    reason: "the balancer gives them to the other server: who looks with a new connection finds nothing wrong",
    full_only: false,
};

static FORGOTTEN: Expectation = Expectation {
    what: "failed reads of the old flows after they were silent for longer than the balancer remembers",
    formula: "0",
    bound: Bound::Exactly,
    unit: Unit::Count("reads"),
    reason: "the balancer takes them for new ones",
    full_only: false,
};

static TOLD_APART: Expectation = Expectation {
    what: "what the client says of the server, as expected",
    formula: "1",
    bound: Bound::Exactly,
    unit: Unit::Count(""),
    reason: "a server that leaves says so in its answers, one that is stopped has a host that says so (ICMP port unreachable), and silence is told by \
             four heartbeats without an answer",
    full_only: false,
};

static NOTICED: Expectation = Expectation {
    what: "time until the client says so",
    formula: "1,000 ms for silence, 100 ms for the others",
    bound: Bound::AtMost,
    unit: Unit::Milliseconds,
    reason: "four heartbeats of 240 ms; leaving and stopping are known from the next datagram on",
    full_only: true,
};

static LOST: Expectation = Expectation {
    what: "reads lost, one begun each 10 ms",
    formula: "0 with leaving, a few with stopping",
    bound: Bound::AtMost,
    unit: Unit::Count("reads"),
    reason: "a server that leaves answers until its clients have had the time to go elsewhere; one that is stopped loses those that find out: the \
             next read, and what a stalled machine begins with it",
    full_only: false,
};

static COST_OF_SILENCE: Expectation = Expectation {
    what: "reads lost to silence, one begun each 10 ms",
    formula: "time until the client says so / 10 ms",
    bound: Bound::Within(5.0),
    unit: Unit::Count("reads"),
    reason: "all that is begun until then: this is what a server costs that leaves without a word",
    full_only: false,
};

static STAYS: Expectation = Expectation {
    what: "the same client still says silent after the balancer's memory",
    formula: "1",
    bound: Bound::Exactly,
    unit: Unit::Count(""),
    reason: "its heartbeats come from the same port, and make the balancer remember the flow",
    full_only: false,
};

static CONNECTED_AGAIN: Expectation = Expectation {
    what: "failed reads after connecting again",
    formula: "0 of 20",
    bound: Bound::Exactly,
    unit: Unit::Count("reads"),
    reason: "a new connection has a new port, which is a new flow for the balancer",
    full_only: false,
};

const FLOWS: usize = 16;
const TPS: u32 = 1_000;
/// When the first server is gone.
const GONE_AFTER: Duration = Duration::from_secs(1);
/// How long the balancer remembers a flow that is silent.
const MEMORY: Duration = Duration::from_secs(2);
/// More than threads and timers take.
const SETTLED: Duration = Duration::from_millis(300);
/// How long a server that leaves goes on telling everybody, by default.
const LEAVING: Duration = Duration::from_secs(1);

fn tell(telling: &mut Telling) -> Result<(), StoryError> {
    flows(telling)?;
    leaving(telling)?;
    stopping(telling)?;
    silence(telling)
}

/// What becomes of the balancer's flows.
fn flows(telling: &mut Telling) -> Result<(), StoryError> {
    let [after, memory] = [("after", GONE_AFTER), ("timeout", MEMORY)]
        .map(|(name, time)| format!("{name}={}s", time.as_secs()));
    let scene = Scene::new("balancer", &["servers=2", &after, &memory], Strategy::Chunked)?;
    let flags = format!(
        "--arrivals constant --items 1k --values fixed:300 --threads 1 --flows {FLOWS} --timeout 500ms"
    );
    let mut old = scene.rig(&flags)?;
    let watch = Watch::begin(&scene)?;
    scene.lab().start_clock();
    // They send all the time, for longer after the server went than the balancer remembers who is silent.
    let duration = GONE_AFTER + MEMORY + Duration::from_secs(1);
    let stage = scene::stage(&mut old, TPS, duration)?;
    let idle = Instant::now();
    let risen = watch.end(&scene)?;
    telling.row(&DEAD_FLOWS, format!("of {FLOWS}"), FLOWS as f64 / 2.0, lossy(&stage).len() as f64);
    let silenced = risen.lab("router.silenced");
    telling.row(&DEAD_READS, format!("of {} reads", stage.sent), silenced as f64, stage.failed as f64);
    let seconds: Vec<f64> = stage.intervals.iter().map(|second| second.failed as f64).collect();
    let [.., before, last] = seconds[..] else { unreachable!("it took some seconds") };
    telling.row(&STILL_DEAD, format!("the last of {} s", duration.as_secs()), before, last);
    let stage = scene::stage(&mut scene.rig(&flags)?, TPS, Duration::from_secs(1))?;
    telling.row(&NEW_FLOWS, format!("{} reads", stage.sent), 0.0, stage.failed as f64);
    std::thread::sleep((MEMORY + SETTLED).saturating_sub(idle.elapsed()));
    let stage = scene::stage(&mut old, TPS, Duration::from_secs(1))?;
    telling.row(&FORGOTTEN, format!("{} reads", stage.sent), 0.0, stage.failed as f64);
    drop(old);
    scene.close(telling)
}

fn lossy(stage: &Stage) -> BTreeSet<u16> {
    stage.by_flow.iter().filter(|flow| flow.failed > 0).map(|flow| flow.source_port).collect()
}

/// A server that drains while another is there to read from.
fn leaving(telling: &mut Telling) -> Result<(), StoryError> {
    let scene = Scene::new("direct", &[], Strategy::Chunked)?;
    let other = scene.start_server()?;
    let going = runtime()?.block_on(async {
        let client = connected(&scene.server().tcp_addr().to_string()).await?;
        let spare = connected(&other.tcp_addr().to_string()).await?;
        let mut going = read_until_noticed(&client, || scene.server().drain()).await;
        // The clients have gone when the server does, and lose nothing by that.
        going.lost += read_for(&spare, LEAVING + SETTLED).await;
        Ok::<_, StoryError>(going)
    })?;
    book(telling, "leaves", &going, going.state == ServerState::Draining);
    telling.row(&LOST, format!("leaves, {} reads", going.reads), 0.0, going.lost as f64);
    drop(other);
    scene.close(telling)
}

/// A server that is stopped, on a host that goes on.
fn stopping(telling: &mut Telling) -> Result<(), StoryError> {
    let scene = Scene::new("direct", &[], Strategy::Chunked)?;
    let mut other = Some(scene.start_server()?);
    let address = other.as_ref().map(|other| other.tcp_addr().to_string()).unwrap_or_default();
    let going = runtime()?.block_on(async {
        let client = connected(&address).await?;
        Ok::<_, StoryError>(read_until_noticed(&client, || drop(other.take())).await)
    })?;
    book(telling, "is stopped", &going, going.state == ServerState::Unreachable);
    telling.row(&LOST, format!("is stopped, {} reads", going.reads), 5.0, going.lost as f64);
    scene.close(telling)
}

/// A server that is gone behind its balancer.
fn silence(telling: &mut Telling) -> Result<(), StoryError> {
    let memory = format!("timeout={}s", MEMORY.as_secs());
    let scene = Scene::new("balancer", &["servers=1", "after=0", &memory], Strategy::Chunked)?;
    let address = scene.server().tcp_addr().to_string();
    let (going, stays, failed) = runtime()?.block_on(async {
        let client = connected(&address).await?;
        let going = read_until_noticed(&client, || scene.lab().start_clock()).await;
        tokio::time::sleep(MEMORY + SETTLED).await;
        let stays = matches!(client.state(), ServerState::Silent { .. });
        let again = connected(&address).await?;
        let failed = read_for(&again, 20 * EACH).await;
        Ok::<_, StoryError>((going, stays, failed))
    })?;
    book(telling, "is silent", &going, matches!(going.state, ServerState::Silent { .. }));
    let begun = going.noticed.as_secs_f64() / EACH.as_secs_f64();
    telling.row(
        &COST_OF_SILENCE,
        format!("noticed after {} ms", going.noticed.as_millis()),
        begun,
        going.lost as f64,
    );
    telling.row(
        &STAYS,
        format!("{} ms later", (MEMORY + SETTLED).as_millis()),
        1.0,
        f64::from(u8::from(stays)),
    );
    telling.row(&CONNECTED_AGAIN, "at once", 0.0, failed as f64);
    scene.close(telling)
}

/// Books what every way of going is judged by.
fn book(telling: &mut Telling, case: &str, going: &Going, as_expected: bool) {
    telling.row(&TOLD_APART, format!("{case}: {}", going.word()), 1.0, f64::from(u8::from(as_expected)));
    if telling.form().pick(true, false) {
        let silent = matches!(going.state, ServerState::Silent { .. });
        telling.row(
            &NOTICED,
            case,
            if silent { 1_000.0 } else { 100.0 },
            going.noticed.as_secs_f64() * 1000.0,
        );
    }
}
