//! Pauses of a receiver: what arrives meanwhile waits in its socket buffer, and what finds no room there is lost, in bursts, on that host.

use std::time::Duration;

use shingle_loadgen::attribution::Cause;
use shingle_loadgen::load::Load;
use shingle_loadgen::record::{Interval, Stage};
use shingle_loadgen::rig::Rig;
use shingle_proto::wire::Strategy;

use crate::error::StoryError;
use crate::expectation::{Bound, Expectation, Unit};
use crate::figure::{Curve, Figure, Marks};
use crate::scene::{self, Scene};
use crate::story::{Form, Story};
use crate::telling::Telling;
use crate::watch::{End, Watch};

/// See the head of the file.
pub(super) static STORY: Story = Story {
    name: "pause",
    sentence: "a receiver stands still now and then, as under a garbage collector: the server's workers, then the client",
    expectations: &[&MATCHES, &OVERFLOWN, &OTHER_HOST, &NAMED, &BEYOND, &BURSTS, &RIDDEN_OUT],
    tell,
};

static MATCHES: Expectation = Expectation {
    what: "failed reads",
    formula: "RcvbufErrors of the host that pauses",
    bound: Bound::Exactly,
    unit: Unit::Count("reads"),
    reason: "each request and each answer is one datagram, nothing is tried again, and what waits in the buffer is read within the timeout: a read \
             fails if and only if the buffer had no room",
    full_only: false,
};

static NAMED: Expectation = Expectation {
    what: "reads that the generator puts down to that host's socket buffer",
    formula: "failed reads",
    bound: Bound::Exactly,
    unit: Unit::Count("reads"),
    reason: "`server_socket_buffer` and `client_socket_buffer`: the drops of the sockets themselves are in the books",
    full_only: false,
};

static OTHER_HOST: Expectation = Expectation {
    what: "RcvbufErrors of the other host",
    formula: "0",
    bound: Bound::Exactly,
    unit: Unit::Count("datagrams"),
    reason: "each host's kernel counts for itself, which is how the books tell who lost a read",
    full_only: false,
};

static BEYOND: Expectation = Expectation {
    what: "failed reads",
    formula: "pauses x (rate x length of a pause - what the buffer holds)",
    bound: Bound::WithinShare(0.1),
    unit: Unit::Count("reads"),
    reason: "the buffer holds what the kernel granted, divided by what it charges for a datagram (truesize, not payload): 832 B for a request, \
             1,280 B for an answer of 300 B. The ends of a pause are a stall of the machine off, 20 ms at most",
    full_only: true,
};

static OVERFLOWN: Expectation = Expectation {
    what: "failed reads of a long pause",
    formula: "half of pauses x (rate x length of a pause - what the buffer holds)",
    bound: Bound::AtLeast,
    unit: Unit::Count("reads"),
    reason: "there was a pause: that none failed and none was dropped would match as well",
    full_only: false,
};

static BURSTS: Expectation = Expectation {
    what: "share of the failed reads that were meant for a second without a pause",
    formula: "2 %",
    bound: Bound::AtMost,
    unit: Unit::Percent,
    reason: "the mean rate of failures hides that they come in bursts, which is the mark of pauses; the buffer stays full for some ms after one",
    full_only: true,
};

static RIDDEN_OUT: Expectation = Expectation {
    what: "failed reads when pauses are 200 ms long",
    formula: "0",
    bound: Bound::Exactly,
    unit: Unit::Count("reads"),
    reason: "server and generator ask for 4 MiB, granted as 8 MiB, which holds a third of a second of these answers; a socket that asks for nothing holds 8 ms of them",
    full_only: false,
};

const TPS: u32 = 20_000;
const VALUE_BYTES: usize = 300;
/// What the buffers that server and generator ask for hold.
const SHORT_PAUSE: Pause =
    Pause { length: Duration::from_millis(200), interval: Duration::from_secs(1), count: 2 };
/// What a socket has that asks for nothing (net.core.rmem_default), as the kernel accounts it.
const DEFAULT_BUFFER_BYTES: usize = 212_992;
/// What the kernel charges for a request, and for an answer with a value of `VALUE_BYTES`.
const REQUEST_CHARGE_BYTES: u64 = 832;
const ANSWER_CHARGE_BYTES: u64 = 1_280;

/// Pauses of a length at the end of each interval.
#[derive(Clone, Copy)]
struct Pause {
    length: Duration,
    interval: Duration,
    count: u32,
}

/// A stage with pauses, and what the buffer was that had to bear them.
struct Paused {
    stage: Stage,
    granted_bytes: u64,
}

