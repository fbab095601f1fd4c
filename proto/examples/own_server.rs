//! The server core inside a service of one's own, over one plain socket: `own_server ADDRESS [KEY=VALUE ...]`.
//!
//! Values come from the command line, and one of 64 KiB is there under `64KiB`. The TCP port is left out, whose WELCOME would hand
//! the cookie out at once: a CHALLENGE brings it here, at the price of one round trip. `udp_get` is the other side.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs::File;
use std::io::{self, Read};
use std::net::UdpSocket;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use shingle_proto::cookie::CookieKeys;
use shingle_proto::limits::COOKIE_SECRET_S;
use shingle_proto::seal::seal;
use shingle_proto::server::{self, Answer, Facts, Found, PortLimits, Workspace};

/// Sealed values by key.
pub(crate) type Values = BTreeMap<Vec<u8>, Vec<u8>>;

/// Largest datagram sent, and received: what a path MTU of 1500 carries in both families. A client that does not know its path announces less.
const DATAGRAM_BYTES: usize = 1452;
/// What the port may send. Probes mean something only where the socket sets DF, which std cannot ask for.
const PORT: PortLimits = PortLimits {
    datagram_max: DATAGRAM_BYTES as u16,
    one_datagram_answers: false,
    too_big_is_refused: false,
    probes_served: false,
};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let address = arguments.next().ok_or("usage: own_server ADDRESS [KEY=VALUE ...]")?;
    let mut values = Values::new();
    put(&mut values, b"64KiB", &[b'x'; 64 << 10]);
    for argument in arguments {
        let (key, value) = argument.split_once('=').ok_or_else(|| format!("{argument}: no KEY=VALUE"))?;
        put(&mut values, key.as_bytes(), value.as_bytes());
    }
    let socket = UdpSocket::bind(address)?;
    println!("ready udp={}", socket.local_addr()?);
    serve(&socket, &values)?;
    Ok(())
}

/// Stores a value with its seal, which the client checks end to end.
pub(crate) fn put(values: &mut Values, key: &[u8], value: &[u8]) {
    values.insert(key.to_vec(), [&seal(key, value), value].concat());
}

/// Answers until the socket fails.
pub(crate) fn serve(socket: &UdpSocket, values: &Values) -> io::Result<()> {
    let own_port = socket.local_addr()?.port();
    let (mut keys, mut rotated) = (CookieKeys::new(secret()?), Instant::now());
    let (mut bytes, mut out) = ([0; DATAGRAM_BYTES], [0; DATAGRAM_BYTES]);
    loop {
        let (length, from) = socket.recv_from(&mut bytes)?;
        if rotated.elapsed() > Duration::from_secs(COOKIE_SECRET_S.into()) {
            keys.rotate(secret()?);
            rotated = Instant::now();
        }
        // What cannot be read is not answered; the reason is worth a counter.
        let Ok(request) = server::accept(&bytes[..length], from, &[own_port]) else { continue };
        let proof = keys.prove(request.cookie.as_ref(), from.ip(), unix_s());
        let facts = Facts { proof, draining: false, telemetry: None };
        let mut workspace = Workspace::new();
        for datagram in Answer::new(&request, &PORT, &facts, &mut workspace, |_, key| find(values, key)) {
            let length = datagram.write(&mut out);
            // What one client's address makes of a send is no other client's business.
            let _ = socket.send_to(&out[..length], from);
        }
    }
}

/// The version never changes, because the values never do; each update would need a new one (section 3.3).
fn find<'v>(values: &'v Values, key: &[u8]) -> Found<'v> {
    values.get(key).map_or(Found::Nothing, |sealed| Found::Value { sealed, version: 1 })
}

fn secret() -> io::Result<[u8; 16]> {
    let mut secret = [0; 16];
    File::open("/dev/urandom")?.read_exact(&mut secret)?;
    Ok(secret)
}

fn unix_s() -> u32 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs() as u32)
}
