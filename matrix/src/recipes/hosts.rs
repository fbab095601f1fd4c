//! Runs in which a host is the cause: its program stands still, its time is short, or the deadline is.

use shingle_loadgen::attribution::Cause;

use super::Recipe;
use super::draft::{cause, draft, percent};
use crate::dice::Dice;
use crate::limits;
use crate::ranges;
use crate::scenario::{Expected, Number, Scenario, Source};

pub(super) const CLIENT_SOCKET_BUFFER: Recipe = Recipe {
    name: "client_socket_buffer",
    topologies: &["pause"],
    sentence: "the generator receives nothing for a while, and at least half as many bytes more come as its one socket holds; what it held is in time",
    ranges: &[&ranges::CLIENT_PAUSE, &ranges::PAUSE_TIMEOUT],
    draw: client_paused,
};

pub(super) const SERVER_SOCKET_BUFFER: Recipe = Recipe {
    name: "server_socket_buffer",
    topologies: &["pause"],
    sentence: "the server stands still for a while, and at least a tenth more requests come than its socket holds; what it held is answered in time",
    ranges: &[&ranges::SERVER_PAUSE, &ranges::PAUSE_TIMEOUT],
    draw: server_paused,
};

pub(super) const SERVER_OVERLOAD: Recipe = Recipe {
    name: "server_overload",
    topologies: &["slow-server"],
    sentence: "the server stands still for longer than the timeout, and its socket holds all requests meanwhile",
    ranges: &[&ranges::SLOW_SHARE, &ranges::SLOW_INTERVAL],
    draw: slow_server,
};

pub(super) const TIMEOUT_TOO_SHORT: Recipe = Recipe {
    name: "timeout_too_short",
    topologies: &["reordering"],
    sentence: "some packets take a path that is slower than the timeout",
    ranges: &[&ranges::SLOWER_SHARE, &ranges::SLOWER_BY],
    draw: late,
};

const MTU: u32 = 9001;

/// A run whose host stands still for so long at the end of each interval, losing so many reads each time.
fn pausing(
    mut run: Scenario,
    end: &str,
    [pause_ms, interval_ms]: [u64; 2],
    name: Cause,
    each: f64,
) -> Option<Scenario> {
    run.set("end", end);
    run.set("duration", format!("{pause_ms}ms"));
    run.set("interval", format!("{interval_ms}ms"));
    let pauses = limits::STAGE.as_millis() as u64 / interval_ms;
    run.losing(MTU, vec![Expected { numbers: vec![length(pause_ms)], ..cause(name, pauses as f64 * each) }])
}

fn length(pause_ms: u64) -> Number {
    Number { name: "pause".to_owned(), direction: None, truth: Source::Set(pause_ms as f64) }
}

fn client_paused(dice: &mut Dice) -> Option<Scenario> {
    let mut run = draft(dice, "pause");
    run.strategy = dice.one(&["kernel-pmtud", "df-off", "interface"]).to_owned();
    run.flows = 1;
    run.timeout_ms = dice.whole(&ranges::PAUSE_TIMEOUT);
    let value = 2_000 + dice.below(2_000);
    run.values = format!("fixed:{value}");
    run.rate = 12_000 + dice.below(8_000);
    let pause = dice.whole(&ranges::CLIENT_PAUSE);
    let held = limits::SOCKET_BUFFER_BYTES / value as f64;
    let come = run.rate as f64 * pause as f64 / 1e3;
    (come >= 1.5 * held).then_some(())?;
    let interval = pause + 250 + dice.below(300);
    pausing(run, "client", [pause, interval], Cause::ClientSocketBuffer, come - held)
}

fn server_paused(dice: &mut Dice) -> Option<Scenario> {
    let mut run = draft(dice, "pause");
    run.strategy = dice.one(&["chunked", "kernel-pmtud", "df-off"]).to_owned();
    run.timeout_ms = dice.whole(&ranges::PAUSE_TIMEOUT);
    run.values = format!("fixed:{}", dice.whole(&ranges::SMALL_VALUE));
    run.rate = limits::READS_PER_S_MAX as u64 - dice.below(3_000);
    let pause = dice.whole(&ranges::SERVER_PAUSE);
    let held = limits::SOCKET_BUFFER_BYTES / limits::SMALL_DATAGRAM_CHARGE_BYTES;
    let come = run.rate as f64 * pause as f64 / 1e3;
    (come >= 1.1 * held).then_some(())?;
    let interval = pause + 300 + dice.below(300);
    pausing(run, "server", [pause, interval], Cause::ServerSocketBuffer, come - held)
}

fn slow_server(dice: &mut Dice) -> Option<Scenario> {
    /// Requests that a socket buffer surely holds.
    const HELD: f64 = 5_000.0;
    let mut run = draft(dice, "slow-server");
    run.strategy = dice.one(&["chunked", "kernel-pmtud", "df-off"]).to_owned();
    run.rate = 1_000 + dice.below(3_000);
    let share = dice.of_range(&ranges::SLOW_SHARE);
    let interval = dice.whole(&ranges::SLOW_INTERVAL);
    run.set("share", percent(share));
    run.set("interval", format!("{interval}ms"));
    let pause = (interval as f64 * share / 100.0) as u64;
    let late = pause > run.timeout_ms + 20 && run.rate as f64 * pause as f64 / 1e3 <= HELD;
    late.then_some(())?;
    let lost = run.reads() * (pause - run.timeout_ms) as f64 / interval as f64;
    run.losing(MTU, vec![Expected { numbers: vec![length(pause)], ..cause(Cause::ServerOverload, lost) }])
}

fn late(dice: &mut Dice) -> Option<Scenario> {
    /// Each packet waits in a queue of a program, which carries less than the kernel.
    const READS_PER_S_MAX: u64 = 8_000;
    let mut run = draft(dice, "reordering");
    run.strategy = dice.one(&["chunked", "kernel-pmtud", "df-off"]).to_owned();
    run.rate = run.rate.min(READS_PER_S_MAX);
    let share = dice.of_range(&ranges::SLOWER_SHARE);
    let extra = run.timeout_ms as f64 * dice.of_range(&ranges::SLOWER_BY);
    run.set("rate", percent(share));
    run.set("extra", format!("{}ms", extra.round()));
    run.set("direction", "down");
    let lost = run.reads() * share / 100.0;
    run.losing(MTU, vec![cause(Cause::TimeoutTooShort, lost)])
}
