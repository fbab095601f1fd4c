//! What the queueing disciplines of this namespace's devices dropped and hold: RTM_GETQDISC over rtnetlink(7).

use std::collections::BTreeMap;
use std::ffi::CStr;
use std::io;

use crate::device;
use crate::netlink::{self, attribute, long, word};

/// A queueing discipline of a device (tc(8)), with what it counted since it was set up.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Qdisc {
    /// Index of the device.
    pub device_index: u32,
    /// Name of the device; empty where it went away meanwhile.
    pub device: String,
    /// Its kind, such as `mq`, `fq_codel`, `noqueue`.
    pub kind: String,
    /// Major and minor number, such as 0x8001_0000 for `8001:`.
    pub handle: u32,
    /// The class it hangs at; see [`Qdisc::is_root`].
    pub parent: u32,
    /// Bytes that left through it.
    pub bytes: u64,
    /// Packets that left through it.
    pub packets: u64,
    /// Packets it dropped. 32 bits in the kernel: it wraps.
    pub drops: u32,
    /// Times it held packets back because of a limit it was given. 32 bits in the kernel.
    pub overlimits: u32,
    /// Packets put back because the device was busy. 32 bits in the kernel.
    pub requeues: u32,
    /// Bytes it holds now.
    pub backlog_bytes: u32,
    /// Packets it holds now.
    pub backlog_packets: u32,
}

/// TC_H_ROOT (linux/pkt_sched.h).
const ROOT: u32 = 0xffff_ffff;
/// TC_H_INGRESS, of `ingress` and `clsact`.
const INGRESS: u32 = 0xffff_fff1;

impl Qdisc {
    /// Whether all that leaves the device passes it: what those below it count, it counts as well (`mq_dump`, net/sched/sch_mq.c;
    /// classful ones in their `enqueue`).
    #[must_use]
    pub fn is_root(&self) -> bool {
        self.parent == ROOT
    }

    /// Whether it stands where packets come in.
    #[must_use]
    pub fn is_ingress(&self) -> bool {
        self.parent == INGRESS
    }

    /// Reads one RTM_NEWQDISC message's payload: `struct tcmsg` and attributes. `None` where that is cut; counters it has not are zero.
    fn parse(payload: &[u8]) -> Option<Self> {
        /// `struct tcmsg`: family, padding, device, handle, parent, info.
        const TCMSG_BYTES: usize = 20;
        /// TCA_STATS_BASIC, _QUEUE, _PKT64 (linux/gen_stats.h).
        const BASIC: u16 = 1;
        const QUEUE: u16 = 3;
        const PACKETS_64: u16 = 8;
        let options = payload.get(TCMSG_BYTES..)?;
        let kind = CStr::from_bytes_until_nul(attribute(options, libc::TCA_KIND)?).ok()?;
        let stats = attribute(options, libc::TCA_STATS2).unwrap_or_default();
        let basic = attribute(stats, BASIC).unwrap_or_default();
        let queue = attribute(stats, QUEUE).unwrap_or_default();
        // `struct gnet_stats_queue`: qlen, backlog, drops, requeues, overlimits.
        let queued = |index: usize| word(queue, 4 * index).unwrap_or(0);
        let packets = attribute(stats, PACKETS_64).and_then(|packets| long(packets, 0));
        Some(Qdisc {
            device_index: word(payload, 4)?,
            device: String::new(),
            kind: kind.to_string_lossy().into_owned(),
            handle: word(payload, 8)?,
            parent: word(payload, 12)?,
            bytes: long(basic, 0).unwrap_or(0),
            packets: packets.or_else(|| word(basic, 8).map(u64::from)).unwrap_or(0),
            backlog_packets: queued(0),
            backlog_bytes: queued(1),
            drops: queued(2),
            requeues: queued(3),
            overlimits: queued(4),
        })
    }
}

/// All queueing disciplines of the calling thread's namespace. Those of classful ones and of each queue of `mq` are listed below their
/// parent: add up [roots](Qdisc::is_root) alone.
///
/// # Errors
/// Whatever the kernel says.
pub fn list() -> io::Result<Vec<Qdisc>> {
    let answers = netlink::ask(libc::RTM_GETQDISC, libc::NLM_F_DUMP as u16, &[0; 20])?;
    let names: BTreeMap<_, _> =
        device::devices()?.into_iter().map(|device| (device.index, device.name)).collect();
    let parsed = answers
        .iter()
        .flat_map(|answer| netlink::messages(answer))
        .filter(|message| message.kind == libc::RTM_NEWQDISC)
        .filter_map(|message| Qdisc::parse(message.payload()));
    Ok(parsed
        .map(|qdisc| Qdisc { device: names.get(&qdisc.device_index).cloned().unwrap_or_default(), ..qdisc })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::netlink::put_attribute;
    use proptest::prelude::*;

    fn message(packets_64: bool) -> Vec<u8> {
        let mut payload = vec![0; 20];
        payload[4..8].copy_from_slice(&3u32.to_ne_bytes());
        payload[8..12].copy_from_slice(&0x8001_0000u32.to_ne_bytes());
        payload[12..16].copy_from_slice(&ROOT.to_ne_bytes());
        put_attribute(&mut payload, libc::TCA_KIND, b"fq_codel\0");
        let mut stats = Vec::new();
        let mut basic = 5_000_000_000u64.to_ne_bytes().to_vec();
        basic.extend(7u32.to_ne_bytes());
        put_attribute(&mut stats, 1, &[&basic[..], &[0; 4]].concat());
        put_attribute(&mut stats, 3, &[1u32, 1500, 42, 2, 9].map(u32::to_ne_bytes).concat());
        if packets_64 {
            put_attribute(&mut stats, 8, &6_000_000_000u64.to_ne_bytes());
        }
        put_attribute(&mut payload, libc::TCA_STATS2, &stats);
        payload
    }

    #[test]
    fn counters_are_read_from_where_they_stand() {
        let qdisc = Qdisc::parse(&message(false)).unwrap();
        assert_eq!((qdisc.device_index, qdisc.kind.as_str(), qdisc.handle), (3, "fq_codel", 0x8001_0000));
        assert!(qdisc.is_root() && !qdisc.is_ingress());
        assert_eq!((qdisc.bytes, qdisc.packets), (5_000_000_000, 7));
        assert_eq!((qdisc.backlog_packets, qdisc.backlog_bytes, qdisc.drops), (1, 1500, 42));
        assert_eq!((qdisc.requeues, qdisc.overlimits), (2, 9));
        assert_eq!(Qdisc::parse(&message(true)).unwrap().packets, 6_000_000_000);
    }

    #[test]
    fn a_cut_message_is_no_qdisc_or_one_without_what_was_cut() {
        let whole = message(true);
        for length in 0..whole.len() {
            if let Some(qdisc) = Qdisc::parse(&whole[..length]) {
                assert_eq!((qdisc.kind.as_str(), qdisc.drops), ("fq_codel", 0), "cut at {length}");
            }
        }
    }

    #[test]
    fn the_kernel_lists_those_there_are() {
        for qdisc in list().unwrap() {
            assert!(!qdisc.kind.is_empty() && qdisc.device_index > 0, "{qdisc:?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_end_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Qdisc::parse(&bytes);
        }
    }
}
