//! Packets that do not fit the path: narrow links, black holes, what the kernel holds, and whether ICMP tells of it.

use super::super::facts::{Facts, Icmp, Path};
use super::{Finding, HERE, Severity, Sureness, THERE, count};

const PLACE: &str = "the path";

pub(super) fn find(facts: &Facts, findings: &mut Vec<Finding>) {
    let Some(path) = &facts.path else { return };
    if path.udp_answers == Some(false) {
        findings.push(no_udp(path));
    }
    findings.extend(down(facts, path));
    findings.extend(up(path));
    findings.extend(held(path));
    findings.extend(held_there(facts));
    findings.extend(no_pmtu_disc(facts));
    if !facts.here.has_ipv6 {
        findings.push(no_ipv6());
    }
}

fn no_udp(path: &Path) -> Finding {
    Finding {
        name: "no_udp_answer",
        severity: Severity::Hurts,
        place: PLACE.to_owned(),
        what: format!("{} answers over TCP but not over UDP", path.peer),
        why: "every read is sent over UDP and will be lost".to_owned(),
        fix: vec!["nft list ruleset   # on both hosts: look for a rule that drops UDP; then the security groups between them".to_owned()],
        risk: "none: it only looks".to_owned(),
        sureness: Sureness::Sure,
    }
}

/// What of the server's packets arrives here.
fn down(facts: &Facts, path: &Path) -> Option<Finding> {
    let (down, server) = (path.down_mtu?, path.server_mtu?);
    if down >= server {
        return None;
    }
    let headers = if path.is_ipv6 { 48 } else { 28 };
    let share = facts.demand.share_above(down.saturating_sub(headers));
    let strategies = whole_answers(facts);
    let is_hit = share > 0.0 && !strategies.is_empty();
    let rate = count(share * facts.demand.rate_per_s);
    let packets = format!("the server sends packets of up to {server} B, of which {down} B arrive here");
    let large = format!("{} of your answers are longer ({rate} a second)", percent(share));
    let expires = if path.is_ipv6 { "net.ipv6.route.mtu_expires" } else { "net.ipv4.route.mtu_expires" };
    let (name, what, why) = match path.icmp_down {
        Some(Icmp::Silent) => (
            "black_hole_down",
            format!("{packets}; larger ones vanish: the server's host heard no ICMP of any"),
            format!(
                "{large}; on ports that answer in one datagram ({}) each of them is lost, first and later ones alike, until somebody lowers the MTU",
                names(&strategies)
            ),
        ),
        Some(Icmp::Arrives) => (
            "narrow_path_down",
            format!("{packets}; the path tells the server so by ICMP"),
            format!(
                "{large}; on ports that answer in one datagram ({}) the first of them to each client is lost, again whenever the server's host forgets ({expires}, 600 s by default), and later ones leave in fragments, which clouds limit and devices drop",
                names(&strategies)
            ),
        ),
        None => (
            "narrow_path_down",
            format!("{packets}; whether the server is told so by ICMP is not known"),
            format!(
                "{large}; on ports that answer in one datagram ({}) they are lost or leave in fragments",
                names(&strategies)
            ),
        ),
    };
    Some(Finding {
        name,
        severity: if is_hit { Severity::Hurts } else { Severity::MayHurt },
        place: format!("{PLACE} from {} to this host", path.peer),
        what,
        why: if is_hit { why } else { unhurt(&large, share, down) },
        fix: fix_down(path, down, name == "black_hole_down"),
        risk: risk_down(path).to_owned(),
        sureness: if path.icmp_down.is_some() { Sureness::Sure } else { Sureness::Likely },
    })
}

fn unhurt(large: &str, share: f64, down: u32) -> String {
    if share == 0.0 {
        return format!("your answers all fit {down} B; longer ones would not");
    }
    format!(
        "{large}; chunked ports keep to what was proved and lose nothing, anything else that sends whole datagrams this way does"
    )
}

