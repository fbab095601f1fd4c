//! Each cause made for real, and named as the main one with the right direction.

mod relay;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use relay::{Faults, check_books, check_main_cause, config, lost_by, options, rig_behind, server, steady};
use shingle_loadgen::attribution::{Cause, Direction};
use shingle_loadgen::books::{Reading, ReceiptCursor};
use shingle_loadgen::engine::{self, Flow, Pace, StageSpec, Worker};
use shingle_loadgen::options::Options;
use shingle_loadgen::progress::Progress;
use shingle_loadgen::protocol::Protocol;
use shingle_loadgen::rig::{self, Rig};
use shingle_loadgen::slo::Slo;
use shingle_loadgen::stage::{self, StageResult};
use shingle_loadgen::target::Placement;
use shingle_loadgen::workload::{Arrivals, KeySampler, KeySpec, Stream};
use shingle_proto::client::{Client, ClientConfig};
use shingle_server::{Config, Pause, Server};
use shingle_udp::{Socket, SocketOptions};

const SECOND: Duration = Duration::from_secs(1);
const TENTH: f64 = 0.1;
/// Longer than a busy machine mostly keeps a thread from its CPU.
const PATIENT: &str = "300ms";

/// Rigs share CPUs they are pinned to: side by side they would be each other's cause.
static ALONE: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A stage so slow that hardly any other work of the machine makes reads late, and whose losses are spread over all of it.
fn unhurried(rig: &mut Rig) -> StageResult {
    let result = rig.stage(Pace::PerSecond(1000.0), SECOND, &Progress::new(true)).unwrap();
    check_books(&result);
    result
}

/// What reads end on that were late.
const LATE: [Cause; 3] = [Cause::GeneratorLimited, Cause::ServerOverload, Cause::TimeoutTooShort];

/// Asserts that the path lost answers, by this more than by anything else. Which reads were late, if any, is a matter of the machine's
/// other work.
fn check_lost_down(result: &StageResult, cause: Cause) {
    let main = result.causes.iter().find(|report| !LATE.contains(&report.cause));
    let main = main.expect("the path lost something");
    assert_eq!((main.cause, main.direction), (cause, Direction::Down));
}

/// Asserts that requests were lost by this, and no more of them than the relay did it to. Where nothing is asked for again, reads failed by
/// nothing else that a path does: a read that is asked for again is told as lost on the way down when it was the answer that was late, as
/// it is on a machine that does other things.
fn check_lost_up(result: &StageResult, cause: Cause, injected: &AtomicU64, asked_again: bool) {
    let injected = injected.load(Ordering::Relaxed);
    let lost = lost_by(result, cause, Direction::Up);
    assert!((1..=injected).contains(&lost), "{lost} of {injected}");
    let of_path = result.causes.iter().filter(|report| !LATE.contains(&report.cause) && report.failed > 0);
    // A few that a busy machine loses beside are called unexplained.
    let accused = of_path.filter(|report| report.cause != Cause::Unexplained);
    let mut others = accused.filter(|report| (report.cause, report.direction) != (cause, Direction::Up));
    assert!(asked_again || others.next().is_none());
}

fn pausing(duration_ms: u64, interval_ms: u64) -> Server {
    let [duration, interval] = [duration_ms, interval_ms].map(Duration::from_millis);
    Server::start(Config { inject_pause: Some(Pause { duration, interval }), ..config() }).unwrap()
}

#[test]
fn dropped_requests_are_path_loss_up() {
    let _alone = alone();
    let up = Faults { drop: TENTH, ..Faults::default() };
    for values in ["fixed:300", "fixed:20000"] {
        for retries in ["0", "3"] {
            let server = server();
            let flags = [
                "--items",
                "500",
                "--values",
                values,
                "--path-mtu",
                "1500",
                "--retries",
                retries,
                "--timeout",
                PATIENT,
            ];
            let (relay, mut rig) = rig_behind(&server, up, Faults::default(), &flags);
            let result = unhurried(&mut rig);
            // Of long answers the pieces that are late are asked for again.
            let asked_again = retries != "0" || values != "fixed:300";
            check_lost_up(&result, Cause::PathLoss, &relay.up.dropped, asked_again);
        }
    }
}

