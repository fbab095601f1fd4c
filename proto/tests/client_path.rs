//! The path-MTU search driven by the client: reads never pay for it, and follow what it proves (PROTOCOL.md, section 6).

mod client_support;

use client_support::{CLEAN, End, Link, MS, World, value_of};
use shingle_proto::client::{ClientConfig, Join, ReceiveBuffer};
use shingle_proto::cookie::CookieKeys;
use shingle_proto::limits::PATH_MTUS;
use shingle_proto::search::{SearchConfig, SearchState};
use shingle_proto::wire::{AnswerHeader, Carrier, DatagramWriter, Frame, Request};

const SECOND: u64 = 1_000 * MS;

fn config() -> ClientConfig {
    let search = SearchConfig { datagram_max: 9001 - 28, ..SearchConfig::default() };
    ClientConfig { search: Some(search), search_up: true, retries: 3, ..ClientConfig::default() }
}

fn world(config: ClientConfig, link: Link) -> World {
    let mut world = World::new(config);
    world.link = link;
    world.server.set(b"small", 1, &[1; 300]);
    world.server.set(b"large", 1, &value_of(b"large", 1, 8_000));
    world
}

/// Reads large values until `duration_ns` has passed.
fn read_for(world: &mut World, duration_ns: u64) -> usize {
    let (end, first) = (world.now + duration_ns, world.events.len());
    while world.now < end {
        let token = world.client.counters().gets;
        world.get(if token.is_multiple_of(2) { b"large" } else { b"small" }, token, 100 * MS);
        world.run(3 * MS);
    }
    world.run(200 * MS);
    world.events[first..].iter().filter(|event| matches!(event.end, End::Value(_))).count()
}

#[test]
fn both_directions_are_proved_exactly_and_no_read_is_lost_to_it() {
    for (nth, up) in PATH_MTUS.iter().enumerate() {
        let down = PATH_MTUS[(nth + 5) % PATH_MTUS.len()];
        let link = Link { up_max: usize::from(*up) - 28, down_max: usize::from(down) - 28, ..CLEAN };
        let mut world = world(config(), link);
        read_for(&mut world, 5 * SECOND);
        let path = world.client.path();
        assert_eq!((path.up.proved_bytes, path.down.proved_bytes), (up - 28, down - 28), "{path:?}");
        assert_eq!(
            (path.up.state, path.down.state),
            (Some(SearchState::Complete), Some(SearchState::Complete))
        );
        assert_eq!((path.up.datagram_bytes, path.down.datagram_bytes), (up - 28, down - 28));
        assert!(path.up.counters.probes <= 16 && path.down.counters.probes <= 16, "{path:?}");
        let counters = world.client.counters();
        assert_eq!(counters.probes, path.up.counters.probes + path.down.counters.probes);
        assert_eq!(
            (counters.rerequests, counters.retries, world.too_long),
            (0, 0, 0),
            "up {up}, down {down}"
        );
        assert!(world.events.iter().all(|event| matches!(event.end, End::Value(_)) && event.attempts == 0));
        let newest = world.server.requests.last().expect("some");
        assert_eq!(newest.datagram_max, down - 28, "reads use what was proved");
    }
}

#[test]
fn without_a_search_the_sizes_given_stand() {
    let mut world = world(ClientConfig { datagram_max: 4_000, ..ClientConfig::default() }, CLEAN);
    read_for(&mut world, SECOND);
    let path = world.client.path();
    assert_eq!((path.up.datagram_bytes, path.down.datagram_bytes), (1200, 4_000));
    assert_eq!((path.up.state, path.down.state, world.client.counters().probes), (None, None, 0));
    world.client.hint_path_mtu(world.now, 1300);
    assert_eq!(world.client.path(), path);
}

#[test]
fn the_way_up_is_searched_only_where_requests_can_use_it() {
    for (gets, search_up, searched) in
        [(1, false, None), (4, false, None), (5, false, Some(1334)), (1, true, Some(8973))]
    {
        let config = ClientConfig { gets_per_datagram_max: gets, search_up, ..config() };
        let mut world = world(config, CLEAN);
        read_for(&mut world, 10 * SECOND);
        let up = world.client.path().up;
        assert_eq!(up.state.map(|_| up.proved_bytes), searched, "{gets} gets");
        assert_eq!(world.client.transmit_bytes_max(), searched.unwrap_or(1200).into());
    }
}

