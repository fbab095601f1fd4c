//! What a network card and its driver say of themselves: counters, driver, offloads, rings, queues and RSS, by the ioctls of ethtool(8).
//!
//! By ioctl and not by ethtool's netlink: the counters of drivers (ETHTOOL_GSTATS), such as ENA's `pps_allowance_exceeded`, come only
//! that way. No rights are needed. Every reader sees the devices of the calling thread's namespace.

mod command;
mod driver;
mod features;
mod hash;
mod queues;
mod statistics;

pub use self::driver::{Driver, driver};
pub use self::features::{Feature, features};
pub use self::hash::{HashFields, UdpFamily, hash_fields};
pub use self::queues::{Channels, Rings, channels, rings};
pub use self::statistics::{allowances_exceeded, statistics};

/// Whether a device may answer so: it does not tell, or went away meanwhile, as those of other tests do.
#[cfg(test)]
fn is_answer(error: &std::io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EOPNOTSUPP | libc::ENODEV))
}
