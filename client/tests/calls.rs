//! Updates, administration and reads over TCP, against a peer that follows a script.

mod peer;

use std::collections::HashMap;
use std::time::Duration;

use peer::{Connection, Peer, VALUE_BYTES_MAX, only_frame};
use shingle_client::control::{Control, ControlError};
use shingle_proto::checksum::crc32c_of;
use shingle_proto::chunk::Chunks;
use shingle_proto::seal;
use shingle_proto::wire::{
    Chunk, Control as Request, ErrorCode, FlushWhat, Frame, Outcome, Pong, Receipt, ReceiptList, Receipts,
    Refusal, Refused, Text, Value,
};

const PATIENT: Duration = Duration::from_secs(20);

fn connect(peer: &Peer) -> Control {
    Control::connect(&peer.host_port(), b"", PATIENT).unwrap()
}

/// A peer that stores what it is sent, refuses every `refuse`th SET, and answers anything that a store can.
fn store(refuse: Option<u64>) -> Peer {
    Peer::welcoming(move |connection| {
        let mut values: HashMap<Vec<u8>, Vec<u8>> = HashMap::new();
        let mut sets = 0;
        while let Some(request) = connection.next() {
            match only_frame(&request) {
                Frame::Control(Request::Set(set)) => {
                    sets += 1;
                    assert_eq!(set.checksum, crc32c_of(&[set.key, set.value]));
                    if refuse.is_some_and(|nth| sets % nth == 0) {
                        connection.error(set.id, ErrorCode::StoreFull, "no room");
                    } else {
                        values.insert(set.key.to_vec(), set.value.to_vec());
                        connection.done(set.id, sets);
                    }
                }
                Frame::Get(get) => match values.get(get.key) {
                    None => connection.answer(&Frame::Miss { id: get.id }),
                    Some(value) => send_value(connection, get.id, &sealed(get.key, value), 1000),
                },
                Frame::Control(Request::Delete(delete)) => {
                    connection.done(delete.id, values.remove(delete.key).is_some().into());
                }
                Frame::Control(Request::Flush(flush)) if flush.what == FlushWhat::Values => {
                    connection.done(flush.id, values.drain().count() as u64);
                }
                Frame::Control(Request::Flush(flush)) => {
                    connection.error(flush.id, ErrorCode::NotPermitted, "no right")
                }
                Frame::Control(Request::Stats { id }) => {
                    connection.answer(&Frame::Control(Request::Text(Text { id, text: "{\"sets\":1}" })));
                }
                Frame::Control(Request::Ping(ping)) => {
                    let pong = Pong { id: ping.id, draining: true, payload: ping.payload };
                    connection.answer(&Frame::Control(Request::Pong(pong)));
                }
                Frame::Control(Request::Drain { id }) => connection.done(id, 0),
                other => panic!("{other:?}"),
            }
        }
    })
}

fn sealed(key: &[u8], value: &[u8]) -> Vec<u8> {
    [&seal::seal(key, value)[..], value].concat()
}

/// In chunks of at most `capacity` bytes, or whole if it fits.
fn send_value(connection: &mut Connection, id: u32, sealed: &[u8], capacity: usize) {
    if sealed.len() <= capacity {
        return connection.answer(&Frame::Value(Value { id, sealed }));
    }
    for range in Chunks::new(sealed.len() as u32, capacity as u32) {
        let (offset, end) = (range.offset as usize, (range.offset + range.length) as usize);
        let bytes = &sealed[offset..end];
        connection.answer(&Frame::Chunk(chunk(id, sealed.len(), range.offset, bytes)));
    }
}

fn chunk(id: u32, total: usize, offset: u32, bytes: &[u8]) -> Chunk<'_> {
    Chunk { id, version: 5, total: total as u32, offset, bytes }
}

