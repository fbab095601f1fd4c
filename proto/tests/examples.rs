//! The two examples against each other over loopback: what a stranger copies has to work.

use std::net::UdpSocket;

#[expect(dead_code, reason = "its main is not called")]
#[path = "../examples/own_server.rs"]
mod own_server;
#[expect(dead_code, reason = "its main is not called")]
#[path = "../examples/udp_get.rs"]
mod udp_get;

#[test]
fn values_small_chunked_and_absent_are_read_from_ones_own_server() {
    for address in ["127.0.0.1:0", "[::1]:0"] {
        let long: Vec<u8> = (0..64 << 10).map(|at: u32| ((at * 31) >> 3) as u8).collect();
        let mut values = own_server::Values::new();
        own_server::put(&mut values, b"small", b"value");
        own_server::put(&mut values, b"empty", b"");
        own_server::put(&mut values, b"long", &long);
        let Ok(socket) = UdpSocket::bind(address) else {
            eprintln!("{address}: not on this machine");
            continue;
        };
        let server = socket.local_addr().expect("it is bound");
        // Ends with the process.
        std::thread::spawn(move || own_server::serve(&socket, &values));

        let mut read = udp_get::get(server, &["small", "absent", "empty", "long"]).expect("the socket works");
        assert_eq!(read.pop(), Some(Ok(long)), "64 KiB in chunks");
        assert_eq!(read, [Ok(b"value".to_vec()), Err("Miss".into()), Ok(vec![])]);
    }
}
