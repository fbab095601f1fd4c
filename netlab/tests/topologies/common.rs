//! What these tests share: a laboratory or a visible skip, sockets on its ends, numbered datagrams, and the hosts' counters.

use std::io::ErrorKind;
use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use shingle_netlab::lab::{Host, Lab, LabError, LabOptions};
use shingle_netlab::{Family, Spec, skip};

/// Both, as they are set.
pub(crate) const FAMILIES: [&str; 2] = ["4", "6"];

/// How long the last datagrams may be on their way. Only lost ones cost this time.
const PATIENCE: Duration = Duration::from_millis(150);

/// As many datagrams as every receive buffer holds, whatever their size.
const BATCH: u64 = 8;

/// A laboratory of this topology, or nothing, said aloud, where this machine cannot have one; with SHINGLE_REQUIRE_LAB=1 that is a failure.
pub(crate) fn lab(topology: &str, family: &str, settings: &[&str]) -> Option<Lab> {
    let family = format!("family={family}");
    let spec =
        Spec::new(topology).unwrap().set_all(settings.iter().copied().chain([family.as_str()])).unwrap();
    match Lab::up(&spec.plan(), &LabOptions::default()) {
        Err(error @ (LabError::Tools { .. } | LabError::Rights { .. } | LabError::NoIpv6)) => {
            skip::unless_required(skip::REQUIRE_LAB, error);
            None
        }
        lab => Some(lab.unwrap()),
    }
}

/// A socket on each end of a laboratory.
pub(crate) struct Ends {
    pub(crate) client: End,
    pub(crate) server: End,
}

/// One of them.
pub(crate) struct End {
    pub(crate) socket: UdpSocket,
    pub(crate) address: SocketAddr,
}

/// What came of some datagrams.
#[derive(Debug, Default)]
pub(crate) struct Arrived {
    /// Their numbers, in the order in which they came.
    pub(crate) numbers: Vec<u64>,
    /// Those whose bytes were not those sent.
    pub(crate) altered: u64,
}

impl Ends {
    pub(crate) fn of(lab: &Lab) -> Self {
        Self { client: End::of(lab, lab.client()), server: End::of(lab, lab.server()) }
    }

    /// Sends datagrams of so many bytes from the server to the client.
    pub(crate) fn down(&self, datagrams: u64, payload_bytes: usize) -> Arrived {
        self.server.pour(&self.client, datagrams, payload_bytes)
    }

    /// The same the other way.
    pub(crate) fn up(&self, datagrams: u64, payload_bytes: usize) -> Arrived {
        self.client.pour(&self.server, datagrams, payload_bytes)
    }

    /// One large datagram, lost, and the hosts know the path MTU.
    pub(crate) fn learn(&self) {
        assert_eq!(self.down(1, 4000).numbers, [0_u64; 0], "the first large datagram is lost");
    }
}

impl End {
    pub(crate) fn of(lab: &Lab, host: &Host) -> Self {
        let address = SocketAddr::new(host.address(lab.plan().family), 0);
        let socket = host.run(|| UdpSocket::bind(address).unwrap()).unwrap();
        let address = socket.local_addr().unwrap();
        Self { socket, address }
    }

    /// Sends numbered datagrams in batches that no buffer is too small for, and takes what arrives.
    pub(crate) fn pour(&self, to: &Self, datagrams: u64, payload_bytes: usize) -> Arrived {
        let mut arrived = Arrived::default();
        to.socket.set_nonblocking(true).unwrap();
        for number in 0..datagrams {
            self.socket.send_to(&payload(number, payload_bytes), to.address).unwrap();
            if number % BATCH == BATCH - 1 {
                arrived.take(&to.socket);
            }
        }
        arrived.take(&to.socket);
        to.socket.set_nonblocking(false).unwrap();
        to.socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let complete = |arrived: &Arrived| arrived.numbers.len() as u64 >= datagrams;
        while !complete(&arrived) && arrived.take_one(&to.socket) {}
        arrived
    }