#[test]
fn dropped_answers_are_path_loss_down() {
    let _alone = alone();
    let down = Faults { drop: TENTH, ..Faults::default() };
    for values in ["fixed:300", "fixed:20000"] {
        let server = server();
        let flags = ["--items", "500", "--values", values, "--path-mtu", "1500", "--timeout", PATIENT];
        let (_relay, mut rig) = rig_behind(&server, Faults::default(), down, &flags);
        let result = unhurried(&mut rig);
        check_lost_down(&result, Cause::PathLoss);
    }
}

#[test]
fn flipped_requests_are_path_corruption_up() {
    let _alone = alone();
    let server = server();
    let up = Faults { flip: TENTH, ..Faults::default() };
    let (relay, mut rig) =
        rig_behind(&server, up, Faults::default(), &["--items", "1k", "--timeout", PATIENT]);
    let result = unhurried(&mut rig);
    check_lost_up(&result, Cause::PathCorruption, &relay.up.flipped, false);
    assert_eq!(lost_by(&result, Cause::PathCorruption, Direction::Down), 0);
}

#[test]
fn flipped_answers_are_path_corruption_down() {
    let _alone = alone();
    let server = server();
    let down = Faults { flip: TENTH, ..Faults::default() };
    let (_relay, mut rig) =
        rig_behind(&server, Faults::default(), down, &["--items", "1k", "--timeout", PATIENT]);
    let result = unhurried(&mut rig);
    check_lost_down(&result, Cause::PathCorruption);
    assert_eq!(lost_by(&result, Cause::PathCorruption, Direction::Up), 0);
}

#[test]
fn answers_under_way_at_the_deadline_mean_that_the_timeout_is_too_short() {
    let _alone = alone();
    for values in ["fixed:300", "fixed:20000"] {
        let server = server();
        let down = Faults { delay: Duration::from_millis(450), ..Faults::default() };
        let flags = ["--items", "500", "--values", values, "--path-mtu", "1500", "--timeout", PATIENT];
        let (_relay, mut rig) = rig_behind(&server, Faults::default(), down, &flags);
        let result = unhurried(&mut rig);
        check_main_cause(&result, Cause::TimeoutTooShort, Direction::Down);
        assert_eq!(result.stage.failed, result.stage.sent);
    }
}

/// Reads that meet a pause wait in the socket buffer, which holds them all, until after their deadline.
#[test]
fn a_server_that_stands_still_is_overloaded() {
    let _alone = alone();
    let server = pausing(200, 300);
    let mut rig = relay::rig(&server, &["--items", "1k", "--timeout", "100ms"]);
    let result = steady(&mut rig, 1_000.0, SECOND);
    check_main_cause(&result, Cause::ServerOverload, Direction::Host);
}

/// What comes in during a pause of two seconds is three times what the largest receive buffer granted holds.
#[test]
fn a_burst_beyond_its_buffer_is_the_servers_socket_buffer() {
    let _alone = alone();
    let server = pausing(2_000, 2_600);
    let mut rig = relay::rig(&server, &["--items", "1k", "--timeout", "100ms"]);
    let result = steady(&mut rig, 20_000.0, 3 * SECOND);
    check_main_cause(&result, Cause::ServerSocketBuffer, Direction::Up);
}

/// Sixty-four answers at a time come to a socket whose buffer holds a few.
#[test]
fn answers_beyond_its_buffer_are_the_clients_socket_buffer() {
    let _alone = alone();
    let server = server();
    let result = stage_of_a_small_socket(&options(&server, &["--items", "1k"]));
    check_main_cause(&result, Cause::ClientSocketBuffer, Direction::Down);
}

