//! The low-volume client: a first large answer is lost each time the server's host has forgotten the path MTU to its address.

use std::net::IpAddr;
use std::thread;
use std::time::{Duration, Instant};

use shingle_client::GetError;
use shingle_client::blocking::Client;
use shingle_loadgen::record::Stage;
use shingle_proto::wire::Strategy;

use crate::error::StoryError;
use crate::expectation::{Bound, Expectation, Unit};
use crate::figure::{Curve, Figure, Marks};
use crate::load::{failures, unspoilt};
use crate::scene::{self, Scene};
use crate::story::Story;
use crate::telling::Telling;

/// See the head of the file.
pub(super) static STORY: Story = Story {
    name: "low-volume-client",
    sentence: "a client with an address of its own reads a large value now and then, beside a load that keeps its own path MTU known",
    expectations: &[&EACH_EXPIRY, &ALL, &NONE, &UNSEEN],
    tell,
};

static EACH_EXPIRY: Expectation = Expectation {
    what: "large reads lost by the low-volume client, kernel-pmtud",
    formula: "reads / (whole intervals between reads in mtu-expires + 1)",
    bound: Bound::Exactly,
    unit: Unit::Count("reads"),
    reason: "the first large answer after each expiry is too big for the path and lost; it teaches the path MTU, which is forgotten \
             mtu-expires later however much it is used",
    full_only: false,
};

static ALL: Expectation = Expectation {
    what: "large reads lost by a client that reads more rarely than the path MTU expires, kernel-pmtud",
    formula: "all",
    bound: Bound::Exactly,
    unit: Unit::Count("reads"),
    reason: "each of its large answers is the first after an expiry",
    full_only: false,
};

static NONE: Expectation = Expectation {
    what: "large reads lost by the low-volume client, other strategies",
    formula: "0",
    bound: Bound::Exactly,
    unit: Unit::Count("reads"),
    reason: "chunked never sends more than the client proved, df-off lets the router fragment: neither has anything to learn",
    full_only: false,
};

static UNSEEN: Expectation = Expectation {
    what: "failure rate of the load beside it",
    formula: "0.5 %",
    bound: Bound::AtMost,
    unit: Unit::Percent,
    reason: "the load loses a read an expiry as well, but among thousands: it meets the service level, and a qualification by load alone \
             passes",
    full_only: false,
};

/// How long the server's host remembers a path MTU.
const EXPIRES: Duration = Duration::from_secs(1);
/// Between reads of the low-volume client: no divisor of EXPIRES, so that no read falls on an expiry.
const INTERVAL: Duration = Duration::from_millis(400);
/// Between those of the other one: an expiry and a half.
const RARE_INTERVAL: Duration = Duration::from_millis(1500);
/// Of the load beside it.
const LOAD_TPS: u32 = 2_000;
/// Shorter than an interval.
const TIMEOUT: Duration = Duration::from_millis(350);
/// Longer than the path MTU carries.
const VALUE_BYTES: usize = 4_000;
const KEY: &[u8] = b"large";

fn tell(telling: &mut Telling) -> Result<(), StoryError> {
    let form = telling.form();
    let (often, rarely) = form.pick((60, 12), (7, 2));
    let (reads, load) = beside_load(telling, Strategy::KernelPmtud, INTERVAL, often)?;
    let period = EXPIRES.as_millis() / INTERVAL.as_millis() + 1;
    let expected = often.div_ceil(period as u32);
    let case = format!("{often} reads, one each {} ms", INTERVAL.as_millis());
    telling.row(&EACH_EXPIRY, &case, expected.into(), lost(&reads));
    let mut curves = vec![curve(Strategy::KernelPmtud, &reads)];
    telling.row(&UNSEEN, "kernel-pmtud", 0.5, failures(&load));
    let (reads, _) = beside_load(telling, Strategy::KernelPmtud, RARE_INTERVAL, rarely)?;
    let rare_case = format!("{rarely} reads, one each {} ms", RARE_INTERVAL.as_millis());
    telling.row(&ALL, rare_case, rarely.into(), lost(&reads));
    let others = [Strategy::Chunked, Strategy::DfOff];
    for strategy in others.into_iter().take(form.pick(2, 1)) {
        let (reads, _) = beside_load(telling, strategy, INTERVAL, often)?;
        telling.row(&NONE, format!("{}, {case}", strategy.name()), 0.0, lost(&reads));
        curves.push(curve(strategy, &reads));
    }
    telling.figure(Figure {
        name: "low-volume-client",
        title: format!(
            "Large reads lost, one each {} ms, path MTU kept for {} s",
            INTERVAL.as_millis(),
            EXPIRES.as_secs()
        ),
        x: "time (s)",
        y: "lost reads, all so far",
        curves,
    });
    Ok(())
}

/// What became of the large reads of the low-volume client, and of the load beside it; again where a stall of the machine spoilt it.
fn beside_load(
    telling: &mut Telling,
    strategy: Strategy,
    interval: Duration,
    reads: u32,
) -> Result<(Vec<bool>, Stage), StoryError> {
    unspoilt(telling, LOAD_TPS, |telling| {
        let (answered, load) = once(telling, strategy, interval, reads)?;
        Ok(((answered, load.clone()), load))
    })
}

/// Of the large reads of the low-volume client which were answered, and what became of the load beside it.
fn once(
    telling: &mut Telling,
    strategy: Strategy,
    interval: Duration,
    reads: u32,
) -> Result<(Vec<bool>, Stage), StoryError> {
    let expires = format!("mtu-expires={}s", EXPIRES.as_secs());
    let scene = Scene::new("narrow", &[&expires], strategy)?;
    let mut rig = scene.rig("--items 10k --arrivals constant --timeout 1s")?;
    let addresses: Vec<IpAddr> = scene.lab().client().addresses(scene.family());
    scene.use_client_address(addresses[1])?;
    let mut client = scene.client(TIMEOUT)?;
    client.control()?.set(KEY, &[7; VALUE_BYTES], 0)?;
    let (answered, load) = thread::scope(|scope| {
        // The load's threads are started from here, and so in the client host as well.
        let beside = scope.spawn(|| answered(&mut client, interval, reads));
        let load = scene::stage(&mut rig, LOAD_TPS, interval * reads);
        (beside.join().expect("a client does not panic"), load)
    });
    scene.close(telling)?;
    Ok((answered?, load?))
}

/// Reads the large value at each interval; whether each read was answered.
fn answered(client: &mut Client, interval: Duration, reads: u32) -> Result<Vec<bool>, GetError> {
    let start = Instant::now();
    let read = |index| {
        thread::sleep((start + interval * index).saturating_duration_since(Instant::now()));
        match client.get(KEY) {
            Ok(value) => {
                assert_eq!(value.map(|value| value.len()), Some(VALUE_BYTES), "it is stored");
                Ok(true)
            }
            Err(GetError::TimedOut { .. }) => Ok(false),
            Err(other) => Err(other),
        }
    };
    (0..reads).map(read).collect()
}

fn lost(answered: &[bool]) -> f64 {
    answered.iter().filter(|answered| !**answered).count() as f64
}

/// Reads lost so far, over time.
fn curve(strategy: Strategy, answered: &[bool]) -> Curve {
    let point = |index| (INTERVAL.as_secs_f64() * index as f64, lost(&answered[..=index]));
    let points = (0..answered.len()).map(point).collect();
    Curve { name: strategy.name().to_owned(), marks: Marks::Dots, points }
}
