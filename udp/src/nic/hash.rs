//! Which fields of a packet RSS chooses a queue by: ETHTOOL_GRXFH (`ethtool -n DEVICE rx-flow-hash udp4`).

use std::fmt;
use std::io;

use super::command::{Card, GRXFH, long};

/// UDP of one family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UdpFamily {
    /// Over IPv4 (UDP_V4_FLOW).
    V4,
    /// Over IPv6 (UDP_V6_FLOW).
    V6,
}

/// Fields that choose the queue. With ports in it, later fragments, which carry none, take another queue than first ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct HashFields {
    /// Source address (`s`).
    pub source: bool,
    /// Destination address (`d`).
    pub destination: bool,
    /// Source port (`f`).
    pub source_port: bool,
    /// Destination port (`n`).
    pub destination_port: bool,
}

impl HashFields {
    /// Whether a datagram's later fragments may take another queue than its first one.
    #[must_use]
    pub fn has_ports(self) -> bool {
        self.source_port || self.destination_port
    }
}

/// As ethtool(8) takes it, such as `sd` and `sdfn`.
impl fmt::Display for HashFields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fields = [
            (self.source, 's'),
            (self.destination, 'd'),
            (self.source_port, 'f'),
            (self.destination_port, 'n'),
        ];
        fields.iter().filter(|(on, _)| *on).try_for_each(|(_, letter)| write!(f, "{letter}"))
    }
}

/// The fields for UDP of this family on this device.
///
/// # Errors
/// EOPNOTSUPP from a driver that does not tell, ENODEV when there is no such device.
pub fn hash_fields(device: &str, family: UdpFamily) -> io::Result<HashFields> {
    /// `struct ethtool_rxnfc` (192 B), and room for what later kernels add.
    const BYTES: usize = 256;
    // UDP_V4_FLOW and UDP_V6_FLOW.
    let flow = match family {
        UdpFamily::V4 => 0x02,
        UdpFamily::V6 => 0x06,
    };
    let answer = Card::open(device)?.ask(&[GRXFH, flow], BYTES)?;
    parse(&answer).ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))
}

/// Command, type of flow, then a mask of fields (RXH_*).
fn parse(answer: &[u8]) -> Option<HashFields> {
    let mask = long(answer, 8)?;
    let has = |bit: u32| mask & 1 << bit != 0;
    // RXH_IP_SRC, RXH_IP_DST, RXH_L4_B_0_1, RXH_L4_B_2_3.
    Some(HashFields { source: has(4), destination: has(5), source_port: has(6), destination_port: has(7) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn fields_read_as_ethtool_writes_them() {
        let told = |mask: u64| parse(&[&[0; 8][..], &mask.to_ne_bytes()].concat()).unwrap();
        assert_eq!((told(0xf0).to_string(), told(0xf0).has_ports()), ("sdfn".to_owned(), true));
        assert_eq!((told(0x30).to_string(), told(0x30).has_ports()), ("sd".to_owned(), false));
        assert_eq!(parse(&[0; 15]), None);
    }

    #[test]
    fn every_device_answers_or_says_that_it_does_not() {
        for device in crate::devices().unwrap() {
            for family in [UdpFamily::V4, UdpFamily::V6] {
                if let Err(error) = hash_fields(&device.name, family) {
                    assert!(crate::nic::is_answer(&error), "{}: {error}", device.name);
                }
            }
        }
    }

    proptest! {
        #[test]
        fn any_bytes_end_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..32)) {
            let _ = parse(&bytes);
        }
    }
}
