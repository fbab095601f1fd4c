//! Reads on a clean link: what is asked, how it ends, what credit, cookies, deadlines and full tables do.

mod client_support;

use client_support::{CLEAN, End, Link, MS, Server, World, value_of, wide};
use shingle_proto::client::{Client, ClientConfig, GetError, Join, ServerState};
use shingle_proto::cookie::CookieKeys;
use shingle_proto::wire::{AnswerHeader, Carrier, Chunk, DatagramWriter, Frame, Refusal, Request};

const SECOND: u64 = 1_000 * MS;

fn world(config: ClientConfig) -> World {
    let mut world = World::new(config);
    world.server.set(b"small", 1, b"a small value");
    world.server.set(b"empty", 1, b"");
    world.server.set(b"large", 1, &value_of(b"large", 1, 20_000));
    world
}

/// The only event there is.
fn only(world: &World) -> &client_support::Seen {
    assert_eq!(world.events.len(), 1, "{:?}", world.events);
    &world.events[0]
}

#[test]
fn a_small_value_an_empty_one_a_miss_and_a_refusal_take_one_round_trip() {
    let mut world = world(ClientConfig { telemetry: true, ..ClientConfig::default() });
    for (token, key) in [&b"small"[..], b"empty", b"nothing"].into_iter().enumerate() {
        world.get(key, token as u64, SECOND);
    }
    world.run(MS);
    let ends: Vec<_> = world.events.iter().map(|event| (event.token, event.end.clone())).collect();
    let expected = [End::Value(b"a small value".to_vec()), End::Value(Vec::new()), End::Miss];
    assert_eq!(ends, expected.into_iter().enumerate().map(|(i, end)| (i as u64, end)).collect::<Vec<_>>());
    assert!(
        world.events.iter().all(|event| event.worker == Some(3) && event.attempts == 0 && event.chunks == 0)
    );
    assert_eq!((world.client.in_flight(), world.client.poll_timeout()), (0, None));
    world.events.clear();
    world.server.refuse = Some(Refusal::Unreadable);
    world.get(b"small", 9, SECOND);
    world.run(MS);
    assert_eq!(only(&world).end, End::Refused(Refusal::Unreadable, 7));
}

#[test]
fn requests_are_padded_and_carry_what_the_server_needs() {
    let config = ClientConfig {
        flow: 77,
        credit_max: 5_000,
        telemetry: true,
        datagram_max: 8_000,
        ..ClientConfig::default()
    };
    let mut client = Client::new(config).expect("in range");
    client.get(0, b"k", 5, SECOND, Join::Alone).expect("accepted");
    let mut out = [0; 1200];
    let transmit = client.poll_transmit(0, &mut out).expect("a request");
    assert_eq!(
        (transmit.bytes, transmit.sequence, transmit.attempt, transmit.reads, transmit.first_token),
        (48, 0, 0, 1, 5)
    );
    let header = Request::parse(&out[..48], Carrier::Udp).expect("valid").header;
    assert_eq!((header.flow, header.credit, header.telemetry, header.datagram_max), (77, 5_000, true, 8_000));
    assert_eq!(client.poll_transmit(0, &mut out), None);
}

#[test]
fn a_chunked_value_within_the_credit_needs_one_request() {
    let mut world = world(ClientConfig::default());
    world.get(b"large", 1, SECOND);
    world.run(20 * MS);
    let event = only(&world);
    assert_eq!(event.end, End::Value(value_of(b"large", 1, 20_000)));
    assert_eq!((event.attempts, event.continuations, event.chunks), (0, 0, 18));
    assert_eq!(world.server.requests.len(), 1);
}

