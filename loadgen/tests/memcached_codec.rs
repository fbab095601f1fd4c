//! The cores of memcached's protocol: whatever arrives, each read ends once, nothing panics, and no value is delivered that was not sent.

use proptest::prelude::*;
use shingle_loadgen::memcached::datagrams::{self, Datagrams};
use shingle_loadgen::memcached::limits::{PIECE_BYTES, REQUEST_BYTES_MAX};
use shingle_loadgen::memcached::stream::{self, Broken, Stream};
use shingle_loadgen::memcached::{End, Ending};
use shingle_store::counting::{CountingAllocator, thread_allocations};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

/// An ending that owns what it says.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Told {
    Value(u32, Vec<u8>),
    Ambiguous(u32, Vec<u8>),
    Miss(u32),
    TimedOut(u32, bool),
    Late(u32),
    Failed(u32),
}

fn told(ending: &Ending<'_>) -> Told {
    let item = ending.item;
    match ending.end {
        End::Value { bytes, ambiguous: false } => Told::Value(item, bytes.to_vec()),
        End::Value { bytes, ambiguous: true } => Told::Ambiguous(item, bytes.to_vec()),
        End::Miss => Told::Miss(item),
        End::TimedOut { part_arrived, .. } => Told::TimedOut(item, part_arrived),
        End::Late => Told::Late(item),
        End::NotSent | End::ServerError | End::ConnectionLost => Told::Failed(item),
    }
}

fn key(item: u32) -> Vec<u8> {
    format!("item:{item:04}").into_bytes()
}

/// Every value differs from every other, in every piece of it.
fn value(item: u32, bytes: usize) -> Vec<u8> {
    (0..bytes).map(|at| (at as u32 / 7 + item * 31 + 1) as u8).collect()
}

fn udp() -> Datagrams {
    Datagrams::new(datagrams::Config {
        reads_max: 64,
        gets_max: 8,
        message_bytes_max: 8000,
        assembly_bytes: 64 << 10,
        linger_ns: 1000,
    })
}

fn tcp() -> Stream {
    Stream::new(stream::Config { reads_max: 64, gets_max: 8, input_bytes: 32 << 10, linger_ns: 1000 })
}

/// Asks for these items in one request and returns its id.
fn ask(core: &mut Datagrams, items: &[u32], deadline_ns: u64) -> [u8; 2] {
    for (position, item) in items.iter().enumerate() {
        assert!(core.get(&key(*item), *item, deadline_ns, position > 0));
    }
    let mut request = [0; REQUEST_BYTES_MAX];
    let transmit = core.poll_transmit(1, &mut request).unwrap();
    let keys: Vec<_> = items.iter().map(|item| String::from_utf8(key(*item)).unwrap()).collect();
    let text = format!("get {}\r\n", keys.join(" "));
    assert_eq!((&request[2..8], &request[8..transmit.bytes]), (&[0, 0, 0, 1, 0, 0][..], text.as_bytes()));
    assert_eq!(core.poll_transmit(1, &mut request), None, "one datagram");
    [request[0], request[1]]
}

/// What memcached 1.6 answers to a get: one message a key, in pieces; the last with `END`. Keys that are not stored are passed over, but
/// for the first and the last.
fn answers(id: [u8; 2], asked: &[(u32, Option<Vec<u8>>)]) -> Vec<Vec<u8>> {
    let mut datagrams = Vec::new();
    for (position, (item, value)) in asked.iter().enumerate() {
        let mut message = text(*item, value.as_deref());
        if position + 1 == asked.len() {
            message.extend_from_slice(b"END\r\n");
        }
        if message.is_empty() && position > 0 {
            continue;
        }
        let total = message.len().div_ceil(PIECE_BYTES) as u16;
        let pieces: Vec<&[u8]> = if total == 0 { vec![&[]] } else { message.chunks(PIECE_BYTES).collect() };
        for (sequence, piece) in pieces.into_iter().enumerate() {
            let mut datagram = id.to_vec();
            datagram.extend((sequence as u16).to_be_bytes());
            datagram.extend(total.to_be_bytes());
            datagram.extend([0, 0]);
            datagram.extend(piece);
            datagrams.push(datagram);
        }
    }
    datagrams
}

