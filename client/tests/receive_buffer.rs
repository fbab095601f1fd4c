//! Large values into a small receive buffer that is read slowly: nothing is dropped at the socket where the credit follows from
//! the buffer (PROTOCOL.md section 4.3), and much is where it does not.

mod relay;
mod stage;

use std::time::Duration;

use shingle_client::{Control, Options};
use shingle_proto::client::{Charge, Client, ClientConfig, Ended, Join, ReceiveBuffer};
use shingle_server::Server;
use shingle_udp::{RecvBatch, SendBatch, Socket, SocketOptions, monotonic_ns, receive_charges};
use stage::{PATIENT, connect, server, store, until, value};

/// What is asked for: the kernel doubles it to 208 KiB, the default of many systems.
const BUFFER_BYTES: usize = 106_496;
const DATAGRAM_BYTES: [usize; 3] = [1200, 1472, 8973];
const VALUE_BYTES: usize = 1 << 20;
const READS: usize = 4;

#[test]
fn a_window_of_the_buffers_size_loses_nothing_and_none_loses_much() {
    let server = server();
    store(&server, [VALUE_BYTES]);
    for datagram_bytes in DATAGRAM_BYTES {
        let charged_bytes = receive_charges(false, &[datagram_bytes]).unwrap()[0];
        let datagram_bytes_max = datagram_bytes as u16;
        let charges = [Charge { datagram_bytes_max, charged_bytes }];
        let read = |granted_bytes, timeout| {
            let buffer = ReceiveBuffer::new(granted_bytes, &charges);
            read_slowly(&server, datagram_bytes_max, buffer, timeout)
        };
        let what = format!("{datagram_bytes} B, charged {charged_bytes} B each");
        assert_eq!(read(2 * BUFFER_BYTES as u32, PATIENT), (READS, 0), "{what}");
        // A buffer that is not there: what becomes of the reads is left to chance.
        let (_, drops) = read(64 << 20, Duration::from_secs(1));
        assert!(drops > 0, "{what}");
        println!("{what}: no drop with the window, {drops} without");
    }
}

/// Reads large values and sleeps between receives, so that whatever the server was allowed to send is in the buffer.
/// Returns how many values came in time, and how many datagrams were dropped there.
fn read_slowly(
    server: &Server,
    datagram_max: u16,
    receive_buffer: ReceiveBuffer,
    timeout: Duration,
) -> (usize, u32) {
    let control = Control::connect(&server.tcp_addr().to_string(), b"", PATIENT).unwrap();
    let options = SocketOptions { recv_buffer_bytes: BUFFER_BYTES, ..SocketOptions::default() };
    let socket = Socket::bind("127.0.0.1:0".parse().unwrap(), &options).unwrap();
    assert_eq!(socket.recv_buffer_granted_bytes().unwrap(), 2 * BUFFER_BYTES);
    let mut to = server.tcp_addr();
    to.set_port(server.ports()[0].port);
    socket.connect(to).unwrap();
    // Longer than the time between two receives, so that nothing is asked for twice.
    let gap_ns = 100_000_000;
    let config =
        ClientConfig { datagram_max, receive_buffer, gap_ns, rerequests_max: 255, ..ClientConfig::default() };
    let mut core = Client::new(config).unwrap();
    core.set_cookie(control.welcome().cookie);
    let deadline_ns = monotonic_ns() + timeout.as_nanos() as u64;
    for read in 0..READS {
        let key = VALUE_BYTES.to_string();
        core.get(monotonic_ns(), key.as_bytes(), read as u64, deadline_ns, Join::Alone).unwrap();
    }
    let (mut outgoing, mut incoming) = (SendBatch::new(1, 1, 1200), RecvBatch::new(64, datagram_max.into()));
    let mut out = [0; 1200];
    let mut read = 0;
    while core.in_flight() > 0 {
        while let Some(transmit) = core.poll_transmit(monotonic_ns(), &mut out) {
            let mut batch = outgoing.fill();
            assert!(batch.begin(to));
            batch.copy(&out[..transmit.bytes]);
            batch.end(0).unwrap();
            batch.send(&socket, &mut |_, error| panic!("{error}")).unwrap();
        }
        std::thread::sleep(Duration::from_millis(2));
        let mut book = |event: shingle_proto::client::Event<'_>| match event.end {
            Ended::Value(found) if found == value(VALUE_BYTES) => read += 1,
            Ended::TimedOut { .. } | Ended::Late { .. } => {}
            end => panic!("{end:?}"),
        };
        while incoming.recv(&socket).unwrap() > 0 {
            for datagram in incoming.iter() {
                core.handle_datagram(monotonic_ns(), datagram.bytes, &mut book);
            }
        }
        core.handle_timeout(monotonic_ns(), &mut book);
    }
    (read, socket.mem_info().unwrap().drops)
}

/// A runtime whose only thread is busy with other things lets the driver read now and then.
#[tokio::test]
async fn a_driver_that_is_kept_waiting_loses_nothing() {
    let server = server();
    store(&server, [VALUE_BYTES, 500]);
    // One datagram of each read may always come, so that as many must fit.
    let options = Options {
        receive_buffer_bytes: BUFFER_BYTES,
        in_flight_max: 8,
        timeout: PATIENT,
        ..Options::default()
    };
    let client = connect(&server, options).await;
    let busy = tokio::spawn(async {
        loop {
            std::thread::sleep(Duration::from_millis(3));
            tokio::task::yield_now().await;
        }
    });
    let keys: Vec<String> =
        (0..24).map(|read| if read % 3 == 0 { 500 } else { VALUE_BYTES }.to_string()).collect();
    for (key, result) in keys.iter().zip(client.get_many(&keys).await) {
        assert!(result.unwrap() == Some(value(key.parse().unwrap())), "value of {key} B");
    }
    busy.abort();
    until("the picture has followed the replies", || client.stats().outcomes.values == keys.len() as u64)
        .await;
    let stats = client.stats();
    assert_eq!(stats.receive_buffer.granted_bytes(), 2 * BUFFER_BYTES as u32);
    assert_eq!(stats.socket_drops, 0, "{stats:?}");
    assert!(stats.counters.continuations > 0, "{stats:?}");
}

/// The default number of reads at once, and the buffer that a Linux with its default `net.core.rmem_max` gives.
#[tokio::test]
async fn many_large_values_at_once_fit_the_buffer_of_a_default_system() {
    let server = server();
    store(&server, [10_000, 100_000]);
    let options = Options { receive_buffer_bytes: 212_992, timeout: PATIENT, ..Options::default() };
    let client = connect(&server, options).await;
    // The path MTU is found first: one datagram of each read may be as large as that.
    until("the search is complete", || client.stats().path.down.proved_bytes > 8000).await;
    for bytes in [10_000, 100_000] {
        let keys = vec![bytes.to_string(); 128];
        for result in client.get_many(&keys).await {
            assert!(result.unwrap() == Some(value(bytes)), "value of {bytes} B");
        }
    }
    until("the picture has followed the replies", || client.stats().outcomes.values == 256).await;
    // The kernel returns what it charged in lots, so a few may still find it full on a busy machine; thousands did without the window.
    let stats = client.stats();
    assert!(u64::from(stats.socket_drops) * 50 <= stats.counters.datagrams_in, "{stats:?}");
}