fn fix_down(path: &Path, down: u32, is_silent: bool) -> Vec<String> {
    let ip = if path.is_ipv6 { "ip -6 route" } else { "ip route" };
    let client = path.own.as_deref().unwrap_or("CLIENT");
    let mut fix = vec![
        "cache-server --udp-port 7400=chunked   # or load its chunked port: it never sends more than was proved".to_owned(),
        format!(
            "{ip} replace {client} via GATEWAY dev DEVICE mtu {down}   # on the server's host, GATEWAY and DEVICE as `{ip} get {client}` shows them there: no first answer is lost any more, longer ones leave in fragments"
        ),
    ];
    if is_silent {
        let icmp =
            if path.is_ipv6 { "icmpv6 type packet-too-big" } else { "icmp type destination-unreachable" };
        fix.push(format!("nft list ruleset   # on the server's host, and on firewalls before it: `{icmp}` must pass, then its kernel learns the size by itself"));
    }
    fix
}

fn risk_down(path: &Path) -> &'static str {
    if path.is_ipv6 {
        "chunked needs clients that speak it. A route's MTU slows everything else to that client a little. Over IPv6 nothing else helps: routers never fragment, so there is no switching path-MTU discovery off"
    } else {
        "chunked needs clients that speak it. A route's MTU makes fragments, which the path may limit. Do not flip ip_no_pmtu_disc under a running server: its sockets and routes that are cached go on as they were, others do not; df-off ports do the same for one port"
    }
}

/// What of this host's packets arrives at the server.
fn up(path: &Path) -> Option<Finding> {
    // As far as was probed: no further than the server's own packets.
    let (up, own) = (path.up_mtu?, path.interface_mtu?.min(path.server_mtu?));
    if up >= own {
        return None;
    }
    let silent = path.icmp_up == Some(Icmp::Silent);
    Some(Finding {
        name: if silent { "black_hole_up" } else { "narrow_path_up" },
        severity: Severity::MayHurt,
        place: format!("{PLACE} from this host to {}", path.peer),
        what: format!(
            "this host's device {} takes packets of {own} B, of which {up} B arrive at the server; {}",
            path.device,
            match path.icmp_up {
                Some(Icmp::Silent) => "larger ones vanish, no ICMP comes back",
                Some(Icmp::Arrives) => "the path says so by ICMP",
                None => "whether ICMP comes back is not known",
            }
        ),
        why: "requests for reads are short and pass; long updates go over TCP, which a size that vanishes silently can hang".to_owned(),
        fix: vec![
            format!("ip link set dev {} mtu {up}   # if everything behind it is so narrow", path.device),
            "sysctl -w net.ipv4.tcp_mtu_probing=1   # TCP then finds the size by itself, over both families".to_owned(),
        ],
        risk: "a smaller device MTU costs throughput to near hosts, and one below 1280 B takes IPv6 off the device; tcp_mtu_probing=1 acts only after losses".to_owned(),
        sureness: if path.icmp_up.is_some() { Sureness::Sure } else { Sureness::Likely },
    })
}

/// What the kernel holds of the way: learned, given or locked.
fn held(path: &Path) -> Vec<Finding> {
    let mut findings = Vec::new();
    let Some(interface) = path.interface_mtu else { return findings };
    let flush = if path.is_ipv6 { "ip -6 route flush cache" } else { "ip route flush cache" };
    if let Some(learned) = path.learned_mtu.filter(|learned| *learned < interface) {
        findings.push(Finding {
            name: "learned_path_mtu",
            severity: Severity::Note,
            place: HERE.to_owned(),
            what: format!("the kernel has learned a path MTU of {learned} B to {}; the device takes {interface} B", path.peer),
            why: "datagrams of ordinary sockets above it leave in fragments until it is forgotten, 600 s after the last ICMP unless mtu_expires says otherwise".to_owned(),
            fix: vec![format!("{flush}   # forget it; only right if the path has been widened")],
            risk: "the next datagram above the path MTU to each destination is lost while it is learned again".to_owned(),
            sureness: Sureness::Sure,
        });
    }
    if path.is_mtu_locked {
        let mtu = path.route_mtu.unwrap_or(interface);
        findings.push(Finding {
            name: "route_locks_mtu",
            severity: Severity::MayHurt,
            place: HERE.to_owned(),
            what: format!("the route to {} locks its MTU at {mtu} B", path.peer),
            why: "no path MTU is learned on it and ICMP is ignored: where a link behind it is narrower, routers fragment IPv4 and drop IPv6".to_owned(),
            fix: vec![format!("ip {}route show {}   # then `ip route replace` with the same words and `mtu {mtu}` without `lock`", if path.is_ipv6 { "-6 " } else { "" }, path.peer)],
            risk: "without the lock the first large datagram to a narrow destination is lost while its path MTU is learned; somebody locked it for a reason".to_owned(),
            sureness: Sureness::Sure,
        });
    }
    findings
}