#[test]
fn a_mebibyte_with_64_kib_credit_is_read_in_windows_without_loss() {
    for (datagram_max, telemetry) in
        [(1200, false), (1200, true), (1472, true), (8973, false), (65_507, true)]
    {
        let mut world = World::new(ClientConfig { datagram_max, telemetry, credit_max: 64 << 10, ..wide() });
        let value = value_of(b"mebibyte", 1, 1 << 20);
        world.server.set(b"mebibyte", 1, &value);
        world.get(b"mebibyte", 1, SECOND);
        world.run(SECOND);
        let event = only(&world);
        assert_eq!(event.end, End::Value(value));
        assert_eq!(event.attempts, 0, "credit is no loss");
        let windows = u64::from(event.continuations) + 1;
        assert!((17..=19).contains(&windows), "{windows} windows at {datagram_max}");
        assert_eq!(world.server.requests.len() as u64, windows);
        assert_eq!(world.client.counters().duplicates, 0, "nothing was asked for twice");
        assert!(world.server.requests.iter().map(|request| request.attempt).eq(0..windows as u8));
        assert!(world.server.requests.iter().all(|request| request.datagram_max == datagram_max));
        assert!(event.at_ns < SECOND + windows * MS, "each window is asked for at once");
    }
}

#[test]
fn only_what_is_missing_is_asked_for_in_the_size_that_came_and_then_in_the_base_size() {
    let mut world = World::new(ClientConfig { datagram_max: 1472, ..ClientConfig::default() });
    world.server.set(b"large", 1, &value_of(b"large", 1, 20_000));
    world.get(b"large", 1, SECOND);
    let mut out = [0; 2048];
    let mut bytes = world.client.poll_transmit(world.now, &mut out).expect("a request").bytes;
    let answers = world.server.answer(&out[..bytes]);
    for (nth, answer) in answers.iter().enumerate().filter(|(nth, _)| ![2, 3, 9].contains(nth)) {
        assert!(world.client.poll_transmit(world.now, &mut out).is_none(), "asked before the gap, at {nth}");
        world.feed(answer);
    }
    let chunk = 20_008_u32.div_ceil(answers.len() as u32);
    // Nothing comes in answer to the first re-request.
    for (attempt, gaps, datagram_max) in [(1, 1, answers[0].len() as u16), (2, 2, 1200)] {
        world.now += gaps * 5 * MS + 65_536;
        let now = world.now;
        world.client.handle_timeout(now, &mut |event| panic!("{event:?}"));
        bytes = world.client.poll_transmit(now, &mut out).expect("a re-request").bytes;
        let request = Request::parse(&out[..bytes], Carrier::Udp).expect("valid");
        let Some(Frame::Rerequest(again)) = request.frames().next() else { panic!("not a re-request") };
        let ranges: Vec<_> = again.ranges.iter().map(|range| (range.offset, range.length)).collect();
        assert_eq!(ranges, [(2 * chunk, 2 * chunk), (9 * chunk, chunk)]);
        assert_eq!((request.header.attempt, request.header.datagram_max), (attempt, datagram_max));
    }
    let answers = world.server.answer(&out[..bytes]);
    answers.iter().rev().for_each(|answer| world.feed(answer));
    assert_eq!((only(&world).attempts, &only(&world).end), (2, &End::Value(value_of(b"large", 1, 20_000))));
}

#[test]
fn the_gap_doubles_and_re_requests_end() {
    let mut world = world(ClientConfig { rerequests_max: 3, ..ClientConfig::default() });
    world.get(b"large", 1, 200 * MS);
    let mut out = [0; 2048];
    let bytes = world.client.poll_transmit(world.now, &mut out).expect("a request").bytes;
    let first = world.server.answer(&out[..bytes]).swap_remove(0);
    world.feed(&first);
    let (start, mut asked) = (world.now, Vec::new());
    while let Some(next) = world.client.poll_timeout() {
        world.now = next;
        let events = &mut world.events;
        world.client.handle_timeout(next, &mut |event| events.push(client_support::Seen::new(next, &event)));
        while world.client.poll_transmit(next, &mut out).is_some() {
            asked.push((next - start) / MS);
        }
    }
    assert_eq!(asked, [5, 15, 35]);
    let event = only(&world);
    assert_eq!(event.end, End::TimedOut { received_bytes: 1112, total_bytes: 20_008, corrupt: 0 });
    assert_eq!((event.attempts, event.chunks), (3, 1));
    assert!((event.at_ns - start - 200 * MS) < 65_536);
}

