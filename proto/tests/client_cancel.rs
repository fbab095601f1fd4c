//! Cancelling reads: no event, nothing left behind, nobody else harmed (PROTOCOL.md, section 10.4).

mod client_support;

use client_support::{CLEAN, End, Link, MS, World, value_of};
use shingle_proto::client::{ClientConfig, Join, ReadId};
use shingle_proto::cookie::CookieKeys;
use shingle_proto::wire::{Carrier, Frame, Request};

const SECOND: u64 = 1_000 * MS;

fn world(config: ClientConfig) -> World {
    let mut world = World::new(config);
    world.server.set(b"small", 1, b"a small value");
    world.server.set(b"large", 1, &value_of(b"large", 1, 20_000));
    world
}

fn get(world: &mut World, key: &[u8], token: u64, join: Join) -> ReadId {
    world.client.get(world.now, key, token, world.now + SECOND, join).expect("accepted")
}

fn tokens(world: &World) -> Vec<u64> {
    let mut tokens: Vec<_> = world.events.iter().map(|event| event.token).collect();
    tokens.sort_unstable();
    tokens
}

#[test]
fn a_cancelled_read_has_no_event_and_its_answer_is_a_duplicate() {
    let mut world = world(ClientConfig::default());
    let read = get(&mut world, b"small", 1, Join::Alone);
    world.run(MS / 4); // the request is on its way
    assert!(world.client.cancel(read));
    assert_eq!((world.client.in_flight(), world.client.poll_timeout()), (0, None), "no timer stays");
    world.run(2 * SECOND);
    assert!(world.events.is_empty(), "{:?}", world.events);
    let counters = world.client.counters();
    assert_eq!((counters.cancelled, counters.duplicates, counters.late), (1, 1, 0));
    assert!(!world.client.cancel(read), "once only");
}

#[test]
fn a_read_that_ended_is_not_cancelled_nor_is_the_next_user_of_its_slot() {
    let mut world = world(ClientConfig { in_flight_max: 1, ..ClientConfig::default() });
    let ended = get(&mut world, b"small", 1, Join::Alone);
    world.run(MS);
    assert!(!world.client.cancel(ended));
    let cancelled = get(&mut world, b"small", 2, Join::Alone);
    assert!(!world.client.cancel(ended), "the slot has another read now");
    assert!(world.client.cancel(cancelled));
    world.link.lost = 1000;
    let timed_out = get(&mut world, b"small", 3, Join::Alone);
    world.run(SECOND + MS);
    assert!(!world.client.cancel(timed_out), "it lingers, but has ended");
    world.link = CLEAN;
    get(&mut world, b"small", 4, Join::Alone);
    for old in [ended, cancelled, timed_out] {
        assert!(!world.client.cancel(old));
    }
    world.run(MS);
    assert_eq!(tokens(&world), [1, 3, 4]);
}

#[test]
fn a_queued_read_is_taken_out_of_its_group_wherever_it_stands() {
    let config = ClientConfig { gets_per_datagram_max: 8, ..ClientConfig::default() };
    for gone in 0..5 {
        let mut world = world(config);
        // The group before must not be joined by what is left of the second.
        get(&mut world, b"small", 100, Join::Alone);
        let mut reads = vec![get(&mut world, b"small", 0, Join::Alone)];
        reads.extend((1..5).map(|token| get(&mut world, b"small", token, Join::WithPrevious)));
        assert!(world.client.cancel(reads[gone]));
        let mut out = [0; 1200];
        let sent: Vec<_> = std::iter::from_fn(|| world.client.poll_transmit(world.now, &mut out))
            .map(|sent| (sent.first_token, sent.reads))
            .collect();
        assert_eq!(sent, [(100, 1), (u64::from(gone == 0), 4)], "without the read at {gone}");
        assert_eq!(world.client.in_flight(), 5);
    }
}

#[test]
fn the_rest_of_a_challenged_group_goes_out_again_although_slots_were_reused() {
    for gone in 0..3 {
        let config = ClientConfig { gets_per_datagram_max: 8, in_flight_max: 3, ..ClientConfig::default() };
        let mut world = world(config);
        world.server.cookies = Some(CookieKeys::new([7; 16]));
        world.server.set(b"medium", 1, &[7; 1000]);
        let reads: Vec<_> =
            (0..3).map(|token| get(&mut world, b"medium", token, Join::WithPrevious)).collect();
        world.run(MS / 4);
        assert!(world.client.cancel(reads[gone]));
        get(&mut world, b"medium", 9, Join::Alone); // takes the slot that was freed
        world.run(20 * MS);
        let mut left: Vec<_> = (0..3).filter(|token| *token != gone as u64).collect();
        left.push(9);
        assert_eq!(tokens(&world), left);
        assert!(
            world.events.iter().all(|event| event.end == End::Value(vec![7; 1000]) && event.attempts == 0)
        );
    }
}

