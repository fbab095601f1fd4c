//! This host: settings, counters since its start, cards, socket buffers, CPUs. Nothing is changed, and nothing leaves the host.

use std::collections::BTreeMap;
use std::io;
use std::thread;
use std::time::Duration;

use shingle_udp::counters::Snapshot;
use shingle_udp::nic::{self, Driver, UdpFamily};
use shingle_udp::qdisc::{self, Qdisc};
use shingle_udp::{Device, Socket, SocketOptions};

use super::{Buffers, Card, Cpu, Host};
use crate::hostload::CpuTimes;
use crate::limits;

/// How long the CPUs are watched: a hundred clock ticks of two of them, so that a share of 1 % is a tick or two.
const WATCH: Duration = Duration::from_secs(1);
/// Payloads whose charge is measured: the steps in which Linux gives out a socket buffer's memory, up to a jumbo frame's.
const CHARGED_BYTES: [usize; 7] = [96, 199, 512, 1472, 2800, 4052, 8973];

/// Reads this host; `device` is the one that leads to the server, without one all cards are looked at.
pub fn read(device: Option<&str>, unknown: &mut Vec<String>) -> Host {
    let snapshot = Snapshot::read()
        .map_err(|error| unknown.push(format!("counters of this host: {error}")))
        .unwrap_or_default();
    unknown.extend(snapshot.missing.iter().map(|file| format!("/proc/net/{file}: it cannot be read")));
    Host {
        settings: shingle_udp::settings::read(),
        counters: snapshot.flat(),
        socket_drops: socket_drops(&snapshot),
        cards: cards(device, unknown),
        buffers: buffers().map_err(|error| unknown.push(format!("socket buffers: {error}"))).ok(),
        cpu: watch_cpus(CpuTimes::read, unknown),
        has_ipv6: Socket::bind("[::1]:0".parse().expect("literal"), &SocketOptions::default()).is_ok(),
    }
}

fn socket_drops(snapshot: &Snapshot) -> BTreeMap<u16, u64> {
    let mut drops = BTreeMap::new();
    for socket in snapshot.udp.iter().chain(snapshot.udp6.iter()) {
        if let Some(dropped) = socket.drops.filter(|drops| *drops > 0) {
            *drops.entry(socket.local.port()).or_default() += u64::from(dropped);
        }
    }
    drops
}

fn cards(device: Option<&str>, unknown: &mut Vec<String>) -> Vec<Card> {
    let devices = shingle_udp::devices()
        .map_err(|error| unknown.push(format!("network devices: {error}")))
        .unwrap_or_default();
    let qdiscs = qdisc::list()
        .map_err(|error| unknown.push(format!("drops of queueing disciplines: {error}")))
        .unwrap_or_default();
    let is_meant = |found: &Device| match device {
        Some(name) => found.name == name,
        None => found.is_up && !found.is_loopback,
    };
    let cards: Vec<_> =
        devices.iter().filter(|found| is_meant(found)).map(|found| card(found, &qdiscs, unknown)).collect();
    if device.is_some() && cards.is_empty() {
        unknown.push("the card that leads to the server: it was not found".to_owned());
    }
    cards
}

fn card(device: &Device, qdiscs: &[Qdisc], unknown: &mut Vec<String>) -> Card {
    let name = device.name.as_str();
    let mut failed = Vec::new();
    let mut told = |what, error| failed.push((what, error));
    let driver = nic::driver(name).map_err(|error| told("driver", error)).unwrap_or_default();
    let offloads = nic::features(name).map_err(|error| told("offloads", error)).unwrap_or_default();
    let counters = nic::statistics(name).map_err(|error| told("the driver's counters", error));
    let channels = nic::channels(name).map_err(|error| told("queues", error));
    let rings = nic::rings(name).map_err(|error| told("rings", error));
    let mut hash = |what, family| {
        nic::hash_fields(name, family)
            .map(|fields| fields.to_string())
            .map_err(|error| told(what, error))
            .ok()
    };
    let hashes = [hash("RSS hash of udp4", UdpFamily::V4), hash("RSS hash of udp6", UdpFamily::V6)];
    unknown.extend(untold(name, &driver, &failed));
    let root = qdiscs.iter().find(|qdisc| qdisc.device_index == device.index && qdisc.is_root());
    let [hash_v4, hash_v6] = hashes;
    Card {
        name: name.to_owned(),
        mtu_bytes: device.mtu_bytes,
        driver: driver.name,
        driver_version: driver.version,
        offloads: offloads.into_iter().map(|(name, feature)| (name, feature.is_active)).collect(),
        hash_v4,
        hash_v6,
        queues: channels.ok().map(|channels| channels.receive),
        ring: rings.ok().map(|rings| (rings.receive, rings.receive_max)),
        counters: counters.unwrap_or_default(),
        qdisc: root.map(|root| root.kind.clone()),
        qdisc_drops: root.map_or(0, |root| root.drops.into()),
    }
}

