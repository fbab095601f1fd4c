//! A device's offloads: ETHTOOL_GFEATURES with the names of ETHTOOL_GSTRINGS (`ethtool -k`).

use std::collections::BTreeMap;
use std::io;

use super::command::{Card, GFEATURES, Set, word};

/// How an offload stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Feature {
    /// It is at work.
    pub is_active: bool,
    /// It can be switched; otherwise `ethtool -k` says `[fixed]`.
    pub is_changeable: bool,
}

/// The offloads of this device by the kernel's names, such as `tx-udp-segmentation`, `rx-gro`, `rx-udp-gro-forwarding`,
/// `tx-checksum-ipv4` (`netdev_features_strings`, net/ethtool/common.c).
///
/// # Errors
/// ENODEV when there is no such device.
pub fn features(device: &str) -> io::Result<BTreeMap<String, Feature>> {
    let card = Card::open(device)?;
    let names = card.names(Set::Features)?;
    let blocks = names.len().div_ceil(32);
    let answer = card.ask(&[GFEATURES, blocks as u32], 8 + BLOCK_BYTES * blocks)?;
    Ok(parse(names, &answer))
}

/// `struct ethtool_get_features_block`: available, requested, active, never changed; a bit for each of 32 features.
const BLOCK_BYTES: usize = 16;

fn parse(names: Vec<String>, answer: &[u8]) -> BTreeMap<String, Feature> {
    let feature = |index: usize| {
        let at = 8 + BLOCK_BYTES * (index / 32);
        let has = |field: usize| Some(word(answer, at + 4 * field)? & 1 << (index % 32) != 0);
        Some(Feature { is_changeable: has(0)? && !has(3)?, is_active: has(2)? })
    };
    // Bits without a name are those this kernel does not use.
    let named = names.into_iter().enumerate().filter(|(_, name)| !name.is_empty());
    named.filter_map(|(index, name)| Some((name, feature(index)?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn bits_go_to_their_names() {
        let mut names = vec![String::new(); 34];
        for (index, name) in [(0, "tx-scatter-gather"), (3, "rx-gro"), (33, "tx-udp-segmentation")] {
            name.clone_into(&mut names[index]);
        }
        let answer = [GFEATURES, 2, 0b1001, 0, 0b1000, 0b0001, 0b10, 0, 0, 0].map(u32::to_ne_bytes).concat();
        let features = parse(names.clone(), &answer);
        assert_eq!(features.len(), 3);
        assert_eq!(features["rx-gro"], Feature { is_active: true, is_changeable: true });
        assert_eq!(features["tx-scatter-gather"], Feature { is_active: false, is_changeable: false });
        assert_eq!(features["tx-udp-segmentation"], Feature { is_active: false, is_changeable: true });
        assert_eq!(parse(names, &answer[..24]).len(), 2, "what was cut is not known");
    }

    #[test]
    fn every_device_tells_its_offloads() {
        for device in crate::devices().unwrap() {
            match features(&device.name) {
                Ok(features) => assert!(
                    features.contains_key("rx-gro") && features.contains_key("tx-udp-segmentation"),
                    "{features:?}"
                ),
                Err(error) => assert!(crate::nic::is_answer(&error), "{}: {error}", device.name),
            }
        }
    }

    proptest! {
        #[test]
        fn any_bytes_end_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..100), count in 0usize..80) {
            let names = (0..count).map(|index| index.to_string()).collect();
            prop_assert!(parse(names, &bytes).len() <= count);
        }
    }
}
