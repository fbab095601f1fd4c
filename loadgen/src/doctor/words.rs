//! A diagnosis as people read it: the worst first, a few lines each.

use std::fmt::Write as _;

use super::Report;
use super::facts::Facts;
use super::findings::{Finding, Severity, Sureness};
use crate::report::terminal;

/// The whole report as text.
pub fn text(report: &Report) -> String {
    let mut out = format!("{}\n", asked(&report.facts));
    if let Some(path) = path(&report.facts) {
        let _ = writeln!(out, "{path}");
    }
    for severity in [Severity::Hurts, Severity::MayHurt, Severity::Note] {
        let of = report.findings.iter().filter(|finding| finding.severity == severity);
        let texts: Vec<_> = of.map(finding).collect();
        if !texts.is_empty() {
            let _ = write!(out, "\n{}\n\n{}", title(severity), texts.join("\n"));
        }
    }
    if !report.unknown.is_empty() {
        out.push('\n');
    }
    for gap in &report.unknown {
        let _ = writeln!(out, "could not be told: {gap}");
    }
    let hurts = report.findings.iter().filter(|finding| finding.severity == Severity::Hurts).count();
    // What was asked for and not looked at is not cleared.
    let unseen = report.facts.path.is_some() && report.facts.server.is_none();
    let _ = match hurts {
        0 if unseen => writeln!(
            out,
            "\nNothing found on this host that will hurt these reads; what the path carries and the server's host were not examined."
        ),
        0 => writeln!(out, "\nNothing found that will hurt these reads."),
        1 => writeln!(out, "\n1 finding will hurt these reads."),
        _ => writeln!(out, "\n{hurts} findings will hurt these reads."),
    };
    out
}

fn asked(facts: &Facts) -> String {
    let demand = &facts.demand;
    format!(
        "for {} reads/s over {} sockets, answers of up to {} B ({:.1} % above 1472 B), and a pause of {:.0} ms",
        terminal::rate(demand.rate_per_s),
        demand.sockets,
        demand.longest_bytes(),
        100.0 * demand.share_above(1472),
        1e3 * demand.pause_s
    )
}

/// One line on the way to the server.
fn path(facts: &Facts) -> Option<String> {
    let path = facts.path.as_ref()?;
    let size = |bytes: Option<u32>| bytes.map_or("?".to_owned(), |bytes| format!("{bytes} B"));
    let ports: Vec<_> = facts
        .server
        .iter()
        .flat_map(|server| &server.ports)
        .map(|port| format!("{}={}", port.port, port.strategy))
        .collect();
    Some(format!(
        "server {} ({}): packets of {} arrive from it, {} there; its interface takes {}, {} here {}",
        path.peer,
        if ports.is_empty() { "ports not known".to_owned() } else { ports.join(", ") },
        size(path.down_mtu),
        size(path.up_mtu),
        size(path.server_mtu),
        if path.device.is_empty() { "the interface" } else { &path.device },
        size(path.interface_mtu)
    ))
}

fn title(severity: Severity) -> &'static str {
    match severity {
        Severity::Hurts => "WILL HURT",
        Severity::MayHurt => "MAY HURT",
        Severity::Note => "TO KNOW",
    }
}

fn finding(finding: &Finding) -> String {
    let sure = match finding.sureness {
        Sureness::Sure => "sure",
        Sureness::Likely => "likely",
        Sureness::Possible => "possible",
    };
    let mut out = format!("  {} on {} ({sure})\n    {}\n", finding.name, finding.place, finding.what);
    let _ = writeln!(out, "    why:  {}", finding.why);
    for fix in &finding.fix {
        let _ = writeln!(out, "    fix:  {fix}");
    }
    let _ = writeln!(out, "    risk: {}", finding.risk);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::facts::Host;

    #[test]
    fn a_report_names_what_was_found_and_what_was_not_told() {
        let mut facts = Facts { here: Host { has_ipv6: true, ..Host::default() }, ..Facts::default() };
        facts.unknown.push("the moon: it is behind clouds".to_owned());
        let report = Report::of(facts.clone());
        let words = text(&report);
        assert!(words.contains("could not be told: the moon") && words.contains("Nothing found"), "{words}");
        assert_eq!(report.exit_status(), 0);
        facts.path = Some(crate::doctor::facts::Path { udp_answers: Some(false), ..Default::default() });
        let report = Report::of(facts);
        assert!(text(&report).contains("WILL HURT\n\n  no_udp_answer") && report.exit_status() == 1);
    }
}
