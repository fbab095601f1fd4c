//! The books of a stage hold what each host really counted, and say what they could not learn. What needs laboratories is skipped, and said so,
//! where this machine allows none, unless SHINGLE_REQUIRE_LAB=1.

mod relay;

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use clap::Parser as _;
use shingle_loadgen::attribution::{Books, HostCounters};
use shingle_loadgen::cli::{Cli, Command};
use shingle_loadgen::embedded::Site;
use shingle_loadgen::engine::Pace;
use shingle_loadgen::options::Options;
use shingle_loadgen::progress::Progress;
use shingle_loadgen::rig::Rig;
use shingle_loadgen::stage::StageResult;
use shingle_netlab::skip;
use shingle_server::{Config, PortConfig, Server};

/// One laboratory at a time: they share the CPUs.
static ONE: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    ONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs a stage in a laboratory; none where the machine allows none, which is printed.
fn stage(words: &str, tps: f64, duration: Duration) -> Option<StageResult> {
    let words = format!("loadgen run --quiet --items 1k --arrivals constant --timeout 1s {words}");
    let cli = Cli::try_parse_from(words.split_whitespace()).expect("good flags");
    let Command::Run(run) = cli.command else { unreachable!("it says run") };
    let options = Options::resolve(&run.common).expect("good flags");
    let progress = Progress::new(true);
    let site = match Site::prepare(&options, &progress) {
        Ok(site) => site,
        Err(missing) => {
            skip::unless_required(skip::REQUIRE_LAB, missing);
            return None;
        }
    };
    let _at_the_client = site.enter().expect("a laboratory that is up");
    let mut rig = Rig::build(&options, &site, &progress).expect("a server and flows");
    let pace = Pace::PerSecond(tps);
    rig.warm_up(pace, &progress).expect("threads");
    rig.start_clock();
    Some(rig.stage(pace, duration, &progress).expect("threads"))
}

fn risen(host: &HostCounters, name: &str) -> u64 {
    *host.risen.get(name).unwrap_or_else(|| panic!("no {name} in {:?}", host.risen))
}

fn books(result: &StageResult) -> &Books {
    result.books.as_ref().expect("reads were lost")
}

#[test]
fn each_hosts_counters_are_its_own_and_the_server_tells_its_path() {
    let _alone = alone();
    for (family, ip) in [("4", "Ip"), ("6", "Ip6")] {
        let words = format!(
            "--lab fragment-limit --set limit=20 --set family={family} --strategy kernel-pmtud --values fixed:3000"
        );
        let Some(result) = stage(&words, 500.0, Duration::from_secs(1)) else { return };
        let books = books(&result);
        let server = &books.server.as_ref().expect("it was asked at both ends").host;
        let client = &books.client.host;
        // Three fragments an answer, of which all but 20 a second lose some on their way.
        assert!(risen(server, &format!("{ip}.FragCreates")) >= 1500, "{:?}", server.risen);
        assert!(risen(server, &format!("{ip}.FragOKs")) >= 500);
        assert_eq!(risen(client, &format!("{ip}.FragCreates")), 0);
        let [wanted, put_together] = ["ReasmReqds", "ReasmOKs"].map(|name| client.both("Ip", name));
        assert_eq!(put_together, Some(result.stage.answered));
        assert!(wanted >= Some(500), "{wanted:?}");
        assert_eq!(risen(server, &format!("{ip}.ReasmReqds")), 0);
        assert_eq!(client.both("Udp", "RcvbufErrors"), Some(0));
        assert!(!client.risen.keys().any(|name| name.starts_with("Softnet")), "that is the machine's");
        let facts = &books.stage;
        assert_eq!((facts.client_mtu, facts.server_mtu, facts.path_mtu_down), (1500, Some(9001), Some(1500)));
    }
}

