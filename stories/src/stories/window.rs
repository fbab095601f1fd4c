//! The receive window: long values into a small socket buffer, asked for by what the buffer holds, and by more than that.

use std::io;
use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use shingle_client::{Options, PathMtu, blocking};
use shingle_proto::client::{
    Charge, Client, ClientConfig, ClientCounters, Ended, Event, Join, ReceiveBuffer,
};
use shingle_proto::limits::{DATAGRAM_BYTES_MIN, IPV4_OVERHEAD_BYTES};
use shingle_proto::wire::Strategy;
use shingle_udp::{RecvBatch, SendBatch, Socket, SocketOptions, monotonic_ns, receive_charges};

use crate::error::StoryError;
use crate::expectation::{Bound, Expectation, Unit};
use crate::scene::Scene;
use crate::story::Story;
use crate::telling::Telling;
use crate::watch::{End, Watch};

/// See the head of the file.
pub(super) static STORY: Story = Story {
    name: "window",
    sentence: "values of 1 MiB are read into the socket buffer that the system grants by default, by a reader that comes to it each 2 ms",
    expectations: &[&FITS, &ONE_PASS, &WHOLE, &OVERRUN, &AGAIN, &LOST],
    tell,
};

static FITS: Expectation = Expectation {
    what: "RcvbufErrors where requests announce what the buffer holds",
    formula: "0",
    bound: Bound::Exactly,
    unit: Unit::Count("datagrams"),
    reason: "each request says how much may come; all of them together are seven eighths of the buffer at most, in what the kernel charges, \
             which is about twice the payload",
    full_only: false,
};

static ONE_PASS: Expectation = Expectation {
    what: "bytes received for those values",
    formula: "their length",
    bound: Bound::WithinShare(0.05),
    unit: Unit::Bytes,
    reason: "no byte comes twice; headers are 40 B of each datagram, which are shorter where many values share the buffer. What a machine that stalls \
             for 5 ms asks for again is a window at most",
    full_only: false,
};

static OVERRUN: Expectation = Expectation {
    what: "RcvbufErrors where requests announce 256 KiB each",
    formula: "values x 256 KiB in datagrams - what the buffer holds",
    bound: Bound::AtLeast,
    unit: Unit::Count("datagrams"),
    reason: "the answers to the first requests are all there before the reader is",
    full_only: false,
};

static AGAIN: Expectation = Expectation {
    what: "re-requests for a value then",
    formula: "dropped datagrams / 256 KiB in datagrams",
    bound: Bound::AtLeast,
    unit: Unit::Count("requests"),
    reason: "what was dropped is asked for again, 256 KiB at a time, each after a gap of 5 ms",
    full_only: false,
};

static WHOLE: Expectation = Expectation {
    what: "values read",
    formula: "all",
    bound: Bound::Exactly,
    unit: Unit::Count("values"),
    reason: "one value alone always comes: what is missing of it is asked for again",
    full_only: false,
};

static LOST: Expectation = Expectation {
    what: "values lost where eight requests announce 256 KiB each",
    formula: "half of them",
    bound: Bound::AtLeast,
    unit: Unit::Count("values"),
    reason: "the first answer alone is more than the buffer holds, so that nothing at all comes of the last ones: then nobody knows that there \
             is anything to ask for again, and they time out",
    full_only: false,
};

const VALUE_BYTES: usize = 1 << 20;
/// What a socket has that asks for nothing (net.core.rmem_default), as the kernel accounts it; it doubles what it is asked for.
const BUFFER_BYTES: usize = 212_992;
/// What the server never goes beyond.
const CREDIT_BYTES: usize = 256 << 10;
/// How long the reader does other things.
const AWAY: Duration = Duration::from_millis(2);
const TIMEOUT: Duration = Duration::from_secs(10);
/// Of those that will not all come.
const TIMEOUT_OF_LOST: Duration = Duration::from_secs(1);
const PATH_MTU: usize = 9001;
const DATAGRAM_BYTES: usize = PATH_MTU - IPV4_OVERHEAD_BYTES;