fn text(item: u32, value: Option<&[u8]>) -> Vec<u8> {
    let Some(value) = value else { return Vec::new() };
    let line = format!("VALUE {} 0 {}\r\n", String::from_utf8(key(item)).unwrap(), value.len());
    [line.as_bytes(), value, b"\r\n"].concat()
}

fn hand(core: &mut Datagrams, datagrams: &[Vec<u8>]) -> Vec<Told> {
    let mut all = Vec::new();
    for datagram in datagrams {
        core.handle_datagram(datagram, &mut |ending| all.push(told(ending)));
    }
    all
}

fn time_out(core: &mut Datagrams, now_ns: u64) -> Vec<Told> {
    let mut all = Vec::new();
    core.handle_timeout(now_ns, &mut |ending| all.push(told(ending)));
    all
}

#[test]
fn each_key_of_a_get_is_a_message_of_its_own() {
    let mut core = udp();
    let id = ask(&mut core, &[1, 2, 3], 100);
    let sizes = [(1, Some(value(1, 10))), (2, Some(value(2, 5000))), (3, Some(value(3, 0)))];
    let got = hand(&mut core, &answers(id, &sizes));
    assert_eq!(
        got,
        [Told::Value(1, value(1, 10)), Told::Ambiguous(2, value(2, 5000)), Told::Value(3, vec![])]
    );
    assert_eq!((core.in_flight(), core.next_timeout_ns()), (0, u64::MAX));
}

#[test]
fn misses_are_told_by_bare_headers_and_by_the_end() {
    let mut core = udp();
    let id = ask(&mut core, &[1], 100);
    assert_eq!(hand(&mut core, &answers(id, &[(1, None)])), [Told::Miss(1)]);
    let id = ask(&mut core, &[1, 2, 3], 100);
    let asked = [(1, None), (2, Some(value(2, 9))), (3, None)];
    assert_eq!(
        hand(&mut core, &answers(id, &asked)),
        [Told::Miss(1), Told::Value(2, value(2, 9)), Told::Miss(3)]
    );
    // Between them they are passed over, and nobody can tell.
    let id = ask(&mut core, &[1, 2, 3], 100);
    let asked = [(1, Some(value(1, 9))), (2, None), (3, None)];
    assert_eq!(hand(&mut core, &answers(id, &asked)), [Told::Value(1, value(1, 9)), Told::Miss(3)]);
    assert_eq!(time_out(&mut core, 100), [Told::TimedOut(2, true)]);
    // A value lost on the way is no miss, whatever END says.
    let id = ask(&mut core, &[1, 2], 200);
    let both = answers(id, &[(1, Some(value(1, 9))), (2, Some(value(2, 9)))]);
    assert_eq!(hand(&mut core, &both[1..]), [Told::Value(2, value(2, 9))]);
    assert_eq!(time_out(&mut core, 200), [Told::TimedOut(1, true)]);
}

#[test]
fn pieces_of_one_key_come_in_any_order_and_twice() {
    let mut core = udp();
    let id = ask(&mut core, &[7], 100);
    let mut pieces = answers(id, &[(7, Some(value(7, 6000)))]);
    assert_eq!(pieces.len(), 5);
    pieces.reverse();
    pieces.insert(2, pieces[0].clone());
    let again = pieces.clone();
    assert_eq!(hand(&mut core, &pieces), [Told::Value(7, value(7, 6000))]);
    assert_eq!(core.counters().duplicates, 1);
    assert_eq!(hand(&mut core, &again), [], "of a request that is over");
}

