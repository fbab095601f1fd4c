//! All counters of a namespace at one moment, and what happened between two.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use super::{Snmp, Snmp6, Softnet, SoftnetCpu, UdpSockets};
use crate::clock::monotonic_ns;

/// The counters of one namespace at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Snapshot {
    /// When it was taken, on [`monotonic_ns`]'s clock.
    pub taken_ns: u64,
    /// IPv4, ICMP and UDP.
    pub snmp: Snmp,
    /// The extended counters of IPv4 (`IpExt`) and TCP.
    pub netstat: Snmp,
    /// IPv6, ICMPv6 and UDP over IPv6.
    pub snmp6: Snmp6,
    /// UDP sockets of IPv4.
    pub udp: UdpSockets,
    /// UDP sockets of IPv6.
    pub udp6: UdpSockets,
    /// What each CPU took from network devices, for the whole host.
    pub softnet: Softnet,
    /// Files that could not be read; their counters are absent.
    pub missing: Vec<String>,
}

/// What happened between two snapshots.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Delta {
    /// Nanoseconds between them.
    pub elapsed_ns: u64,
    /// Growth of each counter of [`Snapshot::flat`] that is in both.
    pub counters: BTreeMap<String, u64>,
    /// Counters that went back, as they do when another namespace is read: their growth is unknown, and they are not in `counters`.
    pub reset: Vec<String>,
    /// Counters that are in one of the two only.
    pub unknown: Vec<String>,
}

impl Snapshot {
    /// Reads the counters of the calling thread's namespace. A file that is absent or not readable is named in
    /// [`Snapshot::missing`].
    ///
    /// # Errors
    /// NotFound when none can be read: procfs is not mounted.
    pub fn read() -> io::Result<Self> {
        Self::read_files(&FILES)
    }

    /// As [`Snapshot::read`], but of these files alone (named as for [`Snapshot::parse`]): for who looks often. The counters of the others are
    /// absent, without being missing.
    ///
    /// # Errors
    /// NotFound when none of them can be read.
    pub fn read_files(files: &[&str]) -> io::Result<Self> {
        let directory = DIRECTORIES.into_iter().map(Path::new).find(|directory| directory.is_dir());
        let snapshot = directory.map(|directory| {
            // Not read_to_string: what is not UTF-8 shall cost its line, not the file.
            Self::parse(|name| match files.contains(&name) {
                true => {
                    Some(String::from_utf8_lossy(&std::fs::read(directory.join(name)).ok()?).into_owned())
                }
                false => Some(String::new()),
            })
        });
        match snapshot {
            Some(snapshot) if snapshot.missing.len() < files.len() => Ok(snapshot),
            _ => {
                let text = format!("no network counters in {}; is procfs mounted?", DIRECTORIES.join(" or "));
                Err(io::Error::new(io::ErrorKind::NotFound, text))
            }
        }
    }

    /// Builds a snapshot from the texts `file` gives for each name (`snmp`, `snmp6`, `netstat`, `udp`, `udp6`,
    /// `softnet_stat`).
    #[must_use]
    pub fn parse(mut file: impl FnMut(&str) -> Option<String>) -> Self {
        let mut missing = Vec::new();
        let [snmp, netstat, snmp6, udp, udp6, softnet] = FILES.map(|name| {
            file(name).unwrap_or_else(|| {
                missing.push(name.to_owned());
                String::new()
            })
        });
        Snapshot {
            taken_ns: monotonic_ns(),
            snmp: Snmp::parse(&snmp),
            netstat: Snmp::parse(&netstat),
            snmp6: Snmp6::parse(&snmp6),
            udp: UdpSockets::parse(&udp),
            udp6: UdpSockets::parse(&udp6),
            softnet: Softnet::parse(&softnet),
            missing,
        }
    }

    /// The counters that say where datagrams went, by `PROTOCOL.Name`: `Udp.RcvbufErrors`, `Udp6.RcvbufErrors`,
    /// `Ip.FragCreates`, `Softnet.Dropped` and so on. Those this kernel lacks are absent.
    #[must_use]
    pub fn flat(&self) -> BTreeMap<String, u64> {
        let mut flat = BTreeMap::new();
        for (protocol, names) in SNMP {
            let file = if protocol == "IpExt" { &self.netstat } else { &self.snmp };
            let found = names
                .iter()
                .filter_map(|name| Some((format!("{protocol}.{name}"), file.get(protocol, name)?)));
            flat.extend(found);
        }
        for (protocol, names) in SNMP6 {
            let value = |name| self.snmp6.get(&format!("{protocol}{name}"));
            flat.extend(names.iter().filter_map(|name| Some((format!("{protocol}.{name}"), value(name)?))));
        }
        if self.softnet.iter().next().is_some() {
            flat.extend(SOFTNET.map(|(name, counter)| (name.to_owned(), self.softnet.total(counter))));
        }
        flat
    }