fn tell(telling: &mut Telling) -> Result<(), StoryError> {
    let scene = Scene::new("direct", &[], Strategy::Chunked)?;
    let mut client = embedded(&scene)?;
    for values in [1, 8] {
        let keys: Vec<Vec<u8>> = (0..values).map(|number| format!("long-{number}").into_bytes()).collect();
        for key in &keys {
            client.control()?.set(key, &[7; VALUE_BYTES], 0)?;
        }
        fitting(telling, &scene, &mut client, &keys)?;
        overrunning(telling, &scene, &client, &keys)?;
    }
    scene.close(telling)
}

/// Readers that announce what their buffer holds: the client that programs embed, which looks at its socket all the time, and one that does
/// not.
fn fitting(
    telling: &mut Telling,
    scene: &Scene,
    client: &mut blocking::Client,
    keys: &[Vec<u8>],
) -> Result<(), StoryError> {
    let (values, bytes) = (keys.len() as f64, (keys.len() * VALUE_BYTES) as f64);
    let (before, start) = (client.counters().bytes_in, Instant::now());
    let (read, dropped) = counted(scene, || Ok(client.get_many(keys)))?;
    let case = case(keys, "shingle-client", start.elapsed());
    let whole = read.iter().filter(|value| matches!(value, Ok(Some(value)) if value.len() == VALUE_BYTES));
    telling.row(&WHOLE, &case, values, whole.count() as f64);
    telling.row(&FITS, &case, 0.0, dropped as f64);
    telling.row(&ONE_PASS, &case, bytes, (client.counters().bytes_in - before) as f64);
    let reader = Reader::new(client, Announced::Buffer)?;
    let (got, dropped) = counted(scene, || reader.read(keys, TIMEOUT))?;
    let case = self::case(keys, "each 2 ms", got.time);
    telling.row(&WHOLE, &case, values, f64::from(got.whole));
    telling.row(&FITS, &case, 0.0, dropped as f64);
    telling.row(&ONE_PASS, &case, bytes, got.counters.bytes_in as f64);
    Ok(())
}

/// A reader that announces as much as a server ever sends.
fn overrunning(
    telling: &mut Telling,
    scene: &Scene,
    client: &blocking::Client,
    keys: &[Vec<u8>],
) -> Result<(), StoryError> {
    let reader = Reader::new(client, Announced::Most)?;
    let held = BUFFER_BYTES as u32 / reader.charge;
    let (got, dropped) = counted(scene, || reader.read(keys, TIMEOUT_OF_LOST))?;
    let case = case(keys, "each 2 ms", got.time);
    let datagrams = (CREDIT_BYTES / DATAGRAM_BYTES) as f64;
    telling.row(&OVERRUN, &case, keys.len() as f64 * datagrams - f64::from(held), dropped as f64);
    if keys.len() == 1 {
        telling.row(&WHOLE, &case, 1.0, f64::from(got.whole));
        telling.row(&AGAIN, &case, (dropped as f64 / datagrams).ceil(), got.counters.rerequests as f64);
    } else {
        telling.row(&LOST, &case, keys.len() as f64 / 2.0, keys.len() as f64 - f64::from(got.whole));
    }
    Ok(())
}

fn case(keys: &[Vec<u8>], reader: &str, time: Duration) -> String {
    format!("{} at a time, {reader}, in {} ms", keys.len(), time.as_millis())
}

/// As programs embed it, with the small buffer.
fn embedded(scene: &Scene) -> Result<blocking::Client, StoryError> {
    let options = Options {
        receive_buffer_bytes: BUFFER_BYTES / 2,
        path_mtu: PathMtu::Known(PATH_MTU),
        ..Scene::client_options(TIMEOUT)
    };
    Ok(blocking::Client::connect_with(&scene.server().tcp_addr().to_string(), options)?)
}

/// Does `work`; and what the client host dropped meanwhile for want of buffer.
fn counted<T>(scene: &Scene, work: impl FnOnce() -> Result<T, StoryError>) -> Result<(T, u64), StoryError> {
    let watch = Watch::begin(scene)?;
    let done = work()?;
    Ok((done, watch.end(scene)?.udp(End::Client, "RcvbufErrors")))
}

/// The protocol's core, under a driver that comes to its socket now and then.
struct Reader {
    core: Client,
    socket: Socket,
    server: SocketAddr,
    /// What the kernel charges for the largest datagram.
    charge: u32,
}