/// The same of the server's kernel, as far as it tells.
fn held_there(facts: &Facts) -> Option<Finding> {
    let server =
        facts.server.as_ref().filter(|_| facts.path.as_ref().is_some_and(|path| !path.shares_host))?;
    let (held, interface) = (server.held_mtu?, server.interface_mtu?);
    (held < interface).then(|| Finding {
        name: "learned_path_mtu",
        severity: Severity::Note,
        place: THERE.to_owned(),
        what: format!("the kernel holds a path MTU of {held} B to this host, learned or given to the route; the device takes {interface} B"),
        why: "answers of ports that rely on the kernel leave in fragments above it".to_owned(),
        fix: vec!["loadgen doctor --server HOST:PORT   # again, after the path was widened and ten minutes; chunked ports do not care".to_owned()],
        risk: "none: it only looks".to_owned(),
        sureness: Sureness::Sure,
    })
}

fn no_pmtu_disc(facts: &Facts) -> Vec<Finding> {
    let set = super::hosts(facts).into_iter().filter_map(|(place, host)| {
        let value = host.number("net.ipv4.ip_no_pmtu_disc").filter(|value| *value != 0)?;
        let meaning = match value {
            1 => "DF is off on ordinary sockets, and ICMP lowers the path MTU to min_pmtu at once",
            2 => "ICMP that tells of a smaller path MTU is discarded",
            _ => "ICMP must match a known flow, and path MTUs it tells do not count for UDP",
        };
        Some(Finding {
            name: "ip_no_pmtu_disc",
            severity: Severity::Note,
            place,
            what: format!("net.ipv4.ip_no_pmtu_disc is {value}: {meaning}"),
            why: "IPv4 datagrams above a narrow link are fragmented on the way instead of being reported; IPv6 is not touched by it and has no such way out. Ports of cache-server choose for themselves".to_owned(),
            fix: vec!["nothing while a server runs; choose per port (--udp-port PORT=chunked or =df-off), and set it back with the host out of service".to_owned()],
            risk: "flipping it under a running server changes what routes learn from then on but not what they have cached: clients differ for ten minutes, and the first large answer to each is lost".to_owned(),
            sureness: Sureness::Sure,
        })
    });
    set.collect()
}

fn no_ipv6() -> Finding {
    Finding {
        name: "no_ipv6",
        severity: Severity::Note,
        place: HERE.to_owned(),
        what: "no IPv6 socket can be opened here".to_owned(),
        why: "reads over IPv6 cannot be tried".to_owned(),
        fix: vec!["sysctl -w net.ipv6.conf.all.disable_ipv6=0 net.ipv6.conf.lo.disable_ipv6=0   # where the kernel has IPv6 at all".to_owned()],
        risk: "programs that prefer IPv6 begin to use it".to_owned(),
        sureness: Sureness::Sure,
    }
}

/// Strategies offered that send an answer in one datagram.
fn whole_answers(facts: &Facts) -> Vec<&str> {
    let ports = facts.server.iter().flat_map(|server| &server.ports);
    let mut names: Vec<_> =
        ports.filter(|port| port.answers_whole()).map(|port| port.strategy.as_str()).collect();
    names.dedup();
    names
}

fn names(strategies: &[&str]) -> String {
    if strategies.is_empty() { "none here".to_owned() } else { strategies.join(", ") }
}

