//! Reads over a link that loses, doubles, reorders and flips: each ends once, and what is delivered is right to the byte.

mod client_support;

use std::collections::BTreeMap;

use client_support::{CLEAN, End, Link, MS, Rng, Seen, World, value_of};
use proptest::prelude::*;
use shingle_proto::client::{Client, ClientConfig, Join, ReceiveBuffer};
use shingle_proto::cookie::CookieKeys;
use shingle_proto::seal;
use shingle_proto::search::SearchConfig;

const SECOND: u64 = 1_000 * MS;

/// Counts events that end a read, checks that each token has one and that LATE follows only a time-out.
fn ends_by_token(events: &[Seen]) -> BTreeMap<u64, &Seen> {
    let mut ends = BTreeMap::new();
    let mut late = BTreeMap::new();
    for event in events {
        if matches!(event.end, End::Late { .. }) {
            let first: Option<&&Seen> = ends.get(&event.token);
            assert!(
                first.is_some_and(|end| matches!(end.end, End::TimedOut { .. })),
                "{event:?} before its time-out"
            );
            assert!(late.insert(event.token, event).is_none(), "late twice: {event:?}");
        } else {
            assert!(ends.insert(event.token, event).is_none(), "ended twice: {event:?}");
        }
    }
    ends
}

/// Mostly object metadata, some chunked, a few of a MiB.
fn bytes_of(nth: u64) -> usize {
    let mut rng = Rng(nth * 7919 + 1);
    match nth {
        0 => 0,
        1 | 2 => 1 << 20,
        3..10 => 50_000 + rng.below(200_000) as usize,
        10..60 => 1_000 + rng.below(20_000) as usize,
        _ => rng.below(1_000) as usize,
    }
}

#[test]
fn every_read_ends_once_and_every_value_is_exact_over_a_bad_link() {
    let config = ClientConfig {
        in_flight_max: 64,
        reassembly_bytes: 64 << 20,
        retries: 2,
        retry_budget_percent: 100,
        timeout_ns: 60 * MS,
        gap_ns: 3 * MS,
        rerequests_max: 100,
        linger_ns: 20 * MS,
        telemetry: true,
        gets_per_datagram_max: 4,
        ..ClientConfig::default()
    };
    let mut world = World::new(config);
    let keys: Vec<_> = (0..1000).map(|nth| format!("key-{nth}").into_bytes()).collect();
    for (nth, key) in keys.iter().enumerate() {
        world.server.set(key, 1, &value_of(key, 1, bytes_of(nth as u64)));
    }
    world.link = Link { lost: 100, doubled: 50, reordered: 200, flipped: 10, ..CLEAN };
    let mut asked = Vec::new();
    while asked.len() < 6000 {
        let key = if asked.len() < 40 { asked.len() as u64 % 10 } else { world.rng.below(1000) };
        let deadline = world.now + if key < 10 { 2 * SECOND } else { 60 * MS };
        let join = if world.rng.per_mille(300) { Join::WithPrevious } else { Join::Alone };
        let bytes = &keys[key as usize];
        if world.client.get(world.now, bytes, asked.len() as u64, deadline, join).is_ok() {
            asked.push(key as usize);
        } else {
            world.run(MS);
        }
        if world.rng.per_mille(50) {
            world.run(MS / 2);
        }
    }
    world.run(3 * SECOND);
    let ends = ends_by_token(&world.events);
    assert_eq!(ends.len(), asked.len(), "a read never ended");
    let mut values = 0;
    for (token, end) in ends {
        let key = asked[token as usize];
        match &end.end {
            End::Value(value) => {
                assert!(*value == value_of(&keys[key], 1, bytes_of(key as u64)), "wrong bytes for key {key}");
                values += 1;
            }
            End::TimedOut { .. } => {}
            other => panic!("key {key}: {other:?}"),
        }
    }
    assert!(values > 5900, "{values} values: retries hardly work");
    let counters = world.client.counters();
    assert!(
        counters.drops.iter().sum::<u64>() > 30 && counters.duplicates > 100 && counters.rerequests > 100
    );
    assert!(counters.reordered > 100 && counters.retries > 300);
    assert_eq!((counters.corrupt_values, counters.reassembly_full), (0, 0));
    assert_eq!((world.client.in_flight(), world.client.poll_timeout()), (0, None));
}