#[test]
fn longer_requests_carry_more_reads_once_the_way_up_is_proved() {
    let config = ClientConfig { gets_per_datagram_max: 64, in_flight_max: 64, ..config() };
    let mut world = world(config, Link { up_max: 4_000, ..CLEAN });
    let key = [b'k'; 240];
    world.server.set(&key, 1, b"value");
    let mut datagrams = Vec::new();
    for _ in 0..2 {
        let before = world.client.counters().datagrams_out - world.client.counters().probes;
        for token in 0..64 {
            let deadline = world.now + SECOND;
            world.client.get(world.now, &key, token, deadline, Join::WithPrevious).expect("room");
        }
        world.run(20 * SECOND);
        datagrams.push(world.client.counters().datagrams_out - world.client.counters().probes - before);
    }
    assert_eq!(datagrams, [16, 4], "4 of 248 B in 1200 B, 16 in 4000 B");
    assert_eq!((world.events.len(), world.too_long), (128, 0));
    assert!(
        world.events.iter().all(|event| event.end == End::Value(b"value".to_vec()) && event.attempts == 0)
    );
}

#[test]
fn a_path_that_shrinks_costs_no_read_that_the_base_could_save() {
    for (up_max, down_max) in [(8_973, 1_372), (1_372, 8_973), (1_300, 1_300)] {
        let config = ClientConfig { gets_per_datagram_max: 64, ..config() };
        let mut world = world(config, Link { up_max: 8_973, down_max: 8_973, ..CLEAN });
        read_for(&mut world, 10 * SECOND);
        let path = world.client.path();
        assert_eq!((path.up.proved_bytes, path.down.proved_bytes), (8_973, 8_973));
        world.link = Link { up_max, down_max, ..CLEAN };
        let before = world.events.len();
        let values = read_for(&mut world, 20 * SECOND);
        assert_eq!(
            values,
            world.events.len() - before,
            "up {up_max}, down {down_max}: {:?}",
            world.client.counters()
        );
        let path = world.client.path();
        // What no read uses nobody suspects: small requests never find the way up too narrow.
        assert_eq!(usize::from(path.down.proved_bytes), down_max, "{path:?}");
        let lowered = path.down.counters.lowered;
        assert_eq!(lowered, u64::from(down_max < 8_973));
    }
}

#[test]
fn long_requests_that_are_lost_are_repeated_in_the_base_size_and_the_way_up_is_lowered() {
    let config =
        ClientConfig { gets_per_datagram_max: 64, in_flight_max: 64, retry_budget_percent: 200, ..config() };
    let mut world = world(config, Link { up_max: 8_973, ..CLEAN });
    let key = [b'k'; 240];
    world.server.set(&key, 1, b"value");
    world.run(10 * SECOND);
    world.link.up_max = 3_000;
    for round in 0..100 {
        for nth in 0..32 {
            let deadline = world.now + 100 * MS;
            world.client.get(world.now, &key, round * 32 + nth, deadline, Join::WithPrevious).expect("room");
        }
        world.run(200 * MS);
    }
    assert!(
        world.events.iter().all(|event| matches!(event.end, End::Value(_))),
        "{:?}",
        world.client.counters()
    );
    let up = world.client.path().up;
    assert_eq!((up.proved_bytes, up.counters.lowered), (3_000, 1), "{up:?}");
    assert!(world.too_long < 20, "{} requests lost before it was known", world.too_long);
}