fn percent(share: f64) -> String {
    format!("{:.1} %", 100.0 * share)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{facts, finding, found};
    use super::*;

    fn narrow(icmp: Option<Icmp>) -> Facts {
        let mut facts = facts();
        let path = facts.path.as_mut().unwrap();
        (path.down_mtu, path.icmp_down) = (Some(1500), icmp);
        facts
    }

    #[test]
    fn a_narrow_path_and_a_black_hole_are_told_apart_by_icmp() {
        assert_eq!(finding(&narrow(Some(Icmp::Arrives)), "narrow_path_down").severity, Severity::Hurts);
        let hole = finding(&narrow(Some(Icmp::Silent)), "black_hole_down");
        assert_eq!((hole.severity, hole.sureness), (Severity::Hurts, Sureness::Sure));
        assert!(hole.what.contains("1500 B") && hole.why.contains("3,500 a second"), "{hole:?}");
        assert_eq!(finding(&narrow(None), "narrow_path_down").sureness, Sureness::Likely);
    }

    #[test]
    fn what_keeps_to_the_proved_size_is_not_hurt() {
        let mut facts = narrow(Some(Icmp::Silent));
        facts.server.as_mut().unwrap().ports[0].strategy = "chunked".to_owned();
        assert_eq!(finding(&facts, "black_hole_down").severity, Severity::MayHurt);
        let mut facts = narrow(Some(Icmp::Silent));
        facts.demand.answers = [(400, 1.0)].into();
        assert_eq!(finding(&facts, "black_hole_down").severity, Severity::MayHurt);
    }

    #[test]
    fn nobody_is_told_to_flip_the_sysctl() {
        let mut all = Vec::new();
        for is_ipv6 in [false, true] {
            let mut facts = narrow(Some(Icmp::Arrives));
            facts.path.as_mut().unwrap().is_ipv6 = is_ipv6;
            facts.here.settings.insert("net.ipv4.ip_no_pmtu_disc".to_owned(), "1".to_owned());
            all.extend(super::super::of(&facts));
        }
        assert!(all.iter().flat_map(|finding| &finding.fix).all(|fix| !fix.contains("ip_no_pmtu_disc")));
        let risks: Vec<_> = all.iter().map(|finding| finding.risk.as_str()).collect();
        assert!(risks.iter().any(|risk| risk.contains("Over IPv6 nothing else helps")));
        assert!(all.iter().any(|finding| finding.name == "ip_no_pmtu_disc"));
    }

    #[test]
    fn the_way_up_is_looked_at_as_well() {
        let mut facts = facts();
        let path = facts.path.as_mut().unwrap();
        (path.up_mtu, path.icmp_up) = (Some(8500), Some(Icmp::Silent));
        assert_eq!(found(&facts), [("black_hole_up", Severity::MayHurt)]);
        facts.path.as_mut().unwrap().server_mtu = Some(8500);
        facts.path.as_mut().unwrap().down_mtu = Some(8500);
        assert_eq!(found(&facts), [], "nothing longer was tried");
        facts.path.as_mut().unwrap().server_mtu = Some(9001);
        facts.path.as_mut().unwrap().down_mtu = Some(9001);
        facts.path.as_mut().unwrap().icmp_up = Some(Icmp::Arrives);
        assert_eq!(found(&facts), [("narrow_path_up", Severity::MayHurt)]);
    }

    #[test]
    fn what_the_kernel_holds_is_told() {
        let mut facts = facts();
        let path = facts.path.as_mut().unwrap();
        path.learned_mtu = Some(1500);
        (path.is_mtu_locked, path.route_mtu) = (true, Some(1400));
        assert_eq!(
            found(&facts),
            [("route_locks_mtu", Severity::MayHurt), ("learned_path_mtu", Severity::Note)]
        );
        assert!(finding(&facts, "route_locks_mtu").what.contains("1400 B"));
        let mut facts = super::super::testing::facts();
        let server = facts.server.as_mut().unwrap();
        (server.interface_mtu, server.held_mtu) = (Some(9001), Some(9001));
        assert_eq!(found(&facts), []);
        facts.server.as_mut().unwrap().held_mtu = Some(1500);
        assert_eq!(finding(&facts, "learned_path_mtu").place, THERE);
    }

    #[test]
    fn silence_over_udp_is_the_worst() {
        let mut facts = facts();
        facts.path.as_mut().unwrap().udp_answers = Some(false);
        assert_eq!(found(&facts), [("no_udp_answer", Severity::Hurts)]);
        facts.here.has_ipv6 = false;
        assert_eq!(finding(&facts, "no_ipv6").severity, Severity::Note);
    }
}