#[test]
fn pieces_of_several_keys_are_never_put_together_out_of_order() {
    let mut core = udp();
    let id = ask(&mut core, &[1, 2], 100);
    let all = answers(id, &[(1, Some(value(1, 3000))), (2, Some(value(2, 3000)))]);
    // The second piece of the first value is lost, the first of the second overtaken.
    let got =
        hand(&mut core, &[all[0].clone(), all[2].clone(), all[4].clone(), all[3].clone(), all[5].clone()]);
    assert_eq!(got, []);
    assert_eq!(time_out(&mut core, 100), [Told::TimedOut(1, true), Told::TimedOut(2, true)]);
}

#[test]
fn late_answers_are_told_once_and_ids_rest_meanwhile() {
    let mut core = udp();
    let id = ask(&mut core, &[1], 100);
    let answer = answers(id, &[(1, Some(value(1, 9)))]);
    assert_eq!(time_out(&mut core, 99), []);
    assert_eq!(time_out(&mut core, 100), [Told::TimedOut(1, false)]);
    for _ in 0..70_000 {
        let other = ask(&mut core, &[2], 200);
        assert_ne!(other, id, "the id of a read that is remembered");
        assert_eq!(hand(&mut core, &answers(other, &[(2, None)])).len(), 1);
    }
    assert_eq!(hand(&mut core, &answer), [Told::Late(1)]);
    assert_eq!(hand(&mut core, &answer), []);
    assert_eq!(time_out(&mut core, 1100), [], "forgotten");
    assert_eq!(hand(&mut core, &answer), []);
    // A late answer for another key is not taken for a new request's.
    let new = loop {
        let new = ask(&mut core, &[3], 2000);
        if new == id {
            break new;
        }
        hand(&mut core, &answers(new, &[(3, None)]));
    };
    assert_eq!(hand(&mut core, &answer), []);
    assert_eq!(hand(&mut core, &answers(new, &[(3, None)])), [Told::Miss(3)]);
}

#[test]
fn room_ends_and_comes_back() {
    let mut core = udp();
    for item in 0..64 {
        ask(&mut core, &[item], 100);
    }
    assert!(!core.get(&key(64), 64, 100, false));
    assert_eq!((core.in_flight(), time_out(&mut core, 100).len(), core.in_flight()), (64, 64, 0));
    assert!(!core.get(&key(64), 64, 200, false), "they are remembered");
    time_out(&mut core, 1100);
    assert!(core.get(&key(64), 64, 2000, false));
}

#[test]
fn an_error_line_fails_the_request() {
    let mut core = udp();
    let [high, low] = ask(&mut core, &[1, 2], 100);
    let datagram = [&[high, low, 0, 0, 0, 1, 0, 0], &b"SERVER_ERROR out of memory\r\n"[..]].concat();
    assert_eq!(hand(&mut core, &[datagram]), [Told::Failed(1), Told::Failed(2)]);
}

#[test]
fn a_datagram_cut_anywhere_delivers_nothing() {
    for size in [0, 20, 1300, 3000] {
        let whole = answers([0, 0], &[(1, Some(value(1, size)))]);
        for (cut, datagram) in whole.iter().enumerate() {
            for length in (0..datagram.len()).filter(|at| is_interesting(*at, datagram)) {
                let mut core = udp();
                assert_eq!(ask(&mut core, &[1], 100), [0, 0]);
                let mut datagrams = whole.clone();
                datagrams[cut].truncate(length);
                // Without its END a value is a whole one still: memcached sends such for all keys but the last.
                let is_whole = cut + 1 == whole.len() && text_without_end(datagram) == &datagram[..length];
                let got = hand(&mut core, &datagrams);
                assert_eq!(
                    got.len(),
                    usize::from(is_whole),
                    "{size} bytes, datagram {cut} cut to {length}: {got:?}"
                );
            }
        }
    }
}

/// Near the ends of a datagram, where more than the value is; of the value a sample.
fn is_interesting(at: usize, datagram: &[u8]) -> bool {
    at < 50 || at + 16 > datagram.len() || at.is_multiple_of(97)
}

fn text_without_end(datagram: &[u8]) -> &[u8] {
    datagram.strip_suffix(b"END\r\n").unwrap_or(datagram)
}