#[test]
fn every_call_once() {
    let peer = store(None);
    let mut control = connect(&peer);
    let large: Vec<u8> = (0..100_000_u32).map(|i| (i * 7) as u8).collect();
    assert_eq!(control.get(b"a").unwrap(), None);
    assert_eq!(control.set(b"a", b"", 0).unwrap(), 1);
    assert_eq!(control.set(b"b", &large, 60).unwrap(), 2);
    assert_eq!(control.get(b"a").unwrap().as_deref(), Some(&b""[..]));
    assert_eq!(control.get(b"b").unwrap(), Some(large));
    assert!(control.delete(b"a").unwrap());
    assert!(!control.delete(b"a").unwrap());
    assert_eq!(control.flush(FlushWhat::Values).unwrap(), 1);
    assert_eq!(control.stats().unwrap(), "{\"sets\":1}");
    assert!(control.ping().unwrap().draining);
    control.drain().unwrap();
    drop(control);
    peer.join();
}

#[test]
fn refusals_and_bad_arguments_leave_the_connection_usable() {
    let peer = store(None);
    let mut control = connect(&peer);
    let error = control.flush(FlushWhat::PathMtus).unwrap_err();
    assert!(
        matches!(error, ControlError::Server { request: "FLUSH", code: ErrorCode::NotPermitted, .. }),
        "{error}"
    );
    assert!(!error.connection_lost());
    assert!(matches!(control.set(b"", b"", 0), Err(ControlError::Key { bytes: 0 })));
    assert!(matches!(control.get(&[b'k'; 251]), Err(ControlError::Key { bytes: 251 })));
    assert!(matches!(control.delete(b""), Err(ControlError::Key { bytes: 0 })));
    let too_long = vec![0; VALUE_BYTES_MAX as usize + 1];
    let error = control.set(b"k", &too_long, 0).unwrap_err();
    assert_eq!(error.to_string(), "value has 1048577 B; this server keeps at most 1048576 B");
    assert_eq!(control.set(b"k", &too_long[1..], 0).unwrap(), 1);
    assert_eq!(control.get(b"k").unwrap().unwrap().len(), 1 << 20);
    drop(control);
    peer.join();
}

#[test]
fn many_updates_are_all_stored_and_counted() {
    const VALUES: u32 = 100_000;
    let peer = store(None);
    let mut control = connect(&peer);
    let items = (0..VALUES).map(|i| (i.to_be_bytes(), i.to_le_bytes(), 0));
    let mut progress = Vec::new();
    assert_eq!(control.set_all(items, |done| progress.push(done)).unwrap(), u64::from(VALUES));
    assert!(progress.is_sorted());
    assert_eq!(progress.last(), Some(&u64::from(VALUES)));
    assert!(progress.len() > 10, "called {} times", progress.len());
    for i in [0, 1, VALUES - 1] {
        assert_eq!(control.get(&i.to_be_bytes()).unwrap().as_deref(), Some(&i.to_le_bytes()[..]));
    }
    assert_eq!(control.flush(FlushWhat::Values).unwrap(), u64::from(VALUES));
    assert_eq!(control.set_all(std::iter::empty::<(&[u8], &[u8], u32)>(), |_| {}).unwrap(), 0);
    // Values larger than a batch.
    let large = vec![1; 1 << 20];
    assert_eq!(control.set_all((0..8_u32).map(|i| (i.to_be_bytes(), &large, 0)), |_| {}).unwrap(), 8);
    assert_eq!(control.flush(FlushWhat::Values).unwrap(), 8);
    drop(control);
    peer.join();
}

#[test]
fn a_refused_update_stops_the_rest_and_names_itself() {
    let peer = store(Some(2_000));
    let mut control = connect(&peer);
    let mut given = 0_u32;
    let items = std::iter::repeat_with(|| {
        given += 1;
        (given.to_be_bytes(), [0; 100], 0)
    });
    let error = control.set_all(items, |_| {}).unwrap_err();
    assert!(
        matches!(error, ControlError::Server { request: "SET", code: ErrorCode::StoreFull, .. }),
        "{error}"
    );
    assert!(error.to_string().ends_with("refused SET: no room"), "{error}");
    // All answers were read: the next one is the next request's.
    assert!(control.ping().is_ok());
    drop(control);
    peer.join();
}

