//! The example of the client inside an HTTP service, as it is run: found, not found, gone.

mod relay;
mod stage;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use shingle_client::Options;
use stage::{PATIENT, connect, server, store, value};

#[path = "../examples/http_service.rs"]
#[allow(dead_code, reason = "its main is for the command line")]
mod http_service;

/// Status and body of a GET.
fn get(address: SocketAddr, path: &str) -> (u16, Vec<u8>) {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let head = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n").unwrap();
    let status = std::str::from_utf8(&answer[9..12]).unwrap().parse().unwrap();
    (status, answer.split_off(head + 4))
}

#[test]
fn an_http_service_over_the_client() {
    let server = server();
    store(&server, [500, 300_000]);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let client = runtime.block_on(connect(&server, Options::default()));
    let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
    let address = listener.local_addr().unwrap();
    runtime.spawn(http_service::serve(listener, client));
    assert_eq!(get(address, "/500"), (200, value(500)));
    assert_eq!(get(address, "/300000"), (200, value(300_000)));
    assert_eq!(get(address, "/nothing").0, 404);
    assert_eq!(get(address, "/").0, 400, "an empty key");
    let (status, body) = get(address, "/healthz");
    assert_eq!(status, 200);
    assert!(String::from_utf8(body).unwrap().starts_with("Answering\n"));
    server.stop();
    let begin = Instant::now();
    while get(address, "/healthz").0 != 503 {
        assert!(begin.elapsed() < PATIENT, "the server is gone and nobody notices");
        std::thread::sleep(Duration::from_millis(10));
    }
    let (status, body) = get(address, "/500");
    assert_eq!(status, 503);
    assert!(String::from_utf8(body).unwrap().contains("nothing listens"));
}
