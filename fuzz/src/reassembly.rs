//! Chunks in any order, overlapping, twice, of several versions, some with wrong bytes: through the client core, against a model that
//! keeps each byte by itself.

use arbitrary::{Result, Unstructured};
use shingle_proto::client::{Client, ClientConfig, Ended, Join};
use shingle_proto::limits::VERSION_RESTARTS_MAX;
use shingle_proto::wire::{AnswerHeader, Carrier, Chunk, DatagramWriter, Frame, Request, RequestHeader};

use crate::values::sealed;

const KEY: &[u8] = b"key";
const VERSIONS: u64 = 6;
const VALUE_BYTES_MAX: usize = 70_000;

/// Hands one read chunks until the bytes run out or the read ends.
pub fn run(data: &[u8]) {
    let mut input = Unstructured::new(data);
    // Bytes that run out are no finding.
    let _ = scenario(&mut input);
}

fn scenario(input: &mut Unstructured<'_>) -> Result<()> {
    let length = [40, 3000, 60_000, usize::from(input.arbitrary::<u16>()?)][input.choose_index(4)?];
    let config = ClientConfig {
        in_flight_max: 2,
        partial_max: 1,
        value_bytes_max: VALUE_BYTES_MAX,
        reassembly_bytes: 1 << 17,
        credit_max: [0, 5000, 1 << 20][input.choose_index(3)?],
        ..ClientConfig::default()
    };
    let mut client = Client::new(config).expect("settings in range");
    client.get(0, KEY, 1, u64::MAX, Join::Alone).expect("accepted");
    let mut world = World { client, header: None, id: 0, now: 0, model: Model::new(length), ended: None };
    world.send();
    while !input.is_empty() && world.ended.is_none() {
        let version = input.int_in_range(0..=VERSIONS - 1)?.min(input.int_in_range(0..=VERSIONS - 1)?);
        let stored = &world.model.stored[version as usize];
        let offset = input.int_in_range(0..=stored.len() - 1)?;
        let bytes = input.int_in_range(1..=(stored.len() - offset).min(1400))?;
        let flipped = input.ratio(1, 32)?.then_some(input.int_in_range(0..=bytes - 1)?);
        world.chunk(version, offset, bytes, flipped);
        world.now += u64::from(input.arbitrary::<u8>()?) * 100_000;
        world.wake();
    }
    Ok(())
}

/// The client, and the model beside it.
struct World {
    client: Client,
    /// Header of the newest request.
    header: Option<RequestHeader>,
    id: u32,
    now: u64,
    model: Model,
    ended: Option<End>,
}

#[derive(Clone, Debug, PartialEq)]
enum End {
    Value(Vec<u8>),
    OverTcp,
}

impl World {
    fn send(&mut self) {
        let mut out = [0; 1200];
        while let Some(sent) = self.client.poll_transmit(self.now, &mut out) {
            let request = Request::parse(&out[..sent.bytes], Carrier::Udp).expect("what is sent can be read");
            self.header = Some(request.header);
            for frame in request.frames() {
                match frame {
                    Frame::Get(get) => self.id = get.id,
                    Frame::Rerequest(again) => {
                        assert_eq!(Some(again.version), self.model.held, "it asks for the version it holds");
                        for range in again.ranges.iter() {
                            let asked = range.offset as usize..range.end() as usize;
                            assert!(
                                self.model.arrived[asked].iter().all(|byte| byte.is_none()),
                                "only what is missing"
                            );
                        }
                    }
                    _ => {}
                }
            }
        }
    }

    fn wake(&mut self) {
        self.client.handle_timeout(self.now, &mut |event| panic!("nothing ends by itself: {event:?}"));
        if self.ended.is_none() {
            self.send();
        }
    }

    fn chunk(&mut self, version: u64, offset: usize, bytes: usize, flipped: Option<usize>) {
        let stored = &self.model.stored[version as usize];
        let mut piece = stored[offset..offset + bytes].to_vec();
        if let Some(at) = flipped {
            piece[at] ^= 0x10;
        }
        let chunk =
            Chunk { id: self.id, version, total: stored.len() as u32, offset: offset as u32, bytes: &piece };
        let header = AnswerHeader::to(&self.header.expect("a request was sent"), false);
        let mut datagram = [0; 1500];
        let mut writer = DatagramWriter::answer(&mut datagram, &header).expect("room");
        writer.push(&Frame::Chunk(chunk)).expect("room");
        let length = writer.finish();
        let full_before = self.client.counters().reassembly_full;
        let ended = &mut self.ended;
        self.client.handle_datagram(self.now, &datagram[..length], &mut |event| {
            assert!(ended.is_none(), "a read ends once");
            *ended = Some(match event.end {
                Ended::Value(value) => End::Value(value.to_vec()),
                Ended::OverTcp => End::OverTcp,
                other => panic!("{other:?}"),
            });
        });
        let full = self.client.counters().reassembly_full > full_before;
        let expected = self.model.chunk(version, offset, &piece, full);
        assert_eq!(self.ended, expected);
        assert_eq!(self.client.counters().corrupt_values, self.model.corrupt);
        assert_eq!(self.client.counters().version_restarts, u64::from(self.model.restarts));
    }
}

/// What a client holds, byte by byte.
struct Model {
    /// The sealed value in each version.
    stored: Vec<Vec<u8>>,
    held: Option<u64>,
    arrived: Vec<Option<u8>>,
    floor: u64,
    restarts: u8,
    corrupt: u64,
}

impl Model {
    fn new(length: usize) -> Self {
        let stored = (0..VERSIONS).map(|version| sealed(KEY, version, length + version as usize)).collect();
        Model { stored, held: None, arrived: Vec::new(), floor: 0, restarts: 0, corrupt: 0 }
    }

    /// Takes a chunk; `full` where the client said that it has no room for another gap.
    fn chunk(&mut self, version: u64, offset: usize, piece: &[u8], full: bool) -> Option<End> {
        let total = self.stored[version as usize].len();
        match self.held {
            None if self.restarts > 0 && version < self.floor => return None,
            Some(held) if version < held => return None,
            Some(held) if version > held && piece.len() < total => {
                if self.restarts == VERSION_RESTARTS_MAX {
                    return Some(End::OverTcp);
                }
                self.restarts += 1;
                self.floor = version;
                self.held = None;
            }
            _ => {}
        }
        if piece.len() == total {
            return self.open(version, piece.to_vec());
        }
        if self.held.is_none() {
            self.held = Some(version);
            self.arrived = vec![None; total];
        }
        if full {
            return None;
        }
        let place = &mut self.arrived[offset..offset + piece.len()];
        // What brings nothing new is not looked at.
        if place.iter().any(Option::is_none) {
            place.iter_mut().zip(piece).for_each(|(byte, new)| *byte = Some(*new));
        }
        let whole: Option<Vec<u8>> = self.arrived.iter().copied().collect();
        whole.and_then(|whole| self.open(version, whole))
    }

    fn open(&mut self, version: u64, whole: Vec<u8>) -> Option<End> {
        if whole == self.stored[version as usize] {
            return Some(End::Value(whole[8..].to_vec()));
        }
        // Flips that make it an LZ4 block longer than any value cannot be looked into: TCP decides.
        let seal = u32::from_be_bytes([whole[4], whole[5], whole[6], whole[7]]);
        if seal >> 28 == 1 && (seal & 0x0fff_ffff) as usize > VALUE_BYTES_MAX {
            return Some(End::OverTcp);
        }
        self.corrupt += 1;
        self.held = None;
        None
    }
}
