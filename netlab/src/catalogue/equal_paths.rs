//! Two routers and the equal-cost paths between them, over which flows are spread.

use super::layout::{CLIENT_NET, SERVER_NET, address, ipv4, ipv6};
use crate::plan::HostPlan;
use crate::rules::chance;
use crate::topology::Direction;

/// So many paths, of which the first may drop.
#[derive(Clone, Debug)]
pub(super) struct EqualPaths {
    pub(super) count: u8,
    /// Which ways it drops, and how many millionths of the packets.
    pub(super) bad_ways: &'static [Direction],
    pub(super) dropped_ppm: u64,
}

/// Third number of the first path's addresses; the others follow.
const FIRST_PATH_NET: u8 = 10;

/// Source and destination address, protocol, and ports, of the packet itself (Documentation/networking/ip-sysctl.rst). The other policies believe
/// a hash that the sending socket left on the packet, which no wire would carry.
const HASH_FIELDS: u32 = 0x37;

impl EqualPaths {
    /// Their devices, of one name at both ends.
    pub(super) fn devices(&self) -> impl Iterator<Item = String> {
        self.each().map(|(device, _)| device)
    }

    /// Gives a router its ends of the paths, and the rules there; it sends over them what goes this way.
    pub(super) fn join(&self, host: &mut HostPlan, sends: Direction) {
        // Second to last: its own address on a path, and the one at the other end.
        let (network, own, other) =
            if sends == Direction::Down { (CLIENT_NET, 1, 2) } else { (SERVER_NET, 2, 1) };
        for (path, net) in self.each() {
            host.addresses.extend(address(&path, net, own));
        }
        self.spread(host, network, other);
        host.rules += &self.rules(if sends == Direction::Down { Direction::Up } else { Direction::Down });
    }

    /// With the numbers of their networks.
    fn each(&self) -> impl Iterator<Item = (String, u8)> {
        (0..self.count).map(|number| (format!("p{number}"), FIRST_PATH_NET + number))
    }

    /// Routes to a network over all paths, chosen by a hash of each flow.
    fn spread(&self, host: &mut HostPlan, network: u8, gateway: u8) {
        let hops = |via: fn(u8, u8) -> String| {
            let hop = |(path, net): (String, u8)| format!(" nexthop via {} dev {path}", via(net, gateway));
            self.each().map(hop).collect::<String>()
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

    /// Counts what comes over each path, this way; the first path is the bad one.
    fn rules(&self, comes: Direction) -> String {
        let bad = self.bad_ways.contains(&comes).then(|| chance(self.dropped_ppm)).flatten();
        let (mut counters, mut chains) = (format!("counter bad_path_{comes} {{ }}\n"), String::new());
        for path in self.devices() {
            counters += &format!("counter {path}_{comes} {{ }}\n");
            chains += &format!(
                "chain {path} {{\n  type filter hook ingress device \"{path}\" priority 0; policy accept;\n  meta l4proto udp counter name {path}_{comes}\n"
            );
            if let Some(chance) = bad.as_ref().filter(|_| path == "p0") {
                chains += &format!("  meta l4proto udp {chance}counter name bad_path_{comes} drop\n");
            }
            chains += "}\n";
        }
        format!("table netdev paths {{\n{counters}{chains}}}\n")
    }
}
