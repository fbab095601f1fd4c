//! A balancer that remembers which flow it gave to which server: the first of several, or another.

use std::time::Duration;

use super::{Rules, TABLE};
use crate::topology::Direction;

/// Both families: what tells them apart, and their flows.
const FAMILIES: [(&str, &str, &str); 2] = [("4", "ip", "ipv4_addr"), ("6", "ip6", "ipv6_addr")];

/// Flows remembered at most, of each family: some hundred times what a generator opens.
const FLOWS_MAX: u32 = 65_536;

/// Gives each new flow up to the next of so many servers, and remembers it until it was silent for so long.
pub(crate) fn balanced(rules: &mut Rules, servers: u64, timeout: Duration) {
    ["first_server", "other_servers", "silenced"].iter().for_each(|name| rules.counter(name));
    rules.chain("to_first", &["counter name first_server".into()]);
    rules.chain("to_others", &["counter name other_servers".into()]);
    for (family, protocol, kind) in FAMILIES {
        for set in ["on_first", "on_others"] {
            rules.object(&format!(
                "set {set}{family} {{ type {kind} . inet_service . inet_service; size {FLOWS_MAX}; flags dynamic,timeout; timeout {}s; }}",
                timeout.as_secs()
            ));
        }
        let flow = flow(protocol);
        let newcomer = [
            format!("numgen inc mod {servers} 0 add @on_first{family} {{ {flow} }} goto to_first"),
            add_to_others(family, &flow),
        ];
        rules.chain(&format!("newcomer{family}"), &newcomer);
        let known = [
            format!("{flow} @on_first{family} update @on_first{family} {{ {flow} }} goto to_first"),
            format!("{flow} @on_others{family} update @on_others{family} {{ {flow} }} goto to_others"),
            format!("goto newcomer{family}"),
        ];
        rules.chain(&format!("balance{family}"), &known);
        rules.way(Direction::Up, &format!("meta protocol {protocol} jump balance{family}"));
    }
}

/// The script after which the first server is gone: its flows go nowhere, new ones go to the others.
pub(crate) fn first_gone() -> String {
    let mut script =
        format!("flush chain {TABLE} to_first\nadd rule {TABLE} to_first counter name silenced drop\n");
    for (family, protocol, _) in FAMILIES {
        let rule = add_to_others(family, &flow(protocol));
        script +=
            &format!("flush chain {TABLE} newcomer{family}\nadd rule {TABLE} newcomer{family} {rule}\n");
    }
    script
}

fn add_to_others(family: &str, flow: &str) -> String {
    format!("add @on_others{family} {{ {flow} }} goto to_others")
}

/// All that tells flows to one server apart.
fn flow(protocol: &str) -> String {
    format!("{protocol} saddr . udp sport . udp dport")
}
