//! Every vector of `proto/vectors/`, both ways: what our reader makes of the bytes, and whether our writer makes the same bytes.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use shingle_proto::checksum::crc32c;
use shingle_proto::chunk::{Chunks, Range};
use shingle_proto::client::{Client, ClientConfig, Join};
use shingle_proto::cookie::{Cookie, CookieKeys, CookieState};
use shingle_proto::seal::{self, SealError};
use shingle_proto::wire::{Answer, AnswerHeader, Carrier, Chunk, DatagramWriter, DropReason, Frame, Request};

mod vectors_support;

use vectors_support::answers::{self, AnswerVector};
use vectors_support::files::{CheckedSum, Cut, JudgedCookie, SealedValue, Versions};
use vectors_support::messages::{Kind, MessageVector, Outcome};

const FILES: [&str; 8] = [
    "answers.json",
    "checksums.json",
    "chunks.json",
    "cookies.json",
    "messages-tcp.json",
    "messages-udp.json",
    "seals.json",
    "versions.json",
];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors")
}

/// All vectors of a file; a field nobody knows is an error.
fn vectors<V: DeserializeOwned>(file: &str) -> Vec<V> {
    assert!(FILES.contains(&file));
    let text = std::fs::read_to_string(folder().join(file)).expect(file);
    let vectors: Vec<V> = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{file}: {error}"));
    assert!(!vectors.is_empty(), "{file} has no vectors");
    vectors
}

#[test]
fn every_file_of_vectors_is_run() {
    let files = std::fs::read_dir(folder()).expect("the folder").map(|entry| entry.expect("an entry").path());
    let vectors = files.filter(|path| path.extension().is_some_and(|extension| extension == "json"));
    let found: BTreeSet<_> =
        vectors.map(|path| path.file_name().expect("a name").to_string_lossy().into_owned()).collect();
    assert_eq!(found, FILES.map(String::from).into(), "a file that no test reads, or one that is missing");
}

#[test]
fn every_vector_cites_a_section_that_exists() {
    let page = std::fs::read_to_string(folder().join("../../PROTOCOL.md")).expect("PROTOCOL.md");
    let numbered = |line: &str| {
        Some(line.strip_prefix('#')?.trim_start_matches('#').split_whitespace().next()?.to_owned())
    };
    let sections: BTreeSet<String> = page
        .lines()
        .filter_map(numbered)
        .map(|number| number.trim_end_matches(['.', ',']).to_owned())
        .collect();
    for file in FILES {
        for vector in vectors::<serde_json::Value>(file) {
            let cited = vector["section"].as_str().unwrap_or_default();
            assert!(
                sections.contains(cited),
                "{file}: {}: no section {cited:?} in {sections:?}",
                vector["name"]
            );
        }
    }
}

#[test]
fn messages_are_read_and_written() {
    for (file, carrier) in [("messages-udp.json", Carrier::Udp), ("messages-tcp.json", Carrier::Tcp)] {
        for vector in vectors::<MessageVector>(file) {
            assert_eq!(vector.carrier.carrier(), carrier, "{}", vector.name);
            let name = format!("{file}: {}", vector.name);
            match vector.outcome() {
                Outcome::Stream(state) => assert_eq!(vector.stream_state(), Some(state), "{name}"),
                Outcome::Meaning(meaning) => {
                    assert_eq!(vector.read().as_ref(), Ok(meaning), "{name}");
                    let written = meaning.write(carrier, vector.message().len());
                    assert_eq!(
                        written == vector.hex.0,
                        vector.canonical,
                        "{name}: what our writer makes of it"
                    );
                }
                // Where a datagram came from, and how long it is, is judged by those who receive it.
                Outcome::Drop(reason @ ("source" | "oversized")) => {
                    assert!(vector.read().is_ok(), "{name}: nothing else is wrong with it");
                    assert_eq!(vector.dropped_by_receiver(), Some(reason), "{name}");
                }
                Outcome::Drop(reason) => {
                    assert_eq!(vector.read().map_err(|found| found.name()), Err(reason), "{name}");
                }
            }
        }
    }
}

#[test]
fn the_client_core_counts_the_same_drops() {
    for vector in vectors::<MessageVector>("messages-udp.json") {
        let Outcome::Drop(reason) = vector.outcome() else { continue };
        if vector.kind == Kind::Answer {
            let mut client = Client::new(ClientConfig::default()).expect("defaults");
            client.handle_datagram(0, &vector.hex.0, &mut |event| panic!("{}: {event:?}", vector.name));
            let counted: Vec<_> = DropReason::ALL
                .iter()
                .filter(|reason| client.counters().drops[reason.index()] == 1)
                .collect();
            assert!(matches!(counted[..], [found] if found.name() == reason), "{}: {counted:?}", vector.name);
        }
    }
}

