//! Heartbeats and what the client says of the server (PROTOCOL.md, section 11).

mod client_support;

use client_support::{CLEAN, End, MS, World};
use shingle_proto::client::{Client, ClientConfig, ServerState};
use shingle_proto::wire::{Carrier, Frame, Probe, Request};

const SECOND: u64 = 1_000 * MS;

fn world(heartbeat_ns: u64) -> World {
    let mut world = World::new(ClientConfig { heartbeat_ns, ..ClientConfig::default() });
    world.server.set(b"key", 1, b"value");
    world
}

#[test]
fn an_idle_client_asks_for_a_sign_of_life_once_an_interval() {
    for served in [true, false] {
        let mut world = world(100 * MS);
        world.server.probes_served = served;
        assert_eq!(world.client.server_state(), ServerState::Unheard);
        world.run(99 * MS);
        assert_eq!((world.client.server_state(), world.server.requests.len()), (ServerState::Unheard, 0));
        world.run(10 * SECOND);
        assert_eq!(world.client.server_state(), ServerState::Answering, "a refusal is a sign of life, too");
        let counters = world.client.counters();
        assert!((99..=101).contains(&counters.heartbeats), "{counters:?}");
        assert_eq!((counters.heartbeats, counters.gets, counters.probes), (counters.datagrams_out, 0, 0));
        assert_eq!(counters.bytes_out, 48 * counters.heartbeats);
        assert!(world.events.is_empty());
        assert!(world.client.poll_timeout().is_some_and(|at| at > world.now && at <= world.now + 100 * MS));
    }
}

#[test]
fn a_heartbeat_is_the_shortest_probe_there_is() {
    let config = ClientConfig { heartbeat_ns: MS, flow: 9, telemetry: true, ..ClientConfig::default() };
    let mut client = Client::new(config).expect("in range");
    client.set_cookie(shingle_proto::cookie::Cookie([1; 16]));
    let mut out = [0; 1200];
    assert_eq!(client.poll_transmit(0, &mut out), None, "the clock begins");
    let sent = client.poll_transmit(MS, &mut out).expect("a heartbeat");
    assert_eq!((sent.bytes, sent.reads, sent.sequence), (48, 0, 0));
    let request = Request::parse(&out[..48], Carrier::Udp).expect("valid");
    let probe = Frame::Probe(Probe { up: true, down: false, size: 48, id: 0 });
    assert!(request.frames().eq([probe]), "no cookie, no telemetry");
    assert_eq!((request.header.flow, request.header.telemetry), (9, false));
    assert_eq!(client.poll_transmit(MS, &mut out), None, "one an interval");
}

#[test]
fn reads_that_are_answered_need_no_heartbeats() {
    let mut world = world(100 * MS);
    for token in 0..100 {
        world.get(b"key", token, SECOND);
        world.run(50 * MS);
    }
    assert_eq!((world.client.counters().heartbeats, world.events.len()), (0, 100));
    assert_eq!(world.client.server_state(), ServerState::Answering);
}

#[test]
fn silence_is_noticed_after_four_intervals_and_so_is_its_end() {
    let mut world = world(100 * MS);
    world.get(b"key", 1, SECOND);
    world.run(MS / 2);
    let heard = world.now;
    world.link.lost = 1000;
    world.run(399 * MS);
    assert_eq!(world.client.server_state(), ServerState::Answering);
    world.run(2 * MS);
    assert_eq!(world.client.server_state(), ServerState::Silent { since_ns: heard });
    world.run(10 * SECOND);
    assert_eq!(world.client.server_state(), ServerState::Silent { since_ns: heard }, "since is not moved");
    assert!(world.client.counters().heartbeats > 100, "heartbeats go on");
    world.link = CLEAN;
    world.run(101 * MS);
    assert_eq!(world.client.server_state(), ServerState::Answering);
    world.server.draining = true;
    world.run(101 * MS);
    assert_eq!(world.client.server_state(), ServerState::Draining);
}

#[test]
fn a_server_that_never_answered_is_silent_since_the_first_call() {
    let mut world = world(10 * MS);
    world.link.lost = 1000;
    let start = world.now;
    world.run(50 * MS);
    assert_eq!(world.client.server_state(), ServerState::Silent { since_ns: start });
}

#[test]
fn only_valid_answers_of_the_flow_are_signs_of_life() {
    let mut world = world(10 * MS);
    let mut other = World::new(ClientConfig { flow: 1, ..ClientConfig::default() });
    other.get(b"key", 1, SECOND);
    let mut out = [0; 1200];
    let bytes = other.client.poll_transmit(0, &mut out).expect("a request").bytes;
    let foreign = other.server.answer(&out[..bytes]).swap_remove(0);
    world.link.lost = 1000;
    for _ in 0..50 {
        world.run(MS);
        world.feed(&foreign);
        world.feed(&foreign[1..]);
    }
    assert!(matches!(world.client.server_state(), ServerState::Silent { .. }));
}

#[test]
fn without_heartbeats_nothing_is_silent() {
    let mut world = world(0);
    world.get(b"key", 1, SECOND);
    world.run(MS);
    world.link.lost = 1000;
    world.get(b"key", 2, SECOND);
    world.run(100 * SECOND);
    assert_eq!(world.client.server_state(), ServerState::Answering);
    assert!(matches!(world.events[1].end, End::TimedOut { .. }));
    assert_eq!((world.client.counters().heartbeats, world.client.poll_timeout()), (0, None));
}

#[test]
fn a_driver_that_was_stopped_blames_nobody() {
    let mut world = world(10 * MS);
    world.get(b"key", 1, SECOND);
    world.run(MS);
    world.now += 10 * SECOND; // nothing ran
    world.client.handle_timeout(world.now, &mut |event| panic!("{event:?}"));
    assert_eq!(world.client.server_state(), ServerState::Answering);
    world.run(MS);
    assert_eq!(world.client.server_state(), ServerState::Answering, "its heartbeat was answered");
}

#[test]
fn one_heartbeat_without_an_answer_blames_nobody() {
    let mut world = World::new(ClientConfig { heartbeat_ns: 250 * MS, ..ClientConfig::default() });
    world.run(100 * MS);
    let mut out = [0; 1200];
    world.now += 250 * MS;
    assert!(world.client.poll_transmit(world.now, &mut out).is_some(), "a heartbeat");
    world.now += 60_000 * MS; // the driver itself was stopped
    world.client.handle_timeout(world.now, &mut |_| {});
    assert!(!matches!(world.client.server_state(), ServerState::Silent { .. }));
    for _ in 0..2 {
        assert!(world.client.poll_transmit(world.now, &mut out).is_some(), "a heartbeat");
        world.now += 250 * MS;
        world.client.handle_timeout(world.now, &mut |_| {});
    }
    assert!(matches!(world.client.server_state(), ServerState::Silent { .. }), "three");
}

#[test]
fn at_the_end_of_time_there_is_no_next_heartbeat() {
    for heartbeat_ns in [1, 250 * MS, u64::MAX] {
        let mut world = World::new(ClientConfig { heartbeat_ns, ..ClientConfig::default() });
        let mut out = [0; 1200];
        let handed_out =
            (0..100).filter(|_| world.client.poll_transmit(u64::MAX, &mut out).is_some()).count();
        assert!(handed_out <= 1, "{heartbeat_ns}");
    }
}
