//! What is stored: shares and means are those promised, keys differ, and no wrong byte passes.

use proptest::prelude::*;
use shingle_loadgen::workload::{
    ItemSpace, KEY_BYTES_MAX, KeySampler, KeySpec, Sizing, Stream, ValueMismatch, ValueSpec,
};
use std::collections::HashSet;

const MIB: u32 = 1 << 20;

fn sizing(answer_overhead_bytes: u32) -> Sizing {
    Sizing { answer_overhead_bytes, value_bytes_max: MIB }
}

fn space(spec: &str, items: u32, seed: u64) -> ItemSpace {
    ItemSpace::new(&spec.parse().unwrap(), items, seed, sizing(48)).unwrap()
}

fn value(space: &ItemSpace, item: u32) -> Vec<u8> {
    let mut buffer = vec![0xaa; space.value_bytes(item) + 1];
    space.fill_value(item, &mut buffer).to_vec()
}

fn mean(numbers: impl ExactSizeIterator<Item = usize>) -> f64 {
    let n = numbers.len() as f64;
    numbers.map(|x| x as f64).sum::<f64>() / n
}

fn mean_value_bytes(space: &ItemSpace) -> f64 {
    mean((0..space.items()).map(|i| space.value_bytes(i)))
}

fn mean_key_bytes(space: &ItemSpace) -> f64 {
    mean((0..space.items()).map(|i| space.key_bytes(i)))
}

fn assert_close(found: f64, expected: f64, tolerance: f64) {
    assert!((found / expected - 1.0).abs() < tolerance, "{found}, expected {expected}");
}

#[test]
fn object_metadata_has_its_share_of_large_answers_to_the_item() {
    for (items, large) in [(1, 0), (200, 7), (1_000, 35), (1_001, 35), (12_345, 432), (100_000, 3_500)] {
        for overhead in [0, 28, 48, 96] {
            for seed in [0, 1, u64::MAX] {
                let space =
                    ItemSpace::new(&ValueSpec::ObjectMetadata, items, seed, sizing(overhead)).unwrap();
                assert_eq!(
                    space.values_above(1472 - overhead as usize),
                    large,
                    "{items} items, {overhead} B"
                );
                assert_eq!(space.values_above(2400 - overhead as usize), 0);
            }
        }
    }
}

#[test]
fn object_metadata_values_are_mostly_a_few_hundred_bytes() {
    let space = space("object-metadata", 10_000, 3);
    let mut sizes: Vec<usize> = (0..10_000).map(|i| space.value_bytes(i)).collect();
    sizes.sort_unstable();
    assert!(sizes[0] >= 64 && (400..450).contains(&sizes[5_000]) && sizes[9_600] <= 1400, "{sizes:?}");
    assert!(sizes[9_000] > 700, "the body has a tail: {}", sizes[9_000]);
    let large = &sizes[9_650..];
    assert_close(mean(large.iter().copied()), (1473.0 + 2400.0) / 2.0 - 48.0, 0.01);
}

#[test]
fn uniform_reads_see_the_share_of_large_answers_too() {
    let space = space("object-metadata", 1_000, 5);
    let mut keys = KeySampler::new(&KeySpec::Uniform, &space, 5, Stream::WHOLE).unwrap();
    let large = (0..400_000).filter(|_| space.value_bytes(keys.next_item()) > 1472 - 48).count();
    // 14,000 expected, standard deviation 116.
    assert!((13_500..14_500).contains(&large), "{large}");
}

#[test]
fn means_are_those_of_the_papers() {
    let etc = space("etc", 100_000, 1);
    let small: f64 =
        [0.00047, 0.17820 * 2.0, 0.09239 * 3.0, 0.00018 * 4.0, 0.02740 * 5.0, 0.00065 * 6.0, 0.00606 * 7.0]
            .iter()
            .sum::<f64>()
            + [0.00023 * 8.0, 0.00837 * 19.0, 0.08989 * 11.0, 0.00092 * 12.0, 0.00326 * 13.0, 0.01980 * 14.0]
                .iter()
                .sum::<f64>();
    let expected = small + (1.0 - 0.44155) * (15.0 + 214.476 / (1.0 - 0.348238));
    assert_close(mean_value_bytes(&etc), expected, 0.01);
    // 30.7984 + 8.20449 (Gamma(1 - 0.078688) - 1) / 0.078688
    assert_close(mean_key_bytes(&etc), 36.22, 0.005);
    let two_bytes = (0..100_000).filter(|&i| etc.value_bytes(i) == 2).count();
    assert!((17_810..=17_830).contains(&two_bytes), "{two_bytes}");

    let usr = space("usr", 1_000, 1);
    assert_eq!((0..1_000).filter(|&i| usr.key_bytes(i) == 16).count(), 500);
    assert!((0..1_000).all(|i| usr.value_bytes(i) == 2 && [16, 21].contains(&usr.key_bytes(i))));
}