#[test]
fn nothing_is_repeated_unless_retries_are_wanted() {
    for retries in [0, 2] {
        let mut world = world(ClientConfig { retries, timeout_ns: 90 * MS, ..ClientConfig::default() });
        world.link.lost = 1000;
        world.get(b"small", 1, 90 * MS);
        world.run(100 * MS);
        let event = only(&world);
        assert_eq!(event.end, End::TimedOut { received_bytes: 0, total_bytes: 0, corrupt: 0 });
        assert_eq!(
            (event.attempts, world.client.counters().datagrams_out),
            (retries, u64::from(retries) + 1)
        );
    }
}

#[test]
fn a_challenge_costs_one_round_trip_and_its_cookie_stays() {
    let mut world = world(ClientConfig { gets_per_datagram_max: 8, ..wide() });
    world.server.cookies = Some(CookieKeys::new([7; 16]));
    world.get(b"small", 0, SECOND);
    for token in 1..3 {
        world
            .client
            .get(world.now, b"large", token, world.now + SECOND, Join::WithPrevious)
            .expect("accepted");
    }
    world.run(20 * MS);
    assert_eq!(world.events.len(), 3, "{:?}", world.events);
    assert!(
        world
            .events
            .iter()
            .all(|event| event.challenged && event.attempts == 0 && matches!(event.end, End::Value(_)))
    );
    let attempts: Vec<_> = world.server.requests.iter().map(|request| request.attempt).collect();
    assert_eq!(attempts, [0, 1], "together again");
    world.events.clear();
    world.get(b"large", 4, SECOND);
    world.run(20 * MS);
    assert!(!only(&world).challenged, "the cookie is known now");
}

#[test]
fn a_server_that_always_challenges_is_asked_three_times() {
    let mut world = world(ClientConfig::default());
    world.get(b"large", 1, 50 * MS);
    for round in 0..8 {
        world.server.cookies = Some(CookieKeys::new([round; 16]));
        world.run(MS * 4 / 10); // under a round trip: each cookie is worthless when it comes back
    }
    world.run(60 * MS);
    assert_eq!(world.server.requests.len(), 3);
    assert_eq!(
        (only(&world).challenged, &only(&world).end),
        (true, &End::TimedOut { received_bytes: 0, total_bytes: 0, corrupt: 0 })
    );
}

#[test]
fn late_answers_are_told_once_and_duplicates_are_only_counted() {
    let mut world = world(wide());
    world.link = Link { delay_ns: 10 * MS, doubled: 1000, ..CLEAN };
    world.get(b"small", 1, 15 * MS);
    world.get(b"large", 2, 15 * MS);
    world.run(SECOND / 10);
    let late: Vec<_> = world.events.iter().map(|event| (event.token, event.end.clone())).collect();
    let gone = End::TimedOut { received_bytes: 0, total_bytes: 0, corrupt: 0 };
    let came = End::Late { complete: true, after_ns: 5 * MS };
    assert!(late[..2].contains(&(1, gone.clone())) && late[..2].contains(&(2, gone)), "{late:?}");
    assert_eq!(late[2..], [(1, came.clone()), (2, came)]);
    assert_eq!(world.client.counters().late, 2);
    assert!(world.client.counters().duplicates > 18);
    world.run(2 * SECOND);
    assert_eq!((world.events.len(), world.client.poll_timeout()), (4, None));
}

#[test]
fn a_late_answer_of_which_some_is_missing_is_told_when_lingering_ends() {
    let mut world = world(ClientConfig { linger_ns: 100 * MS, ..ClientConfig::default() });
    world.get(b"large", 1, 10 * MS);
    let mut out = [0; 2048];
    let bytes = world.client.poll_transmit(world.now, &mut out).expect("a request").bytes;
    let answers = world.server.answer(&out[..bytes]);
    world.feed(&answers[0]);
    world.link.lost = 1000;
    world.run(12 * MS);
    answers[2..].iter().for_each(|answer| world.feed(answer));
    world.run(99 * MS);
    let ends: Vec<_> = world.events.iter().map(|event| event.end.clone()).collect();
    let timed_out = End::TimedOut { received_bytes: 1112, total_bytes: 20_008, corrupt: 0 };
    assert_eq!(ends, [timed_out, End::Late { complete: false, after_ns: 2 * MS }]);
}