/// Settings drawn by chance: small and large buffers, with and without search, heartbeats, retries and groups.
fn any_config(rng: &mut Rng) -> ClientConfig {
    let search = SearchConfig { datagram_max: 1200 + rng.below(8_000) as u16, ..SearchConfig::default() };
    ClientConfig {
        flow: rng.next() as u32,
        in_flight_max: 1 + rng.below(64) as usize,
        partial_max: 1 + rng.below(64) as usize,
        reassembly_bytes: 4 << 20,
        datagram_max: 1200 + rng.below(8_000) as u16,
        receive_buffer: ReceiveBuffer::linux(rng.below(400_000) as u32),
        credit_max: rng.below(300_000) as u32,
        timeout_ns: 60 * MS,
        gap_ns: 3 * MS,
        rerequests_max: rng.below(20) as u8,
        retries: rng.below(4) as u8,
        retry_budget_percent: rng.below(256) as u8,
        heartbeat_ns: [0, 2 * MS, 100 * MS][rng.below(3) as usize],
        linger_ns: rng.below(50) * MS,
        telemetry: rng.per_mille(500),
        gets_per_datagram_max: 1 + rng.below(64) as u8,
        search: Some(search).filter(|_| rng.per_mille(600)),
        search_up: rng.per_mille(300),
        ..ClientConfig::default()
    }
}

/// A path drawn by chance, which may carry less than the one before.
fn any_link(rng: &mut Rng) -> Link {
    Link {
        lost: rng.below(200),
        doubled: rng.below(100),
        reordered: rng.below(400),
        flipped: rng.below(30),
        delay_ns: 1 + rng.below(2 * MS),
        up_max: 1200 + rng.below(9_000) as usize,
        down_max: 1200 + rng.below(9_000) as usize,
    }
}

#[test]
fn whatever_the_settings_each_read_ends_once_or_is_cancelled() {
    let mut values = 0;
    for seed in 1..=150 {
        let mut rng = Rng(seed * 0x9E37_79B9);
        let config = any_config(&mut rng);
        let mut world = World::new(config);
        world.rng.0 = seed;
        world.server.cookies = Some(CookieKeys::new([7; 16])).filter(|_| rng.per_mille(500));
        world.server.probes_served = rng.per_mille(900);
        let bytes_of = |key: u64| Rng(key * 7919 + 1).below(40 << (key % 11)) as usize;
        for key in 0..100_u64 {
            world.server.set(&key.to_be_bytes(), 1, &value_of(&key.to_be_bytes(), 1, bytes_of(key)));
        }
        let (mut keys, mut open, mut cancelled) = (Vec::new(), Vec::new(), Vec::new());
        while keys.len() < 200 {
            if rng.per_mille(30) {
                world.link = any_link(&mut rng);
            }
            if rng.per_mille(20) {
                world.client.set_receive_buffer(ReceiveBuffer::linux(rng.below(400_000) as u32));
                world.client.hint_path_mtu(world.now, rng.below(9_000) as u16);
            }
            let (key, token) = (rng.below(110), keys.len() as u64);
            let join = if rng.per_mille(400) { Join::WithPrevious } else { Join::Alone };
            let deadline = world.now + rng.below(200 * MS);
            match world.client.get(world.now, &key.to_be_bytes(), token, deadline, join) {
                Ok(read) => {
                    keys.push(key);
                    open.push((token, read));
                }
                Err(_) => world.run(MS),
            }
            if rng.per_mille(100) && !open.is_empty() {
                let (token, read) = open.swap_remove(rng.below(open.len() as u64) as usize);
                if world.client.cancel(read) {
                    cancelled.push(token);
                }
            }
            if rng.per_mille(300) {
                world.run(rng.below(MS));
            }
        }
        world.run(SECOND);
        let ends = ends_by_token(&world.events);
        assert_eq!(ends.len() + cancelled.len(), 200, "seed {seed}: a read never ended");
        assert!(
            cancelled.iter().all(|token| !ends.contains_key(token)),
            "seed {seed}: ended after its cancel"
        );
        for (token, end) in ends {
            let key = keys[token as usize];
            match &end.end {
                End::Value(value) => {
                    let bytes = value_of(&key.to_be_bytes(), 1, bytes_of(key));
                    assert!(*value == bytes, "seed {seed}: wrong bytes for key {key}");
                    values += 1;
                }
                End::Miss => assert!(key >= 100, "seed {seed}: key {key} is stored"),
                End::TimedOut { .. } => {}
                other => panic!("seed {seed}, key {key}: {other:?}"),
            }
        }
        assert_eq!(world.client.in_flight(), 0, "seed {seed}");
        if config.search.is_none() && config.heartbeat_ns == 0 {
            assert_eq!(world.client.poll_timeout(), None, "seed {seed}: a timer stayed");
        }
    }
    assert!(values > 15_000, "{values} values of 30,000 reads");
}

