//! Pipelined updates: their outcomes, their window, and that neither side waits for the other to read first.

mod peer;

use std::time::Duration;

use peer::{Connection, Peer, only_frame};
use shingle_client::control::{Control, ControlError, ErrorCode};
use shingle_client::limits::UPDATES_IN_FLIGHT_MAX;
use shingle_proto::wire::{Control as Request, Frame, Pong};

fn connect(peer: &Peer) -> Control {
    Control::connect(&peer.host_port(), b"", Duration::from_secs(20)).unwrap()
}

/// Answers one request: a SET by its value's length, unless its key is `refused`; a DELETE by 1.
fn answer(connection: &mut Connection, request: &[u8]) {
    match only_frame(request) {
        Frame::Control(Request::Set(set)) if set.key == b"refused" => {
            // As long as a text can be, so that answers need as much room as requests.
            connection.error(set.id, ErrorCode::StoreFull, &"no room ".repeat(6000));
        }
        Frame::Control(Request::Set(set)) => connection.done(set.id, set.value.len() as u64),
        Frame::Control(Request::Delete(delete)) => connection.done(delete.id, 1),
        Frame::Control(Request::Ping(ping)) => {
            let pong = Pong { id: ping.id, draining: false, payload: ping.payload };
            connection.answer(&Frame::Control(Request::Pong(pong)));
        }
        other => panic!("{other:?}"),
    }
}

fn answering() -> Peer {
    Peer::welcoming(|connection| {
        while let Some(request) = connection.next() {
            answer(connection, &request);
        }
    })
}

#[test]
fn every_update_has_its_outcome_in_order() {
    let peer = answering();
    let mut control = connect(&peer);
    let mut outcomes = Vec::new();
    let mut updates = control.updates(|number, outcome| {
        outcomes.push((number, outcome.map_err(|error| error.to_string().contains("refused SET: no room"))));
    });
    for (key, value) in [(&b"a"[..], &b"123"[..]), (b"refused", b""), (b"b", b"12345")] {
        updates.set(key, value, 0).unwrap();
        // It is left out.
        assert!(matches!(updates.set(b"", value, 0), Err(ControlError::Key { bytes: 0 })));
    }
    updates.delete(b"a").unwrap();
    updates.finish().unwrap();
    assert_eq!(outcomes, [(0, Ok(3)), (1, Err(true)), (2, Ok(5)), (3, Ok(1))]);
    assert!(control.ping().is_ok());
    drop(control);
    peer.join();
}

#[test]
fn a_stream_that_is_dropped_leaves_the_connection_usable() {
    let peer = answering();
    let mut control = connect(&peer);
    let mut updates = control.updates(|_, _| ());
    updates.set(b"sent", b"v", 0).unwrap();
    updates.send().unwrap();
    updates.set(b"forgotten", b"v", 0).unwrap();
    drop(updates);
    assert!(control.ping().is_ok());
    assert_eq!(control.set(b"k", b"12", 0).unwrap(), 2);
    drop(control);
    peer.join();
}

/// Large values one way, long refusals the other, from a peer that reads nothing while it writes: together they are more than
/// the kernel keeps for both directions, and than the client keeps unread.
#[test]
fn neither_side_waits_for_the_other_to_read_first() {
    const AT_ONCE: usize = 400;
    const UPDATES: u64 = 2 * AT_ONCE as u64;
    let peer = Peer::welcoming(|connection| {
        for _ in 0..2 {
            let requests: Vec<_> = std::iter::from_fn(|| connection.next()).take(AT_ONCE).collect();
            requests.iter().for_each(|request| answer(connection, request));
        }
    });
    let mut control = connect(&peer);
    let mut refused = 0;
    let mut updates = control.updates(|_, outcome| refused += u64::from(outcome.is_err()));
    for _ in 0..UPDATES {
        updates.set(b"refused", &[7; 40_000], 0).unwrap();
    }
    updates.finish().unwrap();
    assert_eq!(refused, UPDATES);
    drop(control);
    peer.join();
}

#[test]
fn no_more_are_on_their_way_than_the_window() {
    const UPDATES: usize = 3 * UPDATES_IN_FLIGHT_MAX;
    // Answers nothing until the client has stopped sending.
    let peer = Peer::welcoming(|connection| {
        let mut seen = 0;
        connection.stream.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
        while seen < UPDATES {
            let waiting: Vec<_> = std::iter::from_fn(|| connection.next()).collect();
            assert!(waiting.len() <= UPDATES_IN_FLIGHT_MAX, "{} at once", waiting.len());
            waiting.iter().for_each(|request| answer(connection, request));
            seen += waiting.len();
        }
        assert_eq!(seen, UPDATES);
    });
    let mut control = connect(&peer);
    let mut updates = control.updates(|_, outcome| assert_eq!(outcome.unwrap(), 1));
    for number in 0..UPDATES as u32 {
        updates.set(&number.to_be_bytes(), b"v", 0).unwrap();
    }
    updates.finish().unwrap();
    peer.join();
    drop(control);
}
