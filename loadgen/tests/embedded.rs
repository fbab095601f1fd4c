//! Servers inside the generator: several strategies side by side, and one that loses a thread is named, rather than its silence booked as
//! loss of the path.

use std::net::{Ipv4Addr, UdpSocket};
use std::time::Duration;

use clap::Parser as _;
use shingle_loadgen::cli::{Cli, Command};
use shingle_loadgen::embedded::{Embedded, Site};
use shingle_loadgen::engine::Pace;
use shingle_loadgen::error::Error;
use shingle_loadgen::limits::ANSWER_OVERHEAD_BYTES;
use shingle_loadgen::options::Options;
use shingle_loadgen::progress::Progress;
use shingle_loadgen::rig::Rig;
use shingle_loadgen::seeding;
use shingle_loadgen::target::Target;
use shingle_loadgen::workload::{ItemSpace, Sizing};
use shingle_proto::wire::Strategy;

fn options(flags: &[&str]) -> Options {
    let typed = ["loadgen", "run", "--quiet", "--items", "100", "--flows", "1"].into_iter();
    let Command::Run(run) = Cli::try_parse_from(typed.chain(flags.iter().copied())).unwrap().command else {
        unreachable!("`run` was typed")
    };
    Options::resolve(&run.common).unwrap()
}

#[test]
fn a_server_outlives_each_of_the_targets_that_share_it() {
    let options = options(&["--values", "fixed:2000"]);
    let progress = Progress::new(true);
    let sizing = Sizing { answer_overhead_bytes: ANSWER_OVERHEAD_BYTES, value_bytes_max: 1 << 20 };
    let space = ItemSpace::new(&options.values, options.items, options.seed, sizing).unwrap();
    let strategies = [Strategy::KernelPmtud, Strategy::Chunked, Strategy::DfOff];
    let server = Embedded::start(&Site::loopback(), &strategies, &options, &space).unwrap();
    for strategy in strategies {
        let mut target = Target::of_embedded(&server, strategy, &options, &space).unwrap();
        seeding::fill(&mut target, &space, false, &progress).unwrap();
        let mut rig = Rig::new(&options, target, space.clone()).unwrap();
        let stage = rig.stage(Pace::PerSecond(500.0), Duration::from_millis(200), &progress).unwrap().stage;
        assert_eq!((stage.failed, stage.wrong, stage.sent > 50), (0, 0, true), "{strategy:?}");
        let ports = rig.load.facts().ports;
        assert!(ports.len() == 1 && ports[0].ends_with(strategy.name()), "{ports:?}");
    }
}

#[test]
fn a_dead_worker_ends_the_run_with_its_name() {
    let options = options(&["--values", "fixed:100"]);
    let progress = Progress::new(true);
    let mut rig = Rig::build(&options, &Site::loopback(), &progress).unwrap();
    let short = Duration::from_millis(200);
    rig.stage(Pace::PerSecond(500.0), short, &progress).expect("it serves");
    let (_, _, port) = rig.load.flows()[0];
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    socket.send_to(b"fault: panic", (Ipv4Addr::LOCALHOST, port)).unwrap();
    match rig.stage(Pace::PerSecond(500.0), short, &progress).map(|result| result.stage.failed) {
        Err(Error::EmbeddedFailed(failure)) => {
            assert_eq!(failure.thread, format!("worker 0 (UDP port {port})"))
        }
        other => panic!("{other:?}"),
    }
}
