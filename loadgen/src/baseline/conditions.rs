//! What two runs must have in common for their figures to be compared, and what is said beside where it differs.

use std::collections::BTreeSet;

use crate::record::Record;
use crate::workload::units;

/// Conditions that make another question of it.
pub(super) fn incomparable(before: &Record, now: &Record) -> Vec<String> {
    let (then, workload) = (&before.workload, &now.workload);
    let mut differences = Differences::default();
    differences.add("service level", before.slo.to_string(), now.slo.to_string());
    differences.add("values", &then.values, &workload.values);
    // Records from before it could be chosen do not name it.
    if !then.content.is_empty() && !workload.content.is_empty() {
        differences.add("content", &then.content, &workload.content);
    }
    differences.add("items", then.items, workload.items);
    differences.add("keys", &then.keys, &workload.keys);
    differences.add("arrivals", &then.arrivals, &workload.arrivals);
    differences.add("timeout in us", then.timeout_us, workload.timeout_us);
    differences.add("retries", then.retries, workload.retries);
    differences.add("gets in a datagram", then.gets_per_datagram, workload.gets_per_datagram);
    differences.add("laboratory", laboratory(before), laboratory(now));
    if before.comparison.is_some() {
        differences.0.push("the earlier record is one of `compare`".to_owned());
    }
    differences.0
}

/// Conditions that a difference may be due to.
pub(super) fn differs(before: &Record, now: &Record) -> Vec<String> {
    let mut differences = Differences::default();
    differences.add("strategy", strategies(before), strategies(now));
    differences.add("protocol", &before.server.protocol, &now.server.protocol);
    differences.add("server's workers", before.server.workers, now.server.workers);
    differences.add("server in this process", before.server.embedded, now.server.embedded);
    differences.add("CPU", &before.host.cpu_model, &now.host.cpu_model);
    differences.add("CPUs", before.host.cpus.len(), now.host.cpus.len());
    differences.add("kernel", &before.host.kernel, &now.host.kernel);
    differences.add("generator threads", before.host.threads, now.host.threads);
    differences.add("flows of each", before.host.flows_per_thread, now.host.flows_per_thread);
    differences.add("interface MTU", before.host.interface_mtu, now.host.interface_mtu);
    if before.workload.train > 0 {
        differences.add("requests in a train", before.workload.train, now.workload.train);
    }
    differences.add("program", &before.program, &now.program);
    differences.add("length of stages in s", longest_stage(before), longest_stage(now));
    differences.0
}

#[derive(Default)]
struct Differences(Vec<String>);

impl Differences {
    fn add<T: ToString>(&mut self, what: &str, before: T, now: T) {
        let (before, now) = (before.to_string(), now.to_string());
        if before != now {
            self.0.push(format!("{what} {before} then, {now} now"));
        }
    }
}

fn laboratory(record: &Record) -> String {
    record.lab.as_ref().map_or("none".to_owned(), |lab| {
        let settings = lab.settings.iter().map(|(name, value)| format!(" {name}={value}"));
        lab.topology.clone() + &settings.collect::<String>()
    })
}

fn strategies(record: &Record) -> String {
    let names: BTreeSet<_> =
        record.server.ports.iter().map(|port| port.split_once('=').map_or("", |pair| pair.1)).collect();
    names.into_iter().collect::<Vec<_>>().join(", ")
}

fn longest_stage(record: &Record) -> String {
    let longest = record.stages.iter().map(|stage| stage.duration_s).fold(0.0, f64::max);
    units::format_duration(std::time::Duration::from_secs_f64(longest))
}
