//! Socket buffers against what they must hold while a program stands still.
//!
//! Arrivals are Poisson: in a pause of s seconds a socket with r datagrams/s gets r s on average, and with a probability of 99.9 % at
//! most r s + 3.1 sqrt(r s). Each is charged what the kernel charges here, measured, not its payload.

use std::collections::BTreeMap;

use shingle_server::limits::{TCP_PORT, WORKERS_MAX};

use super::super::facts::{Buffers, Facts};
use super::{Finding, HERE, Severity, Sureness, THERE, bytes, count};
use crate::limits::{FLOWS_DEFAULT, FLOWS_MAX, RECV_BUFFER_BYTES, SEND_REQUESTS_MAX};

/// 99.9 % of a normal distribution lie below its mean and so many standard deviations.
const DEVIATIONS: f64 = 3.1;
/// UDP payload of a request: header, cookie, a key of some 30 bytes (PROTOCOL.md, sections 2 and 4).
const REQUEST_BYTES: u32 = 96;
/// More sockets than these help nobody.
const SOCKETS_MAX: usize = 4096;
/// Page of memory that net.ipv4.udp_mem counts in, on x86_64.
const PAGE_BYTES: f64 = 4096.0;

pub(super) fn find(facts: &Facts, findings: &mut Vec<Finding>) {
    let Some(buffers) = &facts.here.buffers else { return };
    findings.extend(all_here(facts, buffers));
    findings.extend(receive_here(facts, buffers));
    findings.extend(send_here(buffers));
    findings.extend(receive_there(facts, buffers));
}

/// What a socket must hold, in bytes as charged.
fn needed_bytes(datagrams_per_s: f64, pause_s: f64, charge: f64) -> f64 {
    let mean = datagrams_per_s * pause_s;
    (mean + DEVIATIONS * mean.sqrt()) * charge
}

/// Datagrams of an average answer, and what the kernel charges for them together.
fn answer(facts: &Facts, buffers: &Buffers) -> (f64, f64) {
    let path = facts.path.as_ref();
    let device = facts.here.cards.iter().map(|card| card.mtu_bytes).min();
    let mtu = path.and_then(|path| path.down_mtu.or(path.interface_mtu)).or(device).unwrap_or(1500);
    let room = mtu.saturating_sub(48).max(1);
    let parts = |payload: u32| payload.div_ceil(room).max(1);
    let all = |figure: &dyn Fn(u32) -> f64, answers: &BTreeMap<u32, f64>| -> f64 {
        answers.iter().map(|(payload, share)| share * figure(*payload)).sum()
    };
    let charge = |payload: u32| {
        let each = buffers.charge(payload.div_ceil(parts(payload))).unwrap_or(0);
        f64::from(parts(payload)) * f64::from(each)
    };
    (all(&|payload| parts(payload).into(), &facts.demand.answers), all(&charge, &facts.demand.answers))
}

/// What all sockets together must hold.
fn all_here(facts: &Facts, buffers: &Buffers) -> Option<Finding> {
    let demand = &facts.demand;
    let each = demand.rate_per_s / demand.sockets.max(1) as f64;
    let needed = needed_bytes(each, demand.pause_s, answer(facts, buffers).1);
    too_little_in_all(facts.here.settings.get("net.ipv4.udp_mem"), needed * demand.sockets as f64, HERE)
}

fn receive_here(facts: &Facts, buffers: &Buffers) -> Option<Finding> {
    let demand = &facts.demand;
    let (datagrams, charge) = answer(facts, buffers);
    let each = demand.rate_per_s / demand.sockets.max(1) as f64;
    let needed = needed_bytes(each, demand.pause_s, charge);
    let granted = buffers.receive_granted_bytes as f64;
    let limits = limit_words(facts.here.number("net.core.rmem_max"), buffers.asked_bytes, granted);
    if needed <= granted || charge == 0.0 {
        return None;
    }
    Some(Finding {
        name: "receive_buffer",
        severity: Severity::Hurts,
        place: HERE.to_owned(),
        what: format!("a socket's receive buffer holds {} ({limits})", bytes(granted)),
        why: format!(
            "{} reads/s over {} sockets bring {} of buffer in a pause of {:.0} ms: {:.1} datagrams an answer, each charged {:.0} B on average, whatever it carries; it lasts {:.0} ms",
            count(demand.rate_per_s),
            demand.sockets,
            bytes(needed),
            1e3 * demand.pause_s,
            datagrams,
            charge / datagrams,
            1e3 * granted / (each * charge),
        ),
        fix: fix_receive(facts, charge, granted, demand.sockets, |sockets| more_flows(facts, sockets)),
        risk: "memory: each socket may hold so much when its program stands still, and what waits that long may be too late anyway".to_owned(),
        sureness: Sureness::Likely,
    })
}

/// The kernel grants twice the setting; the next power of two is what people set.
fn needed_setting(needed: f64) -> u64 {
    ((needed / 2.0).ceil() as u64).next_power_of_two()
}