#[test]
fn counters_are_looked_at_while_the_stage_runs() {
    let _alone = alone();
    let words = "--lab fragment-limit --set limit=20 --strategy kernel-pmtud --values fixed:3000";
    let Some(result) = stage(words, 500.0, Duration::from_secs(3)) else { return };
    let books = books(&result);
    let server = &books.server.as_ref().expect("it was asked at both ends").host;
    for (host, name, looks) in [(&books.client.host, "Ip.ReasmReqds", 5), (server, "Ip.FragCreates", 1)] {
        let column = host.series.names.iter().position(|column| column == name).expect(name);
        let rows = &host.series.rows;
        assert!(rows.len() >= looks, "{} looks", rows.len());
        assert!(rows.is_sorted_by_key(|(at_ns, _)| *at_ns), "{rows:?}");
        assert!(rows.is_sorted_by_key(|(_, row)| row[column]), "{rows:?}");
        let last = rows[rows.len() - 1].1[column];
        assert!(last > 0 && last <= risen(host, name), "{last} of {}", risen(host, name));
    }
    assert!(result.stage.gaps.is_empty(), "{:?}", result.stage.gaps);
}

/// A server killed in mid-run and started again on its ports, between two of the looks at it.
#[test]
fn a_restart_in_mid_run_is_told_and_its_counters_are_not_used() {
    let _alone = alone();
    let server = relay::server();
    let config = Config {
        tcp_port: server.tcp_addr().port(),
        udp_ports: server.ports().iter().map(|port| PortConfig::new(port.port, port.strategy)).collect(),
        ..relay::config()
    };
    let mut rig = relay::rig(&server, &["--items", "1k", "--timeout", "50ms"]);
    let restart = thread::spawn(move || {
        thread::sleep(Duration::from_millis(1300));
        server.stop();
        Server::start(config).expect("its ports are free again")
    });
    let result = relay::steady(&mut rig, 1000.0, Duration::from_secs(3));
    let _server = restart.join().unwrap();
    let gaps = &result.stage.gaps;
    assert!(gaps.iter().any(|gap| gap.contains("restarted during the stage")), "{gaps:?}");
    assert!(gaps.iter().any(|gap| gap.contains("around its restart between")), "{gaps:?}");
    assert!(!result.server_gone && result.stage.misses > 0, "the new server is there, and empty");
    assert!(result.books.iter().all(|books| books.server.is_none() && books.receipts.is_none()));
    assert!(!result.stage.counters.contains_key("server.requests"), "{:?}", result.stage.counters);

    let after = relay::steady(&mut rig, 1000.0, Duration::from_millis(200));
    assert_eq!(after.stage.counters["server.gets"], after.stage.sent, "{:?}", after.stage.gaps);
}

#[test]
fn a_server_that_is_gone_is_told_with_the_time() {
    let _alone = alone();
    let server = relay::server();
    let mut rig = relay::rig(&server, &["--items", "1k", "--timeout", "50ms"]);
    let stop = thread::spawn(move || {
        thread::sleep(Duration::from_millis(1300));
        server.stop();
    });
    let result = relay::steady(&mut rig, 1000.0, Duration::from_millis(2500));
    stop.join().unwrap();
    let gaps = &result.stage.gaps;
    assert!(result.server_gone && result.stage.failed > 0);
    assert!(gaps.iter().any(|gap| gap.starts_with("the server's counters from")), "{gaps:?}");
}

/// Two generators on one server: each has its own receipts.
#[test]
fn receipts_of_another_generator_are_left_out() {
    let _alone = alone();
    let server = relay::server();
    let none = relay::Faults { drop: 0.0, duplicate: 0.0, reorder: 0.0, flip: 0.0, delay: Duration::ZERO };
    let faults = relay::Faults { drop: 0.2, ..none };
    let flags = ["--items", "100", "--timeout", "300ms", "--values", "fixed:100"];
    let (_relay, mut rig) = relay::rig_behind(&server, none, faults, &flags);
    let mut other = relay::rig(&server, &flags);
    let beside = thread::spawn(move || relay::steady(&mut other, 1000.0, Duration::from_secs(1)));
    let result = relay::steady(&mut rig, 500.0, Duration::from_secs(1));
    beside.join().unwrap();
    let books = books(&result);
    let receipts = books.receipts.as_ref().expect("they are kept");
    let flows: Vec<_> = books.population.flows.iter().map(|flow| flow.flow).collect();
    assert!(receipts.all.iter().all(|receipt| flows.contains(&receipt.flow)));
    assert_eq!((receipts.all.len() as u64, receipts.overwritten), (result.stage.sent, 0));
}