#[test]
fn a_datagram_too_long_for_the_kernel_is_sent_again_in_the_base_size() {
    let config = ClientConfig { gets_per_datagram_max: 64, in_flight_max: 64, ..config() };
    let mut world = world(config, CLEAN);
    world.run(10 * SECOND);
    for token in 0..32 {
        let deadline = world.now + SECOND;
        world.client.get(world.now, &[b'k'; 240], token, deadline, Join::WithPrevious).expect("room");
    }
    let mut out = vec![0; world.client.transmit_bytes_max()];
    let sent = world.client.poll_transmit(world.now, &mut out).expect("a request");
    assert_eq!((sent.bytes > 7_000, sent.reads), (true, 32));
    world.client.transmit_failed(sent.sequence);
    assert_eq!(world.client.path().up.state, Some(SearchState::Suspected));
    world.run(SECOND);
    assert_eq!(world.events.len(), 32);
    assert!(world.events.iter().all(|event| event.end == End::Miss), "{:?}", world.events[0]);
}

#[test]
fn probes_the_kernel_refuses_end_the_search_below_them() {
    let mut world = world(config(), CLEAN);
    let mut out = vec![0; world.client.transmit_bytes_max()];
    for _ in 0..1000 {
        while let Some(sent) = world.client.poll_transmit(world.now, &mut out) {
            if sent.bytes > 1_472 {
                world.client.transmit_failed(sent.sequence);
            } else {
                world.server.answer(&out[..sent.bytes]).iter().for_each(|answer| world.feed(answer));
            }
        }
        let Some(next) = world.client.poll_timeout().filter(|next| *next < world.now + SECOND) else { break };
        world.now = world.now.max(next);
        world.client.handle_timeout(world.now, &mut |event| panic!("{event:?}"));
    }
    let up = world.client.path().up;
    assert_eq!((up.proved_bytes, up.state), (1_472, Some(SearchState::Complete)), "{up:?}");
}

#[test]
fn a_port_that_serves_no_probes_leaves_the_base() {
    let mut world = world(config(), CLEAN);
    world.server.probes_served = false;
    let values = read_for(&mut world, 5 * SECOND);
    assert_eq!(values, world.events.len());
    let path = world.client.path();
    assert_eq!((path.up.state, path.down.state), (Some(SearchState::Disabled), Some(SearchState::Disabled)));
    assert_eq!((path.up.datagram_bytes, path.down.datagram_bytes), (1200, 1200));
    assert!(world.client.counters().probes <= 4, "{:?}", world.client.counters());
}

#[test]
fn a_port_that_sends_less_says_so() {
    let mut world = world(config(), CLEAN);
    world.server.datagram_max = 5_000;
    read_for(&mut world, 10 * SECOND);
    let down = world.client.path().down;
    assert_eq!((down.proved_bytes, down.state), (5_000, Some(SearchState::Complete)), "{down:?}");
    assert_eq!(down.counters.lost, 0, "nothing was lost, it was refused");
}

#[test]
fn probes_are_sent_again_with_the_cookie_they_are_challenged_for() {
    let mut world = world(config(), CLEAN);
    world.server.cookies = Some(CookieKeys::new([7; 16]));
    world.run(10 * SECOND);
    let path = world.client.path();
    assert_eq!((path.up.proved_bytes, path.down.proved_bytes), (8_973, 8_973), "{path:?}");
    assert_eq!((path.down.counters.lost, world.client.counters().challenges), (0, 1));
}

#[test]
fn a_hint_is_tried_and_never_believed() {
    let config = ClientConfig { gets_per_datagram_max: 64, ..config() };
    let mut world = world(config, Link { up_max: 8_973, ..CLEAN });
    world.run(10 * SECOND);
    world.client.hint_path_mtu(world.now, 1_300);
    assert_eq!(world.client.path().up.datagram_bytes, 1200, "in doubt");
    world.run(10 * SECOND);
    assert_eq!(world.client.path().up.datagram_bytes, 8_973, "it was a lie");
    world.link.up_max = 1_300;
    world.client.hint_path_mtu(world.now, 1_300);
    world.run(10 * SECOND);
    assert_eq!(world.client.path().up.datagram_bytes, 1_300, "it was true");
}

#[test]
fn a_lossy_path_lowers_nothing_and_reads_go_on() {
    for seed in 1..5 {
        let mut world = world(config(), Link { down_max: 8_973, up_max: 8_973, ..CLEAN });
        world.rng.0 = seed;
        read_for(&mut world, 5 * SECOND);
        world.link.lost = 100;
        let before = world.events.len();
        let values = read_for(&mut world, 10 * SECOND);
        let path = world.client.path();
        assert_eq!((path.down.counters.lowered, path.up.counters.lowered), (0, 0), "seed {seed}: {path:?}");
        assert!(values * 100 >= (world.events.len() - before) * 95, "seed {seed}: {values} values");
        assert_eq!(world.too_long, 0);
    }
}

