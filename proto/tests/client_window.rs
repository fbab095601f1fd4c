//! The receive window: what is under way fits the receive buffer, and nobody is starved (PROTOCOL.md, section 4.3).

mod client_support;

use client_support::{End, MS, Rng, World, value_of};
use shingle_proto::client::{Charge, ClientConfig, Join, ReceiveBuffer};
use shingle_proto::search::SearchConfig;
use shingle_proto::wire::{Carrier, Request};

const SECOND: u64 = 1_000 * MS;
const MEBIBYTE: usize = 1 << 20;
const GRANTED: u64 = 212_992;

fn world(config: ClientConfig) -> World {
    let mut world = World::new(ClientConfig { reassembly_bytes: 256 << 20, ..config });
    world.server.set(b"mebibyte", 1, &value_of(b"mebibyte", 1, MEBIBYTE));
    world.server.set(b"small", 1, &[1; 500]);
    world
}

/// Bytes of values that came so far, by what the chunks of each read had: counted at its end only, so times are compared instead.
fn ends_ns(world: &World) -> Vec<u64> {
    world.events.iter().map(|event| event.at_ns).collect()
}

#[test]
fn mebibytes_at_once_fit_the_buffer_and_end_within_a_factor_of_two() {
    for datagram_max in [1_200, 1_472, 8_973] {
        for reads in [1, 2, 3, 8] {
            let mut world = world(ClientConfig { datagram_max, ..ClientConfig::default() });
            let start = world.now;
            for token in 0..reads {
                world.get(b"mebibyte", token, 60 * SECOND);
            }
            world.run(60 * SECOND);
            let context = format!("{reads} reads of {datagram_max} B: {:?}", world.client.counters());
            assert_eq!(world.events.len() as u64, reads, "{context}");
            assert!(world.events.iter().all(|event| matches!(event.end, End::Value(_))), "{context}");
            assert!(world.events.iter().all(|event| event.attempts == 0), "nothing was lost: {context}");
            assert!(world.charged_max <= GRANTED, "{} B under way, {context}", world.charged_max);
            let took: Vec<_> = ends_ns(&world).iter().map(|end| end - start).collect();
            assert!(took[reads as usize - 1] <= 2 * took[0], "{took:?}, {context}");
            assert_eq!(world.client.counters().duplicates, 0, "{context}");
        }
    }
}

#[test]
fn a_lone_mebibyte_uses_its_half_of_the_buffer_in_each_round_trip() {
    let mut world = world(ClientConfig::default());
    world.get(b"mebibyte", 1, 60 * SECOND);
    world.run(60 * SECOND);
    let requests = &world.server.requests;
    assert_eq!(requests[0].credit, 19 * 1200, "half of a half, for what is not known yet");
    assert!(requests[1..].iter().all(|request| request.credit == 39 * 1200), "{requests:?}");
    assert!((20..=26).contains(&requests.len()), "{} round trips for 908 chunks", requests.len());
}

#[test]
fn more_values_than_the_buffer_has_datagrams_for_get_one_each() {
    let mut world = world(ClientConfig { in_flight_max: 256, ..ClientConfig::default() });
    for token in 0..100 {
        world.get(b"mebibyte", token, 600 * SECOND);
    }
    let start = world.now;
    world.run(600 * SECOND);
    assert_eq!(world.events.len(), 100);
    assert!(world.events.iter().all(|event| event.attempts == 0 && matches!(event.end, End::Value(_))));
    let took: Vec<_> = ends_ns(&world).iter().map(|end| end - start).collect();
    assert!(took[99] <= 2 * took[0], "{took:?}");
    assert!(world.charged_max <= GRANTED * 7 / 8 + 100 * 2304, "{}", world.charged_max);
}

#[test]
fn small_reads_and_a_large_one_do_not_wait_for_each_other() {
    let mut world = world(ClientConfig { in_flight_max: 256, ..ClientConfig::default() });
    world.get(b"mebibyte", 1_000_000, 60 * SECOND);
    let mut rng = Rng(0xBEEF);
    let mut token = 0;
    while !world.events.iter().any(|event| event.token == 1_000_000) {
        world.get(b"small", token, SECOND);
        token += 1;
        world.run(rng.below(MS / 10));
    }
    world.run(SECOND);
    assert!(world.events.iter().all(|event| event.attempts == 0 && matches!(event.end, End::Value(_))));
    let large = world.events.iter().find(|event| event.token == 1_000_000).expect("ended");
    assert!(large.continuations <= 32, "{} round trips, {token} small reads beside it", large.continuations);
    assert!(world.charged_max <= GRANTED);
}