#[test]
fn a_bad_argument_among_updates_stops_there() {
    let peer = store(None);
    let mut control = connect(&peer);
    let keys: [&[u8]; 3] = [b"good", b"", b"never sent"];
    let error = control.set_all(keys.iter().map(|key| (key, b"v", 0)), |_| {}).unwrap_err();
    assert!(matches!(error, ControlError::Key { bytes: 0 }), "{error}");
    assert!(control.get(b"good").unwrap().is_some());
    assert!(control.get(b"never sent").unwrap().is_none());
    drop(control);
    peer.join();
}

#[test]
fn a_panic_among_updates_leaves_no_thread_behind() {
    let peer = store(None);
    let mut control = connect(&peer);
    let items =
        (0..10_000_u32).map(|i| if i == 9_000 { panic!("caller's own") } else { (i.to_be_bytes(), b"v", 0) });
    let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| control.set_all(items, |_| {})));
    assert!(caught.is_err());
    drop(control);
    peer.join();
}

#[test]
fn a_peer_that_leaves_among_updates() {
    let peer = Peer::welcoming(|connection| {
        for _ in 0..10 {
            let request = connection.next().unwrap();
            let Frame::Control(Request::Set(set)) = only_frame(&request) else { panic!("not a SET") };
            connection.done(set.id, 1);
        }
    });
    let mut control = connect(&peer);
    let error = control.set_all((0..u32::MAX).map(|i| (i.to_be_bytes(), [0; 64], 0)), |_| {}).unwrap_err();
    assert!(matches!(error, ControlError::Closed { request: "SET", .. }), "{error}");
    assert!(error.connection_lost());
    assert!(matches!(control.ping(), Err(ControlError::Closed { .. })));
    peer.join();
}

#[test]
fn a_peer_that_never_reads_ends_in_a_timeout() {
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    let peer = Peer::welcoming(move |_connection| assert!(stopped.recv().is_err()));
    let mut control = Control::connect(&peer.host_port(), b"", Duration::from_millis(300)).unwrap();
    let large = vec![0; 1 << 20];
    let error = control.set_all((0..u32::MAX).map(|i| (i.to_be_bytes(), &large, 0)), |_| {}).unwrap_err();
    assert!(matches!(error, ControlError::TimedOut { request: "SET", .. }), "{error}");
    drop(stop);
    peer.join();
}

/// Reads key `k` from a peer that answers by `script`.
fn get_from(script: impl Fn(&mut Connection, u32) + Send + 'static) -> Result<Option<Vec<u8>>, ControlError> {
    let peer = Peer::welcoming(move |connection| {
        let request = connection.next().unwrap();
        let Frame::Get(get) = only_frame(&request) else { panic!("not a GET") };
        script(connection, get.id);
    });
    let result = connect(&peer).get(b"k");
    peer.join();
    result
}

#[test]
fn compressed_values_are_decoded() {
    let value = vec![3; 300_000];
    let expected = value.clone();
    let result = get_from(move |connection, id| {
        let sealed = seal::compress(b"k", &value).unwrap();
        send_value(connection, id, &sealed, 100);
    });
    assert_eq!(result.unwrap(), Some(expected));
}

#[test]
fn corrupt_values_are_not_delivered() {
    for capacity in [2000, 100] {
        let result = get_from(move |connection, id| {
            let mut sealed = sealed(b"k", &[9; 1000]);
            sealed[500] ^= 1;
            send_value(connection, id, &sealed, capacity);
        });
        assert!(matches!(result, Err(ControlError::Corrupt { bytes: 1008, .. })), "{result:?}");
    }
    let result = get_from(|connection, id| send_value(connection, id, &sealed(b"another key", b"v"), 100));
    assert!(matches!(result, Err(ControlError::Corrupt { .. })), "{result:?}");
    let result = get_from(|connection, id| send_value(connection, id, b"short", 100));
    assert!(matches!(result, Err(ControlError::Corrupt { bytes: 5, .. })), "{result:?}");
    let result = get_from(|connection, id| {
        let refused = Refused { id, reason: Refusal::Unreadable, detail: 0 };
        connection.answer(&Frame::Refused(refused));
    });
    assert!(
        matches!(result, Err(ControlError::ReadRefused { reason: Refusal::Unreadable, .. })),
        "{result:?}"
    );
}