/// What a device was asked in vain, a line for each reason.
fn untold(device: &str, driver: &Driver, failed: &[(&str, io::Error)]) -> Vec<String> {
    let mut gaps: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for (what, error) in failed {
        let reason = match error.raw_os_error() {
            // What is no card (veth, loopback) has no such thing, which is no gap.
            Some(EOPNOTSUPP) if driver.bus.is_empty() => continue,
            Some(EOPNOTSUPP) => format!("its driver {} does not tell", driver.name),
            _ => error.to_string(),
        };
        gaps.entry(reason).or_default().push(what);
    }
    gaps.into_iter().map(|(reason, what)| format!("{} of {device}: {reason}", what.join(", "))).collect()
}

/// Of Linux on x86_64 and aarch64 (errno(3)).
const EOPNOTSUPP: i32 = 95;

/// What the generator's sockets get here, and what datagrams cost in it.
fn buffers() -> io::Result<Buffers> {
    let options = SocketOptions {
        recv_buffer_bytes: limits::RECV_BUFFER_BYTES,
        send_buffer_bytes: limits::SEND_BUFFER_BYTES,
        ..SocketOptions::default()
    };
    let socket = Socket::bind("127.0.0.1:0".parse().expect("literal"), &options)?;
    let charges = shingle_udp::receive_charges(false, &CHARGED_BYTES)?;
    let charges: BTreeMap<_, _> = CHARGED_BYTES.iter().map(|bytes| *bytes as u32).zip(charges).collect();
    Ok(Buffers {
        asked_bytes: limits::RECV_BUFFER_BYTES as u64,
        receive_granted_bytes: socket.recv_buffer_granted_bytes()? as u64,
        send_granted_bytes: socket.mem_info()?.send_buffer_bytes.into(),
        charges,
    })
}

fn watch_cpus(read: impl Fn() -> Option<CpuTimes>, unknown: &mut Vec<String>) -> Option<Cpu> {
    let load = read().and_then(|before| {
        thread::sleep(WATCH);
        Some(read()?.since(before, 0))
    });
    if load.is_none() {
        unknown.push("what else the CPUs do: /proc/stat or /proc/self/stat cannot be read".to_owned());
    }
    load.map(|load| Cpu { others: load.others, stolen: load.stolen })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_host_is_read() {
        let mut unknown = Vec::new();
        let host = read(Some("lo"), &mut unknown);
        let buffers = host.buffers.expect("loopback");
        assert!(buffers.receive_granted_bytes > 0 && buffers.charge(96) >= Some(96), "{buffers:?}");
        assert!(buffers.charge(1472) > buffers.charge(96) && buffers.charge(20_000).is_some());
        assert_eq!(host.cards.len(), 1);
        assert!(host.counters.contains_key("Udp.RcvbufErrors"), "{unknown:?}");
        assert!(unknown.iter().all(|gap| !gap.contains("of lo:")), "loopback is no card: {unknown:?}");
    }

    #[test]
    fn what_a_card_was_asked_in_vain_is_told_and_what_is_no_card_is_not_accused() {
        let failed = |number| ["queues", "rings"].map(|what| (what, io::Error::from_raw_os_error(number)));
        let veth = Driver { name: "veth".to_owned(), ..Driver::default() };
        let card = Driver { name: "ena".to_owned(), bus: "0000:00:05.0".to_owned(), ..Driver::default() };
        assert_eq!(untold("veth0", &veth, &failed(EOPNOTSUPP)), Vec::<String>::new());
        let gap = "queues, rings of eth0: its driver ena does not tell";
        assert_eq!(untold("eth0", &card, &failed(EOPNOTSUPP)), [gap]);
        // EIO.
        let gaps = untold("veth0", &veth, &failed(5));
        assert!(gaps.len() == 1 && gaps[0].starts_with("queues, rings of veth0: "), "{gaps:?}");
    }

    #[test]
    fn cpus_and_cards_that_are_not_to_be_seen_are_told() {
        let mut unknown = Vec::new();
        assert!(watch_cpus(|| None, &mut unknown).is_none() && cards(Some("none"), &mut unknown).is_empty());
        let told = |what: &str| unknown.iter().any(|gap| gap.contains(what));
        assert!(told("/proc/stat") && told("the card that leads to the server"), "{unknown:?}");
    }

    #[test]
    fn drops_of_the_sockets_of_a_port_add_up() {
        let line = |port: &str, drops: u32| {
            format!(
                "1: 00000000:{port} 00000000:0000 07 00000000:00000000 00:00000000 00000000 0 0 99 2 0 {drops}\n"
            )
        };
        let sockets = format!("sl\n{}{}{}", line("1CE8", 2), line("1CE8", 3), line("0035", 0));
        let snapshot =
            Snapshot::parse(|name| Some(if name == "udp" { sockets.clone() } else { String::new() }));
        assert_eq!(socket_drops(&snapshot), BTreeMap::from([(7400, 5)]));
    }
}
