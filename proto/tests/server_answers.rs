//! What a server answers: values, misses, chunks, refusals, probes and challenges, each as PROTOCOL.md says.

use shingle_proto::cookie::Proof;
use shingle_proto::limits::{CHUNK_BYTES, DATAGRAM_BYTES_MAX};
use shingle_proto::server::{Answer as Answers, AnswerSummary, Facts, Workspace, answer_over_tcp};
use shingle_proto::wire::{
    Answer, Carrier, Frame, Get, Probe, Refusal, Refused, Request, RequestHeader, next_message,
};

mod server_support;

use server_support::{
    CHUNKED, FRESH, HEADER, ONE_DATAGRAM, PROVEN, STRICT, Store, UNPROVEN, VERSION, ask, assemble, frames,
    gets, request, rerequest,
};

const WANTS_TELEMETRY: RequestHeader = RequestHeader { telemetry: true, ..HEADER };

fn refused(id: u32, reason: Refusal, detail: u32) -> Frame<'static> {
    Frame::Refused(Refused { id, reason, detail })
}

#[test]
fn a_small_value_takes_16_bytes_and_a_header() {
    let store = Store::of(&[500]);
    let (summary, out) = ask(&store, &gets(&HEADER, [0], 0), &CHUNKED, &PROVEN);
    assert_eq!(
        summary,
        AnswerSummary { gets: 1, hits: 1, datagrams: 1, bytes: 16 + 16 + 500, ..Default::default() }
    );
    assert_eq!(out.copied, 16 + 8, "the value is not copied");
    let Some(Frame::Value(value)) = frames(&out).next() else { panic!("{out:?}") };
    store.assert_opens(0, value.sealed);
}

#[test]
fn values_misses_and_refusals_share_datagrams_in_order() {
    let store = Store::of(&[300, 400, 500, 600]);
    let bytes = request(&HEADER, 0, |writer| {
        for (id, key) in
            [(0, "key-0"), (1, "key-1"), (9, "absent"), (8, "broken"), (2, "key-2"), (3, "key-3")]
        {
            writer.push(&Frame::Get(Get { id, key: key.as_bytes() })).unwrap();
        }
    });
    let (summary, out) = ask(&store, &bytes, &CHUNKED, &PROVEN);
    assert_eq!((summary.hits, summary.misses, summary.refused, summary.left_out), (4, 1, 1, 0));
    let ids = |datagram: &Vec<u8>| {
        let frames = Answer::parse(datagram, Carrier::Udp).unwrap().frames();
        let id = |frame| match frame {
            Frame::Value(value) => value.id,
            Frame::Miss { id } => id,
            Frame::Refused(Refused { id, reason: Refusal::Unreadable, .. }) => id,
            other => panic!("{other:?}"),
        };
        frames.map(id).collect::<Vec<_>>()
    };
    assert_eq!(out.datagrams.iter().map(ids).collect::<Vec<_>>(), [vec![0, 1, 9, 8, 2], vec![3]]);
}

#[test]
fn chunks_are_balanced_and_leave_in_one_train() {
    let store = Store::of(&[10_000]);
    let (summary, out) = ask(&store, &gets(&WANTS_TELEMETRY, [0], 0), &CHUNKED, &PROVEN);
    // 10,008 sealed bytes in datagrams of 1472 with 16 + 24 + 24 of overhead: 8 chunks of 1251.
    let sizes = out.datagrams.iter().map(Vec::len).collect::<Vec<_>>();
    assert_eq!(sizes, [1251 + 64; 8]);
    assert_eq!((summary.datagrams, out.trains), (8, 1));
    assert_eq!(out.copied, 8 * 64, "value bytes are borrowed");
    store.assert_opens(0, &assemble(&out, 0));
}

