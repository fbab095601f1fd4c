//! Several equal-cost paths between two routers, of which one drops.

use super::Entry;
use super::common::{DELAY, DIRECTION_DOWN, FAMILY, MTU, RATE, all_go_together, troubled, wide};
use super::layout::{
    CLIENT, CLIENT_DEVICE, CLIENT_NET, ROUTER, ROUTER_CLIENT, ROUTER_SERVER, SERVER, SERVER_DEVICE,
    SERVER_NET, address, ends, held, ipv4, ipv6, router, wire,
};
use super::parameter::{Kind, Parameter, WHOLE_PPM};
use crate::limits::{EQUAL_PATHS, EQUAL_PATHS_MAX};
use crate::plan::{HostPlan, Plan};
use crate::rules::{Rules, chance};
use crate::spec::Spec;
use crate::topology::{Direction, Link};

pub(super) const BAD_PATH: Entry = Entry {
    name: "bad-path",
    sentence: "flows are spread over equal-cost paths, and one of them drops packets",
    story: "one bad member among equal-cost paths: some flows lose everything, the others nothing (story g)",
    causes: &["flow_black_hole"],
    parameters: &[
        Parameter {
            name: "paths",
            sentence: "how many paths there are",
            kind: Kind::Count("paths, such as 4"),
            default: EQUAL_PATHS,
            range: (2, EQUAL_PATHS_MAX),
        },
        Parameter { sentence: "share of its packets that the bad path drops", default: WHOLE_PPM, ..RATE },
        DIRECTION_DOWN,
        MTU,
        DELAY,
        FAMILY,
    ],
    check: all_go_together,
    plan,
    simulated: |spec| {
        let paths = u32::try_from(spec.number("paths")).expect("there are at most eight");
        Some(troubled(spec, wide(spec.bytes("mtu")), &Link::BadPath { paths, rate: spec.share("rate") }))
    },
};

/// The router at the client's end; the other one stands at the server's.
const FAR: usize = ROUTER + 1;

/// Third number of the first path's addresses; the others follow.
const FIRST_PATH_NET: u8 = 10;

/// Source and destination address, protocol, and ports, of the packet itself (Documentation/networking/ip-sysctl.rst). The other policies believe
/// a hash that the sending socket left on the packet, which no wire would carry.
const HASH_FIELDS: u32 = 0x37;

fn plan(spec: &Spec) -> Plan {
    let mut plan = ends();
    let (near, far) = (("router", Direction::Down, CLIENT_NET, 2), ("far", Direction::Up, SERVER_NET, 1));
    for (name, sends, network, gateway) in [near, far] {
        let mut host = router(name);
        let (device, net) =
            if sends == Direction::Down { (ROUTER_SERVER, SERVER_NET) } else { (ROUTER_CLIENT, CLIENT_NET) };
        host.addresses = address(device, net, 1);
        for (path, net) in paths(spec) {
            host.addresses.extend(address(&path, net, 3 - gateway));
        }
        spread(&mut host, spec, network, gateway);
        host.holds.extend(held(spec, device));
        host.rules = rules(spec, sends, device);
        plan.hosts.push(host);
    }
    let mtu = spec.bytes("mtu");
    plan.wires = vec![
        wire((SERVER, SERVER_DEVICE), (ROUTER, ROUTER_SERVER), mtu),
        wire((CLIENT, CLIENT_DEVICE), (FAR, ROUTER_CLIENT), mtu),
    ];
    plan.wires.extend(paths(spec).map(|(path, _)| wire((ROUTER, &path), (FAR, &path), mtu)));
    plan
}

/// Devices, of one name at both ends, and networks of the paths.
fn paths(spec: &Spec) -> impl Iterator<Item = (String, u8)> {
    let count = u8::try_from(spec.number("paths")).expect("there are at most eight");
    (0..count).map(|number| (format!("p{number}"), FIRST_PATH_NET + number))
}

/// Routes to a network over all paths, chosen by a hash of each flow.
fn spread(host: &mut HostPlan, spec: &Spec, network: u8, gateway: u8) {
    let hops = |via: fn(u8, u8) -> String| {
        let hop = |(path, net): (String, u8)| format!(" nexthop via {} dev {path}", via(net, gateway));
        paths(spec).map(hop).collect::<String>()
    };
    host.routes = vec![
        format!("{}/24{}", ipv4(network, 0), hops(|net, last| ipv4(net, last).to_string())),
        format!("{}/64{}", ipv6(network, 0), hops(|net, last| ipv6(net, last).to_string())),
    ];
    for family in ["ipv4", "ipv6"] {
        host.sysctls.push((format!("net.{family}.fib_multipath_hash_policy"), "3".into()));
        host.sysctls.push((format!("net.{family}.fib_multipath_hash_fields"), HASH_FIELDS.to_string()));
    }
}

/// A router counts what it sends over the paths, and what comes to it over each; the first path is the bad one.
fn rules(spec: &Spec, sends: Direction, device: &str) -> String {
    let mut rules = Rules::default();
    let comes = if sends == Direction::Down { Direction::Up } else { Direction::Down };
    let bad = spec.ways().contains(&comes).then(|| chance(spec.number("rate"))).flatten();
    let (mut counters, mut chains) = (format!("counter bad_path_{comes} {{ }}\n"), String::new());
    for (path, _) in paths(spec) {
        counters += &format!("counter {path}_{comes} {{ }}\n");
        chains += &format!(
            "chain {path} {{\n  type filter hook ingress device \"{path}\" priority 0; policy accept;\n  meta l4proto udp counter name {path}_{comes}\n"
        );
        if let Some(chance) = bad.as_ref().filter(|_| path == "p0") {
            chains += &format!("  meta l4proto udp {chance}counter name bad_path_{comes} drop\n");
        }
        chains += "}\n";
    }
    rules.table(&format!("table netdev paths {{\n{counters}{chains}}}\n"));
    match sends {
        Direction::Down => rules.text(None, Some(device)),
        Direction::Up => rules.text(Some(device), None),
    }
}