    /// What happened since `earlier`. Never negative: see [`Delta::reset`].
    #[must_use]
    pub fn since(&self, earlier: &Snapshot) -> Delta {
        let (now, before) = (self.flat(), earlier.flat());
        let mut delta =
            Delta { elapsed_ns: self.taken_ns.saturating_sub(earlier.taken_ns), ..Delta::default() };
        delta.unknown.extend(before.keys().filter(|name| !now.contains_key(*name)).cloned());
        for (name, value) in now {
            let Some(old) = before.get(&name) else {
                delta.unknown.push(name);
                continue;
            };
            let growth = match SOFTNET.into_iter().find(|(softnet, _)| *softnet == name) {
                Some((_, counter)) => Some(self.softnet.growth(&earlier.softnet, counter)),
                None => value.checked_sub(*old),
            };
            match growth {
                Some(growth) => drop(delta.counters.insert(name, growth)),
                None => delta.reset.push(name),
            }
        }
        delta
    }
}

/// The thread's own namespace; kernels before 3.17 have only the process's.
const DIRECTORIES: [&str; 2] = ["/proc/thread-self/net", "/proc/net"];

const FILES: [&str; 6] = ["snmp", "netstat", "snmp6", "udp", "udp6", "softnet_stat"];

const SNMP: [(&str, &[&str]); 4] = [
    (
        "Ip",
        &[
            "InReceives",
            "InHdrErrors",
            "InAddrErrors",
            "ForwDatagrams",
            "InUnknownProtos",
            "InDiscards",
            "InDelivers",
            "OutRequests",
            "OutDiscards",
            "OutNoRoutes",
            "OutTransmits",
            "ReasmTimeout",
            "ReasmReqds",
            "ReasmOKs",
            "ReasmFails",
            "FragOKs",
            "FragFails",
            "FragCreates",
        ],
    ),
    ("IpExt", &["InCsumErrors", "InTruncatedPkts", "InNoRoutes", "ReasmOverlaps"]),
    (
        "Icmp",
        &[
            "InMsgs",
            "InErrors",
            "InCsumErrors",
            "InDestUnreachs",
            "InTimeExcds",
            "OutMsgs",
            "OutErrors",
            "OutRateLimitGlobal",
            "OutRateLimitHost",
            "OutDestUnreachs",
            "OutTimeExcds",
        ],
    ),
    ("Udp", UDP),
];

const UDP: &[&str] = &[
    "InDatagrams",
    "NoPorts",
    "InErrors",
    "OutDatagrams",
    "RcvbufErrors",
    "SndbufErrors",
    "InCsumErrors",
    "MemErrors",
];

const SNMP6: [(&str, &[&str]); 3] = [
    (
        "Ip6",
        &[
            "InReceives",
            "InHdrErrors",
            "InTooBigErrors",
            "InNoRoutes",
            "InAddrErrors",
            "InTruncatedPkts",
            "InDiscards",
            "InDelivers",
            "OutForwDatagrams",
            "OutRequests",
            "OutDiscards",
            "OutNoRoutes",
            "OutTransmits",
            "ReasmTimeout",
            "ReasmReqds",
            "ReasmOKs",
            "ReasmFails",
            "FragOKs",
            "FragFails",
            "FragCreates",
        ],
    ),
    (
        "Icmp6",
        &[
            "InMsgs",
            "InErrors",
            "InCsumErrors",
            "InDestUnreachs",
            "InPktTooBigs",
            "InTimeExcds",
            "OutMsgs",
            "OutErrors",
            "OutRateLimitHost",
            "OutDestUnreachs",
            "OutPktTooBigs",
            "OutTimeExcds",
        ],
    ),
    ("Udp6", UDP),
];

/// A counter of softnet by its flat name.
type SoftnetCounter = (&'static str, fn(&SoftnetCpu) -> u32);

const SOFTNET: [SoftnetCounter; 3] = [
    ("Softnet.Processed", |cpu| cpu.processed),
    ("Softnet.Dropped", |cpu| cpu.dropped),
    ("Softnet.TimeSqueeze", |cpu| cpu.time_squeeze),
];
