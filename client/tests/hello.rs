//! Connecting: every peer that is not the server wanted gets an error that says what it is and what to do.

mod peer;

use std::io::Write;
use std::net::TcpListener;
use std::time::Duration;

use peer::{Connection, Peer, answer_bytes, only_frame, welcome};
use shingle_client::control::{Control, ControlError};
use shingle_proto::checksum::crc32c;
use shingle_proto::wire::{Control as Request, ErrorCode, Frame, Ports, Strategy};

/// Long enough never to matter where an answer comes.
const PATIENT: Duration = Duration::from_secs(20);
/// Where none comes.
const IMPATIENT: Duration = Duration::from_millis(50);

/// Connects to a peer that answers HELLO with `bytes` and closes.
fn connect_to(bytes: Vec<u8>) -> ControlError {
    let peer = Peer::serve(1, move |mut connection: Connection| {
        let hello = connection.next().unwrap();
        assert!(matches!(only_frame(&hello), Frame::Control(Request::Hello(_))));
        connection.stream.write_all(&bytes).unwrap();
    });
    let error = Control::connect(&peer.host_port(), b"", PATIENT).unwrap_err();
    peer.join();
    error
}

#[test]
fn welcome_is_taken_over() {
    let ports =
        [peer::port(7400), shingle_proto::wire::Port { strategy: Strategy::DfOff, ..peer::port(7402) }];
    let peer = Peer::serve(1, move |mut connection| assert_eq!(connection.welcome(&ports), b"secret"));
    let control = Control::connect(&peer.host_port(), b"secret", PATIENT).unwrap();
    let welcome = control.welcome();
    assert_eq!(
        (welcome.nonce, welcome.value_bytes_max, welcome.cookie),
        (99, peer::VALUE_BYTES_MAX, peer::COOKIE)
    );
    assert_eq!((welcome.receipts, welcome.draining, welcome.may_update), (true, false, true));
    assert_eq!(welcome.ports, ports);
    assert_eq!(control.peer().unwrap(), peer.address);
    peer.join();
}

#[test]
fn welcome_may_come_byte_by_byte() {
    let peer = Peer::serve(1, |mut connection| {
        let hello = connection.next().unwrap();
        let Frame::Control(Request::Hello(hello)) = only_frame(&hello) else { panic!("not a HELLO") };
        connection.stream.set_nodelay(true).unwrap();
        let none = Ports::new(&[]).unwrap();
        for byte in answer_bytes(&Frame::Control(Request::Welcome(welcome(hello.id, none)))) {
            connection.stream.write_all(&[byte]).unwrap();
        }
    });
    assert!(Control::connect(&peer.host_port(), b"", PATIENT).is_ok());
    peer.join();
}

#[test]
fn another_version_names_both() {
    let mut bytes = answer_bytes(&error_frame(ErrorCode::Version, "2 to 3 spoken here"));
    bytes[4 + 5] = 3;
    let checksum = crc32c(&bytes[8..]);
    bytes[4..8].copy_from_slice(&checksum.to_be_bytes());
    let error = connect_to(bytes);
    assert!(matches!(error, ControlError::Version { theirs: 3, ours: 1, .. }), "{error}");
    assert!(error.to_string().contains("speaks protocol version 3, this client speaks version 1"), "{error}");
}

#[test]
fn versions_refused_in_this_version_are_quoted() {
    let error = connect_to(answer_bytes(&error_frame(ErrorCode::Version, "versions 2 to 3 are spoken here")));
    assert!(error.to_string().ends_with("refused HELLO: versions 2 to 3 are spoken here"), "{error}");
}

#[test]
fn tokens_wrong_and_needed() {
    let error = connect_to(answer_bytes(&error_frame(ErrorCode::TokenWrong, "wrong")));
    assert!(matches!(error, ControlError::TokenWrong { .. }), "{error}");
    let error = connect_to(answer_bytes(&error_frame(ErrorCode::TokenNeeded, "needed")));
    assert!(matches!(error, ControlError::TokenNeeded { .. }), "{error}");
    let error = Control::connect("127.0.0.1:1", &[b'x'; 256], PATIENT).unwrap_err();
    assert!(matches!(error, ControlError::Token { bytes: 256 }), "{error}");
}