#[test]
fn reads_that_leave_too_late_are_the_generators() {
    let _alone = alone();
    let server = server();
    let mut rig = relay::rig(&server, &["--items", "1k", "--timeout", "20ms"]);
    let result = steady(&mut rig, 5_000_000.0, SECOND / 50);
    check_main_cause(&result, Cause::GeneratorLimited, Direction::Host);
    assert!(result.stage.generator_limited, "{:?}", result.stage.generator_limited_because);
}

/// Twice as many large values in flight as a flow has memory to put together: no cause of the server's or the path's.
#[test]
fn chunks_that_found_no_memory_are_the_generators() {
    let _alone = alone();
    let server = server();
    let values = ["--items", "40", "--values", "fixed:1000000", "--flows", "1"];
    let mut rig = relay::rig(&server, &values);
    // A quick machine may get by with the memory it has: a stage that lost nothing shows nothing.
    let mut stages =
        (0..40).map(|_| rig.stage(Pace::InFlight(64), SECOND / 4, &Progress::new(true)).unwrap());
    let ran_out = |result: &StageResult| {
        result.stage.first_try_lost > 0 && result.stage.counters["client.flow.reassembly_full"] > 0
    };
    let result = stages.find(ran_out).expect("no stage ran out of memory");
    check_books(&result);
    assert!(lost_by(&result, Cause::GeneratorLimited, Direction::Host) > 0);
}

/// What [`Rig::stage`](rig::Rig::stage) does, on one flow whose socket got the smallest receive buffer there is.
fn stage_of_a_small_socket(options: &Options) -> StageResult {
    let (mut target, space) = rig::prepare(options, false, &Progress::new(true)).unwrap();
    let to = target.ports[0].0;
    let small = SocketOptions { recv_buffer_bytes: 1, ..SocketOptions::default() };
    let socket = Socket::bind("127.0.0.1:0".parse().unwrap(), &small).unwrap();
    socket.connect(to).unwrap();
    let port = socket.local_addr().unwrap().port();
    let mut core = Client::new(ClientConfig { telemetry: true, ..ClientConfig::default() }).unwrap();
    core.set_cookie(target.welcome().cookie);
    let flow = Flow {
        number: 0,
        server: to,
        socket,
        core,
        train: 1,
        datagrams_sent: 0,
        trains_sent: 0,
        send_calls: 0,
        receive_calls: 0,
        sends_refused: 0,
        unroutable: Vec::new(),
    };
    let keys = KeySampler::new(&KeySpec::Uniform, &space, 1, Stream::new(0, 1)).unwrap();
    let mut workers = [Worker::new(options.generator_cpus[0], vec![flow], keys)];
    let timeout_ns = 100_000_000;
    let spec = StageSpec {
        pace: Pace::InFlight(64),
        arrivals: Arrivals::Constant,
        duration_ns: 300_000_000,
        start_ns: 0,
        timeout_ns,
        linger_ns: timeout_ns,
        gets_per_datagram: 1,
        seed: 1,
        bound_ns: 1_000_000,
        stall_ns: 500_000,
        path_datagram_bytes: target.datagram_max.into(),
        pause: None,
        books: true,
        cut: None,
    };
    let before = Reading::take(&workers, &mut target);
    let outcome = engine::run_stage(&mut workers, &spec, &space, &[], &|_| ()).unwrap();
    let mut risen = Reading::take(&workers, &mut target).since(&before, Placement::Embedded);
    let cursor = ReceiptCursor::at_end(before.server()).unwrap();
    let receipts = cursor.fetch(&mut target.control, &[0], &mut risen.gaps);
    let flows = vec![(0, port, to.port())];
    let facts = stage::Facts {
        spec: &spec,
        outcome,
        risen,
        receipts,
        slo: Slo::default(),
        receipts_kept: true,
        protocol: Protocol::Shingle,
        items_expire: false,
        lab: None,
        flows,
        path: stage::PathFacts::default(),
        keeps_books: false,
    };
    let result = stage::settle(facts);
    check_books(&result);
    result
}
