//! A chunk that arrives after the path shrank: its size is no longer one to ask for (PROTOCOL.md, section 4.1).

mod client_support;

use client_support::{End, MS, World, value_of, wide};
use shingle_proto::client::{ClientConfig, Join};
use shingle_proto::search::SearchConfig;

const SECOND: u64 = 1000 * MS;

#[test]
fn a_chunk_later_than_the_lowering_does_not_bring_its_size_back() {
    let search = SearchConfig { datagram_max: 8_973, ..SearchConfig::default() };
    let mut world = World::new(ClientConfig { search: Some(search), ..wide() });
    let value = value_of(b"held", 1, 40_000);
    world.server.set(b"held", 1, &value);
    world.server.set(b"lost", 1, &value_of(b"lost", 1, 5_000));
    world.run(10 * SECOND);
    assert_eq!(world.client.path().down.proved_bytes, 8_973);

    // Asked for in the large size; the first chunk of the answer is held up somewhere, the others are lost.
    world.client.get(world.now, b"held", 1, world.now + 20 * SECOND, Join::Alone).expect("accepted");
    let mut out = vec![0; world.client.transmit_bytes_max()];
    let sent = world.client.poll_transmit(world.now, &mut out).expect("a request");
    let held = world.server.answer(&out[..sent.bytes]).swap_remove(0);
    assert!(held.len() > 8_000, "{}", held.len());

    // Another read is lost to the size the path no longer carries, which is lowered.
    world.link.down_max = 1_472;
    world.get(b"lost", 2, 50 * MS);
    world.run(10 * SECOND);
    assert_eq!(world.client.path().down.proved_bytes, 1_472);

    // The rest of the first one is asked for in a size that passes: `World` refuses a request that announces more than is proved.
    let before = world.server.requests.len();
    world.feed(&held);
    // So late a chunk makes the gap as long as it gets, a second.
    world.run(3 * SECOND);
    assert_eq!(world.server.requests[before].datagram_max, 1_472);
    assert_eq!(world.events.last().map(|seen| (seen.token, &seen.end)), Some((1, &End::Value(value))));
}
