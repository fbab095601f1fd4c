//! The cold path: the first and the later large answers to a destination whose path MTU the server's kernel has just forgotten, one read
//! at a time. Load hides them, since the first read of thousands teaches the kernel for all others.

mod fresh;

use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

use shingle_client::control::Control;
use shingle_proto::limits::datagram_bytes;

use crate::engine::FlowSpec;
use crate::error::Error;
use crate::limits::{self, ANSWER_OVERHEAD_BYTES, PATH_MTU_COMMON_BYTES};
use crate::load::Load;
use crate::reader::Reader;
use crate::record::{Cold, ColdPath};
use crate::rig::{self, Rig};
use crate::workload::ItemSpace;

pub(crate) use fresh::Fresh;

/// What is read cold.
pub(crate) struct ColdSpec<'a> {
    /// The stored items.
    pub(crate) space: &'a ItemSpace,
    /// The one read.
    pub(crate) item: u32,
    /// How long a read may take.
    pub(crate) timeout: Duration,
}

/// Reads the item after each of several flushes; `None` where path MTUs cannot be flushed.
///
/// # Errors
/// No socket to be had, or the kernel fails.
pub(crate) fn measure(
    spec: &ColdSpec<'_>,
    server: SocketAddr,
    (number, flow): (u32, &FlowSpec),
    control: &mut Control,
    fresh: &mut Fresh,
) -> Result<Option<Cold>, Error> {
    let mut reader = Reader::open(number, 1, server, flow)?;
    let mut cold = Cold { value_bytes: spec.space.value_bytes(spec.item), ..Cold::default() };
    let mut buffer = [0; 250];
    let key = spec.space.key(spec.item, &mut buffer);
    for _ in 0..limits::COLD_TRIES {
        if !fresh.flush(control) {
            return Ok(None);
        }
        let first = reader.read_one(key, spec.timeout)?;
        cold.first += 1;
        cold.first_lost += u32::from(!first.at_once);
        cold.refused += u32::from(first.refused);
        // Whatever ICMP the first one caused has arrived by then.
        thread::sleep(limits::COLD_PAUSE);
        for _ in 0..limits::COLD_LATER {
            let later = reader.read_one(key, spec.timeout)?;
            cold.later += 1;
            cold.later_lost += u32::from(!later.at_once);
            cold.refused += u32::from(later.refused);
        }
    }
    Ok(Some(cold))
}

/// The cold path of a rig before its first stage.
///
/// # Errors
/// Those of [`measure`].
pub(crate) fn before_search(rig: &mut Rig) -> Result<ColdPath, Error> {
    let not = |because: &str| Ok(ColdPath::not_measured(because));
    let item = large_item(&rig.space, &rig.load);
    let number = spare_flow(rig, 0);
    let Load::Shingle(target, _) = &mut rig.load else {
        return not("only a Shingle server can be told to forget the path MTUs it learned");
    };
    let flow = rig::flow_spec(&rig.options, target);
    let spec = ColdSpec { space: &rig.space, item, timeout: rig.options.timeout };
    let (server, mut fresh) = (target.ports[0].0, Fresh::default());
    let cold = measure(&spec, server, (number, &flow), &mut target.control, &mut fresh)?;
    match cold {
        Some(figures) => Ok(ColdPath { measured: true, because: None, figures }),
        None => not(&format!(
            "the server could not forget the path MTUs it learned: {}",
            fresh.refused().unwrap_or("it did not say why")
        )),
    }
}

/// A flow number that no stage uses: those count up from the first.
pub(crate) fn spare_flow(rig: &Rig, index: u32) -> u32 {
    rig.load.flows()[0].0.wrapping_sub(1 + index)
}

/// The item with the shortest answer that a path may cut: longer than the path is known to carry, or than a path with Ethernet's MTU does;
/// of shorter items the longest.
pub(crate) fn large_item(space: &ItemSpace, load: &Load) -> u32 {
    let ipv6 = matches!(load, Load::Shingle(target, _) if target.ports[0].0.ip().to_canonical().is_ipv6());
    let common = datagram_bytes(PATH_MTU_COMMON_BYTES, ipv6);
    let answer = |item: u32| space.value_bytes(item) + ANSWER_OVERHEAD_BYTES as usize;
    let above = |room: usize| {
        (0..space.items()).filter(|item| answer(*item) > room).min_by_key(|item| space.value_bytes(*item))
    };
    let longest = || (0..space.items()).max_by_key(|item| space.value_bytes(*item)).unwrap_or(0);
    above(load.path_datagram_bytes()).or_else(|| above(common)).unwrap_or_else(longest)
}
