//! A server inside the generator that loses a thread is named, rather than its silence booked as loss of the path.

use std::net::{Ipv4Addr, UdpSocket};
use std::time::Duration;

use clap::Parser as _;
use shingle_loadgen::cli::{Cli, Command};
use shingle_loadgen::engine::Pace;
use shingle_loadgen::error::Error;
use shingle_loadgen::options::Options;
use shingle_loadgen::progress::Progress;
use shingle_loadgen::rig::Rig;

#[test]
fn a_dead_worker_ends_the_run_with_its_name() {
    let typed = ["loadgen", "run", "--quiet", "--items", "100", "--values", "fixed:100", "--flows", "1"];
    let Command::Run(run) = Cli::try_parse_from(typed).unwrap().command else {
        unreachable!("`run` was typed")
    };
    let progress = Progress::new(true);
    let mut rig = Rig::build(&Options::resolve(&run.common).unwrap(), &progress).unwrap();
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