    /// Sends one datagram; how many came meanwhile.
    pub(crate) fn send_one(&self, to: &Self, number: u64, payload_bytes: usize) -> u64 {
        to.socket.set_nonblocking(true).unwrap();
        self.socket.send_to(&payload(number, payload_bytes), to.address).unwrap();
        let mut arrived = Arrived::default();
        arrived.take(&to.socket);
        arrived.count()
    }
}

impl Arrived {
    pub(crate) fn count(&self) -> u64 {
        self.numbers.len() as u64
    }

    /// How many came more than once.
    pub(crate) fn repeated(&self) -> u64 {
        let mut numbers = self.numbers.clone();
        numbers.sort_unstable();
        numbers.dedup();
        self.count() - numbers.len() as u64
    }

    /// How many came after one that was sent later.
    pub(crate) fn overtaken(&self) -> u64 {
        let mut latest = 0;
        let late = |number: &&u64| {
            latest = latest.max(**number);
            **number < latest
        };
        self.numbers.iter().filter(late).count() as u64
    }

    fn take(&mut self, socket: &UdpSocket) {
        while self.take_one(socket) {}
    }

    fn take_one(&mut self, socket: &UdpSocket) -> bool {
        let mut buffer = vec![0; 65_536];
        loop {
            match socket.recv(&mut buffer) {
                Ok(length) => {
                    let number = u64::from_be_bytes(buffer[..8].try_into().unwrap());
                    self.altered += u64::from(buffer[..length] != payload(number, length));
                    self.numbers.push(number);
                    return true;
                }
                // A process that was stopped and goes on.
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => {
                    assert!([ErrorKind::WouldBlock, ErrorKind::TimedOut].contains(&error.kind()), "{error}");
                    return false;
                }
            }
        }
    }
}

/// A number, and bytes that follow from it and vary.
fn payload(number: u64, bytes: usize) -> Vec<u8> {
    let mut state = number;
    let filling = std::iter::repeat_with(move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    });
    number.to_be_bytes().into_iter().chain(filling).take(bytes).collect()
}

/// Payload bytes that make an IP packet of so many.
pub(crate) fn payload_of(lab: &Lab, ip_bytes: usize) -> usize {
    ip_bytes - if lab.plan().family == Family::V4 { 28 } else { 48 }
}

/// One of the laboratory's counters; what was never counted is 0.
pub(crate) fn counter(lab: &Lab, name: &str) -> u64 {
    *lab.counters().unwrap().get(name).unwrap_or_else(|| panic!("no counter {name}"))
}

/// A counter of a host's kernel: `Udp.InCsumErrors` as in /proc/net/snmp, or a name of /proc/net/snmp6.
pub(crate) fn kernel(host: &Host, name: &str) -> u64 {
    let read = |file: &str| host.run(|| std::fs::read_to_string(file).unwrap()).unwrap();
    let Some((table, field)) = name.split_once('.') else {
        let text = read("/proc/thread-self/net/snmp6");
        let line = text.lines().find(|line| line.split_whitespace().next() == Some(name));
        return line.and_then(|line| line.split_whitespace().nth(1)).unwrap().parse().unwrap();
    };
    let text = read("/proc/thread-self/net/snmp");
    let mut lines = text.lines().filter(|line| line.split(':').next() == Some(table));
    let (names, values) = (lines.next().unwrap(), lines.next().unwrap());
    let place = names.split_whitespace().position(|word| word == field).unwrap();
    values.split_whitespace().nth(place).unwrap().parse().unwrap()
}

/// Whether a count of `of` chances of probability `p` is within five standard deviations.
pub(crate) fn likely(count: u64, of: u64, p: f64) -> bool {
    let (mean, deviation) = (of as f64 * p, (of as f64 * p * (1.0 - p)).sqrt());
    (count as f64 - mean).abs() <= 5.0 * deviation + 1.0
}
