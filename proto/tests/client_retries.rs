//! Asking again: re-requests for as long as they bring something, retries that back off and keep to a budget (PROTOCOL.md, sections 10.2 and 10.3).

mod client_support;

use client_support::{CLEAN, End, Link, MS, World, value_of, wide};
use shingle_proto::client::{ClientConfig, Join};
use shingle_proto::search::SearchConfig;

const SECOND: u64 = 1_000 * MS;

/// Runs a read of 40,000 B of which every answer brings `per_request` chunks at most; gives the times of its requests in ms.
fn asked_at(config: ClientConfig, per_request: impl Fn(usize) -> usize) -> (World, Vec<u64>) {
    let mut world = World::new(config);
    world.server.set(b"large", 1, &value_of(b"large", 1, 40_000));
    world.get(b"large", 1, SECOND);
    let start = world.now;
    let (mut asked, mut out) = (Vec::new(), [0; 1200]);
    while world.events.is_empty() {
        while let Some(transmit) = world.client.poll_transmit(world.now, &mut out) {
            let answers = world.server.answer(&out[..transmit.bytes]);
            answers.iter().take(per_request(asked.len())).for_each(|answer| world.feed(answer));
            asked.push((world.now - start) / MS);
        }
        let Some(next) = world.client.poll_timeout() else { break };
        world.now = next;
        let events = &mut world.events;
        world.client.handle_timeout(next, &mut |event| events.push(client_support::Seen::new(next, &event)));
    }
    (world, asked)
}

#[test]
fn progress_starts_the_count_and_the_gap_over() {
    let config = ClientConfig { rerequests_max: 2, gap_ns: 5 * MS, ..wide() };
    // 36 chunks, 4 an answer: eight re-requests, one gap apart each.
    let (world, asked) = asked_at(config, |_| 4);
    assert_eq!(world.events[0].end, End::Value(value_of(b"large", 1, 40_000)));
    assert_eq!(u64::from(world.events[0].attempts), world.client.counters().rerequests);
    assert!(world.events[0].attempts >= 8, "all are counted: {asked:?}");
    assert!(asked.windows(2).all(|pair| (5..=6).contains(&(pair[1] - pair[0]))), "{asked:?}");
    // Every second answer is lost: the gap doubles once, and starts over.
    let (world, asked) = asked_at(config, |nth| if nth % 2 == 0 { 4 } else { 0 });
    assert_eq!(world.events[0].end, End::Value(value_of(b"large", 1, 40_000)));
    let gaps: Vec<_> = asked.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(
        gaps.iter().enumerate().all(|(nth, gap)| (5 << (nth % 2)..=(5 << (nth % 2)) + 1).contains(gap)),
        "{gaps:?}"
    );
}

#[test]
fn re_requests_in_a_row_without_progress_end() {
    let config = ClientConfig { rerequests_max: 2, gap_ns: 5 * MS, ..wide() };
    // Something comes up to the third request, then nothing any more.
    let (world, asked) = asked_at(config, |nth| if nth < 3 { 4 } else { 0 });
    assert_eq!(asked.len(), 5, "two after the last that brought something: {asked:?}");
    assert!(matches!(world.events[0].end, End::TimedOut { .. }));
    assert_eq!(world.events[0].attempts, 4);
}

#[test]
fn what_was_known_is_no_progress() {
    let config = ClientConfig { rerequests_max: 2, ..wide() };
    let mut world = World::new(config);
    world.server.set(b"large", 1, &value_of(b"large", 1, 40_000));
    world.get(b"large", 1, SECOND);
    let mut out = [0; 1200];
    let bytes = world.client.poll_transmit(world.now, &mut out).expect("a request").bytes;
    let first = world.server.answer(&out[..bytes]).swap_remove(0);
    world.link.lost = 1000;
    for _ in 0..50 {
        world.feed(&first);
        world.run(20 * MS);
    }
    assert_eq!(world.client.counters().rerequests, 2);
}

