//! From a plan to the kernel: namespaces, wires, addresses, routes, rules. Few processes, hosts side by side.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::net::IpAddr;
use std::path::Path;
use std::time::Instant;

use super::{Host, LabError, rights, tools};
use crate::limits::{ADDRESS_POLL, ADDRESS_WAIT_MAX, WIRE_QUEUE_PACKETS};
use crate::plan::{Plan, WireEnd};

/// Key and value of what every host gets: addresses usable at once, nothing said unasked.
const EVERY_DEVICE: [(&str, &str); 4] = [
    ("net.ipv6.conf.{}.accept_dad", "0"),
    ("net.ipv6.conf.{}.accept_ra", "0"),
    ("net.ipv6.conf.{}.router_solicitations", "0"),
    ("net.ipv4.conf.{}.rp_filter", "0"),
];

/// Of every host that forwards. Without the rate limits it answers each packet that is too big, as the reference runs need.
const EVERY_ROUTER: [(&str, &str); 5] = [
    ("net.ipv4.ip_forward", "1"),
    ("net.ipv6.conf.all.forwarding", "1"),
    ("net.ipv4.icmp_ratelimit", "0"),
    ("net.ipv6.icmp.ratelimit", "0"),
    ("net.ipv4.conf.all.send_redirects", "0"),
];

/// Makes the wires between the namespaces.
pub(super) fn wires(plan: &Plan, namespaces: &[impl AsRef<Path>]) -> Result<(), LabError> {
    let name = |host: usize| namespaces[host].as_ref().file_name().unwrap_or_default().to_string_lossy();
    let mut batch = String::new();
    for (index, wire) in plan.wires.iter().enumerate() {
        let [near, far] = &wire.ends;
        let _ = writeln!(
            batch,
            "link add {} netns {} address {} mtu {} type veth peer name {} netns {} address {} mtu {}",
            near.device,
            name(near.host),
            hardware_address(index, 0),
            near.mtu,
            far.device,
            name(far.host),
            hardware_address(index, 1),
            far.mtu,
        );
    }
    tools::run("ip", &["-batch", "-"], &batch).map(drop)
}

/// Builds each host, the hosts side by side.
pub(super) fn hosts(plan: &Plan, hosts: &[Host]) -> Result<(), LabError> {
    each(hosts, |index, host| devices_up(plan, index, host))?;
    // Not before both ends of every wire are up: what is said to a device without a carrier waits.
    each(hosts, |index, host| configure(plan, index, host))
}

/// One thread a host, in its namespace; the first error of all.
fn each(hosts: &[Host], work: impl Fn(usize, &Host) -> Result<(), LabError> + Sync) -> Result<(), LabError> {
    std::thread::scope(|scope| {
        let work = &work;
        let in_host = |(index, host): (usize, &Host)| {
            host.run(|| work(index, host))?.map_err(|error| error.within(host.name()))
        };
        let threads: Vec<_> = hosts.iter().enumerate().map(|it| scope.spawn(move || in_host(it))).collect();
        threads.into_iter().try_for_each(|thread| thread.join().expect("a host's thread does not panic"))
    })
}

fn devices_up(plan: &Plan, index: usize, host: &Host) -> Result<(), LabError> {
    let planned = &plan.hosts[index];
    let ends: Vec<&WireEnd> = ends(plan, index).map(|(_, near, _)| near).collect();
    for device in ends.iter().map(|end| end.device.as_str()).chain(["all", "default"]) {
        for (key, value) in EVERY_DEVICE {
            set(&key.replace("{}", device), value)?;
        }
    }
    if planned.forwards {
        for (key, value) in EVERY_ROUTER {
            set(key, value)?;
        }
    }
    for (key, value) in &planned.sysctls {
        set(key, value)?;
    }
    let mut batch = "link set lo up\n".to_owned();
    for end in ends {
        // Else segments and checksums stay undone until a card does them, which is not there: what travels would be no wire's packets.
        host.tool("ethtool", &["-K", &end.device, "tx", "off"], "")?;
        let _ = writeln!(batch, "link set {} up", end.device);
    }
    host.tool("ip", &["-batch", "-"], &batch).map(drop)
}

fn configure(plan: &Plan, index: usize, host: &Host) -> Result<(), LabError> {
    let planned = &plan.hosts[index];
    let mut activate = String::new();
    for (_, near, _) in ends(plan, index) {
        // The end that came up first sends nothing until the kernel gets round to its carrier. Another queue length makes it look at once.
        let _ = writeln!(activate, "link set {} txqueuelen {WIRE_QUEUE_PACKETS}", near.device);
    }
    host.tool("ip", &["-batch", "-"], &activate)?;
    for ipv6 in [false, true] {
        if ipv6 && !rights::has_ipv6() {
            continue;
        }
        let batch = addressing(plan, index, ipv6);
        host.tool("ip", &[if ipv6 { "-6" } else { "-4" }, "-batch", "-"], &batch)?;
    }
    await_addresses(plan, index, host)?;
    if !planned.rules.is_empty() {
        host.nft(&planned.rules)?;
    }
    if !planned.shaping.is_empty() {
        host.tool("tc", &["-batch", "-"], &(planned.shaping.join("\n") + "\n"))?;
    }
    Ok(())
}