#[test]
fn any_mix_of_sizes_and_groups_fits_the_buffer() {
    for seed in 1..30 {
        let buffer = ReceiveBuffer::linux_default();
        let config = ClientConfig {
            in_flight_max: 64,
            gets_per_datagram_max: 8,
            datagram_max: if seed % 2 == 0 { 1_200 } else { 8_973 },
            receive_buffer: buffer,
            ..ClientConfig::default()
        };
        let mut world = world(config);
        world.rng.0 = seed;
        for nth in 0..50_u64 {
            let bytes = world.rng.below(1 << (4 + nth % 14)) as usize;
            world.server.set(format!("key-{nth}").as_bytes(), 1, &value_of(b"any", nth, bytes));
        }
        let mut asked = 0;
        while asked < 400 {
            let key = format!("key-{}", world.rng.below(50));
            let join = if world.rng.per_mille(600) { Join::WithPrevious } else { Join::Alone };
            let deadline = world.now + 60 * SECOND;
            asked += u64::from(world.client.get(world.now, key.as_bytes(), asked, deadline, join).is_ok());
            if world.rng.per_mille(300) {
                world.run(MS / 4);
            }
        }
        world.run(60 * SECOND);
        assert_eq!(world.events.len(), 400, "seed {seed}");
        assert!(
            world.events.iter().all(|event| event.attempts == 0),
            "seed {seed}: something was lost: {:?}",
            world.events.iter().find(|event| event.attempts > 0)
        );
        let one_each = 64 * u64::from(buffer.charge_of(config.datagram_max));
        assert!(world.charged_max <= GRANTED.max(one_each), "seed {seed}: {}", world.charged_max);
    }
}

#[test]
fn reads_that_bring_nothing_do_not_keep_the_window() {
    let mut world = world(ClientConfig { in_flight_max: 512, ..ClientConfig::default() });
    world.link.lost = 1000;
    for token in 0..20 {
        world.get(b"small", token, 10 * SECOND);
    }
    world.run(20 * MS); // more than a gap, far less than their deadlines
    world.get(b"small", 20, SECOND);
    let mut out = [0; 1200];
    let sent = world.client.poll_transmit(world.now, &mut out).expect("a request");
    let request = Request::parse(&out[..sent.bytes], Carrier::Udp).expect("valid");
    assert_eq!(request.header.credit, 14 * 1200, "as if alone, but for one datagram set aside for each");
}

#[test]
fn a_large_buffer_leaves_only_the_cap_and_new_numbers_take_effect() {
    let credit = |world: &mut World| {
        let read = world.client.get(world.now, b"key", 1, world.now + SECOND, Join::Alone).expect("accepted");
        let mut out = [0; 1200];
        let sent = world.client.poll_transmit(world.now, &mut out).expect("a request");
        world.client.cancel(read);
        Request::parse(&out[..sent.bytes], Carrier::Udp).expect("valid").header.credit
    };
    let large = ReceiveBuffer::linux(8 << 20);
    let mut world = world(ClientConfig { receive_buffer: large, ..ClientConfig::default() });
    assert_eq!(credit(&mut world), 256 << 10, "the cap");
    let steps = [Charge { datagram_bytes_max: 1200, charged_bytes: 10_000 }];
    world.client.set_receive_buffer(ReceiveBuffer::new(320_000, &steps));
    assert_eq!(credit(&mut world), 6 * 1200, "a quarter of seven eighths less one, 10,000 B a datagram");
    world.client.set_receive_buffer(ReceiveBuffer::linux(1));
    assert_eq!(credit(&mut world), 1200, "one datagram may always come");
}

/// The credit of the next first request.
fn next_credit(world: &mut World) -> u32 {
    let read = world.client.get(world.now, b"key", 9, world.now + SECOND, Join::Alone).expect("accepted");
    let mut out = [0; 1200];
    let sent = world.client.poll_transmit(world.now, &mut out).expect("a request");
    world.client.cancel(read);
    Request::parse(&out[..sent.bytes], Carrier::Udp).expect("valid").header.credit
}

