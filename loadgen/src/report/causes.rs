//! Causes and experiments in words, for the terminal and the page: what happened, how much, what speaks for it, and what to do.

use crate::attribution::{Cause, Direction, Estimate};
use crate::record::{CauseReport, Record};

/// A cause in words, part by part; parts that there is nothing to say of are left out.
pub(super) fn parts(cause: &CauseReport, record: &Record) -> Vec<(&'static str, String)> {
    let parts = [
        ("what happens", meaning(cause.cause).to_owned()),
        ("where", cause.place.clone()),
        ("how much", how_much(cause)),
        ("which flows", flows(cause, record)),
        ("evidence", cause.evidence.join("; ")),
        ("what to do", cause.remedy.clone()),
    ];
    parts.into_iter().filter(|(_, words)| !words.is_empty()).collect()
}

/// What was estimated for it.
pub(crate) fn how_much(cause: &CauseReport) -> String {
    let estimates: Vec<_> = cause.estimate.iter().map(|(name, estimate)| estimated(name, estimate)).collect();
    estimates.join("; ")
}

/// The name of a cause with its direction.
pub(crate) fn named(cause: Cause, direction: Direction) -> String {
    let way = match direction {
        Direction::Up => ", on requests",
        Direction::Down => ", on answers",
        Direction::Host => "",
    };
    format!("{}{way}", cause.name())
}

/// How the reads lost add up, on the first try and for good.
pub(super) fn balance(record: &Record) -> String {
    let sum = |of: fn(&CauseReport) -> u64| {
        let parts: Vec<_> = record.causes.iter().map(of).filter(|reads| *reads > 0).collect();
        let total: u64 = parts.iter().sum();
        let words: Vec<_> = parts.iter().map(u64::to_string).collect();
        if parts.len() > 1 { format!("{total} = {}", words.join(" + ")) } else { total.to_string() }
    };
    format!(
        "Lost on the first try: {}. Failed for good: {}.",
        sum(|cause| cause.reads),
        sum(|cause| cause.failed)
    )
}

/// A number with its interval: `limit 1003 packets/s (997 to 1009)`.
pub(crate) fn estimated(name: &str, estimate: &Estimate) -> String {
    let name = match name {
        "size" => "largest packet that passes",
        "probability" => "chance of loss for each packet",
        "flows" => "flows struck",
        "pause" => "pauses of",
        "path_mtu" => "path MTU",
        "relearn" => "time until it was learned",
        "begin" => "it began after",
        "length" => "seen for",
        other => other,
    };
    let (value, unit) = number(estimate.value, &estimate.unit);
    let ends = estimate.interval.map(|(low, high)| [low, high].map(|end| number(end, &estimate.unit).0));
    // Ends that are written as the value itself tell nothing.
    let interval = ends.filter(|[low, high]| low != high).map(|[low, high]| format!(" ({low} to {high})"));
    format!("{name} {value}{unit}{}", interval.unwrap_or_default())
}

/// A number and its unit as people write them.
fn number(value: f64, unit: &str) -> (String, String) {
    match unit {
        "probability" => (format!("{:.3}", value * 100.0), " %".to_owned()),
        "bits/s" if value >= 1e6 => (format!("{:.1}", value / 1e6), " Mbit/s".to_owned()),
        "ms" | "s" if value < 100.0 => (format!("{value:.1}"), format!(" {unit}")),
        "" => (format!("{value:.0}"), String::new()),
        "flows" => (format!("{value:.0}"), String::new()),
        other => (format!("{value:.0}"), format!(" {other}")),
    }
}