/// A larger limit as far as sockets ask for more (server and generator: 4 MiB), and more sockets where that is not enough.
fn fix_receive(
    facts: &Facts,
    charge: f64,
    granted: f64,
    sockets_now: usize,
    more: impl Fn(usize) -> String,
) -> Vec<String> {
    let demand = &facts.demand;
    let asked = RECV_BUFFER_BYTES as f64;
    let limit = (granted < 2.0 * asked)
        .then(|| format!("sysctl -w net.core.rmem_max={RECV_BUFFER_BYTES}   # what is asked for"));
    let holds = |sockets: &usize| {
        needed_bytes(demand.rate_per_s / *sockets as f64, demand.pause_s, charge) <= 2.0 * asked
    };
    let sockets = (1..=SOCKETS_MAX).find(holds).unwrap_or(SOCKETS_MAX);
    let more = (sockets > sockets_now).then(|| format!("{} with {} each", more(sockets), bytes(2.0 * asked)));
    limit.into_iter().chain(more).collect()
}

/// As `run --server` would have them on this host, with more flows a thread.
fn more_flows(facts: &Facts, sockets: usize) -> String {
    let server = facts.server.as_ref().map_or(format!("HOST:{TCP_PORT}"), |server| server.address.clone());
    let threads = (facts.demand.sockets / FLOWS_DEFAULT).max(1);
    let flows = sockets.div_ceil(threads).min(FLOWS_MAX);
    format!(
        "loadgen run --server {server} --rate {:.0} --threads {threads} --flows {flows}   # {} sockets",
        facts.demand.rate_per_s,
        threads * flows
    )
}

fn more_workers(workers: usize) -> String {
    format!(
        "cache-server --workers-per-port {}   # beside its other flags: workers, on as many CPUs,",
        workers.min(WORKERS_MAX)
    )
}

fn limit_words(most: Option<u64>, asked: u64, granted: f64) -> String {
    let asked_words = format!("{} asked for", bytes(asked as f64));
    match most {
        Some(most) if granted > 2.0 * most as f64 => {
            format!(
                "{asked_words}; net.core.rmem_max is {most}, passed with CAP_NET_ADMIN, without which it would be {}",
                bytes(2.0 * most as f64)
            )
        }
        Some(most) => {
            format!("{asked_words}; net.core.rmem_max is {most}, of which the kernel grants twice as much")
        }
        None => asked_words,
    }
}

/// All sockets of the namespace share net.ipv4.udp_mem.
fn too_little_in_all(udp_mem: Option<&String>, total: f64, place: &str) -> Option<Finding> {
    let pages: f64 = udp_mem?.split(' ').nth(2)?.parse().ok()?;
    if total <= pages * PAGE_BYTES {
        return None;
    }
    let needed = (total / PAGE_BYTES).ceil();
    Some(Finding {
        name: "udp_memory",
        severity: Severity::Hurts,
        place: place.to_owned(),
        what: format!("all UDP sockets together may hold {} (net.ipv4.udp_mem)", bytes(pages * PAGE_BYTES)),
        why: format!(
            "this load needs {} in a pause; beyond the limit datagrams are dropped whatever room their socket has (Udp.MemErrors)",
            bytes(total)
        ),
        fix: vec![format!(
            "sysctl -w net.ipv4.udp_mem=\"{0:.0} {0:.0} {1:.0}\"   # on the host itself, not in a container",
            needed,
            1.25 * needed
        )],
        risk: format!(
            "up to {} of the host's memory are gone while they are full; a host that has less needs a lower rate, a shorter pause or others beside it",
            bytes(1.25 * total)
        ),
        sureness: Sureness::Likely,
    })
}

fn send_here(buffers: &Buffers) -> Option<Finding> {
    let burst = SEND_REQUESTS_MAX as f64 * f64::from(buffers.charge(REQUEST_BYTES)?);
    let granted = buffers.send_granted_bytes as f64;
    if granted >= burst {
        return None;
    }
    Some(Finding {
        name: "send_buffer",
        severity: Severity::Hurts,
        place: HERE.to_owned(),
        what: format!("a socket's send buffer holds {}", bytes(granted)),
        why: format!(
            "a burst of {SEND_REQUESTS_MAX} requests needs {}; what does not fit waits or fails",
            bytes(burst)
        ),
        fix: vec![format!("sysctl -w net.core.wmem_max={}", needed_setting(burst))],
        risk: "longer queues in the host when its card is slower than the load".to_owned(),
        sureness: Sureness::Sure,
    })
}