#[test]
fn what_has_arrived_is_free_again() {
    let mut world = world(ClientConfig { gap_ns: SECOND, ..ClientConfig::default() });
    world.get(b"mebibyte", 1, SECOND);
    let mut out = [0; 1200];
    let bytes = world.client.poll_transmit(world.now, &mut out).expect("a request").bytes;
    let answers = world.server.answer(&out[..bytes]);
    assert_eq!((answers.len(), next_credit(&mut world)), (19, 10 * 1200));
    answers[..10].iter().for_each(|answer| world.feed(answer));
    assert_eq!(next_credit(&mut world), 15 * 1200, "half of 39 less 9");
}

#[test]
fn requests_that_are_forgotten_keep_nothing_reserved() {
    let mut world = world(ClientConfig { in_flight_max: 2, gap_ns: SECOND, ..ClientConfig::default() });
    let alone = next_credit(&mut world);
    let mut out = [0; 1200];
    let slow = world.client.get(world.now, b"key", 1, world.now + SECOND, Join::Alone).expect("accepted");
    assert!(world.client.poll_transmit(world.now, &mut out).is_some());
    assert!(next_credit(&mut world) < alone, "it is under way");
    for _ in 0..300 {
        next_credit(&mut world); // more requests than are remembered
    }
    assert!(world.client.cancel(slow));
    assert_eq!(next_credit(&mut world), alone);
}

/// What a server that nobody asks twice would see: every read ends with its value, and nothing counts as lost.
fn assert_nothing_was_lost(world: &World, reads: usize, context: &str) {
    let context = format!("{context}: {:?}", world.client.counters());
    assert_eq!(world.events.len(), reads, "{context}");
    assert!(world.events.iter().all(|event| matches!(event.end, End::Value(_))), "{context}");
    assert!(world.events.iter().all(|event| event.attempts == 0), "{context}");
    assert_eq!((world.client.counters().rerequests, world.client.counters().retries), (0, 0), "{context}");
}

#[test]
fn more_values_than_there_is_memory_for_wait_their_turn() {
    let search = SearchConfig { datagram_max: 8_973, ..SearchConfig::default() };
    for (reads, search) in [(9, None), (20, None), (64, None), (20, Some(search))] {
        let mut world = World::new(ClientConfig {
            search,
            retries: 2,
            timeout_ns: 60 * SECOND,
            ..ClientConfig::default()
        });
        world.server.set(b"mebibyte", 1, &value_of(b"mebibyte", 1, MEBIBYTE));
        world.run(2 * SECOND);
        for token in 0..reads {
            world.get(b"mebibyte", token, 60 * SECOND);
        }
        world.run(60 * SECOND);
        assert_nothing_was_lost(&world, reads as usize, &format!("{reads} reads"));
        assert!(world.client.counters().reassembly_full > 0, "memory ran out");
        let newest = world.server.requests.last().expect("some").datagram_max;
        let one_each = reads * u64::from(world.buffer.charge_of(newest)); // may always come
        assert!(world.charged_max <= GRANTED.max(GRANTED / 2 + one_each), "{} B", world.charged_max);
        assert_eq!(world.client.path().down.counters.tests, 0, "no size is suspected");
        let tokens: Vec<_> = world.events[8..].iter().map(|event| event.token).collect();
        assert!(tokens.is_sorted() || reads > 16, "oldest first: {tokens:?}");
    }
}

#[test]
fn a_single_part_serves_one_value_after_the_other() {
    let mut world = World::new(ClientConfig { partial_max: 1, ..ClientConfig::default() });
    world.server.set(b"large", 1, &value_of(b"large", 1, 100 << 10));
    for token in 0..5 {
        world.get(b"large", token, 10 * SECOND);
    }
    world.run(20 * SECOND);
    assert_nothing_was_lost(&world, 5, "partial_max 1");
    assert!(world.events.iter().map(|event| event.token).eq(0..5), "oldest first");
}

