//! Which driver a device has: ETHTOOL_GDRVINFO.

use std::io;

use super::command::{Card, GDRVINFO, text};

/// A device's driver. Texts that it does not give are empty.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Driver {
    /// Its name, such as `ena` or `virtio_net`.
    pub name: String,
    /// Its version; the kernel's where it has none of its own.
    pub version: String,
    /// Version of the card's firmware.
    pub firmware: String,
    /// Where the card is, such as `0000:00:05.0`; empty for devices that are no cards.
    pub bus: String,
}

/// The driver of this device.
///
/// # Errors
/// EOPNOTSUPP from a device that does not tell, ENODEV when there is none of that name.
pub fn driver(device: &str) -> io::Result<Driver> {
    /// `struct ethtool_drvinfo`.
    const BYTES: usize = 196;
    Card::open(device)?.ask(&[GDRVINFO], BYTES).map(|answer| parse(&answer))
}

/// Command, then texts of 32 bytes each.
fn parse(answer: &[u8]) -> Driver {
    let field = |index: usize| answer.get(4 + 32 * index..36 + 32 * index).map(text).unwrap_or_default();
    // Drivers without them say so in words.
    let known = |text: String| if text == "N/A" { String::new() } else { text };
    Driver { name: field(0), version: known(field(1)), firmware: known(field(2)), bus: known(field(3)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn fields_stand_where_the_kernel_puts_them() {
        let mut answer = vec![0; 196];
        for (index, field) in ["ena", "2.13.3g", "N/A", "0000:00:05.0"].iter().enumerate() {
            answer[4 + 32 * index..][..field.len()].copy_from_slice(field.as_bytes());
        }
        let driver = parse(&answer);
        assert_eq!((driver.name.as_str(), driver.version.as_str()), ("ena", "2.13.3g"));
        assert_eq!((driver.firmware.as_str(), driver.bus.as_str()), ("", "0000:00:05.0"));
    }

    #[test]
    fn a_device_that_is_not_there_is_an_error() {
        assert_eq!(driver("no-such").unwrap_err().raw_os_error(), Some(libc::ENODEV));
    }

    proptest! {
        #[test]
        fn any_bytes_end_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse(&bytes);
        }
    }
}
