//! What each strategy really puts on the wire where the path (1500 B) is narrower than the server's interface (9001 B), in both families:
//! DF, fragments and who makes them, errors, and what became of the first and the later large answers. With real packets, in a
//! laboratory; skipped, and said so, where this machine allows none, unless SHINGLE_REQUIRE_LAB=1.

mod common;

use std::io::Read as _;
use std::net::{IpAddr, SocketAddr};
use std::thread;
use std::time::{Duration, Instant};

use common::{PATIENCE, Read1, Tcp, Udp, config, noise};
use shingle_netlab::lab::{Host, Lab, LabError, LabOptions};
use shingle_netlab::{Family, Spec, skip};
use shingle_proto::wire::{Control, Flush, FlushWhat, Refusal};
use shingle_server::{Config, Server, Strategy, Token};
use shingle_udp::counters::Snapshot;
use socket2::{Domain, Protocol, Socket, Type};

const PATH_MTU: usize = 1500;
const TOKEN: &[u8] = b"of the laboratory";
/// Longer than an answer that is not lost takes; what is waited for without being expected is waited for this long.
const LOST: Duration = Duration::from_millis(300);
/// Above the path MTU and below the interface's; above both.
const LARGE: usize = 4000;
const HUGE: usize = 20_000;

/// What becomes of an answer.
#[derive(Clone, Copy, Debug, PartialEq)]
enum End {
    Whole,
    Lost,
    Refused,
}
use End::{Lost, Refused, Whole};

/// What a strategy does in a family, as docs and `loadgen compare` say it does.
struct Expected {
    /// The first large answer to a destination, the second and the third.
    large: [End; 3],
    /// One above the interface's MTU, after these.
    huge: End,
    /// Whether the server's host makes fragments of the large ones, and whether fragments arrive.
    fragments_made: bool,
    fragments_arrive: bool,
    /// DF on what the server sends: on everything, on nothing, or (WANT) on what is no fragment.
    df: Df,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Df {
    Always,
    Never,
    WhereWhole,
}

fn expected(strategy: Strategy, family: Family) -> Expected {
    let chunks = Expected {
        large: [Whole; 3],
        huge: Whole,
        fragments_made: false,
        fragments_arrive: false,
        df: Df::Always,
    };
    match (strategy, family) {
        (Strategy::Chunked | Strategy::Compressed, _) => chunks,
        // Learns the path MTU from what it loses, then fragments itself.
        (Strategy::KernelPmtud, _) => Expected {
            large: [Lost, Whole, Whole],
            fragments_made: true,
            fragments_arrive: true,
            df: Df::WhereWhole,
            ..chunks
        },
        // Routers fragment.
        (Strategy::DfOff, Family::V4) => Expected { fragments_arrive: true, df: Df::Never, ..chunks },
        (Strategy::Interface, Family::V4) => {
            Expected { huge: Refused, fragments_arrive: true, df: Df::Never, ..chunks }
        }
        // Nobody does.
        (Strategy::DfOff, Family::V6) => Expected { large: [Lost; 3], huge: Lost, df: Df::Never, ..chunks },
        (Strategy::Interface, Family::V6) => {
            Expected { large: [Lost; 3], huge: Refused, df: Df::Never, ..chunks }
        }
        (Strategy::DfStrict, _) => Expected { large: [Lost, Refused, Refused], huge: Refused, ..chunks },
    }
}

#[test]
fn each_strategy_does_on_the_wire_what_its_name_says() {
    for family in [Family::V4, Family::V6] {
        for strategy in Strategy::ALL {
            // A laboratory of its own: nobody has learned a path MTU yet.
            let Some(lab) = narrow(family) else { return };
            Trial::of(&lab, strategy, family).check(&expected(strategy, family));
            lab.down().unwrap();
        }
    }
}

#[test]
fn the_server_forgets_path_mtus_when_asked() {
    for family in [Family::V4, Family::V6] {
        let Some(lab) = narrow(family) else { return };
        let mut trial = Trial::of(&lab, Strategy::KernelPmtud, family);
        for _ in 0..3 {
            assert_eq!(
                [trial.read(b"large", Lost), trial.read(b"large", Whole)],
                [Lost, Whole],
                "{family:?}"
            );
            trial.flush();
        }
        // Several are forgotten at once.
        let mut others: Vec<_> = lab.client().addresses(family)[1..]
            .iter()
            .map(|other| lab.client().run(|| trial.reader_at(*other)).unwrap())
            .collect();
        for _ in 0..2 {
            for udp in &mut others {
                let first = lost(lab.server(), udp, b"large");
                assert_eq!(first, None, "{family:?}: nobody knows its path yet");
                assert_eq!(udp.get(b"large"), Read1::Value(noise(LARGE)), "{family:?}");
            }
            trial.flush();
        }
    }
}

/// A laboratory, or nothing, said aloud, where this machine cannot have one.
fn narrow(family: Family) -> Option<Lab> {
    let number = if family == Family::V4 { "4" } else { "6" };
    let spec = Spec::new("narrow").unwrap().set(&format!("family={number}")).unwrap();
    match Lab::up(&spec.plan(), &LabOptions::default()) {
        Err(error @ (LabError::Tools { .. } | LabError::Rights { .. } | LabError::NoIpv6)) => {
            skip::unless_required(skip::REQUIRE_LAB, error);
            None
        }
        other => Some(other.unwrap()),
    }
}

/// A server of one strategy, a reader at the client, and who listens on the wires of both.
struct Trial<'l> {
    lab: &'l Lab,
    strategy: Strategy,
    family: Family,
    server: Server,
    tcp: Tcp,
    udp: Udp,
    taps: [Tap; 2],
}