#[test]
fn long_answers_take_several_trains() {
    let store = Store::of(&[200_000]);
    let (_, out) = ask(&store, &gets(&HEADER, [0], 0), &CHUNKED, &PROVEN);
    // Chunks of 1429 in datagrams of 1469 bytes, of which 65,507 bytes hold 44.
    assert_eq!((out.datagrams.len(), out.trains), (140, 4));
    store.assert_opens(0, &assemble(&out, 0));
    let wide = RequestHeader { datagram_max: 65_507, ..HEADER };
    let (_, out) = ask(&store, &gets(&wide, [0], 0), &CHUNKED, &PROVEN);
    assert!(out.datagrams.iter().all(|datagram| datagram.len() <= 8972), "the port's limit");
}

#[test]
fn a_rerequest_gets_exactly_its_ranges() {
    let store = Store::of(&[10_000]);
    let ranges = [(0, 1), (1000, 3000), (9000, 5000)];
    let (summary, out) = ask(&store, &rerequest(&HEADER, 0, VERSION, &ranges), &CHUNKED, &PROVEN);
    let found = frames(&out).map(|frame| match frame {
        Frame::Chunk(chunk) => (chunk.offset, chunk.bytes.len(), chunk.total),
        other => panic!("{other:?}"),
    });
    let expected = [
        (0, 1, 10_008),
        (1000, 1000, 10_008),
        (2000, 1000, 10_008),
        (3000, 1000, 10_008),
        (9000, 1008, 10_008),
    ];
    assert_eq!(
        found.collect::<Vec<_>>(),
        expected,
        "each range balanced by itself, cut at the end of the value"
    );
    assert_eq!(summary.hits, 1);
}

#[test]
fn a_rerequest_of_another_version_is_told_so() {
    let store = Store::of(&[10_000]);
    let only = |bytes: &[u8]| {
        let (_, out) = ask(&store, bytes, &CHUNKED, &PROVEN);
        frames(&out).map(|frame| format!("{frame:?}")).collect::<Vec<_>>()
    };
    let gone = [format!("{:?}", refused(0, Refusal::VersionGone, 0))];
    assert_eq!(only(&rerequest(&HEADER, 0, VERSION + 1, &[(0, 9)])), gone);
    assert_eq!(only(&rerequest(&HEADER, 0, VERSION, &[(10_008, 9)])), gone, "nothing of it is in this value");
    assert_eq!(only(&rerequest(&HEADER, 5, VERSION, &[(0, 9)])), [format!("{:?}", Frame::Miss { id: 5 })]);
}

#[test]
fn one_datagram_ports_answer_with_one_datagram_up_to_65507() {
    let store = Store::of(&[5000, 65_507 - 32, 65_507 - 31]);
    for (index, bytes) in [(0, 5032), (1, 65_507)] {
        let (_, out) = ask(&store, &gets(&HEADER, [index], 0), &ONE_DATAGRAM, &PROVEN);
        assert_eq!(out.datagrams.iter().map(Vec::len).collect::<Vec<_>>(), [bytes]);
    }
    let (summary, out) = ask(&store, &gets(&HEADER, [2], 0), &ONE_DATAGRAM, &PROVEN);
    assert_eq!(frames(&out).collect::<Vec<_>>(), [refused(2, Refusal::TooBig, 65_507)]);
    assert_eq!(summary.refused, 1);
}

#[test]
fn strict_ports_refuse_what_is_above_their_own_limit() {
    let store = Store::of(&[8972 - 32, 8972 - 31]);
    let (_, out) = ask(&store, &gets(&HEADER, [0], 0), &STRICT, &PROVEN);
    assert_eq!(out.datagrams[0].len(), 8972);
    let (_, out) = ask(&store, &gets(&HEADER, [1], 0), &STRICT, &PROVEN);
    assert_eq!(frames(&out).collect::<Vec<_>>(), [refused(1, Refusal::TooBig, 8972)]);
}

#[test]
fn the_credit_goes_to_the_first_datagram_of_every_read_before_any_second() {
    let store = Store::of(&[10_000, 100, 10_000, 200]);
    let ask_with = |credit| {
        let header = RequestHeader { credit, ..HEADER };
        ask(&store, &gets(&header, 0..4, 0), &CHUNKED, &PROVEN)
    };
    // A chunk datagram of these values has 16 + 24 + 1430 bytes.
    let (summary, out) = ask_with(2 * 1470 + 16 + 116 + 216 + 1470);
    assert_eq!((summary.left_out, summary.hits), (0, 4));
    assert_eq!((assemble(&out, 0).len(), assemble(&out, 2).len()), (2 * 1430, 1430));
    assert_eq!(frames(&out).filter(|frame| matches!(frame, Frame::Value(_))).count(), 2);
    let (summary, out) = ask_with(0);
    assert_eq!((summary.datagrams, summary.left_out), (1, 3));
    assert_eq!(assemble(&out, 0).len(), 1430, "one datagram may always be sent");
}