#[test]
fn twitter_presets_have_the_published_means_popularity_and_ttls() {
    for (cluster, key, value, zipf) in [
        (52, 20, 273.0, 1.2117),
        (21, 25, 1.0, 0.0521),
        (22, 54, 4.0, 0.7624),
        (8, 23, 9497.0, 1.7366),
        (50, 18, 67_485.0, 1.2816),
    ] {
        let space = space(&format!("twitter:cluster{cluster}"), 100_000, 9);
        assert_close(mean_value_bytes(&space), value, 0.03);
        assert_eq!((space.key_bytes(77), space.default_keys()), (key, KeySpec::Zipf(zipf)));
    }
    let space = space("twitter:cluster52", 9_900, 9);
    let days = |d: u64| (0..9_900).filter(|&i| space.ttl(i).unwrap().as_secs() == d * 86_400).count();
    assert_eq!((days(1), days(14)), (6_500, 2_700));
}

#[test]
fn fixed_and_bimodal_are_exact() {
    let fixed = space("fixed:4000", 10, 1);
    assert!((0..10).all(|i| fixed.value_bytes(i) == 4000 && fixed.key_bytes(i) == 20));
    let bimodal = space("bimodal:400,4000,3.5%", 2_000, 1);
    assert_eq!(
        (bimodal.values_above(399), bimodal.values_above(400), bimodal.values_above(3_999)),
        (2_000, 70, 70)
    );
}

#[test]
fn size_and_place_in_the_order_of_items_are_unrelated() {
    let space = space("bimodal:1,2,50%", 10_000, 4);
    let in_first_half = (0..5_000).filter(|&i| space.value_bytes(i) == 2).count();
    assert!((2_300..2_700).contains(&in_first_half), "{in_first_half}");
}

#[test]
fn keys_differ_and_are_printable() {
    for spec in ["fixed:1", "etc", "usr", "twitter:cluster45"] {
        let space = space(spec, 50_000, 1);
        let mut buffer = [0; KEY_BYTES_MAX];
        let keys: HashSet<Vec<u8>> = (0..50_000).map(|i| space.key(i, &mut buffer).to_vec()).collect();
        assert_eq!(keys.len(), 50_000, "{spec}");
        assert!(keys.iter().flatten().all(u8::is_ascii_graphic), "{spec}");
    }
    let space = space("fixed:1", 1_000, 1);
    assert_eq!(space.key(0x1f, &mut [0; KEY_BYTES_MAX]), b"item:00000000000001f");
    assert_eq!(space.stored_bytes(), 21_000);
}

#[test]
fn the_same_spec_count_and_seed_give_the_same_items() {
    for spec in ["object-metadata", "etc", "twitter:cluster4"] {
        let (a, b, other) = (space(spec, 500, 7), space(spec, 500, 7), space(spec, 500, 8));
        assert!((0..500).all(|i| value(&a, i) == value(&b, i) && a.ttl(i) == b.ttl(i)), "{spec}");
        assert!((0..500).any(|i| a.value_bytes(i) != other.value_bytes(i)), "{spec}");
    }
}

#[test]
fn every_flipped_bit_is_found_where_it_is() {
    for bytes in [1, 2, 11, 12, 13, 400] {
        let space = space(&format!("fixed:{bytes}"), 10, 1);
        let mut found = value(&space, 3);
        for bit in 0..bytes * 8 {
            found[bit / 8] ^= 1 << (bit % 8);
            match space.check_value(3, &found) {
                Err(ValueMismatch::Content { item: 3, offset, .. }) => assert_eq!(offset, bit / 8),
                other => panic!("bit {bit} of {bytes} bytes: {other:?}"),
            }
            found[bit / 8] ^= 1 << (bit % 8);
        }
        assert_eq!(space.check_value(3, &found), Ok(()));
    }
}

#[test]
fn no_value_passes_for_another_item_or_seed() {
    let (one, two) = (space("fixed:12", 2_000, 1), space("fixed:12", 2_000, 2));
    let values: HashSet<Vec<u8>> =
        [&one, &two].into_iter().flat_map(|space| (0..2_000).map(|i| value(space, i))).collect();
    assert_eq!(values.len(), 4_000);
    assert!((0..2_000).all(|i| two.check_value(i, &value(&one, i)).is_err()));
    assert!((1..2_000).all(|i| one.check_value(i, &value(&one, 0)).is_err()));
}