#[test]
fn a_full_table_refuses_unless_a_read_only_lingers() {
    let mut world = world(ClientConfig { in_flight_max: 2, ..ClientConfig::default() });
    world.link.lost = 1000;
    world.get(b"small", 1, 5 * MS);
    world.get(b"small", 2, 50 * MS);
    let refused = world.client.get(world.now, b"small", 3, world.now + MS, Join::Alone);
    assert_eq!(refused, Err(GetError::Full { in_flight_max: 2 }));
    world.run(6 * MS);
    assert_eq!((only(&world).token, world.client.in_flight()), (1, 1));
    world.link = CLEAN;
    world.get(b"small", 4, 50 * MS);
    world.run(MS);
    assert_eq!((world.events[1].token, &world.events[1].end), (4, &End::Value(b"a small value".to_vec())));
    for key in [&b""[..], &[b'k'; 251]] {
        let found = key.len();
        assert_eq!(world.client.get(world.now, key, 5, world.now, Join::Alone), Err(GetError::Key { found }));
    }
}

#[test]
fn late_chunks_of_another_version_do_not_complete_an_answer() {
    for (chunks_of_new, complete) in [(1.., false), (0.., true)] {
        let mut world = world(ClientConfig { gap_ns: SECOND, ..ClientConfig::default() });
        world.get(b"large", 1, MS);
        let mut out = [0; 2048];
        let bytes = world.client.poll_transmit(world.now, &mut out).expect("a request").bytes;
        let old = world.server.answer(&out[..bytes]);
        world.server.set(b"large", 2, &value_of(b"large", 2, 20_000));
        let new = world.server.answer(&out[..bytes]);
        world.feed(&old[0]);
        world.run(2 * MS);
        new[chunks_of_new].iter().for_each(|datagram| world.feed(datagram));
        world.run(2 * SECOND);
        assert_eq!(world.events[1].end, End::Late { complete, after_ns: MS });
    }
}

#[test]
fn the_read_that_ended_longest_ago_is_forgotten_first() {
    let mut world = world(ClientConfig { in_flight_max: 2, gap_ns: SECOND, ..wide() });
    let mut out = [0; 2048];
    let mut answers = Vec::new();
    for (token, timeout) in [(1, 5 * MS), (2, 6 * MS)] {
        world.get(b"large", token, timeout);
        let bytes = world.client.poll_transmit(world.now, &mut out).expect("a request").bytes;
        answers.push(world.server.answer(&out[..bytes]));
    }
    world.feed(&answers[0][0]);
    world.run(7 * MS);
    world.get(b"small", 3, SECOND);
    world.run(MS);
    answers.concat().iter().for_each(|datagram| world.feed(datagram));
    let ends: Vec<_> = world.events.iter().map(|event| event.token).collect();
    assert_eq!(ends, [1, 2, 3, 2], "the first, though it had a part, is not known any more");
}

#[test]
fn a_read_that_timed_out_keeps_no_memory_that_another_needs() {
    for partial_max in [1, 2] {
        let config = ClientConfig {
            value_bytes_max: 30_000,
            reassembly_bytes: 32 << 10,
            partial_max,
            ..ClientConfig::default()
        };
        let mut world = world(config);
        world.get(b"large", 1, MS);
        let mut out = [0; 2048];
        let bytes = world.client.poll_transmit(world.now, &mut out).expect("a request").bytes;
        let first = world.server.answer(&out[..bytes]).swap_remove(0);
        world.feed(&first);
        world.run(2 * MS);
        world.get(b"large", 2, SECOND);
        world.run(20 * MS);
        assert_eq!((world.events[1].token, world.events[1].attempts), (2, 0));
        assert_eq!(world.client.counters().reassembly_full, 0);
    }
}