#[test]
fn every_drop_reason_and_every_frame_has_a_vector() {
    let all: Vec<MessageVector> =
        ["messages-udp.json", "messages-tcp.json"].into_iter().flat_map(vectors).collect();
    for reason in DropReason::ALL.map(DropReason::name) {
        assert!(
            all.iter().any(|vector| matches!(vector.outcome(), Outcome::Drop(found) if found == reason)),
            "{reason}"
        );
    }
    let frames: BTreeSet<_> = all.iter().flat_map(MessageVector::frame_types).collect();
    assert_eq!(frames.len(), 25, "frame types with a vector: {frames:?}");
}

#[test]
fn servers_answer_exactly() {
    for vector in vectors::<AnswerVector>("answers.json") {
        assert_eq!(answers::of(&vector), vector.answers, "{}", vector.name);
    }
}

#[test]
fn seals_are_opened_and_made() {
    for vector in vectors::<SealedValue>("seals.json") {
        let mut scratch = vec![0; vector.value_limit];
        let found =
            seal::open(&vector.key.0, &vector.sealed.0, vector.value_limit, &mut scratch).map_err(error_name);
        assert_eq!(found, vector.expected(), "{}", vector.name);
        if let (Ok(value), Some(0)) = (vector.expected(), vector.sealed.0.get(4).map(|byte| byte >> 4)) {
            assert_eq!(
                [&seal::seal(&vector.key.0, value), value].concat(),
                vector.sealed.0,
                "{}",
                vector.name
            );
        }
    }
}

fn error_name(error: SealError) -> &'static str {
    match error {
        SealError::Short { .. } => "short",
        SealError::UnknownEncoding { .. } => "unknown_encoding",
        SealError::Length { .. } => "length",
        SealError::TooLong { .. } => "too_long",
        SealError::Encoding => "encoding",
        SealError::Checksum { .. } => "checksum",
    }
}

#[test]
fn cookies_are_judged_and_made() {
    for vector in vectors::<JudgedCookie>("cookies.json") {
        let mut keys = CookieKeys::new(vector.previous_secret.as_ref().unwrap_or(&vector.secret).array());
        keys.rotate(vector.secret.array());
        if vector.previous_secret.is_none() {
            keys = CookieKeys::new(vector.secret.array());
        }
        let state = match keys.check(&Cookie(vector.cookie.array()), vector.address, vector.now) {
            CookieState::Valid => "valid",
            CookieState::Stale => "stale",
            CookieState::Invalid => "invalid",
        };
        assert_eq!(state, vector.state, "{}", vector.name);
        assert_eq!(keys.make(vector.address, vector.now).0, vector.new_cookie.0[..], "{}", vector.name);
    }
}

#[test]
fn values_are_cut_into_balanced_chunks() {
    for vector in vectors::<Cut>("chunks.json") {
        let range = Range { offset: vector.offset, length: vector.length };
        let cut: Vec<_> =
            Chunks::of_range(range, vector.room).map(|chunk| (chunk.offset, chunk.length)).collect();
        assert_eq!(cut, vector.chunks, "{}", vector.name);
    }
}

/// What a read holds of the earlier version is dropped for the later one, and not the other way round.
#[test]
fn later_versions_replace_earlier_ones() {
    for vector in vectors::<Versions>("versions.json") {
        let (earlier, later) =
            (u64::from_be_bytes(vector.earlier.array()), u64::from_be_bytes(vector.later.array()));
        for (versions, restarts) in [([earlier, later], 1), ([later, earlier], 0), ([earlier, earlier], 0)] {
            let mut client = Client::new(ClientConfig::default()).expect("defaults");
            client.get(0, b"key", 0, 1 << 40, Join::Alone).expect("accepted");
            let mut out = [0; 1200];
            let sent = client.poll_transmit(0, &mut out).expect("a request");
            let request = Request::parse(&out[..sent.bytes], Carrier::Udp).expect("a good request");
            let Some(Frame::Get(get)) = request.frames().next() else { panic!("a GET") };
            for version in versions {
                let mut answer = [0; 100];
                let mut writer =
                    DatagramWriter::answer(&mut answer, &AnswerHeader::to(&request.header, false)).unwrap();
                let chunk = Chunk { id: get.id, version, total: 1000, offset: 500, bytes: &[1; 60] };
                writer.push(&Frame::Chunk(chunk)).unwrap();
                let bytes = writer.finish();
                assert!(Answer::parse(&answer[..bytes], Carrier::Udp).is_ok());
                client.handle_datagram(1, &answer[..bytes], &mut |event| panic!("{event:?}"));
            }
            assert_eq!(client.counters().version_restarts, restarts, "{}: {versions:x?}", vector.name);
        }
    }
}

#[test]
fn checksums_are_those_of_the_rfc() {
    for vector in vectors::<CheckedSum>("checksums.json") {
        assert_eq!(format!("{:08x}", crc32c(&vector.hex.0)), vector.crc32c, "{}", vector.name);
    }
}