/// The flows a cause strikes, by their ports where the record has them.
fn flows(cause: &CauseReport, record: &Record) -> String {
    const MOST: usize = 16;
    let port = |number: &u32| {
        let known = record.stages.iter().flat_map(|stage| &stage.by_flow).find(|flow| flow.flow == *number);
        known.map(|flow| format!("{} to {}", flow.source_port, flow.server_port))
    };
    let ports: Vec<_> = cause.flows.iter().filter_map(port).take(MOST).collect();
    if ports.is_empty() {
        return String::new();
    }
    let more = cause.flows.len().saturating_sub(ports.len());
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("UDP ports {}{more}", ports.join(", "))
}

/// What happened, for somebody who knows nothing of networks' insides.
pub(crate) fn meaning(cause: Cause) -> &'static str {
    match cause {
        Cause::ClientSendQueue => "The generator's own host had no room to send the request, and dropped it.",
        Cause::ClientSocketBuffer => {
            "The answer reached the generator's host, but waited there for the program, and its buffer was full."
        }
        Cause::ServerSendQueue => "The server's own host had no room to send the answer, and dropped it.",
        Cause::ServerSocketBuffer => {
            "The request reached the server's host, but waited there for the program, and its buffer was full."
        }
        Cause::ServerOverload => {
            "The request waited so long in the server that the answer came too late or not at all."
        }
        Cause::TimeoutTooShort => "The answer was on its way, but came after the read had been given up.",
        Cause::FragmentRateLimit => {
            "Answers too long for one packet are sent in pieces (fragments). A device on the way lets only so many pieces through each second; \
             of an answer that misses one, nothing is left. Short answers are not concerned."
        }
        Cause::FragmentsBlocked => {
            "Answers too long for one packet are sent in pieces (fragments), and something on the way drops every piece. Short answers are not concerned."
        }
        Cause::ReassemblyOverflow => {
            "Long answers arrive in pieces (fragments). The host that puts them together had no memory left for unfinished ones, and threw pieces away."
        }
        Cause::PmtuDiscovery => {
            "A link on the way takes smaller packets only. The sender learns this by losing the first long answers to each destination; afterwards it sends longer ones in pieces, or refuses them where its port is set so."
        }
        Cause::MtuBlackHole => {
            "Packets above a certain size vanish on the way, and nobody tells the sender: all longer answers are lost, all shorter ones arrive."
        }
        Cause::PacketRateLimit => {
            "Something on the way lets only so many packets through each second, whatever their size, and drops the rest."
        }
        Cause::BandwidthLimit => {
            "Something on the way lets only so many bits through each second, and drops the rest."
        }
        Cause::PathLoss => "Packets are lost on the way by chance, at any rate and of any size.",
        Cause::PathCorruption => {
            "Packets were changed on the way. Their checksums showed it, so they were thrown away."
        }
        Cause::FlowBlackHole => {
            "Reads from some ports are lost, from the others none: the network chooses by port numbers among several paths, or among several servers, and one of them is bad."
        }
        Cause::ServerSilent => "For a time nothing at all came from the server.",
        Cause::GeneratorLimited => {
            "The load generator itself was too slow: these reads say nothing about the server or the network."
        }
        Cause::Unexplained => "Nothing that could be looked at on either host tells who lost these reads.",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn estimates_have_unit_and_interval() {
        let of = |value, unit: &str, interval| Estimate { value, unit: unit.to_owned(), interval };
        let limit = estimated("limit", &of(1003.2, "packets/s", Some((997.4, 1008.9))));
        assert_eq!(limit, "limit 1003 packets/s (997 to 1009)");
        assert_eq!(estimated("size", &of(8500.0, "bytes", None)), "largest packet that passes 8500 bytes");
        assert_eq!(
            estimated("probability", &of(0.01, "probability", Some((0.009, 0.011)))),
            "chance of loss for each packet 1.000 % (0.900 to 1.100)"
        );
        assert_eq!(estimated("limit", &of(98.7e6, "bits/s", None)), "limit 98.7 Mbit/s");
        assert_eq!(estimated("begin", &of(2.0, "s", Some((1.999, 2.001)))), "it began after 2.0 s");
    }
}