#[test]
fn cancelling_gives_memory_and_credit_back() {
    let config = ClientConfig {
        value_bytes_max: 30_000,
        reassembly_bytes: 32 << 10,
        partial_max: 1,
        gap_ns: SECOND,
        ..ClientConfig::default()
    };
    let mut world = world(config);
    let mut out = [0; 1200];
    let mut credits = Vec::new();
    for token in 0..100 {
        let read = get(&mut world, b"large", token, Join::Alone);
        let bytes = world.client.poll_transmit(world.now, &mut out).expect("a request").bytes;
        let request = Request::parse(&out[..bytes], Carrier::Udp).expect("valid");
        assert!(matches!(request.frames().next(), Some(Frame::Get(_))));
        credits.push(request.header.credit);
        let answers = world.server.answer(&out[..bytes]);
        answers[..3].iter().for_each(|answer| world.feed(answer));
        assert!(world.client.cancel(read), "a part of it is here");
        answers[3..].iter().for_each(|answer| world.feed(answer));
    }
    assert!(credits.iter().all(|credit| *credit == credits[0]), "nothing stays reserved: {credits:?}");
    let counters = world.client.counters();
    assert_eq!((counters.reassembly_full, counters.cancelled), (0, 100));
    assert_eq!((world.events.len(), world.client.poll_timeout()), (0, None));
    get(&mut world, b"large", 1, Join::Alone);
    world.run(10 * MS);
    assert_eq!(tokens(&world), [1]);
}

#[test]
fn cancelling_at_any_time_leaves_the_others_whole() {
    for seed in 1..40 {
        let mut world = world(ClientConfig {
            gets_per_datagram_max: 4,
            in_flight_max: 16,
            retries: 2,
            timeout_ns: 60 * MS,
            rerequests_max: 50,
            ..ClientConfig::default()
        });
        world.rng.0 = seed;
        world.link = Link { lost: 50, doubled: 50, reordered: 200, ..CLEAN };
        let (mut expected, mut open) = (Vec::new(), Vec::new());
        for token in 0..300 {
            let key: &[u8] = if world.rng.per_mille(300) { b"large" } else { b"small" };
            let join = if world.rng.per_mille(500) { Join::WithPrevious } else { Join::Alone };
            if let Ok(read) = world.client.get(world.now, key, token, world.now + SECOND, join) {
                expected.push(token);
                open.push((token, read));
            }
            if world.rng.per_mille(300) && !open.is_empty() {
                let (token, read) = open.swap_remove(world.rng.below(open.len() as u64) as usize);
                let ended = world.events.iter().any(|event| event.token == token);
                assert_eq!(world.client.cancel(read), !ended, "seed {seed}, token {token}");
                expected.retain(|other| ended || *other != token);
            }
            if world.rng.per_mille(600) {
                world.run(MS / 5);
            }
        }
        world.run(3 * SECOND);
        world.events.retain(|event| !matches!(event.end, End::Late { .. }));
        assert_eq!(tokens(&world), expected, "seed {seed}");
        assert_eq!((world.client.in_flight(), world.client.poll_timeout()), (0, None), "seed {seed}");
    }
}

#[test]
fn a_challenge_of_a_cancelled_read_does_not_touch_the_next_user_of_its_slot() {
    let mut world = world(ClientConfig { in_flight_max: 1, ..ClientConfig::default() });
    world.server.cookies = Some(CookieKeys::new([7; 16]));
    let mut out = [0; 1200];
    let cancelled = get(&mut world, b"large", 1, Join::Alone);
    let bytes = world.client.poll_transmit(world.now, &mut out).expect("a request").bytes;
    let challenge = world.server.answer(&out[..bytes]).swap_remove(0);
    assert!(world.client.cancel(cancelled));
    get(&mut world, b"small", 2, Join::Alone);
    assert!(world.client.poll_transmit(world.now, &mut out).is_some());
    world.feed(&challenge);
    assert_eq!(
        world.client.poll_transmit(world.now, &mut out),
        None,
        "it was not this read that was challenged"
    );
    assert_eq!(world.client.counters().challenges, 0);
}

#[test]
fn nobody_joins_the_datagram_before_the_one_that_was_cancelled() {
    let mut world = World::new(ClientConfig { gets_per_datagram_max: 4, ..ClientConfig::default() });
    let deadline = world.now + 1_000 * MS;
    let get = |world: &mut World, token, join| {
        world.client.get(world.now, b"key", token, deadline, join).expect("room")
    };
    get(&mut world, 1, Join::Alone);
    let gone = get(&mut world, 2, Join::Alone);
    world.client.cancel(gone);
    get(&mut world, 3, Join::WithPrevious);
    get(&mut world, 4, Join::WithPrevious);
    let mut out = [0; 1200];
    let sent: Vec<_> = std::iter::from_fn(|| world.client.poll_transmit(world.now, &mut out)).collect();
    assert_eq!(sent.iter().map(|sent| (sent.first_token, sent.reads)).collect::<Vec<_>>(), [(1, 1), (3, 2)]);
}