#[test]
fn an_acknowledgement_that_is_shorter_than_its_probe_proves_nothing() {
    let mut world = world(ClientConfig { search_up: false, ..config() }, CLEAN);
    let mut out = [0; 1200];
    for _ in 0..200 {
        while let Some(sent) = world.client.poll_transmit(world.now, &mut out) {
            let request = Request::parse(&out[..sent.bytes], Carrier::Udp).expect("valid");
            let Some(Frame::Probe(probe)) = request.frames().next() else { panic!("no read was asked for") };
            let mut answer = [0; 1300];
            let header = AnswerHeader::to(&request.header, false);
            let mut writer = DatagramWriter::answer(&mut answer, &header).expect("room");
            writer.push(&Frame::ProbeAck(probe)).expect("room");
            writer.pad_to(usize::from(probe.size).min(1300));
            let bytes = writer.finish();
            world.feed(&answer[..bytes]);
        }
        world.now = world.client.poll_timeout().expect("the search goes on").max(world.now);
        world.client.handle_timeout(world.now, &mut |event| panic!("{event:?}"));
    }
    assert_eq!(world.client.path().down.proved_bytes, 1300);
}

#[test]
fn after_a_path_shrinks_no_read_fails_that_had_time_for_its_retry() {
    for reads_per_s in [100, 5_000, 20_000] {
        let config = ClientConfig {
            retries: 1,
            in_flight_max: 8_192,
            partial_max: 8_192,
            reassembly_bytes: 128 << 20,
            receive_buffer: ReceiveBuffer::linux(64 << 20),
            credit_max: 8_973, // one datagram each, so that all of them fit the buffer in the large size
            ..config()
        };
        let mut world = world(config, CLEAN);
        world.server.set(b"medium", 1, &value_of(b"medium", 1, 4_000));
        world.run(5 * SECOND);
        for token in 0..reads_per_s.max(500) {
            if token == reads_per_s / 5 {
                world.link.down_max = 1_472;
            }
            world.get(b"medium", token, 100 * MS);
            world.run(SECOND / reads_per_s);
        }
        world.run(SECOND);
        let context = format!("{reads_per_s} reads/s: {:?}", world.client.counters());
        assert!(world.events.iter().all(|event| matches!(event.end, End::Value(_))), "{context}");
        assert!(world.too_long > 0, "{context}");
        world.run(5 * SECOND);
        assert_eq!(world.client.path().down.proved_bytes, 1_472, "{context}");
    }
}

#[test]
fn a_server_that_dies_gets_no_more_free_retries_than_reads_were_under_way() {
    let config =
        ClientConfig { in_flight_max: 2_048, receive_buffer: ReceiveBuffer::linux(64 << 20), ..config() };
    let mut world = world(config, CLEAN);
    world.run(5 * SECOND);
    world.link.lost = 1000;
    let before = world.client.counters().datagrams_out;
    // The first loss is seen 100 ms / 15 after the first read: 7 to 8 of them are out by then.
    for token in 0..1000 {
        world.get(b"small", token, 100 * MS);
        world.run(MS);
    }
    let counters = *world.client.counters();
    assert!((1..=8 + 10 + 200).contains(&counters.retries), "{counters:?}");
    assert!(counters.datagrams_out - before <= 1000 + counters.retries + counters.probes, "{counters:?}");
    assert!(counters.retries_over_budget > 500, "{counters:?}");
}

#[test]
fn reads_that_only_time_out_raise_the_suspicion_too() {
    let mut world = world(ClientConfig { retries: 0, ..config() }, CLEAN);
    world.run(5 * SECOND);
    world.link.down_max = 1_472;
    world.get(b"large", 1, 100 * MS);
    world.run(99 * MS);
    assert_eq!(world.client.path().down.counters.tests, 0);
    world.run(MS * 2);
    assert_eq!(
        world.client.path().down.counters.tests,
        1,
        "a whole answer was lost that was asked for in 8973 B"
    );
    world.run(10 * SECOND);
    assert_eq!(world.client.path().down.proved_bytes, 1_472);
}