#[test]
fn a_flipped_bit_changes_at_most_the_value_it_is_in() {
    for size in [20, 3000] {
        let right = value(1, size);
        let whole = answers([0, 0], &[(1, Some(right.clone()))]);
        for (index, datagram) in whole.iter().enumerate() {
            for bit in (0..8 * datagram.len()).filter(|bit| is_interesting(bit / 8, datagram)) {
                let mut core = udp();
                ask(&mut core, &[1], 100);
                let mut datagrams = whole.clone();
                datagrams[index][bit / 8] ^= 1 << (bit % 8);
                for ending in hand(&mut core, &datagrams) {
                    let Told::Value(1, got) = ending else {
                        panic!("bit {bit} of datagram {index}: {ending:?}")
                    };
                    let differing = got.iter().zip(&right).filter(|(got, right)| got != right).count();
                    assert!(got.len() == right.len() && differing <= 1, "bit {bit} of datagram {index}");
                }
            }
        }
    }
}

/// Connected, asked for these gets, and everything sent.
fn asked(gets: &[&[u32]]) -> Stream {
    let mut core = tcp();
    for get in gets {
        for (position, item) in get.iter().enumerate() {
            assert!(core.get(&key(*item), *item, 100, position > 0));
        }
    }
    let bytes = core.output().len();
    core.sent(bytes, 1);
    core
}

fn feed(core: &mut Stream, bytes: &[u8]) -> (Vec<Told>, Result<(), Broken>) {
    let mut all = Vec::new();
    for part in bytes.chunks(1000) {
        core.input()[..part.len()].copy_from_slice(part);
        if let Err(broken) = core.received(part.len(), &mut |ending| all.push(told(ending))) {
            return (all, Err(broken));
        }
    }
    (all, Ok(()))
}

/// A stream with hits, misses and long values, and what it says.
fn conversation() -> (Stream, Vec<u8>, Vec<Told>) {
    // Keys of one get differ in two bits at least: one flip makes no other of them.
    let core = asked(&[&[1], &[2, 4, 8], &[5], &[6, 9]]);
    let stream = [
        text(1, Some(&value(1, 10))),
        b"END\r\n".to_vec(),
        text(4, Some(&value(4, 4000))),
        b"END\r\nEND\r\n".to_vec(),
        text(6, Some(&value(6, 0))),
        text(9, Some(&value(9, 3))),
        b"END\r\n".to_vec(),
    ];
    let told = vec![
        Told::Value(1, value(1, 10)),
        Told::Miss(2),
        Told::Value(4, value(4, 4000)),
        Told::Miss(8),
        Told::Miss(5),
        Told::Value(6, vec![]),
        Told::Value(9, value(9, 3)),
    ];
    (core, stream.concat(), told)
}

#[test]
fn gets_are_pipelined_as_the_protocol_wants_them() {
    let mut core = tcp();
    assert!(core.get(b"a", 1, 100, false) && core.get(b"b", 2, 100, true) && core.get(b"c", 3, 100, false));
    assert_eq!(core.output(), b"get a b\r\nget c\r\n");
    core.sent(9, 5);
    assert_eq!(core.output(), b"get c\r\n");
    assert!(core.get(b"d", 4, 100, true), "what has been handed out is not joined");
    assert_eq!(core.output(), b"get c\r\nget d\r\n");
}

#[test]
fn a_stream_in_any_pieces_says_the_same() {
    let (_, bytes, wanted) = conversation();
    for length in 1..200 {
        let (mut core, ..) = conversation();
        let mut all = Vec::new();
        for part in bytes.chunks(length) {
            let (told, result) = feed(&mut core, part);
            assert_eq!(result, Ok(()));
            all.extend(told);
        }
        assert_eq!((&all, core.in_flight()), (&wanted, 0), "in pieces of {length}");
    }
}

