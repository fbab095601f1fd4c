//! A driver of the client core over one plain socket: `udp_get ADDRESS KEY...` reads from `own_server` or a cache server's UDP port.

use std::error::Error;
use std::io::{self, ErrorKind};
use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use shingle_proto::client::{Client, ClientConfig, Ended, Join};
use shingle_proto::limits::DATAGRAM_BYTES_MAX;

/// Time a read is given.
const TIMEOUT: Duration = Duration::from_secs(1);

/// A value, or in words what became of its read.
pub(crate) type Outcome = Result<Vec<u8>, String>;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let server = arguments.next().ok_or("usage: udp_get ADDRESS KEY...")?.parse()?;
    let keys: Vec<String> = arguments.collect();
    for (key, value) in keys.iter().zip(get(server, &keys)?) {
        match value {
            Ok(value) => {
                println!("{key}: {} B: {}", value.len(), value[..value.len().min(60)].escape_ascii())
            }
            Err(why) => println!("{key}: {why}"),
        }
    }
    Ok(())
}

/// Reads all keys at once.
pub(crate) fn get(server: SocketAddr, keys: &[impl AsRef<[u8]>]) -> Result<Vec<Outcome>, Box<dyn Error>> {
    let socket = UdpSocket::bind(if server.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" })?;
    socket.connect(server)?;
    let mut client =
        Client::new(ClientConfig { in_flight_max: keys.len().max(1), ..ClientConfig::default() })?;
    let start = Instant::now();
    let now_ns = || start.elapsed().as_nanos() as u64;
    for (token, key) in keys.iter().enumerate() {
        let deadline_ns = now_ns() + TIMEOUT.as_nanos() as u64;
        client.get(now_ns(), key.as_ref(), token as u64, deadline_ns, Join::Alone)?;
    }
    let mut ends = vec![None; keys.len()];
    let mut bytes = vec![0; DATAGRAM_BYTES_MAX];
    while ends.contains(&None) {
        while let Some(transmit) = client.poll_transmit(now_ns(), &mut bytes) {
            if socket.send(&bytes[..transmit.bytes]).is_err() {
                client.transmit_failed(transmit.sequence);
            }
        }
        // A read timeout of 0 would be none at all.
        let wait_ns = client.poll_timeout().map(|at_ns| at_ns.saturating_sub(now_ns()).max(1));
        socket.set_read_timeout(wait_ns.map(Duration::from_nanos))?;
        let received = socket.recv(&mut bytes);
        let mut note = |event: shingle_proto::client::Event<'_>| {
            ends[event.token as usize] = Some(match event.end {
                Ended::Value(value) => Ok(value.to_vec()),
                other => Err(format!("{other:?}")),
            });
        };
        match received {
            Ok(length) => client.handle_datagram(now_ns(), &bytes[..length], &mut note),
            Err(error) if is_timeout(&error) => {}
            Err(error) => return Err(error.into()),
        }
        client.handle_timeout(now_ns(), &mut note);
    }
    Ok(ends.into_iter().flatten().collect())
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted)
}