#[test]
fn retries_back_off_within_the_deadline_and_not_together() {
    let config = ClientConfig {
        retries: 3,
        timeout_ns: 150 * MS,
        retry_budget_percent: 255,
        in_flight_max: 256,
        ..ClientConfig::default()
    };
    let mut world = World::new(config);
    let mut out = [0; 1200];
    let start = world.now;
    for token in 0..20 {
        world.get(b"key", token, 150 * MS);
    }
    let mut asked = vec![Vec::new(); 20];
    while world.client.in_flight() > 0 {
        while let Some(sent) = world.client.poll_transmit(world.now, &mut out) {
            asked[sent.first_token as usize].push(world.now - start);
        }
        world.now = world.client.poll_timeout().expect("a deadline");
        let now = world.now;
        let events = &mut world.events;
        world.client.handle_timeout(now, &mut |event| events.push(client_support::Seen::new(now, &event)));
    }
    // 150 ms / 15 = 10 ms, then 20 and 40, an eighth more or less each, and a tick of the timers.
    for times in &asked {
        let gaps: Vec<_> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert_eq!(gaps.len(), 3, "{times:?}");
        for (gap, plain) in gaps.iter().zip([10, 20, 40]) {
            assert!((plain * MS * 7 / 8..=plain * MS * 9 / 8 + 65_536).contains(gap), "{gap} for {plain} ms");
        }
    }
    let mut first_retries: Vec<_> = asked.iter().map(|times| times[1] / 65_536).collect();
    first_retries.sort_unstable();
    first_retries.dedup();
    assert!(first_retries.len() > 8, "spread over 38 ticks: {first_retries:?}");
    assert!(world.events.iter().all(|event| event.attempts == 3));
    assert_eq!(world.client.counters().retries, 60);
}

#[test]
fn a_dead_server_gets_the_reserve_of_retries_and_a_fifth_of_the_reads() {
    let config =
        ClientConfig { retries: 5, timeout_ns: 50 * MS, in_flight_max: 2048, ..ClientConfig::default() };
    let mut world = World::new(config);
    world.link.lost = 1000;
    for token in 0..1000 {
        world.get(b"key", token, 50 * MS);
        world.run(MS / 10);
    }
    world.run(SECOND);
    let counters = world.client.counters();
    assert_eq!(world.events.len(), 1000);
    assert_eq!(counters.retries, 10 + 1000 * 20 / 100);
    assert_eq!(counters.datagrams_out, 1000 + counters.retries);
    assert!(counters.retries_over_budget > 500, "{counters:?}");
    assert!(world.events.iter().all(|event| event.at_ns < SECOND + 300 * MS
        && event.end == End::TimedOut { received_bytes: 0, total_bytes: 0, corrupt: 0 }));
    // Recovered, what reads earn is saved up, to a cap.
    world.link = CLEAN;
    for token in 0..5000 {
        world.get(b"key", token, 50 * MS);
        world.run(MS);
    }
    world.link.lost = 1000;
    for token in 0..200 {
        world.client.get(world.now, b"key", token, world.now + 50 * MS, Join::Alone).expect("room");
    }
    world.run(SECOND);
    assert_eq!(world.client.counters().retries, 210 + 100);
}

#[test]
fn retries_at_five_percent_loss_cost_at_most_a_quarter_more_datagrams() {
    let datagrams = |lost, datagram_max| {
        let config = ClientConfig {
            retries: 3,
            gap_ns: 3 * MS,
            in_flight_max: 64,
            datagram_max,
            ..ClientConfig::default()
        };
        let mut world = World::new(config);
        world.link = Link { lost, ..CLEAN };
        world.server.set(b"small", 1, &[1; 300]);
        world.server.set(b"large", 1, &value_of(b"large", 1, 60_000));
        for token in 0..3000 {
            let key: &[u8] = if token % 20 == 0 { b"large" } else { b"small" };
            world.get(key, token, 100 * MS);
            world.run(2 * MS);
        }
        world.run(SECOND);
        let values = world.events.iter().filter(|event| matches!(event.end, End::Value(_))).count();
        assert!(values >= 2995, "{values} of 3000 at {lost} per mille");
        world.datagrams
    };
    for datagram_max in [1_200, 1_472, 8_973] {
        let (clean, lossy) = (datagrams(0, datagram_max), datagrams(50, datagram_max));
        assert!(lossy * 100 <= clean * 125, "{lossy} for {clean} at {datagram_max}");
    }
}

#[test]
fn a_long_round_trip_is_no_loss() {
    let datagrams = |round_trip_ns, search| {
        let config = ClientConfig { search, retries: 2, ..ClientConfig::default() };
        let mut world = World::new(config);
        world.link = Link { delay_ns: round_trip_ns / 2, ..CLEAN };
        world.server.set(b"mebibyte", 1, &value_of(b"mebibyte", 1, 1 << 20));
        world.run(5 * SECOND);
        let before = world.datagrams;
        for token in 0..20 {
            world.get(b"mebibyte", token, 60 * SECOND);
            world.run(30 * SECOND);
        }
        let counters = *world.client.counters();
        assert!(world.events.iter().all(|event| matches!(event.end, End::Value(_))), "{counters:?}");
        assert!(counters.rerequests + counters.retries <= 3, "{round_trip_ns} ns: {counters:?}");
        assert_eq!(world.client.path().down.counters.tests, 0, "{round_trip_ns} ns");
        world.datagrams - before
    };
    for search in [None, Some(SearchConfig { datagram_max: 8_973, ..SearchConfig::default() })] {
        let near = datagrams(MS, search);
        for far_ms in [4, 8, 20, 60, 300] {
            let far = datagrams(far_ms * MS, search);
            assert!(far * 10 <= near * 11, "{far} datagrams at {far_ms} ms, {near} at 1 ms");
        }
    }
}

