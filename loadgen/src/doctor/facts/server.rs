//! The server as its greeting and its statistics describe it.

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
    let socket_drops =
        report.iter().flat_map(|report| report.workers()).map(|worker| worker.socket_drops).sum();
    if let Some(report) = &report {
        unknown.extend(
            report.missing.iter().map(|name| format!("{name} of the server's host: it could not read it")),
        );
        if report.settings.is_empty() {
            unknown.push("settings of the server's host: this server does not tell them".to_owned());
        }
    }
    let held = report.as_ref().and_then(|report| report.path).unwrap_or_default();
    let host =
        report.map(|report| Host { settings: report.settings, counters: report.kernel, ..Host::default() });
    Server {
        address: address.to_owned(),
        ports,
        host,
        interface_mtu: held.interface_mtu,
        held_mtu: held.path_mtu,
        socket_drops,
    }
}
