//! Probes of one size with DF set: does a datagram of that size come whole, and does the network say so if not? From a port that serves
//! probes (`PROTOCOL.md`, section 6).

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use shingle_proto::cookie::Cookie;
use shingle_proto::limits::{DATAGRAM_BYTES_MAX, DATAGRAM_BYTES_MIN};
use shingle_proto::wire::{Answer, Carrier, DatagramWriter, Frame, Probe, Refusal, RequestHeader, Strategy};
use shingle_udp::{MtuDiscovery, RecvBatch, SendBatch, Socket, SocketOptions};

use super::Outcome;
use crate::attribution::Counts;
use crate::error::Error;
use crate::limits;
use crate::load::Load;
use crate::rig::Rig;

/// The base size, which every path carries.
const BASE_BYTES: u16 = DATAGRAM_BYTES_MIN as u16;

impl Rig {
    /// Probes of this UDP payload with DF set.
    pub(super) fn dont_fragment_trial(&mut self, bytes: u32) -> Result<Outcome, Error> {
        let Load::Shingle(target, _) = &self.load else {
            return Ok(Outcome::impossible("memcached answers no probes"));
        };
        let ports = &target.welcome().ports;
        let serving = ports.iter().find(|port| serves_probes(port.strategy));
        let Some(port) = serving.map(|port| port.port) else {
            return Ok(Outcome::impossible(
                "the server has no port that sets DF and answers probes; give it one with --udp-port PORT=chunked",
            ));
        };
        let Some(size) = u16::try_from(bytes).ok().filter(|size| usize::from(*size) <= DATAGRAM_BYTES_MAX)
        else {
            return Ok(Outcome::impossible(format!("no datagram has {bytes} B")));
        };
        let (server, cookie) = (SocketAddr::new(target.ports[0].0.ip(), port), target.welcome().cookie);
        let (outcome, icmp) = self.counting_icmp(|_| {
            let made = Prober::open(server, cookie).and_then(|mut prober| prober.run(size.max(BASE_BYTES)));
            made.map_err(|error| Error::system("probing with DF set", error))
        })?;
        Ok(Outcome { icmp, ..outcome })
    }
}

/// Whether ports of this strategy set DF, so that probes prove something.
pub(crate) fn serves_probes(strategy: Strategy) -> bool {
    matches!(strategy, Strategy::Chunked | Strategy::Compressed | Strategy::DfStrict)
}

/// What came back for a probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reply {
    Acknowledged,
    Refused(Refusal, u32),
    /// The address has to be proved first, with this.
    Challenged,
}

/// A socket that probes, one datagram at a time.
struct Prober {
    socket: Socket,
    server: SocketAddr,
    cookie: Cookie,
    sequence: u32,
    send: SendBatch,
    recv: RecvBatch,
}

impl Prober {
    fn open(server: SocketAddr, cookie: Cookie) -> io::Result<Self> {
        let any = if server.is_ipv6() { "[::]:0" } else { "0.0.0.0:0" };
        let options = SocketOptions { mtu_discovery: Some(MtuDiscovery::Probe), ..SocketOptions::default() };
        let socket = Socket::bind(any.parse().expect("literal"), &options)?;
        socket.connect(server)?;
        Ok(Self {
            socket,
            server,
            cookie,
            sequence: 0,
            send: SendBatch::new(1, 1, BASE_BYTES.into()),
            recv: RecvBatch::new(2, DATAGRAM_BYTES_MAX),
        })
    }

    /// Probes of this size, each after one of the base size, which shows that probes come at all.
    fn run(&mut self, size: u16) -> io::Result<Outcome> {
        let (mut counts, mut base_came) = (Counts::default(), 0);
        for _ in 0..limits::TRIAL_PROBES {
            base_came += u32::from(self.probe(BASE_BYTES)? == Some(Reply::Acknowledged));
            let reply = self.probe(size)?;
            if let Some(Reply::Refused(reason, limit)) = reply {
                return Ok(Outcome::impossible(match reason {
                    Refusal::TooBig => format!("the port sends no datagrams above {limit} B"),
                    _ => "the server does not answer probes on that port".to_owned(),
                }));
            }
            let lost = u64::from(reply != Some(Reply::Acknowledged));
            counts.merge(&Counts { reads: 1, first_try_lost: lost, failed: lost });
        }
        let failed = (base_came == 0).then(|| format!("probes of {BASE_BYTES} B did not come either"));
        Ok(Outcome { counts, failed, ..Outcome::default() })
    }

    fn probe(&mut self, size: u16) -> io::Result<Option<Reply>> {
        let reply = self.try_once(size)?;
        if reply == Some(Reply::Challenged) { self.try_once(size) } else { Ok(reply) }
    }

    /// Sends a probe and waits for its answer.
    fn try_once(&mut self, size: u16) -> io::Result<Option<Reply>> {
        self.sequence += 1;
        self.send(size)?;
        let end = Instant::now() + limits::TRIAL_PATIENCE_MIN;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(None);
            }
            self.socket.wait(true, false, left.min(Duration::from_millis(20)))?;
            let _errors = self.socket.drain_errors(&mut |_| ())?;
            self.recv.recv(&self.socket)?;
            for datagram in self.recv.iter() {
                if let Some((reply, cookie)) = reply(datagram.bytes, self.sequence) {
                    self.cookie = cookie.unwrap_or(self.cookie);
                    return Ok(Some(reply));
                }
            }
        }
    }

    fn send(&mut self, size: u16) -> io::Result<()> {
        let header = RequestHeader {
            attempt: 0,
            flow: u32::MAX,
            sequence: self.sequence,
            telemetry: false,
            datagram_max: BASE_BYTES,
            credit: BASE_BYTES.into(),
        };
        let mut request = [0; BASE_BYTES as usize];
        let mut writer = DatagramWriter::request(&mut request, &header).map_err(io::Error::other)?;
        let probe = Probe { up: false, down: true, size, id: self.sequence };
        for frame in [Frame::Cookie(self.cookie), Frame::Probe(probe)] {
            writer.push(&frame).map_err(io::Error::other)?;
        }
        let bytes = writer.finish();
        let mut outgoing = self.send.fill();
        if outgoing.begin(self.server) {
            outgoing.copy(&request[..bytes]);
            outgoing.end(0).map_err(io::Error::other)?;
        }
        // What the kernel refuses is a probe that does not come.
        outgoing.send(&self.socket, &mut |_, _| ())?;
        Ok(())
    }
}

/// What a datagram says of the probe of this number, with a cookie where it brings one.
fn reply(bytes: &[u8], id: u32) -> Option<(Reply, Option<Cookie>)> {
    let answer = Answer::parse(bytes, Carrier::Udp).ok().filter(|answer| answer.header.sequence == id)?;
    answer.frames().find_map(|frame| match frame {
        Frame::ProbeAck(probe) if probe.id == id => Some((Reply::Acknowledged, None)),
        Frame::Refused(refused) => Some((Reply::Refused(refused.reason, refused.detail), None)),
        Frame::Challenge(cookie) => Some((Reply::Challenged, Some(cookie))),
        _ => None,
    })
}