#[test]
fn values_replaced_while_being_read_are_never_mixed() {
    let config = ClientConfig {
        retries: 3,
        gap_ns: 2 * MS,
        rerequests_max: 50,
        credit_max: 8_000,
        ..ClientConfig::default()
    };
    let mut world = World::new(config);
    world.link = Link { lost: 50, reordered: 500, doubled: 50, ..CLEAN };
    let keys: Vec<_> = (0..8).map(|nth| format!("key-{nth}").into_bytes()).collect();
    let mut version = 0;
    let mut stored: BTreeMap<&[u8], Vec<Vec<u8>>> = BTreeMap::new();
    for token in 0..400 {
        for key in &keys {
            if version < 8 || world.rng.per_mille(60) {
                version += 1;
                // Half of the time of the same length: only the version tells the chunks apart.
                let bytes = if version % 2 == 0 { 30_000 } else { world.rng.below(60_000) as usize };
                let value = value_of(key, version, bytes);
                world.server.set(key, version, &value);
                stored.entry(key).or_default().push(value);
            }
        }
        world.get(&keys[token as usize % 8], token, 200 * MS);
        world.run(2 * MS);
    }
    world.run(SECOND);
    let ends = ends_by_token(&world.events);
    assert_eq!(ends.len(), 400);
    let mut over_tcp = 0;
    for (token, end) in &ends {
        match &end.end {
            End::Value(value) => {
                let known = &stored[&keys[*token as usize % 8][..]];
                assert!(known.contains(value), "token {token}: a value that never was stored");
            }
            End::OverTcp => over_tcp += 1,
            End::TimedOut { .. } => {}
            other => panic!("{other:?}"),
        }
    }
    let counters = world.client.counters();
    assert!(counters.version_restarts > 50, "{counters:?}");
    assert_eq!(counters.corrupt_values, 0, "mixed values were seen by the checksum");
    assert!(over_tcp < 100);
}

#[test]
fn a_value_replaced_at_each_window_goes_over_tcp_after_three_restarts() {
    let mut world = World::new(ClientConfig { credit_max: 8_000, ..ClientConfig::default() });
    world.server.set(b"busy", 1, &value_of(b"busy", 1, 100_000));
    world.get(b"busy", 1, SECOND);
    for version in 2..40 {
        world.run(MS * 3 / 4); // more than one window, less than the value
        world.server.set(b"busy", version, &value_of(b"busy", version, 100_000));
    }
    assert_eq!(world.events.len(), 1);
    assert_eq!((&world.events[0].end, world.events[0].attempts), (&End::OverTcp, 0));
    assert_eq!(world.client.counters().version_restarts, 3);
}