#[test]
fn a_part_of_another_value_does_not_pass() {
    let (one, two) = (space("fixed:100000", 200, 1), space("fixed:100000", 200, 2));
    for item in 1..200 {
        let own = value(&one, item);
        for foreign in [value(&one, 0), value(&two, item)] {
            for part in [12..100, 32_780..32_900, 99_900..100_000] {
                let mut mixed = own.clone();
                mixed[part.clone()].copy_from_slice(&foreign[part.clone()]);
                assert!(one.check_value(item, &mixed).is_err(), "item {item}, bytes {part:?}");
            }
        }
    }
}

#[test]
fn short_values_are_as_distinct_as_their_length_allows() {
    for (bytes, items, distinct) in [(0, 100, 1), (2, 65_536, 40_000), (4, 65_536, 65_536)] {
        let space = space(&format!("fixed:{bytes}"), items, 1);
        let values: HashSet<Vec<u8>> = (0..items).map(|i| value(&space, i)).collect();
        assert!(values.len() >= distinct, "{bytes} bytes: {} distinct", values.len());
        assert!((0..items).all(|i| space.check_value(i, &value(&space, i)).is_ok()));
    }
    let space = space("fixed:1", 5_000, 1);
    assert_eq!((0..5_000).map(|i| value(&space, i)).collect::<HashSet<_>>().len(), 256);
}

#[test]
fn lengths_that_differ_never_pass() {
    let space = space("fixed:400", 10, 1);
    let whole = value(&space, 0);
    for length in [0, 1, 399] {
        let wrong = ValueMismatch::Length { item: 0, expected_bytes: 400, found_bytes: length };
        assert_eq!(space.check_value(0, &whole[..length]), Err(wrong));
    }
    assert!(space.check_value(0, &[&whole[..], b"x"].concat()).is_err());
}

#[test]
fn chunks_of_a_large_value_cannot_be_swapped() {
    let space = space("fixed:1MiB", 2, 1);
    let whole = value(&space, 1);
    assert_eq!(space.check_value(1, &whole), Ok(()));
    for chunk in [1 << 10, 8 << 10, 32 << 10, 64 << 10, 1452] {
        let mut swapped = whole.clone();
        let second = 8 * chunk;
        for i in 0..chunk {
            swapped.swap(12 + i, 12 + second + i);
        }
        assert!(space.check_value(1, &swapped).is_err(), "{chunk} bytes");
    }
}

#[test]
fn values_that_cannot_be_stored_are_refused_with_a_way_out() {
    let limit = Sizing { answer_overhead_bytes: 48, value_bytes_max: 1000 };
    for spec in ["fixed:1001", "bimodal:1,1001,1%", "object-metadata"] {
        let error = ItemSpace::new(&spec.parse().unwrap(), 10, 1, limit).unwrap_err().to_string();
        assert!(error.contains(spec) && error.contains("value limit is 1000"), "{error}");
    }
    let spec = ValueSpec::Fixed(1);
    assert!(ItemSpace::new(&spec, 0, 1, limit).unwrap_err().to_string().contains("'0'"));
    assert!(ItemSpace::new(&spec, u32::MAX, 1, limit).is_err());
    assert!(ItemSpace::new(&spec, 1, 1, Sizing { answer_overhead_bytes: 513, ..limit }).is_err());
    assert!(ItemSpace::new(&spec, 1, 1, Sizing { value_bytes_max: (16 << 20) + 1, ..limit }).is_err());
}

#[test]
fn modelled_values_are_cut_to_the_limit_and_counted() {
    let limit = Sizing { answer_overhead_bytes: 48, value_bytes_max: 1000 };
    let space = ItemSpace::new(&ValueSpec::Etc, 10_000, 1, limit).unwrap();
    assert_eq!(space.values_above(1000), 0);
    // Share above 1000 bytes: 0.55845 (1 + 0.348238 x 985.5 / 214.476)^(-1 / 0.348238) = 3.6 %.
    assert!((357..=361).contains(&space.values_cut()), "{}", space.values_cut());
}

proptest! {
    #[test]
    fn any_length_is_filled_and_checked(bytes in 0_u32..200_000, seed: u64, flip: prop::sample::Index) {
        let space = ItemSpace::new(&ValueSpec::Fixed(bytes), 3, seed, sizing(48)).unwrap();
        let mut buffer = vec![0; bytes as usize + 7];
        prop_assert_eq!(space.fill_value(2, &mut buffer).len(), bytes as usize);
        prop_assert!(buffer[bytes as usize..].iter().all(|&b| b == 0));
        let found = &mut buffer[..bytes as usize];
        prop_assert_eq!(space.check_value(2, found), Ok(()));
        if bytes > 0 {
            found[flip.index(bytes as usize)] ^= 0x10;
            prop_assert!(space.check_value(2, found).is_err());
        }
    }
}
