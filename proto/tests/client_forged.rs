//! Answers that nobody asked for: what an attacker who cannot see the flow must guess (PROTOCOL.md, section 9).

mod client_support;

use client_support::{End, MS, World, value_of};
use shingle_proto::client::{ClientConfig, Join, ServerState};
use shingle_proto::cookie::Cookie;
use shingle_proto::search::{SearchConfig, SearchState};
use shingle_proto::wire::{
    AnswerHeader, Carrier, Chunk, DatagramWriter, Frame, Probe, Refusal, Refused, Request, Value,
};

const SECOND: u64 = 1_000 * MS;
const SECRET: u32 = 0xFFFF_FFF0; // sequences wrap soon

fn answer(sequence: u32, frames: &[Frame<'_>], pad: usize) -> Vec<u8> {
    let mut bytes = vec![0; 9_000];
    let header = AnswerHeader { attempt: 0, flow: 0, sequence, draining: true };
    let mut writer = DatagramWriter::answer(&mut bytes, &header).expect("room");
    frames.iter().for_each(|frame| writer.push(frame).expect("room"));
    writer.pad_to(pad);
    let length = writer.finish();
    bytes.truncate(length);
    bytes
}

/// All that could end a read, or begin to.
fn frames(id: u32) -> [Frame<'static>; 4] {
    let chunk = Chunk { id, version: u64::MAX, total: 2_000, offset: 0, bytes: &[7; 100] };
    [
        Frame::Miss { id },
        Frame::Refused(Refused { id, reason: Refusal::Unreadable, detail: 0 }),
        Frame::Value(Value { id, sealed: &[0; 20] }),
        Frame::Chunk(chunk),
    ]
}

/// The id of the read in a request.
fn id_of(request: &[u8]) -> u32 {
    let request = Request::parse(request, Carrier::Udp).expect("valid");
    let ids =
        request.frames().filter_map(|frame| if let Frame::Get(get) = frame { Some(get.id) } else { None });
    ids.last().expect("a GET")
}

#[test]
fn sequences_and_ids_begin_at_the_secret_and_reads_work_across_the_wrap() {
    let mut world = World::new(ClientConfig { secret: SECRET, ..ClientConfig::default() });
    world.server.set(b"large", 1, &value_of(b"large", 1, 50_000));
    for token in 0..40 {
        world.get(if token % 2 == 0 { b"large" } else { b"none" }, token, SECOND);
        world.run(2 * MS);
    }
    assert_eq!(world.server.requests[0].sequence, SECRET);
    assert!(world.server.requests.last().expect("some").sequence < 100, "they wrapped");
    assert_eq!(world.events.len(), 40);
    assert!(world.events.iter().all(|event| matches!(event.end, End::Value(_) | End::Miss)));
    assert_eq!((world.client.counters().duplicates, world.client.counters().rerequests), (0, 0));
    let mut out = [0; 1200];
    let mut ids = [1, 2].map(|secret| {
        let mut world = World::new(ClientConfig { secret, ..ClientConfig::default() });
        world.get(b"key", 0, SECOND);
        let bytes = world.client.poll_transmit(world.now, &mut out).expect("a request").bytes;
        id_of(&out[..bytes])
    });
    ids.sort_unstable();
    assert_ne!(ids[0], ids[1]);
}

#[test]
fn a_read_is_answered_only_by_sequences_from_its_first_request_to_its_newest() {
    let config = ClientConfig { secret: SECRET, retries: 1, timeout_ns: 30 * MS, ..ClientConfig::default() };
    let mut world = World::new(config);
    world.link.lost = 1000;
    let mut out = [0; 1200];
    world.get(b"other", 0, SECOND);
    let bytes = world.client.poll_transmit(world.now, &mut out).expect("a request").bytes;
    world.get(b"key", 1, SECOND);
    let unsent = ((id_of(&out[..bytes]) ^ SECRET) + 1) ^ SECRET; // of the slot claimed next
    for frame in frames(unsent) {
        world.feed(&answer(SECRET, &[frame], 0));
    }
    world.feed(&answer(SECRET.wrapping_add(1), &[Frame::Miss { id: unsent }], 0));
    assert_eq!(world.events, [], "nothing of it was sent");
    let sent = world.client.poll_transmit(world.now, &mut out).expect("a request");
    let (first, id) = (sent.sequence, id_of(&out[..sent.bytes]));
    assert_eq!(id, unsent);
    world.run(20 * MS); // both are sent again
    let newest = first.wrapping_add(2);
    for sequence in [first.wrapping_sub(1), newest.wrapping_add(1), first ^ (1 << 31), 0xDEAD_BEEF] {
        let before = world.client.counters().duplicates;
        for frame in frames(id) {
            world.feed(&answer(sequence, &[frame], 0));
        }
        assert_eq!(world.client.counters().duplicates, before + 4, "{sequence:#x}");
    }
    assert_eq!((world.events.len(), world.client.in_flight()), (0, 2));
    world.feed(&answer(first, &[Frame::Miss { id }], 0));
    assert_eq!(world.events[0].end, End::Miss, "an answer to the first request still counts");
}

#[test]
fn cookies_signs_of_life_and_draining_are_taken_only_from_answers() {
    let mut world = World::new(ClientConfig { secret: 77, ..ClientConfig::default() });
    world.client.set_cookie(Cookie([1; 16]));
    let cookie = Frame::Cookie(Cookie([9; 16]));
    world.get(b"key", 0, SECOND);
    let mut out = [0; 1200];
    let bytes = world.client.poll_transmit(world.now, &mut out).expect("a request").bytes;
    for sequence in [76, 78, 0, u32::MAX] {
        world.feed(&answer(sequence, &[cookie, Frame::Miss { id: id_of(&out[..bytes]) }], 0));
        assert_eq!(world.client.cookie(), Some(Cookie([1; 16])), "{sequence}");
        assert_eq!(world.client.server_state(), ServerState::Unheard, "{sequence}");
    }
    world.feed(&answer(77, &[cookie], 0));
    assert_eq!(world.client.cookie(), Some(Cookie([9; 16])));
    assert_eq!(world.client.server_state(), ServerState::Draining);
}

#[test]
fn a_late_answer_is_known_when_its_request_is_long_forgotten() {
    let mut world = World::new(ClientConfig { in_flight_max: 2, ..ClientConfig::default() });
    let mut out = [0; 1200];
    world.get(b"key", 1, MS);
    let sent = world.client.poll_transmit(world.now, &mut out).expect("a request");
    let (late, id) = (sent.sequence, id_of(&out[..sent.bytes]));
    world.run(10 * MS);
    for _ in 0..1_000 {
        let read = world.client.get(world.now, b"key", 2, world.now + SECOND, Join::Alone).expect("room");
        assert!(world.client.poll_transmit(world.now, &mut out).is_some());
        world.client.cancel(read);
    }
    world.feed(&answer(late, &[Frame::Miss { id }], 0));
    assert!(matches!(world.events[1].end, End::Late { complete: true, .. }), "{:?}", world.events);
    assert_eq!(world.client.server_state(), ServerState::Draining, "it is a sign of life");
}

#[test]
fn a_probe_is_answered_only_with_its_id() {
    let search = SearchConfig { datagram_max: 8_972, ..SearchConfig::default() };
    let mut world = World::new(ClientConfig { secret: 5, search: Some(search), ..ClientConfig::default() });
    let mut out = [0; 1200];
    let probe = |size, id| Frame::ProbeAck(Probe { up: false, down: true, size, id });
    let mut forged = 0;
    for pad in [1_200, 8_972] {
        let sent = world.client.poll_transmit(world.now, &mut out).expect("a probe");
        for id in [0, sent.sequence + 1, u32::MAX] {
            world.feed(&answer(sent.sequence, &[probe(1_200, id)], pad));
            for reason in [Refusal::NotServed, Refusal::TooBig] {
                world.feed(&answer(
                    sent.sequence,
                    &[Frame::Refused(Refused { id, reason, detail: 1_200 })],
                    0,
                ));
            }
            forged += 1;
        }
        let down = world.client.path().down;
        assert_eq!((down.proved_bytes, down.counters.raised), (1_200, 0), "{down:?}");
        assert_ne!(down.state, Some(SearchState::Disabled));
        world.feed(&answer(sent.sequence, &[probe(1_200, sent.sequence)], pad));
    }
    assert_eq!((forged, world.client.path().down.proved_bytes), (6, 8_972));
}