#[test]
fn reads_that_wait_for_memory_ask_for_nothing_and_get_it_however_it_becomes_free() {
    for way in ["cancelled", "timed out", "miss"] {
        let mut world =
            World::new(ClientConfig { partial_max: 1, rerequests_max: 0, ..ClientConfig::default() });
        world.server.set(b"large", 1, &value_of(b"large", 1, 100 << 10));
        let (mut out, mut deadline) = ([0; 1200], world.now + 10 * SECOND);
        if way == "timed out" {
            deadline = world.now + 100 * MS;
        }
        let holder = world.client.get(world.now, b"large", 0, deadline, Join::Alone).expect("room");
        let bytes = world.client.poll_transmit(world.now, &mut out).expect("a request").bytes;
        let answers = world.server.answer(&out[..bytes]);
        world.feed(&answers[0]);
        world.get(b"large", 1, 10 * SECOND);
        world.run(50 * MS);
        let asked = world.server.requests.len();
        world.run(40 * MS);
        assert_eq!((world.server.requests.len(), world.events.len()), (asked, 0), "{way}: it waits");
        assert_eq!(next_credit(&mut world), 10 * 1200, "{way}: only the first read's credit is reserved");
        match way {
            "cancelled" => assert!(world.client.cancel(holder)),
            "miss" => {
                world.server.store.remove(&b"large"[..]);
                let request = Request::parse(&out[..bytes], Carrier::Udp).expect("valid").header;
                let gone = world.server.answer(&out[..bytes]);
                assert_eq!((gone.len(), request.sequence), (1, 0));
                world.feed(&gone[0]);
                world.server.set(b"large", 1, &value_of(b"large", 1, 100 << 10));
            }
            _ => {}
        }
        world.run(SECOND);
        let end = world.events.iter().find(|event| event.token == 1).expect("ended");
        assert!(matches!(end.end, End::Value(_)) && end.attempts == 0, "{way}: {end:?}");
    }
}

#[test]
fn a_read_that_waits_for_memory_ends_at_its_deadline_or_with_cancel() {
    let mut world = World::new(ClientConfig { partial_max: 1, rerequests_max: 0, ..ClientConfig::default() });
    world.server.set(b"large", 1, &value_of(b"large", 1, 100 << 10));
    world.get(b"large", 0, 10 * SECOND);
    let mut out = [0; 1200];
    let bytes = world.client.poll_transmit(world.now, &mut out).expect("a request").bytes;
    let answers = world.server.answer(&out[..bytes]);
    world.feed(&answers[0]);
    world.get(b"large", 1, 100 * MS);
    let waits = world.client.get(world.now, b"large", 2, world.now + SECOND, Join::Alone).expect("room");
    world.run(200 * MS);
    assert!(world.client.cancel(waits));
    let timed_out = End::TimedOut { received_bytes: 0, total_bytes: 0, corrupt: 0 };
    assert_eq!(world.events.iter().map(|event| &event.end).collect::<Vec<_>>(), [&timed_out]);
    assert_eq!((world.client.in_flight(), world.events[0].attempts), (1, 0));
}

#[test]
fn a_cap_above_what_servers_send_is_no_loss() {
    for credit_max in [1 << 20, u32::MAX] {
        let receive_buffer = ReceiveBuffer::linux(64 << 20);
        let mut world = world(ClientConfig {
            credit_max,
            receive_buffer,
            datagram_max: 8_972,
            ..ClientConfig::default()
        });
        for token in 0..5 {
            world.get(b"mebibyte", token, 10 * SECOND);
            world.run(SECOND);
        }
        assert_nothing_was_lost(&world, 5, "credit_max");
        assert_eq!(world.server.requests[0].credit, 256 << 10);
    }
}

#[test]
fn a_re_request_reserves_no_more_than_the_ranges_it_asks_for() {
    let mut world = world(ClientConfig::default());
    let mut out = [0; 1200];
    world.server.set(b"twenty", 1, &value_of(b"twenty", 1, 20_000));
    world.get(b"twenty", 1, 60 * SECOND);
    let bytes = world.client.poll_transmit(world.now, &mut out).expect("a request").bytes;
    let answers = world.server.answer(&out[..bytes]);
    answers[1..].iter().for_each(|answer| world.feed(answer));
    world.now += 10 * MS;
    world.client.handle_timeout(world.now, &mut |event| panic!("{event:?}"));
    assert!(world.client.poll_transmit(world.now, &mut out).is_some(), "the chunk that was lost");
    world.get(b"mebibyte", 2, 60 * SECOND);
    let bytes = world.client.poll_transmit(world.now, &mut out).expect("a request").bytes;
    let answers = world.server.answer(&out[..bytes]);
    answers.iter().for_each(|answer| world.feed(answer));
    let bytes = world.client.poll_transmit(world.now, &mut out).expect("a continuation").bytes;
    let header = Request::parse(&out[..bytes], Carrier::Udp).expect("valid").header;
    assert_eq!(
        header.credit,
        19 * 1200,
        "half of the half, for two values; only one datagram of it is taken"
    );
}