#[test]
fn a_stale_cookie_is_answered_with_a_new_one_in_every_datagram() {
    let store = Store::of(&[5000]);
    let facts = Facts { proof: Proof::Stale(FRESH), draining: true, ..PROVEN };
    let (summary, out) = ask(&store, &gets(&WANTS_TELEMETRY, [0], 0), &CHUNKED, &facts);
    let cookies = frames(&out).filter(|frame| *frame == Frame::Cookie(FRESH)).count();
    assert_eq!((cookies, out.trains), (summary.datagrams as usize, 1));
    assert!(out.datagrams.iter().all(|datagram| datagram.len() <= 1472));
    store.assert_opens(0, &assemble(&out, 0));
}

#[test]
fn a_challenge_replaces_an_answer_longer_than_its_unproven_request() {
    let store = Store::of(&[500]);
    let short = gets(&HEADER, [0], 0);
    let (summary, out) = ask(&store, &short, &CHUNKED, &UNPROVEN);
    assert_eq!(
        summary,
        AnswerSummary { gets: 1, challenged: true, datagrams: 1, bytes: 36, ..Default::default() }
    );
    assert_eq!(frames(&out).collect::<Vec<_>>(), [Frame::Challenge(FRESH)]);
    let (summary, _) = ask(&store, &gets(&HEADER, [0], 532), &CHUNKED, &UNPROVEN);
    assert_eq!(
        (summary.challenged, summary.hits, summary.bytes),
        (false, 1, 532),
        "just as long as the request"
    );
    let (summary, _) = ask(&store, &gets(&WANTS_TELEMETRY, [0], 0), &CHUNKED, &UNPROVEN);
    assert_eq!((summary.challenged, summary.bytes), (true, 36), "no room for telemetry in 48 bytes");
    let (summary, _) = ask(&store, &gets(&WANTS_TELEMETRY, [0], 60), &CHUNKED, &UNPROVEN);
    assert_eq!((summary.challenged, summary.bytes), (true, 60));
    let (summary, _) = ask(&store, &gets(&HEADER, [7], 0), &CHUNKED, &UNPROVEN);
    assert_eq!((summary.misses, summary.challenged), (1, false), "a miss is short");
}

#[test]
fn probes_are_acknowledged_at_the_size_they_ask_for() {
    let probe = |up, down, size| {
        request(&HEADER, 1400, |writer| writer.push(&Frame::Probe(Probe { up, down, size, id: 9 })).unwrap())
    };
    let ack = |up, down| [Frame::ProbeAck(Probe { up, down, size: 1400, id: 9 })];
    let store = Store::default();
    let (_, out) = ask(&store, &probe(true, false, 1400), &CHUNKED, &UNPROVEN);
    assert_eq!(frames(&out).collect::<Vec<_>>(), ack(true, false));
    assert_eq!(out.datagrams[0].len(), 24);
    let (_, out) = ask(&store, &probe(false, true, 8972), &CHUNKED, &PROVEN);
    assert_eq!(out.datagrams[0].len(), 8972, "datagram_max does not limit what probes it");
    assert_eq!(frames(&out).collect::<Vec<_>>(), ack(false, true));
    let (summary, out) = ask(&store, &probe(false, true, 8973), &CHUNKED, &PROVEN);
    assert_eq!(frames(&out).collect::<Vec<_>>(), [refused(9, Refusal::TooBig, 8972)]);
    assert_eq!(summary.refused, 1);
    let (_, out) = ask(&store, &probe(false, true, 0), &CHUNKED, &PROVEN);
    assert_eq!(out.datagrams[0].len(), 24);
    let (_, out) = ask(&store, &probe(false, true, 1401), &CHUNKED, &UNPROVEN);
    assert_eq!(frames(&out).collect::<Vec<_>>(), [Frame::Challenge(FRESH)]);
    let (_, out) = ask(&store, &probe(true, false, 1400), &ONE_DATAGRAM, &PROVEN);
    assert_eq!(frames(&out).collect::<Vec<_>>(), [refused(9, Refusal::NotServed, 0)]);
}