#[test]
fn reads_end_at_once_when_the_kernel_takes_neither_the_long_datagram_nor_the_short_ones() {
    let config = ClientConfig { gets_per_datagram_max: 64, in_flight_max: 64, ..config() };
    let mut world = world(config, CLEAN);
    world.run(10 * SECOND);
    for token in 0..64 {
        let deadline = world.now + SECOND;
        world
            .client
            .get(world.now, &[token as u8 + 1; 250], token, deadline, Join::WithPrevious)
            .expect("room");
    }
    let mut out = vec![0; world.client.transmit_bytes_max()];
    while let Some(sent) = world.client.poll_transmit(world.now, &mut out) {
        world.client.transmit_failed(sent.sequence);
    }
    let (events, now) = (&mut world.events, world.now);
    world.client.handle_timeout(now, &mut |event| events.push(client_support::Seen::new(now, &event)));
    assert_eq!(world.events.len(), 64);
    assert!(world.events.iter().all(|event| event.end == End::NotSent), "{:?}", world.events);
}

#[test]
fn a_retry_that_the_kernel_refuses_ends_nothing() {
    let mut world = world(ClientConfig { retries: 1, ..ClientConfig::default() }, CLEAN);
    world.get(b"small", 1, 100 * MS);
    let mut out = [0; 1200];
    let bytes = world.client.poll_transmit(world.now, &mut out).expect("a request").bytes;
    let answers = world.server.answer(&out[..bytes]);
    let retry = loop {
        world.now = world.client.poll_timeout().expect("the retry");
        world.client.handle_timeout(world.now, &mut |event| panic!("{event:?}"));
        if let Some(retry) = world.client.poll_transmit(world.now, &mut out) {
            break retry;
        }
    };
    assert_eq!(retry.attempt, 1);
    world.client.transmit_failed(retry.sequence);
    world.client.handle_timeout(world.now, &mut |event| panic!("{event:?}"));
    world.feed(&answers[0]);
    assert!(matches!(world.events[0].end, End::Value(_)), "the first request was taken, and is answered");
}

#[test]
fn a_probe_the_kernel_refuses_is_lost_at_once() {
    let mut world = world(config(), CLEAN);
    let mut out = vec![0; world.client.transmit_bytes_max()];
    loop {
        let sent = world.client.poll_transmit(world.now, &mut out).expect("a probe");
        if sent.bytes > 1200 {
            world.client.transmit_failed(sent.sequence);
            break;
        }
        let answers = world.server.answer(&out[..sent.bytes]);
        answers.iter().for_each(|answer| world.feed(answer));
    }
    assert_eq!(world.client.path().up.counters.lost, 1);
    let next = world.client.poll_transmit(world.now, &mut out);
    assert!(next.is_some_and(|next| next.bytes > 1200), "the next size is tried without waiting: {next:?}");
}

#[test]
fn a_probe_answers_two_challenges_and_no_more() {
    let mut world = world(ClientConfig { search_up: false, ..config() }, CLEAN);
    let mut out = vec![0; world.client.transmit_bytes_max()];
    let keys = CookieKeys::new([3; 16]);
    for nth in 0..10 {
        let Some(sent) = world.client.poll_transmit(world.now, &mut out) else {
            assert_eq!(nth, 3, "the probe went out three times");
            break;
        };
        let request = Request::parse(&out[..sent.bytes], Carrier::Udp).expect("valid");
        let mut bytes = [0; 36];
        let header = AnswerHeader::to(&request.header, false);
        let mut writer = DatagramWriter::answer(&mut bytes, &header).expect("room");
        let cookie = keys.make("198.18.0.1".parse().expect("an address"), 1_700_000_000 + nth);
        writer.push(&Frame::Challenge(cookie)).expect("room");
        assert_eq!(writer.finish(), 36);
        world.feed(&bytes);
    }
    assert_eq!(world.client.counters().challenges, 2);
}