/// What its requests announce.
#[derive(Clone, Copy, PartialEq)]
enum Announced {
    /// What the buffer holds.
    Buffer,
    /// As much as a server ever sends at a time.
    Most,
}

/// What it got.
struct Got {
    whole: u32,
    counters: ClientCounters,
    time: Duration,
}

impl Reader {
    /// Of the server that `client` reads from.
    fn new(client: &blocking::Client, announced: Announced) -> Result<Reader, StoryError> {
        let fail = |source| StoryError::System { what: "a UDP socket".to_owned(), source };
        let options = SocketOptions { recv_buffer_bytes: BUFFER_BYTES / 2, ..SocketOptions::default() };
        let socket = Socket::bind(SocketAddr::from(([0, 0, 0, 0], 0)), &options).map_err(fail)?;
        socket.connect(client.server()).map_err(fail)?;
        let sizes = [DATAGRAM_BYTES_MIN, DATAGRAM_BYTES];
        let charges = receive_charges(false, &sizes).map_err(fail)?;
        let step = |(bytes, charged): (&usize, &u32)| Charge {
            datagram_bytes_max: *bytes as u16,
            charged_bytes: *charged,
        };
        let steps: Vec<Charge> = sizes.iter().zip(&charges).map(step).collect();
        let receive_buffer = match announced {
            Announced::Buffer => ReceiveBuffer::new(BUFFER_BYTES as u32, &steps),
            Announced::Most => ReceiveBuffer::linux(u32::MAX),
        };
        let config = ClientConfig {
            value_bytes_max: VALUE_BYTES,
            datagram_max: DATAGRAM_BYTES as u16,
            receive_buffer,
            rerequests_max: u8::MAX,
            ..ClientConfig::default()
        };
        let mut core = Client::new(config).map_err(|error| fail(io::Error::other(error)))?;
        core.set_cookie(client.welcome().cookie);
        Ok(Reader { core, socket, server: client.server(), charge: charges[1] })
    }

    /// Reads all of these keys at once.
    fn read(mut self, keys: &[Vec<u8>], timeout: Duration) -> Result<Got, StoryError> {
        let start = Instant::now();
        let begun_ns = monotonic_ns();
        let deadline_ns = begun_ns + timeout.as_nanos() as u64;
        for (token, key) in keys.iter().enumerate() {
            let begun = self.core.get(begun_ns, key, token as u64, deadline_ns, Join::Alone);
            begun.expect("there is room for all");
        }
        let mut whole = 0;
        let mut sink = |event: Event<'_>| {
            whole += u32::from(matches!(event.end, Ended::Value(value) if value.len() == VALUE_BYTES));
        };
        let (mut request, mut recv) =
            (vec![0; self.core.transmit_bytes_max()], RecvBatch::new(64, DATAGRAM_BYTES));
        let mut send = SendBatch::new(1, 1, request.len());
        while self.core.in_flight() > 0 {
            self.turn(&mut request, &mut send, &mut recv, &mut sink)
                .map_err(StoryError::system("reading"))?;
        }
        Ok(Got { whole, counters: *self.core.counters(), time: start.elapsed() })
    }

    /// Sends what is to be sent, does other things, and takes what has come by then.
    fn turn(
        &mut self,
        request: &mut [u8],
        send: &mut SendBatch,
        recv: &mut RecvBatch,
        sink: &mut impl FnMut(Event<'_>),
    ) -> io::Result<()> {
        while let Some(transmit) = self.core.poll_transmit(monotonic_ns(), request) {
            let mut outgoing = send.fill();
            assert!(outgoing.begin(self.server), "the batch is empty");
            outgoing.copy(&request[..transmit.bytes]);
            outgoing.end(0).map_err(io::Error::other)?;
            // What the kernel refuses is lost, as on the way.
            outgoing.send(&self.socket, &mut |_, _| ())?;
        }
        thread::sleep(AWAY);
        while recv.recv(&self.socket)? > 0 {
            recv.iter().for_each(|datagram| self.core.handle_datagram(monotonic_ns(), datagram.bytes, sink));
        }
        self.core.handle_timeout(monotonic_ns(), sink);
        Ok(())
    }
}