#[test]
fn over_tcp_reads_have_no_credit_and_messages_of_their_own() {
    let store = Store::of(&[1 << 20, 100]);
    let bytes = gets(&RequestHeader { credit: 0, datagram_max: 0, telemetry: true, ..HEADER }, [0, 1, 2], 0);
    let request = Request::parse(&bytes, Carrier::Tcp).unwrap();
    let mut stream = b"before".to_vec();
    let summary = answer_over_tcp(&request, true, |_, key| store.find(key), &mut stream);
    assert_eq!((summary.hits, summary.misses, summary.left_out), (2, 1, 0));
    let (mut at, mut value, mut others) = (6, Vec::new(), 0);
    while let Some((consumed, message)) = next_message(&stream[at..]).unwrap() {
        at += consumed;
        assert!(message.len() <= DATAGRAM_BYTES_MAX);
        let answer = Answer::parse(message, Carrier::Tcp).unwrap();
        assert!(answer.header.draining);
        for frame in answer.frames() {
            match frame {
                Frame::Chunk(chunk) => value.extend_from_slice(chunk.bytes),
                _ => others += 1,
            }
        }
    }
    assert_eq!(
        (at, others, summary.bytes as usize),
        (stream.len(), 2, stream.len() - 6 - 4 * summary.datagrams as usize)
    );
    assert_eq!(
        summary.datagrams as usize,
        1 + ((1 << 20) + 8_usize).div_ceil(DATAGRAM_BYTES_MAX - 16 - CHUNK_BYTES)
    );
    store.assert_opens(0, &value);
}

#[test]
fn the_last_chunk_is_padded_where_little_is_missing_and_the_credit_pays_for_it() {
    // Sealed bytes and chunks at 1472 B: nothing missing, two, sixteen, seventeen bytes.
    for (sealed_bytes, chunks, padding) in
        [(4008, 3, 0), (4009, 3, 2), (32 * 1400 - 16, 32, 16), (32 * 1400 - 17, 32, 0)]
    {
        let store = Store::of(&[sealed_bytes - 8]);
        let plain = sealed_bytes + chunks * (16 + CHUNK_BYTES);
        for (credit, padding) in
            [(plain + padding, padding), (plain + padding - padding.min(1), 0), (plain, 0)]
        {
            let header = RequestHeader { credit: credit as u32, ..HEADER };
            let (summary, out) = ask(&store, &gets(&header, [0], 0), &CHUNKED, &PROVEN);
            assert_eq!(
                (summary.datagrams as usize, summary.bytes as usize),
                (chunks, plain + padding),
                "{sealed_bytes}"
            );
            assert_eq!(out.datagrams.iter().map(Vec::len).sum::<usize>(), plain + padding);
            store.assert_opens(0, &assemble(&out, 0));
        }
    }
}

#[test]
fn lookups_know_the_number_of_their_read_whatever_the_credit_leaves_out() {
    let store = Store::of(&[100, 1400, 1400, 50, 1400, 50]);
    let header = RequestHeader { credit: 1472, ..HEADER };
    let bytes = gets(&header, 0..6, 0);
    let request = Request::parse(&bytes, Carrier::Udp).unwrap();
    let (mut workspace, mut numbers) = (Workspace::new(), Vec::new());
    let answer = Answers::new(&request, &CHUNKED, &PROVEN, &mut workspace, |number, key| {
        numbers.push((number, key.to_vec()));
        store.find(key)
    });
    assert_eq!((answer.summary().hits, answer.summary().left_out), (6, 3));
    assert_eq!(numbers, (0..6).map(|number| (number, server_support::key(number))).collect::<Vec<_>>());
}
