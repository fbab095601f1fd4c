//! A card's rings and channels: ETHTOOL_GRINGPARAM and ETHTOOL_GCHANNELS (`ethtool -g`, `ethtool -l`).

use std::io;

use super::command::{Card, GCHANNELS, GRINGPARAM, word};

/// Packets a queue's rings hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Rings {
    /// Received packets that wait for the host, each queue.
    pub receive: u32,
    /// The most it can be set to.
    pub receive_max: u32,
    /// Packets that wait for the card, each queue.
    pub send: u32,
    /// The most it can be set to.
    pub send_max: u32,
}

/// Queues of a card.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Channels {
    /// Queues that receive, those that do both included.
    pub receive: u32,
    /// The most there can be.
    pub receive_max: u32,
    /// Queues that send, those that do both included.
    pub send: u32,
    /// The most there can be.
    pub send_max: u32,
}

/// The rings of this device.
///
/// # Errors
/// EOPNOTSUPP from a driver that does not tell, ENODEV when there is no such device.
pub fn rings(device: &str) -> io::Result<Rings> {
    /// `struct ethtool_ringparam`.
    const BYTES: usize = 36;
    Card::open(device)?.ask(&[GRINGPARAM], BYTES).map(|answer| parse_rings(&answer))
}

/// The channels of this device.
///
/// # Errors
/// EOPNOTSUPP from a driver that does not tell, ENODEV when there is no such device.
pub fn channels(device: &str) -> io::Result<Channels> {
    /// `struct ethtool_channels`.
    const BYTES: usize = 36;
    Card::open(device)?.ask(&[GCHANNELS], BYTES).map(|answer| parse_channels(&answer))
}

/// Command, most of rx, mini, jumbo, tx, then those set.
fn parse_rings(answer: &[u8]) -> Rings {
    let field = |index: usize| word(answer, 4 * index).unwrap_or(0);
    Rings { receive_max: field(1), send_max: field(4), receive: field(5), send: field(8) }
}

/// Command, most of rx, tx, other, combined, then those set.
fn parse_channels(answer: &[u8]) -> Channels {
    let sum = |one: usize, both: usize| {
        [one, both].iter().filter_map(|index| word(answer, 4 * index)).fold(0, u32::saturating_add)
    };
    Channels { receive_max: sum(1, 4), send_max: sum(2, 4), receive: sum(5, 8), send: sum(6, 8) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nic::is_answer;
    use proptest::prelude::*;

    #[test]
    fn fields_stand_where_the_kernel_puts_them() {
        let answer: Vec<u8> = (0..9u32).flat_map(u32::to_ne_bytes).collect();
        assert_eq!(parse_rings(&answer), Rings { receive_max: 1, send_max: 4, receive: 5, send: 8 });
        let channels = Channels { receive_max: 5, send_max: 6, receive: 13, send: 14 };
        assert_eq!(parse_channels(&answer), channels);
    }

    #[test]
    fn every_device_answers_or_says_that_it_does_not() {
        for device in crate::devices().unwrap() {
            assert!(rings(&device.name).as_ref().err().is_none_or(is_answer), "{}", device.name);
            match channels(&device.name) {
                Ok(channels) => assert!(channels.receive <= channels.receive_max, "{channels:?}"),
                Err(error) => assert!(is_answer(&error), "{}: {error}", device.name),
            }
        }
    }

    proptest! {
        #[test]
        fn any_bytes_end_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = (parse_rings(&bytes), parse_channels(&bytes));
        }
    }
}
