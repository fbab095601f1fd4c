//! The floor answers what is asked, and its children go with whoever started them.
#![cfg(feature = "floor")]

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use shingle_udp::floor::{AnswerShape, Echo, Incoming, Requests, confine, socket};
use shingle_udp::{Socket, allowed_cpus};

const REQUEST_BYTES: usize = 72;

/// Sends `train` requests in one message and returns the datagrams that answer them.
fn exchange(shape: AnswerShape) -> Vec<Vec<u8>> {
    let mut echo = Echo::bind(shape).unwrap();
    let client: Socket = socket(true).unwrap();
    client.connect(echo.local_addr().unwrap()).unwrap();
    let requests: Vec<u8> = (0..shape.train).flat_map(|index| [index as u8 + 1; REQUEST_BYTES]).collect();
    let mut requests = Requests::new(&client, requests, REQUEST_BYTES, shape.train, 4).unwrap();
    assert_eq!(requests.send(&client, 1).unwrap(), 1);
    echo.turn().unwrap();
    let mut incoming = Incoming::with_segments(4, 65_535);
    let mut datagrams = Vec::new();
    while client.wait(true, false, Duration::from_millis(50)).unwrap().readable {
        incoming.recv(&client).unwrap();
        incoming.each(|datagram| datagrams.push(datagram.to_vec()));
    }
    datagrams
}

#[test]
fn one_request_has_one_answer_of_the_size_asked_for() {
    let shape = AnswerShape { request_bytes: REQUEST_BYTES, train: 1, answer_bytes: 132, segment_bytes: 132 };
    let datagrams = exchange(shape);
    assert_eq!(datagrams.len(), 1);
    assert_eq!((datagrams[0].len(), &datagrams[0][..16]), (132, &[1; 16][..]));
}

#[test]
fn an_answer_of_several_datagrams_is_stamped_in_each() {
    let shape = AnswerShape { request_bytes: REQUEST_BYTES, train: 1, answer_bytes: 300, segment_bytes: 140 };
    let datagrams = exchange(shape);
    let lengths: Vec<usize> = datagrams.iter().map(Vec::len).collect();
    assert_eq!(lengths, [140, 140, 20]);
    assert!(datagrams.iter().all(|datagram| datagram[..16] == [1; 16]));
}

#[test]
fn a_train_longer_than_one_send_is_answered_whole_and_in_order() {
    let shape =
        AnswerShape { request_bytes: REQUEST_BYTES, train: 16, answer_bytes: 3 * 1376, segment_bytes: 1376 };
    let datagrams = exchange(shape);
    let stamps: Vec<u8> = datagrams.iter().map(|datagram| datagram[0]).collect();
    let expected: Vec<u8> = (1..=16).flat_map(|stamp| [stamp; 3]).collect();
    assert_eq!(stamps, expected);
    assert!(datagrams.iter().all(|datagram| datagram.len() == 1376));
}

#[test]
fn an_answer_longer_than_one_send_takes_several() {
    let shape =
        AnswerShape { request_bytes: REQUEST_BYTES, train: 2, answer_bytes: 67_384, segment_bytes: 1465 };
    let datagrams = exchange(shape);
    let bytes: usize = datagrams.iter().map(Vec::len).sum();
    assert_eq!((datagrams.len(), bytes), (2 * 46, 2 * 67_384));
    assert!(datagrams[..46].iter().all(|datagram| datagram[0] == 1));
    assert!(datagrams[46..].iter().all(|datagram| datagram[0] == 2));
}

#[test]
fn a_confined_child_dies_with_the_thread_that_started_it() {
    let cpu = allowed_cpus().unwrap()[0];
    let mut child = std::thread::spawn(move || {
        let mut command = Command::new("sleep");
        confine(command.arg("60").stdin(Stdio::null()), &[cpu]);
        let child = command.spawn().unwrap();
        let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
        assert!(status.contains(&format!("Cpus_allowed_list:\t{cpu}\n")), "{status}");
        child
    })
    .join()
    .unwrap();
    let begin = Instant::now();
    while child.try_wait().unwrap().is_none() {
        assert!(begin.elapsed() < Duration::from_secs(30), "the child outlived its parent");
        std::thread::sleep(Duration::from_millis(5));
    }
}