fn receive_there(facts: &Facts, buffers: &Buffers) -> Vec<Finding> {
    let demand = &facts.demand;
    let charge = f64::from(buffers.charge(REQUEST_BYTES).unwrap_or(0));
    let ports = facts.server.iter().flat_map(|server| &server.ports);
    let mut findings: Vec<_> = ports
        .filter_map(|port| {
            let least = *port.receive_granted_bytes.iter().min()? as f64;
            let each = demand.rate_per_s / port.receive_granted_bytes.len() as f64;
            let needed = needed_bytes(each, demand.pause_s, charge);
            (needed > least && charge > 0.0).then(|| Finding {
                name: "server_receive_buffer",
                severity: Severity::Hurts,
                place: THERE.to_owned(),
                what: format!("a worker of port {} holds {} of requests", port.port, bytes(least)),
                why: format!(
                    "{} requests/s to {} of them bring {} in a pause of {:.0} ms, {charge:.0} B a datagram whatever it carries; it lasts {:.0} ms",
                    count(demand.rate_per_s),
                    port.receive_granted_bytes.len(),
                    bytes(needed),
                    1e3 * demand.pause_s,
                    1e3 * least / (each * charge),
                ),
                fix: fix_receive(facts, charge, least, port.receive_granted_bytes.len(), more_workers),
                risk: "requests that waited so long are answered late; memory for each worker".to_owned(),
                sureness: Sureness::Likely,
            })
        })
        .collect();
    // Ports of one server differ in strategy alone: once is enough.
    findings.truncate(1);
    findings
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::super::testing::{facts, finding, found};
    use super::*;
    use crate::cli::{Cli, Command};

    #[test]
    fn a_buffer_that_lasts_less_than_the_pause_hurts() {
        let mut facts = facts();
        facts.here.buffers.as_mut().unwrap().receive_granted_bytes = 425_984;
        facts.here.settings.insert("net.core.rmem_max".to_owned(), "212992".to_owned());
        let found = finding(&facts, "receive_buffer");
        assert_eq!(found.severity, Severity::Hurts);
        // 12,500 datagrams/s, 96.5 % charged 1,280 B and 3.5 % 16,640 B: 425,984 B last 18.7 ms.
        assert!(found.why.contains("it lasts 19 ms"), "{}", found.why);
        assert!(found.fix.len() == 1 && found.fix[0].contains("rmem_max=4194304"), "{:?}", found.fix);
        // A limit that is not what binds is not to be raised.
        facts.demand.pause_s = 1.0;
        facts.here.buffers.as_mut().unwrap().receive_granted_bytes = 8 << 20;
        let fix = finding(&facts, "receive_buffer").fix;
        let command = "loadgen run --server 10.0.0.1:7401 --rate 100000 --threads 1 --flows 23";
        assert_eq!(fix, [format!("{command}   # 23 sockets with 8.0 MiB each")]);
        let typed = Cli::try_parse_from(command.split(' ')).expect("a real command");
        assert!(matches!(typed.command, Command::Run(run) if run.common.flows == 23), "{command}");
        facts.demand.pause_s = 0.001;
        assert!(super::super::testing::found(&facts).is_empty());
    }

    #[test]
    fn what_is_needed_grows_with_rate_pause_and_charge() {
        assert!((needed_bytes(12_500.0, 0.05, 1000.0) - (625.0 + 3.1 * 25.0) * 1000.0).abs() < 1.0);
        assert_eq!(needed_setting(3_000_000.0), 2 << 20);
    }

    #[test]
    fn the_servers_buffers_are_judged_by_its_requests() {
        let mut facts = facts();
        facts.server.as_mut().unwrap().ports[0].receive_granted_bytes = vec![425_984; 2];
        assert_eq!(found(&facts), [("server_receive_buffer", Severity::Hurts)]);
        facts.server.as_mut().unwrap().ports[0].receive_granted_bytes = vec![8 << 20];
        facts.demand.pause_s = 0.5;
        let fix = finding(&facts, "server_receive_buffer").fix;
        assert!(fix.len() == 1 && fix[0].starts_with("cache-server --workers-per-port 6   # "), "{fix:?}");
        facts.demand.pause_s = 0.05;
        facts.server.as_mut().unwrap().ports[0].receive_granted_bytes = Vec::new();
        assert_eq!(found(&facts), [], "a server that does not tell is not accused");
    }

    #[test]
    fn memory_of_all_sockets_and_the_send_buffer_count_too() {
        let mut facts = facts();
        facts.here.settings.insert("net.ipv4.udp_mem".to_owned(), "100 200 300".to_owned());
        assert_eq!(found(&facts), [("udp_memory", Severity::Hurts)]);
        facts.demand.pause_s = 60.0;
        assert!(
            found(&facts).contains(&("receive_buffer", Severity::Hurts)),
            "beside what all hold together"
        );
        let mut facts = super::super::testing::facts();
        facts.here.buffers.as_mut().unwrap().send_granted_bytes = 4608;
        assert_eq!(found(&facts), [("send_buffer", Severity::Hurts)]);
    }

    #[test]
    fn a_grant_beyond_the_limit_is_explained() {
        assert!(limit_words(Some(212_992), 4 << 20, 8_388_608.0).contains("CAP_NET_ADMIN"));
        assert!(!limit_words(Some(8 << 20), 4 << 20, 8_388_608.0).contains("CAP_NET_ADMIN"));
    }
}