#[test]
fn the_gap_follows_the_round_trip_up_and_down() {
    let mut world = World::new(ClientConfig { rerequests_max: 10, ..ClientConfig::default() });
    world.server.set(b"large", 1, &value_of(b"large", 1, 20_000));
    // Time from the last chunk that came to the re-request for the one that did not.
    let mut gap_ms = |round_trip_ms: u64| {
        let mut out = [0; 1200];
        for _ in 0..100 {
            world.get(b"large", 1, SECOND);
            let bytes = world.client.poll_transmit(world.now, &mut out).expect("a request").bytes;
            world.now += round_trip_ms * MS;
            let answers = world.server.answer(&out[..bytes]);
            answers.iter().for_each(|answer| world.feed(answer));
        }
        let read =
            world.client.get(world.now, b"large", 2, world.now + 20 * SECOND, Join::Alone).expect("room");
        let bytes = world.client.poll_transmit(world.now, &mut out).expect("a request").bytes;
        world.now += round_trip_ms * MS;
        let first = world.server.answer(&out[..bytes]).swap_remove(0);
        world.feed(&first);
        let since = world.now;
        while world.client.poll_transmit(world.now, &mut out).is_none() {
            world.now = world.client.poll_timeout().expect("the gap");
            world.client.handle_timeout(world.now, &mut |_| {});
        }
        world.client.cancel(read);
        (world.now - since) / MS
    };
    assert_eq!(gap_ms(0), 5);
    assert!((61..=63).contains(&gap_ms(60)));
    assert_eq!(gap_ms(1), 5, "down again");
    assert!((1000..=1001).contains(&gap_ms(5_000)), "the most there is");
}

/// Reads 20,000 B, or a small value with a retry. Of the answer to the first request `late` come only when the request was repeated, and
/// before or (`again_first`) after the answer to that.
fn asked_again(key: &[u8], late: impl Fn(usize) -> bool, again_first: Option<bool>) -> World {
    let mut world = World::new(ClientConfig { retries: 1, timeout_ns: 90 * MS, ..ClientConfig::default() });
    world.server.set(b"large", 1, &value_of(b"large", 1, 20_000));
    world.server.set(b"small", 1, b"value");
    world.get(key, 1, SECOND);
    let mut out = [0; 2048];
    let bytes = world.client.poll_transmit(world.now, &mut out).expect("a request").bytes;
    let (kept, now): (Vec<_>, Vec<_>) =
        world.server.answer(&out[..bytes]).into_iter().enumerate().partition(|(nth, _)| late(*nth));
    now.iter().for_each(|(_, answer)| world.feed(answer));
    let bytes = loop {
        world.now = world.client.poll_timeout().expect("it waits for the rest");
        world.client.handle_timeout(world.now, &mut |event| panic!("{event:?}"));
        if let Some(transmit) = world.client.poll_transmit(world.now, &mut out) {
            break transmit.bytes;
        }
    };
    let again = world.server.answer(&out[..bytes]);
    let first: Vec<_> = kept.into_iter().map(|(_, answer)| answer).collect();
    match again_first {
        None => again.iter().for_each(|answer| world.feed(answer)),
        Some(true) => again.iter().chain(&first).for_each(|answer| world.feed(answer)),
        Some(false) => first.iter().chain(&again).for_each(|answer| world.feed(answer)),
    }
    world
}

#[test]
fn what_was_late_and_asked_for_in_vain_is_told_from_what_was_lost() {
    for (key, value) in [(&b"large"[..], value_of(b"large", 1, 20_000)), (b"small", b"value".to_vec())] {
        let late = |nth: usize| nth == 0 || nth == 4;
        for (again_first, spurious) in [(None, false), (Some(true), false), (Some(false), true)] {
            let world = asked_again(key, late, again_first);
            let event = &world.events[0];
            assert_eq!((&event.end, event.attempts), (&End::Value(value.clone()), 1));
            assert_eq!(event.spurious, spurious, "{again_first:?}");
        }
    }
}