#[test]
fn a_newer_version_takes_over_and_an_older_one_is_ignored() {
    let mut world = World::new(ClientConfig::default());
    let versions = [5, 6, 4].map(|version| {
        world.server.set(b"key", version, &value_of(b"key", version, 5_000));
        version
    });
    world.get(b"key", 1, SECOND);
    let mut out = [0; 2048];
    let bytes = world.client.poll_transmit(world.now, &mut out).expect("a request").bytes;
    let [five, six, four] = versions.map(|version| {
        world.server.set(b"key", version, &value_of(b"key", version, 5_000));
        world.server.answer(&out[..bytes])
    });
    for datagrams in [&five[..3], &four, &six[..4], &five, &six] {
        datagrams.iter().for_each(|datagram| world.feed(datagram));
    }
    assert_eq!(world.events.len(), 1);
    assert_eq!(world.events[0].end, End::Value(value_of(b"key", 6, 5_000)));
    assert_eq!(world.client.counters().version_restarts, 1);
}

#[test]
fn old_chunks_and_old_refusals_do_not_disturb_the_version_that_follows() {
    let mut world = World::new(ClientConfig { credit_max: 4_000, ..ClientConfig::default() });
    let mut out = [0; 2048];
    let old = value_of(b"key", 1, 10_000);
    let new = value_of(b"key", 2, 10_000);
    world.server.set(b"key", 1, &old);
    world.get(b"key", 1, SECOND);
    let bytes = world.client.poll_transmit(world.now, &mut out).expect("the first window").bytes;
    let first = world.server.answer(&out[..bytes]);
    first.iter().for_each(|datagram| world.feed(datagram));
    world.server.set(b"key", 2, &new);
    let bytes = world.client.poll_transmit(world.now, &mut out).expect("the second window").bytes;
    let gone = world.server.answer(&out[..bytes]);
    world.feed(&gone[0]);
    first.iter().for_each(|datagram| world.feed(datagram));
    let bytes = world.client.poll_transmit(world.now, &mut out).expect("from the start").bytes;
    let second = world.server.answer(&out[..bytes]);
    world.feed(&second[0]);
    world.feed(&gone[0]);
    second[1..].iter().for_each(|datagram| world.feed(datagram));
    world.run(MS * 10);
    assert_eq!((world.events.len(), &world.events[0].end), (1, &End::Value(new)));
    let counters = world.client.counters();
    assert_eq!(
        (counters.version_restarts, counters.rerequests, counters.duplicates),
        (1, 0, 1 + first.len() as u64)
    );
}

#[test]
fn a_newer_version_that_overtakes_a_re_request_is_waited_for() {
    let config = ClientConfig { retries: 1, timeout_ns: 20 * MS, ..ClientConfig::default() };
    let mut world = World::new(config);
    let mut out = [0; 2048];
    let mut answers = Vec::new();
    world.get(b"key", 1, SECOND);
    for version in [1, 2] {
        let bytes = world.client.poll_transmit(world.now, &mut out).expect("request and retry").bytes;
        world.server.set(b"key", version, &value_of(b"key", version, 10_000));
        answers.push(world.server.answer(&out[..bytes]));
        world.now += 11 * MS;
        world.client.handle_timeout(world.now, &mut |event| panic!("{event:?}"));
    }
    world.feed(&answers[0][0]);
    world.now += 67 * MS; // the gap after a round trip of 22 ms
    world.client.handle_timeout(world.now, &mut |event| panic!("{event:?}"));
    assert!(
        world.client.poll_transmit(world.now, &mut out).is_some(),
        "what is missing of the first version"
    );
    for datagram in &answers[1] {
        assert!(world.client.poll_transmit(world.now, &mut out).is_none(), "asked for what is on its way");
        world.feed(datagram);
    }
    assert_eq!(world.events[0].end, End::Value(value_of(b"key", 2, 10_000)));
    assert_eq!((world.events[0].attempts, world.events[0].continuations), (2, 0));
}