/// Waits until the host takes packets for its IPv6 addresses: the kernel makes their routes in its own time, without detection of
/// duplicates too.
fn await_addresses(plan: &Plan, index: usize, host: &Host) -> Result<(), LabError> {
    if !rights::has_ipv6() {
        return Ok(());
    }
    let wanted: Vec<String> = plan.hosts[index]
        .addresses
        .iter()
        .filter_map(|(_, address, _)| match address {
            // Destination and prefix length as /proc/net/ipv6_route writes them, in hexadecimal digits.
            IpAddr::V6(address) => Some(format!("{:032x} 80 ", u128::from(*address))),
            IpAddr::V4(_) => None,
        })
        .collect();
    let begin = Instant::now();
    loop {
        let routes = host.proc_net("ipv6_route")?;
        if wanted.iter().all(|route| routes.lines().any(|line| line.starts_with(route))) {
            return Ok(());
        }
        if begin.elapsed() > ADDRESS_WAIT_MAX {
            return Err(LabError::System {
                doing: format!("wait for the addresses of {}", host.name()),
                source: io::Error::new(io::ErrorKind::TimedOut, "the kernel has no routes to all of them"),
            });
        }
        std::thread::sleep(ADDRESS_POLL);
    }
}

/// Addresses, neighbours and routes of one family, as lines for `ip -batch`.
fn addressing(plan: &Plan, index: usize, ipv6: bool) -> String {
    let planned = &plan.hosts[index];
    let mut batch = String::new();
    let own = planned.addresses.iter().filter(|(_, address, _)| address.is_ipv6() == ipv6);
    for (number, (device, address, prefix)) in own.enumerate() {
        // Of several addresses IPv6 may choose any as the source, but not a deprecated one (RFC 6724, section 5, rule 3).
        let words = match (ipv6, number) {
            (false, _) => "",
            (true, 0) => " nodad",
            (true, _) => " nodad preferred_lft 0",
        };
        let _ = writeln!(batch, "address add {address}/{prefix} dev {device}{words}");
    }
    // Nobody asks who has an address: the first packet waits for nothing, and captures show the traffic alone.
    for (wire, near, far) in ends(plan, index) {
        let side = usize::from(plan.wires[wire].ends[1] == *far);
        for (_, address, _) in neighbours(plan, far).filter(|(_, address, _)| address.is_ipv6() == ipv6) {
            let lladdr = hardware_address(wire, side);
            let _ =
                writeln!(batch, "neighbour add {address} lladdr {lladdr} dev {} nud permanent", near.device);
        }
    }
    for route in planned.routes.iter().filter(|route| route.contains(':') == ipv6) {
        let _ = writeln!(batch, "route add {route}");
    }
    batch
}

/// The wires at a host: index, its own end, the other end.
fn ends(plan: &Plan, host: usize) -> impl Iterator<Item = (usize, &WireEnd, &WireEnd)> {
    let of = move |end: &WireEnd| end.host == host;
    plan.wires.iter().enumerate().flat_map(move |(index, wire)| {
        let [first, second] = &wire.ends;
        let forth = of(first).then_some((index, first, second));
        let back = of(second).then_some((index, second, first));
        forth.into_iter().chain(back)
    })
}

/// The addresses on an end of a wire.
fn neighbours<'plan>(
    plan: &'plan Plan,
    end: &'plan WireEnd,
) -> impl Iterator<Item = &'plan (String, IpAddr, u8)> {
    plan.hosts[end.host].addresses.iter().filter(|(device, _, _)| *device == end.device)
}

/// Of an end of a wire: local (second bit of the first byte), the same in every laboratory.
fn hardware_address(wire: usize, end: usize) -> String {
    format!("02:00:c6:12:{wire:02x}:{end:02x}")
}

/// Sets a key in the namespace of the calling thread. What is not there because this machine has no IPv6, or because a user namespace
/// does not show it, is passed over.
fn set(key: &str, value: &str) -> Result<(), LabError> {
    let file = Path::new("/proc/sys").join(key.replace('.', "/"));
    match fs::write(&file, value) {
        Err(error)
            if error.kind() == io::ErrorKind::NotFound
                && key.starts_with("net.ipv6.")
                && (!rights::has_ipv6() || rights::in_user_namespace()) =>
        {
            Ok(())
        }
        written => written.map_err(LabError::system(format!("set {key} to {value}"))),
    }
}