#[test]
fn a_stream_cut_anywhere_says_only_what_arrived() {
    let (_, bytes, wanted) = conversation();
    for length in 0..bytes.len() {
        let (mut core, ..) = conversation();
        let (got, result) = feed(&mut core, &bytes[..length]);
        assert_eq!((result, &got[..]), (Ok(()), &wanted[..got.len()]));
        let mut lost = Vec::new();
        core.reset(&mut |ending| lost.push(told(ending)));
        assert_eq!(got.len() + lost.len(), wanted.len(), "each read ends once");
        assert!(lost.iter().all(|told| matches!(told, Told::Failed(_))), "{lost:?}");
    }
}

#[test]
fn a_flipped_bit_breaks_the_stream_or_changes_one_value() {
    let (_, bytes, wanted) = conversation();
    for bit in 0..8 * bytes.len() {
        let (mut core, ..) = conversation();
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let (got, _) = feed(&mut core, &flipped);
        let differing: usize =
            got.iter().zip(&wanted).map(|(got, wanted)| differing_bytes(got, wanted)).sum();
        assert!(got.len() <= wanted.len() && differing <= 1, "bit {bit}");
    }
}

fn differing_bytes(got: &Told, wanted: &Told) -> usize {
    match (got, wanted) {
        (Told::Value(item, got), Told::Value(other, wanted))
            if item == other && got.len() == wanted.len() =>
        {
            got.iter().zip(wanted).filter(|(got, wanted)| got != wanted).count()
        }
        // A flip in a length can lead to another line's end: the length tells.
        (Told::Value(item, _), Told::Value(other, _)) if item == other => 1,
        _ => usize::from(got != wanted) * 1000,
    }
}

#[test]
fn answers_to_nothing_and_errors_in_a_stream() {
    for bytes in
        [&b"END\r\n"[..], b"ERROR\r\n", b"VALUE item:0001 0 1\r\nx\r\n", b"HTTP/1.1 400 Bad Request\r\n\r\n"]
    {
        assert_eq!(feed(&mut tcp(), bytes), (vec![], Err(Broken::Malformed)));
    }
    let mut core = asked(&[&[1, 2], &[3]]);
    let got = feed(&mut core, b"SERVER_ERROR out of memory writing get response\r\nEND\r\n");
    assert_eq!(got, (vec![Told::Failed(1), Told::Failed(2), Told::Miss(3)], Ok(())));
    let mut core = tcp();
    assert!(core.get(&key(1), 1, 100, false));
    assert_eq!(feed(&mut core, b"END\r\n").1, Err(Broken::Malformed), "an answer before the request left");
}

#[test]
fn reads_that_timed_out_stay_in_the_queue_until_their_answer_is_by() {
    let mut core = asked(&[&[1, 2], &[3]]);
    let mut all = Vec::new();
    assert_eq!(core.handle_timeout(100, true, &mut |ending| all.push(told(ending))), Ok(()));
    assert_eq!((all.len(), core.in_flight()), (3, 0));
    assert!(core.get(&key(4), 4, 500, false));
    let bytes = core.output().len();
    core.sent(bytes, 200);
    let answer =
        [text(1, Some(&value(1, 5))), text(2, Some(&value(2, 5))), b"END\r\nEND\r\nEND\r\n".to_vec()]
            .concat();
    let got = feed(&mut core, &answer);
    assert_eq!(got, (vec![Told::Late(1), Told::Late(3), Told::Miss(4)], Ok(())), "late once a request");

    let mut core = asked(&[&[1]]);
    assert_eq!(core.handle_timeout(100, true, &mut |_| ()), Ok(()));
    assert_eq!(core.next_timeout_ns(), 1100);
    assert_eq!(core.handle_timeout(1100, true, &mut |_| ()), Err(Broken::Silent));
}