#[test]
fn a_new_read_does_not_join_one_that_is_asked_again() {
    let mut world = world(ClientConfig { gets_per_datagram_max: 8, ..ClientConfig::default() });
    world.server.cookies = Some(CookieKeys::new([7; 16]));
    world.get(b"large", 1, SECOND);
    let mut out = [0; 2048];
    let bytes = world.client.poll_transmit(world.now, &mut out).expect("a request").bytes;
    let challenge = world.server.answer(&out[..bytes]).swap_remove(0);
    world.feed(&challenge);
    world.feed(&challenge);
    assert_eq!(world.client.counters().challenges, 1, "a doubled challenge is one");
    world.client.get(world.now, b"small", 2, world.now + SECOND, Join::WithPrevious).expect("accepted");
    let sent: Vec<_> = std::iter::from_fn(|| world.client.poll_transmit(0, &mut out)).collect();
    let sent: Vec<_> = sent.iter().map(|sent| (sent.first_token, sent.attempt, sent.reads)).collect();
    assert_eq!(sent, [(1, 1, 1), (2, 0, 1)]);
}

#[test]
fn a_full_arena_makes_a_read_wait_and_is_no_loss() {
    let config =
        ClientConfig { value_bytes_max: 30_000, reassembly_bytes: 32 << 10, ..ClientConfig::default() };
    let mut world = world(config);
    world.server.set(b"other", 1, &value_of(b"other", 1, 20_000));
    world.link.reordered = 1000; // the answers come mixed
    world.get(b"large", 1, SECOND);
    world.get(b"other", 2, SECOND);
    world.run(SECOND);
    assert_eq!(world.events.len(), 2);
    assert_eq!((world.events[0].attempts, world.events[1].attempts), (0, 0));
    assert_eq!(world.client.counters().rerequests, 0);
    for event in &world.events {
        let key = if event.token == 1 { b"large" } else { b"other" };
        assert_eq!(event.end, End::Value(value_of(key, 1, 20_000)));
    }
    assert!(world.client.counters().reassembly_full > 0);
}

#[test]
fn reads_that_share_a_datagram_share_its_credit_without_loss() {
    let config = ClientConfig { gets_per_datagram_max: 16, credit_max: 30_000, ..ClientConfig::default() };
    let mut world = world(config);
    world.get(b"large", 0, SECOND);
    for token in 1..6 {
        world
            .client
            .get(world.now, b"large", token, world.now + SECOND, Join::WithPrevious)
            .expect("accepted");
    }
    world.run(SECOND);
    assert_eq!(world.events.len(), 6);
    assert!(world.events.iter().all(|event| event.attempts == 0), "{:?}", world.client.counters());
    assert!(world.events.iter().all(|event| event.end == End::Value(value_of(b"large", 1, 20_000))));
    assert_eq!(world.server.requests.iter().filter(|request| request.attempt == 0).count(), 1);
}

#[test]
fn a_datagram_takes_as_many_reads_as_fit_and_are_allowed() {
    for (key_bytes, allowed, expected) in [(10, 4, [4, 4, 2]), (240, 64, [4, 4, 2])] {
        let config = ClientConfig { gets_per_datagram_max: allowed, ..ClientConfig::default() };
        let mut client = Client::new(config).expect("in range");
        for token in 0..10 {
            client.get(0, &vec![b'k'; key_bytes], token, SECOND, Join::WithPrevious).expect("accepted");
        }
        let mut out = [0; 1200];
        let reads: Vec<_> =
            std::iter::from_fn(|| client.poll_transmit(0, &mut out)).map(|sent| sent.reads).collect();
        assert_eq!(reads, expected);
    }
}

