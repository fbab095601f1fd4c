//! A TCP peer that follows a script, built from the protocol's own wire format.

// Each test binary uses a part of it.
#![allow(dead_code, reason = "each test binary uses a part of it")]

pub(crate) mod udp;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread::JoinHandle;

use shingle_proto::cookie::Cookie;
use shingle_proto::wire::{
    AnswerHeader, Carrier, Control, Done, ErrorCode, ErrorText, Frame, MessageWriter, Port, Ports, Request,
    Strategy, Welcome, next_message,
};

/// Value limit the peer announces.
pub(crate) const VALUE_BYTES_MAX: u32 = 1 << 20;
/// Cookie the peer gives.
pub(crate) const COOKIE: Cookie = Cookie([7; 16]);

/// A thread that serves connections one after the other.
pub(crate) struct Peer {
    pub(crate) address: SocketAddr,
    thread: Option<JoinHandle<()>>,
}

impl Peer {
    /// Serves `connections` connections by `script`.
    pub(crate) fn serve(connections: usize, mut script: impl FnMut(Connection) + Send + 'static) -> Peer {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let thread = std::thread::spawn(move || {
            for _ in 0..connections {
                script(Connection { stream: listener.accept().unwrap().0, received: Vec::new() });
            }
        });
        Peer { address, thread: Some(thread) }
    }

    /// Serves one connection: welcomes it, then follows `script`.
    pub(crate) fn welcoming(script: impl FnOnce(&mut Connection) + Send + 'static) -> Peer {
        let mut script = Some(script);
        Peer::serve(1, move |mut connection| {
            connection.welcome(&[]);
            script.take().unwrap()(&mut connection);
        })
    }

    pub(crate) fn host_port(&self) -> String {
        self.address.to_string()
    }

    /// Waits for the script's end, and fails where it failed.
    pub(crate) fn join(mut self) {
        self.thread.take().unwrap().join().unwrap();
    }
}

/// The peer's side of a connection.
pub(crate) struct Connection {
    pub(crate) stream: TcpStream,
    received: Vec<u8>,
}

impl Connection {
    /// The next request, or `None` when the client has closed.
    pub(crate) fn next(&mut self) -> Option<Vec<u8>> {
        loop {
            if let Some((taken, message)) = next_message(&self.received).unwrap() {
                let message = message.to_vec();
                Request::parse(&message, Carrier::Tcp).unwrap();
                self.received.drain(..taken);
                return Some(message);
            }
            let mut bytes = [0; 65536];
            match self.stream.read(&mut bytes) {
                Ok(0) | Err(_) => return None,
                Ok(count) => self.received.extend_from_slice(&bytes[..count]),
            }
        }
    }

    /// Answers HELLO and gives its token.
    pub(crate) fn welcome(&mut self, ports: &[Port]) -> Vec<u8> {
        let hello = self.next().unwrap();
        let Frame::Control(Control::Hello(hello)) = only_frame(&hello) else { panic!("not a HELLO") };
        let ports: Vec<_> = ports.iter().map(Port::to_bytes).collect();
        self.answer(&Frame::Control(Control::Welcome(welcome(hello.id, Ports::new(&ports).unwrap()))));
        hello.token.to_vec()
    }

    /// Sends one answer.
    pub(crate) fn answer(&mut self, frame: &Frame<'_>) {
        // A client that has given up is no failure of the peer.
        let _ = self.stream.write_all(&answer_bytes(frame));
    }

    pub(crate) fn done(&mut self, id: u32, result: u64) {
        self.answer(&Frame::Control(Control::Done(Done { id, result })));
    }

    pub(crate) fn error(&mut self, id: u32, code: ErrorCode, text: &str) {
        self.answer(&Frame::Control(Control::Error(ErrorText { id, code, text })));
    }
}

pub(crate) fn welcome(id: u32, ports: Ports<'_>) -> Welcome<'_> {
    Welcome {
        id,
        receipts: true,
        draining: false,
        updates: true,
        nonce: 99,
        value_bytes_max: VALUE_BYTES_MAX,
        cookie: COOKIE,
        ports,
    }
}

pub(crate) fn port(port: u16) -> Port {
    Port { port, strategy: Strategy::Chunked, workers: 1, datagram_max: 8973 }
}

/// One answer as it travels, length and all.
pub(crate) fn answer_bytes(frame: &Frame<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    let header = AnswerHeader { attempt: 0, flow: 0, sequence: 0, draining: false };
    let mut message = MessageWriter::answer(&mut bytes, &header);
    message.push(frame);
    message.finish();
    bytes
}

/// The frame of a request that has one.
pub(crate) fn only_frame(message: &[u8]) -> Frame<'_> {
    let mut frames = Request::parse(message, Carrier::Tcp).unwrap().frames();
    let frame = frames.next().unwrap();
    assert!(frames.next().is_none());
    frame
}