fn tell(telling: &mut Telling) -> Result<(), StoryError> {
    let full = telling.form() == Form::Full;
    // In the full form there are whole seconds without a pause.
    let long = if full { (1_000, 3_000, 2) } else { (700, 1_000, 1) };
    let long = Pause {
        length: Duration::from_millis(long.0),
        interval: Duration::from_millis(long.1),
        count: long.2,
    };
    let short = Pause { count: telling.form().pick(SHORT_PAUSE.count, 1), ..SHORT_PAUSE };
    let mut curves = Vec::new();
    for end in [End::Server, End::Client] {
        let Paused { stage, granted_bytes } = paused(telling, end, long, None)?;
        let charge = if end == End::Server { REQUEST_CHARGE_BYTES } else { ANSWER_CHARGE_BYTES };
        let expected = beyond(long, granted_bytes / charge);
        telling.row(&OVERFLOWN, end.name(), expected / 2.0, stage.failed as f64);
        if full {
            telling.row(&BEYOND, end.name(), expected, stage.failed as f64);
            let calm = stage.intervals.iter().enumerate().filter(|(second, _)| second % 3 != 2);
            let failed: u64 = calm.map(|(_, interval)| interval.failed).sum();
            telling.row(&BURSTS, end.name(), 2.0, failed as f64 * 100.0 / stage.failed as f64);
            curves.push(curve(end, &stage));
        }
        let Paused { stage, .. } = paused(telling, end, short, None)?;
        telling.row(&RIDDEN_OUT, end.name(), 0.0, stage.failed as f64);
    }
    let Paused { stage, granted_bytes } = paused(telling, End::Client, short, Some(DEFAULT_BUFFER_BYTES))?;
    if full {
        let expected = beyond(short, granted_bytes / ANSWER_CHARGE_BYTES);
        telling.row(&BEYOND, "client with the system's default buffer", expected, stage.failed as f64);
        telling.figure(Figure {
            name: "pause",
            title: "Pauses of 1 s in every third second, 20,000 reads/s".to_owned(),
            x: "second",
            y: "failed reads of a second",
            curves,
        });
    }
    Ok(())
}

/// Datagrams that find no room in a buffer that holds so many.
fn beyond(pause: Pause, held: u64) -> f64 {
    f64::from(pause.count) * (f64::from(TPS) * pause.length.as_secs_f64() - held as f64)
}

fn curve(end: End, stage: &Stage) -> Curve {
    let point = |interval: &Interval| (interval.start_s + interval.length_s, interval.failed as f64);
    let points = stage.intervals.iter().map(point).collect();
    Curve { name: format!("the {} pauses", end.name()), marks: Marks::Dots, points }
}

/// A stage in which one host pauses, with a buffer of its own choice or this one.
fn paused(
    telling: &mut Telling,
    end: End,
    pause: Pause,
    buffer_bytes: Option<usize>,
) -> Result<Paused, StoryError> {
    let Pause { length, interval, count } = pause;
    let [length_ms, interval_ms] = [length, interval].map(|time| time.as_millis());
    let scene = match end {
        End::Server => {
            let times = [format!("duration={length_ms}ms"), format!("interval={interval_ms}ms")];
            Scene::new("pause", &times.each_ref().map(String::as_str), Strategy::Chunked)?
        }
        End::Client => Scene::new("direct", &[], Strategy::Chunked)?,
    };
    // Longer than a pause, and than reading what waited.
    let timeout_ms = length_ms + 500;
    let mut flags = format!(
        "--arrivals constant --items 1k --values fixed:{VALUE_BYTES} --flows 1 --timeout {timeout_ms}ms"
    );
    if end == End::Client {
        flags += &format!(" --inject-pause {length_ms}ms/{interval_ms}ms");
    }
    let mut rig = scene.rig(&flags)?;
    if let Some(bytes) = buffer_bytes {
        set_buffer(&rig, bytes)?;
    }
    let granted_bytes = match end {
        End::Server => scene.server().stats().workers().map(|worker| worker.recv_buffer_granted_bytes).sum(),
        End::Client => rig.load.recv_buffer_granted_bytes() as u64,
    };
    if end == End::Server {
        scene.wait_for_phase(interval);
    }
    let watch = Watch::begin(&scene)?;
    let stage = scene::stage(&mut rig, TPS, interval * count)?;
    let risen = watch.end(&scene)?;
    let case = format!("{}, {} KiB, {count} of {length_ms} ms", end.name(), granted_bytes >> 10);
    let dropped = |end| risen.udp(end, "RcvbufErrors") as f64;
    telling.row(&MATCHES, &case, dropped(end), stage.failed as f64);
    telling.row(&OTHER_HOST, &case, 0.0, dropped(end.other()));
    let cause = if end == End::Server { Cause::ServerSocketBuffer } else { Cause::ClientSocketBuffer };
    let named = stage.losses.get(&cause).copied().unwrap_or(0);
    telling.row(&NAMED, case, stage.failed as f64, named as f64);
    scene.close(telling)?;
    Ok(Paused { stage, granted_bytes })
}

/// Gives each flow's socket a buffer of this size, as the kernel accounts it.
fn set_buffer(rig: &Rig, bytes: usize) -> Result<(), StoryError> {
    let Load::Shingle(_, workers) = &rig.load else { unreachable!("the server speaks our protocol") };
    for flow in workers.iter().flat_map(|worker| &worker.flows) {
        // The kernel doubles what it is asked for.
        socket2::SockRef::from(&flow.socket)
            .set_recv_buffer_size(bytes / 2)
            .map_err(StoryError::system("SO_RCVBUF"))?;
    }
    Ok(())
}