#[test]
fn other_services_are_told_apart_from_servers() {
    let not_shingle = |bytes: &[u8]| match connect_to(bytes.to_vec()) {
        error @ ControlError::NotShingle { .. } => error.to_string(),
        other => panic!("{other:?}"),
    };
    // What a few services answer: the first four bytes are no length of ours.
    assert!(not_shingle(b"SSH-2.0-OpenSSH_9.9\r\n").contains("SSH-2.0-OpenSSH_9.9"));
    assert!(not_shingle(b"HTTP/1.1 400 Bad Request\r\n\r\n").contains("HTTP/1.1 400"));
    assert!(not_shingle(b"ERROR\r\n").contains("ERROR"));
    // Lengths of every size, then what is no message.
    assert!(not_shingle(&[0xff; 64]).contains("4294967295"));
    assert!(not_shingle(&[0, 0, 0, 0]).contains("short"));
    assert!(
        not_shingle(&[0, 0, 0, 16, 1, 2, 3, 4, 5, 6, 0x80, 8, 9, 10, 11, 12, 13, 14, 15, 16])
            .contains("magic")
    );
    // The longest length allowed, a few bytes of it, the end: memory follows the bytes, not the length.
    assert!(not_shingle(&[1, 0x10, 0, 0, 1, 2, 3]).contains("closed"));
    assert!(not_shingle(b"").contains("closed"));
}

#[test]
fn welcomes_cut_or_changed_anywhere_are_refused() {
    let none = Ports::new(&[]).unwrap();
    let whole = answer_bytes(&Frame::Control(Request::Welcome(welcome(1, none))));
    for cut in 0..whole.len() {
        let error = connect_to(whole[..cut].to_vec());
        assert!(matches!(error, ControlError::NotShingle { .. }), "cut at {cut}: {error}");
    }
    for at in 4..whole.len() {
        let mut changed = whole.clone();
        changed[at] ^= 0x10;
        let error = connect_to(changed);
        let named = matches!(error, ControlError::NotShingle { .. } | ControlError::Version { .. });
        assert!(named, "bit flipped at {at}: {error}");
    }
}

#[test]
fn answers_of_another_kind_are_refused() {
    let pong = Request::Pong(shingle_proto::wire::Pong { id: 1, draining: false, payload: 0 });
    assert!(matches!(connect_to(answer_bytes(&Frame::Control(pong))), ControlError::NotShingle { .. }));
    assert!(matches!(connect_to(answer_bytes(&Frame::Miss { id: 1 })), ControlError::NotShingle { .. }));
    let none = Ports::new(&[]).unwrap();
    let another_id = answer_bytes(&Frame::Control(Request::Welcome(welcome(2, none))));
    assert!(matches!(connect_to(another_id), ControlError::NotShingle { .. }));
    let limit = shingle_proto::wire::Welcome { value_bytes_max: u32::MAX, ..welcome(1, none) };
    let error = connect_to(answer_bytes(&Frame::Control(Request::Welcome(limit))));
    assert!(error.to_string().contains("value limit of 4294967295 B"), "{error}");
}

#[test]
fn silence_ends() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let error = Control::connect(&address, b"", IMPATIENT).unwrap_err();
    assert!(matches!(error, ControlError::TimedOut { request: "HELLO", after: IMPATIENT, .. }), "{error}");
    let error = Control::connect(&address, b"", Duration::ZERO).unwrap_err();
    assert!(matches!(error, ControlError::TimedOut { .. }), "{error}");
}

#[test]
fn nobody_there() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let error = Control::connect(&address.to_string(), b"", PATIENT).unwrap_err();
    assert!(matches!(error, ControlError::Refused { .. }), "{error}");
    assert!(error.to_string().starts_with(&format!("{address} refused the connection")), "{error}");
    for nonsense in ["", "localhost", "127.0.0.1:70000", "127.0.0.1:", "[::1:7401"] {
        let error = Control::connect(nonsense, b"", PATIENT).unwrap_err();
        assert!(matches!(error, ControlError::Resolve { .. }), "{error}");
        assert!(error.to_string().contains("give HOST:PORT"), "{error}");
    }
}

fn error_frame(code: ErrorCode, text: &str) -> Frame<'_> {
    Frame::Control(Request::Error(shingle_proto::wire::ErrorText { id: 1, code, text }))
}
