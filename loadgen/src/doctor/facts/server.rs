//! The server as its greeting and its statistics describe it.

use std::collections::BTreeMap;

use shingle_client::control::Control;
use shingle_server::stats::StatsReport;

use super::{Host, Port, Server};

/// Asks it. A server without statistics gives its ports alone.
pub fn ask(address: &str, control: &mut Control, unknown: &mut Vec<String>) -> Server {
    let report = control.stats().map_err(|error| error.to_string()).and_then(|json| {
        serde_json::from_str::<StatsReport>(&json).map_err(|error| format!("they do not read: {error}"))
    });
    let report = report.map_err(|error| unknown.push(format!("the server's statistics: {error}"))).ok();
    let granted = |number: u16| {
        let ports = report.iter().flat_map(|report| &report.ports).filter(|port| port.port == number);
        ports.flat_map(|port| &port.workers).map(|worker| worker.recv_buffer_granted_bytes).collect()
    };
    let ports = control.welcome().ports.iter().map(|port| Port {
        port: port.port,
        strategy: port.strategy.name().to_owned(),
        receive_granted_bytes: granted(port.port),
    });
    let ports = ports.collect();
    if let Some(report) = &report {
        unknown.extend(
            report.missing.iter().map(|name| format!("{name} of the server's host: it could not read it")),
        );
        if report.settings.is_empty() {
            unknown.push("settings of the server's host: this server does not tell them".to_owned());
        }
    }
    let held = report.as_ref().and_then(|report| report.path).unwrap_or_default();
    let host = report.map(|report| Host {
        socket_drops: socket_drops(&report),
        settings: report.settings,
        counters: report.kernel,
        ..Host::default()
    });
    Server {
        address: address.to_owned(),
        ports,
        host,
        interface_mtu: held.interface_mtu,
        held_mtu: held.path_mtu,
    }
}

fn socket_drops(report: &StatsReport) -> BTreeMap<u16, u64> {
    let drops = report.ports.iter().map(|port| {
        let of_workers = port.workers.iter().map(|worker| worker.socket_drops);
        (port.port, of_workers.sum())
    });
    drops.filter(|(_, drops)| *drops > 0).collect()
}

#[cfg(test)]
mod tests {
    use shingle_server::stats::{PortReport, WorkerReport};

    use super::*;

    #[test]
    fn drops_of_a_ports_workers_add_up() {
        let worker = |socket_drops| WorkerReport { socket_drops, ..WorkerReport::default() };
        let port = |port, workers| PortReport { port, workers, ..PortReport::default() };
        let ports = vec![port(7400, vec![worker(2), worker(3)]), port(9400, vec![worker(0)])];
        let report = StatsReport { ports, ..StatsReport::default() };
        assert_eq!(socket_drops(&report), BTreeMap::from([(7400, 5)]));
    }
}