/// Ten thousand reads each way, values of one datagram and of several.
#[test]
fn nothing_is_allocated_a_read() {
    let value = value(1, 3000);
    let long = [text(1, Some(&value)), b"END\r\n".to_vec()].concat();
    let (mut over_udp, mut over_tcp) = (udp(), tcp());
    let (mut request, mut ended, mut before) = ([0; REQUEST_BYTES_MAX], 0, 0);
    let mut datagram = [0; 1400];
    for round in 0..10_000u64 {
        if round == 100 {
            before = thread_allocations();
        }
        assert!(
            over_udp.get(b"item:0001", 1, round + 100, false)
                && over_tcp.get(b"item:0001", 1, round + 100, false)
        );
        over_udp.poll_transmit(1, &mut request).unwrap();
        datagram[..2].copy_from_slice(&request[..2]);
        for (sequence, piece) in long.chunks(PIECE_BYTES).enumerate() {
            datagram[2..8].copy_from_slice(&[0, sequence as u8, 0, 3, 0, 0]);
            datagram[8..8 + piece.len()].copy_from_slice(piece);
            over_udp.handle_datagram(&datagram[..8 + piece.len()], &mut |_| ended += 1);
        }
        let bytes = over_tcp.output().len();
        over_tcp.sent(bytes, 1);
        for part in long.chunks(700) {
            over_tcp.input()[..part.len()].copy_from_slice(part);
            over_tcp.received(part.len(), &mut |_| ended += 1).unwrap();
        }
        over_udp.handle_timeout(round, &mut |_| ());
        over_tcp.handle_timeout(round, true, &mut |_| ()).unwrap();
    }
    assert_eq!((thread_allocations() - before, ended), (0, 20_000));
}

proptest! {
    #[test]
    fn garbage_never_panics_and_never_ends_a_read_twice(
        datagrams in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..20),
        bytes in prop::collection::vec(prop_oneof![any::<u8>(), Just(b'E'), Just(b'\r'), Just(b'\n')], 0..2000),
    ) {
        let mut core = udp();
        ask(&mut core, &[1, 2, 3], 100);
        let mut near: Vec<_> = datagrams.clone();
        // Half of them look like answers to the request.
        near.iter_mut().filter(|datagram| datagram.len() > 8).for_each(|datagram| {
            datagram[..4].fill(0);
            datagram[4] = 0;
            datagram[5] %= 4;
            datagram[6..8].fill(0);
        });
        let got = hand(&mut core, &[datagrams, near].concat());
        let rest = time_out(&mut core, 100);
        prop_assert_eq!(got.len() + rest.len(), 3);
        let mut core = asked(&[&[1, 2], &[3]]);
        let (got, _) = feed(&mut core, &bytes);
        let mut lost = 0;
        core.reset(&mut |_| lost += 1);
        prop_assert_eq!(got.len() + lost, 3);
    }

    /// Requests of one to four keys whose datagrams are lost, doubled and mixed up.
    #[test]
    fn over_any_network_each_read_ends_once_and_right(
        gets in prop::collection::vec(prop::collection::vec((0..50u32, 0..4usize), 1..5), 1..6),
        order in prop::collection::vec((any::<prop::sample::Index>(), 0..3u8), 0..120),
    ) {
        let mut core = udp();
        let size = |class: usize| [0, 100, 1500, 4000][class];
        let mut wanted = Vec::new();
        let mut link = Vec::new();
        for get in &gets {
            let items: Vec<_> = get.iter().map(|(item, class)| item * 4 + *class as u32).collect();
            let id = ask(&mut core, &items, 100);
            let values: Vec<_> = items.iter().map(|item| (*item, Some(value(*item, size(*item as usize % 4))))).collect();
            link.extend(answers(id, &values));
            wanted.extend(items);
        }
        let mut got = Vec::new();
        for (index, what) in &order {
            if link.is_empty() {
                break;
            }
            let at = index.index(link.len());
            let datagram = if *what == 0 { link[at].clone() } else { link.remove(at) };
            if *what != 2 {
                got.extend(hand(&mut core, &[datagram]));
            }
        }
        got.extend(time_out(&mut core, 100));
        prop_assert_eq!(got.len(), wanted.len());
        prop_assert_eq!(core.in_flight(), 0);
        for ending in got {
            if let Told::Value(item, bytes) = ending {
                prop_assert_eq!(bytes, value(item, size(item as usize % 4)));
            } else {
                prop_assert!(!matches!(ending, Told::Miss(_)), "all were stored");
            }
        }
    }
}
