//! The books of a stage hold what each host really counted. Needs laboratories: skipped, and said so, where this machine allows none, unless
//! SHINGLE_REQUIRE_LAB=1.

use std::sync::{Mutex, MutexGuard, PoisonError};
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