#[test]
fn what_the_kernel_refused_ends_at_once_and_only_that() {
    let mut world = world(ClientConfig::default());
    world.get(b"small", 1, SECOND);
    world.get(b"small", 2, SECOND);
    let mut out = [0; 2048];
    let refused = world.client.poll_transmit(world.now, &mut out).expect("a request");
    world.client.transmit_failed(refused.sequence);
    assert!(world.client.poll_timeout().is_some_and(|at| at <= world.now));
    world.run(MS);
    let ends: Vec<_> = world.events.iter().map(|event| (event.token, &event.end)).collect();
    assert_eq!(ends, [(1, &End::NotSent), (2, &End::Value(b"a small value".to_vec()))]);
}

#[test]
fn settings_out_of_range_are_named() {
    let error = Client::new(ClientConfig { reassembly_bytes: 1 << 20, ..ClientConfig::default() })
        .err()
        .expect("too small");
    assert_eq!(
        error.to_string(),
        "client setting reassembly_bytes is 1048576: allowed are 2097152 to 68719476736"
    );
    let error = Client::new(ClientConfig { datagram_max: 1199, ..ClientConfig::default() })
        .err()
        .expect("below the base");
    assert_eq!(error.to_string(), "client setting datagram_max is 1199: allowed are 1200 to 65507");
}

#[test]
fn a_draining_server_is_noticed_and_foreign_flows_are_not_taken() {
    let mut world = world(ClientConfig { flow: 5, ..ClientConfig::default() });
    world.server.draining = true;
    world.get(b"small", 1, SECOND);
    world.run(MS);
    assert_eq!(world.client.server_state(), ServerState::Draining);
    let mut other = Client::new(ClientConfig { flow: 6, ..ClientConfig::default() }).expect("in range");
    other.get(0, b"small", 1, SECOND, Join::Alone).expect("accepted");
    let mut out = [0; 2048];
    let bytes = other.poll_transmit(0, &mut out).expect("a request").bytes;
    let mut server = Server::new();
    let answer = server.answer(&out[..bytes]).swap_remove(0);
    world.feed(&answer);
    assert_eq!((world.client.counters().foreign, world.events.len()), (1, 1));
}

#[test]
fn duplicates_do_not_put_off_asking_for_what_is_missing() {
    let mut world = world(ClientConfig::default());
    let mut out = [0; 1200];
    world.get(b"large", 1, SECOND);
    let bytes = world.client.poll_transmit(world.now, &mut out).expect("a request").bytes;
    let answers = world.server.answer(&out[..bytes]);
    answers.iter().enumerate().filter(|(nth, _)| *nth != 1).for_each(|(_, answer)| world.feed(answer));
    for _ in 0..6 {
        world.now += MS;
        world.feed(&answers[0]);
        world.client.handle_timeout(world.now, &mut |event| panic!("{event:?}"));
    }
    assert_eq!(world.client.counters().rerequests, 1);
}

#[test]
fn a_whole_value_in_one_chunk_is_held_to_the_version_as_well() {
    let mut world = world(ClientConfig::default());
    let mut out = [0; 1200];
    world.get(b"large", 1, SECOND);
    let sent = world.client.poll_transmit(world.now, &mut out).expect("a request");
    let answers = world.server.answer(&out[..sent.bytes]);
    let version = world.server.store[&b"large"[..]].1;
    world.feed(&answers[0]);
    let whole = |version| {
        let sealed = [&shingle_proto::seal::seal(b"large", b"short")[..], b"short"].concat();
        let mut bytes = vec![0; 1200];
        let header = AnswerHeader { attempt: 0, flow: 0, sequence: sent.sequence, draining: false };
        let mut writer = DatagramWriter::answer(&mut bytes, &header).expect("room");
        let total = sealed.len() as u32;
        writer.push(&Frame::Chunk(Chunk { id: 0, version, total, offset: 0, bytes: &sealed })).expect("room");
        let length = writer.finish();
        bytes.truncate(length);
        bytes
    };
    world.feed(&whole(version.wrapping_sub(1)));
    assert_eq!((world.events.len(), world.client.counters().duplicates), (0, 1), "older than what is held");
    world.feed(&whole(version + 1));
    assert_eq!(world.events[0].end, End::Value(b"short".to_vec()));
}
