//! Servers, rigs and the checks every stage must pass.

use std::net::SocketAddr;
use std::time::Duration;

use clap::Parser;
use shingle_loadgen::attribution::{Cause, Direction};
use shingle_loadgen::cli::{Cli, Command};
use shingle_loadgen::engine::Pace;
use shingle_loadgen::options::Options;
use shingle_loadgen::progress::Progress;
use shingle_loadgen::rig::{self, Rig};
use shingle_loadgen::stage::StageResult;
use shingle_proto::wire::Strategy;
use shingle_server::{Config, PortConfig, Server};

use super::{Faults, Relay};

/// Chooses the seed of the relay's faults.
pub const SEED_VARIABLE: &str = "SHINGLE_TEST_SEED";

fn seed() -> u64 {
    std::env::var(SEED_VARIABLE).map_or(1, |text| text.parse().expect("a number as seed"))
}

/// A server on free ports that keeps receipts.
pub fn server() -> Server {
    Server::start(config()).unwrap()
}

pub fn config() -> Config {
    Config {
        udp_ports: vec![PortConfig::new(0, Strategy::Chunked)],
        tcp_port: 0,
        memory_bytes: 64 << 20,
        receipts: true,
        ..Config::default()
    }
}

/// What `loadgen run --server SERVER FLAGS` resolves to.
pub fn options(server: &Server, flags: &[&str]) -> Options {
    let address = server.tcp_addr().to_string();
    let typed = ["loadgen", "run", "--quiet", "--server", &address].into_iter().chain(flags.iter().copied());
    let Command::Run(run) = Cli::try_parse_from(typed).unwrap().command else {
        unreachable!("`run` was typed")
    };
    Options::resolve(&run.common).unwrap()
}

/// A seeded rig that reads straight from the server.
pub fn rig(server: &Server, flags: &[&str]) -> Rig {
    let options = options(server, flags);
    let (target, space) = rig::prepare(&options, false, &Progress::new(true)).unwrap();
    Rig::new(&options, target, space).unwrap()
}

/// A seeded rig whose flows go through a relay with these faults.
pub fn rig_behind(server: &Server, up: Faults, down: Faults, flags: &[&str]) -> (Relay, Rig) {
    let options = options(server, flags);
    let (mut target, space) = rig::prepare(&options, false, &Progress::new(true)).unwrap();
    let [(address, _)] = &mut target.ports[..] else { panic!("one port is what config() asks for") };
    let relay = Relay::start(*address, up, down, seed());
    *address = relay.address;
    (relay, Rig::new(&options, target, space).unwrap())
}

/// Where the server's first UDP port is.
pub fn udp_address(server: &Server) -> SocketAddr {
    SocketAddr::new(server.tcp_addr().ip(), server.ports()[0].port)
}

/// One stage at a constant rate, checked for what holds of every stage.
pub fn steady(rig: &mut Rig, tps: f64, duration: Duration) -> StageResult {
    let result = rig.stage(Pace::PerSecond(tps), duration, &Progress::new(true)).unwrap();
    check_books(&result);
    result
}

/// Every read ended once, no value was wrong, and the causes add up.
pub fn check_books(result: &StageResult) {
    let StageResult { stage, causes, .. } = result;
    println!(
        "sent {} answered {} first try lost {} failed {} rerequests {} losses {:?} gaps {:?}",
        stage.sent,
        stage.answered,
        stage.first_try_lost,
        stage.failed,
        stage.rerequests,
        stage.losses,
        stage.gaps
    );
    for cause in causes {
        println!(
            "  {} {:?}: {} of them failed {}; {:?}",
            cause.cause, cause.direction, cause.reads, cause.failed, cause.evidence
        );
    }
    assert_eq!(stage.wrong, 0, "a value delivered that is not what was stored");
    assert_eq!(stage.sent, stage.answered + stage.failed);
    assert_eq!(stage.losses.values().sum::<u64>(), stage.failed);
    assert_eq!(stage.first_try_losses.values().sum::<u64>(), stage.first_try_lost);
    assert_eq!(causes.iter().map(|cause| cause.reads).sum::<u64>(), stage.first_try_lost);
    assert_eq!(causes.iter().map(|cause| cause.failed).sum::<u64>(), stage.failed);
    let ended = (stage.sent, stage.first_try_lost, stage.failed);
    let sum = |counts: &mut dyn Iterator<Item = (u64, u64, u64)>| {
        counts.fold((0, 0, 0), |sum, next| (sum.0 + next.0, sum.1 + next.1, sum.2 + next.2))
    };
    let by_size = &mut stage.by_size.iter().map(|class| (class.reads, class.first_try_lost, class.failed));
    let by_flow = &mut stage.by_flow.iter().map(|flow| (flow.reads, flow.first_try_lost, flow.failed));
    let over_time = &mut stage.intervals.iter().map(|time| (time.reads, time.first_try_lost, time.failed));
    assert_eq!([sum(by_size), sum(by_flow), sum(over_time)], [ended; 3]);
}

/// Reads lost by a cause in a direction.
pub fn lost_by(result: &StageResult, cause: Cause, direction: Direction) -> u64 {
    let same = result.causes.iter().filter(|report| (report.cause, report.direction) == (cause, direction));
    same.map(|report| report.reads).sum()
}

/// Asserts that reads were lost, by this more than by anything else. How much more is a matter of the machine's other work.
pub fn check_main_cause(result: &StageResult, cause: Cause, direction: Direction) {
    let main = result.causes.first().expect("something was lost");
    assert_eq!((main.cause, main.direction), (cause, direction));
}
