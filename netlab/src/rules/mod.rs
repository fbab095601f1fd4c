//! The rules of a router, as text for `nft -f`: a chain for each way a packet can go, which counts what comes, troubles it, and counts
//! what is left.
//!
//! They sit at the devices' ingress. There a packet is what was on the wire (never the unsegmented train of an offload), dropping it is not
//! told to its sender, and no connection tracking has put its fragments together. Only UDP is troubled: the two ends steer each other over TCP,
//! and a laboratory whose steering breaks shows nothing.

pub(crate) mod bursts;
pub(crate) mod copies;
pub(crate) mod corrupt;
pub(crate) mod flows;
pub(crate) mod fragments;
pub(crate) mod loss;

use std::fmt::Write;

use crate::catalogue::WHOLE_PPM;
use crate::topology::Direction;

/// The table of the rules at ingress.
pub(crate) const TABLE: &str = "netdev lab";

/// The rules of one router.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rules {
    objects: String,
    chains: String,
    up: String,
    down: String,
    before: String,
    tables: String,
    /// Chains at the egress of a device: only its router has them.
    egress: Vec<(&'static str, String)>,
}

impl Rules {
    /// Declares a counter. Its name must not be a word of nft's language (`first`, `last`, `limit`, `dup`, ...).
    pub(crate) fn counter(&mut self, name: &str) {
        line(&mut self.objects, format_args!("counter {name} {{ }}"));
    }

    /// Declares a limit or a set.
    pub(crate) fn object(&mut self, declaration: &str) {
        line(&mut self.objects, format_args!("{declaration}"));
    }

    /// Adds a chain that others jump to.
    pub(crate) fn chain(&mut self, name: &str, rules: &[String]) {
        line(&mut self.chains, format_args!("chain {name} {{"));
        rules.iter().for_each(|rule| line(&mut self.chains, format_args!("  {rule}")));
        line(&mut self.chains, format_args!("}}"));
    }

    /// Adds a chain at the egress of a device.
    pub(crate) fn egress(&mut self, name: &str, device: &'static str, rules: &[String]) {
        let mut text = format!(
            "chain {name} {{\n  type filter hook egress device \"{device}\" priority 0; policy accept;\n"
        );
        rules.iter().for_each(|rule| line(&mut text, format_args!("  {rule}")));
        line(&mut text, format_args!("}}"));
        self.egress.push((device, text));
    }

    /// Adds a rule for UDP packets that go this way.
    pub(crate) fn way(&mut self, direction: Direction, rule: &str) {
        let chain = if direction == Direction::Up { &mut self.up } else { &mut self.down };
        line(chain, format_args!("  {rule}"));
    }

    /// Adds a rule for all packets, before those for UDP, both ways.
    pub(crate) fn before(&mut self, rule: &str) {
        line(&mut self.before, format_args!("  {rule}"));
    }

    /// The script of a host at the end of a way that counts what reaches its device.
    pub(crate) fn arrivals(direction: Direction, device: &str) -> String {
        format!(
            "table {TABLE} {{\ncounter {direction}_arrived {{ }}\nchain {direction}_wire {{\n  \
             type filter hook ingress device \"{device}\" priority 0; policy accept;\n  \
             meta l4proto udp counter name {direction}_arrived\n}}\n}}\n"
        )
    }

    /// Adds a table of its own.
    pub(crate) fn table(&mut self, text: &str) {
        self.tables.push_str(text);
    }

    /// The script, for a router whose packets up come in by one device, and those down by another. One that only sees one way has none for
    /// the other.
    pub(crate) fn text(&self, up: Option<&str>, down: Option<&str>) -> String {
        let mut text = format!("table {TABLE} {{\n");
        let ways = [(Direction::Up, up, &self.up), (Direction::Down, down, &self.down)];
        let ways =
            ways.into_iter().filter_map(|(direction, device, rules)| Some((direction, device?, rules)));
        for (direction, ..) in ways.clone() {
            let _ = writeln!(text, "counter {direction}_seen {{ }}\ncounter {direction}_passed {{ }}");
        }
        text.push_str(&self.objects);
        text.push_str(&self.chains);
        for (_, chain) in self.egress.iter().filter(|(device, _)| [up, down].contains(&Some(*device))) {
            text.push_str(chain);
        }
        for (direction, device, rules) in ways {
            let _ = write!(
                text,
                "chain {direction} {{\n  counter name {direction}_seen\n{rules}  counter name {direction}_passed\n}}\n\
                 chain {direction}_wire {{\n  type filter hook ingress device \"{device}\" priority 0; policy accept;\n\
                 {}  meta l4proto udp jump {direction}\n}}\n",
                self.before
            );
        }
        text.push_str("}\n");
        text.push_str(&self.tables);
        text
    }
}

/// The match for so many millionths of packets, drawn at random; none for none of them, empty for all.
pub(crate) fn chance(ppm: u64) -> Option<String> {
    match ppm {
        0 => None,
        WHOLE_PPM.. => Some(String::new()),
        _ => Some(format!("numgen random mod {WHOLE_PPM} < {ppm} ")),
    }
}

fn line(text: &mut String, line: std::fmt::Arguments<'_>) {
    let _ = writeln!(text, "{line}");
}
