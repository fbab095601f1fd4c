//! This host: settings, counters since its start, cards, socket buffers, CPUs. Nothing is changed, and nothing leaves the host.

use std::collections::BTreeMap;
use std::io;
use std::thread;
use std::time::Duration;

use shingle_udp::counters::Snapshot;
use shingle_udp::nic::{self, UdpFamily};
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
    let counters = Snapshot::read()
        .map_err(|error| unknown.push(format!("counters of this host: {error}")))
        .map(|snapshot| {
            unknown
                .extend(snapshot.missing.iter().map(|file| format!("/proc/net/{file}: it cannot be read")));
            snapshot.flat()
        });
    Host {
        settings: shingle_udp::settings::read(),
        counters: counters.unwrap_or_default(),
        cards: cards(device, unknown),
        buffers: buffers().map_err(|error| unknown.push(format!("socket buffers: {error}"))).ok(),
        cpu: watch_cpus(),
        has_ipv6: Socket::bind("[::1]:0".parse().expect("literal"), &SocketOptions::default()).is_ok(),
    }
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
    devices.iter().filter(|found| is_meant(found)).map(|found| card(found, &qdiscs, unknown)).collect()
}

fn card(device: &Device, qdiscs: &[Qdisc], unknown: &mut Vec<String>) -> Card {
    let name = device.name.as_str();
    let driver = nic::driver(name).unwrap_or_default();
    let mut told = |what: &str, error: io::Error| match error.raw_os_error() {
        _ if device.is_loopback => {}
        Some(EOPNOTSUPP) => {
            unknown.push(format!("{what} of {name}: its driver {} does not tell", driver.name));
        }
        _ => unknown.push(format!("{what} of {name}: {error}")),
    };
    let offloads = nic::features(name).map_err(|error| told("offloads", error)).unwrap_or_default();
    let hash = |family| nic::hash_fields(name, family).map(|fields| fields.to_string()).ok();
    let counters = nic::statistics(name).map_err(|error| told("the driver's counters", error));
    let root = qdiscs.iter().find(|qdisc| qdisc.device_index == device.index && qdisc.is_root());
    Card {
        name: name.to_owned(),
        mtu_bytes: device.mtu_bytes,
        driver: driver.name.clone(),
        driver_version: driver.version.clone(),
        offloads: offloads.into_iter().map(|(name, feature)| (name, feature.is_active)).collect(),
        hash_v4: hash(UdpFamily::V4),
        hash_v6: hash(UdpFamily::V6),
        queues: nic::channels(name).ok().map(|channels| channels.receive),
        ring: nic::rings(name).ok().map(|rings| (rings.receive, rings.receive_max)),
        counters: counters.unwrap_or_default(),
        qdisc: root.map(|root| root.kind.clone()),
        qdisc_drops: root.map_or(0, |root| root.drops.into()),
    }
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

fn watch_cpus() -> Option<Cpu> {
    let before = CpuTimes::read()?;
    thread::sleep(WATCH);
    let load = CpuTimes::read()?.since(before, 0);
    Some(Cpu { others: load.others, stolen: load.stolen })
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
    }
}