#[test]
fn chunks_that_do_not_fit_together_are_refused() {
    let answers: [fn(u32) -> Vec<Chunk<'static>>; 5] = [
        |id| vec![chunk(id, 20, 10, &[0; 10])],
        |id| vec![chunk(id, 20, 0, &[0; 10]), chunk(id, 20, 0, &[0; 10])],
        |id| vec![chunk(id, 20, 0, &[0; 10]), chunk(id, 21, 10, &[0; 10])],
        |id| vec![chunk(id, 20, 0, &[0; 10]), Chunk { version: 6, ..chunk(id, 20, 10, &[0; 10]) }],
        |id| vec![chunk(id, usize::MAX, 0, &[0; 10])],
    ];
    for (case, answer) in answers.into_iter().enumerate() {
        let result = get_from(move |connection, id| {
            answer(id).into_iter().for_each(|chunk| connection.answer(&Frame::Chunk(chunk)));
        });
        assert!(
            matches!(result, Err(ControlError::Invalid { request: "GET", .. })),
            "case {case}: {result:?}"
        );
    }
    let result = get_from(|connection, id| connection.answer(&Frame::Miss { id: id + 1 }));
    assert!(matches!(result, Err(ControlError::Invalid { .. })), "{result:?}");
    let result = get_from(|connection, id| connection.answer(&Frame::Chunk(chunk(id, 20, 0, &[0; 10]))));
    assert!(matches!(result, Err(ControlError::Closed { request: "GET", .. })), "{result:?}");
}

#[test]
fn receipts_are_read_to_the_last_and_gaps_counted() {
    // A ring of 3000 receipts, of which the first 100 are overwritten; 50 more are lost while it is read.
    let peer = Peer::welcoming(|connection| {
        let mut oldest = 100;
        while let Some(request) = connection.next() {
            let Frame::Control(Request::Receipts(request)) = only_frame(&request) else {
                panic!("not RECEIPTS")
            };
            assert_eq!(request.worker, 2);
            let first = request.first.max(oldest);
            let receipts: Vec<_> =
                (first..3000).take(1024).map(|number| receipt(number).to_bytes()).collect();
            let receipts = Receipts::new(&receipts).unwrap();
            let list = ReceiptList { id: request.id, worker: 2, first, receipts };
            connection.answer(&Frame::Control(Request::ReceiptList(list)));
            oldest = 100 + 1024 + 50;
        }
    });
    let mut control = connect(&peer);
    let list = control.all_receipts(2, 10).unwrap();
    assert_eq!((list.worker, list.next, list.overwritten, list.receipts.len()), (2, 3000, 90 + 50, 2850));
    assert_eq!(list.receipts[1023], receipt(1123));
    assert_eq!(list.receipts[1024], receipt(1174));
    let list = control.receipts(2, 1500).unwrap();
    assert_eq!((list.next, list.overwritten, list.receipts.len()), (2524, 0, 1024));
    let list = control.receipts(2, 3000).unwrap();
    assert_eq!((list.next, list.overwritten, list.receipts.len()), (3000, 0, 0));
    drop(control);
    peer.join();
}

fn receipt(number: u64) -> Receipt {
    Receipt {
        flow: 1,
        sequence: number as u32,
        attempt: 0,
        outcome: Outcome::Answered,
        answer_datagrams: 1,
        answer_bytes: 100,
        arrival_unix_us: number,
        residence_us: 3,
        port: 7400,
        gets: 1,
    }
}
