//! A bad member among equal-cost paths: it takes all packets of some flows, and none of the others.

use std::collections::BTreeSet;
use std::time::Duration;

use shingle_client::GetError;
use shingle_loadgen::record::Stage;
use shingle_proto::wire::Strategy;

use crate::error::StoryError;
use crate::expectation::{Bound, Expectation, Unit};
use crate::scene::{self, Scene};
use crate::story::Story;
use crate::telling::Telling;
use crate::watch::Watch;

/// See the head of the file.
pub(super) static STORY: Story = Story {
    name: "bad-path",
    sentence: "answers are spread over four equal-cost paths by a hash of each flow, and one path drops packets",
    expectations: &[&FLOWS, &READS, &COUNTED, &RETRIES, &SAVED, &OTHER_PORT],
    tell,
};

static FLOWS: Expectation = Expectation {
    what: "flows that lost reads, and are not those whose answers the router sends over the bad path, or the other way round",
    formula: "0",
    bound: Bound::Exactly,
    unit: Unit::Count("flows"),
    reason: "the router chooses by a hash of addresses and ports, and says which path it takes for a flow (ip route get)",
    full_only: false,
};

static READS: Expectation = Expectation {
    what: "failed reads",
    formula: "all reads of the flows on the bad path",
    bound: Bound::Exactly,
    unit: Unit::Count("reads"),
    reason: "the path drops everything: the failure rate is the share of flows that hash to it, a quarter, whatever the rate",
    full_only: false,
};

static COUNTED: Expectation = Expectation {
    what: "failed reads",
    formula: "packets that the bad path dropped",
    bound: Bound::Exactly,
    unit: Unit::Count("reads"),
    reason: "each answer is one packet",
    full_only: false,
};

static RETRIES: Expectation = Expectation {
    what: "failed reads with three retries",
    formula: "all reads of the flows on the bad path",
    bound: Bound::Exactly,
    unit: Unit::Count("reads"),
    reason: "a retry has the ports of its flow, and takes the same path",
    full_only: false,
};

static SAVED: Expectation = Expectation {
    what: "failure rate with three retries when the path drops a tenth",
    formula: "0.25 x 0.1^4",
    bound: Bound::Within(0.1),
    unit: Unit::Percent,
    reason: "then a retry gets through nine times in ten; a stalled machine may take a read",
    full_only: false,
};

static OTHER_PORT: Expectation = Expectation {
    what: "clients that read, connecting again where nothing came",
    formula: "all",
    bound: Bound::Exactly,
    unit: Unit::Count("clients"),
    reason: "each connection has a port of its own and with it a path: ten in a row meet the bad one once in a million times",
    full_only: false,
};

const FLOWS_COUNT: usize = 32;
const FLAGS: &str =
    "--arrivals constant --items 1k --values fixed:300 --threads 1 --flows 32 --timeout 500ms";
/// First of the paths, which is the bad one, as the router calls the device.
const BAD_DEVICE: &str = "p0";
const CLIENTS: u32 = 12;
const CONNECTS_MAX: u32 = 10;
const KEY: &[u8] = b"key";

fn tell(telling: &mut Telling) -> Result<(), StoryError> {
    for family in telling.form().pick(&["4", "6"][..], &["4"]) {
        everything_of_some(telling, family)?;
    }
    let (tps, duration) = load(telling);
    let scene = Scene::new("bad-path", &["rate=10%"], Strategy::Chunked)?;
    let mut rig = scene.rig(&format!("{FLAGS} --retries 3"))?;
    let stage = scene::stage(&mut rig, tps, duration)?;
    let case = format!("{} of {} reads lost at first", stage.first_try_lost, stage.sent);
    telling.row(&SAVED, case, 100.0 * 0.25 * 0.1f64.powi(4), stage.failure_rate * 100.0);
    scene.close(telling)
}

fn load(telling: &Telling) -> (u32, Duration) {
    telling.form().pick((4_000, Duration::from_secs(5)), (2_000, Duration::from_secs(1)))
}

/// The bad path drops all packets.
fn everything_of_some(telling: &mut Telling, family: &str) -> Result<(), StoryError> {
    let (tps, duration) = load(telling);
    let scene = Scene::new("bad-path", &[&format!("family={family}")], Strategy::Chunked)?;
    for (retries, expectation) in [("", &READS), (" --retries 3", &RETRIES)] {
        let mut rig = scene.rig(&format!("{FLAGS}{retries}"))?;
        let watch = Watch::begin(&scene)?;
        let stage = scene::stage(&mut rig, tps, duration)?;
        let risen = watch.end(&scene)?;
        let lost: BTreeSet<u16> =
            stage.by_flow.iter().filter(|flow| flow.failed > 0).map(|flow| flow.source_port).collect();
        // Of IPv6 `ip route get` names other paths than forwarded packets take: there, flows that lost anything stand for those.
        let hashed = if family == "4" { on_bad_path(&scene, &stage)? } else { lost.clone() };
        let case = format!("IPv{family}, {} of {FLOWS_COUNT} flows on the bad path", hashed.len());
        if family == "4" {
            telling.row(&FLOWS, &case, 0.0, hashed.symmetric_difference(&lost).count() as f64);
        }
        let of_bad = stage.by_flow.iter().filter(|flow| hashed.contains(&flow.source_port));
        let of_bad: u64 = of_bad.map(|flow| flow.reads).sum();
        telling.row(expectation, &case, of_bad as f64, stage.failed as f64);
        if retries.is_empty() {
            let dropped = risen.lab("far.bad_path_down");
            telling.row(&COUNTED, &case, dropped as f64, stage.failed as f64);
        }
    }
    clients_try_other_ports(telling, &scene, family)?;
    scene.close(telling)
}

/// Source ports of the flows whose answers the router sends over the bad path.
fn on_bad_path(scene: &Scene, stage: &Stage) -> Result<BTreeSet<u16>, StoryError> {
    let lab = scene.lab();
    let [client, server] = [lab.client(), lab.server()].map(|host| host.address(scene.family()).to_string());
    let mut ports = BTreeSet::new();
    for flow in &stage.by_flow {
        let [from, to] = [flow.server_port, flow.source_port].map(|port| port.to_string());
        let words = [
            "route", "get", &client, "from", &server, "iif", "rs", "ipproto", "udp", "sport", &from, "dport",
            &to,
        ];
        let route = lab.host("router").ip(&words)?;
        if route.contains(&format!("dev {BAD_DEVICE} ")) {
            ports.insert(flow.source_port);
        }
    }
    Ok(ports)
}

/// Clients as programs embed them: what nothing comes to connects again.
fn clients_try_other_ports(telling: &mut Telling, scene: &Scene, family: &str) -> Result<(), StoryError> {
    let (mut read, mut began_badly) = (0, 0);
    for _ in 0..CLIENTS {
        for connect in 0..CONNECTS_MAX {
            let mut client = scene.client(Duration::from_millis(100))?;
            client.control()?.set(KEY, b"value", 0)?;
            match client.get(KEY) {
                Ok(_) => {
                    read += 1;
                    break;
                }
                Err(GetError::TimedOut { .. }) => began_badly += u32::from(connect == 0),
                Err(other) => return Err(other.into()),
            }
        }
    }
    let case = format!("IPv{family}, {began_badly} began on the bad path");
    telling.row(&OTHER_PORT, case, CLIENTS.into(), read.into());
    Ok(())
}