impl<'l> Trial<'l> {
    fn of(lab: &'l Lab, strategy: Strategy, family: Family) -> Self {
        let listen = lab.server().address(family);
        let config = Config { listen, token: Some(Token::new(TOKEN).unwrap()), ..config(&[strategy]) };
        let server = lab.server().run(|| Server::start(config).unwrap()).unwrap();
        let (mut tcp, udp) = lab
            .client()
            .run(|| {
                let own = lab.client().address(family);
                let mut tcp = connection(own, server.tcp_addr());
                let cookie = tcp.greet(TOKEN);
                let port = SocketAddr::new(listen, server.ports()[0].port);
                (tcp, Udp::from(own, port, Some(cookie)))
            })
            .unwrap();
        tcp.set(b"large", &noise(LARGE));
        tcp.set(b"huge", &noise(HUGE));
        let taps = [Tap::at(lab.server(), listen), Tap::at(lab.client(), listen)];
        let mut trial = Trial { lab, strategy, family, server, tcp, udp, taps };
        // What a search would have proved.
        trial.udp.header.datagram_max = (PATH_MTU - if family == Family::V4 { 28 } else { 48 }) as u16;
        trial
    }

    /// Reads a key; how long a lost answer is waited for depends on whether it is expected to be lost.
    fn read(&mut self, key: &[u8], expected: End) -> End {
        let bytes = if key == b"large" { LARGE } else { HUGE };
        let answer = match expected {
            Lost => lost(self.lab.server(), &mut self.udp, key),
            _ => self.udp.get_within(key, PATIENCE),
        };
        match answer {
            None => Lost,
            Some(Read1::Refused(Refusal::TooBig, _)) => Refused,
            Some(Read1::Value(value)) if value == noise(bytes) => Whole,
            other => panic!("{:?} {:?}: {other:?}", self.strategy, self.family),
        }
    }

    fn flush(&mut self) {
        let flush = Flush { id: 3, what: FlushWhat::PathMtus };
        assert_eq!(self.tcp.done(Control::Flush(flush)), Ok(1), "{:?}", self.family);
    }

    /// A reader at another address of the client, where the calling thread is.
    fn reader_at(&self, local: IpAddr) -> Udp {
        let server = SocketAddr::new(self.server.tcp_addr().ip(), self.server.ports()[0].port);
        let cookie = connection(local, self.server.tcp_addr()).greet(TOKEN);
        Udp::from(local, server, Some(cookie))
    }

    fn check(mut self, expected: &Expected) {
        let name = format!("{} over {:?}", self.strategy.name(), self.family);
        let ends = expected.large.map(|end| self.read(b"large", end));
        assert_eq!(ends, expected.large, "{name}: the first three large answers");
        let [sent, arrived] = self.taps.each_ref().map(Tap::packets);
        self.check_wire(&name, expected, &sent, &arrived);
        assert_eq!(
            self.read(b"huge", expected.huge),
            expected.huge,
            "{name}: an answer above the interface's MTU"
        );
        let stats = self.lab.server().run(|| self.server.stats()).unwrap();
        let refused_by_kernel = stats.workers().map(|worker| worker.send_failed).sum::<u64>();
        // Only the one that is told of the path MTU by its own kernel has sends refused: twice, and then answers with an error.
        assert_eq!(refused_by_kernel > 0, self.strategy == Strategy::DfStrict, "{name}: EMSGSIZE");
    }