#[test]
fn a_corrupt_value_is_asked_for_again_and_never_delivered() {
    for bytes in [100, 20_000] {
        let mut world = World::new(ClientConfig { rerequests_max: 2, ..ClientConfig::default() });
        let value = value_of(b"key", 1, bytes);
        let mut spoilt = [&seal::seal(b"key", &value)[..], &value].concat();
        spoilt[bytes / 2] ^= 1;
        world.server.store.insert(b"key".to_vec(), (spoilt, 1));
        world.get(b"key", 1, 100 * MS);
        world.run(150 * MS);
        let timed_out = End::TimedOut { received_bytes: 0, total_bytes: 0, corrupt: 3 };
        assert_eq!((world.events[0].attempts, &world.events[0].end), (2, &timed_out));
        world.get(b"key", 2, 100 * MS);
        world.run(MS * 6 / 10); // the first answer was corrupt
        world.server.set(b"key", 1, &value);
        world.run(50 * MS);
        assert_eq!((world.events[1].attempts, &world.events[1].end), (1, &End::Value(value)));
        assert_eq!(world.client.counters().corrupt_values, 4);
    }
}

#[test]
fn encoded_values_are_decoded_and_longer_ones_than_the_limit_go_over_tcp() {
    let value = b"a value that repeats itself ".repeat(2_000);
    let sealed = seal::compress(b"key", &value).expect("shorter");
    for (limit, expected) in [(value.len(), End::Value(value.clone())), (value.len() - 1, End::OverTcp)] {
        let mut world = World::new(ClientConfig { value_bytes_max: limit, ..ClientConfig::default() });
        world.server.store.insert(b"key".to_vec(), (sealed.clone(), 1));
        world.get(b"key", 1, SECOND);
        world.run(MS);
        assert_eq!(world.events[0].end, expected);
    }
    let mut world = World::new(ClientConfig { value_bytes_max: 20_000, ..ClientConfig::default() });
    world.server.set(b"plain", 1, &value_of(b"plain", 1, 20_001));
    world.get(b"plain", 1, SECOND);
    world.run(MS);
    assert_eq!(world.events[0].end, End::OverTcp, "the first chunk tells");
}

/// A client with one read of each sort under way, and real answers to spoil.
fn busy_client() -> (World, Vec<Vec<u8>>) {
    let mut world = World::new(ClientConfig { telemetry: true, ..ClientConfig::default() });
    world.server.set(b"small", 1, b"small");
    world.server.set(b"large", 1, &value_of(b"large", 1, 9_000));
    for (token, key) in [&b"small"[..], b"large", b"miss"].into_iter().enumerate() {
        world.get(key, token as u64, SECOND);
    }
    let mut out = [0; 2048];
    let mut answers = Vec::new();
    while let Some(transmit) = world.client.poll_transmit(world.now, &mut out) {
        answers.extend(world.server.answer(&out[..transmit.bytes]));
    }
    (world, answers)
}

/// Puts the checksum right, so that what was changed is looked at.
fn repair(datagram: &mut [u8]) {
    if datagram.len() > 4 {
        let checksum = shingle_proto::checksum::crc32c(&datagram[4..]);
        datagram[..4].copy_from_slice(&checksum.to_be_bytes());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_datagrams_are_dropped_by_reason(datagrams in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 1..20)) {
        let mut client = Client::new(ClientConfig { in_flight_max: 4, ..ClientConfig::default() }).expect("in range");
        for datagram in &datagrams {
            client.handle_datagram(0, datagram, &mut |event| panic!("{event:?}"));
        }
        prop_assert_eq!(client.counters().drops.iter().sum::<u64>(), datagrams.len() as u64);
    }

    #[test]
    fn answers_changed_behind_a_right_checksum_never_panic_or_deliver_wrong_bytes(
        changes in prop::collection::vec((any::<prop::sample::Index>(), 7usize..70, any::<u8>()), 1..40),
    ) {
        let (mut world, answers) = busy_client();
        for (which, at, byte) in changes {
            let mut datagram = answers[which.index(answers.len())].clone();
            let at = at.min(datagram.len() - 1);
            datagram[at] = byte;
            repair(&mut datagram);
            world.feed(&datagram);
            world.now += MS;
        }
        world.run(3 * SECOND);
        let ends = ends_by_token(&world.events);
        prop_assert_eq!(ends.len(), 3);
        for (token, end) in ends {
            if let End::Value(value) = &end.end {
                let expected = [b"small".to_vec(), value_of(b"large", 1, 9_000)];
                prop_assert!(*value == expected[token as usize]);
            }
        }
    }
}
