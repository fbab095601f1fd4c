//! A NAT whose mapping changes: two nodes on one table, one rewrites sources up, one translates destinations down.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::rc::Rc;

use super::{Node, Outbox, nanoseconds};
use crate::limits::NAT_PORT_FIRST;
use crate::packet::Packet;
use crate::report::DropReason;
use crate::topology::{Change, Trigger};

/// The way up: rewrites the source.
pub(crate) struct Rewrite(Rc<RefCell<Table>>);
/// The way down: rewrites the destination back, or drops.
pub(crate) struct Restore(Rc<RefCell<Table>>);

/// Both nodes of one NAT.
pub(crate) fn pair(trigger: Trigger, change: Change, keeps: u32) -> (Rewrite, Restore) {
    let (outside, inside) = (BTreeMap::new(), BTreeMap::new());
    let keeps = keeps.into();
    let table = Table {
        trigger,
        change,
        keeps,
        generation: 0,
        packets: 0,
        next_port: NAT_PORT_FIRST,
        outside,
        inside,
    };
    let table = Rc::new(RefCell::new(table));
    (Rewrite(Rc::clone(&table)), Restore(table))
}

/// Who is known outside by which address. In generation 0 everyone keeps their own.
struct Table {
    trigger: Trigger,
    change: Change,
    keeps: u64,
    generation: u64,
    packets: u64,
    next_port: u16,
    /// Inside address to the outside one of this generation.
    outside: BTreeMap<SocketAddr, SocketAddr>,
    /// Outside address to generation and inside address.
    inside: BTreeMap<SocketAddr, (u64, SocketAddr)>,
}

impl Node for Rewrite {
    fn push(&mut self, mut packet: Packet, out: &mut Outbox<'_>) {
        let mut table = self.0.borrow_mut();
        table.advance(out.now_ns);
        let outside = table.map(packet.source);
        table.packets += 1;
        out.counts.changed += u64::from(outside != packet.source);
        packet.source = outside;
        out.pass(packet);
    }
}

impl Node for Restore {
    fn push(&mut self, mut packet: Packet, out: &mut Outbox<'_>) {
        let mut table = self.0.borrow_mut();
        table.advance(out.now_ns);
        match table.inside.get(&packet.destination) {
            Some(&(_, inside)) => {
                out.counts.changed += u64::from(inside != packet.destination);
                packet.destination = inside;
                out.pass(packet);
            }
            None => out.drop(&packet, DropReason::OldAddress),
        }
    }
}

impl Table {
    fn advance(&mut self, now_ns: u64) {
        let generation = match self.trigger {
            Trigger::At(time) => u64::from(now_ns >= nanoseconds(time)),
            Trigger::Every(packets) => self.packets / packets,
        };
        if generation != self.generation {
            self.generation = generation;
            self.outside.clear();
            self.inside.retain(|_, (from, _)| *from + self.keeps >= generation);
        }
    }

    fn map(&mut self, inside: SocketAddr) -> SocketAddr {
        if let Some(&outside) = self.outside.get(&inside) {
            return outside;
        }
        let outside = self.fresh(inside);
        self.outside.insert(inside, outside);
        self.inside.insert(outside, (self.generation, inside));
        outside
    }

    fn fresh(&mut self, inside: SocketAddr) -> SocketAddr {
        match self.change {
            _ if self.generation == 0 => inside,
            Change::Port => SocketAddr::new(inside.ip(), self.fresh_port(inside.ip())),
            Change::Address => SocketAddr::new(nat_address(inside.ip(), self.generation), inside.port()),
        }
    }

    /// The next port nobody has; if all are taken the next one, and its former owner hears nothing any more.
    fn fresh_port(&mut self, ip: IpAddr) -> u16 {
        for _ in NAT_PORT_FIRST..u16::MAX {
            self.next_port = self.next_port.checked_add(1).unwrap_or(NAT_PORT_FIRST);
            if !self.inside.contains_key(&SocketAddr::new(ip, self.next_port)) {
                break;
            }
        }
        self.next_port
    }
}

/// The address of a generation, of 198.19.0.0/16 or fd00:19::/32. The host's own is kept in its last bits, so that two differ.
fn nat_address(inside: IpAddr, generation: u64) -> IpAddr {
    match inside {
        IpAddr::V4(ip) => {
            let [.., last] = ip.octets();
            Ipv4Addr::new(198, 19, generation as u8, last).into()
        }
        IpAddr::V6(ip) => {
            let low = ip.to_bits() & u128::from(u64::MAX);
            Ipv6Addr::from_bits(0xfd00_0019_u128 << 96 | u128::from(generation as u32) << 64 | low).into()
        }
    }
}