    fn check_wire(&self, name: &str, expected: &Expected, sent: &[Packet], arrived: &[Packet]) {
        let fragments = |packets: &[Packet]| packets.iter().any(|packet| packet.fragment);
        assert_eq!(fragments(sent), expected.fragments_made, "{name}: {sent:?}");
        assert_eq!(fragments(arrived), expected.fragments_arrive, "{name}: {arrived:?}");
        assert!(arrived.iter().all(|packet| packet.bytes <= PATH_MTU), "{name}: {arrived:?}");
        if matches!(self.strategy, Strategy::Chunked | Strategy::Compressed) {
            assert!(sent.iter().all(|packet| packet.bytes <= PATH_MTU), "{name}: {sent:?}");
            assert_eq!(sent.len(), arrived.len(), "{name}: chunks arrive as they left");
        }
        if self.family == Family::V4 {
            let df = |packet: &Packet| match expected.df {
                Df::Always => true,
                Df::Never => false,
                Df::WhereWhole => !packet.fragment,
            };
            assert!(sent.iter().all(|packet| packet.df == df(packet)), "{name}: {sent:?}");
        }
    }
}

/// Reads what is expected to be lost, until the server's host was told of it: where the machine stood still meanwhile, the next
/// answer would otherwise leave as large as this one.
fn lost(server: &Host, udp: &mut Udp, key: &[u8]) -> Option<Read1> {
    let told = || {
        let counters = server.run(|| Snapshot::read().unwrap()).unwrap();
        let ipv6 = counters.snmp6.get("Icmp6InPktTooBigs").unwrap();
        counters.snmp.get("Icmp", "InDestUnreachs").unwrap() + ipv6
    };
    let before = told();
    let answer = udp.get_within(key, LOST);
    let start = Instant::now();
    while answer.is_none() && told() == before {
        assert!(start.elapsed() < PATIENCE, "no router told of the lost answer");
        thread::sleep(Duration::from_millis(1));
    }
    answer
}

/// A connection from this address of the calling thread's host, which has several: cookies prove addresses.
fn connection(local: IpAddr, to: SocketAddr) -> Tcp {
    let socket = Socket::new(Domain::for_address(to), Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::new(local, 0).into()).unwrap();
    socket.connect(&to.into()).unwrap();
    Tcp::over(socket.into())
}

/// An IP packet with a UDP datagram of the server's, or a part of one.
#[derive(Clone, Copy, Debug)]
struct Packet {
    bytes: usize,
    /// DF; of IPv6 nothing.
    df: bool,
    fragment: bool,
}

/// Hears every packet of a host.
struct Tap {
    socket: Socket,
    from: IpAddr,
}

const ETH_P_ALL: u16 = 3;
const UDP: u8 = 17;
const IPV6_FRAGMENT: u8 = 44;

impl Tap {
    /// At a host, for packets from this address (packet(7)).
    fn at(host: &Host, from: IpAddr) -> Tap {
        let protocol = Protocol::from(i32::from(ETH_P_ALL.to_be()));
        let open = || Socket::new(Domain::PACKET, Type::DGRAM, Some(protocol)).unwrap();
        let socket = host.run(open).unwrap();
        socket.set_nonblocking(true).unwrap();
        Tap { socket, from }
    }

    /// What came since it was last asked.
    fn packets(&self) -> Vec<Packet> {
        let mut buffer = vec![0; 65_536];
        let mut packets = Vec::new();
        while let Ok(length) = (&self.socket).read(&mut buffer) {
            packets.extend(self.packet(&buffer[..length]));
        }
        packets
    }

    fn packet(&self, ip: &[u8]) -> Option<Packet> {
        match (self.from, ip.first()? >> 4) {
            (IpAddr::V4(from), 4) if ip[12..16] == from.octets() && ip[9] == UDP => {
                let word = u16::from_be_bytes([ip[6], ip[7]]);
                // Don't fragment, more fragments, offset (RFC 791).
                Some(Packet { bytes: ip.len(), df: word & 0x4000 != 0, fragment: word & 0x3FFF != 0 })
            }
            (IpAddr::V6(from), 6) if ip[8..24] == from.octets() => matches!(ip[6], UDP | IPV6_FRAGMENT)
                .then_some(Packet { bytes: ip.len(), df: false, fragment: ip[6] == IPV6_FRAGMENT }),
            _ => None,
        }
    }
}
